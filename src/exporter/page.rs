//! The figures of a snapshot in the OpenMetrics text format, written by the crate `prometheus-client`.
//!
//! Does not count anything itself. Counters are those of the [snapshot](Snapshot), since the start of the process; causes
//! that have not come up are there with zero, so that a rate can be had of their first. Histograms have few buckets, each
//! twice as wide as the one before, so that a quantile is right to a factor of two at worst. Format:
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

use crate::bank::Snapshot;
use crate::os::cpu::process_cpu;
use crate::os::memory::own_resident_set;
use crate::shard::{CloseCause, Ladder};
use crate::units::Nanos;
use nix::errno::Errno;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a text is good for: core threads show new figures no more often.
const FRESH: Duration = Duration::from_millis(200);
/// The buckets' bounds: the first that is shown, and the last.
const BOUNDS: (Nanos, Nanos) = (Nanos(8_000), Nanos(33_554_432_000));

/// The page, written anew at most five times a second however often it is asked for.
#[derive(Debug)]
pub(super) struct Page {
    registry: Registry,
    shown: Arc<Mutex<Snapshot>>,
    text: Mutex<Option<(Instant, String)>>,
}

impl Page {
    /// `build` are the labels that say what runs.
    pub(super) fn new(build: Vec<(&'static str, String)>) -> Self {
        let shown = Arc::new(Mutex::new(Snapshot::default()));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ThisProcess));
        let ours = registry.sub_registry_with_prefix("ringbeat");
        ours.register("build", "What runs", Info::new(build));
        ours.register_collector(Box::new(Figures(Arc::clone(&shown))));
        Self {
            registry,
            shown,
            text: Mutex::new(None),
        }
    }

    /// What the next text is written from.
    pub(super) fn show(&self, snapshot: &Snapshot) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(snapshot);
    }

    /// The text, ended by `# EOF`.
    pub(super) fn text(&self) -> String {
        let mut kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((written, text)) = &*kept
            && written.elapsed() < FRESH
        {
            return text.clone();
        }
        let mut text = String::new();
        // A string takes everything, and our labels have nothing that cannot be encoded.
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        *kept = Some((Instant::now(), text.clone()));
        text
    }
}

/// Under the names that every exporter gives them.
#[derive(Debug)]
struct ThisProcess;

impl Collector for ThisProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        if let Ok(cpu) = process_cpu(std::process::id()) {
            let text = "CPU time of this process, user and kernel";
            writer.seconds("process_cpu", text, cpu)?;
        }
        if let Ok(bytes) = own_resident_set() {
            writer.bytes("process_resident_memory", "Resident set", bytes)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Figures(Arc<Mutex<Snapshot>>);

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer(encoder);
        connections(&mut writer, &snapshot)?;
        traffic(&mut writer, &snapshot)?;
        engine(&mut writer, &snapshot)?;
        for (name, ladder) in snapshot.ladders.named() {
            let text = match name {
                "rtt" => "From the handing of a heartbeat to the kernel to its ack",
                "response" => "From when a heartbeat was due to its ack",
                "lateness" => "From a tick's begin until its deadlines were looked at",
                "schedule_lag" => "From when a heartbeat was due until it left",
                _ => "From a connect to its answer",
            };
            writer.histogram(name, text, ladder)?;
        }
        Ok(())
    }
}

fn connections(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let totals = &snapshot.totals;
    writer.gauges(
        "connections",
        "Connections by state",
        "state",
        &[("open", totals.open), ("connecting", totals.connecting)],
    )?;
    writer.counters(&[
        (
            "connects",
            "Connects begun, reconnects among them",
            totals.connects,
        ),
        (
            "connections_established",
            "Connections established, either way round",
            totals.established,
        ),
        (
            "reconnects",
            "Lost connections opened anew",
            totals.reconnects,
        ),
        (
            "reconnects_established",
            "Lost connections that came back",
            totals.reconnects_established,
        ),
    ])?;
    let mut closed: BTreeMap<String, u64> = CloseCause::ALL
        .iter()
        .map(|cause| (cause.name().to_owned(), 0))
        .collect();
    closed.extend(totals.closed.clone());
    writer.family("connections_closed", "Connections ended", "cause", &closed)?;
    for (name, text, failed) in [
        (
            "connects_failed",
            "Connects that failed",
            &totals.connects_failed,
        ),
        (
            "reconnects_failed",
            "Reconnects that failed",
            &totals.reconnects_failed,
        ),
    ] {
        let named = failed.iter();
        let named = named.map(|(errno, count)| (format!("{:?}", Errno::from_raw(*errno)), *count));
        writer.family(name, text, "errno", &named.collect())?;
    }
    writer.family(
        "protocol_errors",
        "Connections that carried something else than our protocol",
        "reason",
        &totals.protocol_errors,
    )
}

fn traffic(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let totals = &snapshot.totals;
    writer.counters(&[
        (
            "heartbeats_sent",
            "Heartbeats handed to the kernel",
            totals.heartbeats_sent,
        ),
        (
            "heartbeats_received",
            "Heartbeats read",
            totals.heartbeats_received,
        ),
        ("acks_sent", "Acks handed to the kernel", totals.acks_sent),
        ("acks_received", "Acks read", totals.acks_received),
        (
            "heartbeats_skipped",
            "Heartbeats whose turn came an interval late",
            totals.heartbeats_skipped,
        ),
        (
            "heartbeats_timed_out",
            "Heartbeats without an ack in time",
            totals.heartbeats_timed_out,
        ),
        (
            "sends_blocked",
            "Frames that a full send buffer refused",
            totals.sends_blocked,
        ),
    ])
}

fn engine(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let totals = &snapshot.totals;
    writer.counters(&[
        (
            "enters",
            "Calls of io_uring_enter or epoll_wait",
            totals.enters,
        ),
        (
            "completion_overflows",
            "Completions that found no room in their queue",
            totals.completion_overflows,
        ),
        (
            "receive_buffers_exhausted",
            "Streams that found no receive buffer",
            totals.buffers_exhausted,
        ),
        (
            "table_full",
            "Connections dropped by a ring whose table was full",
            totals.table_full,
        ),
    ])?;
    writer.gauge(
        "timers_armed",
        "Deadlines watched and heartbeats scheduled",
        snapshot.timers_armed,
    )?;
    writer.bytes("tables", "User-space tables", snapshot.table_bytes)
}

/// The crate ends the help of what is registered with a full stop; so does this.
fn sentence(text: &str) -> String {
    format!("{text}.")
}

/// Writes families one after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn counters(&mut self, all: &[(&str, &str, u64)]) -> fmt::Result {
        for (name, text, value) in all {
            let counter = ConstCounter::new(*value);
            let kind = MetricType::Counter;
            counter.encode(
                self.0
                    .encode_descriptor(name, &sentence(text), None, kind)?,
            )?;
        }
        Ok(())
    }

    /// A counter with one label. Without a value there is no family.
    fn family(
        &mut self,
        name: &str,
        text: &str,
        label: &'static str,
        values: &BTreeMap<String, u64>,
    ) -> fmt::Result {
        if values.is_empty() {
            return Ok(());
        }
        let kind = MetricType::Counter;
        let mut family = self
            .0
            .encode_descriptor(name, &sentence(text), None, kind)?;
        for (value, count) in values {
            let labels = [(label, value.as_str())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        text: &str,
        label: &'static str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut family = self
            .0
            .encode_descriptor(name, &sentence(text), None, kind)?;
        for (value, count) in values {
            let labels = [(label, *value)];
            ConstGauge::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, text: &str, value: u64) -> fmt::Result {
        let kind = MetricType::Gauge;
        ConstGauge::new(value).encode(self.0.encode_descriptor(
            name,
            &sentence(text),
            None,
            kind,
        )?)
    }

    fn bytes(&mut self, name: &str, text: &str, value: u64) -> fmt::Result {
        let (unit, kind) = (Some(&Unit::Bytes), MetricType::Gauge);
        ConstGauge::new(value).encode(self.0.encode_descriptor(
            name,
            &sentence(text),
            unit,
            kind,
        )?)
    }

    /// A counter of time.
    fn seconds(&mut self, name: &str, text: &str, value: Nanos) -> fmt::Result {
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Counter);
        let counter = ConstCounter::new(value.as_secs_f64());
        counter.encode(
            self.0
                .encode_descriptor(name, &sentence(text), unit, kind)?,
        )
    }

    fn histogram(&mut self, name: &str, text: &str, ladder: &Ladder) -> fmt::Result {
        let (first, last) = BOUNDS;
        let shown = |bound: &Nanos| (first..=last).contains(bound);
        let (mut below, mut buckets) = (0, Vec::new());
        for (bound, count) in ladder.at_most().filter(|(bound, _)| shown(bound)) {
            buckets.push((bound.as_secs_f64(), count - below));
            below = count;
        }
        let all = ladder.count();
        buckets.push((f64::INFINITY, all - below));
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut encoder = self
            .0
            .encode_descriptor(name, &sentence(text), unit, kind)?;
        let sum = ladder.sum().as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let page = Page::new(vec![("version", "1.2.3".to_owned())]);
        let mut snapshot = Snapshot {
            timers_armed: 7,
            ..Snapshot::default()
        };
        let totals = &mut snapshot.totals;
        totals.open = 5;
        totals.established = 12;
        totals.heartbeats_sent = u64::MAX;
        totals.closed(CloseCause::Reset);
        totals.connects_failed.insert(libc::ECONNREFUSED, 3);
        totals.protocol_errors.insert("a \"b\"\n\\c".to_owned(), 1);
        for (span, count) in [(4_000, 1), (8_000, 2), (8_001, 3), (60_000_000_000, 1)] {
            snapshot.ladders.rtt.record(Nanos(span), count);
        }
        page.show(&snapshot);
        page.text()
    }

    #[test]
    fn figures_have_the_names_and_labels_that_dashboards_rely_on() {
        let text = page();
        for line in [
            "# TYPE ringbeat_connections gauge",
            r#"ringbeat_connections{state="open"} 5"#,
            "ringbeat_connections_established_total 12",
            r#"ringbeat_connections_closed_total{cause="reset"} 1"#,
            r#"ringbeat_connections_closed_total{cause="heartbeat-timeout"} 0"#,
            r#"ringbeat_connects_failed_total{errno="ECONNREFUSED"} 3"#,
            r#"ringbeat_protocol_errors_total{reason="a \"b\"\n\\c"} 1"#,
            "ringbeat_heartbeats_sent_total 18446744073709551615",
            "ringbeat_timers_armed 7",
            r#"ringbeat_build_info{version="1.2.3"} 1"#,
            "# UNIT ringbeat_rtt_seconds seconds",
            r#"ringbeat_rtt_seconds_bucket{le="0.000008"} 3"#,
            r#"ringbeat_rtt_seconds_bucket{le="0.000016"} 6"#,
            r#"ringbeat_rtt_seconds_bucket{le="33.554432"} 6"#,
            r#"ringbeat_rtt_seconds_bucket{le="+Inf"} 7"#,
            "ringbeat_rtt_seconds_count 7",
            "# TYPE process_cpu_seconds counter",
            "# UNIT process_resident_memory_bytes bytes",
        ] {
            assert!(text.lines().any(|at| at == line), "no `{line}`:\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n") && !text.contains("reconnects_failed"));
    }

    #[test]
    fn a_text_is_kept_for_a_moment_and_then_written_anew() {
        let page = Page::new(Vec::new());
        let first = page.text();
        let mut snapshot = Snapshot::default();
        snapshot.totals.established = 9;
        page.show(&snapshot);
        assert_eq!(page.text(), first);
        std::thread::sleep(FRESH);
        assert!(page.text().contains("established_total 9\n"));
    }
}

//! What `ringbeat load` says before it opens, and when all is over.
//!
//! Does not print: [`output`] does.

use super::LoadArgs;
use crate::arm::{Arm, Budget};
use crate::bank::Snapshot;
use crate::cli::audit::Audit;
use crate::cli::fleet::Numbered;
use crate::cli::half::{Effective, counted};
use crate::cli::opening::WatchedRamp;
use crate::cli::{output, reconnect};
use crate::load::{Load, LoadConfig};
use crate::record::decode;
use crate::units::{HumanBytes, HumanCount, HumanNanos};
use hdrhistogram::Histogram;
use std::net::SocketAddrV4;

pub(super) fn announce(
    args: &LoadArgs,
    budget: &Budget,
    numbered: &Numbered,
    config: &LoadConfig,
    load: &Load,
) {
    if args.half.output.quiet {
        return;
    }
    let effective = Effective {
        flags: &args.half,
        budget,
        plan: load.plan,
        cores: &config.cores,
        nofile: config.nofile,
        congestion: config.congestion.as_deref(),
        keepalive: config.keepalive,
        user_timeout_ms: config.user_timeout_ms,
        timers: config.settings.timers,
    };
    let mut rows = effective.rows();
    if config.shard.is_one_of_several() {
        let (index, of) = (config.shard.index(), config.shard.of());
        let own = HumanCount(config.connections);
        rows.push((
            "shard",
            format!(
                "{index} of {of}, by {}: {own} connections are opened here",
                numbered.by
            ),
        ));
    }
    let last = config
        .targets
        .last()
        .map(SocketAddrV4::to_string)
        .unwrap_or_default();
    rows.push((
        "targets",
        match config.targets.as_slice() {
            [first, _, ..] => format!("{}, {first} to {last}", config.targets.len()),
            _ => last,
        },
    ));
    if !config.sources.is_empty() {
        let listed: Vec<_> = config.sources.iter().map(ToString::to_string).collect();
        rows.push(("sources", listed.join(", ")));
    }
    let rate = config.ramp_rate.map_or_else(
        || "as fast as connections are accepted".to_owned(),
        |rate| format!("{}/s", HumanCount(rate)),
    );
    let in_flight = HumanCount(config.in_flight);
    rows.push((
        "ramp",
        format!("{rate}, {in_flight} connects in flight per core"),
    ));
    if let Some(limit) = args.bounds.memory_limit {
        rows.push(("memory limit", HumanBytes(limit).to_string()));
    }
    if let Some(backoff) = &config.reconnect {
        rows.push(("reconnection", reconnect::describe(backoff)));
    }
    rows.push(("close", if config.abort { "RST" } else { "FIN" }.to_owned()));
    output::note(&output::aligned(&rows));
}

pub(super) fn report(
    args: &LoadArgs,
    audit: &Audit,
    ramp: &WatchedRamp<'_>,
    last: &Snapshot,
) -> String {
    let mut rows = vec![("connections", audit.line())];
    rows.extend(ramp.took().map(|took| ("opened in", took)));
    let met = ramp.pressure.as_ref();
    rows.extend(met.map(|met| ("while opening", met.to_string())));
    rows.extend(audit.failures().map(|failure| ("connects failed", failure)));
    if args.reconnect.reconnect {
        rows.push(("reconnects", reconnect::line(last)));
    }
    rows.extend(counted(&last.totals));
    rows.extend(latencies(args.half.arm, last));
    output::aligned(&rows)
}

fn latencies(arm: Arm, last: &Snapshot) -> Vec<(&'static str, String)> {
    let whole = |histogram: &Histogram<u64>| {
        format!(
            "{}, max {}",
            quantiles(histogram, &[0.5, 0.99, 0.999]),
            HumanNanos(histogram.max())
        )
    };
    let tail = |histogram: &Histogram<u64>| quantiles(histogram, &[0.99]);
    let mut rows = Vec::new();
    for (name, label, show) in [
        (
            "connect",
            "connect",
            &tail as &dyn Fn(&Histogram<u64>) -> String,
        ),
        ("reconnect", "reconnect", &whole),
        ("recovery", "recovery", &whole),
        ("rtt", "rtt", &whole),
        ("response", "response", &tail),
        ("schedule_lag", "schedule lag", &tail),
    ] {
        if let Some(histogram) = last.histograms.get(name).and_then(|text| decode(text).ok()) {
            rows.push((label, show(&histogram)));
        }
    }
    if arm == Arm::HeartbeatPush {
        rows.push((
            "rtt",
            "measured by the server, which sends the heartbeats".to_owned(),
        ));
    }
    rows
}

/// `p50 80 µs, p99 1.20 ms`.
fn quantiles(histogram: &Histogram<u64>, which: &[f64]) -> String {
    let parts: Vec<_> = which
        .iter()
        .map(|quantile| {
            let value = HumanNanos(histogram.value_at_quantile(*quantile));
            format!("p{} {value}", (quantile * 1000.0).round() / 10.0)
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_named_as_people_name_them() {
        let mut histogram = crate::record::new_histogram();
        histogram.saturating_record(1_000_000);
        let text = quantiles(&histogram, &[0.5, 0.99, 0.999]);
        assert_eq!(text, "p50 1.00 ms, p99 1.00 ms, p99.9 1.00 ms");
    }
}

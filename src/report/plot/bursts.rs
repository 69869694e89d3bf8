//! Probes and frames 10 ms by 10 ms: the kernel's bursts beside heartbeats that are spread out, each arm in a panel, all to
//! one scale.
//!
//! Does not smooth, nor bring a longer slice to 10 ms: a slice is as wide as it was and as high as what was counted in
//! it, so that the highest is the record's figure.

use super::canvas::{Axis, Canvas, arm_colour, ticks};
use super::data::{self, Line, Lines, Mark, Quantity, Table};
use super::stack::{Panel, Series, Stack};
use super::{Plot, PlotError};
use crate::record::{ArmRecord, BurstSlices, SliceRow};
use crate::report::csv::field;
use crate::report::format::{compact, count, float_u, whole};
use std::fmt::Write as _;

const US_PER_S: f64 = 1e6;
/// Of a panel, in the picture.
const HEIGHT: usize = 132;
const TITLE: &str = "Sent in each 10 ms of a window";
const ACROSS: &str = "seconds since the window opened";

/// What an arm sent of one kind.
struct Sent<'a> {
    arm: &'a ArmRecord,
    slices: &'a BurstSlices,
    /// `probes` or `frames`.
    what: &'static str,
    count: fn(&SliceRow) -> u64,
}

impl Sent<'_> {
    fn title(&self) -> String {
        let more = match (self.what, self.arm.name.contains("oneway")) {
            ("frames", false) => ", heartbeats and acks alike",
            _ => "",
        };
        format!("{}: {} in each 10 ms{more}", self.arm.name, self.what)
    }

    fn most(&self) -> u64 {
        self.slices.rows.iter().map(self.count).max().unwrap_or(0)
    }

    /// Where the count changes, and what it is from there on.
    fn steps(&self) -> Vec<(f64, f64)> {
        let at = |us: u64| float_u(us) / US_PER_S;
        let mut steps = Vec::new();
        let mut end = self.slices.from_us;
        let rows = self.slices.rows.iter();
        for row in rows.filter(|row| (self.count)(row) > 0) {
            if row.begin_us > end {
                steps.push((at(end), 0.0));
            }
            steps.push((at(row.begin_us), float_u((self.count)(row))));
            end = row.end_us();
        }
        if self.slices.to_us > end {
            steps.push((at(end), 0.0));
        }
        // The last value holds up to here.
        let last = steps.last().map_or(0.0, |step| step.1);
        steps.push((at(self.slices.to_us.max(end)), last));
        steps
    }

    fn line(&self) -> Line {
        Line {
            name: self.arm.name.clone(),
            colour: arm_colour(&self.arm.name),
            stretches: vec![self.steps()],
        }
    }

    /// The same as a line without slants.
    fn drawn(&self) -> Series {
        let steps = self.steps();
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(steps.len() * 2);
        for (x, y) in steps {
            if let Some(&(_, before)) = points.last() {
                points.push((x, before));
            }
            points.push((x, y));
        }
        Series {
            name: self.arm.name.clone(),
            colour: arm_colour(&self.arm.name),
            points,
        }
    }

    /// Its highest slice beside what would be in each if all were alike.
    fn said(&self) -> String {
        let all: u64 = self.slices.rows.iter().map(self.count).sum();
        let span = float_u(self.slices.to_us.saturating_sub(self.slices.from_us).max(1));
        let mean = float_u(all) * 1e4 / span;
        format!(
            "{} {} {} at most, {} on average",
            self.arm.name,
            count(self.most()),
            self.what,
            if mean < 10.0 {
                format!("{mean:.1}")
            } else {
                count(whole(mean))
            }
        )
    }
}

/// What each arm sent, where its slices were kept.
fn sent(arms: &[ArmRecord]) -> Vec<Sent<'_>> {
    type Kind = (&'static str, fn(&SliceRow) -> u64);
    const KINDS: [Kind; 2] = [("probes", |row| row.probes), ("frames", |row| row.segments)];
    let kept = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.slices.as_ref()?)));
    let of = |(arm, slices)| {
        KINDS.map(|(what, count)| Sent {
            arm,
            slices,
            what,
            count,
        })
    };
    kept.flat_map(of).filter(|sent| sent.most() > 0).collect()
}

/// The chart; `None` where no arm has slices.
pub(super) fn bursts(arms: &[ArmRecord]) -> Result<Option<Plot>, PlotError> {
    let sent = sent(arms);
    let Some(first) = sent.first() else {
        return Ok(None);
    };
    let lines: Vec<[Series; 1]> = sent.iter().map(|sent| [sent.drawn()]).collect();
    let panels: Vec<Panel<'_>> = sent
        .iter()
        .zip(&lines)
        .map(|(sent, series)| Panel {
            title: sent.title(),
            series,
        })
        .collect();
    let ends = sent.iter().map(|sent| sent.slices.to_us).max();
    let begins = sent.iter().map(|sent| sent.slices.from_us).min();
    let (from, to) = (begins.unwrap_or(0), ends.unwrap_or(0));
    let (from, to) = (float_u(from) / US_PER_S, float_u(to) / US_PER_S);
    let mut seconds = ticks(to, 8);
    seconds.retain(|tick| (from..=to).contains(tick));
    let most = sent.iter().map(Sent::most).max().unwrap_or(0);
    let stack = Stack {
        panels: &panels,
        across: Axis {
            from,
            to,
            ticks: seconds,
        },
        label: &compact,
        description: ACROSS,
        dots: false,
        top: Some(float_u(most)),
    };
    let mut legend: Vec<_> = vec![(first.arm.name.clone(), arm_colour(&first.arm.name))];
    for sent in &sent {
        if legend.iter().all(|(name, _)| *name != sent.arm.name) {
            legend.push((sent.arm.name.clone(), arm_colour(&sent.arm.name)));
        }
    }
    let canvas = Canvas {
        name: "bursts",
        title: TITLE,
        alternative: alternative(&sent),
        height: u32::try_from(panels.len() * HEIGHT + 116).unwrap_or(400),
        legend,
    };
    let plot = stack.plot(canvas)?;
    Ok(Some(plot.showing(&numbers(&sent)).listing(csv(&sent))))
}

fn alternative(sent: &[Sent<'_>]) -> String {
    let said = sent.iter().map(Sent::said).collect::<Vec<_>>().join("; ");
    let rows = sent.iter().flat_map(|sent| &sent.slices.rows);
    let longest = rows.map(|row| row.length_us).max().unwrap_or(0);
    format!(
        "{TITLE}, of each arm the round with its fullest slice, all to one scale: {said}. Where the sampler came late a \
         slice is wider: {:.1} ms at most.",
        float_u(longest) / 1e3
    )
}

fn numbers(sent: &[Sent<'_>]) -> Lines {
    let panels = sent.iter().map(|sent| data::Panel {
        title: sent.title(),
        up: Quantity::new(sent.what, sent.what, "count"),
        lines: vec![sent.line()],
    });
    Lines {
        title: TITLE.to_owned(),
        across: Quantity::new(ACROSS, "since_window_s", "moment"),
        panels: panels.collect(),
        mark: Mark::Steps,
        together: true,
        table: Table::Long,
    }
}

/// The record's own rows.
fn csv(sent: &[Sent<'_>]) -> String {
    let mut out = "arm,round,sent,begin_us,length_us,count\n".to_owned();
    for sent in sent {
        let arm = field(&sent.arm.name);
        let round = sent.slices.round + 1;
        let rows = sent.slices.rows.iter().map(|row| (row, (sent.count)(row)));
        for (row, count) in rows.filter(|(_, count)| *count > 0) {
            let (what, begin, length) = (sent.what, row.begin_us, row.length_us);
            writeln!(out, "{arm},{round},{what},{begin},{length},{count}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
pub(in crate::report) mod fixture {
    use super::*;

    /// Gives keepalive a burst every 256 ms, one of them in a slice of 31 ms, heartbeats a few frames in every slice.
    pub(in crate::report) fn add_slices(arms: &mut [ArmRecord]) {
        for arm in arms.iter_mut().filter(|arm| arm.name != "none") {
            let mut begin_us = 0;
            let mut rows = Vec::new();
            for place in 0..200_u64 {
                let late = arm.name == "keepalive" && place == 52;
                let burst = u64::from(place % 26 == 0) * (300 + place);
                let row = SliceRow {
                    begin_us,
                    length_us: if late { 31_000 } else { 10_020 },
                    probes: if arm.name == "keepalive" { burst } else { 0 },
                    segments: if arm.name == "keepalive" {
                        0
                    } else {
                        8 + place % 3
                    },
                };
                begin_us = row.end_us();
                rows.push(row);
            }
            rows.retain(|row| row.probes + row.segments > 0);
            arm.slices = Some(BurstSlices {
                round: 1,
                from_us: 0,
                to_us: begin_us,
                window_opened_us: 900,
                window_closing_us: begin_us - 4_000,
                rows,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arm(rows: Vec<SliceRow>, to_us: u64) -> ArmRecord {
        ArmRecord {
            name: "both".to_owned(),
            slices: Some(BurstSlices {
                to_us,
                rows,
                ..BurstSlices::default()
            }),
            ..ArmRecord::default()
        }
    }

    /// The height of the steps at an instant.
    fn height(steps: &[(f64, f64)], us: u64) -> f64 {
        let at = float_u(us) / US_PER_S;
        let begun = steps.iter().rev().find(|(x, _)| *x <= at);
        begun.map_or(0.0, |step| step.1)
    }

    proptest! {
        /// In the middle of every slice and of every gap the line stands where the record says.
        #[test]
        fn steps_say_what_each_slice_held(
            slices in proptest::collection::vec((0..3_u64, 9_000..40_000_u64, 0..500_u64, 0..500_u64), 1..80),
        ) {
            let (mut rows, mut middles, mut end) = (Vec::new(), Vec::new(), 0);
            for (empty, length_us, probes, segments) in slices {
                if empty > 0 {
                    middles.push((end + empty * 5_000, 0, 0));
                    end += empty * 10_000;
                }
                middles.push((end + length_us / 2, probes, segments));
                rows.push(SliceRow { begin_us: end, length_us, probes, segments });
                end += length_us;
            }
            rows.retain(|row| row.probes + row.segments > 0);
            let arms = [arm(rows, end)];
            for sent in sent(&arms) {
                let steps = sent.steps();
                prop_assert!(steps.windows(2).all(|pair| pair[0].0 <= pair[1].0));
                for (middle, probes, segments) in &middles {
                    let expected = if sent.what == "probes" { *probes } else { *segments };
                    prop_assert!((height(&steps, *middle) - float_u(expected)).abs() < 0.5);
                }
                let rows: u64 = csv(std::slice::from_ref(&sent))
                    .lines()
                    .skip(1)
                    .map(|row| row.rsplit(',').next().unwrap().parse::<u64>().unwrap())
                    .sum();
                let all: u64 = sent.slices.rows.iter().map(sent.count).sum();
                prop_assert_eq!(rows, all);
            }
        }
    }

    #[test]
    fn every_kind_an_arm_sends_has_a_panel_of_the_same_scale() {
        let mut arms = crate::report::fixture::record().arms;
        assert!(bursts(&arms).unwrap().is_none());
        fixture::add_slices(&mut arms);
        arms[2].slices.as_mut().unwrap().rows[0].probes = 17;
        let plot = bursts(&arms).unwrap().unwrap();
        for must in [
            "keepalive: probes in each 10 ms",
            "heartbeat: frames in each 10 ms, heartbeats and acks alike",
            "heartbeat: probes in each 10 ms",
        ] {
            assert!(plot.svg.contains(must), "{must}");
        }
        let live = plot.live.as_deref().unwrap();
        assert!(live.contains(r#""steps":true"#) && live.contains(r#""together":true"#));
        assert!(
            plot.alternative
                .contains("keepalive 482 probes at most, 15")
                && plot.alternative.ends_with("31.0 ms at most."),
            "{}",
            plot.alternative
        );
        assert!(
            plot.csv.contains("keepalive,2,probes,521040,31000,352\n"),
            "{}",
            plot.csv
        );
        assert!(!plot.svg.contains("NaN"));
    }
}

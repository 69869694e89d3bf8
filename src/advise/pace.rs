//! How fast connections came, out of records: storms, handshakes, turnovers, ramps.
//!
//! Takes only what the machine itself bounded: a run whose accept queues overflowed tells of the queue, and one that was
//! opened at a given rate of that rate.

use super::figures::{ConnectsFigure, Source};
use super::words::float;
use crate::record::{ArmRecord, Estimate, Kind, Record};

/// All that a valid and whole `record` tells.
pub(super) fn connects_of(source: &Source, record: &Record) -> Vec<ConnectsFigure> {
    if !record.valid || record.partial {
        return Vec::new();
    }
    let figure = |what: String, connections, connects_per_second| ConnectsFigure {
        source: source.clone(),
        what,
        connections,
        connects_per_second,
        cpus: record.environment.cpu_count.into(),
    };
    let mut figures = Vec::new();
    let storms = record.storm.iter().filter(|storm| storm.mode == "storm");
    for run in storms.flat_map(|storm| &storm.runs) {
        let whole = run.recovered == run.dropped && run.syn_drops == 0;
        if let Some(took) = run.all_back_ns.filter(|_| whole) {
            let what = format!("storm, {}", run.backoff);
            figures
                .extend(per_second(run.dropped, took).map(|rate| figure(what, run.dropped, rate)));
        }
    }
    if let Some(life) = &record.lifecycle {
        for turnover in &life.turnovers {
            let connects = turnover.connects_per_second;
            if connects.low > 0 && connects.resolved {
                let what = format!("set-ups, ended by {}", turnover.ending);
                figures.push(figure(what, turnover.connections, connects));
            }
        }
        for ramp in &life.handshakes {
            let whole = ramp.established == ramp.connections_asked && ramp.stopped.is_none();
            if whole && ramp.pressure.listen_drops == 0 {
                let rate = per_second(ramp.established, ramp.took_ns);
                let of = |rate| figure("handshakes".to_owned(), ramp.established, rate);
                figures.extend(rate.map(of));
            }
        }
    }
    let unbounded = record.config.ramp_rate_per_second.is_none();
    if matches!(record.kind, Kind::Cost | Kind::Scale) && unbounded {
        let rungs = record.scale.iter().flat_map(|scale| &scale.rungs);
        let rungs = rungs.map(|rung| (rung.connections, &rung.arms));
        let main = (record.config.connections, &record.arms);
        for (connections, arms) in rungs.chain([main]) {
            let rate = of_ramps(arms);
            figures.extend(rate.map(|rate| figure("ramps".to_owned(), connections, rate)));
        }
    }
    figures
}

/// So many within so long; `None` for nothing, or no time at all.
fn per_second(connections: u64, took_ns: u64) -> Option<Estimate> {
    let rate = super::words::whole(float(connections) * 1e9 / float(took_ns.max(1)));
    let rate = i64::try_from(rate).ok().filter(|rate| *rate > 0)?;
    Some(Estimate {
        median: rate,
        low: rate,
        high: rate,
        resolved: true,
    })
}

/// From the slowest to the fastest arm's ramp.
fn of_ramps(arms: &[ArmRecord]) -> Option<Estimate> {
    let mut rates: Vec<f64> = arms
        .iter()
        .filter_map(|arm| arm.connects_per_second)
        .collect();
    rates.sort_by(f64::total_cmp);
    let rate = |value: &f64| i64::try_from(super::words::whole(*value)).unwrap_or(i64::MAX);
    let low = rates.first().map(rate).filter(|rate| *rate > 0)?;
    Some(Estimate {
        median: rates.get(rates.len() / 2).map_or(low, rate),
        low,
        high: rates.last().map_or(low, rate),
        resolved: true,
    })
}

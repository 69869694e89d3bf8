//! What is said in the debate about heartbeats and keepalive, each sentence with what the lab found.
//!
//! Pure: looks up cells, forms no figure that is not there. A claim whose cells are missing is `not-measured`.

use super::fault::Fault;
use super::plan::DetectPlan;
use crate::arm::Arm;
use crate::record::{CellRecord, ClaimRecord, OracleRecord, ThresholdPoint};
use crate::units::HumanNanos;

/// What the claims rest on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a DetectPlan,
    pub(super) cells: &'a [CellRecord],
    pub(super) oracles: &'a [OracleRecord],
    pub(super) thresholds: &'a [ThresholdPoint],
    /// Contestant, asked, still heard through a firewall that forgets.
    pub(super) firewall: &'a [(String, u64, u64)],
    /// Contestant, packets per connection and minute while nothing was wrong.
    pub(super) traffic: &'a [(String, f64)],
}

const HOLDS: &str = "holds";
const DOES_NOT_HOLD: &str = "does-not-hold";
const DEPENDS: &str = "depends";
const NOT_MEASURED: &str = "not-measured";

fn claim(claim: &str, experiment: &str, found: Option<(&str, String)>) -> ClaimRecord {
    let (verdict, evidence) = found.unwrap_or_else(|| {
        (
            NOT_MEASURED,
            "the cells it rests on were left out".to_owned(),
        )
    });
    ClaimRecord {
        claim: claim.to_owned(),
        verdict: verdict.to_owned(),
        evidence,
        experiment: experiment.to_owned(),
    }
}

fn time(nanos: u64) -> String {
    HumanNanos(nanos).to_string()
}

impl Evidence<'_> {
    /// Every claim, in the order reported.
    pub(super) fn claims(&self) -> Vec<ClaimRecord> {
        vec![
            self.keepalive_misses_power_loss(),
            self.keeps_firewalls_open(),
            self.zero_read_tells(),
            self.hung_application(),
            self.thresholds_claim(),
            self.kills_healthy(),
            self.extra_traffic(),
            self.two_hours(),
            self.data_in_flight(),
        ]
    }

    fn cell(&self, fault: Fault, mechanism: Arm, seat: &str) -> Option<&CellRecord> {
        self.cells.iter().find(|cell| {
            cell.fault == fault.name()
                && cell.mechanism == mechanism.name()
                && cell.seat == seat
                && cell.injected > 0
        })
    }

    /// Detected of injected and the slowest, in words.
    fn told(&self, fault: Fault, mechanism: Arm) -> Option<(u64, u64, String)> {
        let cell = self.cell(fault, mechanism, "server")?;
        let slowest = if cell.detected > 0 {
            format!(", all within {}", time(cell.histogram.max))
        } else {
            String::new()
        };
        let text = format!(
            "{} under {fault}: {} of {}{slowest}",
            cell.mechanism, cell.detected, cell.injected
        );
        Some((cell.detected, cell.injected, text))
    }

    fn keepalive_misses_power_loss(&self) -> ClaimRecord {
        let found = || {
            let faults = [Fault::PowerCut, Fault::CablePulled, Fault::FirewallEviction];
            let told: Vec<_> = faults
                .iter()
                .filter_map(|&fault| self.told(fault, Arm::Keepalive))
                .collect();
            let all = told
                .iter()
                .all(|(detected, injected, _)| detected == injected);
            let texts: Vec<String> = told.iter().map(|(_, _, text)| text.clone()).collect();
            (!told.is_empty())
                .then(|| (if all { DOES_NOT_HOLD } else { DEPENDS }, texts.join("; ")))
        };
        claim(
            "keepalive cannot notice power loss, a pulled cable or a firewall",
            "power-cut, cable-pulled and firewall-eviction under keepalive, from the server's seat",
            found(),
        )
    }

    fn keeps_firewalls_open(&self) -> ClaimRecord {
        let remembers = self.plan.firewall_s;
        let heard = |name: &str| {
            let found = self.firewall.iter().find(|(other, _, _)| other == name);
            found.map(|(_, asked, heard)| (*asked, *heard))
        };
        let found = || {
            let beats = heard(Arm::Heartbeat.name())?;
            let probes = heard(Arm::Keepalive.name())?;
            let late = heard("keepalive-idle-too-long")?;
            let nothing = heard(Arm::None.name())?;
            let texts: Vec<String> = self
                .firewall
                .iter()
                .map(|(name, asked, heard)| format!("{name}: {heard} of {asked} still heard"))
                .collect();
            let holds = beats.0 == beats.1 && probes.0 == probes.1 && late.1 == 0 && nothing.1 == 0;
            Some((if holds { HOLDS } else { DEPENDS }, texts.join("; ")))
        };
        claim(
            "heartbeats keep a firewall's entry alive, and so does keepalive if idle is short enough",
            &format!("a firewall that forgets after {remembers} s, then one frame from the server"),
            found(),
        )
    }

    fn zero_read_tells(&self) -> ClaimRecord {
        let found = || {
            let exit = self.told(Fault::ProcessExit, Arm::None)?;
            let cut = self.told(Fault::PowerCut, Arm::None)?;
            Some((
                DEPENDS,
                format!(
                    "a FIN is read as zero at once ({}); after a power cut there is nothing to read ({})",
                    exit.2, cut.2
                ),
            ))
        };
        claim(
            "a recv or send that returns zero is the way to know that the peer is gone",
            "process-exit and power-cut under none",
            found(),
        )
    }

    fn hung_application(&self) -> ClaimRecord {
        let found = || {
            let kernel = self.told(Fault::ApplicationHung, Arm::Keepalive)?;
            let beats = self.told(Fault::ApplicationHung, Arm::Heartbeat)?;
            let holds = kernel.0 == 0 && beats.0 == beats.1;
            Some((
                if holds { HOLDS } else { DOES_NOT_HOLD },
                format!("{}; {}", kernel.2, beats.2),
            ))
        };
        claim(
            "keepalive tells that a kernel lives, not that an application does",
            "application-hung under keepalive and heartbeat",
            found(),
        )
    }

    fn thresholds_claim(&self) -> ClaimRecord {
        let found = || {
            let longest = self.thresholds.iter().map(|point| point.outage_ms).max()?;
            let told: Vec<String> = self
                .thresholds
                .iter()
                .filter(|point| point.outage_ms == longest)
                .map(|point| {
                    format!(
                        "{} s finds the dead in {} (median) and suspects {} of {} living in an outage of {} s",
                        point.detect_within_ms / 1000,
                        time(point.detection_ns_p50),
                        point.false_suspicions,
                        point.connections,
                        longest / 1000
                    )
                })
                .collect();
            (!told.is_empty()).then(|| (DEPENDS, told.join("; ")))
        };
        claim(
            "30 to 40 s is a good threshold, and 6 to 9 s the strict one",
            "power-cut and outages under heartbeat, threshold by threshold",
            found(),
        )
    }

    fn kills_healthy(&self) -> ClaimRecord {
        let found = || {
            let outages = self.cells.iter().filter(|cell| {
                cell.fault == "outage"
                    && cell.mechanism.starts_with("keepalive")
                    && cell.injected > 0
            });
            let told: Vec<_> = outages.collect();
            let killed = told.iter().any(|cell| cell.false_suspicions > 0);
            let texts: Vec<String> = told
                .iter()
                .map(|cell| {
                    format!(
                        "{} at the {} in an outage of {}: {} of {}",
                        cell.mechanism,
                        cell.seat,
                        cell.parameter,
                        cell.false_suspicions,
                        cell.injected
                    )
                })
                .collect();
            (!told.is_empty())
                .then(|| (if killed { HOLDS } else { DOES_NOT_HOLD }, texts.join("; ")))
        };
        claim(
            "badly set keepalive kills healthy connections in a short outage",
            "outages under keepalive at this budget",
            found(),
        )
    }

    fn extra_traffic(&self) -> ClaimRecord {
        let of = |arm: Arm| {
            let found = self.traffic.iter().find(|(name, _)| name == arm.name());
            found.map(|(_, packets)| *packets)
        };
        let found = || {
            let (nothing, probes) = (of(Arm::None)?, of(Arm::Keepalive)?);
            let all: Vec<String> = self
                .traffic
                .iter()
                .map(|(name, packets)| format!("{name} {packets:.1}"))
                .collect();
            let holds = probes > nothing + 1.0;
            Some((
                if holds { HOLDS } else { DOES_NOT_HOLD },
                format!(
                    "packets per connection and minute, either way, at this budget, keepalive at both ends: {}",
                    all.join(", ")
                ),
            ))
        };
        claim(
            "keepalive costs extra traffic",
            "each mechanism alone for four intervals, nothing wrong, counted at the router's link",
            found(),
        )
    }

    fn two_hours(&self) -> ClaimRecord {
        let found = self.oracles.iter().find(|oracle| oracle.name == "defaults");
        claim(
            "keepalive takes two hours by default",
            "oracle defaults",
            found.map(|oracle| {
                (
                    if oracle.held { HOLDS } else { DOES_NOT_HOLD },
                    oracle.seen.clone(),
                )
            }),
        )
    }

    fn data_in_flight(&self) -> ClaimRecord {
        let found = || {
            let kernel = self.told(Fault::BlackHoleWithDataInFlight, Arm::Keepalive)?;
            let user = self.told(Fault::BlackHoleWithDataInFlight, Arm::KeepaliveUserTimeout);
            let user = user.map_or_else(String::new, |told| format!("; {}", told.2));
            let holds = kernel.0 == 0;
            Some((
                if holds { HOLDS } else { DOES_NOT_HOLD },
                format!("{}{user}", kernel.2),
            ))
        };
        claim(
            "keepalive says nothing while data is in flight",
            "black-hole-with-data-in-flight under keepalive",
            found(),
        )
    }
}

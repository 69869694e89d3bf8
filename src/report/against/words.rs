//! What is said of every pair of a kind: why a figure has no interval, and how differences are told from noise.
//!
//! Says nothing of the runs: no figure of a record stands here.

use crate::record::Kind;

/// Why nothing is resolved where no figure has an interval.
pub(super) fn alone(kind: Kind) -> &'static str {
    match kind {
        Kind::Detection => "each is of one trial, and nothing tells noise from difference",
        Kind::Storm => "each is of one run of a way, and nothing tells noise from difference",
        Kind::Cost | Kind::Scale | Kind::Lifecycle | Kind::Fleet => {
            "no figure has an interval in both"
        }
    }
}

/// How the rows are read.
pub(super) fn method(kind: Kind) -> &'static str {
    match kind {
        Kind::Cost | Kind::Scale | Kind::Fleet => COSTS,
        Kind::Detection => CELLS,
        Kind::Storm => STORMS,
        Kind::Lifecycle => LIFECYCLES,
    }
}

const COSTS: &str = "B ÷ A, in brackets its 95 % interval. CPU figures bring their intervals from the records: over \
    rounds, widened by the drift each run saw. Latencies and packets: geometric mean over rounds, Student's interval of \
    the logarithms, latencies widened by half the drift at either end. The ratio's interval follows from both sides' \
    (variance estimates recovery, in logarithms). A difference in time is resolved when one is left both as measured and \
    after the machine's speed is taken out, by the fixed piece of work that both runs timed. Two runs are two \
    hours of one machine: what a third would show they do not say.";

const CELLS: &str = "A cell is one fault under one mechanism, seen from one seat, tried once on many connections at the \
    same time. Of a fault: p50 / p99 / worst, from the fault to the verdict; ✕ never noticed; n/m only n of m were \
    noticed; ! outside its bound. The bound beside the mechanism is the model's, with the run's allowance on an ordinary host. Where \
    the peer lives: connections suspected of those that met the stress, in brackets per million signs of life. B ÷ A is of \
    the p99, or of the share that was suspected. A cell came out otherwise when in one record all, some or none were noticed \
    and not in the other, when living peers were suspected in one only, or when it lay within its bound in one only. \
    Connections of one trial share their fault, so they make no interval: no difference in time is called resolved. For one, \
    hold each time against its bound. Two trials do not say what a third would show.";

const STORMS: &str = "B ÷ A, in brackets its 95 % interval where there is one. A way that was run several times in a record \
    (--ways full-jitter,full-jitter,full-jitter) has it: geometric mean over those runs, Student's interval of the \
    logarithms; where a run's figure is zero, the mean without an interval. A way that was run once has one figure, and \
    nothing tells its noise from a difference, so none is called resolved. The ratio's interval follows from both sides' \
    (variance estimates recovery, in logarithms). A connection's recovery runs from its loss to the moment it is established \
    again; CPU is the whole machine's until all were back or the wait was given up, of a churn that of the window. Two \
    storms do not say what a third would show.";

const LIFECYCLES: &str = "B ÷ A, in brackets its 95 % interval. The rates and CPU of set-ups and tear-downs bring their \
    intervals from the records, over rounds; the ratio's follows from both sides' (variance estimates recovery, in \
    logarithms). Everything else is one figure a run: it has no interval, and no difference of it is called resolved. A scene \
    is one play; it came out otherwise when all of its rules held in one record and not in the other. Two runs do not say \
    what a third would show.";

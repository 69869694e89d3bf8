//! The lab where things go wrong for the lab itself: killed, interrupted, refused, without its tools, without root.

use super::child::{Running, ringbeat, run, skipped};
use super::lab::{
    as_nobody, halves, networks, nothing_is_left, public_copy, turn, users_may_make_namespaces,
    without, without_namespaces,
};
use super::place::record_in;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// One fault of half a minute and more, so that there is a middle to be killed in: a process that is stopped all the
/// while. Intervals and idle times of a second, or it would be long in coming.
const LONG: &str = "detect --alongside --faults application-hung --no-stress --no-debate --arms heartbeat,keepalive \
                    --interval 1s --timeout 30s --keepalive 1s/10s/3 --connections 20 --out";

/// Waits until the halves of a run that has just begun are there and the fault has been made.
fn stopped_halves() -> Vec<u32> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        let all = halves();
        let stopped = all.iter().any(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            state.starts_with('T')
        });
        if stopped {
            return all;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the fault never came");
}

#[test]
fn killed_in_the_middle_it_leaves_no_process_and_no_namespace() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let before = networks();
    let out = place.path().join("killed");
    let lab = Running::start(ringbeat(&format!("{LONG} {}", out.display())));
    assert!(stopped_halves().len() >= 4);
    lab.signal(Signal::SIGKILL);
    let ended = lab.wait();
    assert!(ended.status.code().is_none(), "{ended:#?}");
    nothing_is_left(&before);
    // The next run finds nothing in its way.
    let out = place.path().join("next");
    let next = run(&format!(
        "detect --alongside --quick --faults process-killed --no-stress --no-debate --arms none --out {}",
        out.display()
    ));
    assert_eq!(next.code(), 0, "{next:#?}");
    nothing_is_left(&before);
}

#[test]
fn interrupted_it_keeps_what_it_has_and_says_so() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let before = networks();
    let out = place.path().join("interrupted");
    let lab = Running::start(ringbeat(&format!("{LONG} {}", out.display())));
    stopped_halves();
    lab.signal(Signal::SIGINT);
    let ended = lab.wait();
    assert_eq!(ended.code(), 130, "{ended:#?}");
    let record = record_in(&out);
    assert!(record.partial && !record.valid);
    assert_eq!(record.warnings[0].code, "interrupted");
    nothing_is_left(&before);
}

#[test]
fn without_nft_the_faults_that_need_none_are_made() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let Some(command) = without(
        "nft",
        &format!(
            "detect --alongside --quick --faults reset,power-cut --no-stress --no-debate --arms none --out {}",
            out.display()
        ),
    ) else {
        return;
    };
    let ended = Running::start(command).wait();
    ended.refused_with(0, &["power-cut is left out", "nftables"]);
    let record = record_in(&out);
    let left_out = &record.detection.unwrap().left_out;
    assert!(
        left_out.contains_key("power-cut") && left_out.len() == 1,
        "{left_out:?}"
    );
    assert!(record.cells.iter().all(|cell| cell.fault == "reset") && record.cells.len() == 2);
}

#[test]
fn without_ip_there_is_no_lab_and_the_package_is_named() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("result");
    let arguments = format!(
        "detect --alongside --quick --faults reset --out {}",
        out.display()
    );
    let Some(command) = without("ip", &arguments) else {
        return;
    };
    Running::start(command)
        .wait()
        .refused_with(3, &["iproute2", "apt-get install"]);
}

#[test]
fn a_host_that_allows_no_namespaces_is_code_3_with_the_reason() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let output = without_namespaces(ringbeat(&format!(
        "detect --alongside --quick --out {}",
        place.path().join("result").display()
    )));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("namespace") && said.contains("root"),
        "{said}"
    );
}

#[test]
fn without_root_it_runs_in_a_user_namespace_where_there_is_one() {
    let Some(_turn) = turn() else { return };
    let place = tempfile::tempdir().unwrap();
    let copy = public_copy(place.path());
    let out = place.path().join("result");
    let mut command = as_nobody(&copy, place.path());
    command
        .args(
            "detect --alongside --quick --faults process-exit,power-cut --no-stress --no-debate"
                .split(' '),
        )
        .args(["--arms", "heartbeat", "--out", out.to_str().unwrap()]);
    let ended = Running::start(command).wait();
    if !users_may_make_namespaces(place.path()) {
        skipped("this host lets users make no namespaces; the refusal is tested instead");
        ended.refused_with(3, &["user namespace"]);
        return;
    }
    assert_eq!(ended.code(), 0, "{ended:#?}");
    assert_eq!(
        record_in(&out).detection.unwrap().laboratory,
        "user-namespace"
    );
}

#[test]
fn absurd_flags_are_usage_errors() {
    for arguments in [
        "detect --faults earthquake",
        "detect --connections 0",
        "detect --parallel 0",
        "detect --faults reset --no-faults",
        "detect --detect-within 1s",
        "detect --tick 0ms",
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code(), 2, "`{arguments}`: {ended:#?}");
    }
}

//! The doctor: what it says of this host, and of one that was made poor for it.

use super::child::{Ended, Running, ringbeat, run, skipped};
use super::refusals::without_io_uring;
use serde_json::Value;
use std::process::Command;

/// A child of the shell after `prepared`, as JSON.
fn poorer(prepared: &str, arguments: &str) -> Ended {
    let binary = env!("CARGO_BIN_EXE_ringbeat");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{prepared} {binary} {arguments} --json")]);
    Running::start(shell).wait()
}

fn finding<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let findings = answer["findings"].as_array().unwrap();
    let named = findings.iter().find(|finding| finding["name"] == name);
    named.unwrap_or_else(|| panic!("no check is called {name}: {answer:#}"))
}

/// All remedies of a finding in one text.
fn remedies(finding: &Value) -> String {
    let texts = finding["remedies"].as_array().unwrap();
    texts
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_answer_is_one_sentence_and_the_table_fits() {
    let ended = run("doctor");
    assert_eq!(ended.code(), 0, "{ended:#?}");
    assert!(ended.stdout.starts_with("This host holds "), "{ended:#?}");
    for name in [
        "RLIMIT_NOFILE",
        "somaxconn",
        "nf_conntrack_max",
        "clocksource",
    ] {
        assert!(ended.stdout.contains(name), "{name}: {ended:#?}");
    }
    for line in ended.stdout.lines() {
        // Commands stand as they are, to be pasted.
        assert!(
            line.starts_with("    ") || line.chars().count() <= 80,
            "{line}"
        );
    }
    let quiet = run("doctor --quiet --side server");
    assert_eq!(
        (quiet.code(), quiet.stdout.lines().count()),
        (0, 1),
        "{quiet:#?}"
    );
    assert!(quiet.stdout.contains("the server's ends"), "{quiet:#?}");
}

#[test]
fn the_exit_code_says_whether_the_target_is_met() {
    for (asked, count) in [("1", 1), ("1M", 1_000_000), ("10M", 10_000_000)] {
        let ended = run(&format!("doctor --connections {asked} --json"));
        let answer = ended.json();
        let held = answer["connections_held"].as_u64().unwrap();
        assert_eq!(answer["connections_asked"], count);
        assert_eq!(answer["target_met"], held >= count);
        let limit = answer["first_limit"].as_str().unwrap();
        assert_eq!(finding(&answer, limit)["connections_most"], held);
        if held >= count {
            assert_eq!(ended.code(), 0, "{ended:#?}");
        } else {
            ended.refused_with(3, &[limit, "are asked for"]);
            assert!(ended.stderr.contains("no; "), "{ended:#?}");
            assert_eq!(finding(&answer, limit)["to_do"], true);
        }
    }
}

#[test]
fn a_low_limit_on_open_files_is_named_with_a_limit_that_does() {
    let ended = poorer("ulimit -n 80; exec", "doctor --connections 100k");
    ended.refused_with(3, &["RLIMIT_NOFILE"]);
    let answer = ended.json();
    assert_eq!(answer["first_limit"], "RLIMIT_NOFILE");
    assert!(
        remedies(finding(&answer, "RLIMIT_NOFILE")).contains("--nofile="),
        "{answer:#}"
    );
    let epoll = poorer("ulimit -n 1000; exec", "doctor --engine epoll");
    assert_eq!(epoll.json()["connections_held"], 936, "{epoll:#?}");
}

/// In a user namespace of its own nobody is exempt from anything.
#[test]
fn rings_are_charged_to_locked_memory() {
    if kernel() < (6, 14) {
        return skipped("this kernel charges no ring to RLIMIT_MEMLOCK");
    }
    let alone = "exec unshare --map-root-user prlimit --nofile=2000 --memlock=2097152";
    let probe = Command::new("sh")
        .args(["-c", &format!("{alone} true")])
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return skipped("no user namespace to be had");
    }
    let ended = poorer(alone, "doctor --connections 1M");
    ended.refused_with(3, &["RLIMIT_MEMLOCK"]);
    let answer = ended.json();
    let held = answer["connections_held"].as_u64().unwrap();
    assert!((1_000..100_000).contains(&held), "{held}");
    assert!(
        remedies(finding(&answer, "RLIMIT_MEMLOCK")).contains("--memlock="),
        "{answer:#}"
    );
}

fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The rule is what makes the kernel track connections; the namespace ends with the child.
#[test]
fn tracked_connections_are_bounded_by_the_trackers_table() {
    const RULE: &str = "ip link set lo up && nft add table t && \
        nft 'add chain t c { type filter hook input priority 0; }' && nft add rule t c ct state new accept";
    let apart = |then: &str| {
        let script = format!("{RULE} && {then}");
        let mut command = Command::new("unshare");
        command.args(["--net", "--map-root-user", "sh", "-c", &script]);
        command.arg(env!("CARGO_BIN_EXE_ringbeat"));
        command
    };
    if !apart("true")
        .output()
        .is_ok_and(|probe| probe.status.success())
    {
        return skipped("no network namespace with a rule that tracks connections to be had");
    }
    let answer = Running::start(apart(r#"exec "$0" doctor --json"#))
        .wait()
        .json();
    let most = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    assert_eq!(
        finding(&answer, "nf_conntrack_max")["connections_most"],
        most
    );
}

#[test]
fn refused_rings_are_the_first_limit_and_epoll_is_not_concerned() {
    let Some(refused) = without_io_uring("doctor", libc::EPERM) else {
        return skipped("seccomp filters cannot be applied here");
    };
    assert_eq!(refused.code(), 0, "{refused:#?}");
    for words in [
        "holds no connection",
        "io_uring stands against it",
        "seccomp=unconfined",
    ] {
        assert!(refused.stdout.contains(words), "`{words}`: {refused:#?}");
    }
    let asked = without_io_uring("doctor --connections 10", libc::ENOSYS).unwrap();
    asked.refused_with(3, &["io_uring allows no connection"]);
    assert!(asked.stdout.contains("io_uring allows none"), "{asked:#?}");
    let epoll = without_io_uring("doctor --connections 10 --engine epoll", libc::EPERM).unwrap();
    assert_eq!(epoll.code(), 0, "{epoll:#?}");
}

#[test]
fn usage_errors_are_code_2() {
    for arguments in [
        "--connections 0",
        "--side middle",
        "--connections 11M",
        "--pairs 0",
    ] {
        let ended = Running::start(ringbeat(&format!("doctor {arguments}"))).wait();
        assert_eq!(ended.code(), 2, "{ended:#?}");
    }
}

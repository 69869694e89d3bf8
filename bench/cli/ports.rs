//! Local ports used up: shown in a network namespace of the test's own, with a hundred ports in all.

use super::child::{Ended, Running, skipped};
use std::process::Command;

/// Serves and loads inside a fresh namespace; prints `cannot` when the host does not let the test make one.
const SCRIPT: &str = r#"
ip link set lo up 2>/dev/null && echo "40000 40099" > /proc/sys/net/ipv4/ip_local_port_range || { echo cannot; exit 0; }
"$0" serve --listen 127.0.0.1:7000 --connections 300 --quiet --for 20s >/dev/null 2>&1 &
server=$!
for try in 1 2 3 4 5 6 7 8 9 10; do
    grep -q ":1B58 " /proc/net/tcp && break
    sleep 0.2
done
"$0" load --target 127.0.0.1:7000 --connections 300 --for 1s $1
code=$?
kill $server
wait $server
exit $code
"#;

/// What the load generator says there with `arguments` more; `None`, with a visible skip, where there is no namespace.
fn load_with(arguments: &str) -> Option<Ended> {
    if Command::new("unshare").arg("--version").output().is_err() {
        skipped("`unshare` is not installed here");
        return None;
    }
    let mut command = Command::new("unshare");
    let binary = env!("CARGO_BIN_EXE_ringbeat");
    command.args([
        "--net",
        "--map-root-user",
        "sh",
        "-c",
        SCRIPT,
        binary,
        arguments,
    ]);
    let ended = Running::start(command).wait();
    if ended.stdout.contains("cannot") || ended.stderr.contains("unshare failed") {
        skipped("no network namespace can be made here");
        return None;
    }
    Some(ended)
}

#[test]
fn ports_used_up_are_named_with_the_sysctl_that_lifts_them() {
    let Some(ended) = load_with("") else { return };
    ended.refused_with(
        1,
        &[
            "EADDRNOTAVAIL",
            "net.ipv4.ip_local_port_range",
            "--source-addresses",
        ],
    );
    assert!(ended.stderr.contains("100 at most"), "foreseen: {ended:#?}");
    assert!(
        ended.stdout.contains("asked 300, established 100"),
        "{ended:#?}"
    );
}

#[test]
fn every_source_address_has_the_ports_once_more() {
    if let Err(error) = ringbeat::ring::self_test_bind(&[std::net::Ipv4Addr::LOCALHOST]) {
        skipped(&error.to_string());
        return;
    }
    let Some(three) = load_with("--source-addresses 127.0.0.2,127.0.0.3,127.0.0.4") else {
        return;
    };
    assert_eq!(three.code(), 0, "{three:#?}");
    assert!(
        three
            .stdout
            .contains("asked 300, established 300, held 300, lost 0"),
        "{three:#?}"
    );
    assert!(
        three.stderr.contains("127.0.0.2, 127.0.0.3, 127.0.0.4"),
        "{three:#?}"
    );
    assert!(!three.stderr.contains("EADDRNOTAVAIL"), "{three:#?}");
}

#[test]
fn an_address_of_another_host_is_no_source() {
    let Some(foreign) = load_with("--source-addresses 192.0.2.1") else {
        return;
    };
    foreign.refused_with(
        3,
        &["192.0.2.1 cannot be a source address", "ip -4 address"],
    );
}

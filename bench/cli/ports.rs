//! Local ports used up: shown in a network namespace of the test's own, with a hundred ports in all.

use super::child::{Running, skipped};
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
"$0" load --target 127.0.0.1:7000 --connections 300 --for 1s
code=$?
kill $server
wait $server
exit $code
"#;

#[test]
fn ports_used_up_are_named_with_the_sysctl_that_lifts_them() {
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--map-root-user",
        "sh",
        "-c",
        SCRIPT,
        env!("CARGO_BIN_EXE_ringbeat"),
    ]);
    if command.get_program().is_empty()
        || Command::new("unshare").arg("--version").output().is_err()
    {
        skipped("`unshare` is not installed here");
        return;
    }
    let ended = Running::start(command).wait();
    if ended.stdout.contains("cannot") || ended.stderr.contains("unshare failed") {
        skipped("no network namespace can be made here");
        return;
    }
    ended.refused_with(1, &["EADDRNOTAVAIL", "net.ipv4.ip_local_port_range"]);
    assert!(
        ended.stdout.contains("asked 300, established 100"),
        "{ended:#?}"
    );
}

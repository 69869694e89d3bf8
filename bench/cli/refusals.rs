//! What a host or a user can get wrong, each with its exit code and its remedy.

use super::child::{Ended, Running, ringbeat, run, serve, skipped};
use ringbeat::os::limits::ephemeral_ports;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn usage_errors_are_code_2_and_help_is_0() {
    for arguments in [
        "",
        "serve --connections 0",
        "serve --tick 0ms",
        "serve --for 0s",
        "serve --server-cores 0,0",
        "serve --listen nowhere",
        "load",
        "load --target 127.0.0.1:7000 --interval 9s --timeout 3s",
        "load --target 127.0.0.1:7000 --arm keepalive --detect-within 1s",
        "load --target loopback:0",
        "report /nonexistent/ringbeat",
        "no-such-command",
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code(), 2, "`{arguments}`: {ended:#?}");
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{ended:#?}"
        );
    }
    for arguments in ["--help", "--version", "serve --help", "load --help"] {
        let ended = run(arguments);
        assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:#?}");
        assert!(!ended.stdout.contains("controlled"), "{ended:#?}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_panic() {
    for arguments in ["--help", "serve --for 10ms", "serve --for 10ms --json"] {
        let mut child = ringbeat(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_full_disk_is_not_passed_over() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        skipped("this system has no /dev/full");
        return;
    };
    let output = ringbeat("serve --for 10ms --quiet")
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("could not be written"), "{stderr}");
}

#[test]
fn a_busy_port_is_the_hosts_fault_and_the_remedy_finds_the_owner() {
    let (_server, port) = serve("");
    let second = run(&format!("serve --listen 127.0.0.1:{port} --for 1s"));
    second.refused_with(3, &["is taken", "ss -tanp", "another port"]);
}

#[test]
fn a_port_the_kernel_may_give_away_warns_and_works() {
    let Some((low, high)) = ephemeral_ports() else {
        skipped("net.ipv4.ip_local_port_range cannot be read here");
        return;
    };
    // The kernel gives port 0 a port from that range, and may give it to another test again.
    let (port, ended) = std::iter::repeat_with(|| serve_inside((low, high)))
        .take(20)
        .find(|(_, ended)| ended.code() == 0)
        .unwrap();
    ended.refused_with(
        0,
        &["warning:", "ip_local_port_range", "ip_local_reserved_ports"],
    );
    assert!(
        ended
            .stderr
            .contains(&format!("listening on 127.0.0.1:{port}"))
    );
    let chosen = run("serve --listen 127.0.0.1:0 --for 100ms");
    assert!(!chosen.stderr.contains("warning:"), "{chosen:#?}");
}

/// A server that ends by itself, at a port the kernel may give to outgoing connections.
fn serve_inside((low, high): (u16, u16)) -> (u16, Ended) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    assert!((low..=high).contains(&port));
    let listen = format!("serve --listen 127.0.0.1:{port} --for 100ms");
    (port, run(&listen))
}

#[test]
fn nobody_listening_is_said_with_the_reason() {
    // Bound and not listening: nobody else can take the port, and a connect is refused.
    let holder = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    holder.bind(&any.into()).unwrap();
    let address = holder.local_addr().unwrap().as_socket().unwrap();
    let ended = run(&format!("load --target {address} --connections 300"));
    ended.refused_with(
        1,
        &[
            "0 of 300",
            "300 × nobody listens",
            "ECONNREFUSED",
            "ringbeat serve",
        ],
    );
    assert!(
        ended.stdout.contains("asked 300, established 0"),
        "{ended:#?}"
    );
}

#[test]
fn too_few_open_files_are_the_hosts_fault() {
    for half in ["serve", "load --target 127.0.0.1:7000"] {
        let binary = env!("CARGO_BIN_EXE_ringbeat");
        let script = format!("ulimit -n 40; exec {binary} {half} --connections 300");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        let ended = Running::start(shell).wait();
        ended.refused_with(3, &["limit on open files (40)", "ulimit -n", "LimitNOFILE"]);
    }
}

#[test]
fn an_unknown_congestion_control_is_named_with_those_there_are() {
    for half in ["serve", "load --target 127.0.0.1:7000"] {
        let ended = run(&format!("{half} --congestion nosuch"));
        ended.refused_with(3, &["nosuch", "tcp_allowed_congestion_control"]);
    }
}

/// Runs `arguments` where `io_uring_setup` fails with `errno`, as a container's filter does.
pub(crate) fn without_io_uring(arguments: &'static str, errno: i32) -> Option<Ended> {
    let thread = std::thread::spawn(move || {
        let rules = BTreeMap::from([(libc::SYS_io_uring_setup, vec![])]);
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno.cast_unsigned()),
            std::env::consts::ARCH.try_into().ok()?,
        );
        let program: BpfProgram = filter.ok()?.try_into().ok()?;
        // The filter is this thread's and its children's.
        apply_filter(&program).ok()?;
        Some(run(arguments))
    });
    thread.join().unwrap()
}

#[test]
fn refused_io_uring_names_the_policy_and_the_remedy() {
    for arguments in ["serve", "load --target 127.0.0.1:7000", "compare --quick"] {
        for (errno, words) in [
            (libc::EPERM, ["kernel.io_uring_disabled", "seccomp"]),
            (libc::ENOSYS, ["no io_uring", "seccomp"]),
            // What a kernel says to a set-up flag it does not know yet.
            (libc::EINVAL, ["IORING_SETUP_DEFER_TASKRUN", "Linux 6.1"]),
        ] {
            match without_io_uring(arguments, errno) {
                Some(ended) => ended.refused_with(3, &words),
                None => skipped("seccomp filters cannot be applied here"),
            }
        }
    }
}

//! Real listeners on loopback; ports are the kernel's choice, so tests run side by side.

use super::*;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

fn options(cores: &[usize]) -> ListenOptions<'_> {
    ListenOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        loopback_device: false,
        cores,
        backlog: 64,
        congestion: None,
        keepalive: None,
        user_timeout_ms: None,
        nodelay: true,
    }
}

/// Runs the program the way the kernel does, for one CPU.
fn run(program: &[libc::sock_filter], cpu: u32) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let instruction = program[at];
        at += 1;
        match u32::from(instruction.code) & 7 {
            libc::BPF_LD => accumulator = cpu,
            libc::BPF_JMP if accumulator == instruction.k => at += usize::from(instruction.jt),
            libc::BPF_JMP => at += usize::from(instruction.jf),
            libc::BPF_ALU => accumulator %= instruction.k,
            _ if u32::from(instruction.code) & libc::BPF_A != 0 => return accumulator,
            _ => return instruction.k,
        }
    }
}

#[test]
fn the_program_maps_every_cpu_to_a_listener() {
    let program = steering_program(&[4, 2, 9]);
    for (cpu, place) in [(4, 0), (2, 1), (9, 2), (0, 0), (1, 1), (5, 2), (7, 1)] {
        assert_eq!(run(&program, cpu), place, "cpu {cpu}");
    }
}

#[test]
fn accepted_connections_inherit_the_options() {
    let keepalive = Keepalive::new(61, 7, 5).unwrap();
    let group = ListenerGroup::bind(&ListenOptions {
        keepalive: Some(keepalive),
        user_timeout_ms: Some(8_500),
        congestion: Some("reno"),
        ..options(&[0])
    })
    .unwrap();
    assert!(!group.steered());
    let client = TcpStream::connect(group.address()).unwrap();
    let (server, _) = group.listeners()[0].accept().unwrap();
    let inherited = Keepalive::read(&SockRef::from(&server)).unwrap();
    assert_eq!(inherited, Some(keepalive));
    let user_timeout = server.tcp_user_timeout().unwrap();
    assert_eq!(user_timeout, Some(Duration::from_millis(8_500)));
    assert!(server.tcp_nodelay().unwrap());
    let congestion = server.tcp_congestion().unwrap();
    assert!(congestion.starts_with(b"reno"));
    assert_eq!(Keepalive::read(&SockRef::from(&client)).unwrap(), None);
}

#[test]
fn a_connection_lands_on_the_listener_of_the_core_that_connects() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [first, second, ..] = cores[..] else {
        eprintln!(
            "skipped: steering needs two cores, this process may use {}",
            cores.len()
        );
        return;
    };
    // listed in reverse, so that place and core number cannot be mixed up
    let group = ListenerGroup::bind(&options(&[second.id, first.id])).unwrap();
    assert!(group.steered());
    for (place, core) in [second, first].into_iter().enumerate() {
        let address = group.address();
        let client = std::thread::spawn(move || {
            assert!(core_affinity::set_for_current(core));
            (0..16)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect::<Vec<_>>()
        });
        let clients = client.join().unwrap();
        let listener = &group.listeners()[place];
        listener.set_nonblocking(true).unwrap();
        let landed = std::iter::from_fn(|| listener.accept().ok()).count();
        if landed != clients.len() && receive_packet_steering() {
            eprintln!("skipped: receive packet steering on lo moves the SYN to another core");
            return;
        }
        assert_eq!(landed, clients.len(), "core {}", core.id);
    }
}

/// Whether lo spreads received packets over CPUs by itself.
fn receive_packet_steering() -> bool {
    std::fs::read_to_string("/sys/class/net/lo/queues/rx-0/rps_cpus")
        .is_ok_and(|mask| mask.chars().any(|digit| ('1'..='f').contains(&digit)))
}

#[test]
fn the_loopback_device_serves_the_whole_of_127_8() {
    let group = ListenerGroup::bind(&ListenOptions {
        loopback_device: true,
        ..options(&[0, 1])
    })
    .unwrap();
    let port = group.address().port();
    let mut peers = BTreeSet::new();
    for host in [[127, 0, 0, 1], [127, 9, 8, 7], [127, 255, 0, 254]] {
        let target = SocketAddr::from((host, port));
        let client = TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap();
        peers.insert(client.peer_addr().unwrap());
    }
    assert_eq!(peers.len(), 3);
}

#[test]
fn a_strangers_listener_is_not_shared() {
    let stranger = ListenerGroup::bind(&options(&[0, 1])).unwrap();
    let error = ListenerGroup::bind(&ListenOptions {
        address: stranger.address(),
        ..options(&[0, 1])
    })
    .unwrap_err();
    assert!(matches!(error, SocketError::PortBusy { .. }), "{error}");
    let port = stranger.address().port().to_string();
    assert!(
        error.to_string().contains(&format!("sport = :{port}")),
        "{error}"
    );
}

#[test]
fn every_refusal_names_its_remedy() {
    let foreign = ListenOptions {
        address: SocketAddr::from(([192, 0, 2, 1], 0)),
        ..options(&[0])
    };
    let error = ListenerGroup::bind(&foreign).unwrap_err();
    assert!(
        matches!(error, SocketError::AddressNotLocal { .. }),
        "{error}"
    );
    let unknown = ListenOptions {
        congestion: Some("nosuch"),
        ..options(&[0])
    };
    let error = ListenerGroup::bind(&unknown).unwrap_err();
    assert!(error.to_string().contains("reno"), "{error}");
    let error = ListenerGroup::bind(&options(&[])).unwrap_err();
    assert!(matches!(error, SocketError::NoCores));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let refused = |code| io::Error::from_raw_os_error(code);
    let error = bind_error(address, refused(libc::EACCES)).to_string();
    assert!(
        error.contains("port 80") && error.contains("1024"),
        "{error}"
    );
    let error = creation_error(refused(libc::EMFILE)).to_string();
    assert!(error.contains("ulimit -n"), "{error}");
}

//! The ports of a client are spent for real, in namespaces, and held against the arithmetic.

use super::hosts::{Hosts, PORT};
use super::*;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Socket, Type};
use std::io::Write as _;
use std::net::SocketAddrV4;

/// Few ports, so that they are gone within a fraction of a second.
const SMALL: Size = Size {
    ports: 100,
    watch: Duration::from_millis(300),
    watch_reuse: Duration::from_millis(1_400),
};

fn tried(way: Way) -> Option<PortRecord> {
    match one_way(way, SMALL, &|| None) {
        Ok(record) => Some(record),
        Err(error) => {
            let _ = writeln!(io::stderr(), "SKIPPED: {error}");
            None
        }
    }
}

#[test]
fn a_client_that_closes_first_makes_one_connection_of_each_port() {
    for (way, ports) in [(Way::ClientCloses, 100), (Way::MoreAddresses, 400)] {
        let Some(record) = tried(way) else { return };
        assert_eq!(record.connects_before_failure, Some(ports), "{record:#?}");
        assert_eq!(record.connects, ports, "a minute has not passed");
        assert_eq!(record.time_wait_client, ports, "{record:#?}");
        assert_eq!(record.time_wait_server, 0);
        let causes: Vec<_> = record.failures.keys().map(String::as_str).collect();
        assert_eq!(causes, ["EADDRNOTAVAIL"]);
        assert!(record.failures["EADDRNOTAVAIL"] >= 1);
    }
}

#[test]
fn reuse_gives_the_ports_back_after_its_delay() {
    let Some(record) = tried(Way::TwReuse) else {
        return;
    };
    assert!(record.connects > 100, "{record:#?}");
    assert!(record.time_wait_client <= 100 && record.time_wait_server == 0);
    let delay = record.reuse_delay_ns.unwrap();
    if let (Some(before), Some(at)) = (record.connects_before_failure, record.first_failure_ns) {
        // On a machine too slow to spend them within the delay, some have come back before.
        assert!(
            before >= 100 && (before == 100 || at > delay),
            "{record:#?}"
        );
    }
}

#[test]
fn ports_last_when_the_server_closes_first_or_the_client_resets() {
    let Some(record) = tried(Way::ServerCloses) else {
        return;
    };
    assert!(record.connects > 100, "{record:#?}");
    assert_eq!(
        (record.connects_before_failure, record.time_wait_client),
        (None, 0)
    );
    assert!(
        (1..=100).contains(&record.time_wait_server),
        "one a port: {record:#?}"
    );
    let record = tried(Way::ClientResets).unwrap();
    assert!(record.connects > 100, "{record:#?}");
    assert_eq!(record.connects_before_failure, None);
    assert_eq!((record.time_wait_client, record.time_wait_server), (0, 0));
}

#[test]
fn a_plain_bind_takes_its_port_for_every_destination_and_a_late_one_does_not() {
    let hosts = match Hosts::build(Way::MoreAddresses, 4) {
        Ok(hosts) => hosts,
        Err(error) => {
            let _ = writeln!(io::stderr(), "SKIPPED: {error}");
            return;
        }
    };
    let _listener = hosts.listen().unwrap();
    let here = client_address(0);
    let bind_and_connect = |late: bool, there: SocketAddrV4| -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, IpBindAddressNoPort, &late)?;
        socket.bind(&SocketAddrV4::new(here, 0).into())?;
        match socket.connect(&there.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket),
        }
    };
    let one = SocketAddrV4::new(Ipv4Addr::new(198, 18, 3, 200), PORT);
    let other = SocketAddrV4::new(Ipv4Addr::new(198, 18, 3, 201), PORT);
    hosts
        .client
        .run(|| {
            for late in [true, false] {
                let held: Vec<_> = (0..4)
                    .map(|_| bind_and_connect(late, one).unwrap())
                    .collect();
                let refused = bind_and_connect(late, one).unwrap_err();
                let another = bind_and_connect(late, other);
                if late {
                    assert_eq!(refused.raw_os_error(), Some(libc::EADDRNOTAVAIL));
                    assert!(another.is_ok(), "{another:?}");
                } else {
                    assert_eq!(refused.raw_os_error(), Some(libc::EADDRINUSE));
                    assert!(another.is_err(), "the ports are taken for it too");
                }
                for socket in held.iter().chain(&another) {
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
        })
        .unwrap();
}

#[test]
fn the_ceiling_is_ports_by_addresses_over_how_long_each_rests() {
    let second = Duration::from_secs(1);
    let of = |way| ceiling(way, 30_000, second);
    assert_eq!(of(Way::ClientCloses).0, Some(500.0));
    assert_eq!(of(Way::MoreAddresses).0, Some(2_000.0));
    assert_eq!(of(Way::TwReuse).0, Some(30_000.0));
    assert_eq!(
        (of(Way::ServerCloses).0, of(Way::ClientResets).0),
        (None, None)
    );
    let text = of(Way::MoreAddresses).1;
    assert_eq!(text, "30,000 ports × 4 addresses, each 60 s in TIME_WAIT");
}

#[test]
fn a_signal_ends_it() {
    for quick in [true, false] {
        match ports(quick, &|| Some(2)) {
            Err(ExperimentError::Interrupted(2)) => {}
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED: {error}");
            }
            Ok(records) => panic!("{records:#?}"),
        }
    }
}

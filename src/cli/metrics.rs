//! `--metrics`: where a half by hand shows its figures to Prometheus and its like.
//!
//! Does not serve them; [`crate::exporter`] does. On loopback unless told an address.

use super::half::HalfFlags;
use super::{Failure, host, output};
use crate::exporter::{Exporter, ExporterError};
use crate::socket::port::choose_port;
use std::net::{Ipv4Addr, SocketAddr};

/// Ports tried before giving up: between choosing and binding somebody else may take one.
const PORT_TRIES: u32 = 8;

/// `9100`, `127.0.0.1:9100` or `[::1]:9100`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is not a port, nor an address with a port: write 9100 or 127.0.0.1:9100")
    })
}

/// Starts what the flags of the half that plays `role` ask for, and says where it is. The line with the address is for
/// scripts and comes even when quiet.
pub(super) fn start(flags: &HalfFlags, role: &str) -> Result<Option<Exporter>, Failure> {
    let Some(asked) = flags.metrics else {
        return Ok(None);
    };
    let build = || {
        let mut labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        labels.extend(option_env!("RINGBEAT_COMMIT").map(|commit| ("revision", commit.to_owned())));
        labels.push(("role", role.to_owned()));
        labels.push(("arm", flags.arm.to_string()));
        labels.push(("engine", flags.engine.kernel.engine.name().to_owned()));
        labels
    };
    let exporter = listen(asked, |address| Exporter::start(address, build()))?;
    let address = exporter.address;
    if asked.port() != 0
        && let Some(warning) = host::port_warning(asked.port())
    {
        output::warn(&warning);
    }
    if !address.ip().is_loopback() {
        output::warn(&format!(
            "whoever reaches {address} can read the metrics; there is neither password nor encryption"
        ));
    }
    output::note(&format!("metrics on http://{address}/metrics"));
    Ok(Some(exporter))
}

/// At the port asked for; for port 0 at a free one outside of the range of outgoing connections, none of which shall
/// miss it.
fn listen<T>(
    mut address: SocketAddr,
    start: impl Fn(SocketAddr) -> Result<T, ExporterError>,
) -> Result<T, Failure> {
    let any = address.port() == 0;
    let mut tries = if any { PORT_TRIES } else { 1 };
    loop {
        if any {
            let (port, _) =
                choose_port(host::ephemeral()).map_err(|error| Failure::Host(error.to_string()))?;
            address.set_port(port);
        }
        tries -= 1;
        match start(address) {
            Ok(started) => return Ok(started),
            Err(ExporterError::Busy { .. }) if tries > 0 => {}
            Err(error) => return Err(Failure::Host(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_port_alone_is_one_of_loopback() {
        let shown = |text| address(text).map(|address| address.to_string());
        assert_eq!(shown("9100").unwrap(), "127.0.0.1:9100");
        assert_eq!(shown(" 0.0.0.0:0 ").unwrap(), "0.0.0.0:0");
        assert_eq!(shown("[::1]:9100").unwrap(), "[::1]:9100");
        for wrong in ["", "70000", "localhost:9100", "127.0.0.1", "127.0.0.1:x"] {
            assert!(shown(wrong).unwrap_err().contains("write 9100"), "{wrong}");
        }
    }

    #[test]
    fn a_free_port_is_sought_anew_and_one_asked_for_is_not() {
        let tried = Cell::new(0);
        let busy = |address: SocketAddr| -> Result<(), _> {
            assert!(address.port() != 0);
            tried.set(tried.get() + 1);
            Err(ExporterError::Busy { address })
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failure = listen(any, busy).unwrap_err();
        assert_eq!((tried.replace(0), failure.code()), (PORT_TRIES, 3));
        let fixed = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_100));
        assert!(listen(fixed, busy).is_err());
        assert_eq!(tried.get(), 1);
    }
}

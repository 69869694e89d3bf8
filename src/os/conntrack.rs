//! The kernel's table of tracked connections: emptied, counted, and given a short memory.
//!
//! Does not set up a firewall. All of it is about the network namespace of the calling thread and needs root of it.
//! What a firewall forgets is what this table forgets. Sources: `net/netfilter/nf_conntrack_netlink.c`
//! (`ctnetlink_del_conntrack` without a tuple flushes), `include/uapi/linux/netfilter/nfnetlink.h`,
//! `Documentation/networking/nf_conntrack-sysctl.rst`.

use super::OsError;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 1 << 8 | 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const CALL: &str = "delete tracked connections (NETLINK_NETFILTER)";

/// Forgets every tracked connection.
///
/// # Errors
/// [`OsError::Refused`] when the kernel refuses or has no `CONFIG_NF_CT_NETLINK`.
pub fn forget_all() -> Result<(), OsError> {
    flush().map_err(|source| OsError::Refused {
        call: CALL,
        source,
        advice: "it needs root of the network namespace and a kernel with CONFIG_NF_CT_NETLINK",
    })
}

fn flush() -> io::Result<()> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    send(netlink.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut answer = [0_u8; 1024];
    loop {
        match recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()) {
            Ok(length) => return verdict(answer.get(..length).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A netlink header and a `nfgenmsg` that names no family: all of them.
fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20);
    bytes.extend(20_u32.to_ne_bytes());
    bytes.extend(DELETE.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port: the kernel's answer is the only one
    bytes.extend([0; 4]); // nfgenmsg: AF_UNSPEC, version 0, resource 0
    bytes
}

/// The kernel's answer: an error of code zero is its yes.
fn verdict(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|raw| raw.first_chunk::<2>());
    let code = answer.get(16..20).and_then(|raw| raw.first_chunk::<4>());
    match (kind.map(|raw| u16::from_ne_bytes(*raw)), code) {
        (Some(NLMSG_ERROR), Some(code)) => match i32::from_ne_bytes(*code) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(-code)),
        },
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// Lets the tracker drop established TCP connections that were idle for `seconds`, and take none up in mid-stream
/// (`nf_conntrack_tcp_loose`): what a middlebox with a short memory does. Tracking must be in use in this namespace.
///
/// # Errors
/// [`OsError::Refused`] when the settings are not there or not ours.
pub fn remember_for(seconds: u32) -> Result<(), OsError> {
    for (name, value) in [
        ("nf_conntrack_tcp_timeout_established", seconds),
        ("nf_conntrack_tcp_loose", 0),
    ] {
        let path = format!("/proc/sys/net/netfilter/{name}");
        fs::write(path, value.to_string()).map_err(|source| OsError::Refused {
            call: "write net.netfilter.nf_conntrack_tcp_*",
            source,
            advice: "a rule that uses connection tracking must be loaded first (kernel: CONFIG_NF_CONNTRACK)",
        })?;
    }
    Ok(())
}

/// Connections tracked now.
#[must_use]
pub fn tracked() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_a_whole_message_and_answers_are_told_apart() {
        let bytes = request();
        assert_eq!(bytes.len(), 20);
        assert_eq!(bytes[..4], 20_u32.to_ne_bytes());
        let answer = |code: i32| {
            let mut bytes = vec![0; 36];
            bytes[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
            bytes[16..20].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert!(verdict(&answer(0)).is_ok());
        assert_eq!(verdict(&answer(-1)).unwrap_err().raw_os_error(), Some(1));
        assert!(verdict(&[]).is_err() && verdict(&answer(0)[..18]).is_err());
    }
}

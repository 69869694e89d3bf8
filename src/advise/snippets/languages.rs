//! Socket options in programming languages.
//!
//! Templates with `@idle@`, `@interval@`, `@count@`, `@sum@` and `@user@`. Names are from: tcp(7); docs.rs/socket2
//! (`TcpKeepalive`, `SockRef`); pkg.go.dev/net (`KeepAliveConfig`, Go 1.23) and golang.org/x/sys/unix; the JDK's
//! `jdk.net.ExtendedSocketOptions` (11 and later); Netty 4.1's `EpollChannelOption`; Python's `socket`; nodejs.org
//! `net` (`socket.setKeepAlive`).

use super::{Values, fill};

pub(super) const C: &str = r"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* 0, or -1 with errno; on a listener, accepted sockets inherit all of it. */
int set_keepalive(int fd)
{
    const struct { int level, name, value; } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, @idle@ },          /* seconds */
        { IPPROTO_TCP, TCP_KEEPINTVL, @interval@ },     /* seconds */
        { IPPROTO_TCP, TCP_KEEPCNT, @count@ },          /* probes */
        { IPPROTO_TCP, TCP_USER_TIMEOUT, @user@ }, /* ms, below @sum@ s */
    };
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++)
        if (setsockopt(fd, options[i].level, options[i].name,
                       &options[i].value, sizeof options[i].value) == -1)
            return -1;
    return 0;
}
";

pub(super) const RUST: &str = r#"
// socket2 = { version = "0.6", features = ["all"] }
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;

/// Takes a `TcpStream` or a listener, whose accepted sockets inherit it.
fn set_keepalive(socket: &impl std::os::fd::AsFd) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(@idle@))
            .with_interval(Duration::from_secs(@interval@))
            .with_retries(@count@),
    )?;
    // Below idle + interval x count = @sum@ s.
    socket.set_tcp_user_timeout(Some(Duration::from_millis(@user@)))
}
"#;

pub(super) const GO: &str = r#"
import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Go 1.23. Go turns keepalive on by itself, at 15/15/9; this replaces it.
func setKeepalive(conn *net.TCPConn) error {
	err := conn.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     @idle@ * time.Second,
		Interval: @interval@ * time.Second,
		Count:    @count@,
	})
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		// milliseconds, below idle + interval x count = @sum@ s
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP,
			unix.TCP_USER_TIMEOUT, @user@)
	})
	if err != nil {
		return err
	}
	return failed
}
"#;

pub(super) const JAVA: &str = r"
import java.io.IOException;
import java.net.Socket;
import java.net.StandardSocketOptions;
import jdk.net.ExtendedSocketOptions;

final class Keepalive {
    // JDK 11 and later; SocketChannel.setOption takes the same options.
    static void set(Socket socket) throws IOException {
        socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, @idle@);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, @interval@);
        socket.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, @count@);
        // The JDK has no name for TCP_USER_TIMEOUT (@user@ ms): Netty's
        // native transport does (--for netty).
    }
}
";

pub(super) const NETTY: &str = r"
// io.netty.channel.epoll: EpollEventLoopGroup, EpollServerSocketChannel.
// For a client the same with Bootstrap.option.
bootstrap.childOption(ChannelOption.SO_KEEPALIVE, true)
    .childOption(EpollChannelOption.TCP_KEEPIDLE, @idle@)
    .childOption(EpollChannelOption.TCP_KEEPINTVL, @interval@)
    .childOption(EpollChannelOption.TCP_KEEPCNT, @count@)
    // milliseconds, below idle + interval x count = @sum@ s
    .childOption(EpollChannelOption.TCP_USER_TIMEOUT, @user@);
";

pub(super) const PYTHON: &str = r#"
import socket


def set_keepalive(sock):
    """Raises OSError; accepted sockets inherit it from a listener."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        (socket.TCP_KEEPIDLE, @idle@),  # seconds
        (socket.TCP_KEEPINTVL, @interval@),  # seconds
        (socket.TCP_KEEPCNT, @count@),  # probes
        (socket.TCP_USER_TIMEOUT, @user@),  # ms, below @sum@ s
    ):
        sock.setsockopt(socket.IPPROTO_TCP, name, value)
"#;

const NODE: &str = r"
// Node 20 sets the idle time only: the interval is then 1 s and the count 10
// (libuv), so a dead peer is given up @promise@ s after its last segment. There
// is no call for TCP_USER_TIMEOUT: data in flight waits for tcp_retries2.
function setKeepalive(socket) {
  return socket.setKeepAlive(true, @idle@ * 1000);
}
";

const NODE_TOO_LATE: &str = r"
// Node 20 sets the idle time only: the interval is then 1 s and the count 10
// (libuv), so a verdict takes 11 s at least, longer than was asked for. Let the
// application's heartbeats find the dead.
";

/// Seconds of idle time by which Node keeps the promise; its probes add ten.
pub(super) fn node_idle(values: &Values) -> Option<u32> {
    let room = (values.detect_within_ms / 1_000).checked_sub(10)?;
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    (room >= 1).then(|| room.min(values.idle_s))
}

/// Node's text.
pub(super) fn node(values: &Values) -> String {
    let Some(idle_s) = node_idle(values) else {
        return fill(NODE_TOO_LATE, values);
    };
    let template = NODE.replace("@promise@", &(idle_s + 10).to_string());
    fill(&template, &Values { idle_s, ..*values })
}

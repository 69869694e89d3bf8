//! Configuration of servers and proxies.
//!
//! Templates as in [`languages`](super::languages). Names and rules are from: nginx.org `listen` and
//! `proxy_socket_keepalive`; `HAProxy`'s configuration manual (`clitcpka-idle`, `srvtcpka-idle`, `tcp-ut`; 2.3 and later);
//! redis `src/anet.c` (`anetKeepAlive`: a third of the period, three probes); postgresql.org `runtime-config-connection`
//! and `libpq-connect`; grpc `doc/keepalive.md`, `grpc/impl/channel_arg_names.h` (the strings), proposals A8, A9, A18 and
//! google.golang.org/grpc/keepalive; systemd.socket(5).

use super::{Values, fill};
use crate::socket::keepalive::HIGHEST_SECONDS;

pub(super) const NGINX: &str = r"
# towards clients: idle:interval:count
listen 443 ssl so_keepalive=@idle@s:@interval@s:@count@;

# towards upstreams nginx only turns keepalive on; the numbers are sysctls
proxy_socket_keepalive on;
#   sysctl -w net.ipv4.tcp_keepalive_time=@idle@
#   sysctl -w net.ipv4.tcp_keepalive_intvl=@interval@
#   sysctl -w net.ipv4.tcp_keepalive_probes=@count@

# nginx has no directive for TCP_USER_TIMEOUT: data in flight to a dead peer
# is bounded by send_timeout. A proxied WebSocket ends after proxy_read_timeout
# (60s) without data, whatever probes say: keep it above the heartbeats.
";

pub(super) const HAPROXY: &str = r"
# HAProxy 2.3 and later
defaults
    option clitcpka
    clitcpka-idle  @idle@s
    clitcpka-intvl @interval@s
    clitcpka-cnt   @count@
    option srvtcpka
    srvtcpka-idle  @idle@s
    srvtcpka-intvl @interval@s
    srvtcpka-cnt   @count@
    # Probes are no data: these end a connection that is silent for as long
    # (for WebSockets `timeout tunnel`).
    timeout client 1h
    timeout server 1h
    timeout connect 5s

frontend clients
    bind :443 tcp-ut @user@ms   # TCP_USER_TIMEOUT, below @sum@s
    default_backend servers

backend servers
    server one 192.0.2.10:443 tcp-ut @user@ms
";

pub(super) const POSTGRESQL: &str = r"
# postgresql.conf
tcp_keepalives_idle = @idle@          # seconds
tcp_keepalives_interval = @interval@      # seconds
tcp_keepalives_count = @count@
tcp_user_timeout = @user@         # milliseconds, below @sum@ s
# A backend that is busy with a query looks for a dead client only with
# client_connection_check_interval (14 and later).

# libpq, and whatever takes its connection strings:
#   keepalives=1 keepalives_idle=@idle@ keepalives_interval=@interval@
#   keepalives_count=@count@ tcp_user_timeout=@user@
";

pub(super) const SYSTEMD: &str = r"
[Socket]
KeepAlive=yes
KeepAliveTimeSec=@idle@
KeepAliveIntervalSec=@interval@
KeepAliveProbes=@count@
# systemd has no setting for TCP_USER_TIMEOUT: the service sets it on the
# listener it is handed (--for c), and accepted sockets inherit it.
";

const REDIS: &str = r"
# redis.conf: one number, of which Redis makes idle @period@ s, interval @third@ s,
# count 3: a dead client is given up @promise@ s after its last segment
tcp-keepalive @period@
# Redis has no setting for TCP_USER_TIMEOUT; `timeout` ends idle clients, the
# living too.
timeout 0
";

const REDIS_TOO_LATE: &str = r"
# redis.conf: tcp-keepalive is one number of whole seconds, of which Redis makes
# an idle time and three probes: no verdict comes within less than 4 s.
tcp-keepalive 1
";

/// The period by which Redis keeps the promise: idle of that, and three probes a third of it apart.
pub(super) fn redis_period(values: &Values) -> Option<u32> {
    let within = u32::try_from(values.detect_within_ms / 1_000).unwrap_or(u32::MAX);
    let promise = |period: u32| period + 3 * (period / 3).max(1);
    let longest = within.min(values.longest_idle_s).min(HIGHEST_SECONDS);
    (1..=longest)
        .rev()
        .find(|period| promise(*period) <= within)
}

/// Redis's text.
pub(super) fn redis(values: &Values) -> String {
    let Some(period) = redis_period(values) else {
        return fill(REDIS_TOO_LATE, values);
    };
    let third = (period / 3).max(1);
    let template = REDIS
        .replace("@period@", &period.to_string())
        .replace("@third@", &third.to_string())
        .replace("@promise@", &(period + 3 * third).to_string());
    fill(&template, values)
}

const GRPC: &str = r#"
# Every gRPC library, by its own spelling; HTTP/2 PINGs are heartbeats. A dead
# peer is found within time + timeout = @within@ s. Here the C++ names; Python and
# Ruby take the strings behind them: "grpc.keepalive_time_ms",
# "grpc.keepalive_timeout_ms", "grpc.keepalive_permit_without_calls",
# "grpc.http2.max_pings_without_data" and, unlike its name,
# "grpc.http2.min_ping_interval_without_data_ms".
# channel arguments of the client
GRPC_ARG_KEEPALIVE_TIME_MS = @time@000
GRPC_ARG_KEEPALIVE_TIMEOUT_MS = @timeout@000
GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS = 1  # or an idle channel never pings
GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA = 0    # or it stops after two
# of the server, to find dead clients (2 h by default), and to be pinged: a
# server takes a ping every 5 min by default; three too many and it ends the
# connection with GOAWAY, ENHANCE_YOUR_CALM, "too_many_pings"
GRPC_ARG_KEEPALIVE_TIME_MS = @time@000
GRPC_ARG_KEEPALIVE_TIMEOUT_MS = @timeout@000
GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS = 1
GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA = 0
GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS = @least@000

# Go, where the client's Time below 10 s is raised to 10 s:
#   keepalive.ClientParameters{Time: @time@ * time.Second,
#       Timeout: @timeout@ * time.Second, PermitWithoutStream: true}
#   keepalive.EnforcementPolicy{MinTime: @least@ * time.Second,
#       PermitWithoutStream: true}
#   keepalive.ServerParameters{Time: @time@ * time.Second,
#       Timeout: @timeout@ * time.Second}

# gRPC sets TCP_USER_TIMEOUT to the keepalive timeout by itself (proposal A18; a
# Go server since grpc-go 5219 of 2022, over TLS since 6321 of 2023): do not set
# it, nor TCP keepalive, on its sockets as well.
"#;

const GRPC_TOO_LATE: &str = r"
# gRPC pings every 10 s at most in Go, and a verdict takes the timeout besides:
# less than 11 s cannot be kept. Give --detect-within 11s or more, or let the
# application's own messages find the dead.
";

/// Ping interval and timeout, seconds: the interval no shorter than what Go takes.
pub(super) fn grpc_times(values: &Values) -> Option<(u64, u64)> {
    let within = values.detect_within_ms / 1_000;
    let time = (values.interval_ms / 1_000).max(10);
    let timeout = within.checked_sub(time)?;
    (timeout >= 1).then_some((time, timeout))
}

/// gRPC's text.
pub(super) fn grpc(values: &Values) -> String {
    let Some((time, timeout)) = grpc_times(values) else {
        return fill(GRPC_TOO_LATE, values);
    };
    let template = GRPC
        .replace("@time@", &time.to_string())
        .replace("@timeout@", &timeout.to_string())
        .replace("@within@", &(time + timeout).to_string())
        // pings jitter on their way
        .replace("@least@", &(time - time / 5).to_string());
    fill(&template, values)
}

"""What scripts/splice writes into the READMEs: sentences in both languages, with names for the figures and none typed.

A name in braces is a figure that splice reads from a record; `{folder}` is where the record lies and `{command}` what makes
it again. Change a sentence here, in both languages, then run scripts/splice.
"""

PARAGRAPHS = {
    "en": {
        "answer": """
**Keepalive closed {lost} healthy connections** in {rounds} rounds of {connections}, over loopback and with no fault
injected. When its window closed the worst round still held {held}; the others went in the seconds after. Heartbeats lost none. Why: the kernel's timers fire probes in bursts, up to
{burst} in 10 ms, and the input queue they go through (`net.core.netdev_max_backlog`) holds {backlog} packets; {dropped}
packets were dropped there before delivery.

**Where nothing is dropped keepalive is the cheaper one.** At {rung} connections, with a dead peer found within
{budget}, it costs {keepalive} of CPU per delivered probe, and a heartbeat {heartbeat} per exchange: {ratio} as much, for
both ends together. ([{machine}]({folder}/report.html); brackets are 95 % intervals. Again: `{command}`)
""",
        "kills": """
[At a million connections]({folder}/README.md) that are probed after {idle}, then every {every}, {probes} times, keepalive closed {lost} of
{connections} healthy ones over loopback. With a backlog that has room for the bursts it closed none; spreading idle
times over 5 s instead still cost {spread}. Over veth, as containers have it, none of {veth} was closed, for there the sender is
told of the drop and tries again: {veth_dropped} of {veth_attempted} attempted probes were dropped. (Again: `sudo scripts/keepalive-kills`)
""",
        "scale": """
[Measured]({folder}/README.md) on {machine}, both ends on the machine: {held} connections held for {window} with a
heartbeat each per {hold_interval}, none lost, {memory} each, of which the two processes take {user} (`{command}`). With
{million} and a heartbeat per {interval} an exchange costs {cpu} of CPU, and 99.9 % come back within {p999}, {ticks} ticks
(`{command_million}`); with a larger socket hash and heartbeats in the order of connecting it costs {order} (`scripts/scale order`).
""",
        "detect": """
[Measured]({folder}/report.html) at the strict budget, {connections} connections of each mechanism a trial: all {cells}
cells within their bounds. After a power cut keepalive and heartbeats are level (99 % within {keepalive} and
{heartbeat}). Keepalive never notices an application that hangs or stops reading, nor a black hole with data in flight. An outage
of 5.5 s that heals costs keepalive {outage_keepalive} of {connections} living connections, and the clients of `heartbeat` {outage_heartbeat}, whose lost
heartbeats are sent again ever later; 20 % loss for 18 s costs keepalive {loss_server} at the server and {loss_client} at the client, and
`heartbeat` none. (Again: `{command}`)
""",
        "storm": """
[Measured]({folder}/README.md): {connections} are back within {jitter} with full jitter and {plain} without
(`{command}`). Against accept queues of {queue}, backing off from {base} to {cap}, full jitter costs {jitter_drops} dropped
SYNs and no jitter {plain_drops} (`{command_short}`).
""",
        "lifecycle": """
[Measured]({folder}/report.html): all {scenes} scenes held, {rules} rules. A set-up costs {set_up} of CPU at both ends
together and {set_up_packets} packets, a tear-down {tear_down} and {tear_down_packets}, a reset {reset} and {reset_packets}. For {window}, until
TIME-WAIT's limit of {tw_most} sockets comes near, {cores} cores keep up {sustained} connects and as many closes a second. TIME-WAIT lasts
{time_wait} and falls to the end that closes first, whichever that is; it takes {tw_sock}, and {tw_bind} more at a client for its port,
where an established socket takes {socket_bytes}. {ports} ports to one server were used up by {before} connections within {before_took}; with
`tcp_tw_reuse` {reuse} went through in {reuse_took}, and where the server closed, or the client reset, {server_closes} and {resets} in {way_took}
without an end. (By arithmetic: {ceiling} a second, with reuse {reuse_ceiling}.) {handshakes} handshakes took {took} without an overflow; against accept queues of {queue}, {orphans} of {asked}
clients believed themselves connected to a server that knew nothing of them. (Again: `{command}`)
""",
        "fleet": """
[{hosts} hosts as one]({folder}/README.md), network namespaces of one machine that OpenMPI starts: {connections} connections asked
for, established and held, all windows open together for at least {overlap} of {window}, 99 % of {trips} round trips within {p99}. It
shows that a fleet is one measurement, and not how far one scales. (Again: `sudo scripts/fleet-mpi`)
""",
    },
    "zh": {
        "answer": """
**keepalive 关闭了 {lost} 条健康的连接**：{rounds} 轮，每轮 {connections} 条，全部走环回接口，没有注入任何故障。测量窗口关闭时，最差的一轮还剩
{held} 条，其余的在随后几秒内被关闭。应用层心跳一条也没丢。原因：内核定时器成批触发探测，10 ms 内最多 {burst} 个，而探测必经的积压队列
（`net.core.netdev_max_backlog`）只能容纳 {backlog} 个包；{dropped} 个包在送达之前就被丢弃了。

**在没有丢包的情况下，keepalive 更便宜。** 在 {rung} 条连接、{budget} 之内发现对端失效的条件下，keepalive 每个送达的探测耗费 CPU
{keepalive}，心跳每次往返耗费 {heartbeat}，是前者的 {ratio}；均为两端合计。（[{machine}]({folder}/report.html)；方括号内为
95 % 置信区间。重现命令：`{command}`）
""",
        "kills": """
[在一百万条连接的规模下]({folder}/README.md)（空闲 {idle} 后开始探测，间隔 {every}，共 {probes} 次），keepalive 在环回接口上关闭了 {connections}
条健康连接中的 {lost} 条。把积压队列放宽到足以容纳整批探测之后，一条也没有关闭；只把空闲时间错开 5 s，仍然损失 {spread} 条。在容器所用的
veth 上，{veth} 条连接一条也没有关闭，因为发送方会得知丢包并重试：{veth_attempted} 次探测尝试中有 {veth_dropped}
次被丢弃。（重现命令：`sudo scripts/keepalive-kills`）
""",
        "scale": """
[实测]({folder}/README.md)（{machine}，两端同在一台机器）：{held} 条连接保持 {window}，每条每 {hold_interval} 一次心跳，一条未丢；每条占用
{memory}，其中两个进程合计 {user}（`{command}`）。{million} 条连接、每 {interval} 一次心跳时，每次往返耗费 CPU {cpu}，99.9 % 在
{p999} 即 {ticks} 个 tick 之内返回（`{command_million}`）；加大套接字哈希表、并按建立连接的次序发送心跳之后，降为
{order}（`scripts/scale order`）。
""",
        "detect": """
[实测]({folder}/report.html)（strict 预算，每次试验中每种机制 {connections} 条连接）：全部 {cells} 个单元格都在理论界限之内。断电之后，keepalive
与心跳不相上下（99 % 分别在 {keepalive} 和 {heartbeat} 之内发现）。应用挂起、应用停止读取、以及数据在途时的黑洞，keepalive
永远发现不了。一次持续 5.5 s 随后恢复的中断，使 keepalive 误断 {connections} 条存活连接中的 {outage_keepalive} 条，使 `heartbeat`
的客户端误断 {outage_heartbeat} 条，因为丢失的心跳由 TCP 重传，而重传间隔越来越长；持续 18 s 的 20 % 丢包，使 keepalive 在服务端误断
{loss_server} 条、在客户端误断 {loss_client} 条，`heartbeat` 则一条也没有。（重现命令：`{command}`）
""",
        "storm": """
[实测]({folder}/README.md)：{connections} 条连接全部恢复，采用完全抖动用时 {jitter}，不加抖动用时 {plain}（`{command}`）。当
accept 队列只有 {queue}、退避从 {base} 到 {cap} 时，完全抖动丢弃 {jitter_drops} 个 SYN，不加抖动丢弃 {plain_drops}
个（`{command_short}`）。
""",
        "lifecycle": """
[实测]({folder}/report.html)：{scenes} 个场景全部成立，共 {rules} 条规则。建立一条连接，两端合计耗费 CPU {set_up} 和 {set_up_packets}
个包；正常关闭耗费 {tear_down} 和 {tear_down_packets} 个包；复位耗费 {reset} 和 {reset_packets} 个包。在 {window} 内（尚未触及 {tw_most} 个
TIME-WAIT 套接字的上限），{cores} 个核心每秒完成 {sustained} 次建立和同样多次关闭。TIME-WAIT 持续 {time_wait}，总是落在先关闭的一端；
占用 {tw_sock}，在客户端还要为其端口再占 {tw_bind}（已建立的套接字为 {socket_bytes}）。通向同一服务器的 {ports} 个端口在 {before} 次连接、
{before_took} 后用尽；启用 `tcp_tw_reuse` 后，{reuse_took} 内完成 {reuse} 次；若由服务端关闭或由客户端复位，{way_took} 内完成 {server_closes}
次和 {resets} 次，仍未用尽。（按算术：每秒 {ceiling} 次，启用复用后每秒 {reuse_ceiling} 次。）{handshakes} 次握手用时 {took}，没有溢出；当 accept
队列只有 {queue} 时，{asked} 个客户端中有 {orphans} 个自以为已经连上，服务器却对它们一无所知。（重现命令：`{command}`）
""",
        "fleet": """
[{hosts} 台主机合为一次运行]({folder}/README.md)，这些主机是同一台机器上由 OpenMPI 启动的网络命名空间：请求、建立并保持到底的连接都是 {connections} 条，所有窗口同时打开至少 {overlap}（窗口长 {window}），{trips} 次往返中 99 % 不超过 {p99}。它说明多台主机就是一次测量，而不说明能扩展到多远。（重现：`sudo scripts/fleet-mpi`）
""",
    },
}

TABLE = {
    "en": {
        "control": "`none` (control)",
        "gross": " gross",
        "cpu": "CPU per event",
        "hour": "CPU per connection-hour",
        "wire": "wire bytes per connection-hour",
        "memory": "memory per connection, both ends",
        "asked": "connections asked for",
        "held": "held when the window closed, worst round",
        "lost": "lost until the end, all rounds",
        "best": "best, and the next one's cost",
        "unresolved": "not resolved",
    },
    "zh": {
        "control": "`none`（对照组）",
        "gross": "（未扣除对照）",
        "cpu": "每个事件的 CPU",
        "hour": "每条连接每小时的 CPU",
        "wire": "每条连接每小时的线路字节数",
        "memory": "每条连接的内存，两端合计",
        "asked": "要求的连接数",
        "held": "窗口关闭时仍保持（最差一轮）",
        "lost": "直至结束共丢失，各轮合计",
        "best": "最优者，及次优者的倍数",
        "unresolved": "无法分辨",
    },
}

PICTURES = {
    "en": {
        "timeline": "The run over time: connections held, CPU, heartbeats, probes, drops",
        "detection-matrix-server": "Who notices which fault, and after how long, seen from the server",
        "lifecycle-last-ack-lost": "The last ACK is lost, and TIME-WAIT answers",
    },
    "zh": {
        "timeline": "运行过程：保持的连接数、CPU、心跳、探测、丢包",
        "detection-matrix-server": "从服务端看：哪种机制能发现哪种故障，需要多久",
        "lifecycle-last-ack-lost": "最后一个 ACK 丢失，由 TIME-WAIT 应答",
    },
}

# By the name of the folder without its date. `figures` is the block whose figures the sentence uses.
INDEX = {
    "2core-24gib": {
        "picture": "timeline.svg",
        "alt": "connections held, CPU, heartbeats and probes over time",
        "figures": "answer",
        "script": "scripts/keep-result 2core-24gib",
        "says": "`compare` at {connections} connections: keepalive closed {lost} healthy ones in {rounds} "
        "rounds; where nothing is dropped a heartbeat costs {ratio} what a probe does",
    },
    "scale": {
        "picture": "million/scale-memory.svg",
        "alt": "memory per connection at a million connections, by owner",
        "figures": "scale",
        "script": "scripts/scale",
        "says": "how far two cores go: {held} connections held for {window} with {memory} each; engines, ticks, the floor",
    },
    "wheel": {
        "picture": "crossover.svg",
        "alt": "cost of a heartbeat by timer structure and number of timers",
        "figures": None,
        "script": "scripts/wheel",
        "says": "timer structures under heartbeats: the timing wheel beside heaps, trees and other wheels; goals held and missed",
    },
    "keepalive-kills": {
        "picture": "loopback-as-set/timeline.svg",
        "alt": "a million connections, closed by keepalive within seconds",
        "figures": "kills",
        "script": "sudo scripts/keepalive-kills",
        "says": "keepalive closes {lost} of {connections} healthy connections over loopback; why, what cures it, and veth besides",
    },
    "aa": {
        "picture": "heartbeat/cpu-per-event.svg",
        "alt": "the same arm twice: equal costs",
        "figures": "aa",
        "script": "scripts/aa",
        "says": "the same arm against itself at {connections} connections: no difference is resolved, as it must be",
    },
    "overlap": {
        "picture": "run-3/cpu-per-event.svg",
        "alt": "CPU per event by mechanism",
        "figures": "overlap",
        "script": "scripts/overlap",
        "says": "three comparisons at {connections} connections whose intervals overlap; at {rung} connections a heartbeat "
        "costs {ratios} what a probe does",
    },
    "detect": {
        "picture": "detection-matrix-server.svg",
        "alt": "which mechanism notices which fault, and when",
        "figures": "detect",
        "script": "scripts/detect",
        "says": "the fault lab in full at the strict budget: {cells} cells within their bounds, the kernel's rules tried, "
        "and what is said of keepalive, tested",
    },
    "lifecycle": {
        "picture": "lifecycle-last-ack-lost.svg",
        "alt": "the segments and states when the last ACK is lost",
        "figures": "lifecycle",
        "script": "scripts/lifecycle",
        "says": "{scenes} scenes of how connections begin and end, captured and drawn; a set-up costs {set_up}, a "
        "tear-down {tear_down}; ports used up; {handshakes} handshakes in {took}",
    },
    "storm": {
        "picture": "short-queue/comeback.svg",
        "alt": "how many are back after how long, by way of backing off",
        "figures": "storm",
        "script": "scripts/storm",
        "says": "everybody dropped at once: {connections} back within {jitter} with full jitter and {plain} without; short "
        "accept queues; a churn",
    },
    "fleet-mpi": {
        "picture": "merged/rtt.svg",
        "alt": "round trips of all hosts together, by percentile",
        "figures": "fleet",
        "script": "sudo scripts/fleet-mpi",
        "says": "{hosts} hosts that OpenMPI starts, network namespaces of one machine, as one measurement of {connections} "
        "connections: what each has left, and the merged result",
    },
}

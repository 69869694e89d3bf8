//! What a reader needs to know of TCP to follow the diagrams: how one is read, why there are three segments and four,
//! what TIME-WAIT is for, and the eleven states.
//!
//! Says nothing of the run: no figure of a record stands here.

/// How the terminal's diagrams are read.
pub(super) const DIAGRAM_BRIEF: &str = "Each diagram: time goes down, in milliseconds and not to scale; the state of \
    either end's socket stands at its side, ▸ where it is new, calls of the programs among them. An arrow is a segment with \
    its flags, sequence and acknowledgement number, both counted from the connection's first; ✗ is where one was lost, ┄ \
    one that is still on its way while others pass.";

/// How the page's diagrams are read.
pub(super) const DIAGRAM: &str = "Time goes down. On the left stands the client, the end that asks for the connection; on \
    the right the server, the end that waits to be asked. A slanted arrow is a segment on the wire, from the moment it left \
    to the moment it arrived; a cross is where one was lost. The coloured bars are the states of the two sockets, and \
    outside of them stands what the programs called and were told. Times at the left are milliseconds since the scenario's \
    begin. They are not to scale: a long silence is cut short and says how long it was.";

/// The words of an arrow.
pub(super) const SEGMENT: [(&str, &str); 7] = [
    (
        "segment",
        "What TCP puts on the wire: a header with flags and two numbers, then perhaps payload, whose bytes are given.",
    ),
    (
        "SYN",
        "A flag: let us agree on a number to count from. A connection's first segment in either direction has it.",
    ),
    (
        "ACK",
        "A flag: the acknowledgement number holds. All have it but the SYNs that open, and some RSTs.",
    ),
    (
        "FIN",
        "A flag: I have nothing more to send. It closes one direction, not the connection.",
    ),
    (
        "RST",
        "A flag: there is no such connection, or it is over at once. Nothing is acknowledged afterwards.",
    ),
    (
        "seq",
        "Sequence number: the place of this segment's first byte in what its sender sends. SYN and FIN take one number \
         each, as if they were a byte, so that they can be acknowledged as one. It begins at a random number; here it is \
         counted from that one.",
    ),
    (
        "ack",
        "Acknowledgement number: the number expected next. All before it has arrived.",
    ),
];

/// The section's argument, a heading and its paragraph.
pub(super) const WHY: [(&str, &str); 3] = [
    (
        "Why setting up takes three",
        "Each end begins to count at a number of its own choice, and must know that the other end has got it. That makes \
         four messages: the client's number, its acknowledgement, the server's number, its acknowledgement. The middle two \
         go the same way at the same time, so they travel as one segment, SYN+ACK: three. Two would not do: the server \
         could not tell a SYN of now from an old one that was delayed on the way, and would hold a connection that nobody \
         asked for. The third segment is the proof that the client is there and means this one (RFC 9293, section 3.5).",
    ),
    (
        "Why tearing down takes four",
        "A connection is two streams, one each way, and each is closed by the end that sends it, with a FIN that the other \
         end acknowledges: two streams, two FINs, two ACKs, four segments. The middle two cannot be merged in general, \
         since the second end may have something left to send; until it has, the connection is half closed. When it has \
         nothing left and closes at once, its ACK and its FIN fall together into one segment: then it is three (RFC 9293, \
         section 3.6).",
    ),
    (
        "What TIME-WAIT is for, and who holds it",
        "The last segment of all is an ACK, and nobody acknowledges an ACK. Its sender cannot know whether it arrived; if it \
         was lost, the other end sends its FIN again and must be answered. And segments of this connection may still be on \
         their way, which a new one between the same addresses and ports would take for its own. So the end that closed \
         first, and with that sent the last ACK, must by the standard keep its socket for twice the longest time a segment may \
         live (RFC 9293, section 3.6.1, MUST-13), which it takes to be two minutes (section 3.4.2); Linux keeps it 60 s \
         (include/net/tcp.h, TCP_TIMEWAIT_LEN). As long the pair of addresses and ports is taken. When both ends close at the \
         same time, both keep it; after a RST nobody does.",
    ),
];

/// The states: as RFC 9293, section 3.3.2, writes them, what each waits for by it, and where a program meets it.
pub(super) const STATES: [(&str, &str, &str); 11] = [
    (
        "LISTEN",
        "Waits for a connection request from any remote end.",
        "The server called listen().",
    ),
    (
        "SYN-SENT",
        "Waits for a matching connection request after having sent one.",
        "The client called connect(), and it has not returned yet.",
    ),
    (
        "SYN-RECEIVED",
        "Waits for its own request to be acknowledged, after both were sent and received.",
        "No program sees it: the kernel remembers the request. Linux calls it SYN_RECV.",
    ),
    (
        "ESTABLISHED",
        "The connection is open: what is received can be delivered.",
        "connect() returned, accept() may. Data go both ways.",
    ),
    (
        "FIN-WAIT-1",
        "Waits for the other end's FIN, or for the acknowledgement of its own.",
        "This end closed first.",
    ),
    (
        "FIN-WAIT-2",
        "Waits for the other end's FIN; its own is acknowledged.",
        "Half closed: it may still receive.",
    ),
    (
        "CLOSE-WAIT",
        "Waits for its own program to close.",
        "read() returned 0, the end. A program that never closes leaves its sockets here.",
    ),
    (
        "CLOSING",
        "Waits for the acknowledgement of its FIN; the other end's is here already.",
        "Both closed at the same time.",
    ),
    (
        "LAST-ACK",
        "Waits for the acknowledgement of its FIN, sent after the other end's.",
        "This end closed second.",
    ),
    (
        "TIME-WAIT",
        "Waits until the other end surely has its last acknowledgement, and no old segment is on its way.",
        "This end closed first, and is done; the kernel keeps a small remainder of the socket.",
    ),
    (
        "CLOSED",
        "No connection at all.",
        "The socket is gone, or was not there yet.",
    ),
];

/// Before the table of turnovers.
pub(super) const TURNOVERS: &str = "Many connections are opened, then ended, round after round, with nothing \
    sent between. Who ends them, and how, is the column: the client with a FIN, the server with one, or the client with a \
    RST, which nobody answers and after which nobody waits. CPU is the whole machine's, for both ends, net of an idle \
    stretch; only where connections come and go all the while is it all that the machine spent, idle work included. Square \
    brackets hold the 95 % interval over rounds.";

/// Before the table of TIME-WAIT.
pub(super) const TIME_WAIT: &str = "A socket in TIME-WAIT has no program any more: the kernel has freed the socket proper \
    and keeps a smaller structure in its place. It costs little memory. What it costs is its port, for as long as it lasts: a client's socket keeps a bucket for \
    its port besides, a server's shares the listener's. \
    The end that closed first holds it, so a server that closes first holds one for every connection it ended, and a client \
    that does loses a port of its own. An established socket is counted with its file, inode and dentry, as the mean of both \
    ends. A host keeps no more than net.ipv4.tcp_max_tw_buckets; that many divided by a minute is \
    how many closes a second it is enough for, and beyond that sockets skip TIME-WAIT, and with it what it protects from.";

/// Before the table of ports.
pub(super) const PORTS: &str = "A connection is known by four numbers: two addresses, two ports. From one client address \
    to one port of one server only the client's port is free to differ, and the kernel takes it from a range \
    (net.ipv4.ip_local_port_range). Where the client closes first, each port is then in TIME-WAIT for a minute, so that the \
    range divided by a minute is the most connections a second that can go on. Past that, connect() says EADDRNOTAVAIL. \
    More addresses multiply the range; letting the server close moves TIME-WAIT to where ports do not run out; a RST leaves \
    none, and none of its protection; net.ipv4.tcp_tw_reuse lets a new connection take the port of one in TIME-WAIT after a \
    second, where timestamps tell old segments from new ones.";

/// Before the table of ramps.
pub(super) const HANDSHAKES: &str = "Two queues stand before a listener. A SYN waits in the SYN queue, its socket in \
    SYN_RECV, until the third segment comes; the finished connection then waits in the accept queue until the program \
    accepts it. An accept queue holds one more than its length says. When it is full the kernel drops what comes. A dropped SYN \
    is sent again by the client: since Linux 6.5 at 1, 2, 3, 4, 5, 7, 11 s after the first and so on \
    (net.ipv4.tcp_syn_linear_timeouts is 4: so many pauses of a second, then 1, 2, 4 s and on, doubling); those are the steps in the \
    connect times. After a dropped third segment the client is connected already, so its connect time shows nothing; it is \
    the server that repeats its SYN+ACK, after 1, 3, 7 s and so on. When the SYN queue is full the server answers with a \
    cookie and keeps nothing; if the ACK then meets a full accept queue, the client is connected and the server knows nothing \
    of it. The kernel has one counter for SYNs and SYN-ACKs sent again, both ends' together.";

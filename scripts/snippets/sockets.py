#!/usr/bin/env python3
"""What scripts/check-snippets needs of sockets: to hold them, to read another program's, to watch HTTP/2 pings.

A program's socket is read through pidfd_getfd(2): the copy is the same socket, so getsockopt gives what the kernel holds
for that program, whatever the program says of it.
"""

import ctypes
import os
import selectors
import socket
import ssl
import sys
import time

PIDFD_GETFD = 438
PATIENCE = 30
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = ("on", "idle", "interval", "count", "user timeout")
PING, GOAWAY, ACK = 6, 7, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def wait_for(what, look):
    """What `look` gives once it gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.02)
    sys.exit(f"FAILED {what}: nothing to look at within {PATIENCE} s")


def rows():
    """Sockets of this network namespace: inode, state, local port, remote port, timer, its seconds."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            for line in list(lines)[1:]:
                word = line.split()
                ports = [int(word[column].rsplit(":", 1)[1], 16) for column in (1, 2)]
                timer, left = word[5].split(":")
                yield word[9], word[3], *ports, timer, int(left, 16) / TICKS


def family(pid):
    """A process and all that it started."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as stat:
                parents[int(name)] = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def copy_of(pid, inode):
    """The socket with this inode, if this process has it."""
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}") == f"socket:[{inode}]":
                libc = ctypes.CDLL(None, use_errno=True)
                fd = libc.syscall(PIDFD_GETFD, os.pidfd_open(pid), int(name), 0)
                if fd == -1:
                    raise OSError(ctypes.get_errno(), "pidfd_getfd")
                return socket.socket(fileno=fd)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def held(pid, end, port):
    """What the kernel holds for the program's connection at this port, and the timer that runs."""

    def look():
        for inode, state, local, remote, timer, left in rows():
            if state == "01" and {"local": local, "remote": remote}[end] == port:
                # Sent data has its own timer until it is acknowledged; keepalive's is 02.
                for one in family(pid) if timer in ("00", "02") else []:
                    found = copy_of(one, inode)
                    if found:
                        return found, timer, left
        return None

    found, timer, left = wait_for(f"a connection whose {end} port is {port}", look)
    options = [found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
        options.append(found.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))
    return options, timer, left


def expect(label, pid, end, port, wanted):
    """Holds a connection's options against five numbers, `-` for one that the snippet says nothing of."""
    options, timer, left = held(int(pid), end, int(port))
    words = [str(number) for number in options]
    pairs = list(zip(NAMES, words, wanted.split(), strict=True))
    wrong = [f"{name} is {has}, not {want}" for name, has, want in pairs if want not in ("-", has)]
    # Options alone could lie idle: the timer shows that they are used.
    if wanted[0] == "1" and not (timer == "02" and 0 < left <= options[1]):
        wrong.append(f"the keepalive timer does not run as it should (timer {timer}, {left} s)")
    if wrong:
        sys.exit(f"FAILED {label}: {'; '.join(wrong)}")
    told = ", ".join(f"{name} {has}" for name, has, want in pairs if want != "-")
    print(f"OK     {label}: {told}" + (f"; keepalive timer at {left:.1f} s" if timer == "02" else ""))


def listening(port):
    """Until someone listens there."""

    def look():
        return any(state == "0A" and local == int(port) for _, state, local, *_ in rows()) or None

    wait_for(f"port {port}", look)


def serve(port, address="127.0.0.1", inherited=None):
    """Accepts and holds whatever comes, and answers nothing."""
    if inherited:
        listener = socket.socket(fileno=int(inherited))
    else:
        listener = socket.socket()
        # A server under test may have the same port of every address.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, int(port)))
        listener.listen()
    connections = []
    while True:
        connections.append(listener.accept()[0])


def connect(port, speak=""):
    """Connects and holds the connection; `tls` also asks for a page."""

    def look():
        try:
            return socket.create_connection(("127.0.0.1", int(port)))
        except ConnectionRefusedError:
            return None

    connection = wait_for(f"port {port}", look)
    if speak == "tls":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(3600)


class Frames:
    """Takes HTTP/2 frames out of a stream of bytes."""

    def __init__(self, client):
        self.rest = b""
        self.preface = len(PREFACE) if client else 0

    def take(self, data):
        """The type and flags of each frame that is whole now."""
        self.rest += data
        if self.preface:
            if len(self.rest) < self.preface:
                return []
            self.rest = self.rest[self.preface :]
            self.preface = 0
        found = []
        while len(self.rest) >= 9:
            size = 9 + int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < size:
                break
            found.append((self.rest[3], self.rest[4], self.rest[9:size]))
            self.rest = self.rest[size:]
        return found


def pump(ends, until, begin, forward):
    """Carries bytes between client and server until then; gives pings, answers and when an end closed."""
    frames = {"client": Frames(True), "server": Frames(False)}
    seen = {"pings": [], "answers": 0, "goaway": [], "closed": {}}
    with selectors.DefaultSelector() as selector:
        for name, end in ends.items():
            selector.register(end, selectors.EVENT_READ, name)
        while selector.get_map() and time.monotonic() < until:
            for key, _ in selector.select(max(0, until - time.monotonic())):
                name, now = key.data, time.monotonic() - begin
                try:
                    data = key.fileobj.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    seen["closed"][name] = now
                    selector.unregister(key.fileobj)
                    continue
                if not forward:
                    continue
                ends["server" if name == "client" else "client"].sendall(data)
                for kind, flags, payload in frames[name].take(data):
                    if kind == GOAWAY:
                        seen["goaway"].append(f"{name}: {payload[8:].decode(errors='replace')}")
                    elif kind == PING and flags & ACK:
                        seen["answers"] += 1
                    elif kind == PING:
                        seen["pings"].append((now, name))
    return seen


def relay(label, listen, target, interval, timeout):
    """Between a gRPC client and server: do pings come in time, and does each end give up a peer that falls silent?"""
    interval, timeout = int(interval), int(timeout)
    listener = socket.create_server(("127.0.0.1", int(listen)))
    listening(target)
    client = listener.accept()[0]
    listener.close()
    ends = {"client": client, "server": socket.create_connection(("127.0.0.1", int(target)))}
    begin = time.monotonic()
    # Four pings: a server that finds them too many says so at the fourth.
    first = pump(ends, begin + 4 * interval + 3, begin, True)
    stop = time.monotonic() - begin
    last = pump(ends, begin + stop + interval + timeout + 3, begin, False)
    told = [f"PING by {name} at {at:.1f} s" for at, name in first["pings"]]
    wrong = [f"GOAWAY by {said}" for said in first["goaway"]]
    for name in ends:
        # The one end's pings are a sign of life to the other, which then need not ping.
        if name in first["closed"]:
            wrong.append(f"the {name} closed a living connection")
        elif name not in last["closed"]:
            wrong.append(f"the {name} did not give up a silent peer within {interval + timeout} s")
        else:
            told.append(f"the {name} gave up {last['closed'][name] - stop:.1f} s after the silence began")
    # BDP probes are pings too, but only where there is data: between pings there is no more than the interval.
    at = [0.0, *(when for when, _ in first["pings"])]
    if len(at) < 4 or max(after - before for before, after in zip(at, at[1:])) > interval + 1:
        wrong.append(f"pings do not come every {interval} s")
    if first["answers"] < len(first["pings"]) - 1:
        wrong.append(f"{first['answers']} answers to {len(first['pings'])} pings")
    if wrong:
        sys.exit(f"FAILED {label}: {'; '.join(wrong + told)}")
    print(f"OK     {label}: every ping answered, no GOAWAY; {'; '.join(told)}")


if __name__ == "__main__":
    {
        "expect": expect,
        "listening": listening,
        "serve": serve,
        "connect": connect,
        "relay": relay,
    }[sys.argv[1]](*sys.argv[2:])

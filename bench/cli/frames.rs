//! A client of the server that is no load generator: one plain socket, and the frames it says and hears.

use ringbeat::protocol::{FRAME_BYTES, Frame, Kind};
use ringbeat::units::Nanos;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

pub(crate) fn peer(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream
}

pub(crate) fn heartbeat(sequence: u32) -> [u8; FRAME_BYTES] {
    let frame = Frame {
        kind: Kind::Heartbeat,
        sequence,
        sent_at: Nanos(7),
    };
    frame.encode()
}

pub(crate) fn expect_ack(stream: &mut TcpStream, sequence: u32) {
    let mut bytes = [0; FRAME_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    let ack = Frame::decode(&bytes).unwrap();
    assert_eq!(
        (ack.kind, ack.sequence, ack.sent_at),
        (Kind::Ack, sequence, Nanos(7))
    );
}

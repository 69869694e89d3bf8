//! What the wire protocol costs: a frame to bytes and back, and a thousand frames out of a stream.
//!
//! Does not touch a socket: the bytes lie in memory, merged into one piece or split the way short
//! reads split them. Units: time per frame.
//!
//! Run with `cargo bench --bench codec`; it takes a few seconds.

use criterion::{BenchmarkId, Criterion, Throughput};
use ringbeat::protocol::{FRAME_BYTES, Frame, Kind, Partial, decode_stream};
use ringbeat::units::Nanos;
use std::hint::black_box;
use std::time::Duration;

/// Frames of the stream.
const FRAMES: u32 = 1_000;

fn frame(sequence: u32) -> Frame {
    Frame {
        kind: Kind::Heartbeat,
        sequence,
        sent_at: Nanos(u64::from(sequence) * 3_000_000_000),
    }
}

fn one_frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(1));
    let bytes = frame(7).encode();
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(frame(7)).encode());
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Frame::decode(black_box(&bytes)));
    });
    group.finish();
}

/// The stream in pieces: all at once, a frame at a time, and cut so that no frame arrives whole.
fn stream(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..FRAMES).flat_map(|n| frame(n).encode()).collect();
    let pieces = [
        ("merged", bytes.len()),
        ("one-by-one", FRAME_BYTES),
        ("split-at-7", 7),
        ("split-at-1000", 1_000),
    ];
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(u64::from(FRAMES)));
    for (name, length) in pieces {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let (mut partial, mut frames) = (Partial::default(), 0);
                for piece in black_box(&bytes).chunks(length) {
                    let decoded = decode_stream(&mut partial, piece, |frame| {
                        black_box(frame);
                        frames += 1;
                    });
                    assert_eq!(decoded, Ok(()));
                }
                assert_eq!(frames, FRAMES);
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    one_frame(&mut criterion);
    stream(&mut criterion);
    criterion.final_summary();
}

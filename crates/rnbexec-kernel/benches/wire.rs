//! The wire codec: signing and verifying messages, and their frames from and to bytes. Run: `cargo bench -p rnbexec-kernel`.
//!
//! The modules are private, so they are compiled into this program.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

use product::wire::{Session, fresh_id};

#[path = "../src"]
mod product {
    #[expect(
        dead_code,
        unreachable_pub,
        reason = "a part of the crate's inside, of which only the codec is measured"
    )]
    pub(crate) mod wire;
}

fn main() {
    divan::main();
}

/// Sizes of what a cell prints at a time, in bytes.
const SIZES: [usize; 3] = [10, 10_000, 1_000_000];

fn content(size: usize) -> Vec<u8> {
    serde_json::json!({"name": "stdout", "text": "x".repeat(size)}).to_string().into_bytes()
}

#[divan::bench(args = SIZES)]
fn encode(bencher: Bencher<'_, '_>, size: usize) {
    let session = Session::new("a key");
    let content = content(size);
    bencher
        .counter(BytesCount::new(size))
        .bench(|| session.encode(&fresh_id(), "stream", Bytes::new(), black_box(&content).clone()));
}

#[divan::bench(args = SIZES)]
fn decode(bencher: Bencher<'_, '_>, size: usize) {
    let session = Session::new("a key");
    let frames = session.encode(&fresh_id(), "stream", Bytes::new(), content(size));
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| frames.clone())
        .bench_values(|frames| session.decode(frames).expect("a message that we signed"));
}

/// What a reader does at the least with a message: parse its content.
#[divan::bench(args = SIZES)]
fn parse_content_with_serde_json(bencher: Bencher<'_, '_>, size: usize) {
    let content = content(size);
    let parse = || serde_json::from_slice::<serde_json::Value>(black_box(&content)).expect("it is JSON");
    bencher.counter(BytesCount::new(size)).bench(parse);
}

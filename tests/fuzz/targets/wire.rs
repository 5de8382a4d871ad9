//! Any frames as a message of a kernel; the module is private to its crate and is taken out of it here.
#![no_main]

use bytes::Bytes;

#[path = "../../../crates/rnbexec-kernel/src/wire.rs"]
#[expect(unreachable_pub, reason = "a module of another crate")]
mod wire;

/// What comes before each frame: its length. A message that is signed right gets its frames after a zero.
fn frames(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(length.into()));
        frames.push(Bytes::copy_from_slice(frame));
        bytes = rest;
    }
    frames
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let frames = frames(bytes);
    wire::raw_header(&frames);
    drop(wire::Session::new("key").decode(frames.clone()));
    // Without a key nothing is signed: all that comes is read.
    if let Ok(message) = wire::Session::new("").decode(frames) {
        let content = message.content.to_vec();
        let session = wire::Session::new("key");
        let sent = session.encode("id", "type", Bytes::from_static(b"{}"), content.clone());
        assert_eq!(session.decode(sent).expect("what we send we read").content, content);
    }
});

//! Any bytes as what a ZeroMQ peer says; the module is private to its crate and is taken out of it here.
#![no_main]

use std::cell::RefCell;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

#[path = "../../../crates/rnbexec-kernel/src/zmq.rs"]
#[expect(dead_code, reason = "a module of another crate")]
mod zmq;

/// The longest input: a socket takes as much without anyone reading.
const LONGEST: usize = 32 << 10;

struct Peer {
    runtime: Runtime,
    listener: UnixListener,
    endpoint: zmq::Endpoint,
}

impl Peer {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rnbexec-fuzz-{}.sock", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(async { UnixListener::bind(&path) }).expect("a socket");
        Self { runtime, listener, endpoint: zmq::Endpoint::Ipc(path) }
    }
}

thread_local! {
    static PEER: RefCell<Peer> = RefCell::new(Peer::new());
}

/// What a peer says before anything else: the greeting of ZMTP 3.1 with the mechanism NULL, and READY.
fn introduction() -> Vec<u8> {
    let mut said = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    said.extend_from_slice(b"NULL");
    said.resize(64, 0);
    said.extend_from_slice(b"\x04\x06\x05READY");
    said
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&known, bytes)) = bytes.split_first() else { return };
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    PEER.with_borrow(|peer| {
        peer.runtime.block_on(async {
            let (ours, theirs) = tokio::join!(zmq::connect(&peer.endpoint), peer.listener.accept());
            let mut theirs = theirs.expect("somebody who connects").0;
            if known != 0 {
                theirs.write_all(&introduction()).await.expect("room in the socket");
            }
            theirs.write_all(bytes).await.expect("room in the socket");
            theirs.shutdown().await.expect("a socket that can be closed");
            let ours = ours.expect("a connection");
            let Ok((mut reader, _writer)) = zmq::handshake(ours, zmq::SocketType::Sub, "me").await else { return };
            let mut size = 0;
            while let Ok(incoming) = reader.next().await {
                if let zmq::Incoming::Message(parts) = incoming {
                    size += parts.iter().map(bytes::Bytes::len).sum::<usize>();
                }
            }
            assert!(size <= bytes.len(), "more came than was said");
        });
    });
});

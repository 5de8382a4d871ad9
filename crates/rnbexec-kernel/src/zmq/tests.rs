//! The witness for the wire is the `zeromq` crate, an independent implementation (it speaks ZMTP 3.0); libzmq (3.1) is
//! behind every real kernel.

use proptest::prelude::*;
use zeromq::{Socket, SocketRecv, SocketSend, ZmqMessage};

use super::*;

fn decode(chunks: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<Incoming>, ZmqError> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.buffer.extend_from_slice(&chunk);
        while let Some(incoming) = decoder.next()? {
            out.push(incoming);
        }
    }
    Ok(out)
}

fn message(parts: &[&[u8]]) -> Incoming {
    Incoming::Message(parts.iter().map(|part| Bytes::copy_from_slice(part)).collect())
}

/// A two-part message, a command, and a message longer than a short frame can be.
fn sample() -> (Vec<u8>, Vec<Incoming>) {
    let mut bytes = vec![FLAG_MORE, 2, b'h', b'i', 0, 0];
    bytes.extend([FLAG_COMMAND, 7, 4]);
    bytes.extend(b"PINGxy");
    bytes.extend([FLAG_LONG, 0, 0, 0, 0, 0, 0, 1, 44]);
    bytes.extend([9; 300]);
    let ping = Incoming::Command { name: "PING".to_owned(), body: Bytes::from_static(b"xy") };
    (bytes, vec![message(&[b"hi", b""]), ping, message(&[&[9; 300]])])
}

#[test]
fn frames_make_messages_wherever_the_stream_is_cut() {
    let (bytes, expected) = sample();
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(decode([left.to_vec(), right.to_vec()]).unwrap(), expected, "cut at {cut}");
    }
    assert_eq!(decode(bytes.iter().map(|byte| vec![*byte])).unwrap(), expected);
}

#[test]
fn the_memory_of_a_large_frame_is_its_own() {
    let length = 3 * READ_CHUNK + 5;
    let mut bytes = BytesMut::new();
    put_frame(&mut bytes, 0, &vec![7; length]);
    put_frame(&mut bytes, 0, b"next");
    for cut in [1, 9, 10, READ_CHUNK, length, length + 9, length + 10] {
        let mut decoder = Decoder::default();
        decoder.buffer.extend_from_slice(&bytes[..cut]);
        let first = decoder.next().unwrap();
        decoder.buffer.extend_from_slice(&bytes[cut..]);
        let Some(Incoming::Message(frames)) = first.or_else(|| decoder.next().unwrap()) else {
            panic!("a message, cut at {cut}");
        };
        assert_eq!(frames[0].len(), length);
        // What comes at once and whole, as it never does from a socket, stays where it is.
        if (9..length).contains(&cut) {
            assert!(frames[0].is_unique(), "cut at {cut}");
        }
        assert_eq!(decoder.next().unwrap(), Some(message(&[b"next"])));
    }
}

#[test]
fn a_frame_of_a_mad_length_is_an_error_before_it_is_an_allocation() {
    let error = decode([vec![FLAG_LONG, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]).unwrap_err();
    assert!(matches!(error, ZmqError::FrameTooLarge(0x7fff_ffff_ffff_ffff)), "{error}");
}

#[test]
fn reserved_flags_are_an_error() {
    assert!(matches!(decode([vec![0x40, 0]]), Err(ZmqError::Malformed)));
}

#[test]
fn a_command_whose_name_is_longer_than_it_is_an_error() {
    assert!(matches!(decode([vec![FLAG_COMMAND, 2, 9, b'X']]), Err(ZmqError::Malformed)));
    assert!(matches!(decode([vec![FLAG_COMMAND, 0]]), Err(ZmqError::Malformed)));
}

proptest! {
    #[test]
    fn no_bytes_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
        // What it is does not matter, only that it is told.
        drop(decode(chunks));
    }

    #[test]
    fn what_is_written_is_read(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..5)) {
        let mut bytes = BytesMut::new();
        for (index, part) in parts.iter().enumerate() {
            put_frame(&mut bytes, u8::from(index + 1 < parts.len()), part);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(decode([bytes.to_vec()]).unwrap(), vec![message(&parts)]);
    }
}

fn halves(end: tokio::io::DuplexStream) -> Stream {
    let (read, write) = tokio::io::split(end);
    Stream { read: Box::new(read), write: Box::new(write) }
}

/// Shakes hands with a peer that says just these bytes and then stays silent.
async fn handshake_with(bytes: &[u8]) -> Result<(Reader, Writer), ZmqError> {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    theirs.write_all(bytes).await.unwrap();
    let outcome = handshake(halves(ours), SocketType::Dealer, "me").await;
    drop(theirs);
    outcome
}

fn greeting_with(change: impl FnOnce(&mut [u8; 64])) -> Vec<u8> {
    let mut bytes = greeting();
    change(&mut bytes);
    bytes.to_vec()
}

fn error_of(outcome: Result<(Reader, Writer), ZmqError>) -> ZmqError {
    outcome.err().expect("the handshake must fail")
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_no_zmq_is_told_as_such() {
    let error = error_of(handshake_with(&[b'H'; 64]).await);
    assert!(matches!(error, ZmqError::NotZmtp), "{error}");
    let version_2 = greeting_with(|bytes| bytes[10] = 1);
    assert!(matches!(error_of(handshake_with(&version_2).await), ZmqError::NotZmtp));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_wants_encryption_is_named() {
    let curve = greeting_with(|bytes| bytes[12..17].copy_from_slice(b"CURVE"));
    let error = error_of(handshake_with(&curve).await);
    assert!(matches!(&error, ZmqError::Mechanism(name) if name == "CURVE"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_is_quoted() {
    let mut bytes = BytesMut::from(greeting().as_slice());
    put_frame(&mut bytes, FLAG_COMMAND, b"\x05ERROR\x07go away");
    let error = error_of(handshake_with(&bytes).await);
    assert!(matches!(&error, ZmqError::Refused(reason) if reason == "go away"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    assert!(matches!(error_of(handshake_with(&[0xff]).await), ZmqError::HandshakeTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_a_command_to_a_new_peer_and_a_message_to_an_old_one() {
    for (minor, expected) in [(1, b"\x04\x0d\x09SUBSCRIBEabc".as_slice()), (0, b"\x00\x04\x01abc".as_slice())]
    {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut hello = BytesMut::from(greeting_with(|bytes| bytes[11] = minor).as_slice());
        put_frame(&mut hello, FLAG_COMMAND, &ready(SocketType::Dealer, ""));
        theirs.write_all(&hello).await.unwrap();
        let (_reader, mut writer) = handshake(halves(ours), SocketType::Sub, "me").await.unwrap();
        let mut greeted = vec![0; 64];
        theirs.read_exact(&mut greeted).await.unwrap();
        let mut head = [0; 2];
        theirs.read_exact(&mut head).await.unwrap();
        let mut ready = vec![0; usize::from(head[1])];
        theirs.read_exact(&mut ready).await.unwrap();
        writer.subscribe("abc").await.unwrap();
        let mut sent = vec![0; expected.len()];
        theirs.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn a_ping_is_answered_with_its_own_context() {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let Stream { read: _read, write } = halves(ours);
    let mut writer = Writer { stream: write, minor: 1, buffer: BytesMut::new() };
    writer.pong(b"\x00\x0acontext").await.unwrap();
    let mut answer = [0; 14];
    theirs.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\x04\x0c\x04PONGcontext");
}

fn tcp(endpoint: &zeromq::Endpoint) -> Endpoint {
    let address = endpoint.to_string();
    Endpoint::Tcp(address.trim_start_matches("tcp://").parse().unwrap())
}

async fn dealer(endpoint: &Endpoint) -> (Reader, Writer) {
    let stream = connect(endpoint).await.unwrap();
    handshake(stream, SocketType::Dealer, "dealer-id").await.unwrap()
}

#[tokio::test]
async fn a_router_of_another_implementation_knows_us_by_our_identity_and_answers() {
    let mut router = zeromq::RouterSocket::new();
    let endpoint = tcp(&router.bind("tcp://127.0.0.1:0").await.unwrap());
    let (mut reader, mut writer) = dealer(&endpoint).await;
    let long = Bytes::from(vec![7; 1 << 20]);
    writer.send(&[Bytes::from_static(b"a"), Bytes::new(), long.clone()]).await.unwrap();
    let request = router.recv().await.unwrap();
    let frames: Vec<Bytes> = request.into_vec();
    assert_eq!(frames, [Bytes::from_static(b"dealer-id"), Bytes::from_static(b"a"), Bytes::new(), long]);
    router.send(ZmqMessage::try_from(frames.clone()).unwrap()).await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Incoming::Message(frames[1..].to_vec()));
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_in_the_file_system_is_as_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k-1");
    let mut router = zeromq::RouterSocket::new();
    router.bind(&format!("ipc://{}", path.display())).await.unwrap();
    let (_reader, mut writer) = dealer(&Endpoint::Ipc(path)).await;
    writer.send(&[Bytes::from_static(b"over ipc")]).await.unwrap();
    assert_eq!(router.recv().await.unwrap().into_vec()[1], "over ipc");
}

#[tokio::test]
async fn nothing_published_after_the_subscription_is_lost_and_then_the_end_is_seen() {
    const COUNT: u32 = 20_000;
    let mut publisher = zeromq::XPubSocket::new();
    let endpoint = tcp(&publisher.bind("tcp://127.0.0.1:0").await.unwrap());
    let stream = connect(&endpoint).await.unwrap();
    let (mut reader, mut writer) = handshake(stream, SocketType::Sub, "sub").await.unwrap();
    writer.subscribe("").await.unwrap();
    assert_eq!(publisher.recv().await.unwrap().into_vec(), [Bytes::from_static(b"\x01")]);
    let publishing = tokio::spawn(async move {
        for number in 0..COUNT {
            publisher.send(ZmqMessage::from(Bytes::copy_from_slice(&number.to_be_bytes()))).await.unwrap();
            // Gives the other side its turn: a publisher drops what its own queue cannot hold.
            tokio::task::yield_now().await;
        }
        publisher.close().await
    });
    for number in 0..COUNT {
        let expected = Incoming::Message(vec![Bytes::copy_from_slice(&number.to_be_bytes())]);
        assert_eq!(reader.next().await.unwrap(), expected);
    }
    assert!(matches!(reader.next().await, Err(ZmqError::Closed | ZmqError::Io(_))));
    assert!(publishing.await.unwrap().is_empty());
}

use proptest::prelude::*;

use super::*;

/// What jupyter_client itself puts on the wire; made by `vectors.py`.
#[derive(Deserialize)]
struct Vector {
    name: String,
    key: String,
    frames: Vec<String>,
    msg_type: String,
    parent: Option<String>,
    content: serde_json::Value,
    buffers: Vec<String>,
}

impl Vector {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("vectors.json")).unwrap()
    }

    fn frames(&self) -> Vec<Bytes> {
        self.frames.iter().map(|frame| Bytes::from(unhex(frame.as_bytes()).unwrap())).collect()
    }

    fn session(&self) -> Session {
        Session::new(&self.key)
    }

    fn position_of_delimiter(&self) -> usize {
        self.frames().iter().position(|frame| frame.as_ref() == DELIMITER).unwrap()
    }
}

#[test]
fn what_jupyter_client_sends_is_understood() {
    let vectors = Vector::all();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let message = vector.session().decode(vector.frames()).unwrap();
        assert_eq!(message.header.msg_type, vector.msg_type, "{}", vector.name);
        assert_eq!(message.header.msg_id, "m1");
        assert_eq!(message.header.session, "5e5510");
        assert_eq!(message.header.username, "jovyan");
        assert_eq!(message.parent_msg_id, vector.parent, "{}", vector.name);
        let content: serde_json::Value = serde_json::from_slice(&message.content).unwrap();
        assert_eq!(content, vector.content, "{}", vector.name);
        let buffers: Vec<_> = vector.buffers.iter().map(|text| unhex(text.as_bytes()).unwrap()).collect();
        assert_eq!(message.buffers, buffers, "{}", vector.name);
    }
}

#[test]
fn our_signature_is_that_of_jupyter_client() {
    for vector in Vector::all() {
        let frames = vector.frames();
        let start = vector.position_of_delimiter();
        let signature = vector.session().signer.sign(&frames[start + 2..start + 6]);
        assert_eq!(signature.as_bytes(), frames[start + 1], "{}", vector.name);
    }
}

#[test]
fn one_changed_byte_anywhere_in_a_signed_part_or_the_signature_is_refused() {
    for vector in Vector::all() {
        let start = vector.position_of_delimiter();
        for part in start + 1..start + 6 {
            let original = vector.frames();
            for position in 0..original[part].len() {
                let mut frames = original.clone();
                let mut bytes = frames[part].to_vec();
                bytes[position] ^= 1;
                frames[part] = Bytes::from(bytes);
                assert_eq!(vector.session().decode(frames), Err(WireError::BadSignature), "{}", vector.name);
            }
        }
    }
}

#[test]
fn a_message_without_a_signature_is_refused() {
    let vector = &Vector::all()[0];
    let mut frames = vector.frames();
    frames[1] = Bytes::new();
    assert_eq!(vector.session().decode(frames), Err(WireError::BadSignature));
}

#[test]
fn a_signature_under_another_key_is_refused() {
    let vector = &Vector::all()[0];
    assert_eq!(Session::new("other").decode(vector.frames()), Err(WireError::BadSignature));
}

#[test]
fn a_message_cut_short_after_any_frame_is_an_error() {
    let vector = &Vector::all()[1];
    for length in 0..6 {
        let mut frames = vector.frames();
        frames.truncate(length);
        let error = vector.session().decode(frames).unwrap_err();
        assert!(
            matches!(error, WireError::NoDelimiter { .. } | WireError::Truncated { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn the_same_message_twice_is_two_messages() {
    let vector = &Vector::all()[0];
    let session = vector.session();
    assert_eq!(session.decode(vector.frames()), session.decode(vector.frames()));
}

/// A message signed by us, with any header and parent.
fn signed(session: &Session, header: &str, parent: &str) -> Vec<Bytes> {
    let parts = [header, parent, "{}", "not even JSON"].map(|text| Bytes::from(text.to_owned()));
    let mut frames = vec![Bytes::from_static(DELIMITER), Bytes::from(session.signer.sign(&parts))];
    frames.extend(parts);
    frames
}

#[test]
fn an_odd_field_costs_itself_and_not_the_message() {
    let session = Session::new("k");
    let header =
        r#"{"msg_id": 7, "msg_type": "stream", "date": {"a": []}, "version": null, "extra": [1e999]}"#;
    let message = session.decode(signed(&session, header, "[]")).unwrap();
    assert_eq!(message.header.msg_type, "stream");
    assert_eq!(message.header.msg_id, "");
    assert_eq!(message.parent_msg_id, None);
    assert_eq!(message.content, "not even JSON");
}

#[test]
fn a_header_that_is_no_object_is_an_error() {
    let session = Session::new("k");
    for header in ["", "[", "null", "7", "{\"msg_id\""] {
        assert_eq!(session.decode(signed(&session, header, "{}")), Err(WireError::BadHeader), "{header}");
    }
}

#[test]
fn what_we_send_is_a_message_that_we_understand() {
    let session = Session::new("k");
    let parent = Bytes::from_static(br#"{"msg_id":"asked"}"#);
    let frames = session.encode("id", "input_reply", parent, b"{\"value\":\"\"}".to_vec());
    let message = session.decode(frames).unwrap();
    assert_eq!(message.header.msg_id, "id");
    assert_eq!(message.header.msg_type, "input_reply");
    assert_eq!(message.header.session, session.id);
    assert_eq!(message.parent_msg_id.as_deref(), Some("asked"));
    assert!(message.header.date.ends_with('Z'), "{}", message.header.date);
}

#[test]
fn the_raw_header_of_a_request_is_the_parent_of_its_answer() {
    let session = Session::new("k");
    let frames = session.encode("id", "input_request", Bytes::new(), Vec::new());
    assert_eq!(raw_header(&frames), frames[2]);
    assert_eq!(raw_header(&[]), Bytes::new());
}

proptest! {
    #[test]
    fn no_frames_panic(frames in proptest::collection::vec(
        prop_oneof![Just(DELIMITER.to_vec()), proptest::collection::vec(any::<u8>(), 0..40)], 0..10,
    )) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        raw_header(&frames);
        prop_assert!(Session::new("key").decode(frames).is_err());
    }
}

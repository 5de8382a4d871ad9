//! The Jupyter message format: signing, encoding, decoding.
//!
//! A message on the wire is `[identities…, "<IDS|MSG>", signature, header, parent header, metadata, content, buffers…]`
//! (Jupyter messaging protocol 5.5, "The wire protocol"). Everything a kernel sends is kept as it came: only
//! the header and the parent's id are read, and those leniently, so that one odd field can never cost a message.
//! A message whose signature does not verify is never accepted. No input panics.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::Sha256;

/// What separates the routing identities from the message.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// The protocol version we announce.
const PROTOCOL_VERSION: &str = "5.3";

/// The header of a message a kernel sent. A field that is absent or not a string is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The id of the message.
    #[serde(deserialize_with = "lenient_text")]
    pub msg_id: String,
    /// The type: `stream`, `execute_reply`, …
    #[serde(deserialize_with = "lenient_text")]
    pub msg_type: String,
    /// The session that sent it.
    #[serde(deserialize_with = "lenient_text")]
    pub session: String,
    /// The user that sent it.
    #[serde(deserialize_with = "lenient_text")]
    pub username: String,
    /// When it was sent, in the kernel's own spelling (ISO 8601).
    #[serde(deserialize_with = "lenient_text")]
    pub date: String,
    /// The protocol version of the kernel.
    #[serde(deserialize_with = "lenient_text")]
    pub version: String,
}

/// A verified message from a kernel; everything but the header is raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who, what, when.
    pub header: Header,
    /// The id of the request this answers, if the kernel named one.
    pub parent_msg_id: Option<String>,
    /// The content: raw JSON.
    pub content: Bytes,
    /// The metadata: raw JSON.
    pub metadata: Bytes,
    /// Binary buffers.
    pub buffers: Vec<Bytes>,
}

/// Why bytes from a kernel were not accepted as a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No frame is the delimiter.
    #[error("no delimiter among the {frames} frames of a message")]
    NoDelimiter {
        /// How many frames there were.
        frames: usize,
    },
    /// Fewer than the five frames that must follow the delimiter.
    #[error("message cut short: {frames} of 5 frames after the delimiter")]
    Truncated {
        /// How many frames followed it.
        frames: usize,
    },
    /// The signature is not that of the message under our key.
    #[error("message with a wrong signature")]
    BadSignature,
    /// The header is not a JSON object.
    #[error("message with an unreadable header")]
    BadHeader,
}

/// Signs and verifies with HMAC-SHA256; verification takes the same time whatever differs.
#[derive(Clone)]
pub(crate) struct Signer {
    /// The keyed, empty state, cloned for each message: keying costs two hash blocks.
    keyed: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(key: &str) -> Self {
        let keyed = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
        Self { keyed }
    }

    fn mac(&self, parts: &[Bytes]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }

    fn sign(&self, parts: &[Bytes]) -> String {
        let digest = self.mac(parts).finalize().into_bytes();
        let mut text = String::with_capacity(64);
        for byte in digest {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a hex digit"));
            }
        }
        text
    }

    fn verifies(&self, parts: &[Bytes], signature: &[u8]) -> bool {
        unhex(signature).is_some_and(|digest| self.mac(parts).verify_slice(&digest).is_ok())
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// Who we are on the wire: fixed for the life of a kernel.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) signer: Signer,
}

#[derive(Serialize)]
struct OutgoingHeader<'a> {
    msg_id: &'a str,
    msg_type: &'a str,
    session: &'a str,
    username: &'static str,
    date: String,
    version: &'static str,
}

impl Session {
    pub(crate) fn new(key: &str) -> Self {
        Self { id: fresh_id(), signer: Signer::new(key) }
    }

    /// The frames of a request of ours; `parent` is the raw parent header of an answer, empty else.
    pub(crate) fn encode(&self, msg_id: &str, msg_type: &str, parent: Bytes, content: Vec<u8>) -> Vec<Bytes> {
        let header = OutgoingHeader {
            msg_id,
            msg_type,
            session: &self.id,
            username: "rnbexec",
            // Some kernels read no finer fractions than microseconds.
            date: format!("{:.6}", jiff::Timestamp::now()),
            version: PROTOCOL_VERSION,
        };
        let header = serde_json::to_vec(&header).expect("a struct of strings is JSON");
        let parent = if parent.is_empty() { Bytes::from_static(b"{}") } else { parent };
        let parts = [Bytes::from(header), parent, Bytes::from_static(b"{}"), Bytes::from(content)];
        let mut frames = vec![Bytes::from_static(DELIMITER), Bytes::from(self.signer.sign(&parts))];
        frames.extend(parts);
        frames
    }

    /// The message that `frames` hold, if it is whole and signed with our key.
    pub(crate) fn decode(&self, mut frames: Vec<Bytes>) -> Result<Message, WireError> {
        let count = frames.len();
        let start = frames
            .iter()
            .position(|frame| frame.as_ref() == DELIMITER)
            .ok_or(WireError::NoDelimiter { frames: count })?;
        let rest = frames.get(start + 1..).unwrap_or_default();
        let [signature, signed @ ..] = rest else {
            return Err(WireError::Truncated { frames: 0 });
        };
        let Some(parts @ [header, parent, metadata, content]) = signed.get(..4) else {
            return Err(WireError::Truncated { frames: rest.len() });
        };
        if !self.signer.verifies(parts, signature) {
            return Err(WireError::BadSignature);
        }
        let header = serde_json::from_slice(header).map_err(|_| WireError::BadHeader)?;
        let parent_msg_id = serde_json::from_slice::<Header>(parent)
            .ok()
            .map(|parent| parent.msg_id)
            .filter(|id| !id.is_empty());
        let (metadata, content) = (metadata.clone(), content.clone());
        let buffers = frames.split_off(start + 6);
        Ok(Message { header, parent_msg_id, content, metadata, buffers })
    }
}

/// A message id that nobody has used before.
pub(crate) fn fresh_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The raw header of a message, for answers that must name it as their parent.
pub(crate) fn raw_header(frames: &[Bytes]) -> Bytes {
    let start = frames.iter().position(|frame| frame.as_ref() == DELIMITER);
    start.and_then(|start| frames.get(start + 2)).cloned().unwrap_or_default()
}

fn lenient_text<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(input)? {
        serde_json::Value::String(text) => text,
        _ => String::new(),
    })
}

#[cfg(test)]
mod tests;

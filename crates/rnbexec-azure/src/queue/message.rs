//! What a message in the queue means: which incident, however it was put there.
//!
//! A Logic App, an automation rule, Event Grid or a person puts it, plain or in base64 (some of them encode what was encoded
//! already), alone or in JSON. All of that is read; nothing is guessed.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use uuid::Uuid;

use crate::sentinel::IncidentRef;

/// How often a text may have been put into base64.
const MOST_LAYERS: usize = 2;

/// With its hyphens.
const GUID_LENGTH: usize = 36;

/// How much of an unreadable text is shown.
const SHOWN: usize = 80;

const EITHER_WAY: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    // Some encoders leave rubbish in the last bits.
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_WAY);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_WAY);

/// Reads the text of a message.
#[derive(Debug)]
pub enum IncidentMessage {}

impl IncidentMessage {
    /// The incident that `text` means: an ARM id, GUID, number or portal URL, alone, as a JSON string, or in a JSON object as
    /// `incidentArmId`, `object.id` or `id` (in any case), all of it plain or in base64. A name that is no GUID is taken where
    /// it cannot be something else: in an id, in JSON, or alone if it has a digit and is no text in base64.
    pub fn parse(text: &str) -> Result<IncidentRef, UnreadableMessage> {
        read(text).or_else(|| other_name(text)).ok_or_else(|| UnreadableMessage::new(text))
    }
}

/// A message that means no incident. It shows the beginning of the text, without anything a terminal would obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableMessage {
    excerpt: String,
}

impl UnreadableMessage {
    fn new(text: &str) -> Self {
        Self { excerpt: excerpt(text) }
    }
}

impl fmt::Display for UnreadableMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the message means no incident: expected an incident's ARM id, GUID, number or portal URL, or JSON with \
             incidentArmId, object.id or id, plain or in base64, but got \"{}\"",
            self.excerpt
        )
    }
}

impl std::error::Error for UnreadableMessage {}

fn read(text: &str) -> Option<IncidentRef> {
    let mut readings = vec![text.to_owned()];
    for layer in 0..=MOST_LAYERS {
        if let Some(found) = readings.iter().find_map(|text| read_plain(text)) {
            return Some(found);
        }
        if layer < MOST_LAYERS {
            readings = readings.iter().flat_map(|text| decodings(unquoted(text).as_ref())).collect();
        }
    }
    None
}

fn read_plain(text: &str) -> Option<IncidentRef> {
    let text = unquoted(text);
    let text = trimmed(&text);
    if text.starts_with('{') {
        return in_object(&serde_json::from_str(text).ok()?);
    }
    incident(text).filter(is_unmistakable)
}

fn incident(text: &str) -> Option<IncidentRef> {
    IncidentRef::parse(text).ok()
}

/// Almost any base64 would do as a name.
fn is_unmistakable(reference: &IncidentRef) -> bool {
    match reference {
        IncidentRef::Name(name) => {
            Uuid::try_parse(name.as_str()).is_ok_and(|_| name.as_str().len() == GUID_LENGTH)
        }
        _ => true,
    }
}

fn other_name(text: &str) -> Option<IncidentRef> {
    let text = unquoted(text);
    let text = trimmed(&text);
    let printable = |decoded: &String| decoded.chars().all(|character| matches!(character, ' '..='~'));
    let is_base64 = decodings(text).iter().any(printable);
    let is_name = text.contains(|character: char| character.is_ascii_digit()) && !is_base64;
    incident(text).filter(|_| is_name)
}

/// The most telling key first: `id` alone is also what Event Grid calls its own event.
fn in_object(object: &Value) -> Option<IncidentRef> {
    let candidates = [
        member(object, "incidentArmId"),
        member(object, "object").and_then(|inner| member(inner, "id")),
        member(object, "id"),
    ];
    candidates.into_iter().flatten().find_map(|value| match value {
        Value::String(text) => incident(trimmed(text)),
        Value::Number(number) => number.as_u64().map(IncidentRef::Number),
        _ => None,
    })
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object
        .get(name)
        .or_else(|| object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// What `text` may have been before it was put into base64: the text is UTF-8, or UTF-16 as PowerShell writes it.
fn decodings(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let Ok(bytes) = STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)) else { return Vec::new() };
    let pairs = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let wide = char::decode_utf16(pairs).collect::<Result<String, _>>().ok();
    let wide = wide.filter(|_| bytes.len().is_multiple_of(2));
    [String::from_utf8(bytes).ok(), wide].into_iter().flatten().collect()
}

/// What is in the quotes, if `text` is a JSON string.
fn unquoted(text: &str) -> Cow<'_, str> {
    let text = trimmed(text);
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str(text)
    {
        return Cow::Owned(inner);
    }
    Cow::Borrowed(text)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || matches!(character, '\u{feff}' | '\0'))
}

/// The beginning of `text`, with whatever could move a cursor or turn the reading direction made visible.
fn excerpt(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|character| if is_harmless(character) { character } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests;

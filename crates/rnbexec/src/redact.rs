//! Keeping secret parameters out of everything that leaves the run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rnbexec_notebook::parameters::SecretParameters;
use rnbexec_notebook::{Cell, Json};

/// What stands where a secret stood.
const MASK: &str = "***";

/// The shortest secret, in characters, that is searched for.
const SHORTEST: usize = 4;

/// Replaces the values of secrets: as they are, and as they look in Python's `repr`, JSON, HTML, URLs and base64.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor for the given secrets. Values shorter than four characters are not searched for: masking every `1`
    /// in a notebook would destroy it and hide nothing.
    pub fn new(secrets: &SecretParameters) -> Self {
        let values = secrets.iter().filter_map(|(_, secret)| secret.expose().text());
        let mut needles: Vec<String> = values
            .filter(|value| value.chars().count() >= SHORTEST)
            .flat_map(|value| guises(&value))
            .collect();
        // Longest first, so that a secret which contains another is masked whole.
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        needles.dedup();
        Self { needles }
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text without any secret.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.mask(text, &mut 0)
    }

    /// The text without any secret; `masked` grows by how many there were.
    pub fn mask<'a>(&self, text: &'a str, masked: &mut usize) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        for needle in &self.needles {
            let found = clean.matches(needle.as_str()).count();
            if found > 0 {
                *masked += found;
                clean = clean.replace(needle.as_str(), MASK).into();
            }
        }
        clean
    }

    /// Where the end of a text begins that may be the beginning of a secret whose rest is still to come.
    fn undecided(&self, text: &str) -> usize {
        let begins_here = |start: usize| {
            let end = &text[start..];
            self.needles.iter().any(|needle| needle.len() > end.len() && needle.starts_with(end))
        };
        let longest = self.needles.first().map_or(0, String::len);
        let near =
            text.char_indices().map(|(start, _)| start).skip_while(|start| text.len() - start >= longest);
        near.into_iter().find(|&start| begins_here(start)).unwrap_or(text.len())
    }

    /// Takes every secret out of a cell's outputs, and has those written that are whole.
    pub(crate) fn settle_outputs(&self, cell: &mut Cell) {
        if cell.recording().is_some() {
            // A secret whose end is still to come begins no earlier than this.
            let kept = self.needles.first().map_or(0, |longest| longest.len() - 1);
            cell.record().settle(kept, &mut |value| self.redact(value));
        } else if !self.is_empty() && !cell.outputs().is_empty() {
            cell.outputs_mut().iter_mut().for_each(|output| self.redact(output));
        }
    }

    /// Takes every secret out of a JSON value, keys included.
    pub(crate) fn redact(&self, json: &mut Json) {
        if self.is_empty() {
            return;
        }
        match json {
            Json::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Json::Object(object) => {
                if object.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    *object = std::mem::take(object)
                        .into_iter()
                        .map(|(key, value)| (self.text(&key).into_owned(), value))
                        .collect();
                }
                object.values_mut().for_each(|value| self.redact(value));
            }
            // Rather no lone surrogates than a secret.
            Json::IllFormed(text) => {
                if let Cow::Owned(clean) = self.text(&text.to_string_lossy()) {
                    *json = Json::String(clean);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
}

/// Shows how many there are, and none of them.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms of secrets)", self.needles.len())
    }
}

/// The forms in which a value turns up in outputs.
fn guises(value: &str) -> Vec<String> {
    let json = Json::from(value).to_compact();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut guises = vec![
        value.to_owned(),
        ascii(&json),
        json,
        // Python writes single quotes around a text unless it holds one and no double quote.
        escaped.replace('\'', "\\'"),
        escaped,
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#39;"),
        html,
    ];
    guises.extend(percent_encoded(value));
    guises.extend(base64_within(value.as_bytes()));
    guises
}

/// JSON with everything beyond ASCII as `\uXXXX`, as Python's `json.dumps` writes it.
fn ascii(json: &str) -> String {
    let unit = |unit: &u16| format!("\\u{unit:04x}");
    let character = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(unit).collect(),
    };
    json.chars().map(character).collect()
}

/// As parts of URLs have it: with everything encoded or with slashes left alone (Python's `urllib.parse.quote`), with a blank as
/// `+` (forms), in capitals or not (.NET).
fn percent_encoded(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for (safe, small) in [("", false), ("/", false), ("", true), ("/", true)] {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
            byte if safe.as_bytes().contains(&byte) => char::from(byte).to_string(),
            byte if small => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        };
        let encoded: String = value.bytes().map(byte).collect();
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded);
    }
    forms
}

/// The characters of base64 that the value alone decides, at each of the three places it can have in a longer text
/// (`user:password` in a header, say), in the alphabets of MIME and of URLs.
fn base64_within(value: &[u8]) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let mut found = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        // Characters that neighbours share are left out: the first `before + 1` of them, and a last partial group.
        let first = if before == 0 { 0 } else { before + 1 };
        let whole = bytes.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            if let Some(part) = text.get(first..whole).filter(|part| part.len() >= 2 * SHORTEST) {
                found.push(part.to_owned());
            }
        }
    }
    found
}

/// The streams of a cell as they are told live, message by message: what may be half a secret is kept back until the next
/// message of the stream, or the end of the cell, decides.
#[derive(Debug, Default)]
pub(crate) struct LiveStreams(BTreeMap<(usize, String), String>);

impl LiveStreams {
    /// What can be told of a stream now that `text` has come.
    pub(crate) fn next<'a>(
        &mut self,
        redactor: &Redactor,
        cell: usize,
        name: &str,
        text: &'a str,
    ) -> Cow<'a, str> {
        if redactor.is_empty() {
            return Cow::Borrowed(text);
        }
        let kept = self.0.entry((cell, name.to_owned())).or_default();
        kept.push_str(text);
        let rest = kept.split_off(redactor.undecided(kept));
        Cow::Owned(redactor.text(&std::mem::replace(kept, rest)).into_owned())
    }

    /// What was kept back to the end: `(cell, stream, text)`.
    pub(crate) fn finish(&mut self, redactor: &Redactor) -> Vec<(usize, String, String)> {
        let kept = std::mem::take(&mut self.0).into_iter().filter(|(_, text)| !text.is_empty());
        kept.map(|((cell, name), text)| (cell, name, redactor.text(&text).into_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use rnbexec_notebook::parameters::Secret;

    use super::*;

    fn redactor(value: &str) -> Redactor {
        let mut secrets = SecretParameters::new();
        secrets.insert("token", Secret::new(value));
        Redactor::new(&secrets)
    }

    #[test]
    fn a_secret_is_masked_in_every_guise() {
        let redactor = redactor("s3cr3t-\"va<l>ue'\\ü\n&x");
        for text in [
            "s3cr3t-\"va<l>ue'\\ü\n&x",
            r#"s3cr3t-\"va<l>ue'\\ü\n&x"#,
            r#"s3cr3t-\"va<l>ue'\\\u00fc\n&x"#,
            r#"s3cr3t-"va<l>ue\'\\ü\n&x"#,
            "s3cr3t-&quot;va&lt;l&gt;ue&#x27;\\ü\n&amp;x",
            "s3cr3t-%22va%3Cl%3Eue%27%5C%C3%BC%0A%26x",
            "s3cr3t-%22va%3cl%3eue%27%5c%c3%bc%0a%26x",
            "s3cr3t-&#34;va&lt;l&gt;ue&#39;\\ü\n&amp;x",
        ] {
            assert_eq!(redactor.text(&format!("<{text}>")), "<***>", "{text}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_base64_wherever_it_begins() {
        use base64::Engine as _;
        let redactor = redactor("correct horse battery");
        for around in ["", "u", "us", "user:"] {
            let plain = format!("{around}correct horse battery{around}");
            let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
            assert!(redactor.text(&encoded).contains("***"), "{encoded}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_urls_whether_slashes_and_blanks_are_encoded_or_not() {
        let redactor = redactor("a/b c+d==");
        for text in ["a%2Fb%20c%2Bd%3D%3D", "a%2fb+c%2bd%3d%3d", "a/b%20c%2Bd%3D%3D", "a/b+c%2Bd%3D%3D"] {
            assert_eq!(redactor.text(text), "***", "{text}");
        }
    }

    #[test]
    fn a_redactor_shows_no_secret() {
        assert!(!format!("{:?}", redactor("s3cr3t")).contains("s3cr3t"));
    }

    #[test]
    fn what_is_masked_is_counted() {
        let mut masked = 0;
        redactor("s3cr3t").mask("s3cr3t, s3cr3t and czNjcjN0", &mut masked);
        assert_eq!(masked, 3);
    }

    #[test]
    fn short_values_are_left_alone_and_cells_without_outputs_stay_as_they_are() {
        let redactor = redactor("abc");
        assert!(redactor.is_empty());
        let mut cell = Cell::markdown("id", "text");
        let before = cell.clone();
        self::redactor("secret").settle_outputs(&mut cell);
        assert_eq!(rnbexec_notebook::write_cell(&cell), rnbexec_notebook::write_cell(&before));
    }

    #[test]
    fn a_secret_beside_a_lone_surrogate_is_masked() {
        let mut json = Json::parse(br#"["\ud800 my secret", "\ud800"]"#).unwrap();
        redactor("secret").redact(&mut json);
        assert_eq!(json.to_compact(), "[\"\u{fffd} my ***\",\"\\ud800\"]");
    }

    #[test]
    fn keys_and_nested_values_are_masked() {
        let mut json = Json::parse(br#"{"a secret": ["my secret", {"k": "secret"}], "n": 1}"#).unwrap();
        redactor("secret").redact(&mut json);
        assert_eq!(json.to_compact(), r#"{"a ***":["my ***",{"k":"***"}],"n":1}"#);
    }

    #[test]
    fn a_secret_that_is_split_over_messages_is_masked_in_the_live_streams() {
        let redactor = redactor("s3cr3t");
        let mut live = LiveStreams::default();
        let mut tell = |text: &str| live.next(&redactor, 0, "stdout", text).into_owned();
        assert_eq!(tell("plain s"), "plain ");
        assert_eq!(tell("3cr"), "");
        assert_eq!(tell("3t and s3x"), "*** and s3x");
        assert_eq!(tell(" é s"), " é ");
        assert_eq!(live.finish(&redactor), [(0, "stdout".to_owned(), "s".to_owned())]);
        assert!(live.finish(&redactor).is_empty());
    }
}

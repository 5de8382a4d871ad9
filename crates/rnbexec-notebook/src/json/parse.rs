//! Parsing JSON as Python's `json.loads` does, without recursion.

use std::fmt;

use memchr::{memchr_iter, memchr2};

use super::ill_formed::{Builder, key_to_stored};
use super::number::{Number, spelled_length};
use super::{Json, Object, position};

/// How deep arrays and objects may be nested. Python's own parser gives up at about the same depth.
pub const MAX_DEPTH: usize = 1024;

/// How deep they may be nested in a whole notebook: a value of [`MAX_DEPTH`] levels that becomes an output, or a parameter,
/// stands a few levels down, and what we write we must be able to read.
pub(crate) const MAX_NOTEBOOK_DEPTH: usize = MAX_DEPTH + 32;

/// A parsed document, and what was read in it although JSON does not allow or advise it.
#[derive(Debug)]
pub(crate) struct ParsedJson {
    /// The document.
    pub(crate) value: Json,
    /// What was odd, in order of appearance.
    pub(crate) notes: Vec<Note>,
}

/// Something in the text that was read although JSON does not allow or advise it. Repetitions of one kind within one
/// element of a top-level member (for a notebook: within one cell) are one note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// What it was.
    pub(crate) kind: NoteKind,
    /// Where: the first steps from the root to the value, at most two (for a notebook: `cells`, and the index of the cell).
    pub(crate) path: Vec<PathStep>,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// One step from a value to one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// Into the member of that name.
    Key(String),
    /// Into the element at that index.
    Index(usize),
}

/// What was odd about a text that could still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// The text starts with a byte order mark.
    ByteOrderMark,
    /// The object has this key more than once; the last one is kept.
    DuplicateKey(String),
    /// `NaN`, `Infinity` or `-Infinity` stands where JSON has no word for it.
    NonFinite(&'static str),
    /// A string holds half of a surrogate pair.
    LoneSurrogate,
}

/// Why a text is not JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {line} column {column}")]
pub struct JsonError {
    /// What was wrong.
    pub kind: JsonErrorKind,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// What was wrong with a text that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// There is nothing but white space.
    Empty,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text ends too early. Names what was being read.
    Truncated(&'static str),
    /// Something else stands there. Names what could have stood there, and what was found.
    Expected(&'static str, char),
    /// A control character stands in a string; JSON wants it escaped.
    ControlCharacter(char),
    /// A backslash in a string is followed by something that is no escape.
    Escape,
    /// Arrays and objects are nested deeper than this many levels.
    TooDeep(usize),
    /// Something follows the document.
    TrailingText,
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the text is empty"),
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::Truncated(what) => write!(f, "the text ends in the middle of {what}"),
            Self::Expected(what, found) => write!(f, "expected {what}, found {found:?}"),
            Self::ControlCharacter(found) => write!(f, "unescaped control character {found:?} in a string"),
            Self::Escape => f.write_str("invalid escape in a string"),
            Self::TooDeep(limit) => write!(f, "nested deeper than {limit} levels"),
            Self::TrailingText => f.write_str("text after the end of the document"),
        }
    }
}

/// What is done with each element of the root's member `cells` as soon as it is read: a whole notebook in its rawest form can be
/// several times as large as its text.
pub(super) type OnCell = fn(&mut Json);

pub(super) fn parse(bytes: &[u8], max_depth: usize, on_cell: OnCell) -> Result<ParsedJson, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| error_at(bytes, error.valid_up_to(), JsonErrorKind::NotUtf8))?;
    let mut parser = Parser { text, at: 0, max_depth, on_cell, stack: Vec::new(), notes: Vec::new() };
    parser.document().map_err(|kind| error_at(bytes, parser.at, kind)).map(|value| {
        let mut notes = parser.notes;
        count_lines(bytes, &mut notes);
        ParsedJson { value, notes }
    })
}

/// The error for a byte offset. Counting lines only now keeps it out of the parser.
fn error_at(bytes: &[u8], at: usize, kind: JsonErrorKind) -> JsonError {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    JsonError { kind, line: memchr_iter(b'\n', before).count() + 1, column }
}

/// Turns the byte offsets that the parser left in `line` into line numbers, in one pass.
fn count_lines(bytes: &[u8], notes: &mut [Note]) {
    let (mut line, mut counted) = (1, 0);
    for note in notes {
        line += memchr_iter(b'\n', &bytes[counted..note.line]).count();
        counted = note.line;
        note.line = line;
    }
}

/// An array or object that is still open.
enum Open {
    Array(Vec<Json>),
    /// With the key of the member that is being read.
    Object(Object, String),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
    on_cell: OnCell,
    stack: Vec<Open>,
    notes: Vec<Note>,
}

type Step<T> = Result<T, JsonErrorKind>;

impl Parser<'_> {
    fn document(&mut self) -> Step<Json> {
        if self.text.starts_with('\u{FEFF}') {
            self.note(NoteKind::ByteOrderMark);
            self.at = '\u{FEFF}'.len_utf8();
        }
        if self.peek().is_none() {
            return Err(JsonErrorKind::Empty);
        }
        let value = loop {
            // Either a whole value, or one more level down.
            let Some(value) = self.value()? else { continue };
            if let Some(document) = self.close(value)? {
                break document;
            }
        };
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(JsonErrorKind::TrailingText),
        }
    }

    /// Reads a value, or opens an array or object that is not empty.
    fn value(&mut self) -> Step<Option<Json>> {
        let value = match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{') => {
                self.open()?;
                if self.peek() != Some(b'}') {
                    let key = self.key()?;
                    self.stack.push(Open::Object(Object::new(), key));
                    return Ok(None);
                }
                self.at += 1;
                Json::Object(Object::new())
            }
            Some(b'[') => {
                self.open()?;
                if self.peek() != Some(b']') {
                    self.stack.push(Open::Array(Vec::new()));
                    return Ok(None);
                }
                self.at += 1;
                Json::Array(Vec::new())
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Json::Bool(true))?,
            Some(b'f') => self.word("false", Json::Bool(false))?,
            Some(b'n') => self.word("null", Json::Null)?,
            Some(b'N') => self.non_finite("NaN")?,
            Some(b'I') => self.non_finite("Infinity")?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Some(value))
    }

    fn open(&mut self) -> Step<()> {
        if self.stack.len() >= self.max_depth {
            return Err(JsonErrorKind::TooDeep(self.max_depth));
        }
        self.at += 1;
        Ok(())
    }

    /// Puts a complete value where it belongs and closes all that ends with it. Returns the document once that is complete.
    fn close(&mut self, mut value: Json) -> Step<Option<Json>> {
        loop {
            let next = self.peek();
            if let [Open::Object(_, key), Open::Array(_)] = &self.stack[..]
                && key == "cells"
            {
                (self.on_cell)(&mut value);
            }
            let Some(open) = self.stack.last_mut() else {
                return Ok(Some(value));
            };
            match open {
                Open::Array(items) => {
                    items.push(value);
                    match next {
                        Some(b',') => {
                            self.at += 1;
                            return Ok(None);
                        }
                        Some(b']') => {}
                        _ => return Err(self.unexpected("`,` or `]` in an array")),
                    }
                }
                Open::Object(members, key) => {
                    let key = std::mem::take(key);
                    // Only the rare duplicate pays for a copy of its key.
                    if let Some(earlier) = members.get_mut(&key) {
                        *earlier = value;
                        self.note(NoteKind::DuplicateKey(key));
                    } else {
                        members.insert(key, value);
                    }
                    match next {
                        Some(b',') => {
                            self.at += 1;
                            let next_key = self.key()?;
                            if let Some(Open::Object(_, key)) = self.stack.last_mut() {
                                *key = next_key;
                            }
                            return Ok(None);
                        }
                        Some(b'}') => {}
                        _ => return Err(self.unexpected("`,` or `}` in an object")),
                    }
                }
            }
            self.at += 1;
            value = match self.stack.pop().expect("it is the innermost one, looked at above") {
                Open::Array(items) => Json::Array(items),
                Open::Object(members, _) => Json::Object(members),
            };
        }
    }

    fn key(&mut self) -> Step<String> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:` after a key"));
        }
        self.at += 1;
        Ok(key_to_stored(key))
    }

    fn string(&mut self) -> Step<Json> {
        self.at += 1;
        let start = self.at;
        let mut built = None;
        let mut run_start = start;
        loop {
            let rest = &self.text.as_bytes()[run_start..];
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(JsonErrorKind::Truncated("a string"));
            };
            if let Some(control) = position(&rest[..length], 0, |byte| byte < 0x20) {
                self.at = run_start + control;
                return Err(JsonErrorKind::ControlCharacter(char::from(rest[control])));
            }
            let run = &self.text[run_start..run_start + length];
            self.at = run_start + length;
            if rest[length] == b'"' {
                self.at += 1;
                return Ok(match built {
                    None => Json::String(run.to_owned()),
                    Some(mut built) => {
                        Builder::push_str(&mut built, run);
                        built.finish()
                    }
                });
            }
            let built = built.get_or_insert_with(|| Builder::Well(String::with_capacity(length + 16)));
            built.push_str(run);
            self.escape(built)?;
            run_start = self.at;
        }
    }

    /// Reads one escape; the parser stands at its backslash.
    fn escape(&mut self, built: &mut Builder) -> Step<()> {
        let Some(&letter) = self.text.as_bytes().get(self.at + 1) else {
            return Err(JsonErrorKind::Truncated("a string"));
        };
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(built),
            _ => return Err(JsonErrorKind::Escape),
        };
        built.push_char(character);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, built: &mut Builder) -> Step<()> {
        let unit = self.hex_unit(self.at).ok_or(JsonErrorKind::Escape)?;
        let next = match unit {
            0xD800..0xDC00 => self.hex_unit(self.at + 6).filter(|next| (0xDC00..0xE000).contains(next)),
            _ => None,
        };
        self.at += if next.is_some() { 12 } else { 6 };
        if let Some(Ok(character)) = char::decode_utf16(std::iter::once(unit).chain(next)).next() {
            built.push_char(character);
        } else {
            built.push_surrogate(unit);
            self.note(NoteKind::LoneSurrogate);
        }
        Ok(())
    }

    /// The code unit of an escape `\uXXXX` that starts there.
    fn hex_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, &digit| {
            let value = char::from(digit).to_digit(16)?;
            Some(unit << 4 | u16::try_from(value).ok()?)
        })
    }

    fn number(&mut self) -> Step<Json> {
        let rest = &self.text[self.at..];
        if rest.starts_with("-I") {
            return self.non_finite("-Infinity");
        }
        let Some(length) = spelled_length(rest.as_bytes()) else {
            self.at += 1;
            return Err(self.unexpected_here("a digit"));
        };
        self.at += length;
        Ok(Json::Number(Number::from_checked(&rest[..length])))
    }

    fn non_finite(&mut self, word: &'static str) -> Step<Json> {
        let value = self.word(word, Json::Number(Number::from_checked(word)))?;
        self.note(NoteKind::NonFinite(word));
        Ok(value)
    }

    fn word(&mut self, word: &'static str, value: Json) -> Step<Json> {
        let rest = &self.text[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        if word.starts_with(rest) {
            self.at = self.text.len();
            return Err(JsonErrorKind::Truncated("a word"));
        }
        Err(self.unexpected("a value"))
    }

    /// The next byte that is not white space; the parser stands at it.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn unexpected(&mut self, wanted: &'static str) -> JsonErrorKind {
        self.peek();
        self.unexpected_here(wanted)
    }

    fn unexpected_here(&self, wanted: &'static str) -> JsonErrorKind {
        match self.text[self.at..].chars().next() {
            Some(found) => JsonErrorKind::Expected(wanted, found),
            None => JsonErrorKind::Truncated(match self.stack.last() {
                Some(Open::Array(_)) => "an array",
                Some(Open::Object(..)) => "an object",
                None => "a value",
            }),
        }
    }

    fn note(&mut self, kind: NoteKind) {
        let path: Vec<PathStep> = self
            .stack
            .iter()
            .take(2)
            .map(|open| match open {
                Open::Array(items) => PathStep::Index(items.len()),
                Open::Object(_, key) => PathStep::Key(key.clone()),
            })
            .collect();
        if !self.notes.iter().rev().take(4).any(|note| note.kind == kind && note.path == path) {
            // The offset for now; lines are counted once, at the end.
            self.notes.push(Note { kind, path, line: self.at });
        }
    }
}

//! The lossless JSON tree that everything in a notebook is made of.
//!
//! What a general JSON value loses and a notebook may hold is kept here: the spelling of every number (`2.50`, `1e5`, an
//! integer of 40 digits), strings with lone surrogates (Python writes them as `\ud83d`), and Python's `NaN`, `Infinity`
//! and `-Infinity`, which `json.dumps` emits although JSON has no word for them. What is written is always valid JSON: the
//! three non-finite numbers are written as the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
//!
//! Invariants: no input panics or exhausts the stack ([`MAX_DEPTH`] bounds the nesting, so that dropping, cloning,
//! comparing and writing a parsed tree are bounded too); parsing and writing are linear in the size of the text.

pub(crate) mod ill_formed;
mod number;
mod parse;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::borrow::Cow;

pub use ill_formed::IllFormed;
pub use number::Number;
pub use parse::{JsonError, JsonErrorKind, MAX_DEPTH};
pub(crate) use parse::{Note, NoteKind, ParsedJson, PathStep};

/// A JSON object. Keeps the order of insertion; the order is sorted only when it is written.
///
/// A key that holds lone surrogates (no Rust string can) is stored in an escaped form that no well-formed key can
/// take, and written back as it was.
pub type Object = indexmap::IndexMap<String, Json>;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number in its own spelling.
    Number(Number),
    /// A string.
    String(String),
    /// A string that holds lone surrogates, and so is not Unicode text.
    IllFormed(IllFormed),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

impl Json {
    /// Parses one JSON document, tolerantly: a byte order mark, `NaN`, `Infinity` and `-Infinity`, lone surrogates and
    /// duplicate keys (the last one wins) are accepted in silence.
    ///
    /// # Errors
    /// The text is not UTF-8, not JSON, or nested deeper than [`MAX_DEPTH`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        parse::parse(bytes, MAX_DEPTH, |_| {}).map(|parsed| parsed.value)
    }

    /// Parses a whole notebook, which may be nested a little deeper than the values in it, and says what was read although
    /// JSON does not allow or advise it. `on_cell` gets each element of `cells` as soon as it is read.
    pub(crate) fn parse_notebook(bytes: &[u8], on_cell: fn(&mut Json)) -> Result<ParsedJson, JsonError> {
        parse::parse(bytes, parse::MAX_NOTEBOOK_DEPTH, on_cell)
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The integer, if this is a number spelled as an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The nearest float, if this is a number.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// The string, if this is a well-formed one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string, if this is one; lone surrogates are replaced by U+FFFD.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::String(text) => Some(Cow::Borrowed(text)),
            Self::IllFormed(text) => Some(Cow::Owned(text.to_string_lossy())),
            _ => None,
        }
    }

    /// Whether this is a string, well-formed or not.
    pub fn is_string(&self) -> bool {
        matches!(self, Self::String(_) | Self::IllFormed(_))
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&Vec<Json>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Json>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member of that name, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object().and_then(|members| members.get(key))
    }

    /// The member of that name, if this is an object that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.as_object_mut().and_then(|members| members.get_mut(key))
    }

    /// What kind of value this is, as a message names it: `a string`, `an object`, `null`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) | Self::IllFormed(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The value on one line, without spaces, keys in their order of insertion.
    pub fn to_compact(&self) -> String {
        let mut out = Vec::new();
        write::compact(self, &mut out);
        String::from_utf8(out).expect("the writer copies UTF-8 and adds ASCII")
    }

    /// Appends the bytes of Python's `json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)`, as they stand
    /// inside a document at the given depth: `depth` spaces before a closing bracket, one more before a member.
    pub fn write_pretty(&self, out: &mut Vec<u8>, depth: usize) {
        write::pretty(self, out, depth);
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Number> for Json {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Number(Number::from(value))
    }
}

/// Spelled as Python's `repr` spells it.
impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Number(Number::from_f64(value))
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<IllFormed> for Json {
    fn from(value: IllFormed) -> Self {
        Self::IllFormed(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(value: Vec<Json>) -> Self {
        Self::Array(value)
    }
}

impl From<Object> for Json {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}

/// `None` is `null`.
impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<K: Into<String>, V: Into<Json>> FromIterator<(K, V)> for Json {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// How many bytes [`position`] looks at together: long runs of plain text (images, logs) are skipped quickly.
const STRIDE: usize = 64;

/// The first position, from `start` on, of such a byte.
pub(crate) fn position(bytes: &[u8], start: usize, such: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = start;
    for stride in bytes.get(start..)?.chunks(STRIDE) {
        // Without an early exit, so that the compiler can look at many bytes at once.
        if stride.iter().fold(0, |any, &byte| any | u8::from(such(byte))) != 0 {
            return stride.iter().position(|&byte| such(byte)).map(|offset| at + offset);
        }
        at += stride.len();
    }
    None
}

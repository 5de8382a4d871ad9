//! Strings with lone surrogates.
//!
//! JSON can spell half of a surrogate pair (`"\ud83d"`), Python keeps it, and a Rust string cannot. Such a string is kept
//! in WTF-8: UTF-8 in which a surrogate is encoded as if it were a character.

use std::fmt;

/// A JSON string that holds at least one lone surrogate. It is written back with the escapes it was read with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IllFormed {
    wtf8: Box<[u8]>,
}

impl IllFormed {
    /// The text with U+FFFD in place of each lone surrogate.
    pub fn to_string_lossy(&self) -> String {
        let mut text = String::with_capacity(self.wtf8.len());
        for piece in pieces(&self.wtf8) {
            match piece {
                Piece::Text(run) => text.push_str(run),
                Piece::Surrogate(_) => text.push(char::REPLACEMENT_CHARACTER),
            }
        }
        text
    }

    /// The bytes in WTF-8, whose order is the order of code points.
    pub(crate) fn as_wtf8(&self) -> &[u8] {
        &self.wtf8
    }
}

impl fmt::Debug for IllFormed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for piece in pieces(&self.wtf8) {
            match piece {
                Piece::Text(run) => write!(f, "{}", run.escape_debug())?,
                Piece::Surrogate(unit) => write!(f, "\\u{unit:04x}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A part of WTF-8 text.
pub(crate) enum Piece<'a> {
    /// A run of well-formed text.
    Text(&'a str),
    /// One lone surrogate.
    Surrogate(u16),
}

/// The parts of WTF-8 text, in order.
pub(crate) fn pieces(wtf8: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = wtf8;
    let mut surrogate = None;
    std::iter::from_fn(move || {
        if let Some(unit) = surrogate.take() {
            return Some(Piece::Surrogate(unit));
        }
        // A surrogate is the one byte sequence of WTF-8 that UTF-8 does not have: ED, A0..BF, 80..BF.
        let run = match std::str::from_utf8(rest) {
            Ok(run) => {
                rest = &[];
                run
            }
            Err(error) => {
                let (run, after) = rest.split_at(error.valid_up_to());
                if let [0xED, second, third, tail @ ..] = after {
                    surrogate = Some(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F));
                    rest = tail;
                } else {
                    rest = &[];
                }
                std::str::from_utf8(run).expect("valid up to here")
            }
        };
        if run.is_empty() { surrogate.take().map(Piece::Surrogate) } else { Some(Piece::Text(run)) }
    })
}

/// Builds a string of which it is not known whether it will be well-formed.
#[derive(Debug)]
pub(crate) enum Builder {
    Well(String),
    Ill(Vec<u8>),
}

impl Builder {
    pub(crate) fn push_str(&mut self, run: &str) {
        match self {
            Self::Well(text) => text.push_str(run),
            Self::Ill(wtf8) => wtf8.extend_from_slice(run.as_bytes()),
        }
    }

    pub(crate) fn push_char(&mut self, character: char) {
        match self {
            Self::Well(text) => text.push(character),
            Self::Ill(wtf8) => wtf8.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Adds a surrogate that has no partner in the text that follows.
    pub(crate) fn push_surrogate(&mut self, unit: u16) {
        if let Self::Well(text) = self {
            *self = Self::Ill(std::mem::take(text).into_bytes());
        }
        if let Self::Ill(wtf8) = self {
            let low_six = |bits: u16| 0x80 | u8::try_from(bits & 0x3F).expect("six bits");
            wtf8.extend_from_slice(&[0xED, low_six(unit >> 6), low_six(unit)]);
        }
    }

    /// Adds WTF-8 text. Two halves of a pair that meet here become the character they mean.
    pub(crate) fn push_wtf8(&mut self, wtf8: &[u8]) {
        for piece in pieces(wtf8) {
            match piece {
                Piece::Text(run) => self.push_str(run),
                Piece::Surrogate(unit) => self.join_surrogate(unit),
            }
        }
    }

    fn join_surrogate(&mut self, unit: u16) {
        if let Self::Ill(wtf8) = self
            && let [.., 0xED, second @ 0xA0..=0xAF, third] = wtf8[..]
            && (0xDC00..0xE000).contains(&unit)
        {
            let high = 0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F);
            wtf8.truncate(wtf8.len() - 3);
            let character = char::decode_utf16([high, unit]).next().and_then(Result::ok);
            self.push_char(character.expect("a high and a low surrogate are a pair"));
            return;
        }
        self.push_surrogate(unit);
    }

    pub(crate) fn finish(self) -> super::Json {
        match self {
            Self::Well(text) => super::Json::String(text),
            Self::Ill(wtf8) => match String::from_utf8(wtf8) {
                Ok(text) => super::Json::String(text),
                Err(error) => super::Json::IllFormed(IllFormed { wtf8: error.into_bytes().into() }),
            },
        }
    }
}

/// How a key that holds lone surrogates is told from all others: two noncharacters at its start.
const KEY_MARK: &str = "\u{FFFF}\u{FFFE}";

/// The form in which a key stands in an [`Object`](super::Object): itself, unless it holds lone surrogates (or looks as if it
/// were escaped): then the mark, and U+FFFE with four hex digits for each surrogate, twice U+FFFE for one U+FFFE.
pub(crate) fn key_to_stored(key: super::Json) -> String {
    let wtf8 = match key {
        super::Json::String(text) if !text.starts_with(KEY_MARK) => return text,
        super::Json::String(text) => text.into_bytes().into(),
        super::Json::IllFormed(text) => text.wtf8,
        _ => return String::new(),
    };
    let mut stored = KEY_MARK.to_owned();
    for piece in pieces(&wtf8) {
        match piece {
            Piece::Text(run) => stored.push_str(&run.replace('\u{FFFE}', "\u{FFFE}\u{FFFE}")),
            Piece::Surrogate(unit) => stored.extend(["\u{FFFE}", &format!("{unit:04x}")]),
        }
    }
    stored
}

/// Whether a stored key has to be put back by [`key_to_wtf8`] before it is written.
pub(crate) fn key_is_marked(stored: &str) -> bool {
    stored.starts_with(KEY_MARK)
}

/// The key as it was read, in WTF-8.
pub(crate) fn key_to_wtf8(stored: &str) -> std::borrow::Cow<'_, [u8]> {
    let Some(mut rest) = stored.strip_prefix(KEY_MARK) else {
        return stored.as_bytes().into();
    };
    let mut key = Builder::Well(String::new());
    while let Some((run, escape)) = rest.split_once('\u{FFFE}') {
        key.push_str(run);
        let unit = escape.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        rest = if let Some(unit @ 0xD800..0xE000) = unit {
            key.push_surrogate(unit);
            &escape[4..]
        } else {
            key.push_char('\u{FFFE}');
            escape.strip_prefix('\u{FFFE}').unwrap_or(escape)
        };
    }
    key.push_str(rest);
    match key {
        Builder::Well(text) => text.into_bytes().into(),
        Builder::Ill(wtf8) => wtf8.into(),
    }
}

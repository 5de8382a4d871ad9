//! Strings, character by character. A string of JSON may hold lone surrogates, which not every language can.

use std::borrow::Cow;

use super::Unsupported;
use crate::json::ill_formed::{Piece, key_to_wtf8, pieces};

/// What a string is made of.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Char(char),
    Surrogate(u16),
}

/// The bytes of an object's key in WTF-8.
pub(super) fn of_key(key: &str) -> Cow<'_, [u8]> {
    key_to_wtf8(key)
}

pub(super) fn units(wtf8: &[u8]) -> impl Iterator<Item = Unit> {
    pieces(wtf8).flat_map(|piece| {
        let (text, surrogate) = match piece {
            Piece::Text(text) => (text, None),
            Piece::Surrogate(unit) => ("", Some(Unit::Surrogate(unit))),
        };
        text.chars().map(Unit::Char).chain(surrogate)
    })
}

/// The text, for a language whose strings are Unicode.
pub(super) fn well_formed<'a>(wtf8: &'a [u8], language: &'static str) -> Result<&'a str, Unsupported> {
    std::str::from_utf8(wtf8)
        .map_err(|_| Unsupported { language, what: "a string that holds a lone surrogate" })
}

/// Refuses NUL, for a language whose strings end there.
pub(super) fn without_nul<'a>(text: &'a str, language: &'static str) -> Result<&'a str, Unsupported> {
    if text.contains('\0') {
        return Err(Unsupported { language, what: "a string that holds the character NUL" });
    }
    Ok(text)
}

/// The escapes that all languages with a backslash share.
pub(super) fn common_escape(c: char) -> Option<&'static str> {
    Some(match c {
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '"' => "\\\"",
        _ => return None,
    })
}

/// Whether the character stands for itself in an ASCII source.
pub(super) fn is_plain_ascii(c: char) -> bool {
    matches!(c, ' '..='~')
}

/// `\xNN`
pub(super) fn escape_2(code: u32) -> String {
    format!("\\x{code:02x}")
}

/// `\uNNNN`
pub(super) fn escape_4(code: impl Into<u32>) -> String {
    format!("\\u{:04x}", code.into())
}

/// `\UNNNNNNNN`
pub(super) fn escape_8(code: u32) -> String {
    format!("\\U{code:08x}")
}

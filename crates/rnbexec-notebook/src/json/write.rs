//! Writing JSON: on one line, or as Python's `json.dumps(indent=1, sort_keys=True, ensure_ascii=False)`.

use super::ill_formed::{Piece, key_is_marked, key_to_wtf8, pieces};
use super::{Json, Number, Object, position};

pub(super) fn compact(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                compact(item, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_key(key, out);
                out.push(b':');
                compact(member, out);
            }
            out.push(b'}');
        }
        scalar => write_scalar(scalar, out),
    }
}

pub(super) fn pretty(value: &Json, out: &mut Vec<u8>, depth: usize) {
    match value {
        Json::Array(items) if items.is_empty() => out.extend_from_slice(b"[]"),
        Json::Object(members) if members.is_empty() => out.extend_from_slice(b"{}"),
        Json::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line_break(out, depth + 1);
                pretty(item, out, depth + 1);
            }
            line_break(out, depth);
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (index, (key, member)) in sorted(members).into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line_break(out, depth + 1);
                write_key(key, out);
                out.extend_from_slice(b": ");
                pretty(member, out, depth + 1);
            }
            line_break(out, depth);
            out.push(b'}');
        }
        scalar => write_scalar(scalar, out),
    }
}

/// The members by code point of their keys, as Python's `sorted` has them.
pub(crate) fn sorted(members: &Object) -> Vec<(&String, &Json)> {
    let mut sorted: Vec<_> = members.iter().collect();
    if members.keys().any(|key| key_is_marked(key)) {
        sorted.sort_by_cached_key(|(key, _)| key_to_wtf8(key).into_owned());
    } else {
        sorted.sort_unstable_by_key(|(key, _)| *key);
    }
    sorted
}

pub(crate) fn line_break(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + depth, b' ');
}

pub(crate) fn write_key(key: &str, out: &mut Vec<u8>) {
    if key_is_marked(key) { write_wtf8(&key_to_wtf8(key), out) } else { write_string(key, out) }
}

fn write_scalar(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(number) => write_number(number, out),
        Json::String(text) => write_string(text, out),
        Json::IllFormed(text) => write_wtf8(text.as_wtf8(), out),
        Json::Array(_) | Json::Object(_) => compact(value, out),
    }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if number.is_finite() {
        out.extend_from_slice(number.as_str().as_bytes());
    } else {
        write_string(number.as_str(), out);
    }
}

/// Writes a string in quotes, escaping what Python's `json` escapes with `ensure_ascii=False`.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text.as_bytes(), out);
    out.push(b'"');
}

/// Writes WTF-8 text in quotes, its surrogates as `\udXXX`.
pub(crate) fn write_wtf8(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for piece in pieces(text) {
        match piece {
            Piece::Text(run) => write_escaped(run.as_bytes(), out),
            Piece::Surrogate(unit) => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Writes what stands between the quotes of a string.
pub(crate) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    while let Some(at) = position(text, copied, is_escaped) {
        out.extend_from_slice(&text[copied..at]);
        write_escape(text[at], out);
        copied = at + 1;
    }
    out.extend_from_slice(&text[copied..]);
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0C => out.extend_from_slice(b"\\f"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xF)]]);
        }
    }
}

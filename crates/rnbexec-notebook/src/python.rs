//! How Python itself writes values: `str`, `repr`, and what numbers look like. Shared by path templates and
//! translators.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::json::ill_formed::{Piece, key_to_wtf8, pieces};
use crate::json::{Json, Number};

/// `str(value)`.
pub(crate) fn str(value: &Json) -> String {
    match value.text() {
        Some(text) => text.into_owned(),
        None => repr(value),
    }
}

/// `repr(value)`. Lone surrogates show as `\udXXX`.
pub(crate) fn repr(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number_repr(number),
        Json::String(text) => string_repr(text.as_bytes()),
        Json::IllFormed(text) => string_repr(text.as_wtf8()),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{}: {}", string_repr(&key_to_wtf8(key)), repr(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// `repr` of an int or a float: `nan`, `inf`, `1e+16`, `1000.0`.
pub(crate) fn number_repr(number: &Number) -> String {
    match number.as_str() {
        "NaN" => "nan".to_owned(),
        "Infinity" => "inf".to_owned(),
        "-Infinity" => "-inf".to_owned(),
        "-0" => "0".to_owned(),
        text if number.is_integer() => text.to_owned(),
        _ => match Number::from_f64(number.as_f64()).as_str() {
            "Infinity" => "inf".to_owned(),
            "-Infinity" => "-inf".to_owned(),
            finite => finite.to_owned(),
        },
    }
}

fn string_repr(wtf8: &[u8]) -> String {
    let double = wtf8.contains(&b'\'') && !wtf8.contains(&b'"');
    let quote = if double { '"' } else { '\'' };
    let mut out = String::from(quote);
    for piece in pieces(wtf8) {
        match piece {
            Piece::Surrogate(unit) => write_escape(&mut out, unit),
            Piece::Text(text) => {
                for c in text.chars() {
                    match c {
                        '\\' => out.push_str("\\\\"),
                        '\n' => out.push_str("\\n"),
                        '\r' => out.push_str("\\r"),
                        '\t' => out.push_str("\\t"),
                        c if c == quote => out.extend(['\\', c]),
                        c if is_printable(c) => out.push(c),
                        c => out.push_str(&numeric_escape(c)),
                    }
                }
            }
        }
    }
    out.push(quote);
    out
}

/// A lone surrogate as `\uNNNN`.
fn write_escape(out: &mut String, unit: u16) {
    let escape = format!("\\u{unit:04x}");
    out.push_str(&escape);
}

/// `\xNN`, `\uNNNN` or `\UNNNNNNNN`, the shortest that fits.
pub(crate) fn numeric_escape(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xFF => format!("\\x{code:02x}"),
        code @ 0x100..=0xFFFF => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// `str.isprintable` of one character.
fn is_printable(c: char) -> bool {
    c == ' '
        || !matches!(
            c.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::Surrogate
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::SpaceSeparator
        )
}

/// A natural number in another base, most significant digit first, without leading zeros.
pub(crate) fn change_base(digits: &[u32], from: u32, to: u32) -> Vec<u32> {
    // Digits of the result, least significant first, several to a limb.
    let mut limb_base = u64::from(to);
    let mut per_limb = 1;
    while u32::try_from(limb_base * u64::from(to)).is_ok() {
        limb_base *= u64::from(to);
        per_limb += 1;
    }
    let mut limbs: Vec<u64> = Vec::new();
    for &digit in digits {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(from) + carry;
            *limb = value % limb_base;
            carry = value / limb_base;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut result: Vec<u32> = Vec::with_capacity(limbs.len() * per_limb);
    for mut limb in limbs {
        for _ in 0..per_limb {
            result.push(u32::try_from(limb % u64::from(to)).expect("less than the base"));
            limb /= u64::from(to);
        }
    }
    while result.last() == Some(&0) {
        result.pop();
    }
    if result.is_empty() {
        result.push(0);
    }
    result.reverse();
    result
}

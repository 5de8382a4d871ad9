//! Scala 2 and 3. Grammar: the Scala language specification, 1.1 "Identifiers" and 1.3 "Literals".
//!
//! As papermill, but: `Double.NaN` and the infinities; integers beyond 64 bits as `BigInt("…")` (papermill
//! appends an `L` that does not compile); characters beyond ASCII and control characters as `\uNNNN`, those
//! beyond the basic plane as two of them (Scala has no `\xNN` and no `\U`).

use super::name::{NameRule, word};
use super::number::{Numeric, fits_i32, fits_i64};
use super::text::{self, Unit};
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "Scala";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: |c| c == '_' || c.is_alphabetic(),
    rest: word,
    reserved: "_ abstract case catch class def do else enum export extends false final finally for \
        forSome given if implicit import lazy macro match new null object override package \
        private protected return sealed super then this throw trait true try type val var while \
        with yield",
};

#[derive(Debug)]
pub(super) struct Scala;

impl Translator for Scala {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        // Scala before 2.13.2 reads `\u000a` as a line break even in a comment.
        line_comment("//", &text.replace("\\u", "\\ u"))
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        not_too_deep(value, LANGUAGE).map(literal)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        Ok(format!("val {name} = {}", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if fits_i32(&text) => text,
            Numeric::Integer(text) if fits_i64(&text) => format!("{text}L"),
            Numeric::Integer(text) => format!("BigInt(\"{text}\")"),
            Numeric::Finite(text) => text,
            Numeric::NaN => "Double.NaN".to_owned(),
            Numeric::Infinity => "Double.PositiveInfinity".to_owned(),
            Numeric::NegativeInfinity => "Double.NegativeInfinity".to_owned(),
        },
        Json::String(text) => string(text.as_bytes()),
        Json::IllFormed(text) => string(text.as_wtf8()),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("Seq({})", items.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{} -> {}", string(&text::of_key(key)), literal(value)))
                .collect();
            format!("Map({})", members.join(", "))
        }
    }
}

fn string(wtf8: &[u8]) -> String {
    let mut out = String::from('"');
    for unit in text::units(wtf8) {
        match unit {
            Unit::Surrogate(unit) => out.push_str(&text::escape_4(unit)),
            Unit::Char('\u{8}') => out.push_str("\\b"),
            // As `\u000c` it would end the line before Scala 2.13.2.
            Unit::Char('\u{c}') => out.push_str("\\f"),
            Unit::Char(c) => match text::common_escape(c) {
                Some(escape) => out.push_str(escape),
                None if text::is_plain_ascii(c) => out.push(c),
                None => {
                    for &mut unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&text::escape_4(unit));
                    }
                }
            },
        }
    }
    out.push('"');
    out
}

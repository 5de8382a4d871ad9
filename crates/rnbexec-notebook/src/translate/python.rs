//! Python. Grammar: the Python language reference, 2.3 "Identifiers and keywords" and 2.4 "Literals".
//!
//! The same bytes as papermill without `black` (which is no part of its installation), for every value.

use super::name::{NameRule, letter_or_underscore, word};
use super::number::Numeric;
use super::text::{self, Unit};
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::inspect::{self, Parameter};
use crate::json::Json;
use crate::parameters::MAX_INT_DIGITS;
use crate::python::numeric_escape;

const LANGUAGE: &str = "Python";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: letter_or_underscore,
    rest: word,
    reserved: "False None True __debug__ and as assert async await break class continue def del elif \
        else except finally for from global if import in is lambda nonlocal not or pass raise \
        return try while with yield",
};

#[derive(Debug)]
pub(super) struct Python;

impl Translator for Python {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("#", text)
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        literal(not_too_deep(value, LANGUAGE)?)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        Ok(format!("{name} = {}", self.literal(value).map_err(of_parameter(name))?))
    }

    fn inspect(&self, source: &str) -> Option<Vec<Parameter>> {
        Some(inspect::python_parameters(source))
    }
}

fn literal(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => match Numeric::of(number) {
            // The parser of Python has the same limit as its `int()`.
            Numeric::Integer(digits) if digits.trim_start_matches('-').len() > MAX_INT_DIGITS => {
                return Err(Unsupported { language: LANGUAGE, what: "an integer of more than 4300 digits" });
            }
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "float('nan')".to_owned(),
            Numeric::Infinity => "float('inf')".to_owned(),
            Numeric::NegativeInfinity => "float('-inf')".to_owned(),
        },
        Json::String(text) => string(text.as_bytes()),
        Json::IllFormed(text) => string(text.as_wtf8()),
        Json::Array(items) => {
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                Ok(format!("{}: {}", string(&text::of_key(key)), literal(value)?))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, Unsupported>>()?;
            format!("{{{}}}", members.join(", "))
        }
    })
}

/// Python's own `unicode_escape`, between double quotes.
fn string(wtf8: &[u8]) -> String {
    let mut out = String::from('"');
    for unit in text::units(wtf8) {
        match unit {
            Unit::Surrogate(unit) => out.push_str(&text::escape_4(unit)),
            Unit::Char(c) => match text::common_escape(c) {
                Some(escape) => out.push_str(escape),
                None if text::is_plain_ascii(c) => out.push(c),
                None => out.push_str(&numeric_escape(c)),
            },
        }
    }
    out.push('"');
    out
}

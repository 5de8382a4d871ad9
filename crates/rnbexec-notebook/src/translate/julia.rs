//! Julia. Grammar: the Julia manual, "Variables / Allowed Variable Names", "Strings" and "Integers and
//! Floating-Point Numbers".
//!
//! As papermill, but: `$` is escaped (`"$(run(cmd))"` is code in Julia); `NaN`, `Inf`, `-Inf`; characters
//! U+0080 to U+00FF as `\u00NN` (`\xe9` is a byte); a list whose numbers Julia would convert to one type with
//! another value or kind (`[true, 1]`, `[9007199254740993, 0.5]`) as `Any[…]`; lone surrogates are refused.
//! Integers of any size are exact in Julia.

use super::name::{NameRule, letter_or_underscore, word};
use super::number::{Numeric, fits_f64};
use super::text;
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "Julia";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: letter_or_underscore,
    rest: |c| c == '!' || word(c),
    reserved: "baremodule begin break catch const continue do else elseif end export false finally for \
        function global if import in isa let local macro module public quote return struct true \
        try using where while",
};

#[derive(Debug)]
pub(super) struct Julia;

impl Translator for Julia {
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
        if name.bytes().all(|byte| byte == b'_') {
            return Err(NAMES.refuse(name, "a name of underscores only cannot be read"));
        }
        Ok(format!("{name} = {}", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => "nothing".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "NaN".to_owned(),
            Numeric::Infinity => "Inf".to_owned(),
            Numeric::NegativeInfinity => "-Inf".to_owned(),
        },
        Json::String(text) => string(text.as_bytes())?,
        Json::IllFormed(text) => string(text.as_wtf8())?,
        Json::Array(items) => {
            let element_type = if would_convert(items) { "Any" } else { "" };
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("{element_type}[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                Ok(format!("{} => {}", string(&text::of_key(key))?, literal(value)?))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, Unsupported>>()?;
            format!("Dict({})", members.join(", "))
        }
    })
}

/// Whether a vector of these would get an element type that changes some of them: Julia promotes booleans to
/// numbers, and all numbers to floats when one is; between nested vectors likewise. Beside strings the element
/// type is `Any` anyway.
fn would_convert(items: &[Json]) -> bool {
    let mut leaves = Leaves::default();
    for item in items {
        leaves.add(item);
    }
    !leaves.other && (leaves.boolean && leaves.number || leaves.float && leaves.inexact)
}

#[derive(Default)]
struct Leaves {
    boolean: bool,
    number: bool,
    float: bool,
    /// An integer that a float cannot hold.
    inexact: bool,
    /// What is no number keeps the elements as they are.
    other: bool,
}

impl Leaves {
    fn add(&mut self, item: &Json) {
        match item {
            Json::Bool(_) => self.boolean = true,
            Json::Number(number) => {
                self.number = true;
                self.float |= !number.is_integer();
                self.inexact |= number.is_integer() && !fits_f64(number.as_str());
            }
            Json::Array(items) => {
                for item in items {
                    self.add(item);
                }
            }
            Json::Null => {}
            Json::String(_) | Json::IllFormed(_) | Json::Object(_) => self.other = true,
        }
    }
}

fn string(wtf8: &[u8]) -> Result<String, Unsupported> {
    let mut out = String::from('"');
    for c in text::well_formed(wtf8, LANGUAGE)?.chars() {
        match (text::common_escape(c), u32::from(c)) {
            (Some(escape), _) => out.push_str(escape),
            (None, 0x24) => out.push_str("\\$"),
            _ if text::is_plain_ascii(c) => out.push(c),
            (None, code @ 0..=0x7F) => out.push_str(&text::escape_2(code)),
            (None, code @ 0x80..=0xFFFF) => out.push_str(&text::escape_4(code)),
            (None, code) => out.push_str(&text::escape_8(code)),
        }
    }
    out.push('"');
    Ok(out)
}

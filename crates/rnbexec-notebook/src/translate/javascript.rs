//! JavaScript and TypeScript, for the kernels of Deno, tslab and jslab. papermill has no such translator.
//! Grammar: ECMA-262, 12.7 "Names and Keywords", 12.9 "Literals", 13.2.5 "Object Initializer".
//!
//! `let x = v;`, which these kernels let a later cell repeat. Strings between `"`, in ASCII. An integer that a
//! number cannot hold exactly is a `BigInt` (`…n`). The key `__proto__` is computed (`["__proto__"]`): as a
//! plain key it would set the prototype.

use super::name::{NameRule, word};
use super::number::{Numeric, fits_i64};
use super::text::{self, Unit};
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "JavaScript";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: |c| c == '_' || c == '$' || unicode_ident::is_xid_start(c),
    rest: |c| c == '$' || word(c),
    reserved: "Infinity NaN arguments await break case catch class const continue debugger default \
        delete do else enum eval export extends false finally for function if implements import \
        in instanceof interface let new null package private protected public return static \
        super switch this throw true try typeof undefined var void while with yield",
};

/// `Number.MAX_SAFE_INTEGER`
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

#[derive(Debug)]
pub(super) struct JavaScript;

impl Translator for JavaScript {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("//", text)
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        not_too_deep(value, LANGUAGE).map(literal)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        Ok(format!("let {name} = {};", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if is_safe(&text) => text,
            Numeric::Integer(text) => format!("{text}n"),
            Numeric::Finite(text) => text,
            Numeric::NaN => "NaN".to_owned(),
            Numeric::Infinity => "Infinity".to_owned(),
            Numeric::NegativeInfinity => "-Infinity".to_owned(),
        },
        Json::String(text) => string(text.as_bytes()),
        Json::IllFormed(text) => string(text.as_wtf8()),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                let name = string(&text::of_key(key));
                if key == "__proto__" {
                    format!("[{name}]: {}", literal(value))
                } else {
                    format!("{name}: {}", literal(value))
                }
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

fn is_safe(integer: &str) -> bool {
    fits_i64(integer) && integer.parse::<i64>().is_ok_and(|value| value.unsigned_abs() <= MAX_SAFE_INTEGER)
}

fn string(wtf8: &[u8]) -> String {
    let mut out = String::from('"');
    for unit in text::units(wtf8) {
        match unit {
            Unit::Surrogate(unit) => out.push_str(&text::escape_4(unit)),
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

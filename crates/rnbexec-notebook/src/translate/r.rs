//! R. Grammar: the R language definition, 10.3.1 "Constants" and 10.3.2 "Identifiers"; `?Quotes`, `?Reserved`.
//!
//! As papermill, but: `NaN`, `Inf`, `-Inf` (papermill: `nan`, `inf`, which are no R); every character beyond
//! ASCII and every control character as `\uNNNN` (`\xe9` is a byte in R, and may not stand in one string with
//! `\u`); integers that a double cannot hold are refused (R would round them), as are NUL, lone surrogates, and
//! empty keys. Leading underscores are stripped from names, as papermill does.

use super::name::{NameRule, word};
use super::number::{Numeric, fits_f64};
use super::text;
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "R";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: |c| c == '.' || c.is_alphabetic(),
    rest: |c| c == '.' || word(c),
    reserved: "FALSE Inf NA NA_character_ NA_complex_ NA_integer_ NA_real_ NULL NaN TRUE break else for \
        function if in next repeat while ...",
};

#[derive(Debug)]
pub(super) struct R;

impl Translator for R {
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
        let stripped = name.trim_start_matches('_');
        let why = match stripped.strip_prefix('.') {
            Some(after) if after.starts_with(|c: char| c.is_numeric()) => {
                Some("a name cannot start like this")
            }
            // `..1` means the first of the dots.
            Some(after)
                if after.len() > 1
                    && after.starts_with('.')
                    && after[1..].bytes().all(|b| b.is_ascii_digit()) =>
            {
                Some("it is a word of the language")
            }
            _ => None,
        };
        match why {
            Some(why) => return Err(NAMES.refuse(name, why)),
            None => NAMES.check(stripped).map_err(|error| match error {
                TranslateError::Name { why, .. } => NAMES.refuse(name, why),
                other @ TranslateError::Value { .. } => other,
            })?,
        }
        Ok(format!("{stripped} = {}", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn refuse<T>(what: &'static str) -> Result<T, Unsupported> {
    Err(Unsupported { language: LANGUAGE, what })
}

fn literal(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(true) => "TRUE".to_owned(),
        Json::Bool(false) => "FALSE".to_owned(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if !fits_f64(&text) => {
                return refuse("an integer that a double cannot hold exactly: pass it as a string");
            }
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "NaN".to_owned(),
            Numeric::Infinity => "Inf".to_owned(),
            Numeric::NegativeInfinity => "-Inf".to_owned(),
        },
        Json::String(text) => string(text.as_bytes())?,
        Json::IllFormed(text) => string(text.as_wtf8())?,
        Json::Array(items) => {
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("list({})", items.join(", "))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                if key.is_empty() {
                    return refuse("a list member with an empty name");
                }
                Ok(format!("{} = {}", string(&text::of_key(key))?, literal(value)?))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, Unsupported>>()?;
            format!("list({})", members.join(", "))
        }
    })
}

fn string(wtf8: &[u8]) -> Result<String, Unsupported> {
    let characters = text::without_nul(text::well_formed(wtf8, LANGUAGE)?, LANGUAGE)?;
    let mut out = String::from('"');
    for c in characters.chars() {
        match (text::common_escape(c), u32::from(c)) {
            (Some(escape), _) => out.push_str(escape),
            _ if text::is_plain_ascii(c) => out.push(c),
            (None, code @ 0..=0xFFFF) => out.push_str(&text::escape_4(code)),
            (None, code) => out.push_str(&text::escape_8(code)),
        }
    }
    out.push('"');
    Ok(out)
}

//! MATLAB, and GNU Octave with the same code. Grammar: MATLAB "Text in String and Character Arrays", "Variable
//! Names", `sprintf`; Octave manual 5.1 "Escape Sequences in String Constants".
//!
//! As papermill, but: the two languages read a backslash in `"…"` differently (MATLAB: as itself), and
//! papermill's `\n` is neither. A string of printable characters without a backslash is written as it is; any
//! other through `sprintf`, whose escapes mean the same in both. Keys likewise. An empty map is
//! `containers.Map()`. Integers that a double cannot hold are refused (both would round them), as are lone
//! surrogates.

use super::name::{NameRule, ascii_word};
use super::number::{Numeric, fits_f64};
use super::text;
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "MATLAB";

/// `namelengthmax` of MATLAB: longer names are cut.
const MAX_NAME: usize = 63;

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: |c| c.is_ascii_alphabetic(),
    rest: ascii_word,
    // The keywords of MATLAB and of Octave.
    reserved: "break case catch classdef continue do else elseif end end_try_catch end_unwind_protect \
        endclassdef endenumeration endevents endfor endfunction endif endmethods endparfor \
        endproperties endspmd endswitch endwhile for function global if otherwise parfor \
        persistent return spmd switch try until unwind_protect unwind_protect_cleanup while",
};

#[derive(Debug)]
pub(super) struct Matlab;

impl Translator for Matlab {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("%", text)
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        literal(not_too_deep(value, LANGUAGE)?)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        if name.len() > MAX_NAME {
            return Err(NAMES.refuse(name, "it is longer than 63 characters"));
        }
        Ok(format!("{name} = {};", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => "NaN".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if !fits_f64(&text) => {
                let what = "an integer that a double cannot hold exactly: pass it as a string";
                return Err(Unsupported { language: LANGUAGE, what });
            }
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "nan".to_owned(),
            Numeric::Infinity => "inf".to_owned(),
            Numeric::NegativeInfinity => "-inf".to_owned(),
        },
        Json::String(text) => quoted(text.as_bytes(), '"')?,
        Json::IllFormed(text) => quoted(text.as_wtf8(), '"')?,
        Json::Array(items) => {
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("{{{}}}", items.join(", "))
        }
        Json::Object(members) if members.is_empty() => "containers.Map()".to_owned(),
        Json::Object(members) => {
            let keys =
                members.keys().map(|key| quoted(&text::of_key(key), '\'')).collect::<Result<Vec<_>, _>>()?;
            let values = members.values().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("containers.Map({{{}}}, {{{}}})", keys.join(", "), values.join(", "))
        }
    })
}

/// A string between `"`, or a character array between `'`.
fn quoted(wtf8: &[u8], quote: char) -> Result<String, Unsupported> {
    let text = text::well_formed(wtf8, LANGUAGE)?;
    if !text.chars().any(|c| c == '\\' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Ok(format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}"))));
    }
    let mut template = String::new();
    let mut codes = String::new();
    for c in text.chars() {
        match c {
            '\\' => template.push_str("\\\\"),
            '\n' => template.push_str("\\n"),
            '\r' => template.push_str("\\r"),
            '\t' => template.push_str("\\t"),
            '%' => template.push_str("%%"),
            c if c == quote => template.extend([quote, quote]),
            c if c.is_ascii_control() => {
                template.push_str("%c");
                codes.extend([", ".to_owned(), u32::from(c).to_string()]);
            }
            c => template.push(c),
        }
    }
    Ok(format!("sprintf({quote}{template}{quote}{codes})"))
}

//! Bash. Grammar: the Bash manual, 3.1.2 "Quoting", 3.4 "Shell Parameters", 6.7 "Arrays".
//!
//! As papermill (`shlex.quote`), but: strings with control characters other than the line feed, or with a line
//! feed beside a `!`, as `$'…'`, because a kernel types the code into a terminal, where Ctrl-C or history
//! expansion would break out of quotes; `null` within an array as `''`; a flat mapping as an associative array
//! (papermill: refused); arrays in arrays, NUL, lone surrogates and empty keys are refused, as are names that
//! Bash keeps read-only or whose value it executes by itself (`PROMPT_COMMAND`, `PS1`).

use super::name::{NameRule, ascii_letter_or_underscore, ascii_word};
use super::number::Numeric;
use super::text;
use super::{TranslateError, Translator, Unsupported, line_comment, of_parameter};
use crate::json::{Json, Object};

const LANGUAGE: &str = "Bash";

const NAMES: NameRule =
    NameRule { language: LANGUAGE, first: ascii_letter_or_underscore, rest: ascii_word, reserved: "" };

const READ_ONLY: &[&str] =
    &["_", "BASHOPTS", "BASHPID", "BASH_VERSINFO", "EUID", "FUNCNAME", "PPID", "SHELLOPTS", "UID"];
const EXECUTED: &[&str] = &["BASH_ENV", "ENV", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS3", "PS4"];

#[derive(Debug)]
pub(super) struct Bash;

impl Translator for Bash {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("#", text)
    }

    /// Of a mapping: what stands between the parentheses of an associative array, with them.
    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        match value {
            Json::Null => Ok(String::new()),
            Json::Array(items) => {
                let items =
                    items.iter().map(|item| scalar(item).map(or_empty)).collect::<Result<Vec<_>, _>>()?;
                Ok(format!("({})", items.join(" ")))
            }
            Json::Object(members) => associative(members),
            value => scalar(value),
        }
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        if READ_ONLY.contains(&name) {
            return Err(NAMES.refuse(name, "Bash keeps it read-only"));
        }
        if EXECUTED.contains(&name) {
            return Err(NAMES.refuse(name, "Bash executes its value"));
        }
        let literal = self.literal(value).map_err(of_parameter(name))?;
        Ok(match value {
            // An indexed array of that name would not become an associative one.
            Json::Object(_) => format!("unset -v {name}; declare -A {name}={literal}"),
            _ => format!("{name}={literal}"),
        })
    }
}

fn refuse<T>(what: &'static str) -> Result<T, Unsupported> {
    Err(Unsupported { language: LANGUAGE, what })
}

fn or_empty(word: String) -> String {
    if word.is_empty() { "''".to_owned() } else { word }
}

/// The word for a value that is no collection.
fn scalar(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => String::new(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "nan".to_owned(),
            Numeric::Infinity => "inf".to_owned(),
            Numeric::NegativeInfinity => "-inf".to_owned(),
        },
        Json::String(text) => word(text.as_bytes())?,
        Json::IllFormed(text) => word(text.as_wtf8())?,
        Json::Array(_) => return refuse("an array inside of another collection"),
        Json::Object(_) => return refuse("a mapping inside of another collection"),
    })
}

fn associative(members: &Object) -> Result<String, Unsupported> {
    let member = |(key, value): (&String, &Json)| {
        if key.is_empty() {
            return refuse("an empty key");
        }
        Ok(format!("[{}]={}", quoted(&text::of_key(key))?, scalar(value).map(or_empty)?))
    };
    let members = members.iter().map(member).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("({})", members.join(" ")))
}

/// `shlex.quote`.
fn word(wtf8: &[u8]) -> Result<String, Unsupported> {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    match std::str::from_utf8(wtf8) {
        Ok(text) if !text.is_empty() && wtf8.iter().all(safe) => Ok(text.to_owned()),
        _ => quoted(wtf8),
    }
}

fn quoted(wtf8: &[u8]) -> Result<String, Unsupported> {
    let text = text::without_nul(text::well_formed(wtf8, LANGUAGE)?, LANGUAGE)?;
    // bash_kernel cuts the code at everything that Python's `splitlines` takes for a line's end.
    let typed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}');
    let expanded = text.contains('\n') && text.contains('!');
    if !text.contains(typed) && !expanded {
        return Ok(format!("'{}'", text.replace('\'', "'\"'\"'")));
    }
    let mut out = String::from("$'");
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // U+0080 to U+009F are two bytes.
            c if c.is_control() || matches!(c, '!' | '\u{2028}' | '\u{2029}') => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.push_str(&octal(byte));
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    Ok(out)
}

/// Three digits, which end by themselves.
fn octal(byte: u8) -> String {
    format!("\\{byte:03o}")
}

//! YAML 1.1 as PyYAML's `SafeLoader` reads it, with dates left as text: what papermill does with `-y`, `-f` and `-b`.
//!
//! The scanner and parser are `saphyr-parser`, which speaks YAML 1.2; everything that gives a value its type is
//! here: the implicit resolvers and the constructors of PyYAML 6.0 (`yes` is true, `010` is 8, `1:30` is 90,
//! `1e3` is a string), merge keys, explicit tags. `tests/fixtures/parameters/yaml.json` holds what
//! PyYAML itself makes of more than a thousand texts, and the tests list the few that differ.
//!
//! Deliberate differences from papermill:
//! - A text that is a JSON object is read as JSON: `1e3` and `NaN` in it are numbers, `"\ud83d\ude00"` is one
//!   character (PyYAML makes two lone surrogates of it, which nobody can write).
//! - A key that is no string becomes the string that `json.dumps` makes of it (`true`, `null`, `1`).
//! - `!!binary` is the text it encodes, if it is text; sets, dates by `!!timestamp` and recursive aliases have
//!   no place in a notebook's metadata and are refused (papermill accepts them and fails when it saves).
//! - Where YAML 1.2 allows more (tabs as space, `http://x?y` in a flow collection) so does this.
//! - The documents `0` and `false` are no mapping and so an error; papermill takes them for none.
//! - Aliases may expand to a bounded number of values only.

mod construct;
mod document;
mod flow;
mod resolve;

use super::Parameters;
use crate::json::Json;

/// Why a YAML text could not be read, and where. Lines and columns count from one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// Reads the parameters in a YAML or JSON text. An empty text holds none.
///
/// # Errors
/// The text is not YAML, uses what has no form in JSON, or is not a mapping.
pub fn parse(text: &str) -> Result<Parameters, YamlError> {
    match parse_value(text)? {
        Json::Object(values) => Ok(values.into()),
        Json::Null => Ok(Parameters::new()),
        // papermill writes `yaml.load(…) or {}`, and an empty list is what some languages print for an empty map.
        Json::Array(items) if items.is_empty() => Ok(Parameters::new()),
        Json::String(text) if text.is_empty() => Ok(Parameters::new()),
        other => Err(YamlError {
            line: 1,
            column: 1,
            message: format!("expected a mapping of names to values, found {}", other.kind()),
        }),
    }
}

/// Reads parameters from bytes: UTF-8, or UTF-16 with a byte order mark.
///
/// # Errors
/// As [`parse`], and when the bytes are no text.
pub fn parse_bytes(bytes: &[u8]) -> Result<Parameters, YamlError> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| unit([pair[0], *pair.get(1).unwrap_or(&0)]));
        char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| YamlError {
            line: 1,
            column: 1,
            message: "the text is not valid UTF-16".to_owned(),
        })
    };
    match bytes {
        [0xFF, 0xFE, ..] => parse(&utf16(u16::from_le_bytes)?),
        [0xFE, 0xFF, ..] => parse(&utf16(u16::from_be_bytes)?),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => parse(text),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                Err(YamlError {
                    line: valid.matches('\n').count() + 1,
                    column: valid.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1,
                    message: "the text is not valid UTF-8".to_owned(),
                })
            }
        },
    }
}

/// Reads one YAML or JSON document of any kind.
///
/// # Errors
/// The text is not YAML, or uses what has no form in JSON.
pub fn parse_value(text: &str) -> Result<Json, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(json) = Json::parse(text.as_bytes())
    {
        return construct::with_python_numbers(json, document::MAX_DEPTH).ok_or_else(|| YamlError {
            line: 1,
            column: 1,
            message: format!("nested deeper than {} levels", document::MAX_DEPTH),
        });
    }
    document::check_characters(text)?;
    if let Some((line, _)) = tab_before_content(text) {
        let message = "a tab cannot be used for indentation".to_owned();
        return Err(YamlError { line: line + 1, column: 1, message });
    }
    let root = document::compose(text).or_else(|error| {
        // The error of the first attempt names the right place.
        document::compose(&flow::indent_lines(text)).map_err(|_| error)
    })?;
    match root {
        Some(root) => construct::construct(&root),
        None => Ok(Json::Null),
    }
}

/// The first line with content, if a tab indents it: the parser finds tabs in every line but that.
fn tab_before_content(text: &str) -> Option<(usize, &str)> {
    let (line, content) = text.lines().enumerate().find(|(_, line)| !line.trim().is_empty())?;
    (content.starts_with('\t') && !content.trim_start().starts_with('#')).then_some((line, content))
}

#[cfg(test)]
mod tests;

//! One replacement field: `name[key]!conversion:spec`.

use std::borrow::Cow;

use super::{Names, TemplateError, Value, spec, syntax};
use crate::json::Json;
use crate::python;

/// Formats the field that the text starts with, after its `{`. Returns the result and what follows the `}`.
pub(super) fn format<'t>(text: &'t str, names: &Names<'_>) -> Result<(String, &'t str), TemplateError> {
    let (field, rest) = split(text)?;
    let shown = || text[..text.len() - rest.len() - 1].to_owned();
    let failed = |what: String| TemplateError::Field { field: shown(), what };
    let value = look_up(field.name, names, &failed)?;
    let spec = expand(field.spec, names)?;
    let text = match field.conversion {
        None => spec::format(&value, &spec).map_err(failed)?,
        Some(conversion) => {
            let converted = match conversion {
                's' => value.to_str(),
                'r' => value.to_repr(),
                'a' => ascii(&value.to_repr()),
                other => return Err(failed(format!("unknown conversion specifier {other:?}"))),
            };
            spec::format(&Value::Json(Cow::Owned(Json::String(converted))), &spec).map_err(failed)?
        }
    };
    Ok((text, rest))
}

struct Field<'t> {
    name: &'t str,
    conversion: Option<char>,
    spec: &'t str,
}

/// Splits a field as CPython's `MarkupIterator` does. Returns it and what follows the `}`.
fn split(text: &str) -> Result<(Field<'_>, &str), TemplateError> {
    let mut in_brackets = false;
    for (at, c) in text.char_indices() {
        let name = &text[..at];
        let after = &text[at + c.len_utf8()..];
        match c {
            '{' => return Err(syntax("unexpected '{' in field name")),
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            _ if in_brackets => {}
            '}' => return Ok((Field { name, conversion: None, spec: "" }, after)),
            ':' => {
                let (spec, after) = split_spec(after)?;
                return Ok((Field { name, conversion: None, spec }, after));
            }
            '!' => {
                let mut characters = after.chars();
                let conversion = characters.next().filter(|&c| c != '}');
                let Some(conversion) = conversion else {
                    return Err(syntax("no conversion after '!'"));
                };
                let after = characters.as_str();
                if let Some(after) = after.strip_prefix('}') {
                    return Ok((Field { name, conversion: Some(conversion), spec: "" }, after));
                }
                let Some(after) = after.strip_prefix(':') else {
                    return Err(syntax("expected ':' after conversion specifier"));
                };
                let (spec, after) = split_spec(after)?;
                return Ok((Field { name, conversion: Some(conversion), spec }, after));
            }
            _ => {}
        }
    }
    Err(syntax("expected '}' before end of string"))
}

/// The format specification up to the `}` that closes the field.
fn split_spec(text: &str) -> Result<(&str, &str), TemplateError> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Ok((&text[..at], &text[at + 1..])),
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err(syntax("expected '}' before end of string"))
}

/// Fills in the fields within a specification: one level, as in Python.
fn expand<'t>(spec: &'t str, names: &Names<'_>) -> Result<Cow<'t, str>, TemplateError> {
    if !spec.contains(['{', '}']) {
        return Ok(Cow::Borrowed(spec));
    }
    let mut out = String::new();
    let mut rest = spec;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if split(after)?.0.spec.contains('{') {
            return Err(syntax("max string recursion exceeded"));
        }
        let (text, after) = format(after, names)?;
        out.push_str(&text);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// What `name[key][0]` means.
fn look_up<'a>(
    name: &str,
    names: &Names<'a>,
    failed: &dyn Fn(String) -> TemplateError,
) -> Result<Value<'a>, TemplateError> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut accessors) = name.split_at(end);
    let first_value = match names.parameters.get(first) {
        Some(value) => Value::Json(Cow::Borrowed(value)),
        None if first == "pm" => Value::Builtins(names.builtins),
        None if first.is_empty() || first.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(failed("fields are named, not numbered: write {name}".to_owned()));
        }
        None => return Err(TemplateError::Missing { name: first.to_owned() }),
    };
    let mut value = first_value;
    while !accessors.is_empty() {
        let Some(bracketed) = accessors.strip_prefix('[') else {
            let attribute = accessors.starts_with('.');
            return Err(failed(if attribute {
                format!("attributes are not supported: write [{}]", accessors.trim_start_matches('.'))
            } else {
                "only '[' may follow ']'".to_owned()
            }));
        };
        let Some((key, rest)) = bracketed.split_once(']') else {
            return Err(syntax("missing ']' in format string"));
        };
        if key.is_empty() {
            return Err(syntax("empty key in format string"));
        }
        value = item(&value, key, failed)?;
        accessors = rest;
    }
    Ok(value)
}

/// `value[key]`. Digits alone are an index, as in Python.
fn item<'a>(
    value: &Value<'a>,
    key: &str,
    failed: &dyn Fn(String) -> TemplateError,
) -> Result<Value<'a>, TemplateError> {
    let missing = || TemplateError::Missing { name: key.to_owned() };
    let index =
        key.bytes().all(|byte| byte.is_ascii_digit()).then(|| key.parse::<usize>().unwrap_or(usize::MAX));
    let json = match value {
        Value::Builtins(builtins) => {
            return Ok(match key {
                "run_uuid" => Value::Json(Cow::Owned(Json::from(builtins.run_uuid.as_str()))),
                "current_datetime_local" => Value::DateTime(&builtins.now_local),
                "current_datetime_utc" => Value::DateTime(&builtins.now_utc),
                _ => return Err(missing()),
            });
        }
        Value::DateTime(_) => return Err(failed("a date has no items".to_owned())),
        Value::Json(json) => json,
    };
    let found = match (json.as_ref(), index) {
        (Json::Object(members), _) => members.get(key).ok_or_else(missing)?.clone(),
        (Json::Array(items), Some(index)) => {
            items.get(index).ok_or_else(|| failed("list index out of range".to_owned()))?.clone()
        }
        (Json::Array(_), None) => return Err(failed(format!("list indices must be integers, not {key:?}"))),
        (Json::String(text), Some(index)) => {
            let c = text.chars().nth(index).ok_or_else(|| failed("string index out of range".to_owned()))?;
            Json::String(c.to_string())
        }
        (other, _) => return Err(failed(format!("{} has no item {key:?}", other.kind()))),
    };
    Ok(Value::Json(Cow::Owned(found)))
}

impl Value<'_> {
    pub(super) fn to_str(&self) -> String {
        match self {
            Self::Json(json) => python::str(json),
            Self::DateTime(time) => time.to_string(),
            Self::Builtins(_) => self.to_repr(),
        }
    }

    fn to_repr(&self) -> String {
        match self {
            Self::Json(json) => python::repr(json),
            Self::DateTime(time) => time.repr(),
            Self::Builtins(builtins) => format!(
                "{{'run_uuid': {}, 'current_datetime_local': {}, 'current_datetime_utc': {}}}",
                python::repr(&Json::from(builtins.run_uuid.as_str())),
                builtins.now_local.repr(),
                builtins.now_utc.repr(),
            ),
        }
    }
}

/// Python's `ascii()`, of a `repr`.
fn ascii(repr: &str) -> String {
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { python::numeric_escape(c) };
    repr.chars().map(escape).collect()
}

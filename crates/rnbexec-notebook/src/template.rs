//! Paths with parameters in them: Python's `str.format`, as papermill applies it to its input and output paths.
//!
//! `{x}`, `{x:03d}`, `{d[key]}`, `{l[0]}`, `{x!r}`, `{x:{width}}`, `{pm[run_uuid]}`,
//! `{pm[current_datetime_utc]:%Y%m%d}`, with `{{` and `}}` for braces. Source: papermill 2.7.0
//! `parameterize.parameterize_path`, CPython 3.11 "Format String Syntax".
//!
//! Differences: attributes (`{x.real}`) are refused, since they reach into what an object is made of; widths
//! and precisions are bounded. A value may bring a `/` or `..` into the path, as in papermill, under
//! [`Escape::None`]: right when the user typed the value, wrong when it comes from outside. For that there is
//! [`Escape::Segment`].

mod datetime;
mod escape;
mod field;
mod spec;

use crate::json::Json;
use crate::parameters::Parameters;

pub use datetime::DateTime;
pub use escape::{Escape, escape_segment};

/// What `{pm[…]}` can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builtins {
    /// `{pm[run_uuid]}`
    pub run_uuid: String,
    /// `{pm[current_datetime_local]}`: without an offset, as Python's `datetime.now()`.
    pub now_local: DateTime,
    /// `{pm[current_datetime_utc]}`: with offset zero.
    pub now_utc: DateTime,
}

/// Why a path could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The path names a parameter, or a key in one, that does not exist.
    #[error("missing parameter '{name}'")]
    Missing {
        /// The parameter or key.
        name: String,
    },
    /// The path is no valid template.
    #[error("bad path template: {what}")]
    Syntax {
        /// What is wrong.
        what: String,
    },
    /// The value of a field cannot be looked up or formatted like this.
    #[error("cannot format {{{field}}}: {what}")]
    Field {
        /// The field as written, without braces.
        field: String,
        /// What is wrong.
        what: String,
    },
}

/// Fills parameters into a path, with values as they are: `/` and `..` in a value become part of the path.
///
/// A parameter named `pm` takes the place of the builtins.
///
/// # Errors
/// A parameter is missing, the template is malformed, or a value does not go with its format.
pub fn format_path(
    template: &str,
    parameters: &Parameters,
    builtins: &Builtins,
) -> Result<String, TemplateError> {
    format_path_with(template, parameters, builtins, Escape::None)
}

/// Fills parameters into a path, each value escaped first.
///
/// # Errors
/// As [`format_path`].
pub fn format_path_with(
    template: &str,
    parameters: &Parameters,
    builtins: &Builtins,
    escape: Escape,
) -> Result<String, TemplateError> {
    let pieces = format_pieces(template, parameters, builtins)?;
    Ok(pieces
        .into_iter()
        .map(|piece| match (piece, escape) {
            (Piece::Filled(text), Escape::Segment) => escape_segment(&text),
            (Piece::Filled(text), Escape::None) | (Piece::Fixed(text), _) => text,
        })
        .collect())
}

/// A piece of a path whose fields are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What stands in the template itself, braces undone.
    Fixed(String),
    /// What a field became.
    Filled(String),
}

/// Fills parameters into a path and tells its own text from what values brought, for callers with rules of their own
/// about what a value may do to a path. Values are as they are; fixed pieces are never empty and never stand side by
/// side.
///
/// # Errors
/// As [`format_path`].
pub fn format_pieces(
    template: &str,
    parameters: &Parameters,
    builtins: &Builtins,
) -> Result<Vec<Piece>, TemplateError> {
    let names = Names { parameters, builtins };
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    let mut characters = template.chars();
    while let Some(c) = characters.next() {
        let rest = characters.as_str();
        match c {
            '{' if rest.starts_with('{') => {
                characters.next();
                fixed.push('{');
            }
            '}' if rest.starts_with('}') => {
                characters.next();
                fixed.push('}');
            }
            '}' => return Err(syntax("single '}' encountered")),
            '{' if rest.is_empty() => return Err(syntax("single '{' encountered")),
            '{' => {
                let (text, after) = field::format(rest, &names)?;
                if !fixed.is_empty() {
                    pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
                }
                pieces.push(Piece::Filled(text));
                characters = after.chars();
            }
            c => fixed.push(c),
        }
    }
    if !fixed.is_empty() {
        pieces.push(Piece::Fixed(fixed));
    }
    Ok(pieces)
}

fn syntax(what: impl Into<String>) -> TemplateError {
    TemplateError::Syntax { what: what.into() }
}

/// What the first name of a field can mean.
struct Names<'a> {
    parameters: &'a Parameters,
    builtins: &'a Builtins,
}

/// A value that a field can show.
#[derive(Clone)]
enum Value<'a> {
    Json(std::borrow::Cow<'a, Json>),
    DateTime(&'a DateTime),
    /// `pm` itself.
    Builtins(&'a Builtins),
}

#[cfg(test)]
mod tests;

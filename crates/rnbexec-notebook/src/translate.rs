//! Parameters as code of the notebook's language.
//!
//! The duty of every [`Translator`]: **a value can never become code, and a name that is no identifier of the
//! language is refused.** Parameter values may be the text of an attacker (the title of an incident). A value
//! that the language cannot express is refused as well; nothing is ever quietly altered.
//!
//! Where papermill 2.7.0 writes correct code, these translators write the same bytes. The module of each
//! language says where they differ, and from which grammar.

mod bash;
mod csharp;
mod fsharp;
mod javascript;
mod julia;
mod lookup;
mod matlab;
mod name;
mod number;
mod powershell;
mod python;
mod r;
mod scala;
mod text;

use std::fmt;

use crate::inspect::Parameter;
use crate::json::Json;
use crate::parameters::{Parameters, SecretParameters};

pub use lookup::translator_for;

/// Writes parameters in one language.
pub trait Translator: fmt::Debug + Send + Sync {
    /// The language as people call it: `Python`, `C#`.
    fn language(&self) -> &'static str;

    /// A comment, one line of code for each line of text.
    fn comment(&self, text: &str) -> String;

    /// An expression whose value is the given one.
    ///
    /// # Errors
    /// The language cannot express it.
    fn literal(&self, value: &Json) -> Result<String, Unsupported>;

    /// A statement that gives the name that value, without a final line break.
    ///
    /// # Errors
    /// The name is no identifier, or the language cannot express the value.
    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError>;

    /// The parameters that the code of a `parameters` cell defines; nothing if this language's code is not
    /// understood.
    fn inspect(&self, _source: &str) -> Option<Vec<Parameter>> {
        None
    }
}

/// A value that a language cannot express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{language} cannot express {what}")]
pub struct Unsupported {
    /// The language.
    pub language: &'static str,
    /// What it cannot express: never the value itself, which may be secret.
    pub what: &'static str,
}

/// Why parameters cannot be written as code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The name is not one that the language lets a variable have.
    #[error("parameter {name:?} cannot be a variable in {language}: {why}")]
    Name {
        /// The parameter.
        name: String,
        /// The language.
        language: &'static str,
        /// What is wrong with the name.
        why: &'static str,
    },
    /// The language has no way to write the value.
    #[error("parameter {name:?} has no translation")]
    Value {
        /// The parameter.
        name: String,
        /// What is wrong with the value.
        source: Unsupported,
    },
}

/// The source of an injected cell: the comment, then one assignment for each parameter, each on a line of its own.
///
/// # Errors
/// A name is no identifier of the language, or the language cannot express a value.
pub fn parameters_cell(
    translator: &dyn Translator,
    comment: &str,
    parameters: &Parameters,
) -> Result<String, TranslateError> {
    let mut source = translator.comment(comment);
    source.push('\n');
    for (name, value) in parameters {
        source.push_str(&translator.assign(name, value)?);
        source.push('\n');
    }
    Ok(source)
}

/// Code that holds secrets. It is for the kernel alone: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretCode(String);

impl SecretCode {
    /// The code itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The code that gives secrets to a kernel, to be executed silently and never saved. Errors name the parameter,
/// not its value.
///
/// # Errors
/// As [`parameters_cell`].
pub fn secret_assignments(
    translator: &dyn Translator,
    secrets: &SecretParameters,
) -> Result<SecretCode, TranslateError> {
    let mut code = String::new();
    for (name, value) in secrets.iter() {
        code.push_str(&translator.assign(name, value.expose())?);
        code.push('\n');
    }
    Ok(SecretCode(code))
}

/// How deep a value may be nested. Python itself reads no more than 200 brackets; no parameter needs as many.
const MAX_DEPTH: usize = 128;

/// Refuses what would exhaust the stack, here or in the kernel.
fn not_too_deep<'a>(value: &'a Json, language: &'static str) -> Result<&'a Json, Unsupported> {
    fn fits(value: &Json, levels: usize) -> bool {
        match value {
            Json::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
            Json::Object(members) => levels > 0 && members.values().all(|value| fits(value, levels - 1)),
            _ => true,
        }
    }
    if fits(value, MAX_DEPTH) {
        return Ok(value);
    }
    Err(Unsupported { language, what: "a value nested deeper than 128 levels" })
}

/// A comment of a language whose comments run from a mark to the end of the line.
fn line_comment(mark: &str, text: &str) -> String {
    // What ends a line differs between languages; each character that does in any of them ends one here.
    let lines = text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
    let lines: Vec<_> = lines.map(|line| format!("{mark} {line}").trim().replace('\0', " ")).collect();
    lines.join("\n")
}

/// Gives an error about a value the name of the parameter.
fn of_parameter(name: &str) -> impl Fn(Unsupported) -> TranslateError {
    move |source| TranslateError::Value { name: name.to_owned(), source }
}

#[cfg(test)]
mod tests;

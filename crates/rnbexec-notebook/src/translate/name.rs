//! Which names a variable can have.

use unicode_ident::{is_xid_continue, is_xid_start};

use super::TranslateError;

/// What a language says about names.
pub(super) struct NameRule {
    pub(super) language: &'static str,
    pub(super) first: fn(char) -> bool,
    pub(super) rest: fn(char) -> bool,
    /// Words that look like names and cannot be assigned to, with spaces between them.
    pub(super) reserved: &'static str,
}

impl NameRule {
    /// Refuses what is no identifier.
    pub(super) fn check(&self, name: &str) -> Result<(), TranslateError> {
        let mut characters = name.chars();
        let why = match characters.next() {
            None => "it is empty",
            Some(first) if !(self.first)(first) => "a name cannot start like this",
            Some(_) if !characters.all(self.rest) => "it holds a character that a name cannot hold",
            Some(_) if self.reserved.split(' ').any(|word| word == name) => "it is a word of the language",
            Some(_) => return Ok(()),
        };
        Err(self.refuse(name, why))
    }

    pub(super) fn refuse(&self, name: &str, why: &'static str) -> TranslateError {
        TranslateError::Name { name: name.to_owned(), language: self.language, why }
    }
}

/// A letter of any script, or `_`.
pub(super) fn letter_or_underscore(c: char) -> bool {
    c == '_' || is_xid_start(c)
}

/// What can follow the first character in most languages: letters, digits, marks, `_`.
pub(super) fn word(c: char) -> bool {
    is_xid_continue(c)
}

pub(super) fn ascii_letter_or_underscore(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) fn ascii_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

//! Taking secrets out of what leaves the machine: notebooks, reports, comments, log lines.
//!
//! Three kinds are looked for: secrets that the manager knows (in the forms that they take in JSON, HTML, URLs and base64),
//! what the settings describe by regular expressions, and what is surely a secret wherever it stands: signatures of shared
//! access, keys of accounts, tokens, private keys.
//!
//! Everything of a notebook is searched, keys included. What is told of it is which kinds were masked and how often, never a
//! value.

mod patterns;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rnbexec_notebook::parameters::{Secret, SecretParameters};
use rnbexec_notebook::{Json, Notebook};
use serde_json::Value;

use crate::verdict::Verdict;

use patterns::Pattern;
pub use patterns::PatternError;

/// What stands where a secret stood.
const MASK: &str = "***";

/// What is looked for beside the secrets that are known.
#[derive(Clone, Debug)]
pub struct RedactSettings {
    /// Regular expressions. All that one matches is masked; of one with a group named `secret`, that group.
    pub patterns: Vec<String>,
    /// Whether what is surely a secret is masked too.
    pub well_known: bool,
}

impl Default for RedactSettings {
    fn default() -> Self {
        Self { patterns: Vec::new(), well_known: true }
    }
}

/// Takes secrets out of texts and documents.
#[derive(Clone)]
pub struct Redactor {
    known: rnbexec::Redactor,
    patterns: Vec<Pattern>,
}

/// How often a secret of which kind was masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked(BTreeMap<&'static str, usize>);

impl Redactor {
    /// A redactor for these secrets and what the settings say. Secrets shorter than four characters are not searched for.
    pub fn new<S: Into<String>>(
        known: impl IntoIterator<Item = S>,
        settings: &RedactSettings,
    ) -> Result<Self, PatternError> {
        let mut secrets = SecretParameters::new();
        for (index, value) in known.into_iter().enumerate() {
            secrets.insert(index.to_string(), Secret::new(value.into()));
        }
        let own = settings.patterns.iter().map(|pattern| Pattern::parse(pattern));
        let mut patterns = own.collect::<Result<Vec<_>, _>>()?;
        if settings.well_known {
            patterns.extend(patterns::well_known());
        }
        Ok(Self { known: rnbexec::Redactor::new(&secrets), patterns })
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> (Cow<'a, str>, Masked) {
        let mut masked = Masked::default();
        let clean = self.clean(text, &mut masked);
        (clean, masked)
    }

    /// Takes the secrets out of a notebook: sources, outputs, tracebacks, attachments and metadata.
    pub fn notebook(&self, notebook: &mut Notebook) -> Masked {
        let mut masked = Masked::default();
        for value in notebook.contents_mut() {
            self.json(value, &mut masked);
        }
        masked
    }

    /// Takes the secrets out of a verdict. Do it before the verdict is shown anywhere: escaped they cannot be found any more.
    pub fn verdict(&self, verdict: &mut Verdict) -> Masked {
        let mut masked = Masked::default();
        verdict.each_text(&mut |text| {
            if let Cow::Owned(clean) = self.clean(text, &mut masked) {
                *text = clean;
            }
        });
        masked
    }

    /// Takes the secrets out of a JSON value, keys included.
    pub fn value(&self, value: &mut Value) -> Masked {
        let mut masked = Masked::default();
        self.value_within(value, &mut masked);
        masked
    }

    fn value_within(&self, value: &mut Value, masked: &mut Masked) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.clean(text, masked) {
                    *text = clean;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value_within(item, masked);
                }
            }
            Value::Object(members) => {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(key, mut value)| {
                        self.value_within(&mut value, masked);
                        (self.clean(&key, masked).into_owned(), value)
                    })
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn json(&self, json: &mut Json, masked: &mut Masked) {
        match json {
            Json::String(text) => {
                if let Cow::Owned(clean) = self.clean(text, masked) {
                    *text = clean;
                }
            }
            // Rather no lone surrogates than a secret.
            Json::IllFormed(text) => {
                if let Cow::Owned(clean) = self.clean(&text.to_string_lossy(), masked) {
                    *json = Json::String(clean);
                }
            }
            Json::Array(items) => {
                if items.len() > 1 && items.iter().all(Json::is_string) {
                    self.lines(items, masked);
                } else {
                    for item in items {
                        self.json(item, masked);
                    }
                }
            }
            Json::Object(members) => {
                if members.keys().any(|key| matches!(self.clean(key, &mut Masked::default()), Cow::Owned(_)))
                {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, value)| (self.clean(&key, masked).into_owned(), value))
                        .collect();
                }
                for (key, value) in members {
                    if !(key == "output_type" && is_output_type(value)) {
                        self.json(value, masked);
                    }
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// A list of texts may be one text in lines, and a secret may go from one line to the next.
    fn lines(&self, items: &mut [Json], masked: &mut Masked) {
        let whole: String = items.iter().filter_map(Json::text).collect();
        let mut in_whole = Masked::default();
        let clean = self.clean(&whole, &mut in_whole).into_owned();
        let mut one_by_one = Masked::default();
        let mut lines = items.to_vec();
        for line in &mut lines {
            self.json(line, &mut one_by_one);
        }
        if in_whole.total() > one_by_one.total() {
            lines.fill(Json::from(""));
            if let Some(first) = lines.first_mut() {
                *first = Json::from(clean);
            }
            masked.add(&in_whole);
        } else {
            masked.add(&one_by_one);
        }
        items.clone_from_slice(&lines);
    }

    fn clean<'a>(&self, text: &'a str, masked: &mut Masked) -> Cow<'a, str> {
        let mut found = Masked::default();
        let clean = self.clean_plain(text, &mut found);
        if text.contains('\u{1b}') {
            // Colours can cut a secret in two. They are worth less than it.
            let plain = without_colours(text);
            let mut found_in_plain = Masked::default();
            let clean_plain = self.clean_plain(&plain, &mut found_in_plain).into_owned();
            if found_in_plain.total() > found.total() {
                masked.add(&found_in_plain);
                return Cow::Owned(clean_plain);
            }
        }
        masked.add(&found);
        clean
    }

    fn clean_plain<'a>(&self, text: &'a str, masked: &mut Masked) -> Cow<'a, str> {
        let mut count = 0;
        let mut clean = self.known.mask(text, &mut count);
        masked.count("known secret", count);
        for pattern in &self.patterns {
            if let Some((cleaner, count)) = pattern.mask(&clean) {
                masked.count(pattern.kind(), count);
                clean = Cow::Owned(cleaner);
            }
        }
        clean
    }
}

/// Says nothing of what is looked for.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Masked {
    /// Whether nothing was masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often something was masked.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// What kinds of secrets were masked, and how often.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Adds what was masked elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in other.kinds() {
            self.count(kind, count);
        }
    }

    fn count(&mut self, kind: &'static str, count: usize) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

/// `account key (1), known secret (3)`
impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.kinds().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} ({count})")?;
        }
        if self.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

/// The word that says what an output is stays, whatever a secret is called.
fn is_output_type(value: &Json) -> bool {
    matches!(value.as_str(), Some("stream" | "display_data" | "execute_result" | "error"))
}

/// The text without the escape sequences of colours (`ESC [ … m`).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'));
        rest = match end {
            Some(end) if after[end..].starts_with('m') => &after[end + 1..],
            Some(end) => &after[end..],
            None => "",
        };
    }
    plain + rest
}

//! Keeping secret parameters out of everything that leaves the run.

use rnbexec_notebook::parameters::SecretParameters;
use rnbexec_notebook::{Cell, Json};

/// What stands where a secret stood.
const MASK: &str = "***";

/// Replaces the values of secrets, as they are and as they look in `repr` and JSON.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor {
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor for the given secrets. Values shorter than four characters are not searched for: masking every `1`
    /// in a notebook would destroy it and hide nothing.
    pub(crate) fn new(secrets: &SecretParameters) -> Self {
        let mut needles = Vec::new();
        for (_, secret) in secrets.iter() {
            let Some(value) = secret.expose().text() else { continue };
            if value.chars().count() < 4 {
                continue;
            }
            let json = Json::from(value.as_ref()).to_compact();
            let escaped = json.trim_matches('"').to_owned();
            for needle in [value.into_owned(), escaped] {
                if !needles.contains(&needle) {
                    needles.push(needle);
                }
            }
        }
        // Longest first, so that a secret which contains another is masked whole.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Self { needles }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text without any secret.
    pub(crate) fn text<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        let mut clean = std::borrow::Cow::Borrowed(text);
        for needle in &self.needles {
            if clean.contains(needle.as_str()) {
                clean = clean.replace(needle.as_str(), MASK).into();
            }
        }
        clean
    }

    /// Takes every secret out of a cell's outputs.
    pub(crate) fn redact_outputs(&self, cell: &mut Cell) {
        if self.is_empty() {
            return;
        }
        for output in cell.outputs_mut() {
            self.redact(output);
        }
    }

    /// Takes every secret out of a JSON value, keys included.
    pub(crate) fn redact(&self, json: &mut Json) {
        match json {
            Json::String(text) => {
                if let std::borrow::Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Json::Object(object) => {
                if object.keys().any(|key| matches!(self.text(key), std::borrow::Cow::Owned(_))) {
                    *object = std::mem::take(object)
                        .into_iter()
                        .map(|(key, value)| (self.text(&key).into_owned(), value))
                        .collect();
                }
                object.values_mut().for_each(|value| self.redact(value));
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::IllFormed(_) => {}
        }
    }
}

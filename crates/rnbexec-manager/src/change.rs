//! What is to be changed about an incident, and the request body that does it.
//!
//! `PUT …/incidents/{id}` replaces the whole incident: what the body leaves out is reset. So the body is the incident as it was
//! read, with the few wanted fields changed, the read-only ones left out and the etag inside, exactly as it came (the API has
//! no `If-Match`). Properties that nobody knows are kept.

#[cfg(test)]
mod tests;

use std::fmt;

use rnbexec_azure::sentinel::Incident;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::severity::Severity;
use crate::text::one_line;
use crate::verdict::Classification;

/// The status of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Nobody handles it.
    New,
    /// Somebody handles it.
    Active,
    /// It is done.
    Closed,
}

impl Status {
    /// The word, as Sentinel spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Active => "Active",
            Self::Closed => "Closed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is to be changed about an incident. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentChange {
    /// The severity it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The status it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The classification it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// The labels it is to have too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_labels: Vec<String>,
}

impl IncidentChange {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The body of the PUT; `None` when the incident is already as it should be.
    pub fn body(&self, incident: &Incident) -> Option<Value> {
        let mut body = unchanged(incident);
        let before = properties(&body);
        let mut after = before.clone();
        if let Some(severity) = self.severity {
            set_word(&mut after, "severity", severity.as_str());
        }
        if let Some(status) = self.status {
            set_word(&mut after, "status", status.as_str());
        }
        if let Some(Classification { class, reason, comment }) = &self.classification {
            set_word(&mut after, "classification", class.as_str());
            // Of an earlier classification nothing stays, it would explain another one.
            set_or_unset(&mut after, "classificationReason", reason.map(crate::verdict::Reason::as_str));
            set_or_unset(&mut after, "classificationComment", comment.as_deref());
        }
        add_labels(&mut after, &self.add_labels);
        if after == before {
            return None;
        }
        body["properties"] = Value::Object(after);
        Some(body)
    }
}

/// The body of a PUT that changes nothing.
///
/// The kind of a label is the service's to say, but the labels that are there go back as they came: they are one array, which
/// is replaced as a whole.
fn unchanged(incident: &Incident) -> Value {
    let mut body = incident.to_update();
    if let Some(labels) = incident.property("labels") {
        body["properties"]["labels"] = labels.clone();
    }
    body
}

/// One property that a write changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The property's name.
    pub field: String,
    /// What it was; `null` when it was not there.
    pub before: Value,
    /// What it becomes; `null` when it is reset.
    pub after: Value,
}

/// What the body of a PUT changes about an incident, property by property, in alphabetical order.
pub fn differences(incident: &Incident, body: &Value) -> Vec<Difference> {
    let (before, after) = (properties(&unchanged(incident)), properties(body));
    let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let value = |of: &Map<String, Value>, field: &str| of.get(field).cloned().unwrap_or_default();
    let pairs = fields.into_iter().map(|field| Difference {
        before: value(&before, field),
        after: value(&after, field),
        field: field.clone(),
    });
    pairs.filter(|difference| difference.before != difference.after).collect()
}

/// On one line, fit for a terminal.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| match value {
            Value::Null => "nothing".to_owned(),
            Value::String(text) => one_line(text, 200),
            other => one_line(&other.to_string(), 200),
        };
        write!(f, "{}: {} -> {}", one_line(&self.field, 100), shown(&self.before), shown(&self.after))
    }
}

fn properties(body: &Value) -> Map<String, Value> {
    body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Sets one of the service's words, unless it stands there already in other capitals.
fn set_word(properties: &mut Map<String, Value>, key: &str, word: &str) {
    let now = properties.get(key).and_then(Value::as_str);
    if !now.is_some_and(|now| now.eq_ignore_ascii_case(word)) {
        properties.insert(key.to_owned(), json!(word));
    }
}

fn set_or_unset(properties: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    match text {
        Some(text) => drop(properties.insert(key.to_owned(), json!(text))),
        None if properties.get(key).is_some_and(|now| !now.is_null()) => drop(properties.remove(key)),
        None => {}
    }
}

/// Adds the labels that are not there, whatever their capitals. Those that are there stay as they are, untouched.
fn add_labels(properties: &mut Map<String, Value>, names: &[String]) {
    let labels = match properties.get("labels") {
        None | Some(Value::Null) => &mut Vec::new(),
        Some(Value::Array(labels)) => &mut labels.clone(),
        // Something that is no list of labels cannot be added to without losing it.
        Some(_) => return,
    };
    let before = labels.len();
    for name in names {
        let there = |label: &Value| {
            let there = label.get("labelName").and_then(Value::as_str);
            there.is_some_and(|there| there.to_lowercase() == name.to_lowercase())
        };
        if !labels.iter().any(there) {
            labels.push(json!({"labelName": name}));
        }
    }
    if labels.len() > before {
        properties.insert("labels".to_owned(), Value::Array(std::mem::take(labels)));
    }
}

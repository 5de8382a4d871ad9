//! What a triage notebook found, as it says itself: a display of MIME type [`MIME_TYPE`].
//!
//! [`Verdict::parse`] is open about keys it does not know (a newer notebook may say more) and strict about those it knows:
//! a verdict that cannot be read is no verdict, and a triage without one has failed. Texts and lists that are too long are cut
//! and marked, not refused, and characters that act unseen are taken out: a verdict carries names that attackers chose.
//!
//! [`judge`] decides what an executed notebook means. [`SCHEMA`] is the published form of the same table; a test holds the two
//! together.

mod judge;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::severity::Severity;

pub use judge::{JudgeRules, Judgement, judge};
pub use read::VerdictError;

/// The MIME type of the display.
pub const MIME_TYPE: &str = "application/vnd.rnbexec.verdict+json";

/// The JSON Schema (2020-12) of a verdict.
pub const SCHEMA: &str = include_str!("verdict/schema.json");

/// The outcome of a triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Verdict {
    /// How bad it is.
    pub severity: Severity,
    /// How sure the notebook is: 0 to 1.
    pub confidence: Option<f64>,
    /// The finding in one line.
    pub title: Option<String>,
    /// The finding in some lines of Markdown.
    pub summary: Option<String>,
    /// What kind of finding it is, in Sentinel's words.
    pub classification: Option<Classification>,
    /// Labels for the incident.
    pub labels: Vec<String>,
    /// What the analyst should do.
    pub tasks: Vec<Task>,
    /// What the verdict rests on.
    pub evidence: Vec<Evidence>,
    /// How much of the lists was beyond their limits.
    pub omitted: Omitted,
}

impl Verdict {
    /// A verdict that says nothing but how bad it is.
    pub fn new(severity: Severity) -> Self {
        Self {
            severity,
            confidence: None,
            title: None,
            summary: None,
            classification: None,
            labels: Vec::new(),
            tasks: Vec::new(),
            evidence: Vec::new(),
            omitted: Omitted::default(),
        }
    }

    /// Reads the content of a verdict display: an object, or a text that holds one.
    pub fn parse(value: &Value) -> Result<Self, VerdictError> {
        read::verdict(value)
    }

    /// Changes every text of the verdict.
    pub(crate) fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        let Self { title, summary, classification, labels, tasks, evidence, .. } = self;
        let comment = classification.as_mut().and_then(|classification| classification.comment.as_mut());
        title.iter_mut().chain(summary).chain(comment).chain(labels).for_each(&mut *change);
        for Task { title, description } in tasks {
            change(title);
            change(description);
        }
        for Evidence { kind, entity, severity: _, reason, source, technique } in evidence {
            change(entity);
            kind.iter_mut().chain(reason).chain(source).chain(technique).for_each(&mut *change);
        }
    }
}

/// Why an incident is, or may be, closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// What kind of finding it is.
    pub class: Class,
    /// Why.
    pub reason: Option<Reason>,
    /// In the notebook's words.
    pub comment: Option<String>,
}

/// The kinds of finding that Sentinel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// An attack, or something that had to be looked at like one.
    TruePositive,
    /// It happened, and it was meant to.
    BenignPositive,
    /// It did not happen as the alert says.
    FalsePositive,
    /// It is not known.
    Undetermined,
}

/// The reasons that Sentinel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Of a true positive.
    SuspiciousActivity,
    /// Of a benign positive.
    SuspiciousButExpected,
    /// Of a false positive: the rule is wrong.
    IncorrectAlertLogic,
    /// Of a false positive: the data is wrong.
    InaccurateData,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::TruePositive, Self::BenignPositive, Self::FalsePositive, Self::Undetermined];

    /// The word, as Sentinel spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TruePositive => "TruePositive",
            Self::BenignPositive => "BenignPositive",
            Self::FalsePositive => "FalsePositive",
            Self::Undetermined => "Undetermined",
        }
    }

    /// The reasons that Sentinel accepts with it.
    pub const fn reasons(self) -> &'static [Reason] {
        match self {
            Self::TruePositive => &[Reason::SuspiciousActivity],
            Self::BenignPositive => &[Reason::SuspiciousButExpected],
            Self::FalsePositive => &[Reason::IncorrectAlertLogic, Reason::InaccurateData],
            Self::Undetermined => &[],
        }
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SuspiciousActivity,
        Self::SuspiciousButExpected,
        Self::IncorrectAlertLogic,
        Self::InaccurateData,
    ];

    /// The word, as Sentinel spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SuspiciousActivity => "SuspiciousActivity",
            Self::SuspiciousButExpected => "SuspiciousButExpected",
            Self::IncorrectAlertLogic => "IncorrectAlertLogic",
            Self::InaccurateData => "InaccurateData",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that the analyst should do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// In one line.
    pub title: String,
    /// In more; may be empty.
    pub description: String,
}

/// One thing that the verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What kind of thing it is: `ip`, `host`, `process`.
    pub kind: Option<String>,
    /// The thing: an address, a name, a command line. May be empty.
    pub entity: String,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Why.
    pub reason: Option<String>,
    /// Who says so.
    pub source: Option<String>,
    /// The technique of ATT&CK: `T1003.001`.
    pub technique: Option<String>,
}

/// How many items were left out because a list was longer than its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Labels.
    pub labels: usize,
    /// Tasks.
    pub tasks: usize,
    /// Rows of evidence.
    pub evidence: usize,
}

impl TryFrom<Value> for Verdict {
    type Error = VerdictError;

    fn try_from(value: Value) -> Result<Self, VerdictError> {
        Self::parse(&value)
    }
}

/// The form that [`Verdict::parse`] reads.
impl From<Verdict> for Value {
    fn from(verdict: Verdict) -> Self {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            let says_something = match &value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(members) => !members.is_empty(),
                _ => true,
            };
            if says_something {
                object.insert(key.to_owned(), value);
            }
        };
        let classification = verdict.classification;
        put("version", json!(1));
        put("severity", json!(verdict.severity));
        put("confidence", json!(verdict.confidence));
        put("title", json!(verdict.title));
        put("summary", json!(verdict.summary));
        put("classification", json!(classification.as_ref().map(|classification| classification.class)));
        put("classification_reason", json!(classification.as_ref().and_then(|one| one.reason)));
        put("classification_comment", json!(classification.and_then(|one| one.comment)));
        put("labels", json!(verdict.labels));
        put("tasks", json!(verdict.tasks));
        put("evidence", verdict.evidence.into_iter().map(evidence).collect());
        put("omitted", omitted(verdict.omitted));
        Self::Object(object)
    }
}

fn evidence(row: Evidence) -> Value {
    let members = [
        ("kind", row.kind),
        ("entity", Some(row.entity)),
        ("severity", row.severity.map(|severity| severity.to_string())),
        ("reason", row.reason),
        ("source", row.source),
        ("technique", row.technique),
    ];
    let given = members.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::String(text?))));
    Value::Object(given.collect())
}

fn omitted(omitted: Omitted) -> Value {
    let counts = [("labels", omitted.labels), ("tasks", omitted.tasks), ("evidence", omitted.evidence)];
    let given = counts.into_iter().filter(|(_, count)| *count > 0);
    Value::Object(given.map(|(key, count)| (key.to_owned(), json!(count))).collect())
}

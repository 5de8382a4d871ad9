//! The parser of verdicts, and the table of their limits.

use serde_json::{Map, Value};

use super::{Class, Classification, Evidence, Omitted, Reason, Task, Verdict};
use crate::severity::Severity;
use crate::text;

/// The only version there is.
const VERSION: u64 = 1;

/// The most characters of a text.
mod characters {
    pub(super) const TITLE: usize = 200;
    pub(super) const SUMMARY: usize = 8_000;
    pub(super) const COMMENT: usize = 1_000;
    pub(super) const LABEL: usize = 100;
    pub(super) const TASK_TITLE: usize = 150;
    pub(super) const TASK_DESCRIPTION: usize = 3_000;
    pub(super) const KIND: usize = 50;
    pub(super) const ENTITY: usize = 1_000;
    pub(super) const REASON: usize = 1_000;
    pub(super) const SOURCE: usize = 200;
}

/// The most items of a list.
mod items {
    pub(super) const LABELS: usize = 50;
    pub(super) const TASKS: usize = 50;
    pub(super) const EVIDENCE: usize = 500;
}

/// A verdict that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct VerdictError {
    /// The key, as a path: `evidence[3].severity`.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl VerdictError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

type Read<T> = Result<T, VerdictError>;

pub(super) fn verdict(value: &Value) -> Read<Verdict> {
    let parsed;
    let value = match value {
        Value::String(json) => {
            parsed = serde_json::from_str(json).map_err(|error| {
                VerdictError::new("the verdict", format!("a text that is no JSON: {error}"))
            })?;
            &parsed
        }
        value => value,
    };
    let Value::Object(members) = value else {
        return Err(VerdictError::new("the verdict", format!("{} where an object belongs", kind(value))));
    };
    let object = Object { members, place: String::new() };
    object.version()?;
    let Some(severity) = object.severity("severity")? else {
        return Err(object.wrong("severity", "missing"));
    };
    let mut omitted = object.omitted()?;
    let mut labels = object.list("labels", items::LABELS, &mut omitted.labels, |item, place| match item {
        Value::String(label) => Ok(text::one_line(label, characters::LABEL)),
        other => Err(VerdictError::new(place, format!("{} where a text belongs", kind(other)))),
    })?;
    // A blank label labels nothing.
    labels.retain(|label| !label.is_empty());
    Ok(Verdict {
        severity,
        confidence: object.confidence("confidence")?,
        title: object.line("title", characters::TITLE)?,
        summary: object.lines("summary", characters::SUMMARY)?,
        classification: object.classification()?,
        labels,
        tasks: object.list("tasks", items::TASKS, &mut omitted.tasks, |item, place| {
            let task = Object::of(item, place)?;
            Ok(Task {
                title: task.needed("title", characters::TASK_TITLE)?,
                description: task.lines("description", characters::TASK_DESCRIPTION)?.unwrap_or_default(),
            })
        })?,
        evidence: object.list("evidence", items::EVIDENCE, &mut omitted.evidence, |item, place| {
            let row = Object::of(item, place)?;
            Ok(Evidence {
                kind: row.line("kind", characters::KIND)?,
                entity: row.line("entity", characters::ENTITY)?.unwrap_or_default(),
                severity: row.severity("severity")?,
                reason: row.line("reason", characters::REASON)?,
                source: row.line("source", characters::SOURCE)?,
                technique: row.line("technique", characters::KIND)?,
            })
        })?,
        omitted,
    })
}

/// An object, and where in the verdict it stands. A key whose value is `null` is not there.
struct Object<'a> {
    members: &'a Map<String, Value>,
    /// The path with a period at its end, or nothing.
    place: String,
}

impl<'a> Object<'a> {
    fn of(value: &'a Value, place: String) -> Read<Self> {
        match value {
            Value::Object(members) => Ok(Self { members, place: place + "." }),
            other => Err(VerdictError::new(place, format!("{} where an object belongs", kind(other)))),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, problem: impl Into<String>) -> VerdictError {
        VerdictError::new(format!("{}{key}", self.place), problem)
    }

    fn wrong_kind(&self, key: &str, value: &Value, wanted: &str) -> VerdictError {
        self.wrong(key, format!("{} where {wanted} belongs", kind(value)))
    }

    fn text(&self, key: &str) -> Read<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_kind(key, other, "a text")),
        }
    }

    fn line(&self, key: &str, limit: usize) -> Read<Option<String>> {
        let line = self.text(key)?.map(|line| text::one_line(line, limit));
        Ok(line.filter(|line| !line.is_empty()))
    }

    fn lines(&self, key: &str, limit: usize) -> Read<Option<String>> {
        let lines = self.text(key)?.map(|lines| text::lines(lines, limit));
        Ok(lines.filter(|lines| !lines.is_empty()))
    }

    fn needed(&self, key: &str, limit: usize) -> Read<String> {
        let line = self.text(key)?.ok_or_else(|| self.wrong(key, "missing"))?;
        let line = text::one_line(line, limit);
        if line.is_empty() { Err(self.wrong(key, "blank")) } else { Ok(line) }
    }

    fn version(&self) -> Read<()> {
        match self.get("version") {
            None => Ok(()),
            // 1.0 is the same number to JSON.
            Some(Value::Number(version)) if version.as_f64() == Some(1.0) => Ok(()),
            Some(Value::Number(version)) => {
                Err(self.wrong("version", format!("{version} is not known; {VERSION} is")))
            }
            Some(other) => Err(self.wrong_kind("version", other, "a number")),
        }
    }

    fn severity(&self, key: &str) -> Read<Option<Severity>> {
        let severity = self.text(key)?.map(str::parse);
        severity
            .transpose()
            .map_err(|error: crate::severity::SeverityError| self.wrong(key, error.to_string()))
    }

    fn confidence(&self, key: &str) -> Read<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                match number.as_f64().filter(|number| (0.0..=1.0).contains(number)) {
                    Some(confidence) => Ok(Some(confidence)),
                    None => Err(self.wrong(key, format!("{number} is not between 0 and 1"))),
                }
            }
            Some(other) => Err(self.wrong_kind(key, other, "a number")),
        }
    }

    fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*meaning));
        }
        let choices: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text: String = text.chars().take(50).collect();
        Err(self.wrong(key, format!("{text:?} is not one of {}", choices.join(", "))))
    }

    fn classification(&self) -> Read<Option<Classification>> {
        let class = self.word("classification", &Class::ALL.map(|class| (class.as_str(), class)))?;
        let reason =
            self.word("classification_reason", &Reason::ALL.map(|reason| (reason.as_str(), reason)))?;
        let comment = self.lines("classification_comment", characters::COMMENT)?;
        match class {
            Some(class) => Ok(Some(Classification { class, reason, comment })),
            None if reason.is_some() => Err(self.wrong("classification_reason", "without classification")),
            // A comment alone classifies nothing.
            None => Ok(None),
        }
    }

    fn list<T>(
        &self,
        key: &str,
        limit: usize,
        omitted: &mut usize,
        mut read: impl FnMut(&Value, String) -> Read<T>,
    ) -> Read<Vec<T>> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                *omitted = omitted.saturating_add(items.len().saturating_sub(limit));
                let items = items.iter().enumerate().take(limit);
                items.map(|(index, item)| read(item, format!("{}{key}[{index}]", self.place))).collect()
            }
            Some(other) => Err(self.wrong_kind(key, other, "a list")),
        }
    }

    /// What an earlier reading left out, in a verdict that was written again.
    fn omitted(&self) -> Read<Omitted> {
        let Some(omitted) = self.get("omitted") else { return Ok(Omitted::default()) };
        let omitted = Object::of(omitted, format!("{}omitted", self.place))?;
        let count = |key: &str| match omitted.get(key) {
            None => Ok(0),
            Some(value) => match value.as_u64().and_then(|count| usize::try_from(count).ok()) {
                Some(count) => Ok(count),
                None => Err(omitted.wrong(key, "no whole number of items")),
            },
        };
        Ok(Omitted { labels: count("labels")?, tasks: count("tasks")?, evidence: count("evidence")? })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

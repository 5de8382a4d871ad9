//! What an executed notebook means for its incident.

use rnbexec_notebook::papermill::ERROR_MARKER_TAG;
use rnbexec_notebook::{Cell, CellStatus, CellType, Json, Notebook};
use serde_json::Value;

use super::{MIME_TYPE, Verdict, VerdictError};
use crate::severity::Severity;

/// What makes a verdict a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeRules {
    /// A finding is at least as bad as this.
    pub minimum_severity: Severity,
    /// A finding is at least as sure as this, if it says how sure it is.
    pub minimum_confidence: f64,
    /// A cell with this tag that has outputs is a finding where no verdict is displayed: the contract of Microsoft's notebooks.
    pub output_tag: String,
    /// How bad such a finding is.
    pub output_tag_severity: Severity,
}

impl Default for JudgeRules {
    fn default() -> Self {
        Self {
            minimum_severity: Severity::Low,
            minimum_confidence: 0.0,
            output_tag: "output".to_owned(),
            output_tag_severity: Severity::High,
        }
    }
}

/// What an executed notebook means.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// There is something to tell.
    Finding(Verdict),
    /// There is nothing to tell; the verdict is what the notebook said, if it said anything.
    NoFinding(Option<Verdict>),
    /// The triage failed: it says nothing, neither good nor bad.
    Unclear {
        /// What is wrong.
        problem: String,
    },
}

/// Decides what an executed notebook means.
///
/// The last verdict that is displayed counts. A notebook that did not come to its end, and one with a verdict that cannot be
/// read, say nothing: they are never "no finding".
pub fn judge(notebook: &Notebook, rules: &JudgeRules) -> Judgement {
    if let Some(problem) = crash(notebook) {
        return Judgement::Unclear { problem };
    }
    let mut last = None;
    for (cell, payload) in displays(notebook) {
        match value_of(payload, 0).and_then(|value| Verdict::parse(&value)) {
            Ok(verdict) => last = Some(verdict),
            Err(error) => {
                let problem = format!("the verdict that cell {} displays cannot be read: {error}", cell + 1);
                return Judgement::Unclear { problem };
            }
        }
    }
    let tagged =
        || notebook.cells().iter().any(|cell| cell.has_tag(&rules.output_tag) && !cell.outputs().is_empty());
    let verdict = last.or_else(|| tagged().then(|| Verdict::new(rules.output_tag_severity)));
    let says_something = |verdict: &Verdict| {
        verdict.severity >= rules.minimum_severity
            && verdict.confidence.is_none_or(|confidence| confidence >= rules.minimum_confidence)
    };
    match verdict {
        Some(verdict) if says_something(&verdict) => Judgement::Finding(verdict),
        verdict => Judgement::NoFinding(verdict),
    }
}

/// What shows that the notebook did not come to its end.
fn crash(notebook: &Notebook) -> Option<String> {
    let stamp = notebook.metadata().get("papermill");
    let member = |key: &str| stamp.and_then(|stamp| stamp.get(key));
    for (index, cell) in notebook.cells().iter().enumerate() {
        let number = index + 1;
        match CellStatus::of(cell) {
            Some(CellStatus::Failed) => return Some(format!("cell {number} failed{}", error_of(cell))),
            Some(CellStatus::Running) => return Some(format!("cell {number} did not come to its end")),
            Some(CellStatus::Pending | CellStatus::Completed) | None => {}
        }
        if raised(cell) && !cell.has_tag("raises-exception") {
            return Some(format!("cell {number} raised{}", error_of(cell)));
        }
    }
    if member("exception").and_then(Json::as_bool) == Some(true) {
        return Some("the run of the notebook failed".to_owned());
    }
    let started = member("start_time").is_some_and(Json::is_string);
    let ended = member("end_time").is_some_and(Json::is_string);
    (started && !ended).then(|| "the run of the notebook did not come to its end".to_owned())
}

fn errors(cell: &Cell) -> impl Iterator<Item = &Json> {
    let outputs = if cell.cell_type() == CellType::Code { cell.outputs() } else { &[] };
    outputs.iter().filter(|output| output.get("output_type").and_then(Json::as_str) == Some("error"))
}

fn raised(cell: &Cell) -> bool {
    errors(cell).next().is_some()
}

/// The name of the exception, as the end of a sentence. What it says may hold anything, so it stays in the notebook.
fn error_of(cell: &Cell) -> String {
    let name = errors(cell).next().and_then(|error| error.get("ename")).and_then(Json::text);
    let name = name.map(|name| crate::text::one_line(&name, 100)).filter(|name| !name.is_empty());
    name.map_or_else(String::new, |name| format!(" with {name}"))
}

/// The contents of all verdict displays, in order, each with the index of its cell.
fn displays(notebook: &Notebook) -> impl Iterator<Item = (usize, &Json)> {
    let cells = notebook.cells().iter().enumerate();
    let cells =
        cells.filter(|(_, cell)| cell.cell_type() == CellType::Code && !cell.has_tag(ERROR_MARKER_TAG));
    cells.flat_map(|(index, cell)| {
        let displays = cell.outputs().iter().filter(|output| {
            let output_type = output.get("output_type").and_then(Json::as_str);
            matches!(output_type, Some("display_data" | "execute_result"))
        });
        displays.filter_map(move |output| Some((index, output.get("data")?.get(MIME_TYPE)?)))
    })
}

/// The value without what only a notebook's JSON has. A text in lines, as nbformat splits what it does not take for JSON, is
/// one text.
fn value_of(json: &Json, depth: usize) -> Result<Value, VerdictError> {
    const DEEPEST: usize = 32;
    if depth > DEEPEST {
        return Err(VerdictError::new("the verdict", format!("nested deeper than {DEEPEST} levels")));
    }
    let inner = |item: &Json| value_of(item, depth + 1);
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_value(number),
        Json::String(text) => Value::String(text.clone()),
        Json::IllFormed(text) => Value::String(text.to_string_lossy()),
        Json::Array(lines) if depth == 0 && !lines.is_empty() && lines.iter().all(Json::is_string) => {
            Value::String(lines.iter().filter_map(Json::text).collect())
        }
        Json::Array(items) => Value::Array(items.iter().map(inner).collect::<Result<_, _>>()?),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| Ok((key.clone(), inner(value)?)));
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

/// A number that JSON has no word for becomes a text, and then is refused where a number belongs.
fn number_value(number: &rnbexec_notebook::json::Number) -> Value {
    let whole = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
    let value = whole.or_else(|| serde_json::Number::from_f64(number.as_f64()).map(Value::Number));
    value.unwrap_or_else(|| Value::String(number.as_str().to_owned()))
}

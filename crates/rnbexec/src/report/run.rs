//! What a notebook's metadata tells of its run.

use rnbexec_notebook::{Cell, CellStatus, CellType, Json, Notebook, Object};

use super::text;

/// How the run ended, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Good,
    Bad,
    Unknown,
}

impl Ending {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// The run of a notebook.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) ending: Ending,
    /// The ending in a word or two.
    pub(super) word: &'static str,
    /// Why it ended so.
    pub(super) reason: Option<String>,
    /// When it began, for people.
    pub(super) started: Option<String>,
    /// In seconds.
    pub(super) duration: Option<f64>,
    pub(super) kernel: Option<String>,
    pub(super) language: String,
    /// Code cells that hold something, and how many of them ran.
    pub(super) code_cells: usize,
    pub(super) ran: usize,
    /// The position of the cell that failed.
    pub(super) failed: Option<usize>,
    pub(super) parameters: Option<&'a Object>,
    /// All of it, for those who want to know.
    pub(super) record: Vec<(String, String)>,
}

impl<'a> Run<'a> {
    /// What the notebook says.
    pub(super) fn of(notebook: &'a Notebook) -> Self {
        let metadata = notebook.metadata();
        let papermill = metadata.get("papermill");
        let notes = metadata.get("rnbexec");
        let member = |object: Option<&'a Json>, key: &str| object.and_then(|object| object.get(key));
        let line = |object: Option<&'a Json>, key: &str| {
            member(object, key)
                .filter(|value| !value.is_null())
                .map(|value| text::line(&text::of_json(value), 1_000))
                .filter(|line| !line.is_empty())
        };
        let code = || notebook.cells().iter().enumerate().filter(|(_, cell)| is_code(cell));
        let failed = code()
            .find(|(_, cell)| CellStatus::of(cell) == Some(CellStatus::Failed))
            .or_else(|| code().find(|(_, cell)| raised(cell) && !cell.has_tag("raises-exception")))
            .map(|(index, _)| index);
        let start = line(papermill, "start_time");
        let (ending, word) = match line(notes, "outcome").as_deref() {
            Some(outcome) => of_outcome(outcome),
            None if member(papermill, "exception").and_then(Json::as_bool) == Some(true) => {
                (Ending::Bad, "Failed")
            }
            None if start.is_some() && line(papermill, "end_time").is_none() => {
                (Ending::Unknown, "Not finished")
            }
            None if failed.is_some() => (Ending::Bad, "Raised an error"),
            None if start.is_some() => (Ending::Good, "Completed"),
            None if code().any(|(_, cell)| ran(cell)) => (Ending::Unknown, "Executed"),
            None => (Ending::Unknown, "Not executed"),
        };
        let reason = line(notes, "reason").filter(|_| ending != Ending::Good).or_else(|| {
            let output = notebook.cells().get(failed?)?.outputs().iter().find(|output| is_error(output))?;
            let part = |key: &str| output.get(key).map(text::of_json).unwrap_or_default();
            Some(text::line(&format!("{}: {}", part("ename"), part("evalue")), 500))
        });
        let kernelspec = metadata.get("kernelspec");
        Self {
            ending,
            word,
            reason,
            started: start.as_deref().map(moment),
            duration: member(papermill, "duration")
                .and_then(Json::as_f64)
                .filter(|seconds| seconds.is_finite()),
            kernel: line(kernelspec, "display_name").or_else(|| line(kernelspec, "name")),
            language: notebook.language().unwrap_or_default().to_lowercase(),
            code_cells: code().count(),
            ran: code().filter(|(_, cell)| ran(cell)).count(),
            failed,
            parameters: member(papermill, "parameters")
                .and_then(Json::as_object)
                .filter(|all| !all.is_empty()),
            record: record(metadata),
        }
    }
}

/// The words of [`Outcome::name`](crate::Outcome::name).
fn of_outcome(outcome: &str) -> (Ending, &'static str) {
    match outcome {
        "completed" => (Ending::Good, "Completed"),
        "prepared" => (Ending::Unknown, "Not executed"),
        "exited-early" => (Ending::Good, "Ended itself early"),
        "cell-failed" => (Ending::Bad, "Failed"),
        "timed-out" => (Ending::Bad, "Timed out"),
        "kernel-died" => (Ending::Bad, "Kernel died"),
        "start-failed" => (Ending::Bad, "Kernel did not start"),
        "outputs-incomplete" => (Ending::Bad, "Outputs may be missing"),
        "interrupted" => (Ending::Bad, "Interrupted"),
        _ => (Ending::Unknown, "Unknown ending"),
    }
}

fn is_code(cell: &Cell) -> bool {
    cell.cell_type() == CellType::Code && !cell.source().trim().is_empty()
}

/// Whether the kernel has run the cell, well or not.
pub(super) fn ran(cell: &Cell) -> bool {
    match CellStatus::of(cell) {
        Some(CellStatus::Pending | CellStatus::Running) => false,
        _ => cell.execution_count().is_some() || !cell.outputs().is_empty(),
    }
}

fn raised(cell: &Cell) -> bool {
    cell.outputs().iter().any(is_error)
}

fn is_error(output: &Json) -> bool {
    output.get("output_type").and_then(Json::as_str) == Some("error")
}

/// Everything that papermill and rnbexec noted, as lines.
fn record(metadata: &Object) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (section, skipped) in [("papermill", "parameters"), ("rnbexec", "")] {
        let Some(members) = metadata.get(section).and_then(Json::as_object) else { continue };
        for (key, value) in members {
            let empty = value.is_null() || value.as_object().is_some_and(Object::is_empty);
            if key != skipped && !empty {
                lines.push((format!("{section}.{key}"), text::line(&text::of_json(value), 2_000)));
            }
        }
    }
    if let Some(name) = metadata.get("kernelspec").and_then(|spec| spec.get("name")) {
        lines.push(("kernelspec.name".to_owned(), text::line(&text::of_json(name), 200)));
    }
    if let Some(language) = metadata.get("language_info") {
        let part = |key: &str| language.get(key).map(text::of_json).unwrap_or_default();
        let language = text::line(&format!("{} {}", part("name"), part("version")), 200);
        lines.push(("language".to_owned(), language));
    }
    lines
}

/// The duration of a cell, in seconds.
pub(super) fn cell_duration(cell: &Cell) -> Option<f64> {
    let seconds = cell.metadata().get("papermill")?.get("duration")?.as_f64()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// Seconds for people.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).floor();
    if minutes < 60.0 {
        return format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).floor());
    }
    format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
}

/// A point in time for people; one that cannot be read stays as it is.
pub(super) fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(metadata: &str, cells: &str) -> Notebook {
        let text =
            format!("{{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{metadata},\"cells\":[{cells}]}}");
        Notebook::parse(text.as_bytes(), &mut || "x".to_owned()).unwrap().notebook
    }

    #[test]
    fn the_ending_is_what_the_run_noted_else_what_papermill_did() {
        for (metadata, ending, word) in [
            (
                r#"{"papermill":{"start_time":"x","end_time":"y"},"rnbexec":{"outcome":"timed-out"}}"#,
                Ending::Bad,
                "Timed out",
            ),
            (r#"{"papermill":{"start_time":"x","end_time":"y","exception":true}}"#, Ending::Bad, "Failed"),
            (
                r#"{"papermill":{"start_time":"x","end_time":"y","exception":null}}"#,
                Ending::Good,
                "Completed",
            ),
            (r#"{"papermill":{"start_time":"x","end_time":null}}"#, Ending::Unknown, "Not finished"),
            ("{}", Ending::Unknown, "Not executed"),
        ] {
            let notebook = notebook(metadata, "");
            let run = Run::of(&notebook);
            assert_eq!((run.ending, run.word), (ending, word), "{metadata}");
        }
    }

    #[test]
    fn every_outcome_has_a_word() {
        for outcome in [
            "completed",
            "prepared",
            "exited-early",
            "cell-failed",
            "timed-out",
            "kernel-died",
            "start-failed",
            "outputs-incomplete",
            "interrupted",
        ] {
            assert_ne!(of_outcome(outcome).1, "Unknown ending", "{outcome}");
        }
    }

    #[test]
    fn a_notebook_that_jupyter_ran_is_read_by_its_outputs() {
        let notebook = notebook(
            "{}",
            r#"{"id":"a","cell_type":"code","metadata":{},"source":"1","execution_count":1,"outputs":[]},
            {"id":"b","cell_type":"code","metadata":{},"source":"x","execution_count":2,
             "outputs":[{"output_type":"error","ename":"NameError","evalue":"x","traceback":[]}]},
            {"id":"c","cell_type":"code","metadata":{},"source":"y","execution_count":null,"outputs":[]}"#,
        );
        let run = Run::of(&notebook);
        assert_eq!((run.ending, run.failed, run.ran, run.code_cells), (Ending::Bad, Some(1), 2, 3));
        assert_eq!(run.reason.as_deref(), Some("NameError: x"));
    }

    #[test]
    fn durations_and_times_are_for_people() {
        for (given, text) in [(0.0123, "12 ms"), (1.0, "1.0 s"), (75.0, "1 min 15 s"), (7_384.0, "2 h 3 min")]
        {
            assert_eq!(seconds(given), text);
        }
        assert_eq!(moment("2026-11-22T02:54:08.079188+01:00"), "2026-11-22 01:54:08 UTC");
        assert_eq!(moment("once"), "once");
    }
}

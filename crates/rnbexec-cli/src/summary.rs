//! `--json`: how a run went, as one line of JSON for machines.

use rnbexec::{Outcome, RunReport};
use serde::Serialize;

use crate::failure::Failure;

/// The line. A key that does not apply is null, so that every line has the same keys.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    /// One word: the outcome's name, or why there is none (`error`, `interrupted`, …).
    outcome: &'a str,
    /// Null for what was not run at all.
    exit_code: Option<u8>,
    /// Redacted.
    input: &'a str,
    /// Redacted.
    output: &'a str,
    kernel: Option<&'a str>,
    attempts: u32,
    /// Seconds from the kernel's start to its end.
    duration: Option<f64>,
    cells: Option<Cells>,
    failed_cell: Option<FailedCell<'a>>,
    error: Option<Error<'a>>,
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct Cells {
    total: usize,
    executed: usize,
}

#[derive(Debug, Serialize)]
struct FailedCell<'a> {
    /// Counted from 0, without the error markers.
    index: usize,
    execution_count: Option<i64>,
    ename: Option<&'a str>,
    evalue: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Error<'a> {
    message: &'a str,
    causes: &'a [String],
    help: Option<&'a str>,
}

/// What a summary is made of.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) exit_code: Option<u8>,
    pub(crate) input: &'a str,
    pub(crate) output: &'a str,
    /// How the run ended, if it was done at all.
    pub(crate) report: Option<&'a RunReport>,
    pub(crate) failure: Option<&'a Failure>,
    /// What to call it when there is nothing to report.
    pub(crate) otherwise: &'a str,
}

impl<'a> Summary<'a> {
    pub(crate) fn of(run: Run<'a>) -> Self {
        let report = run.report;
        Self {
            outcome: match report {
                Some(report) => report.outcome.name(),
                None => run.otherwise,
            },
            exit_code: run.exit_code,
            input: run.input,
            output: run.output,
            kernel: report.and_then(|report| report.kernel.as_deref()),
            attempts: report.map_or(1, |report| report.attempts),
            duration: report.map(|report| (report.duration.as_secs_f64() * 1e6).round() / 1e6),
            cells: report.map(|report| Cells { total: report.total_cells, executed: report.executed_cells }),
            failed_cell: report.and_then(|report| failed_cell(&report.outcome)),
            error: run.failure.map(|failure| Error {
                message: &failure.what,
                causes: &failure.causes,
                help: failure.help.as_deref(),
            }),
            warnings: report.map(|report| report.warnings.as_slice()).unwrap_or_default(),
        }
    }

    /// One line, with its line feed.
    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON") + "\n"
    }
}

fn failed_cell(outcome: &Outcome) -> Option<FailedCell<'_>> {
    match outcome {
        Outcome::Completed | Outcome::Prepared | Outcome::ExitedEarly { .. } => None,
        Outcome::CellFailed(error) => Some(FailedCell {
            index: error.cell,
            execution_count: error.execution_count,
            ename: Some(&error.ename),
            evalue: Some(&error.evalue),
        }),
        Outcome::TimedOut { .. }
        | Outcome::KernelDied { .. }
        | Outcome::StartFailed { .. }
        | Outcome::OutputsIncomplete { .. }
        | Outcome::Interrupted { .. } => {
            outcome.cell().map(|index| FailedCell { index, execution_count: None, ename: None, evalue: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<'a>(failure: Option<&'a Failure>, otherwise: &'a str) -> Run<'a> {
        Run { exit_code: Some(1), input: "in.ipynb", output: "out.ipynb", report: None, failure, otherwise }
    }

    #[test]
    fn a_run_that_could_not_be_done_is_one_line_with_all_keys() {
        let failure = Failure::new("cannot read\nit").cause("no such file").help("check the path");
        let line = Summary::of(run(Some(&failure), "error")).line();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["outcome"], "error");
        assert_eq!(json["exit_code"], 1);
        assert_eq!(json["error"]["message"], "cannot read\nit");
        assert_eq!(json["error"]["causes"][0], "no such file");
        assert!(json["cells"].is_null() && json.as_object().unwrap().contains_key("failed_cell"));
    }

    #[test]
    fn a_run_that_was_stopped_before_it_began_is_interrupted() {
        let json: serde_json::Value =
            serde_json::from_str(&Summary::of(run(None, "interrupted")).line()).unwrap();
        assert_eq!(json["outcome"], "interrupted");
    }

    #[test]
    fn the_failing_cell_is_told_with_its_error() {
        let error = rnbexec::CellError {
            cell: 3,
            execution_count: Some(4),
            ename: "ValueError".to_owned(),
            evalue: "no".to_owned(),
            traceback: Vec::new(),
        };
        let outcome = Outcome::CellFailed(error);
        let cell = serde_json::to_value(failed_cell(&outcome).unwrap()).unwrap();
        let expected =
            serde_json::json!({"index": 3, "execution_count": 4, "ename": "ValueError", "evalue": "no"});
        assert_eq!(cell, expected);
    }
}

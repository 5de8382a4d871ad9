//! What is run: notebooks made here, in sizes that suit each contender.
//!
//! papermill writes the whole notebook anew twice a cell, so its time grows with the square of the cells: where that would take
//! minutes it runs fewer rounds or not at all, and `papermill-once` (`--no-request-save-on-cell-execute`) shows what it can do at
//! best.

use serde_json::{Value, json};

use crate::contender::Contender::{self, Bare, Papermill, PapermillOnce, Rnbexec};
use crate::{documents, startup};

/// What most notebooks begin with.
const PANDAS: &str = "import pandas\npandas.DataFrame({'a': range(5), 'b': list('abcde')})";

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// One round at the smallest sizes.
    Tiny,
    /// Two rounds at most.
    Quick,
    /// All of it.
    Full,
}

impl Scale {
    pub(crate) fn pick<T>(self, tiny: T, quick: T, full: T) -> T {
        match self {
            Self::Tiny => tiny,
            Self::Quick => quick,
            Self::Full => full,
        }
    }

    /// At most `full` rounds.
    pub(crate) fn rounds(self, full: usize) -> usize {
        self.pick(1, 2, full).min(full)
    }
}

/// One case: a row of the table, or a line of a plot if it has an axis.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// What grows from point to point.
    pub(crate) axis: Option<&'static str>,
    pub(crate) points: Vec<Point>,
}

/// One size of a case.
pub(crate) struct Point {
    pub(crate) size: usize,
    pub(crate) label: String,
    pub(crate) notebook: Value,
    /// How many characters the cells print in all.
    pub(crate) printed: usize,
    pub(crate) work: Work,
    /// Whether its kernel needs pandas.
    pub(crate) pandas: bool,
    pub(crate) entries: Vec<Entry>,
}

/// What is done with the notebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It is run.
    Run,
    /// It is run so many times.
    Backlog(usize),
    /// So many recorded incidents are triaged, with the notebook that ships.
    Triage(usize),
}

impl Work {
    /// How many notebooks come of it.
    pub(crate) fn runs(self) -> usize {
        match self {
            Self::Run => 1,
            Self::Backlog(runs) | Self::Triage(runs) => runs,
        }
    }
}

/// A contender, and in how many rounds it takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) contender: Contender,
    pub(crate) rounds: usize,
}

impl Point {
    fn new(notebook: Value, entries: &[(Contender, usize)]) -> Self {
        let entry = |&(contender, rounds)| Entry { contender, rounds };
        let entries = entries.iter().filter(|(_, rounds)| *rounds > 0).map(entry).collect();
        Self { size: 1, label: String::new(), notebook, printed: 0, work: Work::Run, pandas: false, entries }
    }

    fn sized(self, size: usize, unit: &str) -> Self {
        Self { size, label: format!("{size} {unit}"), ..self }
    }

    fn printing(self, printed: usize) -> Self {
        Self { printed, ..self }
    }
}

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    let cases = all(Scale::Tiny).into_iter().map(|case| case.name);
    cases.chain([documents::NAME, startup::NAME]).collect()
}

/// All cases.
pub(crate) fn all(scale: Scale) -> Vec<Case> {
    let mut cases = single(scale);
    cases.extend([growing_cells(scale), growing_output(scale), growing_backlog(scale), triage(scale)]);
    cases
}

fn single(scale: Scale) -> Vec<Case> {
    let case = |name, what, point| Case { name, what, axis: None, points: vec![point] };
    let (five, one) = (scale.rounds(5), scale.rounds(1));
    let all = |rounds| [(Bare, rounds), (Rnbexec, rounds), (Papermill, rounds)];
    let cells = scale.pick(3, 200, 200);
    let lines = scale.pick(1000, 100_000, 100_000);
    let (outputs, size) = (scale.pick(3, 300, 300), 100_000);
    let prints = scale.pick(1, 50, 50);
    let printing = format!("for i in range({lines}):\n    print(i)");
    vec![
        case("one-cell", "one cell, `1 + 1`", Point::new(notebook(1, "1 + 1"), &all(scale.rounds(11)))),
        case(
            "cells",
            "200 trivial cells",
            Point::new(
                notebook(cells, "x = 1"),
                &[(Bare, five), (Rnbexec, five), (Papermill, scale.rounds(3)), (PapermillOnce, five)],
            ),
        ),
        case(
            "lines",
            "one cell that prints 100,000 lines",
            Point::new(notebook(1, &printing), &all(five)).printing((0..lines).map(|i| digits(i) + 1).sum()),
        ),
        case(
            "outputs",
            "300 cells that print 100 kB each",
            Point::new(
                notebook(outputs, &format!("print('x' * {})", size - 1)),
                // Minutes, for papermill as it is.
                &[
                    (Bare, five),
                    (Rnbexec, five),
                    (Papermill, scale.pick(1, 0, one)),
                    (PapermillOnce, scale.rounds(3)),
                ],
            )
            .printing(outputs * size),
        ),
        case(
            "prints",
            "one cell that prints 50 MB in 50 prints",
            Point::new(printer(prints), &all(five)).printing(prints * 1_000_000),
        ),
        case(
            "pandas",
            "one cell that imports pandas and shows a frame",
            Point { pandas: true, ..Point::new(notebook(1, PANDAS), &all(five)) },
        ),
    ]
}

fn growing_cells(scale: Scale) -> Case {
    let sizes = scale.pick(&[1, 2][..], &[1, 10, 100, 1000], &[1, 10, 100, 300, 1000, 5000]);
    let point = |&size: &usize| {
        let rounds = if size > 300 { scale.rounds(2) } else { scale.rounds(3) };
        let papermill = if size > 300 { 0 } else { scale.rounds(if size > 100 { 1 } else { 3 }) };
        let once = if size > 1000 { 0 } else { rounds };
        let entries = [(Bare, rounds), (Rnbexec, rounds), (Papermill, papermill), (PapermillOnce, once)];
        Point::new(notebook(size, "x = 1"), &entries).sized(size, if size == 1 { "cell" } else { "cells" })
    };
    Case {
        name: "growth-cells",
        what: "more and more trivial cells",
        axis: Some("cells"),
        points: sizes.iter().map(point).collect(),
    }
}

fn growing_output(scale: Scale) -> Case {
    let sizes = scale.pick(&[1, 2][..], &[1, 10, 50], &[1, 10, 50, 100, 200]);
    let point = |&size: &usize| {
        let rounds = scale.rounds(3);
        Point::new(printer(size), &[(Bare, rounds), (Rnbexec, rounds), (Papermill, rounds)])
            .printing(size * 1_000_000)
            .sized(size, "MB")
    };
    Case {
        name: "growth-output",
        what: "one cell that prints more and more, 1 MB at a time",
        axis: Some("MB of output"),
        points: sizes.iter().map(point).collect(),
    }
}

fn growing_backlog(scale: Scale) -> Case {
    let sizes = scale.pick(&[1, 2][..], &[1, 10, 50], &[1, 10, 50, 100, 500]);
    let point = |&size: &usize| {
        // A second a run and more: what grows in proportion need not be shown to its end.
        let bounded = if size > 50 { 0 } else { scale.rounds(2) };
        let entries = [(Bare, bounded), (Rnbexec, scale.rounds(2)), (Papermill, bounded)];
        let point =
            Point::new(notebook(1, PANDAS), &entries).sized(size, if size == 1 { "run" } else { "runs" });
        Point { work: Work::Backlog(size), pandas: true, ..point }
    };
    Case {
        name: "backlog",
        what: "more and more runs of a notebook that imports pandas: `rnbexec batch --jobs 2`, papermill in a loop",
        axis: Some("runs"),
        points: sizes.iter().map(point).collect(),
    }
}

fn triage(scale: Scale) -> Case {
    // All that ship.
    let incidents = scale.pick(1, 8, 68);
    let entries = [(Rnbexec, scale.rounds(2)), (Papermill, scale.rounds(1))];
    let notebook = include_str!("../../../notebooks/incident-triage.ipynb");
    let notebook = serde_json::from_str(notebook).expect("the notebook that ships is JSON");
    let point = Point::new(notebook, &entries).sized(incidents, "incidents triaged");
    Case {
        name: "triage",
        what: "recorded incidents triaged: `rnbexec demo`, with its reports, and papermill in a loop",
        axis: None,
        points: vec![Point { work: Work::Triage(incidents), ..point }],
    }
}

/// A notebook with as many cells of this code.
pub(crate) fn notebook(cells: usize, code: &str) -> Value {
    let cell = |number: usize| {
        json!({
            "id": format!("cell-{number}"), "cell_type": "code", "source": code,
            "metadata": {}, "outputs": [], "execution_count": null,
        })
    };
    json!({
        "cells": (0..cells).map(cell).collect::<Vec<_>>(),
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4, "nbformat_minor": 5,
    })
}

/// One cell that prints so many million characters, line ends included.
fn printer(megabytes: usize) -> Value {
    notebook(1, &format!("for i in range({megabytes}):\n    print('x' * 999_999)"))
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

//! The results as Markdown.

use std::fmt::Write as _;

use crate::case::Scale;
use crate::contender::Contender;
use crate::result::{CaseResult, PointResult, Results, Samples};

/// Tables of everything that was measured.
pub(crate) fn of(results: &Results) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!(
        "{}, {} cores, {} GiB, {}; {}, papermill {}, {}; {}; load {:.1} to {:.1}",
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.system,
        machine.python,
        machine.papermill,
        machine.rnbexec,
        machine.date,
        machine.load.first().unwrap_or(&0.0),
        machine.load.last().unwrap_or(&0.0),
    ));
    if !machine.optimised || results.scale == Scale::Tiny {
        line("\n**Not optimised or much too small: no figure here means anything.**".to_owned());
    }
    line(
        "\nSeconds are medians, the fastest in brackets. × is the median of the rounds' ratios to the bare kernel: a minimal \
         ZMQ client that starts the kernel, has it run the cells, throws its messages away and asks it to shut down; the start of \
         its Python is not counted, that of the others is. Memory is the peak of the runner's own process.\n"
            .to_owned(),
    );
    if !results.cases.is_empty() {
        line("| case | bare kernel | rnbexec | × | papermill | × | saving once | × | papermill ÷ rnbexec | MiB rnbexec | MiB papermill |".to_owned());
        line("|---|---|---|---|---|---|---|---|---|---|---|".to_owned());
        for case in &results.cases {
            for point in &case.points {
                line(row(case, point));
            }
        }
    }
    if let Some(startup) = &results.startup {
        line(format!(
            "\nFrom the start of `rnbexec run` to the first byte at its kernel: {:.1} ms; `rnbexec --version`: {:.1} ms (medians).",
            startup.first_byte * 1e3,
            startup.version * 1e3,
        ));
    }
    if !results.documents.is_empty() {
        line("\nReading and writing notebooks, in milliseconds:\n".to_owned());
        line("| notebook | work | rnbexec | serde_json | Python json | nbformat |".to_owned());
        line("|---|---|---|---|---|---|".to_owned());
        for document in &results.documents {
            for (work, figures) in [("read", &document.read), ("write", &document.write)] {
                let what = &document.what;
                let mut row = format!("| {what} | {work} ");
                for seconds in [figures.rnbexec, figures.serde_json, figures.python_json, figures.nbformat] {
                    write!(row, "| {:.1} ", seconds * 1e3).expect("a string takes all");
                }
                line(row + "|");
            }
        }
    }
    text
}

fn row(case: &CaseResult, point: &PointResult) -> String {
    let name = if point.label.is_empty() { case.what } else { &point.label };
    let mut row = format!("| {name} ");
    for contender in Contender::ALL {
        let samples = point.contenders.get(&contender);
        let seconds = samples.and_then(|samples| {
            let lost = if samples.is_complete() { "" } else { ", **output lost**" };
            Some(format!("{:.2} ({:.2}){lost}", samples.median()?, samples.fastest()?))
        });
        write!(row, "| {} ", seconds.unwrap_or_default()).expect("a string takes all");
        if contender != Contender::Bare {
            write!(row, "| {} ", ratio(point.ratio(contender, Contender::Bare))).expect("a string takes all");
        }
    }
    let speedup = ratio(point.ratio(Contender::Papermill, Contender::Rnbexec));
    let memory = |contender| {
        let peak = point.contenders.get(&contender).and_then(Samples::peak_memory);
        peak.map_or_else(String::new, |mib| format!("{mib:.0}"))
    };
    row + &format!("| {speedup} | {} | {} |", memory(Contender::Rnbexec), memory(Contender::Papermill))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}

//! Tells what happens in a batch: a line for each run that ends, the progress, the summary; and keeps what the table at the
//! end shows, which is never more than a screen.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use rnbexec::batch::{BatchEvent, End, Planned};
use rnbexec::redact::Redactor;
use rnbexec::{CancelHandle, CancelLevel, Outcome, RunEvent, RunReport};
use rnbexec_kernel::{Kernelspec, Origin};

use super::progress::Progress;
use super::record::{self, Record};
use crate::args::Level;
use crate::console::{self, Console};
use crate::exit;
use crate::failure::Failure;
use crate::manager::{Column, Installing, room_on_stdout, table};
use crate::sanitise::sanitise_line;
use crate::summary::{self, Summary};
use crate::verdict::{self, Saved};

/// How many runs the table at the end shows.
const ROWS: usize = 20;

/// How many different warnings are told.
const WARNINGS: usize = 100;

/// How long a line of a cell's output may grow before it is shown.
const LONGEST_LINE: usize = 16 << 10;

const COLUMNS: [Column; 6] = [
    Column::whole("run"),
    Column::cut("output", 16),
    Column::whole("outcome"),
    Column::whole("cells"),
    Column::whole("time"),
    Column::cut("why", 16),
];

/// Takes the events of a batch.
pub(super) struct Teller(Mutex<Inner>);

/// What is told, and how.
pub(super) struct Told {
    pub(super) console: Console,
    pub(super) level: Level,
    pub(super) log_output: bool,
    /// List on standard output what would be run.
    pub(super) lists: bool,
    /// The notebook, redacted.
    pub(super) input: String,
    pub(super) progress: Progress,
    pub(super) record: Option<Record>,
    /// Stops the batch when its summary cannot be written.
    pub(super) cancel: CancelHandle,
    /// Takes the secrets out of why runs failed.
    pub(super) redactor: Redactor,
    pub(super) kernels: Box<dyn Fn() -> Vec<Kernelspec> + Send>,
}

struct Inner {
    told: Told,
    environment: Installing,
    warnings: HashSet<String>,
    /// Unfinished lines of the cells that run.
    lines: HashMap<u64, String>,
    kept: Kept,
}

/// What is left of a batch when it is over.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The first runs, and the first of those that did not succeed.
    rows: Vec<Vec<String>>,
    wrong: Vec<Vec<String>>,
    /// How many did not succeed.
    wrong_count: usize,
    /// Some failure is none that trying again helps against.
    pub(super) for_good: bool,
    /// Why the first run that could not be done could not.
    pub(super) undone: Option<Failure>,
    /// The summary could not be written.
    pub(super) broken: Option<Failure>,
}

impl Teller {
    pub(super) fn new(told: Told) -> Self {
        Self(Mutex::new(Inner {
            told,
            environment: Installing::default(),
            warnings: HashSet::new(),
            lines: HashMap::new(),
            kept: Kept::default(),
        }))
    }

    /// Something happened.
    pub(super) fn tell(&self, event: BatchEvent<'_>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BatchEvent::Started { item } => inner.told.progress.begin(item.number, &item.to_string()),
            BatchEvent::Run { item, event } => inner.run(item, event),
            BatchEvent::Ended { item, end } => inner.ended(item, end),
            // An event of a later version is no reason to fail.
            _ => {}
        }
    }

    /// The batch is over.
    pub(super) fn finish(&self) -> Kept {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.told.progress.stop();
        std::mem::take(&mut inner.kept)
    }

    /// Adds the last line to the summary. Tells whether that line is on standard output now.
    pub(super) fn conclude(&self, line: &str) -> Result<bool, Failure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inner.told.record {
            Some(record) => record.add(line).map(|()| record.is_stdout()),
            None => Ok(false),
        }
    }
}

impl Inner {
    fn run(&mut self, item: &Planned, event: RunEvent<'_>) {
        let number = item.number;
        match event {
            RunEvent::Warning(warning) => self.warn(number, warning),
            RunEvent::Environment(line) => {
                if let Some(line) = self.environment.digest(line) {
                    tracing::info!("{line}");
                }
            }
            RunEvent::KernelReady { origin, .. } => {
                let how = match origin {
                    Origin::Started => "started",
                    Origin::Forked => "forked",
                };
                tracing::debug!("{item}: the kernel was {how}");
            }
            RunEvent::CellStarted { index, total_cells, .. } => {
                self.told.progress.cell(number, index, total_cells);
            }
            RunEvent::Stream { name, text, .. } => {
                let level = if name == "stderr" { Level::Warning } else { Level::Info };
                self.printed(number, level, text);
            }
            RunEvent::Display { text, .. } => {
                self.end_line(number);
                self.printed(number, Level::Info, text);
                self.end_line(number);
            }
            RunEvent::CellFinished { .. } => self.end_line(number),
            RunEvent::KernelOutput { line } => tracing::debug!("[{number}] [kernel] {line}"),
            RunEvent::Retrying { attempt, cause } => {
                let cause = cause.lines().next().unwrap_or_default();
                tracing::warn!("{item}: beginning again (attempt {attempt}): {cause}");
            }
            _ => {}
        }
    }

    /// What every run would say is said once.
    fn warn(&mut self, number: u64, warning: &str) {
        if self.warnings.len() < WARNINGS && self.warnings.insert(warning.to_owned()) {
            tracing::warn!("{warning} (in run {number}; said once)");
        }
    }

    /// A cell wrote something: shown by whole lines, each with the number of its run.
    fn printed(&mut self, number: u64, level: Level, text: &str) {
        if !self.told.log_output || level < self.told.level {
            return;
        }
        let held = self.lines.entry(number).or_default();
        held.push_str(text);
        let whole = match held.rfind('\n') {
            Some(end) => end + 1,
            None if held.len() > LONGEST_LINE => held.len(),
            None => return,
        };
        let rest = held.split_off(whole);
        for line in std::mem::replace(held, rest).lines() {
            self.told.console.line(&format!("[{number}] {line}"));
        }
    }

    fn end_line(&mut self, number: u64) {
        if let Some(line) = self.lines.remove(&number).filter(|line| !line.is_empty()) {
            self.told.console.line(&format!("[{number}] {line}"));
        }
    }

    fn ended(&mut self, item: &Planned, end: &End) {
        self.end_line(item.number);
        let mut conclusion = Conclusion::of(item, end, &self.told.kernels);
        conclusion.failure = conclusion.failure.map(|failure| failure.masked(&self.told.redactor));
        let failed = end.is_failure();
        let count = self.told.progress.end(item.number, failed);
        match &conclusion.failure {
            Some(failure) if failed => tracing::error!("{count} {item}: {}", in_a_line(failure)),
            Some(failure) => tracing::warn!("{count} {item}: {}", in_a_line(failure)),
            None if conclusion.report.is_some() => {
                tracing::info!("{count} {item}: {}{}", conclusion.word, conclusion.figures());
            }
            None => tracing::debug!("{count} {item}: {}", conclusion.word),
        }
        if self.told.lists {
            self.list(item, &conclusion);
        }
        self.keep(item, end, &conclusion);
        let output = item.output.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Some(record) = &mut self.told.record {
            let happened = !matches!(end, End::WouldRun | End::NotStarted);
            let summary = Summary::of(summary::Run {
                exit_code: happened.then(|| conclusion.code()),
                input: &self.told.input,
                output: &output,
                report: conclusion.report,
                failure: conclusion.failure.as_ref(),
                otherwise: conclusion.word,
            });
            if let Err(failure) = record.add(&record::line(item, summary)) {
                self.break_off(failure);
            }
        }
        if let (End::Failed(_), Some(failure)) = (end, conclusion.failure) {
            self.kept.undone.get_or_insert(failure);
        }
    }

    /// What would be run, for people: its place and its parameters.
    fn list(&mut self, item: &Planned, conclusion: &Conclusion<'_>) {
        let about = match &conclusion.failure {
            Some(failure) => format!("  ({})", in_a_line(failure)),
            None => item.parameters.iter().fold(String::new(), |mut text, (name, value)| {
                write!(text, "  {name}={}", value.to_compact()).expect("writing to a String does not fail");
                text
            }),
        };
        let line = format!("{:<10}  {item}{about}", conclusion.word);
        let line = sanitise_line(&line) + "\n";
        if let Err(error) = console::print(&line) {
            self.break_off(Failure::because("cannot write the list to standard output", &error));
        }
    }

    fn break_off(&mut self, failure: Failure) {
        if self.kept.broken.is_none() {
            self.kept.broken = Some(failure);
            self.told.cancel.raise(CancelLevel::Interrupt);
        }
    }

    fn keep(&mut self, item: &Planned, end: &End, conclusion: &Conclusion<'_>) {
        let wrong = end.is_failure() || end.is_interrupted();
        self.kept.for_good |= end.is_failure() && conclusion.code() != exit::TRY_AGAIN;
        self.kept.wrong_count += usize::from(wrong);
        let rows = if wrong { &mut self.kept.wrong } else { &mut self.kept.rows };
        if rows.len() <= ROWS {
            rows.push(conclusion.row(item));
        }
    }
}

impl Kept {
    /// For people: all runs where they are few, else those that did not succeed.
    pub(super) fn table(&self, total: u64) -> String {
        let few = usize::try_from(total).is_ok_and(|total| total <= ROWS);
        let mut rows: Vec<Vec<String>> = if few {
            self.rows.iter().chain(&self.wrong).cloned().collect()
        } else {
            self.wrong.iter().take(ROWS).cloned().collect()
        };
        rows.sort_by_key(|row| row.first().and_then(|number| number.parse::<u64>().ok()));
        let mut text = table(&COLUMNS, &rows, room_on_stdout());
        if let Some(more) = self.wrong_count.checked_sub(ROWS).filter(|more| *more > 0) {
            writeln!(text, "and {more} more").expect("writing to a String does not fail");
        }
        text
    }
}

/// What is said about the end of a run.
struct Conclusion<'a> {
    /// One word.
    word: &'static str,
    report: Option<&'a RunReport>,
    /// Why it is no success.
    failure: Option<Failure>,
}

impl<'a> Conclusion<'a> {
    fn of(item: &Planned, end: &'a End, kernels: &dyn Fn() -> Vec<Kernelspec>) -> Self {
        let word = |word| Self { word, report: None, failure: None };
        match end {
            End::Ran(report) => {
                let place = item.to_string();
                let saved = Saved { place: &place, written: report.saved };
                let failure = verdict::of_outcome(&report.outcome, None, saved);
                Self { word: report.outcome.name(), report: Some(report), failure }
            }
            End::Failed(error) => Self { failure: Some(verdict::of_error(error, kernels)), ..word("error") },
            End::Refused(refusal) => Self { failure: Some(Failure::of(refusal)), ..word("refused") },
            End::Broken(why) => Self {
                failure: Some(Failure::new("the run broke; this is a fault of rnbexec").cause(why.as_str())),
                ..word("error")
            },
            End::UpToDate => word("up-to-date"),
            End::WouldRun => word("would-run"),
            End::NotStarted => word("not-started"),
            _ => word("unknown"),
        }
    }

    fn code(&self) -> u8 {
        self.failure.as_ref().map_or(exit::SUCCESS, |failure| failure.code)
    }

    fn figures(&self) -> String {
        let Some(report) = self.report else { return String::new() };
        let cells = if report.executed_cells == 1 { "cell" } else { "cells" };
        match report.outcome {
            Outcome::Prepared => String::new(),
            _ => format!(" ({} {cells}, {:.1} s)", report.executed_cells, report.duration.as_secs_f64()),
        }
    }

    fn row(&self, item: &Planned) -> Vec<String> {
        let (cells, time) = match self.report {
            Some(report) => {
                let cells = format!("{}/{}", report.executed_cells, report.total_cells);
                (cells, format!("{:.1} s", report.duration.as_secs_f64()))
            }
            None => (String::new(), String::new()),
        };
        let why = self.failure.as_ref().map(in_a_line).unwrap_or_default();
        vec![item.number.to_string(), item.to_string(), self.word.to_owned(), cells, time, why]
    }
}

/// What went wrong and the nearest cause, each with its first line.
fn in_a_line(failure: &Failure) -> String {
    // Of a text that announces more, the end: it is that of a traceback, or a process's last words.
    let short = |text: &String| {
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let last = if first.ends_with(':') { lines.next_back() } else { None };
        last.map_or_else(|| first.to_owned(), |last| format!("{first} {}", last.trim_start()))
    };
    std::iter::once(&failure.what).chain(&failure.causes).map(short).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use rnbexec::batch::{PlaceError, Refusal};
    use rnbexec::store::Location;
    use rnbexec_notebook::Parameters;

    use super::*;
    use crate::progress::Show;

    #[test]
    fn a_failure_in_a_line_has_the_last_of_the_last_words() {
        let died =
            "the kernel died; its last words on stderr:\nTraceback:\n  File \"x\"\nImportError: no zmq\n";
        let failure = Failure::new("the kernel did not start\nat all").cause(died);
        let line = "the kernel did not start: the kernel died; its last words on stderr: ImportError: no zmq";
        assert_eq!(in_a_line(&failure), line);
        assert_eq!(in_a_line(&Failure::new("to be told:")), "to be told:");
    }

    fn teller(record: Option<Record>) -> (Teller, CancelHandle) {
        let (cancel, _) = rnbexec::Cancel::new();
        let console = Console::stderr();
        let told = Told {
            progress: Progress::new(console.clone(), Show::Nothing, None),
            console,
            level: Level::Info,
            log_output: false,
            lists: false,
            input: "in.ipynb".to_owned(),
            record,
            redactor: Redactor::default(),
            cancel: cancel.clone(),
            kernels: Box::new(Vec::new),
        };
        (Teller::new(told), cancel)
    }

    fn item(number: u64) -> Planned {
        let output = Some(Location::parse(&format!("out/{number}.ipynb")).unwrap());
        Planned { number, origin: None, parameters: Parameters::new(), output }
    }

    fn refused() -> End {
        End::Refused(Refusal::Place(PlaceError::Stream))
    }

    #[test]
    fn of_few_runs_the_table_shows_all_in_their_order() {
        let (teller, _) = teller(None);
        for (number, end) in [(2, refused()), (1, End::UpToDate)] {
            teller.tell(BatchEvent::Ended { item: &item(number), end: &end });
        }
        let kept = teller.finish();
        let expected = "run  output       outcome     cells  time  why\n\
                        1    out/1.ipynb  up-to-date\n\
                        2    out/2.ipynb  refused                  many notebooks cannot go to standard output\n";
        assert_eq!(kept.table(2), expected);
        assert!(kept.for_good);
    }

    #[test]
    fn of_many_runs_the_table_shows_the_first_that_went_wrong_and_no_more_is_kept() {
        let (teller, _) = teller(None);
        for number in 1..=1000 {
            let end = if number % 2 == 0 { refused() } else { End::UpToDate };
            teller.tell(BatchEvent::Ended { item: &item(number), end: &end });
        }
        let kept = teller.finish();
        let table = kept.table(1000);
        assert_eq!(table.lines().count(), 1 + ROWS + 1, "{table}");
        assert!(table.ends_with("and 480 more\n") && !table.contains("up-to-date"), "{table}");
        assert!(kept.rows.len() <= ROWS + 1 && kept.wrong.len() <= ROWS + 1);
    }

    #[test]
    fn a_summary_that_cannot_be_written_stops_the_batch() {
        let full = std::path::Path::new("/dev/full");
        let (teller, cancel) = teller(Some(Record::open(full, false).unwrap()));
        teller.tell(BatchEvent::Ended { item: &item(1), end: &End::UpToDate });
        assert_eq!(cancel.level(), CancelLevel::Interrupt);
        assert!(teller.finish().broken.unwrap().what.contains("/dev/full"));
    }
}

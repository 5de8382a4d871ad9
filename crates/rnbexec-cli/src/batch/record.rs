//! `--summary`: a line of JSON for each run as it ends, and a last one for all. What was written stays when the program
//! is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rnbexec::batch::{BatchReport, Planned, Stop};
use rnbexec_notebook::Json;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::console;
use crate::failure::Failure;
use crate::summary::Summary;

/// The line of a run.
#[derive(Serialize)]
struct RunLine<'a> {
    kind: &'static str,
    row: u64,
    /// Where its parameters stand: `line 7`.
    origin: Option<String>,
    parameters: Box<RawValue>,
    #[serde(flatten)]
    run: Summary<'a>,
}

/// The line of the whole batch.
#[derive(Debug, Serialize)]
pub(super) struct Sum<'a> {
    kind: &'static str,
    pub(super) exit_code: u8,
    /// Redacted.
    pub(super) input: &'a str,
    pub(super) stopped: Option<&'static str>,
    pub(super) total: u64,
    pub(super) succeeded: u64,
    pub(super) up_to_date: u64,
    pub(super) would_run: u64,
    pub(super) failed: u64,
    pub(super) refused: u64,
    pub(super) interrupted: u64,
    pub(super) not_started: u64,
    pub(super) seconds: f64,
    error: Option<SumError<'a>>,
}

#[derive(Debug, Serialize)]
struct SumError<'a> {
    message: &'a str,
    causes: &'a [String],
    help: Option<&'a str>,
}

impl<'a> Sum<'a> {
    pub(super) fn of(
        report: &BatchReport,
        input: &'a str,
        exit_code: u8,
        took: std::time::Duration,
        failure: Option<&'a Failure>,
    ) -> Self {
        Self {
            kind: "batch",
            exit_code,
            input,
            stopped: report.stopped.map(|stop| match stop {
                Stop::Asked => "asked",
                Stop::Failures => "failures",
                Stop::Hopeless => "hopeless",
            }),
            total: report.total(),
            succeeded: report.succeeded,
            up_to_date: report.up_to_date,
            would_run: report.would_run,
            failed: report.failed,
            refused: report.refused,
            interrupted: report.interrupted,
            not_started: report.not_started,
            seconds: (took.as_secs_f64() * 1e3).round() / 1e3,
            error: failure.map(|failure| SumError {
                message: &failure.what,
                causes: &failure.causes,
                help: failure.help.as_deref(),
            }),
        }
    }

    /// One line, with its line feed.
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON") + "\n"
    }
}

/// The line of a run, with its line feed.
pub(super) fn line(item: &Planned, run: Summary<'_>) -> String {
    let parameters = Json::Object(item.parameters.as_object().clone()).to_compact();
    let line = RunLine {
        kind: "run",
        row: item.number,
        origin: item.origin.map(|origin| origin.to_string()),
        parameters: RawValue::from_string(parameters).expect("what was written as JSON is JSON"),
        run,
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON") + "\n"
}

/// Where the lines go.
pub(super) struct Record {
    path: PathBuf,
    /// `None` is standard output.
    file: Option<File>,
    /// What is there is of an earlier batch, and goes when the first line comes.
    is_old: bool,
}

impl Record {
    /// Opens the file before anything runs. With `goes_on` what is there stays, also half a line that a killed program
    /// left.
    pub(super) fn open(path: &Path, goes_on: bool) -> Result<Self, Failure> {
        let file = if path == Path::new("-") { None } else { Some(open(path, goes_on)) };
        let file = file.transpose().map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_old: !goes_on })
    }

    /// Whether the lines go to standard output.
    pub(super) fn is_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Adds a line, which is there when this returns.
    pub(super) fn add(&mut self, line: &str) -> Result<(), Failure> {
        let is_old = std::mem::take(&mut self.is_old);
        let written = match &mut self.file {
            Some(file) if is_old => emptied(file).and_then(|()| file.write_all(line.as_bytes())),
            Some(file) => file.write_all(line.as_bytes()),
            None => console::print(line),
        };
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

fn open(path: &Path, goes_on: bool) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    if !goes_on {
        return OpenOptions::new().create(true).append(true).open(path);
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Takes everything out of a file; a pipe holds nothing.
fn emptied(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot write the summary to {}", path.display()), error)
        .help("--summary names a file of this machine, or - for standard output")
}

#[cfg(test)]
mod tests {
    use rnbexec_notebook::Parameters;

    use super::*;
    use crate::summary::Run;

    #[test]
    fn a_run_is_one_line_of_json_with_its_parameters() {
        let parameters =
            Parameters::from_iter([("big", Json::parse(b"123456789012345678901234567890").unwrap())]);
        let item = Planned { number: 3, origin: None, parameters, output: None };
        let failure = Failure::new("two\nlines");
        let run = Run {
            exit_code: Some(1),
            input: "in.ipynb",
            output: "out.ipynb",
            report: None,
            failure: Some(&failure),
            otherwise: "refused",
        };
        let line = line(&item, Summary::of(run));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.starts_with(r#"{"kind":"run","row":3,"origin":null,"parameters":{"big":123456789012345678901234567890},"outcome":"refused","exit_code":1,"#), "{line}");
    }

    #[test]
    fn a_new_summary_replaces_and_one_that_goes_on_adds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/summary.jsonl");
        let add = |goes_on, text| Record::open(&path, goes_on).unwrap().add(text).unwrap();
        add(false, "1\n");
        add(false, "2\n");
        add(true, "3\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n3\n");
        add(true, "hal");
        add(true, "4\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n3\nhal\n4\n");
    }

    #[test]
    fn a_summary_that_cannot_be_written_is_named_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let Err(failure) = Record::open(folder.path(), false) else { panic!("a folder is no file") };
        assert!(failure.what.contains(&folder.path().display().to_string()));
    }
}

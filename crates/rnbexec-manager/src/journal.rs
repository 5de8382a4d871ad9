//! `notebook_execution.log`: what happened to each incident, and why, for a person who asks in the morning.
//!
//! The texts of Microsoft's original stand where they fit, now with the reason behind them, so that what looks for them goes on
//! finding them: `INFO:rnbexec:2025-01-31 06:00:12.345Z - Processing incident …`. On request each line is a JSON object instead;
//! both come from the same [`Entry`].
//!
//! Each line is one append, so several managers may share a file. The file is opened anew for each: it may be rotated away
//! under us. Titles and messages are made harmless and secrets are taken out of them. A line that cannot be written stops
//! nothing; it is told once.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::case::{Ending, Step};
use crate::config::{LogFormat, spoken};
use crate::error::Class;
use crate::run_key::RunKey;
use crate::severity::Severity;
use crate::text::one_line;

/// The logger's name, where Python's `logging` has `root`.
const LOGGER: &str = "rnbexec";

/// The longest text of others in a line, in characters.
const LONGEST: usize = 2000;

/// The longest line, in characters.
const LONGEST_LINE: usize = 8000;

/// Takes secrets out of a text.
type Redact = dyn Fn(&str) -> String + Send + Sync;

/// The log file.
pub struct Journal {
    file: PathBuf,
    format: LogFormat,
    redact: Box<Redact>,
    /// A line could not be written, and that was told.
    told: AtomicBool,
}

/// A line could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log {}", .file.display())]
pub struct JournalError {
    file: PathBuf,
    source: io::Error,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The incident, as people look for it: its name or its ARM id.
    pub incident: Option<&'a str>,
    /// Its number.
    pub number: Option<u64>,
    /// Which triage of it.
    pub run: Option<&'a RunKey>,
    /// What happened.
    pub what: What<'a>,
}

/// What happened. Texts may be as hostile as they come.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What<'a> {
    /// A manager begins a pass, or begins to watch.
    Began {
        /// What it was asked to do: `once`, `watch`, `replay`.
        command: &'a str,
        /// Which program.
        version: &'a str,
    },
    /// The source was asked.
    Asked {
        /// Its name.
        source: &'a str,
        /// How many incidents it handed out.
        arrivals: usize,
    },
    /// Something to know about how the source was asked.
    Note {
        /// Its name.
        source: &'a str,
        /// What.
        note: &'a str,
    },
    /// The source could not be asked.
    Unreachable {
        /// Its name.
        source: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The source held something nobody can read; it is put aside.
    Rejected {
        /// What.
        item: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The incident was processed before, and nothing happened in it since.
    AlreadyProcessed,
    /// The incident is not triaged.
    Skipped {
        /// Why.
        reason: &'a str,
    },
    /// Work on the incident begins, or goes on.
    Processing {
        /// Its title.
        title: &'a str,
        /// Its severity.
        severity: &'a str,
        /// The route it takes.
        route: &'a str,
        /// The notebook.
        notebook: &'a str,
        /// The step that is next.
        step: Step,
        /// How often it failed before.
        failures: u32,
    },
    /// The notebook came to its end and was understood.
    Judged {
        /// Whether there is something to tell.
        finding: bool,
        /// How bad it is, if the notebook said so.
        severity: Option<Severity>,
        /// How sure the notebook is.
        confidence: Option<f64>,
        /// The verdict in one line.
        title: Option<&'a str>,
        /// How long the notebook ran.
        #[serde(serialize_with = "seconds")]
        ran: Option<Duration>,
    },
    /// The executed notebook is being published.
    Storing {
        /// Where: `AML`, `Blob Storage`, a folder.
        place: &'a str,
        /// The path there.
        path: &'a str,
    },
    /// The comment is being put on the incident.
    Linking {
        /// The link to the notebook.
        link: Option<&'a str>,
    },
    /// The incident is being changed.
    Updating {
        /// What of it.
        field: &'a str,
        /// What stood there.
        before: &'a str,
        /// What is to stand there.
        after: &'a str,
    },
    /// Something the verdict asked for is not done.
    Withheld {
        /// What.
        item: &'a str,
        /// Why not.
        reason: &'a str,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: Step,
        /// What kind of failure it is.
        class: Class,
        /// How often it failed by now.
        failures: u32,
        /// Why.
        reason: &'a str,
        /// When it is tried again; `None` is when a person says so.
        #[serde(serialize_with = "seconds")]
        again_in: Option<Duration>,
    },
    /// Work on the incident stops before its end; it goes on later.
    GivenBack {
        /// Why.
        reason: &'a str,
    },
    /// Work on the incident is over.
    Finished {
        /// How it ended.
        ending: Ending,
        /// Why, where that is not plain.
        reason: Option<&'a str>,
        /// How long it took from its beginning.
        #[serde(serialize_with = "seconds")]
        took: Option<Duration>,
    },
    /// A pass is over, or a watch was ended.
    Ended {
        /// What came of it.
        figures: Figures,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        took: Option<Duration>,
    },
}

/// What came of a pass, in numbers of incidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// With a finding that is now on the incident.
    pub triaged: usize,
    /// Without a finding.
    pub no_finding: usize,
    /// Left alone.
    pub skipped: usize,
    /// Failed, and tried again later.
    pub waiting: usize,
    /// Given up: they need a person.
    pub parked: usize,
}

/// How much a line matters, in Python's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// A line as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    message: &'a str,
    #[serde(flatten)]
    what: Value,
}

impl Journal {
    /// A log in this file, with secrets taken out by `redact`. The file and its folder are made with the first line.
    pub fn new(
        file: impl Into<PathBuf>,
        format: LogFormat,
        redact: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { file: file.into(), format, redact: Box::new(redact), told: AtomicBool::new(false) }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes one line. That it cannot be written is returned once, until a line gets through again: the caller tells it and
    /// goes on.
    pub fn write(&self, now: Timestamp, entry: &Entry<'_>) -> Result<(), JournalError> {
        match self.append(&self.line(now, entry)) {
            Ok(()) => {
                self.told.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(_) if self.told.swap(true, Ordering::Relaxed) => Ok(()),
            Err(source) => Err(JournalError { file: self.file.clone(), source }),
        }
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let open = || OpenOptions::new().append(true).create(true).open(&self.file);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = self.file.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                open()?
            }
            opened => opened?,
        };
        file.write_all(line.as_bytes())
    }

    fn line(&self, now: Timestamp, entry: &Entry<'_>) -> String {
        let level = entry.level().as_str();
        let message = self.clean(&entry.to_string(), LONGEST_LINE);
        let mut line = match self.format {
            LogFormat::Text => {
                format!("{level}:{LOGGER}:{} - {message}", now.strftime("%Y-%m-%d %H:%M:%S%.3fZ"))
            }
            LogFormat::Json => self.json(now, level, entry, &message),
        };
        line.push('\n');
        line
    }

    fn json(&self, time: Timestamp, level: &'static str, entry: &Entry<'_>, message: &str) -> String {
        let mut what = serde_json::to_value(entry.what).unwrap_or_default();
        self.clean_value(&mut what);
        let line = Line {
            time,
            level,
            incident: entry.incident.map(|incident| self.clean(incident, LONGEST)),
            number: entry.number,
            run: entry.run.map(ToString::to_string),
            message,
            what,
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean(text, LONGEST),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_value(item)),
            Value::Object(object) => object.values_mut().for_each(|value| self.clean_value(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// One line without secrets. What is not seen may hide a secret, and what is cut off may be half of one: hence both before
    /// and after.
    fn clean(&self, text: &str, limit: usize) -> String {
        (self.redact)(&one_line(&(self.redact)(text), limit))
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("file", &self.file)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Entry<'_> {
    fn level(&self) -> Level {
        match self.what {
            What::Unreachable { .. } | What::Failed { again_in: None, .. } => Level::Error,
            What::Rejected { .. }
            | What::Failed { again_in: Some(_), .. }
            | What::GivenBack { .. }
            | What::Finished { ending: Ending::Parked, .. } => Level::Warning,
            _ => Level::Info,
        }
    }
}

/// The message of a line.
impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = Shown(self.incident.unwrap_or("(unknown)"));
        match self.what {
            What::Began { command, version } => write!(f, "Starting {} {}", Shown(command), Shown(version)),
            What::Asked { source, arrivals } => {
                write!(f, "Getting incidents from {}: {arrivals} to look at", Shown(source))
            }
            What::Note { source, note } => write!(f, "{}: {}", Shown(source), Shown(note)),
            What::Unreachable { source, reason } => {
                write!(f, "Unable to retrieve incidents from {}: {}", Shown(source), Shown(reason))
            }
            What::Rejected { item, reason } => {
                write!(f, "Unable to read {} - putting it aside: {}", Quoted(item), Shown(reason))
            }
            What::AlreadyProcessed => {
                write!(f, "Incident {id} has already been processed - skipping: nothing happened in it since")
            }
            What::Skipped { reason } => {
                write!(f, "Incident {id} is left alone - skipping: {}", Shown(reason))
            }
            What::Processing { title, severity, route, notebook, step, failures } => {
                write!(f, "Processing incident {id}")?;
                if let Some(number) = self.number {
                    write!(f, ", number {number}")?;
                }
                write!(
                    f,
                    ", {}, {}: {} by route {}",
                    Shown(severity),
                    Quoted(title),
                    Shown(notebook),
                    Shown(route)
                )?;
                if !matches!(step, Step::Claim | Step::Run) {
                    write!(f, ", going on with step {}", step.as_str())?;
                }
                if failures > 0 { write!(f, ", failed {failures} times before") } else { Ok(()) }
            }
            What::Judged { finding, severity, confidence, title, ran } => {
                let finding = if finding { "a finding" } else { "no finding" };
                write!(f, "Judging incident {id}: {finding}")?;
                if let Some(severity) = severity {
                    write!(f, ", severity {severity}")?;
                }
                if let Some(confidence) = confidence {
                    write!(f, ", confidence {confidence}")?;
                }
                if let Some(title) = title {
                    write!(f, ", {}", Quoted(title))?;
                }
                ran.map_or(Ok(()), |ran| write!(f, "; the notebook ran {}", short(ran)))
            }
            What::Storing { place, path } => {
                write!(f, "Storing notebook for {id} in {}: {}", Shown(place), Shown(path))
            }
            What::Linking { link } => {
                write!(f, "Adding link to notebook for incident: {id}")?;
                link.map_or(Ok(()), |link| write!(f, ": {}", Shown(link)))
            }
            What::Updating { field, before, after } => {
                write!(f, "Updating {} for {id}: {} to {}", Shown(field), Shown(before), Shown(after))
            }
            What::Withheld { item, reason } => {
                write!(f, "Not changing {} for {id}: {}", Shown(item), Shown(reason))
            }
            What::Failed { step, class, failures, reason, again_in } => {
                write!(f, "Unable to process incident {id} - skipping, ")?;
                match again_in {
                    Some(wait) => write!(f, "next try in {}", short(wait))?,
                    None => f.write_str("it needs a person (`manager retry` takes it up again)")?,
                }
                let step = step.as_str();
                write!(f, ": {} (step {step}, {class} failure, number {failures})", Shown(reason))
            }
            What::GivenBack { reason } => {
                write!(f, "Stopping work on incident {id}, to be gone on with later: {}", Shown(reason))
            }
            What::Finished { ending, reason, took } => {
                write!(f, "Finished incident {id}: {}", ending.as_str())?;
                if let Some(reason) = reason {
                    write!(f, ", {}", Shown(reason))?;
                }
                took.map_or(Ok(()), |took| write!(f, ", in {}", short(took)))
            }
            What::Ended { figures, took } => {
                let Figures { triaged, no_finding, skipped, waiting, parked } = figures;
                write!(
                    f,
                    "Finished: {triaged} with a finding, {no_finding} without, {skipped} left alone, {waiting} to be tried \
                     again, {parked} for a person"
                )?;
                took.map_or(Ok(()), |took| write!(f, ", in {}", short(took)))
            }
        }
    }
}

/// Another's words, made harmless.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self.0, LONGEST))
    }
}

/// Another's words in quotes, which they cannot end.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", one_line(self.0, LONGEST).replace('"', "'"))
    }
}

/// A duration to a tenth of a second, and long ones to the second.
fn short(duration: Duration) -> String {
    if duration.as_secs() >= 60 {
        return spoken(Duration::from_secs(duration.as_secs()));
    }
    format!("{:.1}s", duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde hands the field over like this")]
fn seconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0).serialize(serializer)
}

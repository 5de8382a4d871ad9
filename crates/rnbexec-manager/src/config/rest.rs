//! The small sections: `[policy]`, `[comment]`, `[retry]`, `[redact]`, `[log]`, `[state]`.

use std::path::PathBuf;
use std::time::Duration;

use super::read::Section;
use super::value::{self, Pattern};
use crate::case::Retry;
use crate::error::Class;
use crate::severity::Severity;
use crate::verdict::JudgeRules;

/// The comment on an incident with a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Whether there is one.
    pub enabled: bool,
    /// Its template: the name of a shipped one, or the template itself.
    pub template: String,
    /// No comment is longer, in characters.
    pub limit: usize,
}

/// How each class of failures is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// A service, the network or a disk is busy or away.
    pub unavailable: Retry,
    /// The kernel died or did not start.
    pub kernel: Retry,
    /// The notebook raised, took too long, or has no readable verdict.
    pub notebook: Retry,
    /// The identity may not do this.
    pub permission: Retry,
}

/// What must leave nothing behind in what is published, written and logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// What matches is taken out.
    pub patterns: Vec<Pattern>,
    /// The values of these environment variables are taken out.
    pub variables: Vec<String>,
}

/// The log that tells what happened to each incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub file: PathBuf,
    /// How it is written.
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the manager remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The folder of the ledger and of the runs.
    pub folder: PathBuf,
}

impl Retries {
    /// How this class is tried again. What was refused is never tried again.
    pub fn of(&self, class: Class) -> Retry {
        match class {
            Class::Unavailable => self.unavailable,
            Class::Kernel => self.kernel,
            Class::Notebook => self.notebook,
            Class::Permission => self.permission,
            Class::Refused => Retry { attempts: 1, first_wait: Duration::ZERO, longest_wait: Duration::ZERO },
        }
    }
}

pub(super) fn judge(section: &Section<'_>) -> JudgeRules {
    let JudgeRules { minimum_severity, minimum_confidence, output_tag, output_tag_severity } =
        JudgeRules::default();
    let severity = |key| {
        section.text(key, "write \"High\", \"Medium\", \"Low\" or \"Informational\"", |text| {
            text.trim().parse::<Severity>().map_err(|_| format!("{text:?} is no severity"))
        })
    };
    JudgeRules {
        minimum_severity: severity("minimum_severity").unwrap_or(minimum_severity),
        minimum_confidence: section.fraction("minimum_confidence").unwrap_or(minimum_confidence),
        output_tag: section
            .text("output_tag", "write a cell's tag", |text| Ok(text.trim().to_owned()))
            .unwrap_or(output_tag),
        output_tag_severity: severity("output_tag_severity").unwrap_or(output_tag_severity),
    }
}

pub(super) fn comment(section: &Section<'_>) -> Comment {
    let template =
        section.text("template", "write \"standard\", \"blog\" or a template", |text| Ok(text.to_owned()));
    let limit = section.whole("limit", 200..=30_000).unwrap_or(30_000);
    Comment {
        enabled: section.boolean("enabled").unwrap_or(true),
        template: template.unwrap_or_else(|| "standard".to_owned()),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

pub(super) fn retries(section: &Section<'_>) -> Retries {
    let retry = |key, attempts, first_wait, longest_wait| {
        section.section(key, |section| retry(section, attempts, first_wait, longest_wait))
    };
    Retries {
        unavailable: retry("unavailable", 10, 10, 1800),
        kernel: retry("kernel", 3, 10, 300),
        notebook: retry("notebook", 2, 60, 3600),
        permission: retry("permission", 5, 60, 3600),
    }
}

fn retry(section: &Section<'_>, attempts: u32, first_wait: u64, longest_wait: u64) -> Retry {
    let seconds = Duration::from_secs;
    let range = Duration::ZERO..=seconds(30 * 86_400);
    let attempts = section.whole("attempts", 1..=1000).unwrap_or(attempts);
    let first = section.duration("first_wait", range.clone());
    let longest = section.duration("longest_wait", range);
    let (first_wait, longest_wait) = match (first, longest) {
        (Some(first), Some(longest)) => {
            if first > longest {
                let wrong = format!("{} is longer than longest_wait", value::spoken(first));
                section.refuse("first_wait", wrong, "write a shorter one");
            }
            (first, longest)
        }
        // Only one is given: the default of the other gives way.
        (Some(first), None) => (first, seconds(longest_wait).max(first)),
        (None, Some(longest)) => (seconds(first_wait).min(longest), longest),
        (None, None) => (seconds(first_wait), seconds(longest_wait)),
    };
    Retry { attempts, first_wait, longest_wait }
}

pub(super) fn redact(section: &Section<'_>) -> Redact {
    let patterns = section.list("patterns", "write regular expressions, each in quotes", |text| {
        let pattern = Pattern::parse(text)?;
        if pattern.regex().is_match("") {
            return Err(format!("{text:?} matches the empty text, and so everywhere"));
        }
        Ok(pattern)
    });
    let variables = section.list("variables", "write names of environment variables", value::variable);
    Redact { patterns: patterns.unwrap_or_default(), variables: variables.unwrap_or_default() }
}

pub(super) fn log(section: &Section<'_>) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.text("format", &value::one_of(&formats), |text| value::word(text, &formats));
    Log {
        file: section.path("file").unwrap_or_else(|| section.default_path("notebook_execution.log")),
        format: format.unwrap_or(LogFormat::Text),
    }
}

pub(super) fn state(section: &Section<'_>) -> State {
    State { folder: section.path("folder").unwrap_or_else(|| section.default_path("rnbexec-manager")) }
}

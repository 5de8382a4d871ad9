//! The small sections: `[policy]`, `[comment]`, `[retry]`, `[redact]`, `[log]`, `[state]`.

use std::path::PathBuf;
use std::time::Duration;

use rnbexec::redact::Pattern;

use super::read::Section;
use super::value;
use crate::case::Retry;
use crate::comment::{DEFAULT_LIMIT, Template};
use crate::error::Class;
use crate::policy::{LONGEST_LABEL, LabelPolicy, Policy, SeverityPolicy, StatusPolicy};
use crate::redact::RedactSettings;
use crate::severity::Severity;
use crate::verdict::JudgeRules;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redact {
    /// Regular expressions: what matches is taken out.
    pub patterns: Vec<String>,
    /// Whether what is surely a secret (signatures, keys, tokens) is taken out too.
    pub well_known: bool,
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

pub(super) fn policy(section: &Section<'_>) -> Policy {
    let severities =
        [("raise", SeverityPolicy::Raise), ("set", SeverityPolicy::Set), ("keep", SeverityPolicy::Keep)];
    let outcomes =
        [("keep", StatusPolicy::Keep), ("activate", StatusPolicy::Activate), ("close", StatusPolicy::Close)];
    let severity =
        section.text("severity", &value::one_of(&severities), |text| value::word(text, &severities));
    let status = section.text("status", &value::one_of(&outcomes), |text| value::word(text, &outcomes));
    let labels = section.list("add_labels", "write a list of labels", |text| {
        let label = text.trim();
        if label.chars().any(char::is_control) || label.chars().count() > LONGEST_LABEL {
            return Err(format!("{label:?} is no label"));
        }
        Ok(label.to_owned())
    });
    let policy = Policy {
        severity: severity.unwrap_or_default(),
        classification: section.boolean("classification").unwrap_or_default(),
        labels: LabelPolicy {
            from_verdict: section.boolean("labels").unwrap_or_default(),
            always: labels.unwrap_or_default(),
        },
        tasks: section.boolean("tasks").unwrap_or_default(),
        status: status.unwrap_or_default(),
    };
    if policy.classification && policy.status != StatusPolicy::Close {
        section.refuse(
            "classification",
            "only closed incidents have a classification, and this policy closes none",
            format!("write status = \"close\" too ({})", section.key("status")),
        );
    }
    policy
}

/// The comment's template; `None` when there is to be no comment.
pub(super) fn comment(section: &Section<'_>) -> Option<Template> {
    let instead = "write \"default\", \"blog\", or HTML with placeholders such as {link}";
    let template =
        section.text("template", instead, |text| Template::parse(text).map_err(|error| error.to_string()));
    // Room for a link at least.
    let limit =
        section.whole("limit", 300..=30_000).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let enabled = section.boolean("enabled").unwrap_or(true);
    enabled.then(|| template.unwrap_or_default().with_limit(limit.unwrap_or(DEFAULT_LIMIT)))
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
        Pattern::parse(text).map(|_| text.to_owned()).map_err(|error| value::on_one_line(&error))
    });
    let variables = section.list("variables", "write names of environment variables", value::variable);
    Redact {
        patterns: patterns.unwrap_or_default(),
        well_known: section.boolean("well_known").unwrap_or(true),
        variables: variables.unwrap_or_default(),
    }
}

impl Redact {
    /// For a [`Redactor`](rnbexec::redact::Redactor).
    pub fn settings(&self) -> RedactSettings {
        RedactSettings { patterns: self.patterns.clone(), well_known: self.well_known }
    }
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

//! What is wrong with a configuration: every problem of it at once, each with its key, where it stands, and what to write
//! instead.

use std::fmt;

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name with its sections (`run.timeout`), empty when the file as a whole is meant.
    pub key: String,
    /// Where the value stands (`manager.toml, line 12`, a variable, a flag); `None` when it stands nowhere.
    pub place: Option<String>,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead; may be empty.
    pub instead: String,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// A setting that is not given although something asked for needs it.
    pub(super) fn missing(key: &str, because: &str, instead: &str) -> Problem {
        let variable = super::variable_of(key);
        Problem {
            key: key.to_owned(),
            place: None,
            wrong: format!("not given, but {because}"),
            instead: format!(
                "write it in the file ({instead}), set {variable}, or give {} {key}=VALUE",
                super::FLAG
            ),
        }
    }

    /// All that is wrong, in the order of the sections.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => problem.fmt(f),
            problems => {
                write!(f, "{} settings cannot be used", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), &self.place) {
            ("", Some(place)) => write!(f, "{place}: ")?,
            (key, Some(place)) => write!(f, "{key} ({place}): ")?,
            ("", None) => {}
            (key, None) => write!(f, "{key}: ")?,
        }
        f.write_str(&self.wrong)?;
        if !self.instead.is_empty() {
            write!(f, "; {}", self.instead)?;
        }
        Ok(())
    }
}

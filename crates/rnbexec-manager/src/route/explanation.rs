//! Why an incident takes the way it takes, for people (`Display`) and programs (JSON).

use std::fmt;

use rnbexec_azure::sentinel::Incident;
use serde::Serialize;

use super::{Action, Choice, Triage};
use crate::config::{Bundle, spoken};
use crate::text::one_line;

/// The longest text of an incident that is shown, in characters.
const LONGEST: usize = 200;

/// Why an incident takes the way it takes. All texts of the incident in it are fit to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The incident's name, its number and its title.
    pub incident: String,
    /// The incident's number.
    pub number: Option<u64>,
    /// The incident's title.
    pub title: String,
    /// The routes that were looked at, in their order; the last is the one that was taken, if any was.
    pub tried: Vec<Attempt>,
    /// The routes behind the one that was taken.
    pub not_tried: Vec<String>,
    /// What is done.
    pub chosen: Chosen,
}

/// A route that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// Its name.
    pub route: String,
    /// Whether all its conditions are met.
    pub matched: bool,
    /// Its conditions.
    pub checks: Vec<Check>,
}

/// A condition that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about: `severity`, `title`, `rule`, `tactic`, `product` or `label`.
    pub condition: &'static str,
    /// What the route wants one of.
    pub wanted: Vec<String>,
    /// What the incident has.
    pub found: Vec<String>,
    /// Whether one of the one is among the other.
    pub met: bool,
}

/// What is done for the incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// The route; `default` where none matched.
    pub route: String,
    /// What is run; `None` when the route leaves the incident alone.
    pub run: Option<Described>,
}

/// A triage in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `Triage`")]
pub struct Described {
    pub notebook: String,
    pub kernel: Option<String>,
    pub environment: String,
    pub timeout: Option<String>,
    pub cell_timeout: Option<String>,
    pub jobs: usize,
    pub bundle: &'static str,
    pub isolation: Option<String>,
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

impl Check {
    /// Looks at one condition; `None` when the route does not care.
    pub(super) fn of(
        condition: &'static str,
        wanted: &[&str],
        found: &[&str],
        fits: impl Fn(&str, &str) -> bool,
    ) -> Option<Self> {
        let shown = |texts: &[&str]| texts.iter().map(|text| one_line(text, LONGEST)).collect();
        (!wanted.is_empty()).then(|| Self {
            condition,
            wanted: shown(wanted),
            found: shown(found),
            met: wanted.iter().any(|wanted| found.iter().any(|found| fits(wanted, found))),
        })
    }
}

impl Explanation {
    pub(super) fn new(
        incident: &Incident,
        tried: Vec<Attempt>,
        not_tried: Vec<String>,
        choice: &Choice,
        jobs: usize,
    ) -> Self {
        let run = match &choice.action {
            Action::Skip => None,
            Action::Run(triage) => Some(Described::new(triage, jobs)),
        };
        Self {
            incident: incident
                .name()
                .map_or_else(|_| one_line(incident.id(), LONGEST), |name| name.to_string()),
            number: incident.number(),
            title: one_line(incident.title(), LONGEST),
            tried,
            not_tried,
            chosen: Chosen { route: choice.route.clone(), run },
        }
    }
}

impl Described {
    fn new(triage: &Triage, jobs: usize) -> Self {
        use rnbexec::EnvironmentRequest;

        let parameters = triage.parameters.iter().map(|(name, value)| {
            // What JSON cannot hold (a lone surrogate, an infinite number) is shown as it is written.
            let text = value.to_compact();
            let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
            (name.clone(), value)
        });
        Self {
            notebook: triage.notebook.to_string(),
            kernel: triage.kernel.clone(),
            environment: match &triage.environment {
                EnvironmentRequest::AsFound => "as-found".to_owned(),
                EnvironmentRequest::Auto => "auto".to_owned(),
                EnvironmentRequest::Path(path) => path.display().to_string(),
                EnvironmentRequest::Named(name) => name.clone(),
            },
            timeout: triage.timeout.map(spoken),
            cell_timeout: triage.cell_timeout.map(spoken),
            jobs,
            bundle: match triage.bundle {
                Bundle::Always => "always",
                Bundle::Never => "never",
                Bundle::Auto => "auto",
            },
            isolation: (!triage.containment.is_open()).then(|| triage.containment.to_string()),
            parameters: parameters.collect(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incident {}", self.incident)?;
        if let Some(number) = self.number {
            write!(f, " (number {number})")?;
        }
        writeln!(f, ": {}", self.title)?;
        for Attempt { route, matched, checks } in &self.tried {
            writeln!(f, "  route {route}: {}", if *matched { "matches" } else { "does not match" })?;
            for check in checks {
                writeln!(f, "    {check}")?;
            }
            if checks.is_empty() {
                writeln!(f, "    it has no conditions")?;
            }
        }
        for route in &self.not_tried {
            writeln!(f, "  route {route}: not looked at")?;
        }
        match (self.chosen.route.as_str(), &self.chosen.run) {
            (route, None) => write!(f, "taken: {route}, which leaves the incident alone"),
            (route, Some(run)) => write!(f, "taken: {route}\n{run}"),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { condition, wanted, found, met } = self;
        let verb = match (condition, met) {
            (&"title", true) => "matches",
            (&"title", false) => "matches none of",
            (_, true) => "is among",
            (_, false) => "is not among",
        };
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        let mark = if *met { "yes" } else { "no " };
        write!(f, "{mark} {condition}: {found} {verb} {}", wanted.join(", "))
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: &Option<String>| limit.clone().unwrap_or_else(|| "none".to_owned());
        writeln!(f, "  notebook      {}", self.notebook)?;
        writeln!(f, "  kernel        {}", self.kernel.as_deref().unwrap_or("the notebook's own"))?;
        writeln!(f, "  environment   {}", self.environment)?;
        writeln!(f, "  timeout       {} (one cell: {})", limit(&self.timeout), limit(&self.cell_timeout))?;
        writeln!(f, "  at most       {} at the same time", self.jobs)?;
        write!(f, "  bundle        {}", self.bundle)?;
        if let Some(isolation) = &self.isolation {
            write!(f, "\n  isolation     {isolation}")?;
        }
        for (name, value) in &self.parameters {
            write!(f, "\n  parameter     {name} = {}", one_line(&value.to_string(), LONGEST))?;
        }
        Ok(())
    }
}

//! Which way an incident takes: the first route whose conditions it meets, or `[run]` as it is.
//!
//! One function examines the conditions, for [`Router::choose`] and [`Router::explain`] alike, so that what is explained is what
//! happens. Words are compared without regard to capitals; titles by regular expressions; rules by the GUID at the end of
//! their ARM ids.

mod explanation;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec::contain::Containment;
use rnbexec::{EnvironmentRequest, KernelRequest, Limits};
use rnbexec_azure::sentinel::Incident;
use rnbexec_notebook::Parameters;

use crate::config::{
    Bundle, Conditions, Config, DEFAULT_ROUTE, Differences, Notebook, Pattern, Route, Run, Treatment,
};
use crate::severity::Severity;

pub use explanation::{Attempt, Check, Chosen, Described, Explanation};

/// Decides which way incidents take.
#[derive(Clone, Debug)]
pub struct Router {
    run: Run,
    routes: Vec<Route>,
}

/// Which way an incident takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The route's name; [`DEFAULT_ROUTE`] where none matched.
    pub route: String,
    /// What is done.
    pub action: Action,
}

/// What is done for an incident.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It is left alone, because a route says so.
    Skip,
    /// A notebook is run.
    Run(Box<Triage>),
}

/// A notebook to run for an incident, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Triage {
    /// The notebook.
    pub notebook: Notebook,
    /// A kernelspec's name; `None` is the notebook's own.
    pub kernel: Option<String>,
    /// The environment the kernel runs in.
    pub environment: EnvironmentRequest,
    /// How long the notebook may run.
    pub timeout: Option<Duration>,
    /// How long one of its cells may run.
    pub cell_timeout: Option<Duration>,
    /// The folder the kernel works in; `None` gives the run one of its own.
    pub working_folder: Option<PathBuf>,
    /// What is closed to the kernel, and how much it may use.
    pub containment: Containment,
    /// Whether the notebook gets the incident that was fetched.
    pub bundle: Bundle,
    /// The parameters that the configuration gives it.
    pub parameters: Parameters,
}

/// How urgent an incident is: the severest first, of those the oldest. The least value is worked on first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    severity: Reverse<Severity>,
    created: Timestamp,
}

impl Priority {
    /// The priority of an incident. A severity that is not known counts as high and an age that is not known as old: rather too
    /// early than too late.
    pub fn of(incident: &Incident) -> Self {
        Self {
            severity: Reverse(incident.severity().parse().unwrap_or(Severity::High)),
            created: incident.created().unwrap_or(Timestamp::MIN),
        }
    }
}

impl Triage {
    /// The kernel, as the library takes it.
    pub fn kernel_request(&self) -> KernelRequest {
        KernelRequest {
            name: self.kernel.clone(),
            environment: self.environment.clone(),
            cwd: self.working_folder.clone(),
            containment: self.containment.clone(),
            ..KernelRequest::default()
        }
    }

    /// The limits, as the library takes them.
    pub fn limits(&self) -> Limits {
        Limits { cell: self.cell_timeout, run: self.timeout, ..Limits::default() }
    }
}

impl Router {
    /// The router of a configuration.
    pub fn new(config: &Config) -> Self {
        Self { run: config.run.clone(), routes: config.routes.clone() }
    }

    /// What is done for this incident.
    pub fn choose(&self, incident: &Incident) -> Choice {
        self.follow(self.routes.iter().find(|route| route.when.met_by(incident)))
    }

    /// What is done for this incident, and which conditions of which routes led there.
    pub fn explain(&self, incident: &Incident) -> Explanation {
        let mut attempts = Vec::new();
        let mut winner = None;
        for route in &self.routes {
            let checks = examine(&route.when, incident);
            let matched = checks.iter().all(|check| check.met);
            attempts.push(Attempt { route: route.name.clone(), matched, checks });
            if matched {
                winner = Some(route);
                break;
            }
        }
        let not_tried = self.routes.iter().skip(attempts.len()).map(|route| route.name.clone()).collect();
        let choice = self.follow(winner);
        Explanation::new(incident, attempts, not_tried, &choice, self.jobs_of(&choice.route))
    }

    /// What is done where no route matches.
    pub fn default_run(&self) -> Box<Triage> {
        Box::new(triage(&self.run, None))
    }

    /// All triages that an incident can get, with the names of their routes.
    pub(crate) fn triages(&self) -> Vec<(String, Box<Triage>)> {
        let choices = self.routes.iter().map(|route| self.follow(Some(route))).chain([self.follow(None)]);
        let triages = choices.filter_map(|choice| match choice.action {
            Action::Run(triage) => Some((choice.route, triage)),
            Action::Skip => None,
        });
        triages.collect()
    }

    /// How many notebooks of this route run at the same time.
    pub fn jobs_of(&self, route: &str) -> usize {
        let known = self.routes.iter().find(|known| known.name == route);
        let own = known.and_then(|route| match &route.treatment {
            Treatment::Skip => None,
            Treatment::Run(differences) => differences.jobs,
        });
        own.unwrap_or(self.run.jobs).min(self.run.jobs)
    }

    fn follow(&self, route: Option<&Route>) -> Choice {
        let Some(route) = route else {
            return Choice { route: DEFAULT_ROUTE.to_owned(), action: Action::Run(self.default_run()) };
        };
        let action = match &route.treatment {
            Treatment::Skip => Action::Skip,
            Treatment::Run(differences) => Action::Run(Box::new(triage(&self.run, Some(differences)))),
        };
        Choice { route: route.name.clone(), action }
    }
}

/// `[run]` with what differs from it.
fn triage(run: &Run, differences: Option<&Differences>) -> Triage {
    let mut triage = Triage {
        notebook: run.notebook.clone(),
        kernel: run.kernel.clone(),
        environment: run.environment.clone(),
        timeout: run.timeout,
        cell_timeout: run.cell_timeout,
        working_folder: run.working_folder.clone(),
        containment: run.containment.clone(),
        bundle: run.bundle,
        parameters: run.parameters.clone(),
    };
    let Some(differences) = differences else { return triage };
    let Differences { notebook, kernel, environment, timeout, cell_timeout, jobs: _, bundle, parameters } =
        differences;
    triage.notebook = notebook.clone().unwrap_or(triage.notebook);
    triage.kernel = kernel.clone().or(triage.kernel);
    triage.environment = environment.clone().unwrap_or(triage.environment);
    triage.timeout = timeout.unwrap_or(triage.timeout);
    triage.cell_timeout = cell_timeout.unwrap_or(triage.cell_timeout);
    triage.bundle = bundle.unwrap_or(triage.bundle);
    triage.parameters.update(parameters);
    triage
}

impl Conditions {
    /// Whether an incident meets all of them.
    pub fn met_by(&self, incident: &Incident) -> bool {
        examine(self, incident).iter().all(|check| check.met)
    }
}

/// Looks at every condition there is.
fn examine(conditions: &Conditions, incident: &Incident) -> Vec<Check> {
    let Conditions { severity, title, rule, tactic, product, label } = conditions;
    let severity: Vec<&str> = severity.iter().map(|severity| severity.as_str()).collect();
    let patterns: Vec<&str> = title.iter().map(Pattern::as_str).collect();
    let rules = incident.rule_ids();
    let matches = |pattern: &str, found: &str| {
        title.iter().any(|known| known.as_str() == pattern && known.regex().is_match(found))
    };
    let checks = [
        Check::of("severity", &severity, &[incident.severity()], same_word),
        Check::of("title", &patterns, &[incident.title()], matches),
        Check::of("rule", &texts(rule), &rules, same_rule),
        Check::of("tactic", &texts(tactic), &incident.tactics(), same_tactic),
        Check::of("product", &texts(product), &incident.products(), same_word),
        Check::of("label", &texts(label), &incident.labels(), same_word),
    ];
    checks.into_iter().flatten().collect()
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn same_word(wanted: &str, found: &str) -> bool {
    wanted.to_lowercase() == found.trim().to_lowercase()
}

/// Tactics are written `CredentialAccess` here and `Credential Access` there.
fn same_tactic(wanted: &str, found: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    letters(wanted) == letters(found)
}

/// The rule's own part of its id is its GUID, or `<workspace>_<GUID>`.
fn same_rule(wanted: &str, found: &str) -> bool {
    let last = found.trim_end_matches('/').rsplit('/').next().unwrap_or(found);
    let guid = last.rsplit('_').next().unwrap_or(last);
    last.eq_ignore_ascii_case(wanted) || guid.eq_ignore_ascii_case(wanted)
}

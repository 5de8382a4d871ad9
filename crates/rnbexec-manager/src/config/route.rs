//! `[[route]]`: which incidents are treated differently, and how.

use std::cell::RefCell;
use std::time::Duration;

use rnbexec::EnvironmentRequest;
use rnbexec_notebook::Parameters;

use super::read::Section;
use super::run::{self, Bundle, Notebook};
use super::value::{Limit, Pattern};
use crate::severity::Severity;

/// The name of what happens where no route matches.
pub const DEFAULT_ROUTE: &str = "default";

/// One route: what differs from `[run]` for the incidents that meet its conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name, unlike every other route's.
    pub name: String,
    /// Which incidents it is for.
    pub when: Conditions,
    /// What happens to them.
    pub treatment: Treatment,
}

/// What happens to the incidents of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Treatment {
    /// They are left alone.
    Skip,
    /// They are triaged, like this.
    Run(Box<Differences>),
}

/// What differs from `[run]`; `None` is as there.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of `Run`")]
pub struct Differences {
    pub notebook: Option<Notebook>,
    pub kernel: Option<String>,
    pub environment: Option<EnvironmentRequest>,
    /// `Some(None)` is no limit.
    pub timeout: Option<Option<Duration>>,
    /// `Some(None)` is no limit.
    pub cell_timeout: Option<Option<Duration>>,
    /// How many notebooks of this route run at the same time, at least one; `run.jobs` limits them too.
    pub jobs: Option<usize>,
    pub bundle: Option<Bundle>,
    /// On top of those of `[run]`; the same names win.
    pub parameters: Parameters,
}

/// What must be true of an incident. Each list that is not empty must hold one value that fits; all lists must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The severity.
    pub severity: Vec<Severity>,
    /// The title matches the pattern.
    pub title: Vec<Pattern>,
    /// The GUID of an analytics rule that made it.
    pub rule: Vec<String>,
    /// A MITRE tactic (`CredentialAccess`).
    pub tactic: Vec<String>,
    /// The product that an alert of it comes from.
    pub product: Vec<String>,
    /// A label on it.
    pub label: Vec<String>,
}

impl Conditions {
    /// Whether every incident meets them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The keys of [`conditions`].
pub(super) struct Keys {
    rule: &'static str,
    tactic: &'static str,
    product: &'static str,
    label: &'static str,
}

/// In a route's `when`.
const SINGULAR: Keys = Keys { rule: "rule", tactic: "tactic", product: "product", label: "label" };

/// In a source, where they are lists as a rule.
pub(super) const PLURAL: Keys =
    Keys { rule: "rules", tactic: "tactics", product: "products", label: "labels" };

pub(super) fn conditions(section: &Section<'_>, keys: &Keys) -> Conditions {
    let words = |key| {
        let instead = "write a text or a list of texts";
        section.list(key, instead, |text| Ok(text.trim().to_owned())).unwrap_or_default()
    };
    let severity = "write \"High\", \"Medium\", \"Low\", \"Informational\" or a list of them";
    let title = "write a regular expression such as \"(?i)brute force\"";
    Conditions {
        severity: section
            .choices("severity", severity, |text| {
                text.trim().parse().map_err(|error: crate::severity::SeverityError| error.to_string())
            })
            .unwrap_or_default(),
        title: section.list("title", title, Pattern::parse).unwrap_or_default(),
        rule: section
            .list(keys.rule, "write a rule's GUID or the ARM id of the rule", rule)
            .unwrap_or_default(),
        tactic: words(keys.tactic),
        product: words(keys.product),
        label: words(keys.label),
    }
}

/// The GUID of a rule, out of the GUID or the whole ARM id.
fn rule(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let last = text.rsplit('/').next().unwrap_or(text);
    match uuid::Uuid::try_parse(last) {
        Ok(guid) => Ok(guid.to_string()),
        // Built-in rules (Fusion and its like) have names.
        Err(_)
            if !last.is_empty()
                && last.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') =>
        {
            Ok(last.to_ascii_lowercase())
        }
        Err(_) => Err(format!("{text:?} is no rule")),
    }
}

pub(super) fn routes(section: &Section<'_>) -> Vec<Route> {
    let earlier = RefCell::new(Vec::<(String, bool)>::new());
    section.sections("route", |section| {
        let name = section.text("name", "write a name", |text| {
            let text = text.trim();
            if text.eq_ignore_ascii_case(DEFAULT_ROUTE) {
                return Err(format!("{DEFAULT_ROUTE:?} is what happens where no route matches"));
            }
            if text.chars().any(char::is_control) || text.len() > 100 {
                return Err(format!("{text:?} is no name"));
            }
            if earlier.borrow().iter().any(|(name, _)| name.eq_ignore_ascii_case(text)) {
                return Err(format!("a route before it is named {text:?} too"));
            }
            Ok(text.to_owned())
        });
        if !section.given("name") {
            section.refuse("name", "not given", "write a name: it stands in the log and in explanations");
        }
        let name = name.unwrap_or_default();
        let when = section.section("when", |section| conditions(section, &SINGULAR));
        if let Some((catch_all, _)) = earlier.borrow().iter().find(|(_, all)| *all) {
            section.refuse(
                "when",
                format!("is never looked at, because route {catch_all:?} before it has no conditions"),
                format!("give {catch_all:?} a [route.when], or write it last"),
            );
        }
        earlier.borrow_mut().push((name.clone(), when.is_empty()));
        Route { name, when, treatment: treatment(section) }
    })
}

fn treatment(section: &Section<'_>) -> Treatment {
    let skip = section.boolean("skip").unwrap_or(false);
    let differences = Differences {
        notebook: run::notebook(section),
        kernel: run::kernel(section),
        environment: run::environment(section),
        timeout: section.limit("timeout").map(|Limit(limit)| limit),
        cell_timeout: section.limit("cell_timeout").map(|Limit(limit)| limit),
        jobs: section.whole("jobs", 1..=1000).map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX)),
        bundle: run::bundle(section),
        parameters: run::parameters(section),
    };
    if !skip {
        return Treatment::Run(Box::new(differences));
    }
    let settings =
        ["notebook", "kernel", "environment", "timeout", "cell_timeout", "jobs", "bundle", "parameters"];
    for key in settings.into_iter().filter(|key| section.given(key)) {
        section.refuse(key, "nothing runs on this route: skip is true", "leave it out, or leave skip out");
    }
    Treatment::Skip
}

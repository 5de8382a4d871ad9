//! What a finding may change about its incident.
//!
//! Unless the settings ask for more, a finding raises the severity and nothing else: status, owner and description belong to
//! the analysts, and an incident that was closed or merged meanwhile is left alone altogether, as is a severity that somebody
//! set while the incident was triaged. What a verdict asks for and does not get is told, with the reason.

#[cfg(test)]
mod tests;

use std::fmt;

use rnbexec_azure::sentinel::Incident;
use serde::{Deserialize, Serialize};

use crate::change::{IncidentChange, Status};
use crate::comment::safe_html;
use crate::severity::Severity;
use crate::text::one_line;
use crate::verdict::{Class, Classification, Task, Verdict};

/// The most labels that an incident is given: labels are for people to read.
pub const MOST_LABELS: usize = 50;

/// The longest label, in characters.
pub const LONGEST_LABEL: usize = 100;

/// What a finding may change. The default raises the severity, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of the severity.
    pub severity: SeverityPolicy,
    /// Whether an incident that is closed gets the verdict's classification. Sentinel has classifications on closed incidents only.
    pub classification: bool,
    /// Which labels are added.
    pub labels: LabelPolicy,
    /// Whether the verdict's tasks are added.
    pub tasks: bool,
    /// What becomes of the status.
    pub status: StatusPolicy,
}

/// What becomes of the severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeverityPolicy {
    /// It is raised to the verdict's, never lowered.
    #[default]
    Raise,
    /// It becomes the verdict's.
    Set,
    /// It stays.
    Keep,
}

/// Which labels are added. None is ever removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelPolicy {
    /// The verdict's.
    pub from_verdict: bool,
    /// These, whatever the verdict says.
    pub always: Vec<String>,
}

/// What becomes of the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusPolicy {
    /// It stays.
    #[default]
    Keep,
    /// A new incident becomes active.
    Activate,
    /// An incident that the verdict classifies as a benign or false positive is closed.
    Close,
}

/// What this triage knows of the severity, to tell it from what somebody else made of it meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known<'a> {
    /// What it was when the triage began. Of a triage for which that is not known nothing is withheld.
    pub at_claim: Option<&'a str>,
    /// What our own change made of it.
    pub ours: Option<&'a str>,
    /// The incident's etag when our change was about to be written, if nobody knows what became of the write. Another etag and
    /// not our severity: the change is done and somebody took it back, or the incident was changed before we came to it.
    pub written_over: Option<&'a str>,
}

impl Known<'_> {
    /// Whether somebody else decided about the severity since the triage began.
    fn is_overruled(self, incident: &Incident) -> bool {
        let is_now = |known: &str| known.eq_ignore_ascii_case(incident.severity());
        let Some(at_claim) = self.at_claim else { return false };
        if self.ours.is_some_and(is_now) {
            return false;
        }
        let may_be_taken_back = self.written_over.is_some() && self.written_over != incident.etag();
        may_be_taken_back || !is_now(at_claim)
    }
}

/// What a finding does to its incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What changes; `None` when nothing does.
    pub change: Option<IncidentChange>,
    /// Tasks to add, the descriptions as HTML that is safe to show. Their ids follow from their [`task_name`]s.
    pub tasks: Vec<Task>,
    /// What the verdict, or the settings, asked for and did not get.
    pub withheld: Vec<Withheld>,
}

/// Something that was not done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// What a task is called among all that is added to its incident.
pub fn task_name(index: usize, task: &Task) -> String {
    format!("task {index} {}", task.title)
}

/// Decides what a finding does to the incident as it is now.
pub fn decide(policy: &Policy, verdict: &Verdict, incident: &Incident, known: Known<'_>) -> Decision {
    let mut decision = Decision::default();
    if let Some(why) = untouchable(incident) {
        decision.withhold("everything", why);
        return decision;
    }
    let closing = closing(policy, verdict, &mut decision);
    let mut change = IncidentChange {
        severity: severity(policy.severity, verdict.severity, incident, known, &mut decision),
        add_labels: labels(&policy.labels, verdict, incident, &mut decision),
        ..IncidentChange::default()
    };
    if let Some(classification) = closing {
        change.status = Some(Status::Closed);
        change.classification = Some(classification);
    } else if policy.status == StatusPolicy::Activate && incident.status().eq_ignore_ascii_case("New") {
        change.status = Some(Status::Active);
    }
    if policy.tasks {
        let tasks = verdict.tasks.iter();
        decision.tasks = tasks
            .map(|task| Task { title: task.title.clone(), description: safe_html(&task.description) })
            .collect();
    } else if !verdict.tasks.is_empty() {
        decision.withhold(counted(verdict.tasks.len(), "task"), "the policy adds no tasks");
    }
    decision.change = Some(change).filter(|change| !change.is_empty());
    decision
}

impl Decision {
    fn withhold(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.withheld.push(Withheld { what: what.into(), why: why.into() });
    }
}

/// Why nothing at all may be done to the incident.
pub fn untouchable(incident: &Incident) -> Option<&'static str> {
    if incident.is_merged() {
        Some("the incident is merged into another one")
    } else if incident.is_closed() {
        Some("the incident is closed")
    } else {
        None
    }
}

fn severity(
    policy: SeverityPolicy,
    found: Severity,
    incident: &Incident,
    known: Known<'_>,
    decision: &mut Decision,
) -> Option<Severity> {
    let now = incident.severity();
    let what = || format!("severity {found}");
    let Ok(now) = now.parse::<Severity>() else {
        // The service may learn new words; a wrong guess at their order could lower one.
        decision.withhold(what(), format!("the incident's severity {:?} is not known", one_line(now, 50)));
        return None;
    };
    if found == now {
        return None;
    }
    match policy {
        SeverityPolicy::Raise if found < now => {
            decision.withhold(what(), format!("the incident has {now}, and the policy only raises"));
            None
        }
        SeverityPolicy::Raise | SeverityPolicy::Set if known.is_overruled(incident) => {
            decision.withhold(what(), format!("somebody set {now} while the incident was triaged"));
            None
        }
        SeverityPolicy::Raise | SeverityPolicy::Set => Some(found),
        SeverityPolicy::Keep => {
            decision.withhold(what(), format!("the incident has {now}, and the policy keeps it"));
            None
        }
    }
}

fn labels(
    policy: &LabelPolicy,
    verdict: &Verdict,
    incident: &Incident,
    decision: &mut Decision,
) -> Vec<String> {
    let there = incident.labels();
    let offered = if policy.from_verdict { &verdict.labels[..] } else { &[] };
    if !policy.from_verdict && !verdict.labels.is_empty() {
        decision.withhold(counted(verdict.labels.len(), "label"), "the policy adds no labels of verdicts");
    }
    let mut known: Vec<String> = there.iter().map(|name| name.to_lowercase()).collect();
    let mut added = Vec::new();
    for label in policy.always.iter().chain(offered) {
        let what = || format!("label {:?}", one_line(label, LONGEST_LABEL));
        if known.contains(&label.to_lowercase()) {
            continue;
        }
        if let Some(why) = unfit(label) {
            decision.withhold(what(), why);
        } else if known.len() >= MOST_LABELS {
            decision.withhold(what(), format!("an incident is given no more than {MOST_LABELS} labels"));
        } else {
            known.push(label.to_lowercase());
            added.push(label.clone());
        }
    }
    added
}

/// Why a text cannot be a label.
fn unfit(label: &str) -> Option<String> {
    if label.trim().is_empty() {
        Some("it is blank".to_owned())
    } else if label.chars().count() > LONGEST_LABEL {
        Some(format!("it is longer than {LONGEST_LABEL} characters"))
    } else if one_line(label, LONGEST_LABEL) != label {
        Some("it holds characters that are not seen, or blanks at its ends".to_owned())
    } else if label.contains(['<', '>']) {
        Some("it holds < or >".to_owned())
    } else {
        None
    }
}

/// The classification to close the incident with, if it is to be closed.
fn closing(policy: &Policy, verdict: &Verdict, decision: &mut Decision) -> Option<Classification> {
    let Some(classification) = &verdict.classification else {
        if policy.status == StatusPolicy::Close {
            decision
                .withhold("closing", "the verdict has no classification, and Sentinel closes none without");
        }
        return None;
    };
    let class = classification.class;
    let what = format!("classification {class}");
    if !policy.classification {
        decision.withhold(what, "the policy does not classify");
        if policy.status == StatusPolicy::Close {
            decision.withhold("closing", "Sentinel closes no incident without a classification");
        }
        return None;
    }
    if policy.status != StatusPolicy::Close {
        decision.withhold(what, "Sentinel classifies closed incidents only, and the policy closes none");
        return None;
    }
    if !matches!(class, Class::BenignPositive | Class::FalsePositive) {
        decision.withhold(what, "only benign and false positives are closed without an analyst");
        return None;
    }
    let reason = match (classification.reason, class.reasons()) {
        (Some(reason), possible) if possible.contains(&reason) => reason,
        (None, [only]) => *only,
        (given, possible) => {
            let possible: Vec<&str> = possible.iter().map(|reason| reason.as_str()).collect();
            let given = given.map_or("no reason", crate::verdict::Reason::as_str);
            let why = format!("it comes with {given}; Sentinel takes {}", possible.join(" or "));
            decision.withhold(what, why);
            return None;
        }
    };
    Some(Classification { class, reason: Some(reason), comment: classification.comment.clone() })
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

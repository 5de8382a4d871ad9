//! What the manager tells while it works.

use std::time::Duration;

use crate::case::{Ending, Step};
use crate::change::Difference;
use crate::error::Class;
use crate::journal::{Entry, What};
use crate::ledger::{Case, Facts};
use crate::pass::PassReport;
use crate::policy::Withheld;
use crate::run_key::RunKey;

/// One thing that happened. Texts that come from incidents and notebooks are as hostile as those.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The source was asked.
    Asked {
        /// Its name.
        source: &'a str,
        /// How many incidents it handed out.
        arrivals: usize,
    },
    /// Something to know about how the source was asked.
    Note {
        /// The source's name.
        source: &'a str,
        /// What.
        note: &'a str,
    },
    /// The source cannot be read.
    SourceFailed {
        /// Its name.
        source: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// An incident was written into the ledger.
    Enlisted {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
    },
    /// A pass begins.
    Began {
        /// `once` or `watch`.
        command: &'static str,
    },
    /// An incident is not triaged.
    PassedOver {
        /// Which.
        incident: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// An incident was triaged before, and nothing happened in it since.
    AlreadyProcessed {
        /// Which.
        incident: &'a str,
        /// The triage.
        case: &'a Case,
    },
    /// The source held something nobody can read; it is put aside.
    Rejected {
        /// What.
        what: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Work on a case begins, or goes on.
    Started {
        /// The case as it stands.
        case: &'a Case,
    },
    /// A step is about to be done; the ledger says so.
    Intent {
        /// Which triage.
        key: &'a RunKey,
        /// The step.
        step: Step,
    },
    /// An effect was just made, and the ledger does not know yet.
    Effect {
        /// Which triage.
        key: &'a RunKey,
        /// The step it belongs to.
        step: Step,
        /// What was done.
        what: &'a str,
    },
    /// A step is done; the ledger says so.
    Result {
        /// Which triage.
        key: &'a RunKey,
        /// The step.
        step: Step,
        /// What came of it.
        detail: &'a str,
    },
    /// A step failed; the ledger says so.
    Failure {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// The step.
        step: Step,
        /// Why.
        reason: &'a str,
        /// How often it failed by now.
        failures: u32,
        /// When it is tried again; `None` is never.
        wait: Option<Duration>,
    },
    /// The kernel's environment is being made: one line of progress.
    Environment {
        /// Which triage.
        key: &'a RunKey,
        /// The line.
        line: &'a str,
    },
    /// A notebook goes on.
    Cell {
        /// Which triage.
        key: &'a RunKey,
        /// The cell that begins.
        index: usize,
        /// All cells.
        total: usize,
    },
    /// The notebook's verdict was read.
    Judged {
        /// Which triage.
        key: &'a RunKey,
        /// About it, the verdict included.
        facts: &'a Facts,
        /// Whether there is something to tell.
        finding: bool,
    },
    /// A document is about to be published.
    Publishing {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// `AML`, `Blob Storage` or a folder.
        place: &'a str,
        /// Where it goes.
        path: &'a str,
    },
    /// The comment is about to be put on the incident.
    Linking {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
    },
    /// The incident is about to be changed.
    Updating {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// What changes.
        difference: &'a Difference,
    },
    /// Something the verdict asked for is not done.
    Withheld {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// What, and why not.
        withheld: &'a Withheld,
    },
    /// A case is over.
    Ended {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// How.
        ending: Ending,
    },
    /// A pass is over.
    PassEnded {
        /// What came of it.
        report: &'a PassReport,
    },
    /// Work on a case stops before its end; it goes on later.
    GivenBack {
        /// Which triage.
        key: &'a RunKey,
        /// About it.
        facts: &'a Facts,
        /// Why.
        reason: &'a str,
    },
}

impl<'a> Event<'a> {
    /// What the log says of it, if anything: what a person wants to know about an incident, not each step.
    pub(crate) fn entry(&self) -> Option<Entry<'a>> {
        let general = |what| Some(Entry { incident: None, number: None, run: None, what });
        let about = |key: &'a RunKey, facts: &'a Facts, what| {
            Some(Entry { incident: Some(&facts.name), number: facts.number, run: Some(key), what })
        };
        let named =
            |incident: &'a str, what| Some(Entry { incident: Some(incident), number: None, run: None, what });
        match *self {
            Self::Began { command } => general(What::Began { command, version: env!("CARGO_PKG_VERSION") }),
            Self::Asked { source, arrivals } if arrivals > 0 => general(What::Asked { source, arrivals }),
            Self::SourceFailed { source, reason } => general(What::Unreachable { source, reason }),
            Self::Note { source, note } => general(What::Note { source, note }),
            Self::Rejected { what, reason } => general(What::Rejected { item: what, reason }),
            Self::PassedOver { incident, reason } => named(incident, What::Skipped { reason }),
            Self::AlreadyProcessed { case, .. } => about(&case.key, &case.facts, What::AlreadyProcessed),
            Self::Started { case } => about(
                &case.key,
                &case.facts,
                What::Processing {
                    title: &case.facts.title,
                    severity: &case.facts.severity,
                    route: &case.facts.route,
                    notebook: &case.facts.notebook,
                    step: case.state.step,
                    failures: case.state.failures,
                },
            ),
            Self::Judged { key, facts, finding } => {
                let verdict = facts.verdict.as_ref();
                about(
                    key,
                    facts,
                    What::Judged {
                        finding,
                        severity: verdict.map(|verdict| verdict.severity),
                        confidence: verdict.and_then(|verdict| verdict.confidence),
                        title: verdict.and_then(|verdict| verdict.title.as_deref()),
                        ran: facts.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                    },
                )
            }
            Self::Publishing { key, facts, place, path } => about(key, facts, What::Storing { place, path }),
            Self::Linking { key, facts } => about(key, facts, What::Linking { link: facts.link.as_deref() }),
            Self::Updating { key, facts, difference } => about(
                key,
                facts,
                What::Updating {
                    field: &difference.field,
                    before: word(&difference.before),
                    after: word(&difference.after),
                },
            ),
            Self::Withheld { key, facts, withheld } => {
                about(key, facts, What::Withheld { item: &withheld.what, reason: &withheld.why })
            }
            Self::Failure { key, facts, step, reason, failures, wait } => about(
                key,
                facts,
                What::Failed {
                    step,
                    class: facts.class.unwrap_or(Class::Refused),
                    failures,
                    reason,
                    again_in: wait,
                },
            ),
            Self::GivenBack { key, facts, reason } => about(key, facts, What::GivenBack { reason }),
            Self::Ended { key, facts, ending } => {
                about(key, facts, What::Finished { ending, reason: facts.reason.as_deref(), took: None })
            }
            Self::PassEnded { report } => {
                general(What::Ended { figures: report.figures(), took: Some(report.took) })
            }
            Self::Asked { .. }
            | Self::Enlisted { .. }
            | Self::Intent { .. }
            | Self::Effect { .. }
            | Self::Result { .. }
            | Self::Environment { .. }
            | Self::Cell { .. } => None,
        }
    }
}

/// A value of an incident's field, as far as it is one word.
fn word(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("…")
}

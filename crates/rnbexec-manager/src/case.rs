//! One incident's way through the manager: a pure state machine.
//!
//! source → claim → run → judge → publish → annotate → settle → acknowledge. The driver does what a [`Step`] says and tells the
//! machine what became of it; the machine says what is next. It only goes forward, save that a triage which cannot be judged
//! is run again; each failure counts, and their number is bounded, so every case ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Class;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Fetch the incident's bundle and see that it is still to be triaged.
    Claim,
    /// Run the notebook.
    Run,
    /// Read what the notebook found.
    Judge,
    /// Put the notebook and its report where analysts can open them.
    Publish,
    /// Comment the link on the incident.
    Annotate,
    /// Change the incident as the policy says.
    Settle,
    /// Tell the source that this is over.
    Acknowledge,
    /// Nothing: it is over.
    Done,
    /// Nothing: it did not work, and a person has to look.
    NeedsHuman,
}

impl Step {
    /// The word for it in the ledger and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Run => "run",
            Self::Judge => "judge",
            Self::Publish => "publish",
            Self::Annotate => "annotate",
            Self::Settle => "settle",
            Self::Acknowledge => "acknowledge",
            Self::Done => "done",
            Self::NeedsHuman => "needs-human",
        }
    }

    /// All steps, in order.
    pub const ALL: [Self; 9] = [
        Self::Claim,
        Self::Run,
        Self::Judge,
        Self::Publish,
        Self::Annotate,
        Self::Settle,
        Self::Acknowledge,
        Self::Done,
        Self::NeedsHuman,
    ];

    /// Nothing is left to do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::NeedsHuman)
    }
}

/// How a case ends, known before the source is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The notebook found something; it is published and the incident says so.
    Triaged,
    /// The notebook found nothing; the incident was left as it was.
    NoFinding,
    /// The incident was not triaged, for a good reason.
    Skipped,
    /// It failed too often.
    Parked,
}

impl Ending {
    /// The word for it in the ledger and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Triaged => "triaged",
            Self::NoFinding => "no-finding",
            Self::Skipped => "skipped",
            Self::Parked => "parked",
        }
    }
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// What is to be done next.
    pub step: Step,
    /// How often it failed so far.
    pub failures: u32,
    /// How it ends, as soon as that is known.
    pub ending: Option<Ending>,
}

impl State {
    /// Where every case begins.
    pub const NEW: Self = Self { step: Step::Claim, failures: 0, ending: None };

    /// Where a case stands that came as far as this and begins again at `step`, as if it had never failed.
    #[must_use]
    pub fn begun_again(self, step: Step) -> Self {
        let ending = match step {
            Step::Claim | Step::Run | Step::Judge => None,
            // Only findings are published.
            Step::Publish | Step::Annotate | Step::Settle => Some(Ending::Triaged),
            Step::Acknowledge | Step::Done | Step::NeedsHuman => self.ending,
        };
        Self { step, failures: 0, ending }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The step was done.
    Done,
    /// [`Step::Claim`]: the incident is not to be triaged (any more).
    NotToBeTriaged,
    /// [`Step::Judge`]: the notebook found something.
    Finding,
    /// [`Step::Judge`]: the notebook found nothing.
    NoFinding,
    /// The step failed.
    Failed {
        /// How.
        class: Class,
        /// How long the service asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The source handed the incident out too often: whoever worked on it before did not survive it.
    DeliveredTooOften,
}

/// How often a class of failures is tried again, and how long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many failures are borne: that many and the case is parked. At least 1.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

/// Where a case goes, and after how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Where it stands from now on.
    pub state: State,
    /// How long to wait before the step is tried; `None` goes on at once.
    pub wait: Option<Duration>,
}

/// What follows when `event` became of the step that `state` names. `retry` says how each class of failure is retried.
pub fn next(state: State, event: Event, retry: impl Fn(Class) -> Retry) -> Next {
    let to = |step| Next { state: State { step, ..state }, wait: None };
    let ending =
        |ending| Next { state: State { step: Step::Acknowledge, ending: Some(ending), ..state }, wait: None };
    match (state.step, event) {
        // Nothing happens after the end.
        (Step::Done | Step::NeedsHuman, _) => Next { state, wait: None },
        (_, Event::Failed { class, retry_after }) => failed(state, retry(class), class, retry_after),
        (step, Event::DeliveredTooOften) if step < Step::Acknowledge => ending(Ending::Parked),
        (Step::Claim, Event::NotToBeTriaged) => ending(Ending::Skipped),
        (Step::Claim, _) => to(Step::Run),
        (Step::Run, _) => to(Step::Judge),
        (Step::Judge, Event::NoFinding) => ending(Ending::NoFinding),
        (Step::Judge, _) => {
            Next { state: State { step: Step::Publish, ending: Some(Ending::Triaged), ..state }, wait: None }
        }
        (Step::Publish, _) => to(Step::Annotate),
        (Step::Annotate, _) => to(Step::Settle),
        (Step::Settle, _) => to(Step::Acknowledge),
        (Step::Acknowledge, _) if state.ending == Some(Ending::Parked) => to(Step::NeedsHuman),
        (Step::Acknowledge, _) => to(Step::Done),
    }
}

fn failed(state: State, retry: Retry, class: Class, retry_after: Option<Duration>) -> Next {
    let failures = state.failures.saturating_add(1);
    if failures < retry.attempts {
        let doublings = failures.saturating_sub(1).min(20);
        let wait = retry.first_wait.saturating_mul(1 << doublings).min(retry.longest_wait);
        // A notebook that cannot be judged is run again; everything else is tried where it failed.
        let step = match (state.step, class) {
            (Step::Judge, Class::Notebook) => Step::Run,
            (step, _) => step,
        };
        let wait = retry_after.map_or(wait, |asked| asked.max(wait));
        return Next { state: State { step, failures, ..state }, wait: Some(wait) };
    }
    // The source is told to put it aside; a source that cannot even be told that leaves it to a person at once.
    let step = match state.step {
        Step::Acknowledge => Step::NeedsHuman,
        _ => Step::Acknowledge,
    };
    Next { state: State { step, failures, ending: Some(Ending::Parked) }, wait: None }
}

#[cfg(test)]
mod tests;

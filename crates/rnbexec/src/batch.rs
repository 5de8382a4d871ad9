//! Many runs of one notebook, each with parameters of its own: items in, events out.
//!
//! The notebook is read once. [`Items`] come from [`rows`] (CSV, JSON lines), from a [`Grid`], from both ([`combine`]), or from
//! the embedding program; they are taken as room is there. Each runs through [`run_notebook`](crate::run_notebook), at most
//! [`Batch::jobs`] at a time, and hurts no other. What becomes of an item is told as a [`BatchEvent`] and then
//! forgotten: of a run nothing is kept but 24 bytes that tell its output from others.
//!
//! Invariants: no two runs of a batch write to the same place; no value of an item leads out of the folder that the
//! [`OutputTemplate`] names; every item that was taken has exactly one [`BatchEvent::Ended`]; when [`run_batch`] returns, no
//! run is left.

mod fingerprint;
mod grid;
mod item;
mod place;
mod plan;
pub mod rows;
mod work;

use std::sync::Arc;

use rnbexec_notebook::template::Builtins;

use crate::{RunError, RunEvent, RunReport, RunRequest};

pub use grid::{Grid, GridError};
pub use item::{Item, Items, Origin, Row, combine};
pub use place::{OutputTemplate, PlaceError};
pub use plan::{Planned, Planner, Refusal, Survey, survey};
pub use rows::RowError;
pub use work::run_batch;

/// What the runs of a batch have in common.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The notebook, the parameters that every run gets (an item's own win), and everything else of a run. The output and
    /// the fingerprint are set for each run.
    pub request: RunRequest,
    /// Where the executed notebooks go.
    pub output: OutputTemplate,
    /// What `{pm[…]}` means in the template. The uuid is made anew for each run.
    pub builtins: Builtins,
    /// Whether a run gets the place of its output as the parameter `PAPERMILL_OUTPUT_PATH`.
    pub inject_output_path: bool,
    /// How many runs go on at the same time, at least one.
    pub jobs: usize,
    /// After how many failed runs no further one is started; those that go on come to their end. `None` is never.
    pub max_failures: Option<u64>,
    /// Which runs are done.
    pub scope: Scope,
    /// Run, or only tell what would be run.
    pub dry_run: bool,
}

/// Which runs of a batch are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those whose output is not there from an earlier run that succeeded with the same notebook, the same parameters and the
    /// same of everything else that decides the result.
    Outdated,
}

/// Takes what happens in a batch, from the tasks in which it happens: must not block for long.
pub type OnBatchEvent = Arc<dyn Fn(BatchEvent<'_>) + Send + Sync>;

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchEvent<'a> {
    /// A run begins.
    Started {
        /// Which.
        item: &'a Planned,
    },
    /// Something happened in a run.
    Run {
        /// Which.
        item: &'a Planned,
        /// What.
        event: RunEvent<'a>,
    },
    /// That is what became of an item. Nothing is told of it afterwards.
    Ended {
        /// Which.
        item: &'a Planned,
        /// What became of it.
        end: &'a End,
    },
}

/// What became of an item.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// It was run, well or not.
    Ran(Box<RunReport>),
    /// It could not be run.
    Failed(RunError),
    /// Its output is there from an earlier run that need not be done again.
    UpToDate,
    /// It would be run, were this no dry run.
    WouldRun,
    /// It was not run because of what it says.
    Refused(Refusal),
    /// It was not run because the batch was stopped before.
    NotStarted,
    /// The run itself went wrong in a way it must not. The others go on.
    Broken(String),
}

/// How many items ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Runs that did what they should.
    pub succeeded: u64,
    /// Items that needed no run.
    pub up_to_date: u64,
    /// Items that would have been run, were this no dry run.
    pub would_run: u64,
    /// Runs that failed or could not be done.
    pub failed: u64,
    /// Items that were not run because of what they say.
    pub refused: u64,
    /// Runs that were interrupted on request.
    pub interrupted: u64,
    /// Items that were not run because the batch was stopped.
    pub not_started: u64,
    /// Why the batch was stopped before its end, if it was.
    pub stopped: Option<Stop>,
}

/// Why a batch was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller asked for it.
    Asked,
    /// Too many runs failed.
    Failures,
    /// A run failed for a reason that every other has as well: there is no such kernel, its environment cannot be made.
    Hopeless,
}

impl End {
    /// The run is no success: it failed, could not be done, or was refused. What was stopped on request is no failure.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Ran(report) => !report.outcome.is_success() && !self.is_interrupted(),
            Self::Failed(_) | Self::Refused(_) | Self::Broken(_) => true,
            Self::UpToDate | Self::WouldRun | Self::NotStarted => false,
        }
    }

    /// The run was stopped on request.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Ran(report) if matches!(report.outcome, crate::Outcome::Interrupted { .. }))
    }

    /// Every other run of the batch would end so, too.
    fn concerns_all(&self) -> bool {
        matches!(
            self,
            Self::Failed(
                RunError::NoKernelName
                    | RunError::NoLanguage
                    | RunError::NoTranslator { .. }
                    | RunError::Kernelspec(_)
                    | RunError::Environment(_)
            )
        )
    }
}

impl BatchReport {
    /// How many items there were.
    pub fn total(&self) -> u64 {
        let Self { succeeded, up_to_date, would_run, failed, refused, interrupted, not_started, stopped: _ } =
            self;
        succeeded + up_to_date + would_run + failed + refused + interrupted + not_started
    }

    fn add(&mut self, other: &Self) {
        let Self { succeeded, up_to_date, would_run, failed, refused, interrupted, not_started, stopped: _ } =
            other;
        self.succeeded += succeeded;
        self.up_to_date += up_to_date;
        self.would_run += would_run;
        self.failed += failed;
        self.refused += refused;
        self.interrupted += interrupted;
        self.not_started += not_started;
    }

    fn count(&mut self, end: &End) {
        let counter = match end {
            End::UpToDate => &mut self.up_to_date,
            End::WouldRun => &mut self.would_run,
            End::Refused(_) => &mut self.refused,
            End::NotStarted => &mut self.not_started,
            End::Ran(_) if end.is_interrupted() => &mut self.interrupted,
            End::Ran(report) if report.outcome.is_success() => &mut self.succeeded,
            End::Ran(_) | End::Failed(_) | End::Broken(_) => &mut self.failed,
        };
        *counter += 1;
    }
}

//! How a run ended, told truthfully.

use std::time::Duration;

use rnbexec_kernel::{KernelDeath, LaunchError};
use rnbexec_notebook::Notebook;

/// A run that came to an end, whichever.
#[derive(Debug)]
pub struct RunReport {
    /// The notebook as it was saved last, secrets redacted.
    pub notebook: Notebook,
    /// How the run ended.
    pub outcome: Outcome,
    /// How many times the run was begun, at least once.
    pub attempts: u32,
    /// Code cells that ran to their end, well or not.
    pub executed_cells: usize,
    /// All cells of the notebook, markers included.
    pub total_cells: usize,
    /// From the kernel's start to its shutdown.
    pub duration: Duration,
    /// The notebook was written to its output; an earlier one there is untouched otherwise.
    pub saved: bool,
    /// The kernelspec that ran the notebook; `None` when only prepared.
    pub kernel: Option<String>,
    /// Everything that was told as a [`RunEvent::Warning`](crate::RunEvent::Warning).
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every selected cell ran; errors were expected or allowed.
    Completed,
    /// The notebook was parameterized and written, as asked.
    Prepared,
    /// A cell ended the run early and successfully (`sys.exit(0)`).
    ExitedEarly {
        /// The cell's position.
        cell: usize,
    },
    /// A cell raised.
    CellFailed(CellError),
    /// A cell, or the whole run, took longer than allowed.
    TimedOut {
        /// The cell in flight, if one was.
        cell: Option<usize>,
        /// Which limit it was.
        limit: TimeLimit,
        /// How long that limit is.
        after: Duration,
        /// The kernel did not stop when interrupted and was killed.
        killed: bool,
    },
    /// The kernel went away under the run.
    KernelDied {
        /// The cell in flight, if one was.
        cell: Option<usize>,
        /// Why, as far as it can be known.
        death: KernelDeath,
    },
    /// The kernel never came up.
    StartFailed {
        /// What happened.
        error: std::sync::Arc<LaunchError>,
        /// An earlier output notebook stands where this one would have been written; it was left alone.
        kept_earlier_output: bool,
    },
    /// A cell's code ended but the kernel never confirmed that all its outputs were sent: some may be missing.
    OutputsIncomplete {
        /// The cell's position.
        cell: usize,
        /// How long was waited after its last message.
        waited: Duration,
    },
    /// The caller asked to stop.
    Interrupted {
        /// The cell in flight, if one was.
        cell: Option<usize>,
    },
}

impl Outcome {
    /// The notebook did what it should.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Completed | Self::Prepared | Self::ExitedEarly { .. })
    }

    /// The environment failed, not the notebook: beginning again may help. (It does not help a kernel that exceeded its
    /// limits, nor where containment cannot be had.)
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::KernelDied { death, .. } => !death.cause.is_limit(),
            Self::StartFailed { error, .. } => match error.as_ref() {
                LaunchError::Containment { .. } => false,
                LaunchError::Died { death, .. } => !death.cause.is_limit(),
                _ => true,
            },
            _ => false,
        }
    }

    /// The cell that was in flight or failed.
    pub fn cell(&self) -> Option<usize> {
        match self {
            Self::Completed | Self::Prepared | Self::StartFailed { .. } => None,
            Self::ExitedEarly { cell } | Self::OutputsIncomplete { cell, .. } => Some(*cell),
            Self::CellFailed(error) => Some(error.cell),
            Self::TimedOut { cell, .. } | Self::KernelDied { cell, .. } | Self::Interrupted { cell } => *cell,
        }
    }

    /// Why the run ended as it did, in one line for people: the cause without the cell.
    pub fn reason(&self) -> String {
        match self {
            Self::Completed => "every cell ran".to_owned(),
            Self::Prepared => "parameterized, not executed".to_owned(),
            Self::ExitedEarly { .. } => "the notebook ended itself".to_owned(),
            Self::CellFailed(error) if error.evalue.is_empty() => error.ename.clone(),
            Self::CellFailed(error) => format!("{}: {}", error.ename, error.evalue),
            Self::TimedOut { limit, after, killed, .. } => format!(
                "{} took longer than {} s{}",
                match limit {
                    TimeLimit::Cell => "the cell",
                    TimeLimit::Run => "the run",
                },
                after.as_secs_f64(),
                if *killed { "; the kernel did not stop when interrupted and was killed" } else { "" }
            ),
            Self::KernelDied { death, .. } if death.cause.is_limit() => format!("the kernel was {death}"),
            Self::KernelDied { death, .. } => format!("the kernel died: {death}"),
            Self::StartFailed { error, .. } => crate::error::chain(error.as_ref()),
            Self::OutputsIncomplete { waited, .. } => format!(
                "the kernel did not confirm within {} s that all outputs of the cell were sent; some may be missing",
                waited.as_secs()
            ),
            Self::Interrupted { .. } => "interrupted".to_owned(),
        }
    }

    /// One word for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Prepared => "prepared",
            Self::ExitedEarly { .. } => "exited-early",
            Self::CellFailed(_) => "cell-failed",
            Self::TimedOut { .. } => "timed-out",
            Self::KernelDied { .. } => "kernel-died",
            Self::StartFailed { .. } => "start-failed",
            Self::OutputsIncomplete { .. } => "outputs-incomplete",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

/// The error a cell raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The cell's position before the error markers were inserted.
    pub cell: usize,
    /// The kernel's counter for it (`In [n]`).
    pub execution_count: Option<i64>,
    /// The class of the error, as the kernel named it.
    pub ename: String,
    /// Its text.
    pub evalue: String,
    /// The kernel's traceback, line by line, with its terminal colours.
    pub traceback: Vec<String>,
}

/// Which limit a run exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// One cell's.
    Cell,
    /// The whole run's.
    Run,
}

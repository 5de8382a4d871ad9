//! Run Jupyter notebooks: parameterize, execute, record, save.
//!
//! One function does it: [`run_notebook`] takes a [`RunRequest`], tells what happens by [`RunEvent`]s, can be stopped
//! by a [`Cancel`], and returns a [`RunReport`] that says truthfully how the run ended. Where papermill is right the
//! executed notebook is what papermill would have written; the differences are few and listed in the README.

pub mod batch;
mod cancel;
mod error;
mod event;
mod guardian;
mod outcome;
mod record;
mod recover;
#[doc = include_str!("../PROMISES.md")]
pub mod promises {}
pub mod redact;
pub mod report;
mod request;
mod run;
mod save;
mod services;
pub mod store;

pub use rnbexec_kernel::contain;

pub use cancel::{Cancel, CancelHandle, CancelLevel};
pub use error::RunError;
pub use event::RunEvent;
pub use guardian::{Guardian, guard};
pub use outcome::{CellError, Outcome, RunReport, TimeLimit};
pub use recover::{RecoverError, Recovery, Unseen, recover};
pub use request::{
    CellSelection, EnvironmentRequest, Input, KernelRequest, Limits, Mode, OnError, RunRequest, SavePolicy,
    UnknownParameters,
};
pub use run::run_notebook;
pub use services::Services;

/// The README's code, so that it compiles as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeExample;

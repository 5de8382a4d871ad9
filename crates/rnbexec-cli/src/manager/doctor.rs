//! What is wrong with a kernel, and what to do about it.

use rnbexec::Services;
use rnbexec_manager::doctor::KernelError;

use super::configure;
use crate::failure::Failure;
use crate::verdict::{self, Saved};

/// A kernel that cannot do its work, with what to do about it.
pub(crate) fn of_kernel(error: &KernelError) -> Failure {
    match error {
        KernelError::Notebook(trouble) => configure::of_trouble(trouble),
        KernelError::Run { source, .. } => {
            verdict::of_error(source, || rnbexec_kernel::list(&Services::from_process().kernels))
        }
        KernelError::Outcome { outcome, .. } => {
            let saved = Saved { place: "nowhere", written: false };
            verdict::of_outcome(outcome, None, saved).unwrap_or_else(|| Failure::of(error))
        }
        error => Failure::of(error),
    }
}

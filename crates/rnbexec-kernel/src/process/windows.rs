//! Processes where there are no process groups. Built for Windows, never tried there: a kernel is killed alone, not with
//! what it started, and there is no signal to interrupt it with (kernels with `interrupt_mode: message` can be).

use std::process::ExitStatus;

use tokio::process::Command;

use super::Signal;
use crate::death::DeathCause;

/// A process group of its own keeps Ctrl-C in the console from reaching the kernel.
pub(super) fn isolate(command: &mut Command) {
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }
    #[cfg(not(windows))]
    drop(command);
}

pub(super) fn signal(pid: u32, signal: Signal) {
    match signal {
        Signal::Kill => {}
        Signal::Interrupt | Signal::Terminate => {
            tracing::warn!(pid, ?signal, "this system has no such signal");
        }
    }
}

pub(super) fn cause(status: ExitStatus) -> DeathCause {
    status.code().map_or(DeathCause::Unknown, DeathCause::Exit)
}

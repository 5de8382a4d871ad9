//! Process groups and exit causes on Unix. The only file with `unsafe`.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, kill_process_group, setsid};
use tokio::process::Command;

use super::{Signal, system};
use crate::death::DeathCause;

/// Gives the child a session and thereby a process group of its own: signals of ours reach all it starts, and Ctrl-C
/// in the terminal does not reach it (we decide when a kernel is interrupted). On Linux it also dies with us.
#[expect(unsafe_code, reason = "the only way to run something between fork and exec")]
pub(crate) fn isolate(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe things may happen: the closure makes system calls (setsid,
    // prctl, getppid), builds errors from plain numbers, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            system::die_with_parent(parent)
        });
    }
}

/// Signals the group led by `pid`. That it is gone already is no error.
pub(super) fn signal(pid: u32, signal: Signal) {
    let signal = match signal {
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    match kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(pid, %error, "cannot signal the kernel"),
    }
}

pub(super) fn cause(status: ExitStatus) -> DeathCause {
    match (status.signal(), status.code()) {
        (Some(signal), _) => DeathCause::Signal(signal),
        (None, Some(code)) => DeathCause::Exit(code),
        (None, None) => DeathCause::Unknown,
    }
}

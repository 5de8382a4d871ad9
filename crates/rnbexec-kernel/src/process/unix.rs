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

/// Has every descriptor but the standard streams close at exec: what this process was given by whoever started it is not for
/// the program that it becomes.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "descriptors of others are known by their numbers only")]
pub(crate) fn keep_descriptors() -> std::io::Result<()> {
    let numbers = std::fs::read_dir("/proc/self/fd")?
        .map(|entry| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0)))
        .collect::<std::io::Result<Vec<i32>>>()?;
    for number in numbers.into_iter().filter(|&number| number > 2) {
        // SAFETY: it is borrowed for this one call, which closes nothing; a number that is no descriptor any more is an error.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC) {
            // It was the one that listed them.
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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

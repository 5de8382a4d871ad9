//! How a kernel came to its end, told for people.

use std::fmt;
use std::time::Duration;

use crate::contain::MemoryLimit;

/// Why a kernel's process is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeathCause {
    /// It was killed by this signal.
    Signal(i32),
    /// It exited with this code.
    Exit(i32),
    /// It was killed, and the operating system counted a kill for lack of memory meanwhile.
    OutOfMemory {
        /// The limit that it exceeded, where one was set for it; else it was the system's memory.
        limit: Option<MemoryLimit>,
        /// What speaks for it.
        evidence: String,
    },
    /// It used more CPU time than it was allowed.
    CpuLimit {
        /// How much that was.
        limit: Duration,
    },
    /// It closed its channels and lived on; we killed it.
    Disconnected,
    /// The operating system did not say.
    Unknown,
}

impl DeathCause {
    /// By SIGKILL.
    pub(crate) const KILLED: Self = Self::Signal(9);

    /// It exceeded a limit that was set for it: it would again.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::OutOfMemory { limit: Some(_), .. } | Self::CpuLimit { .. })
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(out, "killed by signal {number} ({name})"),
                None => write!(out, "killed by signal {number}"),
            },
            Self::Exit(code) => write!(out, "exited with code {code}"),
            Self::OutOfMemory { limit: Some(limit), evidence } => {
                write!(out, "killed for using more than its memory limit of {limit} ({evidence})")
            }
            Self::CpuLimit { limit } => {
                write!(out, "killed for using more than its CPU time limit of {} s", limit.as_secs_f64())
            }
            Self::OutOfMemory { limit: None, evidence } => {
                write!(out, "killed, likely out of memory ({evidence})")
            }
            Self::Disconnected => out.write_str("closed its channels without exiting"),
            Self::Unknown => out.write_str("ended for an unknown reason"),
        }
    }
}

/// The end of a kernel that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelDeath {
    /// Why it ended.
    pub cause: DeathCause,
    /// The last lines it wrote to stderr, at most 8 KiB; often empty.
    pub stderr_tail: String,
}

/// The cause, then the last lines of stderr if there are any.
impl fmt::Display for KernelDeath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.cause)?;
        if !self.stderr_tail.is_empty() {
            write!(out, "; its last words on stderr:\n{}", self.stderr_tail)?;
        }
        Ok(())
    }
}

/// The names of the signals whose numbers are the same on every Unix, and of the two bus errors.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        7 if cfg!(target_os = "linux") => "SIGBUS",
        10 if cfg!(target_os = "macos") => "SIGBUS",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_names_its_cause_and_the_last_words() {
        let death =
            KernelDeath { cause: DeathCause::Signal(11), stderr_tail: "Fatal Python error".to_owned() };
        assert_eq!(
            death.to_string(),
            "killed by signal 11 (SIGSEGV); its last words on stderr:\nFatal Python error"
        );
        let quiet = KernelDeath { cause: DeathCause::Exit(3), stderr_tail: String::new() };
        assert_eq!(quiet.to_string(), "exited with code 3");
    }
}

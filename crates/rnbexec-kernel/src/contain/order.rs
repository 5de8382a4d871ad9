//! What the runner orders, and what the contained program answers: one JSON document each way over the Unix socket that
//! is its standard input. The answer ends when the socket does, which exec closes.

use std::ffi::OsString;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything the program needs to know to contain itself. It holds no secret: variables come as variables.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The kernel's command.
    pub(crate) command: Vec<OsString>,
    /// The process that must be its parent still.
    pub(crate) parent: i32,
    /// Control groups to join, by their `cgroup.procs`, and for which limit each is.
    pub(crate) groups: Vec<(Restriction, OsString)>,
    /// Seconds of CPU time of each process.
    pub(crate) cpu_seconds: Option<u64>,
    /// Processes of the user namespace, where no control group counts them.
    pub(crate) process_limit: Option<u64>,
    pub(crate) close_network: bool,
    /// Closes signals and tracing.
    pub(crate) close_processes: bool,
    pub(crate) files: Option<FileRules>,
}

/// Which paths can be used where files are closed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRules {
    /// Can be written, with all that is in them.
    pub(crate) writable: Vec<OsString>,
    /// The home folder, if it is hidden.
    pub(crate) hidden: Option<OsString>,
    /// What can be read in it all the same.
    pub(crate) readable: Vec<OsString>,
    /// Where kernels have their private folders, of which only this kernel's own are open.
    pub(crate) private: Vec<OsString>,
}

impl Order {
    /// Whether the process gets namespaces of its own.
    pub(crate) fn wants_namespaces(&self) -> bool {
        self.close_network || self.process_limit.is_some() || self.hides_home()
    }

    pub(crate) fn hides_home(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.hidden.is_some())
    }
}

/// What the contained program says before it becomes the kernel.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// All that was ordered is in force; what follows is exec.
    Contained {
        /// The version of landlock's interface, where it was used.
        landlock: Option<u32>,
    },
    /// It cannot be done.
    Refused(Refusal),
}

/// Why the order cannot be carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) restriction: Restriction,
    /// Which step failed, and how.
    pub(crate) reason: String,
    /// The program of the kernel is not there.
    pub(crate) program_missing: bool,
}

/// What was to be closed or limited when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Restriction {
    /// All of it: there is no way to contain anything here.
    Everything,
    /// The network.
    Network,
    /// Files.
    Files,
    /// Processes outside.
    Processes,
    /// Memory.
    MemoryLimit,
    /// CPU time.
    CpuLimit,
    /// The number of processes.
    ProcessLimit,
    /// It was contained, but could not become the kernel.
    Start,
}

impl Restriction {
    /// What would have to change for it to work, for people.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Everything => "containment needs Linux, and a program that carries it out",
            Self::Network => {
                "a closed network needs user namespaces: allow them (sysctl user.max_user_namespaces; in a container, \
                 its seccomp profile), and a kernel that can talk over Unix sockets"
            }
            Self::Files => {
                "read-only files need landlock (Linux 6.2 or newer, started with landlock among lsm=), a hidden home \
                 folder needs user namespaces and HOME besides, and work folders that exist"
            }
            Self::Processes => "closing off other processes needs landlock of Linux 6.12 or newer",
            Self::MemoryLimit => "a memory limit needs /proc or a control group that can be written",
            Self::CpuLimit => "raise the hard limit of CPU time (ulimit -t), or ask for less",
            Self::ProcessLimit => {
                "a limit of processes needs a control group that can be written (run as root, or in a delegated group: \
                 systemd-run --user --scope -p Delegate=yes), or user namespaces and a user other than root"
            }
            Self::Start => "check that the kernel's program can be run",
        }
    }
}

/// As in "cannot …".
impl fmt::Display for Restriction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Everything => "contain it",
            Self::Network => "close the network to it",
            Self::Files => "close files to it",
            Self::Processes => "close other processes to it",
            Self::MemoryLimit => "limit its memory",
            Self::CpuLimit => "limit its CPU time",
            Self::ProcessLimit => "limit the number of its processes",
            Self::Start => "start it contained",
        })
    }
}

//! A process that outlives this one and is told things through a pipe.
//!
//! Its standard input ends when we do, however that comes: so it learns of our death. It is in a process group of its own, hence
//! Ctrl-C in the terminal does not reach it, and it has no other descriptor of ours: nobody who waits for the end of our output
//! waits for it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process;

/// How long it may take to end when its input has.
const FAREWELL: Duration = Duration::from_secs(1);

/// The process that clears up after this one, should this one be killed. Dropped, it is left to itself.
#[derive(Debug)]
pub struct Companion {
    child: Child,
    pipe: ChildStdin,
}

impl Companion {
    /// Starts the program, with our variables save those that are `withheld`. Blocks until it runs, for about a millisecond.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, arguments: &[OsString], withheld: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new(program);
        for name in withheld {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, pipe })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something. Blocks only while a pipe full of what was told before is unread.
    ///
    /// # Errors
    /// When it is gone.
    pub fn tell(&mut self, text: &[u8]) -> io::Result<()> {
        self.pipe.write_all(text)
    }

    /// Ends its input, waits a moment for its end and reaps it: where nobody reaps orphans, one would stay in the list of
    /// processes each time. Blocks for about a millisecond, and at most a second.
    pub fn dismiss(self) {
        let Self { mut child, pipe } = self;
        drop(pipe);
        process::reap(&mut child, Instant::now() + FAREWELL);
    }
}

//! What the standard streams are, as far as it decides where a notebook comes from and goes to.

use std::io::{self, IsTerminal as _};

/// The facts that papermill looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streams {
    /// Standard input is a pipe. A redirected file does not count.
    pub(crate) stdin_is_pipe: bool,
    /// Somebody looks at standard output.
    pub(crate) stdout_is_terminal: bool,
}

impl Streams {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self { stdin_is_pipe: stdin_is_pipe(), stdout_is_terminal: io::stdout().is_terminal() }
    }
}

#[cfg(unix)]
fn stdin_is_pipe() -> bool {
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileTypeExt as _;

    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    File::from(stdin).metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Windows tells files from everything else; what is neither file nor console is taken for a pipe.
#[cfg(windows)]
fn stdin_is_pipe() -> bool {
    use std::fs::File;
    use std::os::windows::io::AsHandle as _;

    let Ok(stdin) = io::stdin().as_handle().try_clone_to_owned() else { return false };
    !io::stdin().is_terminal() && !File::from(stdin).metadata().is_ok_and(|metadata| metadata.is_file())
}

#[cfg(not(any(unix, windows)))]
fn stdin_is_pipe() -> bool {
    false
}

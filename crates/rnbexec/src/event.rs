//! What a run tells while it goes.

use std::time::Duration;

use rnbexec_kernel::Origin;
use rnbexec_notebook::CellStatus;

/// One thing that happened. Secrets are redacted; everything else in it is the notebook's own, hostile text.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// Something is odd but does not stop the run: an off-spec notebook, an unknown parameter, a slow save.
    Warning(&'a str),
    /// A private environment is being made for the kernel: one line of progress.
    Environment(&'a str),
    /// The kernel is about to start.
    KernelStarting {
        /// The kernelspec's name.
        name: &'a str,
        /// All cells of the notebook.
        total_cells: usize,
    },
    /// The kernel answers.
    KernelReady {
        /// From the start of its process.
        after: Duration,
        /// Whether its process was started or forked.
        origin: Origin,
    },
    /// A cell is about to run, or to be passed over.
    CellStarted {
        /// Its position.
        index: usize,
        /// All cells of the notebook.
        total_cells: usize,
        /// Its source.
        source: &'a str,
    },
    /// A cell wrote to a stream: one message as it came, save that what may be half a secret comes with what follows it on the stream,
    /// of this cell or the next.
    Stream {
        /// The cell's position.
        index: usize,
        /// `stdout` or `stderr`.
        name: &'a str,
        /// What it wrote.
        text: &'a str,
    },
    /// A cell displayed something that has a plain text form.
    Display {
        /// The cell's position.
        index: usize,
        /// The plain text form.
        text: &'a str,
    },
    /// A cell raised (which may be expected).
    Error {
        /// The cell's position.
        index: usize,
        /// The class of the error.
        ename: &'a str,
        /// Its text.
        evalue: &'a str,
    },
    /// A cell is done.
    CellFinished {
        /// Its position.
        index: usize,
        /// How it ended.
        status: CellStatus,
        /// How long it took.
        duration: Duration,
    },
    /// The kernel's process itself wrote a line to its stdout or stderr, past the notebook.
    KernelOutput {
        /// The line.
        line: &'a str,
    },
    /// The run failed for a reason outside the notebook and is begun again.
    Retrying {
        /// The attempt about to start, counted from 1.
        attempt: u32,
        /// Why the one before failed.
        cause: String,
    },
}

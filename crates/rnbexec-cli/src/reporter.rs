//! Tells what happens during a run: log lines as papermill writes them, the progress bar, the cells' output.

use std::time::Duration;

use rnbexec::{CancelHandle, CancelLevel, RunEvent};
use rnbexec_kernel::Origin;

use crate::args::Level;
use crate::console::Console;
use crate::failure::Failure;
use crate::kernel::is_chatter;
use crate::progress::{Progress, Show};
use crate::settings::Shown;
use crate::sinks::Sinks;

/// Takes the events of a run.
pub(crate) struct Reporter {
    console: Console,
    level: Level,
    log_output: bool,
    show_environment: bool,
    progress: Progress,
    sinks: Sinks,
    /// Stops the run when what its cells print cannot be written where it should go.
    cancel: CancelHandle,
    broken_sink: Option<Failure>,
    kernel_starts: tokio::sync::watch::Sender<bool>,
}

impl Reporter {
    pub(crate) fn new(console: Console, shown: &Shown, to_stdout: bool, cancel: CancelHandle) -> Self {
        let show = Show::decide(shown.progress_bar, shown.log_output, to_stdout, console.is_terminal());
        Self {
            progress: Progress::new(show, console.clone()),
            console,
            level: shown.level,
            log_output: shown.log_output,
            show_environment: shown.environment,
            sinks: Sinks::new(shown.stdout_file.clone(), shown.stderr_file.clone()),
            cancel,
            broken_sink: None,
            kernel_starts: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Whether a kernel is up or on its way: a run without one can simply be dropped.
    pub(crate) fn kernel_starts(&self) -> tokio::sync::watch::Receiver<bool> {
        self.kernel_starts.subscribe()
    }

    /// The run is over; what went wrong with the files for the cells' output, if anything did.
    pub(crate) fn finish(mut self) -> Option<Failure> {
        self.progress.stop();
        self.console.end_line();
        self.broken_sink.take()
    }

    pub(crate) fn tell(&mut self, event: RunEvent<'_>) {
        match event {
            RunEvent::Warning(warning) => tracing::warn!("{warning}"),
            RunEvent::Environment(line) if self.show_environment && !is_chatter(line) => {
                self.console.line(line);
            }
            RunEvent::KernelStarting { name, total_cells } => {
                self.kernel_starts.send_replace(true);
                tracing::info!("Executing notebook with kernel: {name}");
                self.progress.start(total_cells);
            }
            RunEvent::KernelReady { after, origin } => {
                let how = match origin {
                    Origin::Started => "started",
                    Origin::Forked => "forked",
                };
                tracing::debug!("the kernel was {how} and is ready after {}", seconds(after));
            }
            RunEvent::CellStarted { index, source, .. } => {
                if self.log_output {
                    tracing::info!("Executing Cell {:-<40}", index + 1);
                }
                self.progress.cell(source);
            }
            RunEvent::Stream { name, text, .. } => self.stream(name, text),
            RunEvent::Display { text, .. } if self.logs(Level::Info) => self.console.block(text),
            RunEvent::Error { index, ename, evalue } => {
                tracing::debug!("cell {} raised {ename}: {evalue}", index + 1);
            }
            RunEvent::CellFinished { index, duration, .. } => {
                if self.log_output {
                    self.console.end_line();
                    tracing::info!("Ending Cell {:-<43}", index + 1);
                }
                tracing::debug!("cell {} took {}", index + 1, seconds(duration));
                self.progress.advance();
            }
            // ipykernel shows what bypasses it (a child process that prints) in the cell as well.
            RunEvent::KernelOutput { line } => tracing::debug!("[kernel] {line}"),
            RunEvent::Retrying { attempt, cause } => {
                self.kernel_starts.send_replace(false);
                self.progress.stop();
                // The cause may go on with a dead kernel's last words.
                let cause = cause.lines().next().unwrap_or_default();
                tracing::warn!("Beginning again (attempt {attempt}): {cause}");
            }
            // An event of a later version is no reason to fail.
            _ => {}
        }
    }

    fn stream(&mut self, name: &str, text: &str) {
        let (level, written) = match name {
            "stderr" => (Level::Warning, self.sinks.stderr(text)),
            _ => (Level::Info, self.sinks.stdout(text)),
        };
        if self.logs(level) {
            self.console.chunk(text);
        }
        if let Err(failure) = written
            && self.broken_sink.is_none()
        {
            self.broken_sink = Some(failure);
            self.cancel.raise(CancelLevel::Interrupt);
        }
    }

    /// Whether cell output of this importance is shown.
    fn logs(&self, level: Level) -> bool {
        self.log_output && level >= self.level
    }
}

/// `0.123 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

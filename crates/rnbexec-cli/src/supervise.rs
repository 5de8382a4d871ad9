//! Work that signals can stop.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use rnbexec::{Cancel, CancelHandle, CancelLevel};
use tokio::sync::watch;

use crate::signals::{Answer, Patience, Signal, Signals, answer};

/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Listens to signals and passes them on.
pub(crate) struct Supervisor {
    signals: Signals,
    handle: CancelHandle,
    patience: Patience,
    received: usize,
    /// The first signal, which decides the exit code.
    first: Option<Signal>,
}

/// The work was left undone because of this signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned(pub(crate) Signal);

impl Supervisor {
    /// From now on signals do not end the process by themselves.
    pub(crate) fn listen() -> io::Result<(Self, Cancel)> {
        Self::with_patience(Patience::Run)
    }

    /// The same, but the first signal lets what runs come to its end.
    pub(crate) fn listen_and_drain() -> io::Result<(Self, Cancel)> {
        Self::with_patience(Patience::Drain)
    }

    fn with_patience(patience: Patience) -> io::Result<(Self, Cancel)> {
        let (handle, cancel) = Cancel::new();
        leave_in_the_end(patience)?;
        Ok((Self { signals: Signals::listen()?, handle, patience, received: 0, first: None }, cancel))
    }

    /// The side that asks the run to stop.
    pub(crate) fn handle(&self) -> CancelHandle {
        self.handle.clone()
    }

    /// The first signal that came.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.first
    }

    /// Work that may be dropped at any time: the first signal ends it.
    pub(crate) async fn abandonable<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Abandoned> {
        self.run(work, watch::Sender::new(false).subscribe()).await
    }

    /// Work that must not be dropped while `busy` holds: it is asked to stop, then to stop at once, and only the third
    /// signal leaves it.
    pub(crate) async fn run<T>(
        &mut self,
        work: impl Future<Output = T>,
        busy: watch::Receiver<bool>,
    ) -> Result<T, Abandoned> {
        let mut work = pin!(work);
        loop {
            let signal = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                signal = self.signals.next() => signal,
            };
            let first = *self.first.get_or_insert(signal);
            let answer = answer(self.patience, self.received);
            self.received += 1;
            match answer {
                Answer::Raise(level) => {
                    self.handle.raise(level);
                    if !*busy.borrow() {
                        return Err(Abandoned(first));
                    }
                    tracing::warn!("{}", self.told(level));
                }
                Answer::Leave => return Err(Abandoned(first)),
            }
        }
    }
}

/// Ends the process when it was told to leave and does not: what waits for a disk, or for whoever is to read a pipe, hears no signal.
/// What is left of its runs then, the guardian sees to.
fn leave_in_the_end(patience: Patience) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::listen()?
    };
    let wait = async move {
        let first = signals.next().await;
        let mut received = 1;
        while answer(patience, received - 1) != Answer::Leave {
            signals.next().await;
            received += 1;
        }
        tokio::time::sleep(FAREWELL).await;
        std::process::exit(first.exit_code().into())
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}

impl Supervisor {
    /// What a signal does, and what the next one would.
    fn told(&self, level: CancelLevel) -> &'static str {
        match (level, self.patience) {
            (CancelLevel::Run | CancelLevel::Drain, _) => {
                "Draining: what runs is finished, nothing new is begun (again to interrupt it)"
            }
            (CancelLevel::Interrupt, Patience::Drain) => {
                "Stopping: what runs is interrupted (again to kill the kernels)"
            }
            (CancelLevel::Interrupt, Patience::Run) => {
                "Stopping: what runs is interrupted, then the notebook is saved (again to kill the kernel)"
            }
            (CancelLevel::Kill, _) => "Killing the kernel, then saving",
        }
    }
}

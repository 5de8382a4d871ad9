//! Cancelling a run: a level that only rises.
//!
//! The first request to stop interrupts the cell, saves and shuts the kernel down; the second kills. A service that
//! takes work from a queue drains first. Whoever asks later for less than was asked before changes nothing.

use tokio::sync::watch;

/// How urgently a run is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CancelLevel {
    /// Nobody asked to stop.
    #[default]
    Run,
    /// Finish what runs, start nothing new.
    Drain,
    /// Interrupt the running cell, save, shut the kernel down.
    Interrupt,
    /// Kill the kernel at once, then save.
    Kill,
}

/// The side that asks to stop. Cheap to clone; all clones raise the same level.
#[derive(Clone, Debug)]
pub struct CancelHandle(watch::Sender<CancelLevel>);

impl CancelHandle {
    /// Raises the level; a lower one than was asked for before is ignored.
    pub fn raise(&self, level: CancelLevel) {
        self.0.send_if_modified(|current| {
            let rises = level > *current;
            *current = level.max(*current);
            rises
        });
    }

    /// The level asked for so far.
    pub fn level(&self) -> CancelLevel {
        *self.0.borrow()
    }
}

/// The side that is asked to stop.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<CancelLevel>);

impl Cancel {
    /// A fresh pair at [`CancelLevel::Run`].
    pub fn new() -> (CancelHandle, Cancel) {
        let (sender, receiver) = watch::channel(CancelLevel::Run);
        (CancelHandle(sender), Cancel(receiver))
    }

    /// A cancel that nobody can raise.
    pub fn never() -> Cancel {
        Cancel::new().1
    }

    /// The level asked for so far.
    pub fn level(&self) -> CancelLevel {
        *self.0.borrow()
    }

    /// Resolves as soon as the level is at least `level`; never, when every handle is gone before that. Cancel-safe.
    pub async fn reached(&mut self, level: CancelLevel) {
        if self.0.wait_for(|current| *current >= level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_level_only_rises() {
        let (handle, mut cancel) = Cancel::new();
        handle.raise(CancelLevel::Kill);
        handle.raise(CancelLevel::Interrupt);
        assert_eq!(cancel.level(), CancelLevel::Kill);
        cancel.reached(CancelLevel::Interrupt).await;
    }

    #[tokio::test]
    async fn a_cancel_without_handles_never_fires() {
        let mut cancel = Cancel::never();
        tokio::select! {
            biased;
            () = cancel.reached(CancelLevel::Drain) => panic!("nobody asked"),
            () = std::future::ready(()) => {}
        }
    }
}

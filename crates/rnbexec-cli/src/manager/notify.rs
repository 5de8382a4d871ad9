//! What systemd wants to hear of a service (`sd_notify(3)`): that it is ready, that it stops, that it is alive.

use std::future::Future;

use rnbexec::{Cancel, CancelLevel};

/// A service that is ready.
pub(super) struct Service(());

impl Service {
    /// Says so.
    pub(super) fn ready() -> Self {
        tell(State::Ready);
        Self(())
    }

    /// Says that it is alive for as long as `work` makes it turn, and that it stops when it is asked to.
    pub(super) async fn attend<T>(self, work: impl Future<Output = T>, stopping: &mut Cancel) -> T {
        let mut work = std::pin::pin!(work);
        let mut told = false;
        // Twice as often as is asked for, as sd_watchdog_enabled(3) recommends.
        let mut alive = every().map(|every| tokio::time::interval(every / 2));
        loop {
            tokio::select! {
                done = &mut work => {
                    // What waited for nothing else ends at once when it is asked to stop.
                    if !told && stopping.level() >= CancelLevel::Drain {
                        tell(State::Stopping);
                    }
                    return done;
                }
                () = stopping.reached(CancelLevel::Drain), if !told => {
                    told = true;
                    tell(State::Stopping);
                }
                () = tick(alive.as_mut()) => tell(State::Alive),
            }
        }
    }
}

async fn tick(interval: Option<&mut tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ready,
    Stopping,
    Alive,
}

#[cfg(unix)]
fn tell(state: State) {
    use sd_notify::NotifyState;

    let state = match state {
        State::Ready => NotifyState::Ready,
        State::Stopping => NotifyState::Stopping,
        State::Alive => NotifyState::Watchdog,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager how we are");
    }
}

/// How often the service manager wants to hear that we are alive.
#[cfg(unix)]
fn every() -> Option<std::time::Duration> {
    sd_notify::watchdog_enabled().filter(|every| !every.is_zero())
}

#[cfg(not(unix))]
fn tell(_state: State) {}

#[cfg(not(unix))]
fn every() -> Option<std::time::Duration> {
    None
}

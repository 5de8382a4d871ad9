//! Waiting for a state, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How often a state is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// Looks until `state` has something to give, and gives it.
///
/// # Panics
/// When nothing came within `deadline`; `what` names the state in the message.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        thread::sleep(POLL);
    }
}

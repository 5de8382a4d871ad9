//! What a test does between two requests.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::Azure;
use super::journal::Entry;
use super::matching::On;

/// The closure runs on a thread of its own, so it may wait.
pub(super) type Action = Arc<Mutex<dyn FnMut(&Azure) + Send>>;

/// When, in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing was done yet.
    Before,
    /// Everything is done, but the answer is not sent yet.
    After,
}

pub(super) struct Hook {
    moment: Moment,
    on: On,
    /// The matching request that it is for, counted from one; none for all.
    nth: Option<usize>,
    seen: usize,
    action: Action,
}

impl Hook {
    pub(super) fn new(moment: Moment, on: On, nth: Option<usize>, action: Action) -> Self {
        Self { moment, on, nth, seen: 0, action }
    }

    /// What to run now; counts.
    pub(super) fn due(&mut self, moment: Moment, entry: &Entry) -> Option<Action> {
        if self.moment != moment || !self.on.matches(entry) {
            return None;
        }
        self.seen += 1;
        self.nth.is_none_or(|nth| nth == self.seen).then(|| Arc::clone(&self.action))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("moment", &self.moment)
            .field("on", &self.on)
            .field("nth", &self.nth)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

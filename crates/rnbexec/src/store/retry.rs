//! Trying again: only what may succeed without anybody changing anything, a bounded number of times.

use std::time::Duration;

use super::error::{StoreError, StoreErrorKind};

/// How often and how long to try again when a store is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait, also when the store asks for more.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts over about four seconds, or longer where the store asks for it.
    fn default() -> Self {
        Self { attempts: 4, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// One attempt, no second.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after the `failed`-th failed attempt (from 1), or `None` to give up.
    pub(crate) fn wait_after(&self, failed: u32, error: &StoreError) -> Option<Duration> {
        let StoreErrorKind::Unavailable { retry_after } = error.kind() else { return None };
        if failed >= self.attempts {
            return None;
        }
        let backoff = self.first_wait.saturating_mul(2_u32.saturating_pow(failed - 1));
        Some(retry_after.unwrap_or_default().max(backoff).min(self.longest_wait))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Location};
    use super::*;

    fn unavailable(retry_after: Option<Duration>) -> StoreError {
        StoreError::new(Action::Read, &Location::Stdio, StoreErrorKind::Unavailable { retry_after })
    }

    #[test]
    fn waits_double_and_end() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> = (1..=4).map(|n| policy.wait_after(n, &unavailable(None))).collect();
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(waits, [ms(500), ms(1000), ms(2000), None]);
    }

    #[test]
    fn the_store_may_ask_for_more_but_not_for_ever() {
        let policy = RetryPolicy::default();
        let wait = |secs| policy.wait_after(1, &unavailable(Some(Duration::from_secs(secs))));
        assert_eq!(wait(7), Some(Duration::from_secs(7)));
        assert_eq!(wait(86_400), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_will_not_change_is_not_tried_again() {
        let error = StoreError::new(Action::Read, &Location::Stdio, StoreErrorKind::NotFound);
        assert_eq!(RetryPolicy::default().wait_after(1, &error), None);
    }
}

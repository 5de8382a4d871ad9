//! What goes wrong on demand.

use std::time::Duration;

use super::matching::On;

/// A fault that some requests meet. Without [`times`](Self::times) the first matching request only.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) effect: Effect,
    on: On,
    skip: usize,
    times: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Effect {
    Latency(Duration),
    Status { status: u16, retry_after: Option<u64> },
    ExpiredToken,
    Forbidden,
    CutBefore,
    CutAfter,
    Half,
    Slow(Duration),
}

impl Fault {
    /// 429 with `Retry-After`, in seconds. Nothing is done.
    pub fn throttled(retry_after: u64) -> Self {
        Self::new(Effect::Status { status: 429, retry_after: Some(retry_after) })
    }

    /// This error, with the body that the service gives it. Nothing is done.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Status { status, retry_after: None })
    }

    /// 401, as if the token had just expired. Nothing is done.
    pub fn expired_token() -> Self {
        Self::new(Effect::ExpiredToken)
    }

    /// 403, as if a role were missing. Nothing is done.
    pub fn forbidden() -> Self {
        Self::new(Effect::Forbidden)
    }

    /// The request waits this long before anything is done.
    pub fn latency(time: Duration) -> Self {
        Self::new(Effect::Latency(time))
    }

    /// The connection is cut; nothing is done.
    pub fn cut_before() -> Self {
        Self::new(Effect::CutBefore)
    }

    /// Everything is done, but the connection is cut before the answer.
    pub fn cut_after() -> Self {
        Self::new(Effect::CutAfter)
    }

    /// Everything is done, but the connection is cut after half of the answer's body.
    pub fn half() -> Self {
        Self::new(Effect::Half)
    }

    /// Everything is done; the answer's body comes in ten parts with this pause before each.
    pub fn slow(pause: Duration) -> Self {
        Self::new(Effect::Slow(pause))
    }

    fn new(effect: Effect) -> Self {
        Self { effect, on: On::any(), skip: 0, times: 1 }
    }

    /// Which requests meet it.
    #[must_use]
    pub fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    /// How many requests meet it.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// All matching requests meet it, until the faults are cleared.
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(usize::MAX)
    }

    /// Lets the first `requests` pass.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Whether this request meets it; counts.
    pub(super) fn strikes(&mut self, entry: &super::Entry) -> bool {
        if self.times == 0 || !self.on.matches(entry) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times != usize::MAX {
            self.times -= 1;
        }
        true
    }

    /// Whether it will strike no more.
    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }
}

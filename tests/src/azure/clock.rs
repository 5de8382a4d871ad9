//! The simulation's time: what it stamps incidents, comments and files with.

use jiff::{SignedDuration, Timestamp};

/// Runs with the system's clock, until it is set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    Running { ahead: SignedDuration },
    Standing(Timestamp),
}

impl Clock {
    pub(super) fn now(self) -> Timestamp {
        match self {
            Self::Running { ahead } => Timestamp::now() + ahead,
            Self::Standing(at) => at,
        }
    }

    pub(super) fn advance(&mut self, by: SignedDuration) {
        match self {
            Self::Running { ahead } => *ahead += by,
            Self::Standing(at) => *at += by,
        }
    }
}

/// As Sentinel writes it: seven digits.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{}.{:07}Z", at.strftime("%Y-%m-%dT%H:%M:%S"), at.subsec_nanosecond() / 100)
}

/// As storage writes it in headers.
pub(super) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

//! Times as notebooks have them.

use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};

use tokio::time::sleep_until;

use crate::Services;

/// A moment: the wall clock's for people, the monotonic one's for durations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    wall: Timestamp,
    pub(super) monotonic: Instant,
}

impl Stamp {
    pub(super) fn now(services: &Services) -> Self {
        Self { wall: (services.clock)(), monotonic: Instant::now() }
    }

    /// As [`iso`].
    pub(super) fn iso(&self) -> String {
        iso(self.wall)
    }

    /// From `earlier` to this moment, in whole microseconds as Python's `total_seconds()` gives it.
    pub(super) fn since(&self, earlier: Stamp) -> Duration {
        let span = self.monotonic.saturating_duration_since(earlier.monotonic);
        Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Python's `datetime.isoformat()` in UTC: `2026-11-21T20:37:55.310246+00:00`, without a fraction of zero.
pub(crate) fn iso(time: Timestamp) -> String {
    let time = time.to_zoned(TimeZone::UTC);
    let fraction = time.subsec_nanosecond() / 1000;
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%S");
    if fraction == 0 { format!("{seconds}+00:00") } else { format!("{seconds}.{fraction:06}+00:00") }
}

/// The moment that lies so far ahead; `None`, which is never, when clocks do not reach that far.
pub(super) fn after(time: Duration) -> Option<tokio::time::Instant> {
    tokio::time::Instant::now().checked_add(time)
}

/// Resolves at the given moment; never without one.
pub(super) async fn at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A kernel message's date as nbclient writes it into `metadata.execution`: UTC with six digits and a `Z`. A date that
/// is none becomes the current time, as there.
pub(super) fn message_date(date: &str, services: &Services) -> String {
    let time = date
        .parse::<Timestamp>()
        .or_else(|_| format!("{date}Z").parse())
        .unwrap_or_else(|_| (services.clock)())
        .to_zoned(TimeZone::UTC);
    format!("{}.{:06}Z", time.strftime("%Y-%m-%dT%H:%M:%S"), time.subsec_nanosecond() / 1000)
}

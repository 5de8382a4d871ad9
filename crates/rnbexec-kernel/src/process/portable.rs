//! Stand-ins where there is no Linux: see `linux.rs`. A kernel outlives us if we are killed outright, unless it
//! watches its parent itself (ipykernel does).

use std::path::Path;
use std::process::Child;
use std::time::Instant;

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the signature of its Linux counterpart")]
pub(super) fn die_with_parent(_: rustix::process::Pid) -> std::io::Result<()> {
    Ok(())
}

/// The environment of other processes cannot be read everywhere: what leaves the process group stays.
pub(super) fn kill_marked(_: &str, _: &str) {}

/// Reaps a child, which is about to end, and waits for that until the deadline. Nothing tells of one child's end alone here.
pub(crate) fn reap(child: &mut Child, deadline: Instant) {
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(super::LOOK_AGAIN);
    }
}

/// Nothing tells us of a new socket here, so we look again every few milliseconds.
pub(crate) struct DirectoryWatch;

impl DirectoryWatch {
    pub(crate) fn new(_: &Path) -> Self {
        Self
    }

    pub(crate) async fn changed(&mut self) {
        tokio::time::sleep(super::LOOK_AGAIN).await;
    }
}

pub(super) struct OomWatch;

impl OomWatch {
    pub(super) fn begin() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the signature of its Linux counterpart")]
    pub(super) fn evidence(&self) -> Option<String> {
        None
    }
}

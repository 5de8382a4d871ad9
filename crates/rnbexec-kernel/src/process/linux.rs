//! What only Linux has: death with the parent, news of a directory, and the kernel's own word on memory.
//! `portable.rs` is its counterpart for all other systems.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

/// How often processes that a kernel left are looked for: killing some may let others come to light.
const LOOKS_FOR_MARKED: usize = 8;

/// How long killed processes may take to be gone: one that the system is busy with ends when that is done.
const DEATH: Duration = Duration::from_secs(2);

/// Room for the environment of most processes, in bytes.
const ENVIRONMENT: usize = 32 << 10;

/// Has the child killed when the thread that made it ends; to be called in the child. If that has happened before the
/// child could ask, the child ends itself by this error.
pub(super) fn die_with_parent(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Without a parent in our own pid namespace there is nothing to compare.
    if rustix::process::getppid().is_some_and(|now| now != parent) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(())
}

/// Kills every process in whose environment `name` is `value`: descendants that left the process group. Those of other
/// users cannot be looked at, and none of ours are there. A process that forks while we look is found by the next look.
pub(super) fn kill_marked(name: &str, value: &str) {
    let mark = format!("{name}={value}");
    let mut buffer = Vec::with_capacity(ENVIRONMENT);
    for _ in 0..LOOKS_FOR_MARKED {
        let marked: Vec<Pid> = processes().filter(|&pid| is_marked(pid, &mark, &mut buffer)).collect();
        if marked.is_empty() {
            return;
        }
        let mut dying = Vec::new();
        for pid in marked {
            // The descriptor holds on to the process: its id cannot become another's between the look and the signal.
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
                && is_marked(pid, &mark, &mut buffer)
            {
                match pidfd_send_signal(&process, Signal::KILL) {
                    Ok(()) => dying.push(process),
                    Err(error) => tracing::debug!(%error, "a process that a kernel left is gone already"),
                }
            }
        }
        let deadline = Instant::now() + DEATH;
        for process in dying {
            wait_for_end(&process, deadline);
        }
    }
}

/// Blocks until a process has ended, or the deadline.
fn wait_for_end(process: &OwnedFd, deadline: Instant) {
    loop {
        let Ok(left) = deadline.saturating_duration_since(Instant::now()).try_into() else { return };
        // It is readable when it has ended.
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Reaps a child, which is about to end, and waits for that until the deadline.
pub(crate) fn reap(child: &mut Child, deadline: Instant) {
    match pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        Ok(process) => wait_for_end(&process, deadline),
        Err(error) => tracing::debug!(%error, "a child's end cannot be waited for"),
    }
    if let Err(error) = child.try_wait() {
        tracing::debug!(%error, "a child cannot be reaped");
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// `buffer` is room for the variables: without any, reading them takes many small steps.
fn is_marked(pid: Pid, mark: &str, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let read = File::open(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .and_then(|mut variables| variables.read_to_end(buffer));
    read.is_ok() && buffer.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
}

/// Tells when something may have appeared in a directory (inotify).
pub(crate) struct DirectoryWatch {
    events: Option<AsyncFd<OwnedFd>>,
}

impl DirectoryWatch {
    pub(crate) fn new(directory: &Path) -> Self {
        let events = watch(directory)
            .inspect_err(|error| tracing::debug!(%error, "no inotify, falling back to looking again"))
            .ok();
        Self { events }
    }

    /// Waits for news, at most about as long as `portable.rs` always waits where inotify is not to be had.
    pub(crate) async fn changed(&mut self) {
        let Some(events) = &self.events else {
            return tokio::time::sleep(super::LOOK_AGAIN).await;
        };
        match events.readable().await {
            Ok(mut ready) => {
                // What happened does not matter, only that something did: empty the queue.
                let mut buffer = [0; 4096];
                while rustix::io::read(events.get_ref(), &mut buffer).is_ok_and(|length| length > 0) {}
                ready.clear_ready();
            }
            Err(error) => {
                tracing::debug!(%error, "inotify failed");
                self.events = None;
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, for types whose descriptor may change; OwnedFd's cannot"
)]
fn watch(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&events, directory, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)?;
    AsyncFd::new(events)
}

/// Compares the out-of-memory kills that our control group, else the machine, has counted before and after.
pub(super) struct OomWatch {
    counter: Option<(PathBuf, u64)>,
}

impl OomWatch {
    pub(super) fn begin() -> Self {
        let counter = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| {
            counters(&groups).into_iter().find_map(|path| {
                let count = oom_kills(&std::fs::read_to_string(&path).ok()?)?;
                Some((path, count))
            })
        });
        Self { counter }
    }

    /// What speaks for a lack of memory, if anything does. Another process of the same control group may have been the
    /// one killed, hence "evidence".
    pub(super) fn evidence(&self) -> Option<String> {
        let (path, before) = self.counter.as_ref()?;
        let now = oom_kills(&std::fs::read_to_string(path).ok()?)?;
        (now > *before).then(|| format!("{} counts {} more", path.display(), now - before))
    }
}

/// The files that may hold the counter for the groups that `/proc/self/cgroup` lists, version 2 first. In a container
/// the path is often the host's and the group is mounted at the root instead. Without control groups the machine's own
/// counter is left.
fn counters(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.events")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.oom_control")
        } else {
            continue;
        };
        files.push(Path::new(root).join(path.trim_start_matches('/')).join(file));
        files.push(Path::new(root).join(file));
    }
    files.push(PathBuf::from("/proc/vmstat"));
    files
}

/// The number after `oom_kill` in `memory.events` (v2), `memory.oom_control` (v1) or `/proc/vmstat`.
fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_both_versions_of_control_groups() {
        let groups = "11:memory,cpu:/docker/abc\n4:devices:/x\n0::/user.slice/session-1.scope\n";
        let files = counters(groups);
        assert!(files.contains(&PathBuf::from("/sys/fs/cgroup/memory/docker/abc/memory.oom_control")));
        assert!(files.contains(&PathBuf::from("/sys/fs/cgroup/user.slice/session-1.scope/memory.events")));
        assert!(files.contains(&PathBuf::from("/sys/fs/cgroup/memory.events")));
        assert_eq!(files.len(), 5);
    }

    #[test]
    fn without_control_groups_the_machine_counts() {
        assert_eq!(counters(""), [PathBuf::from("/proc/vmstat")]);
        assert_eq!(oom_kills("nr_free_pages 5\npgmigrate_fail 0\noom_kill 3\nnuma_hit 1\n"), Some(3));
    }

    #[test]
    fn oom_kills_are_read_from_both_formats() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(oom_kills("oom_kill_disable 0\n"), None);
    }
}

//! Control groups of our own: for memory and the number of processes, in version 2 where we may, else in version 1.
//!
//! A group lies below ours (or, in version 2, beside it, since a group with processes in it cannot have children with
//! controllers). Its name tells whose it is: `rnbexec-<pid namespace>-<pid>-<start time>-<random>`. Groups of runners that
//! have been killed are emptied and removed by the next launch in the same pid namespace; nobody else's are touched.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process};

use super::MemoryLimit;

const PREFIX: &str = "rnbexec-";

/// How often the removal of a group is tried, and how long is waited in between: killed processes leave it when they
/// have been reaped.
const REMOVAL_TRIES: usize = 200;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// The two generations of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Which limit a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Processes,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "pids",
        }
    }
}

/// A mounted hierarchy and our own group in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    version: Version,
    /// Of version 1; those of version 2 are told by the files in a group.
    controllers: Vec<String>,
    mount: PathBuf,
    own: PathBuf,
}

/// A group that we made. Emptied and removed on drop.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    version: Version,
}

/// The hierarchies of this process, version 2 first.
pub(super) fn hierarchies() -> Vec<Hierarchy> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

fn parse(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = mounts
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (root, mount) = (unescape(fields.next()?), PathBuf::from(unescape(fields.next()?)));
            let mut fields = after.split(' ');
            let (kind, options) = (fields.next()?, fields.nth(1)?);
            let (version, controllers): (_, Vec<String>) = match kind {
                "cgroup2" => (Version::Two, Vec::new()),
                "cgroup" => (Version::One, options.split(',').map(str::to_owned).collect()),
                _ => return None,
            };
            let path = own_group(groups, version, &controllers)?;
            // In a container the path is often the host's, and the group itself is mounted.
            let inside = Path::new(path).strip_prefix(&root).unwrap_or(Path::new(""));
            let own = mount.join(inside.strip_prefix("/").unwrap_or(inside));
            Some(Hierarchy { version, controllers, mount, own })
        })
        .collect();
    found.sort_by_key(|hierarchy| hierarchy.version == Version::One);
    found
}

/// The path of our group, as `/proc/self/cgroup` has it.
fn own_group<'a>(groups: &'a str, version: Version, controllers: &[String]) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (named, path) = (fields.next()?, fields.next()?);
        let ours = match version {
            Version::Two => named.is_empty(),
            Version::One => {
                !named.is_empty() && named.split(',').all(|name| controllers.iter().any(|c| c == name))
            }
        };
        ours.then_some(path)
    })
}

/// mountinfo writes spaces and backslashes in octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

impl Group {
    /// Makes a group for one limit, or finds the one of `made` that can take it as well. `Err` holds why the last place
    /// that was tried would not do.
    pub(super) fn create(
        hierarchies: &[Hierarchy],
        controller: Controller,
        made: &[Self],
    ) -> io::Result<Option<Self>> {
        if made.iter().any(|group| group.has(controller) && group.version == Version::Two) {
            return Ok(None);
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "no control groups are mounted here");
        for hierarchy in hierarchies {
            for parent in hierarchy.places(controller) {
                match Self::create_in(&parent, hierarchy.version, controller) {
                    Ok(group) => return Ok(Some(group)),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    fn create_in(parent: &Path, version: Version, controller: Controller) -> io::Result<Self> {
        sweep(parent, version);
        // Whoever moves into a group must be able to write to where it comes from.
        access(parent.join("cgroup.procs"), Access::WRITE_OK)?;
        let owner = Owner::of_this_process()?;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let folder = parent.join(format!("{}-{}", owner.prefix(), random.get(..8).unwrap_or(&random)));
        fs::create_dir(&folder)?;
        let group = Self { folder, version };
        if group.has(controller) {
            Ok(group)
        } else {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{} has no controller for {}", parent.display(), controller.name()),
            ))
        }
    }

    fn has(&self, controller: Controller) -> bool {
        let file = match (controller, self.version) {
            (Controller::Memory, Version::One) => "memory.limit_in_bytes",
            (Controller::Memory, Version::Two) => "memory.max",
            (Controller::Processes, _) => "pids.max",
        };
        self.folder.join(file).exists()
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The file that a process writes itself into to become a member.
    pub(super) fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Swap counts as memory, as far as the system counts it at all.
    pub(super) fn limit_memory(&self, limit: MemoryLimit) -> io::Result<()> {
        let bytes = limit.bytes().to_string();
        match self.version {
            Version::Two => {
                self.write("memory.max", &bytes)?;
                self.write_if_there("memory.swap.max", "0")?;
                self.write_if_there("memory.oom.group", "1")
            }
            Version::One => {
                self.write("memory.limit_in_bytes", &bytes)?;
                self.write_if_there("memory.memsw.limit_in_bytes", &bytes)
            }
        }
    }

    pub(super) fn limit_processes(&self, limit: NonZeroU32) -> io::Result<()> {
        self.write("pids.max", &limit.to_string())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.join(file), text)
    }

    fn write_if_there(&self, file: &str, text: &str) -> io::Result<()> {
        if self.folder.join(file).exists() { self.write(file, text) } else { Ok(()) }
    }

    /// How many processes of the group were killed for lack of memory.
    pub(super) fn memory_kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        fs::read_to_string(self.folder.join(file))
            .ok()
            .and_then(|text| {
                text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
            })
            .unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = empty_and_remove(&self.folder, self.version, REMOVAL_TRIES) {
            tracing::warn!(group = %self.folder.display(), %error, "cannot remove a control group");
        }
    }
}

/// Kills whatever is in a group and removes it.
fn empty_and_remove(folder: &Path, version: Version, tries: usize) -> io::Result<()> {
    let mut failure = io::ErrorKind::ResourceBusy.into();
    for _ in 0..tries {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => failure = error,
        }
        kill_members(folder, version);
        std::thread::sleep(REMOVAL_PAUSE);
    }
    Err(failure)
}

fn kill_members(folder: &Path, version: Version) {
    // At once where that can be had (Linux 5.14), else one by one, again and again.
    if version == Version::Two && fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        if let Err(error) = kill_process(pid, Signal::KILL) {
            tracing::debug!(%error, "a member of a control group is gone already");
        }
    }
}

/// Who made a group: a process, told apart from others that have its id at another time or in another namespace.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    namespace: u64,
    pid: u32,
    started: u64,
}

impl Owner {
    fn of_this_process() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
        Ok(Self { namespace: pid_namespace()?, pid, started: start_time(pid)? })
    }

    fn prefix(&self) -> String {
        format!("{PREFIX}{}-{}-{}", self.namespace, self.pid, self.started)
    }

    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix(PREFIX)?.split('-');
        Some(Self {
            namespace: fields.next()?.parse().ok()?,
            pid: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
        })
    }
}

fn pid_namespace() -> io::Result<u64> {
    fs::metadata("/proc/self/ns/pid").map(|found| std::os::unix::fs::MetadataExt::ino(&found))
}

/// In clock ticks since the system has started.
fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, in parentheses, may hold anything.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name
        .split(' ')
        .nth(19)
        .and_then(|field| field.parse().ok())
        .ok_or(io::ErrorKind::InvalidData.into())
}

/// Removes the groups of runners that were killed. Nothing here may fail a launch.
fn sweep(parent: &Path, version: Version) {
    let Ok(namespace) = pid_namespace() else { return };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let Some(owner) = entry.file_name().to_str().and_then(Owner::parse) else { continue };
        let is_dead =
            owner.namespace == namespace && start_time(owner.pid).map_or(true, |now| now != owner.started);
        if is_dead && let Err(error) = empty_and_remove(&entry.path(), version, 20) {
            tracing::debug!(group = %entry.path().display(), %error, "cannot remove an abandoned control group");
        }
    }
}

impl Hierarchy {
    /// Where a group for this controller may lie.
    fn places(&self, controller: Controller) -> Vec<PathBuf> {
        match self.version {
            Version::One if self.controllers.iter().any(|name| name == controller.name()) => {
                vec![self.own.clone()]
            }
            Version::One => Vec::new(),
            Version::Two => {
                let beside = self.own.parent().filter(|parent| parent.starts_with(&self.mount));
                std::iter::once(self.own.clone()).chain(beside.map(Path::to_path_buf)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;

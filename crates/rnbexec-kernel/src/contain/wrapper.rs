//! The program that is started in a kernel's place: it contains itself and becomes the kernel.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::namespace;
use super::order::{Answer, FileRules, Order, Refusal, Restriction};
use crate::connection::is_private;
use crate::process::keep_descriptors;

/// Devices that programs write to and that keep nothing.
const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// Carries out the order that comes over standard input, and becomes the kernel that it names. Returns only if that
/// cannot be done; whoever gave the order has been told why.
///
/// For programs that [`LaunchOptions::contain_command`](crate::LaunchOptions::contain_command) names: to be called first
/// of all, before any thread is started.
pub fn enter() -> ExitCode {
    // The socket lives on as a descriptor that exec closes; the kernel's standard input is empty.
    let Ok(mut runner) = take_stdin().map(UnixStream::from) else { return ExitCode::FAILURE };
    let mut text = Vec::new();
    let order = runner
        .read_to_end(&mut text)
        .map_err(io::Error::other)
        .and_then(|_| Ok(serde_json::from_slice(&text)?));
    let refusal = match (order, keep_descriptors()) {
        (Ok(order), Ok(())) => become_kernel(&order, &mut runner),
        (Err(error), _) => refuse(Restriction::Everything, "reading the order", error),
        (_, Err(error)) => refuse(Restriction::Everything, "closing what was inherited", error),
    };
    tell(&mut runner, &Answer::Refused(refusal));
    ExitCode::FAILURE
}

fn take_stdin() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(socket)
}

/// Whoever gave the order may be gone; then there is nobody to tell.
fn tell(runner: &mut UnixStream, answer: &Answer) {
    let line = serde_json::to_vec(answer).expect("an answer is plain data");
    drop(runner.write_all(&line).and_then(|()| runner.write_all(b"\n")));
}

/// Does not return when all goes well.
fn become_kernel(order: &Order, runner: &mut UnixStream) -> Refusal {
    let landlock = match contain(order) {
        Ok(landlock) => landlock,
        Err(refusal) => return refusal,
    };
    let Some((program, arguments)) = order.command.split_first() else {
        return refuse(Restriction::Start, "reading the order", "it names no program");
    };
    tell(runner, &Answer::Contained { landlock });
    let error = Command::new(program).args(arguments).exec();
    Refusal {
        program_missing: error.kind() == io::ErrorKind::NotFound,
        ..refuse(Restriction::Start, "running the program", error)
    }
}

fn refuse(restriction: Restriction, step: &str, error: impl fmt::Display) -> Refusal {
    Refusal { restriction, reason: format!("{step}: {error}"), program_missing: false }
}

/// Layer by layer; returns the version of landlock that is in force.
fn contain(order: &Order) -> Result<Option<u32>, Refusal> {
    for (restriction, members) in &order.groups {
        fs::write(members, "0").map_err(|error| refuse(*restriction, "entering a control group", error))?;
    }
    limit_resources(order)?;
    if order.wants_namespaces() {
        enter_namespaces(order)?;
    }
    if let Some(most) = order.process_limit {
        limit_processes(most)?;
    }
    let mut version = None;
    if order.wants_namespaces() || order.close_processes || order.files.is_some() {
        let restriction = if order.close_network { Restriction::Network } else { Restriction::Files };
        let failed = |step| move |error| refuse(restriction, step, error);
        rustix::thread::set_no_new_privs(true).map_err(failed("forbidding new privileges"))?;
        version = restrict_by_landlock(order)?;
        let nothing = CapabilitySet::empty();
        let none = CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
        rustix::thread::set_capabilities(None, none).map_err(failed("giving up capabilities"))?;
    }
    die_with_runner(order)?;
    Ok(version)
}

/// A new user namespace and other capabilities have made the system forget it.
fn die_with_runner(order: &Order) -> Result<(), Refusal> {
    let failed = |error: io::Error| refuse(Restriction::Everything, "asking to die with the runner", error);
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| failed(error.into()))?;
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    if parent == order.parent { Ok(()) } else { Err(failed(io::ErrorKind::NotConnected.into())) }
}

fn limit_resources(order: &Order) -> Result<(), Refusal> {
    let Some(seconds) = order.cpu_seconds else { return Ok(()) };
    // SIGXCPU, and a second later SIGKILL for whoever passes over it. It would leave a core file otherwise.
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))
        .and_then(|()| limit(Resource::Core, 0, 0))
        .map_err(|error| refuse(Restriction::CpuLimit, "setting RLIMIT_CPU", error))
}

/// Counted in the user namespace, of which we are the first process.
fn limit_processes(most: u64) -> Result<(), Refusal> {
    let failed = |error| refuse(Restriction::ProcessLimit, "setting RLIMIT_NPROC", error);
    let hard = getrlimit(Resource::Nproc).maximum;
    let none = Rlimit { current: Some(0), maximum: hard };
    setrlimit(Resource::Nproc, none).map_err(|error| failed(error.into()))?;
    // Root is not bound by it, whatever root is called in here: so it is tried.
    if let Ok(thread) = std::thread::Builder::new().spawn(|| ()) {
        drop(thread.join());
        let reason =
            io::Error::other("it does not bind this user, who is root outside of the user namespace");
        return Err(failed(reason));
    }
    limit(Resource::Nproc, most, most).map_err(failed)
}

/// Never above the hard limit that is there.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Ok(setrlimit(resource, Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) })?)
}

fn enter_namespaces(order: &Order) -> Result<(), Refusal> {
    let restriction = match order {
        Order { close_network: true, .. } => Restriction::Network,
        Order { files: Some(_), .. } => Restriction::Files,
        _ => Restriction::ProcessLimit,
    };
    let mut more = UnshareFlags::empty();
    if order.close_network {
        more |= UnshareFlags::NEWNET;
    }
    if order.files.is_some() {
        // The shared memory and message queues of System V have no names in the file system.
        more |= UnshareFlags::NEWNS | UnshareFlags::NEWIPC;
    }
    namespace::unshare(more).map_err(|error| refuse(restriction, "making namespaces", error))?;
    if order.close_network {
        namespace::bring_loopback_up()
            .map_err(|error| refuse(Restriction::Network, "bringing up a loopback device", error))?;
    }
    if order.files.is_some() {
        namespace::privatize_devices()
            .map_err(|error| refuse(Restriction::Files, "mounting private devices", error))?;
    }
    Ok(())
}

/// Files and scopes by landlock. Everything that is promised is a hard requirement; commands to devices (Linux 6.10) come
/// on top where they can be had.
fn restrict_by_landlock(order: &Order) -> Result<Option<u32>, Refusal> {
    if order.files.is_none() && !order.close_processes {
        return Ok(None);
    }
    let failed = |restriction, step| move |error: String| refuse(restriction, step, error);
    let files = failed(Restriction::Files, "asking landlock for closed files");
    let processes = failed(Restriction::Processes, "asking landlock for closed processes");
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if order.files.is_some() {
        ruleset =
            ruleset.handle_access(AccessFs::from_all(ABI::V3)).map_err(|error| files(error.to_string()))?;
    }
    if order.close_processes {
        ruleset = ruleset.scope(Scope::from_all(ABI::V6)).map_err(|error| processes(error.to_string()))?;
    }
    ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
    if order.files.is_some() {
        ruleset =
            ruleset.handle_access(AccessFs::from_all(ABI::V5)).map_err(|error| files(error.to_string()))?;
    }
    let mut ruleset = ruleset.create().map_err(|error| files(error.to_string()))?;
    if let Some(rules) = &order.files {
        for (path, access) in file_rules(rules)? {
            let add = failed(Restriction::Files, "opening a path to landlock");
            let named = |error: &dyn fmt::Display| add(format!("{}: {error}", path.display()));
            let fd = match PathFd::new(&path) {
                Ok(fd) => fd,
                // Others come and go beside us, and what is not there needs no opening.
                Err(_) if !fs::exists(&path).unwrap_or(true) => continue,
                Err(error) => return Err(named(&error)),
            };
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access)).map_err(|error| named(&error))?;
        }
    }
    let status = ruleset.restrict_self().map_err(|error| files(error.to_string()))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(files("it enforces nothing".to_owned()));
    }
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    })
}

/// What may be done where.
fn file_rules(rules: &FileRules) -> Result<Vec<(PathBuf, BitFlags<AccessFs>)>, Refusal> {
    let (read, all) = (AccessFs::from_read(ABI::V5), AccessFs::from_all(ABI::V5));
    let mut opened = Vec::new();
    let refuse_files = |path: &OsStr, error: &dyn fmt::Display| {
        refuse(Restriction::Files, &Path::new(path).display().to_string(), error)
    };
    let hidden = match &rules.hidden {
        // A home that is not there needs no hiding.
        Some(home) => Path::new(home).canonicalize().ok(),
        None => None,
    };
    match &hidden {
        Some(home) if home.parent().is_none() => {
            return Err(refuse(Restriction::Files, "hiding the home folder", "it is the root of all files"));
        }
        _ => {}
    }
    let bases: Vec<PathBuf> =
        rules.private.iter().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    let closed = Closed { home: hidden.as_deref(), bases: &bases };
    opened.extend(closed.beside(Path::new("/")).into_iter().map(|path| (path, read)));
    let holds_home = |path: &Path| hidden.as_ref().is_some_and(|home| home.starts_with(path));
    for path in &rules.readable {
        // What is not there is not missed, and what would bring the whole home back stays closed.
        if let Ok(path) = Path::new(path).canonicalize()
            && !holds_home(&path)
        {
            opened.push((path, read));
        }
    }
    for path in &rules.writable {
        let folder = Path::new(path).canonicalize().map_err(|error| refuse_files(path, &error))?;
        if holds_home(&folder) {
            return Err(refuse_files(path, &"the home folder, which is to be hidden, lies in it"));
        }
        opened.push((folder, all));
    }
    let devices = DEVICES.iter().chain(["/dev/shm"].iter()).map(PathBuf::from);
    opened.extend(devices.filter(|path| path.exists()).map(|path| (path, all)));
    let for_kind = |(path, access): (PathBuf, BitFlags<AccessFs>)| {
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V5) };
        (path, access)
    };
    Ok(opened.into_iter().map(for_kind).collect())
}

/// What can not even be read.
struct Closed<'a> {
    home: Option<&'a Path>,
    /// Where kernels have their private folders: another kernel's holds the key to it.
    bases: &'a [PathBuf],
}

impl Closed<'_> {
    fn is_closed(&self, path: &Path) -> bool {
        self.home == Some(path)
            || is_private(path)
                && path.parent().is_some_and(|parent| self.bases.iter().any(|base| base == parent))
    }

    /// Whether something closed lies in it, or may in the future.
    fn leads_there(&self, path: &Path) -> bool {
        self.home.is_some_and(|home| home.starts_with(path))
            || self.bases.iter().any(|base| base.starts_with(path))
    }

    /// Everything in the folder that lies beside the ways to what is closed. Links are left out: what they lead to has its own
    /// place here.
    fn beside(&self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if self.is_closed(&path) || entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                continue;
            }
            if self.leads_there(&path) {
                found.extend(self.beside(&path));
            } else {
                found.push(path);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_open_but_links_and_the_ways_to_the_hidden_folder_and_to_the_folders_of_kernels() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["a/home/in", "a/b", "c", "tmp/rnbexec-kernel-other/in", "tmp/of-others"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a/home"), root.join("link")).unwrap();
        let bases = [root.join("tmp")];
        let found = Closed { home: Some(&root.join("a/home")), bases: &bases }.beside(&root);
        assert!(found.contains(&root.join("tmp/of-others")), "{found:?}");
        assert!(!found.iter().any(|path| path.starts_with(&bases[0]) && is_private(path)), "{found:?}");
        assert!(found.contains(&root.join("a/b")) && found.contains(&root.join("c")), "{found:?}");
        let hidden = root.join("a/home");
        assert!(
            found.iter().all(|path| !hidden.starts_with(path) && !path.starts_with(&hidden)),
            "{found:?}"
        );
        assert!(!found.contains(&root.join("link")), "{found:?}");
    }
}

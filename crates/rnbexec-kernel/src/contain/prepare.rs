//! The runner's side: makes what a contained kernel needs, gives the order, and hears whether it was carried out.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::cgroup::{self, Controller, Group, Version};
use super::environment::{SCRATCH_FOLDERS, read_by_kernel};
use super::order::{Answer, FileRules, Order, Refusal, Restriction};
use super::watch::Watch;
use super::{Containment, Files, Isolation, Mechanism, Part, Variables};
use crate::connection::{PrivateDir, bases};
use crate::death::KernelDeath;
use crate::kernel::LaunchOptions;
use crate::process::{Process, ProcessSpec};

/// A kernel's containment, from before its start until after its end. Fields drop in this order: control groups kill
/// what is left before its folder goes.
pub(crate) struct Contained {
    groups: Groups,
    scratch: Option<PrivateDir>,
    watch: Watch,
    policy: Containment,
    /// The program that contains, and its arguments.
    command: Vec<OsString>,
    /// Whether processes are counted by the user namespace.
    counts_by_namespace: bool,
    home: Option<OsString>,
    /// Where kernels have their private folders.
    private: Vec<OsString>,
    isolation: Isolation,
}

#[derive(Default)]
struct Groups {
    memory: Option<Group>,
    processes: Option<Group>,
}

/// What is to be started.
pub(crate) struct Request<'a> {
    /// The kernel's command.
    pub(crate) command: Vec<OsString>,
    /// Its environment.
    pub(crate) env: &'a HashMap<OsString, OsString>,
    /// The folder of its sockets.
    pub(crate) channels: &'a Path,
    /// The folder of its kernelspec.
    pub(crate) kernelspec: &'a Path,
}

/// Why there is no contained process.
pub(crate) enum NotStarted {
    Refused(Refusal),
    /// The program that contains cannot be run.
    NotRun(io::Error),
}

impl From<Refusal> for NotStarted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        Self::NotRun(error)
    }
}

fn refuse(restriction: Restriction, step: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal { restriction, reason: format!("{step}: {error}"), program_missing: false }
}

/// Makes ready for a kernel that is to be contained; `None` if nothing is to be closed.
pub(crate) fn prepare(options: &LaunchOptions) -> Result<Option<Contained>, Refusal> {
    let policy = options.containment.clone();
    if policy.is_open() {
        return Ok(None);
    }
    if options.contain_command.is_empty() {
        let reason = "the program that starts the kernel names none that contains it";
        return Err(Refusal {
            restriction: Restriction::Everything,
            reason: reason.to_owned(),
            program_missing: false,
        });
    }
    let mut isolation = Isolation::default();
    let (groups, counts_by_namespace) = make_groups(&policy, &mut isolation)?;
    let scratch = match policy.files {
        Files::Open => None,
        Files::ReadOnly | Files::HomeHidden => Some(make_scratch(&options.base_env)?),
    };
    let home = options.base_env.get(OsStr::new("HOME")).filter(|home| !home.is_empty()).cloned();
    if policy.files == Files::HomeHidden && home.is_none() {
        return Err(refuse(Restriction::Files, "hiding the home folder", "HOME does not say where it is"));
    }
    let namespaces = Mechanism("user and network namespaces".to_owned());
    isolation.network = (policy.network == Part::Closed).then_some(namespaces);
    if let Variables::Only(_) = policy.variables {
        isolation.variables = Some(Mechanism("a list of allowed variables".to_owned()));
    }
    isolation.cpu =
        policy.limits.cpu.map(|limit| (limit, Mechanism("RLIMIT_CPU of each process".to_owned())));
    isolation.work_folders =
        if policy.files == Files::Open { Vec::new() } else { policy.work_folders.clone() };
    let watch = Watch::new(policy.limits);
    let command = options.contain_command.clone();
    let private = bases(options.runtime_dir.as_deref(), &options.base_env)
        .into_iter()
        .chain(scratch.iter().filter_map(|scratch| Some(scratch.path().parent()?.to_path_buf())))
        .map(OsString::from)
        .collect();
    Ok(Some(Contained {
        groups,
        scratch,
        watch,
        policy,
        command,
        counts_by_namespace,
        home,
        private,
        isolation,
    }))
}

/// Control groups for the limits; without them memory is watched instead, and processes are counted otherwise if they
/// can be.
fn make_groups(policy: &Containment, isolation: &mut Isolation) -> Result<(Groups, bool), Refusal> {
    let limits = policy.limits;
    let mut groups = Groups::default();
    let mut by_namespace = false;
    if limits.memory.is_none() && limits.processes.is_none() {
        return Ok((groups, by_namespace));
    }
    let hierarchies = cgroup::hierarchies();
    let by = |group: &Group| {
        Mechanism(match group.version() {
            Version::One => "control group (v1)".to_owned(),
            Version::Two => "control group (v2)".to_owned(),
        })
    };
    if let Some(limit) = limits.memory {
        let made = Group::create(&hierarchies, Controller::Memory, &[])
            .and_then(|group| group.map(|group| group.limit_memory(limit).map(|()| group)).transpose());
        let mechanism = match made {
            Ok(Some(group)) => {
                let mechanism = by(&group);
                groups.memory = Some(group);
                mechanism
            }
            Ok(None) => Mechanism(String::new()),
            Err(error) => {
                tracing::debug!(%error, "no control group for memory; it is watched instead");
                fs::metadata("/proc/self/stat")
                    .map_err(|error| refuse(Restriction::MemoryLimit, "looking at /proc", error))?;
                Mechanism("watching its processes in /proc".to_owned())
            }
        };
        isolation.memory = Some((limit, mechanism));
    }
    if let Some(limit) = limits.processes {
        let shared = groups.memory.as_slice();
        let made = Group::create(&hierarchies, Controller::Processes, shared).and_then(|group| {
            let target = group.as_ref().or(groups.memory.as_ref());
            target.map_or(Ok(()), |group| group.limit_processes(limit))?;
            Ok(group)
        });
        let mechanism = match made {
            Ok(group) => {
                let mechanism = group.as_ref().or(groups.memory.as_ref()).map(by);
                groups.processes = group;
                mechanism.unwrap_or(Mechanism(String::new()))
            }
            Err(error) if rustix::process::geteuid().is_root() => {
                return Err(refuse(
                    Restriction::ProcessLimit,
                    "making a control group (no other limit binds root)",
                    error,
                ));
            }
            Err(error) => {
                tracing::debug!(%error, "no control group for processes; a user namespace counts them instead");
                by_namespace = true;
                Mechanism("RLIMIT_NPROC in a user namespace".to_owned())
            }
        };
        isolation.process_count = Some((limit, mechanism));
    }
    Ok((groups, by_namespace))
}

/// A folder for what the kernel may always write, where temporary files belong.
fn make_scratch(vars: &HashMap<OsString, OsString>) -> Result<PrivateDir, Refusal> {
    let mut vars = vars.clone();
    vars.remove(OsStr::new("XDG_RUNTIME_DIR"));
    let make = || -> io::Result<PrivateDir> {
        let folder = PrivateDir::create(None, &vars)?;
        for name in SCRATCH_FOLDERS {
            fs::create_dir(folder.path().join(name))?;
        }
        Ok(folder)
    };
    make().map_err(|error| refuse(Restriction::Files, "making a temporary folder", error))
}

impl Contained {
    /// The folder that it may write to in any case, where files are closed.
    pub(crate) fn scratch(&self) -> Option<&Path> {
        self.scratch.as_ref().map(PrivateDir::path)
    }

    /// What is active.
    pub(crate) fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Starts the kernel by way of the program that contains it, and waits until it runs as ordered.
    pub(crate) async fn spawn(
        &mut self,
        request: Request<'_>,
        mut spec: ProcessSpec,
    ) -> Result<Process, NotStarted> {
        let order = serde_json::to_vec(&self.order(request)).map_err(io::Error::from)?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        spec.command.clone_from(&self.command);
        spec.stdin = Some(theirs.into());
        let mut process = Process::spawn(&mut spec)?;
        self.watch.started(process.pid(), process.mark());
        match self.confirm(&order, socket).await {
            Ok(true) => Ok(process),
            Ok(false) => {
                process.destroy().await;
                let reason =
                    format!("the program that is to contain it said nothing; it {}", process.death().await);
                Err(Refusal { restriction: Restriction::Everything, reason, program_missing: false }.into())
            }
            Err(refusal) => {
                process.destroy().await;
                Err(refusal.into())
            }
        }
    }

    fn order(&self, request: Request<'_>) -> Order {
        let limits = self.policy.limits;
        let files = (self.policy.files != Files::Open).then(|| self.file_rules(&request));
        let group = |restriction, group: &Group| (restriction, group.members().into_os_string());
        let memory = self.groups.memory.as_ref().map(|made| group(Restriction::MemoryLimit, made));
        let processes = self.groups.processes.as_ref().map(|made| group(Restriction::ProcessLimit, made));
        Order {
            command: request.command,
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            groups: memory.into_iter().chain(processes).collect(),
            cpu_seconds: limits.cpu.map(|limit| limit.as_secs().max(1)),
            process_limit: limits
                .processes
                .filter(|_| self.counts_by_namespace)
                .map(|most| u64::from(most.get())),
            close_network: self.policy.network == Part::Closed,
            close_processes: self.policy.processes == Part::Closed,
            files,
        }
    }

    fn file_rules(&self, request: &Request<'_>) -> FileRules {
        let mut writable: Vec<OsString> = self.policy.work_folders.iter().map(OsString::from).collect();
        writable.push(request.channels.into());
        writable.extend(self.scratch().map(OsString::from));
        let hidden = self.home.clone().filter(|_| self.policy.files == Files::HomeHidden);
        // Its working directory is the program's own.
        let mut readable = vec![OsString::from("."), request.kernelspec.into()];
        readable.extend(self.policy.readable.iter().map(OsString::from));
        let program = request.command.first().map(OsString::as_os_str);
        readable.extend(read_by_kernel(request.env, program).into_iter().map(OsString::from));
        FileRules { writable, hidden, readable, private: self.private.clone() }
    }

    /// Gives the order and hears what comes of it, until the socket closes. `Ok(false)` if nothing was said: the program
    /// has ended, or is another one.
    async fn confirm(&mut self, order: &[u8], mut socket: UnixStream) -> Result<bool, Refusal> {
        let mut said = Vec::new();
        let heard = async {
            socket.write_all(order).await?;
            socket.shutdown().await?;
            socket.read_to_end(&mut said).await
        };
        if let Err(error) = heard.await {
            tracing::debug!(%error, "what a contained program says broke off");
        }
        let mut contained = false;
        for line in said.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Answer::Contained { landlock }) => {
                    contained = true;
                    self.note_landlock(landlock);
                }
                Ok(Answer::Refused(refusal)) => return Err(refusal),
                Err(error) => {
                    return Err(refuse(
                        Restriction::Everything,
                        "hearing the program that contains it",
                        error,
                    ));
                }
            }
        }
        Ok(contained)
    }

    fn note_landlock(&mut self, version: Option<u32>) {
        let Some(version) = version else { return };
        let landlock = || Some(Mechanism(format!("landlock (ABI {version})")));
        if self.policy.files != Files::Open {
            self.isolation.files = landlock();
        }
        if self.policy.files == Files::HomeHidden {
            self.isolation.home = landlock();
        }
        if self.policy.processes == Part::Closed {
            self.isolation.processes = landlock();
        }
    }

    /// Returns when the kernel has exceeded its memory limit and must be killed. Cancel-safe.
    pub(crate) async fn exceeded(&mut self) {
        self.watch.exceeded(self.groups.memory.as_ref()).await;
    }

    /// The cause of a death, if a limit is what it was.
    pub(crate) fn explain(&self, death: KernelDeath) -> KernelDeath {
        self.watch.explain(death, self.groups.memory.as_ref())
    }
}

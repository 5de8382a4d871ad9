//! A running kernel, seen from the task that uses it.
//!
//! The process and the sockets live on a thread of their own (see `supervise`); this handle sends it commands and
//! receives what it read. Both queues are unbounded: commands are few, and what a kernel says must never make the
//! reader wait, since a kernel whose reader waits drops messages, the one that says a cell is done among them.
//! What it costs is memory while the consumer is behind.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::messaging::KernelInfoRequest;
use tokio::sync::{mpsc, oneshot};

use crate::connection::Channel;
use crate::contain::{Containment, Isolation, Restriction};
use crate::death::{DeathCause, KernelDeath};
use crate::execution::{ExecuteRequest, Execution};
use crate::fork_server::Descent;
use crate::kernelspec::Kernelspec;
use crate::launcher::Launcher;
use crate::links::Received;
use crate::process::OutputSink;
use crate::remains::Registrar;
use crate::start::Plan;
use crate::supervise::{self, Command};
use crate::wire::{self, Message, Session, WireError};

/// How long a kernel may take over a `kernel_info_request` when it is idle.
const INFO_TIMEOUT: Duration = Duration::from_secs(30);

/// How a kernel is started.
#[derive(Clone)]
pub struct LaunchOptions {
    /// Its working directory; ours if `None`.
    pub cwd: Option<PathBuf>,
    /// The environment it inherits; the library itself reads none.
    pub base_env: HashMap<OsString, OsString>,
    /// Variables set, or removed (`None`), after those of the kernelspec.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// How long it may take until it answers, for all attempts together.
    pub start_timeout: Duration,
    /// Where to make the private directory; else in `$XDG_RUNTIME_DIR`, `$TMPDIR` or `/tmp`.
    pub runtime_dir: Option<PathBuf>,
    /// How ipykernel is started.
    pub launcher: Launcher,
    /// Gets what the process itself writes to stdout and stderr.
    pub on_output: Option<OutputSink>,
    /// Arguments appended to those of the kernelspec.
    pub extra_arguments: Vec<String>,
    /// What is closed to the kernel.
    pub containment: Containment,
    /// The program that contains a kernel, with the arguments that have it call [`contain::enter`](crate::contain::enter).
    pub contain_command: Vec<OsString>,
    /// Told of the kernel before it starts, for a process that clears up should this one be killed.
    pub registrar: Option<Registrar>,
}

impl LaunchOptions {
    /// The usual options, with the environment a kernel shall inherit.
    pub fn new(base_env: HashMap<OsString, OsString>) -> Self {
        Self {
            cwd: None,
            base_env,
            env: Vec::new(),
            start_timeout: Duration::from_mins(1),
            runtime_dir: None,
            launcher: Launcher::default(),
            on_output: None,
            extra_arguments: Vec::new(),
            containment: Containment::default(),
            contain_command: Vec::new(),
            registrar: None,
        }
    }
}

impl Default for LaunchOptions {
    /// With an empty environment: rarely what a kernel wants.
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

/// The environment may hold secrets, so only its size shows.
impl fmt::Debug for LaunchOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LaunchOptions")
            .field("cwd", &self.cwd)
            .field("base_env", &format_args!("{} variables", self.base_env.len()))
            .field("env", &format_args!("{} variables", self.env.len()))
            .field("start_timeout", &self.start_timeout)
            .field("runtime_dir", &self.runtime_dir)
            .field("launcher", &self.launcher)
            .field("extra_arguments", &self.extra_arguments)
            .field("containment", &self.containment)
            .finish_non_exhaustive()
    }
}

/// A kernel could not be started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program that the kernelspec names does not exist.
    #[error("the kernel {kernel:?} needs the program {program:?}, which does not exist ({})", file.display())]
    ProgramMissing {
        /// The kernel's name.
        kernel: String,
        /// The first word of its command.
        program: String,
        /// The `kernel.json` that says so.
        file: PathBuf,
    },
    /// The program exists and cannot be run.
    #[error("cannot run {program:?} for the kernel {kernel:?}")]
    Spawn {
        /// The kernel's name.
        kernel: String,
        /// The first word of its command.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The working directory is no directory.
    #[error("the kernel's working directory {} is not there", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// No place for connection file and sockets.
    #[error("cannot prepare a private directory for the kernel")]
    PrivateDirectory {
        /// Why.
        source: std::io::Error,
    },
    /// The process ended before the kernel answered.
    #[error("the kernel {kernel:?} died while starting: {death}")]
    Died {
        /// The kernel's name.
        kernel: String,
        /// How it ended.
        death: KernelDeath,
    },
    /// The kernel did not answer in time. It has been killed.
    #[error("the kernel {kernel:?} {what} within {:.1} s{}", waited.as_secs_f64(), last_words(stderr_tail))]
    Timeout {
        /// The kernel's name.
        kernel: String,
        /// How long was waited.
        waited: Duration,
        /// What it failed to do.
        what: &'static str,
        /// The last lines it wrote to stderr.
        stderr_tail: String,
    },
    /// The kernel's sockets speak something else than is understood here.
    #[error("cannot talk to the kernel {kernel:?}: {reason}")]
    Connection {
        /// The kernel's name.
        kernel: String,
        /// What went wrong.
        reason: String,
    },
    /// What was to be closed to the kernel cannot be closed here. It has not run.
    #[error("cannot {restriction}: {reason}")]
    Containment {
        /// What could not be enforced.
        restriction: Restriction,
        /// Why: the step that failed, and what the system said.
        reason: String,
    },
    /// No thread or no event loop for it: we are short of something ourselves.
    #[error("cannot start a thread for the kernel")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
}

impl LaunchError {
    /// The last lines that the kernel wrote to stderr, to take out of them what nobody shall see.
    pub fn stderr_tail_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Died { death, .. } => Some(&mut death.stderr_tail),
            Self::Timeout { stderr_tail, .. } => Some(stderr_tail),
            Self::ProgramMissing { .. }
            | Self::Spawn { .. }
            | Self::WorkingDirectory { .. }
            | Self::PrivateDirectory { .. }
            | Self::Connection { .. }
            | Self::Containment { .. }
            | Self::Thread { .. } => None,
        }
    }
}

fn last_words(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!("; its last words on stderr:\n{tail}") }
}

/// How a kernel's process came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By its kernelspec's command.
    Started,
    /// By a fork of a process that had imported what it needs (see [`KernelPool`](crate::KernelPool)).
    Forked,
}

/// How much patience a shutdown has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownPolicy {
    /// How long the kernel may take after being asked; then it gets SIGTERM and half as long again, then SIGKILL.
    /// Zero is SIGKILL at once.
    pub grace: Duration,
}

impl Default for ShutdownPolicy {
    fn default() -> Self {
        Self { grace: Duration::from_secs(2) }
    }
}

/// What it took to end a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitManner {
    /// It went when asked.
    Asked,
    /// It had to be terminated.
    Terminated,
    /// It had to be killed.
    Killed,
    /// It was dead already.
    AlreadyDead,
}

/// How a kernel ended that we ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// What it took.
    pub manner: ExitManner,
    /// What the operating system says of it.
    pub cause: DeathCause,
}

/// A running Jupyter kernel. Dropping it kills the kernel with all it started and removes its files.
pub struct Kernel {
    pub(crate) session: Session,
    received: mpsc::UnboundedReceiver<Received>,
    /// Messages that came while something else was waited for.
    set_aside: VecDeque<Message>,
    death: Option<KernelDeath>,
    info: Bytes,
    pid: u32,
    descent: Option<Descent>,
    isolation: Option<Isolation>,
    thread: KernelThread,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kernel").field("pid", &self.pid).field("death", &self.death).finish_non_exhaustive()
    }
}

/// What came from the kernel, verified.
#[derive(Debug)]
pub(crate) enum Arrival {
    Message(Channel, Message),
    /// An `input_request`, refused.
    Input(Message),
    Rejected(WireError),
    Died(KernelDeath),
}

/// The thread behind a kernel. It ends when its commands do: it kills, reaps and removes, none of which waits for
/// anything but the operating system, so that joining it is short.
struct KernelThread {
    commands: Option<mpsc::UnboundedSender<Command>>,
    handle: Option<JoinHandle<()>>,
}

impl KernelThread {
    fn join(&mut self) {
        self.commands = None;
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the thread of a kernel panicked");
        }
    }
}

impl Drop for KernelThread {
    fn drop(&mut self) {
        self.join();
    }
}

impl Kernel {
    /// Starts a kernel and waits until it answers and its output is certain to reach us. Giving up the future kills
    /// whatever has been started.
    ///
    /// # Errors
    /// See [`LaunchError`]. Nothing is left behind.
    pub async fn launch(spec: &Kernelspec, options: LaunchOptions) -> Result<Self, LaunchError> {
        Self::launch_planned(Plan { spec: spec.clone(), options, forks: None }).await
    }

    pub(crate) async fn launch_planned(plan: Plan) -> Result<Self, LaunchError> {
        let (commands, commands_rx) = mpsc::unbounded_channel();
        let (started, started_rx) = oneshot::channel();
        let handle = std::thread::Builder::new()
            .name("kernel".to_owned())
            .spawn(move || supervise::run(plan, commands_rx, started))
            .map_err(|source| LaunchError::Thread { source })?;
        let thread = KernelThread { commands: Some(commands), handle: Some(handle) };
        let Ok(outcome) = started_rx.await else {
            return Err(LaunchError::Thread { source: std::io::Error::other("it ended without a word") });
        };
        let started = outcome?;
        Ok(Self {
            session: started.session,
            received: started.received,
            set_aside: VecDeque::new(),
            death: None,
            info: started.info,
            pid: started.pid,
            descent: started.descent,
            isolation: started.isolation,
            thread,
        })
    }

    /// The content of the `kernel_info_reply` it gave at its start: raw JSON.
    pub fn info(&self) -> &Bytes {
        &self.info
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How its process came to be.
    pub fn origin(&self) -> Origin {
        if self.descent.is_some() { Origin::Forked } else { Origin::Started }
    }

    /// Where it comes from, if it was forked.
    pub(crate) fn descent(&self) -> Option<&Descent> {
        self.descent.as_ref()
    }

    /// What is closed to it, and by which mechanism; `None` if it is not contained.
    pub fn isolation(&self) -> Option<&Isolation> {
        self.isolation.as_ref()
    }

    /// Has the kernel run code. The request is sent at once; what comes of it, [`Execution::next`] tells.
    pub fn execute(&mut self, request: ExecuteRequest) -> Execution<'_> {
        Execution::begin(self, request)
    }

    /// Asks for a fresh `kernel_info_reply` and returns its content. `None` if the kernel is dead or does not answer
    /// within half a minute.
    pub async fn kernel_info(&mut self) -> Option<Bytes> {
        let id = self.send(Channel::Shell, "kernel_info_request", &KernelInfoRequest {});
        let deadline = tokio::time::Instant::now() + INFO_TIMEOUT;
        let mut set_aside = VecDeque::new();
        let reply = loop {
            let Ok(arrival) = tokio::time::timeout_at(deadline, self.arrival()).await else { break None };
            match arrival {
                Arrival::Message(Channel::Shell, message) if message.parent_msg_id.as_ref() == Some(&id) => {
                    break Some(message.content);
                }
                Arrival::Message(Channel::Iopub, message) if message.parent_msg_id.as_ref() != Some(&id) => {
                    set_aside.push_back(message);
                }
                Arrival::Died(_) => break None,
                Arrival::Message(..) | Arrival::Input(_) | Arrival::Rejected(_) => {}
            }
        };
        self.set_aside.append(&mut set_aside);
        reply
    }

    /// Interrupts what the kernel is doing, in the way its kernelspec names.
    pub fn interrupt(&mut self) {
        self.command(Command::Interrupt);
    }

    /// Shuts the kernel down, gently at first (see [`ShutdownPolicy`]). When this returns, its process is reaped, what
    /// it left in its process group is killed, and its files are gone.
    pub async fn shutdown(self, policy: ShutdownPolicy) -> Exit {
        self.shutdown_and_drain(policy).await.0
    }

    /// As [`shutdown`](Self::shutdown), and returns what the kernel still said on iopub: some kernels send the last
    /// output of a cell after they have said that it is done.
    pub async fn shutdown_and_drain(mut self, policy: ShutdownPolicy) -> (Exit, Vec<Message>) {
        let (done, done_rx) = oneshot::channel();
        self.command(Command::Shutdown { policy, done });
        let exit = done_rx.await;
        // The answer is the last thing the thread does.
        self.thread.join();
        let late = self.drain();
        let cause = || self.death.as_ref().map_or(DeathCause::Unknown, |death| death.cause.clone());
        (exit.unwrap_or_else(|_| Exit { manner: ExitManner::AlreadyDead, cause: cause() }), late)
    }

    /// Takes what the ended thread has left: messages of iopub, and perhaps the death notice.
    fn drain(&mut self) -> Vec<Message> {
        let mut late: Vec<Message> = self.set_aside.drain(..).collect();
        while let Ok(received) = self.received.try_recv() {
            match received {
                Received::Frames(Channel::Iopub, frames) => late.extend(self.session.decode(frames)),
                Received::Frames(..) => {}
                Received::Died(death) => self.death = Some(death),
            }
        }
        late
    }

    /// The next thing that comes from the kernel. Cancel-safe. Once the kernel has died, it says so for ever.
    pub(crate) async fn arrival(&mut self) -> Arrival {
        if let Some(message) = self.set_aside.pop_front() {
            return Arrival::Message(Channel::Iopub, message);
        }
        if let Some(death) = &self.death {
            return Arrival::Died(death.clone());
        }
        match self.received.recv().await {
            Some(Received::Frames(Channel::Stdin, frames)) => self.refuse_input(frames),
            Some(Received::Frames(channel, frames)) => match self.session.decode(frames) {
                Ok(message) => Arrival::Message(channel, message),
                Err(error) => {
                    tracing::warn!(?channel, %error, "dropped what the kernel sent");
                    Arrival::Rejected(error)
                }
            },
            Some(Received::Died(death)) => Arrival::Died(self.death.insert(death).clone()),
            None => {
                let death = KernelDeath { cause: DeathCause::Unknown, stderr_tail: String::new() };
                Arrival::Died(self.death.insert(death).clone())
            }
        }
    }

    /// There is nobody to ask: the answer is an error, with an empty value for kernels that only look at that.
    fn refuse_input(&mut self, frames: Vec<Bytes>) -> Arrival {
        let header = wire::raw_header(&frames);
        let message = match self.session.decode(frames) {
            Ok(message) => message,
            Err(error) => return Arrival::Rejected(error),
        };
        let content = serde_json::json!({
            "status": "error",
            "ename": "StdinNotImplementedError",
            "evalue": "input is not supported when a notebook is run as a batch",
            "value": "",
        });
        let content = content.to_string().into_bytes();
        let frames = self.session.encode(&wire::fresh_id(), "input_reply", header, content);
        self.command(Command::Send(Channel::Stdin, frames));
        Arrival::Input(message)
    }

    /// Sends a request; its id tells the answers apart.
    pub(crate) fn send(
        &mut self,
        channel: Channel,
        msg_type: &str,
        content: &impl serde::Serialize,
    ) -> String {
        let id = wire::fresh_id();
        let content = serde_json::to_vec(content).expect("requests of ours are plain data");
        let frames = self.session.encode(&id, msg_type, Bytes::new(), content);
        self.command(Command::Send(channel, frames));
        id
    }

    /// A thread that has ended takes no more commands; that the kernel is dead, the next arrival tells.
    pub(crate) fn command(&self, command: Command) {
        if self.thread.commands.as_ref().is_none_or(|commands| commands.send(command).is_err()) {
            tracing::debug!("a command to a kernel that has ended");
        }
    }
}

//! The thread behind a kernel: it starts the process, owns the sockets, and stays until both are gone.
//!
//! One thread for each kernel, because on Linux the process is to die with the *thread* that made it (see
//! `process::linux`), so that thread must live exactly as long as the kernel; and because reading iopub must never wait
//! for anything else. The thread only moves frames: they are verified and parsed by whoever uses the kernel.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::connection_info::Transport;
use jupyter_protocol::messaging::{InterruptRequest, KernelInfoRequest, ShutdownRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::{Channel, Connection, PrivateDir};
use crate::death::{DeathCause, KernelDeath};
use crate::kernel::{Exit, ExitManner, LaunchError, LaunchOptions, ShutdownPolicy};
use crate::kernelspec::{InterruptMode, Kernelspec};
use crate::launcher::{self, Launcher};
use crate::process::{DirectoryWatch, LOOK_AGAIN, Process, ProcessSpec, Signal};
use crate::wire::Session;
use crate::zmq::{self, SocketType, ZmqError};

/// A free port may be taken before the kernel binds it; so often it is started again with others.
const PORT_TRIES: usize = 4;

/// A kernel that has not answered a `kernel_info_request` for so long may have lost it.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A kernel that has answered, and whose iopub stayed silent for so long, had not yet heard our subscription.
const IOPUB_LATE: Duration = Duration::from_millis(50);

/// A kernel that closes its channels is about to end, or never will.
const DISCONNECT_GRACE: Duration = Duration::from_secs(2);

/// After the process's end, its last messages are read until its sockets end or stay silent for so long. They end at
/// once unless something that left the kernel's process group still holds them.
const SILENCE_AFTER_DEATH: Duration = Duration::from_millis(300);

/// What to start, and how.
pub(crate) struct Plan {
    pub(crate) spec: Kernelspec,
    pub(crate) options: LaunchOptions,
}

/// What the thread is told.
pub(crate) enum Command {
    Send(Channel, Vec<Bytes>),
    Interrupt,
    Kill,
    Shutdown { policy: ShutdownPolicy, done: oneshot::Sender<Exit> },
}

/// What the thread tells.
pub(crate) enum Received {
    Frames(Channel, Vec<Bytes>),
    /// After the last frame of a kernel that died.
    Died(KernelDeath),
}

/// A kernel that is ready.
pub(crate) struct Started {
    pub(crate) session: Session,
    pub(crate) received: mpsc::UnboundedReceiver<Received>,
    pub(crate) info: Bytes,
    pub(crate) pid: u32,
}

type Starting = oneshot::Sender<Result<Started, LaunchError>>;

/// The whole life of a kernel. The thread ends when nothing of it is left.
pub(crate) fn run(plan: Plan, mut commands: mpsc::UnboundedReceiver<Command>, started: Starting) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(supervise(plan, &mut commands, started)),
        Err(source) => answer(started, Err(LaunchError::Thread { source })),
    }
}

/// That nobody waits for the answer any more, the caller has seen to already.
fn answer(started: Starting, outcome: Result<Started, LaunchError>) {
    if started.send(outcome).is_err() {
        tracing::debug!("the launch of a kernel was given up");
    }
}

async fn supervise(plan: Plan, commands: &mut mpsc::UnboundedReceiver<Command>, mut started: Starting) {
    let (mut running, ready) = match launch(&plan, &mut started).await {
        Ok(launched) => launched,
        Err(Failure::GivenUp) => return,
        Err(Failure::Error(error)) => return answer(started, Err(error)),
    };
    // Should nobody want it any more, the commands have ended too, and that is its end.
    answer(started, Ok(ready));
    let stop = serve(&mut running, commands, plan.spec.interrupt_mode).await;
    running.links.drain().await;
    let mut death = running.process.death().await;
    if stop.phase == Phase::CutOff {
        death.cause = DeathCause::Disconnected;
    }
    let Running { received, directory, .. } = running;
    drop(directory);
    let exit = Exit { manner: stop.manner(), cause: death.cause.clone() };
    // Whoever is gone need not be told.
    if received.send(Received::Died(death)).is_err() {
        tracing::trace!("a kernel died that nobody listened to");
    }
    if let Some(done) = stop.done
        && done.send(exit).is_err()
    {
        tracing::trace!("nobody waited for a kernel to shut down");
    }
}

/// A process, its sockets and its directory. Fields drop in this order: the process before its files.
struct Running {
    process: Process,
    links: Links,
    session: Session,
    received: mpsc::UnboundedSender<Received>,
    directory: PrivateDir,
}

enum Failure {
    /// Nobody waits for the kernel any more.
    GivenUp,
    Error(LaunchError),
}

/// Tries the transports in turn, all within the start timeout.
async fn launch(plan: &Plan, started: &mut Starting) -> Result<(Running, Started), Failure> {
    let began = Instant::now();
    let deadline = began + plan.options.start_timeout;
    let mut transports = launcher::transports(&plan.spec).iter().peekable();
    let mut port_tries = PORT_TRIES;
    while let Some(transport) = transports.next() {
        let is_last = transports.peek().is_none();
        // A kernel that cannot do it may sit there for ever: leave time for the other transport.
        let now = Instant::now();
        let until = if is_last { deadline } else { now + deadline.saturating_duration_since(now) / 2 };
        loop {
            port_tries -= 1;
            match attempt(plan, transport, began, until, started).await {
                Err(Failure::Error(error)) if port_tries > 0 && port_was_taken(transport, &error) => {
                    tracing::debug!(kernel = plan.spec.name, "a port was taken, trying others");
                }
                Err(Failure::Error(error)) if !is_last && may_be_for_the_transport(&error) => {
                    tracing::debug!(kernel = plan.spec.name, %error, "trying the next transport");
                    break;
                }
                outcome => return outcome,
            }
        }
    }
    unreachable!("the last transport's outcome is the outcome")
}

fn may_be_for_the_transport(error: &LaunchError) -> bool {
    matches!(error, LaunchError::Died { .. } | LaunchError::Timeout { .. } | LaunchError::Connection { .. })
}

fn port_was_taken(transport: &Transport, error: &LaunchError) -> bool {
    let LaunchError::Died { death, .. } = error else { return false };
    let signs = ["EADDRINUSE", "Address already in use", "address already in use", "Address in use"];
    matches!(transport, Transport::TCP) && signs.iter().any(|sign| death.stderr_tail.contains(sign))
}

async fn attempt(
    plan: &Plan,
    transport: &Transport,
    began: Instant,
    until: Instant,
    started: &mut Starting,
) -> Result<(Running, Started), Failure> {
    let Plan { spec, options } = plan;
    let no_place = |source| Failure::Error(LaunchError::PrivateDirectory { source });
    let directory =
        PrivateDir::create(options.runtime_dir.as_deref(), &options.base_env).map_err(no_place)?;
    let connection = Connection::create(directory.path(), transport.clone(), &spec.name).map_err(no_place)?;
    let watch = DirectoryWatch::new(directory.path());
    let mut process = start_process(plan, &connection, &directory)?;
    let session = Session::new(&connection.info.key);
    let (received, mut received_rx) = mpsc::unbounded_channel();

    let connected = Cell::new(false);
    let outcome = tokio::select! {
        ready = converse(&connection, watch, &session, &received, &mut received_rx, &connected) => ready.map_err(Some),
        _ = process.ended() => Err(None),
        () = tokio::time::sleep_until(until) => {
            process.destroy().await;
            return Err(Failure::Error(LaunchError::Timeout {
                kernel: spec.name.clone(),
                waited: began.elapsed(),
                what: if connected.get() { "did not answer" } else { "did not open its channels" },
                stderr_tail: process.death().await.stderr_tail,
            }));
        }
        () = started.closed() => {
            process.destroy().await;
            return Err(Failure::GivenUp);
        }
    };
    match outcome {
        Ok((links, info)) => {
            let ready = Started { session: session.clone(), received: received_rx, info, pid: process.pid() };
            Ok((Running { process, links, session, received, directory }, ready))
        }
        Err(error) => {
            // A connection that breaks is most often the first sign of a death.
            let ended = tokio::time::timeout(DISCONNECT_GRACE, process.ended()).await.is_ok();
            process.destroy().await;
            let death = process.death().await;
            let kernel = spec.name.clone();
            Err(Failure::Error(match error {
                Some(error) if !ended => LaunchError::Connection { kernel, reason: error.to_string() },
                _ => LaunchError::Died { kernel, death },
            }))
        }
    }
}

fn start_process(plan: &Plan, connection: &Connection, directory: &PrivateDir) -> Result<Process, Failure> {
    let Plan { spec, options } = plan;
    if let Some(cwd) = options.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        return Err(Failure::Error(LaunchError::WorkingDirectory { path: cwd.clone() }));
    }
    let env = environment(spec, options);
    let mut extra = options.extra_arguments.clone();
    extra.extend(launcher::history_argument(spec, &extra));
    let mut command = spec.command(&connection.file, &extra, &env);
    if options.launcher == Launcher::Lossless {
        launcher::make_lossless(&mut command, spec, directory.path())
            .map_err(|source| Failure::Error(LaunchError::PrivateDirectory { source }))?;
    }
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let process = ProcessSpec {
        command,
        env: env.into_iter().collect(),
        cwd: options.cwd.clone(),
        sink: options.on_output.clone(),
    };
    Process::spawn(&process).map_err(|source| {
        let kernel = spec.name.clone();
        Failure::Error(if source.kind() == std::io::ErrorKind::NotFound {
            LaunchError::ProgramMissing { kernel, program, file: spec.dir.join("kernel.json") }
        } else {
            LaunchError::Spawn { kernel, program, source }
        })
    })
}

/// What the kernel inherits, what its kernelspec adds, what the caller sets, and who its parent is.
fn environment(spec: &Kernelspec, options: &LaunchOptions) -> HashMap<OsString, OsString> {
    let mut env = options.base_env.clone();
    // On macOS it would make another Python out of the kernel's.
    env.remove(std::ffi::OsStr::new("PYTHONEXECUTABLE"));
    let own = spec.filled_env(&env);
    env.extend(own);
    for (name, value) in &options.env {
        match value {
            Some(value) => env.insert(name.clone(), value.clone()),
            None => env.remove(name),
        };
    }
    env.insert("JPY_PARENT_PID".into(), std::process::id().to_string().into());
    env
}

/// Connects, and asks until the kernel has answered and its iopub is certain to reach us.
async fn converse(
    connection: &Connection,
    mut watch: DirectoryWatch,
    session: &Session,
    received: &mpsc::UnboundedSender<Received>,
    incoming: &mut mpsc::UnboundedReceiver<Received>,
    connected: &Cell<bool>,
) -> Result<(Links, Bytes), ZmqError> {
    let mut links = Links::default();
    for channel in Channel::ALL {
        let stream = connect(connection, channel, &mut watch).await;
        let kind = if channel == Channel::Iopub { SocketType::Sub } else { SocketType::Dealer };
        let (reader, mut writer) = zmq::handshake(stream, kind, &session.id).await?;
        if channel == Channel::Iopub {
            writer.subscribe("").await?;
            // Kernels that welcome subscribers do so for a topic they have not heard before, which "" may no longer
            // be. Topics are processed in order: a welcome to this one proves that "" is live.
            writer.subscribe(&format!("rnbexec-{}", session.id)).await?;
        }
        links.add(channel, reader, writer, received.clone());
    }
    connected.set(true);
    let info = await_readiness(session, &links, incoming).await?;
    Ok((links, info))
}

/// Connects as soon as the kernel listens.
async fn connect(connection: &Connection, channel: Channel, watch: &mut DirectoryWatch) -> zmq::Stream {
    let endpoints = connection.endpoints(channel);
    loop {
        let mut bound = false;
        for endpoint in &endpoints {
            match zmq::connect(endpoint).await {
                Ok(stream) => return stream,
                Err(error) => bound |= error.kind() != std::io::ErrorKind::NotFound,
            }
        }
        // No event tells when a bound socket begins to listen, which is microseconds later, nor when anybody listens
        // on a port.
        if bound {
            tokio::time::sleep(LOOK_AGAIN).await;
        } else {
            watch.changed().await;
        }
    }
}

async fn await_readiness(
    session: &Session,
    links: &Links,
    incoming: &mut mpsc::UnboundedReceiver<Received>,
) -> Result<Bytes, ZmqError> {
    let content = serde_json::to_vec(&KernelInfoRequest {}).expect("an empty struct is JSON");
    let ask = || {
        let frames =
            session.encode(&session.fresh_id(), "kernel_info_request", Bytes::new(), content.clone());
        links.send(Channel::Shell, frames);
    };
    let mut info = None;
    let mut iopub_is_live = false;
    ask();
    loop {
        let patience = if info.is_some() { IOPUB_LATE } else { ASK_AGAIN };
        match tokio::time::timeout(patience, incoming.recv()).await {
            Err(_) => ask(),
            Ok(None | Some(Received::Died(_))) => return Err(ZmqError::Closed),
            Ok(Some(Received::Frames(channel, frames))) => match (channel, session.decode(frames)) {
                (Channel::Shell, Ok(message)) if message.header.msg_type == "kernel_info_reply" => {
                    info = Some(message.content);
                }
                // Whatever comes proves that the subscription works: a welcome, the status of our request, …
                (Channel::Iopub, Ok(_)) => iopub_is_live = true,
                (_, Ok(_)) => {}
                (_, Err(error)) => tracing::warn!(?channel, %error, "dropped what the starting kernel sent"),
            },
        }
        if let Some(info) = info.take_if(|_| iopub_is_live) {
            return Ok(info);
        }
    }
}

/// How far the end of a kernel has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// It closed its channels; will it end by itself?
    Disconnected,
    /// It did not, and was killed for it.
    CutOff,
    Asked,
    Terminated,
    Killed,
}

/// How a kernel was made to stop.
struct Stop {
    phase: Phase,
    grace: Duration,
    deadline: Option<Instant>,
    done: Option<oneshot::Sender<Exit>>,
}

impl Stop {
    /// The deadline has passed: what to do to the process.
    fn escalate(&mut self, now: Instant) -> Signal {
        let (phase, signal, deadline) = match self.phase {
            Phase::Asked => (Phase::Terminated, Signal::Terminate, Some(now + self.grace / 2)),
            Phase::Disconnected => (Phase::CutOff, Signal::Kill, None),
            Phase::Serving | Phase::Terminated | Phase::Killed => (Phase::Killed, Signal::Kill, None),
            Phase::CutOff => (Phase::CutOff, Signal::Kill, None),
        };
        self.phase = phase;
        self.deadline = deadline;
        signal
    }

    fn manner(&self) -> ExitManner {
        match self.phase {
            Phase::Serving | Phase::Disconnected | Phase::CutOff => ExitManner::AlreadyDead,
            Phase::Asked => ExitManner::Asked,
            Phase::Terminated => ExitManner::Terminated,
            Phase::Killed => ExitManner::Killed,
        }
    }
}

/// Does what it is told until the process has ended.
async fn serve(
    running: &mut Running,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    interrupt_mode: InterruptMode,
) -> Stop {
    let Running { process, links, session, .. } = running;
    let mut stop = Stop { phase: Phase::Serving, grace: Duration::ZERO, deadline: None, done: None };
    let mut wanted = true;
    loop {
        let deadline = stop.deadline.unwrap_or_else(Instant::now);
        tokio::select! {
            _ = process.ended() => return stop,
            command = commands.recv(), if wanted => match command {
                Some(Command::Send(channel, frames)) => links.send(channel, frames),
                Some(Command::Interrupt) => match interrupt_mode {
                    InterruptMode::Signal => process.signal(Signal::Interrupt),
                    InterruptMode::Message => links.request(session, "interrupt_request", &InterruptRequest {}),
                },
                Some(Command::Shutdown { policy, done }) => {
                    stop.phase = Phase::Asked;
                    stop.grace = policy.grace;
                    stop.done = Some(done);
                    stop.deadline = Some(Instant::now() + policy.grace);
                    if policy.grace.is_zero() {
                        process.signal(Signal::Kill);
                        stop.phase = Phase::Killed;
                    } else {
                        links.request(session, "shutdown_request", &ShutdownRequest { restart: false });
                    }
                }
                Some(Command::Kill) => process.signal(Signal::Kill),
                None => {
                    wanted = false;
                    process.signal(Signal::Kill);
                }
            },
            Some(channel) = links.closed() => {
                let vital = matches!(channel, Channel::Shell | Channel::Iopub);
                if vital && stop.phase == Phase::Serving {
                    stop.phase = Phase::Disconnected;
                    stop.deadline = Some(Instant::now() + DISCONNECT_GRACE);
                }
            }
            () = tokio::time::sleep_until(deadline), if stop.deadline.is_some() => {
                let signal = stop.escalate(Instant::now());
                process.signal(signal);
            }
        }
    }
}

enum Outgoing {
    Message(Vec<Bytes>),
    Pong(Bytes),
}

/// The connected channels: for each, a task that only reads and one that only writes.
#[derive(Default)]
struct Links {
    writers: Vec<(Channel, mpsc::UnboundedSender<Outgoing>)>,
    readers: JoinSet<Channel>,
    /// Counts messages, to tell a slow stream from a silent one.
    progress: Arc<AtomicU64>,
}

impl Links {
    fn add(
        &mut self,
        channel: Channel,
        reader: zmq::Reader,
        writer: zmq::Writer,
        received: mpsc::UnboundedSender<Received>,
    ) {
        let (outgoing, outgoing_rx) = mpsc::unbounded_channel();
        self.writers.push((channel, outgoing.clone()));
        let progress = Arc::clone(&self.progress);
        self.readers.spawn(read(channel, reader, outgoing, received, progress));
        // Ends with the runtime, at the latest; an error of a socket shows at the reader too.
        tokio::spawn(write(channel, writer, outgoing_rx));
    }

    fn send(&self, channel: Channel, frames: Vec<Bytes>) {
        let writer = self.writers.iter().find(|(at, _)| *at == channel);
        if writer.is_none_or(|(_, writer)| writer.send(Outgoing::Message(frames)).is_err()) {
            tracing::debug!(?channel, "the channel is closed");
        }
    }

    /// A request on the control channel whose reply nobody needs.
    fn request(&self, session: &Session, msg_type: &str, content: &impl serde::Serialize) {
        let content = serde_json::to_vec(content).expect("requests of ours are plain data");
        self.send(Channel::Control, session.encode(&session.fresh_id(), msg_type, Bytes::new(), content));
    }

    /// The next channel that ends. Cancel-safe.
    async fn closed(&mut self) -> Option<Channel> {
        self.readers.join_next().await?.ok()
    }

    /// Reads what is left after the process's end.
    async fn drain(&mut self) {
        loop {
            let before = self.progress.load(Ordering::Relaxed);
            match tokio::time::timeout(SILENCE_AFTER_DEATH, self.readers.join_next()).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) if self.progress.load(Ordering::Relaxed) != before => {}
                Err(_) => return self.readers.abort_all(),
            }
        }
    }
}

async fn read(
    channel: Channel,
    mut reader: zmq::Reader,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    received: mpsc::UnboundedSender<Received>,
    progress: Arc<AtomicU64>,
) -> Channel {
    loop {
        match reader.next().await {
            Ok(zmq::Incoming::Message(frames)) => {
                progress.fetch_add(1, Ordering::Relaxed);
                // Nobody listens only when the kernel is about to be killed; reading on does no harm.
                if received.send(Received::Frames(channel, frames)).is_err() {
                    tracing::trace!(?channel, "a message that nobody waits for");
                }
            }
            Ok(zmq::Incoming::Command { name, body }) => {
                if name == "PING" && outgoing.send(Outgoing::Pong(body)).is_err() {
                    tracing::debug!(?channel, "cannot answer a ping");
                }
            }
            Err(error) => {
                tracing::debug!(?channel, %error, "the channel ended");
                return channel;
            }
        }
    }
}

async fn write(channel: Channel, mut writer: zmq::Writer, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(next) = outgoing.recv().await {
        let sent = match next {
            Outgoing::Message(frames) => writer.send(&frames).await,
            Outgoing::Pong(ping) => writer.pong(&ping).await,
        };
        if let Err(error) = sent {
            tracing::debug!(?channel, %error, "cannot send");
            return;
        }
    }
}

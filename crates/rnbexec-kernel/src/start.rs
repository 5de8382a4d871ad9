//! Starting a kernel: which transport, which command, and when it is ready.
//!
//! A kernel is ready when it has answered a `kernel_info_request` *and* a message of its iopub has reached us: before
//! that, its first outputs could be lost. No fixed time is waited for either.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::connection_info::Transport;
use jupyter_protocol::messaging::KernelInfoRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::connection::{Channel, Connection, PrivateDir};
use crate::contain::{self, Contained, Isolation, NotStarted, Part, Refusal, Restriction};
use crate::fork_server::{Birth, Descent, ForkServers, Seed};
use crate::kernel::{LaunchError, LaunchOptions};
use crate::kernelspec::Kernelspec;
use crate::launcher::{self, ForkCommand, Launcher};
use crate::links::{Links, Received};
use crate::process::{self, DirectoryWatch, LOOK_AGAIN, Process, ProcessSpec};
use crate::remains::{Registration, Remains};
use crate::wire::{self, Session};
use crate::zmq::{self, SocketType, ZmqError};

/// A free port may be taken before the kernel binds it; so often it is started again with others.
const PORT_TRIES: usize = 4;

/// How long a socket may be bound before it listens, where the kernel is not held up in between, and how often that is waited for.
const BIND_TO_LISTEN: Duration = Duration::from_micros(50);
const LOOKS_AT_ONCE: usize = 10;

/// A kernel that has not answered a `kernel_info_request` for so long may have lost it.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A kernel that has answered, and whose iopub stayed silent for so long, had not yet heard our subscription.
const IOPUB_LATE: Duration = Duration::from_millis(50);

/// A connection that breaks is most often the first sign of a death, which then follows within this time.
const DEATH_FOLLOWS: Duration = Duration::from_secs(2);

/// As long as any clock of ours reaches.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 30);

/// What to start, and how.
pub(crate) struct Plan {
    pub(crate) spec: Kernelspec,
    pub(crate) options: LaunchOptions,
    /// Where it may be forked instead of started.
    pub(crate) forks: Option<Forks>,
}

/// Where kernels are forked, and what is imported before.
#[derive(Clone)]
pub(crate) struct Forks {
    pub(crate) servers: ForkServers,
    /// Modules that the cells import.
    pub(crate) imports: Vec<String>,
}

/// A kernel that is ready, for whoever uses it.
pub(crate) struct Started {
    pub(crate) session: Session,
    pub(crate) received: mpsc::UnboundedReceiver<Received>,
    pub(crate) info: Bytes,
    pub(crate) pid: u32,
    /// If it was forked.
    pub(crate) descent: Option<Descent>,
    pub(crate) isolation: Option<Isolation>,
}

/// Where the outcome is awaited.
pub(crate) type Starting = oneshot::Sender<Result<Started, LaunchError>>;

/// A process, its sockets and its directory. Fields drop in this order: the process before its files.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) contained: Option<Contained>,
    pub(crate) links: Links,
    pub(crate) session: Session,
    pub(crate) received: mpsc::UnboundedSender<Received>,
    pub(crate) directory: PrivateDir,
    pub(crate) registration: Option<Registration>,
}

pub(crate) enum Failure {
    /// Nobody waits for the kernel any more.
    GivenUp,
    Error(LaunchError),
}

/// Tries the transports in turn, all within the start timeout.
pub(crate) async fn launch(plan: &Plan, started: &mut Starting) -> Result<(Running, Started), Failure> {
    let began = Instant::now();
    let deadline = began + plan.options.start_timeout.min(FOREVER);
    let mut transports = transports(plan)?.into_iter().peekable();
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

/// Without a network there is nothing but Unix sockets.
fn transports(plan: &Plan) -> Result<Vec<&'static Transport>, Failure> {
    let all = launcher::transports(&plan.spec).iter();
    if plan.options.containment.network == Part::Open {
        return Ok(all.collect());
    }
    let reachable: Vec<_> = all.filter(|transport| matches!(transport, Transport::IPC)).collect();
    if reachable.is_empty() {
        let reason =
            format!("the kernel {:?} talks over TCP only, by which it could not be reached", plan.spec.name);
        return Err(Failure::Error(LaunchError::Containment { restriction: Restriction::Network, reason }));
    }
    Ok(reachable)
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
    let Plan { spec, options, .. } = plan;
    // Declared before the directory, hence dropped after it.
    let registration;
    let no_place = |source| Failure::Error(LaunchError::PrivateDirectory { source });
    let directory =
        PrivateDir::create(options.runtime_dir.as_deref(), &options.base_env).map_err(no_place)?;
    let connection = Connection::create(directory.path(), transport.clone(), &spec.name).map_err(no_place)?;
    let watch = DirectoryWatch::new(directory.path());
    let mark = process::fresh_mark();
    let remains = Remains::new(mark.clone(), directory.path().to_path_buf());
    registration = options.registrar.as_ref().map(|register| register(&remains));
    let mut contained = contain::prepare(options).map_err(|refusal| refused(spec, String::new(), refusal))?;
    let (mut process, descent) = tokio::select! {
        made = make_process(plan, &connection, &directory, mark, until, contained.as_mut()) => made?,
        () = started.closed() => return Err(Failure::GivenUp),
    };
    let session = Session::new(&connection.info.key);
    let (received, mut received_rx) = mpsc::unbounded_channel();

    let connected = Cell::new(false);
    let outcome = tokio::select! {
        ready = converse(&connection, watch, &session, &received, &mut received_rx, &connected) => ready.map_err(Some),
        () = process.ended() => Err(None),
        () = exceeded(contained.as_mut()) => {
            process.destroy().await;
            Err(None)
        }
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
            let isolation = contained.as_ref().map(|contained| contained.isolation().clone());
            let pid = process.pid();
            let ready =
                Started { session: session.clone(), received: received_rx, info, pid, descent, isolation };
            Ok((Running { process, contained, links, session, received, directory, registration }, ready))
        }
        Err(error) => {
            let ended = tokio::time::timeout(DEATH_FOLLOWS, process.ended()).await.is_ok();
            process.destroy().await;
            let death = process.death().await;
            let death = match &contained {
                Some(contained) => contained.explain(death),
                None => death,
            };
            let kernel = spec.name.clone();
            Err(Failure::Error(match error {
                Some(error) if !ended => LaunchError::Connection { kernel, reason: error.to_string() },
                _ => LaunchError::Died { kernel, death },
            }))
        }
    }
}

/// Waits for the kernel to use more than it may; for ever if it may use what it likes. Cancel-safe.
pub(crate) async fn exceeded(contained: Option<&mut Contained>) {
    match contained {
        Some(contained) => contained.exceeded().await,
        None => std::future::pending().await,
    }
}

fn refused(spec: &Kernelspec, program: String, refusal: Refusal) -> Failure {
    let Refusal { restriction, reason, program_missing } = refusal;
    Failure::Error(if program_missing {
        LaunchError::ProgramMissing { kernel: spec.name.clone(), program, file: spec.dir.join("kernel.json") }
    } else {
        LaunchError::Containment { restriction, reason }
    })
}

/// Forks the kernel's process where that is wanted and can be had; starts it otherwise.
async fn make_process(
    plan: &Plan,
    connection: &Connection,
    directory: &PrivateDir,
    mark: String,
    until: Instant,
    contained: Option<&mut Contained>,
) -> Result<(Process, Option<Descent>), Failure> {
    let Plan { spec, options, forks } = plan;
    if let Some(cwd) = options.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        return Err(Failure::Error(LaunchError::WorkingDirectory { path: cwd.clone() }));
    }
    let env = environment(spec, options, contained.as_deref().and_then(Contained::scratch));
    let mut extra = options.extra_arguments.clone();
    extra.extend(launcher::history_argument(spec, &extra));
    let command = spec.command(&connection.file, &extra, &env);
    if contained.is_none()
        && let Some(forks) = forks.as_ref().filter(|_| options.launcher == Launcher::Lossless)
        && let Some((process, descent)) = fork_process(plan, forks, &command, &env, &mark, until).await
    {
        return Ok((process, Some(descent)));
    }
    let starting = start_process(plan, command, env, directory, mark, contained);
    match tokio::time::timeout_at(until, starting).await {
        Ok(process) => Ok((process?, None)),
        // Only what is contained is waited for.
        Err(_) => Err(Failure::Error(LaunchError::Containment {
            restriction: Restriction::Everything,
            reason: "the program that is to contain it does not come to an end".to_owned(),
        })),
    }
}

/// `None` where it cannot be forked: why is nobody's concern but a developer's, as it is then started.
async fn fork_process(
    plan: &Plan,
    forks: &Forks,
    command: &[OsString],
    env: &HashMap<OsString, OsString>,
    mark: &str,
    until: Instant,
) -> Option<(Process, Descent)> {
    let Plan { spec, options, .. } = plan;
    let (server, arguments) = ForkCommand::of(spec, command)?;
    let seed = Seed {
        command: server,
        environment: env.clone(),
        preload: launcher::preload(spec),
        imports: forks.imports.clone(),
        runtime_dir: options.runtime_dir.clone(),
    };
    let variables = vec![(process::MARK.to_owned(), mark.to_owned())];
    let registrar = options.registrar.clone();
    let birth = Birth { arguments, cwd: options.cwd.clone(), variables, registrar };
    // A server that does not come up leaves time for a plain start.
    let patience = until.saturating_duration_since(Instant::now()) / 2;
    match forks.servers.fork(&seed, &birth, patience).await {
        Ok((forked, descent)) => {
            Some((Process::adopt(forked, mark.to_owned(), options.on_output.clone()), descent))
        }
        Err(error) => {
            tracing::debug!(kernel = spec.name, %error, "not forked, starting it plainly");
            None
        }
    }
}

async fn start_process(
    plan: &Plan,
    mut command: Vec<OsString>,
    env: HashMap<OsString, OsString>,
    directory: &PrivateDir,
    mark: String,
    contained: Option<&mut Contained>,
) -> Result<Process, Failure> {
    let Plan { spec, options, .. } = plan;
    if options.launcher == Launcher::Lossless {
        launcher::make_lossless(&mut command, spec, directory.path())
            .map_err(|source| Failure::Error(LaunchError::PrivateDirectory { source }))?;
    }
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let mut process = ProcessSpec {
        command,
        env: env.clone().into_iter().collect(),
        cwd: options.cwd.clone(),
        sink: options.on_output.clone(),
        stdin: None,
        mark,
    };
    let source = match contained {
        None => match Process::spawn(&mut process) {
            Ok(process) => return Ok(process),
            Err(source) => source,
        },
        Some(contained) => {
            let request = contain::Request {
                command: std::mem::take(&mut process.command),
                env: &env,
                channels: directory.path(),
                kernelspec: &spec.dir,
            };
            match contained.spawn(request, process).await {
                Ok(process) => return Ok(process),
                Err(NotStarted::Refused(refusal)) => return Err(refused(spec, program, refusal)),
                Err(NotStarted::NotRun(error)) => {
                    let (restriction, reason) =
                        (Restriction::Everything, format!("running the program for it: {error}"));
                    return Err(Failure::Error(LaunchError::Containment { restriction, reason }));
                }
            }
        }
    };
    let kernel = spec.name.clone();
    Err(Failure::Error(if source.kind() == std::io::ErrorKind::NotFound {
        LaunchError::ProgramMissing { kernel, program, file: spec.dir.join("kernel.json") }
    } else {
        LaunchError::Spawn { kernel, program, source }
    }))
}

/// What the kernel inherits, what its kernelspec adds, what the caller sets, and who its parent is.
fn environment(
    spec: &Kernelspec,
    options: &LaunchOptions,
    scratch: Option<&std::path::Path>,
) -> HashMap<OsString, OsString> {
    let policy = &options.containment;
    let mut env = contain::environment(&options.base_env, &policy.variables, policy.files, scratch);
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
    let mut connect = async |channel| (channel, connect(connection, channel, &mut watch).await);
    let [shell, iopub, stdin, control] = Channel::ALL;
    let (shell, iopub) = (connect(shell).await, connect(iopub).await);
    let (stdin, control) = (connect(stdin).await, connect(control).await);
    // All at once: on a busy machine each answer of the kernel takes its time.
    let greet = |(channel, stream)| greet(channel, stream, session);
    let (shell, iopub, stdin, control) =
        tokio::try_join!(greet(shell), greet(iopub), greet(stdin), greet(control))?;
    let mut links = Links::default();
    for (channel, reader, writer) in [shell, iopub, stdin, control] {
        links.add(channel, reader, writer, received.clone());
    }
    connected.set(true);
    let info = await_readiness(session, &links, incoming).await?;
    Ok((links, info))
}

/// Connects as soon as the kernel listens.
async fn connect(connection: &Connection, channel: Channel, watch: &mut DirectoryWatch) -> zmq::Stream {
    let endpoints = connection.endpoints(channel);
    let mut looks_at_once = LOOKS_AT_ONCE;
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
        if !bound {
            watch.changed().await;
        } else if looks_at_once > 0 {
            looks_at_once -= 1;
            // Shorter than any timer; this thread has nothing else to do.
            std::thread::sleep(BIND_TO_LISTEN);
        } else {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

async fn greet(
    channel: Channel,
    stream: zmq::Stream,
    session: &Session,
) -> Result<(Channel, zmq::Reader, zmq::Writer), ZmqError> {
    let kind = if channel == Channel::Iopub { SocketType::Sub } else { SocketType::Dealer };
    let (reader, mut writer) = zmq::handshake(stream, kind, &session.id).await?;
    if channel == Channel::Iopub {
        writer.subscribe("").await?;
        // Kernels that welcome subscribers do so for a topic they have not heard before, which "" may no longer be.
        // Topics are processed in order: a welcome to this one proves that "" is live.
        writer.subscribe(&format!("rnbexec-{}", session.id)).await?;
    }
    Ok((channel, reader, writer))
}

async fn await_readiness(
    session: &Session,
    links: &Links,
    incoming: &mut mpsc::UnboundedReceiver<Received>,
) -> Result<Bytes, ZmqError> {
    let content = serde_json::to_vec(&KernelInfoRequest {}).expect("an empty struct is JSON");
    let ask = || {
        let frames = session.encode(&wire::fresh_id(), "kernel_info_request", Bytes::new(), content.clone());
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

//! A fork server's process, its thread, and what they say to each other (see `fork_server.py`).
//!
//! Each server lives on a thread of its own, since a child dies with the *thread* that made it. It ends when nobody can ask it
//! for kernels any more and the last of its kernels is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Birth, NotForked, Seed};
use crate::connection::PrivateDir;
use crate::launcher;
use crate::process::{self, DEATH_BY_KILL, MARK, isolate};
use crate::remains::{Registrar, Remains};

/// What a server answers is not longer than this.
const LONGEST_ANSWER: usize = 64 << 10;

/// How long a server that is ready may take over one fork, or one look at what has changed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after the end of a kernel its server may take to tell how it ended.
const TOLD_AFTER_DEATH: Duration = Duration::from_secs(5);

/// Where a server's stderr goes.
const LAST_WORDS: &str = "stderr";

/// What the server's thread is asked.
enum Ask {
    Fork { birth: String, outputs: [OwnedFd; 2], answer: oneshot::Sender<Result<Born, NotForked>> },
    Check { question: String, answer: oneshot::Sender<Result<(), NotForked>> },
    Reap { pid: u32 },
}

/// A process as the server's thread hands it out.
struct Born {
    pid: u32,
    ended: watch::Receiver<Option<ExitStatus>>,
}

/// A server that starts, is ready or has failed. Dropping the last handle ends it and every kernel that it forked.
#[derive(Debug)]
pub(super) struct Server {
    asks: mpsc::UnboundedSender<Ask>,
    /// Whether kernels can be forked; it closes when the server has ended.
    ready: watch::Receiver<bool>,
    began: Instant,
    /// Held so that the thread's end can be waited for.
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.asks = closed;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It kills and reaps, which waits for nothing but the operating system.
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of a fork server panicked");
        }
    }
}

impl Server {
    /// Begins to start one, which goes on whoever waits for it.
    pub(super) fn start(seed: &Seed, registrar: Option<Registrar>) -> io::Result<Self> {
        let (asks, asks_rx) = mpsc::unbounded_channel();
        let (ready, ready_rx) = watch::channel(false);
        let seed = seed.clone();
        let thread = std::thread::Builder::new()
            .name("fork-server".to_owned())
            .spawn(move || run(&seed, registrar.as_ref(), asks_rx, ready))?;
        Ok(Self { asks, ready: ready_rx, began: Instant::now(), thread: Mutex::new(Some(thread)) })
    }

    /// Waits until kernels can be forked, and no longer than until it is `patience` old.
    pub(super) async fn ready(&self, patience: Duration) -> Result<(), NotForked> {
        let mut ready = self.ready.clone();
        match tokio::time::timeout_at(self.began + patience, ready.wait_for(|&ready| ready)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(NotForked::NoServer),
            Err(_) => Err(NotForked::Late),
        }
    }

    pub(super) async fn fork(self: &Arc<Self>, birth: &Birth) -> Result<Forked, NotForked> {
        let variables: serde_json::Map<_, _> =
            birth.variables.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let cwd = text(birth.cwd.as_deref())?;
        let birth = serde_json::json!({"arguments": birth.arguments, "cwd": cwd, "variables": variables});
        let ((stdout, stdout_write), (stderr, stderr_write)) = (output_pipe()?, output_pipe()?);
        let outputs = [stdout_write, stderr_write];
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Fork { birth: birth.to_string(), outputs, answer };
        let Born { pid, ended } = self.ask(ask, answered).await?;
        Ok(Forked {
            server: Arc::clone(self),
            pid,
            process: descriptor(pid),
            ended,
            outputs: Some([stdout, stderr]),
        })
    }

    /// Whether a kernel in this directory that was forked before could be forked now.
    pub(super) async fn check(&self, cwd: Option<&Path>) -> Result<(), NotForked> {
        let (answer, answered) = oneshot::channel();
        let question = serde_json::json!({"cwd": text(cwd)?});
        self.ask(Ask::Check { question: question.to_string(), answer }, answered).await
    }

    async fn ask<T>(
        &self,
        ask: Ask,
        answered: oneshot::Receiver<Result<T, NotForked>>,
    ) -> Result<T, NotForked> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.asks.send(ask).map_err(|_| gone())?;
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, answered).await;
        answered.map_err(io::Error::from)?.map_err(|_| gone())?
    }
}

/// A working directory as JSON can name it.
fn text(cwd: Option<&Path>) -> io::Result<Option<&str>> {
    cwd.map(|cwd| cwd.to_str().ok_or(io::ErrorKind::InvalidFilename.into())).transpose()
}

/// A pipe for what a kernel writes: our end for this thread's event loop, and the kernel's.
fn output_pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((Receiver::from_owned_fd(ours)?, theirs))
}

/// A descriptor of a process that is not reaped, for this thread's event loop; `None` where the system has none.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types whose descriptor may change; OwnedFd's cannot"
)]
fn descriptor(pid: u32) -> Option<AsyncFd<OwnedFd>> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let opened = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from).and_then(AsyncFd::new);
    opened
        .inspect_err(|error| tracing::debug!(%error, "a forked kernel's end is known from its server only"))
        .ok()
}

/// A process that a server has forked. Dropping it kills and reaps it.
pub(crate) struct Forked {
    server: Arc<Server>,
    pid: u32,
    /// It is readable when the process has ended.
    process: Option<AsyncFd<OwnedFd>>,
    /// How it ended, from its server.
    ended: watch::Receiver<Option<ExitStatus>>,
    outputs: Option<[Receiver; 2]>,
}

impl Forked {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its stdout and stderr, once.
    pub(crate) fn outputs(&mut self) -> Option<[Receiver; 2]> {
        self.outputs.take()
    }

    /// Waits for its end. It is not reaped yet: its id stays its own until this is dropped. Cancel-safe.
    ///
    /// # Errors
    /// It has ended, and its server does not say how.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let told = self.ended.wait_for(Option::is_some);
        let untold = async {
            match &self.process {
                Some(process) => drop(process.readable().await),
                None => std::future::pending().await,
            }
            tokio::time::sleep(TOLD_AFTER_DEATH).await;
        };
        tokio::select! {
            biased;
            told = told => match told {
                Ok(status) => Ok((*status).unwrap_or_default()),
                // The server is gone, and its kernels die with it.
                Err(_) => Ok(ExitStatus::from_raw(rustix::process::Signal::KILL.as_raw())),
            },
            () = untold => Err(io::Error::new(io::ErrorKind::TimedOut, "its fork server does not answer")),
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.server.asks.send(Ask::Reap { pid: self.pid }).is_err() {
            tracing::debug!(pid = self.pid, "the fork server of a kernel was gone before it");
        }
    }
}

// -- the server's own thread

fn run(
    seed: &Seed,
    registrar: Option<&Registrar>,
    asks: mpsc::UnboundedReceiver<Ask>,
    ready: watch::Sender<bool>,
) {
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Err(error) = served.and_then(|runtime| runtime.block_on(serve(seed, registrar, asks, ready))) {
        tracing::debug!(%error, "a fork server ended");
    }
}

async fn serve(
    seed: &Seed,
    registrar: Option<&Registrar>,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    ready: watch::Sender<bool>,
) -> io::Result<()> {
    // Fields of a process drop in order: it before its script.
    let mark = process::fresh_mark();
    let directory = PrivateDir::create(seed.runtime_dir.as_deref(), &seed.environment);
    // Declared before the directory, hence dropped after it.
    let _registration = directory.as_ref().ok().and_then(|directory| {
        let remains = Remains::new(mark.clone(), directory.path().to_path_buf());
        registrar.map(|register| register(&remains))
    });
    let directory = directory?;
    let Opened { mut child, socket, mut last_words } = open(seed, &directory, &mark)?;
    let mut directory = Some(directory);
    let ended = converse(&socket, &mut asks, &ready, &mut directory).await;
    drop(socket);
    if let Err(error) = child.start_kill() {
        tracing::trace!(%error, "a fork server has ended by itself");
    }
    if tokio::time::timeout(DEATH_BY_KILL, child.wait()).await.is_err() {
        tracing::warn!("a fork server does not end though it was killed");
    }
    // What the modules started that it imported, and kernels that were not yet told from it.
    process::kill_marked(&mark);
    let mut words = Vec::new();
    last_words.rewind()?;
    last_words.read_to_end(&mut words)?;
    let words = String::from_utf8_lossy(&words);
    ended.map_err(|error: io::Error| {
        let last = words.trim().lines().last().unwrap_or("it said nothing");
        io::Error::new(error.kind(), format!("{error}; {last}"))
    })
}

/// Asks the server what it is asked for, and hands out its answers, until nobody can ask any more. The directory with its script is
/// removed once that is read.
async fn converse(
    socket: &AsyncFd<OwnedFd>,
    asks: &mut mpsc::UnboundedReceiver<Ask>,
    ready: &watch::Sender<bool>,
    directory: &mut Option<PrivateDir>,
) -> io::Result<()> {
    let mut births: HashMap<u64, oneshot::Sender<Result<Born, NotForked>>> = HashMap::new();
    let mut checks: HashMap<u64, oneshot::Sender<Result<(), NotForked>>> = HashMap::new();
    let mut kernels: HashMap<u32, watch::Sender<Option<ExitStatus>>> = HashMap::new();
    let mut next_id = 0_u64;
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                // Nobody can ask any more, and each kernel held on to the server.
                None => return Ok(()),
                Some(Ask::Reap { pid }) => {
                    kernels.remove(&pid);
                    send(socket, serde_json::json!({"reap": pid}).to_string(), &[]).await?;
                }
                Some(Ask::Fork { birth, outputs, answer }) => {
                    next_id += 1;
                    births.insert(next_id, answer);
                    send(socket, with_id(next_id, &birth), &outputs).await?;
                }
                Some(Ask::Check { question, answer }) => {
                    next_id += 1;
                    checks.insert(next_id, answer);
                    send(socket, with_id(next_id, &question), &[]).await?;
                }
            },
            message = receive(socket) => match message {
                Ok(Some(Said::Ready { left_out })) => {
                    for (module, reason) in left_out {
                        tracing::debug!(module, reason, "not imported before kernels are forked");
                    }
                    // The script is read: a crash of ours from here on leaves no files.
                    drop(directory.take());
                    ready.send_replace(true);
                }
                Ok(Some(Said::Born { id, pid })) => {
                    let (end, ended) = watch::channel(None);
                    kernels.insert(pid, end);
                    let waiting = births.remove(&id);
                    if waiting.is_none_or(|waiting| waiting.send(Ok(Born { pid, ended })).is_err()) {
                        // Nobody waits for it any more.
                        kernels.remove(&pid);
                        send(socket, serde_json::json!({"reap": pid}).to_string(), &[]).await?;
                    }
                }
                Ok(Some(Said::Fits { id })) => {
                    if checks.remove(&id).is_some_and(|waiting| waiting.send(Ok(())).is_err()) {
                        tracing::trace!("nobody waited to hear that a kernel fits");
                    }
                }
                Ok(Some(Said::Misfit { id, why })) => {
                    let told = match (births.remove(&id), checks.remove(&id)) {
                        (Some(waiting), _) => waiting.send(Err(why)).is_ok(),
                        (None, Some(waiting)) => waiting.send(Err(why)).is_ok(),
                        (None, None) => false,
                    };
                    if !told {
                        tracing::trace!("nobody waited for a fork that cannot be");
                    }
                }
                Ok(Some(Said::Ended { pid, status })) => {
                    if let Some(kernel) = kernels.get(&pid) {
                        kernel.send_replace(Some(status));
                    }
                }
                Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error),
            },
        }
    }
}

/// A server's process, our end of its socket, and what it writes to stderr.
struct Opened {
    child: tokio::process::Child,
    socket: AsyncFd<OwnedFd>,
    last_words: File,
}

/// Starts the server's process; its standard input is our socket.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types whose descriptor may change; OwnedFd's cannot"
)]
fn open(seed: &Seed, directory: &PrivateDir, mark: &str) -> io::Result<Opened> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::io::ioctl_fionbio(&theirs, false)?;
    let words = directory.path().join(LAST_WORDS);
    let last_words = File::options().read(true).append(true).create_new(true).open(words)?;
    let script = launcher::write_fork_server(directory.path())?;
    let options = serde_json::json!({"preload": seed.preload, "imports": seed.imports});
    let mut command = Command::new(&seed.command.program);
    command
        .args(&seed.command.options)
        .arg(script)
        .arg(options.to_string())
        .env_clear()
        .envs(&seed.environment)
        .env(MARK, mark)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::from(last_words.try_clone()?))
        .kill_on_drop(true);
    isolate(&mut command);
    Ok(Opened { child: command.spawn()?, socket: AsyncFd::new(ours)?, last_words })
}

/// A question, which is a JSON object, with the number that its answer will bear.
fn with_id(id: u64, question: &str) -> String {
    format!("{{\"id\":{id},{}", question.trim_start_matches('{'))
}

/// What a server says.
enum Said {
    Ready { left_out: Vec<(String, String)> },
    Born { id: u64, pid: u32 },
    Fits { id: u64 },
    Misfit { id: u64, why: NotForked },
    Ended { pid: u32, status: ExitStatus },
}

impl Said {
    fn parse(message: &[u8]) -> io::Result<Self> {
        let message: serde_json::Value = serde_json::from_slice(message)?;
        let number = |name: &str| message.get(name).and_then(serde_json::Value::as_u64);
        let text = |name: &str| message.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let pid = number("pid").and_then(|pid| u32::try_from(pid).ok());
        let status = message.get("status").and_then(serde_json::Value::as_i64);
        if let (Some(pid), Some(status)) = (pid, status.and_then(|status| i32::try_from(status).ok())) {
            return Ok(Self::Ended { pid, status: ExitStatus::from_raw(status) });
        }
        if let Some(id) = number("id") {
            return Ok(match (pid, text("stale"), text("refused")) {
                (Some(pid), _, _) => Self::Born { id, pid },
                (None, Some(file), _) => Self::Misfit { id, why: NotForked::Stale { file } },
                (None, None, Some(reason)) => Self::Misfit { id, why: NotForked::Refused { reason } },
                (None, None, None) => Self::Fits { id },
            });
        }
        let left_out = message.get("left_out").and_then(serde_json::Value::as_object);
        let left_out = left_out.ok_or(io::ErrorKind::InvalidData)?;
        let reason = |reason: &serde_json::Value| reason.as_str().unwrap_or_default().to_owned();
        Ok(Self::Ready { left_out: left_out.iter().map(|(name, why)| (name.clone(), reason(why))).collect() })
    }
}

/// The next message; `None` at the end. Cancel-safe: a message is taken whole or not at all.
async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<Said>> {
    let mut buffer = vec![0; LONGEST_ANSWER];
    loop {
        let mut readable = socket.readable().await?;
        match readable.try_io(|socket| Ok(net::recv(socket, &mut buffer, RecvFlags::empty())?)) {
            Ok(received) => {
                let (length, _) = received?;
                return if length == 0 { Ok(None) } else { Said::parse(&buffer[..length]).map(Some) };
            }
            Err(_would_block) => {}
        }
    }
}

/// Sends a message; fails if the server does not take it in time.
async fn send(socket: &AsyncFd<OwnedFd>, message: String, descriptors: &[OwnedFd]) -> io::Result<()> {
    let sending = send_at_leisure(socket, message, descriptors);
    tokio::time::timeout(ANSWER_TIMEOUT, sending).await.map_err(io::Error::from)?
}

async fn send_at_leisure(
    socket: &AsyncFd<OwnedFd>,
    message: String,
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    loop {
        let mut writable = socket.writable().await?;
        let sent = writable.try_io(|socket| {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut ancillary = net::SendAncillaryBuffer::new(&mut space);
            if !borrowed.is_empty() && !ancillary.push(net::SendAncillaryMessage::ScmRights(&borrowed)) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            let parts = [io::IoSlice::new(message.as_bytes())];
            Ok(net::sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        if let Ok(sent) = sent {
            sent?;
            return Ok(());
        }
    }
}

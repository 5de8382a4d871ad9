//! The kernel's process: started in a session of its own, its output read for ever, its end explained.
//!
//! Invariants: a kernel's stdout and stderr are pipes of ours and never our own; signals go to the whole process group
//! and never after its leader is gone, save the last SIGKILL to whatever the leader left behind; dropping a
//! [`Process`] kills the group.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::death::{DeathCause, KernelDeath};
use crate::fork_server::Forked;

#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "process/portable.rs"]
mod system;

#[cfg(unix)]
#[path = "process/unix.rs"]
mod group;
#[cfg(not(unix))]
#[path = "process/windows.rs"]
mod group;

#[cfg(target_os = "linux")]
pub(crate) use group::isolate;
#[cfg(target_os = "linux")]
pub(crate) use group::keep_descriptors;
pub(crate) use system::{DirectoryWatch, reap};

/// How much of the end of stderr is kept to explain a death.
const STDERR_TAIL: usize = 8 << 10;

/// How long to wait before looking again for a socket where no event tells of it.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How long output may stay silent after the process has ended before we stop waiting for more: something that
/// left the group may hold the pipe open for ever.
const SILENCE_AFTER_DEATH: Duration = Duration::from_millis(200);

/// How long a process may be there after its SIGKILL before it is looked whether something that it started holds on to it; and as long
/// again before it is left to itself: one that waits for a file system or a driver that never answers cannot be killed.
pub(crate) const DEATH_BY_KILL: Duration = Duration::from_secs(5);

/// How long in all the output of a process that has ended is read: what left the group may also write for ever.
const OUTPUT_AFTER_DEATH: Duration = Duration::from_secs(2);

/// Which stream of a kernel's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Receives what the kernel's process itself writes, chunk by chunk as it comes. Called on the kernel's own
/// thread, which also reads its channels: it must not block.
pub type OutputSink = Arc<dyn Fn(OutputStream, &[u8]) + Send + Sync>;

/// A signal to a kernel's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    Kill,
}

/// A variable in the environment of a kernel and of all it starts, by which they are found wherever they went.
pub(crate) const MARK: &str = "RNBEXEC_KERNEL";

/// What to start.
pub(crate) struct ProcessSpec {
    pub(crate) command: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) sink: Option<OutputSink>,
    /// Its standard input; empty if `None`.
    pub(crate) stdin: Option<Stdin>,
    /// What the variable [`MARK`] is to say.
    pub(crate) mark: String,
}

/// What a process may read from.
#[cfg(unix)]
pub(crate) type Stdin = std::os::fd::OwnedFd;
#[cfg(not(unix))]
pub(crate) type Stdin = std::fs::File;

/// Kills every process that bears a mark.
pub(crate) fn kill_marked(mark: &str) {
    system::kill_marked(MARK, mark);
}

/// A mark for a process that is about to be made.
pub(crate) fn fresh_mark() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The process itself: a child of ours or, where kernels are forked, of a fork server.
enum Leader {
    Spawned(Child),
    Forked(Forked),
}

impl Leader {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Spawned(child) => child.wait().await,
            Self::Forked(forked) => forked.wait().await,
        }
    }

    fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::Spawned(child) => child.start_kill(),
            // It leads its group since before we heard of it, and that has been signalled.
            Self::Forked(_) => Ok(()),
        }
    }
}

/// How a process ended; `None` if that could not be learned.
type End = Option<ExitStatus>;

/// A running (or ended) kernel process.
pub(crate) struct Process {
    leader: Leader,
    pid: u32,
    /// What the variable [`MARK`] says in this process and in all it starts.
    mark: String,
    /// Once it has ended.
    end: Option<End>,
    /// When it was first sent a SIGKILL of ours, which may be what ended it.
    killed: Option<Instant>,
    oom: system::OomWatch,
    output: JoinSet<()>,
    tail: Arc<Mutex<Vec<u8>>>,
    /// Counts chunks, to tell a slow stream from a silent one.
    progress: Arc<AtomicU64>,
}

impl Process {
    /// Starts the process. Must be called on the kernel's own thread: on Linux the process dies with the thread that
    /// made it.
    pub(crate) fn spawn(spec: &mut ProcessSpec) -> io::Result<Self> {
        let (program, arguments) = spec.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mark = spec.mark.clone();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .env(MARK, &mark)
            .stdin(spec.stdin.take().map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(cwd) = &spec.cwd {
            command.current_dir(cwd);
        }
        group::isolate(&mut command);
        let oom = system::OomWatch::begin();
        let mut child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let outputs = (child.stdout.take(), child.stderr.take());
        Ok(Self::watch(Leader::Spawned(child), pid, mark, oom, outputs, spec.sink.clone()))
    }

    /// Watches over a process that a fork server made, with `mark` in its environment.
    pub(crate) fn adopt(mut forked: Forked, mark: String, sink: Option<OutputSink>) -> Self {
        let pid = forked.pid();
        let outputs =
            forked.outputs().map(|[stdout, stderr]| (Some(stdout), Some(stderr))).unwrap_or_default();
        Self::watch(Leader::Forked(forked), pid, mark, system::OomWatch::begin(), outputs, sink)
    }

    fn watch(
        leader: Leader,
        pid: u32,
        mark: String,
        oom: system::OomWatch,
        (stdout, stderr): (
            Option<impl AsyncRead + Unpin + Send + 'static>,
            Option<impl AsyncRead + Unpin + Send + 'static>,
        ),
        sink: Option<OutputSink>,
    ) -> Self {
        let (tail, progress) = (Arc::default(), Arc::default());
        let mut output = JoinSet::new();
        let reader = Reader { sink, tail: Arc::clone(&tail), progress: Arc::clone(&progress) };
        if let Some(stdout) = stdout {
            output.spawn(reader.clone().read(OutputStream::Stdout, stdout));
        }
        if let Some(stderr) = stderr {
            output.spawn(reader.read(OutputStream::Stderr, stderr));
        }
        Self { leader, pid, mark, end: None, killed: None, oom, output, tail, progress }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The variable, as `NAME=value`, that this process and all it starts have.
    pub(crate) fn mark(&self) -> String {
        format!("{MARK}={}", self.mark)
    }

    /// Waits for the end of the process; then whatever it left in its group is killed, and on Linux also what went into
    /// a session of its own. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        if self.end.is_some() {
            return;
        }
        let end = tokio::select! {
            biased;
            end = self.leader.wait() => end,
            () = outlived(self.killed, DEATH_BY_KILL, || kill_marked(&self.mark)) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end though it was killed"))
            }
        };
        // Or someone else reaps our children, or a fork server hangs.
        let end = end
            .inspect_err(|error| tracing::warn!(pid = self.pid, %error, "cannot learn how the kernel ended"));
        self.end = Some(end.ok());
        // Reaped this instant, or not yet if it was forked: the id of the group cannot have been given to another one.
        group::signal(self.pid, Signal::Kill);
        kill_marked(&self.mark);
    }

    /// Sends a signal to the process and all that share its group, unless it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.end.is_none() {
            if signal == Signal::Kill {
                self.killed.get_or_insert_with(Instant::now);
            }
            group::signal(self.pid, signal);
            if signal == Signal::Kill
                && let Err(error) = self.leader.kill()
            {
                tracing::debug!(pid = self.pid, %error, "the kernel is gone already");
            }
        }
    }

    /// Kills and reaps.
    pub(crate) async fn destroy(&mut self) {
        self.signal(Signal::Kill);
        self.ended().await;
    }

    /// Why the process ended; to be asked after [`Process::ended`]. Waits for the rest of its output, as long as
    /// any comes.
    pub(crate) async fn death(&mut self) -> KernelDeath {
        self.drain_output().await;
        let cause = self.end.flatten().map_or(DeathCause::Unknown, |status| {
            let cause = group::cause(status);
            let by_others = cause == DeathCause::KILLED && self.killed.is_none();
            by_others
                .then(|| self.oom.evidence())
                .flatten()
                .map_or(cause, |evidence| DeathCause::OutOfMemory { limit: None, evidence })
        });
        KernelDeath { cause, stderr_tail: self.stderr_tail() }
    }

    /// The last lines of stderr so far.
    pub(crate) fn stderr_tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = tail.len().saturating_sub(STDERR_TAIL);
        let kept = String::from_utf8_lossy(&tail[skipped..]);
        // Half a line is half of what is not to be shown, perhaps.
        let kept = if skipped == 0 { &kept } else { kept.split_once('\n').map_or("", |(_, lines)| lines) };
        kept.trim_end().to_owned()
    }

    async fn drain_output(&mut self) {
        let until_silence = join_until_silence(&mut self.output, &self.progress, SILENCE_AFTER_DEATH);
        if tokio::time::timeout(OUTPUT_AFTER_DEATH, until_silence).await.is_err() {
            self.output.abort_all();
        }
    }
}

/// Waits until something that was killed then has had its time twice over, and after the first `frees` it of what may hold it. For
/// ever if it was not killed.
async fn outlived(killed: Option<Instant>, time: Duration, free: impl FnOnce()) {
    let Some(killed) = killed else { return std::future::pending().await };
    tokio::time::sleep_until(killed + time).await;
    free();
    tokio::time::sleep_until(killed + time * 2).await;
}

/// Joins readers that count their progress, until all have ended or none of them has made any for so long; those are then
/// aborted.
pub(crate) async fn join_until_silence<T: 'static>(
    readers: &mut JoinSet<T>,
    progress: &AtomicU64,
    silence: Duration,
) {
    loop {
        let before = progress.load(Ordering::Relaxed);
        match tokio::time::timeout(silence, readers.join_next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) if progress.load(Ordering::Relaxed) != before => {}
            Err(_) => return readers.abort_all(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only on a panic is the process still there; tokio then reaps the leader.
        self.signal(Signal::Kill);
    }
}

#[derive(Clone)]
struct Reader {
    sink: Option<OutputSink>,
    tail: Arc<Mutex<Vec<u8>>>,
    progress: Arc<AtomicU64>,
}

impl Reader {
    async fn read(self, stream: OutputStream, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 16 << 10];
        // An error of a pipe is its end, like EOF.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            let bytes = &chunk[..length];
            self.progress.fetch_add(1, Ordering::Relaxed);
            if stream == OutputStream::Stderr {
                self.keep(bytes);
            }
            if let Some(sink) = &self.sink {
                sink(stream, bytes);
            }
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(bytes);
        // Cut seldom, so that keeping costs little: `stderr_tail` cuts to the exact length.
        if tail.len() > 4 * STDERR_TAIL {
            let surplus = tail.len() - STDERR_TAIL;
            tail.drain(..surplus);
        }
    }
}

//! One run of a program: how long it took, and how much memory it had at most.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the memory of a program is looked at. The system keeps the peak: only what it grows by after the last look is missed.
const LOOK: Duration = Duration::from_millis(5);

/// A run of a program that succeeded.
pub(crate) struct Done {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// The peak of its own resident memory (`VmHWM`), its children not counted, in KiB.
    pub(crate) peak_kib: Option<u64>,
    /// All of its standard output.
    pub(crate) stdout: String,
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be run or fails, with what it said.
pub(crate) fn run(command: &mut Command) -> Done {
    let what = format!("{command:?}");
    // Files, so that nobody has to read along.
    let (mut stdout, mut stderr) = (scratch_file(), scratch_file());
    command.stdin(Stdio::null()).stdout(handle(&stdout)).stderr(handle(&stderr));
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {what}: {e}"));
    let pid = child.id();
    let over = AtomicBool::new(false);
    let (status, wall, peak_kib) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = None;
            while !over.load(Ordering::Relaxed) {
                peak = peak_memory(pid).or(peak);
                thread::sleep(LOOK);
            }
            peak
        });
        let status = child.wait();
        let wall = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (status, wall, watcher.join().expect("the watcher only reads a file"))
    });
    let status = status.unwrap_or_else(|e| panic!("cannot wait for {what}: {e}"));
    assert!(status.success(), "{what}: {status}\n{}{}", content(&mut stdout), content(&mut stderr));
    Done { wall, peak_kib, stdout: content(&mut stdout) }
}

fn scratch_file() -> File {
    tempfile::tempfile().expect("a temporary file can be made")
}

fn handle(file: &File) -> Stdio {
    file.try_clone().expect("a handle can be doubled").into()
}

fn content(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file of ours is readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `None` once it has ended, and on systems without `/proc`.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

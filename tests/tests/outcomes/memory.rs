//! A kernel that is killed for lack of memory, and that this is found out and said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rnbexec_tests::program::Done;
use rnbexec_tests::{Book, FakeKernel, Scratch, finish, rnbexec_path, wait_for};

use crate::{expect_stopped_in_the_second_of_three, fake_book, python_book};

/// Room for the runner and a kernel of Python, and not for much more.
const LIMIT: &str = "200000000";

/// A control group of our own with a limit on memory, version 1 or 2; removed when dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where none can be made.
    fn with_limit() -> Option<Self> {
        let ours = fs::read_to_string("/proc/self/cgroup").ok()?;
        ours.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let (root, limit) = match controllers {
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                "" => ("/sys/fs/cgroup", "memory.max"),
                _ => return None,
            };
            let own = Path::new(root).join(path.trim_start_matches('/'));
            [own.as_path(), Path::new(root)].into_iter().find_map(|parent| Self::below(parent, limit))
        })
    }

    fn below(parent: &Path, limit: &str) -> Option<Self> {
        let group = Self(parent.join(format!("rnbexec-tests-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), LIMIT).ok()?;
        for swap in ["memory.memsw.limit_in_bytes", "memory.swap.max"] {
            if group.0.join(swap).exists() {
                fs::write(group.0.join(swap), if swap.ends_with("max") { "0" } else { LIMIT }).ok()?;
            }
        }
        Some(group)
    }

    /// A command that runs in the group.
    fn command(&self, scratch: &Scratch) -> Command {
        let mut command = scratch.command("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group of which a process was just reaped is busy for a moment.
        let path = self.0.clone();
        let gone = std::panic::catch_unwind(move || {
            wait_for("the control group to be empty", Duration::from_secs(10), || fs::remove_dir(&path).ok());
        });
        assert!(gone.is_ok() || std::thread::panicking(), "cannot remove {}", self.0.display());
    }
}

#[track_caller]
fn expect_lack_of_memory_told(scratch: &Scratch, done: &Done) {
    done.expect_code(138).expect_stderr("out of memory").expect_stderr("give it more memory");
    let saved = expect_stopped_in_the_second_of_three(scratch);
    let reason = saved.0["metadata"]["rnbexec"]["reason"].to_string();
    assert!(reason.contains("out of memory"), "{reason}");
    scratch.expect_no_process();
}

/// Kernels that write into the counters of control groups of both versions what Linux writes there when it kills for lack of
/// memory, and are killed. The counters are a stage: a file system of the test's own.
fn staged(book: &Book) -> (Scratch, Done) {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    scratch.write("in.ipynb", book.to_bytes());
    let stage = "mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory && \
                 echo oom_kill 0 | tee /sys/fs/cgroup/memory.events >/sys/fs/cgroup/memory/memory.oom_control && exec \"$@\"";
    let mut command = scratch.command("unshare");
    command.args(["--mount", "--propagation", "private", "--map-root-user", "sh", "-c", stage, "sh"]);
    let done = finish(command.arg(rnbexec_path()).args(["run", "in.ipynb", "out.ipynb"]));
    (scratch, done)
}

const COUNTED: &str = "write /sys/fs/cgroup/memory.events oom_kill 1\n\
                       write /sys/fs/cgroup/memory/memory.oom_control oom_kill 1\ndie 9";

#[test]
fn a_kill_that_the_control_group_counts_as_lack_of_memory_is_called_that() {
    let (scratch, done) = staged(&fake_book(COUNTED));
    expect_lack_of_memory_told(&scratch, &done);
}

#[test]
fn a_kill_that_nobody_counts_is_not_called_lack_of_memory() {
    let (_, done) = staged(&fake_book("die 9"));
    done.expect_code(138).expect_stderr("SIGKILL");
    assert!(!done.stderr.contains("memory"), "{}", done.stderr);
}

/// Where this process may make no control group, the kernels only act as if (see [`staged`]); the other tests then are the
/// same, and Linux's own part is not tried.
#[test]
fn a_kernel_that_eats_more_than_its_control_group_has_is_named_the_cause() {
    let Some(group) = Group::with_limit() else {
        let (scratch, done) = staged(&fake_book(COUNTED));
        return expect_lack_of_memory_told(&scratch, &done);
    };
    for book in [
        fake_book("eat 1000MB"),
        python_book("hoard = [b'x' * 1_000_000 + bytes([n % 256]) for n in range(1000)]"),
    ] {
        let scratch = Scratch::new();
        FakeKernel::default().install(&scratch);
        scratch.write("in.ipynb", book.to_bytes());
        let mut command = group.command(&scratch);
        let done = finish(command.arg(rnbexec_path()).args(["run", "in.ipynb", "out.ipynb"]));
        expect_lack_of_memory_told(&scratch, &done);
    }
}

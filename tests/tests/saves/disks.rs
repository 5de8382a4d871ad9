//! Disks that are broken: an error at any save leaves the last good notebook where it is, and the executed one is rescued.

use std::fs;

use rnbexec_tests::preload::{self, Call};
use rnbexec_tests::program::Done;
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, rnbexec_path};

/// What a run has left whose last save failed: the notebook of the last save that did not, alone in its folder, and the rescued
/// one. The error names the cause and both places.
#[track_caller]
fn expect_rescued(scratch: &Scratch, done: &Done, says: &str) -> Saved {
    done.expect_stderr(says).expect_stderr("disk/out.ipynb");
    let left = fs::read_dir(scratch.join("disk")).expect("the folder").flatten();
    assert_eq!(
        left.map(|entry| entry.file_name()).collect::<Vec<_>>(),
        ["out.ipynb"],
        "no half-written file stays"
    );
    let (rescued, path) = Saved::rescued(scratch);
    done.expect_stderr(&path);
    assert_eq!(rescued.statuses(), ["completed", "completed"]);
    assert_eq!(rescued.printed(1), "two");
    scratch.expect_no_process();
    Saved(scratch.json("disk/out.ipynb"))
}

fn on_a_broken_disk(call: Call, passed: usize) -> (Scratch, Done) {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("stdout one").code("stdout two").to_bytes());
    fs::create_dir(scratch.join("disk")).expect("a scratch is writable");
    let mut command = scratch.rnbexec(["run", "in.ipynb", "disk/out.ipynb"]);
    preload::break_disk(&mut command, call, &scratch.join("disk"), passed);
    let done = finish(&mut command);
    (scratch, done)
}

#[test]
fn a_disk_that_stops_taking_writes_keeps_the_last_good_notebook() {
    let (scratch, done) = on_a_broken_disk(Call::Write, 1);
    done.expect_code(1).expect_stderr("cannot save the notebook for now");
    let kept = expect_rescued(&scratch, &done, "Input/output error");
    assert_eq!(kept.statuses(), ["pending", "pending"], "the first save alone came through");
}

/// Nothing that could not be made durable is called saved.
#[test]
fn a_disk_that_cannot_make_anything_durable_is_told() {
    let (scratch, done) = on_a_broken_disk(Call::Sync, 0);
    done.expect_code(1);
    let kept = expect_rescued(&scratch, &done, "Input/output error");
    assert_eq!(kept.printed(1), "two", "what was saved before, and only visible, is still there");
}

#[test]
fn a_disk_that_is_broken_from_the_beginning_has_nothing_run() {
    let (scratch, done) = on_a_broken_disk(Call::Write, 0);
    done.expect_code(1).expect_stderr("Input/output error").expect_stderr("disk/out.ipynb");
    assert_eq!(fs::read_dir(scratch.join("disk")).unwrap().count(), 0);
    scratch.expect_nothing_left();
}

/// The notebook becomes a place that nothing can be renamed to (something is mounted there) while it runs.
#[test]
fn a_rename_that_fails_keeps_the_last_good_notebook() {
    let scratch = Scratch::new();
    let mount = "import subprocess, time\nsubprocess.run(['mount', '--bind', 'out.ipynb', 'out.ipynb'], cwd='disk', check=True)";
    scratch.write("in.ipynb", Book::new().code(mount).code("print('two', end='')").to_bytes());
    fs::create_dir(scratch.join("disk")).unwrap();
    let mut command = scratch.command("unshare");
    command.args(["--mount", "--propagation", "private", "--map-root-user"]).arg(rnbexec_path());
    let done = finish(command.args(["run", "in.ipynb", "disk/out.ipynb"]));
    done.expect_code(75);
    let kept = expect_rescued(&scratch, &done, "Device or resource busy");
    assert_eq!(kept.statuses().len(), 2, "a whole notebook");
}

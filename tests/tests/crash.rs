//! `kill -9` of the runner, at any moment: the notebook is whole and says what happened, every cell that had ended has its
//! outputs, and nothing else is left, neither process nor file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rnbexec_tests::program::{Running, signal};
use rnbexec_tests::servers::Http;
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, wait_for};
use serde_json::json;

#[path = "crash/soak.rs"]
mod soak;

const SOON: Duration = Duration::from_mins(5);

/// Where the journal of a run into `out.ipynb` lies.
const JOURNAL: &str = ".out.ipynb.rnbexec-journal";

/// Starts a run of `in.ipynb` into `out.ipynb`.
fn start(scratch: &Scratch, book: &Book) -> Running {
    scratch.write("in.ipynb", book.to_bytes());
    Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]))
}

fn wait_for_file(scratch: &Scratch, name: &str) {
    wait_for(&format!("the file {name}"), SOON, || scratch.join(name).exists().then_some(()));
}

/// The process ids in this world whose command line holds the text.
fn pids(scratch: &Scratch, text: &str) -> Vec<u32> {
    let alive = scratch.alive();
    let lines = alive.iter().filter(|line| line.contains(text));
    lines.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

fn guardian(scratch: &Scratch) -> u32 {
    let found = pids(scratch, " guardian");
    assert_eq!(found.len(), 1, "one guardian in {:#?}", scratch.alive());
    found[0]
}

/// Kills the runner and waits until the guardian has done its work.
fn kill(scratch: &Scratch, runner: Running) {
    runner.signal("KILL");
    let done = runner.finish(SOON);
    assert_eq!(done.status.signal(), Some(9), "{}", done.stderr);
    wait_for("the guardian to have ended", SOON, || pids(scratch, " guardian").is_empty().then_some(()));
}

/// Kills guardian and runner, in this order, so that nobody is left who could tidy up.
fn kill_both(scratch: &Scratch, runner: Running) {
    signal(guardian(scratch), "KILL");
    runner.signal("KILL");
    assert_eq!(runner.finish(SOON).status.signal(), Some(9));
}

/// The names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Nothing of the run is left beside its output, nor anywhere else.
#[track_caller]
fn expect_nothing_but(scratch: &Scratch, files: &[&str]) {
    scratch.expect_nothing_left();
    assert_eq!(names(&scratch.path()), files.iter().map(|&name| name.to_owned()).collect());
}

#[track_caller]
fn expect_killed_in(saved: &Saved, cell: Option<usize>) {
    assert_eq!(*saved.exception(), json!(true), "{:#}", saved.0["metadata"]);
    let stamp = &saved.0["metadata"]["papermill"];
    assert!(stamp["end_time"].is_string() && stamp["duration"].is_number(), "{stamp:#}");
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], "runner-killed");
    for (index, status) in saved.statuses().iter().enumerate() {
        let stamp = &saved.cell(index)["metadata"]["papermill"];
        match cell {
            Some(cell) if index == cell => {
                assert_eq!(status, "failed");
                assert_eq!(stamp["exception"], json!(true));
                assert!(stamp["end_time"].is_string() && stamp["duration"].is_number(), "{stamp:#}");
                let notes = &saved.cell(index)["metadata"]["rnbexec"];
                assert_eq!(notes["outputs"], "possibly incomplete");
            }
            Some(cell) if index > cell => assert_eq!(status, "pending"),
            _ => assert_eq!(status, if cell.is_some() { "completed" } else { "pending" }),
        }
    }
}

/// A notebook whose first cell makes saving expensive, so that what follows is not saved when its last cell is reached.
fn book_that_outruns_its_saves() -> Book {
    FakeKernel::book()
        .code("flood 8MB")
        .many(20, |number| format!("stdout cell {number}\\n\nresult {number}"))
        .code("stdout in flight\\n\nshell touch reached\nsleep 600")
        .code("stdout never\\n")
}

#[test]
fn every_cell_that_ended_is_in_the_notebook_without_anybody_calling_anything() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let runner = start(&scratch, &book_that_outruns_its_saves());
    wait_for_file(&scratch, "reached");
    // Sent to a whole service when it is stopped; the guardian is still needed then.
    for name in ["TERM", "INT", "HUP"] {
        signal(guardian(&scratch), name);
    }
    kill(&scratch, runner);
    let saved = Saved::of(&scratch);
    expect_killed_in(&saved, Some(21));
    assert_eq!(saved.printed(0).len(), 8_000_000);
    for number in 0..20 {
        assert_eq!(saved.printed(number + 1), format!("cell {number}\n"));
        assert_eq!(saved.cell(number + 1)["execution_count"], json!(number + 2));
    }
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb", "reached"]);
}

#[test]
fn what_is_left_when_the_guardian_dies_too_can_be_recovered_by_hand() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let runner = start(&scratch, &book_that_outruns_its_saves());
    wait_for_file(&scratch, "reached");
    let refused = finish(&mut scratch.rnbexec(["recover", "out.ipynb"]));
    refused.expect_code(1).expect_stderr("the run is still going on");
    kill_both(&scratch, runner);
    // A save that was under way leaves half a file, under a name that says whose it is.
    let journal = String::from_utf8_lossy(&scratch.read(JOURNAL)).into_owned();
    let header: serde_json::Value =
        serde_json::from_str(journal.lines().next().expect("a header")).expect("JSON");
    let half = format!("{}half.tmp", header["staging"].as_str().expect("a prefix"));
    scratch.write(&half, "{");
    // Whatever is on disk is a whole notebook all the same.
    Saved::of(&scratch);

    finish(&mut scratch.rnbexec(["recover", "out.ipynb"]))
        .expect_code(0)
        .expect_stderr("out.ipynb is complete up to where its runner was killed, in cell 22");
    let saved = Saved::of(&scratch);
    expect_killed_in(&saved, Some(21));
    assert_eq!(saved.printed(20), "cell 19\n");
    assert_eq!(names(&scratch.path()), ["in.ipynb", "out.ipynb", "reached"].map(str::to_owned).into());

    let again = scratch.read("out.ipynb");
    finish(&mut scratch.rnbexec(["recover", "out.ipynb"]))
        .expect_code(0)
        .expect_stderr("its run came to an end");
    assert_eq!(scratch.read("out.ipynb"), again);
    finish(&mut scratch.rnbexec(["recover", "in.ipynb"]))
        .expect_code(1)
        .expect_stderr("it is not the output of a run");
}

#[test]
fn the_next_run_into_the_same_output_takes_its_place_and_removes_what_was_left() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let book = FakeKernel::book().code("stdout one\\n").code("shell touch reached\nsleep 600");
    let runner = start(&scratch, &book);
    wait_for_file(&scratch, "reached");
    kill_both(&scratch, runner);
    assert!(scratch.join(JOURNAL).exists());
    let book = FakeKernel::book().code("stdout two\\n");
    start(&scratch, &book).finish(SOON).expect_code(0);
    assert_eq!(Saved::of(&scratch).statuses(), ["completed"]);
    assert_eq!(Saved::of(&scratch).printed(0), "two\n");
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb", "reached"]);
}

#[test]
fn a_runner_killed_while_its_kernel_starts_leaves_a_notebook_in_which_nothing_ran() {
    let scratch = Scratch::new();
    FakeKernel { flags: &["--kernel-info-delay", "600"], ..FakeKernel::default() }.install(&scratch);
    let runner = start(&scratch, &FakeKernel::book().code("stdout one\\n").code("stdout two\\n"));
    wait_for_file(&scratch, JOURNAL);
    wait_for("the kernel", SOON, || (!pids(&scratch, "fake_kernel.py").is_empty()).then_some(()));
    kill(&scratch, runner);
    expect_killed_in(&Saved::of(&scratch), None);
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb"]);
}

#[test]
fn a_runner_killed_before_its_kernel_was_up_leaves_the_result_of_an_earlier_run_alone() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    start(&scratch, &FakeKernel::book().code("stdout one\\n")).finish(SOON).expect_code(0);
    let earlier = scratch.read("out.ipynb");
    FakeKernel { flags: &["--kernel-info-delay", "600"], ..FakeKernel::default() }.install(&scratch);
    let runner = start(&scratch, &FakeKernel::book().code("stdout two\\n"));
    wait_for("the kernel", SOON, || (!pids(&scratch, "fake_kernel.py").is_empty()).then_some(()));
    kill(&scratch, runner);
    assert_eq!(scratch.read("out.ipynb"), earlier);
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb"]);
}

/// What a kernel may have started: in its session, in one of its own, and twice removed from its parent.
const DESCENDANTS: &str = "sleep 600 & setsid sleep 601 & (setsid sh -c 'sleep 602 & sleep 603' &) &";

#[test]
fn kernels_and_all_that_they_started_die_with_their_runner() {
    let python = Book::new().code(&format!(
        "import subprocess\nsubprocess.Popen({DESCENDANTS:?}, shell=True, stdout=-3, stderr=-3)\nopen('reached', 'w')"
    ));
    let bash = Book::for_kernel("bash", "bash")
        .code(&format!("({DESCENDANTS}) >/dev/null 2>&1\ntouch reached\nsleep 600"));
    let python =
        python.code("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)");
    let fake = FakeKernel::book()
        .code(&format!("ignore-interrupt\nshell {DESCENDANTS}\nshell touch reached\nsleep 600"));
    for (name, book) in [("python", python), ("bash", bash), ("fake", fake)] {
        let scratch = Scratch::new();
        FakeKernel { flags: &["--ignore-terminate", "--no-shutdown"], ..FakeKernel::default() }
            .install(&scratch);
        let runner = start(&scratch, &book);
        wait_for_file(&scratch, "reached");
        wait_for("what the kernel starts", SOON, || {
            let alive = scratch.alive();
            let runs = |number: u32| alive.iter().any(|line| line.ends_with(&format!(" sleep 60{number} ")));
            (0..4).all(runs).then_some(())
        });
        kill(&scratch, runner);
        scratch.expect_nothing_left();
        assert_eq!(Saved::of(&scratch).exception(), &json!(true), "{name}");
    }
}

#[test]
fn a_runner_that_aborts_leaves_the_same() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let book = FakeKernel::book().code("stdout one\\n").code("shell touch reached\nsleep 600").code("");
    let runner = start(&scratch, &book);
    wait_for_file(&scratch, "reached");
    runner.signal("ABRT");
    assert_eq!(runner.finish(SOON).status.signal(), Some(6));
    wait_for("the guardian to have ended", SOON, || pids(&scratch, " guardian").is_empty().then_some(()));
    expect_killed_in(&Saved::of(&scratch), Some(1));
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb", "reached"]);
}

/// Saves over a network come seconds apart, so that a cell is in the journal alone for long.
#[test]
fn an_output_elsewhere_is_brought_into_order_there() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let server = Http::storing();
    let output = format!("{}/out.ipynb?token=5ecret", server.url());
    let saved = || {
        let last = server.asked().into_iter().rfind(|asked| asked.method == "PUT").expect("it was saved");
        assert_eq!(last.target, "/out.ipynb?token=5ecret");
        Saved(serde_json::from_slice(&last.body).expect("a notebook"))
    };
    let book =
        FakeKernel::book().code("stdout one\\n").code("stdout two\\n").code("shell touch reached\nsleep 600");
    scratch.write("in.ipynb", book.to_bytes());
    for by_hand in [false, true] {
        let runner = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", &output]));
        wait_for_file(&scratch, "reached");
        fs::remove_file(scratch.join("reached")).expect("it is there");
        for name in names(&scratch.tmp()) {
            let content = fs::read(scratch.tmp().join(name)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains("5ecret"), "the journal holds no secret");
        }
        if by_hand {
            kill_both(&scratch, runner);
            finish(&mut scratch.rnbexec(["recover", &output])).expect_code(0).expect_stderr("in cell 3");
            assert_eq!(names(&scratch.tmp()).iter().filter(|name| name.ends_with(".journal")).count(), 0);
        } else {
            kill(&scratch, runner);
            expect_nothing_but(&scratch, &["in.ipynb"]);
        }
        expect_killed_in(&saved(), Some(2));
        assert_eq!((saved().printed(0), saved().printed(1)), ("one\n".to_owned(), "two\n".to_owned()));
    }
}

#[test]
fn an_output_elsewhere_is_left_alone_by_a_machine_that_cannot_tell_whether_its_run_is_over() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let server = Http::storing();
    let output = format!("{}/out.ipynb", server.url());
    let writes = || server.asked().into_iter().filter(|asked| asked.method == "PUT").count();
    scratch.write("in.ipynb", FakeKernel::book().code("shell touch reached\nsleep 600").to_bytes());
    scratch.write("elsewhere/here", "");
    let elsewhere = |arguments: &[&str]| {
        let mut command = scratch.rnbexec(["recover", &output].iter().chain(arguments));
        finish(command.env("TMPDIR", scratch.join("elsewhere")))
    };
    let runner = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", &output]));
    wait_for_file(&scratch, "reached");
    wait_for("the cell to be saved as running", SOON, || {
        let last = server.asked().into_iter().rfind(|asked| asked.method == "PUT")?;
        String::from_utf8_lossy(&last.body).contains("\"running\"").then_some(())
    });
    let before = writes();
    elsewhere(&[]).expect_code(1).expect_stderr("may still be going on elsewhere").expect_stderr("--force");
    assert_eq!(writes(), before);
    kill_both(&scratch, runner);
    elsewhere(&[]).expect_code(1);
    assert_eq!(writes(), before);
    elsewhere(&["--force"]).expect_code(0).expect_stderr("in cell 1");
    assert_eq!(writes(), before + 1);
    // What came to its end needs nobody's word.
    elsewhere(&[]).expect_code(0).expect_stderr("its run came to an end");
}

#[test]
fn a_guardian_is_there_while_a_notebook_runs_and_costs_next_to_nothing() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let runner = start(&scratch, &FakeKernel::book().code("shell touch reached\nsleep 600"));
    wait_for_file(&scratch, "reached");
    let pid = guardian(&scratch);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the guardian's status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 40_000, "{kilobytes} kB");
    let begun = Instant::now();
    runner.signal("INT");
    runner.finish(SOON).expect_code(130);
    assert!(begun.elapsed() < SOON);
    expect_nothing_but(&scratch, &["in.ipynb", "out.ipynb", "reached"]);
}

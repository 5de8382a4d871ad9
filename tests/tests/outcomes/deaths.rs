//! The kernel dies at each moment of a run, and each time the notebook says what was and what was not.

use rnbexec_tests::{Book, FakeKernel, Saved};
use serde_json::json;

use crate::{expect_never_started, expect_stopped_in_the_second_of_three, fake_book, run, run_fake};

#[test]
fn a_death_before_the_kernel_is_ready_is_a_start_that_failed() {
    for (flags, says) in [
        (&["--kill-at-start", "9"] as &[_], "SIGKILL"),
        (&["--kill-when-asked", "11"], "SIGSEGV"),
        (&["--die-at-start", "0"], "exited with code 0"),
    ] {
        let (scratch, done) = run_fake(FakeKernel { flags, ..FakeKernel::default() }, &fake_book(""), &[]);
        done.expect_code(75).expect_stderr(says);
        expect_never_started(&scratch);
    }
}

/// By signal and by exit. Where the kernel had replied and not yet said that it is idle, or the other way round, outputs
/// may be missing: the cell is no success either.
#[test]
fn a_death_at_any_moment_of_a_cell_fails_that_cell_with_the_outputs_it_had() {
    for (script, says) in [
        ("die 15", "SIGTERM"),
        ("reply\ndie 11", "SIGSEGV"),
        ("reply\nexit 0", "exited with code 0"),
        ("idle\ndie 6", "SIGABRT"),
        ("idle\nexit 4", "exited with code 4"),
    ] {
        let (scratch, done) = run_fake(FakeKernel::default(), &fake_book(script), &[]);
        done.expect_code(138).expect_stderr(says);
        let saved = expect_stopped_in_the_second_of_three(&scratch);
        let noted = &saved.0["metadata"]["rnbexec"];
        assert_eq!(noted["outcome"], json!("kernel-died"), "{script}");
        assert!(noted["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{noted:#}");
    }
}

#[test]
fn a_death_before_a_cell_has_begun_fails_that_cell() {
    for script in ["before-busy die 9", "before-busy exit 0"] {
        let (scratch, done) = run_fake(FakeKernel::default(), &fake_book(script), &[]);
        done.expect_code(138);
        let saved = Saved::of(&scratch);
        assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
        assert_eq!((saved.printed(0), saved.printed(1)), ("first\n".to_owned(), String::new()));
        assert_eq!(*saved.exception(), json!(true));
    }
}

#[test]
fn a_death_while_the_kernel_is_idle_fails_the_next_cell_and_takes_nothing_back() {
    for death in ["die 9", "exit 0"] {
        let book = fake_book(&format!("reply\nidle\n{death}"));
        let (scratch, done) = run_fake(FakeKernel::default(), &book, &[]);
        done.expect_code(138);
        let saved = Saved::of(&scratch);
        assert_eq!(saved.statuses(), ["completed", "completed", "failed"]);
        assert_eq!((saved.printed(1), saved.printed(2)), ("so far\n".to_owned(), String::new()));
    }
}

#[test]
fn a_death_when_every_cell_has_ended_takes_nothing_back() {
    for (flags, script) in [
        (&[] as &[_], "reply\nidle\ndie 9"),
        (&["--kill-at-shutdown", "9"], ""),
        (&["--kill-at-shutdown", "11"], ""),
    ] {
        let book = FakeKernel::book().code(&format!("stdout all\n{script}"));
        let (scratch, done) = run_fake(FakeKernel { flags, ..FakeKernel::default() }, &book, &[]);
        done.expect_code(0);
        let saved = Saved::of(&scratch);
        assert_eq!((saved.statuses(), saved.printed(0)), (vec!["completed".to_owned()], "all".to_owned()));
        assert_eq!(*saved.exception(), json!(null));
    }
}

/// Five rounds in which every process doubles.
#[test]
fn a_fork_bomb_does_not_outlive_the_run() {
    let source = "import os, time\nkernel = os.getpid()\nfor _ in range(5):\n    os.fork()\n\
                  if os.getpid() != kernel:\n    time.sleep(600)\nprint('on')";
    let (scratch, done) = run(&Book::new().code(source).code("print('next')"), &[]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(1), "next\n");
    let (_, done) = run_fake(FakeKernel::default(), &FakeKernel::book().code("children 60\ndie 9"), &[]);
    done.expect_code(138);
}

#[test]
fn a_kernel_that_closes_its_own_streams_goes_on() {
    let close = "import os\nfor descriptor in range(3): os.close(descriptor)\nprint('on')";
    let (scratch, done) = run(&Book::new().code(close), &[]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "on\n");
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book("close-streams\ndie 9"), &[]);
    done.expect_code(138);
    expect_stopped_in_the_second_of_three(&scratch);
}

/// As ipykernel does when the interrupt strikes between the end of a cell and the reply.
#[test]
fn a_kernel_that_loses_its_reply_to_the_interrupt_is_neither_waited_for_nor_killed() {
    let script = "never-reply\nnever-idle\nsleep 1000";
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book(script), &["--execution-timeout", "3"]);
    done.expect_code(1);
    assert!(!done.stderr.contains("was killed"), "{}", done.stderr);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.printed(1), "so far\n");
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], json!("timed-out"));
}

#[test]
fn code_that_swallows_every_interrupt_is_killed_at_its_limit() {
    let source = "import time\nprint('so far', flush=True)\nwhile True:\n    try:\n        time.sleep(60)\n    \
                  except BaseException:\n        print('swallowed', flush=True)";
    let book = Book::new().tagged("print('first')", &["timeout=0"]).code(source).code("1");
    let (scratch, done) = run(&book, &["--execution-timeout", "3"]);
    done.expect_code(1).expect_stderr("it did not stop when interrupted and was killed");
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert_eq!(saved.printed(1), "so far\nswallowed\n");
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], json!("timed-out"));
}

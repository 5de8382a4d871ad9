//! The wall clock jumps while a notebook runs: dates follow it, durations, limits and statuses do not.

use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, preload};
use serde_json::{Value, json};

/// Forwards and back by an hour, over a leap day, past 2038, and to a time before 1970.
const JUMPS: [i64; 6] = [3600, -3600, -86_400 * 366, 86_400 * 366 * 13, 0, -86_400 * 366 * 60];

#[track_caller]
fn expect_short(duration: &Value, least: f64) {
    let seconds = duration.as_f64().expect("a duration");
    assert!((least..60.0).contains(&seconds), "{seconds} s");
}

#[test]
fn a_clock_that_jumps_changes_neither_durations_nor_limits_nor_statuses() {
    for (book, begin) in [
        (FakeKernel::book().code("stdout one\nsleep 0.2").code("stdout two"), "one"),
        (Book::new().code("print('one')\nimport time; time.sleep(.2)").code("print('two')"), "one\n"),
    ] {
        let scratch = Scratch::new();
        FakeKernel::default().install(&scratch);
        scratch.write("in.ipynb", book.to_bytes());
        let limits = ["--timeout", "60", "--execution-timeout", "50", "--start-timeout", "60"];
        let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]);
        command.args(limits).args(["--autosave-cell-every", "1"]);
        preload::jump_clock(&mut command, &JUMPS);
        finish(&mut command).expect_code(0);
        scratch.expect_nothing_left();
        let saved = Saved::of(&scratch);
        assert_eq!((saved.statuses(), saved.printed(0)), (vec!["completed".to_owned(); 2], begin.to_owned()));
        expect_short(&saved.0["metadata"]["papermill"]["duration"], 0.2);
        expect_short(&saved.cell(0)["metadata"]["papermill"]["duration"], 0.2);
        expect_short(&saved.cell(1)["metadata"]["papermill"]["duration"], 0.0);
    }
}

#[test]
fn a_limit_is_kept_by_a_clock_that_jumps() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("sleep 600").code("stdout never").to_bytes());
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--timeout", "10"]);
    preload::jump_clock(&mut command, &JUMPS);
    let done = finish(&mut command);
    done.expect_code(124);
    assert!((10.0..300.0).contains(&done.wall.as_secs_f64()), "{:?}", done.wall);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["failed", "pending"]);
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], json!("timed-out"));
}

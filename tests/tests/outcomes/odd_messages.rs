//! Messages that come twice, late, out of order, or for somebody else.

use rnbexec_tests::{Book, FakeKernel, Saved};
use serde_json::json;

use crate::{expect_stopped_in_the_second_of_three, fake_book, run, run_fake};

/// A book whose second cell is the script; every other fault of the wire is in the same run.
fn kept(script: &str) -> Saved {
    let book = FakeKernel::book().code("stdout first").code(script).code("stdout last");
    let (scratch, done) = run_fake(FakeKernel::default(), &book, &[]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "completed", "completed"]);
    assert_eq!(saved.printed(2), "last");
    saved
}

/// A second idle, a second reply and those of other requests are neither an end nor an error.
#[test]
fn only_its_own_reply_and_its_own_idle_end_a_cell() {
    let idle = "iopub status {\"execution_state\": \"idle\"}";
    let script = format!(
        "foreign-parent {idle}\nearlier-parent {idle}\nforeign-reply\nrepeat-reply\nstdout own\nidle\n{idle}\nreply\nrepeat-reply"
    );
    let saved = kept(&script);
    assert_eq!((saved.printed(0), saved.printed(1)), ("first".to_owned(), "own".to_owned()));
}

#[test]
fn idle_before_outputs_loses_none_of_them() {
    let saved = kept("idle\nstdout after\nsleep 0.1\nstdout wards\nreply");
    assert_eq!(saved.printed(1), "afterwards");
}

/// What comes in another order is kept in the order in which it came: Jupyter numbers no messages.
#[test]
fn messages_out_of_order_are_all_kept() {
    let saved = kept("swap stdout a | stdout b\nswap display text/plain x | stdout c");
    let outputs = saved.cell(1)["outputs"].as_array().cloned().unwrap_or_default();
    assert_eq!(saved.printed(1), "bac");
    assert_eq!(outputs.last().map(|output| &output["data"]["text/plain"]), Some(&json!(["x"])));
}

#[test]
fn an_output_of_an_earlier_cell_goes_there() {
    let saved =
        kept("stdout own\nearlier-parent stdout +late\nearlier-parent iopub clear_output {\"wait\": true}");
    assert_eq!((saved.printed(0), saved.printed(1)), ("first+late".to_owned(), "own".to_owned()));
}

#[test]
fn a_status_that_is_missing_or_doubled_at_the_beginning_changes_nothing() {
    let saved = kept(
        "iopub status {\"execution_state\": \"busy\"}\niopub execute_input {}\niopub status {}\nstdout own\nduplicate iopub status {\"execution_state\": \"idle\"}",
    );
    assert_eq!(saved.printed(1), "own");
}

/// The kernel became idle, so nothing more is to come, but how the code ended nobody knows.
#[test]
fn a_reply_that_never_comes_ends_the_wait_and_is_told() {
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book("never-reply"), &[]);
    done.expect_code(1).expect_stderr("did not confirm");
    let saved = expect_stopped_in_the_second_of_three(&scratch);
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], json!("outputs-incomplete"));
    assert_eq!(saved.cell(1)["metadata"]["rnbexec"]["outputs"], json!("possibly incomplete"));
}

#[test]
fn code_that_asks_is_refused_at_once_and_says_so() {
    for ask in ["input('name? ')", "import getpass; getpass.getpass('word? ')"] {
        let (scratch, done) = run(&Book::new().code("print('first')").code(ask).code("1"), &[]);
        done.expect_code(1).expect_stderr("StdinNotImplementedError");
        assert_eq!(Saved::of(&scratch).statuses(), ["completed", "failed", "pending"]);
    }
}

/// The limit holds against a kernel that sends as fast as it can.
#[test]
fn a_cell_that_prints_for_ever_is_stopped_at_its_limit() {
    let source = "print('so far')\nwhile True: print('x' * 100)";
    let book = Book::new().tagged("print('first')", &["timeout=0"]).code(source).code("1");
    let (scratch, done) = run(&book, &["--execution-timeout", "3"]);
    done.expect_code(1);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert!(saved.printed(1).starts_with("so far\nxxx"));
}

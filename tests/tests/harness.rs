//! The harness itself: the oracle answers, its kernels are found, and a run leaves nothing that the harness would miss.

use std::time::Duration;

use rnbexec_tests::program::Running;
use rnbexec_tests::{Scratch, finish, oracle, wait_for};

#[test]
fn papermill_of_the_oracle_is_the_pinned_one() {
    let scratch = Scratch::new();
    let done = finish(&mut scratch.papermill(["--version"]));
    done.expect_code(0);
    assert!(done.stdout_text().starts_with("2.7.0 from "), "{}", done.stdout_text());
}

#[test]
fn the_kernels_of_the_oracle_are_all_that_is_found() {
    let scratch = Scratch::new();
    let code = "import json\nfrom jupyter_client.kernelspec import KernelSpecManager\n\
                print(json.dumps(sorted(KernelSpecManager().find_kernel_specs())))";
    let done = finish(scratch.command(oracle::python()).args(["-c", code]));
    assert_eq!(done.expect_code(0).stdout_text().trim(), r#"["bash", "deno", "python3"]"#);
}

#[test]
fn a_process_left_behind_is_seen_and_ended_with_the_scratch() {
    let scratch = Scratch::new();
    finish(scratch.command("sh").args(["-c", "sleep 600 >/dev/null 2>&1 &"])).expect_code(0);
    assert!(scratch.alive().iter().any(|process| process.contains("sleep 600")), "{:?}", scratch.alive());
    let witness = Running::start(scratch.command("sleep").arg("600"));
    drop(scratch);
    let end = witness.finish(Duration::from_secs(10));
    assert_eq!(end.code(), 128 + 9);
}

#[test]
fn waiting_returns_what_the_state_gives() {
    let mut looks = 0;
    let found = wait_for("three looks", Duration::from_secs(10), || {
        looks += 1;
        (looks == 3).then_some("found")
    });
    assert_eq!(found, "found");
}

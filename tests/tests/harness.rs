//! The harness itself: the oracle answers, its kernels are found, and a run leaves nothing that the harness would miss.

use std::time::Duration;

use rnbexec_tests::differential::Case;
use rnbexec_tests::program::{Running, build};
use rnbexec_tests::{Book, FakeKernel, Scratch, finish, finish_papermill, oracle, rnbexec_path, wait_for};

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

/// papermill is the witness that the fake kernel is a kernel.
#[test]
fn the_fake_kernel_runs_under_papermill() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let book = FakeKernel::book().code("stdout hi\\n\nresult 42").code("error Fault on purpose");
    scratch.write("in.ipynb", book.to_bytes());
    finish_papermill(&mut scratch.papermill(["in.ipynb", "out.ipynb"])).expect_code(1).expect_stderr("Fault");
    let cells = &scratch.json("out.ipynb")["cells"];
    assert_eq!(cells[1]["outputs"][0]["text"][0], "hi\n");
    assert_eq!(cells[1]["outputs"][1]["data"]["text/plain"][0], "42");
    assert_eq!(cells[3]["outputs"][0]["ename"], "Fault");
}

/// A notebook that papermill ran twice, once in the place of rnbexec, agrees with itself: what the comparison lets pass
/// between two runs is enough; and a changed output is seen.
#[test]
fn the_comparison_passes_papermill_itself_and_sees_a_changed_output() {
    let scratch = Scratch::new();
    let wrapper = |edit: &str| {
        let script = format!(
            "#!/bin/sh\nshift\n{} \"$@\"; code=$?\n{edit}\nexit $code\n",
            oracle::papermill().display()
        );
        let path = scratch.write("script", script).with_file_name("program");
        // By way of another process: a test that starts one while the file is open for writing here would keep it busy.
        let copied = scratch.command("install").arg(scratch.join("script")).arg(&path).status();
        assert!(copied.unwrap().success());
        path
    };
    let case = Case::new(&Book::new().parameters("x = 1").code("print(x, object())").code("1/0").code("2"))
        .args(["-p", "x", "2"]);
    case.check_program(&wrapper(""));
    let edited = wrapper("sed -i 's/\"2 <object/\"3 <object/' out.ipynb");
    let seen = std::panic::catch_unwind(|| case.check_program(&edited));
    let said = *seen.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("+     \"text\": \"3 <object object at 0xADDRESS>"), "{said}");
}

/// Not how fast anything is: that every contender still runs, and that what comes out is told.
#[test]
fn the_benchmark_runs_every_contender_and_tells_what_came_out() {
    let scratch = Scratch::new();
    let mut bench = scratch.command(build("rnbexec-bench"));
    bench.env("RNBEXEC_BIN", rnbexec_path()).arg("--tiny").arg("--out").arg(scratch.path());
    let cases = ["one-cell", "growth-output", "documents"];
    let done = finish_papermill(bench.args(cases.iter().flat_map(|case| ["--only", case])));
    let table = done.expect_code(0).stdout_text();
    assert!(table.contains("| one cell, `1 + 1` | "), "{table}");
    let results = scratch.json("results.json");
    for point in [&results["cases"][0]["points"][0], &results["cases"][1]["points"][1]] {
        for contender in ["bare", "rnbexec", "papermill"] {
            let sample = &point["contenders"][contender]["rounds"]["0"];
            assert!(
                sample["seconds"].as_f64() > Some(0.0) && sample["peak_kib"].as_u64() > Some(0),
                "{contender}: {point}"
            );
        }
    }
    assert!(results["documents"][3]["read"]["nbformat"].as_f64() > Some(0.0), "{}", results["documents"]);
    assert!(scratch.read("speed.svg").starts_with(b"<svg"));
}

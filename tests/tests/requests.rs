//! What papermill's users have asked for.

use std::time::Duration;

use rnbexec_tests::program::{Done, Running};
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish};
use serde_json::{Value, json};

#[path = "requests/secrets.rs"]
mod secrets;

fn run(book: &Book, args: &[&str]) -> (Scratch, Done) {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    let done = finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    scratch.expect_nothing_left();
    (scratch, done)
}

fn last_line(done: &Done) -> Value {
    let text = done.stdout_text();
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("the last line is not JSON: {e}: {text}"))
}

#[test]
fn timeout_ends_the_whole_run() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let book = FakeKernel::book().code("stdout a").code("stdout b\\n\nsleep 600").code("stdout c");
    scratch.write("in.ipynb", book.to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--timeout", "10s"]));
    done.expect_code(124);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert_eq!(saved.printed(1), "b\n");
    assert_eq!(*saved.exception(), json!(true));
}

#[test]
fn a_cell_may_have_a_timeout_of_its_own() {
    let slow = "import time\ntime.sleep(4)\nprint('done')";
    let tagged = Book::new().tagged(slow, &["timeout=1"]);
    run(&tagged, &[]).1.expect_code(1);
    let longer = Book::new().tagged(slow, &["timeout=60"]);
    run(&longer, &["--execution-timeout", "1"]).1.expect_code(0);
    let by_metadata = Book::new().code(slow).cell_metadata(json!({"rnbexec": {"timeout": 1}}));
    run(&by_metadata, &[]).1.expect_code(1);
    let none = Book::new().tagged(slow, &["timeout=0"]);
    run(&none, &["--execution-timeout", "1"]).1.expect_code(0);
}

#[test]
fn retries_begin_again_after_a_death_of_the_kernel() {
    let source = "import os\nn = len([f for f in os.listdir('.') if f.startswith('try')])\nopen(f'try{n}', 'w').close()\nif n < 2: os._exit(1)\nprint('try', n)";
    let (scratch, done) = run(&Book::new().code(source), &["--retries", "3", "--json"]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "try 2\n");
    assert_eq!(last_line(&done)["attempts"], json!(3));
    let (_, done) = run(&Book::new().code(source), &["--retries", "1"]);
    done.expect_code(138);
}

#[test]
fn retries_are_not_for_failures_of_the_notebook() {
    let (scratch, done) = run(&Book::new().code("open('runs', 'a').write('x')\n1/0"), &["--retries", "3"]);
    done.expect_code(1);
    assert_eq!(scratch.read("runs"), b"x");
    let (scratch, done) = run(
        &Book::new().code("open('runs', 'a').write('x')\nimport time; time.sleep(600)"),
        &["--retries", "3", "--execution-timeout", "5"],
    );
    done.expect_code(1);
    assert_eq!(scratch.read("runs"), b"x");
}

#[test]
fn retries_begin_again_after_a_failed_start() {
    let scratch = Scratch::new();
    FakeKernel { flags: &["--die-at-start", "7"], ..FakeKernel::default() }.install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--retries", "2", "--json"]));
    done.expect_code(75);
    assert_eq!(last_line(&done)["attempts"], json!(3));
}

#[test]
fn tags_select_the_cells_that_run() {
    let book = Book::new()
        .parameters("x = 1")
        .tagged("print('slow')", &["slow"])
        .tagged("print('fast')", &["fast"])
        .code("print('none', x)");
    let ran = |args: &[&str]| {
        let (scratch, done) = run(&book, args);
        done.expect_code(0);
        let saved = Saved::of(&scratch);
        (0..4).map(|cell| !saved.cell(cell)["execution_count"].is_null()).collect::<Vec<_>>()
    };
    assert_eq!(ran(&["--skip-tag", "slow"]), [true, false, true, true]);
    assert_eq!(ran(&["--skip-tag", "slow", "--skip-tag", "fast"]), [true, false, false, true]);
    assert_eq!(ran(&["--only-tag", "fast"]), [true, false, true, false]);
    assert_eq!(
        ran(&["--only-tag", "fast", "--only-tag", "slow", "--skip-tag", "slow", "-p", "x", "2"]),
        [true, false, true, false]
    );
    // Without its parameters cell the last cell has no `x`.
    run(&book, &["--skip-tag", "parameters"]).1.expect_code(1).expect_stderr("NameError");
}

#[test]
fn errors_may_be_allowed() {
    let book =
        Book::new().code("1/0").code("print('on')").code("raise ValueError('second')").code("print('end')");
    let (scratch, done) = run(&book, &["--allow-errors"]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.printed(3), "end\n");
    assert!(!saved.has_markers());
    assert_eq!(saved.cell(2)["outputs"][0]["ename"], "ValueError");
}

#[test]
fn variables_are_set_for_the_kernel() {
    let book = Book::new()
        .code("import os\nprint(os.environ.get('A'), os.environ.get('B'), repr(os.environ.get('C')))");
    let (scratch, done) = run(&book, &["--set-env", "A=1", "--set-env", "B=x=y ü", "--set-env", "C="]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "1 x=y ü ''\n");
    let (_, done) = run(&book, &["--set-env", "novalue"]);
    done.expect_code(2);
}

#[test]
fn unknown_parameters_are_an_error_on_request() {
    let book = Book::new().parameters("x = 1").code("open('ran', 'w')");
    for option in [&["--strict-parameters"][..], &["--unknown-parameters", "error"]] {
        let (scratch, done) = run(&book, &[option, &["-p", "y", "1"]].concat());
        done.expect_code(1).expect_stderr("y");
        assert!(!scratch.join("ran").exists() && !scratch.join("out.ipynb").exists());
        run(&book, &[option, &["-p", "x", "2", "--inject-paths"]].concat()).1.expect_code(0);
    }
}

#[test]
fn a_last_line_of_json_for_machines() {
    let (_, done) = run(&Book::new().code("print('not on stdout')"), &["--json"]);
    done.expect_code(0);
    assert_eq!(done.stdout_text().lines().count(), 1);
    let line = last_line(&done);
    assert_eq!(line["outcome"], "completed");
    assert_eq!(line["exit_code"], json!(0));
    assert_eq!(line["output"], "out.ipynb");

    let (_, done) = run(&Book::new().code("1").code("1/0"), &["--json"]);
    let line = last_line(done.expect_code(1));
    assert_eq!(line["outcome"], "cell-failed");
    assert_eq!(line["exit_code"], json!(1));
    assert!(line.to_string().contains("ZeroDivisionError"), "{line:#}");

    let (_, done) = run(&Book::new().code("import os; os._exit(1)"), &["--json"]);
    assert_eq!(last_line(done.expect_code(138))["outcome"], "kernel-died");
}

#[test]
fn the_line_of_json_speaks_of_errors_before_the_run_too() {
    let scratch = Scratch::new();
    let done = finish(&mut scratch.rnbexec(["run", "missing.ipynb", "out.ipynb", "--json"]));
    let line = last_line(done.expect_code(1));
    assert_eq!(line["exit_code"], json!(1));
    assert!(line.to_string().contains("missing.ipynb"), "{line:#}");
}

#[test]
fn with_the_notebook_on_standard_output_the_line_goes_to_standard_error() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "-", "--json"]));
    done.expect_code(0);
    serde_json::from_slice::<Value>(&done.stdout).expect("standard output is the notebook alone");
    let line = done.stderr.lines().last().unwrap_or_default();
    assert_eq!(serde_json::from_str::<Value>(line).expect("a line of JSON")["outcome"], "completed");
}

#[test]
fn two_runs_side_by_side_do_not_disturb_each_other() {
    let scratch = Scratch::new();
    scratch.write(
        "in.ipynb",
        Book::new().parameters("x = 0").code("import time; time.sleep(.2); print(x)").to_bytes(),
    );
    let start = |number: usize| {
        let output = format!("out-{number}.ipynb");
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", &output, "-p", "x", &number.to_string()]))
    };
    let runs: Vec<Running> = (0..6).map(start).collect();
    for (number, running) in runs.into_iter().enumerate() {
        running.finish(Duration::from_mins(2)).expect_code(0);
        assert_eq!(Saved(scratch.json(format!("out-{number}.ipynb"))).printed(1), format!("{number}\n"));
    }
    scratch.expect_nothing_left();
}

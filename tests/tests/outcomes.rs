//! However a run ends, the saved notebook says so, the exit code says so, and nothing is left behind.

use std::time::Duration;

use rnbexec_tests::program::{Done, Running};
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, wait_for};
use serde_json::json;

mod outcomes {
    mod clock;
    mod deaths;
    mod memory;
    mod odd_messages;
    mod signals;
}

const SOON: Duration = Duration::from_mins(5);

fn run(book: &Book, args: &[&str]) -> (Scratch, Done) {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    let done = finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    scratch.expect_nothing_left();
    (scratch, done)
}

fn run_fake(kernel: FakeKernel, book: &Book, args: &[&str]) -> (Scratch, Done) {
    let scratch = Scratch::new();
    kernel.install(&scratch);
    scratch.write("in.ipynb", book.to_bytes());
    let done = finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    scratch.expect_nothing_left();
    (scratch, done)
}

/// The cell in flight failed with its outputs so far, later cells wait, and the notebook says that there was an exception.
#[track_caller]
fn expect_stopped_in_the_second_of_three(scratch: &Scratch) -> Saved {
    let saved = Saved::of(scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert_eq!(*saved.exception(), json!(true));
    assert_eq!(saved.cell(1)["metadata"]["papermill"]["exception"], json!(true));
    assert_eq!(saved.printed(0), "first\n");
    assert_eq!(saved.printed(1), "so far\n");
    assert!(saved.cell(2)["outputs"].as_array().is_some_and(Vec::is_empty), "{:#}", saved.cell(2));
    assert_eq!(saved.cell(2)["execution_count"], json!(null));
    let stamps = &saved.0["metadata"]["papermill"];
    assert!(stamps["end_time"].is_string() && stamps["duration"].is_number(), "{stamps:#}");
    saved
}

/// The first cell has all the time there is: limits are for the second.
fn python_book(second: &str) -> Book {
    Book::new()
        .tagged("print('first')", &["timeout=0"])
        .code(&format!("print('so far', flush=True)\n{second}"))
        .code("print('never')")
}

/// Returns in the cell when the runner has heard what it printed before: a kernel that dies has not sent all that was flushed.
const HEARD: &str =
    "import ctypes, os, signal, time\nwhile 'so far' not in open('said').read(): time.sleep(.01)\n";
const HEAR: [&str; 2] = ["--stdout-file", "said"];

fn fake_book(second: &str) -> Book {
    FakeKernel::book()
        .tagged("stdout first\\n", &["timeout=0"])
        .code(&format!("stdout so far\\n\n{second}"))
        .code("stdout never\\n")
}

#[test]
fn a_failing_cell() {
    let (scratch, done) = run(&python_book("1/0"), &[]);
    done.expect_code(1)
        .expect_stderr("ZeroDivisionError: division by zero")
        .expect_stderr("Exception encountered at \"In [2]\":");
    assert!(!done.stderr.contains('\u{1b}'), "the traceback on a pipe has no colours: {:?}", done.stderr);
    let saved = expect_stopped_in_the_second_of_three(&scratch);
    assert!(saved.has_markers());
}

/// Not compared with papermill: Deno at times sends output after it has said that the cell is done, and papermill drops it.
#[test]
fn a_javascript_notebook_and_its_failure() {
    let book = Book::for_kernel("deno", "typescript")
        .code("const x: number = 2; console.log('hi')")
        .code("x * 21")
        .code("throw new Error('on purpose')")
        .code("1");
    let (scratch, done) = run(&book, &[]);
    done.expect_code(1).expect_stderr("on purpose");
    let saved = Saved::of(&scratch);
    assert_eq!(saved.printed(0), "hi\n");
    assert!(saved.cell(1)["outputs"][0]["data"]["text/plain"].to_string().contains("42"), "{:#}", saved.0);
    assert_eq!(saved.statuses(), ["completed", "completed", "failed", "pending"]);
    assert!(saved.has_markers());
}

#[test]
fn a_kernel_killed_in_a_cell() {
    let (scratch, done) = run(&python_book(&format!("{HEARD}os.kill(os.getpid(), signal.SIGKILL)")), &HEAR);
    done.expect_code(138).expect_stderr("SIGKILL");
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_that_leaves_in_a_cell() {
    let (scratch, done) = run(&python_book(&format!("{HEARD}os._exit(3)")), &HEAR);
    done.expect_code(138).expect_stderr("3");
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_that_leaves_with_code_zero_in_a_cell() {
    let (scratch, done) = run(&python_book(&format!("{HEARD}os._exit(0)")), &HEAR);
    done.expect_code(138);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_with_a_segmentation_fault() {
    let (scratch, done) = run(&python_book(&format!("{HEARD}ctypes.string_at(0)")), &HEAR);
    done.expect_code(138).expect_stderr("SIGSEGV");
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_that_aborts_shows_where() {
    let (scratch, done) = run(&python_book(&format!("{HEARD}os.abort()")), &HEAR);
    done.expect_code(138).expect_stderr("SIGABRT").expect_stderr("Fatal Python error: Aborted");
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn the_last_words_of_a_dying_kernel_are_told() {
    let book = fake_book("stderr-fd last words of the kernel\nexit 7");
    let (scratch, done) = run_fake(FakeKernel::default(), &book, &[]);
    done.expect_code(138).expect_stderr("last words of the kernel").expect_stderr("7");
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_that_dies_leaves_none_of_its_children() {
    let source = "import os, subprocess\nsubprocess.Popen(['sleep', '600'])\nos._exit(1)";
    let (_, done) = run(&python_book(source), &[]);
    done.expect_code(138);
}

#[test]
fn a_notebook_that_starts_children_leaves_none() {
    let (_, done) = run(
        &Book::new().code("import subprocess\np = subprocess.Popen(['sleep', '600'])\nprint(p.poll())"),
        &[],
    );
    done.expect_code(0);
}

#[test]
fn a_child_in_a_session_of_its_own_does_not_outlive_the_run() {
    let source = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True).pid > 0";
    let (_, done) = run(&Book::new().code(source), &[]);
    done.expect_code(0);
}

#[test]
fn a_dead_kernel_loses_no_output_that_was_sent() {
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book("lines 500\ndie 9"), &[]);
    done.expect_code(138);
    assert!(Saved::of(&scratch).printed(1).ends_with("\n499\n"));
}

#[test]
fn a_cell_that_takes_too_long_is_interrupted() {
    let (scratch, done) = run(&python_book("import time; time.sleep(600)"), &["--execution-timeout", "3"]);
    done.expect_code(1).expect_stderr("3");
    assert!(done.wall < Duration::from_mins(5), "{:?}", done.wall);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_cell_that_takes_too_long_and_ignores_interrupts() {
    let source = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\nend = time.time() + 600\nwhile time.time() < end: pass";
    let (scratch, done) = run(&python_book(source), &["--execution-timeout", "3"]);
    done.expect_code(1);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_cell_that_takes_too_long_and_catches_the_interrupt() {
    let source = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('caught')";
    let (scratch, done) = run(&python_book(source), &["--execution-timeout", "3"]);
    done.expect_code(1);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
}

#[test]
fn execution_timeouts_of_zero_and_less_are_none() {
    let book = Book::new().code("print(1)");
    run(&book, &["--execution-timeout", "0"]).1.expect_code(0);
    run(&book, &["--execution-timeout", "-1"]).1.expect_code(0);
}

#[test]
fn a_kernel_that_is_interrupted_by_message() {
    let kernel = FakeKernel { interrupt_by_message: true, ..FakeKernel::default() };
    let (scratch, done) = run_fake(kernel, &fake_book("sleep 600"), &["--execution-timeout", "3"]);
    done.expect_code(1);
    let saved = expect_stopped_in_the_second_of_three(&scratch);
    assert!(saved.cell(1)["outputs"].to_string().contains("KeyboardInterrupt"), "{:#}", saved.cell(1));
}

#[test]
fn a_kernel_that_ignores_every_interrupt_is_killed() {
    let (scratch, done) = run_fake(
        FakeKernel::default(),
        &fake_book("ignore-interrupt\nsleep 600"),
        &["--execution-timeout", "3"],
    );
    done.expect_code(1);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_stopped_kernel_is_killed_at_the_timeout() {
    let heard = "shell until grep -q far said; do sleep .01; done\nstop";
    let (scratch, done) = run_fake(
        FakeKernel::default(),
        &fake_book(heard),
        &[&HEAR[..], &["--execution-timeout", "3"]].concat(),
    );
    done.expect_code(1);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn a_kernel_that_does_not_follow_the_shutdown_request_is_ended() {
    let kernel =
        FakeKernel { flags: &["--no-shutdown", "--ignore-terminate", "--child"], ..FakeKernel::default() };
    let (scratch, done) = run_fake(kernel, &FakeKernel::book().code("stdout hi"), &[]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).statuses(), ["completed"]);
}

#[test]
fn outputs_after_the_reply_and_before_idle_are_kept() {
    let (scratch, done) =
        run_fake(FakeKernel::default(), &FakeKernel::book().code("reply\nsleep 0.3\nstdout late\nidle"), &[]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "late");
}

#[test]
fn output_after_the_end_of_a_cell_goes_to_that_cell_also_when_it_is_the_last() {
    let script = |word: &str| format!("reply\nidle\nstdout {word}");
    let book = FakeKernel::book().code(&script("first")).code(&script("last"));
    let (scratch, done) = run_fake(FakeKernel::default(), &book, &[]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!((saved.printed(0), saved.printed(1)), ("first".to_owned(), "last".to_owned()));
}

#[test]
fn idle_before_the_reply_is_no_end() {
    let (scratch, done) = run_fake(
        FakeKernel::default(),
        &FakeKernel::book().code("stdout a\nidle\nsleep 0.3\nerror Late error"),
        &[],
    );
    done.expect_code(1);
    assert_eq!(Saved::of(&scratch).statuses(), ["failed"]);
}

#[test]
fn an_idle_that_never_comes_ends_the_wait_and_is_told() {
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book("never-idle"), &[]);
    assert!(done.wall < SOON, "{:?}", done.wall);
    // The cell did reply, yet nobody knows whether its outputs are all there: that is no success.
    done.expect_code(1);
    assert_ne!(Saved::of(&scratch).statuses()[1], "completed");
}

#[test]
fn messages_that_are_no_messages_are_passed_over() {
    let faults = "short-frame\njunk-frame\nnot-json\nbad-signature stdout forged\nforeign-parent stdout foreign\nstdout own";
    let (scratch, done) =
        run_fake(FakeKernel::default(), &FakeKernel::book().code(faults).code("stdout next"), &[]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.printed(0), "own");
    assert_eq!(saved.printed(1), "next");
}

#[test]
fn an_error_reply_without_an_error_output_is_a_failure() {
    let (scratch, done) = run_fake(FakeKernel::default(), &fake_book("error-reply Quiet words"), &[]);
    done.expect_code(1);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn input_is_refused_and_the_kernel_goes_on() {
    let (scratch, done) =
        run_fake(FakeKernel::default(), &FakeKernel::book().code("input name").code("stdout next"), &[]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(1), "next");
}

#[test]
fn the_kernels_own_stdout_never_reaches_ours() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    scratch.write(
        "in.ipynb",
        FakeKernel::book().code("stdout-fd stray\nstderr-fd stray\nstdout kept").to_bytes(),
    );
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "-"]));
    done.expect_code(0);
    let nb: serde_json::Value =
        serde_json::from_slice(&done.stdout).expect("standard output is the notebook alone");
    assert_eq!(nb["cells"][0]["outputs"][0]["text"], json!(["kept"]));
}

#[test]
fn both_ways_to_become_ready() {
    for flags in [&["--welcome"][..], &[]] {
        let kernel = FakeKernel { flags, ..FakeKernel::default() };
        let (scratch, done) = run_fake(kernel, &FakeKernel::book().code("stdout hi"), &[]);
        done.expect_code(0);
        assert_eq!(Saved::of(&scratch).printed(0), "hi");
    }
}

#[test]
fn a_kernel_that_is_slow_to_start_is_waited_for() {
    let kernel = FakeKernel { flags: &["--kernel-info-delay", "2"], ..FakeKernel::default() };
    run_fake(kernel, &FakeKernel::book().code("stdout hi"), &[]).1.expect_code(0);
}

#[test]
fn a_kernel_that_never_answers() {
    let kernel = FakeKernel { flags: &["--no-kernel-info"], ..FakeKernel::default() };
    let (scratch, done) = run_fake(kernel, &fake_book(""), &["--start-timeout", "2"]);
    done.expect_code(75).expect_stderr("2");
    expect_never_started(&scratch);
}

#[test]
fn a_kernel_that_dies_at_start_says_why() {
    let kernel = FakeKernel { flags: &["--die-at-start", "7"], ..FakeKernel::default() };
    let (scratch, done) = run_fake(kernel, &fake_book(""), &[]);
    done.expect_code(75).expect_stderr("fake kernel: the reason it did not start").expect_stderr("7");
    expect_never_started(&scratch);
}

#[test]
fn a_kernel_whose_program_is_missing() {
    let scratch = Scratch::new();
    let spec =
        json!({"argv": ["/no/such/program", "{connection_file}"], "display_name": "x", "language": "faults"});
    rnbexec_tests::oracle::write_kernelspec(&scratch.home().join("jupyter-data"), "fake", &spec);
    scratch.write("in.ipynb", fake_book("").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
    assert!([1, 75].contains(&done.code()), "{}: {}", done.code(), done.stderr);
    done.expect_stderr("/no/such/program");
    expect_never_started(&scratch);
}

#[test]
fn a_missing_kernel_is_named_with_those_that_exist() {
    let (scratch, done) = run(&Book::for_kernel("nosuch", "python").code("1"), &[]);
    done.expect_code(1)
        .expect_stderr("nosuch")
        .expect_stderr("python3")
        .expect_stderr("rnbexec kernel install");
    expect_never_started(&scratch);
}

/// Either nothing was written, or a notebook that claims nothing.
#[track_caller]
fn expect_never_started(scratch: &Scratch) {
    if scratch.join("out.ipynb").exists() {
        let saved = Saved::of(scratch);
        assert!(saved.statuses().iter().all(|status| status == "pending"), "{:?}", saved.statuses());
        assert_eq!(*saved.exception(), json!(true));
    }
}

#[test]
fn a_failed_start_keeps_the_notebook_of_the_run_before() {
    let scratch = Scratch::new();
    FakeKernel { flags: &["--die-at-start", "7"], ..FakeKernel::default() }.install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
    scratch.write("out.ipynb", Book::new().markdown("of the run before").to_bytes());
    let before = scratch.read("out.ipynb");
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"])).expect_code(75);
    assert_eq!(scratch.read("out.ipynb"), before);
}

/// Starts a notebook whose second cell takes long, and returns once that cell has begun.
fn in_flight(args: &[&str], second: &str) -> (Scratch, Running) {
    let scratch = Scratch::new();
    let source = format!("open('begun', 'w').close()\n{second}");
    scratch.write("in.ipynb", python_book(&source).to_bytes());
    let running = Running::start(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    wait_for("the cell to begin", SOON, || scratch.join("begun").exists().then_some(()));
    (scratch, running)
}

#[test]
fn sigterm_interrupts_saves_and_leaves_nothing() {
    let (scratch, running) = in_flight(&[], "import time; time.sleep(60)");
    running.signal("TERM");
    running.finish(SOON).expect_code(143);
    expect_stopped_in_the_second_of_three(&scratch);
    scratch.expect_nothing_left();
}

#[test]
fn ctrl_c_interrupts_saves_and_leaves_nothing() {
    let (scratch, running) = in_flight(&[], "import time; time.sleep(60)");
    running.signal("INT");
    running.finish(SOON).expect_code(130);
    expect_stopped_in_the_second_of_three(&scratch);
    scratch.expect_nothing_left();
}

#[test]
fn sighup_does_the_same() {
    let (scratch, running) = in_flight(&[], "import time; time.sleep(60)");
    running.signal("HUP");
    running.finish(SOON).expect_code(129);
    expect_stopped_in_the_second_of_three(&scratch);
    scratch.expect_nothing_left();
}

#[test]
fn a_second_sigterm_does_not_wait_for_a_kernel_that_ignores_the_first() {
    let deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nopen('deaf', 'w').close()\nwhile True: pass";
    let (scratch, running) = in_flight(&HEAR, &format!("{HEARD}{deaf}"));
    wait_for("the kernel to be deaf", SOON, || scratch.join("deaf").exists().then_some(()));
    running.signal("TERM");
    running.signal("TERM");
    let done = running.finish(SOON);
    done.expect_code(143);
    expect_stopped_in_the_second_of_three(&scratch);
    scratch.expect_nothing_left();
}

#[test]
fn sigterm_when_the_notebook_goes_to_standard_output() {
    let scratch = Scratch::new();
    scratch
        .write("in.ipynb", python_book("open('begun', 'w').close()\nimport time; time.sleep(60)").to_bytes());
    let running = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "-"]));
    wait_for("the cell to begin", SOON, || scratch.join("begun").exists().then_some(()));
    running.signal("TERM");
    let done = running.finish(SOON);
    done.expect_code(143);
    scratch.write("out.ipynb", &done.stdout);
    expect_stopped_in_the_second_of_three(&scratch);
}

#[test]
fn sigterm_while_the_kernel_starts() {
    let scratch = Scratch::new();
    FakeKernel { flags: &["--no-kernel-info"], ..FakeKernel::default() }.install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
    let running = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
    wait_for("the kernel's process", SOON, || {
        scratch.alive().iter().any(|p| p.contains("fake_kernel.py")).then_some(())
    });
    running.signal("TERM");
    running.finish(SOON).expect_code(143);
    scratch.expect_nothing_left();
}

#[test]
fn killing_the_runner_leaves_no_kernel() {
    for kernel in ["python3", "fake"] {
        let scratch = Scratch::new();
        FakeKernel::default().install(&scratch);
        let (book, begun) = match kernel {
            "python3" => {
                (Book::new().code("open('begun', 'w').close()\nimport time; time.sleep(600)"), "begun")
            }
            _ => (FakeKernel::book().code("stdout hi\nsleep 600"), "out.ipynb"),
        };
        scratch.write("in.ipynb", book.to_bytes());
        let running = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
        wait_for("the cell to begin", SOON, || scratch.join(begun).exists().then_some(()));
        running.signal("KILL");
        assert_eq!(running.finish(SOON).code(), 137);
        wait_for("the kernel to be gone", SOON, || scratch.alive().is_empty().then_some(()));
    }
}

#[test]
fn sys_exit_ends_the_notebook_early_and_well() {
    let (scratch, done) = run(&python_book("import sys; sys.exit(0)"), &[]);
    done.expect_code(0);
    assert!(!Saved::of(&scratch).has_markers());
}

#[test]
fn a_cell_tagged_to_raise_that_raises_is_a_success() {
    let (scratch, done) = run(&Book::new().tagged("1/0", &["raises-exception"]).code("print('on')"), &[]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "completed"]);
    assert!(!saved.has_markers());
    assert_eq!(saved.cell(0)["outputs"][0]["ename"], "ZeroDivisionError");
}

#[test]
fn a_death_between_cells_is_told_by_the_next() {
    let (scratch, done) = run(
        &Book::new()
            .code(
                "import os, threading, time\ndef die():\n    while not os.path.exists('begun'): time.sleep(.01)\n    \
                 os._exit(5)\nthreading.Thread(target=die).start()",
            )
            .code("open('begun', 'w').close()\nimport time; time.sleep(60)")
            .code("1"),
        &[],
    );
    done.expect_code(138);
    assert_eq!(Saved::of(&scratch).statuses(), ["completed", "failed", "pending"]);
}

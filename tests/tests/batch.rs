//! `rnbexec batch`: many runs of one notebook.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rnbexec_tests::program::Running;
use rnbexec_tests::{Book, Done, Saved, Scratch, finish, oracle, wait_for};
use serde_json::{Value, json};

/// Long enough for anything on a busy machine; only what hangs needs it.
const DEADLINE: Duration = Duration::from_mins(5);

fn scratch_with(book: &Book) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    scratch
}

/// Prints its parameters; 13 is bad luck.
fn greeting() -> Book {
    Book::new()
        .parameters("name = 'nobody'\ncount = 1")
        .code("assert count != 13, 'bad luck'\nprint(name, count)")
}

fn batch(scratch: &Scratch, arguments: &[&str]) -> Done {
    finish(&mut scratch.rnbexec(["batch", "in.ipynb"].iter().chain(arguments)))
}

fn printed(scratch: &Scratch, output: &str) -> String {
    Saved(scratch.json(output)).printed(1)
}

/// The lines of a summary: those of the runs by their number, then the last one.
fn summary(scratch: &Scratch) -> (Vec<Value>, Value) {
    let text = String::from_utf8(scratch.read("summary.jsonl")).expect("UTF-8");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.pop().expect("a last line");
    assert_eq!(last["kind"], "batch");
    lines.sort_by_key(|line| line["row"].as_u64());
    (lines, last)
}

fn outcomes(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["outcome"].as_str()).collect()
}

fn files(scratch: &Scratch, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(scratch.join(folder)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_row_of_a_csv_file_is_a_run_and_one_that_fails_hurts_no_other() {
    let scratch = scratch_with(&greeting());
    scratch.write("rows.csv", "\u{feff}name,count\nAda,2\n\"Bob, jr\",13\nCy,\n");
    let done = batch(
        &scratch,
        &["--each", "rows.csv", "--output", "out/{name}.ipynb", "-p", "count", "7", "--jobs", "2"]
            .iter()
            .chain(&["--summary", "summary.jsonl", "--json"])
            .copied()
            .collect::<Vec<_>>(),
    );
    done.expect_code(1)
        .expect_stderr("out/Ada.ipynb: completed (3 cells")
        .expect_stderr("cell 3 (In [3]) raised AssertionError: bad luck")
        .expect_stderr("error: 1 of 3 runs failed");
    assert_eq!(printed(&scratch, "out/Ada.ipynb"), "Ada 2\n");
    // An empty value is not given: the common parameter holds.
    assert_eq!(printed(&scratch, "out/Cy.ipynb"), "Cy 7\n");
    assert_eq!(scratch.json("out/Bob, jr.ipynb")["metadata"]["papermill"]["exception"], true);

    let (lines, last) = summary(&scratch);
    assert_eq!(outcomes(&lines), ["completed", "cell-failed", "completed"]);
    assert_eq!(lines[1]["parameters"], json!({"count": 13, "name": "Bob, jr"}));
    assert_eq!(lines[1]["origin"], "line 3");
    assert_eq!(lines[1]["failed_cell"]["ename"], "AssertionError");
    assert_eq!((&last["total"], &last["succeeded"], &last["failed"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap(), last);
    scratch.expect_no_process();
}

#[test]
fn resume_runs_only_what_is_not_done_or_has_changed() {
    let scratch = scratch_with(&greeting());
    let run = |rows: &str, code: i32| {
        scratch.write("rows.jsonl", rows);
        let arguments =
            ["--each", "rows.jsonl", "-o", "out/{name}.ipynb", "--resume", "--summary", "summary.jsonl"];
        fs::remove_file(scratch.join("summary.jsonl")).ok();
        batch(&scratch, &arguments).expect_code(code);
        let (lines, _) = summary(&scratch);
        outcomes(&lines).join(" ")
    };
    let (a, b, bad) =
        (r#"{"name": "a", "count": 1}"#, r#"{"name": "b", "count": 2}"#, r#"{"name": "c", "count": 13}"#);
    assert_eq!(run(&[a, b, bad].join("\n"), 1), "completed completed cell-failed");
    // What failed is run again, and nothing else, whatever the order of the rows.
    assert_eq!(run(&[bad, b, a].join("\n"), 1), "cell-failed up-to-date up-to-date");
    // An edited row is run again.
    let edited = r#"{"name": "c", "count": 3}"#;
    assert_eq!(run(&[a, b, edited].join("\n"), 0), "up-to-date up-to-date completed");
    // An output that a killed run left is no result.
    let mut cut = scratch.json("out/a.ipynb");
    cut["metadata"]["papermill"]["end_time"] = Value::Null;
    scratch.write_json("out/a.ipynb", &cut);
    assert_eq!(run(&[a, b].join("\n"), 0), "completed up-to-date");
    // An edited notebook is run again for all.
    scratch.write("in.ipynb", greeting().markdown("more").to_bytes());
    assert_eq!(run(&[a, b].join("\n"), 0), "completed completed");
}

#[test]
fn grids_and_rows_make_all_combinations() {
    let scratch = scratch_with(&greeting());
    scratch.write("rows.json", r#"[{"name": "x"}, {"name": "y"}]"#);
    let arguments =
        ["--each", "rows.json", "--grid", "count=1,2", "--grid", "flag=True,False", "--prepare-only"];
    let done =
        batch(&scratch, &[&arguments[..], &["-o", "out/{row:02d}-{name}-{count}-{flag}.ipynb"]].concat());
    done.expect_code(0).expect_stderr("8 succeeded").expect_stderr("Passed unknown parameter: flag");
    assert_eq!(done.stderr.matches("Passed unknown parameter").count(), 1, "{}", done.stderr);
    let expected = [
        "01-x-1-True.ipynb",
        "02-x-1-False.ipynb",
        "03-x-2-True.ipynb",
        "04-x-2-False.ipynb",
        "05-y-1-True.ipynb",
        "06-y-1-False.ipynb",
        "07-y-2-True.ipynb",
        "08-y-2-False.ipynb",
    ];
    assert_eq!(files(&scratch, "out"), expected);
    // The table for people, on standard output.
    assert!(done.stdout_text().contains("out/03-x-2-True.ipynb"), "{}", done.stdout_text());
}

#[test]
fn without_an_output_the_notebooks_go_into_a_folder_called_after_the_notebook() {
    let scratch = scratch_with(&greeting());
    batch(&scratch, &["--grid", "count=1,2", "--prepare-only"]).expect_code(0);
    assert_eq!(files(&scratch, "in-batch"), ["00001.ipynb", "00002.ipynb"]);
}

#[test]
fn rows_that_go_to_the_same_place_are_refused_before_anything_runs() {
    let scratch = scratch_with(&greeting());
    scratch.write("rows.jsonl", "{\"name\": \"a\"}\n{\"name\": \"b\"}\n{\"name\": \"./a\"}\n{\"name\": }\n");
    let done =
        batch(&scratch, &["--each", "rows.jsonl", "-o", "out/{name}.ipynb", "--prepare-only", "--json"]);
    done.expect_code(1)
        .expect_stderr("2 of 4 runs cannot be run as they are")
        .expect_stderr("line 3: out/./a.ipynb is where run 1 goes already")
        .expect_stderr("help: nothing was run; --output needs fields that tell the runs apart")
        .expect_stderr("line 4: the row cannot be read: expected a value, found '}' at column 10");
    assert_eq!(files(&scratch, "out"), [] as [&str; 0]);
    let last: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&last["total"], &last["exit_code"]), (&json!(0), &json!(1)));
}

#[test]
fn rows_that_cannot_be_read_are_refused_before_anything_runs() {
    let scratch = scratch_with(&greeting());
    scratch.write("rows.csv", "name,count\nAda,1\nBob,\"2\nGrace,3\n");
    batch(&scratch, &["--each", "rows.csv", "-o", "out/{name}.ipynb", "--prepare-only"])
        .expect_code(1)
        .expect_stderr("line 3: the row cannot be read: a quotation mark opens a value that nothing closes")
        .expect_stderr("help: nothing was run; put these rows right, or leave them out");
    assert_eq!(files(&scratch, "out"), [] as [&str; 0]);
}

#[test]
fn a_value_that_leads_out_of_the_folder_is_refused_for_its_row() {
    let scratch = scratch_with(&greeting());
    scratch.write("rows.csv", "name\na\n../b\n/c\nx/../../d\n");
    let done = batch(
        &scratch,
        &["--each", "rows.csv", "-o", "out/{name}.ipynb", "--prepare-only", "--summary", "summary.jsonl"],
    );
    done.expect_code(1).expect_stderr("line 3: \"../b\" in the output would lead out of the folder");
    assert_eq!(outcomes(&summary(&scratch).0), ["prepared", "refused", "prepared", "refused"]);
    assert_eq!(files(&scratch, "."), ["in.ipynb", "out", "rows.csv", "summary.jsonl"]);
    // A root in the middle of a path is none.
    assert_eq!(files(&scratch, "out"), ["a.ipynb", "c.ipynb"]);
}

#[test]
fn no_row_overwrites_the_notebook_that_all_come_from() {
    let scratch = scratch_with(&greeting());
    let before = scratch.read("in.ipynb");
    scratch.write("rows.csv", "name\na\nin\n");
    let absolute = scratch.join("{name}.ipynb").display().to_string();
    for output in ["{name}.ipynb", &absolute] {
        let done = batch(&scratch, &["--each", "rows.csv", "-o", output, "--prepare-only"]);
        done.expect_code(1).expect_stderr("in.ipynb is the notebook itself");
        assert_eq!(scratch.read("in.ipynb"), before, "{output}");
        assert!(scratch.join("a.ipynb").exists(), "{output}");
    }
}

#[test]
fn a_dry_run_lists_and_runs_nothing() {
    let scratch = scratch_with(&greeting());
    let arguments = ["--grid", "name=a,b,../c", "-o", "out/{name}.ipynb", "--resume", "--prepare-only"];
    batch(&scratch, &["--grid", "name=a", "-o", "out/{name}.ipynb", "--prepare-only"]).expect_code(0);
    let done = batch(&scratch, &[&arguments[..], &["--dry-run"]].concat());
    let expected = "up-to-date  out/a.ipynb  name=\"a\"\n\
                    would-run   out/b.ipynb  name=\"b\"\n\
                    refused     run 3  (\"../c\" in the output would lead out of the folder)\n";
    assert_eq!(done.expect_code(1).stdout_text(), expected);
    assert_eq!(files(&scratch, "out"), ["a.ipynb"]);
}

#[test]
fn a_batch_may_stop_after_failures() {
    let scratch = scratch_with(&greeting());
    let arguments =
        ["--grid", "count=1,13,2,3", "-o", "out/{count}.ipynb", "-j", "1", "--summary", "summary.jsonl"];
    let done = batch(&scratch, &[&arguments[..], &["--fail-fast"]].concat());
    done.expect_code(1).expect_stderr("1 of 4 runs failed; no further one was started");
    let (lines, last) = summary(&scratch);
    assert_eq!(outcomes(&lines), ["completed", "cell-failed", "not-started", "not-started"]);
    assert_eq!(
        lines.iter().map(|line| &line["exit_code"]).collect::<Vec<_>>(),
        [&json!(0), &json!(1), &json!(null), &json!(null)]
    );
    assert_eq!(last["stopped"], "failures");
    let refused = ["--grid", "name=../a,../b,../c", "-o", "out/{name}.ipynb", "--prepare-only", "-j", "1"];
    batch(&scratch, &[&refused[..], &["--max-failures", "2"]].concat())
        .expect_code(1)
        .expect_stderr("2 of 3 runs failed; no further one was started");
}

#[test]
fn what_no_run_can_have_stops_the_batch_at_once() {
    let scratch = scratch_with(&greeting());
    let done = batch(&scratch, &["--grid", "count=1,2,3", "-k", "nosuch", "-l", "python", "-j", "1"]);
    done.expect_code(1).expect_stderr("no kernel named 'nosuch' is installed").expect_stderr("2 not started");
    scratch.write("in.ipynb", "no notebook");
    batch(&scratch, &["--grid", "count=1,2"])
        .expect_code(1)
        .expect_stderr("is not a notebook that can be run");
}

#[test]
fn failures_of_the_environment_alone_ask_to_try_again() {
    let scratch = Scratch::new();
    let broken = json!({"argv": ["sh", "-c", "exit 3"], "display_name": "Broken", "language": "python"});
    oracle::write_kernelspec(&scratch.home().join("jupyter-data"), "broken", &broken);
    scratch.write("in.ipynb", Book::for_kernel("broken", "python").code("1").to_bytes());
    batch(&scratch, &["--grid", "count=1,2"]).expect_code(75).expect_stderr("error: 2 of 2 runs failed");
}

#[test]
fn ctrl_c_interrupts_and_saves_what_runs_and_tells_of_what_was_not_started() {
    let book = Book::new()
        .parameters("count = 1")
        .code("import pathlib, time\npathlib.Path(f'up{count}').touch()\nif count > 1: time.sleep(600)");
    let scratch = scratch_with(&book);
    let arguments = ["batch", "in.ipynb", "--grid", "count=1,2,3,4,5", "-o", "out/{count}.ipynb", "-j", "2"];
    let mut command = scratch.rnbexec(arguments.iter().chain(&["--summary", "summary.jsonl"]));
    let running = Running::start(&mut command);
    wait_for("two cells that wait", DEADLINE, || {
        (scratch.join("up2").exists() && scratch.join("up3").exists()).then_some(())
    });
    running.signal("INT");
    let done = running.finish(DEADLINE);
    done.expect_code(130).expect_stderr("stopped; 4 of 5 runs were not finished");
    let (lines, last) = summary(&scratch);
    assert_eq!(outcomes(&lines), ["completed", "interrupted", "interrupted", "not-started", "not-started"]);
    assert_eq!((&last["stopped"], &last["exit_code"]), (&json!("asked"), &json!(130)));
    assert_eq!(scratch.json("out/2.ipynb")["metadata"]["rnbexec"]["outcome"], "interrupted");
    assert_eq!(files(&scratch, "out"), ["1.ipynb", "2.ipynb", "3.ipynb"]);
    scratch.expect_no_process();
}

#[test]
fn options_of_a_run_hold_for_every_run() {
    let book = Book::new()
        .parameters("x = 0\nPAPERMILL_OUTPUT_PATH = ''")
        .tagged("print('slow')", &["slow"])
        .code("import os\nprint(x, os.environ['MODE'], os.path.basename(os.getcwd()), PAPERMILL_OUTPUT_PATH, token)");
    let scratch = scratch_with(&book);
    fs::create_dir(scratch.join("here")).unwrap();
    let arguments = ["batch", "in.ipynb", "--grid", "x=1,2", "-o", "out/{x}.ipynb", "--set-env", "MODE=m"];
    let more = ["--cwd", "here", "--skip-tag", "slow", "--secret", "token=env:TOKEN", "--inject-output-path"];
    let last = ["--report-mode", "--log-output", "--timeout", "5m"];
    let mut command = scratch.rnbexec(arguments.iter().chain(&more).chain(&last));
    let done = finish(command.env("TOKEN", "hunter22"));
    done.expect_code(0).expect_stderr("[1] 1 m here out/1.ipynb ").expect_stderr("[2] 2 m here out/2.ipynb ");
    let saved = Saved(scratch.json("out/2.ipynb"));
    assert_eq!(saved.printed(1), "");
    assert!(saved.printed(2).starts_with("2 m here out/2.ipynb "), "{}", saved.printed(2));
    assert_eq!(saved.cell(2)["metadata"]["jupyter"]["source_hidden"], true);
    assert!(!saved.0.to_string().contains("hunter22") && !done.stderr.contains("hunter22"));
}

#[test]
fn wrong_usage_is_told_before_anything_is_read() {
    let scratch = scratch_with(&greeting());
    for (arguments, said) in [
        (&[][..], "the runs are not given"),
        (&["--grid", "x=1", "-o", "-"], "many notebooks cannot go to standard output"),
        (&["--each", "-", "-f", "-"], "standard input holds one thing"),
        (&["--grid", "x=1", "--jobs", "0"], "--jobs"),
        (&["--grid", "x"], "is not NAME=VALUE"),
        (&["--grid", "x=1", "--grid", "x=2"], "'x' is given twice"),
        (&["--grid", "x=1", "--fail-fast", "--max-failures", "2"], "cannot be used with"),
    ] {
        batch(&scratch, arguments).expect_code(2).expect_stderr(said);
    }
    batch(&scratch, &["--each", "missing.csv"]).expect_code(1).expect_stderr("missing.csv");
    let help = batch(&scratch, &["--help"]);
    help.expect_code(0);
    for code in ["0", "1", "2", "75", "130", "143"] {
        let listed =
            help.stdout_text().lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
        assert!(listed, "{code}: {}", help.stdout_text());
    }
}

#[test]
fn kernels_are_forked_unless_that_is_not_wanted() {
    let scratch = scratch_with(&greeting());
    let arguments =
        ["--grid", "name=a,b", "--grid", "count=1,2", "--log-level", "DEBUG", "-j", "1", "-o", "out/"];
    let done = batch(&scratch, &arguments);
    done.expect_code(0).expect_stderr("out/00004.ipynb: the kernel was forked");
    assert_eq!(printed(&scratch, "out/00004.ipynb"), "b 2\n");
    let done = batch(&scratch, &[&arguments[..], &["--no-fork-server"]].concat());
    assert_eq!(done.expect_code(0).stderr.matches("the kernel was started").count(), 4, "{}", done.stderr);
    scratch.expect_no_process();
}

#[test]
fn the_readmes_example_runs() {
    let scratch = Scratch::new();
    let shipped = |name: &str| oracle::workspace().join("notebooks").join(name).display().to_string();
    let (notebook, rows) = (shipped("hello.ipynb"), shipped("data/greetings.csv"));
    let done =
        finish(&mut scratch.rnbexec(["batch", &notebook, "--each", &rows, "--output", "out/{name}.ipynb"]));
    done.expect_code(0).expect_stderr("3 succeeded");
    assert_eq!(files(&scratch, "out"), ["Ada.ipynb", "Grace.ipynb", "Hamilton, Margaret.ipynb"]);
    let saved = Saved(scratch.json("out/Hamilton, Margaret.ipynb"));
    assert_eq!(saved.printed(2), "Hello, Hamilton, Margaret!\n");
}

#[test]
fn a_terminal_shows_the_whole_and_each_notebook_that_runs() {
    // Each stays in its last cell until the terminal has shown both there.
    let waits = "import pathlib, time\nwhile not pathlib.Path('seen').exists(): time.sleep(0.01)";
    let scratch = scratch_with(&Book::new().parameters("name = ''").code(waits));
    scratch.write("names.csv", "name\nada\ngrace\n");
    let mut command = scratch.rnbexec_on_a_terminal([
        "batch",
        "in.ipynb",
        "--each",
        "names.csv",
        "-o",
        "{name}.ipynb",
        "-j",
        "2",
    ]);
    let screen = fs::File::create(scratch.join("screen")).expect("the folder is ours");
    let mut child =
        command.stdin(Stdio::null()).stdout(screen).stderr(Stdio::null()).spawn().expect("it runs");
    // Bars are drawn anew as a whole.
    let drawn = |text: &str| {
        text.rsplit("0/2 runs").find(|bars| bars.matches(".ipynb").count() >= 2).map(str::to_owned)
    };
    let bars = wait_for("both bars", DEADLINE, || {
        let text = String::from_utf8_lossy(&fs::read(scratch.join("screen")).ok()?).into_owned();
        let bars = drawn(&text)?;
        (bars.matches("cell 3/3").count() == 2).then_some(bars)
    });
    for shown in ["2 running", "ada.ipynb", "grace.ipynb"] {
        assert!(bars.contains(shown), "{shown} is missing in {bars}");
    }
    scratch.write("seen", "");
    assert!(child.wait().is_ok_and(|status| status.success()));
    let screen = String::from_utf8_lossy(&scratch.read("screen")).into_owned();
    assert!(screen.contains("2 succeeded"), "{screen}");
}

/// How much memory a process has, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn rows_of_a_stream_are_taken_as_they_come_and_memory_stays_flat() {
    let rounds: u64 =
        std::env::var("RNBEXEC_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(400);
    let warm = 100;
    // Big enough that keeping a notebook of each run would show: 40 MB for 400 runs.
    let book = greeting().markdown(&"padding ".repeat(12_500));
    let scratch = scratch_with(&book);
    let mut command = scratch.rnbexec([
        "batch",
        "in.ipynb",
        "--each",
        "-",
        "-o",
        "out/{name}.ipynb",
        "--prepare-only",
        "-j",
        "2",
        "--summary",
        "summary.jsonl",
        "--log-level",
        "ERROR",
    ]);
    // Each arena keeps what it once had, and how many there are depends on how busy the machine is.
    command.env("MALLOC_ARENA_MAX", "1");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut rows = child.stdin.take().unwrap();
    let feed = |rows: &mut dyn Write, numbers: std::ops::Range<u64>| {
        let end = numbers.end;
        for number in numbers {
            writeln!(rows, "{{\"name\": \"{number}\"}}").unwrap();
        }
        rows.flush().unwrap();
        // The rows that were given are run although more may come.
        wait_for("the runs so far", DEADLINE, || {
            let text = fs::read_to_string(scratch.join("summary.jsonl")).ok()?;
            (text.lines().count() as u64 == end).then_some(())
        });
        resident(child.id())
    };
    let before = feed(&mut rows, 0..warm);
    let after = feed(&mut rows, warm..warm + rounds);
    // One that goes where another went is refused when it comes.
    writeln!(rows, "{{\"name\": \"7\"}}").unwrap();
    drop(rows);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let (lines, last) = summary(&scratch);
    assert_eq!((&last["succeeded"], &last["refused"]), (&json!(warm + rounds), &json!(1)));
    let refused = lines.last().unwrap();
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("is where run 8 goes already"),
        "{refused}"
    );
    assert!(after < before + 8 * 1024, "{before} KiB after {warm} runs, {after} KiB after {rounds} more");
}

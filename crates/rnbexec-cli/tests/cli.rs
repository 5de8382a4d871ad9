//! The binary as a user meets it first: version, help and usage errors, with nothing behind them.

use std::process::{Command, Output, Stdio};

fn rnbexec(arguments: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_rnbexec")).args(arguments))
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

#[test]
fn the_version_is_printed() {
    let output = rnbexec(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), format!("rnbexec {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_help_of_run_names_papermills_options_and_the_exit_codes() {
    let output = rnbexec(&["run", "--help"]);
    let help = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    for word in ["--parameters_yaml", "--execution-timeout", "--secret", "Exit codes:", "138"] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[test]
fn usage_errors_exit_with_2_and_say_nothing_on_standard_output() {
    for arguments in [&["run", "--nope"][..], &["run", "-p", "x"], &["run"], &["nope"], &[]] {
        let output = rnbexec(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn under_papermills_name_it_is_papermill() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("papermill");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rnbexec"), &link).expect("a link");
    let version = stdout(&run(Command::new(&link).arg("--version")));
    assert!(version.starts_with("2.7.0 from ") && version.contains("(rnbexec "), "{version}");
    let help = stdout(&run(Command::new(&link).arg("-h")));
    assert!(help.contains("Usage: papermill [OPTIONS]"), "{help}");
    assert_eq!(run(&mut Command::new(&link)).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::OsStr::from_bytes(b"n\xff.ipynb");
    let output =
        run(Command::new(env!("CARGO_BIN_EXE_rnbexec")).args(["run".as_ref(), path, "o.ipynb".as_ref()]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
}

#[test]
fn a_missing_notebook_is_an_error_with_its_cause_and_what_to_do() {
    let output = rnbexec(&["run", "/nowhere/n.ipynb", "/nowhere/o.ipynb"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    for line in ["Input Notebook:  /nowhere/n.ipynb\n", "error: ", "  because: ", "help: "] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    assert!(!std::path::Path::new("/nowhere").exists());
}

#[test]
fn an_unknown_engine_is_an_error() {
    let output = rnbexec(&["run", "n.ipynb", "o.ipynb", "--engine", "foo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no engine named 'foo'"), "{}", stderr(&output));
}

#[test]
fn a_last_line_of_json_tells_what_could_not_be_done() {
    let output = rnbexec(&["run", "/nowhere/n.ipynb", "/nowhere/o.ipynb", "--json"]);
    let line = stdout(&output);
    let json: serde_json::Value = serde_json::from_str(line.lines().last().expect("a line")).expect("JSON");
    assert_eq!((json["outcome"].as_str(), json["exit_code"].as_u64()), (Some("error"), Some(1)));
    assert_eq!(json["input"], "/nowhere/n.ipynb");
}

#[test]
fn completions_are_printed() {
    let output = rnbexec(&["completions", "bash"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("rnbexec"));
}

#[test]
fn without_a_notebook_and_a_pipe_there_is_nothing_to_show() {
    let output = rnbexec(&["run", "--help-notebook"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("NOTEBOOK_PATH"), "{}", stderr(&output));
}

/// A run that waits for a notebook on standard input, and tells on standard error that it does.
#[cfg(unix)]
#[test]
fn sigterm_ends_a_run_that_waits_for_its_notebook() {
    use std::io::{BufRead as _, BufReader};

    let mut child = Command::new(env!("CARGO_BIN_EXE_rnbexec"))
        .args(["run", "-", "/nowhere/o.ipynb"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert_eq!(first, "Input Notebook:  -");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(143), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("error: stopped by SIGTERM")), "{said:?}");
}

#[cfg(unix)]
#[test]
fn a_reader_of_standard_output_that_goes_away_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rnbexec"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

//! Notebooks of the kind that Microsoft's blog post has (`tests/notebooks/blog/README.md`) run unchanged, and mean what they meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rnbexec_manager::severity::Severity;
use rnbexec_manager::verdict::{JudgeRules, Judgement, judge};
use rnbexec_notebook::Notebook;
use rnbexec_tests::{Scratch, finish, finish_papermill, oracle};
use serde_json::{Value, json};

const KNOWN_BAD: &str = "1c0ffee1-0000-4000-8000-000000000010";
const HARMLESS: &str = "1c0ffee2-0000-4000-8000-000000000020";
const NOT_IN_THE_LOGS: &str = "1c0ffee3-0000-4000-8000-000000000030";
const SHARE: &str = "code-391ff5ac-6576-460f-ba4d-7e03433c68b6";

fn folder() -> PathBuf {
    oracle::workspace().join("tests/notebooks/blog")
}

/// A run of the notebook in the stand-ins' world.
fn run(scratch: &Scratch, notebook: &Path, output: &str) -> Command {
    let mut command = scratch.rnbexec(["run", "-k", "python3"]);
    command.arg(notebook).arg(output);
    // Where the stand-ins are imported from, no compiled copies are to be left.
    command.env("PYTHONPATH", folder().join("stubs")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn triage(scratch: &Scratch, incident: &str, output: &str) -> Command {
    let mut command = run(scratch, &folder().join("triage.ipynb"), output);
    command.args([
        "-p",
        "incident_id",
        incident,
        "-p",
        "ten_id",
        "the tenant",
        "-p",
        "ws_id",
        "the workspace",
    ]);
    command
}

fn judged(scratch: &Scratch, output: &str) -> Judgement {
    let parsed = Notebook::parse(&scratch.read(output), &mut || "fresh".to_owned()).expect("a notebook");
    judge(&parsed.notebook, &JudgeRules::default())
}

#[test]
fn a_triage_that_prints_in_its_output_cell_is_a_finding_of_severity_high() {
    let scratch = Scratch::new();
    finish(&mut triage(&scratch, KNOWN_BAD, "out.ipynb")).expect_code(0);
    let Judgement::Finding(verdict) = judged(&scratch, "out.ipynb") else { panic!("a finding") };
    assert_eq!(verdict.severity, Severity::High);
    let notebook = scratch.json("out.ipynb").to_string();
    assert!(notebook.contains("High severity threat intelligence"), "{notebook}");
    assert!(notebook.contains("203.0.113.66"), "{notebook}");
}

#[test]
fn a_triage_that_prints_nothing_in_its_output_cell_is_no_finding() {
    let scratch = Scratch::new();
    finish(&mut triage(&scratch, HARMLESS, "out.ipynb")).expect_code(0);
    assert!(matches!(judged(&scratch, "out.ipynb"), Judgement::NoFinding(None)));
}

#[test]
fn a_triage_whose_incident_is_not_in_the_logs_has_failed() {
    let scratch = Scratch::new();
    finish(&mut triage(&scratch, NOT_IN_THE_LOGS, "out.ipynb")).expect_code(1).expect_stderr("IndexError");
}

#[test]
fn a_manager_notebook_runs_its_triage_notebook_and_does_what_it_does() {
    let scratch = Scratch::new();
    manages(&scratch, &folder().join("manager.ipynb"));
    let said = scratch.json("manager.ipynb").to_string();
    assert!(said.contains(&format!("{NOT_IN_THE_LOGS}: IndexError")), "{said}");
}

/// Runs a manager notebook, and looks for the one finding among the three incidents: published, commented, raised.
fn manages(scratch: &Scratch, manager: &Path) {
    let triage = fs::read(folder().join("triage.ipynb")).expect("the triage notebook can be read");
    scratch.write("AutomatedNotebooks-IncidentTriage.ipynb", triage);
    // Such a notebook calls papermill.
    finish_papermill(&mut run(scratch, manager, "manager.ipynb")).expect_code(0);

    let published = fs::read_dir(scratch.join("effects").join(SHARE).join("Users/TriageNbs"))
        .expect("something was published")
        .map(|entry| entry.expect("an entry").file_name())
        .collect::<Vec<_>>();
    assert_eq!(published, [format!("{KNOWN_BAD}.ipynb").as_str()]);

    let comments = journal(scratch, "comments");
    let [comment] = comments.as_slice() else { panic!("one comment, not {comments:?}") };
    assert_eq!(comment["incident"], KNOWN_BAD);
    let message = comment["message"].as_str().expect("a comment is a text");
    assert!(message.starts_with("<a href='https://ml.azure.com/fileexplorerAzNB?"), "{message}");
    assert!(message.ends_with("'>View incident triage notebook in AML</a>"), "{message}");
    assert_eq!(
        journal(scratch, "updates"),
        [json!({"incident": KNOWN_BAD, "properties": {"severity": "High", "status": "New"}})]
    );
}

fn journal(scratch: &Scratch, name: &str) -> Vec<Value> {
    let lines =
        String::from_utf8(scratch.read(format!("effects/{name}.jsonl"))).expect("a journal is a text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

//! The notebooks that make a pass of the manager and that hunt for a report's indicators.

use std::fs;

use rnbexec_manager::severity::Severity;
use rnbexec_manager::verdict;
use rnbexec_tests::{Book, Done, Scratch, finish, oracle, rnbexec_path, saved};
use serde_json::Value;

use super::{cut_off, data_home, kernel};

/// A notebook of ours, run without a network in the working folder of a scratch.
fn run(scratch: &Scratch, notebook: &str, parameters: &[(&str, &str)]) -> Done {
    kernel();
    let mut command = scratch.command(rnbexec_path());
    command.arg("run").arg(oracle::workspace().join("notebooks").join(notebook)).arg("out.ipynb");
    for (name, value) in parameters {
        command.args(["-p", name, value]);
    }
    let done = finish(&mut cut_off(command.env("XDG_DATA_HOME", data_home())));
    scratch.expect_nothing_left();
    done
}

fn outputs(scratch: &Scratch) -> Vec<Value> {
    let notebook = scratch.json("out.ipynb");
    let cells = notebook["cells"].as_array().expect("a notebook has cells");
    cells.iter().filter_map(|cell| cell["outputs"].as_array()).flatten().cloned().collect()
}

/// All that is shown, once for browsers and once for terminals.
fn shown(scratch: &Scratch) -> (String, String) {
    let all = |kind: &str| {
        let outputs = outputs(scratch);
        outputs.iter().map(|output| saved::joined(&output["data"][kind])).collect::<Vec<_>>().join("\n")
    };
    (all("text/html"), all("text/plain"))
}

fn figures(scratch: &Scratch) -> usize {
    outputs(scratch).iter().filter(|output| output["data"].get("image/png").is_some()).count()
}

#[track_caller]
fn expect_all(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

/// A folder with one recorded incident, a triage notebook of the given source, and a manager's configuration.
fn desk(source: &str, more: &str) -> Scratch {
    let scratch = Scratch::new();
    let exercise = oracle::workspace().join("notebooks/data/sentinel/incident_exercise.json");
    fs::create_dir(scratch.join("incidents")).expect("a new folder is writable");
    fs::copy(exercise, scratch.join("incidents/9001.json")).expect("the recorded incident can be copied");
    let book = Book::for_kernel("rnbexec-triage", "python").parameters("incident_id = ''").code(source);
    scratch.write("triage.ipynb", book.to_bytes());
    let toml = format!(
        "source.kind = \"folder\"\nsource.folder = {{ path = \"incidents\", output = \"written\" }}\n\
         run = {{ notebook = \"triage.ipynb\", bundle = false }}\npublish.to = \"folder\"\n\
         publish.folder.path = \"published\"\nlog.file = \"told.log\"\n{more}\n"
    );
    scratch.write("manager.toml", toml);
    scratch
}

const FINDS: &str =
    "from rnbexec_verdict import verdict\nverdict('High', confidence=0.5, summary='found <b>it</b>')";
const FAILS: &str = "raise ValueError('no <b>luck</b>')";

#[test]
fn the_manager_notebook_triages_recorded_incidents_where_there_is_no_configuration() {
    let scratch = Scratch::new();
    run(&scratch, "manager.ipynb", &[("incidents", "1022, 1031")]).expect_code(0);
    let (html, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            "Done: 2 incidents: 1 with a finding, 1 without",
            "1022 | High | High |",
            "1031 | High | Informational |",
            "| no finding",
            "waiting | running | tried again later | needs a person | triaged | no finding | skipped\n0 | 0 | 0 | 0 | 1 | 1 | 0",
            "Nothing waits and nothing needs a person.",
            "1 was left as it came",
            "Judging incident 46d761f6-b159-5c5b-9782-9559dfd71252: a finding",
        ],
    );
    assert!(!html.contains("<script") && !html.contains("No result:"), "{html}");
    assert_eq!(figures(&scratch), 1, "severities and times");
    let left: Vec<_> = fs::read_dir(scratch.path()).expect("the folder can be read").collect();
    assert_eq!(left.len(), 1, "nothing lies beside the executed notebook: {left:?}");
    let temporary = fs::read_dir(scratch.tmp()).expect("the folder can be read");
    let kept: Vec<_> =
        temporary.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("manager")).collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn the_manager_notebook_shows_a_pass_and_hostile_texts_stay_texts() {
    let scratch = desk(FINDS, "");
    run(&scratch, "manager.ipynb", &[("config", "manager.toml")]).expect_code(0);
    let (html, text) = shown(&scratch);
    expect_all(
        &text,
        &["9001 | Medium → High | High | 50% |", "Done: 1 incident: 1 with a finding", "Starting once"],
    );
    expect_all(&html, &["found &lt;b&gt;it&lt;/b&gt;", "&lt;script&gt;alert(", "published/"]);
    assert!(!html.contains("<script") && !html.contains("<b>it"), "{html}");
    assert!(scratch.join("told.log").is_file() && scratch.join("written").is_dir());
}

#[test]
fn a_dry_run_of_the_manager_notebook_shows_the_requests_and_writes_nothing() {
    let scratch = desk(FINDS, "");
    run(&scratch, "manager.ipynb", &[("config", "manager.toml"), ("dry_run", "true")]).expect_code(0);
    let (_, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            "would be triaged",
            "What would be sent:",
            "severity: Medium → High",
            "1 incident: 1 with a finding",
        ],
    );
    assert!(!scratch.join("written").exists() && !scratch.join("published").exists());
}

#[test]
fn what_the_next_pass_tries_again_is_a_warning_of_the_manager_notebook_and_no_failure() {
    let scratch = desk(FAILS, "retry.notebook = { attempts = 2, first_wait = \"1h\" }");
    run(&scratch, "manager.ipynb", &[("config", "manager.toml")]).expect_code(0);
    let (html, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            "Not all is done; the next pass goes on: 1 incident: 1 to be tried again",
            "again after ",
            "1 incident waits:",
            "ended with exit code 75",
        ],
    );
    expect_all(&html, &["no &lt;b&gt;luck"]);
    assert_eq!(figures(&scratch), 2, "severities and times, and the age of what waits");
}

#[test]
fn the_manager_notebook_fails_where_a_person_is_needed_after_it_has_shown_everything() {
    let scratch = desk(FAILS, "retry.notebook.attempts = 1");
    let done = run(&scratch, "manager.ipynb", &[("config", "manager.toml")]);
    done.expect_code(1)
        .expect_stderr("PassFailed: the manager ended with exit code 1: incident 9001 needs a person");
    let (_, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            "Failed (exit code 1)",
            "1 incident needs a person (`rnbexec manager retry INCIDENT`",
            "mend it or its data, then retry",
            "ERROR:rnbexec:",
        ],
    );
}

#[test]
fn the_manager_notebook_fails_with_what_the_manager_says_of_a_wrong_configuration() {
    let scratch = desk(FINDS, "nonsense.x = 1");
    let done = run(&scratch, "manager.ipynb", &[("config", "manager.toml")]);
    done.expect_code(1).expect_stderr("error: the configuration cannot be used; because: nonsense");
    let done = run(&scratch, "manager.ipynb", &[("program", "no-such-program")]);
    done.expect_code(1).expect_stderr("there is no program 'no-such-program'");
}

fn hunt(parameters: &[(&str, &str)]) -> (Scratch, Done) {
    let scratch = Scratch::new();
    if let Some((_, report)) = parameters.iter().find(|(name, _)| *name == "report") {
        scratch.write("report.txt", report);
    }
    let data = oracle::workspace().join("notebooks/data/sentinel");
    let data = data.to_str().expect("the workspace's path is text");
    let mut given: Vec<(&str, &str)> = vec![("data_dir", data)];
    given.extend(parameters.iter().map(|(name, value)| match *name {
        "report" => ("report_file", "report.txt"),
        _ => (*name, *value),
    }));
    let done = run(&scratch, "investigation.ipynb", &given);
    (scratch, done)
}

fn verdict_of(scratch: &Scratch) -> verdict::Verdict {
    let outputs = outputs(scratch);
    let found: Vec<_> = outputs.iter().filter_map(|output| output["data"].get(verdict::MIME_TYPE)).collect();
    assert_eq!(found.len(), 1, "there is one verdict");
    verdict::Verdict::parse(found[0]).expect("it is in order")
}

#[test]
fn the_hunt_goes_from_the_report_to_the_next_host() {
    let (scratch, done) = hunt(&[]);
    done.expect_code(0);
    let (html, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            // The report's indicators, and what only looks like one.
            "The report gives 7 indicators",
            "t1197[.]md (looks like a domain",
            // Where they occur.
            "5 of 7 indicators occur, 12 times, on 5 hosts",
            "Nowhere: 185[.]22[.]67[.]27 and drop[.]papercrane[.]example[.]com",
            // What an exercise explains.
            "laid aside as an exercise: MSTICAlertsWin1, because of c:\\Diagnostics\\WindowsSimulateDetections.bat",
            // The alerts around a hit know an address that the report does not.
            "96[.]81[.]218[.]10 comes first",
            "the last of them 3 hours before vm1 shows 183[.]95[.]154[.]13",
            // Registration, location, reputation.
            "183[.]95[.]154[.]13 | in the report | AS4837, CNCGROUP China169 Backbone | Wuhan, Hubei, China (the alert says) | not listed",
            "151[.]101[.]208[.]133 is no lead",
            "185[.]22[.]67[.]27 was not seen here, but is listed",
            // The next host, and what cannot be seen.
            "183[.]95[.]154[.]13 ties vm4 and vm1 together, and vm4 was first",
            "The way leads from WORKSTATION5 to WORKSTATION6",
            "as THESHIRE\\pgustavo, and C:\\ProgramData\\GruntHTTP.exe lies on WORKSTATION6 afterwards",
            "Whether it was started on WORKSTATION6 cannot be said",
            "These are 2 separate stories",
        ],
    );
    assert!(!html.contains("http://") && !html.contains("https://"), "no address can be clicked on");
    assert_eq!(figures(&scratch), 3, "the indicators by host, who touched whom, and the timeline");
    let verdict = verdict_of(&scratch);
    assert_eq!(verdict.severity, Severity::High);
    assert_eq!(verdict.labels, ["T1021.002", "T1071", "T1110"]);
    assert!(verdict.tasks.iter().any(|task| task.title == "Reset the password of THESHIRE\\pgustavo"));
}

#[test]
fn a_hunt_for_what_is_nowhere_finds_nothing_and_says_what_that_means() {
    let report =
        "Only 192.0.2.1, 9.9.9.9 and evil.example[.]com. <script>alert(1)</script> \u{202e}gnp.exe \u{1b}[2J";
    let (scratch, done) = hunt(&[("report", report)]);
    done.expect_code(0);
    let (html, text) = shown(&scratch);
    expect_all(
        &text,
        &[
            "None of the 2 indicators occurs in ",
            "192[.]0[.]2[.]1 (an address of no single machine",
            "There is no lead.",
        ],
    );
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
    assert!(!text.contains(['\u{202e}', '\u{1b}']) && !html.contains(['\u{202e}', '\u{1b}']));
    let verdict = verdict_of(&scratch);
    assert_eq!((verdict.severity, verdict.confidence), (Severity::Informational, None));
    assert!(
        verdict.summary.is_some_and(|summary| summary.contains("they say nothing for the report's group"))
    );
}

#[test]
fn a_hunt_follows_the_report_and_not_the_story_that_ships() {
    let (scratch, done) = hunt(&[("report", "Seen: 151.101.208[.]133 and 96.81.218[.]10.")]);
    done.expect_code(0);
    let (_, text) = shown(&scratch);
    expect_all(&text, &["2 of 2 indicators occur", "vm1", "WORKSTATION5"]);
    assert!(!text.contains("GruntHTTP") && !text.contains("pgustavo"), "{text}");
}

#[test]
fn a_hunt_without_tables_fails_instead_of_finding_nothing() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("empty")).expect("a new folder is writable");
    let done = run(&scratch, "investigation.ipynb", &[("data_dir", "empty")]);
    done.expect_code(1).expect_stderr("empty holds none of the tables");
    assert!(shown(&scratch).0.contains("No conclusion:"));
}

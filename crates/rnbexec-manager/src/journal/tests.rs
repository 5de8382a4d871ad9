use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::*;

const ID: &str = "0f9b3a2e-1111-2222-3333-444455556666";

fn now() -> Timestamp {
    "2025-01-31T06:00:12.345678Z".parse().unwrap()
}

fn key() -> RunKey {
    RunKey::derive("id", None, b"notebook", "{}")
}

fn about(what: What<'_>) -> Entry<'_> {
    Entry { incident: Some(ID), number: Some(17), run: None, what }
}

fn plain(file: impl Into<PathBuf>) -> Journal {
    Journal::new(file, LogFormat::Text, str::to_owned)
}

fn message(what: What<'_>) -> String {
    let line = plain("unused").line(now(), &about(what));
    line.strip_suffix('\n').unwrap().to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

#[test]
fn each_line_says_what_happened_and_why_in_the_words_of_microsofts_original() {
    let failed = |again_in| What::Failed {
        step: Step::Run,
        class: Class::Kernel,
        failures: 2,
        reason: "the kernel died: killed by signal 9",
        again_in,
    };
    for (what, line) in [
        (
            What::Began { command: "once", version: "0.1.0" },
            "INFO:rnbexec:2025-01-31 06:00:12.345Z - Starting once 0.1.0".to_owned(),
        ),
        (
            What::Asked { source: "queue incidents", arrivals: 3 },
            "INFO:rnbexec:2025-01-31 06:00:12.345Z - Getting incidents from queue incidents: 3 to look at".to_owned(),
        ),
        (
            What::Unreachable { source: "Sentinel", reason: "403" },
            "ERROR:rnbexec:2025-01-31 06:00:12.345Z - Unable to retrieve incidents from Sentinel: 403".to_owned(),
        ),
        (
            What::Rejected { item: "bad \"message\"", reason: "it names no incident" },
            "WARNING:rnbexec:2025-01-31 06:00:12.345Z - Unable to read \"bad 'message'\" - putting it aside: it names no incident"
                .to_owned(),
        ),
        (
            What::AlreadyProcessed,
            format!(
                "INFO:rnbexec:2025-01-31 06:00:12.345Z - Incident {ID} has already been processed - skipping: nothing happened in \
                 it since"
            ),
        ),
        (
            What::Skipped { reason: "it is closed" },
            format!("INFO:rnbexec:2025-01-31 06:00:12.345Z - Incident {ID} is left alone - skipping: it is closed"),
        ),
        (
            What::Processing {
                title: "Brute force",
                severity: "High",
                route: "default",
                notebook: "shipped:incident-triage",
                step: Step::Publish,
                failures: 1,
            },
            format!(
                "INFO:rnbexec:2025-01-31 06:00:12.345Z - Processing incident {ID}, number 17, High, \"Brute force\": \
                 shipped:incident-triage by route default, going on with step publish, failed 1 times before"
            ),
        ),
        (
            What::Judged {
                finding: true,
                severity: Some(Severity::High),
                confidence: Some(0.75),
                title: Some("LSASS was dumped"),
                ran: Some(Duration::from_millis(12_340)),
            },
            format!(
                "INFO:rnbexec:2025-01-31 06:00:12.345Z - Judging incident {ID}: a finding, severity High, confidence 0.75, \
                 \"LSASS was dumped\"; the notebook ran 12.3s"
            ),
        ),
        (
            What::Storing { place: "AML", path: "Users/TriageNbs/x.ipynb" },
            format!("INFO:rnbexec:2025-01-31 06:00:12.345Z - Storing notebook for {ID} in AML: Users/TriageNbs/x.ipynb"),
        ),
        (
            What::Linking { link: Some("https://ml.azure.com/x") },
            format!("INFO:rnbexec:2025-01-31 06:00:12.345Z - Adding link to notebook for incident: {ID}: https://ml.azure.com/x"),
        ),
        (
            What::Updating { field: "severity", before: "Low", after: "High" },
            format!("INFO:rnbexec:2025-01-31 06:00:12.345Z - Updating severity for {ID}: Low to High"),
        ),
        (
            What::Withheld { item: "severity", reason: "it is higher already" },
            format!("INFO:rnbexec:2025-01-31 06:00:12.345Z - Not changing severity for {ID}: it is higher already"),
        ),
        (
            failed(Some(Duration::from_secs(20))),
            format!(
                "WARNING:rnbexec:2025-01-31 06:00:12.345Z - Unable to process incident {ID} - skipping, next try in 20.0s: the \
                 kernel died: killed by signal 9 (step run, kernel failure, number 2)"
            ),
        ),
        (
            failed(None),
            format!(
                "ERROR:rnbexec:2025-01-31 06:00:12.345Z - Unable to process incident {ID} - skipping, it needs a person (`manager \
                 retry` takes it up again): the kernel died: killed by signal 9 (step run, kernel failure, number 2)"
            ),
        ),
        (
            What::GivenBack { reason: "the manager was asked to stop" },
            format!(
                "WARNING:rnbexec:2025-01-31 06:00:12.345Z - Stopping work on incident {ID}, to be gone on with later: the manager \
                 was asked to stop"
            ),
        ),
        (
            What::Finished {
                ending: Ending::NoFinding,
                reason: Some("nothing that matters was found"),
                took: Some(Duration::from_secs(75)),
            },
            format!(
                "INFO:rnbexec:2025-01-31 06:00:12.345Z - Finished incident {ID}: no-finding, nothing that matters was found, in \
                 1m15s"
            ),
        ),
        (
            What::Ended {
                figures: Figures { triaged: 1, no_finding: 2, skipped: 3, waiting: 4, parked: 5 },
                took: None,
            },
            "INFO:rnbexec:2025-01-31 06:00:12.345Z - Finished: 1 with a finding, 2 without, 3 left alone, 4 to be tried again, 5 \
             for a person"
                .to_owned(),
        ),
    ] {
        assert_eq!(message(what), line);
    }
}

#[test]
fn a_line_of_json_holds_the_message_and_what_it_is_made_of() {
    let journal = Journal::new("unused", LogFormat::Json, str::to_owned);
    let key = key();
    let what = What::Failed {
        step: Step::Run,
        class: Class::Unavailable,
        failures: 1,
        reason: "503",
        again_in: Some(Duration::from_millis(10_500)),
    };
    let entry = Entry { run: Some(&key), ..about(what) };
    let line = journal.line(now(), &entry);
    assert!(line.starts_with("{\"time\":\"2025-01-31T06:00:12.345678Z\",\"level\":\"WARNING\","), "{line}");
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({
            "time": "2025-01-31T06:00:12.345678Z",
            "level": "WARNING",
            "incident": ID,
            "number": 17,
            "run": key.to_string(),
            "message": format!(
                "Unable to process incident {ID} - skipping, next try in 10.5s: 503 (step run, unavailable failure, number 1)"
            ),
            "event": "failed",
            "step": "run",
            "class": "unavailable",
            "failures": 1,
            "reason": "503",
            "again_in": 10.5,
        })
    );
}

#[test]
fn hostile_words_make_no_line_of_their_own_and_steer_no_terminal() {
    let title = "x\"\r\nINFO:rnbexec:2025-01-31 06:00:12.345Z - Updating severity for y\u{2028}\u{1b}[2J\u{202e}\u{85}";
    let what = What::Processing {
        title,
        severity: "High\n",
        route: "r",
        notebook: "n",
        step: Step::Claim,
        failures: 0,
    };
    for format in [LogFormat::Text, LogFormat::Json] {
        let line = Journal::new("unused", format, str::to_owned).line(now(), &about(what));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.ends_with('\n'));
        assert!(
            !line.trim_end().contains(|c: char| c.is_control() || "\u{202e}\u{2028}".contains(c)),
            "{line:?}"
        );
    }
    // What is quoted stays quoted.
    assert_eq!(message(what).matches('"').count(), 2);
}

#[test]
fn a_line_has_its_bounds_whatever_is_told() {
    let long = "x ".repeat(100_000);
    let line = message(What::Failed {
        step: Step::Run,
        class: Class::Notebook,
        failures: 1,
        reason: &long,
        again_in: None,
    });
    assert!(line.chars().count() < 2500, "{}", line.len());
    assert!(line.ends_with("… (step run, notebook failure, number 1)"), "{}", &line[line.len() - 80..]);
}

#[test]
fn secrets_are_taken_out_of_every_field_even_where_something_unseen_hides_them() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let journal = Journal::new("unused", format, |text| text.replace("s3cr3t", "***"));
        let what = What::Withheld { item: "s3\u{200b}cr3t", reason: "the key is s3cr3t" };
        let line = journal.line(now(), &Entry { incident: Some("s3cr3t"), ..about(what) });
        assert!(!line.contains("s3cr3t"), "{line}");
        assert!(line.contains("the key is ***"), "{line}");
    }
}

#[test]
fn lines_are_added_to_what_is_there_and_folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logs/of/today.log");
    plain(&file).write(now(), &about(What::AlreadyProcessed)).unwrap();
    plain(&file).write(now(), &about(What::AlreadyProcessed)).unwrap();
    assert_eq!(read(&file).lines().count(), 2);
}

#[test]
fn a_log_that_is_rotated_away_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.log");
    let journal = plain(&file);
    journal.write(now(), &about(What::AlreadyProcessed)).unwrap();
    fs::rename(&file, folder.path().join("x.log.1")).unwrap();
    journal.write(now(), &about(What::AlreadyProcessed)).unwrap();
    assert_eq!(read(&file).lines().count(), 1);
}

#[test]
fn lines_of_many_writers_never_mix() {
    let folder = tempfile::tempdir().unwrap();
    let file: Arc<Path> = folder.path().join("x.log").into();
    let writers: Vec<_> = (0..8)
        .map(|writer: u64| {
            let file = Arc::clone(&file);
            std::thread::spawn(move || {
                let journal = plain(&*file);
                let reason = writer.to_string().repeat(1500);
                for _ in 0..50 {
                    journal.write(now(), &about(What::Skipped { reason: &reason })).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let text = read(&file);
    assert_eq!(text.lines().count(), 400);
    for line in text.lines() {
        let (_, reason) = line.rsplit_once(": ").unwrap();
        let writer = reason.get(..1).unwrap();
        assert_eq!(reason, writer.repeat(1500));
    }
}

#[test]
fn a_line_that_cannot_be_written_is_told_once_until_lines_get_through_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.log");
    let journal = plain(&file);
    let write = || journal.write(now(), &about(What::AlreadyProcessed));
    fs::create_dir(&file).unwrap();
    let error = write().unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write the log {}", file.display()));
    assert!(std::error::Error::source(&error).is_some());
    assert!(write().is_ok(), "it was told");
    fs::remove_dir(&file).unwrap();
    assert!(write().is_ok());
    assert_eq!(read(&file).lines().count(), 1);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(write().is_err());
}

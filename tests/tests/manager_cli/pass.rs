//! A pass: what is printed and written, what fails, and what the flags mean.

use std::fs;
use std::time::Duration;

use rnbexec_tests::azure::{Fault, On, SimulatedAzure};
use rnbexec_tests::program::Running;
use rnbexec_tests::{Scratch, finish};
use serde_json::{Value, json};

use super::world::{World, bundle, name};

#[test]
fn once_triages_what_waits_and_says_what_came_of_it() {
    let world = World::new(&[
        (1, "raised", "Low", "High"),
        (2, "as it was", "Medium", "Low"),
        (3, "harmless", "Medium", "nothing"),
    ]);
    let done = world.manager(&["once"]);
    done.expect_code(0)
        .expect_stderr("[3/3] incident ")
        .expect_stderr("cells, ")
        .expect_stderr("2 with a finding, 1 without");
    let table = done.stdout_text();
    let row = |number: &str| {
        let row = table
            .lines()
            .find(|line| line.starts_with(number))
            .unwrap_or_else(|| panic!("{number}: {table}"));
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let headings: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(headings, ["INCIDENT", "TITLE", "SEVERITY", "VERDICT", "CONFIDENCE", "ENDED", "LINK"]);
    let link = world.published(1).display().to_string();
    assert_eq!(row("1"), ["1", "raised", "Low → High", "High, true positive", "0.75", "triaged", &link]);
    assert_eq!(row("3")[..3], ["3", "harmless", "Medium"]);
    assert_eq!(row("3")[5], "no finding");

    assert_eq!(world.written(1).unwrap()["incident"]["properties"]["severity"], "High");
    assert_eq!(world.written(2).unwrap()["incident"]["properties"]["severity"], "Medium");
    assert!(world.written(3).is_none() && !world.published(3).exists(), "no finding leaves no trace");
    assert_eq!(world.comments(1), 1);
    assert!(world.published(1).with_extension("html").is_file());
    let log = world.log();
    assert!(log.lines().all(|line| line.starts_with("INFO:rnbexec:")), "{log}");
    assert!(log.contains(&name(1)) && log.contains("Finished"), "{log}");

    let again = world.manager(&["once"]);
    again.expect_code(0).expect_stderr("nothing to do");
    assert_eq!(again.stdout_text(), "");
    assert!(world.runs().values().all(|&count| count == 1), "{:?}", world.runs());
    world.0.expect_nothing_left();
}

#[test]
fn what_is_printed_for_programs_has_the_same_keys_always() {
    let world = World::new(&[(1, "one", "Low", "High"), (2, "two", "Low", "High fail")]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let case = [
        "class",
        "created",
        "due",
        "ending",
        "enlisted",
        "failures",
        "id",
        "incident",
        "link",
        "notebook",
        "number",
        "reason",
        "report",
        "route",
        "run",
        "running",
        "seconds",
        "severity_after",
        "severity_before",
        "source",
        "step",
        "title",
        "updated",
        "verdict",
        "withheld",
    ];
    let once = world.json(&["once"], 75);
    let pass =
        ["exit_code", "figures", "given_back", "incidents", "rejected", "seconds", "stopped", "troubles"];
    assert_eq!(keys(&once), pass);
    assert_eq!(keys(&once["figures"]), ["no_finding", "parked", "skipped", "triaged", "waiting"]);
    assert_eq!(once["exit_code"], 75);
    assert_eq!(once["incidents"].as_array().unwrap().len(), 2);
    for incident in once["incidents"].as_array().unwrap() {
        assert_eq!(keys(incident), case);
    }
    let ended = &once["incidents"][0];
    assert_eq!(ended["number"], 1);
    assert_eq!((&ended["severity_before"], &ended["severity_after"]), (&json!("Low"), &json!("High")));
    assert_eq!(ended["verdict"]["confidence"], 0.75);

    let status = world.json(&["status"], 0);
    assert_eq!(keys(&status), ["counts", "incidents", "oldest"]);
    let counts = ["again", "needs_person", "no_finding", "running", "skipped", "triaged", "waiting"];
    assert_eq!(keys(&status["counts"]), counts);
    assert_eq!((&status["counts"]["again"], &status["counts"]["triaged"]), (&json!(1), &json!(1)));
    assert_eq!(status["oldest"], "2026-01-01T00:02:00Z");

    let show = world.json(&["show", "2"], 0);
    let shown = &show["incidents"][0];
    assert_eq!(shown["history"][0]["what"], "intent");
    assert!(shown["files"].as_str().unwrap().contains("runs"), "{shown}");
    let explain = world.json(&["explain", "2"], 0);
    assert_eq!(keys(&explain), ["chosen", "incident", "not_tried", "number", "title", "tried"]);
}

#[test]
fn a_triage_that_fails_is_tried_again_then_needs_a_person_who_can_have_it_begun_again() {
    let world = World::new(&[(1, "one", "Low", "High fail"), (2, "two", "Low", "High")]);
    world
        .manager(&["once"])
        .expect_code(75)
        .expect_stderr("tried again in 1h 0m")
        .expect_stderr("the tables are not there");
    assert_eq!(world.comments(2), 1, "one that fails holds up no other");
    let status = world.manager(&["status"]).expect_code(0).stdout_text();
    assert!(status.contains("tried again later      1") && status.contains("in 59m"), "{status}");
    // It is not due yet.
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.runs()[&name(1)], 1);

    world.manager(&["retry", "1"]).expect_code(0).expect_stderr("Incident 1 begins again with the next pass");
    let last = world.manager(&["once", "--set", "retry.notebook.attempts=1"]);
    last.expect_code(1).expect_stderr("incident 1: needs a person");
    let status = world.manager(&["status"]).expect_code(0).stdout_text();
    for part in [
        "needs a person         1",
        "why (notebook): ",
        "the tables are not there",
        "what to do: ",
        "--all-parked",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let shown = world.manager(&["show", &name(1)]).expect_code(0).stdout_text();
    for part in ["Incident 1: one", "history", "failure", "begun again by hand", "what to do"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    world.0.write("mended", "");
    world.manager(&["retry", "--all-parked"]).expect_code(0);
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.comments(1), 1);
    world.manager(&["retry", "--all-parked"]).expect_code(0).expect_stderr("Nothing needs a person");
    world.manager(&["retry", "1"]).expect_code(1).expect_stderr("it is done");
    world.manager(&["retry", "99"]).expect_code(1).expect_stderr("the ledger knows no incident 99");
}

#[test]
fn what_could_not_be_published_is_published_on_retry_without_running_the_notebook_again() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    world.0.write("published", "a file is in the way");
    let attempts = ["--set", "retry.unavailable.attempts=1", "--set", "retry.permission.attempts=1"];
    world.manager(&[&["once"], &attempts[..]].concat()).expect_code(1).expect_stderr("needs a person");
    assert_eq!(world.comments(1), 0, "no comment links what is not there");
    fs::remove_file(world.0.join("published")).unwrap();
    world.manager(&["retry", "1"]).expect_code(0);
    world.manager(&["once"]).expect_code(0);
    assert!(world.published(1).is_file());
    assert_eq!((world.comments(1), world.runs()[&name(1)]), (1, 1));
}

#[test]
fn named_incidents_are_triaged_whoever_they_are_named_after() {
    let world =
        World::new(&[(1, "one", "Low", "High"), (2, "two", "Low", "High"), (3, "three", "Low", "High")]);
    let id = bundle(2, "", "", "")["incident"]["id"].as_str().unwrap().to_owned();
    let url = format!(
        "https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident{}",
        id.replace('/', "%2F")
    );
    world.manager(&["once", "--incident", "#3", "--incident", &url]).expect_code(0);
    assert_eq!(world.runs().into_keys().collect::<Vec<_>>(), [name(2), name(3)]);

    world.manager(&["once", "--incident", "3"]).expect_code(0).expect_stderr("was triaged before");
    world.manager(&["once", "--incident", "3", "--again"]).expect_code(0);
    assert_eq!(world.runs()[&name(3)], 2);
    assert_eq!(world.comments(3), 1, "the comment is overwritten");

    world.manager(&["once", "--incident", "77"]).expect_code(1).expect_stderr("there is no such incident");
    world
        .manager(&["once", "--incident", "not/an/incident"])
        .expect_code(1)
        .expect_stderr("names no incident");
}

#[test]
fn init_writes_a_file_that_can_be_used_and_replaces_none() {
    let world = World::new(&[]);
    world.manager(&["init", "new.toml"]).expect_code(0);
    let text = fs::read_to_string(world.0.join("new.toml")).unwrap();
    assert!(text.contains("[source]") && text.contains("#kind"), "{text}");
    let done = world.manager(&[
        "once",
        "--config",
        "new.toml",
        "--source",
        "incidents",
        "--notebook",
        "triage.ipynb",
    ]);
    done.expect_code(0).expect_stderr("nothing to do");

    world.0.write("new.toml", "mine");
    world.manager(&["init", "--config", "new.toml"]).expect_code(1).expect_stderr("--force replaces it");
    assert_eq!(world.0.read("new.toml"), b"mine");
    world.manager(&["init", "--config", "new.toml", "--force"]).expect_code(0);
    assert_eq!(world.0.read("new.toml"), text.as_bytes());
    let named = finish(world.command(&["init"]).env("RNBEXEC_MANAGER_CONFIG", "by-variable.toml"));
    named.expect_code(0);
    assert!(world.0.join("by-variable.toml").is_file());
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once() {
    let world = World::new(&[]);
    world.configure("[policy]\nseverity = \"lower\"\n[run.parameter]\nx = 1");
    let done = finish(world.command(&["once", "--jobs", "none"]).env("RNBEXEC_MANAGER_RUN__TIMEOUT", "soon"));
    done.expect_code(2);
    for part in [
        "policy.severity",
        "run.parameter",
        "run.jobs (command line)",
        "variable RNBEXEC_MANAGER_RUN__TIMEOUT",
        "init",
    ] {
        done.expect_stderr(part);
    }
    world
        .manager(&["once", "--config", "nowhere.toml"])
        .expect_code(2)
        .expect_stderr("manager init nowhere.toml");
    world.configure("");
    world.manager(&["status", "--state", "nowhere"]).expect_code(1).expect_stderr("there is no ledger in");
    assert!(!world.0.join("nowhere").exists(), "looking makes nothing");
    fs::remove_file(world.0.join("rnbexec-manager.toml")).unwrap();
    world.manager(&["once"]).expect_code(2).expect_stderr("sentinel.subscription: not given");
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    let mut command = world.command(&["once", "--publish", "by-flag", "--log", "by-flag.log"]);
    command.env("RNBEXEC_MANAGER_PUBLISH__FOLDER__PATH", "by-variable");
    command.env("RNBEXEC_MANAGER_SOURCE__FOLDER__OUTPUT", "written-by-variable");
    finish(&mut command).expect_code(0);
    assert!(world.0.join(format!("by-flag/{}.ipynb", name(1))).is_file());
    assert!(world.0.join(format!("written-by-variable/{}.json", name(1))).is_file());
    assert!(world.0.join("by-flag.log").is_file() && world.log().is_empty());
}

#[test]
fn the_log_is_json_on_request() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    world.manager(&["once", "--log-format", "json"]).expect_code(0);
    let log = world.log();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    for word in ["began", "processing", "judged", "storing", "linking", "updating", "finished", "ended"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
}

#[test]
fn hostile_titles_reach_no_terminal_and_no_line_of_their_own() {
    let hostile = "a\u{1b}]0;owned\u{7}\u{1b}[2J\nINFO:rnbexec:2026-01-01 - forged\u{202e}\r</td><script>";
    let world = World::new(&[(1, hostile, "Low", "High"), (2, hostile, "Low", "High fail")]);
    let passes: [&[&str]; 5] = [
        &["plan"],
        &["once", "--set", "retry.notebook.attempts=1"],
        &["status"],
        &["show", "1"],
        &["explain", "1"],
    ];
    let said = passes.map(|args| world.manager(args));
    for done in &said {
        let all = format!("{}{}", done.stdout_text(), done.stderr);
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{all:?}");
        assert!(!all.lines().any(|line| line.starts_with("INFO:rnbexec")), "{all}");
    }
    let log = world.log();
    assert!(!log.contains(['\u{1b}', '\u{202e}', '\r']), "{log:?}");
    assert!(!log.contains("\nINFO:rnbexec:2026-01-01 - forged"), "{log}");
}

#[test]
fn a_source_that_is_away_is_asked_again_by_the_next_pass() {
    let azure = SimulatedAzure::start();
    let mut incident = bundle(1, "one", "Low", "High");
    let id = format!(
        "{}/providers/Microsoft.SecurityInsights/incidents/{}",
        rnbexec_tests::azure::names::workspace_id(),
        name(1)
    );
    incident["incident"]["id"] = json!(id);
    azure.seed_bundles([incident]);
    azure.fault(Fault::status(503).on(On::get("incidents")).forever());
    let world = World::new(&[]);
    let run = format!("[run]\nnotebook = \"triage.ipynb\"\nparameters = {{ world = {:?} }}", world.0.path());
    world.0.write("rnbexec-manager.toml", format!("{}\n{run}\n", azure.settings().manager()));
    let once = || {
        let mut command = world.command(&["once"]);
        command.envs(azure.settings().as_service_principal());
        Running::start(&mut command).finish(Duration::from_mins(5))
    };
    once().expect_code(75).expect_stderr("cannot ask ");
    azure.clear_faults();
    let done = once();
    assert!(done.expect_code(0).stdout_text().contains("https://ml.azure.com/"), "{}", done.stderr);
    assert_eq!(azure.incident(&name(1))["properties"]["severity"], "High");
}

#[test]
fn the_help_names_every_command_and_every_exit_code_of_a_pass() {
    let scratch = Scratch::new();
    let help = finish(&mut scratch.rnbexec(["manager", "--help"])).stdout_text();
    for command in
        ["once", "watch", "status", "show", "retry", "replay", "doctor", "init", "plan", "apply", "explain"]
    {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    let help = finish(&mut scratch.rnbexec(["manager", "once", "--help"])).stdout_text();
    for code in ["0", "1", "2", "75", "129", "130", "143"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{code}  "))),
            "{code}: {help}"
        );
    }
}

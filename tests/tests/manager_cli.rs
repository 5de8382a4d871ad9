//! The manager's command line on a folder of recorded incidents: what it says, what it writes, how it ends, and that nothing is
//! lost or doubled however it ends.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rnbexec_tests::azure::{Fault, On, SimulatedAzure};
use rnbexec_tests::program::Running;
use rnbexec_tests::{Book, Done, Scratch, finish, oracle, wait_for};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

/// A folder of incidents, a notebook that does what each incident's description says, and a configuration.
struct World(Scratch);

impl World {
    /// Incidents by number, title, severity and what the notebook does: it reports the severity that comes first (or `nothing`);
    /// with `hold` it waits for the file `go`, with `fail` it raises unless there is the file `mended`.
    fn new(incidents: &[(u64, &str, &str, &str)]) -> Self {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("incidents")).unwrap();
        for (number, title, severity, script) in incidents {
            scratch.write_json(format!("incidents/{number}.json"), &bundle(*number, title, severity, script));
        }
        scratch.write("triage.ipynb", notebook().to_bytes());
        let world = Self(scratch);
        world.configure("");
        world
    }

    /// Writes the configuration, with further settings.
    fn configure(&self, more: &str) {
        let world = Value::from(self.0.path().to_str().unwrap());
        let text = format!(
            "source.kind = \"folder\"\nsource.folder = {{ path = \"incidents\", output = \"written\" }}\n\
             run.notebook = \"triage.ipynb\"\nrun.jobs = 2\nrun.parameters.world = {world}\n\
             publish.folder.path = \"published\"\nretry.notebook = {{ attempts = 2, first_wait = \"1h\" }}\n{more}\n"
        );
        self.0.write("rnbexec-manager.toml", text);
    }

    fn command(&self, args: &[&str]) -> Command {
        self.0.rnbexec(["manager"].iter().chain(args))
    }

    #[track_caller]
    fn manager(&self, args: &[&str]) -> Done {
        finish(&mut self.command(args))
    }

    #[track_caller]
    fn json(&self, args: &[&str], code: i32) -> Value {
        let done = self.manager(&[args, &["--json"]].concat());
        let text = done.expect_code(code).stdout_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// How often the notebook ran, by incident.
    fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for line in fs::read_to_string(self.0.join("runs")).unwrap_or_default().lines() {
            *runs.entry(line.to_owned()).or_default() += 1;
        }
        runs
    }

    fn wait_for_runs(&self, count: usize) {
        wait_for("the notebooks to run", PATIENCE, || {
            (self.runs().values().sum::<usize>() >= count).then_some(())
        });
    }

    /// What was written to an incident; `None` when nothing was.
    fn written(&self, number: u64) -> Option<Value> {
        let path = self.0.join(format!("written/{}.json", name(number)));
        path.is_file().then(|| self.0.json(&path))
    }

    fn comments(&self, number: u64) -> usize {
        self.written(number).map_or(0, |written| written["comments"].as_object().unwrap().len())
    }

    fn published(&self, number: u64) -> PathBuf {
        self.0.join(format!("published/{}.ipynb", name(number)))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.join("notebook_execution.log")).unwrap_or_default()
    }

    fn let_go(&self) {
        self.0.write("go", "");
    }
}

fn name(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn bundle(number: u64, title: &str, severity: &str, script: &str) -> Value {
    let name = name(number);
    let id = format!(
        "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/soc/providers/Microsoft.OperationalInsights\
         /workspaces/ws/providers/Microsoft.SecurityInsights/incidents/{name}"
    );
    json!({
        "incident": {"id": id, "name": name, "etag": "\"1\"", "type": "Microsoft.SecurityInsights/incidents", "properties": {
            "title": title, "description": script, "severity": severity, "status": "New", "incidentNumber": number,
            "createdTimeUtc": format!("2026-01-01T00:{:02}:00Z", number % 60),
            "lastModifiedTimeUtc": "2026-01-02T00:00:00Z", "lastActivityTimeUtc": "2026-01-02T00:00:00Z",
            "labels": [], "owner": {}, "additionalData": {"tactics": ["Execution"], "alertProductNames": ["Azure Sentinel"]},
        }},
        "entities": {"entities": [], "metaData": []},
        "alerts": {"value": []},
    })
}

fn notebook() -> Book {
    Book::new()
        .parameters("incident_id = ''\nincident_bundle = ''\nworld = ''")
        .code(
            "import json, pathlib, time\n\
             world = pathlib.Path(world)\n\
             script = json.loads(pathlib.Path(incident_bundle).read_text())['incident']['properties']['description'].split()\n\
             with open(world / 'runs', 'a') as runs:\n    runs.write(incident_id + '\\n')\n\
             while 'hold' in script and not (world / 'go').exists():\n    time.sleep(0.01)\n\
             if 'fail' in script and not (world / 'mended').exists():\n    raise RuntimeError('the tables are not there')",
        )
        .code(
            "from IPython.display import display\n\
             severity = 'Informational' if script[0] == 'nothing' else script[0]\n\
             verdict = {'version': 1, 'severity': severity, 'confidence': 0.75, 'title': 'seen: ' + script[0],\n\
             \x20          'classification': 'TruePositive', 'summary': 'What was seen.',\n\
             \x20          'evidence': [{'kind': 'host', 'entity': 'srv1', 'severity': severity, 'reason': 'it is the one'}]}\n\
             _ = display({'application/vnd.rnbexec.verdict+json': verdict, 'text/plain': 'verdict'}, raw=True)",
        )
}

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
fn a_replay_writes_to_its_folder_and_nowhere_else() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    let mut closed = bundle(5, "recorded", "Low", "High");
    closed["incident"]["properties"]["status"] = json!("Closed");
    world.0.write_json("recorded.json", &closed);
    let done = world.manager(&["replay", "recorded.json", "-o", "looked-at"]);
    let text = done.expect_code(0).stdout_text();
    for part in [
        "Incident 5: recorded",
        "High, true positive, confidence 0.75",
        "What was seen.",
        "srv1",
        "it is the one",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut made: Vec<_> =
        fs::read_dir(world.0.join("looked-at")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    made.sort();
    let file = |end: &str| format!("{}.{end}", name(5));
    for file in [file("ipynb"), file("html"), "notebook_execution.log".to_owned()] {
        assert!(made.iter().any(|made| *made == *file), "{file}: {made:?}");
    }
    for not_made in ["published", "written", "rnbexec-manager", "notebook_execution.log"] {
        assert!(!world.0.join(not_made).exists(), "{not_made}");
    }
    // Each replay is a new one.
    let json = world.json(&["replay", "recorded.json", "-o", "looked-at"], 0);
    assert_eq!(json["incidents"][0]["verdict"]["severity"], "High");
    assert_eq!(world.runs()[&name(5)], 2);

    world.0.write_json("harmless.json", &bundle(6, "harmless", "Low", "nothing"));
    let json = world.json(&["replay", "harmless.json", "-o", "looked-at"], 0);
    assert!(PathBuf::from(json["incidents"][0]["executed"].as_str().unwrap()).is_file(), "{json}");
    world.0.write_json("broken.json", &bundle(7, "broken", "Low", "High fail"));
    world
        .manager(&["replay", "broken.json", "-o", "looked-at"])
        .expect_code(1)
        .expect_stderr("the tables are not there");
    world.0.write_json("no-bundle.json", &json!({"alerts": {}}));
    world.manager(&["replay", "no-bundle.json"]).expect_code(1).expect_stderr("no incident bundle");
    world.0.expect_nothing_left();
}

#[test]
fn explain_says_which_route_an_incident_takes() {
    let world = World::new(&[(1, "brute force", "Low", "High"), (2, "else", "Low", "High")]);
    world.configure("[[route]]\nname = \"passwords\"\nskip = true\nwhen.title = [\"^brute\"]");
    let text = world.manager(&["explain", "1"]).expect_code(0).stdout_text();
    assert!(text.contains("taken: passwords, which leaves the incident alone"), "{text}");
    let text = world.manager(&["explain", &name(2)]).expect_code(0).stdout_text();
    assert!(text.contains("route passwords: does not match") && text.contains("triage.ipynb"), "{text}");
    world.manager(&["explain", "9"]).expect_code(1).expect_stderr("there is no incident");
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.runs().into_keys().collect::<Vec<_>>(), [name(2)]);
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
    let mut said = Vec::new();
    said.push(world.manager(&["plan"]));
    said.push(world.manager(&["once", "--set", "retry.notebook.attempts=1"]));
    said.push(world.manager(&["status"]));
    said.push(world.manager(&["show", "1"]));
    said.push(world.manager(&["explain", "1"]));
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
fn two_managers_at_once_share_the_work() {
    let incidents: Vec<_> = (1..=6).map(|number| (number, "one of six", "Low", "High hold")).collect();
    let world = World::new(&incidents);
    let managers = [(); 2].map(|()| Running::start(&mut world.command(&["once"])));
    world.wait_for_runs(4);
    world.let_go();
    for manager in managers {
        manager.finish(PATIENCE).expect_code(0);
    }
    let runs = world.runs();
    assert_eq!(runs.len(), 6, "{runs:?}");
    assert!(runs.values().all(|&count| count == 1), "{runs:?}");
    assert!((1..=6).all(|number| world.comments(number) == 1));
    let status = world.json(&["status"], 0);
    assert_eq!(status["counts"]["triaged"], 6);
}

#[test]
fn a_manager_that_is_killed_loses_nothing_and_doubles_nothing() {
    let incidents: Vec<_> = (1..=4).map(|number| (number, "one of four", "Low", "High hold")).collect();
    let world = World::new(&incidents);
    let first = Running::start(&mut world.command(&["once"]));
    world.wait_for_runs(2);
    first.signal("KILL");
    assert_eq!(first.finish(PATIENCE).code(), 137);
    let status = world.json(&["status"], 0);
    assert_eq!(status["counts"]["running"], 0, "nobody works on them any more");
    assert_eq!(status["counts"]["waiting"], 4);
    world.let_go();
    world.manager(&["once"]).expect_code(0);
    assert!((1..=4).all(|number| world.comments(number) == 1));
    let published = fs::read_dir(world.0.join("published")).unwrap().count();
    assert_eq!(published, 8, "a notebook and a report each");
    assert_eq!(world.json(&["status"], 0)["counts"]["triaged"], 4);
}

#[test]
fn the_first_sigterm_finishes_what_runs_and_begins_nothing() {
    let world = World::new(&[(1, "one", "High", "High hold"), (2, "two", "Low", "High")]);
    let manager = Running::start(&mut world.command(&["once", "--jobs", "1"]));
    world.wait_for_runs(1);
    manager.signal("TERM");
    world.let_go();
    manager.finish(PATIENCE).expect_code(143).expect_stderr("Draining");
    assert_eq!(world.comments(1), 1);
    assert!(!world.runs().contains_key(&name(2)));
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.comments(2), 1);
    assert_eq!(world.runs()[&name(1)], 1);
}

#[test]
fn the_second_signal_interrupts_what_runs_and_the_next_pass_takes_it_up() {
    let world = World::new(&[(1, "one", "High", "High hold")]);
    let manager = Running::start(&mut world.command(&["once"]));
    world.wait_for_runs(1);
    manager.signal("INT");
    wait_for("the first signal to be heard", PATIENCE, || {
        manager.signal("INT");
        world.log().contains("given back").then_some(()).or_else(|| world.0.alive().is_empty().then_some(()))
    });
    manager.finish(PATIENCE).expect_code(130);
    world.0.expect_nothing_left();
    assert_eq!(world.json(&["status"], 0)["counts"]["waiting"], 1);
    world.let_go();
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.comments(1), 1);
}

#[test]
fn a_watch_tells_the_service_manager_how_it_is_and_drains_when_told_to_stop() {
    let world = World::new(&[(1, "one", "High", "High")]);
    let socket = world.0.root().join("notify");
    let heard = UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = world.command(&["watch", "--interval", "1s"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    let manager = Running::start(&mut command);
    let next = || {
        let mut message = [0; 256];
        let length = heard.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "WATCHDOG=1");
    wait_for("the incident to be triaged", PATIENCE, || (world.comments(1) == 1).then_some(()));
    manager.signal("TERM");
    let mut message = next();
    while message == "WATCHDOG=1" {
        message = next();
    }
    assert_eq!(message, "STOPPING=1");
    manager.finish(PATIENCE).expect_code(0);
    world.0.expect_nothing_left();
}

#[test]
fn a_plan_shows_every_request_and_sends_none_until_it_is_applied() {
    let world = World::new(&[(1, "one", "Low", "High"), (2, "two", "Medium", "nothing")]);
    let done = world.manager(&["plan", "-o", "plan.json"]);
    let text = done.expect_code(0).expect_stderr("manager apply plan.json").stdout_text();
    for part in [
        "Incident 1 (Low): one",
        "- severity: \"Low\"",
        "+ severity: \"High\"",
        "comments",
        "publish ",
        "no finding",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(world.written(1).is_none() && !world.published(1).exists());
    assert_eq!(world.json(&["status"], 0)["counts"]["triaged"], 0);

    let applied = world.manager(&["apply", "plan.json"]);
    assert!(applied.expect_code(0).stdout_text().contains("Low → High"), "{}", applied.stdout_text());
    assert_eq!(world.written(1).unwrap()["incident"]["properties"]["severity"], "High");
    assert_eq!(world.comments(1), 1);
    assert!(world.published(1).is_file());
    assert_eq!(world.runs()[&name(1)], 1, "what was planned with is what is published");
    // A second time there is nothing to apply it to.
    let again = world.json(&["apply", "plan.json"], 1);
    let words: Vec<_> = again["incidents"].as_array().unwrap().iter().map(|one| &one["applied"]).collect();
    assert_eq!(words, ["nothing", "refused"], "the severest first");
    world.manager(&["apply", "incidents/1.json"]).expect_code(1).expect_stderr("cannot read the plan");
}

#[test]
fn a_plan_is_not_applied_to_an_incident_that_changed() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    let plan = world.json(&["plan", "-o", "plan.json"], 0);
    assert_eq!(plan["incidents"][0]["outcome"]["outcome"], "finding");
    let mut changed = bundle(1, "one", "Low", "High");
    changed["incident"]["etag"] = json!("\"2\"");
    world.0.write_json("incidents/1.json", &changed);
    let done = world.manager(&["apply", "plan.json"]);
    assert!(
        done.expect_code(1).stdout_text().contains("the incident changed since"),
        "{}",
        done.stdout_text()
    );
    assert!(world.written(1).is_none());
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
    assert!(
        done.expect_code(0).stdout_text().contains("https://ml.azure.com/"),
        "{}\n{:#?}",
        done.stderr,
        azure.journal().iter().map(|e| e.line()).collect::<Vec<_>>()
    );
    assert_eq!(azure.incident(&name(1))["properties"]["severity"], "High");
}

#[test]
fn the_doctor_finds_nothing_wrong_where_nothing_is() {
    let world = World::new(&[(1, "one", "Low", "High")]);
    let done = world.manager(&["doctor"]);
    let text = done.expect_code(0).expect_stderr("The manager can do its work").stdout_text();
    assert!(!text.contains('✘') && !text.contains("Azure"), "{text}");
    for part in
        ["✔ the settings", "✔ the ledger", "✔ the log", "✔ the incidents: 1 in ", "python3 starts", "imports"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(world.runs().is_empty(), "the notebook is not run");
    world.0.expect_nothing_left();
}

#[test]
fn the_doctor_names_what_a_kernel_lacks_and_what_a_folder_does() {
    let world = World::new(&[]);
    let book = Book::new()
        .code("%matplotlib inline\nimport json\nraise SystemError('never run')")
        .code("try:\n    import nosuchmodule.inner\nexcept KeyError:\n    pass\nfrom json import nosuchname");
    world.0.write("needs.ipynb", book.to_bytes());
    world.0.write("in-the-way", "");
    let done = world.manager(&["doctor", "--notebook", "needs.ipynb", "--publish", "in-the-way/below"]);
    let text = done.expect_code(1).expect_stderr("3 of ").stdout_text();
    for part in [
        "the module nosuchmodule is missing: cell 2",
        "cannot import name 'nosuchname'",
        "run.environment",
        "cannot write to ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = world.json(&["doctor", "--kernel", "nosuch"], 1);
    let wrong: Vec<&Value> =
        json["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "wrong").collect();
    assert_eq!(wrong.len(), 1, "{json}");
    assert_eq!(wrong[0]["area"], "kernel");
    assert!(wrong[0]["why"].as_str().unwrap().contains("nosuch"), "{json}");
    world.configure("run.timeot = 3");
    let text = world.manager(&["doctor"]).expect_code(1).stdout_text();
    assert!(text.contains("✘ the settings: run.timeot"), "{text}");
}

#[test]
fn the_doctor_names_the_missing_role_and_the_line_that_grants_it() {
    let azure = SimulatedAzure::start();
    let world = World::new(&[]);
    let text = format!("{}\n[run]\nnotebook = \"triage.ipynb\"\n", azure.settings().manager());
    world.0.write("rnbexec-manager.toml", text);
    let doctor = |args: &[&str]| {
        let mut command = world.command(&[&["doctor"], args].concat());
        command.envs(azure.settings().as_service_principal());
        finish(&mut command)
    };
    let text = doctor(&[]).expect_code(0).stdout_text();
    for part in [
        "an identity",
        "read incidents",
        "write comments of incidents",
        "query the logs",
        "write files to the share",
    ] {
        assert!(text.contains(&format!("✔ {part}")), "{part}: {text}");
    }

    azure.deny("Microsoft.SecurityInsights/incidents/comments/write");
    azure.deny("Microsoft.SecurityInsights/incidents/read");
    let text = doctor(&[]).expect_code(1).stdout_text();
    let role = "the role Microsoft Sentinel Responder is missing on /subscriptions/";
    assert!(text.contains(&format!("✘ write comments of incidents: {role}")), "{text}");
    assert!(text.contains("✘ read incidents: the role Microsoft Sentinel Reader is missing"), "{text}");
    let command =
        text.lines().find(|line| line.contains("Responder\" --scope")).unwrap_or_else(|| panic!("{text}"));
    assert!(command.trim().starts_with("az role assignment create --assignee"), "{command}");
    let json = doctor(&["--json"]).expect_code(1).stdout_text();
    let json: Value = serde_json::from_str(&json).unwrap();
    let roles: Vec<&str> =
        json["checks"].as_array().unwrap().iter().filter_map(|check| check["role"].as_str()).collect();
    assert_eq!(roles, ["Microsoft Sentinel Reader", "Microsoft Sentinel Responder"]);
    // Nothing was asked that leaves a trace.
    assert!(azure.files().is_empty() && azure.incidents().is_empty());
}

/// The demo in a world of its own, but for the kernel environment of the shipped notebook, which takes long to make.
fn demo(world: &Scratch, args: &[&str]) -> Done {
    let mut command = world.rnbexec(["demo"].iter().chain(args));
    command.env("XDG_DATA_HOME", oracle::cache_dir().join("data"));
    Running::start(&mut command).finish(Duration::from_mins(15))
}

#[test]
fn the_demo_triages_recorded_incidents_and_links_every_report() {
    let world = Scratch::new();
    let done = demo(&world, &["--incidents", "1022,1031", "--jobs", "2"]);
    let text = done.expect_code(0).expect_stderr("2 incidents triaged in").stdout_text();
    let row =
        |number: &str| text.lines().find(|line| line.starts_with(number)).unwrap_or_else(|| panic!("{text}"));
    assert!(row("1022").contains("High, true positive"), "{text}");
    assert!(row("1031").contains("Informational, benign positive"), "{text}");
    let page = world.join("rnbexec-demo/index.html");
    assert_eq!(text.lines().last(), page.to_str());

    let html = fs::read_to_string(&page).unwrap();
    for number in [1022, 1031] {
        let report = format!("reports/incident-{number}.html");
        assert!(html.contains(&format!("href=\"{report}\"")), "{report}: {html}");
        let report = fs::read_to_string(world.join("rnbexec-demo").join(report)).unwrap();
        assert!(report.contains("verdict"), "{number}");
    }
    let incidents = fs::read_dir(world.join("rnbexec-demo/incidents")).unwrap().count();
    assert!(incidents >= 40, "{incidents} incidents are there to be triaged");
    let config = "rnbexec-demo/manager.toml";
    let status =
        finish(&mut world.rnbexec(["manager", "status", "--json", "--config", config])).stdout_text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["counts"]["triaged"], &status["counts"]["no_finding"]),
        (&json!(1), &json!(1)),
        "{status}"
    );

    let again = demo(&world, &["--incidents", "1022", "--json"]);
    let json: Value = serde_json::from_str(&again.expect_code(0).stdout_text()).unwrap();
    assert_eq!(json["incidents"].as_array().unwrap().len(), 2, "what was triaged before stays");
    assert_eq!(json["index"].as_str(), page.to_str());
    world.expect_nothing_left();
}

#[test]
fn the_demo_leaves_a_folder_of_somebody_else_alone() {
    let world = Scratch::new();
    world.write("thesis/chapter.txt", "mine");
    for args in [&["thesis"][..], &["thesis", "--again"]] {
        demo(&world, args).expect_code(1).expect_stderr("no demo made it");
    }
    assert_eq!(fs::read_dir(world.join("thesis")).unwrap().count(), 1);
    demo(&world, &["--incidents", "1,2"]).expect_code(2).expect_stderr("no incident 1 is part of the demo");
    demo(&world, &["--incidents", "some"]).expect_code(2);
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

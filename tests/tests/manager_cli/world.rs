//! A folder of incidents and what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rnbexec_tests::{Book, Done, Scratch, finish, wait_for};
use serde_json::{Value, json};

pub(super) const PATIENCE: Duration = Duration::from_mins(5);

/// A folder of incidents, a notebook that does what each incident's description says, and a configuration.
pub(super) struct World(pub(super) Scratch);

impl World {
    /// Incidents by number, title, severity and what the notebook does: it reports the severity that comes first (or `nothing`);
    /// with `hold` it waits for the file `go`, with `fail` it raises unless there is the file `mended`.
    pub(super) fn new(incidents: &[(u64, &str, &str, &str)]) -> Self {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("incidents")).expect("a new folder is writable");
        for (number, title, severity, script) in incidents {
            scratch.write_json(format!("incidents/{number}.json"), &bundle(*number, title, severity, script));
        }
        scratch.write("triage.ipynb", notebook().to_bytes());
        let world = Self(scratch);
        world.configure("");
        world
    }

    /// Writes the configuration, with further settings.
    pub(super) fn configure(&self, more: &str) {
        let world = Value::from(self.0.path().to_str().expect("temporary folders have names that are text"));
        let text = format!(
            "source.kind = \"folder\"\nsource.folder = {{ path = \"incidents\", output = \"written\" }}\n\
             run.notebook = \"triage.ipynb\"\nrun.jobs = 2\nrun.parameters.world = {world}\n\
             publish.folder.path = \"published\"\nretry.notebook = {{ attempts = 2, first_wait = \"1h\" }}\n{more}\n"
        );
        self.0.write("rnbexec-manager.toml", text);
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        self.0.rnbexec(["manager"].iter().chain(args))
    }

    #[track_caller]
    pub(super) fn manager(&self, args: &[&str]) -> Done {
        finish(&mut self.command(args))
    }

    #[track_caller]
    pub(super) fn json(&self, args: &[&str], code: i32) -> Value {
        let done = self.manager(&[args, &["--json"]].concat());
        let text = done.expect_code(code).stdout_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// How often the notebook ran, by incident.
    pub(super) fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for line in fs::read_to_string(self.0.join("runs")).unwrap_or_default().lines() {
            *runs.entry(line.to_owned()).or_default() += 1;
        }
        runs
    }

    pub(super) fn wait_for_runs(&self, count: usize) {
        wait_for("the notebooks to run", PATIENCE, || {
            (self.runs().values().sum::<usize>() >= count).then_some(())
        });
    }

    /// What was written to an incident; `None` when nothing was.
    pub(super) fn written(&self, number: u64) -> Option<Value> {
        let path = self.0.join(format!("written/{}.json", name(number)));
        path.is_file().then(|| self.0.json(&path))
    }

    pub(super) fn comments(&self, number: u64) -> usize {
        self.written(number)
            .map_or(0, |written| written["comments"].as_object().expect("comments are an object").len())
    }

    pub(super) fn published(&self, number: u64) -> PathBuf {
        self.0.join(format!("published/{}.ipynb", name(number)))
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.0.join("notebook_execution.log")).unwrap_or_default()
    }

    pub(super) fn let_go(&self) {
        self.0.write("go", "");
    }
}

pub(super) fn name(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub(super) fn bundle(number: u64, title: &str, severity: &str, script: &str) -> Value {
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

pub(super) fn notebook() -> Book {
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

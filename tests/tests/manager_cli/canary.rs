//! Secrets of every kind that a manager has or a notebook prints, and all that leaves the manager or is kept.

use rnbexec_tests::azure::names;
use rnbexec_tests::{Canaries, Desk, Done, finish};
use serde_json::json;

const PASSWORD: &str = "c0rr3ct h0rse b4ttery st4ple";
const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LW1heS1zZWUwMDA%3D";
const BADGE: &str = "7731904482650937";

/// What the notebook of an incident does: it prints whatever it can get hold of.
const SPILL: &str = "import base64, urllib.parse\nread = lambda name: open(os.path.expanduser('~/' + name)).read()\n\
     secrets = [os.environ['AZURE_CLIENT_SECRET'], os.environ['DATABASE_PASSWORD'], read('key'), read('token'), read('address'), \
     'badge ' + read('badge')]\n\
     all = ' | '.join(secrets + [base64.b64encode(('u:' + one).encode()).decode() for one in secrets[:3]] \
     + [one.encode().hex() for one in secrets[:3]] + [urllib.parse.quote(one, '') for one in secrets[:3]] + [repr(one) for one in secrets])\n\
     for one in secrets[:3]:\n    print('\\x1b[31m' + one[:5] + '\\x1b[0m' + one[5:])\n    \
     display({'text/html': '<b>' + one[:7] + '</b>' + one[7:], 'text/plain': one}, raw=True)\n\
     short = ' | '.join(secrets[:2])\nprint(all)\nprint(all, file=sys.stderr)\ndisplay({'text/html': '<b>' + all + '</b>', 'application/json': {all: all}}, raw=True)\n";

/// A world in which one incident is found and one fails, each after all was printed.
struct World {
    desk: Desk,
    canaries: Canaries,
    incidents: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut desk = Desk::scripted();
        desk.variables.push(("DATABASE_PASSWORD".to_owned(), PASSWORD.to_owned()));
        let (key, token) = (desk.azure.account_key(), desk.azure.token("https://management.azure.com"));
        let address = format!(
            "https://x.blob.core.windows.net/c/b?sv=2024-11-04&se=2030-01-01&sr=b&sp=r&sig={SIGNATURE}"
        );
        for (name, text) in
            [("key", key.as_str()), ("token", &token), ("address", &address), ("badge", BADGE)]
        {
            std::fs::write(desk.scratch.home().join(name), text).expect("the home is writable");
        }
        let vault = desk.azure.settings().secret(names::KEY_SECRET);
        desk.toml = desk
            .toml
            .replace("[publish.workspace]", &format!("[publish.workspace]\naccount_key = \"{vault}\""))
            + "[redact]\nvariables = [\"DATABASE_PASSWORD\"]\npatterns = ['badge (?<secret>\\d+)']\n";
        let logs = &desk.azure.settings().log_analytics;
        desk.toml = desk.toml.replace("[azure]", &format!("[azure]\nlog_analytics = \"{logs}\""));
        desk.toml = desk
            .toml
            .replace("[retry.notebook]", "[retry.notebook]\nattempts = 1")
            .replace("jobs = 2", "jobs = 1");
        desk.scratch.write("rnbexec-manager.toml", &desk.toml);
        let finding = format!(
            "{SPILL}find('High', title=short, summary=all, classification='TruePositive', classification_comment=short, \
             tasks=[{{'title': short, 'description': all}}], \
             evidence=[{{'kind': 'x', 'entity': short, 'severity': 'High', 'reason': all}}])"
        );
        let incidents =
            desk.seed_scripts(&[("Low", &finding), ("Low", &format!("{SPILL}raise RuntimeError(all)"))]);
        let canaries = Canaries::default()
            .with("the client secret", names::CLIENT_SECRET)
            .with("the account key", &key)
            .with("a token", &token)
            .with("a password", PASSWORD)
            .with("a signature", SIGNATURE)
            .with("what a pattern describes", BADGE);
        Self { desk, canaries, incidents }
    }

    #[track_caller]
    fn manager(&self, args: &[&str], code: i32) -> Done {
        let mut command = self.desk.scratch.rnbexec(["manager"].iter().chain(args));
        let done = finish(command.envs(self.desk.env()));
        done.expect_code(code);
        self.canaries.expect_none_in(&format!("standard output of {args:?}"), &done.stdout);
        self.canaries.expect_none_in(&format!("standard error of {args:?}"), &done.stderr);
        done
    }

    /// Looks through all that was kept and all that left.
    #[track_caller]
    fn expect_no_secret(&self) {
        let azure = &self.desk.azure;
        for (path, content) in azure.files() {
            self.canaries.expect_none_in(&path, content);
        }
        for incident in azure.incidents() {
            let name = incident["name"].as_str().expect("a name");
            let all = json!([incident, azure.comments(name), azure.tasks(name)]);
            self.canaries.expect_none_in("an incident", all.to_string());
        }
        let read =
            self.canaries.expect_none_below(self.desk.scratch.root(), &["key", "token", "address", "badge"]);
        assert!(read >= 4, "{read} files");
    }
}

#[test]
fn no_secret_is_in_what_a_manager_shows_keeps_and_sends() {
    let world = World::new();
    let loud = ["--log-level", "NOTSET"];
    let watch = world.canaries.watch_processes(
        &world.desk.scratch,
        &Canaries::default()
            .with("the account key", &world.desk.azure.account_key())
            .with("a signature", SIGNATURE),
    );
    world.manager(&[&["doctor"], &loud[..]].concat(), 0);
    world.manager(&[&["plan", "-o", "plan.json"], &loud[..]].concat(), 1);
    world.expect_no_secret();
    world.manager(&[&["apply", "plan.json"], &loud[..]].concat(), 0);
    assert_eq!(world.desk.azure.comments(&world.incidents[0]).len(), 1);
    world.manager(&[&["once", "--log-format", "json", "--json"], &loud[..]].concat(), 1);
    watch.end();
    for looked in [
        &["status"][..],
        &["status", "--json"],
        &["show", "1"],
        &["show", "2", "--json"],
        &["show", "2"],
        &["explain", "1"],
    ] {
        world.manager(looked, 0);
    }
    let log = world.desk.log();
    assert!(log.contains("RuntimeError") && log.contains("***"), "{log}");
    world.expect_no_secret();
}

#[test]
fn no_secret_of_an_incident_is_in_the_explanation_of_its_route() {
    let world = World::new();
    world.desk.azure.edit_incident(&world.incidents[0], |properties| {
        properties.insert("title".to_owned(), json!(format!("{PASSWORD} and badge {BADGE}")));
    });
    for looked in [&["explain", "1"][..], &["explain", "1", "--json"]] {
        assert!(world.manager(looked, 0).stdout_text().contains("*** and badge ***"));
    }
}

#[test]
fn a_refused_identity_is_told_without_its_secrets() {
    let world = World::new();
    world.desk.azure.deny("Microsoft.SecurityInsights/incidents/read");
    world.desk.azure.disable_secret(names::KEY_SECRET);
    let loud = ["--log-level", "NOTSET"];
    world.manager(&[&["doctor"], &loud[..]].concat(), 1);
    world.manager(&[&["once"], &loud[..]].concat(), 1);
    world.expect_no_secret();
}

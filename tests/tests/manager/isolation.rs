//! Notebooks that a manager contains: what is closed to them, what they need all the same, and machines that cannot close it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rnbexec_manager::Class;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_tests::{Desk, finish};
use serde_json::{Value, json};

/// One pass of the command line over a desk's incidents.
fn once(desk: &Desk) -> Command {
    desk.scratch.write("manager.toml", &desk.toml);
    let mut command = desk.scratch.rnbexec(["manager", "once", "--config", "manager.toml"]);
    command.envs(desk.env());
    command
}

/// A desk whose notebook does what incidents say, with these settings in `[run]`.
fn desk(settings: &str) -> Desk {
    let mut desk = Desk::scripted();
    desk.toml = desk.toml.replace("[run]\n", &format!("[run]\n{settings}\n"));
    desk
}

/// The only executed notebook, as it was published.
fn published(desk: &Desk) -> Value {
    let files = desk.azure.files();
    let is_notebook = |path: &str| Path::new(path).extension().is_some_and(|end| end == "ipynb");
    let notebooks: Vec<&Vec<u8>> =
        files.iter().filter(|(path, _)| is_notebook(path)).map(|(_, bytes)| bytes).collect();
    assert_eq!(notebooks.len(), 1, "{}", desk.log());
    serde_json::from_slice(notebooks[0]).expect("a notebook")
}

/// Finds High if all of these lines end as they say; what happened otherwise is the verdict's summary.
fn trials(trials: &[(&str, &str)]) -> String {
    let attempt = "def attempt(do):\n    try:\n        do()\n        return 'done'\n    except Exception as error:\n        \
                   return type(error).__name__\nimport pathlib, socket\n";
    let attempts: Vec<String> = trials.iter().map(|(code, _)| format!("attempt(lambda: {code})")).collect();
    let expected: Vec<String> = trials.iter().map(|(_, ending)| format!("{ending:?}")).collect();
    let (attempts, expected) = (attempts.join(", "), expected.join(", "));
    format!(
        "{attempt}found = [{attempts}]\nfind('High' if found == [{expected}] else 'Low', summary=repr(found))"
    )
}

#[test]
fn a_notebook_that_is_contained_writes_and_connects_to_nothing_but_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    for (forks, level) in [(true, "strict"), (false, "strict"), (true, "files")] {
        let mut desk = desk(&format!("fork_server = {forks}\nisolate = \"{level}\"\n"));
        let home = desk.scratch.home();
        // The notebook writes into its home that it ran, and the incident lies in the home that is hidden.
        let more = match level {
            "strict" => {
                format!("allow_env = [\"RNBEXEC_TESTS_MARK\"]\n[state]\nfolder = {:?}\n", home.join("state"))
            }
            _ => format!("work_folder = [{home:?}]\n"),
        };
        desk.toml = desk.toml.replace("jobs = 2\n", &format!("jobs = 2\n{more}"));
        let outside = desk.scratch.root().join("outside");
        let network = if level == "strict" { "ConnectionRefusedError" } else { "done" };
        let script = trials(&[
            (&format!("pathlib.Path({outside:?}).write_text('x')"), "PermissionError"),
            ("pathlib.Path(incident_bundle).write_text('x')", "PermissionError"),
            (&format!("socket.create_connection(('127.0.0.1', {port}), 5).close()"), network),
            ("pathlib.Path('mine').write_text('x')", "done"),
            ("pathlib.Path(incident_bundle).read_text()", "done"),
        ]);
        let incident = &desk.seed_scripts(&[("Low", &script)])[0];
        let done = finish(&mut once(&desk));
        assert_eq!(
            desk.azure.incident(incident)["properties"]["severity"],
            "High",
            "{}\n{}",
            desk.log(),
            done.stderr
        );
        done.expect_code(0);
        assert!(!outside.exists());

        let isolation = &published(&desk)["metadata"]["rnbexec"]["isolation"];
        let by = isolation["files"]["by"].as_str().expect("files are closed");
        assert!(by.starts_with("landlock (ABI "), "{isolation:#}");
        assert_eq!(
            isolation["network"]["by"].as_str(),
            (level == "strict").then_some("user and network namespaces")
        );
        assert_eq!(isolation["home"].is_object(), level == "strict", "{isolation:#}");
        desk.scratch.expect_nothing_left();
    }
}

#[test]
fn a_notebook_that_exceeds_its_memory_limit_is_killed_and_a_person_reads_why() {
    let desk = desk("memory_limit = \"200MiB\"");
    let hog = "held = []\nwhile True:\n    held.append(b'x' * (8 << 20))";
    let incident = &desk.seed_scripts(&[("Low", hog)])[0];
    finish(&mut once(&desk));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let case = runtime.block_on(desk.case(incident));
    let reason = case.facts.reason.as_deref().expect("a reason");
    assert!(
        reason.contains("the kernel was killed for using more than its memory limit of 200 MiB"),
        "{reason}"
    );
    assert_eq!(case.facts.class, Some(Class::Notebook));
}

/// A command where an administrator forbids user namespaces, as many do.
fn without_namespaces(desk: &Desk, command: &Command) -> Command {
    let mut wrapped = desk.scratch.command("unshare");
    wrapped.args(["--user", "--map-root-user", "sh", "-c"]);
    wrapped.args(["echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"", "sh"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

#[test]
fn what_this_machine_cannot_close_leaves_the_incident_to_a_person_and_nothing_is_run() {
    let desk = desk("no_network = true");
    let incident = &desk.seed_scripts(&[("Low", "find('High')")])[0];
    let done = finish(&mut without_namespaces(&desk, &once(&desk)));

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let case = runtime.block_on(desk.case(incident));
    assert_eq!(
        (case.state.ending, case.state.step),
        (Some(Ending::Parked), Step::NeedsHuman),
        "{}",
        done.stderr
    );
    let reason = case.facts.reason.as_deref().expect("a reason");
    for told in [
        "triage.ipynb was not run: cannot close the network to it: making namespaces",
        "allow them (sysctl user.max_user_namespaces",
    ] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
    assert_eq!(case.facts.class, Some(Class::Refused));
    assert!(desk.log().contains("cannot close the network to it"), "{}", desk.log());
    assert_eq!(desk.runs(), Vec::<String>::new());
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], json!("Low"));
    // Whoever asks before is told.
    let mut doctor = desk.scratch.rnbexec(["manager", "doctor", "--config", "manager.toml"]);
    let told = finish(&mut without_namespaces(&desk, doctor.envs(desk.env())));
    let told = told.expect_code(1).stdout_text();
    assert!(told.contains("cannot close the network to it") && told.contains("allow them (sysctl"), "{told}");
    assert!(fs::read_dir(desk.scratch.tmp()).expect("a folder").next().is_none(), "nothing is left");
}

//! What the doctor finds.

use rnbexec_tests::azure::SimulatedAzure;
use rnbexec_tests::{Book, finish};
use serde_json::Value;

use super::world::World;

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
    let text = world.manager(&["doctor", "--config", "none.toml"]).expect_code(1).stdout_text();
    assert!(text.contains("✘ the settings: none.toml: No such file"), "{text}");
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

//! What can be looked at without writing to any incident: explanations, replays, plans.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::world::{World, bundle, name};
use rnbexec_tests::{finish, hostile};

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
fn nothing_that_an_incident_says_steers_the_terminal_or_leaves_its_folder() {
    let world = World::new(&[(1, hostile::TEXT, "Low", "High"), (2, hostile::TEXT, "Low", "High fail")]);
    let mut odd = bundle(3, hostile::TEXT, "Low", "High");
    odd["incident"]["properties"]["labels"] = json!([{"labelName": hostile::TEXT}]);
    odd["incident"]["properties"]["owner"] = json!({"assignedTo": hostile::TEXT});
    odd["incident"]["properties"]["severity"] = json!(hostile::TEXT);
    world.0.write_json("incidents/3.json", &odd);
    world.configure(&format!(
        "[[route]]\nname = \"odd\"\nskip = true\nwhen.title = [{}]",
        json!(["^no such"])[0]
    ));
    for (args, codes) in [
        (&["plan", "-o", "plan.json"][..], &[0, 1][..]),
        (&["once", "--log-level", "DEBUG"], &[1, 75]),
        (&["status"], &[0]),
        (&["status", "--json"], &[0]),
        (&["show", "1"], &[0]),
        (&["show", "2"], &[0]),
        (&["show", hostile::TEXT], &[1, 2]),
        (&["explain", "1"], &[0]),
        (&["explain", "3", "--json"], &[0]),
        (&["replay", "incidents/1.json", "-o", "looked-at"], &[0]),
        (&["doctor"], &[0]),
    ] {
        let done = finish(&mut world.0.rnbexec_on_a_terminal(["manager"].iter().chain(args)));
        let shown = done.stdout_text();
        assert!(codes.contains(&done.code()), "{args:?}: {}: {shown}", done.code());
        hostile::expect_tame(&format!("{args:?}"), &shown);
    }
    let names = [
        "..",
        "../../x",
        "/etc/x",
        "%2e%2e%2fx",
        "a\0b",
        "CON",
        "x.",
        "-x",
        &"x".repeat(4096),
        "e\u{301}/x",
        "a\nb",
    ];
    for impossible in names {
        let mut odd = bundle(4, "odd", "Low", "High");
        odd["incident"]["name"] = json!(impossible);
        let id = odd["incident"]["id"].as_str().expect("an id").replace(&name(4), impossible);
        odd["incident"]["id"] = json!(id);
        world.0.write_json("odd.json", &odd);
        let done =
            finish(&mut world.0.rnbexec_on_a_terminal(["manager", "replay", "odd.json", "-o", "apart/deep"]));
        hostile::expect_tame(impossible, &done.stdout_text());
        assert_ne!(done.code(), 101, "{}", done.stdout_text());
        for outside in [
            "x.ipynb",
            "x.json",
            "apart/x.ipynb",
            "apart/x.json",
            "apart/deep/..ipynb",
            "apart/deep/incidents/..json",
        ] {
            assert!(!world.0.join(outside).exists(), "{impossible:?} leads to {outside}");
        }
        let apart = fs::read_dir(world.0.join("apart")).into_iter().flatten().flatten();
        assert!(apart.map(|entry| entry.file_name()).all(|entry| entry == "deep"), "{impossible:?}");
    }
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

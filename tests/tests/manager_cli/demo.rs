//! The demo.

use std::fs;
use std::time::Duration;

use rnbexec_tests::program::Running;
use rnbexec_tests::{Done, Scratch, finish, oracle};
use serde_json::{Value, json};

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

//! Several managers, managers that are killed or told to stop, and a service.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rnbexec_tests::program::{Running, signal};
use rnbexec_tests::wait_for;

use super::world::{PATIENCE, World, bundle, name};

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

/// Waits until what a manager has said so far, in a file, has this in it.
fn says(said: &Path, text: &str) {
    wait_for(text, PATIENCE, || fs::read_to_string(said).expect("it was made").contains(text).then_some(()));
}

#[test]
fn the_first_sigterm_finishes_what_runs_and_begins_nothing() {
    let world = World::new(&[(1, "one", "High", "High hold"), (2, "two", "Low", "High")]);
    let said = world.0.join("stderr");
    let mut command = world.command(&["once", "--jobs", "1"]);
    let mut manager = command.stderr(fs::File::create(&said).unwrap()).spawn().unwrap();
    world.wait_for_runs(1);
    signal(manager.id(), "TERM");
    says(&said, "Draining");
    world.let_go();
    let status = wait_for("the manager to end", PATIENCE, || manager.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
    assert_eq!(world.comments(1), 1);
    assert!(!world.runs().contains_key(&name(2)));
    world.manager(&["once"]).expect_code(0);
    assert_eq!(world.comments(2), 1);
    assert_eq!(world.runs()[&name(1)], 1);
}

#[test]
fn the_second_signal_interrupts_what_runs_and_the_next_pass_takes_it_up() {
    let world = World::new(&[(1, "one", "High", "High hold")]);
    let said = world.0.join("stderr");
    let mut command = world.command(&["once"]);
    let mut manager = command.stderr(fs::File::create(&said).unwrap()).spawn().unwrap();
    world.wait_for_runs(1);
    // Two at once are one: the second is sent when the first was heard.
    signal(manager.id(), "INT");
    says(&said, "Draining");
    signal(manager.id(), "INT");
    let status = wait_for("the manager to end", PATIENCE, || manager.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    says(&said, "given back");
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
    // Heard meanwhile: who tells a service manager that does not listen waits for it.
    heard.set_nonblocking(true).unwrap();
    wait_for("the incident to be triaged", PATIENCE, || {
        while heard.recv(&mut [0; 256]).is_ok() {}
        (world.comments(1) == 1).then_some(())
    });
    heard.set_nonblocking(false).unwrap();
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
fn a_watch_of_a_folder_sees_what_comes_into_it() {
    let world = World::new(&[]);
    let manager = Running::start(&mut world.command(&["watch", "--interval", "1s"]));
    wait_for("the watch to begin", PATIENCE, || (!world.log().is_empty()).then_some(()));
    world.0.write_json("incidents/1.json", &bundle(1, "one", "Low", "High"));
    wait_for("the incident to be triaged", PATIENCE, || (world.comments(1) == 1).then_some(()));
    manager.signal("TERM");
    manager.finish(PATIENCE).expect_code(0);
}

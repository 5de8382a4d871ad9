//! A manager that is killed anywhere loses nothing, and repeats nothing that anybody sees.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rnbexec_manager::case::{Ending, Step};
use rnbexec_tests::Desk;
use rnbexec_tests::azure::On;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

/// The program that crashes when it is told to.
const MANAGER: &str = env!("CARGO_BIN_EXE_crashing-manager");

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// How many incidents wait where managers are killed at random.
const BACKLOG: u64 = 6;

/// How many worlds are tried at a time.
const AT_ONCE: usize = 2;

/// What policies may opt into.
const EVERYTHING: &str = "[policy]\nlabels = true\ntasks = true\nstatus = \"activate\"\n";

/// A world with new incidents, in each of which the notebook finds something.
fn world(more: &str, incidents: u64) -> (Desk, Vec<String>) {
    let mut desk = Desk::finding(&json!({
        "severity": "High", "summary": "it *is* bad", "labels": ["triaged"],
        "tasks": [{"title": "Call Ada", "description": "now"}, {"title": "Take the host off the network"}],
    }));
    desk.toml.push_str(more);
    let names = desk.seed(incidents);
    (desk, names)
}

/// One pass in a process of its own.
async fn pass(desk: &Desk, settings: &[(&str, &str)]) -> Output {
    let output = Command::from(desk.process(MANAGER, "once", settings)).kill_on_drop(true).output().await;
    output.expect("the program starts")
}

/// One pass that nothing disturbs.
async fn whole_pass(desk: &Desk) {
    let output = pass(desk, &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Each incident is triaged once, and the ledger and the log say so.
async fn expect_triaged(desk: &Desk, names: &[String], when: &str) {
    let cases = desk.ledger().cases().await.expect("the ledger can be read");
    assert_eq!(cases.len(), names.len(), "{when}");
    for case in cases {
        assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)), "{when}");
        assert_eq!(case.facts.change, Some(("Low".to_owned(), "High".to_owned())), "{when}");
    }
    for name in names {
        assert_eq!(desk.azure.comments(name).len(), 1, "{when}\n{}", desk.log());
        assert_eq!(desk.changes(name), 1, "the incident is changed once, {when}\n{}", desk.log());
    }
    desk.expect_readable_log();
    let owners = fs::read_dir(desk.scratch.join("rnbexec-manager/owners")).expect("a folder");
    // One that was killed before it had its name is no lock.
    let left = owners.flatten().filter(|entry| !entry.file_name().to_string_lossy().ends_with(".new"));
    assert_eq!(left.count(), 0, "a lock of a dead manager is left, {when}");
}

/// The same, and nothing is left over.
async fn expect_done(desk: &Desk, names: &[String], when: &str) {
    expect_triaged(desk, names, when).await;
    desk.expect_whole_files();
    desk.wait_until_alone();
    desk.scratch.expect_nothing_left();
}

/// Without the parts of files that nobody will finish: all that a kill in the middle of a write may leave.
fn without_parts(mut seen: Value) -> Value {
    let files = seen["files"].as_array_mut().expect("files are a list");
    files.retain(|path| path.as_str().is_some_and(|path| path.ends_with("ipynb") || path.ends_with("html")));
    seen
}

/// What the world looks like when nobody crashed.
async fn undisturbed(more: &str, incidents: u64) -> Value {
    let (desk, names) = world(more, incidents);
    whole_pass(&desk).await;
    expect_done(&desk, &names, "without a crash").await;
    desk.seen()
}

/// Tries `point` with 1, 2, 3… until it says that there are no more, some at a time; how many there were.
async fn every_point<P: Future<Output = bool> + Send + 'static>(
    point: impl Fn(usize) -> P + Send + Sync + 'static,
) -> usize {
    let (next, last) = (AtomicUsize::new(1), AtomicBool::new(false));
    let shared = Arc::new((point, next, last));
    let mut trying = JoinSet::new();
    for _ in 0..AT_ONCE {
        let shared = Arc::clone(&shared);
        trying.spawn(async move {
            let (point, next, last) = &*shared;
            let mut tried = 0;
            while !last.load(Ordering::Relaxed) {
                if point(next.fetch_add(1, Ordering::Relaxed)).await {
                    tried += 1;
                } else {
                    last.store(true, Ordering::Relaxed);
                }
            }
            tried
        });
    }
    trying.join_all().await.into_iter().sum()
}

/// Crashes at every point at which the manager says something, and looks what the next pass makes of it.
async fn crash_everywhere(more: &'static str) -> usize {
    let expected = undisturbed(more, 1).await;
    every_point(move |number| {
        let expected = expected.clone();
        async move {
            let (desk, names) = world(more, 1);
            let crashed = pass(&desk, &[("crash", &number.to_string())]).await;
            if crashed.status.success() {
                return false;
            }
            let said = String::from_utf8_lossy(&crashed.stderr).into_owned();
            assert_eq!(crashed.status.signal(), Some(SIGABRT), "{said}");
            whole_pass(&desk).await;
            let when = format!("point {number}: {said}");
            assert_eq!(desk.seen(), expected, "{when}\n{}", desk.log());
            expect_done(&desk, &names, &when).await;
            true
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_between_two_lines_loses_nothing_and_repeats_nothing() {
    let points = crash_everywhere("").await;
    // Seven intents, seven results, four cells, and the effects: run, two documents, comment, change.
    assert_eq!(points, 23);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_a_crash_when_tasks_labels_and_status_are_written_too() {
    let points = crash_everywhere(EVERYTHING).await;
    assert_eq!(points, 25);
}

/// Also when it is set to what it was before the raise: then only the etag tells that the raise was done and taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_severity_that_an_analyst_sets_after_a_raise_that_the_manager_did_not_live_to_note_stays() {
    for severity in ["Medium", "Low", "Informational"] {
        let (desk, names) = world("", 1);
        let crashed = pass(&desk, &[("crash", "the effect of settle: changed the incident")]).await;
        assert_eq!(crashed.status.signal(), Some(SIGABRT), "{}", String::from_utf8_lossy(&crashed.stderr));
        assert_eq!(desk.azure.incident(&names[0])["properties"]["severity"], "High");
        desk.azure.edit_incident(&names[0], |properties| {
            properties.insert("severity".to_owned(), json!(severity));
        });
        whole_pass(&desk).await;
        assert_eq!(desk.azure.incident(&names[0])["properties"]["severity"], severity, "{}", desk.log());
        let case = desk.case(&names[0]).await;
        assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)));
        let why = format!("severity High: somebody set {severity} while the incident was triaged");
        assert_eq!(case.facts.withheld.first(), Some(&why));
        desk.wait_until_alone();
    }
}

/// The request was done, its answer was never seen: the hardest point, between an effect and its being known.
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_killed_before_it_hears_the_answer_to_a_write_repeats_nothing_visible() {
    let expected = undisturbed(EVERYTHING, 1).await;
    let points = every_point(move |number| {
        let expected = expected.clone();
        async move {
            let (desk, names) = world(EVERYTHING, 1);
            let process: Arc<OnceLock<u32>> = Arc::default();
            let victim = Arc::clone(&process);
            // Everything that is written goes by PUT.
            desk.azure.after(On::put(""), number, move |_| kill(*victim.wait()));
            let mut manager = Command::from(desk.process(MANAGER, "once", &[]));
            let manager = manager.kill_on_drop(true).stdout(Stdio::null()).spawn().expect("it starts");
            process.set(manager.id().expect("it was just started")).expect("it is set once");
            let output = manager.wait_with_output().await.expect("it can be waited for");
            if output.status.success() {
                return false;
            }
            assert_eq!(output.status.signal(), Some(SIGKILL), "{}", String::from_utf8_lossy(&output.stderr));
            let asked = desk.azure.journal().last().expect("something was asked").line();
            whole_pass(&desk).await;
            let when = format!("killed after {asked}");
            assert_eq!(without_parts(desk.seen()), expected, "{when}\n{}", desk.log());
            expect_triaged(&desk, &names, &when).await;
            true
        }
    })
    .await;
    // Folders, two files in three requests each, the comment, the incident, two tasks.
    assert!(points >= 10, "only {points} writes");
}

/// `RNBEXEC_TESTS_KILLS` says how often (15), `RNBEXEC_TESTS_SEED` when.
#[tokio::test(flavor = "multi_thread")]
async fn backlogs_survive_kill_9_at_random() {
    let number = |name: &str, default: u64| {
        env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let (mut kills, seed) = (number("RNBEXEC_TESTS_KILLS", 15), number("RNBEXEC_TESTS_SEED", 20_261_122));
    let mut random = seed.max(1);
    let expected = undisturbed(EVERYTHING, BACKLOG).await;
    while kills > 0 {
        let (desk, names) = world(EVERYTHING, BACKLOG);
        let mut survived = false;
        while kills > 0 && !survived {
            // xorshift
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let moment = Duration::from_micros(random % 2_000_000);
            let mut manager = Command::from(desk.process(MANAGER, "once", &[]));
            let manager = manager.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            let mut manager = manager.spawn().expect("it starts");
            if let Ok(ended) = tokio::time::timeout(moment, manager.wait()).await {
                survived = ended.is_ok_and(|status| status.success());
                assert!(survived, "it failed by itself, seed {seed}\n{}", desk.log());
            } else {
                manager.kill().await.expect("it can be killed");
                kills -= 1;
            }
        }
        whole_pass(&desk).await;
        let when = format!("seed {seed}, {kills} kills to go");
        assert_eq!(without_parts(desk.seen()), expected, "{when}\n{}", desk.log());
        expect_triaged(&desk, &names, &when).await;
        desk.wait_until_alone();
    }
}

fn kill(process: u32) {
    let status = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "{process} cannot be killed");
}

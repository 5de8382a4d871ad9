//! Services that are busy, away, cut off or closed to us: what is waited for, what is given up, and what is never seen.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use rnbexec::Cancel;
use rnbexec_manager::Class;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_manager::ledger::Again;
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{Fault, On, Plane, names};
use serde_json::{Value, json};

/// The writes of a triage in their order: a folder, the content of a file, its name, the comment, the incident.
fn writes() -> [On; 5] {
    [
        On::put("Users").with("restype", "directory"),
        On::put("*").with("comp", "range"),
        On::put("*").with("comp", "rename"),
        On::put("incidents/*/comments/*"),
        On::put("incidents/*"),
    ]
}

/// Lets each write of a triage meet the fault once, and checks that nobody can tell afterwards.
async fn nobody_can_tell(fault: impl Fn() -> Fault) {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    for on in writes() {
        desk.azure.fault(fault().on(on));
    }
    let report = desk.once_with(&[("publish.report", "false")]).await;
    assert!(desk.azure.faults_are_spent(), "each write met the fault");
    let case = &report.ended[0];
    assert_eq!((case.state.ending, case.state.failures), (Some(Ending::Triaged), 0), "{}", desk.log());
    assert_eq!(desk.azure.comments(incident).len(), 1);
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "High");
    assert_eq!(case.facts.change, Some(("Low".to_owned(), "High".to_owned())));
    let files = desk.azure.files();
    let path = format!("{}/Users/TriageNbs/{incident}.ipynb", names::CODE_SHARE);
    assert_eq!(files.keys().collect::<Vec<_>>(), [&path]);
    serde_json::from_slice::<Value>(&files[&path]).expect("the whole notebook");
    assert_eq!(desk.runs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_throttled_is_asked_again_when_it_says() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    let on = On::put("incidents/*/comments/*");
    desk.azure.fault(Fault::throttled(2).on(on.clone()));
    desk.once_with(&[("publish.to", "folder")]).await;
    let asked = desk.azure.asked(&on);
    assert_eq!(asked.len(), 2, "{}", desk.log());
    assert!(asked[1].at.duration_since(asked[0].at) >= SignedDuration::from_millis(1990), "{asked:#?}");
    assert_eq!(desk.azure.comments(incident).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_service_at_any_write_is_tried_again() {
    nobody_can_tell(|| Fault::status(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_service_at_any_write_is_asked_again() {
    nobody_can_tell(|| Fault::status(503)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_before_any_write_is_made_again() {
    nobody_can_tell(Fault::cut_before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_any_write_doubles_nothing() {
    nobody_can_tell(Fault::cut_after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_at_any_write_is_replaced() {
    nobody_can_tell(Fault::expired_token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_long_pause_gets_it_and_the_notebook_does_not_run_again() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.azure.fault(Fault::throttled(600).on(On::put("incidents/*/comments/*")));
    let report = desk.once().await;
    assert_eq!((report.ended.len(), report.waiting.len()), (0, 1), "{}", desk.log());
    let waiting = &report.waiting[0];
    assert_eq!((waiting.state.step, waiting.facts.class), (Step::Annotate, Some(Class::Unavailable)));
    assert!(waiting.due.duration_since(Timestamp::now()) > SignedDuration::from_mins(9), "{waiting:?}");
    assert!(desk.log().contains("next try in 10m"), "{}", desk.log());

    assert!(desk.once().await.ended.is_empty(), "it is not time yet");
    let report = desk.once_after(SignedDuration::from_mins(11), &[]).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!((desk.runs().len(), desk.azure.comments(incident).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_tried_again_and_then_left_to_a_person_with_the_reason() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.azure.deny("Microsoft.SecurityInsights/incidents/comments/write");
    let report = desk.once_with(&[("retry.permission.attempts", "2")]).await;
    let case = &report.ended[0];
    assert_eq!(
        (case.state.ending, case.state.step),
        (Some(Ending::Parked), Step::NeedsHuman),
        "{}",
        desk.log()
    );
    assert_eq!((case.facts.class, case.state.failures), (Some(Class::Permission), 2));
    let reason = case.facts.reason.as_deref().unwrap();
    for told in [
        "comment on incident 1",
        "403 AuthorizationFailed",
        "Microsoft.SecurityInsights/incidents/comments/write",
    ] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "Low");
    assert_eq!(desk.runs().len(), 1, "the notebook had run");

    desk.azure.allow("Microsoft.SecurityInsights/incidents/comments/write");
    assert!(desk.once().await.ended.is_empty(), "a parked incident waits for a person");
    let begun = desk
        .ledger()
        .begin_again(&case.key, Step::Claim, Again::AskedFor, Timestamp::now())
        .await
        .expect("a ledger");
    assert!(begun);
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "High");
    assert_eq!(report.ended[0].facts.reason, None, "what was wrong is right now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_may_not_be_written_leaves_the_incident_without_a_dead_link() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.azure.deny("Microsoft.Storage/storageAccounts/fileServices/fileShares/files/write");
    let report = desk.once_with(&[("retry.permission.attempts", "1")]).await;
    let case = &report.ended[0];
    assert_eq!(
        (case.state.ending, case.facts.class),
        (Some(Ending::Parked), Some(Class::Permission)),
        "{}",
        desk.log()
    );
    assert!(desk.azure.comments(incident).is_empty());
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "Low");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_fails_holds_up_no_other() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[
        ("High", "raise ValueError('bad data')"),
        ("Medium", "os._exit(9)"),
        ("Low", "find('High')"),
        ("Low", "find('High')"),
    ]);
    let name = incidents[2].clone();
    // Its comment is refused for ever.
    desk.azure.fault(Fault::status(400).on(On::put(&format!("{name}/comments/*"))).forever());
    let attempts = [("run.jobs", "1"), ("retry.notebook.attempts", "1"), ("retry.kernel.attempts", "1")];
    let report = desk.once_with(&attempts).await;
    let endings: Vec<_> = report.ended.iter().map(|case| case.state.ending.unwrap()).collect();
    assert_eq!(endings, [Ending::Parked, Ending::Parked, Ending::Parked, Ending::Triaged], "{}", desk.log());
    let classes: Vec<_> = report.ended.iter().map(|case| case.facts.class).collect();
    assert_eq!(classes, [Some(Class::Notebook), Some(Class::Kernel), Some(Class::Refused), None]);
    assert_eq!(desk.azure.comments(&incidents[3]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_died_is_started_again() {
    let desk = Desk::scripted();
    let script = "flag = os.path.expanduser('~/again')\nif not os.path.exists(flag):\n    open(flag, 'w').close()\n    \
                  os._exit(9)\nfind('High')";
    desk.seed_scripts(&[("Low", script)]);
    let report = desk.once().await;
    let case = &report.ended[0];
    assert_eq!((case.state.ending, case.state.failures), (Some(Ending::Triaged), 1), "{}", desk.log());
    assert!(desk.log().contains("the kernel died"), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_is_never_seen_neither_at_first_nor_when_it_is_replaced() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    let halves = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&halves);
    desk.azure.after_each(On::plane(Plane::Files), move |azure| {
        for (path, content) in azure.files() {
            let whole = match path.rsplit_once('.').map(|(_, end)| end) {
                Some("ipynb") => serde_json::from_slice::<Value>(&content).is_ok(),
                Some("html") => String::from_utf8_lossy(&content).trim_end().ends_with("</html>"),
                _ => true,
            };
            if !whole {
                seen.lock().unwrap().push(path);
            }
        }
    });
    desk.once().await;
    desk.once_for(&[incident]).await;
    assert_eq!(desk.runs().len(), 2, "{}", desk.log());
    assert!(halves.lock().unwrap().is_empty(), "{halves:?}");
    assert_eq!(desk.azure.files().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_half_way_leaves_no_file() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    desk.azure.fault(Fault::throttled(600).on(On::put("*").with("comp", "range")).forever());
    let report = desk.once().await;
    assert_eq!(report.waiting.len(), 1, "{}", desk.log());
    assert!(desk.azure.files().is_empty(), "{:?}", desk.azure.files().keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_source_is_out_of_reach_what_is_due_goes_on() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.azure.fault(Fault::throttled(600).on(On::put("incidents/*/comments/*")));
    assert_eq!(desk.once().await.waiting.len(), 1);
    desk.azure.fault(Fault::throttled(600).on(On::get("incidents")));
    let report = desk.once_after(SignedDuration::from_mins(11), &[]).await;
    assert_eq!(report.troubles.len(), 1, "{}", desk.log());
    assert_eq!(report.troubles[0].class(), Class::Unavailable);
    assert_eq!(report.ended.len(), 1, "{}", desk.log());
    assert_eq!(desk.azure.comments(incident).len(), 1);
    assert!(desk.log().contains("ERROR:rnbexec:"), "{}", desk.log());
    assert!(desk.log().contains("Unable to retrieve incidents from Sentinel"), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_incidents_is_told_the_services_reason() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    desk.azure.deny("Microsoft.SecurityInsights/incidents/read");
    let report = desk.once().await;
    assert_eq!(report.troubles[0].class(), Class::Permission);
    assert!(report.troubles[0].in_full().contains("Microsoft.SecurityInsights/incidents/read"));
    assert!(desk.log().contains("AuthorizationFailed"), "{}", desk.log());
    assert!(desk.runs().is_empty());
}

/// The reads of a triage: the list, the incident, what belongs to it, and where notebooks go.
fn reads() -> [On; 5] {
    [
        On::get("incidents"),
        On::get("incidents/*"),
        On::post("incidents/*/entities"),
        On::post("incidents/*/alerts"),
        On::get("workspaces/*/datastores"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_read_is_tried_again() {
    let faults = [
        Fault::status(503),
        Fault::cut_before(),
        Fault::expired_token(),
        Fault::cut_after(),
        Fault::throttled(1),
    ];
    let desk = Desk::scripted();
    desk.seed_scripts(&[("Low", "find('High')")]);
    for (on, fault) in reads().into_iter().zip(faults) {
        desk.azure.fault(fault.on(on));
    }
    let report = desk.once().await;
    assert!(desk.azure.faults_are_spent(), "each read met its fault");
    let case = &report.ended[0];
    assert_eq!((case.state.ending, case.state.failures), (Some(Ending::Triaged), 0), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_in_the_middle_is_no_answer() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    for on in [
        On::get("incidents/*"),
        On::post("incidents/*/entities"),
        On::put("incidents/*/comments/*"),
        On::put("incidents/*"),
    ] {
        desk.azure.fault(Fault::half().on(on));
    }
    let report = desk.once().await;
    assert!(desk.azure.faults_are_spent());
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "High");
    assert_eq!((desk.azure.comments(incident).len(), desk.runs().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_the_service_refuses_because_something_changed_is_written_again() {
    for status in [409, 412] {
        let desk = Desk::finding(&json!({"severity": "High"}));
        let incident = &desk.seed(1)[0];
        desk.azure.fault(Fault::status(status).on(On::put("incidents/*/comments/*")));
        let report = desk.once().await;
        assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
        assert_eq!(desk.azure.comments(incident).len(), 1, "{}", desk.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_is_deleted_while_its_notebook_runs_is_let_go() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    desk.azure.after(On::post("incidents/*/entities"), 1, move |azure| azure.remove_incident(&incident));
    let report = desk.once().await;
    assert_eq!(report.ended.len(), 1, "{}", desk.log());
    assert!(desk.azure.incidents().is_empty(), "a write would have made it again");
    assert!(desk.writes().iter().all(|entry| entry.plane == Plane::Files));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_is_not_installed_is_named() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    let report = desk
        .once_with(&[
            ("run.kernel", "no-such-kernel"),
            ("retry.kernel.attempts", "1"),
            ("retry.notebook.attempts", "1"),
        ])
        .await;
    let case = &report.ended[0];
    assert_eq!(case.state.ending, Some(Ending::Parked), "{}", desk.log());
    assert!(case.facts.reason.as_deref().unwrap().contains("no-such-kernel"), "{:?}", case.facts.reason);
    assert!(desk.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_longer_than_one_request_may_be_is_published_whole() {
    let desk = Desk::scripted();
    let incident = &desk.seed_scripts(&[("Low", "print('0123456789abcdef' * 600_000)\nfind('High')")])[0];
    let report = desk.once_with(&[("publish.report", "false")]).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    let file = desk.azure.file(&format!("Users/TriageNbs/{incident}.ipynb")).expect("the notebook");
    assert!(file.len() > 9_600_000, "{}", file.len());
    serde_json::from_slice::<Value>(&file).expect("the whole notebook");
    assert!(desk.azure.asked(&On::put("*").with("comp", "range")).len() >= 3);
}

/// By an hour, a day and years, forwards and back, at each look.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_triages_each_incident_once() {
    const HOURS: [i64; 6] = [0, 1, -1, 24 * 366 * 30, -24, 24 * 366 * 13];
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed(2);
    // The first poll of all looks back from a clock that is right, or it would see nothing.
    let looks = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (mut setup, looks) = (desk.setup(&[]), Arc::clone(&looks));
        setup.services.clock = Arc::new(move || {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            Timestamp::now() + SignedDuration::from_hours(HOURS[look % HOURS.len()])
        });
        let manager = Arc::new(Box::pin(setup.manager()).await.unwrap_or_else(|error| panic!("{error:?}")));
        manager.once(Cancel::never()).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
    let report = desk.once().await;
    assert!(report.waiting.is_empty(), "{report:?}\n{}", desk.log());
    let mut runs = desk.runs();
    runs.sort();
    assert_eq!(runs, incidents, "{}", desk.log());
    for incident in &incidents {
        assert_eq!(desk.azure.comments(incident).len(), 1);
        assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "High");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_an_incident_that_waits_does_not_wait() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.azure.fault(Fault::throttled(600).on(On::put("incidents/*/comments/*")));
    assert_eq!(desk.once().await.waiting.len(), 1, "{}", desk.log());
    let report = desk.once_for(&[incident]).await;
    assert_eq!(report.ended.len(), 1, "{}", desk.log());
    assert_eq!((desk.azure.comments(incident).len(), desk.runs().len()), (1, 1));
}

use super::*;

const HOUR: i64 = 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn facts(id: &str) -> Facts {
    Facts {
        incident_id: format!("/subscriptions/s/Incidents/{id}"),
        name: id.to_owned(),
        number: Some(7),
        title: "t".to_owned(),
        severity: "Low".to_owned(),
        created: Some(at(0)),
        activity: Some(at(0)),
        source: "test".to_owned(),
        needs_delivery: false,
        asked_for: false,
        route: "default".to_owned(),
        notebook: "nb".to_owned(),
        reason: None,
        class: None,
        verdict: None,
        link: None,
        report: None,
        change: None,
        severity_at_claim: None,
        changing: None,
        withheld: Vec::new(),
        seconds: None,
    }
}

fn key(facts: &Facts, notebook: &str) -> RunKey {
    RunKey::derive(&facts.incident_id, facts.activity, notebook.as_bytes(), "{}")
}

async fn enlisted(ledger: &Ledger, facts: Facts) -> RunKey {
    let key = key(&facts, "nb");
    assert_eq!(ledger.enlist(key.clone(), facts, false, at(0)).await.unwrap(), Enlisted::New);
    key
}

fn open() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    (folder, ledger)
}

#[tokio::test]
async fn the_same_triage_is_enlisted_once_and_another_activity_anew() {
    let (_folder, ledger) = open();
    let first = enlisted(&ledger, facts("a")).await;
    let again = ledger.enlist(first.clone(), facts("a"), false, at(1)).await.unwrap();
    assert!(matches!(again, Enlisted::Known(case) if case.key == first));
    // The notebook was edited: nothing happened in the incident since.
    let edited = ledger.enlist(key(&facts("a"), "nb2"), facts("a"), false, at(1)).await.unwrap();
    assert!(matches!(edited, Enlisted::SameActivity(case) if case.key == first));
    // Somebody asked for it again.
    let asked = ledger.enlist(key(&facts("a"), "nb2"), facts("a"), true, at(1)).await.unwrap();
    assert_eq!(asked, Enlisted::New);
    let moved = Facts { activity: Some(at(HOUR)), ..facts("A") };
    assert_eq!(ledger.enlist(key(&moved, "nb"), moved, false, at(1)).await.unwrap(), Enlisted::New);
}

#[tokio::test]
async fn a_triage_that_nobody_began_gives_way_to_the_next_activity() {
    let (_folder, ledger) = open();
    let first = enlisted(&ledger, facts("a")).await;
    enlisted(&ledger, Facts { activity: Some(at(HOUR)), ..facts("a") }).await;
    let old = ledger.case(&first).await.unwrap().unwrap();
    assert_eq!((old.state.step, old.state.ending), (Step::Done, Some(Ending::Skipped)));
    assert!(old.facts.reason.unwrap().contains("moved on"));
}

#[tokio::test]
async fn the_severest_come_first_then_the_oldest() {
    let (_folder, ledger) = open();
    for (name, severity, created) in
        [("a", "Low", 1), ("b", "High", 3), ("c", "High", 2), ("d", "Medium", 0), ("e", "Strange", 9)]
    {
        let facts = Facts { severity: severity.to_owned(), created: Some(at(created)), ..facts(name) };
        enlisted(&ledger, facts).await;
    }
    let names: Vec<String> =
        ledger.claimable(at(9), &[]).await.unwrap().into_iter().map(|case| case.facts.name).collect();
    assert_eq!(names, ["c", "b", "e", "d", "a"]);
}

#[tokio::test]
async fn a_case_is_claimed_once_and_an_incident_is_worked_on_once() {
    let (folder, ledger) = open();
    let other = Ledger::open(folder.path()).unwrap();
    let first = enlisted(&ledger, facts("a")).await;
    assert!(ledger.claim(&first, at(1)).await.unwrap().is_some());
    assert!(other.claim(&first, at(1)).await.unwrap().is_none());
    let second = enlisted(&other, Facts { activity: Some(at(HOUR)), ..facts("a") }).await;
    assert!(other.claim(&second, at(1)).await.unwrap().is_none());
    ledger.give_back(&first).await.unwrap();
    assert!(other.claim(&second, at(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn only_the_cases_of_the_dead_are_freed() {
    let (folder, ledger) = open();
    let first = enlisted(&ledger, facts("a")).await;
    let second = enlisted(&ledger, facts("b")).await;
    ledger.claim(&first, at(1)).await.unwrap().unwrap();
    {
        let dying = Ledger::open(folder.path()).unwrap();
        dying.claim(&second, at(1)).await.unwrap().unwrap();
        assert_eq!(ledger.recover(at(2)).await.unwrap(), 0);
    }
    assert_eq!(ledger.recover(at(2)).await.unwrap(), 1);
    assert!(ledger.claim(&second, at(3)).await.unwrap().is_some());
    let told = ledger.history(&second).await.unwrap();
    assert!(told.iter().any(|entry| entry.detail.contains("ended without a word")));
}

#[tokio::test]
async fn what_the_dead_left_behind_is_cleared_away_and_the_living_keep_their_locks() {
    let (folder, ledger) = open();
    let other = Ledger::open(folder.path()).unwrap();
    let owners = folder.path().join("owners");
    std::fs::write(owners.join(uuid::Uuid::new_v4().to_string()), "").unwrap();
    ledger.recover(at(1)).await.unwrap();
    assert_eq!(std::fs::read_dir(&owners).unwrap().count(), 2);
    drop((ledger, other));
    assert_eq!(std::fs::read_dir(&owners).unwrap().count(), 0);
}

#[test]
fn many_managers_may_make_the_same_ledger_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let at_once = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    at_once.wait();
                    Ledger::open(folder.path()).unwrap_or_else(|error| panic!("{error:?}"))
                });
            }
        });
    }
}

#[tokio::test]
async fn what_waits_is_not_claimable_before_it_is_due() {
    let (_folder, ledger) = open();
    let key = enlisted(&ledger, facts("a")).await;
    ledger.claim(&key, at(1)).await.unwrap().unwrap();
    let next = Next {
        state: State { step: Step::Run, failures: 1, ending: None },
        wait: Some(Duration::from_mins(1)),
    };
    ledger.record(&key, Step::Run, next, &facts("a"), Outcome::Failure("no"), at(100)).await.unwrap();
    assert!(ledger.claimable(at(159), &[]).await.unwrap().is_empty());
    assert_eq!(ledger.next_due(at(100)).await.unwrap(), Some(at(160)));
    assert_eq!(ledger.claimable(at(160), &[]).await.unwrap().len(), 1);
}

/// The clock was an hour ahead when the step failed; waiting for its time again could take years.
#[tokio::test]
async fn what_waits_by_a_clock_that_was_wrong_is_claimable() {
    let (_folder, ledger) = open();
    let key = enlisted(&ledger, facts("a")).await;
    ledger.claim(&key, at(1)).await.unwrap().unwrap();
    let next = Next {
        state: State { step: Step::Run, failures: 1, ending: None },
        wait: Some(Duration::from_mins(1)),
    };
    ledger.record(&key, Step::Run, next, &facts("a"), Outcome::Failure("no"), at(HOUR)).await.unwrap();
    assert!(
        ledger.claimable(at(HOUR - 50), &[]).await.unwrap().is_empty(),
        "clocks are set a little all the time"
    );
    assert_eq!(ledger.claimable(at(100), &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_source_waits_for_needs_its_message() {
    let (_folder, ledger) = open();
    let key = enlisted(&ledger, Facts { needs_delivery: true, ..facts("a") }).await;
    assert!(ledger.claimable(at(9), &[]).await.unwrap().is_empty());
    assert_eq!(ledger.next_due(at(0)).await.unwrap(), None);
    assert_eq!(ledger.claimable(at(9), &[key]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let (folder, ledger) = open();
    let key = enlisted(&ledger, facts("a")).await;
    ledger.keep_watermark("s", "2026").await.unwrap();
    ledger.intend(&key, Step::Claim, at(5)).await.unwrap();
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.watermark("s").await.unwrap().as_deref(), Some("2026"));
    assert_eq!(ledger.case(&key).await.unwrap().unwrap().facts, facts("a"));
    assert_eq!(ledger.history(&key).await.unwrap().len(), 1);
    for text in ["A", "7", "#7", "/SUBSCRIPTIONS/s/incidents/a", key.as_str()] {
        assert_eq!(ledger.cases_of(text).await.unwrap().len(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_case_begins_again_when_nobody_works_on_it() {
    let (_folder, ledger) = open();
    let key = enlisted(&ledger, facts("a")).await;
    ledger.claim(&key, at(1)).await.unwrap().unwrap();
    assert!(!ledger.begin_again(&key, Step::Run, Again::AskedFor, at(2)).await.unwrap());
    ledger.give_back(&key).await.unwrap();
    assert!(ledger.begin_again(&key, Step::Run, Again::AskedFor, at(2)).await.unwrap());
    let case = ledger.case(&key).await.unwrap().unwrap();
    assert_eq!((case.state.step, case.state.failures), (Step::Run, 0));
}

#[test]
fn a_ledger_of_a_later_version_is_refused() {
    let (folder, ledger) = open();
    drop(ledger);
    let db = Connection::open(folder.path().join(FILE)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Later { .. })));
}

#[tokio::test]
async fn a_ledger_of_an_earlier_version_is_brought_to_the_present_one() {
    let (folder, ledger) = open();
    let key = enlisted(&ledger, facts("a")).await;
    drop(ledger);
    let db = Connection::open(folder.path().join(FILE)).unwrap();
    db.execute_batch("DROP TABLE unbegun; PRAGMA user_version = 1;").unwrap();
    drop(db);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert!(ledger.case(&key).await.unwrap().is_some());
    ledger.note_unbegun("queue", "m", at(0)).await.unwrap();
}

#[tokio::test]
async fn how_often_a_message_was_handed_back_unbegun_is_counted_and_forgotten_in_the_end() {
    let (_folder, ledger) = open();
    for (source, message) in [("queue", "one"), ("queue", "one"), ("queue", "other"), ("elsewhere", "one")] {
        ledger.note_unbegun(source, message, at(0)).await.unwrap();
    }
    assert_eq!(ledger.unbegun("queue", "one").await.unwrap(), 2);
    assert_eq!(ledger.unbegun("queue", "unknown").await.unwrap(), 0);
    ledger.note_unbegun("queue", "other", at(31 * 24 * HOUR)).await.unwrap();
    assert_eq!(ledger.unbegun("queue", "one").await.unwrap(), 0);
    assert_eq!(ledger.unbegun("queue", "other").await.unwrap(), 1);
}

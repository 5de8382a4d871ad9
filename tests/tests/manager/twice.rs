//! Every step done twice equals once.

use jiff::Timestamp;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_manager::ledger::Again;
use rnbexec_tests::Desk;
use serde_json::json;

fn desk() -> Desk {
    let mut desk = Desk::finding(&json!({
        "severity": "High", "summary": "it *is* bad", "labels": ["triaged"], "tasks": [{"title": "Call Ada"}],
    }));
    desk.toml.push_str("[policy]\nlabels = true\ntasks = true\nstatus = \"activate\"\n");
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triage_that_is_begun_again_at_any_step_changes_nothing_that_anybody_sees() {
    let desk = desk();
    let name = &desk.seed(1)[0];
    desk.once().await;
    let seen = desk.seen();
    let key = desk.case(name).await.key;
    for step in Step::ALL.into_iter().filter(|step| !step.is_final()) {
        let ledger = desk.ledger();
        assert!(
            ledger
                .begin_again(&key, step, Again::AskedFor, Timestamp::now())
                .await
                .expect("the ledger takes it")
        );
        desk.once().await;

        let case = desk.case(name).await;
        assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)), "{step:?}");
        assert_eq!(case.facts.change, Some(("Low".to_owned(), "High".to_owned())), "{step:?}");
        assert_eq!(desk.seen(), seen, "{step:?}\n{}", desk.log());
        assert_eq!(desk.changes(name), 1, "{step:?}\n{}", desk.log());
        desk.expect_whole_files();
    }
    assert_eq!(desk.ledger().cases().await.expect("the ledger can be read").len(), 1);
    // Begun again at the claim or at the run, the latter with what was run before.
    assert_eq!(desk.runs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triage_that_is_asked_for_again_runs_again_and_replaces_what_it_wrote() {
    let desk = desk();
    let name = &desk.seed(1)[0];
    desk.once().await;
    let seen = desk.seen();
    for asked in [name.as_str(), "1"] {
        let report = desk.once_for(&[asked]).await;
        assert_eq!(report.ended.len(), 1, "{}", desk.log());
        assert_eq!(desk.seen(), seen, "{}", desk.log());
    }
    assert_eq!(desk.runs().len(), 3);
    assert_eq!(desk.changes(name), 1);
    assert_eq!(desk.ledger().cases().await.expect("the ledger can be read").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pass_has_nothing_to_do() {
    let desk = desk();
    desk.seed(2);
    desk.once().await;
    let (seen, writes) = (desk.seen(), desk.writes().len());
    let report = desk.once().await;
    assert_eq!(
        (report.ended.len(), desk.runs().len(), desk.writes().len()),
        (0, 2, writes),
        "{}",
        desk.log()
    );
    assert_eq!(desk.seen(), seen);
}

//! A dry run: what it shows is what would be sent, and what is sent is what it showed.

use std::sync::Arc;

use jiff::SignedDuration;
use rnbexec::Cancel;
use rnbexec_manager::case::Ending;
use rnbexec_manager::plan::{Applied, Plan, PlannedOutcome, PlannedRequest};
use rnbexec_manager::{Manager, Setup, SourceChoice};
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{Fault, On, Plane};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

async fn plan(manager: &Arc<Manager>) -> Plan {
    manager.plan(Cancel::never()).await.expect("a plan")
}

async fn apply(manager: &Arc<Manager>, plan: &Plan) -> Vec<Applied> {
    let applied = manager.apply(plan, Cancel::never()).await.expect("the ledger works");
    applied.into_iter().map(|(_, became)| became).collect()
}

fn requests(plan: &Plan) -> &[PlannedRequest] {
    match &plan.incidents[0].outcome {
        PlannedOutcome::Finding { requests, .. } => requests,
        other => panic!("no finding: {other:?}"),
    }
}

fn refusal(applied: &[Applied]) -> &str {
    match applied {
        [Applied::Refused { reason }] => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// A desk with one finding, its manager and its plan.
async fn planned() -> (Desk, String, Arc<Manager>, Plan) {
    let desk = Desk::finding(&json!({"severity": "High", "summary": "it *is* bad"}));
    let incident = desk.seed(1).remove(0);
    let manager = desk.manager(&[]).await;
    let plan = plan(&manager).await;
    (desk, incident, manager, plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_the_notebooks_and_writes_nothing() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[
        ("High", "find('High')"),
        ("Medium", "pass"),
        ("Low", "raise ValueError('broken')"),
    ]);
    let before = desk.azure.incidents();
    let manager = desk.manager(&[]).await;
    let plan = plan(&manager).await;

    let outcomes: Vec<_> = plan
        .incidents
        .iter()
        .map(|planned| match &planned.outcome {
            PlannedOutcome::Finding { .. } => "finding",
            PlannedOutcome::NoFinding => "no finding",
            PlannedOutcome::Skipped { .. } => "skipped",
            PlannedOutcome::Failed { reason } if reason.contains("ValueError: broken") => "failed",
            PlannedOutcome::Failed { .. } => "failed otherwise",
        })
        .collect();
    assert_eq!(outcomes, ["finding", "no finding", "failed"], "{plan:#?}");
    let planned: Vec<_> = plan.incidents.iter().map(|planned| planned.facts.name.clone()).collect();
    assert_eq!(planned, incidents, "the most urgent first");
    assert!(desk.writes().is_empty(), "{:#?}", desk.writes());
    for asked in desk.azure.journal().iter().filter(|asked| asked.method == "POST") {
        let reads = ["/token", "/entities", "/alerts"].iter().any(|end| asked.path.ends_with(end));
        assert!(reads, "{}", asked.line());
    }
    assert_eq!(desk.azure.incidents(), before);
    assert!(desk.azure.files().is_empty());
    assert!(desk.ledger().cases().await.expect("a ledger").is_empty());

    let report = desk.once_with(&[("retry.notebook.attempts", "1")]).await;
    assert_eq!(report.ended.len(), 3, "a later pass triages the same incidents");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_exact_requests_and_what_they_change_and_applying_it_sends_those() {
    let (desk, incident, manager, plan) = planned().await;
    let requests = requests(&plan);
    let [report, notebook, comment, update] = requests else { panic!("four requests: {requests:#?}") };
    for (request, end) in [(report, "html"), (notebook, "ipynb")] {
        let PlannedRequest::Publish { place, link, .. } = request else { panic!("{request:?}") };
        assert!(place.ends_with(&format!("Users/TriageNbs/{incident}.{end}")), "{place}");
        assert!(link.starts_with("https://ml.azure.com/"), "{link}");
    }
    let PlannedRequest::Write { request, changes } = comment else { panic!("{comment:?}") };
    assert_eq!(request.method, "PUT");
    assert!(request.url.contains(&format!("/incidents/{incident}/comments/")), "{}", request.url);
    assert!(changes.is_empty());
    let PlannedRequest::Write { request, changes } = update else { panic!("{update:?}") };
    assert!(request.url.contains(&format!("/incidents/{incident}?api-version=")), "{}", request.url);
    let [change] = &changes[..] else { panic!("one change: {changes:?}") };
    assert_eq!(
        (change.field.as_str(), &change.before, &change.after),
        ("severity", &json!("Low"), &json!("High"))
    );
    assert_eq!(request.body["properties"]["title"], "Something odd");

    desk.azure.clear_journal();
    let applied = apply(&manager, &plan).await;
    assert!(matches!(&applied[..], [Applied::Done(_)]), "{applied:?}\n{}", desk.log());
    let sent: Vec<_> = desk
        .writes()
        .into_iter()
        .filter(|entry| entry.plane == Plane::ResourceManager)
        .map(|entry| {
            let version = entry.query("api-version").unwrap_or_default();
            (format!("{}{}?api-version={version}", desk.azure.url(), entry.path), without_etag(&entry.body))
        })
        .collect();
    let shown: Vec<_> = [comment, update]
        .into_iter()
        .map(|shown| match shown {
            PlannedRequest::Write { request, .. } => (request.url.clone(), without_etag(&request.body)),
            PlannedRequest::Publish { .. } => panic!("a write"),
        })
        .collect();
    assert_eq!(sent, shown);
    for (shown, end) in [(report, "html"), (notebook, "ipynb")] {
        let PlannedRequest::Publish { bytes, sha256, .. } = shown else { panic!("{shown:?}") };
        let file = desk.azure.file(&format!("Users/TriageNbs/{incident}.{end}")).expect("a file");
        let digest = format!("{:x}", Sha256::digest(&file));
        assert_eq!((file.len(), digest), (*bytes, sha256.clone()), "{end}");
    }
    assert_eq!(desk.runs().len(), 1, "applying runs no notebook");
}

/// Our own comment gives the incident a new etag.
fn without_etag(body: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().expect("an object").remove("etag");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_applied_to_an_incident_that_changed_meanwhile() {
    let (desk, incident, manager, plan) = planned().await;
    desk.azure.edit_incident(&incident, |properties| {
        properties.insert("status".to_owned(), json!("Active"));
    });
    let applied = apply(&manager, &plan).await;
    assert!(refusal(&applied).contains("the incident changed since the plan was made"), "{applied:?}");
    desk.azure.remove_incident(&incident);
    let applied = apply(&manager, &plan).await;
    assert!(refusal(&applied).contains("does not exist any more"), "{applied:?}");
    assert!(desk.writes().is_empty(), "{:#?}", desk.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_applied_with_another_notebook_than_it_was_made_with() {
    let (desk, _, manager, plan) = planned().await;
    let PlannedOutcome::Finding { executed, .. } = &plan.incidents[0].outcome else { panic!("a finding") };
    let text = std::fs::read_to_string(executed).expect("the executed notebook");
    std::fs::write(executed, text.replace("Something odd", "Something else")).expect("writable");
    let applied = apply(&manager, &plan).await;
    assert!(refusal(&applied).contains("is not the notebook that was planned with"), "{applied:?}");
    assert!(desk.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_applied_under_another_configuration() {
    let (desk, _, _, plan) = planned().await;
    for other in [
        [("policy.severity", "keep")],
        [("comment.template", "blog")],
        [("publish.workspace.folder", "Users/Elsewhere")],
        [("policy.add_labels", "[\"triaged\"]")],
    ] {
        let manager = desk.manager(&other).await;
        let applied = apply(&manager, &plan).await;
        assert!(refusal(&applied).contains("the configuration changed"), "{other:?}: {applied:?}");
    }
    assert!(desk.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_applied_twice_writes_nothing_twice() {
    let (desk, incident, manager, plan) = planned().await;
    apply(&manager, &plan).await;
    let written = desk.writes().len();
    let applied = apply(&manager, &plan).await;
    refusal(&applied);
    assert_eq!(desk.writes().len(), written);
    assert!(desk.once().await.ended.is_empty(), "and a pass has nothing to do either: {}", desk.log());
    assert_eq!(desk.azure.comments(&incident).len(), 1);
    assert_eq!(desk.runs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_what_was_triaged_meanwhile_is_refused() {
    let (desk, incident, manager, plan) = planned().await;
    desk.once().await;
    let written = desk.writes().len();
    refusal(&apply(&manager, &plan).await);
    assert_eq!(desk.writes().len(), written);
    assert_eq!(desk.azure.comments(&incident).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_disturbs_nothing_of_a_triage_that_waits() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    desk.azure.fault(Fault::throttled(600).on(On::put("Users")).forever());
    let waiting = desk.once().await.waiting.remove(0);
    let executed = || {
        let folder = desk.scratch.join("rnbexec-manager");
        std::fs::read(rnbexec_manager::executed_file(&folder, &waiting.key)).expect("the executed notebook")
    };
    let before = executed();
    let named = vec![rnbexec_azure::sentinel::IncidentRef::parse(&incident).expect("an incident")];
    let setup = Setup { source: SourceChoice::Named(named), ..desk.setup(&[]) };
    let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
    let plan = plan(&manager).await;
    assert_eq!((plan.incidents.len(), &plan.incidents[0].run), (1, &waiting.key));
    assert!(executed() == before, "the plan ran elsewhere");
    desk.azure.clear_faults();
    desk.once_after(SignedDuration::from_hours(1), &[]).await;
    assert_eq!(desk.case(&incident).await.state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(refusal(&apply(&manager, &plan).await), "the incident changed since the plan was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_can_be_kept_in_a_file_and_one_of_another_version_is_refused() {
    let (_desk, _, manager, plan) = planned().await;
    let mut value: Value = serde_json::from_slice(&plan.to_vec()).expect("JSON");
    let read = Plan::parse(&plan.to_vec()).expect("a plan");
    assert_eq!(read, plan);
    assert!(matches!(&apply(&manager, &read).await[..], [Applied::Done(_)]));
    value["version"] = json!(99);
    let error = Plan::parse(value.to_string().as_bytes()).expect_err("another version");
    assert!(error.to_string().contains("99"), "{error}");
    assert!(Plan::parse(b"[]").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_plan() {
    let desk = Desk::scripted();
    let secret = "os.environ['AZURE_CLIENT_SECRET']";
    desk.seed_scripts(&[
        ("High", &format!("print({secret})\nfind('High', title={secret}, summary={secret})")),
        ("Low", &format!("raise ValueError({secret})")),
    ]);
    let manager = desk.manager(&[]).await;
    let plan = String::from_utf8(plan(&manager).await.to_vec()).expect("text");
    assert!(plan.contains("ValueError: ***"), "{plan}");
    assert!(!plan.contains(rnbexec_tests::azure::names::CLIENT_SECRET), "{plan}");
}

//! What a triage may change about its incident, and when it changes nothing at all.

use jiff::SignedDuration;
use rnbexec_manager::Class;
use rnbexec_manager::case::Ending;
use rnbexec_tests::azure::{Fault, On, Plane};
use rnbexec_tests::{Book, Desk};
use serde_json::{Value, json};

/// The writes to Sentinel, one line each.
fn writes_to_sentinel(desk: &Desk) -> Vec<String> {
    let writes = desk.writes();
    let of_sentinel = writes.iter().filter(|entry| entry.path.contains("/Microsoft.SecurityInsights/"));
    of_sentinel.map(|entry| format!("{} {}", entry.method, entry.path)).collect()
}

fn properties(desk: &Desk, incident: &str) -> Value {
    desk.azure.incident(incident)["properties"].clone()
}

fn close(azure: &rnbexec_tests::azure::Azure, incident: &str) {
    azure.edit_incident(incident, |properties| {
        properties.insert("status".to_owned(), json!("Closed"));
        properties.insert("classification".to_owned(), json!("BenignPositive"));
        properties.insert("classificationReason".to_owned(), json!("SuspiciousButExpected"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_without_a_finding_is_left_untouched() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[("Low", "print('all quiet')"), ("Medium", "find('Informational')")]);
    let before: Vec<_> = incidents.iter().map(|incident| desk.azure.incident(incident)).collect();
    let report = desk.once().await;
    assert!(report.ended.iter().all(|case| case.state.ending == Some(Ending::NoFinding)), "{}", desk.log());
    assert_eq!(desk.runs().len(), 2);
    assert!(desk.writes().is_empty(), "{:#?}", desk.writes());
    let after: Vec<_> = incidents.iter().map(|incident| desk.azure.incident(incident)).collect();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn which_executed_notebooks_stay_on_this_machine_is_the_policys_to_say() {
    for (keep, kept) in [("findings", [true, false]), ("all", [true, true]), ("nothing", [false, false])] {
        let desk = Desk::scripted();
        desk.seed_scripts(&[("High", "find('High')"), ("Low", "pass")]);
        let manager = desk.manager(&[("run.keep", keep), ("run.jobs", "1")]).await;
        let report = manager.once(rnbexec::Cancel::never()).await.expect("a pass");
        let there: Vec<_> = report
            .ended
            .iter()
            .map(|case| manager.run_folder(&case.key).join("executed.ipynb").exists())
            .collect();
        assert_eq!(there, kept, "{keep}: {}", desk.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_crashed_is_never_benign() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[
        ("High", "raise RuntimeError('no verdict')"),
        ("Medium", "find('Informational')\nraise RuntimeError('after the verdict')"),
        ("Low", "os._exit(9)"),
        ("Informational", "find('Dreadful')"),
    ]);
    let before: Vec<_> = incidents.iter().map(|incident| desk.azure.incident(incident)).collect();
    let once = [("retry.notebook.attempts", "1"), ("retry.kernel.attempts", "1"), ("run.jobs", "1")];
    let report = desk.once_with(&once).await;
    let ended: Vec<_> = report.ended.iter().map(|case| (case.state.ending, case.facts.class)).collect();
    let parked = Some(Ending::Parked);
    assert_eq!(
        ended,
        [
            (parked, Some(Class::Notebook)),
            (parked, Some(Class::Notebook)),
            (parked, Some(Class::Kernel)),
            (parked, Some(Class::Notebook)),
        ],
        "{}",
        desk.log()
    );
    assert!(report.ended[3].facts.reason.as_deref().unwrap().contains("severity"), "{:?}", report.ended[3]);
    let after: Vec<_> = incidents.iter().map(|incident| desk.azure.incident(incident)).collect();
    assert_eq!(after, before);
    assert!(desk.writes().is_empty(), "{:#?}", desk.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_a_cell_tagged_output_are_a_finding_as_with_microsofts_notebooks() {
    let book = |cell: &str| {
        let parameters = "incident_id = ''\nten_id = ''\nws_id = ''";
        Book::new().parameters(parameters).code("print('a look around')").tagged(cell, &["output"])
    };
    let desk = Desk::new(&book("print('High severity for 203.0.113.7')"));
    let incident = &desk.seed(1)[0];
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(properties(&desk, incident)["severity"], "High");
    assert_eq!(desk.azure.comments(incident).len(), 1);

    let desk = Desk::new(&book("severity = 'None'"));
    desk.seed(1);
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::NoFinding), "{}", desk.log());
    assert!(desk.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comment_of_microsofts_notebooks_is_a_setting_away() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once_with(&[("comment.template", "blog"), ("publish.workspace.link", "short")]).await;
    let comment = desk.comment(incident);
    let words = "View incident triage notebook in AML</a>";
    assert!(
        comment.starts_with("<a href='https://ml.azure.com/fileexplorerAzNB?wsid=/subscriptions/"),
        "{comment}"
    );
    assert!(comment.ends_with(words), "{comment}");
}

const ASKING: &str = "find('High', labels=['beaconing', 'night shift'], tasks=[{'title': 'Isolate the host', \
                      'description': 'Ask *Ada* first'}], classification='FalsePositive', \
                      classification_reason='IncorrectAlertLogic', classification_comment='a scanner')";

#[tokio::test(flavor = "multi_thread")]
async fn labels_tasks_status_and_classification_are_not_written_unless_the_policy_says_so() {
    let desk = Desk::scripted();
    let incident = &desk.seed_scripts(&[("Low", ASKING)])[0];
    let before = properties(&desk, incident);
    let report = desk.once().await;
    let after = properties(&desk, incident);
    assert_eq!(after["severity"], "High", "{}", desk.log());
    for name in ["labels", "status", "classification", "classificationReason", "owner", "description"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert!(desk.azure.tasks(incident).is_empty());
    let withheld = report.ended[0].facts.withheld.join("\n");
    for told in ["labels", "task", "classification"] {
        assert!(withheld.contains(told), "{told}: {withheld}");
        assert!(desk.log().contains("Not changing"), "{}", desk.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_opts_into_is_written_once_and_nothing_else() {
    let desk = Desk::scripted();
    let incident = &desk.seed_scripts(&[("Low", ASKING)])[0];
    let before = properties(&desk, incident);
    let policy = [
        ("policy.labels", "true"),
        ("policy.add_labels", "[\"triaged\"]"),
        ("policy.tasks", "true"),
        ("policy.status", "close"),
        ("policy.classification", "true"),
        ("policy.severity", "keep"),
    ];
    desk.once_with(&policy).await;
    let after = properties(&desk, incident);
    let labels: Vec<_> =
        after["labels"].as_array().unwrap().iter().map(|label| &label["labelName"]).collect();
    assert_eq!(labels, ["night shift", "triaged", "beaconing"], "{}", desk.log());
    assert_eq!(after["status"], "Closed");
    assert_eq!(after["classification"], "FalsePositive");
    assert_eq!(after["classificationReason"], "IncorrectAlertLogic");
    assert_eq!(after["classificationComment"], "a scanner");
    for name in ["severity", "title", "description"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(after["owner"]["assignedTo"], "Ada");
    let tasks = desk.azure.tasks(incident);
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["properties"]["title"], "Isolate the host");
    let written = writes_to_sentinel(&desk);
    assert_eq!(written.len(), 3, "a comment, the incident, a task: {written:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incident_becomes_active_where_the_policy_says_so() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once_with(&[("policy.status", "activate")]).await;
    assert_eq!(properties(&desk, incident)["status"], "Active", "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_below_the_minimum_is_no_finding() {
    let desk = Desk::scripted();
    desk.seed_scripts(&[("Low", "find('Medium', confidence=0.9)"), ("Low", "find('High', confidence=0.4)")]);
    let report =
        desk.once_with(&[("policy.minimum_severity", "High"), ("policy.minimum_confidence", "0.5")]).await;
    assert!(report.ended.iter().all(|case| case.state.ending == Some(Ending::NoFinding)), "{}", desk.log());
    assert!(desk.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_closed_or_merged_before_its_turn_is_not_triaged() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed(2);
    let names = incidents.clone();
    desk.azure.after(On::get("incidents"), 1, move |azure| {
        close(azure, &names[0]);
        azure.edit_incident(&names[1], |properties| {
            properties["additionalData"]["mergedIncidentNumber"] = json!("77");
        });
    });
    let report = desk.once().await;
    assert!(report.ended.iter().all(|case| case.state.ending == Some(Ending::Skipped)), "{}", desk.log());
    assert!(desk.runs().is_empty());
    assert!(desk.writes().is_empty());
    assert!(desk.log().contains("the incident is closed"), "{}", desk.log());
    assert!(desk.log().contains("the incident is merged into another one"), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_was_closed_when_its_turn_came_and_is_opened_again_is_triaged() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    let name = incident.clone();
    desk.azure.after(On::get("incidents"), 1, move |azure| close(azure, &name));
    desk.once().await;
    assert_eq!(desk.case(&incident).await.state.ending, Some(Ending::Skipped));
    desk.azure.edit_incident(&incident, |properties| {
        properties.insert("status".to_owned(), json!("New"));
    });
    desk.once().await;
    assert_eq!(desk.case(&incident).await.state.ending, Some(Ending::Triaged), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_closed_while_its_notebook_runs_is_not_touched() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    let name = incident.clone();
    desk.azure.after(On::post("incidents/*/entities"), 1, move |azure| close(azure, &name));
    let report = desk.once().await;
    let after = properties(&desk, &incident);
    assert_eq!((&after["status"], &after["severity"]), (&json!("Closed"), &json!("Low")), "{}", desk.log());
    assert_eq!(writes_to_sentinel(&desk), [""; 0], "{}", desk.log());
    let facts = &report.ended[0].facts;
    assert!(facts.withheld.iter().any(|withheld| withheld.contains("closed")), "{facts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_closed_just_before_the_change_is_not_changed_and_nobody_says_that_it_was() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    let name = incident.clone();
    desk.azure.before(On::put("incidents/*"), 1, move |azure| close(azure, &name));
    let report = desk.once().await;
    let after = properties(&desk, &incident);
    assert_eq!((&after["status"], &after["severity"]), (&json!("Closed"), &json!("Low")), "{}", desk.log());
    assert_eq!(after["classification"], "BenignPositive");
    let case = &report.ended[0];
    assert_eq!(case.facts.change, Some(("Low".to_owned(), "Low".to_owned())));
    let history = desk.ledger().history(&case.key).await.expect("a history");
    assert!(history.iter().all(|entry| !entry.detail.contains("was changed")), "{history:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_closed_incident_by_name_gets_it_triaged_and_commented_but_not_changed() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    close(&desk.azure, incident);
    let before = properties(&desk, incident);
    desk.once_for(&[incident]).await;
    assert_eq!(desk.azure.comments(incident).len(), 1, "{}", desk.log());
    let after = properties(&desk, incident);
    for name in ["severity", "status", "classification", "classificationReason"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_an_analyst_makes_meanwhile_is_read_and_decided_about_again() {
    for status in [409, 412] {
        let desk = Desk::finding(&json!({"severity": "Medium"}));
        desk.azure.set_conflict_status(status);
        let incident = desk.seed(1).remove(0);
        let name = incident.clone();
        desk.azure.before(On::put("incidents/*"), 1, move |azure| {
            azure.edit_incident(&name, |properties| {
                properties.insert("severity".to_owned(), json!("High"));
                properties.insert("status".to_owned(), json!("Active"));
            });
        });
        let report = desk.once().await;
        assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
        let after = properties(&desk, &incident);
        assert_eq!((&after["severity"], &after["status"]), (&json!("High"), &json!("Active")));
        let puts = desk.azure.asked(&On::put("incidents/*"));
        assert_eq!(puts.iter().map(|put| put.status).collect::<Vec<_>>(), [Some(status)], "one, in vain");
    }
}

fn set_severity(azure: &rnbexec_tests::azure::Azure, incident: &str, severity: &str) {
    azure.edit_incident(incident, |properties| {
        properties.insert("severity".to_owned(), json!(severity));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severity_that_an_analyst_sets_while_the_notebook_runs_stays() {
    for (at_claim, meanwhile) in [("Low", "Informational"), ("Low", "Medium"), ("High", "Medium")] {
        let desk = Desk::finding(&json!({"severity": "High"}));
        let incident = desk.seed_bundles(vec![Desk::bundle(1, "Something odd", at_claim)]).remove(0);
        let name = incident.clone();
        let edit = move |azure: &rnbexec_tests::azure::Azure| set_severity(azure, &name, meanwhile);
        desk.azure.after(On::post("incidents/*/entities"), 1, edit);
        let report = desk.once().await;
        assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
        assert_eq!(properties(&desk, &incident)["severity"], meanwhile, "{}", desk.log());
        assert_eq!(desk.changes(&incident), 0, "{}", desk.log());
        let why = format!("severity High: somebody set {meanwhile} while the incident was triaged");
        assert_eq!(report.ended[0].facts.withheld, [why]);
        assert_eq!(desk.azure.comments(&incident).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severity_that_an_analyst_sets_just_before_the_raise_stays() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    let name = incident.clone();
    desk.azure.before(On::put("incidents/*"), 1, move |azure| set_severity(azure, &name, "Informational"));
    desk.once().await;
    assert_eq!(properties(&desk, &incident)["severity"], "Informational", "{}", desk.log());
}

/// The raise was written, no answer came: whoever takes it back before it is tried again has the last word.
#[tokio::test(flavor = "multi_thread")]
async fn a_severity_that_an_analyst_sets_after_a_raise_whose_answers_were_lost_stays() {
    // Within one call, and in several.
    for unheard in [1, 5] {
        let desk = Desk::finding(&json!({"severity": "High"}));
        let incident = desk.seed(1).remove(0);
        let on = On::put("incidents/*");
        desk.azure.fault(Fault::cut_after().on(on.clone()));
        if unheard > 1 {
            desk.azure.fault(Fault::status(503).on(on.clone()).times(unheard - 1));
        }
        let name = incident.clone();
        desk.azure.after(on, 1, move |azure| set_severity(azure, &name, "Low"));
        desk.once().await;
        assert!(desk.azure.faults_are_spent(), "{}", desk.log());
        assert_eq!(properties(&desk, &incident)["severity"], "Low", "{}", desk.log());
        let case = desk.case(&incident).await;
        assert_eq!((case.state.ending, &case.facts.reason), (Some(Ending::Triaged), &None));
        let why = "severity High: somebody set Low while the incident was triaged";
        assert_eq!(case.facts.withheld, [why], "{}", desk.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_refused_is_not_told_as_one() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    desk.azure.fault(Fault::forbidden().on(On::put("incidents/*")).forever());
    let report = desk.once_with(&[("retry.permission.attempts", "1")]).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Parked), "{}", desk.log());
    assert_eq!(report.ended[0].facts.change, None);
    assert_eq!(properties(&desk, &incident)["severity"], "Low");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_that_could_not_be_written_is_made_later_though_something_else_of_the_incident_changed() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    desk.azure.fault(Fault::throttled(600).on(On::put("incidents/*")));
    let report = desk.once().await;
    assert_eq!(report.waiting.len(), 1, "{}", desk.log());
    desk.azure.clear_faults();
    desk.azure.edit_incident(&incident, |properties| {
        properties.insert("description".to_owned(), json!("an analyst's words"));
    });
    desk.once_after(SignedDuration::from_hours(1), &[]).await;
    assert_eq!(properties(&desk, &incident)["severity"], "High", "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_an_analyst_adds_meanwhile_survives_the_raise() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    let name = incident.clone();
    desk.azure.before(On::put("incidents/*"), 1, move |azure| {
        azure.edit_incident(&name, |properties| {
            properties.insert("labels".to_owned(), json!([{"labelName": "vip", "labelType": "User"}]));
        });
    });
    desk.once().await;
    let after = properties(&desk, &incident);
    assert_eq!(after["severity"], "High", "{}", desk.log());
    assert_eq!(after["labels"][0]["labelName"], "vip");
    assert_eq!(desk.azure.comments(&incident).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_changes_each_time_is_given_up_for_now_and_not_overwritten() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = desk.seed(1).remove(0);
    for nth in 1..=20 {
        let name = incident.clone();
        desk.azure.before(On::put("incidents/*"), nth, move |azure| {
            azure.edit_incident(&name, |properties| {
                properties.insert("description".to_owned(), json!(format!("edit {nth}")));
            });
        });
    }
    let report = desk.once_with(&[("retry.unavailable.attempts", "2")]).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Parked), "{}", desk.log());
    assert_eq!(properties(&desk, &incident)["severity"], "Low");
    assert_eq!(desk.azure.comments(&incident).len(), 1);
    let puts = desk.azure.asked(&On::put("incidents/*").of(Plane::ResourceManager));
    assert!(puts.len() <= 12, "{}", puts.len());
}

use serde_json::{Value, json};

use super::*;
use crate::verdict::Reason;

/// A triage that does not know what the severity was when it began.
const UNKNOWN: Known<'_> = Known { at_claim: None, ours: None, written_over: None };

fn incident(severity: &str, status: &str) -> Incident {
    Incident::from(json!({
        "id": "/incidents/x", "name": "x", "etag": "\"1\"",
        "properties": {
            "title": "t", "severity": severity, "status": status, "labels": [{"labelName": "vip", "labelType": "User"}],
            "owner": {"email": "a@b"},
        },
    }))
}

fn verdict(severity: Severity) -> Verdict {
    Verdict::new(severity)
}

fn classified(class: Class, reason: Option<Reason>) -> Verdict {
    let comment = Some("because".to_owned());
    Verdict { classification: Some(Classification { class, reason, comment }), ..verdict(Severity::Low) }
}

fn told(decision: &Decision) -> Vec<String> {
    decision.withheld.iter().map(ToString::to_string).collect()
}

#[test]
fn every_pair_of_severities_under_every_policy_and_status() {
    for found in Severity::ALL {
        for now in Severity::ALL {
            for status in ["New", "Active", "Closed"] {
                for policy in [SeverityPolicy::Raise, SeverityPolicy::Set, SeverityPolicy::Keep] {
                    let wanted = match policy {
                        _ if status == "Closed" => None,
                        SeverityPolicy::Raise => Some(found).filter(|found| *found > now),
                        SeverityPolicy::Set => Some(found).filter(|found| *found != now),
                        SeverityPolicy::Keep => None,
                    };
                    let policy = Policy { severity: policy, ..Policy::default() };
                    let decision = decide(&policy, &verdict(found), &incident(now.as_str(), status), UNKNOWN);
                    let expected = wanted.map(|severity| IncidentChange {
                        severity: Some(severity),
                        ..IncidentChange::default()
                    });
                    assert_eq!(decision.change, expected, "{found} over {now}, {status}, {policy:?}");
                    let silent = status != "Closed" && (wanted.is_some() || found == now);
                    assert_eq!(decision.withheld.is_empty(), silent, "{:?}", decision.withheld);
                }
            }
        }
    }
}

#[test]
fn a_severity_that_somebody_else_set_since_the_triage_began_stays() {
    // What is known, the severity as it is now (its etag is "1"), and whether somebody else decided about it.
    let claimed = Known { at_claim: Some("Low"), ..UNKNOWN };
    let raised = Known { ours: Some("High"), written_over: Some("\"0\""), ..claimed };
    for (known, now, overruled) in [
        (UNKNOWN, "Informational", false),
        (claimed, "low", false),
        (claimed, "Informational", true),
        (claimed, "Medium", true),
        (raised, "Medium", true),
        // Our change, taken back.
        (raised, "Low", true),
        // Our change, which nobody got to write.
        (Known { written_over: Some("\"1\""), ..raised }, "Low", false),
        (Known { ours: Some("Medium"), ..raised }, "Medium", false),
    ] {
        for severity in [SeverityPolicy::Raise, SeverityPolicy::Set] {
            let policy = Policy { severity, ..Policy::default() };
            let decision = decide(&policy, &verdict(Severity::High), &incident(now, "Active"), known);
            assert_eq!(decision.change.is_none(), overruled, "{now} with {known:?}");
            let why = "severity High: somebody set ";
            assert_eq!(told(&decision).iter().any(|told| told.starts_with(why)), overruled, "{decision:?}");
        }
    }
}

#[test]
fn by_default_nothing_but_the_severity_is_touched() {
    let full = Verdict {
        labels: vec!["new".to_owned()],
        tasks: vec![Task { title: "do".to_owned(), description: String::new() }],
        ..classified(Class::FalsePositive, Some(Reason::InaccurateData))
    };
    let full = Verdict { severity: Severity::High, ..full };
    let decision = decide(&Policy::default(), &full, &incident("Low", "New"), UNKNOWN);
    assert_eq!(
        decision.change,
        Some(IncidentChange { severity: Some(Severity::High), ..IncidentChange::default() })
    );
    assert!(decision.tasks.is_empty());
    assert_eq!(
        told(&decision),
        [
            "classification FalsePositive: the policy does not classify",
            "1 label: the policy adds no labels of verdicts",
            "1 task: the policy adds no tasks",
        ]
    );
}

/// The policy that allows everything.
fn everything() -> Policy {
    Policy {
        severity: SeverityPolicy::Set,
        classification: true,
        labels: LabelPolicy { from_verdict: true, always: vec!["triaged".to_owned()] },
        tasks: true,
        status: StatusPolicy::Close,
    }
}

#[test]
fn a_closed_or_merged_incident_is_left_alone_under_every_policy() {
    let mut merged = incident("Low", "Active").into_value();
    merged["properties"]["additionalData"] = json!({"mergedIncidentNumber": 12});
    let found = classified(Class::FalsePositive, Some(Reason::InaccurateData));
    for (incident, why) in [
        (incident("Low", "Closed"), "everything: the incident is closed"),
        (Incident::from(merged), "everything: the incident is merged into another one"),
    ] {
        for policy in [everything(), Policy::default()] {
            let decision = decide(&policy, &found, &incident, UNKNOWN);
            assert_eq!((decision.change.clone(), decision.tasks.len()), (None, 0));
            assert_eq!(told(&decision), [why]);
        }
    }
}

#[test]
fn a_severity_that_nobody_knows_is_not_overwritten() {
    let decision = decide(&everything(), &verdict(Severity::High), &incident("Catastrophic", "New"), UNKNOWN);
    assert_eq!(decision.change.as_ref().unwrap().severity, None);
    assert!(
        told(&decision)
            .contains(&"severity High: the incident's severity \"Catastrophic\" is not known".to_owned())
    );
}

#[test]
fn a_new_incident_becomes_active_only_where_the_policy_says_so() {
    let policy = Policy { status: StatusPolicy::Activate, ..Policy::default() };
    let status = |now: &str| decide(&policy, &verdict(Severity::Low), &incident("Low", now), UNKNOWN).change;
    let active = IncidentChange { status: Some(Status::Active), ..IncidentChange::default() };
    assert_eq!(status("New"), Some(active));
    assert_eq!(status("Active"), None);
    assert_eq!(
        decide(&Policy::default(), &verdict(Severity::Low), &incident("Low", "New"), UNKNOWN).change,
        None
    );
}

#[test]
fn closing_takes_a_benign_classification_with_a_reason_that_sentinel_accepts() {
    use Reason::{InaccurateData, IncorrectAlertLogic, SuspiciousActivity, SuspiciousButExpected};
    for (class, reason, expected) in [
        (Class::FalsePositive, Some(IncorrectAlertLogic), Ok(IncorrectAlertLogic)),
        (Class::FalsePositive, Some(InaccurateData), Ok(InaccurateData)),
        (Class::BenignPositive, Some(SuspiciousButExpected), Ok(SuspiciousButExpected)),
        (Class::BenignPositive, None, Ok(SuspiciousButExpected)),
        (
            Class::FalsePositive,
            None,
            Err("it comes with no reason; Sentinel takes IncorrectAlertLogic or InaccurateData"),
        ),
        (
            Class::BenignPositive,
            Some(SuspiciousActivity),
            Err("it comes with SuspiciousActivity; Sentinel takes SuspiciousButExpected"),
        ),
        (
            Class::TruePositive,
            Some(SuspiciousActivity),
            Err("only benign and false positives are closed without an analyst"),
        ),
        (Class::Undetermined, None, Err("only benign and false positives are closed without an analyst")),
    ] {
        let policy = Policy { labels: LabelPolicy::default(), ..everything() };
        let decision = decide(&policy, &classified(class, reason), &incident("Low", "Active"), UNKNOWN);
        match expected {
            Ok(reason) => {
                let change = decision.change.unwrap();
                assert_eq!(change.status, Some(Status::Closed));
                assert_eq!(change.classification.unwrap().reason, Some(reason), "{class}");
            }
            Err(why) => {
                assert_eq!(decision.change, None, "{class}");
                assert_eq!(told(&decision), [format!("classification {class}: {why}")]);
            }
        }
    }
}

#[test]
fn a_classification_is_withheld_while_the_incident_stays_open_because_sentinel_has_it_on_closed_ones_only() {
    let policy = Policy { classification: true, ..Policy::default() };
    let found = classified(Class::FalsePositive, Some(Reason::InaccurateData));
    let decision = decide(&policy, &found, &incident("Low", "New"), UNKNOWN);
    assert_eq!(decision.change, None);
    assert_eq!(
        told(&decision),
        [
            "classification FalsePositive: Sentinel classifies closed incidents only, and the policy closes none"
        ]
    );
}

#[test]
fn nothing_is_closed_without_a_classification() {
    let policy = Policy { status: StatusPolicy::Close, ..Policy::default() };
    let found = classified(Class::FalsePositive, Some(Reason::InaccurateData));
    for found in [verdict(Severity::Low), found] {
        let decision = decide(&policy, &found, &incident("Low", "New"), UNKNOWN);
        assert_eq!(decision.change, None);
        assert!(decision.withheld.iter().any(|withheld| withheld.what == "closing"));
    }
}

#[test]
fn labels_are_added_and_those_that_are_there_or_unfit_are_not() {
    let labels = ["VIP", "T1003", "t1003", "<b>", " x", "a\u{202e}b", &"l".repeat(101), "triaged"];
    let found = Verdict { labels: labels.map(str::to_owned).to_vec(), ..verdict(Severity::Low) };
    let policy = Policy { labels: everything().labels, ..Policy::default() };
    let decision = decide(&policy, &found, &incident("Low", "New"), UNKNOWN);
    assert_eq!(decision.change.as_ref().unwrap().add_labels, ["triaged", "T1003"]);
    let whys: Vec<&str> = decision.withheld.iter().map(|withheld| withheld.why.as_str()).collect();
    let unseen = "it holds characters that are not seen, or blanks at its ends";
    assert_eq!(whys, ["it holds < or >", unseen, unseen, "it is longer than 100 characters"]);
}

#[test]
fn an_incident_is_given_no_more_labels_than_people_can_read() {
    let labels = (0..60).map(|number| format!("l{number}")).collect();
    let found = Verdict { labels, ..verdict(Severity::Low) };
    let policy =
        Policy { labels: LabelPolicy { from_verdict: true, always: Vec::new() }, ..Policy::default() };
    let decision = decide(&policy, &found, &incident("Low", "New"), UNKNOWN);
    assert_eq!(decision.change.unwrap().add_labels.len(), MOST_LABELS - 1);
    assert_eq!(decision.withheld.len(), 11);
}

#[test]
fn tasks_are_added_where_the_policy_says_so_and_are_safe_to_show() {
    let tasks =
        vec![Task { title: "Look".to_owned(), description: "See <script>x</script> **now**".to_owned() }];
    let found = Verdict { tasks, ..verdict(Severity::Low) };
    let policy = Policy { tasks: true, ..Policy::default() };
    let decision = decide(&policy, &found, &incident("Low", "New"), UNKNOWN);
    assert_eq!(decision.change, None);
    assert_eq!(decision.tasks[0].title, "Look");
    assert_eq!(decision.tasks[0].description, "<p>See &#60;script&#62;x&#60;/script&#62; <b>now</b></p>");
}

#[test]
fn the_name_of_a_task_follows_from_its_place_and_its_title() {
    let task = |title: &str| Task { title: title.to_owned(), description: String::new() };
    let name = task_name(0, &task("a"));
    assert_eq!(name, task_name(0, &task("a")));
    assert!([task_name(1, &task("a")), task_name(0, &task("b"))].iter().all(|other| *other != name));
}

#[test]
fn the_words_of_the_settings_are_small() {
    assert_eq!(serde_json::to_value(SeverityPolicy::Raise).unwrap(), json!("raise"));
    assert_eq!(serde_json::from_value::<StatusPolicy>(json!("close")).unwrap(), StatusPolicy::Close);
    assert!(serde_json::from_value::<StatusPolicy>(Value::Null).is_err());
}

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::verdict::{Class, Reason};

/// An incident as the service gives one, with an owner, labels of both kinds and a property that nobody knows.
pub(crate) fn incident() -> Value {
    json!({
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w/providers/\
               Microsoft.SecurityInsights/incidents/73e01a99-5cd7-4139-a149-9f2736ff2ab5",
        "name": "73e01a99-5cd7-4139-a149-9f2736ff2ab5",
        "type": "Microsoft.SecurityInsights/incidents",
        "etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
        "properties": {
            "title": "<b>Mine</b>", "description": "Keep me", "severity": "Low", "status": "Active",
            "owner": {"objectId": "2046feea", "email": "john@contoso.com", "assignedTo": null, "ownerType": "User"},
            "labels": [{"labelName": "vip", "labelType": "User"}, {"labelName": "auto", "labelType": "AutoAssigned"}],
            "firstActivityTimeUtc": "2019-01-01T13:00:30.1234567Z", "lastActivityTimeUtc": "2019-01-01T13:05:30Z",
            "fromTheFuture": {"kept": [1, 2.5, null]},
            "lastModifiedTimeUtc": "2019-01-01T13:15:30Z", "createdTimeUtc": "2019-01-01T13:15:30Z", "incidentNumber": 3177,
            "incidentUrl": "https://portal.azure.com/x", "providerName": "Azure Sentinel", "providerIncidentId": "3177",
            "relatedAnalyticRuleIds": ["/rules/1"], "additionalData": {"alertsCount": 2, "tactics": ["Persistence"]},
        },
    })
}

fn raise() -> IncidentChange {
    IncidentChange { severity: Some(Severity::High), ..IncidentChange::default() }
}

fn all() -> IncidentChange {
    IncidentChange {
        severity: Some(Severity::High),
        status: Some(Status::Closed),
        classification: Some(Classification {
            class: Class::FalsePositive,
            reason: Some(Reason::InaccurateData),
            comment: Some("why".to_owned()),
        }),
        add_labels: vec!["new".to_owned(), "VIP".to_owned()],
    }
}

#[test]
fn the_body_is_the_incident_with_the_wanted_field_changed_the_etag_inside_and_nothing_read_only() {
    let body = raise().body(&Incident::from(incident())).unwrap();
    assert_eq!(
        body,
        json!({
            "etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
            "properties": {
                "title": "<b>Mine</b>", "description": "Keep me", "severity": "High", "status": "Active",
                "owner": {"objectId": "2046feea", "email": "john@contoso.com", "assignedTo": null, "ownerType": "User"},
                "labels": [{"labelName": "vip", "labelType": "User"}, {"labelName": "auto", "labelType": "AutoAssigned"}],
                "firstActivityTimeUtc": "2019-01-01T13:00:30.1234567Z", "lastActivityTimeUtc": "2019-01-01T13:05:30Z",
                "fromTheFuture": {"kept": [1, 2.5, null]},
            },
        })
    );
}

#[test]
fn every_wanted_field_is_changed_and_labels_are_added_once_whatever_their_capitals() {
    let incident = Incident::from(incident());
    let body = all().body(&incident).unwrap();
    let told: Vec<String> = differences(&incident, &body).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "classification: nothing -> FalsePositive",
            "classificationComment: nothing -> why",
            "classificationReason: nothing -> InaccurateData",
            "labels: [{\"labelName\":\"vip\",\"labelType\":\"User\"},{\"labelName\":\"auto\",\"labelType\":\"AutoAssigned\"}] -> \
             [{\"labelName\":\"vip\",\"labelType\":\"User\"},{\"labelName\":\"auto\",\"labelType\":\"AutoAssigned\"},{\"labelName\":\"new\"}]",
            "severity: Low -> High",
            "status: Active -> Closed",
        ]
    );
}

#[test]
fn what_a_classification_said_before_does_not_explain_another_one() {
    let mut raw = incident();
    raw["properties"]["classificationReason"] = json!("SuspiciousActivity");
    raw["properties"]["classificationComment"] = json!("old");
    let classification = Classification { class: Class::Undetermined, reason: None, comment: None };
    let change = IncidentChange { classification: Some(classification), ..IncidentChange::default() };
    let properties = change.body(&Incident::from(raw)).unwrap()["properties"].clone();
    assert_eq!(properties.get("classification"), Some(&json!("Undetermined")));
    assert_eq!(
        (properties.get("classificationReason"), properties.get("classificationComment")),
        (None, None)
    );
}

#[test]
fn what_is_already_so_is_no_write() {
    let mut raw = incident();
    raw["properties"]["severity"] = json!("hIGH");
    assert_eq!(raise().body(&Incident::from(raw)), None);
    assert_eq!(IncidentChange::default().body(&Incident::from(incident())), None);
    let labels = IncidentChange { add_labels: vec!["Auto".to_owned()], ..IncidentChange::default() };
    assert_eq!(labels.body(&Incident::from(incident())), None);
}

#[test]
fn labels_are_added_to_an_incident_that_has_none() {
    for labels in [Value::Null, json!([])] {
        let mut raw = incident();
        raw["properties"]["labels"] = labels;
        let change =
            IncidentChange { add_labels: vec!["a".to_owned(), "A".to_owned()], ..IncidentChange::default() };
        let body = change.body(&Incident::from(raw)).unwrap();
        assert_eq!(body["properties"]["labels"], json!([{"labelName": "a"}]));
    }
}

#[test]
fn an_etag_is_sent_as_it_came_and_none_is_made_up() {
    for etag in [json!("W/\"1\""), json!("1"), Value::Null] {
        let mut raw = incident();
        raw["etag"] = etag.clone();
        assert_eq!(raise().body(&Incident::from(raw)).unwrap()["etag"], etag);
    }
    let mut raw = incident();
    raw.as_object_mut().unwrap().remove("etag");
    assert_eq!(raise().body(&Incident::from(raw)).unwrap().get("etag"), None);
}

#[test]
fn a_difference_is_shown_on_one_line_without_anything_that_acts() {
    let difference =
        Difference { field: "title".to_owned(), before: json!("a\n\u{1b}[2Jb"), after: Value::Null };
    assert_eq!(difference.to_string(), "title: a [2Jb -> nothing");
}

#[test]
fn a_change_is_kept_as_json() {
    let kept = serde_json::to_value(all()).unwrap();
    assert_eq!(serde_json::from_value::<IncidentChange>(kept).unwrap(), all());
    assert_eq!(serde_json::to_value(raise()).unwrap(), json!({"severity": "High"}));
}

/// Any JSON, of the kind that properties hold.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn change() -> impl Strategy<Value = IncidentChange> {
    let severity = proptest::option::of(proptest::sample::select(&Severity::ALL[..]));
    let status =
        proptest::option::of(proptest::sample::select(&[Status::New, Status::Active, Status::Closed][..]));
    let classification = proptest::option::of((
        proptest::sample::select(&Class::ALL[..]),
        proptest::option::of(proptest::sample::select(&Reason::ALL[..])),
        proptest::option::of("[a-z]{0,5}"),
    ));
    let labels = proptest::collection::vec("[a-cA-C]{1,2}", 0..3);
    (severity, status, classification, labels).prop_map(|(severity, status, classification, add_labels)| {
        let classification =
            classification.map(|(class, reason, comment)| Classification { class, reason, comment });
        IncidentChange { severity, status, classification, add_labels }
    })
}

/// Properties that the service knows, with values of any kind, and others.
fn properties_of_any_kind() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        proptest::sample::select(
            &[
                "title",
                "severity",
                "status",
                "owner",
                "labels",
                "description",
                "classification",
                "classificationReason",
                "additionalData",
                "incidentNumber",
                "lastActivityTimeUtc"
            ][..]
        )
        .prop_map(str::to_owned),
        "[a-zA-Z]{1,8}",
    ];
    let labels = proptest::collection::vec("[a-cA-C]{1,2}".prop_map(|name| json!({"labelName": name})), 0..4);
    let value = prop_oneof![3 => json_value(), 1 => labels.prop_map(Value::from)];
    proptest::collection::btree_map(key, value, 0..8).prop_map(|members| json!(members))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_incident_nothing_but_the_wanted_fields_changes_and_a_second_time_nothing_at_all(
        properties in properties_of_any_kind(),
        change in change(),
    ) {
        let raw = json!({"id": "/incidents/x", "name": "x", "etag": "\"1\"", "properties": properties});
        let incident = Incident::from(raw.clone());
        let Some(body) = change.body(&incident) else { return Ok(()) };

        let mut wanted = Vec::new();
        wanted.extend(change.severity.map(|_| "severity"));
        wanted.extend(change.status.map(|_| "status"));
        if change.classification.is_some() {
            wanted.extend(["classification", "classificationReason", "classificationComment"]);
        }
        if !change.add_labels.is_empty() {
            wanted.push("labels");
        }
        for difference in differences(&incident, &body) {
            prop_assert!(wanted.contains(&difference.field.as_str()), "{} changed", difference.field);
        }
        let there = incident.labels();
        let after = Incident::from(body.clone());
        prop_assert!(after.labels().starts_with(&there), "labels are only added");

        // What the service then has: the body over what only the service writes.
        let mut written = raw;
        written["properties"] = body["properties"].clone();
        for read_only in ["additionalData", "incidentNumber"] {
            prop_assert_eq!(body["properties"].get(read_only), None);
            if let Some(value) = incident.value()["properties"].get(read_only) {
                written["properties"][read_only] = value.clone();
            }
        }
        prop_assert_eq!(change.body(&Incident::from(written)), None);
    }
}

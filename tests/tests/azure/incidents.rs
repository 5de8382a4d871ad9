//! Incidents: their list, their update, what they are about.

use super::*;

#[test]
fn pages_lead_to_every_incident_once() {
    let (client, mut seeded) = Client::new(7);
    client.azure.set_page_size(3);
    let mut found = Vec::new();
    let mut next = Some(list(&[]));
    while let Some(url) = next {
        let page = client.get(&url).expect(200).json();
        assert!(named(&page).len() <= 3);
        found.extend(named(&page));
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    found.sort();
    seeded.sort();
    assert_eq!(found, seeded);
}

#[test]
fn a_page_is_not_shifted_by_what_leaves_the_list_meanwhile() {
    let (client, seeded) = Client::new(4);
    let query = list(&[
        ("$filter", "properties/status eq 'New'"),
        ("$orderby", "properties/incidentNumber"),
        ("$top", "2"),
    ]);
    let first = client.get(&query).expect(200).json();
    client.azure.edit_incident(&seeded[0], |properties| {
        properties.insert("status".to_owned(), json!("Closed"));
    });
    let second = client.get(first["nextLink"].as_str().unwrap()).expect(200).json();
    assert_eq!([named(&first), named(&second)].concat(), seeded);
}

#[test]
fn a_filter_selects_by_status_severity_time_and_title() {
    let (client, seeded) = Client::new(5);
    for (index, severity) in ["Low", "Medium", "High", "High", "Informational"].into_iter().enumerate() {
        client.azure.edit_incident(&seeded[index], |properties| {
            properties.insert("severity".to_owned(), json!(severity));
            properties.insert(
                "createdTimeUtc".to_owned(),
                json!(format!("2024-01-0{}T00:00:00.0000001Z", index + 1)),
            );
            properties.insert("title".to_owned(), json!(format!("it's number {index}")));
        });
    }
    client.azure.edit_incident(&seeded[3], |properties| {
        properties.insert("status".to_owned(), json!("Closed"));
    });
    for (filter, expected) in [
        ("properties/severity eq 'High'", vec![2, 3]),
        ("properties/severity eq 'High' and properties/status ne 'Closed'", vec![2]),
        ("properties/createdTimeUtc gt 2024-01-04T00:00:00Z", vec![3, 4]),
        ("properties/createdTimeUtc ge 2024-01-04T00:00:00.0000001Z", vec![3, 4]),
        (
            "(properties/createdTimeUtc lt 2024-01-02T00:00:00Z or properties/severity eq 'Medium')",
            vec![0, 1],
        ),
        ("contains(properties/title, 'it''s number 4')", vec![4]),
        (
            "not (properties/severity eq 'High') and properties/createdTimeUtc le 2024-01-03T00:00:00Z",
            vec![0, 1],
        ),
        ("properties/classification eq null", vec![0, 1, 2, 3, 4]),
    ] {
        let page = client.get(&list(&[("$filter", filter), ("$orderby", "properties/createdTimeUtc asc")]));
        let expected: Vec<&String> = expected.iter().map(|index| &seeded[*index]).collect();
        assert_eq!(named(&page.expect(200).json()).iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[test]
fn what_is_no_filter_order_or_page_is_refused() {
    let (client, _) = Client::new(1);
    for query in [
        ("$filter", "properties/createdTimeUtc gt '2024-01-04T00:00:00Z'"),
        ("$filter", "properties/severity eq High"),
        ("$filter", "properties/colour eq 'red'"),
        ("$filter", "status eq 'New'"),
        ("$filter", "properties/status eq 'New' properties/status eq 'New'"),
        ("$filter", "properties/title eq 'open"),
        ("$orderby", "properties/createdTimeUtc sideways"),
        ("$top", "1001"),
        ("$top", "0"),
        ("$skipToken", "no token"),
        ("filter", "properties/status eq 'New'"),
    ] {
        assert_eq!(client.get(&list(&[query])).expect(400).code(), "BadRequest", "{query:?}");
    }
}

#[test]
fn an_update_with_a_stale_etag_conflicts() {
    let (client, seeded) = Client::new(1);
    let before = client.get(&one(&seeded[0])).expect(200).json();
    let after = client.put(&one(&seeded[0]), &before).expect(200).json();
    assert_ne!(before["etag"], after["etag"]);
    let got = client.put(&one(&seeded[0]), &before).expect(409);
    assert!(got.text().contains("New version of resource"));
    client.azure.set_conflict_status(412);
    client.put(&one(&seeded[0]), &before).expect(412);
    client.put(&one(&seeded[0]), &after).expect(200);
}

#[test]
fn an_update_without_an_etag_wins() {
    let (client, seeded) = Client::new(1);
    let body = json!({"properties": {"title": "t", "severity": "High", "status": "New"}});
    client.put(&one(&seeded[0]), &body).expect(200);
    client.put(&one(&seeded[0]), &body).expect(200);
}

#[test]
fn an_update_wipes_what_it_leaves_out_and_keeps_what_is_the_services() {
    let (client, seeded) = Client::new(1);
    client.azure.edit_incident(&seeded[0], |properties| {
        properties.insert("owner".to_owned(), json!({"email": "ann@contoso.com"}));
        properties.insert("labels".to_owned(), json!([{"labelName": "vip", "labelType": "User"}]));
        properties.insert("classification".to_owned(), json!("TruePositive"));
    });
    let before = client.azure.incident(&seeded[0])["properties"].clone();
    let body = json!({"properties": {
        "title": "t", "severity": "High", "status": "Active", "incidentNumber": 7, "createdTimeUtc": "1999-01-01T00:00:00Z",
    }});
    let after = client.put(&one(&seeded[0]), &body).expect(200).json()["properties"].clone();
    assert_eq!(after["severity"], "High");
    assert_eq!(after["owner"]["email"], Value::Null);
    assert_eq!(after["labels"], json!([]));
    for wiped in ["description", "classification", "lastActivityTimeUtc"] {
        assert!(before[wiped].is_string() && after[wiped].is_null(), "{wiped}");
    }
    for kept in [
        "incidentNumber",
        "createdTimeUtc",
        "incidentUrl",
        "providerName",
        "relatedAnalyticRuleIds",
        "additionalData",
    ] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
}

#[test]
fn an_update_needs_title_severity_and_status() {
    let (client, seeded) = Client::new(1);
    for (left_out, shown) in [("title", "'Title'"), ("severity", "'Severity'"), ("status", "'Status'")] {
        let mut body = json!({"properties": {"title": "t", "severity": "High", "status": "New"}});
        body["properties"].as_object_mut().unwrap().remove(left_out);
        let got = client.put(&one(&seeded[0]), &body).expect(400);
        assert!(got.text().contains(shown), "{}", got.text());
    }
    let wrong = json!({"properties": {"title": "t", "severity": "Warning", "status": "New"}});
    client.put(&one(&seeded[0]), &wrong).expect(400);
    let no_json =
        client.send("PUT", &one(&seeded[0]), &[("content-type", "application/json")], b"{'".to_vec());
    assert_eq!(no_json.unwrap().expect(400).code(), "InvalidRequestContent");
    let untyped = client.send("PUT", &one(&seeded[0]), &[], b"{}".to_vec());
    assert_eq!(untyped.unwrap().expect(415).code(), "UnsupportedMediaType");
}

#[test]
fn writes_and_comments_are_stamped_by_the_settable_clock() {
    let (client, seeded) = Client::new(1);
    client.azure.set_now("2024-05-01T10:00:00.1234567Z".parse().unwrap());
    client.put(&one(&seeded[0]), &client.azure.incident(&seeded[0])).expect(200);
    let modified = || client.azure.incident(&seeded[0])["properties"]["lastModifiedTimeUtc"].clone();
    assert_eq!(modified(), "2024-05-01T10:00:00.1234567Z");
    client.azure.advance(SignedDuration::from_mins(1));
    let etag = client.azure.incident(&seeded[0])["etag"].clone();
    client.put(&comment(&seeded[0], "c"), &json!({"properties": {"message": "m"}})).expect(201);
    assert_eq!(modified(), "2024-05-01T10:01:00.1234567Z");
    assert_ne!(client.azure.incident(&seeded[0])["etag"], etag);
}

#[test]
fn entities_and_alerts_are_those_of_the_bundle() {
    let (client, seeded) = Client::new(1);
    let below = |what: &str| format!("{}/{}/{what}?{VERSION}", super::incidents(), seeded[0]);
    let entities = client.post(&below("entities")).expect(200).json();
    assert!(!entities["entities"].as_array().unwrap().is_empty());
    assert!(entities["metaData"].is_array() && entities["value"].is_null());
    assert_eq!(client.post(&below("alerts")).expect(200).json()["value"][0]["kind"], "SecurityAlert");
    assert_eq!(client.post(&below("bookmarks")).expect(200).json()["value"], json!([]));
    client.get(&below("entities")).expect(405);
}

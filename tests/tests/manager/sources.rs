//! Which incidents the manager gets to see: Sentinel's poll with its filters and its watermark, incidents asked for by name, a
//! folder of bundles.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;

use axum::{Json, Router};
use rnbexec::Cancel;
use rnbexec_azure::arm::Arm;
use rnbexec_azure::credential::{CredentialSettings, Source, credential};
use rnbexec_azure::sentinel::{Incident, IncidentRef, Sentinel};
use rnbexec_azure::{Http, HttpSettings};
use rnbexec_manager::case::Ending;
use rnbexec_manager::source::sentinel::SentinelSource;
use rnbexec_manager::source::{Ask, Batch, IncidentSource as _};
use rnbexec_manager::{Setup, SourceChoice};
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{On, names};
use serde_json::{Value, json};

/// A key of the configuration and its value.
type Setting<'a> = (&'a str, &'a str);

/// The source that a manager of the desk would ask.
fn source(desk: &Desk, overrides: &[(&str, &str)]) -> SentinelSource {
    let config = desk.config(overrides);
    let variables = desk.azure.settings().as_service_principal();
    let find =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let http = Http::new(&HttpSettings::default()).expect("an HTTP client can be made");
    let settings =
        CredentialSettings::from_variables(find).with_order([Source::Environment]).with_http(http.clone());
    let identity = credential(&settings).expect("the settings are right");
    let arm = Arm::new(config.azure.cloud.clone(), identity, &http);
    let workspace = config.sentinel().expect("a workspace").id;
    let sentinel = Sentinel::new(arm, workspace, config.azure.api_versions.sentinel.clone());
    SentinelSource::new(sentinel, config.source.sentinel, jiff::Timestamp::now)
}

async fn ask(source: &SentinelSource, watermark: Option<&str>) -> Batch {
    source.pending(Ask { room: 4, watermark }).await.expect("an answer")
}

/// The numbers of the incidents, in the order in which they came.
fn numbers(batch: &Batch) -> Vec<u64> {
    let incidents = batch.arrivals.iter().filter_map(|arrival| arrival.incident.as_ref());
    incidents.filter_map(Incident::number).collect()
}

/// An incident with some of its properties changed, which was changed so many minutes after the others.
fn incident(number: u64, minutes: u64, changed: &Value) -> Value {
    let mut bundle = Desk::bundle(number, "Something odd", "Low");
    let properties = bundle["incident"]["properties"].as_object_mut().expect("an incident");
    properties
        .insert("lastModifiedTimeUtc".to_owned(), json!(format!("2026-01-02T02:{minutes:02}:00.1234567Z")));
    for (name, value) in changed.as_object().expect("properties") {
        if name == "additionalData" {
            for (name, value) in value.as_object().expect("properties") {
                properties["additionalData"][name] = value.clone();
            }
        } else {
            properties.insert(name.clone(), value.clone());
        }
    }
    bundle
}

#[tokio::test]
async fn only_incidents_that_meet_all_conditions_are_handed_out() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let rule = "2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11";
    let rule_id = format!("{}/providers/Microsoft.SecurityInsights/alertRules/{rule}", names::workspace_id());
    desk.seed_bundles(vec![
        incident(1, 0, &json!({})),
        incident(2, 1, &json!({"severity": "High", "title": "Brute force against O'Neill"})),
        incident(3, 2, &json!({"status": "Active"})),
        incident(4, 3, &json!({"additionalData": {"tactics": ["Persistence"]}})),
        incident(
            5,
            4,
            &json!({"additionalData": {"alertProductNames": ["Microsoft Defender for Endpoint"]}}),
        ),
        incident(6, 5, &json!({"labels": [{"labelName": "triage", "labelType": "User"}]})),
        incident(7, 6, &json!({"relatedAnalyticRuleIds": [rule_id]})),
        incident(8, 7, &json!({"status": "Closed"})),
        incident(9, 8, &json!({"additionalData": {"mergedIncidentNumber": "1"}})),
    ]);
    let conditions: [(&[Setting<'_>], &[u64]); 11] = [
        (&[], &[1, 2, 3, 4, 5, 6, 7]),
        (&[("status", "[\"Active\"]")], &[3]),
        (&[("severity", "[\"High\"]")], &[2]),
        (&[("title", "[\"(?i)brute FORCE\"]")], &[2]),
        (&[("tactics", "[\"persistence\"]")], &[4]),
        (&[("products", "[\"microsoft defender for endpoint\"]")], &[5]),
        (&[("labels", "[\"Triage\"]")], &[6]),
        (&[("rules", &format!("[\"{rule}\"]"))], &[7]),
        (
            &[("filter", "properties/incidentNumber gt 2 and contains(properties/title, 'odd')")],
            &[3, 4, 5, 6, 7],
        ),
        (&[("filter", "properties/incidentNumber eq 3 or properties/status eq 'Closed'")], &[3]),
        (&[("severity", "[\"High\"]"), ("status", "[\"Active\"]")], &[]),
    ];
    for (overrides, expected) in conditions {
        let overrides: Vec<_> =
            overrides.iter().map(|(name, value)| (format!("source.sentinel.{name}"), *value)).collect();
        let overrides: Vec<_> = overrides.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let batch = ask(&source(&desk, &overrides), None).await;
        assert_eq!(numbers(&batch), expected, "{overrides:?}");
        assert!(batch.exhausted);
    }
}

#[tokio::test]
async fn the_first_poll_looks_back_as_far_as_configured_and_the_next_from_where_it_ended() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed_bundles((1..=3).map(|number| incident(number, number * 10, &json!({}))).collect());
    let overrides = [("source.sentinel.since", "2026-01-02T02:15:00Z"), ("source.sentinel.overlap", "5m")];
    let source = source(&desk, &overrides);
    let first = ask(&source, None).await;
    assert_eq!(numbers(&first), [2, 3]);
    let mark = first.watermark.expect("a watermark");
    assert_eq!(numbers(&ask(&source, Some(&mark)).await), [3], "what is in the overlap comes again");
    desk.azure.edit_incident("00000000-0000-4000-8000-000000000001", |_| {});
    assert_eq!(numbers(&ask(&source, Some(&mark)).await), [3, 1], "and what changed since");
}

#[tokio::test]
async fn a_poll_without_news_keeps_the_watermark() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let source = source(&desk, &[]);
    assert_eq!(ask(&source, None).await.watermark, None);
    let mark = "2026-01-02T02:10:00Z";
    assert_eq!(ask(&source, Some(mark)).await.watermark.as_deref(), Some(mark));
}

#[tokio::test]
async fn incidents_changed_in_the_same_instant_are_all_seen_across_pages() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed_bundles((1..=5).map(|number| incident(number, 0, &json!({}))).collect());
    let source = source(&desk, &[("source.sentinel.page_size", "2"), ("source.sentinel.overlap", "0s")]);
    let batch = ask(&source, None).await;
    let mut seen = numbers(&batch);
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let mut again = numbers(&ask(&source, batch.watermark.as_deref()).await);
    again.sort_unstable();
    assert_eq!(again, [1, 2, 3, 4, 5], "one that came later with the same time would be seen");
}

#[tokio::test]
async fn an_incident_that_changes_while_its_page_is_read_is_not_missed() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed_bundles((1..=4).map(|number| incident(number, number, &json!({}))).collect());
    let source = source(&desk, &[("source.sentinel.page_size", "1")]);
    // While the first page is on its way, the second incident moves to the end and the first changes too.
    desk.azure.after(On::get("incidents"), 1, move |azure| {
        azure.edit_incident(&incidents[1], |_| {});
        azure.edit_incident(&incidents[0], |properties| {
            properties.insert("title".to_owned(), json!("Something worse"));
        });
    });
    let batch = ask(&source, None).await;
    let mut seen = numbers(&batch);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [1, 2, 3, 4]);
    let worse = batch.arrivals.iter().filter_map(|arrival| arrival.incident.as_ref());
    assert!(worse.map(Incident::title).any(|title| title == "Something worse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_new_alert_has_an_incident_triaged_again() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once().await;
    desk.azure.comment_as("Ada", incident, "I am on it");
    desk.azure.edit_incident(incident, |properties| {
        properties.insert("status".to_owned(), json!("Active"));
        properties.insert("labels".to_owned(), json!([{"labelName": "vip", "labelType": "User"}]));
    });
    desk.once().await;
    assert_eq!(desk.runs().len(), 1, "neither our own comment nor an analyst's work is news: {}", desk.log());
    desk.azure.edit_incident(incident, |properties| {
        properties.insert("lastActivityTimeUtc".to_owned(), json!("2026-01-01T09:00:00Z"));
    });
    desk.once().await;
    assert_eq!(desk.runs().len(), 2, "{}", desk.log());
    assert_eq!(desk.azure.comments(incident).len(), 3, "one a triage, and Ada's");
    desk.once().await;
    assert_eq!(desk.runs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_could_not_be_written_down_comes_again() {
    let desk = Desk::scripted();
    desk.seed_bundles(
        (1..=2).map(|number| incident(number, number * 10, &json!({"description": ""}))).collect(),
    );
    let overlap = ("source.sentinel.overlap", "0s");
    let report = desk.once_with(&[overlap, ("run.notebook", "missing.ipynb")]).await;
    assert_eq!((report.ended.len(), report.troubles.len()), (0, 2), "{}", desk.log());
    assert!(desk.log().contains("missing.ipynb"), "{}", desk.log());
    let report = desk.once_with(&[overlap]).await;
    assert_eq!(report.ended.len(), 2, "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_conditions_find_what_earlier_ones_passed_over() {
    let desk = Desk::scripted();
    desk.seed_bundles(vec![
        incident(1, 0, &json!({"title": "Brute force", "description": ""})),
        incident(2, 30, &json!({"title": "Something odd", "description": ""})),
    ]);
    let overlap = ("source.sentinel.overlap", "0s");
    let ended = async |title: &str| {
        let report = desk.once_with(&[overlap, ("source.sentinel.title", title)]).await;
        report.ended.iter().map(|case| case.facts.number.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ended("[\"odd\"]").await, [2]);
    assert_eq!(ended("[\"Brute\"]").await, [1], "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_next_page_elsewhere_is_not_followed_and_no_token_goes_there() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a free port");
    elsewhere.set_nonblocking(true).expect("a new listener takes options");
    let next = format!("http://{}/subscriptions/x", elsewhere.local_addr().expect("an address"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let manager_of = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = json!({"value": [], "nextLink": next});
    let service = Router::new().fallback(move || std::future::ready(Json(answer.clone())));
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });

    let report = desk.once_with(&[("azure.resource_manager", &manager_of), ("publish.to", "none")]).await;
    assert_eq!(report.troubles.len(), 1, "{}", desk.log());
    let told = report.troubles[0].in_full();
    assert!(told.contains("leads away from") && told.contains("it was not followed"), "{told}");
    let asked = elsewhere.accept().expect_err("nobody came");
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_asked_for_by_guid_number_arm_id_and_address_in_the_portal() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[("Low", ""), ("Low", ""), ("Low", ""), ("Low", "")]);
    let id = |index: usize| desk.azure.incident(&incidents[index])["id"].as_str().unwrap().to_owned();
    let portal = format!(
        "https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident{}",
        id(3).replace("resourceGroups", "resourcegroups")
    );
    let report = desk.once_for(&[&incidents[0].to_uppercase(), "#2", &id(2).to_lowercase(), &portal]).await;
    let mut ended: Vec<_> = report.ended.iter().map(|case| case.facts.name.clone()).collect();
    ended.sort();
    assert_eq!(ended, incidents, "{:?}\n{}", report.troubles, desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_does_not_exist_or_lives_elsewhere_is_named() {
    let desk = Desk::scripted();
    let other = names::workspace_id().replace(names::WORKSPACE, "another-ws");
    let foreign = format!(
        "{other}/providers/Microsoft.SecurityInsights/Incidents/00000000-0000-4000-8000-000000000001"
    );
    let named = ["4711", "00000000-0000-4000-8000-00000000abcd", foreign.as_str()];
    let named = named.iter().map(|text| IncidentRef::parse(text).expect("an incident")).collect();
    let setup = Setup { source: SourceChoice::Named(named), ..desk.setup(&[]) };
    let manager = Arc::new(setup.manager().await.expect("a manager"));
    let report = manager.once(Cancel::never()).await.expect("a pass");
    let told: Vec<_> = report.troubles.iter().map(rnbexec_manager::Trouble::in_full).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("there is no such incident"), "{told:?}");
    assert!(told[2].contains("belongs to the workspace") && told[2].contains("another-ws"), "{told:?}");
    assert!(desk.log().contains("Incident 4711 is left alone"), "{}", desk.log());
    assert!(!desk.azure.journal().iter().any(|asked| asked.path.contains("another-ws")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_bundles_is_triaged_without_azure() {
    let desk = Desk::scripted();
    let mut closed = incident(3, 0, &json!({"description": "find('High')"}));
    closed["incident"]["properties"]["status"] = json!("Closed");
    let bad = incident(1, 0, &json!({"description": "find('High', title='bad')"}));
    let good = incident(2, 0, &json!({"description": ""}));
    let name = bad["incident"]["name"].as_str().expect("a name").to_owned();
    let several = json!([good, closed]);
    desk.scratch.write_json("incidents/a.json", &bad);
    desk.scratch.write_json("incidents/b.json", &several);
    // What is half copied, or no file at all, hides nothing else.
    desk.scratch.write("incidents/0.json", "{\"incident\": ");
    let fifo = desk.scratch.command("mkfifo").arg(desk.scratch.join("incidents/1.json")).status();
    assert!(fifo.unwrap().success());
    let offline = [
        ("source.kind", "folder"),
        ("source.folder.path", "incidents"),
        ("source.folder.output", "triaged"),
        ("publish.to", "folder"),
        ("publish.folder.path", "notebooks"),
    ];
    let report = desk.once_with(&offline).await;
    assert_eq!(report.rejected, 1, "{}", desk.log());
    let mut endings: Vec<_> =
        report.ended.iter().map(|case| (case.facts.number, case.state.ending)).collect();
    endings.sort_by_key(|(number, _)| *number);
    assert_eq!(
        endings,
        [(Some(1), Some(Ending::Triaged)), (Some(2), Some(Ending::NoFinding))],
        "{}",
        desk.log()
    );
    assert!(desk.azure.journal().is_empty(), "{:#?}", desk.azure.journal());
    let written = desk.scratch.json(format!("triaged/{name}.json"));
    assert_eq!(written["incident"]["properties"]["severity"], "High");
    assert_eq!(written["incident"]["properties"]["owner"]["assignedTo"], "Ada");
    assert_eq!(written["comments"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(desk.scratch.json("incidents/a.json"), bad, "the bundles are never changed");
    assert!(desk.scratch.join(format!("notebooks/{name}.ipynb")).exists());
    assert!(desk.scratch.join(format!("notebooks/{name}.html")).exists());
    assert_eq!(std::fs::read_dir(desk.scratch.join("triaged")).expect("a folder").count(), 1);

    assert!(desk.once_with(&offline).await.ended.is_empty());
    assert_eq!(desk.runs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_urgent_incident_is_triaged_first_and_of_those_the_oldest() {
    let desk = Desk::scripted();
    let at = |number: u64, severity: &str, created: &str| {
        incident(number, number, &json!({"severity": severity, "createdTimeUtc": created, "description": ""}))
    };
    let incidents = desk.seed_bundles(vec![
        at(1, "Low", "2026-01-02T00:00:00Z"),
        at(2, "High", "2026-01-02T05:00:00Z"),
        at(3, "Medium", "2026-01-02T01:00:00Z"),
        at(4, "High", "2026-01-02T02:00:00Z"),
    ]);
    desk.once_with(&[("run.jobs", "1")]).await;
    let order: Vec<_> = desk
        .runs()
        .iter()
        .map(|name| incidents.iter().position(|known| known == name).unwrap() + 1)
        .collect();
    assert_eq!(order, [4, 2, 3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_gives_its_incidents_another_notebook_other_parameters_or_leaves_them_alone() {
    let mut desk = Desk::scripted();
    let sign_in = "open(os.path.expanduser('~/days'), 'w').write(repr(lookback_days))";
    let book =
        rnbexec_tests::Book::new().parameters("lookback_days = 7").code(&format!("import os\n{sign_in}"));
    desk.scratch.write("sign-ins.ipynb", book.to_bytes());
    desk.toml.push_str(
        r#"
[[route]]
name = "sign-ins"
notebook = "sign-ins.ipynb"
[route.parameters]
lookback_days = 30
[route.when]
title = ["(?i)sign-?in"]
[[route]]
name = "noise"
skip = true
[route.when]
product = ["Noisy"]
"#,
    );
    desk.seed_bundles(vec![
        incident(1, 1, &json!({"title": "Odd Sign-in"})),
        incident(2, 2, &json!({"additionalData": {"alertProductNames": ["Noisy"]}})),
        incident(3, 3, &json!({"description": ""})),
    ]);
    let report = desk.once().await;
    let mut routes: Vec<_> =
        report.ended.iter().map(|case| (case.facts.number.unwrap(), case.facts.route.as_str())).collect();
    routes.sort_unstable();
    assert_eq!(routes, [(1, "sign-ins"), (3, "default")], "{}", desk.log());
    assert_eq!(std::fs::read_to_string(desk.scratch.home().join("days")).unwrap(), "30");
    assert!(desk.log().contains("the route noise leaves it alone"), "{}", desk.log());
    let manager = desk.manager(&[]).await;
    let explained = manager.explain(&IncidentRef::parse("2").unwrap()).await.expect("an explanation");
    assert!(explained.to_string().contains("noise"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_a_strange_shape_holds_up_no_other() {
    let desk = Desk::scripted();
    let strange = json!({
        "title": 5, "severity": "Apocalyptic", "labels": "none", "additionalData": {"tactics": "x", "alertProductNames": {}},
        "owner": null, "incidentNumber": "seven", "createdTimeUtc": "yesterday", "lastActivityTimeUtc": null,
        "relatedAnalyticRuleIds": [null, 7], "description": "find('High')",
    });
    let incidents = desk.seed_bundles(vec![
        incident(1, 1, &strange),
        incident(2, 2, &json!({"description": "find('High')"})),
    ]);
    let report = desk.once().await;
    assert_eq!(report.ended.len(), 2, "{:?}\n{}", report.troubles, desk.log());
    assert_eq!(desk.azure.comments(&incidents[0]).len(), 1);
    assert_eq!(
        desk.azure.incident(&incidents[0])["properties"]["severity"],
        "Apocalyptic",
        "a word nobody knows is kept"
    );
    assert_eq!(desk.azure.incident(&incidents[1])["properties"]["severity"], "High");
    desk.once().await;
    assert_eq!(desk.runs().len(), 2, "and each is triaged once: {}", desk.log());
}

//! The shapes are those of the examples of `azure-rest-api-specs`, stable 2025-09-01.

use serde_json::json;

use super::*;
use crate::AzureErrorKind;
use crate::testing::{Server, answer};

const SI: &str = "/subscriptions/d0cfe6b2-9ac0-4464-9919-dccaee2e48c0/resourceGroups/myRg/providers/\
                  Microsoft.OperationalInsights/workspaces/myWorkspace/providers/Microsoft.SecurityInsights";
const GUID: &str = "73e01a99-5cd7-4139-a149-9f2736ff2ab5";
const COMMENT: &str = "4bb36b7b-26ff-4d1c-9cbe-0d8ab3da0014";

fn workspace() -> WorkspaceId {
    WorkspaceId::new("d0cfe6b2-9ac0-4464-9919-dccaee2e48c0", "myRg", "myWorkspace").unwrap()
}

fn sentinel(server: &Server) -> Sentinel {
    Sentinel::new(server.arm(), workspace(), API_VERSION.to_owned())
}

fn name() -> IncidentName {
    IncidentName::parse(GUID).unwrap()
}

fn id() -> Uuid {
    COMMENT.parse().unwrap()
}

fn incident(number: u64) -> Value {
    json!({"id": format!("{SI}/incidents/{GUID}"), "name": GUID, "type": "Microsoft.SecurityInsights/incidents",
           "etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
           "properties": {"title": "My incident", "severity": "High", "status": "New", "incidentNumber": number,
                          "providerIncidentId": (number + 1).to_string()}})
}

#[tokio::test]
async fn incidents_are_listed_page_by_page_with_filter_and_order() {
    let server = Server::start(|asked| {
        let next = format!(
            "http://{}{SI}/incidents?api-version=2025-09-01&$skipToken=2",
            asked.header("host").unwrap()
        );
        Some(if asked.line.contains("$skipToken=2") {
            answer(200, &json!({"value": [incident(3)]}))
        } else {
            answer(200, &json!({"value": [incident(1), incident(2)], "nextLink": next}))
        })
    })
    .await;
    let mut pages = sentinel(&server).incidents(&IncidentQuery {
        filter: Some("properties/status eq 'New'".to_owned()),
        order_by: Some("properties/createdTimeUtc desc".to_owned()),
        page_size: Some(1),
    });
    let mut numbers = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        numbers.extend(page.iter().map(Incident::number));
    }
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    assert_eq!(
        server.lines(),
        [
            format!(
                "GET {SI}/incidents?api-version=2025-09-01&%24filter=properties%2Fstatus+eq+%27New%27\
                 &%24orderby=properties%2FcreatedTimeUtc+desc&%24top=1"
            ),
            format!("GET {SI}/incidents?api-version=2025-09-01&$skipToken=2"),
        ]
    );
}

#[tokio::test]
async fn an_incident_and_what_belongs_to_it_is_read() {
    let entities = json!({"entities": [{"kind": "Ip", "properties": {"address": "1.2.3.4"}}],
                          "metaData": [{"entityKind": "Ip", "count": 1}]});
    let alerts = json!({"value": [{"kind": "SecurityAlert", "properties": {}}]});
    let server =
        Server::script(vec![answer(200, &incident(7)), answer(200, &entities), answer(200, &alerts)]).await;
    let sentinel = sentinel(&server);
    assert_eq!(sentinel.incident(&name()).await.unwrap().value(), &incident(7));
    assert_eq!(sentinel.entities(&name()).await.unwrap(), entities);
    assert_eq!(sentinel.alerts(&name()).await.unwrap(), alerts);
    assert_eq!(
        server.lines(),
        [
            format!("GET {SI}/incidents/{GUID}?api-version=2025-09-01"),
            format!("POST {SI}/incidents/{GUID}/entities?api-version=2025-09-01"),
            format!("POST {SI}/incidents/{GUID}/alerts?api-version=2025-09-01"),
        ]
    );
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.body.is_empty() && asked.header("authorization") == Some("Bearer token-1"))
    );
    assert_eq!(asked[1].header("content-length"), Some("0"));
}

#[tokio::test]
async fn an_update_is_a_put_of_the_whole_incident_with_its_etag() {
    let server = Server::script(vec![answer(200, &incident(7))]).await;
    let mut body = Incident::from(incident(7)).to_update();
    body["properties"]["severity"] = json!("Low");
    let write = Write::Incident { incident: name(), body: body.clone() };
    let updated = sentinel(&server).put_incident(&name(), &body).await.unwrap();
    assert_eq!(updated.etag(), Some("\"0300bf09-0000-0000-0000-5c37296e0000\""));
    assert_eq!(server.lines(), [format!("PUT {SI}/incidents/{GUID}?api-version=2025-09-01")]);
    assert_eq!(
        server.asked()[0].json(),
        json!({"etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
               "properties": {"title": "My incident", "severity": "Low", "status": "New"}})
    );
    assert_eq!(
        (sentinel(&server).url(&write).unwrap().path(), write.body()),
        (&*format!("{SI}/incidents/{GUID}"), body)
    );
}

#[tokio::test]
async fn a_stale_etag_is_a_conflict_and_is_not_sent_again() {
    for status in [409, 412] {
        let body = json!({"error": {"code": "Conflict", "message": "New version of resource exists. Data was not saved"}});
        let server = Server::script(vec![answer(status, &body)]).await;
        let error = sentinel(&server).put_incident(&name(), &json!({})).await.unwrap_err();
        assert_eq!(error.kind(), &AzureErrorKind::Conflict);
        assert_eq!(error.answer().unwrap().code.as_deref(), Some("Conflict"));
    }
}

#[tokio::test]
async fn a_comment_and_a_task_have_the_shape_of_the_specification() {
    let server = Server::script(vec![answer(201, "{}"), answer(200, "{}")]).await;
    let sentinel = sentinel(&server);
    sentinel.put_comment(&name(), id(), "Some message").await.unwrap();
    sentinel.put_task(&name(), id(), "Task title", "Task description").await.unwrap();
    assert_eq!(
        server.lines(),
        [
            format!("PUT {SI}/incidents/{GUID}/comments/{COMMENT}?api-version=2025-09-01"),
            format!("PUT {SI}/incidents/{GUID}/tasks/{COMMENT}?api-version=2025-09-01"),
        ]
    );
    let asked = server.asked();
    assert_eq!(asked[0].json(), json!({"properties": {"message": "Some message"}}));
    assert_eq!(
        asked[1].json(),
        json!({"properties": {"title": "Task title", "description": "Task description", "status": "New"}})
    );
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_forbidden_is_an_error() {
    let none = json!({"error": {"code": "NotFound", "message": "no"}});
    let server = Server::script(vec![answer(404, &none), answer(404, &none), answer(403, &none)]).await;
    let sentinel = sentinel(&server);
    assert_eq!(sentinel.comment(&name(), id()).await.unwrap(), None);
    assert_eq!(sentinel.resolve(&IncidentRef::Name(name())).await.unwrap(), None);
    assert_eq!(sentinel.comment(&name(), id()).await.unwrap_err().kind(), &AzureErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_number_is_looked_for_with_a_filter_and_checked() {
    // The first server knows the filter; the second ignores it and does not have the incident.
    let server = Server::start(|_| Some(answer(200, &json!({"value": [incident(7)]})))).await;
    let found = sentinel(&server).resolve(&IncidentRef::Number(7)).await.unwrap();
    assert_eq!(found.and_then(|found| found.number()), Some(7));
    assert_eq!(sentinel(&server).resolve(&IncidentRef::Number(8)).await.unwrap(), None);
    let found = sentinel(&server).resolve(&IncidentRef::Defender(8)).await.unwrap();
    assert_eq!(found.and_then(|found| found.number()), Some(7));
    let filters: Vec<String> = server
        .asked()
        .iter()
        .filter_map(|asked| Some(asked.line.split_once("&%24filter=")?.1.to_owned()))
        .collect();
    assert_eq!(
        filters,
        [
            "properties%2FincidentNumber+eq+7",
            "properties%2FincidentNumber+eq+8",
            "properties%2FproviderIncidentId+eq+%278%27"
        ]
    );
}

#[tokio::test]
async fn an_id_of_another_workspace_is_refused_without_asking() {
    let server = Server::script(Vec::new()).await;
    let workspace = WorkspaceId::new("other", "myRg", "myWorkspace").unwrap();
    let error = sentinel(&server).resolve(&IncidentRef::Arm { workspace, name: name() }).await.unwrap_err();
    assert!(matches!(error.kind(), AzureErrorKind::Settings { .. }));
}

#[tokio::test]
async fn an_id_of_this_workspace_in_other_case_is_ours() {
    let server = Server::script(vec![answer(200, &incident(7))]).await;
    let workspace = WorkspaceId::parse(&workspace().to_string().to_uppercase()).unwrap();
    let found = sentinel(&server).resolve(&IncidentRef::Arm { workspace, name: name() }).await.unwrap();
    assert_eq!(found.and_then(|found| found.number()), Some(7));
    assert_eq!(server.lines(), [format!("GET {SI}/incidents/{GUID}?api-version=2025-09-01")]);
}

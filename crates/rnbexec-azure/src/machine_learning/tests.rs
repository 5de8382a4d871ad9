use serde_json::json;

use super::*;
use crate::testing::{Answer, Asked, Server, answer};

const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w";
const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/other/providers/Microsoft.Storage/storageAccounts/acct";

fn machine_learning(server: &Server) -> MachineLearning {
    MachineLearning::new(server.arm(), MachineLearningId::parse(ID).unwrap(), API_VERSION.to_owned())
}

fn datastore(name: &str, share: &str) -> Value {
    json!({"id": format!("{ID}/datastores/{name}"), "name": name,
           "properties": {"datastoreType": "AzureFile", "accountName": "acct", "fileShareName": share,
                          "endpoint": "core.windows.net", "protocol": "https",
                          "credentials": {"credentialsType": "AccountKey"}}})
}

/// A workspace with these datastores, whose account has these shares; 403 where there is nothing.
fn workspace(datastores: Option<Value>, shares: Option<Value>) -> impl Fn(&Asked) -> Option<Answer> {
    move |asked| {
        let or_not = |value: &Option<Value>| {
            let denied = || answer(403, r#"{"error": {"code": "AuthorizationFailed", "message": "no"}}"#);
            value.as_ref().map_or_else(denied, |value| answer(200, &json!({ "value": value })))
        };
        let path = asked.line.split(['?', ' ']).nth(1).unwrap_or_default();
        Some(if path == format!("{ID}/datastores") {
            or_not(&datastores)
        } else if path == format!("{ACCOUNT}/fileServices/default/shares") {
            or_not(&shares)
        } else if path == ID {
            answer(200, &json!({"properties": {"storageAccount": ACCOUNT, "workspaceId": "x"}}))
        } else {
            answer(404, path)
        })
    }
}

#[tokio::test]
async fn the_datastore_of_the_notebooks_tab_names_the_share() {
    let stores = json!([
        datastore("workspacefilestore", "azureml-filestore-1"),
        datastore("workspaceworkingdirectory", "code-9")
    ]);
    let server = Server::start(workspace(Some(stores), None)).await;
    let share = machine_learning(&server).code_share().await.unwrap();
    let expected = CodeShare {
        account: "acct".to_owned(),
        share: "code-9".to_owned(),
        suffix: "core.windows.net".to_owned(),
        datastore: Some("workspaceworkingdirectory".to_owned()),
    };
    assert_eq!(share, expected);
    assert_eq!(server.lines(), [format!("GET {ID}/datastores?api-version=2024-10-01")]);
}

#[tokio::test]
async fn without_that_datastore_the_account_of_the_workspace_is_looked_at() {
    let share = |shares: Option<Value>| async {
        let server = Server::start(workspace(Some(json!([datastore("a", "b")])), shares)).await;
        machine_learning(&server).code_share().await.map(|found| (found.account, found.share))
    };
    let found = |share: &str| ("acct".to_owned(), share.to_owned());
    let shares = json!([{"name": "azureml"}, {"name": "code-1"}, {"name": CODE_SHARE}]);
    assert_eq!(share(Some(shares)).await.unwrap(), found(CODE_SHARE));
    assert_eq!(share(Some(json!([{"name": "azureml"}, {"name": "code-1"}]))).await.unwrap(), found("code-1"));
    assert_eq!(share(None).await.unwrap(), found(CODE_SHARE));
    assert!(share(Some(json!([{"name": "azureml"}]))).await.is_err());
}

#[tokio::test]
async fn an_identity_that_may_read_the_workspace_only_still_finds_the_share() {
    let server = Server::start(workspace(None, None)).await;
    let learning = machine_learning(&server).with_storage_api_version("2024-01-01");
    assert_eq!(learning.code_share().await.unwrap().share, CODE_SHARE);
    let shares = format!("GET {ACCOUNT}/fileServices/default/shares?api-version=2024-01-01");
    assert_eq!(server.lines().last(), Some(&shares));
}

#[tokio::test]
async fn the_key_of_a_datastore_is_asked_for_and_shows_nowhere() {
    let server = Server::script(vec![
        answer(200, &json!({"secretsType": "AccountKey", "key": "a2V5"})),
        answer(200, &json!({"secretsType": "Sas", "sasToken": "sig=x"})),
        answer(200, &json!({"secretsType": "None"})),
    ])
    .await;
    let learning = machine_learning(&server);
    let key = learning.list_secrets("workspaceworkingdirectory").await.unwrap();
    assert_eq!(key, Some(DatastoreSecret::AccountKey(Secret::new("a2V5"))));
    assert!(!format!("{key:?}").contains("a2V5"));
    assert_eq!(
        learning.list_secrets("x").await.unwrap(),
        Some(DatastoreSecret::Signature(Secret::new("sig=x")))
    );
    assert_eq!(learning.list_secrets("x").await.unwrap(), None);
    assert_eq!(
        server.lines()[0],
        format!("POST {ID}/datastores/workspaceworkingdirectory/listSecrets?api-version=2024-10-01")
    );
}

#[test]
fn an_id_is_read_in_any_case_and_nothing_else_is() {
    assert_eq!(MachineLearningId::parse(&ID.to_lowercase()).unwrap().to_string(), ID);
    for bad in [
        "",
        ID.trim_end_matches("/w"),
        &format!("{ID}/x"),
        &ID.replace("/g/", "/../"),
        &ID.replace("MachineLearning", "X"),
    ] {
        assert!(MachineLearningId::parse(bad).is_err(), "{bad}");
    }
}

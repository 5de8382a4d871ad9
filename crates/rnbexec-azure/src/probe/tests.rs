use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use serde_json::{Value, json};

use super::*;
use crate::cloud::Cloud;
use crate::credential::KnownSecrets;
use crate::machine_learning::{self, MachineLearningId};
use crate::sentinel;
use crate::storage::{Service, StorageClient, StorageSettings};
use crate::testing::{Server, answer, quick};
use crate::{key_vault, queue};

const OBJECT: &str = "2046feea-040d-4a46-9e2b-91c2941bfa70";
const SCOPE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w";

/// An identity whose tokens say who it is.
#[derive(Debug)]
struct Named;

#[async_trait::async_trait]
impl TokenCredential for Named {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let claims = base64::encode_url_safe(json!({"oid": OBJECT, "idtyp": "app"}).to_string());
        Ok(AccessToken::new(format!("e30.{claims}.x"), OffsetDateTime::now_utc() + Duration::from_hours(1)))
    }
}

fn sentinel(arm: &Arm) -> Sentinel {
    Sentinel::new(arm.clone(), WorkspaceId::parse(SCOPE).unwrap(), sentinel::API_VERSION.to_owned())
}

async fn prober(server: &Server) -> (Prober, Arm) {
    let arm = Arm::new(server.cloud(), Arc::new(Named), &quick());
    (Prober::new(arm.clone(), &(Arc::new(Named) as Identity)).await.unwrap(), arm)
}

fn denied() -> Value {
    json!({"error": {"code": "AuthorizationFailed", "message": "The client may not."}})
}

fn grant(probe: &Probe) -> &Grant {
    match &probe.outcome {
        Outcome::Denied(grant) => grant,
        other => panic!("{}: {other:?}", probe.what),
    }
}

#[tokio::test]
async fn a_denied_read_names_the_role_and_the_command() {
    let server = Server::script(vec![answer(403, &denied())]).await;
    let (prober, arm) = prober(&server).await;
    let probe = prober.read_incidents(&sentinel(&arm)).await;
    let grant = grant(&probe);
    assert_eq!(grant.role, Role::SENTINEL_READER);
    assert_eq!(
        grant.command,
        format!(
            "az role assignment create --assignee-object-id {OBJECT} --assignee-principal-type ServicePrincipal \
             --role \"Microsoft Sentinel Reader\" --scope \"{SCOPE}\""
        )
    );
    assert!(grant.said.as_deref().unwrap().contains("The client may not."));
    assert_eq!(probe.to_string(), "read incidents: the role Microsoft Sentinel Reader is missing");
}

#[tokio::test]
async fn writing_is_looked_up_and_not_tried() {
    let permissions = json!({"value": [
        {"actions": ["*/read"], "notActions": []},
        {"actions": ["Microsoft.SecurityInsights/incidents/*"],
         "notActions": ["Microsoft.SecurityInsights/incidents/tasks/*"]},
    ]});
    let server = Server::script(vec![answer(200, &permissions)]).await;
    let (prober, arm) = prober(&server).await;
    let prober = prober.with_api_version("2030-01-01");
    let answers = prober.write_incidents(&sentinel(&arm)).await;
    assert_eq!(answers.iter().map(Probe::is_allowed).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(grant(&answers[2]).role, Role::SENTINEL_RESPONDER);
    assert_eq!(
        server.lines(),
        [format!("GET {SCOPE}/providers/Microsoft.Authorization/permissions?api-version=2030-01-01")]
    );
}

#[tokio::test]
async fn what_cannot_be_found_out_is_no_missing_role() {
    let server = Server::start(|_| Some(answer(404, ""))).await;
    let (prober, arm) = prober(&server).await;
    let answers = prober.write_incidents(&sentinel(&arm)).await;
    assert!(answers.iter().all(
        |probe| matches!(&probe.outcome, Outcome::Failed(error) if *error.kind() == AzureErrorKind::NotFound)
    ));
}

#[tokio::test]
async fn each_part_of_a_machine_learning_workspace_is_asked_for() {
    let server = Server::start(|asked| {
        Some(if asked.line.contains("listSecrets") { answer(403, &denied()) } else { answer(200, "{}") })
    })
    .await;
    let (prober, arm) = prober(&server).await;
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/aml";
    let version = machine_learning::API_VERSION.to_owned();
    let learning = MachineLearning::new(arm, MachineLearningId::parse(id).unwrap(), version);
    assert!(prober.read_machine_learning(&learning).await.iter().all(Probe::is_allowed));
    let probe = prober.read_datastore_secret(&learning, "workspaceworkingdirectory").await;
    assert_eq!((grant(&probe).role, &*grant(&probe).scope), (Role::AZURE_ML_DATA_SCIENTIST, id));
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_names_the_role_on_that_secret() {
    let server = Server::start(|asked| {
        let body = json!({"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}});
        Some(if asked.header("authorization").is_some() { answer(403, &body) } else { answer(401, "") })
    })
    .await;
    let (prober, _) = prober(&server).await;
    let version = key_vault::API_VERSION.to_owned();
    let vaults = KeyVault::new(Cloud::public(), Arc::new(Named), quick(), version, KnownSecrets::default());
    let probe = prober.read_secret(&vaults, &server.url, "storage", Some("/vaults/kv")).await;
    assert_eq!(grant(&probe).role, Role::KEY_VAULT_SECRETS_USER);
    assert_eq!(grant(&probe).scope, "/vaults/kv/secrets/storage");
}

#[tokio::test]
async fn a_queue_is_asked_about_a_message_that_nobody_has() {
    let error = |code: &str| {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>")
    };
    let server = Server::start(move |asked| {
        Some(if asked.line.starts_with("DELETE ") {
            answer(404, &error("MessageNotFound"))
        } else {
            answer(403, &error("AuthorizationPermissionMismatch"))
        })
    })
    .await;
    let (prober, _) = prober(&server).await;
    let client = StorageClient::new(quick(), Arc::new(Named));
    let settings = StorageSettings::of_account("acct").with_endpoint(Service::Queue, server.url.to_string());
    let queue = queue::Queue::new(&client, &settings, "incidents").unwrap();
    let answers = prober.use_queue(&queue, None).await;
    assert!(answers[0].is_allowed(), "{}", answers[0]);
    assert_eq!(grant(&answers[1]).role, Role::QUEUE_CONTRIBUTOR);
    assert!(grant(&answers[1]).scope.ends_with("/queueServices/default/queues/incidents"));
    assert!(server.lines().iter().all(|line| line.starts_with("DELETE /incidents/messages/")
        || line.starts_with("PUT /incidents/messages/")));
}

#[tokio::test]
async fn a_share_is_asked_to_remove_a_file_that_nobody_has() {
    let server = Server::start(|asked| {
        Some(if asked.line.starts_with("DELETE ") {
            answer(403, "").with("x-ms-error-code", "AuthorizationPermissionMismatch")
        } else {
            answer(200, "<EnumerationResults><Entries/><NextMarker/></EnumerationResults>")
        })
    })
    .await;
    let (prober, _) = prober(&server).await;
    let client = StorageClient::new(quick(), Arc::new(Named));
    let settings = StorageSettings::of_account("acct").with_endpoint(Service::File, server.url.to_string());
    let files = Files::new(&client, &settings, "code-1").unwrap();
    let probe = prober.write_files(&files, Some("/storage/acct")).await;
    assert_eq!(grant(&probe).role, Role::FILE_PRIVILEGED_CONTRIBUTOR);
    assert_eq!(grant(&probe).scope, "/storage/acct/fileServices/default/fileshares/code-1");
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn who_asks_is_read_from_the_token_where_it_tells() {
    let token =
        |claims: Value| principal_of(&format!("e30.{}.x", base64::encode_url_safe(claims.to_string())));
    let principal = |is_service| Some(Principal { object: OBJECT.parse().unwrap(), is_service });
    assert_eq!(token(json!({"oid": OBJECT, "idtyp": "app"})), principal(true));
    assert_eq!(token(json!({"oid": OBJECT, "idtyp": "user"})), principal(false));
    assert_eq!(token(json!({"oid": OBJECT, "upn": "a@b"})), principal(false));
    assert_eq!(token(json!({"oid": OBJECT})), principal(true));
    assert_eq!(token(json!({"oid": "$(rm -rf)"})), None);
    assert_eq!(principal_of("opaque"), None);
}

#[test]
fn a_command_holds_nothing_that_a_shell_would_run() {
    let arm = Arm::new(Cloud::public(), Arc::new(Named), &quick());
    let prober = Prober { arm, principal: None, api_version: API_VERSION.to_owned() };
    let grant = prober.grant(Role::READER, "/a$(rm)`x`\"; y\n", None);
    assert_eq!(
        grant.command,
        "az role assignment create --assignee \"<id of the identity>\" --role \"Reader\" --scope \"/a(rm)x; y\""
    );
}

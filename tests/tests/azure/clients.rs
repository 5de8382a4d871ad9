//! The product's own clients, pointed at the simulation by configuration alone.

use std::sync::Arc;

use rnbexec_azure::arm::Arm;
use rnbexec_azure::cloud::Cloud;
use rnbexec_azure::credential::{CredentialSettings, Identity, KnownSecrets, Source, credential};
use rnbexec_azure::files::Files;
use rnbexec_azure::key_vault::{self, KeyVault};
use rnbexec_azure::logs::Logs;
use rnbexec_azure::machine_learning::{self, MachineLearning, MachineLearningId};
use rnbexec_azure::probe::Prober;
use rnbexec_azure::sentinel::{self, IncidentQuery, Sentinel, WorkspaceId};
use rnbexec_azure::storage::{Service, StorageClient, StorageSettings};
use rnbexec_azure::{AzureErrorKind, Http, HttpSettings, Url};
use rnbexec_manager::config::{Config, ConfigSources};
use rnbexec_tests::azure::{Azure, Settings};

use super::*;

fn http() -> Http {
    Http::new(&HttpSettings::default()).expect("an HTTP client can be made")
}

fn cloud(settings: &Settings) -> Cloud {
    let url = |text: &str| Url::parse(text).expect("the settings have URLs");
    Cloud {
        authority: url(&settings.authority),
        resource_manager: url(&settings.resource_manager),
        log_analytics: url(&settings.log_analytics),
        ..Cloud::public()
    }
}

fn identity(variables: &[(&'static str, String)], source: Source) -> Identity {
    let find =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let settings = CredentialSettings::from_variables(find).with_order([source]).with_http(http());
    credential(&settings).expect("the settings are right")
}

fn service_principal(azure: &Azure) -> Identity {
    identity(&azure.settings().as_service_principal(), Source::Environment)
}

fn arm(azure: &Azure) -> Arm {
    Arm::new(cloud(&azure.settings()), service_principal(azure), &http())
}

fn sentinel(azure: &Azure) -> Sentinel {
    let workspace = WorkspaceId::parse(&names::workspace_id()).expect("an ARM id");
    Sentinel::new(arm(azure), workspace, sentinel::API_VERSION.to_owned())
}

fn learning(azure: &Azure) -> MachineLearning {
    let id = MachineLearningId::parse(&names::ml_workspace_id()).expect("an ARM id");
    MachineLearning::new(arm(azure), id, machine_learning::API_VERSION.to_owned())
}

fn account(azure: &Azure) -> StorageSettings {
    StorageSettings::of_account(names::STORAGE_ACCOUNT).with_endpoint(Service::File, azure.settings().files)
}

#[tokio::test]
async fn every_source_of_an_identity_gets_a_token_that_opens_arm() {
    let azure = SimulatedAzure::start();
    let settings = azure.settings();
    for (variables, source, who) in [
        (settings.as_service_principal(), Source::Environment, "triage-sp"),
        (settings.as_virtual_machine(), Source::ManagedIdentity, "triage-vm"),
        (settings.as_app_service(), Source::ManagedIdentity, "triage-vm"),
        (settings.as_machine_learning(), Source::AzureMl, "triage-vm"),
    ] {
        let arm = Arm::new(cloud(&settings), identity(&variables, source), &http());
        let path = format!("{}/subscriptions/{}?api-version=2022-12-01", azure.url(), names::SUBSCRIPTION);
        let url = Url::parse(&path).expect("a URL");
        arm.get(url).await.expect("the subscription is there");
        assert_eq!(azure.journal().last().unwrap().principal.as_deref(), Some(who));
    }
}

#[tokio::test]
async fn incidents_are_listed_read_updated_and_commented() {
    let azure = SimulatedAzure::start();
    let seeded = azure.seed_shipped(5);
    azure.set_page_size(2);
    let sentinel = sentinel(&azure);
    let mut pages = sentinel.incidents(&IncidentQuery {
        filter: Some("properties/status eq 'New'".to_owned()),
        ..IncidentQuery::default()
    });
    let mut found = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        found.extend(page);
    }
    assert_eq!(found.len(), seeded.len());
    let name = found[0].name().expect("a name");
    let stale = found[0].to_update();
    let id = uuid::Uuid::new_v4();
    sentinel.put_comment(&name, id, "first").await.expect("a comment");
    sentinel.put_comment(&name, id, "second").await.expect("the same comment");
    assert_eq!(azure.comments(name.as_str()).len(), 1);
    let refused = sentinel.put_incident(&name, &stale).await.expect_err("the comment changed the etag");
    assert_eq!(*refused.kind(), AzureErrorKind::Conflict);
    let fresh = sentinel.incident(&name).await.expect("the incident");
    let updated = sentinel.put_incident(&name, &fresh.to_update()).await.expect("an update");
    assert_eq!(updated.title(), found[0].title());
    assert!(sentinel.entities(&name).await.expect("entities")["entities"].is_array());
    assert!(sentinel.alerts(&name).await.expect("alerts")["value"].is_array());
    sentinel.put_task(&name, id, "look", "closely").await.expect("a task");
    assert_eq!(azure.tasks(name.as_str()).len(), 1);
}

#[tokio::test]
async fn a_token_that_expires_on_the_way_is_replaced() {
    let azure = SimulatedAzure::start();
    let seeded = azure.seed_shipped(1);
    let sentinel = sentinel(&azure);
    let name = sentinel::IncidentName::parse(&seeded[0]).expect("a name");
    sentinel.incident(&name).await.expect("with the first token");
    azure.revoke_tokens();
    sentinel.incident(&name).await.expect("with the second token");
    let tokens = azure.asked(&On::plane(Plane::Login)).len();
    assert_eq!(tokens, 2);
}

#[tokio::test]
async fn the_code_share_is_found_and_written_with_a_token_and_with_its_key() {
    let azure = SimulatedAzure::start();
    azure.set_page_size(3);
    let found = learning(&azure).code_share().await.expect("the share");
    assert_eq!((found.account.as_str(), found.share.as_str()), (names::STORAGE_ACCOUNT, names::CODE_SHARE));
    let client = StorageClient::new(http(), service_principal(&azure));
    for (settings, name) in
        [(account(&azure), "token"), (account(&azure).with_key(azure.account_key()), "key")]
    {
        let files = Files::new(&client, &settings, names::CODE_SHARE).expect("a share's name");
        let path = format!("Users/Triage Nbs/{name}.ipynb");
        for content in ["first", "second"] {
            files.put(&path, content.into(), "application/json").await.expect("a file");
            assert_eq!(azure.file(&path).unwrap(), content.as_bytes());
        }
        assert_eq!(files.get(&path).await.expect("the file"), "second");
    }
    assert_eq!(azure.files().len(), 2, "nothing else is left: {:?}", azure.files().keys());
    let principals: Vec<_> =
        azure.asked(&On::plane(Plane::Files)).into_iter().map(|entry| entry.principal).collect();
    assert!(principals.contains(&Some("triage-sp".to_owned())));
    assert!(principals.contains(&Some(format!("key of {}", names::STORAGE_ACCOUNT))));
}

#[tokio::test]
async fn secrets_and_logs_are_read() {
    let azure = SimulatedAzure::start();
    let settings = azure.settings();
    let identity = service_principal(&azure);
    let version = key_vault::API_VERSION.to_owned();
    let vaults =
        KeyVault::new(cloud(&settings), Arc::clone(&identity), http(), version, KnownSecrets::default());
    let vault = vaults.address(&settings.key_vault).expect("an address");
    let secret = vaults.secret(&vault, names::KEY_SECRET, None).await.expect("the secret");
    assert_eq!(secret.secret(), azure.account_key());
    let logs = Logs::new(cloud(&settings), identity, &http());
    logs.probe(names::CUSTOMER_ID.parse().expect("a GUID")).await.expect("asking is allowed");
}

#[tokio::test]
async fn a_missing_role_is_found_out() {
    let azure = SimulatedAzure::start();
    let identity = service_principal(&azure);
    let prober = Prober::new(arm(&azure), &identity).await.expect("an identity");
    let sentinel = sentinel(&azure);
    let client = StorageClient::new(http(), identity);
    let files = Files::new(&client, &account(&azure), names::CODE_SHARE).expect("a share's name");
    assert!(prober.read_incidents(&sentinel).await.is_allowed());
    assert!(prober.write_incidents(&sentinel).await.iter().all(rnbexec_azure::probe::Probe::is_allowed));
    assert!(prober.write_files(&files, None).await.is_allowed());
    azure.deny("Microsoft.SecurityInsights/incidents/write");
    azure.deny("Microsoft.Storage/storageAccounts/fileServices/fileShares/files/delete");
    let allowed: Vec<bool> =
        prober.write_incidents(&sentinel).await.iter().map(rnbexec_azure::probe::Probe::is_allowed).collect();
    assert_eq!(allowed, [false, true, true]);
    assert!(!prober.write_files(&files, None).await.is_allowed());
}

#[test]
fn the_settings_are_a_configuration_of_the_manager() {
    let azure = SimulatedAzure::start();
    let config = Config::load(ConfigSources {
        file: Some(("manager.toml".into(), azure.settings().manager())),
        ..ConfigSources::default()
    });
    let config = config.expect("the manager reads it");
    assert_eq!(config.azure.cloud.resource_manager.as_str().trim_end_matches('/'), azure.url());
    assert_eq!(config.sentinel().expect("a workspace").id.to_string(), names::workspace_id());
    assert!(config.destination().is_ok());
}

//! Whether we may do what the manager does: harmless questions, each with the role that is missing and the command that
//! grants it.
//!
//! Nothing is changed and nobody is hidden a message: what reads is tried; what writes to incidents is looked up among the
//! identity's permissions (deny assignments and conditions do not show there); what writes to a queue or a share is tried on
//! something that does not exist, which the services refuse only after they have looked whether we may.
//!
//! Sources: "Azure built-in roles", "Authorize access to queues using Microsoft Entra ID", `Microsoft.Authorization`
//! 2022-04-01 of `azure-rest-api-specs`.

mod permissions;

use std::fmt;
use std::time::Duration;

use azure_core::base64;
use azure_core::http::Url;
use serde::Deserialize;
use uuid::Uuid;

use crate::arm::Arm;
use crate::credential::Identity;
use crate::files::Files;
use crate::key_vault::KeyVault;
use crate::logs::Logs;
use crate::machine_learning::MachineLearning;
use crate::queue::{Message, Queue};
use crate::sentinel::{IncidentQuery, Sentinel, WorkspaceId};
use crate::{AzureError, AzureErrorKind};
use permissions::Permission;

/// The version of `Microsoft.Authorization` that is spoken by default.
pub const API_VERSION: &str = "2022-04-01";

/// A built-in role of Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// Its id, the same everywhere.
    pub id: &'static str,
}

macro_rules! roles {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $id:literal;)*) => {
        impl Role {
            $($(#[$doc])* pub const $constant: Self = Self { name: $name, id: $id };)*
        }
    };
}

roles! {
    /// Reads incidents.
    SENTINEL_READER = "Microsoft Sentinel Reader", "8d289c81-5878-46d4-8554-54e1e3d8b5cb";
    /// Reads and writes incidents.
    SENTINEL_RESPONDER = "Microsoft Sentinel Responder", "3e150937-b8fe-4cfb-8069-0eaf05ecd056";
    /// Reads resources.
    READER = "Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    /// Works in an Azure ML workspace, and may see the keys of its datastores.
    AZURE_ML_DATA_SCIENTIST = "AzureML Data Scientist", "f6c7c914-8db3-469d-8ca1-694a8f32e121";
    /// Reads secrets.
    KEY_VAULT_SECRETS_USER = "Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6";
    /// Receives and deletes messages.
    QUEUE_MESSAGE_PROCESSOR = "Storage Queue Data Message Processor", "8a0f0c08-91a1-4084-bc3d-661d67233fed";
    /// Does everything with messages, renewing a lease too.
    QUEUE_CONTRIBUTOR = "Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88";
    /// Reads and writes files whoever they belong to.
    FILE_PRIVILEGED_CONTRIBUTOR = "Storage File Data Privileged Contributor", "69566ab7-960f-475b-8e7c-b3118f30c6bd";
    /// Asks the logs.
    LOG_ANALYTICS_READER = "Log Analytics Reader", "73c42c96-874c-492b-b04d-ab87d138a893";
}

/// One question and its answer.
#[derive(Debug)]
pub struct Probe {
    /// What was asked: `read incidents`.
    pub what: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a question.
#[derive(Debug)]
pub enum Outcome {
    /// We may.
    Allowed,
    /// We may not; this would let us.
    Denied(Grant),
    /// It could not be found out: the service is not there, or what was named is not.
    Failed(AzureError),
}

/// A role to be assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// On what, as an id of Resource Manager; in angle brackets where only people know it.
    pub scope: String,
    /// The line that does it.
    pub command: String,
    /// The service's own words.
    pub said: Option<String>,
}

impl Probe {
    /// Whether all is well.
    pub fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Allowed)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Allowed => write!(f, "{}: allowed", self.what),
            Outcome::Denied(grant) => write!(f, "{}: the role {} is missing", self.what, grant.role.name),
            Outcome::Failed(error) => write!(f, "{}: {error}", self.what),
        }
    }
}

/// Who asks, as far as the token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The object's id in Entra ID.
    pub object: Uuid,
    /// An application or managed identity, not a person.
    pub is_service: bool,
}

/// Asks in the name of one identity.
#[derive(Debug, Clone)]
pub struct Prober {
    arm: Arm,
    principal: Option<Principal>,
    api_version: String,
}

impl Prober {
    /// Fails when there is no identity, which is the first thing to know.
    pub async fn new(arm: Arm, identity: &Identity) -> Result<Self, AzureError> {
        let token = identity.get_token(&[&arm.cloud().management_scope()], None).await?;
        let principal = principal_of(token.token.secret());
        Ok(Self { arm, principal, api_version: API_VERSION.to_owned() })
    }

    /// Looks permissions up in this version of `Microsoft.Authorization`; see [`API_VERSION`].
    #[must_use]
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// Who asks, if the token tells.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Reads one incident.
    pub async fn read_incidents(&self, sentinel: &Sentinel) -> Probe {
        let query = IncidentQuery { page_size: Some(1), ..IncidentQuery::default() };
        let result = sentinel.incidents(&query).next().await.map(drop);
        self.judged("read incidents", result, Role::SENTINEL_READER, &sentinel.workspace().to_string())
    }

    /// Looks up whether incidents, comments and tasks may be written.
    pub async fn write_incidents(&self, sentinel: &Sentinel) -> Vec<Probe> {
        let table = [
            ("write incidents", "Microsoft.SecurityInsights/incidents/write"),
            ("write comments of incidents", "Microsoft.SecurityInsights/incidents/comments/write"),
            ("write tasks of incidents", "Microsoft.SecurityInsights/incidents/tasks/write"),
        ];
        let workspace = sentinel.workspace();
        let permissions = self.permissions(workspace).await;
        let scope = workspace.to_string();
        let probe = |(what, action): (&'static str, &str)| {
            let outcome = match &permissions {
                Ok(permissions) if permissions.iter().any(|permission| permission.allows(action)) => {
                    Outcome::Allowed
                }
                Ok(_) => Outcome::Denied(self.grant(Role::SENTINEL_RESPONDER, &scope, None)),
                Err(error) => self.outcome(error.again(), Role::SENTINEL_RESPONDER, &scope),
            };
            Probe { what, outcome }
        };
        table.into_iter().map(probe).collect()
    }

    /// Reads an Azure ML workspace and its datastores.
    pub async fn read_machine_learning(&self, learning: &MachineLearning) -> Vec<Probe> {
        let scope = learning.id().to_string();
        let workspace = learning.workspace().await.map(drop);
        let datastores = learning.datastores().await.map(drop);
        vec![
            self.judged("read the Azure ML workspace", workspace, Role::READER, &scope),
            self.judged("read the datastores of the Azure ML workspace", datastores, Role::READER, &scope),
        ]
    }

    /// Reads what a datastore keeps to be let in, and forgets it.
    pub async fn read_datastore_secret(&self, learning: &MachineLearning, datastore: &str) -> Probe {
        let result = learning.list_secrets(datastore).await.map(drop);
        let scope = learning.id().to_string();
        self.judged("read the key of the datastore", result, Role::AZURE_ML_DATA_SCIENTIST, &scope)
    }

    /// Reads a secret of a key vault and forgets it. `scope` is the vault's id in Resource Manager, if it is known.
    pub async fn read_secret(
        &self,
        vaults: &KeyVault,
        vault: &Url,
        name: &str,
        scope: Option<&str>,
    ) -> Probe {
        let result = vaults.secret(vault, name, None).await.map(drop);
        let unknown =
            format!("<id of the key vault {}>/secrets/{name}", vault.host_str().unwrap_or_default());
        let scope = scope.map_or(unknown, |vault| format!("{vault}/secrets/{name}"));
        self.judged("read the secret of the key vault", result, Role::KEY_VAULT_SECRETS_USER, &scope)
    }

    /// Asks the logs of a workspace, given also by its customer id.
    pub async fn query_logs(&self, logs: &Logs, customer: Uuid, workspace: &WorkspaceId) -> Probe {
        let result = logs.probe(customer).await;
        self.judged("query the logs", result, Role::LOG_ANALYTICS_READER, &workspace.to_string())
    }

    /// Whether messages may be received, and whether a lease may be renewed. Without the second, leases must last as long as the
    /// work. `account` is the storage account's id in Resource Manager, if it is known.
    pub async fn use_queue(&self, queue: &Queue, account: Option<&str>) -> Vec<Probe> {
        let unknown = format!("<id of the storage account of {}>", queue.address());
        let scope = format!("{}/queueServices/default/queues/{}", account.unwrap_or(&unknown), queue.name());
        // No message has this receipt; who may not delete messages hears that before.
        let mut nobody = Message {
            id: Uuid::new_v4().to_string(),
            pop_receipt: "AgAAAAMAAAAAAAAAAAAAAAAAAAA=".to_owned(),
            dequeue_count: 0,
            text: String::new(),
            inserted: None,
        };
        let delete = queue.delete(&nobody).await.map(drop).or_else(about_nothing);
        let renew = queue.renew(&mut nobody, Duration::from_secs(1)).await.map(drop).or_else(about_nothing);
        vec![
            self.judged("receive and delete messages", delete, Role::QUEUE_MESSAGE_PROCESSOR, &scope),
            self.judged("renew the lease of messages", renew, Role::QUEUE_CONTRIBUTOR, &scope),
        ]
    }

    /// Whether files may be written to a share. `account` is the storage account's id in Resource Manager, if it is known.
    pub async fn write_files(&self, files: &Files, account: Option<&str>) -> Probe {
        let unknown = "<id of the storage account>";
        let scope =
            format!("{}/fileServices/default/fileshares/{}", account.unwrap_or(unknown), files.share());
        let result = async {
            files.list_directory("").await?;
            files.delete(&format!("{}.probe", Uuid::new_v4())).await
        };
        let result = result.await.map(drop);
        self.judged("write files to the share", result, Role::FILE_PRIVILEGED_CONTRIBUTOR, &scope)
    }

    /// What the identity may do in a workspace.
    async fn permissions(&self, workspace: &WorkspaceId) -> Result<Vec<Permission>, AzureError> {
        let segments =
            [&workspace.segments()[..], &["providers", "Microsoft.Authorization", "permissions"]].concat();
        let all = self.arm.list(self.arm.url(&segments, &self.api_version, &[])?).all().await?;
        Ok(all.iter().map(Permission::read).collect())
    }

    fn judged(&self, what: &'static str, result: Result<(), AzureError>, role: Role, scope: &str) -> Probe {
        let outcome = match result {
            Ok(()) => Outcome::Allowed,
            Err(error) => self.outcome(error, role, scope),
        };
        Probe { what, outcome }
    }

    fn outcome(&self, error: AzureError, role: Role, scope: &str) -> Outcome {
        if *error.kind() == AzureErrorKind::PermissionDenied {
            Outcome::Denied(self.grant(role, scope, error.answer().map(ToString::to_string)))
        } else {
            Outcome::Failed(error)
        }
    }

    fn grant(&self, role: Role, scope: &str, said: Option<String>) -> Grant {
        let who = match &self.principal {
            Some(Principal { object, is_service }) => {
                let kind = if *is_service { "ServicePrincipal" } else { "User" };
                format!("--assignee-object-id {object} --assignee-principal-type {kind}")
            }
            None => "--assignee \"<id of the identity>\"".to_owned(),
        };
        // Names and ids were checked when they were parsed; what else is in a scope is taken out.
        let scope: String =
            scope.chars().filter(|c| !matches!(c, '"' | '\\' | '$' | '`') && !c.is_control()).collect();
        let command = format!("az role assignment create {who} --role \"{}\" --scope \"{scope}\"", role.name);
        Grant { role, scope, command, said }
    }
}

/// A refusal because there is nothing to do: whoever hears it was let in.
fn about_nothing(error: AzureError) -> Result<(), AzureError> {
    let let_in = error.answer().is_some_and(|answer| {
        let code = answer.code.as_deref().unwrap_or_default();
        matches!(code, "MessageNotFound" | "PopReceiptMismatch")
            || (answer.status == 400 && !code.contains("Auth"))
    });
    if let_in { Ok(()) } else { Err(error) }
}

#[derive(Deserialize)]
struct Claims {
    oid: String,
    idtyp: Option<String>,
    upn: Option<String>,
    unique_name: Option<String>,
}

/// What a token says about whom it was made for. It is read, not believed: it only goes into a line for people.
fn principal_of(token: &str) -> Option<Principal> {
    let claims = base64::decode_url_safe(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let is_person = claims.upn.is_some() || claims.unique_name.is_some();
    let is_service = claims.idtyp.map_or(!is_person, |kind| kind == "app");
    Some(Principal { object: claims.oid.parse().ok()?, is_service })
}

#[cfg(test)]
mod tests;

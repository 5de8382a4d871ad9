//! An Azure ML workspace, as far as it is needed to put files where its Notebooks tab shows them.
//!
//! Source: `azure-rest-api-specs`, `Microsoft.MachineLearningServices` 2024-10-01 and `Microsoft.Storage` 2023-05-01.

use std::fmt;

use azure_core::credentials::Secret;
use serde_json::Value;

use crate::arm::Arm;
use crate::sentinel::is_resource_name;
use crate::{AzureError, AzureErrorKind};

/// The version of the service that is spoken by default.
pub const API_VERSION: &str = "2024-10-01";

/// The version of the storage accounts' resource provider that is spoken by default.
pub const STORAGE_API_VERSION: &str = "2023-05-01";

/// The datastore that is the Notebooks tab.
pub const WORKING_DIRECTORY: &str = "workspaceworkingdirectory";

/// The share of the Notebooks tab has this name in every workspace.
const CODE_SHARE: &str = "code-391ff5ac-6576-460f-ba4d-7e03433c68b6";
const CODE_PREFIX: &str = "code-";

/// An Azure ML workspace. Shows as its id in Resource Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineLearningId {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The workspace's name.
    pub name: String,
}

impl MachineLearningId {
    /// Checks the parts; the error names the first bad one.
    pub fn new(subscription: &str, resource_group: &str, name: &str) -> Result<Self, AzureError> {
        let parts = [subscription, resource_group, name];
        if let Some(bad) = parts.iter().find(|part| !is_resource_name(part)) {
            return Err(AzureError::settings(format!(
                "{bad:?} is not part of the id of an Azure ML workspace"
            )));
        }
        let [subscription, resource_group, name] = parts.map(str::to_owned);
        Ok(Self { subscription, resource_group, name })
    }

    /// Reads an id of Resource Manager.
    pub fn parse(text: &str) -> Result<Self, AzureError> {
        let segments: Vec<&str> = text.trim().trim_matches('/').split('/').collect();
        match segments.as_slice() {
            [s, subscription, g, group, p, provider, w, name]
                if s.eq_ignore_ascii_case("subscriptions")
                    && g.eq_ignore_ascii_case("resourceGroups")
                    && p.eq_ignore_ascii_case("providers")
                    && provider.eq_ignore_ascii_case("Microsoft.MachineLearningServices")
                    && w.eq_ignore_ascii_case("workspaces") =>
            {
                Self::new(subscription, group, name)
            }
            _ => Err(AzureError::settings(format!(
                "{:?} is not the id of an Azure ML workspace",
                text.chars().take(80).collect::<String>()
            ))),
        }
    }

    fn segments(&self) -> [&str; 8] {
        [
            "subscriptions",
            &self.subscription,
            "resourceGroups",
            &self.resource_group,
            "providers",
            "Microsoft.MachineLearningServices",
            "workspaces",
            &self.name,
        ]
    }
}

impl fmt::Display for MachineLearningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments().iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

/// One datastore of a workspace, raw.
#[derive(Debug, Clone, PartialEq)]
pub struct Datastore(Value);

impl Datastore {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// `AzureFile`, `AzureBlob`, …
    pub fn kind(&self) -> &str {
        self.text("datastoreType").unwrap_or_default()
    }

    /// The storage account's name.
    pub fn account(&self) -> Option<&str> {
        self.text("accountName")
    }

    /// The file share, of an `AzureFile`.
    pub fn share(&self) -> Option<&str> {
        self.text("fileShareName")
    }

    /// The container, of an `AzureBlob`.
    pub fn container(&self) -> Option<&str> {
        self.text("containerName")
    }

    /// What follows `<account>.<service>.` in the host: `core.windows.net`.
    pub fn endpoint(&self) -> Option<&str> {
        self.text("endpoint")
    }

    /// `https` or `http`.
    pub fn protocol(&self) -> Option<&str> {
        self.text("protocol")
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.0
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get("properties")?.get(name)?.as_str().filter(|text| !text.is_empty())
    }
}

/// Where the files of the Notebooks tab are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeShare {
    /// The storage account's name.
    pub account: String,
    /// The file share.
    pub share: String,
    /// What follows `<account>.file.` in the host.
    pub suffix: String,
    /// The datastore that named it; its key comes from [`MachineLearning::list_secrets`].
    pub datastore: Option<String>,
}

/// An Azure ML workspace. Cloning shares the client.
#[derive(Debug, Clone)]
pub struct MachineLearning {
    arm: Arm,
    id: MachineLearningId,
    api_version: String,
    storage_api_version: String,
}

impl MachineLearning {
    /// The workspace with this id; see [`API_VERSION`].
    pub fn new(arm: Arm, id: MachineLearningId, api_version: String) -> Self {
        Self { arm, id, api_version, storage_api_version: STORAGE_API_VERSION.to_owned() }
    }

    /// Asks for the shares of a storage account in this version; see [`STORAGE_API_VERSION`].
    #[must_use]
    pub fn with_storage_api_version(mut self, version: impl Into<String>) -> Self {
        self.storage_api_version = version.into();
        self
    }

    /// The workspace's id.
    pub fn id(&self) -> &MachineLearningId {
        &self.id
    }

    /// The workspace itself, raw: `properties.storageAccount`, `.keyVault`, `.workspaceId`.
    pub async fn workspace(&self) -> Result<Value, AzureError> {
        self.arm.get(self.arm.url(&self.id.segments(), &self.api_version, &[])?).await
    }

    /// All datastores.
    pub async fn datastores(&self) -> Result<Vec<Datastore>, AzureError> {
        let segments = [&self.id.segments()[..], &["datastores"]].concat();
        let all = self.arm.list(self.arm.url(&segments, &self.api_version, &[])?).all().await?;
        Ok(all.into_iter().map(Datastore).collect())
    }

    /// The account's key, or the signature, that a datastore keeps; `None` when it keeps neither.
    pub async fn list_secrets(&self, datastore: &str) -> Result<Option<DatastoreSecret>, AzureError> {
        let segments = [&self.id.segments()[..], &["datastores", datastore, "listSecrets"]].concat();
        let answer = self.arm.post(self.arm.url(&segments, &self.api_version, &[])?).await?;
        let text = |name: &str| {
            let text = answer.get(name)?.as_str()?;
            (!text.is_empty()).then(|| Secret::new(text.to_owned()))
        };
        Ok(text("key")
            .map(DatastoreSecret::AccountKey)
            .or_else(|| text("sasToken").map(DatastoreSecret::Signature)))
    }

    /// The share of the Notebooks tab: the one that the datastores name; else, in the workspace's storage account, the one
    /// with the usual name, or the first whose name begins like it. An identity that may not list shares gets the usual one.
    pub async fn code_share(&self) -> Result<CodeShare, AzureError> {
        let suffix = &self.arm.cloud().storage_suffix;
        match self.datastores().await {
            Ok(datastores) => {
                if let Some(found) = named_by_datastores(&datastores, suffix) {
                    return Ok(found);
                }
            }
            Err(error) if may_be_found_otherwise(&error) => {
                tracing::debug!(%error, "the datastores cannot be listed");
            }
            Err(error) => return Err(error),
        }
        let workspace = self.workspace().await?;
        let id = workspace.pointer("/properties/storageAccount").and_then(Value::as_str).unwrap_or_default();
        let segments: Vec<&str> = id.trim_matches('/').split('/').collect();
        let account = match segments.as_slice() {
            [.., kind, account]
                if kind.eq_ignore_ascii_case("storageAccounts") && is_resource_name(account) =>
            {
                (*account).to_owned()
            }
            _ => return Err(AzureError::unexpected("the workspace names no storage account")),
        };
        let share = match self.shares(&segments).await {
            Ok(shares) => usual_share(&shares).ok_or_else(|| {
                AzureError::unexpected(format!("no share of {account} is named {CODE_PREFIX}…"))
            })?,
            Err(error) if may_be_found_otherwise(&error) => CODE_SHARE.to_owned(),
            Err(error) => return Err(error),
        };
        Ok(CodeShare { account, share, suffix: suffix.clone(), datastore: None })
    }

    /// The names of the shares of an account.
    async fn shares(&self, account: &[&str]) -> Result<Vec<String>, AzureError> {
        let segments = [account, &["fileServices", "default", "shares"]].concat();
        let all = self.arm.list(self.arm.url(&segments, &self.storage_api_version, &[])?).all().await?;
        Ok(all.iter().filter_map(|share| Some(share.get("name")?.as_str()?.to_owned())).collect())
    }
}

/// What a datastore keeps to be let in.
#[derive(Clone, PartialEq)]
pub enum DatastoreSecret {
    /// The storage account's key.
    AccountKey(Secret),
    /// A shared access signature.
    Signature(Secret),
}

impl fmt::Debug for DatastoreSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountKey(_) => "AccountKey(***)",
            Self::Signature(_) => "Signature(***)",
        })
    }
}

fn may_be_found_otherwise(error: &AzureError) -> bool {
    matches!(error.kind(), AzureErrorKind::PermissionDenied | AzureErrorKind::NotFound)
}

fn named_by_datastores(datastores: &[Datastore], suffix: &str) -> Option<CodeShare> {
    let of = |datastore: &Datastore| {
        Some(CodeShare {
            account: datastore.account()?.to_owned(),
            share: datastore.share()?.to_owned(),
            suffix: datastore.endpoint().unwrap_or(suffix).to_owned(),
            datastore: Some(datastore.name().to_owned()),
        })
    };
    let working = |datastore: &&Datastore| datastore.name().eq_ignore_ascii_case(WORKING_DIRECTORY);
    let code = |datastore: &&Datastore| datastore.share().is_some_and(|share| share.starts_with(CODE_PREFIX));
    datastores.iter().find(working).and_then(of).or_else(|| datastores.iter().find(code).and_then(of))
}

fn usual_share(shares: &[String]) -> Option<String> {
    let usual = shares.iter().find(|share| *share == CODE_SHARE);
    usual.or_else(|| shares.iter().find(|share| share.starts_with(CODE_PREFIX))).cloned()
}

#[cfg(test)]
mod tests;

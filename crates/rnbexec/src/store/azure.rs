//! `abs://`, `abfs[s]://`, `wasb[s]://`, `az://`: Azure Blob Storage, through [`rnbexec_azure`], where accounts, keys, signatures and
//! identities are found.

use async_trait::async_trait;
use bytes::Bytes;
use rnbexec_azure::blob::{BlobAddress, Blobs};
use rnbexec_azure::credential::CredentialSettings;
use rnbexec_azure::storage::StorageSettings;
use rnbexec_azure::{AzureError, AzureErrorKind};

use super::{
    Action, AzureBlobPath, Durability, Environment, Location, Store, StoreError, StoreErrorKind, joined,
};

const LOG_IN: &str = "add a SAS to the URL, set AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT with \
                      AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, give this machine an identity, or run az login";

/// Azure Blob Storage as a store.
#[derive(Debug)]
pub(super) struct AzureStore {
    blobs: Blobs,
}

impl AzureStore {
    pub(super) fn new(environment: &Environment) -> Self {
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        let storage = StorageSettings::from_variables(variable);
        Self { blobs: Blobs::new(storage, CredentialSettings::from_variables(variable)) }
    }
}

#[async_trait]
impl Store for AzureStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let at = blob_of(Action::Read, location)?;
        self.blobs
            .read(address(at, &at.blob))
            .await
            .map_err(|error| explained(Action::Read, location, &error))
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let at = blob_of(Action::Write, location)?;
        self.blobs
            .write(address(at, &at.blob), joined(parts), location.content_type())
            .await
            .map_err(|error| explained(Action::Write, location, &error))
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let Location::AzureBlob(at) = location else { return Err(wrong(Action::List, location)) };
        let folder = match at.blob.trim_end_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let names = self.blobs.list(address(at, &folder)).await;
        let names = names.map_err(|error| explained(Action::List, location, &error))?;
        let direct = names.into_iter().filter(|name| {
            name.strip_prefix(&folder).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        });
        Ok(direct.map(|name| Location::AzureBlob(at.with_blob(name))).collect())
    }
}

fn address<'a>(at: &'a AzureBlobPath, blob: &'a str) -> BlobAddress<'a> {
    BlobAddress { host: at.host.as_deref(), container: &at.container, blob, sas: at.reveal_sas() }
}

fn explained(action: Action, location: &Location, error: &AzureError) -> StoreError {
    let kind = match error.kind() {
        AzureErrorKind::NotFound => StoreErrorKind::NotFound,
        AzureErrorKind::PermissionDenied => StoreErrorKind::PermissionDenied,
        AzureErrorKind::Unauthenticated => StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() },
        AzureErrorKind::Unavailable { retry_after } => {
            StoreErrorKind::Unavailable { retry_after: *retry_after }
        }
        AzureErrorKind::Settings { problem } => StoreErrorKind::InvalidLocation { problem: problem.clone() },
        AzureErrorKind::Conflict | AzureErrorKind::Other => StoreErrorKind::Other {
            problem: "Azure refused it or answered what is not understood".to_owned(),
        },
    };
    let ours = StoreError::new(action, location, kind);
    match std::error::Error::source(error) {
        Some(source) => ours.caused_by(location, source),
        None => ours,
    }
}

fn blob_of(action: Action, location: &Location) -> Result<&AzureBlobPath, StoreError> {
    match location {
        Location::AzureBlob(at) if at.blob.is_empty() || at.blob.ends_with('/') => {
            let problem = "it names a folder; a blob's name is missing".to_owned();
            Err(StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem }))
        }
        Location::AzureBlob(at) => Ok(at),
        _ => Err(wrong(action, location)),
    }
}

fn wrong(action: Action, location: &Location) -> StoreError {
    let problem = "it is not a blob of Azure".to_owned();
    StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem })
}

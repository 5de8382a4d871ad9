//! Documents in Blob Storage.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, Url};
use azure_storage_blob::models::{BlobClientUploadOptions, BlobContainerClientListBlobsOptions};
use azure_storage_blob::{BlobClient, BlobClientOptions, BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::AzureError;
use crate::credential::{CredentialSettings, credential};
use crate::shared_key::SharedKeyPolicy;
use crate::storage::{Access, Authorization, StorageClient, StorageSettings};
use crate::transport::client_options;

/// Where a blob is, as far as its URL says.
#[derive(Clone, Copy)]
pub struct BlobAddress<'a> {
    /// The Blob service's host (`account.blob.core.windows.net`), or `None` for the account of the environment.
    pub host: Option<&'a str>,
    /// The container.
    pub container: &'a str,
    /// The blob's name, or for [`Blobs::list`] a prefix. Not percent-encoded.
    pub blob: &'a str,
    /// The shared access signature of the URL, without `?`.
    pub sas: Option<&'a str>,
}

/// Blob Storage, with the settings of the environment. Making one costs nothing; clients and tokens come with first use.
#[derive(Debug)]
pub struct Blobs {
    storage: StorageSettings,
    credentials: CredentialSettings,
    /// One HTTP client for all: its connections and the system's certificates are worth keeping.
    options: OnceLock<ClientOptions>,
    credential: Mutex<Option<Arc<dyn TokenCredential>>>,
}

/// How a request gets to the service and past its door.
struct Way {
    url: Url,
    credential: Option<Arc<dyn TokenCredential>>,
    client_options: ClientOptions,
}

impl Blobs {
    /// Blob Storage for these settings.
    pub fn new(storage: StorageSettings, credentials: CredentialSettings) -> Self {
        Self { storage, credentials, options: OnceLock::new(), credential: Mutex::new(None) }
    }

    /// Blob Storage for these settings, through a client that knows who we are.
    pub fn with_client(storage: StorageSettings, client: &StorageClient) -> Self {
        Self {
            storage,
            credentials: CredentialSettings::from_variables(|_| None),
            options: OnceLock::from(client.http.client_options()),
            credential: Mutex::new(Some(Arc::clone(&client.identity))),
        }
    }

    /// The whole blob. Its parts all belong to one version: a blob that is replaced meanwhile is
    /// [`Unavailable`](crate::AzureErrorKind::Unavailable).
    pub async fn read(&self, address: BlobAddress<'_>) -> Result<Bytes, AzureError> {
        let client = self.blob(address)?;
        let downloaded = client.download(None).await.map_err(read_again)?;
        downloaded.body.collect().await.map_err(read_again)
    }

    /// Makes or replaces the blob. Nobody sees it before it is whole.
    pub async fn write(
        &self,
        address: BlobAddress<'_>,
        content: Bytes,
        content_type: &str,
    ) -> Result<(), AzureError> {
        let options = BlobClientUploadOptions {
            blob_content_type: Some(content_type.to_owned()),
            ..Default::default()
        };
        self.blob(address)?.upload(content.into(), Some(options)).await?;
        Ok(())
    }

    /// The names of all blobs that begin with the address's name, in order. The service lists without folders: many blobs
    /// deep below cost as much as many blobs.
    pub async fn list(&self, address: BlobAddress<'_>) -> Result<Vec<String>, AzureError> {
        let Way { url, credential, client_options } = self.reach(BlobAddress { blob: "", ..address })?;
        let options = BlobContainerClientOptions { client_options, ..Default::default() };
        let client = BlobContainerClient::new(url, credential, Some(options))?;
        let options = BlobContainerClientListBlobsOptions {
            prefix: Some(address.blob.to_owned()).filter(|prefix| !prefix.is_empty()),
            ..Default::default()
        };
        let mut names = Vec::new();
        let mut blobs = client.list_blobs(Some(options))?;
        while let Some(blob) = blobs.try_next().await? {
            names.extend(blob.name);
        }
        names.sort();
        Ok(names)
    }

    fn blob(&self, address: BlobAddress<'_>) -> Result<BlobClient, AzureError> {
        let Way { url, credential, client_options } = self.reach(address)?;
        let options = BlobClientOptions { client_options, ..Default::default() };
        Ok(BlobClient::new(url, credential, Some(options))?)
    }

    /// The URL, the credential and the options that lead to `address`.
    fn reach(&self, address: BlobAddress<'_>) -> Result<Way, AzureError> {
        let Access { endpoint, authorization } = self.storage.access(address.host, address.sas)?;
        let mut url = Url::parse(&endpoint)
            .map_err(|error| AzureError::settings(format!("{endpoint} is not a URL: {error}")))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(address.container);
            if !address.blob.is_empty() {
                path.extend(address.blob.split('/'));
            }
        }
        let mut options = self.client_options()?;
        let credential = match authorization {
            Authorization::Sas(sas) => {
                url.set_query(Some(sas.secret().trim_start_matches('?')));
                None
            }
            Authorization::SharedKey(account, key) => {
                options.per_try_policies.push(Arc::new(SharedKeyPolicy { account, key }));
                None
            }
            Authorization::Token => Some(self.credential()?),
        };
        Ok(Way { url, credential, client_options: options })
    }

    fn client_options(&self) -> Result<ClientOptions, AzureError> {
        if let Some(options) = self.options.get() {
            return Ok(options.clone());
        }
        let options = client_options()?;
        Ok(self.options.get_or_init(|| options).clone())
    }

    fn credential(&self) -> Result<Arc<dyn TokenCredential>, AzureError> {
        let mut made = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credential) = &*made {
            return Ok(Arc::clone(credential));
        }
        let credential = credential(&self.credentials)?;
        *made = Some(Arc::clone(&credential));
        Ok(credential)
    }
}

/// A blob that was replaced while its parts were being read can be read again.
fn read_again(error: azure_core::Error) -> AzureError {
    AzureError::from(error).conflict_is_passing()
}

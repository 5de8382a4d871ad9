//! What the clients of the storage services have in common: the way to a service, and the proof of who we are on each request.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::Url;
use azure_core::http::policies::Policy;

use super::{Access, Authorization};
use crate::AzureError;
use crate::shared_key::SharedKeyPolicy;
use crate::transport::{Bearer, Http};

/// What tokens for the storage services are for, in every cloud.
const SCOPE: &str = "https://storage.azure.com/.default";

/// How storage services are reached, and as whom.
#[derive(Debug, Clone)]
pub struct StorageClient {
    /// Connections and retries.
    pub http: Http,
    /// Asked for tokens where there is neither a key nor a signature.
    pub identity: Arc<dyn TokenCredential>,
    /// The scope of those tokens.
    pub scope: String,
    /// The version of the protocol (`x-ms-version`), or `None` for the oldest that can do what is needed: an emulator may not
    /// know new ones.
    pub version: Option<String>,
}

impl StorageClient {
    /// With the usual scope and versions.
    pub fn new(http: Http, identity: Arc<dyn TokenCredential>) -> Self {
        Self { http, identity, scope: SCOPE.to_owned(), version: None }
    }
}

impl Access {
    /// The service's URL, with the signature in it if that is what lets us in.
    pub(crate) fn url(&self) -> Result<Url, AzureError> {
        let mut url = Url::parse(&self.endpoint)
            .map_err(|error| AzureError::settings(format!("{} is not a URL: {error}", self.endpoint)))?;
        if let Authorization::Sas(sas) = &self.authorization {
            url.set_query(Some(sas.secret().trim_start_matches('?')));
        }
        Ok(url)
    }

    /// What proves on each attempt of a request who we are; nothing if the URL does.
    pub(crate) fn policy(&self, client: &StorageClient) -> Result<Vec<Arc<dyn Policy>>, AzureError> {
        Ok(match &self.authorization {
            Authorization::Sas(_) => Vec::new(),
            Authorization::SharedKey(account, key) => {
                vec![Arc::new(SharedKeyPolicy { account: account.clone(), key: key.clone() })]
            }
            Authorization::Token => vec![Arc::new(Bearer {
                identity: Arc::clone(&client.identity),
                scope: client.scope.clone(),
                endpoint: self.url()?,
            })],
        })
    }
}

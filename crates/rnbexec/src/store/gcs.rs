//! `gs://bucket/key`: Google Cloud Storage, over its JSON interface.
//!
//! Credentials are Google's Application Default Credentials: `GOOGLE_APPLICATION_CREDENTIALS` (service account, user, workload
//! identity federation), what `gcloud auth application-default login` wrote, the metadata server. Without any, requests go
//! unsigned, for public buckets. `STORAGE_EMULATOR_HOST` names an emulator, which gets no credentials.

use std::fmt;
use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, header};
use reqsign_core::{Context, ProvideCredential, SignRequest as _};
use reqsign_google::{
    Credential, DefaultCredentialProvider, RequestSigner, ServiceAccountTokenCredentialProvider,
};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::http::{LazyClient, body, execute, refused};
use super::signed::{Cached, context, encoded, folder_prefix};
use super::{
    Action, Durability, Environment, Location, ObjectPath, Store, StoreError, StoreErrorKind, joined,
};

const SERVICE: &str = "https://storage.googleapis.com";
const LOG_IN: &str =
    "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run gcloud auth application-default login";

/// Google Cloud Storage as a store.
pub(super) struct GcsStore {
    client: LazyClient,
    environment: Environment,
    service: String,
    /// An emulator believes everybody.
    emulated: bool,
    credential: Cached<Credential>,
    context: OnceLock<Context>,
}

impl GcsStore {
    pub(super) fn new(environment: &Environment) -> Self {
        let emulator = environment.get("STORAGE_EMULATOR_HOST").map(|host| {
            let host = host.trim_end_matches('/');
            if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
        });
        Self {
            client: LazyClient::default(),
            environment: environment.clone(),
            emulated: emulator.is_some(),
            service: emulator.unwrap_or_else(|| SERVICE.to_owned()),
            credential: Cached::default(),
            context: OnceLock::new(),
        }
    }

    async fn call(
        &self,
        action: Action,
        location: &Location,
        method: Method,
        path: &str,
        sent: Bytes,
    ) -> Result<Response, StoreError> {
        let client = self.client.get(action, location)?;
        let mut request =
            http::Request::builder().method(method.clone()).uri(format!("{}{path}", self.service));
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, location.content_type());
        }
        let request = request.body(()).map_err(|error| {
            let problem = "not a valid bucket or emulator host".to_owned();
            StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem })
                .caused_by(location, &error)
        })?;
        let mut parts = request.into_parts().0;
        let mut anonymous = self.emulated;
        if !self.emulated {
            let context = self.context.get_or_init(|| context(&self.environment, client));
            let credential = self.credential.get(context, &Tokens).await;
            let credential = credential.map_err(|error| not_logged_in(action, location, &error))?;
            anonymous = credential.is_none();
            if credential.is_some() {
                RequestSigner::new("storage")
                    .sign_request(context, &mut parts, credential.as_ref(), None)
                    .await
                    .map_err(|error| not_logged_in(action, location, &error))?;
            }
        }
        let request = http::Request::from_parts(parts, sent);
        let response = execute(action, location, client, request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let error = refused(action, location, response).await;
        Err(match status {
            StatusCode::UNAUTHORIZED => with_log_in(error),
            StatusCode::FORBIDDEN if anonymous => with_log_in(error),
            StatusCode::NOT_FOUND => error.with_kind(StoreErrorKind::NotFound),
            _ => error,
        })
    }
}

#[async_trait]
impl Store for GcsStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let at = object_of(Action::Read, location)?;
        let path = format!("/storage/v1/b/{}/o/{}?alt=media", encoded(&at.bucket), encoded(&at.key));
        let response = self.call(Action::Read, location, Method::GET, &path, Bytes::new()).await?;
        body(Action::Read, location, response).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let at = object_of(Action::Write, location)?;
        let (bucket, key) = (encoded(&at.bucket), encoded(&at.key));
        let path = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={key}");
        self.call(Action::Write, location, Method::POST, &path, joined(parts)).await.map(drop)
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let Location::Gs(at) = location else { return Err(wrong(Action::List, location)) };
        let prefix = folder_prefix(&at.key);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let (bucket, encoded_prefix) = (encoded(&at.bucket), encoded(&prefix));
            let mut path = format!("/storage/v1/b/{bucket}/o?delimiter=%2F&prefix={encoded_prefix}");
            if let Some(token) = &next {
                path = format!("{path}&pageToken={}", encoded(token));
            }
            let response = self.call(Action::List, location, Method::GET, &path, Bytes::new()).await?;
            let answer = body(Action::List, location, response).await?;
            let page: Page = serde_json::from_slice(&answer).map_err(|error| {
                let problem = "the server's list cannot be read".to_owned();
                StoreError::new(Action::List, location, StoreErrorKind::Other { problem })
                    .caused_by(location, &error)
            })?;
            // The folder itself may be an object, as consoles make them.
            found.extend(page.items.into_iter().map(|item| item.name).filter(|name| *name != prefix));
            next = page.next_page_token;
            if next.is_none() {
                break;
            }
        }
        found.sort();
        Ok(found.into_iter().map(|key| Location::Gs(at.with_key(key))).collect())
    }
}

impl fmt::Debug for GcsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsStore").field("service", &self.service).finish_non_exhaustive()
    }
}

/// One page of the list of objects.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Item>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
}

/// The default credentials with a service account's key already exchanged for a token, which can then be kept.
#[derive(Debug)]
struct Tokens;

impl ProvideCredential for Tokens {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Credential>> {
        let Some(credential) = DefaultCredentialProvider::new().provide_credential(context).await? else {
            return Ok(None);
        };
        match (&credential.token, &credential.service_account) {
            (None, Some(account)) => {
                ServiceAccountTokenCredentialProvider::new(account.clone()).provide_credential(context).await
            }
            _ => Ok(Some(credential)),
        }
    }
}

fn with_log_in(error: StoreError) -> StoreError {
    error.with_kind(StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() })
}

fn not_logged_in(action: Action, location: &Location, error: &reqsign_core::Error) -> StoreError {
    let kind = StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() };
    StoreError::new(action, location, kind).caused_by(location, error)
}

fn object_of(action: Action, location: &Location) -> Result<&ObjectPath, StoreError> {
    match location {
        Location::Gs(at) if at.key.is_empty() || at.key.ends_with('/') => {
            let problem = "it names a folder; an object's name is missing".to_owned();
            Err(StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem }))
        }
        Location::Gs(at) => Ok(at),
        _ => Err(wrong(action, location)),
    }
}

fn wrong(action: Action, location: &Location) -> StoreError {
    let problem = "it is not in Google Cloud Storage".to_owned();
    StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem })
}

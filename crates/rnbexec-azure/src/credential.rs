//! Which identity this process is: a chain of sources, asked in order until one answers.
//!
//! | source | is there when |
//! |---|---|
//! | [`Environment`](Source::Environment) | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` are set |
//! | [`WorkloadIdentity`](Source::WorkloadIdentity) | `AZURE_FEDERATED_TOKEN_FILE` is set, as in a Kubernetes pod |
//! | [`AzureMl`](Source::AzureMl) | `MSI_ENDPOINT` and `MSI_SECRET` are set, as on Azure ML compute |
//! | [`ManagedIdentity`](Source::ManagedIdentity) | `IDENTITY_ENDPOINT` is set (App Service, Container Apps), or the metadata service of a virtual machine answers |
//! | [`AzureCli`](Source::AzureCli) | `az login` was done |
//! | [`AzureDeveloperCli`](Source::AzureDeveloperCli) | `azd auth login` was done |
//!
//! This is the order of Microsoft's `DefaultAzureCredential`. As there, a source that was configured and fails ends the
//! search: running under another identity than the configured one would be worse than not running. The last three are
//! nobody's configuration and are passed over when they fail. `AZURE_CLIENT_ID` alone picks a user-assigned managed identity.
//! `AZURE_AUTHORITY_HOST` names another cloud's login. Certificates (`AZURE_CLIENT_CERTIFICATE_PATH`) are not supported.
//!
//! The official crate refuses Azure ML's endpoint, so that one is spoken to here.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;
use azure_core::http::{ClientOptions, Context, Method, Pipeline, Request, Url};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::AzureError;
use crate::transport::client_options;

/// Azure's metadata service answers at once or is not there; anywhere else this address is silence.
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Whoever this process is to Azure.
pub type Identity = Arc<dyn TokenCredential>;

/// One source of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A service principal with a secret in the environment.
    Environment,
    /// A Kubernetes service account that Entra ID trusts.
    WorkloadIdentity,
    /// The identity of Azure ML compute.
    AzureMl,
    /// The managed identity of a virtual machine or an App Service.
    ManagedIdentity,
    /// Whoever logged in with `az login`.
    AzureCli,
    /// Whoever logged in with `azd auth login`.
    AzureDeveloperCli,
}

impl Source {
    /// The order of `DefaultAzureCredential`.
    pub const DEFAULT_ORDER: [Self; 6] = [
        Self::Environment,
        Self::WorkloadIdentity,
        Self::AzureMl,
        Self::ManagedIdentity,
        Self::AzureCli,
        Self::AzureDeveloperCli,
    ];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::WorkloadIdentity => "workload identity",
            Self::AzureMl => "Azure ML identity",
            Self::ManagedIdentity => "managed identity",
            Self::AzureCli => "Azure CLI",
            Self::AzureDeveloperCli => "Azure Developer CLI",
        })
    }
}

/// What the environment says about identities.
#[derive(Clone)]
pub struct CredentialSettings {
    order: Vec<Source>,
    tenant: Option<String>,
    client: Option<String>,
    client_secret: Option<Secret>,
    federated_token_file: Option<PathBuf>,
    msi_endpoint: Option<String>,
    msi_secret: Option<Secret>,
    msi_client: Option<String>,
    identity_endpoint: Option<String>,
    authority_host: Option<String>,
}

impl CredentialSettings {
    /// The settings that `variable` gives, in the default order. See the [module](self) for the variables.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            order: Source::DEFAULT_ORDER.to_vec(),
            tenant: variable("AZURE_TENANT_ID"),
            client: variable("AZURE_CLIENT_ID"),
            client_secret: variable("AZURE_CLIENT_SECRET").map(Secret::new),
            federated_token_file: variable("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            msi_endpoint: variable("MSI_ENDPOINT"),
            msi_secret: variable("MSI_SECRET").map(Secret::new),
            msi_client: variable("DEFAULT_IDENTITY_CLIENT_ID"),
            identity_endpoint: variable("IDENTITY_ENDPOINT"),
            authority_host: variable("AZURE_AUTHORITY_HOST"),
        }
    }

    /// Asks these sources, in this order.
    #[must_use]
    pub fn with_order(mut self, order: impl Into<Vec<Source>>) -> Self {
        self.order = order.into();
        self
    }

    /// Whether somebody configured this source for this process, so that its failure counts.
    fn presence(&self, source: Source) -> Presence {
        let configured = match source {
            Source::Environment => {
                self.tenant.is_some() && self.client.is_some() && self.client_secret.is_some()
            }
            Source::WorkloadIdentity => {
                self.tenant.is_some() && self.client.is_some() && self.federated_token_file.is_some()
            }
            // App Service sets MSI_ENDPOINT as well, beside its newer variable.
            Source::AzureMl => {
                self.msi_endpoint.is_some() && self.msi_secret.is_some() && self.identity_endpoint.is_none()
            }
            Source::ManagedIdentity if self.identity_endpoint.is_some() => true,
            Source::ManagedIdentity | Source::AzureCli | Source::AzureDeveloperCli => {
                return Presence::Unknown;
            }
        };
        if configured { Presence::Configured } else { Presence::Absent }
    }
}

impl fmt::Debug for CredentialSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSettings")
            .field("order", &self.order)
            .field("tenant", &self.tenant)
            .field("client", &self.client)
            .field("client_secret", &self.client_secret.as_ref().map(|_| "***"))
            .field("federated_token_file", &self.federated_token_file)
            .field("msi_endpoint", &self.msi_endpoint)
            .field("msi_secret", &self.msi_secret.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Its variables are set: what it answers is final.
    Configured,
    /// It may be there; asking tells.
    Unknown,
    /// Its variables are not set: it is not asked.
    Absent,
}

/// The identity of this process. Nothing is asked before the first token is; the credentials keep their tokens until they
/// expire.
pub fn credential(settings: &CredentialSettings) -> Result<Arc<dyn TokenCredential>, AzureError> {
    let mut options = client_options()?;
    if let Some(host) = &settings.authority_host {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(host);
        options.cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
    }
    Ok(Arc::new(Chain {
        settings: settings.clone(),
        options,
        links: tokio::sync::OnceCell::new(),
        last: AtomicUsize::new(NONE),
    }))
}

const NONE: usize = usize::MAX;

/// One source in the chain, ready to be asked, or why it cannot be.
#[derive(Debug)]
struct Link {
    source: Source,
    presence: Presence,
    credential: Result<Arc<dyn TokenCredential>, String>,
}

#[derive(Debug)]
struct Chain {
    settings: CredentialSettings,
    options: ClientOptions,
    links: tokio::sync::OnceCell<Vec<Link>>,
    /// The source that answered last: it is asked first from then on.
    last: AtomicUsize,
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let links = self.links.get_or_init(|| async { self.links() }).await;
        if let Some(Link { credential: Ok(credential), .. }) = links.get(self.last.load(Ordering::Relaxed)) {
            return credential.get_token(scopes, options).await;
        }
        let mut failures = Vec::new();
        for (index, link) in links.iter().enumerate() {
            match self.ask(link, scopes).await {
                Ok(token) => {
                    tracing::debug!(source = %link.source, "Azure identity found");
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(failure) => failures.push(format!("{}: {failure}", link.source)),
            }
            if link.presence == Presence::Configured {
                break;
            }
        }
        if failures.is_empty() {
            failures.push("no source is configured".to_owned());
        }
        Err(azure_core::Error::with_message(ErrorKind::Credential, failures.join("; ")))
    }
}

impl Chain {
    fn links(&self) -> Vec<Link> {
        self.settings
            .order
            .iter()
            .map(|&source| (source, self.settings.presence(source)))
            .filter(|(_, presence)| *presence != Presence::Absent)
            .map(|(source, presence)| {
                let credential = self.make(source).map_err(|error| error.to_string());
                Link { source, presence, credential }
            })
            .collect()
    }

    async fn ask(&self, link: &Link, scopes: &[&str]) -> Result<AccessToken, String> {
        let credential = link.credential.as_ref().map_err(Clone::clone)?;
        if link.source == Source::ManagedIdentity
            && link.presence == Presence::Unknown
            && !metadata_answers().await
        {
            return Err("the metadata service does not answer (not a virtual machine of Azure)".to_owned());
        }
        credential.get_token(scopes, None).await.map_err(|error| error.to_string())
    }

    fn make(&self, source: Source) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let settings = &self.settings;
        Ok(match source {
            Source::Environment => {
                let options = ClientSecretCredentialOptions { client_options: self.options.clone() };
                ClientSecretCredential::new(
                    settings.tenant.as_deref().unwrap_or_default(),
                    settings.client.clone().unwrap_or_default(),
                    settings.client_secret.clone().unwrap_or_else(|| Secret::new("")),
                    Some(options),
                )?
            }
            Source::WorkloadIdentity => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions {
                        client_options: self.options.clone(),
                    },
                    client_id: settings.client.clone(),
                    tenant_id: settings.tenant.clone(),
                    token_file_path: settings.federated_token_file.clone(),
                }))?
            }
            Source::AzureMl => Arc::new(AzureMlCredential::new(settings, self.options.clone())?),
            Source::ManagedIdentity => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: settings.client.clone().map(UserAssignedId::ClientId),
                    client_options: self.options.clone(),
                }))?
            }
            Source::AzureCli => AzureCliCredential::new(None)?,
            Source::AzureDeveloperCli => AzureDeveloperCliCredential::new(None)?,
        })
    }
}

async fn metadata_answers() -> bool {
    matches!(tokio::time::timeout(METADATA_TIMEOUT, TcpStream::connect(METADATA)).await, Ok(Ok(_)))
}

/// The managed identity of Azure ML compute, which the official crate refuses.
///
/// Source: `azure-identity` for Python, `azure_ml.py`. The form of the request and of the answer was checked against a server
/// on loopback, not against Azure ML.
struct AzureMlCredential {
    pipeline: Pipeline,
    endpoint: Url,
    secret: Secret,
    client: Option<String>,
    cached: tokio::sync::Mutex<Vec<(String, AccessToken)>>,
}

/// The answer; the numbers are strings in some versions of the endpoint.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_on: serde_json::Value,
}

impl AzureMlCredential {
    fn new(settings: &CredentialSettings, options: ClientOptions) -> azure_core::Result<Self> {
        let endpoint = Url::parse(settings.msi_endpoint.as_deref().unwrap_or_default())?;
        Ok(Self {
            pipeline: Pipeline::new(
                option_env!("CARGO_PKG_NAME"),
                option_env!("CARGO_PKG_VERSION"),
                options,
                Vec::new(),
                Vec::new(),
                None,
            ),
            endpoint,
            secret: settings.msi_secret.clone().unwrap_or_else(|| Secret::new("")),
            client: settings.msi_client.clone().or_else(|| settings.client.clone()),
            cached: tokio::sync::Mutex::new(Vec::new()),
        })
    }

    async fn request(&self, resource: &str) -> azure_core::Result<AccessToken> {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().append_pair("api-version", "2017-09-01").append_pair("resource", resource);
        if let Some(client) = &self.client {
            url.query_pairs_mut().append_pair("clientid", client);
        }
        let mut request = Request::new(url, Method::Get);
        request.insert_header(HeaderName::from_static("secret"), self.secret.secret().to_owned());
        let response = self.pipeline.send(&Context::new(), &mut request, None).await?;
        let answer: TokenAnswer = serde_json::from_slice(response.body().as_ref())?;
        let expires = match &answer.expires_on {
            serde_json::Value::Number(seconds) => seconds.as_i64(),
            serde_json::Value::String(seconds) => seconds.parse().ok(),
            _ => None,
        };
        let expires = expires.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let expires = expires.ok_or_else(|| {
            azure_core::Error::with_message(ErrorKind::Credential, "the token's expires_on is not a time")
        })?;
        Ok(AccessToken::new(answer.access_token, expires))
    }
}

impl fmt::Debug for AzureMlCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureMlCredential").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenCredential for AzureMlCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let [scope] = scopes else {
            return Err(azure_core::Error::with_message(
                ErrorKind::Credential,
                "exactly one scope can be asked for",
            ));
        };
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        // The lock is held while asking, so that many at once ask once.
        let mut cached = self.cached.lock().await;
        let fresh = OffsetDateTime::now_utc() + Duration::from_mins(5);
        if let Some((_, token)) =
            cached.iter().find(|(known, token)| known == resource && token.expires_on > fresh)
        {
            return Ok(token.clone());
        }
        let token = self.request(resource).await?;
        cached.retain(|(known, _)| known != resource);
        cached.push((resource.to_owned(), token.clone()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests;

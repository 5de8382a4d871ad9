//! Which identity this process is: a chain of sources, asked in order until one answers.
//!
//! | source | is there when |
//! |---|---|
//! | [`Environment`](Source::Environment) | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` are set |
//! | [`ClientCertificate`](Source::ClientCertificate) | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_CERTIFICATE_PATH` are set |
//! | [`WorkloadIdentity`](Source::WorkloadIdentity) | `AZURE_FEDERATED_TOKEN_FILE` is set, as in a Kubernetes pod |
//! | [`AzureMl`](Source::AzureMl) | `MSI_ENDPOINT` and `MSI_SECRET` are set, as on Azure ML compute |
//! | [`ManagedIdentity`](Source::ManagedIdentity) | `IDENTITY_ENDPOINT` is set (App Service, Container Apps), or the metadata service of a virtual machine answers |
//! | [`AzureCli`](Source::AzureCli) | `az login` was done |
//! | [`AzureDeveloperCli`](Source::AzureDeveloperCli) | `azd auth login` was done |
//!
//! This is the order of Microsoft's `DefaultAzureCredential`. As there, a source that was configured and fails ends the
//! search: running under another identity than the configured one would be worse than not running. The last three are
//! nobody's configuration and are passed over when they fail. `AZURE_CLIENT_ID` alone picks a user-assigned managed identity.
//! `AZURE_AUTHORITY_HOST` names another login, `AZURE_POD_IDENTITY_AUTHORITY_HOST` another metadata service; both may be
//! plain HTTP.
//!
//! Tokens are kept for each scope, made anew five minutes before they expire or when a service refuses them, and many that
//! ask at once wait for one answer. So a run of any length keeps its identity. All tokens and keys in use can be heard from
//! [`KnownSecrets`], for whoever must take them out of what leaves.
//!
//! Managed identities are asked here and not through the official crate, whose metadata service is a constant, which reads the
//! variables of App Service from the process, and which refuses Azure ML.

mod certificate;
mod chain;
mod command;
mod known;
mod managed;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::Url;

pub use known::KnownSecrets;

use crate::AzureError;
use crate::cloud::Cloud;
use crate::transport::Http;
use chain::{Chain, Presence};

/// Whoever this process is to Azure.
pub type Identity = Arc<dyn TokenCredential>;

/// One source of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A service principal with a secret in the environment.
    Environment,
    /// A service principal with a certificate in a file.
    ClientCertificate,
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
    pub const DEFAULT_ORDER: [Self; 7] = [
        Self::Environment,
        Self::ClientCertificate,
        Self::WorkloadIdentity,
        Self::AzureMl,
        Self::ManagedIdentity,
        Self::AzureCli,
        Self::AzureDeveloperCli,
    ];

    /// The source of this name: ours (`managed-identity`), msticpy's (`msi`), or Microsoft's (`ManagedIdentityCredential`).
    pub fn parse(name: &str) -> Option<Self> {
        let name: String =
            name.trim().to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        match name.trim_end_matches("credential") {
            "environment" | "env" | "clientsecret" | "secret" => Some(Self::Environment),
            "clientcertificate" | "certificate" | "cert" => Some(Self::ClientCertificate),
            "workloadidentity" | "workload" => Some(Self::WorkloadIdentity),
            "azureml" | "azuremlidentity" | "aml" => Some(Self::AzureMl),
            "managedidentity" | "msi" | "managed" => Some(Self::ManagedIdentity),
            "azurecli" | "cli" | "az" => Some(Self::AzureCli),
            "azuredevelopercli" | "developercli" | "azd" => Some(Self::AzureDeveloperCli),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::ClientCertificate => "client certificate",
            Self::WorkloadIdentity => "workload identity",
            Self::AzureMl => "Azure ML identity",
            Self::ManagedIdentity => "managed identity",
            Self::AzureCli => "Azure CLI",
            Self::AzureDeveloperCli => "Azure Developer CLI",
        })
    }
}

/// What the environment and the configuration say about identities.
#[derive(Clone)]
pub struct CredentialSettings {
    order: Vec<Source>,
    tenant: Option<String>,
    client: Option<String>,
    client_secret: Option<Secret>,
    client_certificate: Option<PathBuf>,
    send_certificate: bool,
    federated_token_file: Option<PathBuf>,
    msi_endpoint: Option<String>,
    msi_secret: Option<Secret>,
    msi_client: Option<String>,
    identity_endpoint: Option<String>,
    identity_header: Option<Secret>,
    authority: Option<String>,
    metadata_service: Option<String>,
    /// The tenant that the command lines are asked for; theirs if none.
    command_tenant: Option<String>,
    /// Where the command lines are looked for.
    path: Option<OsString>,
    http: Option<Http>,
    known: KnownSecrets,
}

impl CredentialSettings {
    /// The settings that `variable` gives, in the default order. See the [module](self) for the variables.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            order: Source::DEFAULT_ORDER.to_vec(),
            tenant: variable("AZURE_TENANT_ID"),
            client: variable("AZURE_CLIENT_ID"),
            client_secret: variable("AZURE_CLIENT_SECRET").map(Secret::new),
            client_certificate: variable("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
            send_certificate: variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
            federated_token_file: variable("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            msi_endpoint: variable("MSI_ENDPOINT"),
            msi_secret: variable("MSI_SECRET").map(Secret::new),
            msi_client: variable("DEFAULT_IDENTITY_CLIENT_ID"),
            identity_endpoint: variable("IDENTITY_ENDPOINT"),
            identity_header: variable("IDENTITY_HEADER").map(Secret::new),
            authority: variable("AZURE_AUTHORITY_HOST"),
            metadata_service: variable("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            command_tenant: None,
            path: variable("PATH").map(OsString::from),
            http: None,
            known: KnownSecrets::default(),
        }
    }

    /// Asks these sources, in this order.
    #[must_use]
    pub fn with_order(mut self, order: impl Into<Vec<Source>>) -> Self {
        self.order = order.into();
        self
    }

    /// Asks for tokens of this tenant, the command lines too.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        let tenant = tenant.into();
        self.command_tenant = Some(tenant.clone());
        self.tenant = Some(tenant);
        self
    }

    /// The service principal, or the user-assigned managed identity.
    #[must_use]
    pub fn with_client(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// The service principal's secret.
    #[must_use]
    pub fn with_client_secret(mut self, secret: Secret) -> Self {
        self.client_secret = Some(secret);
        self
    }

    /// The service principal's certificate and key, one PEM file.
    #[must_use]
    pub fn with_client_certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some(path.into());
        self
    }

    /// Logs in at this cloud's authority, unless a variable names one.
    #[must_use]
    pub fn with_cloud(mut self, cloud: &Cloud) -> Self {
        self.authority.get_or_insert_with(|| cloud.authority.to_string());
        self
    }

    /// Logs in here.
    #[must_use]
    pub fn with_authority(mut self, authority: &Url) -> Self {
        self.authority = Some(authority.to_string());
        self
    }

    /// Asks this metadata service instead of the one of the machine.
    #[must_use]
    pub fn with_metadata_service(mut self, base: &Url) -> Self {
        self.metadata_service = Some(base.to_string());
        self
    }

    /// Asks through these connections, and tries again as they do. Without them nothing is tried again.
    #[must_use]
    pub fn with_http(mut self, http: Http) -> Self {
        self.http = Some(http);
        self
    }

    /// Tells each secret and token here.
    #[must_use]
    pub fn with_known_secrets(mut self, known: KnownSecrets) -> Self {
        self.known = known;
        self
    }

    /// Whether somebody configured this source for this process, so that its failure counts.
    fn presence(&self, source: Source) -> Presence {
        let principal = self.tenant.is_some() && self.client.is_some();
        let configured = match source {
            Source::Environment => principal && self.client_secret.is_some(),
            Source::ClientCertificate => principal && self.client_certificate.is_some(),
            Source::WorkloadIdentity => principal && self.federated_token_file.is_some(),
            // App Service sets MSI_ENDPOINT as well, beside its newer variable.
            Source::AzureMl => {
                self.msi_endpoint.is_some() && self.msi_secret.is_some() && self.identity_endpoint.is_none()
            }
            Source::ManagedIdentity
                if self.identity_endpoint.is_some() || self.metadata_service.is_some() =>
            {
                true
            }
            Source::ManagedIdentity | Source::AzureCli | Source::AzureDeveloperCli => {
                return Presence::Unknown;
            }
        };
        if configured { Presence::Configured } else { Presence::Absent }
    }

    /// The client of a user-assigned managed identity; a service principal's is none.
    fn managed_client(&self) -> Option<&str> {
        let principal = [Source::Environment, Source::ClientCertificate]
            .iter()
            .any(|source| self.presence(*source) == Presence::Configured);
        self.client.as_deref().filter(|_| !principal)
    }
}

impl fmt::Debug for CredentialSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<Secret>| secret.as_ref().map(|_| "***");
        f.debug_struct("CredentialSettings")
            .field("order", &self.order)
            .field("tenant", &self.tenant)
            .field("client", &self.client)
            .field("client_secret", &hidden(&self.client_secret))
            .field("client_certificate", &self.client_certificate)
            .field("federated_token_file", &self.federated_token_file)
            .field("msi_endpoint", &self.msi_endpoint)
            .field("msi_secret", &hidden(&self.msi_secret))
            .field("identity_endpoint", &self.identity_endpoint)
            .field("identity_header", &hidden(&self.identity_header))
            .field("authority", &self.authority)
            .field("metadata_service", &self.metadata_service)
            .finish_non_exhaustive()
    }
}

/// The identity of this process. Nothing is asked before the first token is.
pub fn credential(settings: &CredentialSettings) -> Result<Identity, AzureError> {
    let http = settings.http.clone().map_or_else(Http::once, Ok)?;
    for secret in
        [&settings.client_secret, &settings.msi_secret, &settings.identity_header].into_iter().flatten()
    {
        settings.known.add(secret.secret());
    }
    Ok(Arc::new(Chain::new(settings.clone(), http)?))
}

/// A base URL as it stands in a variable: the scheme may be left out.
fn base_url(text: &str, variable: &str) -> Result<Url, AzureError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    Url::parse(&full)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| AzureError::settings(format!("{variable} is not a URL: {text:?}")))
}

#[cfg(test)]
mod tests;

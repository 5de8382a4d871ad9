//! Which account, endpoint and authorization are meant: a pure decision over a URL, a connection string and the
//! `AZURE_STORAGE_*` variables, which mean what they mean to the `az` command.
//!
//! A secret of the environment is used only for the account it belongs to. Where several authorizations are given, the most
//! particular one wins: the signature in the URL, the connection string, the key, the signature of the environment, and
//! last the identity of the process (see [`credential`](crate::credential)).

mod client;
pub(crate) mod xml;

use std::fmt;

use azure_core::credentials::Secret;
use azure_core::http::Url;

use crate::AzureError;

pub use client::StorageClient;

/// Azurite's account and key, the same everywhere: `UseDevelopmentStorage=true`.
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_ENDPOINT: &str = "http://127.0.0.1:10000/devstoreaccount1";
const DEVELOPMENT_QUEUE_ENDPOINT: &str = "http://127.0.0.1:10001/devstoreaccount1";

/// One of the services of a storage account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Blob Storage.
    Blob,
    /// Queue Storage.
    Queue,
    /// Azure Files.
    File,
}

impl Service {
    const ALL: [Self; 3] = [Self::Blob, Self::Queue, Self::File];

    /// The part of the host's name.
    fn label(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Queue => "queue",
            Self::File => "file",
        }
    }
}

/// The storage settings of the environment.
#[derive(Clone, Default)]
pub struct StorageSettings {
    account: Option<String>,
    key: Option<Secret>,
    sas: Option<Secret>,
    /// The services' base URLs, where they are not the account's usual hosts.
    blob_endpoint: Option<String>,
    queue_endpoint: Option<String>,
    file_endpoint: Option<String>,
    endpoint_suffix: Option<String>,
}

/// How a request to a storage service is authorized.
#[derive(Clone, PartialEq)]
pub(crate) enum Authorization {
    /// A shared access signature, part of the URL.
    Sas(Secret),
    /// The account's name and key.
    SharedKey(String, Secret),
    /// A token of the process's identity.
    Token,
}

/// Where a service of an account is, and how to be let in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    /// The base URL, without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) authorization: Authorization,
}

impl StorageSettings {
    /// The settings that `variable` gives: `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_ACCOUNT`, `AZURE_STORAGE_KEY`,
    /// `AZURE_STORAGE_SAS_TOKEN`, `AZURE_STORAGE_AUTH_MODE=login` (ignore key and signature), and for emulators and private
    /// clouds `AZURE_STORAGE_BLOB_ENDPOINT` or `AZURE_STORAGE_SERVICE_ENDPOINT`, `AZURE_STORAGE_QUEUE_ENDPOINT` and
    /// `AZURE_STORAGE_FILE_ENDPOINT`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut settings = Self {
            account: variable("AZURE_STORAGE_ACCOUNT").or_else(|| variable("AZURE_STORAGE_ACCOUNT_NAME")),
            key: variable("AZURE_STORAGE_KEY")
                .or_else(|| variable("AZURE_STORAGE_ACCOUNT_KEY"))
                .map(Secret::new),
            sas: variable("AZURE_STORAGE_SAS_TOKEN").map(Secret::new),
            blob_endpoint: variable("AZURE_STORAGE_BLOB_ENDPOINT")
                .or_else(|| variable("AZURE_STORAGE_SERVICE_ENDPOINT")),
            queue_endpoint: variable("AZURE_STORAGE_QUEUE_ENDPOINT"),
            file_endpoint: variable("AZURE_STORAGE_FILE_ENDPOINT"),
            endpoint_suffix: None,
        };
        if let Some(text) = variable("AZURE_STORAGE_CONNECTION_STRING") {
            settings.take_connection_string(&text);
        }
        if variable("AZURE_STORAGE_AUTH_MODE").as_deref() == Some("login") {
            settings.key = None;
            settings.sas = None;
        }
        settings
    }

    /// The settings of a connection string, as the portal shows it: `AccountName=…;AccountKey=…`, `QueueEndpoint=…`,
    /// `SharedAccessSignature=…`, `UseDevelopmentStorage=true`.
    pub fn from_connection_string(text: &str) -> Result<Self, AzureError> {
        let mut settings = Self::default();
        settings.take_connection_string(text);
        if settings.account.is_none()
            && Service::ALL.iter().all(|&service| settings.endpoint(service).is_none())
        {
            return Err(AzureError::settings(
                "the connection string names neither an account nor an endpoint",
            ));
        }
        Ok(settings)
    }

    /// The settings of an account that is known by name only.
    pub fn of_account(name: impl Into<String>) -> Self {
        Self { account: Some(name.into()), ..Self::default() }
    }

    /// The same with this key of the account.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Secret>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same with this base URL of one of the services.
    #[must_use]
    pub fn with_endpoint(mut self, service: Service, url: impl Into<String>) -> Self {
        *match service {
            Service::Blob => &mut self.blob_endpoint,
            Service::Queue => &mut self.queue_endpoint,
            Service::File => &mut self.file_endpoint,
        } = Some(url.into());
        self
    }

    /// The same in another cloud: `core.usgovcloudapi.net`, `core.chinacloudapi.cn`.
    #[must_use]
    pub fn with_endpoint_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.endpoint_suffix = Some(suffix.into());
        self
    }

    /// The settings for the queue or share of this URL, and its name: `https://account.queue.core.windows.net/incidents`, or on
    /// an emulator `http://127.0.0.1:10001/account/incidents`. A signature in the URL is used; a key or signature of these
    /// settings only if it belongs to the same account.
    pub fn at(&self, service: Service, url: &str) -> Result<(Self, String), AzureError> {
        let kind = service.label();
        let wrong = || {
            AzureError::settings(format!(
                "not the URL of a {kind}: write https://account.{kind}.core.windows.net/name (what was given has no name, or is \
                 no URL)"
            ))
        };
        let mut parsed = Url::parse(url).map_err(|_| wrong())?;
        if parsed.cannot_be_a_base() || !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let signature = parsed.query().filter(|query| query.contains("sig=")).map(str::to_owned);
        parsed.set_query(None);
        parsed.set_fragment(None);
        let path = parsed.path().trim_matches('/').to_owned();
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name.is_empty() {
            return Err(wrong());
        }
        parsed.set_path(parents);
        let mut settings = match (&self.account, account_in_host(&parsed)) {
            (Some(ours), Some(other)) if ours != other => {
                Self { endpoint_suffix: self.endpoint_suffix.clone(), ..Self::default() }
            }
            _ => self.clone(),
        };
        settings.account = account_in(&parsed).map(str::to_owned).or(settings.account);
        if let Some(signature) = signature {
            settings.key = None;
            settings.sas = Some(Secret::new(signature));
        }
        let name = name.to_owned();
        Ok((settings.with_endpoint(service, parsed.as_str().trim_end_matches('/')), name))
    }

    fn endpoint(&self, service: Service) -> Option<&String> {
        match service {
            Service::Blob => self.blob_endpoint.as_ref(),
            Service::Queue => self.queue_endpoint.as_ref(),
            Service::File => self.file_endpoint.as_ref(),
        }
    }

    /// How to reach a service of the account that these settings name.
    pub(crate) fn reach(&self, service: Service) -> Result<Access, AzureError> {
        let label = service.label();
        let endpoint = match (self.endpoint(service), &self.account) {
            (Some(endpoint), _) => checked_endpoint(endpoint)?,
            (None, Some(account)) => {
                let suffix = self.endpoint_suffix.as_deref().unwrap_or("core.windows.net");
                checked_endpoint(&format!("https://{account}.{label}.{suffix}"))?
            }
            (None, None) => {
                return Err(AzureError::settings(format!(
                    "no storage account is named; give its name, a connection string, or the URL of its {label} service"
                )));
            }
        };
        let authorization = match (&self.key, &self.sas) {
            (Some(key), _) => {
                let named = Url::parse(&endpoint).ok();
                let named = || named.as_ref().and_then(account_in).map(str::to_owned);
                let account = self.account.clone().or_else(named).ok_or_else(|| {
                    AzureError::settings(format!(
                        "an account key is given, but no account; {endpoint} names none"
                    ))
                })?;
                Authorization::SharedKey(account, key.clone())
            }
            (None, Some(sas)) => Authorization::Sas(sas.clone()),
            (None, None) => Authorization::Token,
        };
        Ok(Access { endpoint, authorization })
    }

    fn take_connection_string(&mut self, text: &str) {
        let mut key = None;
        let mut sas = None;
        for part in text.split(';') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "accountname" => self.account = Some(value.to_owned()),
                "accountkey" => key = Some(Secret::new(value.to_owned())),
                "sharedaccesssignature" => sas = Some(Secret::new(value.to_owned())),
                "blobendpoint" => self.blob_endpoint = Some(value.to_owned()),
                "queueendpoint" => self.queue_endpoint = Some(value.to_owned()),
                "fileendpoint" => self.file_endpoint = Some(value.to_owned()),
                "endpointsuffix" => self.endpoint_suffix = Some(value.to_owned()),
                "usedevelopmentstorage" if value.eq_ignore_ascii_case("true") => {
                    self.account = Some(DEVELOPMENT_ACCOUNT.to_owned());
                    key = Some(Secret::new(DEVELOPMENT_KEY));
                    self.blob_endpoint = Some(DEVELOPMENT_ENDPOINT.to_owned());
                    self.queue_endpoint = Some(DEVELOPMENT_QUEUE_ENDPOINT.to_owned());
                }
                _ => {}
            }
        }
        if key.is_some() || sas.is_some() {
            (self.key, self.sas) = (key, sas);
        }
    }

    /// How to reach the account at `host` (or the account of the environment), with the signature of the URL if it has one.
    pub(crate) fn access(&self, host: Option<&str>, sas: Option<&str>) -> Result<Access, AzureError> {
        let account = host.and_then(|host| host.split(['.', ':']).next());
        let ours = match (account, &self.account) {
            (Some(account), Some(configured)) => account == configured,
            // A lone endpoint or secret without an account's name is meant for whatever is asked for.
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        let endpoint = match (host, &self.blob_endpoint, &self.account) {
            (_, Some(endpoint), _) if ours => checked_endpoint(endpoint)?,
            (Some(host), _, _) => checked_endpoint(&format!("https://{host}"))?,
            (None, _, Some(account)) => {
                let suffix = self.endpoint_suffix.as_deref().unwrap_or("core.windows.net");
                checked_endpoint(&format!("https://{account}.blob.{suffix}"))?
            }
            (None, _, None) => {
                return Err(AzureError::settings(
                    "the location names no account and neither does the environment; set AZURE_STORAGE_ACCOUNT or \
                     AZURE_STORAGE_CONNECTION_STRING, or write abfss://container@account.dfs.core.windows.net/path",
                ));
            }
        };
        let authorization = match (sas, &self.key, &self.sas, account.or(self.account.as_deref())) {
            (Some(sas), ..) => Authorization::Sas(Secret::new(sas.to_owned())),
            (None, Some(key), _, Some(account)) if ours => {
                Authorization::SharedKey(account.to_owned(), key.clone())
            }
            (None, _, Some(sas), _) if ours => Authorization::Sas(sas.clone()),
            _ => Authorization::Token,
        };
        Ok(Access { endpoint, authorization })
    }
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageSettings")
            .field("account", &self.account)
            .field("key", &self.key.as_ref().map(|_| "***"))
            .field("sas", &self.sas.as_ref().map(|_| "***"))
            .field("blob_endpoint", &self.blob_endpoint)
            .field("queue_endpoint", &self.queue_endpoint)
            .field("file_endpoint", &self.file_endpoint)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sas(_) => f.write_str("Sas(***)"),
            Self::SharedKey(account, _) => write!(f, "SharedKey({account}, ***)"),
            Self::Token => f.write_str("Token"),
        }
    }
}

fn checked_endpoint(text: &str) -> Result<String, AzureError> {
    let url = Url::parse(text).map_err(|error| {
        AzureError::settings(format!("{text} is not the URL of a storage service: {error}"))
    })?;
    if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
        return Err(AzureError::settings(format!("{text} is not the URL of a storage service")));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The account that a service's URL names: in its host, or on an emulator first in its path.
fn account_in(endpoint: &Url) -> Option<&str> {
    let first = || endpoint.path_segments().and_then(|mut segments| segments.next());
    account_in_host(endpoint).or_else(first).filter(|account| !account.is_empty())
}

/// The account in the host's name, if that is one as Azure gives them: `account.queue.…`.
fn account_in_host(endpoint: &Url) -> Option<&str> {
    let (account, rest) = endpoint.domain()?.split_once('.')?;
    let (service, _) = rest.split_once('.')?;
    Service::ALL.iter().any(|known| known.label() == service).then_some(account)
}

#[cfg(test)]
mod tests;

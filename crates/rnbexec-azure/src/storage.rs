//! Which account, endpoint and authorization are meant: a pure decision over a URL and the `AZURE_STORAGE_*` variables, which mean
//! what they mean to the `az` command.
//!
//! A secret of the environment is used only for the account it belongs to. Where several authorizations are given, the most
//! particular one wins: the signature in the URL, the connection string, the key, the signature of the environment, and
//! last the identity of the process (see [`credential`](crate::credential)).

use std::fmt;

use azure_core::credentials::Secret;
use azure_core::http::Url;

use crate::AzureError;

/// Azurite's account and key, the same everywhere: `UseDevelopmentStorage=true`.
const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_ENDPOINT: &str = "http://127.0.0.1:10000/devstoreaccount1";

/// The storage settings of the environment.
#[derive(Clone, Default)]
pub struct StorageSettings {
    account: Option<String>,
    key: Option<Secret>,
    sas: Option<Secret>,
    /// The Blob service's base URL, where it is not the account's usual host.
    blob_endpoint: Option<String>,
    endpoint_suffix: Option<String>,
}

/// How a request to the Blob service is authorized.
#[derive(Clone, PartialEq)]
pub(crate) enum Authorization {
    /// A shared access signature, part of the URL.
    Sas(Secret),
    /// The account's name and key.
    SharedKey(String, Secret),
    /// A token of the process's identity.
    Token,
}

/// Where the Blob service of an account is, and how to be let in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    /// The base URL, without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) authorization: Authorization,
}

impl StorageSettings {
    /// The settings that `variable` gives: `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_ACCOUNT`, `AZURE_STORAGE_KEY`,
    /// `AZURE_STORAGE_SAS_TOKEN`, `AZURE_STORAGE_AUTH_MODE=login` (ignore key and signature), and for emulators and private
    /// clouds `AZURE_STORAGE_BLOB_ENDPOINT` or `AZURE_STORAGE_SERVICE_ENDPOINT`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut settings = Self {
            account: variable("AZURE_STORAGE_ACCOUNT").or_else(|| variable("AZURE_STORAGE_ACCOUNT_NAME")),
            key: variable("AZURE_STORAGE_KEY")
                .or_else(|| variable("AZURE_STORAGE_ACCOUNT_KEY"))
                .map(Secret::new),
            sas: variable("AZURE_STORAGE_SAS_TOKEN").map(Secret::new),
            blob_endpoint: variable("AZURE_STORAGE_BLOB_ENDPOINT")
                .or_else(|| variable("AZURE_STORAGE_SERVICE_ENDPOINT")),
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
                "endpointsuffix" => self.endpoint_suffix = Some(value.to_owned()),
                "usedevelopmentstorage" if value.eq_ignore_ascii_case("true") => {
                    self.account = Some(DEVELOPMENT_ACCOUNT.to_owned());
                    key = Some(Secret::new(DEVELOPMENT_KEY));
                    self.blob_endpoint = Some(DEVELOPMENT_ENDPOINT.to_owned());
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
    let url = Url::parse(text)
        .map_err(|error| AzureError::settings(format!("{text} is not the URL of a Blob service: {error}")))?;
    if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
        return Err(AzureError::settings(format!("{text} is not the URL of a Blob service")));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> StorageSettings {
        StorageSettings::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const HOST: &str = "acct.blob.core.windows.net";

    #[test]
    fn without_settings_the_identity_of_the_process_is_asked() {
        let access = settings(&[]).access(Some(HOST), None).unwrap();
        assert_eq!(access.endpoint, "https://acct.blob.core.windows.net");
        assert_eq!(access.authorization, Authorization::Token);
    }

    #[test]
    fn the_signature_in_the_url_wins() {
        let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_KEY", "a2V5")]);
        let access = settings.access(Some(HOST), Some("sig=x")).unwrap();
        assert_eq!(access.authorization, Authorization::Sas(Secret::new("sig=x")));
    }

    #[test]
    fn a_key_is_used_for_its_own_account_only() {
        let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_KEY", "a2V5")]);
        let key = Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5"));
        assert_eq!(settings.access(Some(HOST), None).unwrap().authorization, key);
        assert_eq!(settings.access(None, None).unwrap().authorization, key);
        let other = settings.access(Some("other.blob.core.windows.net"), None).unwrap();
        assert_eq!(other.authorization, Authorization::Token);
    }

    #[test]
    fn a_signature_of_the_environment_goes_to_its_own_account_only() {
        let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_SAS_TOKEN", "sig=x")]);
        let other = settings.access(Some("other.blob.core.windows.net"), None).unwrap();
        assert_eq!(other.authorization, Authorization::Token);
    }

    #[test]
    fn a_connection_string_names_account_key_and_endpoint() {
        let text = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5PT0=;BlobEndpoint=http://127.0.0.1:1/acct;";
        let settings =
            settings(&[("AZURE_STORAGE_CONNECTION_STRING", text), ("AZURE_STORAGE_KEY", "b3RoZXI=")]);
        let access = settings.access(Some(HOST), None).unwrap();
        assert_eq!(access.endpoint, "http://127.0.0.1:1/acct");
        assert_eq!(
            access.authorization,
            Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5PT0="))
        );
    }

    #[test]
    fn development_storage_is_azurite() {
        let settings = settings(&[("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")]);
        assert_eq!(settings.access(None, None).unwrap().endpoint, DEVELOPMENT_ENDPOINT);
    }

    #[test]
    fn a_login_is_asked_for_by_the_auth_mode() {
        let settings = settings(&[
            ("AZURE_STORAGE_ACCOUNT", "acct"),
            ("AZURE_STORAGE_KEY", "a2V5"),
            ("AZURE_STORAGE_AUTH_MODE", "login"),
        ]);
        assert_eq!(settings.access(None, None).unwrap().authorization, Authorization::Token);
    }

    #[test]
    fn an_account_that_nobody_names_is_an_error_that_says_how() {
        let error = settings(&[]).access(None, None).unwrap_err().to_string();
        assert!(error.contains("AZURE_STORAGE_ACCOUNT") && error.contains("abfss://"), "{error}");
    }

    #[test]
    fn secrets_show_in_no_debug() {
        let settings = settings(&[
            ("AZURE_STORAGE_ACCOUNT", "acct"),
            ("AZURE_STORAGE_KEY", "aHVudGVy"),
            ("AZURE_STORAGE_SAS_TOKEN", "sig=aHVudGVy"),
        ]);
        let access = settings.access(None, None).unwrap();
        assert!(!format!("{settings:?} {access:?}").contains("aHVudGVy"));
    }
}

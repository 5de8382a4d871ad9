//! Secrets of a key vault, through Microsoft's own client.
//!
//! That client sends its first request without a token and learns from the refusal what to ask a token for. A vault's word is
//! believed only if it names the cloud's vaults or a domain above its own host: no token for anything else goes to it.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::Secret;
use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, Request, StatusCode, Url};
use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};

use crate::cloud::Cloud;
use crate::credential::{Identity, KnownSecrets};
use crate::transport::{Http, rejected};
use crate::{AzureError, AzureErrorKind};

/// The version of the service that is spoken by default.
pub const API_VERSION: &str = "7.4";

/// Key vaults of one cloud.
#[derive(Debug, Clone)]
pub struct KeyVault {
    cloud: Cloud,
    identity: Identity,
    http: Http,
    api_version: String,
    known: KnownSecrets,
}

impl KeyVault {
    /// The vaults of this cloud; see [`API_VERSION`]. Secrets that are read are told to `known`.
    pub fn new(
        cloud: Cloud,
        identity: Identity,
        http: Http,
        api_version: String,
        known: KnownSecrets,
    ) -> Self {
        Self { cloud, identity, http, api_version, known }
    }

    /// The address of a vault: its URL as it is, or its name in this cloud.
    pub fn address(&self, vault: &str) -> Result<Url, AzureError> {
        let text = if vault.contains("://") {
            vault.to_owned()
        } else if !vault.is_empty() && vault.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            format!("https://{vault}.{}", self.cloud.key_vault_suffix)
        } else {
            return Err(AzureError::settings(format!("{vault:?} is neither a key vault's name nor its URL")));
        };
        let url = Url::parse(&text)
            .map_err(|error| AzureError::settings(format!("{vault:?} is not a key vault's URL: {error}")))?;
        if matches!(url.scheme(), "http" | "https") {
            Ok(url)
        } else {
            Err(AzureError::settings(format!("{vault:?} is not a key vault's URL")))
        }
    }

    /// The value of a secret, of its newest version unless one is named.
    pub async fn secret(&self, vault: &Url, name: &str, version: Option<&str>) -> Result<Secret, AzureError> {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || !plain(name) || !version.is_none_or(plain) {
            return Err(AzureError::settings(format!("{name:?} is not the name of a secret")));
        }
        match self.read(vault, name, version).await {
            Err(error) if *error.kind() == AzureErrorKind::Unauthenticated && error.answer().is_some() => {
                self.renew().await?;
                self.read(vault, name, version).await
            }
            result => result,
        }
    }

    /// Has a refused token replaced.
    async fn renew(&self) -> Result<(), AzureError> {
        let scope = self.cloud.key_vault_scope();
        let token = self.identity.get_token(&[&scope], None).await?.token;
        self.identity.get_token(&[&scope], Some(rejected(&token))).await?;
        Ok(())
    }

    async fn read(&self, vault: &Url, name: &str, version: Option<&str>) -> Result<Secret, AzureError> {
        let (mut options, front) = self.http.official_options(vault);
        options
            .per_try_policies
            .insert(0, Arc::new(Challenge { audience: self.cloud.key_vault_audience.clone() }));
        let options = SecretClientOptions {
            api_version: self.api_version.clone(),
            client_options: options,
            // Checked by the policy, which also knows vaults that are elsewhere.
            verify_challenge_resource: Some(false),
        };
        let client = SecretClient::new(front.as_str(), self.identity.clone(), Some(options))?;
        let options =
            SecretClientGetSecretOptions { secret_version: version.map(str::to_owned), ..Default::default() };
        let answer = client.get_secret(name, Some(options)).await?.into_model()?;
        let value = answer.value.ok_or_else(|| AzureError::unexpected("the secret has no value"))?;
        self.known.add(&value);
        Ok(Secret::new(value))
    }
}

/// Reads what a vault wants a token for, and refuses what is none of its business. A vault that refuses without saying what
/// it wants is taken to want what all want.
#[derive(Debug)]
struct Challenge {
    audience: String,
}

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for Challenge {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        let response = first.send(ctx, request, rest).await?;
        if response.status() != StatusCode::Unauthorized {
            return Ok(response);
        }
        let wanted = response
            .headers()
            .get_optional_str(&HeaderName::from_static("www-authenticate"))
            .map_or_else(|| Some(self.audience.clone()), wanted_resource);
        let Some(wanted) = wanted.filter(|wanted| self.may_want(wanted, request.url())) else {
            let host = request.url().host_str().unwrap_or_default();
            let message =
                format!("the vault at {host} wants a token for something else than a vault; it gets none");
            return Err(azure_core::Error::with_message(ErrorKind::Other, message));
        };
        // In our own words, so that the client reads what was checked here.
        let (status, mut headers, body) = response.try_into_raw_response().await?.deconstruct();
        headers.insert("www-authenticate", format!("Bearer resource=\"{wanted}\""));
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

impl Challenge {
    fn may_want(&self, wanted: &str, vault: &Url) -> bool {
        if wanted == self.audience.trim_end_matches('/') {
            return true;
        }
        let host = Url::parse(wanted).ok().filter(|url| url.scheme() == "https");
        let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
        let above = vault.host_str().and_then(|vault| vault.strip_suffix(host));
        !host.is_empty() && host.contains('.') && above.is_some_and(|left| left.ends_with('.'))
    }
}

/// What a challenge, `Bearer authorization="…", resource="…"`, wants a token for, without `/.default`.
fn wanted_resource(challenge: &str) -> Option<String> {
    let parameters = challenge.trim().strip_prefix("Bearer ")?;
    let value = |name: &str| {
        parameters.split(',').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    };
    let wanted = value("resource").or_else(|| value("scope"))?;
    Some(wanted.trim_end_matches("/.default").trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;

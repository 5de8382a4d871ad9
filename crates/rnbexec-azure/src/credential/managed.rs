//! The identity that Azure gives to a machine: one question in three dialects.
//!
//! Source: "How to use managed identities on an Azure VM to acquire an access token", "REST endpoint reference" of App Service,
//! and for Azure ML `azure-identity` for Python, `azure_ml.py`. All three were checked against a server on loopback, not
//! against Azure.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;
use azure_core::http::{Context, Method, Pipeline, PipelineSendOptions, Request, Url};
use azure_core::time::OffsetDateTime;
use serde::Deserialize;
use serde_json::Value;

use super::{CredentialSettings, base_url};
use crate::AzureError;
use crate::transport::Http;

const METADATA: &str = "http://169.254.169.254";
const METADATA_PATH: &str = "metadata/identity/oauth2/token";

/// The metadata service says 404 while the identity comes up and 410 while the service is updated.
const PASSING: &[u16] = &[404, 410];

pub(super) struct ManagedIdentity {
    pipeline: Pipeline,
    endpoint: Url,
    api_version: &'static str,
    header: (&'static str, Secret),
    /// How the client is named in the question, and which.
    client: Option<(&'static str, String)>,
}

/// The answer; the numbers are strings in most versions of the endpoints.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_on: Option<Value>,
    expires_in: Option<Value>,
}

impl ManagedIdentity {
    /// That of App Service where its variables are set, else that of a virtual machine.
    pub(super) fn of(settings: &CredentialSettings, http: &Http) -> azure_core::Result<Self> {
        let client = settings.managed_client().map(|client| ("client_id", client.to_owned()));
        if let Some(endpoint) = &settings.identity_endpoint {
            let Some(header) = settings.identity_header.clone() else {
                return Err(azure_core::Error::with_message(
                    ErrorKind::Credential,
                    "IDENTITY_ENDPOINT is set and IDENTITY_HEADER is not (Azure Arc and Service Fabric are not supported)",
                ));
            };
            return Ok(Self {
                pipeline: http.pipeline(Vec::new(), &[]),
                endpoint: checked(base_url(endpoint, "IDENTITY_ENDPOINT"))?,
                api_version: "2019-08-01",
                header: ("x-identity-header", header),
                client,
            });
        }
        let base = settings.metadata_service.as_deref().unwrap_or(METADATA);
        let mut endpoint = checked(base_url(base, "AZURE_POD_IDENTITY_AUTHORITY_HOST"))?;
        if !endpoint.path().contains(METADATA_PATH) {
            endpoint.set_path(&format!("{}/{METADATA_PATH}", endpoint.path().trim_end_matches('/')));
        }
        Ok(Self {
            pipeline: http.pipeline(Vec::new(), PASSING),
            endpoint,
            api_version: "2018-02-01",
            header: ("metadata", Secret::new("true")),
            client,
        })
    }

    /// That of Azure ML compute.
    pub(super) fn azure_ml(settings: &CredentialSettings, http: &Http) -> azure_core::Result<Self> {
        let client = settings.msi_client.as_deref().or(settings.managed_client());
        Ok(Self {
            pipeline: http.pipeline(Vec::new(), &[]),
            endpoint: checked(base_url(
                settings.msi_endpoint.as_deref().unwrap_or_default(),
                "MSI_ENDPOINT",
            ))?,
            api_version: "2017-09-01",
            header: ("secret", settings.msi_secret.clone().unwrap_or_else(|| Secret::new(""))),
            client: client.map(|client| ("clientid", client.to_owned())),
        })
    }
}

fn checked(url: Result<Url, AzureError>) -> azure_core::Result<Url> {
    url.map_err(|error| azure_core::Error::with_message(ErrorKind::Credential, error.to_string()))
}

#[async_trait]
impl TokenCredential for ManagedIdentity {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().append_pair("api-version", self.api_version).append_pair("resource", resource);
        if let Some((name, client)) = &self.client {
            url.query_pairs_mut().append_pair(name, client);
        }
        let mut request = Request::new(url, Method::Get);
        let (name, value) = &self.header;
        request.insert_header(HeaderName::from_static(name), value.secret().to_owned());
        let asked = OffsetDateTime::now_utc();
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let response = self.pipeline.send(&Context::new(), &mut request, Some(options)).await?;
        if !response.status().is_success() {
            let error = AzureError::refused(&response);
            let message = error.answer().map(ToString::to_string).unwrap_or_default();
            let kind = ErrorKind::HttpResponse {
                status: response.status(),
                error_code: None,
                raw_response: Some(Box::new(response)),
            };
            return Err(azure_core::Error::with_message(kind, message));
        }
        // Not the parser's error: it could quote the token.
        let answer: Option<TokenAnswer> = serde_json::from_slice(response.body().as_ref()).ok();
        let token = answer.and_then(|answer| {
            let expires = answer.expiry(asked)?;
            Some(AccessToken::new(answer.access_token, expires))
        });
        token.ok_or_else(|| {
            azure_core::Error::with_message(
                ErrorKind::Credential,
                format!("{} answered with something else than a token and its time", self.endpoint),
            )
        })
    }
}

impl TokenAnswer {
    fn expiry(&self, asked: OffsetDateTime) -> Option<OffsetDateTime> {
        let number = |value: &Option<Value>| match value.as_ref()? {
            Value::Number(seconds) => seconds.as_i64(),
            Value::String(seconds) => seconds.trim().parse().ok(),
            _ => None,
        };
        let until = number(&self.expires_on).and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let lasts = || u64::try_from(number(&self.expires_in)?).ok().map(Duration::from_secs);
        until.or_else(|| asked.checked_add(lasts()?.try_into().ok()?))
    }
}

impl fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedIdentity").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

//! The chain: which source answers, and how long its tokens are good.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, Url};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use tokio::net::TcpStream;

use super::certificate::CertificateAssertion;
use super::command::Command;
use super::managed::ManagedIdentity;
use super::{CredentialSettings, Source, base_url};
use crate::AzureError;
use crate::error::presentable;
use crate::transport::{Http, Outages, Rejected};

/// Azure's metadata service answers at once or is not there; anywhere else this address is silence.
const METADATA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// A token is replaced this long before it expires; one that lives less than twice as long, when half its life is over.
const AHEAD: Duration = Duration::from_mins(5);

/// After a failed attempt to replace a token that is still good, it is used this long before the next.
const PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its variables are set: what it answers is final.
    Configured,
    /// It may be there; asking tells.
    Unknown,
    /// Its variables are not set: it is not asked.
    Absent,
}

const NONE: usize = usize::MAX;

pub(super) struct Chain {
    settings: CredentialSettings,
    http: Http,
    authority: Url,
    /// The sources that may be there.
    links: Vec<(Source, Presence)>,
    /// The source that answered last: it alone is asked from then on.
    last: AtomicUsize,
    slots: Mutex<HashMap<String, Slot>>,
}

/// The token of one scope. The lock is held while asking, so that many at once ask once.
type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

#[derive(Clone)]
struct Held {
    token: AccessToken,
    /// When to ask for the next one.
    renew: OffsetDateTime,
}

impl Chain {
    pub(super) fn new(settings: CredentialSettings, http: Http) -> Result<Self, AzureError> {
        let authority = settings.authority.as_deref().unwrap_or("https://login.microsoftonline.com");
        let authority = base_url(authority, "AZURE_AUTHORITY_HOST")?;
        let links = settings
            .order
            .iter()
            .map(|&source| (source, settings.presence(source)))
            .filter(|(_, presence)| *presence != Presence::Absent)
            .collect();
        let (last, slots) = (AtomicUsize::new(NONE), Mutex::default());
        Ok(Self { settings, http, authority, links, last, slots })
    }

    /// A new token from the first source that has one.
    async fn fetch(&self, scope: &str) -> azure_core::Result<AccessToken> {
        if let Some(link) = self.links.get(self.last.load(Ordering::Relaxed)) {
            return self.ask(*link, scope).await.map_err(|error| named(link.0, error));
        }
        let mut failures = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            match self.ask(*link, scope).await {
                Ok(token) => {
                    tracing::debug!(source = %link.0, "Azure identity found");
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(error) => {
                    let error = named(link.0, error);
                    failures.push(error.to_string());
                    if link.1 == Presence::Configured {
                        return Err(azure_core::Error::with_error(
                            ErrorKind::Credential,
                            error,
                            failures.join("; "),
                        ));
                    }
                }
            }
        }
        if failures.is_empty() {
            failures.push("no source is configured".to_owned());
        }
        Err(azure_core::Error::with_message(ErrorKind::Credential, failures.join("; ")))
    }

    async fn ask(
        &self,
        (source, presence): (Source, Presence),
        scope: &str,
    ) -> azure_core::Result<AccessToken> {
        if source == Source::ManagedIdentity && presence == Presence::Unknown && !metadata_answers().await {
            return Err(azure_core::Error::with_message(
                ErrorKind::Credential,
                "the metadata service does not answer (not a virtual machine of Azure)",
            ));
        }
        self.make(source).await?.get_token(&[scope], None).await
    }

    /// The credential of a source. It is made anew for each token: the chain keeps the tokens, a file that was replaced is
    /// read again, and a token that a service refused comes from no other cache.
    async fn make(&self, source: Source) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let settings = &self.settings;
        let tenant = settings.tenant.clone().unwrap_or_default();
        let client = settings.client.clone().unwrap_or_default();
        Ok(match source {
            Source::Environment => ClientSecretCredential::new(
                &tenant,
                client,
                settings.client_secret.clone().unwrap_or_else(|| Secret::new("")),
                Some(ClientSecretCredentialOptions { client_options: self.options() }),
            )?,
            Source::ClientCertificate => {
                let path = settings.client_certificate.clone().unwrap_or_default();
                let audience =
                    format!("{}/{tenant}/oauth2/v2.0/token", self.authority.as_str().trim_end_matches('/'));
                let assertion = CertificateAssertion {
                    key: super::certificate::read(&path).await?,
                    client: client.clone(),
                    audience,
                    send_certificate: settings.send_certificate,
                };
                let options = ClientAssertionCredentialOptions { client_options: self.options() };
                ClientAssertionCredential::new(tenant, client, assertion, Some(options))?
            }
            Source::WorkloadIdentity => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options: self.options() },
                    client_id: Some(client),
                    tenant_id: Some(tenant),
                    token_file_path: settings.federated_token_file.clone(),
                }))?
            }
            Source::AzureMl => Arc::new(ManagedIdentity::azure_ml(settings, &self.http)?),
            Source::ManagedIdentity => Arc::new(ManagedIdentity::of(settings, &self.http)?),
            Source::AzureCli => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                tenant_id: settings.command_tenant.clone(),
                executor: Some(Arc::new(Command { path: settings.path.clone() })),
                ..Default::default()
            }))?,
            Source::AzureDeveloperCli => {
                AzureDeveloperCliCredential::new(Some(AzureDeveloperCliCredentialOptions {
                    tenant_id: settings.command_tenant.clone(),
                    executor: Some(Arc::new(Command { path: settings.path.clone() })),
                }))?
            }
        })
    }

    fn options(&self) -> ClientOptions {
        let (mut options, front) = self.http.official_options(&self.authority);
        options.per_call_policies.insert(0, Arc::new(Outages));
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host = front.to_string();
        options.cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
        options
    }

    fn slot(&self, scope: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(scope.to_owned()).or_default())
    }
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let [scope] = scopes else {
            let message = "exactly one scope can be asked for";
            return Err(azure_core::Error::with_message(ErrorKind::Credential, message));
        };
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        let rejected =
            options.as_ref().and_then(|options| options.method_options.context.value::<Rejected>());
        let now = OffsetDateTime::now_utc();
        // Whoever had the lock before may have replaced the refused token already.
        let held =
            slot.take().filter(|held| rejected.is_none_or(|Rejected(token)| held.token.token != *token));
        if let Some(held) = held.as_ref().filter(|held| now < held.renew) {
            *slot = Some(held.clone());
            return Ok(held.token.clone());
        }
        let token = match (self.fetch(scope).await, held) {
            (Ok(token), _) => {
                self.settings.known.add_token(&token);
                *slot = Some(Held { renew: renewal(now, token.expires_on), token: token.clone() });
                token
            }
            (Err(error), Some(held)) if now < held.token.expires_on => {
                tracing::warn!(%error, "an Azure token could not be replaced; using it while it is good");
                *slot = Some(Held { renew: now + PAUSE, ..held.clone() });
                held.token
            }
            (Err(error), _) => return Err(error),
        };
        Ok(token)
    }
}

/// When a token that is got `now` shall be replaced.
fn renewal(now: OffsetDateTime, expires: OffsetDateTime) -> OffsetDateTime {
    (expires - AHEAD).max(now + (expires - now) / 2)
}

/// The error of a source, with its name before it, in one line.
fn named(source: Source, error: azure_core::Error) -> azure_core::Error {
    let message = format!("{source}: {}", presentable(&error.to_string()));
    azure_core::Error::with_error(ErrorKind::Credential, error, message)
}

async fn metadata_answers() -> bool {
    matches!(tokio::time::timeout(METADATA_TIMEOUT, TcpStream::connect(METADATA)).await, Ok(Ok(_)))
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, answer};

    #[tokio::test]
    async fn a_token_that_is_still_good_is_used_while_it_cannot_be_replaced() {
        let server = Server::start(|_| Some(answer(503, ""))).await;
        let settings = CredentialSettings::from_variables(|_| None).with_metadata_service(&server.url);
        let chain = Chain::new(settings, Http::once().expect("it can be made")).expect("it can be made");
        let token =
            |scope: &'static str| async { chain.get_token(&[scope], None).await.map(|token| token.token) };
        let now = OffsetDateTime::now_utc();
        for (scope, expires) in
            [("good", now + Duration::from_hours(1)), ("old", now - Duration::from_secs(1))]
        {
            let held = Held { token: AccessToken::new(scope.to_owned(), expires), renew: now };
            *chain.slot(scope).lock().await = Some(held);
        }
        assert_eq!(token("good").await.expect("it is good"), Secret::new("good"));
        assert_eq!(token("good").await.expect("it is good"), Secret::new("good"));
        assert_eq!(server.asked().len(), 1, "the second time it is too early to ask again");
        assert!(token("old").await.is_err());
    }

    #[test]
    fn a_token_is_replaced_five_minutes_ahead_and_a_short_one_after_half_its_life() {
        let now = OffsetDateTime::now_utc();
        let hour = now + Duration::from_hours(1);
        assert_eq!(renewal(now, hour), hour - Duration::from_mins(5));
        assert_eq!(renewal(now, now + Duration::from_mins(2)), now + Duration::from_mins(1));
        assert!(renewal(now, now - Duration::from_mins(2)) <= now);
    }
}

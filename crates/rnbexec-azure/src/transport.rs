//! How requests get to Azure and back: connections, certificates, retries, tokens, and what is logged.
//!
//! One stack for Microsoft's clients and ours: `azure_core`'s pipeline over one HTTP client with time limits, with policies of
//! our own. A call is tried again after 408, 429, 500, 502, 503, 504 and when no answer came; everything asked for here may be
//! asked twice (reads, and writes that replace). Tokens and bodies are never logged.

mod policies;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Pipeline, Request, RetryOptions, Transport, Url,
    policies::Policy,
};

use crate::AzureError;
pub(crate) use policies::{Bearer, Outages, Rejected, Unheard, rejected, retry_after};
use policies::{Journal, Retries};

/// A service that does not take a connection in this time is not available.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A service that sends nothing for this long has gone away.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

/// When a call is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is tried in all. 1: never again.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each one, less a random part of up to a half.
    pub first_wait: Duration,
    /// No pause of our own is longer.
    pub longest_wait: Duration,
    /// A service that wants us to wait longer than this is not waited for: the call fails as
    /// [`Unavailable`](crate::AzureErrorKind::Unavailable), which says for how long.
    pub longest_retry_after: Duration,
    /// The whole call with all attempts and pauses takes no longer.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(800),
            longest_wait: Duration::from_secs(30),
            longest_retry_after: Duration::from_mins(2),
            total: Duration::from_mins(5),
        }
    }
}

/// The settings of an [`Http`].
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// Certificates of authorities that are trusted beside the system's, each a PEM text of one or more.
    pub ca_certificates: Vec<Vec<u8>>,
    /// When a call is tried again.
    pub retry: RetryPolicy,
}

/// The way to all services: one pool of connections. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Http {
    wire: Arc<Wire>,
    retry: Option<RetryPolicy>,
}

impl Http {
    /// Fails when a certificate is none.
    pub fn new(settings: &HttpSettings) -> Result<Self, AzureError> {
        Ok(Self { wire: Arc::new(Wire::new(settings)?), retry: Some(settings.retry) })
    }

    /// Without retries: for callers that try again themselves.
    pub(crate) fn once() -> Result<Self, AzureError> {
        Ok(Self { wire: Arc::new(Wire::new(&HttpSettings::default())?), retry: None })
    }

    /// Options that every client starts from: our transport and our retries instead of its own.
    pub(crate) fn client_options(&self) -> ClientOptions {
        self.options(self.wire.clone(), &[])
    }

    /// Options for one of Microsoft's clients that shall speak to `endpoint`, and the URL to give to it.
    ///
    /// Those clients refuse to send tokens over plain HTTP, and some drop the endpoint's path. An endpoint that somebody
    /// configured as `http://` or below a path is given to them as an `https://` one at the root of its host; the transport
    /// puts requests to it right again.
    pub(crate) fn official_options(&self, endpoint: &Url) -> (ClientOptions, Url) {
        match Rebase::of(endpoint) {
            None => (self.client_options(), endpoint.clone()),
            Some((front, rebase)) => {
                let wire = Rebased { wire: self.wire.clone(), rebase };
                (self.options(Arc::new(wire), &[]), front)
            }
        }
    }

    /// A pipeline of ours: retries, these policies for each attempt, the journal, the wire. `also` are further statuses to
    /// try again after.
    pub(crate) fn pipeline(&self, per_try: Vec<Arc<dyn Policy>>, also: &'static [u16]) -> Pipeline {
        Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            self.options(self.wire.clone(), also),
            Vec::new(),
            per_try,
            None,
        )
    }

    fn options(&self, wire: Arc<dyn HttpClient>, also: &'static [u16]) -> ClientOptions {
        let mut options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(wire)),
            ..ClientOptions::default()
        };
        if let Some(policy) = self.retry {
            options.per_call_policies.push(Arc::new(Retries { policy, also }));
        }
        options.per_try_policies.push(Arc::new(Journal));
        options
    }
}

/// Options for clients whose callers try again themselves.
pub(crate) fn client_options() -> Result<ClientOptions, AzureError> {
    Ok(Http::once()?.client_options())
}

/// The HTTP clients: the metadata service and this machine itself are never asked through a proxy.
struct Wire {
    proxied: reqwest::Client,
    direct: reqwest::Client,
}

impl Wire {
    fn new(settings: &HttpSettings) -> Result<Self, AzureError> {
        let mut authorities = Vec::new();
        for pem in &settings.ca_certificates {
            let bundle = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
                AzureError::settings(format!("the CA certificates cannot be read: {error}"))
            })?;
            if bundle.is_empty() {
                return Err(AzureError::settings("a file of CA certificates holds none"));
            }
            authorities.extend(bundle);
        }
        let builder = || {
            let builder = reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(SILENCE_TIMEOUT)
                .referer(false)
                // A redirect would carry secrets to wherever it says.
                .redirect(reqwest::redirect::Policy::none())
                // A blob is read in ranges, which make sense only for the bytes as they are stored.
                .no_gzip()
                .no_deflate()
                .no_brotli()
                .no_zstd();
            if authorities.is_empty() {
                builder
            } else {
                builder.tls_certs_merge(authorities.iter().cloned())
            }
        };
        let made = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| AzureError::settings(format!("no HTTP client can be made: {error}")))
        };
        Ok(Self { proxied: made(builder())?, direct: made(builder().no_proxy())? })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let client = if is_near(request.url()) { &self.direct } else { &self.proxied };
        client.execute_request(request).await
    }
}

/// Whether a host is this machine or its metadata service.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    match address {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Sends what is meant for `front` to the configured endpoint behind it.
#[derive(Debug)]
struct Rebased {
    wire: Arc<Wire>,
    rebase: Rebase,
}

#[async_trait]
impl HttpClient for Rebased {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Some(url) = self.rebase.behind(request.url()) else {
            return self.wire.execute_request(request).await;
        };
        let mut request = request.clone();
        *request.url_mut() = url;
        self.wire.execute_request(&request).await
    }
}

#[derive(Debug)]
struct Rebase {
    front: Url,
    endpoint: Url,
}

impl Rebase {
    /// The URL to show in front of `endpoint`, where one is needed.
    fn of(endpoint: &Url) -> Option<(Url, Self)> {
        if endpoint.scheme() == "https" && endpoint.path() == "/" {
            return None;
        }
        let port = endpoint.port_or_known_default();
        let mut front = endpoint.clone();
        front.set_scheme("https").ok()?;
        front.set_port(port).ok()?;
        front.set_path("/");
        Some((front.clone(), Self { front, endpoint: endpoint.clone() }))
    }

    fn behind(&self, url: &Url) -> Option<Url> {
        if url.origin() != self.front.origin() {
            return None;
        }
        let mut behind = self.endpoint.clone();
        behind.set_path(&format!("{}{}", self.endpoint.path().trim_end_matches('/'), url.path()));
        behind.set_query(url.query());
        Some(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn microsofts_clients_see_https_and_the_wire_sees_what_was_configured() {
        let (front, rebase) = Rebase::of(&url("http://127.0.0.1:8080/login/")).expect("it is not https");
        assert_eq!(front.as_str(), "https://127.0.0.1:8080/");
        let asked = url("https://127.0.0.1:8080/tenant/oauth2/v2.0/token?a=b%20c");
        let behind = rebase.behind(&asked).expect("the same host");
        assert_eq!(behind.as_str(), "http://127.0.0.1:8080/login/tenant/oauth2/v2.0/token?a=b%20c");
        assert_eq!(rebase.behind(&url("https://127.0.0.1:8081/x")), None);
        let (front, _) = Rebase::of(&url("http://sim")).expect("it is not https");
        assert_eq!(front.as_str(), "https://sim:80/");
        assert!(Rebase::of(&url("https://login.microsoftonline.com")).is_none());
    }

    #[test]
    fn this_machine_and_its_metadata_service_are_not_asked_through_a_proxy() {
        for near in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
            "http://a.localhost",
            "http://169.254.169.254",
        ] {
            assert!(is_near(&url(near)), "{near}");
        }
        for far in ["https://management.azure.com", "http://10.0.0.1", "http://127.0.0.1.evil.test"] {
            assert!(!is_near(&url(far)), "{far}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_an_error() {
        let settings = HttpSettings { ca_certificates: vec![b"nothing".to_vec()], ..HttpSettings::default() };
        assert!(Http::new(&settings).is_err());
    }
}

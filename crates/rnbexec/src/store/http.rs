//! `http://` and `https://`: GET to read, PUT to write.
//!
//! As papermill asks (`Accept: application/json`), but the status is looked at: a 404 is an error and not a notebook. User
//! and password of the URL become basic authentication; redirects are followed, without credentials to another host.
//! Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, certificates from the system (or `SSL_CERT_FILE`).

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};

use super::redact::{scrub, secrets_of};
use super::{Action, Durability, Location, Store, StoreError, StoreErrorKind, joined};

/// A host that does not take a connection in this time is not available.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that sends nothing for this long has gone away. There is no limit on the whole: notebooks may be large.
///
/// The client's own `read_timeout` is not used for it: that runs while the request is still on its way up.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

/// In bytes a second: a server that takes less is as good as none.
const SLOWEST_UPLOAD: u64 = 16 << 10;

/// URLs as a store.
#[derive(Debug)]
pub(super) struct HttpStore {
    reading: LazyClient,
    writing: LazyClient,
}

impl Default for HttpStore {
    fn default() -> Self {
        Self { reading: LazyClient::new(Redirects::Follow), writing: LazyClient::new(Redirects::KeepMethod) }
    }
}

/// A client that is made on first use: reading the system's certificates costs more than starting this program.
#[derive(Debug, Default)]
pub(super) struct LazyClient {
    client: OnceLock<Client>,
    redirects: Redirects,
}

/// Whether an answer that points elsewhere is followed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Redirects {
    #[default]
    Follow,
    /// As long as the request stays what it is: 303 makes a question of an upload, whose answer says nothing of it.
    KeepMethod,
    /// A signed request is valid for one host only: whoever signs looks at redirects itself.
    #[cfg(feature = "s3")]
    Return,
}

impl LazyClient {
    pub(super) fn new(redirects: Redirects) -> Self {
        Self { client: OnceLock::new(), redirects }
    }

    pub(super) fn get(&self, action: Action, location: &Location) -> Result<&Client, StoreError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let redirects = match self.redirects {
            Redirects::Follow => Policy::default(),
            Redirects::KeepMethod => Policy::custom(|attempt| {
                if attempt.status() == StatusCode::SEE_OTHER {
                    return attempt.stop();
                }
                Policy::default().redirect(attempt)
            }),
            #[cfg(feature = "s3")]
            Redirects::Return => Policy::none(),
        };
        let client = Client::builder()
            .redirect(redirects)
            .user_agent(concat!("rnbexec/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A referer would carry the tokens of a URL's query to wherever it redirects.
            .referer(false)
            .build()
            .map_err(|error| {
                let problem = "no HTTP client can be made".to_owned();
                StoreError::new(action, location, StoreErrorKind::Other { problem })
                    .caused_by(location, &error)
            })?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl Store for HttpStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let url = url_of(Action::Read, location)?;
        let request =
            self.reading.get(Action::Read, location)?.get(url).header(header::ACCEPT, "application/json");
        let response = send(Action::Read, location, request).await?;
        if !response.status().is_success() {
            return Err(refused(Action::Read, location, response).await);
        }
        body(Action::Read, location, response).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let url = url_of(Action::Write, location)?;
        let request = self
            .writing
            .get(Action::Write, location)?
            .put(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(joined(parts));
        let response = send(Action::Write, location, request).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(refused(Action::Write, location, response).await)
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        Err(StoreError::new(Action::List, location, StoreErrorKind::NotListable))
    }
}

pub(super) async fn send(
    action: Action,
    location: &Location,
    request: RequestBuilder,
) -> Result<Response, StoreError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| from_reqwest(action, location, error))?;
    answer(action, location, &client, request).await
}

/// Sends a request that was made, and perhaps signed, elsewhere.
#[cfg(feature = "reqsign")]
pub(super) async fn execute(
    action: Action,
    location: &Location,
    client: &Client,
    request: http::Request<Bytes>,
) -> Result<Response, StoreError> {
    let request =
        reqwest::Request::try_from(request).map_err(|error| from_reqwest(action, location, error))?;
    answer(action, location, client, request).await
}

async fn answer(
    action: Action,
    location: &Location,
    client: &Client,
    request: reqwest::Request,
) -> Result<Response, StoreError> {
    let length = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
    within(patience(length), action, location, client.execute(request)).await
}

/// How long the answer to a request with a body of so many bytes is waited for.
fn patience(length: usize) -> Duration {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    SILENCE_TIMEOUT + Duration::from_secs(length / SLOWEST_UPLOAD)
}

async fn within<T>(
    time: Duration,
    action: Action,
    location: &Location,
    work: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done.map_err(|error| from_reqwest(action, location, error)),
        Err(elapsed) => {
            let kind = StoreErrorKind::Unavailable { retry_after: None };
            Err(StoreError::new(action, location, kind).caused_by(location, &elapsed))
        }
    }
}

pub(super) async fn body(
    action: Action,
    location: &Location,
    mut response: Response,
) -> Result<Bytes, StoreError> {
    let mut body = Vec::new();
    while let Some(chunk) = within(SILENCE_TIMEOUT, action, location, response.chunk()).await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The error that an answer with a status of failure means.
pub(super) async fn refused(action: Action, location: &Location, response: Response) -> StoreError {
    let status = response.status();
    let retry_after = retry_after(&response);
    // Where it was sent on to may be a signed URL.
    let secrets = secrets_of(response.url().as_str());
    // What the server says is often the only explanation; a page of HTML is none.
    let said = body(action, location, response).await.unwrap_or_default();
    let said = scrub(&explanation(&String::from_utf8_lossy(&said)), &secrets);
    let kind = kind_of(action, status, retry_after);
    StoreError::new(action, location, kind).caused_by(location, &Answer { status, said })
}

fn kind_of(action: Action, status: StatusCode, retry_after: Option<Duration>) -> StoreErrorKind {
    match status.as_u16() {
        401 | 407 => StoreErrorKind::Unauthenticated {
            hint: "put user and password into the URL (https://user:password@host/…) or use a signed URL"
                .to_owned(),
        },
        403 => StoreErrorKind::PermissionDenied,
        404 | 410 if action != Action::Write => StoreErrorKind::NotFound,
        300..=399 if action == Action::Write => StoreErrorKind::NotWritable {
            reason: "the server points elsewhere instead of taking it (a login, perhaps)".to_owned(),
        },
        405 | 501 if action == Action::Write => {
            StoreErrorKind::NotWritable { reason: "the server takes no PUT here".to_owned() }
        }
        408 | 425 | 429 | 500 | 502..=504 => StoreErrorKind::Unavailable { retry_after },
        413 | 507 => StoreErrorKind::NoSpace,
        _ => StoreErrorKind::Other { problem: format!("the server answered {status}") },
    }
}

/// The seconds of a `Retry-After`. Its date form is rare, and a date means the ordinary backoff.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of what a server said, on one line; empty for a page of HTML.
fn explanation(said: &str) -> String {
    let said = said.trim();
    if said.starts_with('<') && said.get(..200).unwrap_or(said).to_ascii_lowercase().contains("html") {
        return String::new();
    }
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}{}{said}", if said.is_empty() { "" } else { ": " })]
struct Answer {
    status: StatusCode,
    said: String,
}

fn from_reqwest(action: Action, location: &Location, error: reqwest::Error) -> StoreError {
    let kind = if error.is_builder() {
        StoreErrorKind::InvalidLocation { problem: "not a valid URL".to_owned() }
    } else if error.is_redirect() {
        StoreErrorKind::Other { problem: "too many redirects".to_owned() }
    } else {
        // No connection, a timeout, or an answer that broke off.
        StoreErrorKind::Unavailable { retry_after: None }
    };
    // The message of the client repeats the URL; the location stands in ours.
    StoreError::new(action, location, kind).caused_by(location, &error.without_url())
}

fn url_of(action: Action, location: &Location) -> Result<url::Url, StoreError> {
    match location {
        Location::Http(at) => Ok(at.reveal().clone()),
        other => Err(StoreError::new(
            action,
            other,
            StoreErrorKind::InvalidLocation { problem: "it is not a URL".to_owned() },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_the_caller_can_do() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        let kind = |action, code| kind_of(action, status(code), None);
        assert!(matches!(kind(Action::Read, 401), StoreErrorKind::Unauthenticated { .. }));
        assert_eq!(kind(Action::Read, 404), StoreErrorKind::NotFound);
        assert_eq!(kind(Action::Write, 403), StoreErrorKind::PermissionDenied);
        assert!(matches!(kind(Action::Write, 405), StoreErrorKind::NotWritable { .. }));
        assert!(matches!(kind(Action::Write, 503), StoreErrorKind::Unavailable { .. }));
        assert_eq!(kind(Action::Write, 507), StoreErrorKind::NoSpace);
        assert!(matches!(kind(Action::Read, 418), StoreErrorKind::Other { .. }));
    }

    #[test]
    fn a_large_notebook_may_take_long_on_its_way_up_and_silence_may_not() {
        assert_eq!(patience(0), Duration::from_mins(1));
        assert!(patience(200_000_000) > Duration::from_hours(3));
        assert_eq!(patience(10_000), Duration::from_mins(1), "a byte a second is given up");
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_not_available() {
        let silent = std::future::pending::<reqwest::Result<()>>();
        let error = within(Duration::ZERO, Action::Write, &Location::Stdio, silent).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }

    #[test]
    fn a_page_of_html_is_no_explanation() {
        assert_eq!(explanation("<!DOCTYPE html><html>…"), "");
        assert_eq!(
            explanation(" <Error><Code>NoSuchKey</Code>\n</Error>"),
            "<Error><Code>NoSuchKey</Code> </Error>"
        );
    }
}

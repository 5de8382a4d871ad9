//! What happens to each call and to each attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{ClientMethodOptions, Context, Request, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

use super::RetryPolicy;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");

/// Whether some attempt of a call may have done what it asked for without our hearing of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unheard(Arc<AtomicBool>);

impl Unheard {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(ctx: &Context<'_>) {
        if let Some(Self(unheard)) = ctx.value() {
            unheard.store(true, Ordering::Relaxed);
        }
    }
}

/// Tries a call again, within bounds.
#[derive(Debug)]
pub(crate) struct Retries {
    pub(crate) policy: RetryPolicy,
    /// Statuses beside the usual ones.
    pub(crate) also: &'static [u16],
}

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for Retries {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let left = self.policy.total.saturating_sub(started.elapsed());
            let Ok(result) = timeout(left, first.send(ctx, request, rest)).await else {
                Unheard::note(ctx);
                let message = format!("no answer within {:?}", self.policy.total);
                return Err(azure_core::Error::with_message(ErrorKind::Io, message));
            };
            let failure = match &result {
                Ok(response) => Failure::Answer(response.status().into(), retry_after(response.headers())),
                Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Io) => {
                    Failure::NoAnswer
                }
                Err(_) => return result,
            };
            // The others say that nothing was done.
            if matches!(failure, Failure::NoAnswer | Failure::Answer(500 | 502 | 504, _)) {
                Unheard::note(ctx);
            }
            let left = self.policy.total.saturating_sub(started.elapsed());
            let Some(pause) = self.pause(failure, attempt, fastrand::f64()).filter(|pause| *pause < left)
            else {
                return result;
            };
            tracing::debug!(attempt, ?failure, ?pause, "trying again");
            sleep(pause).await;
            request.body_mut().reset().await?;
            attempt += 1;
        }
    }
}

/// Why an attempt may have to be made again.
#[derive(Debug, Clone, Copy)]
enum Failure {
    NoAnswer,
    /// The status, and how long the service asked us to wait.
    Answer(u16, Option<Duration>),
}

impl Retries {
    /// How long to wait before the next attempt, or `None` if this was the last. `chance` is in 0..1.
    fn pause(&self, failure: Failure, attempt: u32, chance: f64) -> Option<Duration> {
        let policy = &self.policy;
        if attempt >= policy.attempts {
            return None;
        }
        let doubled = policy.first_wait.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let own = doubled.min(policy.longest_wait).mul_f64(1.0 - chance / 2.0);
        match failure {
            Failure::NoAnswer => Some(own),
            Failure::Answer(status, wanted)
                if matches!(status, 408 | 429 | 500 | 502..=504) || self.also.contains(&status) =>
            {
                let wanted = wanted.unwrap_or_default();
                (wanted <= policy.longest_retry_after).then(|| own.max(wanted))
            }
            Failure::Answer(..) => None,
        }
    }
}

/// Makes an error of an answer that says that the service is not available, for clients that look into its body only.
#[derive(Debug)]
pub(crate) struct Outages;

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for Outages {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        let response = first.send(ctx, request, rest).await?;
        let status = response.status();
        if !matches!(u16::from(status), 408 | 429 | 500 | 502..=504) {
            return Ok(response);
        }
        let raw_response = Some(Box::new(response.try_into_raw_response().await?));
        let kind = ErrorKind::HttpResponse { status, error_code: None, raw_response };
        Err(azure_core::Error::with_message(kind, format!("the service is not available: {status}")))
    }
}

/// How long the service asks us to wait: seconds, or milliseconds in the headers that Azure has beside the standard one, or a
/// date.
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    for name in ["x-ms-retry-after-ms", "retry-after-ms"] {
        if let Some(text) = headers.get_optional_str(&HeaderName::from_static(name)) {
            return text.trim().parse().ok().map(Duration::from_millis);
        }
    }
    let text = headers.get_optional_str(&HeaderName::from_static("retry-after"))?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let left = until.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Lets requests in with a token of the identity, and only at the host that the token is for. A token that is refused with
/// 401 is replaced once.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) identity: Arc<dyn TokenCredential>,
    pub(crate) scope: String,
    pub(crate) endpoint: Url,
}

/// Says to the identity that its token was refused, through the options of `get_token`.
#[derive(Debug)]
pub(crate) struct Rejected(pub(crate) Secret);

/// Options that ask for another token than this one.
pub(crate) fn rejected(token: &Secret) -> TokenRequestOptions<'static> {
    let context = Context::new().with_value(Rejected(token.clone()));
    TokenRequestOptions { method_options: ClientMethodOptions { context } }
}

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for Bearer {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        if request.url().origin() != self.endpoint.origin() {
            return Err(azure_core::Error::with_message(
                ErrorKind::Other,
                format!("no token of {} goes to another host", self.endpoint),
            ));
        }
        let token = self.token(None).await?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        let response = first.send(ctx, request, rest).await?;
        if response.status() != StatusCode::Unauthorized {
            return Ok(response);
        }
        let fresh = self.token(Some(&token)).await?;
        if fresh == token {
            return Ok(response);
        }
        tracing::debug!("the token was refused; trying once with a new one");
        request.insert_header(AUTHORIZATION, format!("Bearer {}", fresh.secret()));
        request.body_mut().reset().await?;
        first.send(ctx, request, rest).await
    }
}

impl Bearer {
    async fn token(&self, refused: Option<&Secret>) -> azure_core::Result<Secret> {
        match self.identity.get_token(&[&self.scope], refused.map(rejected)).await {
            Ok(token) => Ok(token.token),
            // Of this kind whatever it was, so that the call is not tried again on top of the identity's own attempts.
            Err(error) => {
                let message = error.to_string();
                Err(azure_core::Error::with_error(ErrorKind::Credential, error, message))
            }
        }
    }
}

/// Writes one line per attempt: what was asked, what came back, and the ids under which Azure's support finds it.
#[derive(Debug)]
pub(crate) struct Journal;

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for Journal {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        let started = Instant::now();
        let result = first.send(ctx, request, rest).await;
        let method = request.method();
        // Not the query: it may hold a signature.
        let (host, path) = (request.url().host_str().unwrap_or_default(), request.url().path());
        let took = started.elapsed();
        match &result {
            Ok(response) => {
                let header = |name| response.headers().get_optional_str(name).unwrap_or_default();
                tracing::debug!(
                    %method, host, path, status = u16::from(response.status()), ?took,
                    request_id = header(&REQUEST_ID), correlation_id = header(&CORRELATION_ID), "asked Azure"
                );
            }
            Err(error) => {
                tracing::debug!(%method, host, path, ?took, kind = %error.kind(), "Azure did not answer");
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(3),
        longest_retry_after: Duration::from_mins(1),
        total: Duration::from_mins(5),
    };
    const RETRIES: Retries = Retries { policy: POLICY, also: &[404] };

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_a_limit_less_a_random_half() {
        let pauses = |chance| [1, 2, 3, 4].map(|attempt| RETRIES.pause(Failure::NoAnswer, attempt, chance));
        assert_eq!(pauses(0.0), [1, 2, 3, 0].map(|pause| (pause > 0).then(|| secs(pause))));
        assert_eq!(RETRIES.pause(Failure::NoAnswer, 2, 1.0), Some(secs(1)));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504, 404] {
            assert!(RETRIES.pause(Failure::Answer(status, None), 1, 0.0).is_some(), "{status}");
        }
        for status in [200, 400, 401, 403, 409, 412, 501] {
            assert_eq!(RETRIES.pause(Failure::Answer(status, None), 1, 0.0), None, "{status}");
        }
    }

    #[test]
    fn the_service_says_how_long_to_wait_up_to_a_limit() {
        assert_eq!(RETRIES.pause(Failure::Answer(429, Some(secs(20))), 1, 0.0), Some(secs(20)));
        assert_eq!(RETRIES.pause(Failure::Answer(429, Some(secs(0))), 1, 0.0), Some(secs(1)));
        assert_eq!(RETRIES.pause(Failure::Answer(429, Some(secs(61))), 1, 0.0), None);
    }

    #[test]
    fn the_time_to_wait_is_read_in_each_of_its_forms() {
        let read = |name: &'static str, value: &'static str| {
            let mut headers = Headers::new();
            headers.insert(name, value);
            retry_after(&headers)
        };
        assert_eq!(read("retry-after", " 17 "), Some(secs(17)));
        assert_eq!(read("x-ms-retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(read("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT") > Some(secs(1_000_000)));
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "-1"), None);
    }
}

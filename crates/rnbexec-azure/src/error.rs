//! What can go wrong with Azure, by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::{HeaderName, Headers};
use serde::Deserialize;

use crate::storage::xml::Element;
use crate::transport::{Unheard, retry_after};

/// An Azure service, or the way to it, failed. The source is the library's own error; it may name the URL, with the
/// signature in it: whoever shows it must take the secrets out.
#[derive(Debug)]
pub struct AzureError {
    kind: AzureErrorKind,
    answer: Option<Box<ServiceAnswer>>,
    source: Option<Box<azure_core::Error>>,
    may_be_done: bool,
}

/// Why, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureErrorKind {
    /// What was asked for does not exist.
    #[error("not found")]
    NotFound,
    /// The identity is known and may not do this.
    #[error("permission denied")]
    PermissionDenied,
    /// No identity, or one that the service does not accept.
    #[error("not authenticated")]
    Unauthenticated,
    /// Somebody else changed it meanwhile, or it is already there: read it again and decide anew.
    #[error("changed meanwhile")]
    Conflict,
    /// The service is busy, unreachable or failing: try again.
    #[error("not available")]
    Unavailable {
        /// How long the service asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The settings contradict each other or are incomplete.
    #[error("{problem}")]
    Settings {
        /// What is wrong with them.
        problem: String,
    },
    /// Anything else.
    #[error("unexpected answer")]
    Other,
}

/// What the service said when it refused. The texts are the service's: shortened, without control characters and without
/// what looks like a token or a signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The service's own code: `AuthorizationFailed`.
    pub code: Option<String>,
    /// The service's message to people.
    pub message: Option<String>,
    /// `x-ms-request-id`, under which support finds the request.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id`, under which Resource Manager finds it.
    pub correlation_id: Option<String>,
}

impl AzureError {
    /// Why.
    pub fn kind(&self) -> &AzureErrorKind {
        &self.kind
    }

    /// What the service answered, if it did.
    pub fn answer(&self) -> Option<&ServiceAnswer> {
        self.answer.as_deref()
    }

    /// Whether what was asked for may be done all the same: to this attempt or an earlier one no answer came, or one that does
    /// not say.
    pub fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// The same, of a call whose attempts went so.
    pub(crate) fn after(mut self, unheard: &Unheard) -> Self {
        self.may_be_done |= unheard.get();
        self
    }

    pub(crate) fn settings(problem: impl Into<String>) -> Self {
        Self {
            kind: AzureErrorKind::Settings { problem: problem.into() },
            answer: None,
            source: None,
            may_be_done: false,
        }
    }

    /// An answer that is no error of the service and still not what was asked for.
    pub(crate) fn unexpected(problem: impl Into<String>) -> Self {
        let source = azure_core::Error::with_message(ErrorKind::DataConversion, problem.into());
        Self { kind: AzureErrorKind::Other, answer: None, source: Some(Box::new(source)), may_be_done: false }
    }

    /// For a caller to whom a conflict means no more than to try again.
    pub(crate) fn conflict_is_passing(mut self) -> Self {
        if self.kind == AzureErrorKind::Conflict {
            self.kind = AzureErrorKind::Unavailable { retry_after: None };
        }
        self
    }

    /// The same for a second question that it answers too, without its source.
    pub(crate) fn again(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            answer: self.answer.clone(),
            source: None,
            may_be_done: self.may_be_done,
        }
    }

    /// The service refused.
    pub(crate) fn refused(response: &RawResponse) -> Self {
        let answer = ServiceAnswer::read(response.status().into(), response.headers(), response.body());
        let kind = kind_of(answer.status, answer.code.as_deref(), retry_after(response.headers()));
        Self { kind, answer: Some(Box::new(answer)), source: None, may_be_done: false }
    }
}

impl fmt::Display for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        self.answer.as_ref().map_or(Ok(()), |answer| write!(f, ": {answer}"))
    }
}

impl fmt::Display for ServiceAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, " (request {id})"))
    }
}

impl std::error::Error for AzureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<azure_core::Error> for AzureError {
    fn from(error: azure_core::Error) -> Self {
        let mut answer = None;
        let kind = match error.kind() {
            ErrorKind::HttpResponse { status, error_code, raw_response } => {
                let mut said = raw_response.as_ref().map_or_else(ServiceAnswer::default, |response| {
                    ServiceAnswer::read((*status).into(), response.headers(), response.body())
                });
                said.status = (*status).into();
                // Where a body is not JSON, the library takes the status for the code.
                let code = error_code.as_deref().filter(|code| *code != status.to_string());
                said.code = said.code.or_else(|| code.map(presentable));
                let retry_after = raw_response.as_ref().and_then(|response| retry_after(response.headers()));
                let kind = kind_of(said.status, said.code.as_deref(), retry_after);
                answer = Some(Box::new(said));
                kind
            }
            ErrorKind::Credential => kind_without_identity(&error),
            ErrorKind::Connection | ErrorKind::Io => AzureErrorKind::Unavailable { retry_after: None },
            _ => AzureErrorKind::Other,
        };
        // Also one that breaks off is an answer that was not heard.
        let may_be_done = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Io);
        Self { kind, answer, source: Some(Box::new(error)), may_be_done }
    }
}

/// Whether no identity was given, or the service that gives it was out of reach.
fn kind_without_identity(error: &azure_core::Error) -> AzureErrorKind {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind) {
            Some(ErrorKind::Connection | ErrorKind::Io) => {
                return AzureErrorKind::Unavailable { retry_after: None };
            }
            Some(ErrorKind::HttpResponse { status, raw_response, .. }) => {
                let wanted = raw_response.as_ref().and_then(|response| retry_after(response.headers()));
                if let kind @ AzureErrorKind::Unavailable { .. } = kind_of((*status).into(), None, wanted) {
                    return kind;
                }
            }
            _ => {}
        }
        cause = inner.source();
    }
    AzureErrorKind::Unauthenticated
}

fn kind_of(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> AzureErrorKind {
    match (status, code) {
        (404 | 410, _) => AzureErrorKind::NotFound,
        // Azure says 403 to a wrong key and an expired signature, and 409 to a missing one.
        (401, _) | (403, Some("AuthenticationFailed")) | (409, Some("PublicAccessNotPermitted")) => {
            AzureErrorKind::Unauthenticated
        }
        (403, _) => AzureErrorKind::PermissionDenied,
        // Sentinel's way to refuse a stale etag was seen as either.
        (409 | 412, _) => AzureErrorKind::Conflict,
        (408 | 429 | 500 | 502..=504, _) => AzureErrorKind::Unavailable { retry_after },
        _ => AzureErrorKind::Other,
    }
}

/// The bodies of Resource Manager and most services, and of the one that makes tokens.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Usual { error: RefusalDetail },
    Entra { error: String, error_description: Option<String> },
    Flat(RefusalDetail),
}

#[derive(Deserialize)]
struct RefusalDetail {
    code: Option<String>,
    message: Option<String>,
}

impl ServiceAnswer {
    fn read(status: u16, headers: &Headers, body: &[u8]) -> Self {
        let header = |name| headers.get_optional_str(&HeaderName::from_static(name)).map(presentable);
        let (code, message) = match serde_json::from_slice(body) {
            Ok(Refusal::Usual { error } | Refusal::Flat(error)) => (error.code, error.message),
            Ok(Refusal::Entra { error, error_description }) => (Some(error), error_description),
            Err(_) => Element::parse(body).map_or((None, None), |error| {
                let text = |name| error.text_of(name).map(str::to_owned);
                (text("Code"), text("Message"))
            }),
        };
        Self {
            status,
            code: header("x-ms-error-code").or(code.as_deref().map(presentable)),
            message: message.as_deref().map(presentable),
            request_id: header("x-ms-request-id"),
            correlation_id: header("x-ms-correlation-request-id"),
        }
    }
}

/// Longer texts say nothing more.
const LONGEST: usize = 600;

/// A foreign text that can be shown.
pub(crate) fn presentable(text: &str) -> String {
    let mut shown = String::new();
    // Beside control characters, those that turn the direction of writing round.
    let blank = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for word in text.split(blank).filter(|word| !word.is_empty()) {
        if shown.len() + word.len() > LONGEST {
            shown.push('…');
            break;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        // A token begins with `{"`, a signature is a query's `sig`.
        let hidden = ["eyJ", "sig=", "AccountKey="].iter().filter_map(|mark| word.find(mark)).min();
        match hidden {
            Some(at) => shown.extend([&word[..at], "***"]),
            None => shown.push_str(word),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> AzureError {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        AzureError::refused(&RawResponse::from_bytes(StatusCode::from(status), all, body))
    }

    #[test]
    fn a_wrong_key_is_not_a_missing_permission() {
        assert_eq!(kind_of(403, Some("AuthenticationFailed"), None), AzureErrorKind::Unauthenticated);
        assert_eq!(
            kind_of(403, Some("AuthorizationPermissionMismatch"), None),
            AzureErrorKind::PermissionDenied
        );
    }

    #[test]
    fn a_busy_service_says_when_to_come_back() {
        let wait = Some(Duration::from_secs(3));
        assert_eq!(kind_of(503, Some("ServerBusy"), wait), AzureErrorKind::Unavailable { retry_after: wait });
        assert_eq!(kind_of(400, None, wait), AzureErrorKind::Other);
        assert_eq!(
            refused(429, &[("retry-after", "3")], "").kind(),
            &AzureErrorKind::Unavailable { retry_after: wait }
        );
    }

    #[test]
    fn a_stale_etag_is_a_conflict_in_both_of_its_forms() {
        assert_eq!(kind_of(409, Some("Conflict"), None), AzureErrorKind::Conflict);
        assert_eq!(kind_of(412, None, None), AzureErrorKind::Conflict);
    }

    #[test]
    fn the_services_code_message_and_ids_are_kept() {
        let error = refused(
            403,
            &[("x-ms-request-id", "r-1"), ("x-ms-correlation-request-id", "c-1")],
            r#"{"error":{"code":"AuthorizationFailed","message":"The client 'x' may not."}}"#,
        );
        assert_eq!(
            error.to_string(),
            "permission denied: 403 AuthorizationFailed: The client 'x' may not. (request r-1)"
        );
        assert_eq!(error.answer().and_then(|answer| answer.correlation_id.as_deref()), Some("c-1"));
    }

    #[test]
    fn each_kind_of_body_is_understood() {
        let said = |body: &'static str| {
            let error = refused(400, &[], body);
            let answer = error.answer().expect("it answered").clone();
            (answer.code.unwrap_or_default(), answer.message.unwrap_or_default())
        };
        let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        assert_eq!(said(r#"{"code":"A","message":"b"}"#), pair("A", "b"));
        assert_eq!(
            said(r#"{"error":"invalid_client","error_description":"AADSTS7000215: no"}"#),
            pair("invalid_client", "AADSTS7000215: no")
        );
        assert_eq!(
            said("<?xml version=\"1.0\"?><Error><Code>QueueNotFound</Code><Message>None.</Message></Error>"),
            pair("QueueNotFound", "None.")
        );
        assert_eq!(said("<html>"), pair("", ""));
    }

    #[test]
    fn a_services_text_is_shown_without_secrets_and_control_characters() {
        assert_eq!(presentable("a\u{1b}[31mb\n\nc eyJhbGciOi.x.y d"), "a [31mb c *** d");
        assert_eq!(presentable("see https://x/?sv=1&sig=abc now"), "see https://x/?sv=1&*** now");
        assert!(presentable(&"é ".repeat(2000)).len() < LONGEST + 10);
        assert!(presentable(&"é".repeat(2000)).len() < 10);
    }

    #[test]
    fn a_token_service_out_of_reach_is_worth_another_try() {
        let inner = azure_core::Error::with_message(ErrorKind::Connection, "refused");
        let error = azure_core::Error::with_error(ErrorKind::Credential, inner, "no token");
        assert_eq!(AzureError::from(error).kind(), &AzureErrorKind::Unavailable { retry_after: None });
        let error = azure_core::Error::with_message(ErrorKind::Credential, "no source");
        assert_eq!(AzureError::from(error).kind(), &AzureErrorKind::Unauthenticated);
    }
}

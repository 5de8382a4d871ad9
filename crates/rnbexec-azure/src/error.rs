//! What can go wrong with Azure, by what the caller can do about it.

use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;

/// An Azure service, or the way to it, failed. The source is the library's own error; it may name the URL, with the
/// signature in it: whoever shows it must take the secrets out.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct AzureError {
    kind: AzureErrorKind,
    source: Option<azure_core::Error>,
}

/// Why, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureErrorKind {
    /// The blob or its container does not exist.
    #[error("not found")]
    NotFound,
    /// The identity is known and may not do this.
    #[error("permission denied")]
    PermissionDenied,
    /// No identity, or one that the service does not accept.
    #[error("not authenticated")]
    Unauthenticated,
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

impl AzureError {
    /// Why.
    pub fn kind(&self) -> &AzureErrorKind {
        &self.kind
    }

    pub(crate) fn settings(problem: impl Into<String>) -> Self {
        Self { kind: AzureErrorKind::Settings { problem: problem.into() }, source: None }
    }
}

impl From<azure_core::Error> for AzureError {
    fn from(error: azure_core::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::HttpResponse { status, error_code, raw_response } => {
                let retry_after = raw_response.as_ref().and_then(|response| {
                    let seconds =
                        response.headers().get_optional_str(&HeaderName::from_static("retry-after"))?;
                    seconds.trim().parse().ok().map(Duration::from_secs)
                });
                kind_of(u16::from(*status), error_code.as_deref(), retry_after)
            }
            ErrorKind::Credential => AzureErrorKind::Unauthenticated,
            ErrorKind::Connection | ErrorKind::Io => AzureErrorKind::Unavailable { retry_after: None },
            _ => AzureErrorKind::Other,
        };
        Self { kind, source: Some(error) }
    }
}

fn kind_of(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> AzureErrorKind {
    match (status, code) {
        (404 | 410, _) => AzureErrorKind::NotFound,
        // Azure says 403 to a wrong key and an expired signature, and 409 to a missing one.
        (401, _) | (403, Some("AuthenticationFailed")) | (409, Some("PublicAccessNotPermitted")) => {
            AzureErrorKind::Unauthenticated
        }
        (403, _) => AzureErrorKind::PermissionDenied,
        // 412: the blob was replaced while its parts were being read.
        (408 | 412 | 429 | 500 | 502..=504, _) => AzureErrorKind::Unavailable { retry_after },
        _ => AzureErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}

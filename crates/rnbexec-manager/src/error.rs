//! What can go wrong with an incident, by what is done about it.

use std::fmt;
use std::time::Duration;

use rnbexec_azure::{AzureError, AzureErrorKind};
use serde::{Deserialize, Serialize};

/// Why something failed, by how it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A service, the network or a disk is busy or away: it comes back by itself.
    Unavailable,
    /// The kernel died or did not start.
    Kernel,
    /// The notebook raised, took too long, or its verdict cannot be read.
    Notebook,
    /// The identity may not do this, or there is none: somebody has to grant it.
    Permission,
    /// The incident, a file or a service does not exist, or what was asked makes no sense to it: trying again changes nothing.
    Refused,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 5] =
        [Self::Unavailable, Self::Kernel, Self::Notebook, Self::Permission, Self::Refused];

    /// The word for it in the ledger, the configuration and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Kernel => "kernel",
            Self::Notebook => "notebook",
            Self::Permission => "permission",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something failed. The message says what was tried with which thing; the source says why.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Trouble {
    class: Class,
    doing: String,
    retry_after: Option<Duration>,
    may_be_done: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Trouble {
    /// A failure of this class while `doing` something: a lowercase fragment that names the thing.
    pub fn new(class: Class, doing: impl Into<String>) -> Self {
        Self { class, doing: doing.into(), retry_after: None, may_be_done: false, source: None }
    }

    /// With what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An Azure service failed while `doing` something.
    pub fn azure(doing: impl Into<String>, error: AzureError) -> Self {
        let (class, retry_after) = match error.kind() {
            AzureErrorKind::Unavailable { retry_after } => (Class::Unavailable, *retry_after),
            // Whoever can decide again did so; what is left of a conflict passes by itself.
            AzureErrorKind::Conflict => (Class::Unavailable, None),
            AzureErrorKind::PermissionDenied
            | AzureErrorKind::Unauthenticated
            | AzureErrorKind::Settings { .. } => (Class::Permission, None),
            _ => (Class::Refused, None),
        };
        let may_be_done = error.may_be_done();
        Self { class, doing: doing.into(), retry_after, may_be_done, source: Some(Box::new(error)) }
    }

    /// How it is tried again.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether a service may have done what it was asked for all the same, and its answer was lost.
    pub fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// How long the service asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The message with everything behind it, on one line.
    pub fn in_full(&self) -> String {
        chain(self)
    }
}

/// An error with everything behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

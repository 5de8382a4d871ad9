//! What can go wrong with a store, by what the caller can do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::location::Location;
use super::redact::{scrub, secrets_of};

/// A store could not read, write or list. The message names the location without its secrets; the cause is in
/// [`source`](Error::source), from which secrets are taken out as well.
#[derive(Debug)]
pub struct StoreError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    action: Action,
    location: String,
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What was being done when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading a document.
    Read,
    /// Writing a document.
    Write,
    /// Listing a folder.
    List,
}

/// Why a store failed, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is nothing at this location: correct the name.
    NotFound,
    /// Whoever we are, we may not do this: ask for the permission.
    PermissionDenied,
    /// Nobody has told the store who we are, or it does not believe it: log in.
    Unauthenticated {
        /// How to log in, for people: which variables or commands the store looks at.
        hint: String,
    },
    /// The store does not answer, or asks to come back later: trying again may help.
    Unavailable {
        /// How long the store asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The location cannot be one of this store: correct it.
    InvalidLocation {
        /// What is wrong with it.
        problem: String,
    },
    /// This store cannot be written to, whatever the permissions: choose another output.
    NotWritable {
        /// Why not.
        reason: String,
    },
    /// This store cannot be listed: name single documents.
    NotListable,
    /// The disk, the quota or the file size limit is full: make room.
    NoSpace,
    /// The file system is mounted read-only: choose another output.
    ReadOnly,
    /// Anything else; the source tells.
    Other {
        /// What happened, in a few words.
        problem: String,
    },
}

impl StoreError {
    /// An error of `kind` at `location`, without a deeper cause.
    pub fn new(action: Action, location: &Location, kind: StoreErrorKind) -> Self {
        Self(Box::new(Inner { action, location: location.to_string(), kind, source: None }))
    }

    /// The same error with its cause. Every message of the cause's chain is kept, without the location's secrets.
    #[must_use]
    pub fn caused_by(mut self, location: &Location, cause: &(dyn Error + 'static)) -> Self {
        let secrets = secrets_of(&location.reveal());
        self.0.source = Some(Box::new(Scrubbed::of(cause, &secrets)));
        self
    }

    /// An error of the operating system. The error itself is kept as the source: it holds no secrets.
    pub(crate) fn from_io(action: Action, location: &Location, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => StoreErrorKind::NotFound,
            Io::PermissionDenied => StoreErrorKind::PermissionDenied,
            Io::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => StoreErrorKind::NoSpace,
            Io::IsADirectory => invalid("it is a folder"),
            Io::NotADirectory => invalid("a part of its path is a file, not a folder"),
            Io::InvalidFilename => invalid("its name is too long or not a valid file name"),
            Io::InvalidInput => invalid("it is not a valid path"),
            Io::BrokenPipe => StoreErrorKind::NotWritable { reason: "its reader has gone away".to_owned() },
            Io::TimedOut | Io::ResourceBusy => StoreErrorKind::Unavailable { retry_after: None },
            _ => StoreErrorKind::Other { problem: "input/output error".to_owned() },
        };
        let mut store_error = Self::new(action, location, kind);
        store_error.0.source = Some(Box::new(error));
        store_error
    }

    /// The same error of another kind, for stores that know more than the status says.
    #[must_use]
    pub fn with_kind(mut self, kind: StoreErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> &StoreErrorKind {
        &self.0.kind
    }

    /// What was being done.
    pub fn action(&self) -> Action {
        self.0.action
    }

    /// Where, without secrets.
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// True when the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, StoreErrorKind::Unavailable { .. })
    }
}

fn invalid(problem: &str) -> StoreErrorKind {
    StoreErrorKind::InvalidLocation { problem: problem.to_owned() }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { action, location, kind, .. } = &*self.0;
        let action = match action {
            Action::Read => "read",
            Action::Write => "write",
            Action::List => "list",
        };
        write!(f, "cannot {action} {location}: {kind}")
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist"),
            Self::PermissionDenied => f.write_str("permission denied"),
            Self::Unauthenticated { hint } => write!(f, "not logged in; {hint}"),
            Self::Unavailable { retry_after: Some(wait) } => {
                write!(f, "not available now, try again in {} s", wait.as_secs().max(1))
            }
            Self::Unavailable { retry_after: None } => f.write_str("not available now"),
            Self::InvalidLocation { problem } | Self::Other { problem } => f.write_str(problem),
            Self::NotWritable { reason } => write!(f, "it cannot be written to: {reason}"),
            Self::NotListable => f.write_str("this kind of location cannot be listed"),
            Self::NoSpace => f.write_str("no space left for it (disk, quota or file size limit)"),
            Self::ReadOnly => f.write_str("the file system is read-only"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// A foreign error's messages without secrets: HTTP clients put whole URLs, and services echo requests, into theirs.
#[derive(Debug)]
struct Scrubbed {
    message: String,
    source: Option<Box<Scrubbed>>,
}

impl Scrubbed {
    fn of(error: &(dyn Error + 'static), secrets: &[String]) -> Self {
        Self {
            message: scrub(&error.to_string(), secrets),
            source: error.source().map(|source| Box::new(Self::of(source, secrets))),
        }
    }
}

impl fmt::Display for Scrubbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Scrubbed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

//! Where notebooks and parameter files come from and go to.
//!
//! A [`Location`] says where, a [`Store`] does it, [`Stores`] finds the store of a location. The promise every store keeps is in
//! the documentation of [`Store`] and is checked by [`conformance`], which runs against every store: local files and memory in
//! this crate's tests, the others against servers on loopback (an HTTP server, Azurite, an S3 server, a GCS server) in the
//! workspace's tests. Not tried, because it needs accounts or clusters: the real clouds, their managed identities and logins, and
//! HDFS.
//!
//! Nothing of a cloud is initialised before a location of it is used, and each cloud can be left out of a build by its
//! cargo feature (`http`, `s3`, `gcs`, `azure`, `hdfs`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{Action, StoreError, StoreErrorKind};
pub use local::LocalStore;
pub use location::{
    AzureBlobPath, GitHubFile, HttpUrl, Location, LocationError, ObjectPath, Segment, SegmentError,
};
pub use memory::MemoryStore;
pub use retry::RetryPolicy;
pub use stdio::StdioStore;

#[cfg(feature = "azure")]
mod azure;
pub mod conformance;
mod error;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "http")]
mod github;
#[cfg(feature = "hdfs")]
mod hdfs;
#[cfg(feature = "http")]
mod http;
pub mod local;
pub mod location;
mod memory;
mod redact;
mod retry;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "reqsign")]
mod signed;
mod stdio;

/// Reads, writes and lists documents.
///
/// The promise, whoever implements it:
///
/// - [`read`](Self::read) returns the whole document as it was last written, or [`StoreErrorKind::NotFound`].
/// - [`write`](Self::write) is atomic: whoever reads meanwhile sees the previous document or the new one, never a part of
///   either, and after an error the previous document is still there or the new one already. It replaces, it never adds.
/// - [`list`](Self::list) returns the documents directly in a folder, sorted by name, without folders.
/// - Any name that is a [`Segment`] can be written and read.
/// - No error, and nothing behind an error, shows a secret of the location.
/// - A future that is dropped leaves the previous document or the new one.
///
/// Streams (`-`, named pipes) can keep only what a stream can: they pass once.
#[async_trait]
pub trait Store: Send + Sync {
    /// The whole document.
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError>;

    /// Replaces the document by `parts`, one after the other.
    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError>;

    /// The documents directly in the folder at `location`.
    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError>;
}

/// How much a write must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Others see it. For saves in between: it may be lost when the machine loses power.
    Visible,
    /// It survives a loss of power. For the last save. Services over the network always do this.
    Durable,
}

/// How often a document should be saved while it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// As often as wanted: a file of this machine, or memory.
    Cheap,
    /// Seldom: every save sends the whole document over the network.
    Costly,
    /// Only at the end: a stream, on which every save would add another document.
    Once,
}

/// The environment variables the stores look at. Values come in: the library reads none itself, except where a foreign
/// library does (proxies, the credential chains of AWS and Google).
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables, for credential libraries that take them so.
    #[cfg(feature = "reqsign")]
    pub(crate) fn all(&self) -> HashMap<String, String> {
        self.0.clone()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    /// Variables that are not Unicode are left out: none of those the stores know can be.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(vars: I) -> Self {
        let unicode = vars.into_iter().filter_map(|(name, value)| {
            Some((name.into().into_string().ok()?, value.into().into_string().ok()?))
        });
        Self(unicode.collect())
    }
}

impl fmt::Debug for Environment {
    /// The names alone: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a store, or a credential library that one uses, may look for a variable of this name: for a process that is to write
/// an output and has no need of other secrets.
pub fn may_need(name: &str) -> bool {
    const BEGINNINGS: [&str; 11] = [
        "AWS_",
        "AZURE_",
        "GOOGLE_",
        "CLOUDSDK_",
        "GITHUB_",
        "HADOOP_",
        "STORAGE_EMULATOR",
        "IDENTITY_",
        "IMDS_",
        "MSI_",
        "GCE_",
    ];
    let name = name.to_ascii_uppercase();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || name.ends_with("_PROXY")
}

/// Every store, found by location, with retries of what may pass by itself.
///
/// Making one costs nothing: clients are made when first used.
pub struct Stores {
    retry: RetryPolicy,
    local: LocalStore,
    stdio: StdioStore,
    memory: Option<Arc<dyn Store>>,
    #[cfg(feature = "http")]
    http: http::HttpStore,
    #[cfg(feature = "http")]
    github: github::GitHubStore,
    #[cfg(feature = "s3")]
    s3: s3::S3Store,
    #[cfg(feature = "gcs")]
    gcs: gcs::GcsStore,
    #[cfg(feature = "azure")]
    azure: azure::AzureStore,
    #[cfg(feature = "hdfs")]
    hdfs: hdfs::HdfsStore,
}

impl Stores {
    /// All stores of this build, with the credentials that `environment` names.
    pub fn new(environment: &Environment) -> Self {
        #[cfg(not(any(feature = "http", feature = "azure", feature = "hdfs")))]
        tracing::trace!(?environment, "no store of this build looks at the environment");
        Self {
            retry: RetryPolicy::default(),
            local: LocalStore,
            stdio: StdioStore::new(),
            memory: None,
            #[cfg(feature = "http")]
            http: http::HttpStore::default(),
            #[cfg(feature = "http")]
            github: github::GitHubStore::new(environment),
            #[cfg(feature = "s3")]
            s3: s3::S3Store::new(environment),
            #[cfg(feature = "gcs")]
            gcs: gcs::GcsStore::new(environment),
            #[cfg(feature = "azure")]
            azure: azure::AzureStore::new(environment),
            #[cfg(feature = "hdfs")]
            hdfs: hdfs::HdfsStore::new(environment),
        }
    }

    /// Answers `memory://` locations from `store`: a [`MemoryStore`] or one of the embedding program's own.
    #[must_use]
    pub fn with_memory(mut self, store: impl Store + 'static) -> Self {
        self.memory = Some(Arc::new(store));
        self
    }

    /// Takes other streams for `-`.
    #[must_use]
    pub fn with_stdio(mut self, stdio: StdioStore) -> Self {
        self.stdio = stdio;
        self
    }

    /// Takes another policy of trying again.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Reads the document at `location`.
    pub async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let store = self.store_of(Action::Read, location)?;
        let mut failed = 0;
        loop {
            match store.read(location).await {
                Err(error) => self.pause(&mut failed, error).await?,
                read => return read,
            }
        }
    }

    /// Replaces the document at `location`.
    pub async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let store = self.store_of(Action::Write, location)?;
        let mut failed = 0;
        loop {
            match store.write(location, parts, durability).await {
                Err(error) => self.pause(&mut failed, error).await?,
                written => return written,
            }
        }
    }

    /// Lists the documents directly in the folder at `location`.
    pub async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let store = self.store_of(Action::List, location)?;
        let mut failed = 0;
        loop {
            match store.list(location).await {
                Err(error) => self.pause(&mut failed, error).await?,
                listed => return listed,
            }
        }
    }

    /// How often a document at `location` should be saved while it grows. Looks at the file system for local ones.
    pub fn rewrite(&self, location: &Location) -> Rewrite {
        match location {
            Location::Local(path) => local::rewrite(path),
            Location::Stdio => Rewrite::Once,
            Location::Memory(_) => Rewrite::Cheap,
            Location::Http(_)
            | Location::S3(_)
            | Location::Gs(_)
            | Location::AzureBlob(_)
            | Location::GitHub(_)
            | Location::Hdfs(_) => Rewrite::Costly,
        }
    }

    /// Waits before another attempt, or gives the error back when there is none.
    async fn pause(&self, failed: &mut u32, error: StoreError) -> Result<(), StoreError> {
        *failed += 1;
        let Some(wait) = self.retry.wait_after(*failed, &error) else { return Err(error) };
        tracing::warn!(%error, attempt = *failed, ?wait, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn store_of(&self, action: Action, location: &Location) -> Result<&dyn Store, StoreError> {
        let absent = |problem: &str| {
            let kind = StoreErrorKind::InvalidLocation { problem: problem.to_owned() };
            Err(StoreError::new(action, location, kind))
        };
        match location {
            Location::Local(_) => Ok(&self.local),
            Location::Stdio => Ok(&self.stdio),
            Location::Memory(_) => match &self.memory {
                Some(memory) => Ok(memory.as_ref()),
                None => absent("memory:// is only for programs that embed this one"),
            },
            #[cfg(feature = "http")]
            Location::Http(_) => Ok(&self.http),
            #[cfg(feature = "http")]
            Location::GitHub(_) => Ok(&self.github),
            #[cfg(not(feature = "http"))]
            Location::Http(_) | Location::GitHub(_) => {
                absent("this build is without HTTP (cargo feature http)")
            }
            #[cfg(feature = "s3")]
            Location::S3(_) => Ok(&self.s3),
            #[cfg(feature = "gcs")]
            Location::Gs(_) => Ok(&self.gcs),
            #[cfg(feature = "azure")]
            Location::AzureBlob(_) => Ok(&self.azure),
            #[cfg(feature = "hdfs")]
            Location::Hdfs(_) => Ok(&self.hdfs),
            #[cfg(not(feature = "s3"))]
            Location::S3(_) => absent("this build is without S3 (cargo feature s3)"),
            #[cfg(not(feature = "gcs"))]
            Location::Gs(_) => absent("this build is without Google Cloud Storage (cargo feature gcs)"),
            #[cfg(not(feature = "hdfs"))]
            Location::Hdfs(_) => absent("this build is without HDFS (cargo feature hdfs)"),
            #[cfg(not(feature = "azure"))]
            Location::AzureBlob(_) => absent("this build is without Azure (cargo feature azure)"),
        }
    }
}

/// All stores are a store as well: the one of each location, with retries.
#[async_trait]
impl Store for Stores {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        self.read(location).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.write(location, parts, durability).await
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        self.list(location).await
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("retry", &self.retry).finish_non_exhaustive()
    }
}

/// The parts as one piece, without copying when there is only one.
fn joined(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}

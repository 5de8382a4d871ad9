//! Where a document lies: text, parsed once.
//!
//! The spellings are papermill's and what the users of each store write elsewhere:
//!
//! | text | store |
//! |---|---|
//! | `dir/nb.ipynb`, `C:\nb.ipynb`, `file:///dir/nb.ipynb` | local file |
//! | `-` | standard input or output |
//! | `http://…`, `https://…` | HTTP: GET to read, PUT to write |
//! | `s3://bucket/key`, `s3n://`, `s3a://` | Amazon S3 or a server that speaks it |
//! | `gs://bucket/key`, `gcs://` | Google Cloud Storage |
//! | `abs://account.blob.core.windows.net/container/blob?sas` | Azure Blob, papermill's spelling |
//! | `abfs[s]://container@account.dfs.core.windows.net/blob`, `wasb[s]://` | Azure Blob, Hadoop's spelling |
//! | `abfs://container/blob`, `az://container/blob` | Azure Blob, fsspec's spelling: the account is in the environment |
//! | `hdfs://namenode:8020/path`, `hdfs:///path` | HDFS |
//! | `https://github.com/owner/repo/blob/ref/path` | a file of a GitHub repository, read-only |
//! | `memory://name` | the memory of an embedding program |
//!
//! Differences from papermill: an unknown scheme is an error (papermill writes a plain file named so), schemes may be in
//! capitals, and `adl://` is refused because the service behind it is gone. Names in `abs`, `s3`, `gs` and `hdfs` are taken
//! as they stand, without percent-decoding, as papermill does.
//!
//! `Display` and `Debug` never show a secret; what does is for the stores alone.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::redact::redact_location;

/// Where a document lies. See the [module](self) for the spellings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A file of this machine.
    Local(PathBuf),
    /// `-`: standard input when read, standard output when written.
    Stdio,
    /// A URL.
    Http(HttpUrl),
    /// An object of Amazon S3 or of a server that speaks its protocol.
    S3(ObjectPath),
    /// An object of Google Cloud Storage.
    Gs(ObjectPath),
    /// A blob of Azure Storage.
    AzureBlob(AzureBlobPath),
    /// A file of a GitHub repository.
    GitHub(GitHubFile),
    /// A file of HDFS. The bucket is the name node (`host:port`), or empty for the configured one.
    Hdfs(ObjectPath),
    /// A name in the memory of the embedding program.
    Memory(String),
}

/// A URL together with the spelling it was given in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: String,
    url: Url,
}

/// A bucket (or name node) and a key in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectPath {
    scheme: String,
    /// The bucket's name; for HDFS the name node's address, empty for the configured one.
    pub bucket: String,
    /// The key, without a leading slash. Empty for the bucket itself.
    pub key: String,
}

/// A blob: account, container, name and the shared access signature that came with it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AzureBlobPath {
    /// The text before the blob's name, for showing the location as it was written.
    prefix: String,
    /// The blob host (`account.blob.core.windows.net`), or `None` when the account is named by the environment.
    pub host: Option<String>,
    /// The container.
    pub container: String,
    /// The blob's name. Empty for the container itself.
    pub blob: String,
    /// The shared access signature of the URL, without `?`. A secret.
    sas: Option<String>,
}

/// A file of a repository on GitHub, at a branch, tag or commit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitHubFile {
    scheme: String,
    /// The owner of the repository.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// Branch, tag or commit. A branch with a slash in its name cannot be told from a folder: the first part is taken.
    pub reference: String,
    /// The path in the repository, percent-encoded as in the URL.
    pub path: String,
}

/// Text that is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing was given.
    #[error("empty location")]
    Empty,
    /// The scheme is not known.
    #[error(
        "unknown scheme {scheme}:// in {location}; known are file, http, https, s3, s3n, s3a, gs, gcs, abs, abfs, abfss, \
         az, wasb, wasbs, hdfs, and plain paths"
    )]
    UnknownScheme {
        /// The scheme as written.
        scheme: String,
        /// The location, redacted.
        location: String,
    },
    /// `adl://`.
    #[error(
        "{location}: Azure Data Lake Storage Gen1 was retired by Microsoft in 2024; use \
         abfss://container@account.dfs.core.windows.net/path"
    )]
    Retired {
        /// The location, redacted.
        location: String,
    },
    /// The scheme is known, but something is missing or wrong.
    #[error("{location}: {problem}")]
    Malformed {
        /// The location, redacted.
        location: String,
        /// What is wrong.
        problem: String,
    },
}

/// One step down from a folder: a name that can be nothing but a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Segment(String);

/// A name that could leave its folder or could not be a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be a file name: {problem}")]
pub struct SegmentError {
    name: String,
    problem: &'static str,
}

impl Segment {
    /// Checks that `name` is one name: not empty, not `.` or `..`, without separators and control characters, and short
    /// enough for every store (255 bytes).
    pub fn parse(name: &str) -> Result<Self, SegmentError> {
        let problem = if name.is_empty() {
            "it is empty"
        } else if name == "." || name == ".." {
            "it means a folder"
        } else if name.contains(['/', '\\']) {
            "it holds a path separator"
        } else if name.chars().any(char::is_control) {
            "it holds a control character"
        } else if cfg!(windows) && name.contains(':') {
            "it holds a colon"
        } else if name.len() > 255 {
            "it is longer than 255 bytes"
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(SegmentError { name: name.to_owned(), problem })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Location {
    /// The place in its one spelling: a local path absolute and without links, whether something is there or not; a URL as it is
    /// asked for; any other as it is. Two spellings of one file have the same.
    #[must_use]
    pub fn canonical(&self) -> Self {
        match self {
            Self::Local(path) => Self::Local(super::local::real(path)),
            Self::Http(at) => {
                let mut url = at.url.clone();
                url.set_fragment(None);
                Self::Http(HttpUrl { text: url.to_string(), url })
            }
            other => other.clone(),
        }
    }

    /// Whether it lies in this folder of the machine, by its name or by what its name leads to.
    #[must_use]
    pub fn lies_in(&self, folder: &Path) -> bool {
        let Self::Local(path) = self else { return false };
        let named = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        named(path).starts_with(named(folder))
            || super::local::real(path).starts_with(super::local::real(folder))
    }

    /// Reads a location from what a user wrote. No file is looked at.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        if text == "-" {
            return Ok(Self::Stdio);
        }
        let Some((scheme, rest)) = split_scheme(text) else { return Ok(Self::Local(PathBuf::from(text))) };
        let malformed = |problem: &str| LocationError::Malformed {
            location: redact_location(text),
            problem: problem.to_owned(),
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => {
                let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
                url.to_file_path().map(Self::Local).map_err(|()| malformed("not a path of this machine"))
            }
            "http" | "https" => {
                let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
                Ok(GitHubFile::of(&url)
                    .map_or_else(|| Self::Http(HttpUrl { text: text.to_owned(), url }), Self::GitHub))
            }
            "s3" | "s3n" | "s3a" => Ok(Self::S3(ObjectPath::of(scheme, rest).map_err(malformed)?)),
            "gs" | "gcs" => Ok(Self::Gs(ObjectPath::of(scheme, rest).map_err(malformed)?)),
            "hdfs" => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.contains('@') {
                    return Err(malformed(
                        "a user in an HDFS address is not supported; set HADOOP_USER_NAME",
                    ));
                }
                Ok(Self::Hdfs(ObjectPath {
                    scheme: scheme.to_owned(),
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                }))
            }
            "abs" => AzureBlobPath::papermill(scheme, rest).map(Self::AzureBlob).map_err(malformed),
            "abfs" | "abfss" | "wasb" | "wasbs" | "az" => {
                AzureBlobPath::hadoop(scheme, rest).map(Self::AzureBlob).map_err(malformed)
            }
            "adl" => Err(LocationError::Retired { location: redact_location(text) }),
            "memory" => Ok(Self::Memory(rest.to_owned())),
            _ => Err(LocationError::UnknownScheme {
                scheme: scheme.to_owned(),
                location: redact_location(text),
            }),
        }
    }

    /// The location of a name in the memory of the embedding program.
    pub fn memory(name: impl Into<String>) -> Self {
        Self::Memory(name.into())
    }

    /// The document `segment` in the folder that this location is.
    #[must_use]
    pub fn join(&self, segment: &Segment) -> Self {
        let name = segment.as_str();
        match self {
            Self::Local(folder) => Self::Local(folder.join(name)),
            // A stream has no folder; the name itself is then a file beside us.
            Self::Stdio => Self::Local(PathBuf::from(name)),
            Self::Http(at) => {
                let mut url = at.url.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().push(name);
                }
                Self::Http(HttpUrl { text: url.to_string(), url })
            }
            Self::S3(at) => Self::S3(at.join(name)),
            Self::Gs(at) => Self::Gs(at.join(name)),
            Self::Hdfs(at) => Self::Hdfs(at.join(name)),
            Self::AzureBlob(at) => {
                Self::AzureBlob(AzureBlobPath { blob: join_key(&at.blob, name), ..at.clone() })
            }
            Self::GitHub(at) => {
                let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
                Self::GitHub(GitHubFile { path: join_key(&at.path, &encoded.to_string()), ..at.clone() })
            }
            Self::Memory(folder) => Self::Memory(join_key(folder, name)),
        }
    }

    /// The last part of the path, as in papermill's check of the file extension: without a query. `None` for `-` and
    /// for folders.
    pub fn file_name(&self) -> Option<&str> {
        let path = match self {
            Self::Local(path) => return path.file_name().and_then(|name| name.to_str()),
            Self::Stdio => return None,
            Self::Http(at) => at.url.path(),
            Self::S3(at) | Self::Gs(at) | Self::Hdfs(at) => &at.key,
            Self::AzureBlob(at) => &at.blob,
            Self::GitHub(at) => &at.path,
            Self::Memory(name) => name,
        };
        path.rsplit('/').next().filter(|name| !name.is_empty())
    }

    /// The media type of what lies here, as services over the network keep it.
    #[cfg(any(feature = "reqsign", feature = "azure"))]
    pub(crate) fn content_type(&self) -> &'static str {
        match self.file_name().and_then(|name| name.rsplit_once('.')) {
            Some((_, "ipynb")) => "application/x-ipynb+json",
            Some((_, "json")) => "application/json",
            Some((_, "html")) => "text/html; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// The path when this is a file of this machine.
    pub fn as_local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            _ => None,
        }
    }

    /// True for `-`.
    pub fn is_stdio(&self) -> bool {
        matches!(self, Self::Stdio)
    }

    /// What papermill would write as `input_path` or `output_path` into the notebook's metadata: the text as it was
    /// given, but with secrets hidden (papermill writes them out). The same as `to_string()`.
    pub fn metadata_text(&self) -> String {
        self.to_string()
    }

    /// The text with its secrets. For stores only; never show it.
    pub(crate) fn reveal(&self) -> String {
        match self {
            Self::Local(path) => path.to_string_lossy().into_owned(),
            Self::Stdio => "-".to_owned(),
            Self::Http(at) => at.text.clone(),
            Self::S3(at) | Self::Gs(at) | Self::Hdfs(at) => {
                format!("{}://{}/{}", at.scheme, at.bucket, at.key)
            }
            Self::AzureBlob(at) => match &at.sas {
                Some(sas) => format!("{}{}?{sas}", at.prefix, at.blob),
                None => format!("{}{}", at.prefix, at.blob),
            },
            Self::GitHub(at) => format!(
                "{}://github.com/{}/{}/blob/{}/{}",
                at.scheme, at.owner, at.repo, at.reference, at.path
            ),
            Self::Memory(name) => format!("memory://{name}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            _ => f.write_str(&redact_location(&self.reveal())),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({})", redact_location(&self.text))
    }
}

impl fmt::Debug for AzureBlobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AzureBlobPath({}{})", self.prefix, self.blob)
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectPath({}://{}/{})", self.scheme, self.bucket, self.key)
    }
}

impl fmt::Debug for GitHubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitHubFile({}/{}@{}:{})", self.owner, self.repo, self.reference, self.path)
    }
}

#[cfg(feature = "http")]
impl HttpUrl {
    /// The URL, with its secrets.
    pub(crate) fn reveal(&self) -> &Url {
        &self.url
    }
}

impl ObjectPath {
    fn of(scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("the bucket is missing");
        }
        checked_key(key)?;
        Ok(Self { scheme: scheme.to_owned(), bucket: bucket.to_owned(), key: key.to_owned() })
    }

    fn join(&self, name: &str) -> Self {
        self.with_key(join_key(&self.key, name))
    }

    /// The same place with another key.
    pub(crate) fn with_key(&self, key: String) -> Self {
        Self { key, ..self.clone() }
    }
}

impl AzureBlobPath {
    /// The shared access signature of the URL, without `?`.
    #[cfg(feature = "azure")]
    pub(crate) fn reveal_sas(&self) -> Option<&str> {
        self.sas.as_deref()
    }

    /// The same place with another blob.
    #[cfg(feature = "azure")]
    pub(crate) fn with_blob(&self, blob: String) -> Self {
        Self { blob, ..self.clone() }
    }

    /// `abs://account.blob.core.windows.net/container/blob?sas`
    fn papermill(scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let (path, sas) = split_sas(rest);
        let mut parts = path.splitn(3, '/');
        let host = parts.next().filter(|host| !host.is_empty()).ok_or("the account is missing")?;
        let container = parts.next().filter(|name| !name.is_empty()).ok_or("the container is missing")?;
        let blob = parts.next().unwrap_or_default();
        if host.contains('@') {
            return Err("write abfss://container@account… or abs://account…/container/blob");
        }
        checked_key(blob)?;
        Ok(Self {
            prefix: format!("{scheme}://{host}/{container}/"),
            host: Some(blob_host(host)),
            container: container.to_owned(),
            blob: blob.to_owned(),
            sas,
        })
    }

    /// `abfss://container@account.dfs.core.windows.net/blob`, or `abfss://container/blob` with the account elsewhere.
    fn hadoop(scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let (path, sas) = split_sas(rest);
        let (authority, blob) = path.split_once('/').unwrap_or((path, ""));
        let (container, host) = match authority.split_once('@') {
            Some((container, host)) => (container, Some(host)),
            None => (authority, None),
        };
        if container.is_empty() {
            return Err("the container is missing");
        }
        if host.is_some_and(str::is_empty) {
            return Err("the account is missing");
        }
        checked_key(blob)?;
        Ok(Self {
            prefix: format!("{scheme}://{authority}/"),
            host: host.map(blob_host),
            container: container.to_owned(),
            blob: blob.to_owned(),
            sas,
        })
    }
}

impl GitHubFile {
    /// The file when `url` is one of GitHub's pages of a file.
    fn of(url: &Url) -> Option<Self> {
        if url.host_str() != Some("github.com") || url.port().is_some() {
            return None;
        }
        let mut parts = url.path().trim_start_matches('/').splitn(5, '/');
        let (owner, repo, word, reference, path) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (word == "blob" && !path.is_empty()).then(|| Self {
            scheme: url.scheme().to_owned(),
            owner: owner.to_owned(),
            repo: repo.to_owned(),
            reference: reference.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// Scheme and rest of a text that is a URL. A single letter is a Windows drive.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut letters = scheme.chars();
    let valid = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && scheme.len() > 1
        && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    valid.then_some((scheme, rest))
}

/// Services take `.` and `..` for names, but every URL on the way there would resolve them.
fn checked_key(key: &str) -> Result<(), &'static str> {
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err("a part of the path is . or ..");
    }
    Ok(())
}

fn split_sas(rest: &str) -> (&str, Option<String>) {
    match rest.split_once('?') {
        Some((path, sas)) => (path, Some(sas.to_owned()).filter(|sas| !sas.is_empty())),
        None => (rest, None),
    }
}

/// The host of the Blob service: the data lake's host names the same account, and a bare account is one of the public
/// cloud.
fn blob_host(host: &str) -> String {
    if host.contains('.') || host.contains(':') {
        host.replacen(".dfs.", ".blob.", 1)
    } else {
        format!("{host}.blob.core.windows.net")
    }
}

fn join_key(folder: &str, name: &str) -> String {
    match folder.trim_end_matches('/') {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests;

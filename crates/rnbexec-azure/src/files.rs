//! A file share of Azure Files, where the *Notebooks* tab of Azure ML keeps its files.
//!
//! Nobody sees half a file: it is written beside its place, under a name that ends in `.part`, and then renamed over it in one
//! step. An interrupted write leaves at most such a part. A service that cannot rename (an emulator; the real one can since
//! version 2021-04-10 of its protocol) is written to in place, the beginning last, so that what is not whole is at least no
//! notebook; that is logged.
//!
//! There is no official crate for it. Sources: "Azure Files REST API" of the Azure Storage REST reference, `file.json` of
//! azure-rest-api-specs; checked against a server on loopback, not against Azure.

mod path;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use azure_core::http::{Context, Method, Pipeline, PipelineSendOptions, RawResponse, Request, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use path::FilePath;

use crate::AzureError;
use crate::storage::xml::Element;
use crate::storage::{Authorization, Service, StorageClient, StorageSettings};

/// The first version of the protocol that takes tokens.
const VERSION: &str = "2022-11-02";

/// The service takes no more at once.
const RANGE: usize = 4 * 1024 * 1024;

/// One share. Making it costs nothing; a connection and a token come with first use.
pub struct Files {
    service: FileService,
    share: String,
    /// Whether the service can rename, as far as we know.
    renames: AtomicBool,
}

/// What is in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory's.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
}

impl Files {
    /// The share of this name in the account of `settings`.
    pub fn new(client: &StorageClient, settings: &StorageSettings, share: &str) -> Result<Self, AzureError> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_$".contains(character);
        if share.is_empty() || share.len() > 63 || !share.chars().all(plain) {
            return Err(AzureError::settings(format!("{share:?} is no file share's name")));
        }
        let service = FileService::new(client, settings)?;
        Ok(Self { service, share: share.to_owned(), renames: AtomicBool::new(true) })
    }

    /// The names of the account's shares. With a token this needs version 2024-11-04 of the protocol or later.
    pub async fn shares(
        client: &StorageClient,
        settings: &StorageSettings,
    ) -> Result<Vec<String>, AzureError> {
        let service = FileService::new(client, settings)?;
        let pages = service.list(&[], &[("comp", "list")], "Shares").await?;
        Ok(pages
            .iter()
            .flat_map(Element::children)
            .filter_map(|share| share.text_of("Name"))
            .map(str::to_owned)
            .collect())
    }

    /// Its name.
    pub fn share(&self) -> &str {
        &self.share
    }

    /// Makes or replaces the file at `path` (`folder/folder/name`), and the folders above it. Nobody sees half of it; see the
    /// [module](self).
    pub async fn put(&self, path: &str, content: Bytes, content_type: &str) -> Result<(), AzureError> {
        let path = FilePath::parse(path)?;
        for parent in path.parents() {
            self.make_directory(parent).await?;
        }
        if self.renames.load(Ordering::Relaxed) {
            let part = path.part(Uuid::new_v4());
            match self.replace(&path, &part, &content, content_type).await {
                Ok(Renamed::Yes) => return Ok(()),
                Ok(Renamed::No(answer)) => {
                    tracing::warn!(
                        share = self.share,
                        answer,
                        "the file service cannot rename; files are written in place"
                    );
                    self.renames.store(false, Ordering::Relaxed);
                    self.discard(&part).await;
                }
                Err(error) => {
                    self.discard(&part).await;
                    return Err(error);
                }
            }
        }
        let written = self.write(&path, &content, content_type, Order::BeginningLast).await;
        if written.is_err() {
            self.discard(&path).await;
        }
        written
    }

    /// The whole file.
    pub async fn get(&self, path: &str) -> Result<Bytes, AzureError> {
        let path = FilePath::parse(path)?;
        let answer = self.ask(Method::Get, path.segments(), &[], Asking::default()).await?;
        Ok(success(answer)?.into_body().into())
    }

    /// Removes the file. Says whether it was there.
    pub async fn delete(&self, path: &str) -> Result<bool, AzureError> {
        self.remove(&FilePath::parse(path)?).await
    }

    /// Whether the file is there.
    pub async fn exists(&self, path: &str) -> Result<bool, AzureError> {
        let path = FilePath::parse(path)?;
        let answer = self.ask(Method::Head, path.segments(), &[], Asking::default()).await?;
        if u16::from(answer.status()) == 404 {
            return Ok(false);
        }
        success(answer).map(|_| true)
    }

    /// What is in the directory, or with an empty path at the top of the share.
    pub async fn list_directory(&self, path: &str) -> Result<Vec<Entry>, AzureError> {
        let directory = if path.is_empty() { None } else { Some(FilePath::parse(path)?) };
        let mut segments = vec![self.share.as_str()];
        segments.extend(directory.iter().flat_map(FilePath::segments).map(String::as_str));
        let query = [("restype", "directory"), ("comp", "list")];
        let pages = self.service.list(&segments, &query, "Entries").await?;
        Ok(pages.iter().flat_map(Element::children).filter_map(entry_of).collect())
    }

    /// Writes the part and renames it over `path`.
    async fn replace(
        &self,
        path: &FilePath,
        part: &FilePath,
        content: &Bytes,
        content_type: &str,
    ) -> Result<Renamed, AzureError> {
        self.write(part, content, content_type, Order::BeginningFirst).await?;
        let source = self.url(part.segments(), &[]);
        let asking = Asking {
            headers: vec![
                ("x-ms-file-rename-source", source.into()),
                ("x-ms-file-rename-replace-if-exists", "true".to_owned()),
            ],
            ..Asking::default()
        };
        let answer = self.ask(Method::Put, path.segments(), &[("comp", "rename")], asking).await?;
        // A service that knows nothing of `comp=rename` may say yes to it, and one that renamed says no when it is asked again
        // because its first answer was lost. The part tells: nobody else knows its name.
        let status = u16::from(answer.status());
        match (status, self.is_there(part).await?) {
            (200, Some(false) | None) | (404, Some(false)) => Ok(Renamed::Yes),
            (200..=299 | 400 | 404 | 405 | 501, _) => Ok(Renamed::No(status)),
            _ => Err(AzureError::refused(&answer)),
        }
    }

    /// `None` if the service does not say.
    async fn is_there(&self, path: &FilePath) -> Result<Option<bool>, AzureError> {
        let answer = self.ask(Method::Head, path.segments(), &[], Asking::default()).await?;
        Ok(match u16::from(answer.status()) {
            200..=299 => Some(true),
            404 => Some(false),
            _ => None,
        })
    }

    /// Makes or empties the file, and fills it.
    async fn write(
        &self,
        path: &FilePath,
        content: &Bytes,
        content_type: &str,
        order: Order,
    ) -> Result<(), AzureError> {
        let create = Asking {
            headers: vec![
                ("x-ms-type", "file".to_owned()),
                ("x-ms-content-length", content.len().to_string()),
                ("x-ms-content-type", content_type.to_owned()),
            ],
            ..Asking::default()
        };
        success(self.ask(Method::Put, path.segments(), &[], create).await?)?;
        for (start, end) in ranges(content.len(), order) {
            let range = Asking {
                headers: vec![
                    ("x-ms-write", "update".to_owned()),
                    ("x-ms-range", format!("bytes={start}-{}", end - 1)),
                ],
                body: content.slice(start..end),
            };
            success(self.ask(Method::Put, path.segments(), &[("comp", "range")], range).await?)?;
        }
        Ok(())
    }

    async fn make_directory(&self, path: &[String]) -> Result<(), AzureError> {
        let answer = self.ask(Method::Put, path, &[("restype", "directory")], Asking::default()).await?;
        match success(answer) {
            Err(error) if already_there(&error) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn remove(&self, path: &FilePath) -> Result<bool, AzureError> {
        let answer = self.ask(Method::Delete, path.segments(), &[], Asking::default()).await?;
        if u16::from(answer.status()) == 404 {
            return Ok(false);
        }
        success(answer).map(|_| true)
    }

    /// Removes what is not to stay; the failure that led here matters more than one more.
    async fn discard(&self, path: &FilePath) {
        if let Err(error) = self.remove(path).await {
            tracing::warn!(share = self.share, %path, %error, "an unfinished file stays on the share");
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &[String],
        query: &[(&str, &str)],
        asking: Asking,
    ) -> Result<RawResponse, AzureError> {
        self.service.ask(method, self.url(path, query), asking).await
    }

    fn url(&self, path: &[String], query: &[(&str, &str)]) -> Url {
        let segments = std::iter::once(self.share.as_str()).chain(path.iter().map(String::as_str));
        self.service.url(segments, query)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("share", &self.share)
            .field("renames", &self.renames)
            .finish_non_exhaustive()
    }
}

/// Whether a rename happened.
enum Renamed {
    Yes,
    /// The service does not know how; the status that says so.
    No(u16),
}

/// In which order the ranges of a file are written.
#[derive(Clone, Copy)]
enum Order {
    BeginningFirst,
    BeginningLast,
}

fn ranges(length: usize, order: Order) -> Vec<(usize, usize)> {
    let mut ranges: Vec<_> =
        (0..length).step_by(RANGE).map(|start| (start, (start + RANGE).min(length))).collect();
    match order {
        Order::BeginningFirst => {}
        Order::BeginningLast => ranges.reverse(),
    }
    ranges
}

/// What a request carries beside method and URL.
#[derive(Default)]
struct Asking {
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

/// The file service of an account.
struct FileService {
    pipeline: Pipeline,
    /// With the signature, if that is what lets us in.
    endpoint: Url,
    version: String,
    /// By token: then the service wants to hear that we read and write without regard to Windows' permissions.
    with_token: bool,
}

impl FileService {
    fn new(client: &StorageClient, settings: &StorageSettings) -> Result<Self, AzureError> {
        let access = settings.reach(Service::File)?;
        Ok(Self {
            pipeline: client.http.pipeline(access.policy(client)?, &[]),
            endpoint: access.url()?,
            version: client.version.clone().unwrap_or_else(|| VERSION.to_owned()),
            with_token: access.authorization == Authorization::Token,
        })
    }

    fn url<'a>(&self, path: impl IntoIterator<Item = &'a str>, query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn ask(&self, method: Method, url: Url, asking: Asking) -> Result<RawResponse, AzureError> {
        let mut request = Request::new(url, method);
        request.insert_header("x-ms-version", self.version.clone());
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        if self.with_token {
            request.insert_header("x-ms-file-request-intent", "backup");
        }
        for (name, value) in asking.headers {
            request.insert_header(name, value);
        }
        if method == Method::Put {
            request.insert_header("content-length", asking.body.len().to_string());
            request.set_body(asking.body);
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        Ok(self.pipeline.send(&Context::new(), &mut request, Some(options)).await?)
    }

    /// The element `part` of each page of a listing.
    async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        part: &'static str,
    ) -> Result<Vec<Element>, AzureError> {
        let mut pages = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut url = self.url(path.iter().copied(), query);
            if let Some(marker) = &marker {
                url.query_pairs_mut().append_pair("marker", marker);
            }
            let answer = success(self.ask(Method::Get, url, Asking::default()).await?)?;
            let mut list = Element::parse(answer.body().as_ref())
                .map_err(|error| AzureError::unexpected(error.to_string()))?;
            let next = list.text_of("NextMarker").map(str::to_owned);
            pages.extend(list.take(part));
            // A service that gives the same page for ever must not hold us for ever.
            if next.is_none() || next == marker {
                return Ok(pages);
            }
            marker = next;
        }
    }
}

/// The answer, if it is what was hoped for.
fn success(answer: RawResponse) -> Result<RawResponse, AzureError> {
    if answer.status().is_success() { Ok(answer) } else { Err(AzureError::refused(&answer)) }
}

/// What was to be made is there already, and not as something else.
fn already_there(error: &AzureError) -> bool {
    let Some(answer) = error.answer() else { return false };
    answer.status == 409 && answer.code.as_deref().is_none_or(|code| code == "ResourceAlreadyExists")
}

fn entry_of(element: &Element) -> Option<Entry> {
    let name = element.first("Name")?;
    let name = if name.encoded {
        percent_decode_str(&name.text).decode_utf8_lossy().into_owned()
    } else {
        name.text.clone()
    };
    let kind = match element.name.as_str() {
        "Directory" => EntryKind::Directory,
        "File" => {
            let length =
                element.first("Properties").and_then(|properties| properties.text_of("Content-Length"));
            EntryKind::File(length.and_then(|length| length.trim().parse().ok()).unwrap_or_default())
        }
        _ => return None,
    };
    Some(Entry { name, kind })
}

#[cfg(test)]
mod tests;

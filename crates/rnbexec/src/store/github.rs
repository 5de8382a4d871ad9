//! `https://github.com/owner/repo/blob/ref/path`: a file of a repository, through the contents API as papermill reads it.
//!
//! Private repositories need a token in `GITHUB_ACCESS_TOKEN` (papermill's name) or `GITHUB_TOKEN`; public ones need none.
//! `GITHUB_API_URL`, which GitHub's own runners set, names another server. Read-only: a commit is more than a write.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header;

use super::http::{LazyClient, body, refused, retry_after, send};
use super::{Action, Durability, Environment, GitHubFile, Location, Store, StoreError, StoreErrorKind};

const API: &str = "https://api.github.com";

/// Files of GitHub repositories as a store.
pub(super) struct GitHubStore {
    client: LazyClient,
    api: String,
    token: Option<String>,
}

impl GitHubStore {
    pub(super) fn new(environment: &Environment) -> Self {
        let token = environment.get("GITHUB_ACCESS_TOKEN").or_else(|| environment.get("GITHUB_TOKEN"));
        let api = environment.get("GITHUB_API_URL").unwrap_or(API);
        Self {
            client: LazyClient::default(),
            api: api.trim_end_matches('/').to_owned(),
            token: token.map(str::to_owned),
        }
    }

    fn url(&self, file: &GitHubFile) -> String {
        let GitHubFile { owner, repo, reference, path, .. } = file;
        format!("{}/repos/{owner}/{repo}/contents/{path}?ref={reference}", self.api)
    }
}

#[async_trait]
impl Store for GitHubStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let Location::GitHub(file) = location else {
            let problem = "it is not a file on GitHub".to_owned();
            return Err(StoreError::new(Action::Read, location, StoreErrorKind::InvalidLocation { problem }));
        };
        let mut request = self
            .client
            .get(Action::Read, location)?
            .get(self.url(file))
            // The raw form goes up to 100 MB; the default one ends at 1 MB.
            .header(header::ACCEPT, "application/vnd.github.raw+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = send(Action::Read, location, request).await?;
        let status = response.status();
        if status.is_success() {
            return body(Action::Read, location, response).await;
        }
        // GitHub hides what one may not see behind 404, and says 403 when it has been asked too often.
        let exhausted = response.headers().get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let kind = match status.as_u16() {
            403 | 429 if exhausted => {
                Some(StoreErrorKind::Unavailable { retry_after: retry_after(&response) })
            }
            401 => Some(StoreErrorKind::Unauthenticated {
                hint: "set GITHUB_ACCESS_TOKEN or GITHUB_TOKEN to a token that may read the repository"
                    .to_owned(),
            }),
            _ => None,
        };
        let error = refused(Action::Read, location, response).await;
        Err(match kind {
            Some(kind) => error.with_kind(kind),
            None => error,
        })
    }

    async fn write(
        &self,
        location: &Location,
        _parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let reason = "files on GitHub are only read; write elsewhere and commit it".to_owned();
        Err(StoreError::new(Action::Write, location, StoreErrorKind::NotWritable { reason }))
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        Err(StoreError::new(Action::List, location, StoreErrorKind::NotListable))
    }
}

//! Azure Resource Manager: one client for everything below it.
//!
//! Reads, and writes that replace, so that each may be sent again. Tokens go to the configured resource manager only; a next
//! link to another host is refused.
//!
//! Source: "Azure Resource Manager REST API" and the common types of `azure-rest-api-specs`.

use std::collections::HashSet;
use std::sync::Arc;

use azure_core::http::{Method, Url};
use serde_json::Value;

use crate::client::JsonClient;
use crate::cloud::Cloud;
use crate::credential::Identity;
use crate::transport::Http;
use crate::{AzureError, AzureErrorKind};

/// A client of the resource manager. Cloning shares everything.
#[derive(Debug, Clone)]
pub struct Arm {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cloud: Cloud,
    client: JsonClient,
}

impl Arm {
    /// A client of the cloud's resource manager.
    pub fn new(cloud: Cloud, identity: Identity, http: &Http) -> Self {
        let client =
            JsonClient::new(http, identity, cloud.management_scope(), cloud.resource_manager.clone());
        Self { inner: Arc::new(Inner { cloud, client }) }
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.inner.cloud
    }

    /// The URL of a resource, from the segments of its id. They are percent-encoded here; `query` comes after `api-version`.
    pub(crate) fn url(
        &self,
        segments: &[&str],
        api_version: &str,
        query: &[(&str, &str)],
    ) -> Result<Url, AzureError> {
        if let Some(segment) = segments.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            return Err(AzureError::settings(format!("{segment:?} is not part of a resource's id")));
        }
        let mut url = self.inner.cloud.resource_manager.clone();
        if url.cannot_be_a_base() {
            return Err(AzureError::settings(format!("{url} is not the URL of a resource manager")));
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url.query_pairs_mut().append_pair("api-version", api_version).extend_pairs(query);
        Ok(url)
    }

    /// Reads.
    pub async fn get(&self, url: Url) -> Result<Value, AzureError> {
        self.inner.client.send(Method::Get, url, &[], None).await
    }

    /// Reads what may not be there.
    pub async fn find(&self, url: Url) -> Result<Option<Value>, AzureError> {
        match self.get(url).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if *error.kind() == AzureErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes or replaces.
    pub async fn put(&self, url: Url, body: &Value) -> Result<Value, AzureError> {
        self.inner.client.send(Method::Put, url, &[], Some(body)).await
    }

    /// Asks for what cannot be asked by reading; the body is empty.
    pub async fn post(&self, url: Url) -> Result<Value, AzureError> {
        self.inner.client.send(Method::Post, url, &[], None).await
    }

    /// The pages of a list, from the one at `url`.
    pub fn list(&self, url: Url) -> List {
        List { arm: self.clone(), next: Some(url), seen: HashSet::new() }
    }

    /// A next link as it was given, if it leads to where we were sent from.
    fn next_link(&self, text: &str) -> Result<Url, AzureError> {
        let ours = &self.inner.cloud.resource_manager;
        let url = Url::parse(text).map_err(|error| {
            AzureError::unexpected(format!("the link to the next page is no URL: {error}"))
        })?;
        let clean = url.username().is_empty() && url.password().is_none();
        if url.origin() != ours.origin() || !clean {
            let host = url.host_str().unwrap_or_default();
            return Err(AzureError::unexpected(format!(
                "the link to the next page leads away from {ours} to {}://{host}; it was not followed",
                url.scheme()
            )));
        }
        Ok(url)
    }
}

/// A list that comes in pages, `{"value": […], "nextLink": "…"}`.
#[derive(Debug)]
pub struct List {
    arm: Arm,
    next: Option<Url>,
    seen: HashSet<Url>,
}

impl List {
    /// The next page, or `None` after the last one. After an error the same page is asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, AzureError> {
        let Some(url) = self.next.clone() else { return Ok(None) };
        let mut page = self.arm.get(url.clone()).await?;
        let items = match page.get_mut("value").map(Value::take) {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) if page.is_object() => Vec::new(),
            _ => return Err(AzureError::unexpected("a page of a list has no array called value")),
        };
        let next = match page.get("nextLink").and_then(Value::as_str) {
            None | Some("") => None,
            Some(link) => Some(self.arm.next_link(link)?),
        };
        self.seen.insert(url);
        if next.as_ref().is_some_and(|next| self.seen.contains(next)) {
            return Err(AzureError::unexpected("the pages of a list go round in a circle"));
        }
        self.next = next;
        Ok(Some(items))
    }

    /// What is left of all pages.
    pub async fn all(mut self) -> Result<Vec<Value>, AzureError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;

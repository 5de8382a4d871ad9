//! Microsoft Sentinel: incidents, what belongs to them, and what is written to them.
//!
//! Incidents are kept as the service gave them, so that a write, which replaces everything, loses nothing. Ids are parsed
//! once and checked, so that none leads elsewhere.
//!
//! Source: `azure-rest-api-specs`, `Microsoft.SecurityInsights` stable 2025-09-01.

mod id;
mod incident;

use azure_core::http::Url;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use id::is_resource_name;
pub use id::{IncidentName, IncidentRef, ParseError, WorkspaceId};
pub use incident::{Incident, READ_ONLY};

use crate::AzureError;
use crate::arm::{Arm, List};

/// The version of the service that is spoken by default.
pub const API_VERSION: &str = "2025-09-01";

const LOG_ANALYTICS_API_VERSION: &str = "2023-09-01";
const SUBSCRIPTIONS_API_VERSION: &str = "2022-12-01";

/// Which incidents, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// An OData filter: `properties/status eq 'New'`.
    pub filter: Option<String>,
    /// An OData order: `properties/createdTimeUtc asc`.
    pub order_by: Option<String>,
    /// How many come at a time; the service allows up to 1000.
    pub page_size: Option<u32>,
}

/// Something to be written to an incident. Each replaces what is there, so that writing twice is writing once.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The incident itself: `{"etag": …, "properties": {…}}`. What it leaves out is lost; see [`Incident::to_update`].
    Incident {
        /// Which one.
        incident: IncidentName,
        /// The body.
        body: Value,
    },
    /// A comment.
    Comment {
        /// On which incident.
        incident: IncidentName,
        /// Chosen by us.
        id: Uuid,
        /// HTML or Markdown.
        message: String,
    },
    /// A task.
    Task {
        /// Of which incident.
        incident: IncidentName,
        /// Chosen by us.
        id: Uuid,
        /// One line.
        title: String,
        /// HTML.
        description: String,
    },
}

impl Write {
    /// What is sent.
    pub fn body(&self) -> Value {
        match self {
            Self::Incident { body, .. } => body.clone(),
            Self::Comment { message, .. } => json!({"properties": {"message": message}}),
            Self::Task { title, description, .. } => {
                json!({"properties": {"title": title, "description": description, "status": "New"}})
            }
        }
    }
}

/// Sentinel in one workspace. Cloning shares the client.
#[derive(Debug, Clone)]
pub struct Sentinel {
    arm: Arm,
    workspace: WorkspaceId,
    api_version: String,
}

impl Sentinel {
    /// Sentinel in `workspace`; see [`API_VERSION`].
    pub fn new(arm: Arm, workspace: WorkspaceId, api_version: String) -> Self {
        Self { arm, workspace, api_version }
    }

    /// The workspace.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    /// The client of the resource manager.
    pub fn arm(&self) -> &Arm {
        &self.arm
    }

    /// The GUID under which Log Analytics knows the workspace, which notebooks need for queries.
    ///
    /// Source: "Workspaces - Get" of the Log Analytics REST reference.
    pub async fn customer_id(&self) -> Result<Option<String>, AzureError> {
        let url = self.arm.url(&self.workspace.segments(), LOG_ANALYTICS_API_VERSION, &[])?;
        let workspace = self.arm.get(url).await?;
        let id = workspace.pointer("/properties/customerId").and_then(Value::as_str);
        Ok(id.map(str::to_owned))
    }

    /// The tenant that the subscription belongs to.
    ///
    /// Source: "Subscriptions - Get" of the Resource Manager REST reference.
    pub async fn tenant_id(&self) -> Result<Option<String>, AzureError> {
        let segments = ["subscriptions", self.workspace.subscription.as_str()];
        let subscription = self.arm.get(self.arm.url(&segments, SUBSCRIPTIONS_API_VERSION, &[])?).await?;
        Ok(subscription.get("tenantId").and_then(Value::as_str).map(str::to_owned))
    }

    /// The incidents that match, page by page.
    pub fn incidents(&self, query: &IncidentQuery) -> Pages {
        let size = query.page_size.map(|size| size.to_string());
        let options = [("$filter", &query.filter), ("$orderby", &query.order_by), ("$top", &size)];
        let options: Vec<(&str, &str)> =
            options.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        Pages(self.below(&[], &options).map(|url| self.arm.list(url)))
    }

    /// One incident.
    pub async fn incident(&self, name: &IncidentName) -> Result<Incident, AzureError> {
        self.arm.get(self.at(name, &[])?).await.map(Incident::from)
    }

    /// The incident with the number that people see. A service that ignores the filter is listened to until its last page.
    pub async fn incident_by_number(&self, number: u64) -> Result<Option<Incident>, AzureError> {
        let filter = format!("properties/incidentNumber eq {number}");
        self.first(filter, |incident| incident.number() == Some(number)).await
    }

    /// The incident with the number that Defender gave to it.
    pub async fn incident_of_defender(&self, number: u64) -> Result<Option<Incident>, AzureError> {
        let id = number.to_string();
        let filter = format!("properties/providerIncidentId eq '{id}'");
        self.first(filter, |incident| incident.provider_id() == Some(&id)).await
    }

    async fn first(
        &self,
        filter: String,
        is_it: impl Fn(&Incident) -> bool,
    ) -> Result<Option<Incident>, AzureError> {
        let mut pages = self.incidents(&IncidentQuery { filter: Some(filter), ..IncidentQuery::default() });
        while let Some(page) = pages.next().await? {
            if let Some(found) = page.into_iter().find(&is_it) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The incident that is meant.
    pub async fn resolve(&self, reference: &IncidentRef) -> Result<Option<Incident>, AzureError> {
        let name = match reference {
            IncidentRef::Number(number) => return self.incident_by_number(*number).await,
            IncidentRef::Defender(number) => return self.incident_of_defender(*number).await,
            IncidentRef::Arm { workspace, .. } if *workspace != self.workspace => {
                return Err(AzureError::settings(format!(
                    "the incident belongs to the workspace {workspace}, not to {}",
                    self.workspace
                )));
            }
            IncidentRef::Arm { name, .. } | IncidentRef::Name(name) => name,
        };
        Ok(self.arm.find(self.at(name, &[])?).await?.map(Incident::from))
    }

    /// The entities of an incident, as the service gives them: `{"entities": […], "metaData": […]}`.
    pub async fn entities(&self, name: &IncidentName) -> Result<Value, AzureError> {
        self.arm.post(self.at(name, &["entities"])?).await
    }

    /// The alerts of an incident, as the service gives them: `{"value": […]}`.
    pub async fn alerts(&self, name: &IncidentName) -> Result<Value, AzureError> {
        self.arm.post(self.at(name, &["alerts"])?).await
    }

    /// All comments of an incident.
    pub async fn comments(&self, name: &IncidentName) -> Result<Vec<Value>, AzureError> {
        self.arm.list(self.at(name, &["comments"])?).all().await
    }

    /// One comment.
    pub async fn comment(&self, name: &IncidentName, id: Uuid) -> Result<Option<Value>, AzureError> {
        self.arm.find(self.at(name, &["comments", &id.to_string()])?).await
    }

    /// All tasks of an incident.
    pub async fn tasks(&self, name: &IncidentName) -> Result<Vec<Value>, AzureError> {
        self.arm.list(self.at(name, &["tasks"])?).all().await
    }

    /// One task.
    pub async fn task(&self, name: &IncidentName, id: Uuid) -> Result<Option<Value>, AzureError> {
        self.arm.find(self.at(name, &["tasks", &id.to_string()])?).await
    }

    /// Where a write goes. It is always a `PUT`.
    pub fn url(&self, write: &Write) -> Result<Url, AzureError> {
        match write {
            Write::Incident { incident, .. } => self.at(incident, &[]),
            Write::Comment { incident, id, .. } => self.at(incident, &["comments", &id.to_string()]),
            Write::Task { incident, id, .. } => self.at(incident, &["tasks", &id.to_string()]),
        }
    }

    /// Writes. A stale etag is a [`Conflict`](crate::AzureErrorKind::Conflict).
    pub async fn send(&self, write: &Write) -> Result<Value, AzureError> {
        self.arm.put(self.url(write)?, &write.body()).await
    }

    /// Makes or replaces a comment.
    pub async fn put_comment(
        &self,
        name: &IncidentName,
        id: Uuid,
        message: &str,
    ) -> Result<Value, AzureError> {
        self.send(&Write::Comment { incident: name.clone(), id, message: message.to_owned() }).await
    }

    /// Replaces an incident; what `body` leaves out is lost. A stale etag is a
    /// [`Conflict`](crate::AzureErrorKind::Conflict); so is the second attempt when the answer to the first was lost, and the
    /// incident, read again, then shows our change.
    pub async fn put_incident(&self, name: &IncidentName, body: &Value) -> Result<Incident, AzureError> {
        self.send(&Write::Incident { incident: name.clone(), body: body.clone() }).await.map(Incident::from)
    }

    /// Makes or replaces a task.
    pub async fn put_task(
        &self,
        name: &IncidentName,
        id: Uuid,
        title: &str,
        description: &str,
    ) -> Result<Value, AzureError> {
        let (title, description) = (title.to_owned(), description.to_owned());
        self.send(&Write::Task { incident: name.clone(), id, title, description }).await
    }

    fn at(&self, name: &IncidentName, rest: &[&str]) -> Result<Url, AzureError> {
        self.below(&[&[name.as_str()], rest].concat(), &[])
    }

    /// The URL of something below `incidents`.
    fn below(&self, rest: &[&str], query: &[(&str, &str)]) -> Result<Url, AzureError> {
        let mut segments = self.workspace.segments().to_vec();
        segments.extend(["providers", "Microsoft.SecurityInsights", "incidents"]);
        segments.extend(rest);
        self.arm.url(&segments, &self.api_version, query)
    }
}

/// Incidents, page by page.
#[derive(Debug)]
pub struct Pages(Result<List, AzureError>);

impl Pages {
    /// The next page, or `None` after the last. After an error the same page is asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<Incident>>, AzureError> {
        match &mut self.0 {
            Ok(list) => {
                let page = list.next().await?;
                Ok(page.map(|page| page.into_iter().map(Incident::from).collect()))
            }
            Err(error) => Err(AzureError::settings(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;

//! Where incidents live and are written to.

pub mod folder;
pub mod sentinel;

use async_trait::async_trait;
use rnbexec_azure::sentinel::{Incident, IncidentRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::bundle::Bundle;
use crate::error::Trouble;

/// Where incidents live: Sentinel's REST API, or a folder that plays it.
#[async_trait]
pub trait Incidents: Send + Sync {
    /// The incident as it is now; `None` when there is no such incident.
    async fn get(&self, reference: &IncidentRef) -> Result<Option<Incident>, Trouble>;

    /// The incident with its entities and alerts.
    async fn bundle(&self, incident: Incident) -> Result<Bundle, Trouble>;

    /// The request that [`send`](Self::send) would make for this write, to be shown.
    fn request(&self, incident: &Incident, write: &Write) -> Result<Request, Trouble>;

    /// Writes. The same write twice is one.
    async fn send(&self, incident: &Incident, write: &Write) -> Result<Sent, Trouble>;
}

/// Something to write to an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Creates or replaces a comment.
    Comment {
        /// Its id.
        id: Uuid,
        /// HTML as Sentinel shows it.
        message: String,
    },
    /// Replaces the incident, if it still has the etag of the body.
    Incident {
        /// The whole body of the PUT.
        body: Value,
    },
    /// Creates or replaces a task.
    Task {
        /// Its id.
        id: Uuid,
        /// What to do.
        title: String,
        /// More about it, HTML.
        description: String,
    },
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// It is written.
    Written,
    /// The incident changed meanwhile: read it again and decide again.
    Conflict {
        /// It may be this write that changed it, the answer to whose first attempt was lost.
        may_be_ours: bool,
    },
}

/// One HTTP request, as `manager plan` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The whole URL; for a folder, the file.
    pub url: String,
    /// The body.
    pub body: Value,
}

//! A folder of incident bundles as a source: the embedded default, for evaluation, replay and tests.

use async_trait::async_trait;
use rnbexec_azure::sentinel::IncidentRef;

use super::{Arrival, Ask, Batch, IncidentSource, Rejected};
use crate::error::Trouble;
use crate::incidents::folder::FolderIncidents;

/// All incidents of a folder that are not closed.
#[derive(Debug)]
pub struct FolderSource {
    incidents: FolderIncidents,
    name: String,
}

impl FolderSource {
    /// The incidents of this folder, which is called `name` in the ledger.
    pub fn new(incidents: FolderIncidents, name: impl Into<String>) -> Self {
        Self { incidents, name: name.into() }
    }
}

#[async_trait]
impl IncidentSource for FolderSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn pending(&self, _ask: Ask<'_>) -> Result<Batch, Trouble> {
        let mut batch = Batch { exhausted: true, ..Batch::default() };
        let (incidents, troubles) = self.incidents.all().await?;
        batch.rejected.extend(troubles.iter().map(Rejected::unreadable));
        for incident in incidents {
            if incident.is_closed() {
                continue;
            }
            match incident.name() {
                Ok(name) => batch.arrivals.push(Arrival {
                    reference: IncidentRef::Name(name),
                    incident: Some(incident),
                    delivery: None,
                    asked_for: false,
                }),
                Err(error) => batch.rejected.push(Rejected::nameless(&incident, &error)),
            }
        }
        Ok(batch)
    }
}

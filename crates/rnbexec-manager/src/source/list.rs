//! Incidents that somebody asked for by id, number, ARM id or portal URL.

use async_trait::async_trait;
use rnbexec_azure::sentinel::IncidentRef;

use super::{Arrival, Ask, Batch, IncidentSource};
use crate::error::Trouble;

/// The incidents of a command line.
#[derive(Debug)]
pub struct ListSource {
    references: Vec<IncidentRef>,
}

impl ListSource {
    /// These incidents, once each.
    pub fn new(references: Vec<IncidentRef>) -> Self {
        Self { references }
    }
}

#[async_trait]
impl IncidentSource for ListSource {
    fn name(&self) -> String {
        "command line".to_owned()
    }

    async fn pending(&self, _ask: Ask<'_>) -> Result<Batch, Trouble> {
        let arrivals = self.references.iter().map(|reference| Arrival {
            reference: reference.clone(),
            incident: None,
            delivery: None,
            asked_for: true,
        });
        Ok(Batch { arrivals: arrivals.collect(), exhausted: true, ..Batch::default() })
    }
}

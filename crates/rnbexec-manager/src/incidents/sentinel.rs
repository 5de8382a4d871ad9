//! Incidents in Microsoft Sentinel.

use async_trait::async_trait;
use rnbexec_azure::AzureErrorKind;
use rnbexec_azure::sentinel::{self, Incident, IncidentName, IncidentRef, Sentinel};

use super::{Incidents, Request, Sent, Write};
use crate::bundle::Bundle;
use crate::error::{Class, Trouble};

/// The incidents of one workspace.
#[derive(Debug, Clone)]
pub struct SentinelIncidents {
    sentinel: Sentinel,
}

impl SentinelIncidents {
    /// The incidents that `sentinel` has.
    pub fn new(sentinel: Sentinel) -> Self {
        Self { sentinel }
    }
}

fn name(incident: &Incident) -> Result<IncidentName, Trouble> {
    incident
        .name()
        .map_err(|error| Trouble::new(Class::Refused, "the incident has no usable name").because(error))
}

/// The write in the words of the API.
fn to_sentinel(incident: &Incident, write: &Write) -> Result<sentinel::Write, Trouble> {
    let incident = name(incident)?;
    Ok(match write.clone() {
        Write::Comment { id, message } => sentinel::Write::Comment { incident, id, message },
        Write::Incident { body } => sentinel::Write::Incident { incident, body },
        Write::Task { id, title, description } => sentinel::Write::Task { incident, id, title, description },
    })
}

#[async_trait]
impl Incidents for SentinelIncidents {
    async fn get(&self, reference: &IncidentRef) -> Result<Option<Incident>, Trouble> {
        let ours = self.sentinel.workspace();
        if let IncidentRef::Arm { workspace, .. } = reference
            && workspace != ours
        {
            let doing = format!("the incident belongs to the workspace {workspace}, not to {ours}");
            return Err(Trouble::new(Class::Refused, doing));
        }
        let found = self.sentinel.resolve(reference).await;
        found.map_err(|error| Trouble::azure(format!("cannot read incident {reference}"), error))
    }

    async fn bundle(&self, incident: Incident) -> Result<Bundle, Trouble> {
        let name = name(&incident)?;
        let failed = |what: &str| format!("cannot read the {what} of incident {name}");
        let (entities, alerts) = tokio::join!(self.sentinel.entities(&name), self.sentinel.alerts(&name));
        Ok(Bundle {
            incident,
            entities: entities.map_err(|error| Trouble::azure(failed("entities"), error))?,
            alerts: alerts.map_err(|error| Trouble::azure(failed("alerts"), error))?,
        })
    }

    fn request(&self, incident: &Incident, write: &Write) -> Result<Request, Trouble> {
        let write = to_sentinel(incident, write)?;
        let url = self.sentinel.url(&write);
        let url = url.map_err(|error| Trouble::azure("cannot address the incident", error))?;
        Ok(Request { method: "PUT".to_owned(), url: url.into(), body: write.body() })
    }

    async fn send(&self, incident: &Incident, write: &Write) -> Result<Sent, Trouble> {
        let what = match write {
            Write::Comment { .. } => "comment on",
            Write::Incident { .. } => "change",
            Write::Task { .. } => "add a task to",
        };
        match self.sentinel.send(&to_sentinel(incident, write)?).await {
            Ok(_) => Ok(Sent::Written),
            Err(error) if *error.kind() == AzureErrorKind::Conflict => {
                Ok(Sent::Conflict { may_be_ours: error.may_be_done() })
            }
            Err(error) => {
                let called = incident.number().map_or_else(String::new, |number| format!(" {number}"));
                Err(Trouble::azure(format!("cannot {what} incident{called}"), error))
            }
        }
    }
}

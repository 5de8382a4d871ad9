//! Sentinel asked for what is new: a poll with a watermark.
//!
//! The watermark is the latest modification that was seen; the next poll asks for everything modified since, and a while before
//! it, because an index lags behind. Any change of an incident moves it past the watermark, so nothing is missed: a new alert, a
//! status that was set back. Our own comment moves it too; the ledger knows that its activity is the same, and nothing
//! follows. All times are the service's.

use async_trait::async_trait;
use jiff::Timestamp;
use rnbexec_azure::sentinel::{Incident, IncidentQuery, IncidentRef, Sentinel};
use sha2::{Digest as _, Sha256};

use super::{Arrival, Ask, Batch, IncidentSource, Rejected};
use crate::config::{Poll, Since};
use crate::error::{Class, Trouble};
use crate::run_key::hex;

/// The incidents of a workspace that meet the configured conditions.
pub struct SentinelSource {
    sentinel: Sentinel,
    poll: Poll,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl SentinelSource {
    /// The incidents that `poll` describes. The clock only says where the first poll of all begins.
    pub fn new(
        sentinel: Sentinel,
        poll: Poll,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self { sentinel, poll, clock: Box::new(clock) }
    }

    /// What of the conditions the service can be asked for; all of them are looked at again in the answer.
    fn conditions(&self) -> Vec<String> {
        let any = |field: &str, values: Vec<String>| {
            let tests: Vec<String> = values
                .iter()
                .map(|value| format!("properties/{field} eq '{}'", value.replace('\'', "''")))
                .collect();
            match tests.as_slice() {
                [] => None,
                [test] => Some(test.clone()),
                tests => Some(format!("({})", tests.join(" or "))),
            }
        };
        let severities = self.poll.conditions.severity.iter().map(ToString::to_string).collect();
        let own = self.poll.filter.as_ref().map(|filter| format!("({filter})"));
        [any("status", self.poll.status.clone()), any("severity", severities), own]
            .into_iter()
            .flatten()
            .collect()
    }

    fn begin(&self, watermark: Option<&str>) -> Result<Timestamp, Trouble> {
        let earlier = |time: Timestamp, by| time.checked_sub(by).unwrap_or(Timestamp::MIN);
        match (watermark, self.poll.since) {
            (Some(mark), _) => {
                let mark: Timestamp = mark.parse().map_err(|error| {
                    Trouble::new(Class::Refused, format!("the ledger's watermark {mark:?} is no time"))
                        .because(error)
                })?;
                Ok(earlier(mark, self.poll.overlap))
            }
            (None, Since::Ago(ago)) => Ok(earlier((self.clock)(), ago)),
            (None, Since::At(time)) => Ok(time),
        }
    }

    fn wanted(&self, incident: &Incident) -> bool {
        let status = incident.status();
        let statuses = &self.poll.status;
        (statuses.is_empty() || statuses.iter().any(|wanted| wanted.eq_ignore_ascii_case(status)))
            && self.poll.conditions.met_by(incident)
            && !incident.is_closed()
            && !incident.is_merged()
    }
}

#[async_trait]
impl IncidentSource for SentinelSource {
    /// The workspace, and the conditions: other ones begin with a watermark of their own, so that they find what the earlier ones
    /// passed over.
    fn name(&self) -> String {
        let workspace = self.sentinel.workspace();
        let id = workspace.to_string().to_lowercase();
        let digest = hex(&Sha256::digest(format!("{id} {:?} {:?}", self.conditions(), self.poll.conditions)));
        format!("Sentinel {} [{}]", workspace.name, digest.chars().take(8).collect::<String>())
    }

    async fn pending(&self, ask: Ask<'_>) -> Result<Batch, Trouble> {
        let begin = self.begin(ask.watermark)?;
        // Seconds are enough, and what every version of the service reads.
        let since = format!("properties/lastModifiedTimeUtc ge {}", begin.strftime("%Y-%m-%dT%H:%M:%SZ"));
        let mut conditions = self.conditions();
        conditions.insert(0, since);
        let query = IncidentQuery {
            filter: Some(conditions.join(" and ")),
            // In this order, what changes while its page is read moves to a page that is still to come.
            order_by: Some("properties/lastModifiedTimeUtc asc".to_owned()),
            page_size: Some(self.poll.page_size),
        };
        let failed = |error| Trouble::azure("cannot list the incidents of Sentinel", error);
        let mut batch = Batch { exhausted: true, ..Batch::default() };
        let mut latest: Option<Timestamp> = ask.watermark.and_then(|mark| mark.parse().ok());
        let mut pages = self.sentinel.incidents(&query);
        while let Some(page) = pages.next().await.map_err(failed)? {
            for incident in page {
                latest = latest.max(incident.last_modified());
                if !self.wanted(&incident) {
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
        }
        if ask.watermark.is_none() && batch.arrivals.is_empty() {
            batch.notes.push(format!(
                "no incident that is asked for changed since {}; the setting source.sentinel.since looks further back",
                begin.strftime("%Y-%m-%d %H:%M UTC")
            ));
        }
        batch.watermark = latest.map(|latest| latest.to_string());
        Ok(batch)
    }
}

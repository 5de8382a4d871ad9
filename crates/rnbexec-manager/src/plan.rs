//! A dry run: the notebooks run, nothing is written anywhere, and the requests that would be sent are shown and kept. Applying a
//! plan sends exactly those, if the incidents have not changed meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec::{Cancel, CancelLevel};
use rnbexec_azure::sentinel::IncidentRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::case::{self, Ending, State, Step};
use crate::change::{Difference, differences};
use crate::driver::Work;
use crate::error::{Class, Trouble};
use crate::event::Event;
use crate::incidents::{Request, Write};
use crate::ledger::{Case, Enlisted, Facts, LedgerError, Outcome};
use crate::manager::Manager;
use crate::pass::PassError;
use crate::run_key::{RunKey, hex};
use crate::verdict::Verdict;

/// The version of the plan's format.
const VERSION: u32 = 1;

/// What a manager would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this format.
    pub version: u32,
    /// When it was made.
    pub made: Timestamp,
    /// What kept the source, or single incidents of it, from being read.
    pub troubles: Vec<String>,
    /// One entry for each incident that was looked at, in the order in which they would be triaged.
    pub incidents: Vec<Planned>,
}

/// What would be done about one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Which triage.
    pub run: RunKey,
    /// About the incident.
    pub facts: Facts,
    /// The incident's etag when its requests were made.
    pub etag: Option<String>,
    /// What would follow.
    pub outcome: PlannedOutcome,
}

/// What would follow from a triage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum PlannedOutcome {
    /// The notebook found something: these requests would be sent.
    Finding {
        /// What it found.
        verdict: Box<Verdict>,
        /// Where the executed notebook is, to be looked at and to be published.
        executed: PathBuf,
        /// The SHA-256 of that file.
        sha256: String,
        /// In their order.
        requests: Vec<PlannedRequest>,
    },
    /// The notebook found nothing that matters: the incident would be left as it is.
    NoFinding,
    /// The incident would not be triaged.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The triage failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One request that would be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlannedRequest {
    /// A document would be published.
    Publish {
        /// Where.
        place: String,
        /// How an analyst gets there.
        link: String,
        /// How long it is, in bytes.
        bytes: usize,
        /// Its SHA-256.
        sha256: String,
    },
    /// Something would be written to the incident.
    Write {
        /// The request.
        #[serde(flatten)]
        request: Request,
        /// What it changes of the incident.
        changes: Vec<Difference>,
    },
}

/// What became of one entry of a plan.
#[derive(Debug)]
pub enum Applied {
    /// Everything was sent.
    Done(Box<Case>),
    /// There was nothing to send.
    Nothing,
    /// Nothing was sent.
    Refused {
        /// Why.
        reason: String,
    },
    /// It was begun, and goes on with the next pass.
    Unfinished(Box<Case>),
}

impl Manager {
    /// Triages what the source has without writing anything to any incident or place. The executed notebooks stay in the
    /// manager's state folder; the ledger is not told, so that a later pass triages the same incidents.
    pub async fn plan(self: &Arc<Self>, cancel: Cancel) -> Result<Plan, PassError> {
        self.tell(&Event::Began { command: "plan" });
        let (cases, kept, troubles) = self.arrivals().await?;
        let mut planned = Vec::new();
        let mut running = JoinSet::new();
        let mut waiting = cases.into_iter().enumerate();
        loop {
            while running.len() < self.config.run.jobs && cancel.level() < CancelLevel::Drain {
                let Some((position, case)) = waiting.next() else { break };
                let (manager, cancel) = (Arc::clone(self), cancel.clone());
                running.spawn(async move {
                    manager.tell(&Event::Started { case: &case });
                    (position, manager.plan_one(case, cancel).await)
                });
            }
            let Some(done) = running.join_next().await else { break };
            planned.push(done.expect("a dry run does not panic"));
        }
        for kept in kept {
            let delivery = kept.end().await;
            self.hand_back(&delivery, Duration::ZERO).await?;
        }
        planned.sort_by_key(|(position, _)| *position);
        let incidents = planned.into_iter().map(|(_, planned)| planned).collect();
        let troubles = troubles.iter().map(|trouble| self.redactor().text(&trouble.in_full()).0.into_owned());
        Ok(Plan { version: VERSION, made: self.now(), troubles: troubles.collect(), incidents })
    }

    async fn plan_one(&self, mut case: Case, cancel: Cancel) -> Planned {
        let mut work = Work::planned(self, &mut case, cancel);
        let (etag, outcome) = match work.dry().await {
            Ok(dry) => dry,
            Err(trouble) => {
                let reason = self.redactor().text(&trouble.in_full()).0.into_owned();
                (None, PlannedOutcome::Failed { reason })
            }
        };
        Planned { run: case.key, facts: case.facts, etag, outcome }
    }

    /// Sends what a plan says. Each incident is looked at first: if it is not what it was, or if what would be sent now differs
    /// from the plan, nothing is sent for it.
    pub async fn apply(
        self: &Arc<Self>,
        plan: &Plan,
        cancel: Cancel,
    ) -> Result<Vec<(Planned, Applied)>, PassError> {
        let mut applied = Vec::new();
        for planned in &plan.incidents {
            let became = match &planned.outcome {
                PlannedOutcome::Finding { .. } => Box::pin(self.apply_one(planned, cancel.clone())).await?,
                _ => Applied::Nothing,
            };
            applied.push((planned.clone(), became));
        }
        Ok(applied)
    }

    async fn apply_one(&self, planned: &Planned, cancel: Cancel) -> Result<Applied, PassError> {
        let case = match self.check(planned, cancel.clone()).await {
            Ok(()) => self.take_over(planned).await?,
            Err(reason) => Err(reason),
        };
        let case = match case {
            Ok(case) => case,
            Err(reason) => return Ok(Applied::Refused { reason }),
        };
        let key = case.key.clone();
        let drove = crate::driver::drive(self, case, None, [cancel, Cancel::never()]).await?;
        let case =
            Box::new(self.ledger.case(&key).await?.expect("a case that was worked on is in the ledger"));
        Ok(match drove {
            crate::driver::Drove::Over(Ending::Triaged) => Applied::Done(case),
            _ => Applied::Unfinished(case),
        })
    }

    /// Whether the plan still holds: the incident, the executed notebook and the requests are what they were.
    async fn check(&self, planned: &Planned, cancel: Cancel) -> Result<(), String> {
        let PlannedOutcome::Finding { executed, sha256, requests, .. } = &planned.outcome else {
            return Err("nothing was planned for it".to_owned());
        };
        let now = tokio::fs::read(executed).await;
        let now = now.map_err(|error| format!("cannot read {}: {error}", executed.display()))?;
        if digest(&now) != *sha256 {
            return Err(format!("{} is not the notebook that was planned with", executed.display()));
        }
        let reference = IncidentRef::parse(&planned.facts.name).map_err(|error| error.to_string())?;
        let incident = self.incidents.get(&reference).await.map_err(|error| error.in_full())?;
        let incident = incident.ok_or("the incident does not exist any more")?;
        if incident.etag() != planned.etag.as_deref() {
            return Err("the incident changed since the plan was made".to_owned());
        }
        let mut case = self.planned_case(planned);
        let mut work = Work::planned(self, &mut case, cancel);
        let again = work.requests().await.map_err(|error| error.in_full())?.1;
        if again != *requests {
            return Err("what would be sent is not what was planned: the configuration changed".to_owned());
        }
        Ok(())
    }

    fn planned_case(&self, planned: &Planned) -> Case {
        let state = State { step: Step::Publish, failures: 0, ending: Some(Ending::Triaged) };
        let (now, facts) = (self.now(), planned.facts.clone());
        Case { key: planned.run.clone(), state, due: now, owned: false, enlisted: now, updated: now, facts }
    }

    /// Puts the case into the ledger as one that is to be published, and claims it; or says why not.
    async fn take_over(&self, planned: &Planned) -> Result<Result<Case, String>, LedgerError> {
        let taken = || Ok(Err("it was triaged meanwhile, or is being triaged".to_owned()));
        let facts = planned.facts.clone();
        let enlisted = self.ledger.enlist(planned.run.clone(), facts, true, self.now()).await?;
        if let Enlisted::Known(case) = &enlisted
            && case.state.step.is_final()
        {
            return taken();
        }
        let Some(mut case) = self.ledger.claim(&planned.run, self.now()).await? else { return taken() };
        if let Err(error) = self.bring_over(&case.key).await {
            self.ledger.give_back(&case.key).await?;
            return Ok(Err(format!("its files cannot be taken over: {error}")));
        }
        case.facts = planned.facts.clone();
        let next = case::Next { state: self.planned_case(planned).state, wait: None };
        let what = Outcome::Result("planned before, and applied now");
        self.ledger.record(&case.key, case.state.step, next, &case.facts, what, self.now()).await?;
        case.state = next.state;
        Ok(Ok(case))
    }

    /// Takes what a plan was made with for what is published.
    async fn bring_over(&self, key: &RunKey) -> std::io::Result<()> {
        let folder = self.run_folder(key);
        // Of a triage that was begun before and came to nothing.
        if let Err(error) = tokio::fs::remove_dir_all(&folder).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        tokio::fs::rename(self.plan_folder(key), folder).await
    }
}

impl Work<'_> {
    /// Everything up to the verdict, and what would follow from it.
    async fn dry(&mut self) -> Result<(Option<String>, PlannedOutcome), Trouble> {
        match self.until_judged().await? {
            case::Event::Finding => {
                let (etag, requests) = self.requests().await?;
                let executed = self.executed_path();
                let bytes = tokio::fs::read(&executed).await.map_err(|error| {
                    Trouble::new(Class::Unavailable, format!("cannot read {}", executed.display()))
                        .because(error)
                })?;
                let verdict = self.facts().verdict.clone();
                let verdict =
                    verdict.ok_or_else(|| Trouble::new(Class::Refused, "a finding without a verdict"))?;
                let outcome = PlannedOutcome::Finding {
                    verdict: Box::new(verdict),
                    executed,
                    sha256: digest(&bytes),
                    requests,
                };
                Ok((etag, outcome))
            }
            case::Event::NotToBeTriaged => {
                let reason = self.facts().reason.clone().unwrap_or_default();
                Ok((None, PlannedOutcome::Skipped { reason }))
            }
            _ => Ok((None, PlannedOutcome::NoFinding)),
        }
    }

    /// What would be sent for the incident as it is now, and its etag.
    async fn requests(&mut self) -> Result<(Option<String>, Vec<PlannedRequest>), Trouble> {
        let Some(incident) = self.incident().await? else {
            return Err(Trouble::new(Class::Refused, "the incident does not exist any more"));
        };
        let mut requests = Vec::new();
        if let Some(place) = self.place().await? {
            for document in self.documents(&place).await? {
                requests.push(PlannedRequest::Publish {
                    place: document.destination.to_string(),
                    link: document.link,
                    bytes: document.content.len(),
                    sha256: digest(&document.content),
                });
            }
            // The comment speaks of the links.
            self.link(&place);
        }
        let mut writes: Vec<Write> = self.comment(&incident).await?.into_iter().collect();
        writes.extend(self.settlement(&incident).0);
        for write in &writes {
            let changes = match write {
                Write::Incident { body } => differences(&incident, body),
                _ => Vec::new(),
            };
            requests.push(PlannedRequest::Write { request: self.request(&incident, write)?, changes });
        }
        Ok((incident.etag().map(str::to_owned), requests))
    }
}

/// A plan that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The text is no plan.
    #[error("this is no plan")]
    Shape(#[source] serde_json::Error),
    /// Another version of the program made it.
    #[error("the plan has version {0}, this program reads version {VERSION}")]
    Version(Value),
}

impl Plan {
    /// Reads a plan that [`to_vec`](Self::to_vec) wrote.
    pub fn parse(text: &[u8]) -> Result<Self, PlanError> {
        let value: Value = serde_json::from_slice(text).map_err(PlanError::Shape)?;
        match value.get("version") {
            Some(version) if version.as_u64() != Some(VERSION.into()) => {
                Err(PlanError::Version(version.clone()))
            }
            _ => serde_json::from_value(value).map_err(PlanError::Shape),
        }
    }

    /// The plan as a document.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a plan is plain data")
    }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

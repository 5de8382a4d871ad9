//! A pass over what the source has, and the service that never stops making them.
//!
//! One loop: ask the source while there is room, write what it hands out into the ledger, start the most urgent cases, wait for
//! whatever happens next. The ledger, not this loop, knows what is to be done: a loop that ends anywhere is taken up by the next.

mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec::{Cancel, CancelHandle, CancelLevel};
use rnbexec_kernel::Expected;
use rnbexec_notebook::Json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::case::{Ending, State, Step};
use crate::driver::{Drove, drive};
use crate::error::{Class, Trouble};
use crate::event::Event;
use crate::lease::KeptDelivery;
use crate::ledger::{Again, Case, Enlisted, Facts, LedgerError, rank};
use crate::manager::Manager;
use crate::policy::untouchable;
use crate::route::{Action, Choice};
use crate::run_key::RunKey;
use crate::source::{Arrival, Ask, Delivery, Rejected};

use report::Memory;
pub use report::PassReport;

/// How long a message waits at most whose incident cannot be looked at now.
const LATER: Duration = Duration::from_mins(1);

/// How long this one waits: who has short leases wants its messages back soon.
fn later(delivery: &Delivery) -> Duration {
    delivery.renew_every.clamp(Duration::from_secs(1), LATER)
}

/// How many messages a plan takes at a time.
const MOST_AT_ONCE: usize = 32;

/// Why a pass could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// The ledger failed: nothing is done that cannot be written down.
    #[error("cannot go on without the ledger")]
    Ledger(#[from] LedgerError),
}

/// When a pass is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The source has nothing more, and nothing is to be done now.
    Nothing,
    /// Never: the source is asked again at this interval.
    Stopped(Duration),
}

impl Manager {
    /// Triages what the source has and what is due in the ledger, then returns. For cron; two at once share the work.
    pub async fn once(self: &Arc<Self>, cancel: Cancel) -> Result<PassReport, PassError> {
        self.pass("once", Until::Nothing, cancel).await
    }

    /// Triages whatever comes until `cancel` is raised: at [`CancelLevel::Drain`] what runs is finished first.
    pub async fn watch(self: &Arc<Self>, cancel: Cancel) -> Result<PassReport, PassError> {
        self.pass("watch", Until::Stopped(self.config.source.interval), cancel).await
    }

    async fn pass(
        self: &Arc<Self>,
        command: &'static str,
        until: Until,
        cancel: Cancel,
    ) -> Result<PassReport, PassError> {
        let begun = Instant::now();
        self.tell(&Event::Began { command });
        let mut report = Pass::new(self, until, cancel).work(until).await?;
        report.took = begun.elapsed();
        self.tell(&Event::PassEnded { report: &report });
        Ok(report)
    }
}

/// What is made of an arrival before the ledger is asked.
pub(crate) enum Examined {
    /// It is to be triaged.
    ToTriage(RunKey, Box<Facts>),
    /// It is not; why.
    Not(String),
}

impl Manager {
    /// Looks at an incident that the source handed out: whether it is to be triaged, how, and which triage that is.
    pub(crate) async fn examine(&self, arrival: &Arrival) -> Result<Examined, Trouble> {
        let incident = if let Some(incident) = &arrival.incident {
            incident.clone()
        } else {
            let found = self.incidents.get(&arrival.reference).await?;
            found.ok_or_else(|| Trouble::new(Class::Refused, "there is no such incident"))?
        };
        if !arrival.asked_for
            && let Some(reason) = untouchable(&incident)
        {
            return Ok(Examined::Not(reason.to_owned()));
        }
        let Choice { route, action } = self.router.choose(&incident);
        if action == Action::Skip && !arrival.asked_for {
            return Ok(Examined::Not(format!("the route {route} leaves it alone")));
        }
        let triage = self.triage(&incident);
        let notebook = self.notebook(&triage.notebook).await?;
        let parameters = self.parameters(&triage, &notebook, &incident, None);
        let mut facts = Facts::of(&incident, &route, &triage, &self.source.name(), arrival)?;
        // The ledger keeps it, and the log and the report show it.
        facts.title = self.redactor().text(&facts.title).0.into_owned();
        let parameters: Json = parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let key =
            RunKey::derive(&facts.incident_id, facts.activity, &notebook.bytes, &parameters.to_compact());
        Ok(Examined::ToTriage(key, Box::new(facts)))
    }

    /// Tells the source that nothing is done about a message.
    async fn dispose(&self, delivery: &Delivery, why: &Why) -> Result<(), Trouble> {
        match why {
            Why::Known(case) if case.state.ending == Some(Ending::Parked) => {
                let reason = case.facts.reason.as_deref().unwrap_or_default();
                self.source.park(delivery, reason).await
            }
            Why::Known(_) | Why::Not(_) => self.source.acknowledge(delivery).await,
        }
    }

    /// Everything the source has, as cases that no ledger knows, the most urgent first; and what has to be released when they
    /// have been looked at.
    pub(crate) async fn arrivals(&self) -> Result<(Vec<Case>, Vec<KeptDelivery>, Vec<Trouble>), PassError> {
        let (mut cases, mut kept, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
        let name = self.source.name();
        let watermark = self.ledger.watermark(&name).await?;
        loop {
            let ask = Ask { room: MOST_AT_ONCE, watermark: watermark.as_deref() };
            let batch = match self.source.pending(ask).await {
                Ok(batch) => batch,
                Err(trouble) => {
                    troubles.push(trouble);
                    break;
                }
            };
            for rejected in &batch.rejected {
                self.tell(&Event::Rejected { what: &rejected.what, reason: &rejected.reason });
            }
            for arrival in batch.arrivals {
                match self.examine(&arrival).await {
                    Ok(Examined::ToTriage(key, facts)) => {
                        let known = self.ledger.knows(&facts.incident_id, facts.activity).await?;
                        if !known || arrival.asked_for {
                            let now = self.now();
                            let (state, facts) = (State::NEW, *facts);
                            cases.push(Case {
                                key,
                                state,
                                due: now,
                                owned: true,
                                enlisted: now,
                                updated: now,
                                facts,
                            });
                        }
                    }
                    Ok(Examined::Not(reason)) => {
                        let incident = arrival.reference.to_string();
                        self.tell(&Event::PassedOver { incident: &incident, reason: &reason });
                    }
                    Err(trouble) => troubles.push(trouble),
                }
                kept.extend(
                    arrival.delivery.map(|delivery| KeptDelivery::new(Arc::clone(&self.source), delivery)),
                );
            }
            if batch.exhausted {
                break;
            }
        }
        cases.sort_by_key(|case| (std::cmp::Reverse(rank(&case.facts.severity)), case.facts.created));
        cases.dedup_by(|one, other| one.key == other.key);
        Ok((cases, kept, troubles))
    }
}

/// Work that was started.
struct Ended {
    key: RunKey,
    drove: Result<Drove, LedgerError>,
}

struct Pass<'a> {
    manager: &'a Arc<Manager>,
    cancel: Cancel,
    /// Stops what runs when the pass itself cannot go on.
    stop: CancelHandle,
    stopped: Cancel,
    running: JoinSet<Ended>,
    /// The routes of the cases that run.
    routes: HashMap<RunKey, String>,
    /// Messages whose cases wait for room.
    deliveries: HashMap<RunKey, KeptDelivery>,
    exhausted: bool,
    /// What the source rejected when it was asked last.
    rejected: Vec<Rejected>,
    report: PassReport,
    memory: Memory,
}

impl<'a> Pass<'a> {
    fn new(manager: &'a Arc<Manager>, until: Until, cancel: Cancel) -> Self {
        let (stop, stopped) = Cancel::new();
        manager.forget_notebooks();
        Self {
            manager,
            cancel,
            stop,
            stopped,
            running: JoinSet::new(),
            routes: HashMap::new(),
            deliveries: HashMap::new(),
            exhausted: false,
            rejected: Vec::new(),
            report: PassReport::default(),
            memory: match until {
                Until::Nothing => Memory::All,
                Until::Stopped(_) => Memory::SERVICE,
            },
        }
    }

    async fn work(mut self, until: Until) -> Result<PassReport, PassError> {
        let worked = self.until(until).await;
        if worked.is_err() {
            self.stop.raise(CancelLevel::Interrupt);
        }
        // Nothing returns before its tasks are joined, and no message is kept from others for longer than needed.
        while let Some(ended) = self.running.join_next().await {
            let ended = ended.expect("a case does not panic");
            self.ended(ended).await?;
        }
        for (_, kept) in self.deliveries.drain() {
            let delivery = kept.end().await;
            self.manager.hand_back(&delivery, Duration::ZERO).await?;
        }
        if let Some(pool) = &self.manager.services.kernel_pool {
            pool.close().await;
        }
        worked.map(|()| self.report)
    }

    async fn until(&mut self, until: Until) -> Result<(), PassError> {
        let mut next_ask = Instant::now();
        loop {
            let draining = self.cancel.level() >= CancelLevel::Drain;
            if !draining {
                // Also when there is no room to ask: a time that is past would be waited for no more.
                if let Until::Stopped(interval) = until
                    && next_ask <= Instant::now()
                {
                    self.exhausted = false;
                    self.manager.forget_notebooks();
                    next_ask = Instant::now() + interval;
                }
                self.manager.ledger.recover(self.manager.now()).await?;
                self.fetch().await?;
            }
            // The same moment for both: what falls due between two would be neither started nor waited for.
            let now = self.manager.now();
            if !draining {
                self.start(now).await?;
            }
            if self.running.is_empty() && (draining || (until == Until::Nothing && self.exhausted)) {
                return Ok(());
            }
            let due = self.next_due(until, now).await?;
            let mut cancel = self.cancel.clone();
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    self.ended(ended.expect("a case does not panic")).await?;
                }
                () = cancel.reached(CancelLevel::Drain), if !draining => {}
                () = tokio::time::sleep_until(next_ask), if matches!(until, Until::Stopped(_)) && !draining => {}
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() && !draining => {}
                // A source that still has something is asked again as soon as there is room.
                () = std::future::ready(()), if !draining && !self.exhausted && self.room() > 0 => {}
            }
        }
    }

    fn room(&self) -> usize {
        self.manager.config.run.jobs.saturating_sub(self.running.len() + self.deliveries.len())
    }

    /// Asks the source, and writes down what it hands out.
    async fn fetch(&mut self) -> Result<(), PassError> {
        if self.exhausted || self.room() == 0 {
            return Ok(());
        }
        let manager = Arc::clone(self.manager);
        let name = manager.source.name();
        let watermark = manager.ledger.watermark(&name).await?;
        let ask = Ask { room: self.room(), watermark: watermark.as_deref() };
        let batch = match manager.source.pending(ask).await {
            Ok(batch) => batch,
            Err(trouble) => {
                self.exhausted = true;
                manager.tell(&Event::SourceFailed { source: &name, reason: &trouble.in_full() });
                self.report.trouble(trouble, self.memory);
                return Ok(());
            }
        };
        self.exhausted = batch.exhausted;
        manager.tell(&Event::Asked { source: &name, arrivals: batch.arrivals.len() });
        for note in &batch.notes {
            manager.tell(&Event::Note { source: &name, note });
        }
        // A file stays in its folder as it is, and is told of once.
        for rejected in batch.rejected.iter().filter(|rejected| !self.rejected.contains(rejected)) {
            self.report.rejected += 1;
            manager.tell(&Event::Rejected { what: &rejected.what, reason: &rejected.reason });
        }
        self.rejected = batch.rejected;
        let mut all_looked_at = true;
        for arrival in batch.arrivals {
            // Looking at one may take minutes where Azure answers slowly, and nothing of the rest is begun any more.
            if self.cancel.level() < CancelLevel::Drain {
                all_looked_at &= self.arrive(arrival).await?;
                continue;
            }
            all_looked_at = false;
            if let Some(delivery) = &arrival.delivery {
                manager.hand_back(delivery, Duration::ZERO).await?;
            }
        }
        // What could not be written down has to come again.
        if let Some(mark) = batch.watermark
            && all_looked_at
            && watermark.as_deref() != Some(&mark)
        {
            manager.ledger.keep_watermark(&name, &mark).await?;
        }
        Ok(())
    }

    /// Writes one incident down, or says why not; whether there was no trouble.
    async fn arrive(&mut self, arrival: Arrival) -> Result<bool, PassError> {
        let name = arrival.reference.to_string();
        let delivery = match arrival.delivery.clone() {
            Some(delivery) => Some(self.manager.counted(delivery).await?),
            None => None,
        };
        let arrival_is_told = delivery.is_some() || arrival.asked_for;
        match self.enlist(arrival).await {
            Ok(Arrived::Case(case)) => {
                if let Some(delivery) = delivery {
                    self.deliver(*case, delivery).await?;
                }
            }
            Ok(Arrived::Nothing(why)) => {
                match &why {
                    Why::Not(reason) => self.manager.tell(&Event::PassedOver { incident: &name, reason }),
                    // A poll sees every incident many times; only who named one wants to hear that it was done.
                    Why::Known(case) if arrival_is_told => {
                        self.manager.tell(&Event::AlreadyProcessed { incident: &name, case });
                    }
                    Why::Known(_) => {}
                }
                if let Some(delivery) = delivery
                    && let Err(trouble) = self.manager.dispose(&delivery, &why).await
                {
                    // It comes again, and is passed over again.
                    self.report.trouble(trouble, self.memory);
                    return Ok(false);
                }
            }
            Err(Unlisted::Trouble(trouble)) => {
                let reason = trouble.in_full();
                self.manager.tell(&Event::PassedOver { incident: &name, reason: &reason });
                if let Some(delivery) = delivery {
                    self.put_off(&delivery, &trouble, &reason).await?;
                }
                self.report.trouble(trouble, self.memory);
                return Ok(false);
            }
            Err(Unlisted::Ledger(error)) => return Err(error.into()),
        }
        Ok(true)
    }

    /// A message whose incident cannot be looked at comes again later. One at which nothing can be seen is put aside when it came
    /// too often; that nobody answers, or that a role is missing, says nothing against it.
    async fn put_off(&self, delivery: &Delivery, trouble: &Trouble, reason: &str) -> Result<(), LedgerError> {
        let wait = later(delivery).max(trouble.retry_after().unwrap_or_default());
        if matches!(trouble.class(), Class::Unavailable | Class::Permission) {
            return self.manager.hand_back(delivery, wait).await;
        }
        if !delivery.is_too_often() {
            self.manager.release(delivery, wait).await;
        } else if let Err(error) = self.manager.source.park(delivery, reason).await {
            tracing::warn!("cannot put a message aside: {}", error.in_full());
        }
        Ok(())
    }

    async fn deliver(&mut self, case: Case, delivery: Delivery) -> Result<(), LedgerError> {
        if case.owned {
            // Another manager of this machine works on it (a message may be there twice).
            return self.manager.hand_back(&delivery, later(&delivery)).await;
        }
        let kept = KeptDelivery::new(Arc::clone(&self.manager.source), delivery);
        if let Some(earlier) = self.deliveries.insert(case.key, kept) {
            let delivery = earlier.end().await;
            self.manager.hand_back(&delivery, later(&delivery)).await?;
        }
        Ok(())
    }

    async fn enlist(&self, arrival: Arrival) -> Result<Arrived, Unlisted> {
        let manager = self.manager;
        let (key, facts) = match manager.examine(&arrival).await? {
            Examined::ToTriage(key, facts) => (key, *facts),
            Examined::Not(reason) => return Ok(Arrived::Nothing(Why::Not(reason))),
        };
        match manager.ledger.enlist(key.clone(), facts, manager.again, manager.now()).await? {
            Enlisted::New => {
                let case = manager.ledger.case(&key).await?.expect("it was just written");
                manager.tell(&Event::Enlisted { key: &case.key, facts: &case.facts });
                Ok(Arrived::Case(Box::new(case)))
            }
            Enlisted::Known(case) | Enlisted::SameActivity(case) if case.state.step.is_final() => {
                // What was closed when its turn came may have been opened again, which is no new activity.
                let why = match case.state.ending {
                    _ if manager.again && arrival.asked_for => Again::AskedFor,
                    Some(Ending::Skipped) => Again::ToBeTriaged,
                    _ => return Ok(Arrived::Nothing(Why::Known(case))),
                };
                manager.ledger.begin_again(&case.key, Step::Claim, why, manager.now()).await?;
                Ok(Arrived::Case(case))
            }
            Enlisted::Known(case) | Enlisted::SameActivity(case) => {
                // Whoever asks for it does not want to wait for its time.
                if manager.again && arrival.asked_for {
                    manager
                        .ledger
                        .begin_again(&case.key, case.state.step, Again::AskedFor, manager.now())
                        .await?;
                }
                Ok(Arrived::Case(case))
            }
        }
    }

    /// Starts the most urgent cases there is room for.
    async fn start(&mut self, now: Timestamp) -> Result<(), PassError> {
        let jobs = self.manager.config.run.jobs;
        if self.running.len() >= jobs {
            return Ok(());
        }
        let delivered: Vec<RunKey> = self.deliveries.keys().cloned().collect();
        let claimable = self.manager.ledger.claimable(now, &delivered).await?;
        let mut taken: Vec<RunKey> = delivered;
        taken.retain(|key| !claimable.iter().any(|case| case.key == *key));
        let mut next = None;
        for case in claimable {
            if self.running.len() >= jobs {
                next = Some(case);
                break;
            }
            let running = self.routes.values().filter(|route| **route == case.facts.route).count();
            if running >= self.manager.router.jobs_of(&case.facts.route) {
                continue;
            }
            let Some(case) = self.manager.ledger.claim(&case.key, self.manager.now()).await? else {
                taken.push(case.key);
                continue;
            };
            let kept = self.deliveries.remove(&case.key);
            let (manager, cancel, stopped) =
                (Arc::clone(self.manager), self.cancel.clone(), self.stopped.clone());
            let key = case.key.clone();
            self.routes.insert(key.clone(), case.facts.route.clone());
            self.running.spawn(async move {
                let drove = drive(&manager, case, kept, [cancel, stopped]).await;
                Ended { key, drove }
            });
        }
        if let Some(pool) = &self.manager.services.kernel_pool {
            pool.expect(match &next {
                Some(case) => self.manager.expected(case).await,
                None => Expected::Nothing,
            });
        }
        // Another manager of this machine works on these incidents: their messages take no room here.
        for key in taken {
            if let Some(kept) = self.deliveries.remove(&key) {
                let delivery = kept.end().await;
                self.manager.hand_back(&delivery, later(&delivery)).await?;
            }
        }
        Ok(())
    }

    async fn ended(&mut self, ended: Ended) -> Result<(), PassError> {
        self.routes.remove(&ended.key);
        let drove = ended.drove?;
        let case = self.manager.ledger.case(&ended.key).await?;
        // What waited may have been tried again within this pass.
        self.report.waiting.retain(|waiting| waiting.key != ended.key);
        match (drove, case) {
            (Drove::Over(_), Some(case)) => self.report.end(case, self.memory),
            (Drove::Waits, Some(case)) => self.report.waiting.push(case),
            _ => self.report.given_back += 1,
        }
        Ok(())
    }

    /// How long until a case of the ledger is due that was not `now`, for a service that waits.
    async fn next_due(&self, until: Until, now: Timestamp) -> Result<Option<Duration>, PassError> {
        if until == Until::Nothing || self.running.len() >= self.manager.config.run.jobs {
            return Ok(None);
        }
        let Some(due) = self.manager.ledger.next_due(now).await? else { return Ok(None) };
        let wait = due.duration_since(self.manager.now());
        Ok(Some(Duration::try_from(wait).unwrap_or_default()))
    }
}

/// What came of an arrival.
enum Arrived {
    /// A case to be worked on.
    Case(Box<Case>),
    /// Nothing is to be done.
    Nothing(Why),
}

/// Why nothing is done for an incident.
enum Why {
    /// It is not to be triaged.
    Not(String),
    /// It was.
    Known(Box<Case>),
}

enum Unlisted {
    Trouble(Trouble),
    Ledger(LedgerError),
}

impl From<Trouble> for Unlisted {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<LedgerError> for Unlisted {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

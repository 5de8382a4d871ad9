//! Working on one case: each step's effect, with the ledger written before and after.
//!
//! [`drive`] is the loop; `Work` knows how each step is done. Every step finds out by itself what a predecessor that was
//! killed has already done, or does it again with the same result.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rnbexec::contain::Files;
use rnbexec::report::{ReportOptions, report};
use rnbexec::store::{Durability, Location};
use rnbexec::{Cancel, CancelHandle, CancelLevel, Input, KernelRequest, RunEvent, RunRequest, run_notebook};
use rnbexec_azure::sentinel::{Incident, IncidentRef};
use rnbexec_kernel::LaunchError;
use rnbexec_notebook::{CellStatus, Json, Notebook};
use uuid::Uuid;

use crate::bundle::Bundle;
use crate::case::{self, Ending, Step};
use crate::change::differences;
use crate::error::{Class, Trouble};
use crate::event::Event;
use crate::incidents::{Request, Sent, Write};
use crate::lease::KeptDelivery;
use crate::ledger::{Case, Facts, LedgerError, Outcome};
use crate::manager::{BUNDLE, EXECUTED, Manager};
use crate::place::{Destination, Place};
use crate::policy::{Withheld, task_name, untouchable};
use crate::redact;
use crate::route::Triage;
use crate::run_key;
use crate::verdict::Judgement;

/// How often a change is decided anew because the incident changed meanwhile.
const DECISIONS: u32 = 5;

/// How working on a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drove {
    /// It is over.
    Over(Ending),
    /// It failed and waits to be tried again.
    Waits,
    /// It was given back unfinished: somebody stopped the manager, or the source took it away.
    GivenBack,
}

/// Works on a claimed case until it is over, waits, or has to be given back.
pub(crate) async fn drive(
    manager: &Manager,
    mut case: Case,
    kept: Option<KeptDelivery>,
    cancels: [Cancel; 2],
) -> Result<Drove, LedgerError> {
    let (stop, stopped) = Cancel::new();
    let lost = kept.as_ref().map(KeptDelivery::lost);
    let too_often = kept.as_ref().is_some_and(|kept| kept.delivery().is_too_often());
    manager.tell(&Event::Started { case: &case });
    let folder = manager.run_folder(&case.key);
    let mut work = Work { manager, case: &mut case, folder, kept, cancel: stopped };
    tokio::select! {
        drove = work.finish(too_often) => drove,
        never = pass_on(cancels, lost, stop) => never,
    }
}

/// Raises `stop` with whoever is asked to stop, and when the incident was lost to somebody else; never resolves.
async fn pass_on<T>(cancels: [Cancel; 2], lost: Option<impl Future<Output = ()>>, stop: CancelHandle) -> T {
    let asked = async |mut cancel: Cancel| {
        for level in [CancelLevel::Drain, CancelLevel::Interrupt, CancelLevel::Kill] {
            cancel.reached(level).await;
            stop.raise(level);
        }
    };
    let lost = async {
        if let Some(lost) = lost {
            lost.await;
            stop.raise(CancelLevel::Interrupt);
        }
    };
    let [manager, pass] = cancels;
    tokio::join!(asked(manager), asked(pass), lost);
    std::future::pending().await
}

/// What became of a step, when it did not fail.
struct Done {
    event: case::Event,
    detail: String,
}

impl Done {
    fn with(detail: impl Into<String>) -> Self {
        Self { event: case::Event::Done, detail: detail.into() }
    }
}

/// Why a step did not end.
enum Stopped {
    /// It failed.
    Failed(Trouble),
    /// Somebody wants the manager to stop, or the source gave the incident to somebody else.
    GiveBack(&'static str),
    /// Nothing can be written down any more.
    Ledger(LedgerError),
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

impl From<LedgerError> for Stopped {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// One case in hand.
pub(crate) struct Work<'a> {
    manager: &'a Manager,
    case: &'a mut Case,
    /// Where its files are: nobody else works there.
    folder: PathBuf,
    kept: Option<KeptDelivery>,
    cancel: Cancel,
}

impl<'a> Work<'a> {
    /// A case that no ledger knows: whoever works on the same one for good does so elsewhere.
    pub(crate) fn planned(manager: &'a Manager, case: &'a mut Case, cancel: Cancel) -> Self {
        let folder = manager.plan_folder(&case.key);
        Self { manager, case, folder, kept: None, cancel }
    }

    async fn finish(&mut self, too_often: bool) -> Result<Drove, LedgerError> {
        if too_often && self.case.state.step < Step::Acknowledge {
            let why = self.case.facts.reason.as_deref().unwrap_or("whoever worked on it did not survive");
            self.case.facts.reason = Some(format!("it was handed out too often: {why}"));
            self.advance(Done { event: case::Event::DeliveredTooOften, detail: String::new() }).await?;
        }
        loop {
            let step = self.case.state.step;
            if step.is_final() {
                let ending = self.case.state.ending.unwrap_or(Ending::Parked);
                self.tell(|key, facts| Event::Ended { key, facts, ending });
                return Ok(Drove::Over(ending));
            }
            if let Err(reason) = self.may_go_on() {
                return self.give_back(reason).await;
            }
            self.manager.ledger.intend(&self.case.key, step, self.manager.now()).await?;
            self.tell(|key, _| Event::Intent { key, step });
            match self.step(step).await {
                Ok(done) => self.advance(done).await?,
                Err(Stopped::GiveBack(reason)) => return self.give_back(reason).await,
                Err(Stopped::Ledger(error)) => return Err(error),
                Err(Stopped::Failed(trouble)) => {
                    if let Some(wait) = self.fail(&trouble).await? {
                        self.hand_back(wait).await?;
                        return Ok(Drove::Waits);
                    }
                }
            }
        }
    }

    async fn step(&mut self, step: Step) -> Result<Done, Stopped> {
        match step {
            Step::Claim => self.claim().await,
            Step::Run => self.run().await,
            Step::Judge => self.judge().await,
            Step::Publish => self.publish().await,
            Step::Annotate => self.annotate().await,
            Step::Settle => self.settle().await,
            Step::Acknowledge => self.acknowledge().await,
            Step::Done | Step::NeedsHuman => unreachable!("nothing is done after the end"),
        }
    }

    /// The incident as it is now, if it is still to be triaged; its bundle is kept.
    async fn claim(&mut self) -> Result<Done, Stopped> {
        let Some(incident) = self.incident().await? else {
            return Ok(self.skip("the incident does not exist any more"));
        };
        if let Some(reason) = untouchable(&incident)
            && !self.case.facts.asked_for
        {
            return Ok(self.skip(reason));
        }
        // A triage that is begun again runs the notebook again.
        self.discard(EXECUTED).await?;
        self.case.facts.severity_at_claim = Some(incident.severity().to_owned());
        self.case.facts.changing = None;
        self.fetch(incident).await?;
        Ok(Done::with("the incident and what belongs to it were read"))
    }

    fn skip(&mut self, reason: impl Into<String>) -> Done {
        let reason = reason.into();
        self.case.facts.reason = Some(reason.clone());
        Done { event: case::Event::NotToBeTriaged, detail: reason }
    }

    /// Runs the notebook, unless a predecessor did.
    async fn run(&mut self) -> Result<Done, Stopped> {
        if let Some(notebook) = self.executed().await?
            && ran_to_its_end(&notebook)
        {
            return Ok(Done::with("the notebook had run already"));
        }
        let bundle = self.bundle().await?;
        let triage = self.manager.triage(&bundle.incident);
        let notebook = self.manager.notebook(&triage.notebook).await?;
        let input = Input::Bytes { bytes: notebook.bytes.clone(), path: Some(notebook.path.clone()) };
        let mut request = RunRequest::new(input, Location::Local(self.executed_path()));
        request.parameters =
            self.manager.parameters(&triage, &notebook, &bundle.incident, Some(&self.file(BUNDLE)));
        request.redactor = (*self.manager.redactor()).clone();
        request.tells_outputs = false;
        let working_folder = self.working_folder(&triage).await?;
        request.kernel = KernelRequest { cwd: Some(working_folder.clone()), ..triage.kernel_request() };
        // What it is given to read can be read, and a folder that is its own can be written.
        let containment = &mut request.kernel.containment;
        containment.readable.push(self.file(BUNDLE));
        if triage.working_folder.is_none() && containment.files != Files::Open {
            containment.work_folders.push(working_folder);
        }
        request.limits = triage.limits();
        let manager = self.manager;
        let key = self.case.key.clone();
        let mut tell = |event: RunEvent<'_>| match event {
            RunEvent::CellStarted { index, total_cells, .. } => {
                manager.tell(&Event::Cell { key: &key, index, total: total_cells });
            }
            RunEvent::Environment(line) => manager.tell(&Event::Environment { key: &key, line }),
            RunEvent::Warning(warning) => tracing::debug!(%key, "{warning}"),
            _ => {}
        };
        let ran = Box::pin(run_notebook(request, &manager.services, &mut tell, self.cancel.clone())).await;
        let report = ran.map_err(|error| {
            let class = if error.is_retryable() { Class::Unavailable } else { Class::Notebook };
            Trouble::new(class, format!("cannot run {}", notebook.path)).because(error)
        })?;
        // To the millisecond: that is the same number after it was written and read.
        self.case.facts.seconds = Some((report.duration.as_secs_f64() * 1000.0).round() / 1000.0);
        if report.outcome.is_success() {
            self.effect("the notebook ran");
            return Ok(Done::with(format!(
                "{} cells in {:.1} s",
                report.executed_cells,
                report.duration.as_secs_f64()
            )));
        }
        if let rnbexec::Outcome::Interrupted { .. } = report.outcome {
            return Err(Stopped::GiveBack(self.why_stopped()));
        }
        if let rnbexec::Outcome::StartFailed { error, .. } = &report.outcome
            && let LaunchError::Containment { restriction, .. } = error.as_ref()
        {
            let reason = report.outcome.reason();
            let doing = format!("{} was not run: {reason}; {}", notebook.path, restriction.advice());
            return Err(Trouble::new(Class::Refused, doing).into());
        }
        let class = if report.outcome.is_retryable() { Class::Kernel } else { Class::Notebook };
        let cell = report.outcome.cell().map(|cell| format!(" in cell {}", cell + 1)).unwrap_or_default();
        let doing = format!("{} failed{cell}: {}", notebook.path, report.outcome.reason());
        Err(Trouble::new(class, doing).into())
    }

    /// Reads what the notebook found.
    async fn judge(&mut self) -> Result<Done, Stopped> {
        let notebook = self.executed().await?.filter(has_ended);
        let judgement = match &notebook {
            Some(notebook) => self.manager.judge(notebook),
            None => Judgement::Unclear { problem: "the executed notebook is gone".to_owned() },
        };
        match judgement {
            Judgement::Finding(mut verdict) => {
                // Before anything else is made of it: escaped, a secret cannot be found any more.
                redact::verdict(&self.manager.redactor(), &mut verdict);
                let detail = format!("a finding of severity {}", verdict.severity);
                self.case.facts.verdict = Some(verdict);
                self.tell(|key, facts| Event::Judged { key, facts, finding: true });
                Ok(Done { event: case::Event::Finding, detail })
            }
            Judgement::NoFinding(mut verdict) => {
                if let Some(verdict) = &mut verdict {
                    redact::verdict(&self.manager.redactor(), verdict);
                }
                self.case.facts.verdict = verdict;
                self.tell(|key, facts| Event::Judged { key, facts, finding: false });
                Ok(Done {
                    event: case::Event::NoFinding,
                    detail: "nothing that matters was found".to_owned(),
                })
            }
            Judgement::Unclear { problem } => {
                // The next attempt runs it anew.
                self.discard(EXECUTED).await?;
                Err(Trouble::new(Class::Notebook, problem).into())
            }
        }
    }

    /// Puts the report, then the notebook where analysts can open them: without secrets.
    async fn publish(&mut self) -> Result<Done, Stopped> {
        let Some(place) = self.place().await? else {
            return Ok(Done::with("nothing is published"));
        };
        for document in self.documents(&place).await? {
            self.still_ours()?;
            let (place, path) = named(&document.destination);
            self.tell(|key, facts| Event::Publishing { key, facts, place, path: &path });
            self.manager
                .publisher
                .put(&document.destination, document.content, document.content_type)
                .await?;
            self.effect(&format!("published {}", document.link));
        }
        self.link(&place);
        Ok(Done::with(place.notebook.link))
    }

    /// Comments the link on the incident.
    async fn annotate(&mut self) -> Result<Done, Stopped> {
        let Some(incident) = self.incident().await? else {
            return Ok(Done::with("the incident does not exist any more"));
        };
        let Some(write) = self.comment(&incident).await? else {
            return Ok(Done::with("no comment is wanted"));
        };
        self.still_ours()?;
        self.tell(|key, facts| Event::Linking { key, facts });
        if self.manager.incidents.send(&incident, &write).await? != Sent::Written {
            let doing = "something about the incident changed just when it was commented on";
            return Err(Trouble::new(Class::Unavailable, doing).into());
        }
        self.effect("commented the link");
        Ok(Done::with("the link is commented on the incident"))
    }

    /// Changes the incident as the policy says: read, decide, write with the etag; decide anew when it changed meanwhile.
    async fn settle(&mut self) -> Result<Done, Stopped> {
        for _ in 0..DECISIONS {
            let Some(incident) = self.incident().await? else {
                return Ok(Done::with("the incident does not exist any more"));
            };
            let (writes, withheld) = self.settlement(&incident);
            for withheld in &withheld {
                self.tell(|key, facts| Event::Withheld { key, facts, withheld });
            }
            if writes.is_empty() {
                return Ok(Done::with(self.settled()));
            }
            self.still_ours()?;
            // What is about to change is remembered: a repeat finds it done and could not tell.
            let facts = &mut self.case.facts;
            let is_due = |(now, then): &(String, String)| now != then && now == incident.severity();
            if facts.change.as_ref().is_some_and(is_due) {
                facts.changing = incident.etag().map(str::to_owned);
            }
            self.manager.ledger.keep_facts(&self.case.key, &self.case.facts).await?;
            let mut conflict = false;
            for write in &writes {
                self.still_ours()?;
                if let Write::Incident { body } = write {
                    for difference in &differences(&incident, body) {
                        self.tell(|key, facts| Event::Updating { key, facts, difference });
                    }
                }
                let sent = self.manager.incidents.send(&incident, write).await;
                // Of a write whose end nobody saw that is not known.
                let came_to_nothing = match &sent {
                    Ok(Sent::Written) => false,
                    Ok(Sent::Conflict { may_be_ours }) => !may_be_ours,
                    Err(trouble) => !trouble.may_be_done(),
                };
                if matches!(write, Write::Incident { .. }) && came_to_nothing {
                    self.case.facts.changing = None;
                }
                if sent? != Sent::Written {
                    conflict = true;
                    break;
                }
                self.effect(match write {
                    Write::Incident { .. } => "changed the incident",
                    Write::Task { .. } => "added a task",
                    Write::Comment { .. } => "commented",
                });
            }
            if !conflict {
                return Ok(Done::with(self.settled()));
            }
        }
        Err(Trouble::new(Class::Unavailable, "the incident changed each time it was about to be written")
            .into())
    }

    fn settled(&self) -> String {
        match &self.case.facts.change {
            Some((before, after)) if before != after => {
                format!("the severity was changed from {before} to {after}")
            }
            _ => "the incident's severity was left as it was".to_owned(),
        }
    }

    /// Tells the source that it is over, and clears away what is not kept.
    async fn acknowledge(&mut self) -> Result<Done, Stopped> {
        let parked = self.case.state.ending == Some(Ending::Parked);
        let reason = self.case.facts.reason.clone().unwrap_or_default();
        if let Some(kept) = self.kept.take() {
            let lost = kept.is_lost();
            let delivery = kept.end().await;
            // Whoever has it now may delete it, or it is deleted and the answer was lost: no message may ever come again. If one
            // does, it finds its case at its end.
            self.case.facts.needs_delivery = false;
            if lost {
                self.manager.ledger.keep_facts(&self.case.key, &self.case.facts).await?;
                return Err(Stopped::GiveBack("the source gave the incident to somebody else"));
            }
            let source = &self.manager.source;
            let told = if parked {
                source.park(&delivery, &reason).await
            } else {
                source.acknowledge(&delivery).await
            };
            told?;
            self.effect("told the source");
        }
        self.clear_away().await?;
        Ok(Done::with(if parked { reason } else { String::new() }))
    }

    // What the steps are made of.

    /// The incident as it is now.
    pub(crate) async fn incident(&self) -> Result<Option<Incident>, Trouble> {
        let facts = &self.case.facts;
        let reference = IncidentRef::parse(&facts.name).map_err(|error| {
            Trouble::new(Class::Refused, "the incident's name cannot be used").because(error)
        })?;
        self.manager.incidents.get(&reference).await
    }

    /// Keeps the incident with its entities and alerts.
    async fn fetch(&self, incident: Incident) -> Result<Bundle, Trouble> {
        let bundle = self.manager.incidents.bundle(incident).await?;
        self.keep(BUNDLE, bundle.to_vec().into()).await?;
        Ok(bundle)
    }

    /// The bundle that was kept when the case was claimed; fetched anew when somebody cleared it away.
    async fn bundle(&self) -> Result<Bundle, Trouble> {
        let path = self.file(BUNDLE);
        let unreadable = || Trouble::new(Class::Refused, format!("cannot read {}", path.display()));
        let bytes = match tokio::fs::read(&path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let incident = self.incident().await?;
                let missing = || Trouble::new(Class::Refused, "the incident does not exist any more");
                return self.fetch(incident.ok_or_else(missing)?).await;
            }
            Err(error) => return Err(unreadable().because(error)),
        };
        let bundles = Bundle::parse_all(&bytes).map_err(|error| unreadable().because(error))?;
        bundles.into_iter().next().ok_or_else(unreadable)
    }

    /// The notebook as it was executed, if it was.
    async fn executed(&self) -> Result<Option<Notebook>, Trouble> {
        self.manager.read_notebook(&self.executed_path()).await
    }

    /// Where the notebook and its report go, if anywhere.
    pub(crate) async fn place(&self) -> Result<Option<Place>, Trouble> {
        let bundle = self.bundle().await?;
        self.manager.place(&bundle.incident, &self.case.key, &self.case.facts)
    }

    /// What is published: the report first, so that what links to it never leads nowhere.
    pub(crate) async fn documents(&self, place: &Place) -> Result<Vec<Document>, Trouble> {
        let missing = || Trouble::new(Class::Refused, "the executed notebook is gone");
        let mut notebook = self.executed().await?.filter(has_ended).ok_or_else(missing)?;
        let redactor = self.manager.redactor();
        let masked = redactor.notebook(&mut notebook);
        if !masked.is_empty() {
            tracing::info!(key = %self.case.key, "masked {masked}");
        }
        let mut documents = Vec::new();
        if self.manager.config.publish.report {
            let title = format!("Incident {}: {}", self.case.facts.called(), self.case.facts.title);
            // More may be known to be a secret by now than when the incident arrived.
            let title = redactor.text(&title).0.into_owned();
            let options = ReportOptions { title: Some(title), ..ReportOptions::default() };
            documents.push(Document {
                destination: place.report.destination.clone(),
                link: place.report.link.clone(),
                content: report(&notebook, &options).into_bytes().into(),
                content_type: "text/html; charset=utf-8",
            });
        }
        documents.push(Document {
            destination: place.notebook.destination.clone(),
            link: place.notebook.link.clone(),
            content: notebook.to_vec().into(),
            content_type: "application/x-ipynb+json",
        });
        Ok(documents)
    }

    /// The comment that goes onto the incident, if one is wanted.
    pub(crate) async fn comment(&self, incident: &Incident) -> Result<Option<Write>, Trouble> {
        let Some(template) = &self.manager.comment else { return Ok(None) };
        // What was closed meanwhile is left alone altogether, unless somebody asked for it as it is.
        if untouchable(incident).is_some() && !self.case.facts.asked_for {
            return Ok(None);
        }
        let Some(place) = self.place().await? else { return Ok(None) };
        let message =
            self.manager.render_comment(template, incident, &self.case.key, &self.case.facts, &place);
        Ok(Some(Write::Comment { id: self.id_of("comment"), message }))
    }

    /// The id of something that is added to the incident.
    fn id_of(&self, name: &str) -> Uuid {
        run_key::id_of(&self.case.facts.incident_id, self.case.facts.activity, name)
    }

    /// What the policy wants written to the incident as it is now. Says in the facts what it changes and what not.
    pub(crate) fn settlement(&mut self, incident: &Incident) -> (Vec<Write>, Vec<Withheld>) {
        let Some(verdict) = &self.case.facts.verdict else { return (Vec::new(), Vec::new()) };
        let decision = self.manager.decide(verdict, incident, self.case.facts.known());
        let before = incident.severity().to_owned();
        let after = decision.change.as_ref().and_then(|change| change.severity);
        let after = after.map_or_else(|| before.clone(), |severity| severity.to_string());
        // A repeat finds its own change done; the first account of it stays for as long as it is true.
        let account = self.case.facts.change.as_ref();
        if before != after || account.is_none_or(|(_, done)| *done != before) {
            self.case.facts.change = Some((before, after));
        }
        self.case.facts.withheld = decision.withheld.iter().map(ToString::to_string).collect();
        let body = decision.change.as_ref().and_then(|change| change.body(incident));
        let mut writes: Vec<Write> = body.into_iter().map(|body| Write::Incident { body }).collect();
        writes.extend(decision.tasks.into_iter().enumerate().map(|(index, task)| Write::Task {
            id: self.id_of(&task_name(index, &task)),
            title: task.title,
            description: task.description,
        }));
        (writes, decision.withheld)
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.case.facts
    }

    /// The executed notebook.
    pub(crate) fn executed_path(&self) -> PathBuf {
        self.file(EXECUTED)
    }

    /// The request that a write is.
    pub(crate) fn request(&self, incident: &Incident, write: &Write) -> Result<Request, Trouble> {
        self.manager.incidents.request(incident, write)
    }

    /// Remembers the links to where the notebook and its report are.
    pub(crate) fn link(&mut self, place: &Place) {
        self.case.facts.report = self.manager.config.publish.report.then(|| place.report.link.clone());
        self.case.facts.link = Some(place.notebook.link.clone());
    }

    /// Claims, runs and judges without telling the ledger; what came of it.
    pub(crate) async fn until_judged(&mut self) -> Result<case::Event, Trouble> {
        let done = async {
            let claimed = self.claim().await?;
            if claimed.event != case::Event::Done {
                return Ok(claimed);
            }
            self.run().await?;
            self.judge().await
        };
        match done.await {
            Ok(Done { event, .. }) => Ok(event),
            Err(Stopped::Failed(trouble)) => Err(trouble),
            Err(Stopped::GiveBack(reason)) => Err(Trouble::new(Class::Unavailable, reason)),
            Err(Stopped::Ledger(error)) => {
                Err(Trouble::new(Class::Unavailable, "cannot go on without the ledger").because(error))
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder the kernel works in; it is there.
    async fn working_folder(&self, triage: &Triage) -> Result<PathBuf, Trouble> {
        let folder = Manager::working_folder(&self.folder, triage);
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(|error| {
            Trouble::new(Class::Unavailable, format!("cannot make the folder {}", folder.display()))
                .because(error)
        })?;
        Ok(folder)
    }

    async fn keep(&self, name: &str, content: Bytes) -> Result<(), Trouble> {
        let location = Location::Local(self.file(name));
        let written = self.manager.services.stores.write(&location, &[content], Durability::Durable).await;
        written.map_err(|error| {
            Trouble::new(Class::Unavailable, format!("cannot write {location}")).because(error)
        })
    }

    async fn discard(&self, name: &str) -> Result<(), Trouble> {
        let path = self.file(name);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let doing = format!("cannot remove {}", path.display());
                Err(Trouble::new(Class::Unavailable, doing).because(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the run's folder when the policy does not keep it.
    async fn clear_away(&self) -> Result<(), Trouble> {
        if self.manager.keeps(self.case.state.ending) {
            return Ok(());
        }
        match tokio::fs::remove_dir_all(&self.folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let doing = format!("cannot remove {}", self.folder.display());
                Err(Trouble::new(Class::Unavailable, doing).because(error))
            }
            _ => Ok(()),
        }
    }

    // The ledger.

    async fn advance(&mut self, done: Done) -> Result<(), LedgerError> {
        let step = self.case.state.step;
        // What kept the step from being done keeps it no more.
        let went_well =
            matches!(done.event, case::Event::Done | case::Event::Finding | case::Event::NoFinding);
        if went_well && step < Step::Acknowledge {
            (self.case.facts.reason, self.case.facts.class) = (None, None);
        }
        let next = case::next(self.case.state, done.event, |class| self.manager.retry(class));
        let detail = self.manager.redactor().text(&done.detail).0.into_owned();
        self.record(step, next, Outcome::Result(&detail)).await?;
        self.tell(|key, _| Event::Result { key, step, detail: &detail });
        Ok(())
    }

    /// Writes a failure down; how long to wait, or `None` when the case goes on (to be parked).
    async fn fail(&mut self, trouble: &Trouble) -> Result<Option<Duration>, LedgerError> {
        let step = self.case.state.step;
        let event = case::Event::Failed { class: trouble.class(), retry_after: trouble.retry_after() };
        let next = case::next(self.case.state, event, |class| self.manager.retry(class));
        let reason = self.manager.redactor().text(&trouble.in_full()).0.into_owned();
        // Why it is parked, not that the source could not be told.
        if step != Step::Acknowledge || self.case.facts.reason.is_none() {
            self.case.facts.reason = Some(reason.clone());
            self.case.facts.class = Some(trouble.class());
        }
        if step == Step::Settle && next.state.ending == Some(Ending::Parked) {
            // It was only meant to be changed.
            self.case.facts.change = None;
        }
        self.record(step, next, Outcome::Failure(&reason)).await?;
        let (wait, failures) = (next.wait, next.state.failures);
        self.tell(|key, facts| Event::Failure { key, facts, step, reason: &reason, failures, wait });
        Ok(wait)
    }

    async fn record(&mut self, step: Step, next: case::Next, what: Outcome<'_>) -> Result<(), LedgerError> {
        let (key, facts, now) = (&self.case.key, &self.case.facts, self.manager.now());
        self.manager.ledger.record(key, step, next, facts, what, now).await?;
        self.case.state = next.state;
        Ok(())
    }

    async fn give_back(&mut self, reason: &'static str) -> Result<Drove, LedgerError> {
        self.manager.ledger.give_back(&self.case.key).await?;
        self.hand_back(Duration::ZERO).await?;
        self.tell(|key, facts| Event::GivenBack { key, facts, reason });
        Ok(Drove::GivenBack)
    }

    /// Lets the source hand the incident out again after `wait`: how often it may fail its class says, and the count of its
    /// deliveries is that of those whom it killed.
    async fn hand_back(&mut self, wait: Duration) -> Result<(), LedgerError> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        let lost = kept.is_lost();
        let delivery = kept.end().await;
        if lost { Ok(()) } else { self.manager.hand_back(&delivery, wait).await }
    }

    fn may_go_on(&self) -> Result<(), &'static str> {
        let stopped = self.cancel.level() >= CancelLevel::Interrupt;
        if stopped || self.kept.as_ref().is_some_and(KeptDelivery::is_lost) {
            return Err(self.why_stopped());
        }
        Ok(())
    }

    fn why_stopped(&self) -> &'static str {
        match &self.kept {
            Some(kept) if kept.is_lost() => "the source gave the incident to somebody else",
            _ => "the manager was asked to stop",
        }
    }

    /// Asked before every visible effect.
    fn still_ours(&self) -> Result<(), Stopped> {
        self.may_go_on().map_err(Stopped::GiveBack)
    }

    fn effect(&self, what: &str) {
        let step = self.case.state.step;
        self.tell(|key, _| Event::Effect { key, step, what });
    }

    fn tell<'e>(&'e self, event: impl FnOnce(&'e crate::RunKey, &'e Facts) -> Event<'e>) {
        self.manager.tell(&event(&self.case.key, &self.case.facts));
    }
}

/// One document to publish.
pub(crate) struct Document {
    pub(crate) destination: Destination,
    pub(crate) link: String,
    pub(crate) content: Bytes,
    pub(crate) content_type: &'static str,
}

/// What a destination is called in the log, and the path in it.
fn named(destination: &Destination) -> (&'static str, String) {
    match destination {
        Destination::Share(path) => ("AML", path.clone()),
        Destination::Store(Location::AzureBlob(_)) => ("Blob Storage", destination.to_string()),
        Destination::Store(_) => ("a folder", destination.to_string()),
    }
}

/// Whether a notebook that was found in the run's folder is a whole run, not what a killed one left behind.
fn ran_to_its_end(notebook: &Notebook) -> bool {
    let papermill = notebook.metadata().get("papermill").and_then(Json::as_object);
    let failed =
        papermill.is_some_and(|run| matches!(run.get("exception"), Some(Json::Bool(true) | Json::String(_))));
    let failed_in = |cell| CellStatus::of(cell) == Some(CellStatus::Failed);
    has_ended(notebook) && !failed && !notebook.cells().iter().any(failed_in)
}

/// Whether its run is over, well or not: what is still being written is neither judged nor published.
fn has_ended(notebook: &Notebook) -> bool {
    let papermill = notebook.metadata().get("papermill").and_then(Json::as_object);
    papermill.is_some_and(|run| run.get("end_time").and_then(Json::as_str).is_some())
        && !notebook.cells().iter().any(|cell| CellStatus::of(cell) == Some(CellStatus::Running))
}

//! The manager: everything one pass needs, made once.

mod setup;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rnbexec::Services;
use rnbexec::redact::{Pattern, Redactor};
use rnbexec::store::{Location, StoreErrorKind};
use rnbexec_azure::credential::KnownSecrets;
use rnbexec_azure::sentinel::Incident;
use rnbexec_kernel::Expected;
use rnbexec_notebook::inspect::inspect;
use rnbexec_notebook::{Json, Notebook, Parameters};

use crate::case::{Ending, Retry};
use crate::comment::{CommentContext, Template};
use crate::config::{self, Config, Keep};
use crate::error::{Class, Trouble};
use crate::event::Event;
use crate::incidents::Incidents;
use crate::journal::Journal;
use crate::ledger::LedgerError;
use crate::ledger::{Case, Facts, Ledger};
use crate::place::{Place, Places};
use crate::policy::{Decision, Known, decide};
use crate::publish::Publisher;
use crate::route::{Action, Explanation, Router, Triage};
use crate::run_key::RunKey;
use crate::shipped;
use crate::source::{Arrival, Delivery, IncidentSource};
use crate::verdict::{Judgement, Verdict, judge};

pub(crate) use setup::Azure;
pub use setup::{Setup, SetupError, SourceChoice, kernel_pool};

/// The manager of one configuration. See [`Setup`] for how one is made, [`once`](Self::once) and [`watch`](Self::watch) for what
/// it does.
pub struct Manager {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
    pub(crate) source: Arc<dyn IncidentSource>,
    pub(crate) incidents: Arc<dyn Incidents>,
    pub(crate) publisher: Publisher,
    /// `None` publishes nothing.
    pub(crate) places: Option<Places>,
    pub(crate) router: Router,
    redaction: Arc<Redaction>,
    pub(crate) comment: Option<Template>,
    pub(crate) services: Services,
    /// Triage again what somebody asks for by name, also when it was triaged before.
    pub(crate) again: bool,
    tenant: Option<String>,
    workspace: Option<config::SentinelWorkspace>,
    journal: Journal,
    listener: Box<dyn Fn(&Event<'_>) + Send + Sync>,
    /// The notebooks of this pass, by where they lie.
    notebooks: Mutex<HashMap<String, Arc<NotebookFile>>>,
}

/// The executed notebook's name in a case's folder.
pub(crate) const EXECUTED: &str = "executed.ipynb";

/// The name there of the incident with all that belongs to it.
pub(crate) const BUNDLE: &str = "bundle.json";

/// What is redacted: what the configuration says, and the secrets that became known.
pub(crate) struct Redaction {
    patterns: Vec<Pattern>,
    given: Vec<String>,
    known: KnownSecrets,
    /// The redactor for this many known secrets.
    made: Mutex<Option<(Vec<String>, Arc<Redactor>)>>,
}

impl Redaction {
    fn redactor(&self) -> Arc<Redactor> {
        let mut secrets = self.given.clone();
        secrets.extend(self.known.all().iter().map(|secret| secret.secret().to_owned()));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, redactor)) if *of == secrets => Arc::clone(redactor),
            _ => {
                let redactor = Arc::new(Redactor::new(&secrets, self.patterns.clone()));
                *made = Some((secrets, Arc::clone(&redactor)));
                redactor
            }
        }
    }
}

/// A triage notebook as it is run.
pub(crate) struct NotebookFile {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// What the executed notebook says about where it came from.
    pub(crate) path: String,
    /// The names of the parameters it defines.
    parameters: Vec<String>,
}

impl NotebookFile {
    fn new(bytes: Bytes, path: String) -> Result<Self, Trouble> {
        let mut fresh = fresh_ids();
        let parsed = Notebook::parse(&bytes, &mut fresh);
        let parsed = parsed.map_err(|error| {
            Trouble::new(Class::Refused, format!("{path} is not a notebook that can be run")).because(error)
        })?;
        // A notebook in a language that cannot be inspected just gets what every notebook gets.
        let parameters =
            inspect(&parsed.notebook).map(|inspection| inspection.parameters).unwrap_or_default();
        let parameters = parameters.into_iter().map(|parameter| parameter.name).collect();
        Ok(Self { bytes, path, parameters })
    }

    fn defines(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter == name)
    }
}

impl Manager {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.services.clock)()
    }

    /// Tells the log and whoever listens what happened.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(entry) = event.entry()
            && let Err(error) = self.journal.write(self.now(), &entry)
        {
            tracing::warn!("{}", crate::error::chain(&error));
        }
        (self.listener)(event);
    }

    /// Takes out every secret that is known by now; tokens come and go.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redaction.redactor()
    }

    /// The ledger, for looking at.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The configuration it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Which way an incident would take, and why.
    pub async fn explain(
        &self,
        reference: &rnbexec_azure::sentinel::IncidentRef,
    ) -> Result<Explanation, Trouble> {
        let incident = self.incidents.get(reference).await?;
        let incident = incident
            .ok_or_else(|| Trouble::new(Class::Refused, format!("there is no incident {reference}")))?;
        Ok(self.router.explain(&incident))
    }

    /// How an incident is triaged that is to be triaged.
    pub(crate) fn triage(&self, incident: &Incident) -> Box<Triage> {
        match self.router.choose(incident).action {
            Action::Run(triage) => triage,
            Action::Skip => self.router.default_run(),
        }
    }

    /// The notebook, read once a pass.
    pub(crate) async fn notebook(&self, notebook: &config::Notebook) -> Result<Arc<NotebookFile>, Trouble> {
        let name = notebook.to_string();
        if let Some(known) = self.notebooks.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Arc::clone(known));
        }
        let bytes = read(notebook, &self.services).await?;
        let file = Arc::new(NotebookFile::new(bytes, name.clone())?);
        self.notebooks.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&file));
        Ok(file)
    }

    /// Reads notebooks anew from now on.
    pub(crate) fn forget_notebooks(&self) {
        self.notebooks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What the notebook is told: the incident's id, the tenant's and the workspace's as Microsoft's original has them, then,
    /// where the notebook knows the names, the workspace's names and the bundle, then the configured ones.
    pub(crate) fn parameters(
        &self,
        triage: &Triage,
        notebook: &NotebookFile,
        incident: &Incident,
        bundle: Option<&Path>,
    ) -> Parameters {
        let mut parameters = Parameters::default();
        let workspace = self.workspace.as_ref();
        let name = incident.name().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let tenant = self.tenant.clone().unwrap_or_default();
        let guid = workspace.and_then(|workspace| workspace.workspace_id.clone()).unwrap_or_default();
        for (name, value) in [("incident_id", name), ("ten_id", tenant), ("ws_id", guid)] {
            parameters.insert(name.to_owned(), Json::from(value));
        }
        if let Some(config::SentinelWorkspace { id, .. }) = workspace {
            let names = [
                ("subscription_id", &id.subscription),
                ("resource_group", &id.resource_group),
                ("workspace_name", &id.name),
            ];
            for (name, value) in names.into_iter().filter(|(name, _)| notebook.defines(name)) {
                parameters.insert(name.to_owned(), Json::from(value.as_str()));
            }
        }
        let wanted = match triage.bundle {
            config::Bundle::Always => true,
            config::Bundle::Never => false,
            config::Bundle::Auto => notebook.defines("incident_bundle"),
        };
        if let Some(path) = bundle.filter(|_| wanted) {
            parameters.insert("incident_bundle".to_owned(), Json::from(path.display().to_string()));
        }
        for (name, value) in &triage.parameters {
            parameters.insert(name.clone(), value.clone());
        }
        parameters
    }

    /// A notebook of the manager's own; `None` when it is not there. One that cannot be read is as good as not there: it is
    /// made again.
    pub(crate) async fn read_notebook(&self, path: &Path) -> Result<Option<Notebook>, Trouble> {
        let location = Location::Local(path.to_owned());
        let bytes = match self.services.stores.read(&location).await {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), StoreErrorKind::NotFound) => return Ok(None),
            Err(error) => {
                return Err(
                    Trouble::new(Class::Unavailable, format!("cannot read {location}")).because(error)
                );
            }
        };
        Ok(Notebook::parse(&bytes, &mut fresh_ids()).ok().map(|parsed| parsed.notebook))
    }

    /// What a notebook found.
    pub(crate) fn judge(&self, notebook: &Notebook) -> Judgement {
        judge(notebook, &self.config.judge)
    }

    /// What the policy makes of a verdict.
    pub(crate) fn decide(&self, verdict: &Verdict, incident: &Incident, known: Known<'_>) -> Decision {
        decide(&self.config.policy, verdict, incident, known)
    }

    /// Where a case's notebook and report go, if anywhere.
    pub(crate) fn place(
        &self,
        incident: &Incident,
        key: &RunKey,
        facts: &Facts,
    ) -> Result<Option<Place>, Trouble> {
        let Some(places) = &self.places else { return Ok(None) };
        let place = places.of(incident, key, Some(&facts.route));
        place.map(Some).map_err(|error| {
            Trouble::new(Class::Refused, "no place can be made for the incident's notebook").because(error)
        })
    }

    /// The comment for an incident.
    pub(crate) fn render_comment(
        &self,
        template: &Template,
        incident: &Incident,
        key: &RunKey,
        facts: &Facts,
        place: &Place,
    ) -> String {
        let text = template.render(&CommentContext {
            incident,
            verdict: facts.verdict.as_ref(),
            link: &place.notebook.link,
            report: self.config.publish.report.then_some(place.report.link.as_str()),
            // Its name, not where it lies on this machine.
            notebook: facts.notebook.rsplit(['/', '\\']).next().unwrap_or_default(),
            run: key,
        });
        self.redactor().text(&text).0.into_owned()
    }

    /// How a class of failures is tried again.
    pub(crate) fn retry(&self, class: Class) -> Retry {
        self.config.retries.of(class)
    }

    /// Where a case's files are: its bundle, its executed notebook.
    pub fn run_folder(&self, key: &RunKey) -> PathBuf {
        run_folder(&self.config.state.folder, key)
    }

    /// Where the files of the same case are when it is only planned.
    pub(crate) fn plan_folder(&self, key: &RunKey) -> PathBuf {
        self.run_folder(key).with_extension("plan")
    }

    /// The folder that the kernel of a case works in: the one of its route, or one of its own, in the folder of its files.
    pub(crate) fn working_folder(folder: &Path, triage: &Triage) -> PathBuf {
        triage.working_folder.clone().unwrap_or_else(|| folder.join("work"))
    }

    /// The kernel of a case that is waiting for its turn.
    pub(crate) async fn expected(&self, case: &Case) -> Expected {
        let triages = self.router.triages();
        let Some((_, triage)) = triages.iter().find(|(route, _)| *route == case.facts.route) else {
            return Expected::Nothing;
        };
        let folder = Self::working_folder(&self.run_folder(&case.key), triage);
        match tokio::fs::create_dir_all(&folder).await {
            Ok(()) => Expected::In(folder),
            // Its own run will say so.
            Err(_) => Expected::Nothing,
        }
    }

    /// The executed notebook of a case as far as it is kept on this machine, without what is secret.
    pub async fn executed(&self, case: &Case) -> Result<Option<Notebook>, Trouble> {
        let notebook = self.read_notebook(&executed_file(&self.config.state.folder, &case.key)).await?;
        Ok(notebook.map(|mut notebook| {
            self.redactor().notebook(&mut notebook);
            notebook
        }))
    }

    /// Whether the files of a case that ended so are kept.
    pub(crate) fn keeps(&self, ending: Option<Ending>) -> bool {
        match self.config.run.keep {
            Keep::All => true,
            Keep::Nothing => false,
            // Of what was never run there is nothing to keep.
            Keep::Findings => matches!(ending, Some(Ending::Triaged | Ending::Parked)),
        }
    }

    /// Hands a message back in good order, which is not held against its incident.
    pub(crate) async fn hand_back(&self, delivery: &Delivery, wait: Duration) -> Result<(), LedgerError> {
        let noted = self.ledger.note_unbegun(&self.source.name(), &delivery.message_id, self.now()).await;
        self.release(delivery, wait).await;
        noted
    }

    /// The delivery, with only those counted that nobody handed back.
    pub(crate) async fn counted(&self, delivery: Delivery) -> Result<Delivery, LedgerError> {
        let unbegun = self.ledger.unbegun(&self.source.name(), &delivery.message_id).await?;
        Ok(Delivery { count: delivery.count.saturating_sub(unbegun), ..delivery })
    }

    /// Hands a message back; that the source cannot be told changes nothing, its lease ends by itself.
    pub(crate) async fn release(&self, delivery: &Delivery, wait: Duration) {
        if let Err(error) = self.source.release(delivery, wait).await {
            tracing::debug!("cannot release a message: {}", error.in_full());
        }
    }
}

impl Facts {
    /// What is known of an incident when it arrives.
    pub(crate) fn of(
        incident: &Incident,
        route: &str,
        triage: &Triage,
        source: &str,
        arrival: &Arrival,
    ) -> Result<Self, Trouble> {
        let name = incident.name().map_err(|error| {
            Trouble::new(Class::Refused, "the incident has no usable name").because(error)
        })?;
        Ok(Self {
            incident_id: id_of(incident, name.as_str()),
            name: name.as_str().to_owned(),
            number: incident.number(),
            title: incident.title().to_owned(),
            severity: incident.severity().to_owned(),
            created: incident.created(),
            activity: incident.last_activity(),
            source: source.to_owned(),
            needs_delivery: arrival.delivery.is_some(),
            asked_for: arrival.asked_for,
            route: route.to_owned(),
            notebook: triage.notebook.to_string(),
            reason: None,
            class: None,
            verdict: None,
            link: None,
            report: None,
            change: None,
            severity_at_claim: None,
            changing: None,
            withheld: Vec::new(),
            seconds: None,
        })
    }

    /// What is known of the severity when it is to be changed.
    pub(crate) fn known(&self) -> Known<'_> {
        let ours = self.change.as_ref().filter(|(before, after)| before != after);
        Known {
            at_claim: self.severity_at_claim.as_deref(),
            ours: ours.map(|(_, after)| after.as_str()),
            written_over: self.changing.as_deref(),
        }
    }

    /// What people call it: its number, or else its name.
    pub fn called(&self) -> String {
        self.number.map_or_else(|| self.name.clone(), |number| number.to_string())
    }
}

/// The bytes of a notebook.
pub(crate) async fn read(notebook: &config::Notebook, services: &Services) -> Result<Bytes, Trouble> {
    match notebook {
        config::Notebook::Shipped(name) => Ok(Bytes::from_static(shipped::notebook(name))),
        config::Notebook::At(location) => services.stores.read(location).await.map_err(|error| {
            let class = if error.is_transient() { Class::Unavailable } else { Class::Refused };
            Trouble::new(class, format!("cannot read the notebook {location}")).because(error)
        }),
    }
}

/// Where the files of a case are, of the manager with this state folder.
pub fn run_folder(state: &Path, key: &RunKey) -> PathBuf {
    state.join("runs").join(key.as_str())
}

/// Where the executed notebook of a case is, if it was executed and is kept.
pub fn executed_file(state: &Path, key: &RunKey) -> PathBuf {
    run_folder(state, key).join(EXECUTED)
}

/// Ids for cells that have none, which only a notebook older than format 4.5 needs.
pub(crate) fn fresh_ids() -> impl FnMut() -> String {
    let mut next = 0_u32;
    move || {
        next += 1;
        format!("{next:08x}")
    }
}

/// The ARM id, or what there is of it: bundles made by hand may lack it.
pub(crate) fn id_of(incident: &Incident, name: &str) -> String {
    if incident.id().is_empty() { name.to_owned() } else { incident.id().to_owned() }
}

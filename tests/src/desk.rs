//! A manager's world: a simulated Azure with incidents, a state folder, a triage notebook, kernels.

mod process;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rnbexec::store::{Environment, Stores};
use rnbexec::{Cancel, Services};
use rnbexec_azure::sentinel::IncidentRef;
use rnbexec_manager::config::{Config, ConfigSources};
use rnbexec_manager::ledger::{Case, Ledger};
use rnbexec_manager::{Event, Manager, PassReport, Setup, SourceChoice};
use serde_json::{Value, json};

use crate::azure::{Entry, SimulatedAzure, names};
use crate::{Book, Scratch};

/// What the notebooks are told, and look at: the incident that the manager fetched.
const PARAMETERS: &str = "incident_id = ''\nten_id = ''\nws_id = ''\nincident_bundle = ''";

/// Also notes for which incident the notebook was run.
const READ: &str = "import json, os, sys, time\nfrom IPython.display import display\n\
     with open(os.path.expanduser('~/runs'), 'a') as runs:\n    runs.write(incident_id + '\\n')\n\
     bundle = json.load(open(incident_bundle))\nincident = bundle['incident']['properties']";

/// Does what the incident's description says.
const OBEY: &str = "def find(severity, **more):\n    verdict = {'severity': severity, **more}\n    \
     display({'application/vnd.rnbexec.verdict+json': verdict}, raw=True)\nexec(incident['description'])";

/// A manager's world, gone with the value.
#[derive(Debug)]
pub struct Desk {
    /// The services.
    pub azure: SimulatedAzure,
    /// The files.
    pub scratch: Scratch,
    /// The configuration, to be added to.
    pub toml: String,
    /// Variables of the manager's environment, besides those that it needs.
    pub variables: Vec<(String, String)>,
}

impl Desk {
    /// A desk whose notebook is `book`, which polls the simulated Sentinel and publishes to the simulated Azure ML workspace.
    pub fn new(book: &Book) -> Self {
        let (azure, scratch) = (SimulatedAzure::start(), Scratch::new());
        scratch.write("triage.ipynb", book.to_bytes());
        let settings = azure.settings();
        let toml = format!(
            r#"
[azure]
tenant = "{tenant}"
credentials = ["environment"]
authority = "{authority}"
resource_manager = "{resource_manager}"
[sentinel]
subscription = "{subscription}"
resource_group = "{group}"
workspace = "{workspace}"
workspace_id = "{customer}"
[source]
kind = "sentinel"
[source.sentinel]
since = "2000-01-01T00:00:00Z"
[publish]
to = "workspace"
[publish.workspace]
resource_group = "{ml_group}"
name = "{ml}"
endpoint = "{files}"
[run]
notebook = "triage.ipynb"
jobs = 2
[retry.unavailable]
first_wait = "0s"
longest_wait = "0s"
[retry.kernel]
first_wait = "0s"
longest_wait = "0s"
[retry.notebook]
first_wait = "0s"
longest_wait = "0s"
[retry.permission]
first_wait = "0s"
longest_wait = "0s"
"#,
            tenant = names::TENANT,
            authority = settings.authority,
            resource_manager = settings.resource_manager,
            subscription = names::SUBSCRIPTION,
            group = names::RESOURCE_GROUP,
            workspace = names::WORKSPACE,
            customer = names::CUSTOMER_ID,
            ml_group = names::ML_RESOURCE_GROUP,
            ml = names::ML_WORKSPACE,
            files = settings.files,
        );
        Self { azure, scratch, toml, variables: Vec::new() }
    }

    /// A desk whose notebook finds this verdict in every incident.
    pub fn finding(verdict: &Value) -> Self {
        Self::new(&Self::verdict(verdict))
    }

    /// A desk whose notebook does what each incident's description says: Python, in which `find(severity, …)` is a verdict.
    pub fn scripted() -> Self {
        Self::new(&Book::new().parameters(PARAMETERS).code(READ).code(OBEY))
    }

    /// Seeds incidents with these severities and scripts, for a [scripted](Self::scripted) desk, and gives their names.
    pub fn seed_scripts(&self, incidents: &[(&str, &str)]) -> Vec<String> {
        let bundles = (1..).zip(incidents).map(|(number, (severity, script))| {
            let mut bundle = Self::bundle(number, "Something odd", severity);
            bundle["incident"]["properties"]["description"] = json!(script);
            bundle
        });
        self.seed_bundles(bundles.collect())
    }

    /// Seeds these and gives their names.
    pub fn seed_bundles(&self, bundles: Vec<Value>) -> Vec<String> {
        let name = |bundle: &Value| bundle["incident"]["name"].as_str().expect("a name").to_owned();
        let names = bundles.iter().map(name).collect();
        self.azure.seed_bundles(bundles);
        names
    }

    /// A notebook that finds this verdict in every incident.
    pub fn verdict(verdict: &Value) -> Book {
        let source = format!(
            "verdict = json.loads({:?})\nverdict['title'] = incident['title']\n\
             display({{'application/vnd.rnbexec.verdict+json': verdict, 'text/plain': verdict['severity']}}, raw=True)",
            verdict.to_string()
        );
        Book::new().parameters(PARAMETERS).code(READ).code(&source)
    }

    /// An incident bundle as the REST API returns it, with this title and severity.
    pub fn bundle(number: u64, title: &str, severity: &str) -> Value {
        let name = format!("00000000-0000-4000-8000-{number:012}");
        let id = format!("{}/providers/Microsoft.SecurityInsights/Incidents/{name}", names::workspace_id());
        json!({
            "incident": {
                "id": id, "name": name, "type": "Microsoft.SecurityInsights/Incidents", "etag": "\"0-1\"",
                "properties": {
                    "title": title, "description": "what the rule says", "severity": severity, "status": "New",
                    "owner": {"objectId": "5f0e6a36-6d2c-4f0b-a0a3-8a54a5a0e7c1", "email": "ada@contoso.com",
                              "assignedTo": "Ada", "userPrincipalName": "ada@contoso.com"},
                    "labels": [{"labelName": "night shift", "labelType": "User"}],
                    "firstActivityTimeUtc": "2026-01-01T00:00:00Z", "lastActivityTimeUtc": "2026-01-01T01:00:00Z",
                    "createdTimeUtc": format!("2026-01-02T00:{:02}:00Z", number % 60),
                    "lastModifiedTimeUtc": "2026-01-02T01:00:00.1234567Z", "incidentNumber": number,
                    "additionalData": {"alertsCount": 1, "bookmarksCount": 0, "commentsCount": 0,
                                       "alertProductNames": ["Azure Sentinel"], "tactics": ["Execution"]},
                    "relatedAnalyticRuleIds": [], "incidentUrl": "https://portal.azure.com/#asset",
                },
            },
            "entities": {"entities": [], "metaData": []},
            "alerts": {"value": []},
        })
    }

    /// Seeds so many incidents of severity Low, and gives their names.
    pub fn seed(&self, count: u64) -> Vec<String> {
        self.seed_bundles((1..=count).map(|number| Self::bundle(number, "Something odd", "Low")).collect())
    }

    /// The environment of the manager: kernels, a private home, the service principal.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let mut variables = self.scratch.env();
        let azure = self.azure.settings().as_service_principal();
        variables.extend(azure.into_iter().map(|(name, value)| (name.into(), value.into())));
        variables.extend(self.variables.iter().map(|(name, value)| (name.into(), value.into())));
        variables
    }

    /// The configuration with these settings laid over it.
    pub fn config(&self, overrides: &[(&str, &str)]) -> Config {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load(ConfigSources {
            working_folder: self.scratch.path(),
            file: Some((self.scratch.join("manager.toml"), self.toml.clone())),
            variables: Vec::new(),
            overrides: overrides.iter().map(own).collect(),
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The services of the world.
    pub fn services(&self) -> Services {
        let variables: HashMap<OsString, OsString> = self.env().into_iter().collect();
        let mut services = Services::from_process();
        services.stores = Arc::new(Stores::new(&Environment::default()));
        services.kernels.vars.clone_from(&variables);
        services.kernels.home = Some(self.scratch.home());
        services.environments.vars.clone_from(&variables);
        services.environments.data_dir = self.scratch.join("data");
        services.runtime_dir = Some(self.scratch.tmp());
        services.rescue_dir = self.scratch.tmp();
        services.variables = variables;
        services
    }

    /// What a manager of this world is made of.
    pub fn setup(&self, overrides: &[(&str, &str)]) -> Setup {
        let text = |text: OsString| text.into_string().expect("the test's environment is text");
        Setup {
            config: self.config(overrides),
            services: self.services(),
            variables: self.env().into_iter().map(|(name, value)| (text(name), text(value))).collect(),
            source: SourceChoice::Configured,
            again: false,
            listener: Box::new(|_: &Event<'_>| {}),
        }
    }

    /// A manager with these settings on top.
    pub async fn manager(&self, overrides: &[(&str, &str)]) -> Arc<Manager> {
        Arc::new(Box::pin(self.setup(overrides).manager()).await.unwrap_or_else(|error| panic!("{error:?}")))
    }

    /// One pass.
    pub async fn once(&self) -> PassReport {
        self.once_with(&[]).await
    }

    /// One pass with these settings on top.
    pub async fn once_with(&self, overrides: &[(&str, &str)]) -> PassReport {
        let manager = self.manager(overrides).await;
        manager.once(Cancel::never()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// One pass at a time so much later.
    pub async fn once_after(&self, wait: SignedDuration, overrides: &[(&str, &str)]) -> PassReport {
        let mut setup = self.setup(overrides);
        setup.services.clock = Arc::new(move || Timestamp::now() + wait);
        let manager = Arc::new(Box::pin(setup.manager()).await.unwrap_or_else(|error| panic!("{error:?}")));
        manager.once(Cancel::never()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// One pass over the incidents that somebody asks for by name, also those that were triaged before.
    pub async fn once_for(&self, incidents: &[&str]) -> PassReport {
        let named = incidents.iter().map(|text| IncidentRef::parse(text).expect("an incident")).collect();
        let setup = Setup { source: SourceChoice::Named(named), again: true, ..self.setup(&[]) };
        let manager = Arc::new(Box::pin(setup.manager()).await.unwrap_or_else(|error| panic!("{error:?}")));
        manager.once(Cancel::never()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// The ledger of the world's managers.
    pub fn ledger(&self) -> Ledger {
        Ledger::open(&self.scratch.join("rnbexec-manager")).expect("a ledger")
    }

    /// What the ledger knows of an incident: the latest case.
    pub async fn case(&self, incident: &str) -> Case {
        let cases = self.ledger().cases_of(incident).await.expect("the ledger can be read");
        cases.into_iter().next().unwrap_or_else(|| panic!("no case of {incident}"))
    }

    /// The incidents for which a notebook of this desk was run, in order, each as often as it was.
    pub fn runs(&self) -> Vec<String> {
        let runs = fs::read_to_string(self.scratch.home().join("runs")).unwrap_or_default();
        runs.lines().map(str::to_owned).collect()
    }

    /// What was asked of the simulated Azure to write or delete something.
    pub fn writes(&self) -> Vec<Entry> {
        let mut asked = self.azure.journal();
        asked.retain(|entry| !matches!(entry.method.as_str(), "GET" | "HEAD" | "POST"));
        asked
    }

    /// The text of an incident's only comment.
    #[track_caller]
    pub fn comment(&self, incident: &str) -> String {
        let comments = self.azure.comments(incident);
        assert_eq!(comments.len(), 1, "{comments:#?}\n{}", self.log());
        comments[0]["properties"]["message"].as_str().expect("a text").to_owned()
    }

    /// The log, as a person reads it.
    pub fn log(&self) -> String {
        String::from_utf8(self.scratch.read("notebook_execution.log")).expect("the log is text")
    }
}

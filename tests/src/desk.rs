//! A manager's world: a simulated Azure with incidents, a state folder, a triage notebook, kernels.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

use rnbexec::store::{Environment, Stores};
use rnbexec::{Cancel, Services};
use rnbexec_manager::config::{Config, ConfigSources};
use rnbexec_manager::{Event, Manager, PassReport, Setup, SourceChoice};
use serde_json::{Value, json};

use crate::azure::{SimulatedAzure, names};
use crate::{Book, Scratch};

/// What the notebooks are told, and look at: the incident that the manager fetched.
const PARAMETERS: &str = "incident_id = ''\nten_id = ''\nws_id = ''\nincident_bundle = ''";

const READ: &str =
    "import json\nbundle = json.load(open(incident_bundle))\nincident = bundle['incident']['properties']";

/// A manager's world, gone with the value.
#[derive(Debug)]
pub struct Desk {
    /// The services.
    pub azure: SimulatedAzure,
    /// The files.
    pub scratch: Scratch,
    /// The configuration, to be added to.
    pub toml: String,
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
        Self { azure, scratch, toml }
    }

    /// A desk whose notebook finds this verdict in every incident.
    pub fn finding(verdict: &Value) -> Self {
        Self::new(&Self::verdict(verdict))
    }

    /// A notebook that finds this verdict in every incident.
    pub fn verdict(verdict: &Value) -> Book {
        let source = format!(
            "from IPython.display import display\nverdict = json.loads({:?})\nverdict['title'] = incident['title']\n\
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
        let bundles: Vec<Value> =
            (1..=count).map(|number| Self::bundle(number, "Something odd", "Low")).collect();
        self.azure.seed_bundles(bundles.clone());
        bundles.iter().map(|bundle| bundle["incident"]["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The environment of the manager: kernels, a private home, the service principal.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let mut variables = self.scratch.env();
        let azure = self.azure.settings().as_service_principal();
        variables.extend(azure.into_iter().map(|(name, value)| (name.into(), value.into())));
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
        Arc::new(self.setup(overrides).manager().await.unwrap_or_else(|error| panic!("{error:?}")))
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

    /// The log, as a person reads it.
    pub fn log(&self) -> String {
        String::from_utf8(self.scratch.read("notebook_execution.log")).expect("the log is text")
    }
}

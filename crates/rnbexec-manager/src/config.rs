//! The configuration: one TOML file, with environment variables and flags over it, parsed once into checked types.
//!
//! Precedence: flags, then the environment, then the file, then the defaults. Every setting has one name, its sections and its
//! key with dots (`source.sentinel.since`); the variable of that name is `RNBEXEC_MANAGER_SOURCE__SENTINEL__SINCE`. In variables and
//! flags a text is written bare; lists and tables are TOML values. A table or list that is given whole replaces the whole.
//!
//! A relative path is relative to the file's folder where it stands in the file, and to the working folder where it does not.
//!
//! Everything that is given is checked, whether it is used or not, and every problem is told at once. What is *not* given is
//! missed only by the accessor of what needs it ([`Config::sentinel`], [`Config::queue`], [`Config::folder`],
//! [`Config::destination`]), so that a folder of bundles can be triaged without a word about Azure.
//!
//! No secret stands in the configuration: a [`SecretRef`] says where it is.

mod azure;
mod error;
mod publish;
mod read;
mod rest;
mod route;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::path::PathBuf;

use rnbexec_azure::sentinel::WorkspaceId;

use crate::comment::Template;
use crate::policy::Policy;
use crate::verdict::JudgeRules;
use read::{Reader, Section};
use tree::{Origin, Table};

pub use azure::{ApiVersions, Azure};
pub use error::{ConfigError, Problem};
pub use publish::{Blob, Destination, Publish, PublishTo, Workspace};
pub use rest::{Log, LogFormat, Redact, Retries, State};
pub use route::{Conditions, DEFAULT_ROUTE, Differences, Route, Treatment};
pub use run::{Bundle, Keep, Notebook, RESERVED, Run, SHIPPED};
pub use source::{Folder, Poll, Queue, Source, SourceKind};
pub(crate) use value::spoken;
pub use value::{Pattern, SecretRef, Since};

/// What `manager init` writes: every setting with its meaning and its default.
pub const TEMPLATE: &str = include_str!("config/template.toml");

/// What the names of all variables of the configuration begin with.
pub const VARIABLE_PREFIX: &str = "RNBEXEC_MANAGER_";

/// The variable that names the configuration file; it is no setting itself.
pub const FILE_VARIABLE: &str = "RNBEXEC_MANAGER_CONFIG";

/// The flag that gives any setting (`--set run.jobs=2`), for messages that say how to.
pub const FLAG: &str = "--set";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// What relative paths outside the file are relative to.
    pub working_folder: PathBuf,
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; variables that are not ours are passed over, and so are empty ones.
    pub variables: Vec<(String, String)>,
    /// What flags set: names with dots, and texts.
    pub overrides: Vec<(String, String)>,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which Azure, and who we are there.
    pub azure: Azure,
    /// Where incidents come from.
    pub source: Source,
    /// What is run for them.
    pub run: Run,
    /// Which incidents are treated differently; the first that matches wins.
    pub routes: Vec<Route>,
    /// What makes a verdict a finding.
    pub judge: JudgeRules,
    /// What a finding may change.
    pub policy: Policy,
    /// Where executed notebooks go.
    pub publish: Publish,
    /// The comment on an incident with a finding; `None` is no comment.
    pub comment: Option<Template>,
    /// How failures are tried again.
    pub retries: Retries,
    /// What must leave nothing behind.
    pub redact: Redact,
    /// The log.
    pub log: Log,
    /// What the manager remembers.
    pub state: State,
    sentinel: azure::SentinelGiven,
}

/// The Sentinel workspace whose incidents are triaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelWorkspace {
    /// Its ARM id.
    pub id: WorkspaceId,
    /// Its GUID in Log Analytics, which the notebooks get as `ws_id`; `None` if it is not given.
    pub workspace_id: Option<String>,
}

impl Config {
    /// Reads a configuration. The error tells every problem there is.
    pub fn load(sources: ConfigSources) -> Result<Self, ConfigError> {
        let (config, reader) = Self::read(sources);
        let problems = reader.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::new(problems)) }
    }

    fn read(sources: ConfigSources) -> (Self, Reader) {
        let reader = Reader::new(sources.working_folder);
        let mut table = Table::new();
        if let Some((path, text)) = &sources.file {
            match tree::of_file(path, text) {
                Ok(read) => table = read,
                Err(problem) => reader.refuse(problem),
            }
        }
        for (name, text) in sources.variables {
            let Some(path) = path_of(&name).filter(|_| !text.trim().is_empty()) else { continue };
            if let Err(problem) = tree::lay_over(&mut table, &path, text, &Origin::Variable(name)) {
                reader.refuse(problem);
            }
        }
        for (name, text) in sources.overrides {
            let path: Vec<String> = name.split('.').map(|part| part.trim().to_owned()).collect();
            if let Err(problem) = tree::lay_over(&mut table, &path, text, &Origin::Flag) {
                reader.refuse(problem);
            }
        }
        let config = reader.root(table, Self::sections);
        (config, reader)
    }

    fn sections(root: &Section<'_>) -> Self {
        let azure = root.section("azure", azure::azure);
        let suffix = azure.cloud.key_vault_suffix.clone();
        let (judge, policy) = root.section("policy", |section| (rest::judge(section), rest::policy(section)));
        Self {
            sentinel: root.section("sentinel", azure::sentinel),
            source: root.section("source", |section| source::source(section, &suffix)),
            run: root.section("run", run::run),
            routes: route::routes(root),
            judge,
            policy,
            publish: root.section("publish", |section| publish::publish(section, &suffix)),
            comment: root.section("comment", rest::comment),
            retries: root.section("retry", rest::retries),
            redact: root.section("redact", rest::redact),
            log: root.section("log", rest::log),
            state: root.section("state", rest::state),
            azure,
        }
    }

    /// The workspace whose incidents are triaged, which everything but a folder of bundles needs.
    pub fn sentinel(&self) -> Result<SentinelWorkspace, ConfigError> {
        let given = &self.sentinel;
        match (&given.subscription, &given.resource_group, &given.workspace) {
            (Some(subscription), Some(resource_group), Some(name)) => Ok(SentinelWorkspace {
                id: WorkspaceId {
                    subscription: subscription.clone(),
                    resource_group: resource_group.clone(),
                    name: name.clone(),
                },
                workspace_id: given.workspace_id.clone(),
            }),
            (subscription, resource_group, name) => {
                let given =
                    [("subscription", subscription), ("resource_group", resource_group), ("workspace", name)];
                let missing = given.into_iter().filter(|(_, given)| given.is_none()).map(|(key, _)| {
                    let example = format!("[sentinel] {key} = \"…\"");
                    let because = "the incidents are in Sentinel (source.kind is not \"folder\")";
                    ConfigError::missing(&format!("sentinel.{key}"), because, &example)
                });
                Err(ConfigError::new(missing.collect()))
            }
        }
    }

    /// The queue that names incidents.
    pub fn queue(&self) -> Result<Queue, ConfigError> {
        self.source.queue.checked(&self.azure.cloud.storage_suffix).map_err(ConfigError::new)
    }

    /// The folder of bundles.
    pub fn folder(&self) -> Result<Folder, ConfigError> {
        self.source.folder.checked().map_err(ConfigError::new)
    }

    /// Where executed notebooks are published.
    pub fn destination(&self) -> Result<Destination, ConfigError> {
        self.publish.destination(&self.sentinel).map_err(ConfigError::new)
    }
}

impl Default for Config {
    /// What holds where nothing is said; its paths are relative.
    fn default() -> Self {
        Self::read(ConfigSources::default()).0
    }
}

/// The variable that gives this setting.
pub fn variable_of(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The setting that a variable gives. Names of parameters stay as they are written.
fn path_of(variable: &str) -> Option<Vec<String>> {
    if variable == FILE_VARIABLE {
        return None;
    }
    let mut path = Vec::new();
    for part in variable.strip_prefix(VARIABLE_PREFIX)?.split("__") {
        let below_parameters = path.last().is_some_and(|last| last == "parameters");
        path.push(if below_parameters { part.to_owned() } else { part.to_ascii_lowercase() });
    }
    Some(path)
}

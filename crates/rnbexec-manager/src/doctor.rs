//! Whether the manager could do its work here: its folders, its kernels, what Azure lets it do. Nothing is triaged and nothing is
//! written but empty folders.
//!
//! The parts are independent ([`files`], [`kernels`] with [`try_kernel`], [`azure`]), so that one that takes long or fails holds up
//! no other.

mod azure;
mod kernel;

use std::fs::OpenOptions;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, Destination, SourceKind};
use crate::error::chain;
use crate::incidents::folder::FolderIncidents;
use crate::ledger::Ledger;
use crate::route::{Router, Triage};

pub use azure::azure;
pub use kernel::{Kernel, KernelError, Missing, try_kernel};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it belongs to.
    pub area: Area,
    /// What was looked at.
    pub what: String,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a check belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The configuration file, variables and flags.
    Configuration,
    /// Folders and files of this machine.
    Files,
    /// A notebook's kernel.
    Kernel,
    /// A service of Azure.
    Azure,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// All is well.
    Fine {
        /// More about it; may be empty.
        detail: String,
    },
    /// The manager could not do its work.
    Wrong {
        /// Why.
        why: String,
        /// What to do about it.
        help: Option<String>,
        /// The role that is missing.
        role: Option<String>,
        /// The line that grants it.
        command: Option<String>,
    },
}

impl Check {
    /// All is well.
    pub fn fine(area: Area, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { area, what: what.into(), outcome: Outcome::Fine { detail: detail.into() } }
    }

    /// Something is wrong.
    pub fn wrong(area: Area, what: impl Into<String>, why: impl Into<String>) -> Self {
        let outcome = Outcome::Wrong { why: why.into(), help: None, role: None, command: None };
        Self { area, what: what.into(), outcome }
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Outcome::Wrong { help, .. } = &mut self.outcome {
            *help = Some(text.into());
        }
        self
    }

    /// Whether all is well.
    pub fn is_fine(&self) -> bool {
        matches!(self.outcome, Outcome::Fine { .. })
    }
}

/// Looks at the folders and files of this machine that the configuration uses. Blocks, but for the ledger.
pub async fn files(config: &Config) -> Vec<Check> {
    let state = &config.state.folder;
    let mut checks = vec![match usable(state).await {
        Ok(()) => Check::fine(Area::Files, "the ledger", state.display().to_string()),
        Err(why) => Check::wrong(Area::Files, "the ledger", why)
            .help("state.folder names its folder, which must be on a local disk and may be written to"),
    }];
    let log = &config.log.file;
    let opened = OpenOptions::new().create(true).append(true).open(log);
    checks.push(match opened {
        Ok(_) => Check::fine(Area::Files, "the log", log.display().to_string()),
        Err(error) => {
            Check::wrong(Area::Files, "the log", format!("cannot write {}: {error}", log.display()))
                .help("log.file names another file")
        }
    });
    if config.source.kind == SourceKind::Folder {
        checks.push(match config.folder() {
            Ok(folder) => match FolderIncidents::read(&folder.path) {
                Ok(bundles) => {
                    let found = format!("{} in {}", bundles.len(), folder.path.display());
                    Check::fine(Area::Files, "the incidents", found)
                }
                Err(trouble) => Check::wrong(Area::Files, "the incidents", trouble.in_full()),
            },
            Err(error) => Check::wrong(Area::Configuration, "the incidents", error.to_string()),
        });
        if let Ok(folder) = config.folder() {
            checks.push(writable("what would be written to Sentinel", &folder.output));
        }
    }
    if let Ok(Destination::Folder(folder)) = config.destination() {
        checks.push(writable("the published notebooks", &folder));
    }
    checks
}

async fn usable(state: &Path) -> Result<(), String> {
    let ledger = Ledger::open(state).map_err(|error| chain(&error))?;
    ledger.check().await.map_err(|error| chain(&error))
}

fn writable(what: &str, folder: &Path) -> Check {
    let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    match tried {
        Ok(_) => Check::fine(Area::Files, what, folder.display().to_string()),
        Err(error) => {
            Check::wrong(Area::Files, what, format!("cannot write to {}: {error}", folder.display()))
        }
    }
}

/// The triages whose kernels have to work, with the routes that take them; each kind once.
pub fn kernels(config: &Config) -> Vec<(Vec<String>, Triage)> {
    let mut kinds: Vec<(Vec<String>, Triage)> = Vec::new();
    for (route, triage) in Router::new(config).triages() {
        let same = |known: &Triage| {
            (&known.notebook, &known.kernel, &known.environment)
                == (&triage.notebook, &triage.kernel, &triage.environment)
        };
        match kinds.iter_mut().find(|(_, known)| same(known)) {
            Some((routes, _)) => routes.push(route),
            None => kinds.push((vec![route], *triage)),
        }
    }
    kinds
}

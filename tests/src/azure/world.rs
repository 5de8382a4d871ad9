//! Everything that the simulation remembers, and which service gets a request.

use jiff::SignedDuration;

use super::access::Access;
use super::call::{Call, Played, Reply};
use super::clock::Clock;
use super::fault::Fault;
use super::files::FileService;
use super::hooks::Hook;
use super::identity::Identity;
use super::journal::Entry;
use super::key_vault::Vault;
use super::logs::Logs;
use super::sentinel::Sentinel;
use super::{Plane, arm, files, identity, key_vault, logs, names};

#[derive(Debug)]
pub(super) struct World {
    pub(super) url: String,
    pub(super) clock: Clock,
    pub(super) identity: Identity,
    pub(super) access: Access,
    pub(super) sentinel: Sentinel,
    pub(super) files: FileService,
    pub(super) vault: Vault,
    pub(super) logs: Logs,
    /// How many a page has, where a request does not say it.
    pub(super) page_size: Option<usize>,
    /// How many requests came so far.
    pub(super) requests: usize,
    pub(super) journal: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
    pub(super) hooks: Vec<Hook>,
    /// What panicked while it served.
    pub(super) panics: Vec<String>,
}

impl World {
    pub(super) fn new(url: String) -> Self {
        let files = FileService::new();
        let clock = Clock::Running { ahead: SignedDuration::ZERO };
        let mut vault = Vault::default();
        vault.set(names::KEY_SECRET, &files.key, true, clock.now());
        Self {
            identity: Identity::new(&url),
            url,
            clock,
            access: Access::default(),
            sentinel: Sentinel::new(),
            files,
            vault,
            logs: Logs::default(),
            page_size: None,
            requests: 0,
            journal: Vec::new(),
            faults: Vec::new(),
            hooks: Vec::new(),
            panics: Vec::new(),
        }
    }

    /// The service that a request is for.
    pub(super) fn plane(&self, call: &Call) -> Plane {
        let folded = call.folded();
        match folded.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [_, "oauth2", "v2.0", "token"] => Plane::Login,
            ["metadata", ..] | ["msi", "token"] | ["aml", "msi", "token"] => Plane::ManagedIdentity,
            ["subscriptions" | "providers", ..] => Plane::ResourceManager,
            ["secrets", ..] => Plane::KeyVault,
            ["v1", "workspaces", ..] => Plane::Logs,
            // Nobody else is sent this header.
            _ if call.header("x-ms-version").is_some() || files::is_path(self, &call.segments) => {
                Plane::Files
            }
            _ => Plane::ResourceManager,
        }
    }

    /// Who asks, as far as that is known.
    pub(super) fn principal(&self, call: &Call) -> Option<String> {
        self.identity.holder(call).or_else(|| files::holder(call))
    }

    /// Plays a request, with its effect.
    pub(super) fn play(&mut self, call: &Call, plane: Plane) -> Reply {
        let first = call.segments.first().map(|segment| segment.to_lowercase());
        let played: Played = match plane {
            Plane::Login => identity::login(&mut self.identity, call),
            Plane::ManagedIdentity => match first.as_deref() {
                Some("metadata") => identity::metadata(&mut self.identity, call),
                Some("msi") => identity::app_service(&mut self.identity, call),
                _ => identity::machine_learning(&mut self.identity, call),
            },
            Plane::ResourceManager => arm::play(self, call),
            Plane::Files => files::play(self, call),
            Plane::KeyVault => key_vault::play(self, call),
            Plane::Logs => logs::play(self, call),
        };
        match played {
            Ok(reply) | Err(reply) => reply,
        }
    }
}

//! Fork servers: processes that have imported what kernels need and fork one in milliseconds, where starting it takes a Python
//! hundreds.
//!
//! A server serves kernels that would be started by the same command in the same environment with the same modules to import;
//! everything else a kernel has of its own. Where a fork cannot be had — the kernel is not ipykernel, the system is not Linux, the server
//! cannot start, a preloaded file has changed, the working directory hides a preloaded module — the caller starts the kernel
//! plainly instead. The rules of what may be imported before a fork stand in `fork_server.py`.
//!
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::launcher::ForkCommand;
use crate::remains::Registrar;

#[cfg(target_os = "linux")]
#[path = "fork_server/linux.rs"]
mod server;
#[cfg(not(target_os = "linux"))]
#[path = "fork_server/portable.rs"]
mod server;

pub(crate) use server::Forked;
use server::Server;

/// How many servers are kept ready for kernels of different kinds.
const MOST_SERVERS: usize = 4;

/// What must be the same for two kernels to come from one server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seed {
    pub(crate) command: ForkCommand,
    pub(crate) environment: HashMap<OsString, OsString>,
    /// Modules that the kernelspec names.
    pub(crate) preload: Vec<String>,
    /// Modules that the notebook's cells import.
    pub(crate) imports: Vec<String>,
    /// Where the server keeps its script.
    pub(crate) runtime_dir: Option<PathBuf>,
}

/// What a kernel has of its own.
pub(crate) struct Birth {
    /// The arguments after the module's name.
    pub(crate) arguments: Vec<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) variables: Vec<(String, String)>,
    /// Told of the server, should one be started for it.
    pub(crate) registrar: Option<Registrar>,
}

/// Where a forked kernel comes from.
#[derive(Clone)]
pub(crate) struct Descent {
    server: Arc<Server>,
    cwd: Option<PathBuf>,
}

/// The servers of a program. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ForkServers {
    slots: Arc<Mutex<Vec<Slot>>>,
}

/// A server; it may still start, or have failed to, and then there cannot be one. The last used is the last of them.
struct Slot {
    seed: Seed,
    server: Arc<Server>,
}

/// Why a kernel was not forked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotForked {
    #[error("there is no fork server for it")]
    NoServer,
    #[error("its fork server takes long to start")]
    Late,
    #[error("{file} has changed since it was imported")]
    Stale { file: String },
    #[error("{reason}")]
    Refused { reason: String },
    #[error("cannot talk to the fork server")]
    Io(#[from] io::Error),
}

impl ForkServers {
    /// Forks a kernel's process. A server is started first if there is none. Whoever needs it waits until it is `patience` old: one that
    /// takes longer, to import what a notebook does, say, delays no other kernel, and forks those that come when it is ready.
    pub(crate) async fn fork(
        &self,
        seed: &Seed,
        birth: &Birth,
        patience: Duration,
    ) -> Result<(Forked, Descent), NotForked> {
        let server = self.server(seed, birth.registrar.clone())?;
        server.ready(patience).await?;
        let forked = server.fork(birth).await;
        if let Err(NotForked::Stale { .. } | NotForked::Io(_)) = &forked {
            // The next kernel gets a new one.
            self.slots().retain(|slot| !Arc::ptr_eq(&slot.server, &server));
        }
        Ok((forked?, Descent { server, cwd: birth.cwd.clone() }))
    }

    /// Ends the servers that no kernel needs any more.
    pub(crate) fn close(&self) {
        // Dropping a server waits for its end, and nobody else is to wait for that.
        let unwanted = std::mem::take(&mut *self.slots());
        drop(unwanted);
    }

    /// The server for a seed; it may have just begun to start.
    fn server(&self, seed: &Seed, registrar: Option<Registrar>) -> io::Result<Arc<Server>> {
        let mut slots = self.slots();
        let slot = match slots.iter().position(|slot| slot.seed == *seed) {
            Some(at) => slots.remove(at),
            None => Slot { seed: seed.clone(), server: Arc::new(Server::start(seed, registrar)?) },
        };
        let server = Arc::clone(&slot.server);
        let unwanted = (slots.len() >= MOST_SERVERS).then(|| slots.remove(0));
        slots.push(slot);
        drop(slots);
        drop(unwanted);
        Ok(server)
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Descent {
    /// Fails if the kernel would not be forked as things are now: a file that was imported has changed, or the working directory has got a
    /// module that hides one.
    pub(crate) async fn check(&self) -> Result<(), NotForked> {
        self.server.check(self.cwd.as_deref()).await
    }
}

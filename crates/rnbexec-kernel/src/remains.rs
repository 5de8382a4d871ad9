//! What a kernel leaves behind when the program that runs it is killed outright, and how to clear it up.
//!
//! On Linux the kernel's own process dies with us by the system's hand; what it started, and its private directory, do
//! not. Another process that outlives us can see to them: it is told of each kernel before the kernel is started.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{connection, process};

/// A kernel's processes and files, as another process finds them. Cleared up by [`Remains::clear_up`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// What a variable in the environment of all its processes says.
    mark: String,
    /// Its private directory.
    directory: PathBuf,
}

/// Told of each kernel before its process is started. What it gives back is dropped when nothing of the kernel is left.
pub type Registrar = Arc<dyn Fn(&Remains) -> Registration + Send + Sync>;

/// Held for as long as a kernel may leave something behind.
pub type Registration = Box<dyn Send>;

impl Remains {
    pub(crate) fn new(mark: String, directory: PathBuf) -> Self {
        Self { mark, directory }
    }

    /// Kills every process of the kernel, those in sessions of their own too, and removes its directory, if the
    /// program that started it is gone. (Elsewhere than on Linux other processes cannot be looked at.)
    ///
    /// A process that has changed its environment cannot be told from a stranger's and stays.
    pub fn clear_up(&self) {
        process::kill_marked(&self.mark);
        connection::remove_abandoned(&self.directory);
    }
}

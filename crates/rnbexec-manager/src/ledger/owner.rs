//! Which process works on a case: one that holds a lock on its own file. The system lets go of the lock when the process
//! ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// This process, as the ledger knows it.
#[derive(Debug)]
pub(super) struct Owner {
    id: String,
    folder: PathBuf,
    /// Locked for as long as this lives.
    _lock: File,
}

impl Owner {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let id = Uuid::new_v4().to_string();
        // Locked before it has its name: whoever sees the name sees a lock that is held.
        let unnamed = folder.join(format!("{id}.new"));
        let lock = File::create_new(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.join(&id))?;
        Ok(Self { id, folder: folder.to_owned(), _lock: lock })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(self.folder.join(&self.id)) {
            tracing::debug!(%error, "a lock file stays behind");
        }
    }
}

/// Clears away what the dead left behind who worked on nothing.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if let Some(id) = entry.file_name().to_str() {
            lives(folder, id);
        }
    }
}

/// Whether the process with this id still lives. What a dead one left behind is cleared away.
pub(super) fn lives(folder: &Path, id: &str) -> bool {
    // The id comes from the ledger: it must not lead elsewhere.
    let Ok(id) = Uuid::parse_str(id) else { return false };
    let path = folder.join(id.to_string());
    let Ok(file) = File::open(&path) else { return false };
    match file.try_lock() {
        Ok(()) => {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(%error, "a lock file stays behind");
            }
            false
        }
        Err(TryLockError::WouldBlock) => true,
        // Rather leave a case alone than work on it twice.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "cannot tell whether another manager lives");
            true
        }
    }
}

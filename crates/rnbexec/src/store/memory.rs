//! Documents in the memory of the embedding program: `memory://name`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Action, Durability, Location, Store, StoreError, StoreErrorKind};

/// A store in memory. Clones share their documents, so a program keeps one clone and looks into it after a run.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    documents: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a document in, and returns the location to run it from.
    pub fn put(&self, name: &str, content: impl Into<Bytes>) -> Location {
        self.documents().insert(name.to_owned(), content.into());
        Location::memory(name)
    }

    /// The document of this name.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.documents().get(name).cloned()
    }

    fn documents(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // Nothing can panic while the lock is held, and whole documents are replaced: the map is always sound.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let name = name_of(Action::Read, location)?;
        self.get(name).ok_or_else(|| StoreError::new(Action::Read, location, StoreErrorKind::NotFound))
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let name = name_of(Action::Write, location)?;
        self.put(name, super::joined(parts));
        Ok(())
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let folder = match name_of(Action::List, location)?.trim_end_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let documents = self.documents();
        let names = documents.keys().filter(|name| {
            name.strip_prefix(&folder).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        });
        Ok(names.map(Location::memory).collect())
    }
}

fn name_of(action: Action, location: &Location) -> Result<&str, StoreError> {
    match location {
        Location::Memory(name) => Ok(name),
        other => Err(StoreError::new(
            action,
            other,
            StoreErrorKind::InvalidLocation { problem: "it is not in memory".to_owned() },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn it_keeps_the_promise_of_every_store() {
        let root = Location::memory("suite");
        conformance::run(&MemoryStore::new(), &root, conformance::Abilities::ALL).await.unwrap();
    }

    #[tokio::test]
    async fn clones_share_their_documents() {
        let store = MemoryStore::new();
        let location = store.put("nb.ipynb", "{}");
        assert_eq!(store.clone().read(&location).await.unwrap(), "{}");
    }
}

//! What the shares hold.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use uuid::Uuid;

use super::error;
use crate::azure::call::Reply;
use crate::azure::names;

/// The storage account.
#[derive(Debug)]
pub(in crate::azure) struct FileService {
    /// The account key, base64.
    pub(in crate::azure) key: String,
    pub(in crate::azure) shares: BTreeMap<String, Share>,
}

/// A share: its entries by path in lower case.
#[derive(Debug, Default)]
pub(in crate::azure) struct Share {
    entries: BTreeMap<String, Entry>,
}

/// A directory or file.
#[derive(Debug, Clone)]
pub(in crate::azure) struct Entry {
    /// The path as it was first written.
    pub(in crate::azure) path: String,
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    pub(in crate::azure) node: Node,
}

#[derive(Debug, Clone)]
pub(in crate::azure) enum Node {
    Directory,
    File { bytes: Vec<u8>, content_type: String },
}

impl FileService {
    pub(in crate::azure) fn new() -> Self {
        let share = |name: &str| (name.to_owned(), Share::default());
        Self {
            key: STANDARD.encode(b"the key of the simulated storage account, which is 64 bytes long"),
            shares: [share(names::CODE_SHARE), share("azureml-filestore-b9a3b5f2")].into(),
        }
    }

    pub(in crate::azure) fn has_share(&self, name: &str) -> bool {
        self.shares.contains_key(name)
    }

    pub(super) fn share(&self, name: &str) -> &Share {
        self.shares.get(name).expect("only requests for shares that exist come here")
    }

    pub(super) fn share_mut(&mut self, name: &str) -> &mut Share {
        self.shares.get_mut(name).expect("only requests for shares that exist come here")
    }
}

impl Entry {
    pub(super) fn new(path: &str, node: Node, now: Timestamp) -> Self {
        Self { path: path.to_owned(), etag: new_etag(), modified: now, node }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory)
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// What every write does.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.etag = new_etag();
        self.modified = now;
    }
}

fn new_etag() -> String {
    let id = Uuid::new_v4().simple().to_string().to_uppercase();
    format!("\"0x8D{}\"", id.split_at(13).0)
}

impl Share {
    pub(in crate::azure) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&path.to_lowercase())
    }

    /// A file, or the error of asking for one that is not there.
    pub(super) fn file(&self, path: &str) -> Result<&Entry, Reply> {
        self.parent_of(path)?;
        self.get(path).filter(|entry| !entry.is_directory()).ok_or_else(not_found)
    }

    pub(super) fn file_mut(&mut self, path: &str) -> Result<&mut Entry, Reply> {
        self.file(path)?;
        self.entries.get_mut(&path.to_lowercase()).ok_or_else(not_found)
    }

    /// A directory; the empty path is the root.
    pub(super) fn directory(&self, path: &str) -> Result<Option<&Entry>, Reply> {
        if path.is_empty() {
            return Ok(None);
        }
        self.parent_of(path)?;
        self.get(path).filter(|entry| entry.is_directory()).map(Some).ok_or_else(not_found)
    }

    /// Nothing is made or found below a directory that is not there.
    pub(super) fn parent_of(&self, path: &str) -> Result<(), Reply> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        if self.get(parent).is_some_and(Entry::is_directory) {
            return Ok(());
        }
        Err(error(404, "ParentNotFound", "The specified parent path does not exist."))
    }

    /// Writes an entry. One that is there keeps its spelling.
    pub(in crate::azure) fn insert(&mut self, mut entry: Entry) {
        let key = entry.path.to_lowercase();
        if let Some(known) = self.entries.get(&key) {
            entry.path.clone_from(&known.path);
        }
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<Entry> {
        self.entries.remove(&path.to_lowercase())
    }

    /// What is directly inside a directory.
    pub(super) fn inside(&self, path: &str) -> impl Iterator<Item = &Entry> {
        let path = path.to_lowercase();
        self.entries
            .iter()
            .filter(move |(key, _)| {
                let parent = key.rsplit_once('/').map_or("", |(parent, _)| parent);
                parent == path
            })
            .map(|(_, entry)| entry)
    }

    /// Puts a file there with its parents, as somebody else would.
    pub(in crate::azure) fn plant(&mut self, path: &str, bytes: Vec<u8>, now: Timestamp) {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents {
            if self.get(parent).is_none() {
                self.insert(Entry::new(parent, Node::Directory, now));
            }
        }
        let node = Node::File { bytes, content_type: "application/octet-stream".to_owned() };
        self.insert(Entry::new(path, node, now));
    }
}

pub(super) fn not_found() -> Reply {
    error(404, "ResourceNotFound", "The specified resource does not exist.")
}

//! Incidents in a folder of bundles: the offline default, for evaluation, replay and tests.
//!
//! Bundles are read from `*.json` (one bundle or an array of them in a file) and never changed. What is written to an
//! incident goes into the output folder, one file an incident, in the shapes of the REST API:
//! `{"incident": …, "comments": {ID: …}, "tasks": {ID: …}}`. Etags work as Sentinel's do.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use rnbexec_azure::sentinel::{Incident, IncidentRef, READ_ONLY};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Incidents, Request, Sent, Write};
use crate::bundle::Bundle;
use crate::error::{Class, Trouble};
use crate::run_key::hex;

/// A folder that plays Sentinel. Cloning shares it.
#[derive(Debug, Clone)]
pub struct FolderIncidents(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    output: PathBuf,
    /// Where the bundles lie, when more may come.
    input: Option<PathBuf>,
    shelf: RwLock<Arc<Shelf>>,
    /// One writer at a time, as etags need.
    writing: Mutex<()>,
}

/// What was written to an incident.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    incident: Incident,
    #[serde(default)]
    comments: BTreeMap<String, Value>,
    #[serde(default)]
    tasks: BTreeMap<String, Value>,
}

impl FolderIncidents {
    /// The incidents of these bundles, with what is written to them kept in `output`. The first of a name counts.
    pub fn new(bundles: Vec<Bundle>, output: impl Into<PathBuf>) -> Self {
        Self::with(None, bundles, output.into())
    }

    /// The incidents of the bundles that lie in a folder, also of those that come later. A file that is no bundle hides no other.
    /// Blocks.
    pub fn at(input: &Path, output: impl Into<PathBuf>) -> Result<Self, Trouble> {
        let (bundles, _) = Self::read_each(input)?;
        Ok(Self::with(Some(input.to_owned()), bundles, output.into()))
    }

    fn with(input: Option<PathBuf>, bundles: Vec<Bundle>, output: PathBuf) -> Self {
        let shelf = RwLock::new(Arc::new(Shelf::new(bundles)));
        Self(Arc::new(Folder { output, input, shelf, writing: Mutex::new(()) }))
    }

    /// Reads all bundles of the `*.json` files in `folder`, in the order of their names; or of one file. Blocks.
    pub fn read(folder: &Path) -> Result<Vec<Bundle>, Trouble> {
        let (bundles, troubles) = Self::read_each(folder)?;
        troubles.into_iter().next().map_or(Ok(bundles), Err)
    }

    /// As [`read`](Self::read), with what is wrong with single files beside what the others hold.
    fn read_each(folder: &Path) -> Result<(Vec<Bundle>, Vec<Trouble>), Trouble> {
        let reading = |path: &Path, class| {
            Trouble::new(class, format!("cannot read incidents from {}", path.display()))
        };
        let failed = |path: &Path, error: io::Error| {
            let class = match error.kind() {
                io::ErrorKind::PermissionDenied => Class::Permission,
                io::ErrorKind::NotFound => Class::Refused,
                _ => Class::Unavailable,
            };
            reading(path, class).because(error)
        };
        let mut files = if folder.is_file() {
            vec![folder.to_owned()]
        } else {
            let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let entries = entries.map_err(|error| failed(folder, error))?;
            let paths = entries.into_iter().map(|entry| entry.path());
            // Reading a named pipe would wait for its writer.
            paths.filter(|path| path.extension().is_some_and(|end| end == "json") && path.is_file()).collect()
        };
        files.sort();
        let (mut bundles, mut troubles) = (Vec::new(), Vec::new());
        for file in files {
            let read = std::fs::read(&file).map_err(|error| failed(&file, error));
            let parsed = read.and_then(|text| {
                Bundle::parse_all(&text).map_err(|error| reading(&file, Class::Refused).because(error))
            });
            match parsed {
                Ok(more) => bundles.extend(more),
                Err(trouble) => troubles.push(trouble),
            }
        }
        Ok((bundles, troubles))
    }

    /// All incidents as they are now, with those that came into the folder; and what is wrong with the files of others.
    pub async fn all(&self) -> Result<(Vec<Incident>, Vec<Trouble>), Trouble> {
        self.blocking(|folder| {
            let (there, mut troubles) = folder.look_again()?;
            let mut incidents = Vec::new();
            for bundle in &there.bundles {
                match folder.now(bundle) {
                    Ok(written) => incidents.push(written.incident),
                    Err(trouble) => troubles.push(trouble),
                }
            }
            Ok((incidents, troubles))
        })
        .await
    }

    /// Does something with files on a thread that may block.
    async fn blocking<T: Send + 'static>(&self, act: impl FnOnce(&Folder) -> T + Send + 'static) -> T {
        let folder = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || act(&folder)).await;
        done.expect("a thread that reads and writes files does not panic and is not cancelled")
    }
}

/// The bundles there are.
#[derive(Debug)]
struct Shelf {
    bundles: Vec<Arc<Bundle>>,
    /// Positions in `bundles`, by folded name.
    by_name: HashMap<String, usize>,
}

impl Shelf {
    fn new(bundles: Vec<Bundle>) -> Self {
        let mut by_name = HashMap::new();
        for (index, bundle) in bundles.iter().enumerate() {
            if let Ok(name) = bundle.incident.name() {
                by_name.entry(name.folded()).or_insert(index);
            }
        }
        Self { bundles: bundles.into_iter().map(Arc::new).collect(), by_name }
    }

    fn find(&self, reference: &IncidentRef) -> Option<Arc<Bundle>> {
        let such = |fits: &dyn Fn(&Incident) -> bool| {
            self.bundles.iter().find(|bundle| fits(&bundle.incident)).cloned()
        };
        match reference {
            IncidentRef::Number(number) => such(&|incident| incident.number() == Some(*number)),
            IncidentRef::Defender(number) => {
                let number = number.to_string();
                such(&|incident| incident.provider_id() == Some(&number))
            }
            IncidentRef::Name(name) | IncidentRef::Arm { name, .. } => {
                self.bundles.get(*self.by_name.get(&name.folded())?).cloned()
            }
        }
    }
}

impl Folder {
    fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bundles there are now, and what is wrong with the others.
    fn look_again(&self) -> Result<(Arc<Shelf>, Vec<Trouble>), Trouble> {
        let Some(input) = &self.input else { return Ok((self.shelf(), Vec::new())) };
        let (bundles, troubles) = FolderIncidents::read_each(input)?;
        let there = Arc::new(Shelf::new(bundles));
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&there);
        Ok((there, troubles))
    }

    fn find(&self, reference: &IncidentRef) -> Option<Arc<Bundle>> {
        self.shelf().find(reference)
    }

    fn file(&self, incident: &Incident) -> PathBuf {
        // A checked name is one segment of a path.
        let name = incident.name().map(|name| name.folded()).unwrap_or_default();
        self.output.join(format!("{name}.json"))
    }

    fn now(&self, bundle: &Bundle) -> Result<Written, Trouble> {
        let path = self.file(&bundle.incident);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                Trouble::new(Class::Refused, format!("{} is not what was written there", path.display()))
                    .because(error)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Written {
                incident: bundle.incident.clone(),
                comments: BTreeMap::new(),
                tasks: BTreeMap::new(),
            }),
            Err(error) => {
                Err(Trouble::new(Class::Unavailable, format!("cannot read {}", path.display()))
                    .because(error))
            }
        }
    }

    fn apply(&self, incident: &Incident, write: &Write) -> Result<Sent, Trouble> {
        let missing = || Trouble::new(Class::Refused, "there is no such incident in the folder");
        let name = incident.name().map_err(|_unnamed| missing())?;
        let bundle = self.find(&IncidentRef::Name(name)).ok_or_else(missing)?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = self.now(&bundle)?;
        match write {
            Write::Comment { id, message } => {
                let comment = json!({ "name": id.to_string(), "properties": { "message": message } });
                written.comments.insert(id.to_string(), comment);
            }
            Write::Task { id, title, description } => {
                let properties = json!({ "title": title, "description": description, "status": "New" });
                written
                    .tasks
                    .insert(id.to_string(), json!({ "name": id.to_string(), "properties": properties }));
            }
            Write::Incident { body } => {
                if body.get("etag").and_then(Value::as_str) != written.incident.etag() {
                    return Ok(Sent::Conflict { may_be_ours: false });
                }
                written.incident = replaced(&written.incident, body);
            }
        }
        let path = self.file(&bundle.incident);
        store(&path, &written).map_err(|error| {
            Trouble::new(Class::Unavailable, format!("cannot write {}", path.display())).because(error)
        })?;
        Ok(Sent::Written)
    }
}

/// What Sentinel makes of a full replacement: what it alone sets stays, everything else is what the body says.
fn replaced(incident: &Incident, body: &Value) -> Incident {
    let mut value = incident.value().clone();
    let mut properties = body.get("properties").cloned().unwrap_or_else(|| json!({}));
    for name in READ_ONLY {
        if let (Some(kept), Some(properties)) = (incident.property(name), properties.as_object_mut()) {
            properties.insert(name.to_owned(), kept.clone());
        }
    }
    // A new etag that depends on the content alone: the same change made twice is one.
    let digest = Sha256::digest(properties.to_string());
    value["properties"] = properties;
    value["etag"] = Value::from(format!("\"{}\"", hex(&digest).chars().take(16).collect::<String>()));
    Incident::from(value)
}

fn store(path: &Path, written: &Written) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, written)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[async_trait]
impl Incidents for FolderIncidents {
    async fn get(&self, reference: &IncidentRef) -> Result<Option<Incident>, Trouble> {
        let reference = reference.clone();
        self.blocking(move |folder| {
            folder.find(&reference).map(|bundle| Ok(folder.now(&bundle)?.incident)).transpose()
        })
        .await
    }

    async fn bundle(&self, incident: Incident) -> Result<Bundle, Trouble> {
        let bundle = incident.name().ok().and_then(|name| self.0.find(&IncidentRef::Name(name)));
        let (entities, alerts) = match bundle {
            Some(bundle) => (bundle.entities.clone(), bundle.alerts.clone()),
            None => (Value::Null, Value::Null),
        };
        Ok(Bundle { incident, entities, alerts })
    }

    fn request(&self, incident: &Incident, write: &Write) -> Result<Request, Trouble> {
        let body = match write {
            Write::Comment { id, message } => json!({ "comments": { id.to_string(): message } }),
            Write::Task { id, title, description } => {
                json!({ "tasks": { id.to_string(): { "title": title, "description": description } } })
            }
            Write::Incident { body } => body.clone(),
        };
        Ok(Request { method: "WRITE".to_owned(), url: self.0.file(incident).display().to_string(), body })
    }

    async fn send(&self, incident: &Incident, write: &Write) -> Result<Sent, Trouble> {
        let (incident, write) = (incident.clone(), write.clone());
        self.blocking(move |folder| folder.apply(&incident, &write)).await
    }
}

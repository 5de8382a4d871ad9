//! Where an executed notebook and its report are published, and how an analyst gets there.
//!
//! Path and link come from the same function and the same parts, so that a link always leads to what was uploaded. Names are
//! made of checked segments: whatever an incident is called, its files stay in their folder, and every name is a name in Azure
//! Files, in Blob Storage and on disk.

mod link;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use rnbexec::store::{Location, LocationError, Segment, SegmentError};
use rnbexec_azure::sentinel::Incident;

use crate::RunKey;
use crate::template::{Pieces, TemplateError};

pub use link::{CodeShare, LONG_LINK, LinkTemplate, SHORT_LINK, Workspace};

/// The name that a notebook is published under, unless the settings have another: the incident's, as Microsoft's notebooks do.
pub const DEFAULT_FILE: &str = "{incident_id}.ipynb";

/// Where notebooks are published.
#[derive(Clone, Debug)]
pub enum Target {
    /// The file share of an Azure Machine Learning workspace that its studio shows.
    CodeShare(CodeShare),
    /// A folder of Blob Storage.
    Blob(BlobFolder),
    /// A folder of this machine. Give the whole path, it becomes the link.
    Folder(PathBuf),
}

/// A place for every incident.
#[derive(Clone, Debug)]
pub struct Places {
    target: Target,
    file: Pieces<Name>,
}

/// The places of one incident's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The executed notebook.
    pub notebook: Spot,
    /// The report beside it.
    pub report: Spot,
}

/// Where one file is written, and the link to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Where it is written.
    pub destination: Destination,
    /// How an analyst gets there: a URL, or the path of a file. It never holds a secret.
    pub link: String,
}

/// Where a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A path in the code share: `Users/TriageNbs/….ipynb`.
    Share(String),
    /// A location that the stores of [`rnbexec`] write: a blob, a file.
    Store(Location),
}

/// What a file's name can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    IncidentId,
    IncidentNumber,
    RunKey,
    Date,
    Route,
}

const NAMES: [(&str, Name); 5] = [
    ("incident_id", Name::IncidentId),
    ("incident_number", Name::IncidentNumber),
    ("run_key", Name::RunKey),
    ("date", Name::Date),
    ("route", Name::Route),
];

/// A place that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The template of the file's name.
    #[error("the file name {text:?} cannot be used")]
    File {
        /// The template.
        text: String,
        /// Why.
        #[source]
        source: TemplateError,
    },
    /// The file is no notebook.
    #[error("the file name {0:?} does not end in .ipynb")]
    NoNotebook(String),
    /// Incidents would overwrite each other's files.
    #[error(
        "the file name {0:?} is the same for every incident; use {{incident_id}}, {{incident_number}} or {{run_key}}"
    )]
    SameForAll(String),
    /// The template of the link.
    #[error("the link {text:?} cannot be used")]
    Link {
        /// The template.
        text: String,
        /// Why.
        #[source]
        source: TemplateError,
    },
    /// The link needs what is not known.
    #[error("the link needs the tenant, and none is configured")]
    NoTenant,
    /// The folder to publish to.
    #[error("{folder:?} is no folder of Blob Storage: {problem}")]
    Blob {
        /// The folder as given, without secrets.
        folder: String,
        /// Why.
        problem: String,
    },
    /// A part of a path.
    #[error("{text:?} cannot be a path to publish to")]
    Segment {
        /// The path, or the part of it.
        text: String,
        /// Why.
        #[source]
        source: UnfitSegment,
    },
    /// The incident lacks what its file is named after.
    #[error("the incident has no {0} to name its file after")]
    Nameless(&'static str),
}

/// Why a part of a path is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct UnfitSegment(#[from] Unfit);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0:?} holds a character that file shares do not take (\" : | < > * ?)")]
    Character(String),
    #[error("{0:?} ends in a period or a blank, which file shares drop")]
    End(String),
    #[error("{0:?} is the name of a device")]
    Device(String),
}

/// One name that is a name wherever notebooks are published.
pub(crate) fn segment(name: &str) -> Result<Segment, UnfitSegment> {
    const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "clock$", "conin$"];
    let checked = Segment::parse(name).map_err(Unfit::from)?;
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let unfit = if name.contains(['"', ':', '|', '<', '>', '*', '?']) {
        Unfit::Character(name.to_owned())
    } else if name.ends_with(['.', ' ']) {
        Unfit::End(name.to_owned())
    } else if DEVICES.contains(&stem.as_str())
        || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
    {
        Unfit::Device(name.to_owned())
    } else {
        return Ok(checked);
    };
    Err(UnfitSegment(unfit))
}

/// A path of checked segments; slashes at its ends do not matter. It may be empty.
pub(crate) fn segments(path: &str) -> Result<Vec<Segment>, PlaceError> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let checked = parts
        .map(|part| segment(part).map_err(|source| PlaceError::Segment { text: path.to_owned(), source }));
    checked.collect()
}

impl Places {
    /// Publishes to `target` under names that `file` makes: a template with `{incident_id}` (the last part of its ARM id),
    /// `{incident_number}`, `{run_key}`, `{date}` (of the incident's creation, as `2026-11-22`) and `{route}`. Slashes in it
    /// make folders.
    pub fn new(target: Target, file: &str) -> Result<Self, PlaceError> {
        let pieces = Pieces::parse(file, &NAMES)
            .map_err(|source| PlaceError::File { text: file.to_owned(), source })?;
        if file.strip_suffix(".ipynb").is_none() {
            return Err(PlaceError::NoNotebook(file.to_owned()));
        }
        let own = |name| matches!(name, Name::IncidentId | Name::IncidentNumber | Name::RunKey);
        if !pieces.values().any(own) {
            return Err(PlaceError::SameForAll(file.to_owned()));
        }
        Ok(Self { target, file: pieces })
    }

    /// Where notebooks are published.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The places of the files of one triage.
    pub fn of(&self, incident: &Incident, run: &RunKey, route: Option<&str>) -> Result<Place, PlaceError> {
        let value = |name: Name| -> Result<String, PlaceError> {
            let value = match name {
                Name::IncidentId => {
                    incident.name().map_err(|_| PlaceError::Nameless("usable id"))?.as_str().to_owned()
                }
                Name::IncidentNumber => incident.number().ok_or(PlaceError::Nameless("number"))?.to_string(),
                Name::RunKey => run.as_str().to_owned(),
                Name::Date => {
                    let created = incident.created().ok_or(PlaceError::Nameless("time of creation"))?;
                    created.strftime("%Y-%m-%d").to_string()
                }
                Name::Route => route.unwrap_or("default").to_owned(),
            };
            // Each value is a name by itself, so that none can make a folder or leave one.
            match segment(&value) {
                Ok(_) => Ok(value),
                Err(source) => Err(PlaceError::Segment { text: value, source }),
            }
        };
        let path = self.file.fill(value)?;
        let notebook = segments(&path)?;
        let report = segments(&format!("{}.html", path.strip_suffix(".ipynb").unwrap_or(&path)))?;
        Ok(Place { notebook: self.spot(&notebook), report: self.spot(&report) })
    }

    fn spot(&self, file: &[Segment]) -> Spot {
        match &self.target {
            Target::CodeShare(share) => {
                let path: Vec<&str> = share.folder().iter().chain(file).map(Segment::as_str).collect();
                let path = path.join("/");
                Spot { link: share.link(&path), destination: Destination::Share(path) }
            }
            Target::Blob(folder) => folder.spot(file),
            Target::Folder(folder) => {
                let path = file.iter().fold(folder.clone(), |path, segment| path.join(segment.as_str()));
                Spot {
                    link: path.display().to_string(),
                    destination: Destination::Store(Location::Local(path)),
                }
            }
        }
    }
}

/// A folder of Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFolder {
    folder: Location,
    /// The URL of the folder without its signature, when it is known.
    shown: Option<String>,
}

impl BlobFolder {
    /// Where it is.
    pub(crate) fn location(&self) -> &Location {
        &self.folder
    }

    /// Reads the URL of a container or of a folder in it: `https://account.blob.core.windows.net/container/folder`, or a
    /// spelling that the stores know (`abfss://container@account.dfs.core.windows.net/folder`, `az://container/folder`). The
    /// URL of an emulator, `http://127.0.0.1:10000/account/container/folder`, names account, endpoint and key by the
    /// environment, as `az://` does. A signature in the URL is used and not shown.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let refuse = |problem: &str| PlaceError::Blob {
            folder: text.split('?').next().unwrap_or_default().to_owned(),
            problem: problem.to_owned(),
        };
        let parse =
            |text: &str| Location::parse(text).map_err(|error: LocationError| refuse(&error.to_string()));
        let Ok(Location::Http(_)) = Location::parse(text) else {
            let folder = parse(text)?;
            let Location::AzureBlob(at) = &folder else { return Err(refuse("it lies somewhere else")) };
            let path = [at.container.as_str(), at.blob.as_str()].join("/");
            let shown = at.host.as_ref().map(|host| format!("https://{host}/{}", link::encoded_path(&path)));
            return Ok(Self { folder, shown });
        };
        let url = url::Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        let path = percent_encoding::percent_decode_str(url.path()).decode_utf8();
        let path = path.map_err(|_| refuse("its path is no UTF-8"))?;
        let path = path.trim_matches('/');
        let signature = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let folder = if host.contains(".blob.") {
            parse(&format!("abs://{host}/{path}{signature}"))?
        } else {
            let (_, in_account) = path.split_once('/').ok_or_else(|| refuse("the container is missing"))?;
            parse(&format!("az://{in_account}{signature}"))?
        };
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        if shown.set_username("").is_err() || shown.set_password(None).is_err() {
            return Err(refuse("it names a user"));
        }
        Ok(Self { folder, shown: Some(shown.to_string()) })
    }

    fn spot(&self, file: &[Segment]) -> Spot {
        let location = file.iter().fold(self.folder.clone(), |folder, segment| folder.join(segment));
        let path: Vec<&str> = file.iter().map(Segment::as_str).collect();
        let link = match &self.shown {
            Some(shown) => format!("{}/{}", shown.trim_end_matches('/'), link::encoded_path(&path.join("/"))),
            // The location itself may hold a signature.
            None => match &location {
                Location::AzureBlob(at) => format!("az://{}/{}", at.container, at.blob),
                other => other.to_string(),
            },
        };
        Spot { link, destination: Destination::Store(location) }
    }
}

/// For the log: no secret is in it.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(path) => f.write_str(path),
            Self::Store(location) => write!(f, "{location}"),
        }
    }
}

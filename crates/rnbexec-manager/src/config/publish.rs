//! `[publish]`: where executed notebooks go, for analysts to open.

use std::path::PathBuf;

use rnbexec::store::Segment;
use url::Url;

use super::azure::SentinelGiven;
use super::error::{ConfigError, Problem};
use super::read::Section;
use super::source::{account, account_of};
use super::value::{self, SecretRef};

/// What is published, and under which name.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// To where; [`Config::destination`](super::Config::destination) has what belongs to it.
    pub to: PublishTo,
    /// The notebook's path below the place, with placeholders.
    pub file: String,
    /// Whether an HTML report is put beside it.
    pub report: bool,
    /// The link to the notebook, with placeholders, instead of the usual one of the place.
    pub link: Option<String>,
    pub(super) workspace: WorkspaceGiven,
    pub(super) blob: BlobGiven,
    pub(super) folder: PathBuf,
}

/// To where executed notebooks are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishTo {
    /// The *Notebooks* of an Azure ML workspace.
    Workspace,
    /// Blob Storage.
    Blob,
    /// A folder of this machine.
    Folder,
    /// Nowhere.
    Nowhere,
}

/// A place for executed notebooks, with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The *Notebooks* of an Azure ML workspace: a file share.
    Workspace(Workspace),
    /// A folder in Blob Storage.
    Blob(Blob),
    /// A folder of this machine.
    Folder(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// An Azure ML workspace and the file share behind its *Notebooks*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The subscription it is in.
    pub subscription: String,
    /// The resource group it is in.
    pub resource_group: String,
    /// Its name.
    pub name: String,
    /// The datastore whose share it is.
    pub datastore: String,
    /// The storage account; `None` is asked of the workspace.
    pub account: Option<String>,
    /// The share; `None` is asked of the workspace.
    pub share: Option<String>,
    /// Where the account's file service is, instead of at its usual host.
    pub endpoint: Option<Url>,
    /// The folder in the share.
    pub folder: Vec<Segment>,
    /// Where the account key is; `None` is Entra ID.
    pub account_key: Option<SecretRef>,
}

/// A folder in Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The account's blob service.
    pub endpoint: Url,
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// The folder in it; empty is its top.
    pub folder: Vec<Segment>,
    /// Where the account key is; `None` is Entra ID.
    pub account_key: Option<SecretRef>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct WorkspaceGiven {
    subscription: Option<String>,
    resource_group: Option<String>,
    name: Option<String>,
    datastore: String,
    account: Option<String>,
    share: Option<String>,
    endpoint: Option<Url>,
    folder: Vec<Segment>,
    account_key: Option<SecretRef>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlobGiven {
    place: Option<Blob>,
    account_key: Option<SecretRef>,
}

const PLACES: [(&str, PublishTo); 4] = [
    ("workspace", PublishTo::Workspace),
    ("blob", PublishTo::Blob),
    ("folder", PublishTo::Folder),
    ("none", PublishTo::Nowhere),
];

/// The name of Microsoft's original: one notebook an incident.
const FILE: &str = "{incident_id}.ipynb";

pub(super) fn publish(section: &Section<'_>, key_vault_suffix: &str) -> Publish {
    let to = section.text("to", &value::one_of(&PLACES), |text| value::word(text, &PLACES));
    Publish {
        to: to.unwrap_or(PublishTo::Folder),
        file: section
            .text("file", "write a relative path such as \"{incident_id}.ipynb\"", file)
            .unwrap_or_else(|| FILE.to_owned()),
        report: section.boolean("report").unwrap_or(true),
        link: section.text("link", "write an address", |text| Ok(text.trim().to_owned())),
        workspace: section.section("workspace", |section| workspace(section, key_vault_suffix)),
        blob: section.section("blob", |section| BlobGiven {
            place: section.text(
                "url",
                "write \"https://ACCOUNT.blob.core.windows.net/CONTAINER/FOLDER\"",
                blob,
            ),
            account_key: secret(section, key_vault_suffix),
        }),
        folder: section.section("folder", |section| {
            section.path("path").unwrap_or_else(|| section.default_path("triage-notebooks"))
        }),
    }
}

fn workspace(section: &Section<'_>, key_vault_suffix: &str) -> WorkspaceGiven {
    let name = |key| section.text(key, "write the name as the portal shows it", value::name);
    let folder = section.text("folder", "write a relative path such as \"Users/TriageNbs\"", folder);
    WorkspaceGiven {
        subscription: name("subscription"),
        resource_group: name("resource_group"),
        name: name("name"),
        datastore: name("datastore").unwrap_or_else(|| "workspaceworkingdirectory".to_owned()),
        account: section.text("account", "write the storage account's name", account),
        share: name("share"),
        endpoint: section.text("endpoint", value::URL, value::url),
        folder: folder.unwrap_or_else(|| self::folder("Users/TriageNbs").unwrap_or_default()),
        account_key: secret(section, key_vault_suffix),
    }
}

fn secret(section: &Section<'_>, key_vault_suffix: &str) -> Option<SecretRef> {
    section.text("account_key", SecretRef::INSTEAD, |text| SecretRef::parse(text, key_vault_suffix))
}

fn file(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !text.ends_with(".ipynb") {
        return Err(format!("{text:?} does not end in .ipynb"));
    }
    folder(text).map(|_| text.to_owned())
}

fn folder(text: &str) -> Result<Vec<Segment>, String> {
    let text = text.trim();
    if text.starts_with('/') || text.contains('\\') {
        return Err(format!("{text:?} is no relative path with /"));
    }
    text.trim_end_matches('/')
        .split('/')
        .map(|segment| Segment::parse(segment).map_err(|error| error.to_string()))
        .collect()
}

fn blob(text: &str) -> Result<Blob, String> {
    let mut endpoint = value::url(text)?;
    let no_container = || format!("{text:?} names no container");
    let account = account_of(&endpoint).ok_or_else(no_container)?;
    let segments: Vec<String> = endpoint
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    // With Azurite the account is the first part of the path.
    let of_host = endpoint.host_str().is_some_and(|host| host.split('.').next() == Some(account.as_str()));
    let (before, segments) = segments.split_at_checked(usize::from(!of_host)).ok_or_else(no_container)?;
    let [container, folder @ ..] = segments else { return Err(no_container()) };
    endpoint.set_path(&before.join("/"));
    let folder = folder.iter().map(|segment| Segment::parse(segment).map_err(|error| error.to_string()));
    Ok(Blob {
        endpoint,
        account,
        container: container.clone(),
        folder: folder.collect::<Result<_, _>>()?,
        account_key: None,
    })
}

impl Publish {
    pub(super) fn destination(&self, sentinel: &SentinelGiven) -> Result<Destination, Vec<Problem>> {
        Ok(match self.to {
            PublishTo::Nowhere => Destination::Nowhere,
            PublishTo::Folder => Destination::Folder(self.folder.clone()),
            PublishTo::Blob => match &self.blob.place {
                Some(blob) => {
                    Destination::Blob(Blob { account_key: self.blob.account_key.clone(), ..blob.clone() })
                }
                None => {
                    let example = "[publish.blob] url = \"https://ACCOUNT.blob.core.windows.net/CONTAINER\"";
                    let because = "publish.to is \"blob\"";
                    return Err(vec![ConfigError::missing("publish.blob.url", because, example)]);
                }
            },
            PublishTo::Workspace => Destination::Workspace(self.workspace.checked(sentinel)?),
        })
    }
}

impl WorkspaceGiven {
    fn checked(&self, sentinel: &SentinelGiven) -> Result<Workspace, Vec<Problem>> {
        // Both workspaces are often in one resource group; the name cannot be guessed.
        let subscription = self.subscription.as_ref().or(sentinel.subscription.as_ref());
        let resource_group = self.resource_group.as_ref().or(sentinel.resource_group.as_ref());
        let (Some(subscription), Some(resource_group), Some(name)) =
            (subscription, resource_group, &self.name)
        else {
            let given = [
                ("subscription", subscription),
                ("resource_group", resource_group),
                ("name", self.name.as_ref()),
            ];
            let missing = given.into_iter().filter(|(_, given)| given.is_none()).map(|(key, _)| {
                let example = format!("[publish.workspace] {key} = \"…\"");
                let because = "publish.to is \"workspace\"";
                ConfigError::missing(&format!("publish.workspace.{key}"), because, &example)
            });
            return Err(missing.collect());
        };
        Ok(Workspace {
            subscription: subscription.clone(),
            resource_group: resource_group.clone(),
            name: name.clone(),
            datastore: self.datastore.clone(),
            account: self.account.clone(),
            share: self.share.clone(),
            endpoint: self.endpoint.clone(),
            folder: self.folder.clone(),
            account_key: self.account_key.clone(),
        })
    }
}

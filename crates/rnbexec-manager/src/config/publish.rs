//! `[publish]`: where executed notebooks go, for analysts to open.

use std::path::PathBuf;

use url::Url;

use super::azure::SentinelGiven;
use super::error::{ConfigError, Problem};
use super::read::Section;
use super::source::{account, account_of};
use super::value::{self, SecretRef};
use crate::place::{BlobFolder, DEFAULT_FILE, LinkTemplate, Places, Target, segments};

/// What is published, and under which name.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// To where; [`Config::destination`](super::Config::destination) has what belongs to it.
    pub to: PublishTo,
    /// The notebook's path below the place, as [`Places`] reads it.
    pub file: String,
    /// Whether an HTML report is put beside it.
    pub report: bool,
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
    pub folder: String,
    /// The link to what lies there.
    pub link: LinkTemplate,
    /// Where the account key is; `None` is Entra ID.
    pub account_key: Option<SecretRef>,
}

/// A folder in Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The folder.
    pub folder: BlobFolder,
    /// The account's blob service.
    pub endpoint: Url,
    /// The storage account.
    pub account: String,
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
    folder: String,
    link: LinkTemplate,
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

pub(super) fn publish(section: &Section<'_>, key_vault_suffix: &str) -> Publish {
    let to = section.text("to", &value::one_of(&PLACES), |text| value::word(text, &PLACES));
    Publish {
        to: to.unwrap_or(PublishTo::Folder),
        file: section
            .text("file", "write a relative path such as \"{incident_id}.ipynb\"", file)
            .unwrap_or_else(|| DEFAULT_FILE.to_owned()),
        report: section.boolean("report").unwrap_or(true),
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
    let instead = "write \"long\", \"short\", or an address with placeholders such as {path}";
    let link = section.text("link", instead, |text| {
        LinkTemplate::parse(text.trim()).map_err(|error| value::on_one_line(&error))
    });
    WorkspaceGiven {
        subscription: name("subscription"),
        resource_group: name("resource_group"),
        name: name("name"),
        datastore: name("datastore").unwrap_or_else(|| "workspaceworkingdirectory".to_owned()),
        account: section.text("account", "write the storage account's name", account),
        share: name("share"),
        endpoint: section.text("endpoint", value::URL, value::url),
        folder: folder.unwrap_or_else(|| "Users/TriageNbs".to_owned()),
        link: link.unwrap_or_default(),
        account_key: secret(section, key_vault_suffix),
    }
}

fn secret(section: &Section<'_>, key_vault_suffix: &str) -> Option<SecretRef> {
    section.text("account_key", SecretRef::INSTEAD, |text| SecretRef::parse(text, key_vault_suffix))
}

fn file(text: &str) -> Result<String, String> {
    // The folder does not matter to the name.
    match Places::new(Target::Folder(PathBuf::new()), text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(value::on_one_line(&error)),
    }
}

fn folder(text: &str) -> Result<String, String> {
    segments(text.trim()).map_err(|error| value::on_one_line(&error))?;
    Ok(text.trim().trim_matches('/').to_owned())
}

fn blob(text: &str) -> Result<Blob, String> {
    // A signature in the address would be a secret in the file: this refuses one.
    let mut endpoint = value::url(text)?;
    let folder = BlobFolder::parse(text.trim()).map_err(|error| value::on_one_line(&error))?;
    let account = account_of(&endpoint).ok_or_else(|| format!("{text:?} names no storage account"))?;
    // With Azurite the account is the first part of the path.
    let of_host = endpoint.host_str().is_some_and(|host| host.split('.').next() == Some(account.as_str()));
    endpoint.set_path(if of_host { "" } else { &account });
    Ok(Blob { folder, endpoint, account, account_key: None })
}

impl Publish {
    pub(super) fn destination(&self, sentinel: &SentinelGiven) -> Result<Destination, Vec<Problem>> {
        Ok(match self.to {
            PublishTo::Nowhere => Destination::Nowhere,
            PublishTo::Folder => Destination::Folder(self.folder.clone()),
            PublishTo::Blob => {
                let Some(blob) = &self.blob.place else {
                    let example = "[publish.blob] url = \"https://ACCOUNT.blob.core.windows.net/CONTAINER\"";
                    let because = "publish.to is \"blob\"";
                    return Err(vec![ConfigError::missing("publish.blob.url", because, example)]);
                };
                Destination::Blob(Blob { account_key: self.blob.account_key.clone(), ..blob.clone() })
            }
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
            link: self.link.clone(),
            account_key: self.account_key.clone(),
        })
    }
}

//! Whether Azure lets us do what the configuration wants: harmless questions, asked only about what is used.

use std::collections::HashMap;

use rnbexec::store::Location;
use rnbexec_azure::AzureErrorKind;
use rnbexec_azure::blob::BlobAddress;
use rnbexec_azure::logs::Logs;
use rnbexec_azure::probe::{Grant, Outcome as Answer, Principal, Probe, Prober};
use rnbexec_azure::sentinel::Sentinel;
use uuid::Uuid;

use super::{Area, Check, Outcome};
use crate::config::{self, Config, Destination, SecretRef, SourceKind};
use crate::error::{Class, Trouble, chain};
use crate::manager::{Azure, SetupError};

/// The role that lets the manager publish to Blob Storage.
const BLOB_CONTRIBUTOR: &str = "Storage Blob Data Contributor";

/// Asks about everything of Azure that the configuration uses. What is found is told as it is found.
#[expect(clippy::implicit_hasher, reason = "these are the variables that a `Setup` takes")]
pub async fn azure(
    config: &Config,
    variables: &HashMap<String, String>,
    tell: &mut (dyn FnMut(Check) + Send),
) {
    let destination = config.destination();
    let uses_incidents = config.source.kind != SourceKind::Folder;
    if !uses_incidents && matches!(destination, Ok(Destination::Folder(_) | Destination::Nowhere)) {
        return;
    }
    let azure = match Azure::new(config, variables) {
        Ok(azure) => azure,
        Err(error) => return tell(failed("speak to Azure", &error)),
    };
    for reference in secrets(config) {
        if let SecretRef::Variable(name) = &reference {
            let what = format!("the account key in the variable {name}");
            tell(match azure.secret(&reference).await {
                Ok(_) => Check::fine(Area::Azure, what, ""),
                Err(trouble) => Check::wrong(Area::Azure, what, trouble.in_full()),
            });
        }
    }
    let prober = match Prober::new(azure.arm(), &azure.identity).await {
        Ok(prober) => prober.with_api_version(config.azure.api_versions.permissions.clone()),
        Err(error) => {
            let why = chain(&error);
            let help = "`az login`, a managed identity, or the variables of a service principal give one; azure.credentials says \
                        which are tried, and in which order";
            return tell(Check::wrong(Area::Azure, "an identity", why).help(help));
        }
    };
    tell(Check::fine(Area::Azure, "an identity", prober.principal().map(who).unwrap_or_default()));
    let asked = Asked { config, azure: &azure, prober: &prober };
    for reference in secrets(config) {
        if let SecretRef::KeyVault { vault, name, .. } = &reference {
            tell(answered(prober.read_secret(&azure.vaults(), vault, name, None).await));
        }
    }
    if uses_incidents {
        asked.incidents(tell).await;
    }
    if config.source.kind == SourceKind::Queue {
        asked.queue(tell).await;
    }
    match destination {
        Ok(Destination::Workspace(workspace)) => asked.workspace(&workspace, tell).await,
        Ok(Destination::Blob(blob)) => tell(asked.blobs(&blob).await),
        // What the configuration lacks is not Azure's to say.
        Ok(Destination::Folder(_) | Destination::Nowhere) | Err(_) => {}
    }
}

fn who(principal: &Principal) -> String {
    let kind = if principal.is_service { "application or managed identity" } else { "user" };
    format!("{kind} {}", principal.object)
}

/// The secrets that what is used needs.
fn secrets(config: &Config) -> Vec<SecretRef> {
    let queue = config.queue().ok().filter(|_| config.source.kind == SourceKind::Queue);
    let published = match config.destination() {
        Ok(Destination::Workspace(workspace)) => workspace.account_key,
        Ok(Destination::Blob(blob)) => blob.account_key,
        Ok(Destination::Folder(_) | Destination::Nowhere) | Err(_) => None,
    };
    queue.and_then(|queue| queue.account_key).into_iter().chain(published).collect()
}

struct Asked<'a> {
    config: &'a Config,
    azure: &'a Azure<'a>,
    prober: &'a Prober,
}

impl Asked<'_> {
    async fn incidents(&self, tell: &mut (dyn FnMut(Check) + Send)) {
        let sentinel = match self.azure.sentinel() {
            Ok(sentinel) => sentinel,
            Err(error) => return tell(failed("read incidents", &error)),
        };
        tell(answered(self.prober.read_incidents(&sentinel).await));
        for probe in self.prober.write_incidents(&sentinel).await {
            tell(answered(probe));
        }
        tell(self.logs(&sentinel).await);
    }

    /// What notebooks need that ask the workspace.
    async fn logs(&self, sentinel: &Sentinel) -> Check {
        const WHAT: &str = "query the logs";
        let given = self.config.sentinel().ok().and_then(|workspace| workspace.workspace_id);
        let id = match given {
            Some(id) => Ok(Some(id)),
            None => sentinel.customer_id().await,
        };
        match id {
            Ok(id) => match id.and_then(|id| id.parse::<Uuid>().ok()) {
                Some(id) => {
                    let cloud = self.config.azure.cloud.clone();
                    let logs = Logs::new(cloud, self.azure.identity.clone(), &self.azure.http);
                    answered(self.prober.query_logs(&logs, id, sentinel.workspace()).await)
                }
                None => Check::wrong(Area::Azure, WHAT, "the workspace's GUID is not known".to_owned())
                    .help("give it: sentinel.workspace_id"),
            },
            Err(error) => {
                let trouble = Trouble::azure("cannot learn the workspace's GUID", error);
                Check::wrong(Area::Azure, WHAT, trouble.in_full()).help("give it: sentinel.workspace_id")
            }
        }
    }

    async fn queue(&self, tell: &mut (dyn FnMut(Check) + Send)) {
        match self.azure.queues().await {
            Ok((queue, poison)) => {
                for (queue, name) in [(queue, "the queue"), (poison, "the poison queue")] {
                    for probe in self.prober.use_queue(&queue, None).await {
                        let check = answered(probe);
                        let what = format!("{} of {name} {}", check.what, queue.name());
                        tell(Check { what, ..check });
                    }
                }
            }
            Err(error) => tell(failed("use the queue", &error)),
        }
    }

    async fn workspace(&self, workspace: &config::Workspace, tell: &mut (dyn FnMut(Check) + Send)) {
        // Who names the share needs nothing of the workspace.
        if workspace.account.is_none() || workspace.share.is_none() {
            match self.azure.machine_learning(workspace) {
                Ok(learning) => {
                    for probe in self.prober.read_machine_learning(&learning).await {
                        tell(answered(probe));
                    }
                }
                Err(error) => return tell(failed("read the Azure ML workspace", &error)),
            }
        }
        match self.azure.share(workspace).await {
            Ok(files) => tell(answered(self.prober.write_files(&files, None).await)),
            Err(error) => tell(failed("find the file share of the Azure ML workspace", &error)),
        }
    }

    async fn blobs(&self, blob: &config::Blob) -> Check {
        const WHAT: &str = "reach the blob container (writing is not tried)";
        let blobs = match self.azure.blobs(blob).await {
            Ok(blobs) => blobs,
            Err(error) => return failed(WHAT, &error),
        };
        let Location::AzureBlob(place) = blob.folder.location() else {
            return Check::wrong(
                Area::Azure,
                WHAT,
                "publish.blob.url is no place of Blob Storage".to_owned(),
            );
        };
        // Nothing has this name, so the answer is short.
        let nothing = format!("{}.probe", Uuid::new_v4());
        let container = place.container.as_str();
        let address = BlobAddress { host: place.host.as_deref(), container, blob: &nothing, sas: None };
        match blobs.list(address).await {
            Ok(_) => Check::fine(Area::Azure, WHAT, String::new()),
            Err(error) if *error.kind() == AzureErrorKind::PermissionDenied => {
                let scope = format!(
                    "<id of the storage account {}>/blobServices/default/containers/{container}",
                    blob.account
                );
                let command = format!(
                    "az role assignment create --assignee \"<id of the identity>\" --role \"{BLOB_CONTRIBUTOR}\" --scope \"{scope}\""
                );
                let mut check = Check::wrong(Area::Azure, WHAT, chain(&error));
                if let Outcome::Wrong { role, command: line, .. } = &mut check.outcome {
                    (*role, *line) = (Some(BLOB_CONTRIBUTOR.to_owned()), Some(command));
                }
                check
            }
            Err(error) => Check::wrong(Area::Azure, WHAT, chain(&error)),
        }
    }
}

/// The setup of something failed.
fn failed(what: &str, error: &SetupError) -> Check {
    let check = Check::wrong(Area::Azure, what, chain(error));
    match error {
        SetupError::Trouble(trouble) if trouble.class() == Class::Unavailable => {
            check.help("try again later, or see that the service can be reached from here")
        }
        _ => check,
    }
}

fn answered(probe: Probe) -> Check {
    let outcome = match probe.outcome {
        Answer::Allowed => Outcome::Fine { detail: String::new() },
        Answer::Denied(Grant { role, scope, command, said }) => {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            Outcome::Wrong {
                why: format!("the role {} is missing on {scope}{said}", role.name),
                help: None,
                role: Some(role.name.to_owned()),
                command: Some(command),
            }
        }
        Answer::Failed(error) => Outcome::Wrong { why: chain(&error), help: None, role: None, command: None },
    };
    Check { area: Area::Azure, what: probe.what.to_owned(), outcome }
}

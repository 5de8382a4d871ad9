//! Making a manager from its configuration.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec::Services;
use rnbexec_azure::arm::Arm;
use rnbexec_azure::blob::Blobs;
use rnbexec_azure::cloud::Cloud;
use rnbexec_azure::credential::{CredentialSettings, Identity, KnownSecrets, credential};
use rnbexec_azure::files::Files;
use rnbexec_azure::key_vault::KeyVault;
use rnbexec_azure::machine_learning::{self, CodeShare, MachineLearning, MachineLearningId};
use rnbexec_azure::queue::Queue;
use rnbexec_azure::sentinel::{IncidentRef, Sentinel};
use rnbexec_azure::storage::{Service, StorageClient, StorageSettings};
use rnbexec_azure::{AzureError, Http, HttpSettings, Secret};
use rnbexec_kernel::{KernelPool, PoolOptions};

use super::{Manager, Redaction};
use crate::bundle::Bundle;
use crate::config::{self, Config, ConfigError, Destination, SecretRef, SourceKind, Treatment};
use crate::error::{Class, Trouble};
use crate::event::Event;
use crate::incidents::Incidents;
use crate::incidents::folder::FolderIncidents;
use crate::incidents::sentinel::SentinelIncidents;
use crate::journal::Journal;
use crate::ledger::{Ledger, LedgerError};
use crate::place::{self, Places, Target};
use crate::publish::Publisher;
use crate::route::Router;
use crate::source::IncidentSource;
use crate::source::folder::FolderSource;
use crate::source::list::ListSource;
use crate::source::queue::{QueueSettings, QueueSource};
use crate::source::sentinel::SentinelSource;

/// What a manager is made of.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The world around the runs.
    pub services: Services,
    /// The environment of this process: where credentials and configured secrets are looked for.
    pub variables: HashMap<String, String>,
    /// Where incidents come from.
    pub source: SourceChoice,
    /// Triage again what is asked for by name.
    pub again: bool,
    /// Hears what happens.
    pub listener: Box<dyn Fn(&Event<'_>) + Send + Sync>,
}

/// Where incidents come from.
#[derive(Debug, Clone)]
pub enum SourceChoice {
    /// From where the configuration says.
    Configured,
    /// These, from where the configuration says they live.
    Named(Vec<IncidentRef>),
    /// These bundles, and what is written to them goes into this folder.
    Bundles(Vec<Bundle>, PathBuf),
    /// The same, each as if it were asked for by name, and nothing else of Azure is known: a replay.
    Recorded(Vec<Bundle>, PathBuf),
}

/// Why no manager could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The configuration lacks or contradicts something.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A service that is needed from the beginning failed, or a file.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// Something in the configuration makes no place, comment or pattern.
    #[error("the setting {key} cannot be used")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn setting<E: std::error::Error + Send + Sync + 'static>(key: &'static str) -> impl FnOnce(E) -> SetupError {
    move |error| SetupError::Setting { key, source: Box::new(error) }
}

/// Azure as the configuration means it. Nothing is asked before it is needed.
pub(crate) struct Azure<'a> {
    config: &'a Config,
    variables: &'a HashMap<String, String>,
    pub(crate) http: Http,
    pub(crate) identity: Identity,
    pub(crate) known: KnownSecrets,
}

impl<'a> Azure<'a> {
    pub(crate) fn new(
        config: &'a Config,
        variables: &'a HashMap<String, String>,
    ) -> Result<Self, SetupError> {
        let wrong = |error: AzureError| Trouble::azure("cannot prepare to speak to Azure", error);
        let mut settings = HttpSettings::default();
        if let Some(path) = &config.azure.ca_certificates {
            let read = std::fs::read(path).map_err(|error| {
                Trouble::new(Class::Refused, format!("cannot read the certificates {}", path.display()))
                    .because(error)
            })?;
            settings.ca_certificates.push(read);
        }
        let http = Http::new(&settings).map_err(wrong)?;
        let known = KnownSecrets::default();
        let mut credentials = CredentialSettings::from_variables(|name| variables.get(name).cloned())
            .with_order(config.azure.credentials.clone())
            .with_http(http.clone())
            .with_known_secrets(known.clone());
        // A login that the environment names stands, unless the configuration means another than its cloud's.
        let usual = Cloud::parse(&config.azure.cloud.name).map(|cloud| cloud.authority);
        if !variables.contains_key("AZURE_AUTHORITY_HOST")
            || usual.as_ref() != Some(&config.azure.cloud.authority)
        {
            credentials = credentials.with_authority(&config.azure.cloud.authority);
        }
        if let Some(tenant) = &config.azure.tenant {
            credentials = credentials.with_tenant(tenant);
        }
        if let Some(client) = &config.azure.client_id {
            credentials = credentials.with_client(client);
        }
        if let Some(base) = &config.azure.imds {
            credentials = credentials.with_metadata_service(base);
        }
        let identity = credential(&credentials).map_err(wrong)?;
        Ok(Self { config, variables, http, identity, known })
    }

    pub(crate) fn arm(&self) -> Arm {
        Arm::new(self.config.azure.cloud.clone(), Arc::clone(&self.identity), &self.http)
    }

    pub(crate) fn sentinel(&self) -> Result<Sentinel, SetupError> {
        let workspace = self.config.sentinel()?;
        Ok(Sentinel::new(self.arm(), workspace.id, self.config.azure.api_versions.sentinel.clone()))
    }

    fn storage_client(&self, version: &str) -> StorageClient {
        StorageClient {
            scope: self.config.azure.cloud.storage_scope(),
            version: Some(version.to_owned()).filter(|version| !version.is_empty()),
            ..StorageClient::new(self.http.clone(), Arc::clone(&self.identity))
        }
    }

    /// Key vaults, whose secrets are known for such from then on.
    pub(crate) fn vaults(&self) -> KeyVault {
        KeyVault::new(
            self.config.azure.cloud.clone(),
            Arc::clone(&self.identity),
            self.http.clone(),
            self.config.azure.api_versions.key_vault.clone(),
            self.known.clone(),
        )
    }

    /// A secret that the configuration names.
    pub(crate) async fn secret(&self, reference: &SecretRef) -> Result<Secret, Trouble> {
        match reference {
            SecretRef::Variable(name) => {
                let value = self.variables.get(name).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| {
                    Trouble::new(Class::Permission, format!("the environment variable {name} is not set"))
                })?;
                self.known.add(value);
                Ok(Secret::new(value.clone()))
            }
            SecretRef::KeyVault { vault, name, version } => {
                let secret = self.vaults().secret(vault, name, version.as_deref()).await;
                secret.map_err(|error| {
                    Trouble::azure(format!("cannot read the secret {name} of the key vault {vault}"), error)
                })
            }
        }
    }

    async fn account(&self, account: &str, key: Option<&SecretRef>) -> Result<StorageSettings, Trouble> {
        let settings = StorageSettings::of_account(account)
            .with_endpoint_suffix(self.config.azure.cloud.storage_suffix.clone());
        Ok(match key {
            Some(reference) => settings.with_key(self.secret(reference).await?),
            None => settings,
        })
    }

    /// The queue that names incidents, and the one for what cannot be triaged.
    pub(crate) async fn queues(&self) -> Result<(Queue, Queue), SetupError> {
        let queue = self.config.queue()?;
        let settings = self.account(&queue.account, queue.account_key.as_ref()).await?;
        let client = self.storage_client(&self.config.azure.api_versions.queue);
        let at = |url: &url::Url| {
            Queue::at(&client, &settings, url.as_str())
                .map_err(|error| Trouble::azure(format!("cannot use the queue {url}"), error))
        };
        Ok((at(&queue.url)?, at(&queue.poison)?))
    }

    /// The file share behind a workspace's *Notebooks*.
    pub(crate) async fn share(&self, workspace: &config::Workspace) -> Result<Files, SetupError> {
        let (account, share) = match (&workspace.account, &workspace.share) {
            (Some(account), Some(share)) => (account.clone(), share.clone()),
            (account, share) => {
                let found = self.code_share(workspace).await?;
                (account.clone().unwrap_or(found.account), share.clone().unwrap_or(found.share))
            }
        };
        let mut settings = self.account(&account, workspace.account_key.as_ref()).await?;
        if let Some(endpoint) = &workspace.endpoint {
            settings = settings.with_endpoint(Service::File, endpoint.as_str());
        }
        let client = self.storage_client(&self.config.azure.api_versions.files);
        let files = Files::new(&client, &settings, &share);
        Ok(files.map_err(|error| {
            Trouble::azure(format!("cannot use the file share {share} of {account}"), error)
        })?)
    }

    /// The share of the configured datastore; of the usual one, wherever it can be learnt.
    async fn code_share(&self, workspace: &config::Workspace) -> Result<CodeShare, SetupError> {
        let failed = |error| {
            let doing = format!("cannot find the file share of the Azure ML workspace {}", workspace.name);
            Trouble::azure(doing, error)
        };
        let learning = self.machine_learning(workspace)?;
        if workspace.datastore == machine_learning::WORKING_DIRECTORY {
            return Ok(learning.code_share().await.map_err(failed)?);
        }
        let datastores = learning.datastores().await.map_err(failed)?;
        let found = datastores.iter().find(|datastore| datastore.name() == workspace.datastore);
        let place = found.and_then(|datastore| Some((datastore.account()?, datastore.share()?)));
        let (account, share) = place.ok_or_else(|| {
            let doing = format!(
                "the Azure ML workspace {} has no file share datastore {}",
                workspace.name, workspace.datastore
            );
            Trouble::new(Class::Refused, doing)
        })?;
        Ok(CodeShare {
            account: account.to_owned(),
            share: share.to_owned(),
            suffix: self.config.azure.cloud.storage_suffix.clone(),
            datastore: Some(workspace.datastore.clone()),
        })
    }

    pub(crate) fn machine_learning(
        &self,
        workspace: &config::Workspace,
    ) -> Result<MachineLearning, SetupError> {
        let id = MachineLearningId::new(&workspace.subscription, &workspace.resource_group, &workspace.name);
        let id = id.map_err(setting("publish.workspace"))?;
        let versions = &self.config.azure.api_versions;
        Ok(MachineLearning::new(self.arm(), id, versions.machine_learning.clone())
            .with_storage_api_version(versions.storage.clone()))
    }

    pub(crate) async fn blobs(&self, blob: &config::Blob) -> Result<Blobs, SetupError> {
        let settings = self.account(&blob.account, blob.account_key.as_ref()).await?;
        let settings = settings.with_endpoint(Service::Blob, blob.endpoint.as_str());
        Ok(Blobs::with_client(settings, &self.storage_client("")))
    }
}

/// Where the kernels of this configuration come from: `None` if each is started anew.
pub fn kernel_pool(config: &Config) -> Option<Arc<KernelPool>> {
    config.run.fork_server.then(|| Arc::new(KernelPool::new(PoolOptions::default())))
}

impl Setup {
    /// Makes the manager. What it needs from the beginning is fetched: secrets that the configuration names, the file share
    /// of the Azure ML workspace.
    pub async fn manager(self) -> Result<Manager, SetupError> {
        let Self { config, mut services, variables, source, again, listener } = self;
        services.kernel_pool = services.kernel_pool.or_else(|| kernel_pool(&config));
        let azure = Azure::new(&config, &variables)?;
        let ledger = Ledger::open(&config.state.folder)?;
        let offline = matches!(source, SourceChoice::Bundles(..)) || config.source.kind == SourceKind::Folder;
        let recorded = matches!(source, SourceChoice::Recorded(..));
        let (source, incidents) = sources(&config, &azure, source, &services.clock).await?;
        let (publisher, places) = publishing(&config, &azure, &services).await?;
        let patterns = config.redact.settings().patterns().map_err(setting("redact.patterns"))?;
        let named = config.redact.variables.iter().filter_map(|name| variables.get(name)).cloned();
        let redaction = Arc::new(Redaction {
            patterns,
            given: named.filter(|value| !value.is_empty()).collect(),
            known: azure.known.clone(),
            made: std::sync::Mutex::default(),
        });
        let journal_redaction = Arc::clone(&redaction);
        let journal = Journal::new(&config.log.file, config.log.format, move |text| {
            journal_redaction.redactor().text(text).0.into_owned()
        });
        let (tenant, workspace) =
            if recorded { (None, None) } else { identify(&config, &azure, offline).await };
        Ok(Manager {
            ledger,
            source,
            incidents,
            publisher,
            places,
            router: Router::new(&config),
            redaction,
            comment: config.comment.clone(),
            services,
            again,
            tenant,
            workspace,
            journal,
            listener,
            notebooks: std::sync::Mutex::default(),
            config,
        })
    }
}

async fn sources(
    config: &Config,
    azure: &Azure<'_>,
    choice: SourceChoice,
    clock: &Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> Result<(Arc<dyn IncidentSource>, Arc<dyn Incidents>), SetupError> {
    let folder =
        |incidents: FolderIncidents, name: String| -> (Arc<dyn IncidentSource>, Arc<dyn Incidents>) {
            (Arc::new(FolderSource::new(incidents.clone(), name)), Arc::new(incidents))
        };
    match choice {
        SourceChoice::Bundles(bundles, output) => {
            return Ok(folder(FolderIncidents::new(bundles, output), "bundles".to_owned()));
        }
        SourceChoice::Recorded(bundles, output) => {
            let names =
                bundles.iter().filter_map(|bundle| bundle.incident.name().ok()).map(IncidentRef::Name);
            let source = ListSource::new(names.collect());
            return Ok((Arc::new(source), Arc::new(FolderIncidents::new(bundles, output))));
        }
        SourceChoice::Configured | SourceChoice::Named(_) => {}
    }
    let (source, incidents): (Arc<dyn IncidentSource>, Arc<dyn Incidents>) = match config.source.kind {
        SourceKind::Folder => {
            let settings = config.folder()?;
            let name = format!("folder {}", settings.path.display());
            let read = move || FolderIncidents::at(&settings.path, settings.output);
            let incidents = tokio::task::spawn_blocking(read).await;
            folder(incidents.expect("reading a folder does not panic and is not cancelled")?, name)
        }
        SourceKind::Sentinel => {
            let sentinel = azure.sentinel()?;
            let clock = Arc::clone(clock);
            let source =
                SentinelSource::new(sentinel.clone(), config.source.sentinel.clone(), move || clock());
            (Arc::new(source), Arc::new(SentinelIncidents::new(sentinel)))
        }
        SourceKind::Queue => {
            let sentinel = azure.sentinel()?;
            let settings = config.queue()?;
            let (queue, poison) = azure.queues().await?;
            let settings = QueueSettings {
                visibility: settings.visibility,
                visibility_without_renewal: longest_run(config) + SLACK,
                deliveries: settings.deliveries,
            };
            let source = QueueSource::new(queue, poison, settings);
            (Arc::new(source), Arc::new(SentinelIncidents::new(sentinel)))
        }
    };
    Ok(match choice {
        SourceChoice::Named(references) => (Arc::new(ListSource::new(references)), incidents),
        _ => (source, incidents),
    })
}

/// What the notebooks are told about where their incidents live. What the configuration leaves out is asked of Azure; an identity
/// that may not know it gets notebooks that are not told.
async fn identify(
    config: &Config,
    azure: &Azure<'_>,
    offline: bool,
) -> (Option<String>, Option<config::SentinelWorkspace>) {
    let tenant = config.azure.tenant.clone();
    let (Ok(mut workspace), Ok(sentinel)) = (config.sentinel(), azure.sentinel()) else {
        return (tenant, None);
    };
    if offline {
        return (tenant, Some(workspace));
    }
    let known = |what: &str, asked: Result<Option<String>, AzureError>| {
        asked.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot learn the {what}");
            None
        })
    };
    if workspace.workspace_id.is_none() {
        workspace.workspace_id = known("workspace's id", sentinel.customer_id().await);
    }
    let tenant = match tenant {
        Some(tenant) => Some(tenant),
        None => known("tenant", sentinel.tenant_id().await),
    };
    (tenant, Some(workspace))
}

/// What a run takes besides its notebook: the kernel's start, publishing, the requests.
const SLACK: Duration = Duration::from_mins(10);

/// A message that cannot be renewed is leased for at most this long; the service allows seven days.
const LONGEST_LEASE: Duration = Duration::from_hours(24);

/// The longest that any notebook may run.
fn longest_run(config: &Config) -> Duration {
    let routes = config.routes.iter().filter_map(|route| match &route.treatment {
        Treatment::Run(differences) => differences.timeout,
        Treatment::Skip => None,
    });
    let limits = routes.chain([config.run.timeout]);
    limits.map(|limit| limit.unwrap_or(LONGEST_LEASE)).max().unwrap_or(LONGEST_LEASE).min(LONGEST_LEASE)
}

async fn publishing(
    config: &Config,
    azure: &Azure<'_>,
    services: &Services,
) -> Result<(Publisher, Option<Places>), SetupError> {
    let mut publisher = Publisher { stores: Arc::clone(&services.stores), blobs: None, share: None };
    let target = match config.destination()? {
        Destination::Nowhere => return Ok((publisher, None)),
        Destination::Folder(path) => Target::Folder(path),
        Destination::Blob(blob) => {
            publisher.blobs = Some(azure.blobs(&blob).await?);
            Target::Blob(blob.folder)
        }
        Destination::Workspace(workspace) => {
            publisher.share = Some(azure.share(&workspace).await?);
            let workspace_names = place::Workspace {
                studio: config.azure.cloud.studio.clone(),
                subscription: workspace.subscription.clone(),
                resource_group: workspace.resource_group.clone(),
                name: workspace.name.clone(),
                tenant: config.azure.tenant.clone(),
            };
            let share = place::CodeShare::new(workspace_names, &workspace.folder, workspace.link.clone());
            Target::CodeShare(share.map_err(setting("publish.link"))?)
        }
    };
    let places = Places::new(target, &config.publish.file).map_err(setting("publish.file"))?;
    Ok((publisher, Some(places)))
}

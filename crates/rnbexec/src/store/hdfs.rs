//! `hdfs://namenode:8020/path`: HDFS, through `hdfs-native`, which needs neither Java nor libhdfs.
//!
//! The configuration is Hadoop's own: `HADOOP_CONF_DIR` (or `HADOOP_HOME`) with `core-site.xml` and `hdfs-site.xml`, so that logical
//! name services and the default one (`hdfs:///path`) are known. The user is `HADOOP_USER_NAME`, or with Kerberos whoever did
//! `kinit` (libgssapi must be on the machine).
//!
//! A file is written beside its place and renamed over it, which HDFS does atomically. Not tried against a cluster: none runs
//! on loopback without Java. Tried is what an unreachable one gives.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use hdfs_native::HdfsError;
use hdfs_native::client::{Client, ClientBuilder, WriteOptions};
use uuid::Uuid;

use super::{Action, Durability, Environment, Location, ObjectPath, Store, StoreError, StoreErrorKind};

/// How long one document may take. The client itself looks for a name node for ever.
const PATIENCE: Duration = Duration::from_mins(2);

/// HDFS as a store.
pub(super) struct HdfsStore {
    patience: Duration,
    user: Option<String>,
    configuration: Option<String>,
    /// One client for each name node.
    clients: Mutex<HashMap<String, Client>>,
}

#[expect(clippy::large_futures, reason = "the trait boxes every call as a whole")]
impl HdfsStore {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            patience: PATIENCE,
            user: environment.get("HADOOP_USER_NAME").map(str::to_owned),
            configuration: environment.get("HADOOP_CONF_DIR").map(str::to_owned),
            clients: Mutex::default(),
        }
    }

    fn client(&self, namenode: &str) -> Result<Client, HdfsError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(namenode) {
            return Ok(client.clone());
        }
        let mut builder = ClientBuilder::new();
        if !namenode.is_empty() {
            builder = builder.with_url(format!("hdfs://{namenode}"));
        }
        if let Some(user) = &self.user {
            builder = builder.with_user(user);
        }
        if let Some(folder) = &self.configuration {
            builder = builder.with_config_dir(folder);
        }
        let client = builder.build()?;
        clients.insert(namenode.to_owned(), client.clone());
        Ok(client)
    }

    /// Waits for `work`, but not for ever.
    async fn within<T>(
        &self,
        action: Action,
        location: &Location,
        work: impl Future<Output = Result<T, HdfsError>> + Send,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.patience, work).await {
            Ok(result) => result.map_err(|error| explained(action, location, &error)),
            Err(elapsed) => {
                let kind = StoreErrorKind::Unavailable { retry_after: None };
                Err(StoreError::new(action, location, kind).caused_by(location, &elapsed))
            }
        }
    }

    async fn read_file(&self, at: &ObjectPath) -> Result<Bytes, HdfsError> {
        let file = self.client(&at.bucket)?.read(&path(at)).await?;
        let mut content = BytesMut::zeroed(file.file_length());
        file.read_range_buf(&mut content, 0).await?;
        Ok(content.freeze())
    }

    async fn replace(
        &self,
        at: &ObjectPath,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), HdfsError> {
        let client = self.client(&at.bucket)?;
        let target = path(at);
        let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
        let temporary = format!("{folder}/.rnbexec-{}.tmp", Uuid::new_v4().simple());
        let written = async {
            let options = WriteOptions::default().create_parent(true);
            let mut file = client.create(&temporary, options).await?;
            for part in parts.iter().filter(|part| !part.is_empty()) {
                file.write_bytes(part.clone()).await?;
            }
            if durability == Durability::Durable {
                file.hsync().await?;
            }
            file.close().await?;
            client.rename(&temporary, &target, true).await
        };
        let written = written.await;
        if written.is_err()
            && let Err(error) = client.delete(&temporary, false).await
        {
            tracing::debug!(%error, temporary, "temporary file not removed");
        }
        written
    }

    async fn files(&self, at: &ObjectPath) -> Result<Vec<String>, HdfsError> {
        let entries = self.client(&at.bucket)?.list_status(&path(at), false).await?;
        let files = entries.into_iter().filter(|entry| !entry.isdir);
        let mut keys: Vec<String> = files.map(|file| file.path.trim_start_matches('/').to_owned()).collect();
        keys.sort();
        Ok(keys)
    }
}

#[async_trait]
impl Store for HdfsStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let at = file_of(Action::Read, location)?;
        self.within(Action::Read, location, self.read_file(at)).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let at = file_of(Action::Write, location)?;
        self.within(Action::Write, location, Box::pin(self.replace(at, parts, durability))).await
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let at = file_of(Action::List, location)?;
        let keys = self.within(Action::List, location, self.files(at)).await?;
        Ok(keys.into_iter().map(|key| Location::Hdfs(at.with_key(key))).collect())
    }
}

impl fmt::Debug for HdfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HdfsStore").field("user", &self.user).finish_non_exhaustive()
    }
}

fn path(at: &ObjectPath) -> String {
    format!("/{}", at.key.trim_end_matches('/'))
}

fn explained(action: Action, location: &Location, error: &HdfsError) -> StoreError {
    let kind = match error {
        HdfsError::FileNotFound(_) => StoreErrorKind::NotFound,
        HdfsError::IsADirectoryError(_) => invalid("it is a folder"),
        HdfsError::InvalidPath(_) | HdfsError::InvalidArgument(_) | HdfsError::UrlParseError(_) => invalid(
            "HDFS does not take it, or the configuration (HADOOP_CONF_DIR) names no default file system",
        ),
        HdfsError::IOError(_) => StoreErrorKind::Unavailable { retry_after: None },
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
            StoreErrorKind::Unauthenticated {
                hint: "run kinit, or set HADOOP_USER_NAME where HDFS trusts it".to_owned(),
            }
        }
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => kind_of(class),
        _ => StoreErrorKind::Other { problem: "HDFS cannot do it".to_owned() },
    };
    StoreError::new(action, location, kind).caused_by(location, error)
}

/// What the Java exception of a name node means.
fn kind_of(class: &str) -> StoreErrorKind {
    match class.rsplit('.').next().unwrap_or(class) {
        "FileNotFoundException" => StoreErrorKind::NotFound,
        "AccessControlException" => StoreErrorKind::PermissionDenied,
        "DSQuotaExceededException" | "NSQuotaExceededException" | "QuotaByStorageTypeExceededException" => {
            StoreErrorKind::NoSpace
        }
        "SafeModeException" | "StandbyException" | "RetriableException" | "ServerTooBusyException" => {
            StoreErrorKind::Unavailable { retry_after: None }
        }
        _ => StoreErrorKind::Other { problem: "HDFS cannot do it".to_owned() },
    }
}

fn invalid(problem: &str) -> StoreErrorKind {
    StoreErrorKind::InvalidLocation { problem: problem.to_owned() }
}

fn file_of(action: Action, location: &Location) -> Result<&ObjectPath, StoreError> {
    match location {
        Location::Hdfs(at) => Ok(at),
        _ => Err(StoreError::new(action, location, invalid("it is not in HDFS"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_nodes_exception_means_what_the_caller_can_do() {
        assert_eq!(kind_of("java.io.FileNotFoundException"), StoreErrorKind::NotFound);
        assert_eq!(
            kind_of("org.apache.hadoop.security.AccessControlException"),
            StoreErrorKind::PermissionDenied
        );
        let busy = StoreErrorKind::Unavailable { retry_after: None };
        assert_eq!(kind_of("org.apache.hadoop.ipc.StandbyException"), busy);
    }

    #[tokio::test]
    async fn a_name_node_that_is_not_there_is_unavailable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let location = Location::parse(&format!("hdfs://127.0.0.1:{port}/nb.ipynb")).unwrap();
        let store = HdfsStore { patience: Duration::from_secs(1), ..HdfsStore::new(&Environment::default()) };
        let error = store.read(&location).await.unwrap_err();
        assert!(error.is_transient(), "{error}: {:?}", std::error::Error::source(&error));
    }
}

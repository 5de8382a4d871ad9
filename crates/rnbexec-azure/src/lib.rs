//! Azure: credentials and storage over HTTPS.
//!
//! All that holds an Azure secret lives here, and nothing here knows what a notebook is. The services are spoken to through
//! Microsoft's own crates where they are stable.
//!
//! | module | what |
//! |---|---|
//! | [`cloud`] | which Azure: every endpoint and audience, each replaceable |
//! | [`credential`] | which identity we are, from the same sources and in the same order as Microsoft's other libraries |
//! | [`Http`] | connections, certificates, retries and what is logged, for all clients |
//! | [`storage`] | which account, endpoint and authorization the `AZURE_STORAGE_*` variables mean, as for the `az` command |
//! | [`blob`] | documents in Blob Storage |
//! | [`files`] | documents on a share of Azure Files |
//! | [`queue`] | Queue Storage, and what a message in it means |
//! | [`arm`] | Resource Manager: one client for everything below it |
//! | [`sentinel`] | incidents, what belongs to them and what is written to them |
//! | [`machine_learning`] | an Azure ML workspace: its datastores and the share of its Notebooks tab |
//! | [`key_vault`] | secrets of a key vault |
//! | [`logs`] | questions in KQL to Log Analytics |
//! | [`probe`] | whether we may do all this, and which role is missing |
//!
//! The values of variables come in through a function; this crate reads no environment, but for the proxies, which the HTTP
//! client looks up.
//!
//! Calls through an [`Http`] are tried again within its bounds, whatever may be; [`blob::Blobs`] of variables alone is not:
//! its callers try again, told by [`AzureErrorKind::Unavailable`].
//!
//! Blob and Queue Storage are tested against Azurite, everything else against servers on loopback with the shapes of
//! `azure-rest-api-specs`. Not tried, because it needs Azure: the real services and sovereign clouds.

pub mod cloud;
pub mod credential;
mod error;
mod transport;

pub mod blob;
pub mod files;
pub mod queue;
mod shared_key;
pub mod storage;

pub mod arm;
mod client;
pub mod key_vault;
pub mod logs;
pub mod machine_learning;
pub mod probe;
pub mod sentinel;

#[cfg(test)]
mod testing;

pub use azure_core::credentials::Secret;
pub use azure_core::http::Url;
pub use error::{AzureError, AzureErrorKind, ServiceAnswer};
pub use transport::{Http, HttpSettings, RetryPolicy};

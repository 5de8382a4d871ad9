//! Azure: credentials and storage over HTTPS.
//!
//! All that holds an Azure secret lives here, and nothing here knows what a notebook is. The services are spoken to through
//! Microsoft's own crates where they are stable.
//!
//! - [`credential`]: which identity we are, from the same sources and in the same order as Microsoft's other libraries.
//! - [`storage`]: which account, endpoint and authorization the `AZURE_STORAGE_*` variables mean, as for the `az` command.
//! - [`blob`]: documents in Blob Storage.
//! - [`files`]: documents on a share of Azure Files.
//! - [`queue`]: Queue Storage, and what a message in it means.
//!
//! The values of variables come in through a function; this crate reads no environment. One exception lies in
//! `azure_identity`: its managed identity reads `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, and its command-line credentials
//! `PATH`, from the process.
//!
//! Nothing retries here: callers do, told by [`AzureErrorKind::Unavailable`].
//!
//! Blob Storage is tested against Azurite; the chain's order and the Azure ML endpoint against a server on loopback. Not
//! tried, because it needs Azure: the real services, IMDS, workload identity, sovereign clouds.

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

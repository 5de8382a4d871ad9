//! Putting executed notebooks and their reports where analysts can open them.

use std::sync::Arc;

use bytes::Bytes;
use rnbexec::store::{Durability, Location, StoreError, StoreErrorKind, Stores};
use rnbexec_azure::blob::{BlobAddress, Blobs};
use rnbexec_azure::files::Files;

use crate::error::{Class, Trouble};
use crate::place::Destination;

/// Writes to the places that [`Places`](crate::place::Places) makes. What is put at a place twice is there once; nobody sees half
/// of it.
pub(crate) struct Publisher {
    /// Folders of this machine.
    pub(crate) stores: Arc<Stores>,
    /// Blob Storage, under the manager's own identity.
    pub(crate) blobs: Option<Blobs>,
    /// The file share of an Azure ML workspace.
    pub(crate) share: Option<Files>,
}

impl Publisher {
    /// Puts a document at its place; folders are made as needed.
    pub(crate) async fn put(
        &self,
        destination: &Destination,
        content: Bytes,
        content_type: &str,
    ) -> Result<(), Trouble> {
        match (destination, &self.share, &self.blobs) {
            (Destination::Share(path), Some(share), _) => {
                let written = share.put(path, content, content_type).await;
                written
                    .map_err(|error| Trouble::azure(format!("cannot put {path} onto the file share"), error))
            }
            (Destination::Share(path), None, _) => {
                Err(Trouble::new(Class::Refused, format!("there is no file share to put {path} onto")))
            }
            (Destination::Store(Location::AzureBlob(place)), _, Some(blobs)) => {
                let address = BlobAddress {
                    host: place.host.as_deref(),
                    container: &place.container,
                    blob: &place.blob,
                    sas: None,
                };
                let written = blobs.write(address, content, content_type).await;
                written
                    .map_err(|error| Trouble::azure(format!("cannot write the blob {}", place.blob), error))
            }
            (Destination::Store(location), _, _) => {
                let written = self.stores.write(location, &[content], Durability::Durable).await;
                written.map_err(|error| failed(location, error))
            }
        }
    }
}

fn failed(location: &Location, error: StoreError) -> Trouble {
    let class = match error.kind() {
        StoreErrorKind::PermissionDenied
        | StoreErrorKind::Unauthenticated { .. }
        | StoreErrorKind::ReadOnly
        | StoreErrorKind::NotWritable { .. } => Class::Permission,
        // Somebody makes room, and it goes on.
        StoreErrorKind::Unavailable { .. } | StoreErrorKind::NoSpace | StoreErrorKind::Other { .. } => {
            Class::Unavailable
        }
        StoreErrorKind::NotFound | StoreErrorKind::InvalidLocation { .. } | StoreErrorKind::NotListable => {
            Class::Refused
        }
    };
    Trouble::new(class, format!("cannot put the notebook at {location}")).because(error)
}

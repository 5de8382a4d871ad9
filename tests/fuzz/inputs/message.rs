//! Any text where somebody names an incident, a workspace or an account: no panic, and what was read is read again the same.

use rnbexec_azure::machine_learning::MachineLearningId;
use rnbexec_azure::queue::IncidentMessage;
use rnbexec_azure::sentinel::{IncidentRef, WorkspaceId};
use rnbexec_azure::storage::{Service, StorageSettings};

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match IncidentMessage::parse(&text) {
        Ok(incident) => {
            let shown = incident.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert_eq!(IncidentRef::parse(&shown).expect("we wrote it").to_string(), shown);
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
    if let Ok(workspace) = WorkspaceId::parse(&text) {
        let shown = workspace.to_string();
        assert_eq!(WorkspaceId::parse(&shown).expect("we wrote it").to_string(), shown);
    }
    drop(MachineLearningId::parse(&text));
    if let Ok(settings) = StorageSettings::from_connection_string(&text) {
        drop(format!("{settings:?}"));
    }
    for service in [Service::Blob, Service::Queue, Service::File] {
        drop(StorageSettings::of_account("account").at(service, &text));
    }
}

//! What points a client at the simulation.

use std::fmt::Write as _;

use super::names;

/// The addresses of the services and the names of what is there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where tokens come from.
    pub authority: String,
    /// Resource Manager.
    pub resource_manager: String,
    /// The metadata service of a machine, without the path.
    pub metadata: String,
    /// `IDENTITY_ENDPOINT`.
    pub identity_endpoint: String,
    /// `MSI_ENDPOINT` of Azure ML.
    pub msi_endpoint: String,
    /// The key vault.
    pub key_vault: String,
    /// The file service of the storage account.
    pub files: String,
    /// Log Analytics, without the path.
    pub log_analytics: String,
}

impl Settings {
    pub(super) fn new(url: &str) -> Self {
        Self {
            authority: url.to_owned(),
            resource_manager: url.to_owned(),
            metadata: url.to_owned(),
            identity_endpoint: format!("{url}/msi/token"),
            msi_endpoint: format!("{url}/aml/msi/token"),
            key_vault: url.to_owned(),
            files: format!("{url}/{}", names::STORAGE_ACCOUNT),
            log_analytics: url.to_owned(),
        }
    }

    /// The environment of a process that is the service principal.
    pub fn as_service_principal(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_AUTHORITY_HOST", self.authority.clone()),
            ("AZURE_TENANT_ID", names::TENANT.to_owned()),
            ("AZURE_CLIENT_ID", names::CLIENT_ID.to_owned()),
            ("AZURE_CLIENT_SECRET", names::CLIENT_SECRET.to_owned()),
        ]
    }

    /// The environment of a process on a virtual machine with a managed identity.
    pub fn as_virtual_machine(&self) -> Vec<(&'static str, String)> {
        vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.metadata.clone())]
    }

    /// The environment of a process in App Service or Container Apps.
    pub fn as_app_service(&self) -> Vec<(&'static str, String)> {
        vec![
            ("IDENTITY_ENDPOINT", self.identity_endpoint.clone()),
            ("IDENTITY_HEADER", names::IDENTITY_SECRET.to_owned()),
        ]
    }

    /// The environment of a process on Azure ML compute.
    pub fn as_machine_learning(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MSI_ENDPOINT", self.msi_endpoint.clone()),
            ("MSI_SECRET", names::IDENTITY_SECRET.to_owned()),
            ("DEFAULT_IDENTITY_CLIENT_ID", names::SYSTEM_IDENTITY.to_owned()),
        ]
    }

    /// A configuration of the manager, with everything that points it here: incidents come from Sentinel, notebooks go to the
    /// Azure ML workspace. Credentials are in the environment, as [`as_service_principal`](Self::as_service_principal) says.
    pub fn manager(&self) -> String {
        let sections: [(&str, &[(&str, &str)]); 5] = [
            // The shipped incidents are of 2019.
            ("source.sentinel", &[("since", "2019-01-01T00:00:00Z")]),
            (
                "sentinel",
                &[
                    ("subscription", names::SUBSCRIPTION),
                    ("resource_group", names::RESOURCE_GROUP),
                    ("workspace", names::WORKSPACE),
                ],
            ),
            ("publish", &[("to", "workspace")]),
            (
                "publish.workspace",
                &[
                    ("resource_group", names::ML_RESOURCE_GROUP),
                    ("name", names::ML_WORKSPACE),
                    ("endpoint", &self.files),
                ],
            ),
            (
                "azure",
                &[
                    ("tenant", names::TENANT),
                    ("authority", &self.authority),
                    ("resource_manager", &self.resource_manager),
                    ("log_analytics", &self.log_analytics),
                    ("imds", &self.metadata),
                ],
            ),
        ];
        let mut text = String::new();
        for (name, pairs) in sections {
            writeln!(text, "[{name}]").expect("writing into a string cannot fail");
            for (key, value) in pairs {
                writeln!(text, "{key} = {value:?}").expect("writing into a string cannot fail");
            }
            text.push('\n');
        }
        text
    }

    /// Where a secret of the vault is, as the manager's configuration names it.
    pub fn secret(&self, name: &str) -> String {
        format!("{}/secrets/{name}", self.key_vault)
    }
}

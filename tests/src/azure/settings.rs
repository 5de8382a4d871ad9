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
    account_key: String,
}

impl Settings {
    pub(super) fn new(url: &str, account_key: &str) -> Self {
        Self {
            authority: url.to_owned(),
            resource_manager: url.to_owned(),
            metadata: url.to_owned(),
            identity_endpoint: format!("{url}/msi/token"),
            msi_endpoint: format!("{url}/aml/msi/token"),
            key_vault: url.to_owned(),
            files: format!("{url}/{}", names::STORAGE_ACCOUNT),
            log_analytics: url.to_owned(),
            account_key: account_key.to_owned(),
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

    /// Everything, for a person who tries it by hand: addresses, names, and the credentials that it takes.
    pub fn to_toml(&self) -> String {
        let storage = [
            ("account", names::STORAGE_ACCOUNT),
            ("account_key", self.account_key.as_str()),
            ("code_share", names::CODE_SHARE),
        ];
        let sections: [(&str, &[(&str, &str)]); 5] = [
            (
                "azure",
                &[
                    ("authority", &self.authority),
                    ("resource_manager", &self.resource_manager),
                    ("metadata", &self.metadata),
                    ("identity_endpoint", &self.identity_endpoint),
                    ("msi_endpoint", &self.msi_endpoint),
                    ("key_vault", &self.key_vault),
                    ("files", &self.files),
                    ("log_analytics", &self.log_analytics),
                ],
            ),
            (
                "identity",
                &[
                    ("tenant", names::TENANT),
                    ("client_id", names::CLIENT_ID),
                    ("client_secret", names::CLIENT_SECRET),
                    ("identity_header", names::IDENTITY_SECRET),
                ],
            ),
            (
                "sentinel",
                &[
                    ("subscription", names::SUBSCRIPTION),
                    ("resource_group", names::RESOURCE_GROUP),
                    ("workspace", names::WORKSPACE),
                    ("workspace_id", names::CUSTOMER_ID),
                ],
            ),
            (
                "machine_learning",
                &[
                    ("subscription", names::SUBSCRIPTION),
                    ("resource_group", names::ML_RESOURCE_GROUP),
                    ("workspace", names::ML_WORKSPACE),
                ],
            ),
            ("storage", &storage),
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
}

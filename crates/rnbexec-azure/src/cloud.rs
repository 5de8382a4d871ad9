//! Which Azure is meant: the public one, a sovereign one, or any other by its endpoints.
//!
//! Every endpoint can be replaced on its own; a plain `http://` one is taken as it is given. What a token is *for* (its
//! audience) belongs to the cloud and stays when only an endpoint moves, as behind a gateway or in a simulation; it can be
//! replaced too.
//!
//! Source: the cloud tables of the Azure CLI and of `azure_core::cloud`.

use azure_core::http::Url;

/// The endpoints of one Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// `public`, `government`, `china`.
    pub name: String,
    /// Entra ID, where tokens are made.
    pub authority: Url,
    /// Azure Resource Manager.
    pub resource_manager: Url,
    /// What follows `<account>.<service>.` in the host of a storage service: `core.windows.net`.
    pub storage_suffix: String,
    /// What follows `<vault>.` in the host of a key vault: `vault.azure.net`.
    pub key_vault_suffix: String,
    /// The query service of Log Analytics.
    pub log_analytics: Url,
    /// Azure ML Studio, for links that people follow.
    pub studio: Url,
    /// The Azure portal, for links that people follow.
    pub portal: Url,
    /// What a token for the resource manager is made for, without `/.default`.
    pub management_audience: String,
    /// What a token for storage is made for.
    pub storage_audience: String,
    /// What a token for a key vault is made for.
    pub key_vault_audience: String,
    /// What a token for Log Analytics is made for.
    pub log_analytics_audience: String,
}

/// One row of the table of clouds.
struct Row {
    name: &'static str,
    authority: &'static str,
    resource_manager: &'static str,
    storage_suffix: &'static str,
    key_vault_suffix: &'static str,
    log_analytics: &'static str,
    studio: &'static str,
    portal: &'static str,
}

const PUBLIC: Row = Row {
    name: "public",
    authority: "https://login.microsoftonline.com",
    resource_manager: "https://management.azure.com",
    storage_suffix: "core.windows.net",
    key_vault_suffix: "vault.azure.net",
    log_analytics: "https://api.loganalytics.azure.com",
    studio: "https://ml.azure.com",
    portal: "https://portal.azure.com",
};

const GOVERNMENT: Row = Row {
    name: "government",
    authority: "https://login.microsoftonline.us",
    resource_manager: "https://management.usgovcloudapi.net",
    storage_suffix: "core.usgovcloudapi.net",
    key_vault_suffix: "vault.usgovcloudapi.net",
    log_analytics: "https://api.loganalytics.us",
    studio: "https://ml.azure.us",
    portal: "https://portal.azure.us",
};

const CHINA: Row = Row {
    name: "china",
    authority: "https://login.chinacloudapi.cn",
    resource_manager: "https://management.chinacloudapi.cn",
    storage_suffix: "core.chinacloudapi.cn",
    key_vault_suffix: "vault.azure.cn",
    log_analytics: "https://api.loganalytics.azure.cn",
    studio: "https://studio.ml.azure.cn",
    portal: "https://portal.azure.cn",
};

impl Cloud {
    /// The cloud that everybody means.
    pub fn public() -> Self {
        Self::from_row(&PUBLIC)
    }

    /// Azure Government of the United States.
    pub fn government() -> Self {
        Self::from_row(&GOVERNMENT)
    }

    /// Azure in China, operated by 21Vianet.
    pub fn china() -> Self {
        Self::from_row(&CHINA)
    }

    /// The cloud of this name: ours, that of the Azure CLI (`AzureUSGovernment`) or that of msticpy (`usgov`, `cn`).
    pub fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "public" | "global" | "azurecloud" | "azurepublic" | "azurepubliccloud" => Some(Self::public()),
            "government" | "usgov" | "usgovernment" | "azureusgovernment" | "azuregovernment" => {
                Some(Self::government())
            }
            "china" | "cn" | "azurechina" | "azurechinacloud" => Some(Self::china()),
            _ => None,
        }
    }

    /// The scope of tokens for the resource manager.
    pub fn management_scope(&self) -> String {
        scope(&self.management_audience)
    }

    /// The scope of tokens for storage.
    pub fn storage_scope(&self) -> String {
        scope(&self.storage_audience)
    }

    /// The scope of tokens for a key vault.
    pub fn key_vault_scope(&self) -> String {
        scope(&self.key_vault_audience)
    }

    /// The scope of tokens for Log Analytics.
    pub fn log_analytics_scope(&self) -> String {
        scope(&self.log_analytics_audience)
    }

    fn from_row(row: &Row) -> Self {
        let url = |text| Url::parse(text).expect("the table's addresses are URLs");
        Self {
            name: row.name.to_owned(),
            authority: url(row.authority),
            resource_manager: url(row.resource_manager),
            storage_suffix: row.storage_suffix.to_owned(),
            key_vault_suffix: row.key_vault_suffix.to_owned(),
            log_analytics: url(row.log_analytics),
            studio: url(row.studio),
            portal: url(row.portal),
            management_audience: row.resource_manager.to_owned(),
            // One audience for the storage of every cloud.
            storage_audience: "https://storage.azure.com".to_owned(),
            key_vault_audience: format!("https://{}", row.key_vault_suffix),
            log_analytics_audience: row.log_analytics.to_owned(),
        }
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::public()
    }
}

fn scope(audience: &str) -> String {
    format!("{}/.default", audience.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_asks_for_tokens_of_its_own_services() {
        let scopes = |cloud: &Cloud| {
            [
                cloud.management_scope(),
                cloud.storage_scope(),
                cloud.key_vault_scope(),
                cloud.log_analytics_scope(),
            ]
        };
        assert_eq!(
            scopes(&Cloud::public()),
            [
                "https://management.azure.com/.default",
                "https://storage.azure.com/.default",
                "https://vault.azure.net/.default",
                "https://api.loganalytics.azure.com/.default"
            ]
        );
        assert_eq!(
            scopes(&Cloud::government()),
            [
                "https://management.usgovcloudapi.net/.default",
                "https://storage.azure.com/.default",
                "https://vault.usgovcloudapi.net/.default",
                "https://api.loganalytics.us/.default"
            ]
        );
        assert_eq!(Cloud::china().management_scope(), "https://management.chinacloudapi.cn/.default");
    }

    #[test]
    fn a_cloud_has_the_names_that_other_tools_give_it() {
        for (name, cloud) in [
            ("AzureCloud", "public"),
            ("usgov", "government"),
            ("AzureUSGovernment", "government"),
            ("cn", "china"),
        ] {
            assert_eq!(Cloud::parse(name).map(|cloud| cloud.name).as_deref(), Some(cloud), "{name}");
        }
        assert_eq!(Cloud::parse("germany"), None);
    }

    #[test]
    fn a_moved_endpoint_keeps_its_audience() {
        let mut cloud = Cloud::public();
        cloud.resource_manager = Url::parse("http://127.0.0.1:9/arm").expect("a URL");
        assert_eq!(cloud.management_scope(), "https://management.azure.com/.default");
        cloud.management_audience = "api://ours/".to_owned();
        assert_eq!(cloud.management_scope(), "api://ours/.default");
    }
}

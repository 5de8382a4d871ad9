//! `[azure]` and `[sentinel]`: which cloud, who we are there, and which workspace is meant.

use std::path::PathBuf;

use rnbexec_azure::cloud::Cloud;
use rnbexec_azure::credential::Source as CredentialSource;
use rnbexec_azure::{key_vault, machine_learning, probe, sentinel};
use url::Url;

use super::read::Section;
use super::value;

/// Which Azure, and who we are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Azure {
    /// The cloud, with every endpoint that was replaced.
    pub cloud: Cloud,
    /// The tenant that holds the workspaces; also what the notebooks get as `ten_id`.
    pub tenant: Option<String>,
    /// The application or the user-assigned identity to be.
    pub client_id: Option<String>,
    /// Where an identity is looked for, in this order.
    pub credentials: Vec<CredentialSource>,
    /// Where the metadata service of a virtual machine is instead of at its fixed address.
    pub imds: Option<Url>,
    /// A file of further certificate authorities to trust, in PEM.
    pub ca_certificates: Option<PathBuf>,
    /// Which version of each interface is spoken.
    pub api_versions: ApiVersions,
}

/// Which version of each interface is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the version of the service it is named after")]
pub struct ApiVersions {
    pub sentinel: String,
    pub machine_learning: String,
    pub storage: String,
    pub permissions: String,
    pub key_vault: String,
    pub files: String,
    pub queue: String,
}

/// The workspace whose incidents are meant, as far as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentinelGiven {
    pub(super) subscription: Option<String>,
    pub(super) resource_group: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) workspace_id: Option<String>,
}

/// What to write where an identity is looked for; the names that Microsoft's libraries have for them are read too.
const CREDENTIALS: &str =
    "write a list of \"environment\", \"certificate\", \"workload\", \"aml\", \"msi\", \"cli\", \"azd\"";

pub(super) fn azure(section: &Section<'_>) -> Azure {
    let mut cloud = section
        .text("cloud", "write \"public\", \"government\" or \"china\"", |text| {
            Cloud::parse(text).ok_or_else(|| format!("{text:?} is no cloud"))
        })
        .unwrap_or_default();
    let url = |key: &str, place: &mut Url| {
        if let Some(url) = section.text(key, value::URL, value::url) {
            *place = url;
        }
    };
    url("authority", &mut cloud.authority);
    url("resource_manager", &mut cloud.resource_manager);
    url("log_analytics", &mut cloud.log_analytics);
    url("studio", &mut cloud.studio);
    url("portal", &mut cloud.portal);
    let suffix = |key: &str, place: &mut String| {
        let instead = "write the end of a host's name, such as \"core.windows.net\"";
        if let Some(suffix) = section.text(key, instead, host_suffix) {
            *place = suffix;
        }
    };
    suffix("storage_suffix", &mut cloud.storage_suffix);
    suffix("key_vault_suffix", &mut cloud.key_vault_suffix);
    section.section("audiences", |section| {
        let audience = |key: &str, place: &mut String| {
            let instead = "write what tokens are made for, without /.default";
            if let Some(audience) = section.text(key, instead, audience) {
                *place = audience;
            }
        };
        audience("management", &mut cloud.management_audience);
        audience("storage", &mut cloud.storage_audience);
        audience("key_vault", &mut cloud.key_vault_audience);
        audience("log_analytics", &mut cloud.log_analytics_audience);
    });
    let id = |key| section.text(key, "write a GUID or a domain", value::name);
    Azure {
        tenant: id("tenant"),
        client_id: id("client_id"),
        credentials: credentials(section),
        imds: section.text("imds", value::URL, value::url),
        ca_certificates: section.path("ca_certificates"),
        api_versions: section.section("api_versions", api_versions),
        cloud,
    }
}

fn credentials(section: &Section<'_>) -> Vec<CredentialSource> {
    let credentials = section.choices("credentials", CREDENTIALS, |text| {
        CredentialSource::parse(text).ok_or_else(|| format!("{text:?} is no source of an identity"))
    });
    if credentials.as_ref().is_some_and(Vec::is_empty) {
        section.refuse("credentials", "the list is empty", CREDENTIALS);
    }
    credentials.unwrap_or_else(|| CredentialSource::DEFAULT_ORDER.to_vec())
}

fn api_versions(section: &Section<'_>) -> ApiVersions {
    let version = |key, default: &str| {
        let instead = format!("write a version such as \"{default}\"");
        let version = section.text(key, &instead, |text| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if text.chars().all(plain) { Ok(text.to_owned()) } else { Err(format!("{text:?} is no version")) }
        });
        version.unwrap_or_else(|| default.to_owned())
    };
    ApiVersions {
        sentinel: version("sentinel", sentinel::API_VERSION),
        machine_learning: version("machine_learning", machine_learning::API_VERSION),
        storage: version("storage", machine_learning::STORAGE_API_VERSION),
        permissions: version("permissions", probe::API_VERSION),
        key_vault: version("key_vault", key_vault::API_VERSION),
        files: version("files", "2022-11-02"),
        queue: version("queue", "2021-12-02"),
    }
}

pub(super) fn sentinel(section: &Section<'_>) -> SentinelGiven {
    let name = |key| section.text(key, "write the name as the portal shows it", value::name);
    SentinelGiven {
        subscription: name("subscription"),
        resource_group: name("resource_group"),
        workspace: name("workspace"),
        workspace_id: name("workspace_id"),
    }
}

fn host_suffix(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches('.');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if text.is_empty() || !text.chars().all(plain) {
        return Err(format!("{text:?} is no end of a host's name"));
    }
    Ok(text.to_owned())
}

fn audience(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.ends_with("/.default") {
        return Err(format!("{text:?} is a scope"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("{text:?} is no audience"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

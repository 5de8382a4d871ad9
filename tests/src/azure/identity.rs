//! Who may ask for tokens, and the tokens.
//!
//! Tokens are unsigned JWTs with the claims of the real ones; that the simulation issued a token is what makes it valid. They
//! expire by the system's clock, as a client counts it, not by the one of the incidents.

mod login;
mod managed;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::call::Call;
use super::names;

pub(super) use login::login;
pub(super) use managed::{app_service, machine_learning, metadata};

/// The clouds' names for the services that tokens are for.
const ARM: [&str; 6] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://management.core.chinacloudapi.cn",
];
const STORAGE: [&str; 1] = ["https://storage.azure.com"];
const VAULT: [&str; 3] =
    ["https://vault.azure.net", "https://vault.usgovcloudapi.net", "https://vault.azure.cn"];
const LOGS: [&str; 4] = [
    "https://api.loganalytics.io",
    "https://api.loganalytics.azure.com",
    "https://api.loganalytics.us",
    "https://api.loganalytics.azure.cn",
];

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Arm,
    Storage,
    Vault,
    Logs,
}

/// An identity.
#[derive(Debug, Clone)]
pub(super) struct Principal {
    pub(super) name: &'static str,
    pub(super) client_id: &'static str,
    pub(super) object_id: &'static str,
}

/// The service principal first, then the managed identities.
pub(super) const PRINCIPALS: [Principal; 3] = [
    Principal {
        name: "triage-sp",
        client_id: names::CLIENT_ID,
        object_id: "2046feea-040d-4a46-9e2b-91c2941bfa70",
    },
    Principal {
        name: "triage-vm",
        client_id: names::SYSTEM_IDENTITY,
        object_id: "b03ca914-5eb6-45e5-9417-fe0797c372fd",
    },
    Principal {
        name: "triage-user-assigned",
        client_id: names::USER_IDENTITY,
        object_id: "7d6a2c0e-5a3f-4d55-b0ce-2f4f2b3a8d19",
    },
];

/// A token that was issued.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) resource: String,
    pub(super) principal: Principal,
    pub(super) expires: Timestamp,
}

/// Why a bearer is refused.
#[derive(Debug)]
pub(super) enum Refused {
    Missing,
    Unknown,
    Expired(Timestamp),
    Audience(String),
}

/// The issuer of tokens.
#[derive(Debug)]
pub(super) struct Identity {
    tokens: Vec<Token>,
    pub(super) lifetime: Duration,
    /// Whether the machine has managed identities.
    pub(super) managed: bool,
    /// The simulation's own address: a client that derives scopes from its endpoints asks for tokens for it.
    own: String,
}

impl Identity {
    pub(super) fn new(own: &str) -> Self {
        Self { tokens: Vec::new(), lifetime: Duration::from_hours(1), managed: true, own: own.to_owned() }
    }

    /// A token of `principal` for a resource, or nothing when the tenant has no such resource.
    pub(super) fn issue(&mut self, principal: &Principal, resource: &str) -> Option<Token> {
        let all = [Audience::Arm, Audience::Storage, Audience::Vault, Audience::Logs];
        if !all.into_iter().any(|audience| self.is_for(resource, audience)) {
            return None;
        }
        let issued = Timestamp::now();
        let expires = issued + self.lifetime;
        let claims = json!({
            "aud": resource, "iss": format!("https://sts.windows.net/{}/", names::TENANT),
            "iat": issued.as_second(), "nbf": issued.as_second(), "exp": expires.as_second(),
            "appid": principal.client_id, "oid": principal.object_id, "tid": names::TENANT,
            "sub": principal.object_id, "idtyp": "app", "ver": "1.0", "uti": Uuid::new_v4().simple().to_string(),
        });
        let part = |text: String| URL_SAFE_NO_PAD.encode(text);
        let header = json!({"typ": "JWT", "alg": "none"});
        let text = format!(
            "{}.{}.{}",
            part(header.to_string()),
            part(claims.to_string()),
            part("unsigned".to_owned())
        );
        let token = Token { text, resource: resource.to_owned(), principal: principal.clone(), expires };
        self.tokens.push(token.clone());
        Some(token)
    }

    /// From now on every token issued so far is refused as expired.
    pub(super) fn revoke(&mut self) {
        let now = Timestamp::now();
        for token in &mut self.tokens {
            token.expires = token.expires.min(now);
        }
    }

    /// Who holds the bearer token of a request that a service gets.
    pub(super) fn bearer(&self, call: &Call, audience: Audience) -> Result<Principal, Refused> {
        let text = call.bearer().ok_or(Refused::Missing)?;
        let token = self.token(text).ok_or(Refused::Unknown)?;
        if !self.is_for(&token.resource, audience) {
            return Err(Refused::Audience(token.resource.clone()));
        }
        if token.expires <= Timestamp::now() {
            return Err(Refused::Expired(token.expires));
        }
        Ok(token.principal.clone())
    }

    /// The identity behind a token, valid or not: for the journal.
    pub(super) fn holder(&self, call: &Call) -> Option<String> {
        Some(self.token(call.bearer()?)?.principal.name.to_owned())
    }

    fn token(&self, text: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.text == text)
    }

    fn is_for(&self, resource: &str, audience: Audience) -> bool {
        let resource = resource.trim_end_matches('/');
        let known: &[&str] = match audience {
            Audience::Arm => &ARM,
            Audience::Storage => &STORAGE,
            Audience::Vault => &VAULT,
            Audience::Logs => &LOGS,
        };
        let of_account = audience == Audience::Storage
            && resource
                .strip_prefix("https://")
                .is_some_and(|host| host.split('.').next() == Some(names::STORAGE_ACCOUNT));
        known.contains(&resource) || of_account || (resource == self.own && audience != Audience::Storage)
    }
}

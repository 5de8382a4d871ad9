//! Key Vault: secrets, and the challenge that tells a client where to get a token.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::call::{Call, Played, Reply};
use super::identity::{Audience, Refused};
use super::names;
use super::world::World;

const VERSIONS: [&str; 9] = ["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01"];

/// The vault's secrets.
#[derive(Debug, Default)]
pub(super) struct Vault {
    /// The versions of each, the current one last.
    secrets: BTreeMap<String, Vec<Version>>,
}

#[derive(Debug)]
struct Version {
    id: String,
    value: String,
    enabled: bool,
    created: Timestamp,
}

impl Vault {
    /// Adds a version, which becomes the current one. Gives its id.
    pub(super) fn set(&mut self, name: &str, value: &str, enabled: bool, now: Timestamp) -> String {
        let id = Uuid::new_v4().simple().to_string();
        let version = Version { id: id.clone(), value: value.to_owned(), enabled, created: now };
        self.secrets.entry(name.to_lowercase()).or_default().push(version);
        id
    }
}

/// Plays a request.
pub(super) fn play(world: &World, call: &Call) -> Played {
    world.identity.bearer(call, Audience::Vault).map_err(|refused| {
        challenge(
            world,
            match refused {
                Refused::Missing => "AKV10000: Request is missing a Bearer or PoP token.",
                Refused::Unknown => "AKV10022: Invalid token.",
                Refused::Expired(_) => "AKV10015: Bearer token is expired.",
                Refused::Audience(_) => "AKV10022: Invalid audience. Expected https://vault.azure.net.",
            },
        )
    })?;
    match call.query("api-version") {
        None => return Err(fail(400, "BadParameter", "api-version must be specified", None)),
        Some(version) if !VERSIONS.contains(&version) => {
            let message = format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version (7.6)."
            );
            return Err(fail(400, "BadParameter", &message, None));
        }
        Some(_) => {}
    }
    let (name, version) = match call.segments.as_slice() {
        [_, name] => (name, None),
        [_, name, version] => (name, Some(version)),
        _ => return Err(fail(404, "ResourceNotFound", "No such resource is played.", None)),
    };
    if call.method != "GET" {
        return Err(fail(405, "MethodNotAllowed", "Only GET is played.", None));
    }
    if !world.access.permits("Microsoft.KeyVault/vaults/secrets/getSecret/action") {
        return Err(forbidden_now());
    }
    let versions = world.vault.secrets.get(&name.to_lowercase());
    let found = versions.and_then(|versions| match version {
        None => versions.last(),
        Some(id) => versions.iter().find(|version| version.id == *id),
    });
    let Some(found) = found else {
        let message = format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be able \
             to recover it using the correct recovery command."
        );
        return Err(fail(404, "SecretNotFound", &message, None));
    };
    if !found.enabled {
        let message = "Operation get is not allowed on a disabled secret.";
        return Err(fail(403, "Forbidden", message, Some("SecretDisabled")));
    }
    let created = found.created.as_second();
    let body = json!({
        "value": found.value, "id": format!("{}/secrets/{name}/{}", world.url, found.id),
        "attributes": {"enabled": true, "created": created, "updated": created, "recoveryLevel": "Recoverable+Purgeable"},
    });
    Ok(Reply::json(200, &body))
}

fn challenge(world: &World, message: &str) -> Reply {
    let challenge = format!(
        "Bearer authorization=\"{}/{}\", resource=\"https://vault.azure.net\"",
        world.url,
        names::TENANT
    );
    fail(401, "Unauthorized", message, None).with("www-authenticate", challenge)
}

fn fail(status: u16, code: &str, message: &str, inner: Option<&str>) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if let Some(inner) = inner {
        error["innererror"] = json!({"code": inner});
    }
    Reply::json(status, &json!({"error": error}))
}

/// The error of a service that cannot serve.
pub(super) fn fault(status: u16) -> Reply {
    let code = if status == 429 { "Throttled" } else { "InternalServerError" };
    fail(status, code, "The service cannot serve this request now.", None)
}

/// The reply to a token that has just expired.
pub(super) fn expired_now(world: &World) -> Reply {
    challenge(world, "AKV10015: Bearer token is expired.")
}

/// The reply to a role that is missing.
pub(super) fn forbidden_now() -> Reply {
    let message = "Caller is not authorized to perform action on resource. If role assignments, deny assignments or role \
                   definitions were changed recently, please observe propagation time.";
    fail(403, "Forbidden", message, Some("ForbiddenByRbac"))
}

//! Azure Resource Manager: what every request must have, and which provider gets it.

mod errors;
mod resources;

use super::call::{Call, Played, Reply};
use super::identity::{Audience, Principal, Refused};
use super::world::World;
use super::{names, sentinel};

pub(super) use errors::{conflict, fail, not_found};

/// A request that is authenticated, for something in the subscription.
pub(super) struct Arm<'a> {
    pub(super) call: &'a Call,
    pub(super) caller: Principal,
}

impl Arm<'_> {
    /// Checks that the api-version is one of these.
    pub(super) fn version(&self, versions: &[&str]) -> Result<(), Reply> {
        match self.call.query("api-version") {
            None | Some("") => Err(errors::missing_version()),
            Some(version) if versions.contains(&version) => Ok(()),
            Some(version) => Err(errors::unknown_version(version, versions)),
        }
    }

    /// Checks that the caller may do this to this.
    pub(super) fn may(&self, world: &World, action: &str, scope: &str) -> Result<(), Reply> {
        if world.access.permits(action) {
            return Ok(());
        }
        Err(errors::forbidden(&self.caller, action, scope))
    }

    /// The body of a write.
    pub(super) fn body(&self) -> Result<serde_json::Value, Reply> {
        let kind = self.call.header("content-type").unwrap_or("<null>");
        if !kind.to_lowercase().starts_with("application/json") {
            return Err(errors::unsupported_media(kind));
        }
        serde_json::from_slice(&self.call.body).map_err(|error| errors::bad_content(&error.to_string()))
    }
}

/// Plays a request.
pub(super) fn play(world: &mut World, call: &Call) -> Played {
    let caller = authenticate(world, call)?;
    let arm = Arm { call, caller };
    let folded = call.folded();
    let path: Vec<&str> = folded.iter().map(String::as_str).collect();
    let ["subscriptions", subscription, rest @ ..] = path.as_slice() else {
        return Err(errors::no_such_route(call));
    };
    if *subscription != names::SUBSCRIPTION {
        return Err(errors::no_subscription(subscription));
    }
    if let [.., "providers", "microsoft.authorization", "permissions"] = rest {
        return resources::permissions(world, &arm);
    }
    let ["resourcegroups", group, "providers", provider @ ..] = rest else {
        return match rest {
            [] => resources::subscription(&arm),
            ["resourcegroups", group] => resources::group(&arm, group),
            _ => Err(errors::no_such_route(call)),
        };
    };
    resources::known_group(group)?;
    match provider {
        ["microsoft.operationalinsights", "workspaces", workspace, inner @ ..] => {
            let id = resources::workspace(world, group, workspace)?;
            match inner {
                [] => resources::log_workspace(world, &arm, &id),
                ["providers", "microsoft.securityinsights", inner @ ..] => {
                    sentinel::play(world, &arm, &id, inner)
                }
                _ => Err(errors::no_such_route(call)),
            }
        }
        ["microsoft.machinelearningservices", "workspaces", workspace, inner @ ..] => {
            resources::is(group, names::ML_RESOURCE_GROUP, workspace, names::ML_WORKSPACE)?;
            resources::machine_learning(world, &arm, inner)
        }
        ["microsoft.storage", "storageaccounts", account, inner @ ..] => {
            resources::is(group, names::ML_RESOURCE_GROUP, account, names::STORAGE_ACCOUNT)?;
            resources::storage(world, &arm, inner)
        }
        _ => Err(errors::no_such_route(call)),
    }
}

fn authenticate(world: &World, call: &Call) -> Result<Principal, Reply> {
    world.identity.bearer(call, Audience::Arm).map_err(|refused| match refused {
        Refused::Missing => errors::unauthenticated(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ),
        Refused::Unknown => {
            errors::unauthenticated("InvalidAuthenticationToken", "The access token is invalid.")
        }
        Refused::Expired(at) => errors::expired(at),
        Refused::Audience(resource) => errors::unauthenticated(
            "InvalidAuthenticationTokenAudience",
            &format!(
                "The access token has been obtained for wrong audience or resource '{resource}'. It should exactly match with \
                 one of the allowed audiences 'https://management.core.windows.net/','https://management.azure.com/'."
            ),
        ),
    })
}

/// The reply that a fault makes: an error of the whole service.
pub(super) fn fault(status: u16) -> Reply {
    errors::of_status(status)
}

/// The reply to a token that has just expired.
pub(super) fn expired_now() -> Reply {
    errors::expired(jiff::Timestamp::now())
}

/// The reply to a role that is missing.
pub(super) fn forbidden_now(call: &Call) -> Reply {
    let caller = &super::identity::PRINCIPALS[0];
    errors::forbidden(caller, "simulated/fault/action", &call.path)
}

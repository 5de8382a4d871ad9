//! The managed identities: a virtual machine's metadata service, App Service's endpoint, Azure ML's.

use serde_json::json;

use super::{Identity, PRINCIPALS, Principal, Token};
use crate::azure::call::{Call, Played, Reply};
use crate::azure::names;

/// `GET /metadata/identity/oauth2/token`, as on a virtual machine. Its numbers are strings.
pub(in crate::azure) fn metadata(identity: &mut Identity, call: &Call) -> Played {
    // Whatever came through a proxy may be a trick to get the machine's token.
    if call.header("metadata") != Some("true") || call.header("x-forwarded-for").is_some() {
        return Err(refuse(400, "Required metadata header not specified"));
    }
    let version = call.query("api-version").unwrap_or_default();
    if !["2018-02-01", "2019-08-01", "2020-06-01", "2021-02-01"].contains(&version) {
        return Err(refuse(400, "Bad request. api-version is invalid or was not specified in the request"));
    }
    let token = token(identity, call, &["client_id", "object_id", "msi_res_id", "mi_res_id"])?;
    let issued = token.expires - identity.lifetime;
    Ok(Reply::json(
        200,
        &json!({
            "access_token": token.text,
            "client_id": token.principal.client_id,
            "expires_in": identity.lifetime.as_secs().to_string(),
            "expires_on": token.expires.as_second().to_string(),
            "ext_expires_in": identity.lifetime.as_secs().to_string(),
            "not_before": issued.as_second().to_string(),
            "resource": token.resource,
            "token_type": "Bearer",
        }),
    ))
}

/// `GET $IDENTITY_ENDPOINT`, as in App Service and Container Apps.
pub(in crate::azure) fn app_service(identity: &mut Identity, call: &Call) -> Played {
    if call.header("x-identity-header") != Some(names::IDENTITY_SECRET) {
        return Err(status_body(401, "Unauthorized", "The X-IDENTITY-HEADER is missing or wrong."));
    }
    if call.query("api-version") != Some("2019-08-01") {
        return Err(status_body(400, "BadRequest", "The api-version is not supported."));
    }
    let token = token(identity, call, &["client_id", "object_id", "principal_id", "mi_res_id"])?;
    Ok(Reply::json(
        200,
        &json!({
            "access_token": token.text,
            "client_id": token.principal.client_id,
            "expires_on": token.expires.as_second().to_string(),
            "resource": token.resource,
            "token_type": "Bearer",
        }),
    ))
}

/// `GET $MSI_ENDPOINT`, as on Azure ML compute.
pub(in crate::azure) fn machine_learning(identity: &mut Identity, call: &Call) -> Played {
    if call.header("secret") != Some(names::IDENTITY_SECRET) {
        return Err(status_body(401, "Unauthorized", "The secret is missing or wrong."));
    }
    if call.query("api-version") != Some("2017-09-01") {
        return Err(status_body(400, "BadRequest", "The api-version is not supported."));
    }
    let token = token(identity, call, &["clientid"])?;
    Ok(Reply::json(
        200,
        &json!({
            "access_token": token.text,
            "expires_on": token.expires.as_second().to_string(),
            "resource": token.resource,
            "token_type": "Bearer",
        }),
    ))
}

/// A token for the machine's own identity, or for the one that a parameter of these names picks.
fn token(identity: &mut Identity, call: &Call, picks: &[&str]) -> Result<Token, Reply> {
    if call.method != "GET" {
        return Err(refuse(405, "Method Not Allowed"));
    }
    let resource =
        call.query("resource").ok_or_else(|| refuse(400, "Required query variable 'resource' is missing"))?;
    let picked = picks.iter().find_map(|pick| call.query(pick));
    let found = PRINCIPALS.iter().skip(1).find(|principal| picked.is_none_or(|id| is(principal, id)));
    let principal = found.filter(|_| identity.managed).ok_or_else(|| refuse(400, "Identity not found"))?;
    identity.issue(principal, resource).ok_or_else(|| {
        let text =
            format!("AADSTS500011: The resource principal named {resource} was not found in the tenant.");
        Reply::json(400, &json!({"error": "invalid_resource", "error_description": text}))
    })
}

fn is(principal: &Principal, id: &str) -> bool {
    principal.client_id == id
        || principal.object_id == id
        || id.rsplit('/').next().is_some_and(|name| name.eq_ignore_ascii_case(principal.name))
}

fn refuse(status: u16, text: &str) -> Reply {
    Reply::json(status, &json!({"error": "invalid_request", "error_description": text}))
}

fn status_body(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"statusCode": status, "code": code, "message": message}))
}

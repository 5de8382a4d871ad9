//! `POST /{tenant}/oauth2/v2.0/token`: Entra ID for clients with a secret or an assertion.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Identity, PRINCIPALS};
use crate::azure::call::{Call, Played, Reply};
use crate::azure::names;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// What the token of a Kubernetes service account is for.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Plays a request for a token.
pub(in crate::azure) fn login(identity: &mut Identity, call: &Call) -> Played {
    if call.method != "POST" {
        return Err(refuse(405, "invalid_request", 900_561, "The endpoint only accepts POST requests."));
    }
    let tenant = call.segments.first().map(String::as_str).unwrap_or_default();
    if tenant != names::TENANT {
        let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Err(refuse(400, "invalid_request", 90002, &text));
    }
    let form = call.form();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let needed = |name: &str| {
        field(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            refuse(400, "invalid_request", 900_144, &text)
        })
    };
    let grant = needed("grant_type")?;
    if grant != "client_credentials" {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        return Err(refuse(400, "unsupported_grant_type", 70003, &text));
    }
    let client = needed("client_id")?;
    let principal = PRINCIPALS.iter().find(|principal| principal.client_id == client).ok_or_else(|| {
        let text = format!("Application with identifier '{client}' was not found in the directory.");
        refuse(400, "unauthorized_client", 700_016, &text)
    })?;
    match (field("client_secret"), field("client_assertion")) {
        (Some(names::CLIENT_SECRET), None) if client == names::CLIENT_ID => {}
        (Some(_), _) => {
            let text = format!("Invalid client secret provided for app '{client}'.");
            return Err(refuse(401, "invalid_client", 7_000_215, &text));
        }
        (None, Some(assertion)) => {
            if needed("client_assertion_type")? != ASSERTION_TYPE {
                let text = "The client_assertion_type is not supported.";
                return Err(refuse(400, "invalid_request", 50027, text));
            }
            check_assertion(assertion, client).map_err(|why| refuse(401, "invalid_client", 700_027, &why))?;
        }
        (None, None) => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(refuse(401, "invalid_client", 7_000_218, text));
        }
    }
    let scope = needed("scope")?;
    let Some(resource) = scope.strip_suffix("/.default") else {
        let text = format!(
            "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
        );
        return Err(refuse(400, "invalid_scope", 70011, &text));
    };
    let token = identity.issue(principal, resource).ok_or_else(|| {
        let text =
            format!("The resource principal named {resource} was not found in the tenant named {tenant}.");
        refuse(400, "invalid_resource", 500_011, &text)
    })?;
    let lifetime = identity.lifetime.as_secs();
    let body = json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token.text});
    Ok(Reply::json(200, &body).with("cache-control", "no-store, no-cache"))
}

/// Whether an assertion has the shape that Entra ID asks for. Its signature is not checked: the simulation knows no keys.
fn check_assertion(assertion: &str, client: &str) -> Result<(), String> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err("Client assertion is not a well-formed JWT.".to_owned());
    };
    if signature.is_empty() {
        return Err("Client assertion contains no signature.".to_owned());
    }
    let (header, claims) = (decode(header)?, decode(claims)?);
    let algorithm = header["alg"].as_str().unwrap_or_default();
    if !["RS256", "PS256", "ES256"].contains(&algorithm) {
        return Err(format!("Client assertion has the algorithm '{algorithm}'."));
    }
    let now = Timestamp::now().as_second();
    if claims["exp"].as_i64().is_none_or(|expires| expires <= now) {
        return Err("Client assertion is not within its valid time range.".to_owned());
    }
    let audience = claims["aud"].as_str().unwrap_or_default();
    let claim = |name: &str| claims[name].as_str().unwrap_or_default();
    if claim("iss") != client {
        // Somebody else vouches for the client.
        return if audience == EXCHANGE && !claim("iss").is_empty() && !claim("sub").is_empty() {
            Ok(())
        } else {
            Err(format!(
                "No matching federated identity record found for presented assertion audience '{audience}'."
            ))
        };
    }
    // The client vouches for itself, with a certificate.
    if claim("sub") != client {
        return Err("Client assertion's subject is not the client.".to_owned());
    }
    if claim("jti").is_empty() {
        return Err("Client assertion has no 'jti'.".to_owned());
    }
    if header["x5t"].as_str().or_else(|| header["x5t#S256"].as_str()).is_none_or(str::is_empty) {
        return Err(
            "The certificate with identifier used to sign the client assertion is not registered.".to_owned()
        );
    }
    let tenant = names::TENANT;
    if ![format!("/{tenant}/oauth2/v2.0/token"), format!("/{tenant}/v2.0")]
        .iter()
        .any(|end| audience.ends_with(end.as_str()))
    {
        return Err(format!("Client assertion audience claim does not match: '{audience}'."));
    }
    Ok(())
}

fn decode(part: &str) -> Result<Value, String> {
    URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| "Client assertion is not a well-formed JWT.".to_owned())
}

fn refuse(status: u16, error: &str, code: u32, text: &str) -> Reply {
    let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
    let at = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"),
        "error_codes": [code], "timestamp": at, "trace_id": trace.to_string(), "correlation_id": correlation.to_string(),
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Reply::json(status, &body)
}

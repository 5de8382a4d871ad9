//! Who may use the file service: the account's key, which signs each request, or a token.
//!
//! Source: "Authorize with Shared Key" of the Azure Storage REST reference. The signature is really checked; the answer to a wrong
//! one says what text the service signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::{bad_header, detailed, error, missing_header};
use crate::azure::call::{Call, Reply, escape_xml};
use crate::azure::identity::{Audience, Refused};
use crate::azure::names;
use crate::azure::world::World;

/// Headers that are signed by their place.
const SIGNED: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];
/// The newest version of the service that is played.
const NEWEST: &str = "2026-12-31";
/// Tokens are taken since then.
const WITH_TOKENS: &str = "2022-11-02";
/// And for what is above directories and files, since then.
const TOKENS_FOR_ALL: &str = "2024-11-04";
const OPERATIONS: &str = "Microsoft.Storage/storageAccounts/fileServices";

/// Who signed a request, for the journal.
pub(in crate::azure) fn holder(call: &Call) -> Option<String> {
    let (account, _) = call.header("authorization")?.strip_prefix("SharedKey ")?.split_once(':')?;
    Some(format!("key of {account}"))
}

/// Checks a request.
pub(super) fn check(world: &World, call: &Call) -> Result<(), Reply> {
    let Some(authorization) = call.header("authorization") else {
        let message = "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
        return Err(error(401, "NoAuthenticationInformation", message).with("www-authenticate", challenge()));
    };
    let version = call.header("x-ms-version").ok_or_else(|| missing_header("x-ms-version"))?;
    let well_formed = version.len() == NEWEST.len() && version.parse::<jiff::civil::Date>().is_ok();
    if !well_formed || version > NEWEST {
        return Err(bad_header("x-ms-version", version));
    }
    match authorization.split_once(' ') {
        Some(("SharedKey", credential)) => shared_key(world, call, credential),
        Some(("Bearer", _)) => token(world, call, version),
        _ => Err(refuse_signature("The authorization header is malformed.")),
    }
}

fn token(world: &World, call: &Call, version: &str) -> Result<(), Reply> {
    world.identity.bearer(call, Audience::Storage).map_err(|refused| match refused {
        Refused::Missing | Refused::Unknown => refuse_token("IDX10223: The token is not one of this tenant."),
        Refused::Expired(_) => refuse_token("Lifetime validation failed. The token is expired."),
        Refused::Audience(_) => refuse_token("Audience validation failed. Audience did not match."),
    })?;
    if version < WITH_TOKENS {
        return Err(refuse_signature("Authentication scheme Bearer is not supported in this version."));
    }
    let above = call.query("restype") == Some("share")
        || (call.query("comp") == Some("list") && call.query("restype").is_none());
    if above && version < TOKENS_FOR_ALL {
        return Err(refuse_signature("Authentication scheme Bearer is not supported for this operation."));
    }
    if call.header("x-ms-file-request-intent").is_none() {
        return Err(missing_header("x-ms-file-request-intent"));
    }
    if call.header("x-ms-file-request-intent") != Some("backup") {
        return Err(bad_header(
            "x-ms-file-request-intent",
            call.header("x-ms-file-request-intent").unwrap_or_default(),
        ));
    }
    let (verb, semantics) = match call.method.as_str() {
        "GET" | "HEAD" => ("read", "readFileBackupSemantics"),
        "DELETE" => ("delete", "writeFileBackupSemantics"),
        _ => ("write", "writeFileBackupSemantics"),
    };
    let permitted = world.access.permits(&format!("{OPERATIONS}/fileShares/files/{verb}"))
        && world.access.permits(&format!("{OPERATIONS}/{semantics}/action"));
    if permitted { Ok(()) } else { Err(no_permission()) }
}

fn shared_key(world: &World, call: &Call, credential: &str) -> Result<(), Reply> {
    let date = call
        .header("x-ms-date")
        .or_else(|| call.header("date"))
        .ok_or_else(|| missing_header("x-ms-date"))?;
    let at = jiff::fmt::rfc2822::parse(date).map_err(|_| bad_header("x-ms-date", date))?.timestamp();
    if at.duration_since(Timestamp::now()).abs() > SignedDuration::from_mins(15) {
        return Err(refuse_signature(&format!("Request date header too old: '{date}'")));
    }
    let (account, signature) = credential
        .split_once(':')
        .ok_or_else(|| refuse_signature("The authorization header is malformed."))?;
    if account != names::STORAGE_ACCOUNT {
        return Err(refuse_signature(&format!("There is no account '{account}'.")));
    }
    let text = string_to_sign(account, call);
    let key = STANDARD.decode(&world.files.key).expect("the key is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length is taken");
    mac.update(text.as_bytes());
    let right = STANDARD.decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok());
    if right {
        return Ok(());
    }
    Err(refuse_signature(&format!(
        "The MAC signature found in the HTTP request '{signature}' is not the same as any computed signature. Server used \
         following string to sign: '{text}'."
    )))
}

fn string_to_sign(account: &str, call: &Call) -> String {
    let mut lines = vec![call.method.clone()];
    for name in SIGNED {
        let value = call.header(name).unwrap_or_default();
        // A length of zero is signed as nothing, and a date beside the service's own is not signed.
        let left_out = (name == "content-length" && value == "0")
            || (name == "date" && call.header("x-ms-date").is_some());
        lines.push(if left_out { String::new() } else { value.to_owned() });
    }
    let mut own: Vec<(&str, String)> = call
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
        .collect();
    own.sort_unstable();
    lines.extend(own.iter().map(|(name, value)| format!("{name}:{value}")));
    lines.push(format!("/{account}{}", call.path));
    let mut query: Vec<(String, &str)> =
        call.query.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    query.sort_unstable();
    lines.extend(query.iter().map(|(name, value)| format!("{name}:{value}")));
    lines.join("\n")
}

fn challenge() -> String {
    format!(
        "Bearer authorization_uri=https://login.microsoftonline.com/{}/oauth2/authorize resource_id=https://storage.azure.com",
        names::TENANT
    )
}

fn refuse_signature(detail: &str) -> Reply {
    let message = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly \
                   including the signature.";
    let details = format!("<AuthenticationErrorDetail>{}</AuthenticationErrorDetail>", escape_xml(detail));
    detailed(403, "AuthenticationFailed", message, &details)
}

pub(super) fn refuse_token(detail: &str) -> Reply {
    let message = "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
    let details = format!("<AuthenticationErrorDetail>{}</AuthenticationErrorDetail>", escape_xml(detail));
    detailed(401, "InvalidAuthenticationInfo", message, &details).with("www-authenticate", challenge())
}

pub(super) fn no_permission() -> Reply {
    let message = "This request is not authorized to perform this operation using this permission.";
    error(403, "AuthorizationPermissionMismatch", message)
}

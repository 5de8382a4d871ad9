//! ARM's errors: `{"error": {"code", "message"}}`.

use jiff::Timestamp;
use serde_json::json;

use crate::azure::call::{Call, Reply};
use crate::azure::identity::Principal;
use crate::azure::names;

/// An error with ARM's body.
pub(in crate::azure) fn fail(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// 404 for something inside a provider.
pub(in crate::azure) fn not_found(what: &str, name: &str) -> Reply {
    fail(404, "NotFound", &format!("{what} '{name}' does not exist"))
}

/// What a stale etag gets, with the status that the simulation was told.
pub(in crate::azure) fn conflict(status: u16, name: &str) -> Reply {
    let code = if status == 412 { "PreconditionFailed" } else { "Conflict" };
    fail(status, code, &format!("New version of resource '{name}' exists. Data was not saved"))
}

pub(super) fn unauthenticated(code: &str, message: &str) -> Reply {
    let challenge = format!(
        "Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", error=\"invalid_token\", \
         error_description=\"{message}\"",
        names::TENANT
    );
    fail(401, code, message).with("www-authenticate", challenge)
}

pub(super) fn expired(at: Timestamp) -> Reply {
    let now = Timestamp::now();
    unauthenticated(
        "ExpiredAuthenticationToken",
        &format!("The access token expiry UTC time '{at:.0}' is earlier than current UTC time '{now:.0}'."),
    )
}

pub(super) fn forbidden(caller: &Principal, action: &str, scope: &str) -> Reply {
    let (client, object) = (caller.client_id, caller.object_id);
    fail(
        403,
        "AuthorizationFailed",
        &format!(
            "The client '{client}' with object id '{object}' does not have authorization to perform action '{action}' over \
             scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
        ),
    )
}

pub(super) fn missing_version() -> Reply {
    fail(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )
}

pub(super) fn unknown_version(version: &str, supported: &[&str]) -> Reply {
    let supported = supported.join(", ");
    fail(
        400,
        "NoRegisteredProviderFound",
        &format!(
            "No registered resource provider found for API version '{version}'. The supported api-versions are '{supported}'."
        ),
    )
}

pub(super) fn unsupported_media(kind: &str) -> Reply {
    let message =
        format!("The content media type '{kind}' is not supported. Only 'application/json' is supported.");
    fail(415, "UnsupportedMediaType", &message)
}

pub(super) fn bad_content(why: &str) -> Reply {
    let message = format!("The request content was invalid and could not be deserialized: '{why}'.");
    fail(400, "InvalidRequestContent", &message)
}

pub(super) fn no_subscription(subscription: &str) -> Reply {
    let message = format!("The subscription '{subscription}' could not be found.");
    fail(404, "SubscriptionNotFound", &message)
}

pub(super) fn no_group(group: &str) -> Reply {
    fail(404, "ResourceGroupNotFound", &format!("Resource group '{group}' could not be found."))
}

pub(super) fn no_resource(name: &str, group: &str) -> Reply {
    let message = format!(
        "The Resource '{name}' under resource group '{group}' was not found. For more details please go to \
         https://aka.ms/ARMResourceNotFoundFix"
    );
    fail(404, "ResourceNotFound", &message)
}

pub(super) fn no_such_route(call: &Call) -> Reply {
    let message = format!("No route is played for {} {}.", call.method, call.path);
    fail(404, "InvalidResourceType", &message)
}

/// The error of a service that cannot serve.
pub(super) fn of_status(status: u16) -> Reply {
    let (code, message) = match status {
        408 => ("RequestTimeout", "The request timed out."),
        429 => ("TooManyRequests", "The request is being throttled."),
        500 => ("InternalServerError", "Encountered internal server error."),
        502 => ("BadGateway", "The gateway received a bad response."),
        503 => ("ServiceUnavailable", "The service is unavailable."),
        504 => ("GatewayTimeout", "The gateway did not receive a response within the specified time period."),
        _ => ("SimulatedFault", "This request was made to fail."),
    };
    fail(status, code, message)
}

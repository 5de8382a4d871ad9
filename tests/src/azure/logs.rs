//! Log Analytics: queries that tests gave an answer to, and `print`. Nothing here understands more of KQL.

use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{Call, Played, Reply};
use super::identity::{Audience, Refused};
use super::names;
use super::world::World;

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// A part of the query, and the body that it is answered with. The last one given comes first.
    canned: Vec<(String, Value)>,
}

impl Logs {
    pub(super) fn answer(&mut self, part: &str, body: Value) {
        self.canned.insert(0, (part.to_owned(), body));
    }
}

/// A body with one table.
pub(super) fn table(columns: &[(&str, &str)], rows: &[Value]) -> Value {
    let columns: Vec<Value> =
        columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]})
}

/// Plays a request.
pub(super) fn play(world: &World, call: &Call) -> Played {
    world.identity.bearer(call, Audience::Logs).map_err(|refused| match refused {
        Refused::Missing => fail(401, "AuthorizationRequiredError", "Valid authentication was not provided"),
        Refused::Unknown => fail(401, "InvalidTokenError", "Authorization token is invalid"),
        Refused::Expired(_) => expired_now(),
        Refused::Audience(_) => {
            fail(403, "InvalidTokenError", "The provided authentication is not valid for this resource")
        }
    })?;
    let ["v1", "workspaces", workspace, "query"] =
        call.segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return Err(fail(404, "PathNotFoundError", "The requested path does not exist"));
    };
    if workspace != names::CUSTOMER_ID {
        return Err(fail(404, "WorkspaceNotFoundError", "The workspace could not be found"));
    }
    if call.method != "POST" {
        return Err(fail(405, "MethodNotAllowed", "Only POST is played"));
    }
    if !world.access.permits("Microsoft.OperationalInsights/workspaces/query/read") {
        return Err(forbidden_now());
    }
    if !call.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(fail(415, "UnsupportedMediaType", "The body must be JSON"));
    }
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(query) = body["query"].as_str().filter(|query| !query.trim().is_empty()) else {
        return Err(fail(400, "BadArgumentError", "The request had some invalid properties"));
    };
    if let Some((_, answer)) = world.logs.canned.iter().find(|(part, _)| query.contains(part.as_str())) {
        return Ok(Reply::json(200, answer));
    }
    if let Some(printed) = query.trim().strip_prefix("print ") {
        return printed_row(printed).ok_or_else(|| unknown_table(printed));
    }
    Err(unknown_table(query))
}

/// The one row of `print name = value`, where the value is a number, a truth or text.
fn printed_row(printed: &str) -> Option<Reply> {
    let (name, value) =
        printed.split_once('=').map_or(("print_0", printed), |(name, value)| (name.trim(), value));
    let value: Value = serde_json::from_str(&value.trim().replace('\'', "\"")).ok()?;
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "long",
        Value::String(_) => "string",
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Reply::json(200, &table(&[(name, kind)], &[json!([value])])))
}

/// What a query for a table that is not there gets.
fn unknown_table(query: &str) -> Reply {
    let name = query.split_whitespace().next().unwrap_or_default();
    let message = format!("'where' operator: Failed to resolve table or column expression named '{name}'");
    Reply::json(
        400,
        &json!({"error": {
            "message": "The request had some invalid properties", "code": "BadArgumentError",
            "correlationId": Uuid::new_v4().to_string(),
            "innererror": {
                "code": "SemanticError", "message": "A semantic error occurred.",
                "innererror": {"code": "SEM0100", "message": message},
            },
        }}),
    )
}

fn fail(status: u16, code: &str, message: &str) -> Reply {
    let correlation = Uuid::new_v4().to_string();
    Reply::json(status, &json!({"error": {"message": message, "code": code, "correlationId": correlation}}))
}

/// The error of a service that cannot serve.
pub(super) fn fault(status: u16) -> Reply {
    let code = if status == 429 { "ThrottledError" } else { "InternalServerError" };
    fail(status, code, "The service cannot serve this request now")
}

/// The reply to a token that has just expired.
pub(super) fn expired_now() -> Reply {
    fail(401, "InvalidTokenError", "The access token is expired")
}

/// The reply to a role that is missing.
pub(super) fn forbidden_now() -> Reply {
    fail(
        403,
        "InsufficientAccessError",
        "The provided credentials have insufficient access to perform the requested operation",
    )
}

//! What was asked, in order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Plane;
use super::call::Call;

/// Headers whose value nobody should see.
const SECRET_HEADERS: [&str; 2] = ["secret", "x-identity-header"];
/// Fields of a form whose value nobody should see.
const SECRET_FIELDS: [&str; 2] = ["client_secret", "client_assertion"];

/// One request and what became of it. Secrets are `***`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which request it is, counted from zero, also over what was forgotten.
    pub number: usize,
    /// When it came, by the simulation's clock.
    pub at: Timestamp,
    /// The service that it was for.
    pub plane: Plane,
    /// `GET`, `PUT`…
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; a form as an object; anything else as null.
    pub body: Value,
    /// How many bytes the body had.
    pub length: usize,
    /// Who asked: the name of the identity or `key of <account>`. None when that is not known.
    pub principal: Option<String>,
    /// The status answered; none when no answer was sent (yet).
    pub status: Option<u16>,
}

impl Entry {
    pub(super) fn new(
        number: usize,
        call: &Call,
        plane: Plane,
        at: Timestamp,
        principal: Option<String>,
    ) -> Self {
        let headers = call.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), without_secret(name.as_str(), &value))
        });
        Self {
            number,
            at,
            plane,
            method: call.method.clone(),
            path: format!("/{}", call.segments.join("/")),
            query: call.query.clone(),
            headers: headers.collect(),
            body: body(call),
            length: call.body.len(),
            principal,
            status: None,
        }
    }

    /// The value of a parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `PUT /path`: enough for a list of what was asked.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn without_secret(name: &str, value: &str) -> String {
    if SECRET_HEADERS.contains(&name) {
        return "***".to_owned();
    }
    if name != "authorization" {
        return value.to_owned();
    }
    let (scheme, credential) = value.split_once(' ').unwrap_or(("", value));
    match credential.split_once(':') {
        Some((account, _)) => format!("{scheme} {account}:***"),
        None => format!("{scheme} ***"),
    }
}

fn body(call: &Call) -> Value {
    if call.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        let fields = call.form().into_iter().map(|(name, value)| {
            let secret = SECRET_FIELDS.contains(&name.as_str());
            (name, Value::String(if secret { "***".to_owned() } else { value }))
        });
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    // What is no JSON is a range of a file; its length says enough.
    serde_json::from_slice(&call.body).unwrap_or_default()
}

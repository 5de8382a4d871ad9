//! Microsoft Sentinel: incidents with their entities, alerts, bookmarks, comments and tasks.
//!
//! Every write to an incident gives it a new etag and a new `lastModifiedTimeUtc`; comments and tasks are writes too.

mod comments;
mod list;
mod tasks;
mod update;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::arm::{Arm, fail, not_found};
use super::call::{Played, Reply};
use super::clock::stamp;
use super::names;
use super::world::World;

/// The stable versions of the public specification that have what is played here.
const VERSIONS: [&str; 14] = [
    "2020-01-01",
    "2021-04-01",
    "2021-10-01",
    "2022-08-01",
    "2022-11-01",
    "2023-02-01",
    "2023-11-01",
    "2024-03-01",
    "2024-09-01",
    "2025-03-01",
    "2025-06-01",
    "2025-07-01-preview",
    "2025-09-01",
    "2025-12-01",
];
/// Entities came with the second version.
const WITH_ENTITIES: &[&str] = VERSIONS.split_at(1).1;
const INCIDENTS: &str = "Microsoft.SecurityInsights/incidents";

/// An incident and what hangs on it.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    pub(super) workspace: String,
    pub(super) body: Value,
    entities: Value,
    alerts: Value,
    bookmarks: Value,
    /// In the order in which they were first written.
    pub(super) comments: Vec<Value>,
    pub(super) tasks: Vec<Value>,
}

impl Incident {
    fn is(&self, workspace: &str, name: &str) -> bool {
        self.workspace.eq_ignore_ascii_case(workspace) && self.is_named(name)
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.body["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    }

    fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    /// What every write does.
    pub(super) fn touch(&mut self, at: &str) {
        self.body["etag"] = Value::String(format!("\"{}\"", etag()));
        self.body["properties"]["lastModifiedTimeUtc"] = Value::String(at.to_owned());
        let comments = self.comments.len();
        let additional = &mut self.body["properties"]["additionalData"];
        if !additional.is_object() {
            *additional =
                json!({"alertsCount": 0, "bookmarksCount": 0, "alertProductNames": [], "tactics": []});
        }
        additional["commentsCount"] = Value::from(comments);
    }
}

/// A new etag, in the form that they have.
fn etag() -> String {
    let id = Uuid::new_v4().simple().to_string();
    let (first, rest) = id.split_at(8);
    format!("{first}-0000-0100-0000-{}0000", rest.split_at(8).0)
}

/// All incidents.
#[derive(Debug)]
pub(super) struct Sentinel {
    pub(super) workspaces: Vec<String>,
    pub(super) incidents: Vec<Incident>,
    /// The status of a write with a stale etag.
    pub(super) conflict: u16,
}

impl Sentinel {
    pub(super) fn new() -> Self {
        Self { workspaces: vec![names::workspace_id()], incidents: Vec::new(), conflict: 409 }
    }

    /// Takes an incident in, as a bundle.
    pub(super) fn seed(&mut self, bundle: &Value) {
        let mut body = bundle["incident"].clone();
        let id = body["id"].as_str().expect("an incident has an id");
        let name = body["name"].as_str().expect("an incident has a name");
        let workspace =
            id.to_lowercase().find("/providers/microsoft.securityinsights/").map(|end| id[..end].to_owned());
        let workspace = workspace.expect("an incident's id has a workspace");
        assert!(!self.incidents.iter().any(|known| known.is(&workspace, name)), "two incidents {name}");
        if !body["etag"].is_string() {
            body["etag"] = Value::String(format!("\"{}\"", etag()));
        }
        if !self.workspaces.iter().any(|known| known.eq_ignore_ascii_case(&workspace)) {
            self.workspaces.push(workspace.clone());
        }
        let or = |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
        self.incidents.push(Incident {
            workspace,
            body,
            entities: or(&bundle["entities"], json!({"entities": [], "metaData": []})),
            alerts: or(&bundle["alerts"], json!({"value": []})),
            bookmarks: or(&bundle["bookmarks"], json!({"value": []})),
            comments: Vec::new(),
            tasks: Vec::new(),
        });
    }

    pub(super) fn named(&self, name: &str) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.is_named(name))
    }

    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut Incident> {
        self.incidents.iter_mut().find(|incident| incident.is_named(name))
    }

    /// Changes an incident as somebody else would.
    pub(super) fn edit(&mut self, name: &str, at: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
        let incident = self.named_mut(name).unwrap_or_else(|| panic!("no incident {name}"));
        edit(incident.body["properties"].as_object_mut().expect("an incident has properties"));
        incident.touch(at);
    }

    /// Writes a comment as somebody else would.
    pub(super) fn comment(&mut self, name: &str, at: &str, author: &str, message: &str) {
        let incident = self.named_mut(name).unwrap_or_else(|| panic!("no incident {name}"));
        let id = Uuid::new_v4().to_string();
        let comment = comments::comment(incident, &id, message, at, &json!({"name": author, "email": null}));
        incident.comments.push(comment);
        incident.touch(at);
    }
}

/// Plays a request below `…/providers/Microsoft.SecurityInsights`. `inner` is folded.
pub(super) fn play(world: &mut World, arm: &Arm<'_>, workspace: &str, inner: &[&str]) -> Played {
    let method = arm.call.method.as_str();
    // Names are taken as they were written.
    let written = &arm.call.segments[arm.call.segments.len() - inner.len()..];
    let named = |index: usize| written.get(index).map(String::as_str).unwrap_or_default();
    match inner {
        ["incidents"] if method == "GET" => {
            check(world, arm, &VERSIONS, "read")?;
            list::list(world, arm.call, workspace)
        }
        ["incidents", _] => match method {
            "GET" => {
                check(world, arm, &VERSIONS, "read")?;
                Ok(Reply::json(200, &find(world, workspace, named(1))?.body))
            }
            "PUT" => {
                check(world, arm, &VERSIONS, "write")?;
                update::put(world, arm, workspace, named(1))
            }
            "DELETE" => {
                check(world, arm, &VERSIONS, "delete")?;
                let before = world.sentinel.incidents.len();
                world.sentinel.incidents.retain(|incident| !incident.is(workspace, named(1)));
                Ok(Reply::empty(if world.sentinel.incidents.len() < before { 200 } else { 204 }))
            }
            _ => Err(no_method(arm)),
        },
        ["incidents", _, what @ ("entities" | "alerts" | "bookmarks")] if method == "POST" => {
            check(world, arm, WITH_ENTITIES, &format!("{what}/action"))?;
            let incident = find(world, workspace, named(1))?;
            Ok(Reply::json(
                200,
                match *what {
                    "entities" => &incident.entities,
                    "alerts" => &incident.alerts,
                    _ => &incident.bookmarks,
                },
            ))
        }
        ["incidents", _, "comments", rest @ ..] => {
            let name = rest.first().map(|_| named(3));
            comments::play(world, arm, workspace, named(1), name)
        }
        ["incidents", _, "tasks", rest @ ..] => {
            tasks::play(world, arm, workspace, named(1), rest.first().map(|_| named(3)))
        }
        _ => Err(no_method(arm)),
    }
}

fn check(world: &World, arm: &Arm<'_>, versions: &[&str], action: &str) -> Result<(), Reply> {
    arm.version(versions)?;
    arm.may(world, &format!("{INCIDENTS}/{action}"), &arm.call.path)
}

fn find<'a>(world: &'a World, workspace: &str, name: &str) -> Result<&'a Incident, Reply> {
    world
        .sentinel
        .incidents
        .iter()
        .find(|incident| incident.is(workspace, name))
        .ok_or_else(|| not_found("Incident", name))
}

fn find_mut<'a>(world: &'a mut World, workspace: &str, name: &str) -> Result<&'a mut Incident, Reply> {
    world
        .sentinel
        .incidents
        .iter_mut()
        .find(|incident| incident.is(workspace, name))
        .ok_or_else(|| not_found("Incident", name))
}

fn now(world: &World) -> String {
    stamp(world.clock.now())
}

fn bad_request(message: &str) -> Reply {
    fail(400, "BadRequest", message)
}

fn no_method(arm: &Arm<'_>) -> Reply {
    let message = format!("The requested resource does not support {} {}.", arm.call.method, arm.call.path);
    fail(405, "HttpMethodNotAllowed", &message)
}

/// Who is said to have written something.
fn author(arm: &Arm<'_>) -> Value {
    let caller = &arm.caller;
    json!({"name": caller.name, "objectId": caller.object_id, "email": null, "userPrincipalName": null})
}

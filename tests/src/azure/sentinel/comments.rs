//! Comments. Their ids are the client's; a second write to an id replaces the first.

use serde_json::{Value, json};

use super::{Incident, VERSIONS, author, bad_request, check, etag, find, find_mut, no_method, now};
use crate::azure::arm::{Arm, conflict, fail, not_found};
use crate::azure::call::{Played, Reply};
use crate::azure::paging::{self, Page};
use crate::azure::world::World;

const MOST_CHARACTERS: usize = 30_000;
const MOST_COMMENTS: usize = 100;
const PER_PAGE: usize = 50;

pub(super) fn play(
    world: &mut World,
    arm: &Arm<'_>,
    workspace: &str,
    incident: &str,
    name: Option<&str>,
) -> Played {
    match (arm.call.method.as_str(), name) {
        ("GET", None) => {
            check(world, arm, &VERSIONS, "comments/read")?;
            // The newest first.
            let all: Vec<Value> = find(world, workspace, incident)?.comments.iter().rev().cloned().collect();
            let top = arm.call.query("$top").and_then(|top| top.parse().ok());
            let size = top.or(world.page_size).unwrap_or(PER_PAGE);
            paging::by_offset(world, arm.call, all, Page { size, parameter: "$skipToken" })
        }
        ("GET", Some(name)) => {
            check(world, arm, &VERSIONS, "comments/read")?;
            let found = find(world, workspace, incident)?.comments.iter().find(|comment| is(comment, name));
            found.map(|comment| Reply::json(200, comment)).ok_or_else(|| not_found("Comment", name))
        }
        ("PUT", Some(name)) => {
            check(world, arm, &VERSIONS, "comments/write")?;
            put(world, arm, workspace, incident, name)
        }
        ("DELETE", Some(name)) => {
            check(world, arm, &VERSIONS, "comments/delete")?;
            let at = now(world);
            let incident = find_mut(world, workspace, incident)?;
            let before = incident.comments.len();
            incident.comments.retain(|comment| !is(comment, name));
            if incident.comments.len() == before {
                return Ok(Reply::empty(204));
            }
            incident.touch(&at);
            Ok(Reply::empty(200))
        }
        _ => Err(no_method(arm)),
    }
}

fn put(world: &mut World, arm: &Arm<'_>, workspace: &str, incident: &str, name: &str) -> Played {
    let request = arm.body()?;
    let at = now(world);
    let stale = world.sentinel.conflict;
    let incident = find_mut(world, workspace, incident)?;
    let message = match request["properties"]["message"].as_str() {
        Some(message) if !message.trim().is_empty() => message,
        _ => return Err(bad_request("'Message' must have a non-empty value.")),
    };
    let length = message.chars().count();
    if length > MOST_CHARACTERS {
        return Err(bad_request(&format!(
            "The length of 'Message' must be {MOST_CHARACTERS} characters or fewer. You entered {length} characters."
        )));
    }
    let mut comment = comment(incident, name, message, &at, &author(arm));
    let Some(index) = incident.comments.iter().position(|comment| is(comment, name)) else {
        if incident.comments.len() >= MOST_COMMENTS {
            return Err(bad_request(&format!("An incident can have at most {MOST_COMMENTS} comments.")));
        }
        incident.comments.push(comment.clone());
        incident.touch(&at);
        return Ok(Reply::json(201, &comment));
    };
    let known = &incident.comments[index];
    if request["etag"].as_str().is_some_and(|etag| known["etag"] != *etag) {
        return Err(conflict(stale, name));
    }
    if known["properties"]["author"]["objectId"] != comment["properties"]["author"]["objectId"] {
        return Err(fail(403, "Forbidden", "Only the author of a comment can edit it."));
    }
    comment["properties"]["createdTimeUtc"] = known["properties"]["createdTimeUtc"].clone();
    incident.comments[index] = comment.clone();
    incident.touch(&at);
    Ok(Reply::json(200, &comment))
}

/// A comment as the service gives it. Its etag has no quotes.
pub(super) fn comment(incident: &Incident, name: &str, message: &str, at: &str, author: &Value) -> Value {
    json!({
        "id": format!("{}/comments/{name}", incident.id()), "name": name, "type": "Microsoft.SecurityInsights/incidents/comments",
        "etag": etag(),
        "properties": {"message": message, "createdTimeUtc": at, "lastModifiedTimeUtc": at, "author": author},
    })
}

fn is(comment: &Value, name: &str) -> bool {
    comment["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
}

//! Tasks of an incident.

use serde_json::{Value, json};

use super::{author, bad_request, check, etag, find, find_mut, no_method, now};
use crate::azure::arm::{Arm, conflict, not_found};
use crate::azure::call::{Played, Reply};
use crate::azure::paging::{self, Page};
use crate::azure::world::World;

/// Tasks are stable since then.
const VERSIONS: [&str; 8] = [
    "2025-01-01-preview",
    "2025-03-01",
    "2025-06-01",
    "2025-04-01-preview",
    "2025-07-01-preview",
    "2025-09-01",
    "2025-10-01-preview",
    "2025-12-01",
];
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
            check(world, arm, &VERSIONS, "tasks/read")?;
            let all = find(world, workspace, incident)?.tasks.clone();
            let size = world.page_size.unwrap_or(PER_PAGE);
            paging::by_offset(world, arm.call, all, Page { size, parameter: "$skipToken" })
        }
        ("GET", Some(name)) => {
            check(world, arm, &VERSIONS, "tasks/read")?;
            let found = find(world, workspace, incident)?.tasks.iter().find(|task| is(task, name));
            found.map(|task| Reply::json(200, task)).ok_or_else(|| not_found("Task", name))
        }
        ("PUT", Some(name)) => {
            check(world, arm, &VERSIONS, "tasks/write")?;
            put(world, arm, workspace, incident, name)
        }
        ("DELETE", Some(name)) => {
            check(world, arm, &VERSIONS, "tasks/delete")?;
            let at = now(world);
            let incident = find_mut(world, workspace, incident)?;
            let before = incident.tasks.len();
            incident.tasks.retain(|task| !is(task, name));
            if incident.tasks.len() == before {
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
    let wanted = &request["properties"];
    let Some(title) = wanted["title"].as_str().filter(|title| !title.trim().is_empty()) else {
        return Err(bad_request("'Title' must have a non-empty value."));
    };
    let Some(status) = wanted["status"].as_str().filter(|status| ["New", "Completed"].contains(status))
    else {
        return Err(bad_request("'Status' must be 'New' or 'Completed'."));
    };
    let known = incident.tasks.iter().position(|task| is(task, name));
    let before = known.map(|index| &incident.tasks[index]);
    if let (Some(before), Some(etag)) = (before, request["etag"].as_str())
        && before["etag"] != *etag
    {
        return Err(conflict(stale, name));
    }
    let created = before.map_or_else(|| json!(at), |task| task["properties"]["createdTimeUtc"].clone());
    let created_by = before.map_or_else(|| author(arm), |task| task["properties"]["createdBy"].clone());
    let task = json!({
        "id": format!("{}/tasks/{name}", incident.id()), "name": name, "type": "Microsoft.SecurityInsights/incidents/tasks",
        "etag": format!("\"{}\"", etag()),
        "properties": {
            "title": title, "description": wanted["description"], "status": status, "createdTimeUtc": created,
            "lastModifiedTimeUtc": at, "createdBy": created_by, "lastModifiedBy": author(arm),
        },
    });
    let answer = if let Some(index) = known {
        incident.tasks[index] = task.clone();
        200
    } else {
        incident.tasks.push(task.clone());
        201
    };
    incident.touch(&at);
    Ok(Reply::json(answer, &task))
}

fn is(task: &Value, name: &str) -> bool {
    task["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
}

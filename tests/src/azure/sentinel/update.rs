//! The update of an incident: a full replace. What a client leaves out is gone.

use serde_json::{Value, json};

use super::{Incident, bad_request, find, now};
use crate::azure::arm::{Arm, conflict};
use crate::azure::call::{Played, Reply};
use crate::azure::world::World;

const SEVERITIES: [&str; 4] = ["High", "Medium", "Low", "Informational"];
const STATUSES: [&str; 3] = ["New", "Active", "Closed"];
const CLASSIFICATIONS: [&str; 4] = ["Undetermined", "TruePositive", "BenignPositive", "FalsePositive"];
const REASONS: [&str; 4] =
    ["SuspiciousActivity", "SuspiciousButExpected", "IncorrectAlertLogic", "InaccurateData"];
/// What only the service writes; in a request it is ignored.
const READ_ONLY: [&str; 7] = [
    "createdTimeUtc",
    "incidentNumber",
    "incidentUrl",
    "providerName",
    "providerIncidentId",
    "relatedAnalyticRuleIds",
    "additionalData",
];
const OPTIONAL: [&str; 6] = [
    "description",
    "classification",
    "classificationReason",
    "classificationComment",
    "firstActivityTimeUtc",
    "lastActivityTimeUtc",
];

pub(super) fn put(world: &mut World, arm: &Arm<'_>, workspace: &str, name: &str) -> Played {
    let request = arm.body()?;
    let wanted = &request["properties"];
    if !wanted.is_object() {
        return Err(bad_request("'Properties' must not be empty."));
    }
    let existing = find(world, workspace, name).ok();
    if let (Some(known), Some(etag)) = (existing, request["etag"].as_str())
        && known.body["etag"] != *etag
    {
        return Err(conflict(world.sentinel.conflict, name));
    }
    let mut properties = writable(wanted)?;
    let at = now(world);
    if let Some(known) = existing {
        for key in READ_ONLY {
            properties[key] = known.body["properties"][key].clone();
        }
    } else {
        let number = next_number(&world.sentinel.incidents);
        properties["createdTimeUtc"] = Value::String(at.clone());
        properties["incidentNumber"] = Value::from(number);
        properties["providerName"] = json!("Azure Sentinel");
        properties["providerIncidentId"] = Value::String(number.to_string());
        properties["relatedAnalyticRuleIds"] = json!([]);
    }
    let status = if existing.is_some() { 200 } else { 201 };
    if existing.is_none() {
        let id = format!("{workspace}/providers/Microsoft.SecurityInsights/incidents/{name}");
        world.sentinel.seed(&json!({"incident": {
            "id": id, "name": name, "type": "Microsoft.SecurityInsights/incidents", "properties": {},
        }}));
    }
    let incident = super::find_mut(world, workspace, name)?;
    incident.body["properties"] = properties;
    incident.touch(&at);
    Ok(Reply::json(status, &incident.body))
}

/// What a client may write, checked; what it left out as the service has it then.
fn writable(wanted: &Value) -> Result<Value, Reply> {
    let mut properties = json!({
        "title": needed(wanted, "title", "Title")?,
        "severity": one_of(wanted, "severity", "Severity", &SEVERITIES)?,
        "status": one_of(wanted, "status", "Status", &STATUSES)?,
    });
    if wanted["classification"].is_string() {
        one_of(wanted, "classification", "Classification", &CLASSIFICATIONS)?;
    }
    if wanted["classificationReason"].is_string() {
        one_of(wanted, "classificationReason", "ClassificationReason", &REASONS)?;
    }
    for key in OPTIONAL {
        if !wanted[key].is_null() {
            properties[key] = wanted[key].clone();
        }
    }
    let owner = |key: &str| wanted["owner"][key].clone();
    properties["owner"] = json!({
        "objectId": owner("objectId"), "email": owner("email"), "assignedTo": owner("assignedTo"),
        "userPrincipalName": owner("userPrincipalName"),
    });
    let labels = wanted["labels"].as_array().cloned().unwrap_or_default();
    let labels = labels.iter().map(|label| match label["labelName"].as_str() {
        None | Some("") => Err(bad_request("'LabelName' must have a non-empty value.")),
        Some(name) => Ok(json!({"labelName": name, "labelType": "User"})),
    });
    properties["labels"] = Value::Array(labels.collect::<Result<_, _>>()?);
    Ok(properties)
}

fn needed<'a>(wanted: &'a Value, key: &str, shown: &str) -> Result<&'a str, Reply> {
    match wanted[key].as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(bad_request(&format!("'{shown}' must have a non-empty value."))),
    }
}

fn one_of<'a>(wanted: &'a Value, key: &str, shown: &str, known: &[&str]) -> Result<&'a str, Reply> {
    let value = needed(wanted, key, shown)?;
    if known.contains(&value) {
        return Ok(value);
    }
    Err(bad_request(&format!("Error converting value '{value}' to '{shown}'.")))
}

fn next_number(incidents: &[Incident]) -> u64 {
    let numbers =
        incidents.iter().filter_map(|incident| incident.body["properties"]["incidentNumber"].as_u64());
    numbers.max().unwrap_or(0) + 1
}

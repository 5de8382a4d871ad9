//! An incident as the service gave it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::id::{IncidentName, ParseError, last_segment};

/// An incident, raw and complete. What cannot be read is absent, never a guess.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incident(Value);

/// The properties that only the service writes; sent back they are ignored or refused.
pub const READ_ONLY: [&str; 8] = [
    "additionalData",
    "createdTimeUtc",
    "lastModifiedTimeUtc",
    "incidentNumber",
    "incidentUrl",
    "providerName",
    "providerIncidentId",
    "relatedAnalyticRuleIds",
];

impl From<Value> for Incident {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Incident {
    /// The Resource Manager's id.
    pub fn id(&self) -> &str {
        self.0.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The incident's own part of its id: what the service names it, or the id's last segment.
    pub fn name(&self) -> Result<IncidentName, ParseError> {
        let named = self.0.get("name").and_then(Value::as_str);
        IncidentName::parse(named.unwrap_or_else(|| last_segment(self.id())))
    }

    /// The version of what was read, for a write that must not overwrite another's.
    pub fn etag(&self) -> Option<&str> {
        self.0.get("etag").and_then(Value::as_str)
    }

    /// The number that people see.
    pub fn number(&self) -> Option<u64> {
        self.property("incidentNumber")?.as_u64()
    }

    /// The number or id that the product behind it gave to it.
    pub fn provider_id(&self) -> Option<&str> {
        self.text("providerIncidentId")
    }

    /// Written by whoever caused the alert: hostile.
    pub fn title(&self) -> &str {
        self.text("title").unwrap_or_default()
    }

    /// Written by whoever caused the alert: hostile.
    pub fn description(&self) -> &str {
        self.text("description").unwrap_or_default()
    }

    /// `High`, `Medium`, `Low`, `Informational`, or what the service has since.
    pub fn severity(&self) -> &str {
        self.text("severity").unwrap_or_default()
    }

    /// `New`, `Active`, `Closed`, or what the service has since.
    pub fn status(&self) -> &str {
        self.text("status").unwrap_or_default()
    }

    /// Whether it is closed, by hand or by a merge.
    pub fn is_closed(&self) -> bool {
        self.status().eq_ignore_ascii_case("closed")
    }

    /// When it was made.
    pub fn created(&self) -> Option<Timestamp> {
        time(self.created_text()?)
    }

    /// As it was written, with all digits.
    pub fn created_text(&self) -> Option<&str> {
        self.text("createdTimeUtc")
    }

    /// When anything about it changed, our own comments included.
    pub fn last_modified(&self) -> Option<Timestamp> {
        time(self.last_modified_text()?)
    }

    /// As it was written, with all digits.
    pub fn last_modified_text(&self) -> Option<&str> {
        self.text("lastModifiedTimeUtc")
    }

    /// When something last happened in it; when it was made, if the service does not say. Our own writes do not move it.
    pub fn last_activity(&self) -> Option<Timestamp> {
        time(self.last_activity_text()?)
    }

    /// As it was written, with all digits.
    pub fn last_activity_text(&self) -> Option<&str> {
        self.text("lastActivityTimeUtc").or_else(|| self.created_text())
    }

    /// When something first happened in it.
    pub fn first_activity(&self) -> Option<Timestamp> {
        time(self.text("firstActivityTimeUtc")?)
    }

    /// The names of its labels.
    pub fn labels(&self) -> Vec<&str> {
        let labels = self.property("labels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        labels.iter().filter_map(|label| label.get("labelName")?.as_str()).collect()
    }

    /// ATT&CK tactics.
    pub fn tactics(&self) -> Vec<&str> {
        texts(self.additional("tactics"))
    }

    /// ATT&CK techniques.
    pub fn techniques(&self) -> Vec<&str> {
        texts(self.additional("techniques"))
    }

    /// The products whose alerts it holds.
    pub fn products(&self) -> Vec<&str> {
        texts(self.additional("alertProductNames"))
    }

    /// The Resource Manager's ids of the rules that made it.
    pub fn rule_ids(&self) -> Vec<&str> {
        texts(self.property("relatedAnalyticRuleIds"))
    }

    /// Who works on it: the address, else the name or the id.
    pub fn owner(&self) -> Option<&str> {
        let owner = self.property("owner")?;
        ["email", "userPrincipalName", "assignedTo", "objectId"]
            .iter()
            .filter_map(|key| owner.get(key)?.as_str())
            .find(|text| !text.is_empty())
    }

    /// The number of the incident that this one was merged into.
    pub fn merged_into(&self) -> Option<u64> {
        match self.additional("mergedIncidentNumber")? {
            Value::String(text) => text.trim().parse().ok(),
            number => number.as_u64(),
        }
    }

    /// The address of the incident that this one was merged into, in the portal.
    pub fn merged_into_url(&self) -> Option<&str> {
        self.additional("mergedIncidentUrl")?.as_str().filter(|url| !url.is_empty())
    }

    /// Whether it was merged into another one.
    pub fn is_merged(&self) -> bool {
        self.merged_into().is_some() || self.merged_into_url().is_some()
    }

    /// Its address in the portal.
    pub fn url(&self) -> Option<&str> {
        self.text("incidentUrl")
    }

    /// What the service says is in it, by name: `alertsCount`, `bookmarksCount`, `commentsCount`.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.additional(name)?.as_u64()
    }

    /// One of its properties, raw.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.0.get("properties")?.get(name).filter(|value| !value.is_null())
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// All of it.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The body of a write that changes nothing: the etag and all properties but those that only the service writes. Change
    /// what is to be changed and give it to [`Sentinel::put_incident`](super::Sentinel::put_incident).
    pub fn to_update(&self) -> Value {
        let mut properties = match self.0.get("properties") {
            Some(Value::Object(properties)) => properties.clone(),
            _ => Map::new(),
        };
        properties.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
        // The kind of a label is the service's to say.
        if let Some(Value::Array(labels)) = properties.get_mut("labels") {
            for label in labels.iter_mut().filter_map(Value::as_object_mut) {
                label.remove("labelType");
            }
        }
        let mut body = json!({ "properties": properties });
        if let Some(etag) = self.0.get("etag") {
            body["etag"] = etag.clone();
        }
        body
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.property(name)?.as_str()
    }

    fn additional(&self, name: &str) -> Option<&Value> {
        self.property("additionalData")?.get(name).filter(|value| !value.is_null())
    }
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str).collect()
}

/// The service writes up to seven digits of a second and a `Z`, and sometimes forgets the `Z`.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(properties: &Value) -> Incident {
        Incident::from(json!({
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w/providers/\
                   Microsoft.SecurityInsights/Incidents/73e01a99-5cd7-4139-a149-9f2736ff2ab5",
            "name": "73e01a99-5cd7-4139-a149-9f2736ff2ab5",
            "etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
            "properties": properties,
        }))
    }

    #[test]
    fn what_the_service_says_is_read() {
        let incident = incident(&json!({
            "title": "t", "severity": "High", "status": "Closed", "incidentNumber": 3177,
            "createdTimeUtc": "2019-01-01T13:15:30.1234567Z", "lastActivityTimeUtc": "2019-01-01T13:05:30",
            "labels": [{"labelName": "a", "labelType": "User"}, {"labelName": "b"}],
            "owner": {"objectId": "o", "email": null, "assignedTo": "john doe"},
            "relatedAnalyticRuleIds": ["/rules/1"],
            "additionalData": {"alertsCount": 2, "alertProductNames": ["p"], "tactics": ["Persistence"],
                               "mergedIncidentNumber": "12"},
        }));
        assert_eq!(incident.number(), Some(3177));
        assert!(incident.is_closed() && incident.is_merged());
        assert_eq!(incident.merged_into(), Some(12));
        assert_eq!(
            incident.created().map(|time| time.to_string()).as_deref(),
            Some("2019-01-01T13:15:30.1234567Z")
        );
        assert_eq!(
            incident.last_activity().map(|time| time.to_string()).as_deref(),
            Some("2019-01-01T13:05:30Z")
        );
        assert_eq!(incident.labels(), ["a", "b"]);
        assert_eq!(incident.owner(), Some("john doe"));
        assert_eq!((incident.tactics(), incident.products()), (vec!["Persistence"], vec!["p"]));
        assert_eq!((incident.rule_ids(), incident.count("alertsCount")), (vec!["/rules/1"], Some(2)));
    }

    #[test]
    fn activity_is_creation_where_the_service_is_silent() {
        let incident =
            incident(&json!({"createdTimeUtc": "2019-01-01T13:15:30Z", "lastActivityTimeUtc": null}));
        assert_eq!(incident.last_activity(), incident.created());
        assert!(incident.created().is_some());
    }

    #[test]
    fn a_body_of_any_shape_panics_nowhere() {
        for value in
            [json!(null), json!([]), json!({"properties": 3}), json!({"properties": {"labels": {"a": 1}}})]
        {
            let incident = Incident::from(value);
            assert_eq!((incident.title(), incident.labels().len(), incident.number()), ("", 0, None));
            assert!(incident.name().is_err());
            assert!(incident.to_update()["properties"].is_object());
        }
    }

    #[test]
    fn an_update_keeps_all_that_can_be_written_and_nothing_else() {
        let incident = incident(&json!({
            "title": "t", "severity": "Low", "status": "Active", "description": "d", "owner": {"objectId": "o"},
            "labels": [{"labelName": "a", "labelType": "AutoAssigned"}], "classification": "TruePositive",
            "firstActivityTimeUtc": "x", "aNewOne": {"kept": true},
            "incidentNumber": 1, "createdTimeUtc": "x", "lastModifiedTimeUtc": "x", "additionalData": {},
            "incidentUrl": "u", "relatedAnalyticRuleIds": [], "providerName": "p", "providerIncidentId": "1",
        }));
        assert_eq!(
            incident.to_update(),
            json!({
                "etag": "\"0300bf09-0000-0000-0000-5c37296e0000\"",
                "properties": {
                    "title": "t", "severity": "Low", "status": "Active", "description": "d",
                    "owner": {"objectId": "o"}, "labels": [{"labelName": "a"}], "classification": "TruePositive",
                    "firstActivityTimeUtc": "x", "aNewOne": {"kept": true},
                },
            })
        );
    }
}

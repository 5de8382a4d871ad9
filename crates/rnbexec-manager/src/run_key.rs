//! The identity of one triage: the same key, the same work.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Which triage of which incident this is: the incident, its last *activity*, the notebook and its parameters.
///
/// Not its last modification: our own comment modifies an incident, and a manager would triage itself for ever. The
/// place of the published notebook derives from the key, so that whoever does the same work again, on whichever machine,
/// overwrites instead of adding; what is added to the incident has an id of the incident and its activity
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunKey(String);

/// How many hexadecimal digits a key has.
const DIGITS: usize = 32;

/// What comment ids and task ids are derived within.
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1c_3f0e_52b4_4d0a_9a6e_1f3c_8e77_b201);

impl RunKey {
    /// The key of triaging the incident with this ARM id (compared without case), as of its last activity, with a notebook
    /// of this content and these parameters.
    pub fn derive(incident_id: &str, activity: Option<Timestamp>, notebook: &[u8], parameters: &str) -> Self {
        let mut digest = Sha256::new();
        let activity = activity.map(|time| time.to_string()).unwrap_or_default();
        let notebook = Sha256::digest(notebook);
        for part in
            [incident_id.to_lowercase().as_bytes(), activity.as_bytes(), &notebook, parameters.as_bytes()]
        {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(hex(&digest.finalize()).chars().take(DIGITS).collect())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of what a triage adds to the incident with this ARM id (compared without case), as of its last activity, under `name`
/// (`comment`, `task 0`). Always the same, so that adding it again replaces it: also when it is triaged again with another
/// notebook, or elsewhere with other parameters.
pub(crate) fn id_of(incident_id: &str, activity: Option<Timestamp>, name: &str) -> Uuid {
    let activity = activity.map(|time| time.to_string()).unwrap_or_default();
    let incident = incident_id.to_lowercase();
    Uuid::new_v5(&NAMESPACE, format!("{incident}\n{activity}\n{name}").as_bytes())
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RunKey> for String {
    fn from(key: RunKey) -> Self {
        key.0
    }
}

impl TryFrom<String> for RunKey {
    type Error = RunKeyError;

    fn try_from(text: String) -> Result<Self, RunKeyError> {
        text.parse()
    }
}

/// A text that is no run key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run key has {DIGITS} hexadecimal digits")]
pub struct RunKeyError;

impl FromStr for RunKey {
    type Err = RunKeyError;

    fn from_str(text: &str) -> Result<Self, RunKeyError> {
        let fits = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.to_owned())) } else { Err(RunKeyError) }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, activity: i64, notebook: &str, parameters: &str) -> RunKey {
        let activity = Timestamp::from_second(activity).unwrap();
        RunKey::derive(id, Some(activity), notebook.as_bytes(), parameters)
    }

    #[test]
    fn the_same_work_has_the_same_key_and_other_work_another() {
        let one = key("/subscriptions/A/Incidents/x", 1, "nb", "{}");
        assert_eq!(one, key("/subscriptions/a/incidents/X", 1, "nb", "{}"));
        for other in [
            key("/subscriptions/A/Incidents/y", 1, "nb", "{}"),
            key("/subscriptions/A/Incidents/x", 2, "nb", "{}"),
            key("/subscriptions/A/Incidents/x", 1, "nb2", "{}"),
            key("/subscriptions/A/Incidents/x", 1, "nb", "{\"a\":1}"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn ids_derive_from_the_incident_and_its_activity() {
        let id = |incident, activity, name| id_of(incident, Timestamp::from_second(activity).ok(), name);
        assert_eq!(id("/Incidents/x", 1, "comment"), id("/incidents/X", 1, "comment"));
        for (incident, activity, name) in
            [("/incidents/x", 1, "task 0"), ("/incidents/x", 2, "comment"), ("/incidents/y", 1, "comment")]
        {
            assert_ne!(id(incident, activity, name), id("/incidents/x", 1, "comment"));
        }
    }

    #[test]
    fn a_key_is_read_back_and_nothing_else_is() {
        let one = key("x", 1, "nb", "{}");
        assert_eq!(one.to_string().parse(), Ok(one));
        assert_eq!("../../etc".parse::<RunKey>(), Err(RunKeyError));
    }
}

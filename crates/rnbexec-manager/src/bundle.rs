//! An incident with its entities and alerts, as the REST API returns them, in one document.

use rnbexec_azure::sentinel::Incident;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{"incident": …, "entities": …, "alerts": …}`: the answers to `GET …/incidents/ID`, `POST …/entities` and `POST …/alerts`.
///
/// What a notebook gets when it asks for `incident_bundle`, and what `manager replay` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The incident.
    pub incident: Incident,
    /// `{"entities": […], "metaData": […]}`.
    #[serde(default)]
    pub entities: Value,
    /// `{"value": […]}`.
    #[serde(default)]
    pub alerts: Value,
}

/// A file that holds no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is not JSON, or has another shape.
    #[error("no incident bundle: an object with the keys incident, entities and alerts, or an array of such")]
    Shape(#[source] serde_json::Error),
    /// It holds an incident without a usable name.
    #[error("the {position}. incident of the file has no usable name")]
    Name {
        /// Counted from 1.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: rnbexec_azure::sentinel::ParseError,
    },
}

impl Bundle {
    /// All bundles of a file: one object, or an array of them.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, BundleError> {
        let value: Value = serde_json::from_slice(text).map_err(BundleError::Shape)?;
        let bundles: Vec<Self> = match value {
            Value::Array(_) => serde_json::from_value(value),
            one => serde_json::from_value(one).map(|bundle| vec![bundle]),
        }
        .map_err(BundleError::Shape)?;
        for (index, bundle) in bundles.iter().enumerate() {
            let named = bundle.incident.name();
            named.map_err(|source| BundleError::Name { position: index + 1, source })?;
        }
        Ok(bundles)
    }

    /// The document a notebook reads.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("JSON values can be written as JSON")
    }
}

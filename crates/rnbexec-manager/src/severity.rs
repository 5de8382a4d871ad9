//! How bad an incident is, in the four words that Sentinel has for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A severity. They are ordered: [`High`](Self::High) is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Informational,
    /// Look at it when there is time.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
}

/// Text that is no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no severity; there are High, Medium, Low and Informational")]
pub struct SeverityError {
    text: String,
}

impl Severity {
    /// All severities, the least first.
    pub const ALL: [Self; 4] = [Self::Informational, Self::Low, Self::Medium, Self::High];

    /// The word, as Sentinel spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// Capitals do not matter.
impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Self, SeverityError> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| SeverityError { text: text.chars().take(50).collect() })
    }
}

impl TryFrom<String> for Severity {
    type Error = SeverityError;

    fn try_from(text: String) -> Result<Self, SeverityError> {
        text.parse()
    }
}

impl From<Severity> for &'static str {
    fn from(severity: Severity) -> Self {
        severity.as_str()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_as_an_analyst_orders_them() {
        assert!(Severity::ALL.is_sorted());
        assert_eq!(Severity::ALL.into_iter().max(), Some(Severity::High));
    }

    #[test]
    fn a_severity_is_read_in_any_capitals_and_written_as_sentinel_spells_it() {
        assert_eq!("hIGH".parse(), Ok(Severity::High));
        assert_eq!(Severity::High.to_string(), "High");
        assert_eq!(serde_json::to_value(Severity::Low).unwrap(), serde_json::json!("Low"));
        assert_eq!(
            serde_json::from_value::<Severity>(serde_json::json!("MEDIUM")).unwrap(),
            Severity::Medium
        );
    }

    #[test]
    fn what_is_no_severity_is_told_which_there_are() {
        let error = "Critical".parse::<Severity>().unwrap_err().to_string();
        assert_eq!(error, "\"Critical\" is no severity; there are High, Medium, Low and Informational");
    }
}

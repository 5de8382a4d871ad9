//! What one role assignment allows, with its wildcards.

use serde_json::Value;

/// The actions of one assignment less its exceptions. Another assignment may allow what this one excepts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Permission {
    actions: Vec<String>,
    not_actions: Vec<String>,
}

impl Permission {
    pub(super) fn read(value: &Value) -> Self {
        let list = |name: &str| {
            let list = value.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            list.iter().filter_map(|action| Some(action.as_str()?.to_ascii_lowercase())).collect()
        };
        Self { actions: list("actions"), not_actions: list("notActions") }
    }

    pub(super) fn allows(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &action));
        any(&self.actions) && !any(&self.not_actions)
    }
}

/// Whether a pattern fits the whole text; `*` stands for anything, slashes too.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_fits_the_whole_of_an_action() {
        let action = "microsoft.securityinsights/incidents/comments/write";
        for (pattern, fits) in [
            ("*", true),
            (action, true),
            ("microsoft.securityinsights/*", true),
            ("microsoft.securityinsights/incidents/*", true),
            ("*/write", true),
            ("microsoft.securityinsights/*/comments/*", true),
            ("*/read", false),
            ("microsoft.securityinsights/incidents", false),
            ("microsoft.securityinsights/incidents/write", false),
            ("microsoft.compute/*", false),
            ("*/write/*", false),
            ("write", false),
            ("", false),
            ("microsoft.securityinsights/incidents/comments/write*write", false),
        ] {
            assert_eq!(matches(pattern, action), fits, "{pattern}");
        }
    }

    #[test]
    fn an_exception_counts_within_its_assignment() {
        let responder = Permission::read(&json!({
            "actions": ["Microsoft.SecurityInsights/*/read", "Microsoft.SecurityInsights/incidents/*"],
            "notActions": ["Microsoft.SecurityInsights/incidents/*/Delete"],
        }));
        assert!(responder.allows("Microsoft.SecurityInsights/incidents/write"));
        assert!(!responder.allows("microsoft.securityinsights/Incidents/comments/delete"));
        assert!(!Permission::read(&json!({"actions": "*"})).allows("a"));
    }
}

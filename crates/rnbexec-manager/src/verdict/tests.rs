use serde_json::json;

use super::*;

#[test]
fn only_the_severity_is_required() {
    assert_eq!(Verdict::parse(&json!({"severity": "high"})), Ok(Verdict::new(Severity::High)));
}

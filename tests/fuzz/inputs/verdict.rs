//! Any JSON as a notebook's verdict, and any bytes as an executed notebook that may hold one: no panic, and a verdict keeps its
//! limits.

use rnbexec_manager::verdict::{JudgeRules, Verdict, judge};
use rnbexec_notebook::Notebook;
use serde_json::Value;

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && let Ok(verdict) = Verdict::parse(&value)
    {
        assert!(verdict.title.iter().all(|title| title.chars().count() <= 200), "{verdict:?}");
        assert!(verdict.labels.len() <= 50 && verdict.tasks.len() <= 50, "{verdict:?}");
        assert!(verdict.evidence.len() <= 500, "{} pieces of evidence", verdict.evidence.len());
    }
    let mut fresh_id = || "new".to_owned();
    if let Ok(parsed) = Notebook::parse(bytes, &mut fresh_id) {
        judge(&parsed.notebook, &JudgeRules::default());
    }
}

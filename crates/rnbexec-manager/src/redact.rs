//! What the settings say of taking secrets out of what leaves the machine: notebooks, reports, comments, log lines.
//!
//! What is looked for: secrets that the manager knows, what the settings describe by regular expressions, and what is surely a
//! secret wherever it stands. How it is looked for is [`rnbexec::redact`]: the runs mask with the same redactor, so that no
//! secret is in what is kept of them either.

use rnbexec::redact::{Masked, Pattern, PatternError, Redactor};

use crate::verdict::Verdict;

/// What is looked for beside the secrets that are known.
#[derive(Clone, Debug)]
pub struct RedactSettings {
    /// Regular expressions. All that one matches is masked; of one with a group named `secret`, that group.
    pub patterns: Vec<String>,
    /// Whether what is surely a secret is masked too.
    pub well_known: bool,
}

impl Default for RedactSettings {
    fn default() -> Self {
        Self { patterns: Vec::new(), well_known: true }
    }
}

impl RedactSettings {
    /// What is looked for.
    pub fn patterns(&self) -> Result<Vec<Pattern>, PatternError> {
        let own = self.patterns.iter().map(|pattern| Pattern::parse(pattern));
        let well_known = self.well_known.then(Pattern::well_known).into_iter().flatten();
        own.chain(well_known.map(Ok)).collect()
    }
}

/// Takes the secrets out of a verdict. Do it before the verdict is shown anywhere: escaped they cannot be found any more.
pub(crate) fn verdict(redactor: &Redactor, verdict: &mut Verdict) -> Masked {
    let mut masked = Masked::default();
    verdict.each_text(&mut |text| {
        let (clean, found) = redactor.text(text);
        masked.add(&found);
        if let std::borrow::Cow::Owned(clean) = clean {
            *text = clean;
        }
    });
    masked
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_verdict_keeps_no_secret() {
        let value = json!({
            "severity": "High", "title": "hunter2", "summary": "is **hunter2**", "labels": ["hunter2"], "classification": "TruePositive",
            "classification_comment": "hunter2", "tasks": [{"title": "hunter2", "description": "hunter2"}],
            "evidence": [{"kind": "hunter2", "entity": "hunter2", "reason": "hunter2", "source": "hunter2", "technique": "hunter2"}],
        });
        let mut found = Verdict::parse(&value).unwrap();
        assert_eq!(verdict(&Redactor::new(["hunter2"], Vec::new()), &mut found).total(), 11);
        assert!(!Value::from(found).to_string().contains("hunter2"));
    }

    #[test]
    fn what_is_surely_a_secret_can_be_switched_off() {
        let settings = |well_known| RedactSettings { patterns: vec!["a+".to_owned()], well_known };
        assert_eq!(settings(false).patterns().unwrap().len(), 1);
        assert_eq!(settings(true).patterns().unwrap().len(), 8);
    }
}

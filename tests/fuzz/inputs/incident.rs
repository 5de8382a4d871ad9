//! Any JSON as an incident that the service gave or somebody recorded: no panic, and what is written back is read again.

use rnbexec_azure::sentinel::Incident;
use rnbexec_manager::bundle::Bundle;
use rnbexec_manager::policy::{Known, Policy, decide, untouchable};
use rnbexec_manager::severity::Severity;
use rnbexec_manager::verdict::Verdict;
use serde_json::Value;

pub(crate) fn check(bytes: &[u8]) {
    for bundle in Bundle::parse_all(bytes).unwrap_or_default() {
        let written = bundle.to_vec();
        let again = Bundle::parse_all(&written).expect("we wrote it");
        assert_eq!(again.iter().map(Bundle::to_vec).collect::<Vec<_>>(), [written]);
        look_at(&bundle.incident);
    }
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        look_at(&Incident::from(value));
    }
}

fn look_at(incident: &Incident) {
    drop(incident.name());
    incident.number();
    incident.created();
    incident.last_modified();
    incident.last_activity();
    incident.first_activity();
    incident.labels();
    incident.tactics();
    incident.techniques();
    incident.products();
    incident.rule_ids();
    incident.owner();
    incident.merged_into();
    incident.is_closed();
    incident.to_update();
    untouchable(incident);
    let mut verdict = Verdict::new(Severity::High);
    verdict.labels = vec!["label".to_owned()];
    let decision = decide(&Policy::default(), &verdict, incident, Known::default());
    if let Some(body) = decision.change.and_then(|change| change.body(incident)) {
        rnbexec_manager::change::differences(incident, &body);
    }
}

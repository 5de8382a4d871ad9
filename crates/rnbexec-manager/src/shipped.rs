//! What is part of the program: the triage notebook, and the incidents and look-up tables it can be tried on.

use std::io;
use std::path::Path;

use crate::bundle::Bundle;

/// Files of the repository's `notebooks` folder that are part of the program, by their path in it.
macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../notebooks/", $path)).as_slice())),*]
    };
}

const NOTEBOOK: &[u8] = include_bytes!("../../../notebooks/incident-triage.ipynb");

/// The look-up tables and incidents; a test compares the list with the folder.
const DATA: &[(&str, &[u8])] = shipped![
    "data/sentinel/LICENSE.Azure-Sentinel-Notebooks.txt",
    "data/sentinel/LICENSE.Security-Datasets.txt",
    "data/sentinel/LICENSE.msticpy.txt",
    "data/sentinel/README.md",
    "data/sentinel/alertlist.csv",
    "data/sentinel/geo/GeoLite2-ASN.mmdb",
    "data/sentinel/geo/GeoLite2-City.mmdb",
    "data/sentinel/geo/LICENSE-MIT",
    "data/sentinel/host_events_otrf.csv",
    "data/sentinel/host_logons.csv",
    "data/sentinel/host_logons_otrf.csv",
    "data/sentinel/incident_exercise.json",
    "data/sentinel/incident_training.json",
    "data/sentinel/incident_training_alerts.json",
    "data/sentinel/incident_training_entities.json",
    "data/sentinel/incidents_derived.json",
    "data/sentinel/incidents_otrf.json",
    "data/sentinel/processes_on_host.csv",
    "data/sentinel/processes_otrf.csv",
    "data/sentinel/threat_intel.csv",
];

/// The notebook that ships under this name (see [`SHIPPED`](crate::config::SHIPPED)).
pub(crate) fn notebook(_name: &str) -> &'static [u8] {
    // There is one.
    NOTEBOOK
}

/// Writes the incidents and look-up tables that ship into `folder`, as they are in the repository.
pub fn unpack(folder: &Path) -> io::Result<()> {
    for (path, content) in DATA {
        let path = folder.join(path.trim_start_matches("data/sentinel/"));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(())
}

/// The incidents that ship: real ones, and one made up with hostile texts.
pub fn incidents() -> Vec<Bundle> {
    let file = |name: &str| {
        let found = DATA.iter().find(|(path, _)| path.rsplit('/').next() == Some(name));
        found.map(|(_, content)| *content)
    };
    let mut bundles = Vec::new();
    for (path, content) in DATA {
        let name = path.rsplit('/').next().unwrap_or_default();
        let (Some(stem), true) = (name.strip_suffix(".json"), name.starts_with("incident")) else { continue };
        if stem.ends_with("_entities") || stem.ends_with("_alerts") {
            continue;
        }
        let part = |part: &str| {
            let content = file(&format!("{stem}_{part}.json"));
            content.map(|content| serde_json::from_slice(content).expect("what ships is JSON"))
        };
        match (part("entities"), part("alerts")) {
            // The incident and what belongs to it lie in files of their own.
            (Some(entities), Some(alerts)) => bundles.push(Bundle {
                incident: serde_json::from_slice(content).expect("what ships is JSON"),
                entities,
                alerts,
            }),
            _ => bundles.extend(Bundle::parse_all(content).expect("what ships are bundles")),
        }
    }
    bundles
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { assert!(found.insert(path)) }
        }
    }

    #[test]
    fn all_of_the_data_folder_ships() {
        let notebooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notebooks");
        let mut there = BTreeSet::new();
        files(&notebooks.join("data/sentinel"), &mut there);
        let listed: BTreeSet<PathBuf> = DATA.iter().map(|(path, _)| notebooks.join(path)).collect();
        assert_eq!(listed, there);
    }

    #[test]
    fn incidents_to_try_ship_and_each_has_a_name_of_its_own() {
        let names: Vec<String> =
            incidents().iter().map(|bundle| bundle.incident.name().unwrap().folded()).collect();
        assert!(names.len() >= 40, "{}", names.len());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}

//! What a run notes in `metadata.rnbexec`, of a notebook and of a cell, beside what a user may keep there
//! (`rnbexec.timeout`).

use rnbexec_kernel::contain::{Isolation, Mechanism};
use rnbexec_notebook::{Json, Notebook, Object};

use crate::Outcome;

/// Of a notebook: how the run ended, in one word.
pub(crate) const OUTCOME: &str = "outcome";
/// Of a notebook: why it ended so.
pub(crate) const REASON: &str = "reason";
/// Of a notebook whose run succeeded: the fingerprint that the caller gave.
pub(crate) const FINGERPRINT: &str = "fingerprint";
/// Of a cell: that outputs may be missing.
pub(crate) const OUTPUTS: &str = "outputs";

/// Of a notebook: what was closed to its kernel, and by what.
const ISOLATION: &str = "isolation";

/// Writes what is closed to the kernel, with the mechanism of each. What is open is not named.
pub(super) fn set_isolation(metadata: &mut Object, isolation: &Isolation) {
    let mut parts = serde_json::Map::new();
    let mut closed = |part: &str, by: Option<&Mechanism>, more: serde_json::Value| {
        let Some(by) = by else { return };
        let mut entry = serde_json::json!({ "by": by.to_string() });
        if let (Some(entry), serde_json::Value::Object(more)) = (entry.as_object_mut(), more) {
            entry.extend(more);
        }
        parts.insert(part.to_owned(), entry);
    };
    let Isolation { network, files, work_folders, home, processes, variables, memory, cpu, process_count } =
        isolation;
    let nothing = serde_json::Value::Null;
    closed("network", network.as_ref(), nothing.clone());
    let folders: Vec<_> = work_folders.iter().map(|folder| folder.to_string_lossy()).collect();
    closed("files", files.as_ref(), serde_json::json!({ "work_folders": folders }));
    closed("home", home.as_ref(), nothing.clone());
    closed("processes", processes.as_ref(), nothing.clone());
    closed("variables", variables.as_ref(), nothing);
    if let Some((limit, by)) = memory {
        closed("memory_limit", Some(by), serde_json::json!({ "bytes": limit.bytes() }));
    }
    if let Some((limit, by)) = cpu {
        closed("cpu_limit", Some(by), serde_json::json!({ "seconds": limit.as_secs() }));
    }
    if let Some((limit, by)) = process_count {
        closed("process_limit", Some(by), serde_json::json!({ "processes": limit.get() }));
    }
    let text = serde_json::Value::Object(parts).to_string();
    insert(metadata, ISOLATION, Json::parse(text.as_bytes()).expect("it was just written as JSON"));
}

/// Writes a note.
pub(crate) fn set(metadata: &mut Object, key: &str, value: &str) {
    insert(metadata, key, Json::from(value));
}

fn insert(metadata: &mut Object, key: &str, value: Json) {
    let notes = metadata.entry("rnbexec".to_owned()).or_insert(Json::Null);
    if !matches!(notes, Json::Object(_)) {
        *notes = Json::Object(Object::new());
    }
    if let Json::Object(notes) = notes {
        notes.insert(key.to_owned(), value);
    }
}

/// Notes of a run that succeeded by what its result can be told from another's, when its caller gave that.
pub(super) fn succeeded(notebook: &mut Notebook, fingerprint: Option<&str>, outcome: &Outcome) {
    if let Some(fingerprint) = fingerprint.filter(|_| outcome.is_success()) {
        set(notebook.metadata_mut(), OUTCOME, outcome.name());
        set(notebook.metadata_mut(), FINGERPRINT, fingerprint);
    }
}

/// Removes the notes of an earlier run, which are not true of this one.
pub(super) fn forget(notebook: &mut Notebook) {
    remove(notebook.metadata_mut(), &[OUTCOME, REASON, FINGERPRINT, ISOLATION]);
    for cell in notebook.cells_mut() {
        remove(cell.metadata_mut(), &[OUTPUTS]);
    }
}

fn remove(metadata: &mut Object, keys: &[&str]) {
    let Some(Json::Object(notes)) = metadata.get_mut("rnbexec") else { return };
    let before = notes.len();
    notes.retain(|key, _| !keys.contains(&key.as_str()));
    if notes.is_empty() && before > 0 {
        metadata.shift_remove("rnbexec");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Object {
        Json::parse(json.as_bytes()).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn a_note_stands_beside_what_the_user_keeps_there() {
        let mut metadata = metadata(r#"{"rnbexec": {"timeout": 5}}"#);
        set(&mut metadata, OUTPUTS, "possibly incomplete");
        let expected = r#"{"rnbexec":{"timeout":5,"outputs":"possibly incomplete"}}"#;
        assert_eq!(Json::Object(metadata).to_compact(), expected);
    }

    #[test]
    fn the_notes_of_an_earlier_run_go_and_nothing_else() {
        for (before, after) in [
            (r#"{"rnbexec":{"outcome":"x","reason":"y"},"z":1}"#, r#"{"z":1}"#),
            (r#"{"rnbexec":{"outcome":"x","mine":1}}"#, r#"{"rnbexec":{"mine":1}}"#),
            (r#"{"rnbexec":{}}"#, r#"{"rnbexec":{}}"#),
            (r#"{"rnbexec":3}"#, r#"{"rnbexec":3}"#),
        ] {
            let mut metadata = metadata(before);
            remove(&mut metadata, &[OUTCOME, REASON]);
            assert_eq!(Json::Object(metadata).to_compact(), after);
        }
    }
}

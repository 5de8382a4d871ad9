use super::*;

const START: &str = "2026-11-26T13:00:00+00:00";

fn ended() -> Timestamp {
    "2026-11-26T13:00:10Z".parse().unwrap()
}

/// A cell of a run: its number, its status, what it printed.
fn cell(number: usize, status: CellStatus, printed: &str) -> String {
    let outputs = match printed {
        "" => String::new(),
        text => format!(r#"{{"name": "stdout", "output_type": "stream", "text": ["{text}"]}}"#),
    };
    let started = if status == CellStatus::Pending { "null" } else { "\"2026-11-26T13:00:04+00:00\"" };
    format!(
        r#"{{"cell_type": "code", "execution_count": null, "id": "cell-{number}", "metadata": {{"papermill":
           {{"duration": null, "end_time": null, "exception": null, "start_time": {started}, "status": "{}"}}}},
           "outputs": [{outputs}], "source": []}}"#,
        status.as_str()
    )
}

fn saved(cells: &[String], end_time: &str) -> String {
    format!(
        r#"{{"cells": [{}], "metadata": {{"papermill": {{"start_time": "{START}", "end_time": {end_time}}}}},
            "nbformat": 4, "nbformat_minor": 5}}"#,
        cells.join(",")
    )
}

fn journal(start: &str, records: &[(usize, String)]) -> Contents {
    let header = serde_json::json!({"journal": 1, "start_time": start, "staging": ""});
    let records =
        records.iter().map(|(cell, text)| Record { cell: *cell, bytes: Bytes::from(text.clone()) }).collect();
    Contents { header: Some(serde_json::from_value(header).unwrap()), records }
}

/// The statuses with what each cell printed.
fn shown(notebook: &Notebook) -> Vec<(&'static str, String)> {
    let printed = |cell: &rnbexec_notebook::Cell| {
        let text = cell.outputs().first().and_then(|output| output.get("text").cloned());
        text.map(|text| text.to_compact()).unwrap_or_default()
    };
    let cells = notebook.cells().iter();
    cells.map(|cell| (CellStatus::of(cell).map_or("none", CellStatus::as_str), printed(cell))).collect()
}

use CellStatus::{Completed, Failed, Pending, Running};

#[test]
fn the_journal_brings_the_cells_that_ended_after_the_last_save() {
    let base = saved(
        &[cell(0, Running, ""), cell(1, Pending, ""), cell(2, Pending, ""), cell(3, Pending, "")],
        "null",
    );
    let contents = journal(
        START,
        &[
            (0, cell(0, Completed, "a")),
            (1, cell(1, Running, "")),
            (1, cell(1, Completed, "b")),
            (2, cell(2, Running, "")),
        ],
    );
    let (notebook, recovery) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    let expected = [("completed", "\"a\""), ("completed", "\"b\""), ("failed", ""), ("pending", "")];
    assert_eq!(shown(&notebook), expected.map(|(status, text)| (status, text.to_owned())));
    assert_eq!(recovery, Recovery::Recovered { from_journal: 3, in_flight: Some(2) });
    let metadata = Json::Object(notebook.metadata().clone());
    let stamp = metadata.get("papermill").unwrap();
    assert_eq!(stamp.get("exception"), Some(&Json::Bool(true)));
    assert_eq!(stamp.get("end_time").and_then(Json::as_str), Some("2026-11-26T13:00:10+00:00"));
    assert_eq!(stamp.get("duration").and_then(Json::as_f64), Some(10.0));
    assert_eq!(metadata.get("rnbexec").unwrap().get("outcome").and_then(Json::as_str), Some("runner-killed"));
    let flight = Json::Object(notebook.cells()[2].metadata().clone());
    assert_eq!(flight.get("papermill").unwrap().get("duration").and_then(Json::as_f64), Some(6.0));
    assert_eq!(flight.get("papermill").unwrap().get("exception"), Some(&Json::Bool(true)));
    assert!(flight.get("rnbexec").is_some());
}

#[test]
fn an_autosave_knows_more_of_the_cell_in_flight_than_the_journal() {
    let base = saved(&[cell(0, Running, "so far")], "null");
    let contents = journal(START, &[(0, cell(0, Running, ""))]);
    let (notebook, _) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    assert_eq!(shown(&notebook), [("failed", "\"so far\"".to_owned())]);
}

#[test]
fn what_was_made_of_a_cell_after_its_end_and_saved_is_not_undone_by_the_journal() {
    let base = saved(&[cell(0, Completed, "50 %"), cell(1, Running, ""), cell(2, Pending, "")], "null");
    // What the journal holds when the first cell's display is updated, and saved, before the second one ends.
    let contents = journal(
        START,
        &[
            (0, cell(0, Completed, "0 %")),
            (1, cell(1, Running, "")),
            (1, cell(1, Completed, "done")),
            (2, cell(2, Running, "")),
        ],
    );
    let (notebook, recovery) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    let expected = [("completed", "\"50 %\""), ("completed", "\"done\""), ("failed", "")];
    assert_eq!(shown(&notebook), expected.map(|(status, text)| (status, text.to_owned())));
    assert_eq!(recovery, Recovery::Recovered { from_journal: 2, in_flight: Some(2) });
}

#[test]
fn a_cell_that_failed_stays_as_it_failed() {
    let base = saved(&[cell(0, Pending, "")], "null");
    let contents = journal(START, &[(0, cell(0, Failed, "its error"))]);
    let (notebook, recovery) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    assert_eq!(shown(&notebook), [("failed", "\"its error\"".to_owned())]);
    assert_eq!(recovery, Recovery::Recovered { from_journal: 1, in_flight: None });
}

#[test]
fn a_run_that_came_to_its_end_is_left_alone() {
    let base = saved(&[cell(0, Completed, "a")], "\"2026-11-26T13:00:09+00:00\"");
    let contents = journal(START, &[(0, cell(0, Running, ""))]);
    assert_eq!(merge(base.as_bytes(), contents, None, ended()).unwrap(), None);
}

#[test]
fn the_journal_of_another_run_says_nothing() {
    let base = saved(&[cell(0, Pending, "")], "null");
    let contents = journal("2020-01-01T00:00:00+00:00", &[(0, cell(0, Completed, "old"))]);
    let (notebook, _) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    assert_eq!(shown(&notebook), [("pending", String::new())]);
}

#[test]
fn a_guardian_leaves_the_notebook_of_another_run_alone() {
    let base = saved(&[cell(0, Running, "")], "null");
    let merged = merge(base.as_bytes(), Contents::default(), Some("2020-01-01T00:00:00+00:00"), ended());
    assert_eq!(merged.unwrap(), None);
}

#[test]
fn recovering_twice_is_recovering_once() {
    let base = saved(&[cell(0, Running, "a"), cell(1, Pending, "")], "null");
    let contents = || journal(START, &[(0, cell(0, Completed, "a"))]);
    let (notebook, _) = merge(base.as_bytes(), contents(), None, ended()).unwrap().unwrap();
    assert_eq!(merge(&notebook.to_vec(), contents(), None, ended()).unwrap(), None);
}

#[test]
fn records_that_fit_no_cell_or_are_none_are_passed_over() {
    let base = saved(&[cell(0, Running, "")], "null");
    let contents = journal(START, &[(7, cell(7, Completed, "x")), (0, "{".to_owned())]);
    let (notebook, _) = merge(base.as_bytes(), contents, None, ended()).unwrap().unwrap();
    assert_eq!(shown(&notebook), [("failed", String::new())]);
}

#[test]
fn what_no_run_has_written_is_refused() {
    let base = r#"{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#;
    let refused = merge(base.as_bytes(), Contents::default(), None, ended());
    assert!(matches!(refused, Err(RecoverError::NotAnOutput)));
}

#[tokio::test]
async fn a_run_that_died_when_it_made_its_journal_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let staging = format!(".rnbexec-{}-", uuid::Uuid::new_v4().simple());
    std::fs::write(folder.path().join(format!("{staging}x.tmp")), "{").unwrap();
    let journal = folder.path().join(".out.ipynb.rnbexec-journal");
    let told = Told { journal, start_time: "2026-11-26T13:00:00+00:00".to_owned(), staging };
    let output = Location::Local(folder.path().join("out.ipynb"));
    let recovered = after_death(&output, told, &Services::from_process()).await;
    assert!(matches!(recovered, Err(RecoverError::Read(_))), "{recovered:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

//! What differs from papermill; `tests/golden.rs` shows what is the same.

use super::*;

/// A notebook with this metadata and a code cell for each further metadata.
fn notebook(metadata: &str, cells: &[&str]) -> Notebook {
    let object = |text: &str| Json::parse(text.as_bytes()).unwrap().as_object().unwrap().clone();
    let mut notebook = Notebook::new();
    *notebook.metadata_mut() = object(metadata);
    for metadata in cells {
        let mut cell = Cell::code("id", "source");
        *cell.metadata_mut() = object(metadata);
        notebook.cells_mut().push(cell);
    }
    notebook
}

fn compact(object: &Object) -> String {
    Json::Object(object.clone()).to_compact()
}

fn stamp_of(notebook: &Notebook) -> String {
    notebook.metadata()["papermill"].to_compact()
}

#[test]
fn a_notebook_gets_its_stamp_and_every_cell_its_tags() {
    let mut notebook = notebook("{}", &["{}", r#"{"tags":["x"],"papermill":{"status":"completed"}}"#]);
    prepare(&mut notebook, "1.2.3");
    assert_eq!(
        stamp_of(&notebook),
        r#"{"default_parameters":{},"environment_variables":{},"parameters":{},"version":"1.2.3"}"#
    );
    assert_eq!(compact(notebook.cells()[0].metadata()), r#"{"tags":[],"papermill":{}}"#);
    assert_eq!(
        compact(notebook.cells()[1].metadata()),
        r#"{"tags":["x"],"papermill":{"status":"completed"}}"#
    );
}

#[test]
fn an_output_that_is_run_again_gets_the_version_of_this_run() {
    let mut notebook =
        notebook(r#"{"papermill":{"version":"0.1","parameters":{"x":1},"duration":2.5}}"#, &["{}"]);
    prepare(&mut notebook, "1.2.3");
    assert_eq!(
        stamp_of(&notebook),
        r#"{"version":"1.2.3","parameters":{},"duration":2.5,"default_parameters":{},"environment_variables":{}}"#
    );
}

#[test]
fn parameters_of_an_earlier_run_stay_while_their_cell_does() {
    let mut notebook =
        notebook(r#"{"papermill":{"parameters":{"x":1}}}"#, &["{}", r#"{"tags":["injected-parameters"]}"#]);
    prepare(&mut notebook, "1.2.3");
    assert_eq!(notebook.metadata()["papermill"].get("parameters").unwrap().to_compact(), r#"{"x":1}"#);
}

#[test]
fn a_stamp_that_is_no_object_is_replaced() {
    let mut notebook = notebook(r#"{"papermill":null}"#, &[]);
    prepare(&mut notebook, "1.2.3");
    set_paths(&mut notebook, None, Some("out.ipynb"));
    assert_eq!(
        stamp_of(&notebook),
        r#"{"default_parameters":{},"environment_variables":{},"parameters":{},"version":"1.2.3","input_path":null,"output_path":"out.ipynb"}"#
    );
}

#[test]
fn a_report_keeps_the_rest_of_the_jupyter_metadata() {
    let mut notebook = notebook("{}", &[r#"{"jupyter":{"outputs_hidden":true}}"#, "{}"]);
    notebook.cells_mut().push(Cell::markdown("id", "text"));
    hide_sources(&mut notebook);
    let metadata: Vec<_> = notebook.cells().iter().map(|cell| compact(cell.metadata())).collect();
    assert_eq!(
        metadata,
        [
            r#"{"jupyter":{"outputs_hidden":true,"source_hidden":true}}"#,
            r#"{"jupyter":{"source_hidden":true}}"#,
            "{}"
        ]
    );
}

#[test]
fn a_cell_that_the_run_did_not_reach_stays_pending() {
    let mut notebook = notebook("{}", &["{}", "{}"]);
    start_run(&mut notebook, "t0");
    start_cell(&mut notebook.cells_mut()[0], "t1");
    assert_eq!(CellStatus::of(&notebook.cells()[0]), Some(CellStatus::Running));
    end_cell(&mut notebook.cells_mut()[0], CellStatus::Failed, "t2", 0.25);
    end_run(&mut notebook, "t3", 0.5, true);
    assert_eq!(stamp_of(&notebook), r#"{"start_time":"t0","end_time":"t3","duration":0.5,"exception":true}"#);
    assert_eq!(
        notebook.cells()[0].metadata()["papermill"].to_compact(),
        r#"{"exception":true,"start_time":"t1","end_time":"t2","duration":0.25,"status":"failed"}"#
    );
    assert_eq!(
        notebook.cells()[1].metadata()["papermill"].to_compact(),
        r#"{"exception":null,"start_time":null,"end_time":null,"duration":null,"status":"pending"}"#
    );
}

#[test]
fn durations_are_whole_microseconds() {
    let mut cell = Cell::code("id", "");
    for (duration, spelled) in
        [(0.1 + 0.2, "0.3"), (0.007_978_4, "0.007978"), (0.000_012_3, "1.2e-05"), (2.0, "2.0")]
    {
        end_cell(&mut cell, CellStatus::Completed, "t", duration);
        assert_eq!(cell.metadata()["papermill"].get("duration").unwrap().to_compact(), spelled);
    }
}

#[test]
fn a_status_that_is_not_known_is_none() {
    let notebook = notebook("{}", &["{}", r#"{"papermill":{"status":"odd"}}"#, r#"{"papermill":5}"#]);
    assert!(notebook.cells().iter().all(|cell| CellStatus::of(cell).is_none()));
}

#[test]
fn markers_point_at_the_failure_and_are_removed_again() {
    let mut notebook = notebook("{}", &["{}", "{}"]);
    let before = notebook.clone();
    insert_error_markers(&mut notebook, 1, None, &mut || "fresh".to_owned());
    let markers: Vec<_> = notebook.cells().iter().map(|cell| cell.has_tag(ERROR_MARKER_TAG)).collect();
    assert_eq!(markers, [true, false, true, false]);
    assert!(notebook.cells()[0].source().contains("In [None]"));
    remove_error_markers(&mut notebook);
    assert_eq!(notebook, before);
}

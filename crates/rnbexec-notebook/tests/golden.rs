//! What we write is byte for byte what Python writes: the expected files come from nbformat and papermill themselves, by
//! `fixtures/regenerate.py`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use rnbexec_notebook::{CellStatus, CellType, Json, Notebook, Object, Parsed, inject, papermill};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn numbered_ids() -> impl FnMut() -> String {
    let mut count = 0;
    move || {
        count += 1;
        format!("{count:08x}")
    }
}

fn parse(path: &Path, fresh_id: &mut dyn FnMut() -> String) -> Parsed {
    Notebook::parse(&std::fs::read(path).unwrap(), fresh_id).unwrap()
}

#[track_caller]
fn assert_same(written: &[u8], expected: &Path) {
    let written = std::str::from_utf8(written).unwrap();
    let expected_text = std::fs::read_to_string(expected).unwrap();
    if written != expected_text {
        let differs = |(ours, theirs): (&str, &str)| ours != theirs;
        let line = written.lines().zip(expected_text.lines()).position(differs);
        let at = line.unwrap_or_else(|| written.lines().count().min(expected_text.lines().count()));
        panic!(
            "{}: line {} differs\n  ours: {:?}\ntheirs: {:?}",
            expected.display(),
            at + 1,
            written.lines().nth(at),
            expected_text.lines().nth(at)
        );
    }
}

fn inputs(folder: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(fixture(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "ipynb")).collect();
    files.sort();
    files
}

fn check_all(folder: &str, count: usize) {
    let files = inputs(folder);
    assert_eq!(files.len(), count, "the fixtures are all there");
    for file in files {
        let parsed = parse(&file, &mut numbered_ids());
        let expected = fixture("expected").join(file.file_name().unwrap());
        assert_same(&parsed.notebook.to_vec(), &expected);
    }
}

#[test]
fn own_notebooks_are_written_as_nbformat_writes_them() {
    check_all("inputs", 17);
}

#[test]
fn notebooks_of_nbformat_are_written_as_nbformat_writes_them() {
    check_all("nbformat", 4);
}

#[test]
fn what_nbformat_wrote_is_read_and_written_unchanged() {
    for file in inputs("expected") {
        let parsed = parse(&file, &mut || panic!("{}: needs no fresh ids", file.display()));
        assert_same(&parsed.notebook.to_vec(), &file);
    }
}

#[test]
fn the_frame_and_the_cells_make_up_the_file() {
    for file in inputs("expected") {
        let notebook = parse(&file, &mut numbered_ids()).notebook;
        let frame = rnbexec_notebook::write_frame(&notebook);
        let cells: Vec<_> = notebook.cells().iter().map(rnbexec_notebook::write_cell).collect();
        let written = [frame.prefix, cells.join(rnbexec_notebook::CELL_SEPARATOR), frame.suffix].concat();
        assert_same(&written, &file);
    }
}

/// The clock of `regenerate.py`: it moves by a quarter of a second whenever it is read.
struct Clock {
    quarters: u32,
}

impl Clock {
    fn now(&mut self) -> String {
        self.quarters += 1;
        // It starts at 37:55.25.
        let total = 55 * 4 + 1 + self.quarters;
        let (minute, second, fraction) = (37 + total / 240, total / 4 % 60, total % 4 * 250_000);
        match fraction {
            0 => format!("2026-11-21T20:{minute:02}:{second:02}+00:00"),
            _ => format!("2026-11-21T20:{minute:02}:{second:02}.{fraction:06}+00:00"),
        }
    }
}

/// Plays `run` of `regenerate.py` with our functions and compares at each stage.
fn play(name: &str, parameters: &str, source: &str, report: bool, failing: Option<&str>) {
    let stage = |notebook: &Notebook, stage: &str| {
        assert_same(&notebook.to_vec(), &fixture(&format!("papermill/{name}-{stage}.ipynb")));
    };
    let mut fresh_id = numbered_ids();
    let mut notebook = parse(&fixture("inputs/run.ipynb"), &mut fresh_id).notebook;
    papermill::prepare(&mut notebook, "2.7.0");
    if !source.is_empty() {
        inject::inject(&mut notebook, source, fresh_id());
        let parameters: Object = Json::parse(parameters.as_bytes()).unwrap().as_object().unwrap().clone();
        papermill::set_parameters(&mut notebook, parameters);
    }
    papermill::set_paths(&mut notebook, Some("in.ipynb"), Some("out.ipynb"));
    if report {
        papermill::hide_sources(&mut notebook);
    }
    papermill::remove_error_markers(&mut notebook);
    stage(&notebook, "prepared");

    let mut clock = Clock { quarters: 0 };
    // The manager of papermill reads its clock when it is made, and at each save.
    clock.now();
    papermill::start_run(&mut notebook, &clock.now());
    stage(&notebook, "started");
    clock.now();

    let (mut executed, mut failed) = (0, None);
    for index in 0..notebook.cells().len() {
        papermill::start_cell(&mut notebook.cells_mut()[index], &clock.now());
        clock.now();
        let cell = &mut notebook.cells_mut()[index];
        let mut status = CellStatus::Completed;
        if cell.cell_type() == CellType::Code {
            executed += 1;
            cell.set_execution_count(Some(executed));
            if Some(&*cell.source()) == failing {
                let error = r#"{"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}"#;
                cell.outputs_mut().push(Json::parse(error.as_bytes()).unwrap());
                stage(&notebook, "running");
                status = CellStatus::Failed;
            }
        }
        papermill::end_cell(&mut notebook.cells_mut()[index], status, &clock.now(), 0.5);
        clock.now();
        if status == CellStatus::Failed {
            failed = Some(index);
            break;
        }
    }
    let duration = f64::from(clock.quarters + 1 - 2) / 4.0;
    papermill::end_run(&mut notebook, &clock.now(), duration, failed.is_some());
    if let Some(index) = failed {
        papermill::insert_error_markers(&mut notebook, index, Some(executed), &mut fresh_id);
    }
    stage(&notebook, "ended");
}

#[test]
fn a_completed_run_is_stamped_as_papermill_stamps_it() {
    play("completed", "{}", "", false, None);
}

#[test]
fn a_failed_run_is_stamped_and_marked_as_papermill_does_it() {
    play("failed", r#"{"x": 5, "y": "é"}"#, "# Parameters\nx = 5\ny = \"\\xe9\"\n", false, Some("1/0"));
}

#[test]
fn a_report_hides_sources_as_papermill_does_it() {
    play("report", r#"{"x": 5}"#, "# Parameters\nx = 5\n", true, None);
}

//! What papermill writes into a notebook: where it came from, its parameters, and how each cell fared.
//!
//! The dialect of papermill 2.7.0, so that what reads its notebooks reads ours: `metadata.papermill` of the notebook and of
//! every cell, and two Markdown cells that point at a failure. All functions are pure: times come in as text (Python's
//! `datetime.isoformat()`), durations as seconds.
//!
//! A run calls, in this order: [`prepare`], the injection of parameters ([`crate::inject`]) with [`set_parameters`],
//! [`set_paths`], [`hide_sources`] for a report, [`remove_error_markers`] (all of that is `--prepare-only`), [`start_run`],
//! [`start_cell`] and [`end_cell`] for each cell in turn (also for those that are not executed), [`end_run`], and
//! [`insert_error_markers`] when a cell failed.
//!
//! Deliberate differences: a cell that did not run stays `pending` however the run ends (papermill calls it `completed`); an
//! output notebook that is run again gets the `version` of this run, and no `parameters` of a cell it does not have
//! (papermill keeps both); a report keeps the rest of `metadata.jupyter` (papermill drops it).

#[cfg(test)]
mod tests;

use crate::json::{Json, Object};
use crate::notebook::{Cell, CellType, Notebook, object_in_mut};

/// The tag of the two cells that point at a failure.
pub const ERROR_MARKER_TAG: &str = "papermill-error-cell-tag";

/// How a cell fared, as `metadata.papermill.status` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellStatus {
    /// The run has not come to the cell, or ended before it.
    Pending,
    /// The cell is being executed.
    Running,
    /// The cell was executed to its end, or passed over because there is nothing to execute.
    Completed,
    /// The cell raised, or did not come to its end.
    Failed,
}

impl CellStatus {
    /// The word in the metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status that a cell bears, if it bears one.
    pub fn of(cell: &Cell) -> Option<Self> {
        let status = cell.metadata().get("papermill")?.get("status")?.as_str()?;
        [Self::Pending, Self::Running, Self::Completed, Self::Failed]
            .into_iter()
            .find(|known| known.as_str() == status)
    }
}

/// What papermill does with a notebook that it has loaded: the notebook gets its stamp, every cell its `tags` and its
/// `papermill`, where they have none.
///
/// The stamp of an earlier run is brought up to date: `version` is set, members that are missing are added, and `parameters`
/// are emptied unless a cell with injected parameters, which they describe, is there. (papermill leaves the stamp alone.)
pub fn prepare(notebook: &mut Notebook, version: &str) {
    let injected = notebook.cells().iter().any(|cell| cell.has_tag(crate::inject::INJECTED_TAG));
    let stamp = object_in_mut(notebook.metadata_mut(), "papermill");
    for member in ["default_parameters", "environment_variables", "parameters"] {
        object_in_mut(stamp, member);
    }
    if !injected {
        stamp.insert("parameters".to_owned(), Json::Object(Object::new()));
    }
    stamp.insert("version".to_owned(), Json::from(version));
    for cell in notebook.cells_mut() {
        let metadata = cell.metadata_mut();
        metadata.entry("tags".to_owned()).or_insert_with(|| Json::Array(Vec::new()));
        metadata.entry("papermill".to_owned()).or_insert_with(|| Json::Object(Object::new()));
    }
}

/// Records the parameters that were injected.
pub fn set_parameters(notebook: &mut Notebook, parameters: Object) {
    stamp(notebook).insert("parameters".to_owned(), Json::Object(parameters));
}

/// Records where the notebook was read and where it is written; `None`, for a notebook that is not a file, is `null`.
pub fn set_paths(notebook: &mut Notebook, input: Option<&str>, output: Option<&str>) {
    let stamp = stamp(notebook);
    stamp.insert("input_path".to_owned(), Json::from(input));
    stamp.insert("output_path".to_owned(), Json::from(output));
}

/// Hides the source of every code cell, as a report wants it. The rest of `metadata.jupyter` is kept; papermill drops it.
pub fn hide_sources(notebook: &mut Notebook) {
    for cell in notebook.cells_mut() {
        if cell.cell_type() == CellType::Code {
            object_in_mut(cell.metadata_mut(), "jupyter")
                .insert("source_hidden".to_owned(), Json::Bool(true));
        }
    }
}

/// Removes the cells that point at the failure of an earlier run.
pub fn remove_error_markers(notebook: &mut Notebook) {
    notebook.cells_mut().retain(|cell| !cell.has_tag(ERROR_MARKER_TAG));
}

/// Stamps the start of a run: all cells are pending, and code cells have neither outputs nor execution counts.
pub fn start_run(notebook: &mut Notebook, start_time: &str) {
    let stamp = stamp(notebook);
    stamp.insert("start_time".to_owned(), Json::from(start_time));
    for unknown in ["end_time", "duration", "exception"] {
        stamp.insert(unknown.to_owned(), Json::Null);
    }
    for cell in notebook.cells_mut() {
        if cell.cell_type() == CellType::Code {
            cell.outputs_mut().clear();
            cell.set_execution_count(None);
        }
        let mut stamp = Object::new();
        for unknown in ["exception", "start_time", "end_time", "duration"] {
            stamp.insert(unknown.to_owned(), Json::Null);
        }
        stamp.insert("status".to_owned(), Json::from(CellStatus::Pending.as_str()));
        cell.metadata_mut().insert("papermill".to_owned(), Json::Object(stamp));
    }
}

/// Stamps the start of a cell.
pub fn start_cell(cell: &mut Cell, start_time: &str) {
    let stamp = object_in_mut(cell.metadata_mut(), "papermill");
    stamp.insert("start_time".to_owned(), Json::from(start_time));
    stamp.insert("status".to_owned(), Json::from(CellStatus::Running.as_str()));
    stamp.insert("exception".to_owned(), Json::Bool(false));
}

/// Stamps the end of a cell; `duration` is in seconds. The cell's `exception` says whether it [failed](CellStatus::Failed).
pub fn end_cell(cell: &mut Cell, status: CellStatus, end_time: &str, duration: f64) {
    let stamp = object_in_mut(cell.metadata_mut(), "papermill");
    stamp.insert("end_time".to_owned(), Json::from(end_time));
    stamp.insert("duration".to_owned(), microseconds(duration));
    stamp.insert("status".to_owned(), Json::from(status.as_str()));
    stamp.insert("exception".to_owned(), Json::Bool(status == CellStatus::Failed));
}

/// Stamps the end of a run; `duration` is in seconds, and `exception` says that it did not come to its end.
pub fn end_run(notebook: &mut Notebook, end_time: &str, duration: f64, exception: bool) {
    let stamp = stamp(notebook);
    stamp.insert("end_time".to_owned(), Json::from(end_time));
    stamp.insert("duration".to_owned(), microseconds(duration));
    stamp.insert("exception".to_owned(), if exception { Json::Bool(true) } else { Json::Null });
}

/// Inserts two Markdown cells that point at a cell that failed, given by its index: one right before it, one at the top.
pub fn insert_error_markers(
    notebook: &mut Notebook,
    failed_cell: usize,
    execution_count: Option<i64>,
    fresh_id: &mut dyn FnMut() -> String,
) {
    const STYLE: &str =
        "style=\"color:red; font-family:Helvetica Neue, Helvetica, Arial, sans-serif; font-size:2em;\"";
    // Python's word for no count, as papermill has it.
    let count = execution_count.map_or_else(|| "None".to_owned(), |count| count.to_string());
    let message = format!(
        "<span {STYLE}>An Exception was encountered at '<a href=\"#papermill-error-cell\">In [{count}]</a>'.</span>"
    );
    let anchor = format!(
        "<span id=\"papermill-error-cell\" {STYLE}>Execution using papermill encountered an exception here and \
         stopped:</span>"
    );
    let mut marker = |text| {
        let mut cell = Cell::markdown(fresh_id(), text);
        cell.metadata_mut().insert("tags".to_owned(), Json::from(vec![Json::from(ERROR_MARKER_TAG)]));
        cell
    };
    let (message, anchor) = (marker(message), marker(anchor));
    let cells = notebook.cells_mut();
    cells.insert(failed_cell.min(cells.len()), anchor);
    cells.insert(0, message);
}

fn stamp(notebook: &mut Notebook) -> &mut Object {
    object_in_mut(notebook.metadata_mut(), "papermill")
}

/// Seconds as Python's `timedelta.total_seconds()` gives them: whole microseconds, spelled as a float.
fn microseconds(seconds: f64) -> Json {
    Json::from((seconds * 1e6).round() / 1e6)
}

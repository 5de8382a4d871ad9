//! A saved notebook as a test looks at it.

use std::fs;

use serde_json::Value;

use crate::Scratch;

/// A notebook that a run has left.
#[derive(Clone, Debug)]
pub struct Saved(pub Value);

impl Saved {
    /// The notebook `out.ipynb` of the scratch.
    ///
    /// # Panics
    /// When there is none or it is not JSON.
    #[track_caller]
    pub fn of(scratch: &Scratch) -> Self {
        Self(scratch.json("out.ipynb"))
    }

    /// The notebook that a run has put into the temporary folder, alone there, and its path.
    ///
    /// # Panics
    /// When there is another number of files, or it is not JSON.
    #[track_caller]
    pub fn rescued(scratch: &Scratch) -> (Self, String) {
        let entries = fs::read_dir(scratch.tmp()).expect("a scratch has a temporary folder");
        let paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        let [path] = &paths[..] else { panic!("one rescued notebook: {paths:?}") };
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
        let notebook = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (Self(notebook), path.display().to_string())
    }

    /// The cells.
    pub fn cells(&self) -> &[Value] {
        self.0["cells"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The cells that no error marker and no injection has added.
    fn original(&self) -> impl Iterator<Item = &Value> {
        self.cells().iter().filter(|cell| {
            let added = |tag: &Value| tag == "papermill-error-cell-tag" || tag == "injected-parameters";
            !cell["metadata"]["tags"].as_array().is_some_and(|tags| tags.iter().any(added))
        })
    }

    /// A cell of the input, by its position there.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn cell(&self, position: usize) -> &Value {
        self.original().nth(position).unwrap_or_else(|| panic!("no cell {position} in {:#}", self.0))
    }

    /// The statuses of the input's cells.
    pub fn statuses(&self) -> Vec<String> {
        let status =
            |cell: &Value| cell["metadata"]["papermill"]["status"].as_str().unwrap_or("none").to_owned();
        self.original().map(status).collect()
    }

    /// Whether error markers were inserted.
    pub fn has_markers(&self) -> bool {
        self.cells().iter().any(|cell| cell["source"].to_string().contains("papermill-error-cell"))
    }

    /// What the notebook's metadata says about an exception.
    pub fn exception(&self) -> &Value {
        &self.0["metadata"]["papermill"]["exception"]
    }

    /// All that a cell of the input wrote to `stdout` (or `stderr`).
    #[track_caller]
    pub fn stream(&self, position: usize, name: &str) -> String {
        let outputs = self.cell(position)["outputs"].as_array().cloned().unwrap_or_default();
        outputs.iter().filter(|output| output["name"] == name).map(|output| joined(&output["text"])).collect()
    }

    /// All that a cell of the input printed.
    #[track_caller]
    pub fn printed(&self, position: usize) -> String {
        self.stream(position, "stdout")
    }

    /// The source of the injected cell.
    ///
    /// # Panics
    /// When nothing was injected.
    #[track_caller]
    pub fn injected(&self) -> String {
        let is_injected =
            |cell: &&Value| cell["metadata"]["tags"].to_string().contains("injected-parameters");
        joined(&self.cells().iter().find(is_injected).expect("a cell was injected")["source"])
    }
}

/// Text that a notebook holds as one string or as a list of lines.
pub fn joined(text: &Value) -> String {
    match text {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

//! The notebook in memory: a list of cells, and all that the file held.
//!
//! Invariants of a notebook that was parsed or built here: it is nbformat 4.5; every cell is a JSON object with a text id and
//! a `metadata` object; a code cell has `outputs`. Everything else stands as it was found, even where it is off-spec: the
//! accessors give the sensible reading of it, and writing gives it back.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::json::{Json, Object};
use crate::outputs::Recording;

/// A notebook document in nbformat 4.5.
///
/// Read one with [`Notebook::parse`]; write it with [`Notebook::to_vec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notebook {
    /// All members but `cells`.
    pub(crate) members: Object,
    cells: Vec<Cell>,
}

impl Notebook {
    /// An empty notebook.
    pub fn new() -> Self {
        Self::from_parts(Object::new(), Vec::new())
    }

    /// Sets the version, and metadata if there is none.
    pub(crate) fn from_parts(mut members: Object, cells: Vec<Cell>) -> Self {
        members.insert("nbformat".to_owned(), Json::from(4));
        members.insert("nbformat_minor".to_owned(), Json::from(5));
        let mut notebook = Self { members, cells };
        notebook.metadata_mut();
        notebook
    }

    /// The notebook's metadata.
    pub fn metadata(&self) -> &Object {
        object_in(&self.members, "metadata")
    }

    /// The notebook's metadata, to change it.
    pub fn metadata_mut(&mut self) -> &mut Object {
        object_in_mut(&mut self.members, "metadata")
    }

    /// The cells in order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cells in order, to add, remove or change some.
    pub fn cells_mut(&mut self) -> &mut Vec<Cell> {
        &mut self.cells
    }

    /// Everything that the notebook says: each member of the notebook and of its cells but what makes it a notebook
    /// (versions, ids and types). For a change of texts wherever they stand.
    pub fn contents_mut(&mut self) -> impl Iterator<Item = &mut Json> {
        self.cells.iter_mut().for_each(Cell::end_recording);
        let of_notebook = self.members.iter_mut();
        let of_cells = self.cells.iter_mut().flat_map(|cell| cell.members.iter_mut());
        let structure = ["nbformat", "nbformat_minor", "id", "cell_type"];
        let contents = of_notebook.chain(of_cells).filter(move |(key, _)| !structure.contains(&key.as_str()));
        contents.map(|(_, value)| value)
    }

    /// The name of the kernel that the notebook asks for (`metadata.kernelspec.name`).
    pub fn kernel_name(&self) -> Option<&str> {
        let kernelspec = self.metadata().get("kernelspec")?;
        kernelspec.get("name")?.as_str().filter(|name| !name.is_empty())
    }

    /// The language of the notebook, found where papermill looks: `metadata.language_info.name`, else
    /// `metadata.kernelspec.language`.
    pub fn language(&self) -> Option<&str> {
        let find = |object: &str, key: &str| {
            self.metadata().get(object)?.get(key)?.as_str().filter(|name| !name.is_empty())
        };
        find("language_info", "name").or_else(|| find("kernelspec", "language"))
    }
}

impl Default for Notebook {
    fn default() -> Self {
        Self::new()
    }
}

/// What kind of cell it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    /// Source that a kernel executes.
    Code,
    /// Text in Markdown.
    Markdown,
    /// Text that is left alone.
    Raw,
    /// A type that nbformat 4.5 does not know, or none. Such a cell is kept and never executed.
    Other,
}

/// One cell of a notebook.
#[derive(Clone, Debug)]
pub struct Cell {
    /// All members; while the outputs are recorded, an empty list stands for them.
    pub(crate) members: Object,
    recording: Option<Box<Recording>>,
}

/// Cells are equal when their members are, however their outputs are held.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        if self.recording.is_none() && other.recording.is_none() {
            return self.members == other.members;
        }
        let others = |key: &String, value: &Json| key == "outputs" || other.members.get(key) == Some(value);
        self.members.len() == other.members.len()
            && self.members.iter().all(|(key, value)| others(key, value))
            && self.outputs() == other.outputs()
    }
}

impl Eq for Cell {}

impl Cell {
    /// A code cell that was never executed.
    pub fn code(id: impl Into<String>, source: impl Into<String>) -> Self {
        let mut cell = Self::new("code", id.into(), source.into());
        cell.members.insert("execution_count".to_owned(), Json::Null);
        cell.members.insert("outputs".to_owned(), Json::Array(Vec::new()));
        cell
    }

    /// A Markdown cell.
    pub fn markdown(id: impl Into<String>, source: impl Into<String>) -> Self {
        Self::new("markdown", id.into(), source.into())
    }

    fn new(cell_type: &str, id: String, source: String) -> Self {
        let members = [
            ("id", Json::from(id)),
            ("cell_type", Json::from(cell_type)),
            ("metadata", Json::Object(Object::new())),
            ("source", Json::from(source)),
        ];
        Self::from_members(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(crate) fn from_members(members: Object) -> Self {
        Self { members, recording: None }
    }

    /// The cell's id.
    pub fn id(&self) -> &str {
        self.members.get("id").and_then(Json::as_str).unwrap_or_default()
    }

    pub(crate) fn set_id(&mut self, id: String) {
        self.members.insert("id".to_owned(), Json::from(id));
    }

    /// What kind of cell it is.
    pub fn cell_type(&self) -> CellType {
        match self.members.get("cell_type").and_then(Json::as_str) {
            Some("code") => CellType::Code,
            Some("markdown") => CellType::Markdown,
            Some("raw") => CellType::Raw,
            _ => CellType::Other,
        }
    }

    /// The source as text. Off-spec sources are read as one would guess: none and `null` as empty, a number as its
    /// spelling, the parts of a list one after the other; a lone surrogate as U+FFFD.
    pub fn source(&self) -> Cow<'_, str> {
        match self.members.get("source") {
            None => Cow::Borrowed(""),
            Some(Json::Array(lines)) => lines.iter().map(|line| as_source(line).into_owned()).collect(),
            Some(source) => as_source(source),
        }
    }

    /// Replaces the source.
    pub fn set_source(&mut self, source: impl Into<String>) {
        self.members.insert("source".to_owned(), Json::from(source.into()));
    }

    /// The cell's metadata.
    pub fn metadata(&self) -> &Object {
        object_in(&self.members, "metadata")
    }

    /// The cell's metadata, to change it.
    pub fn metadata_mut(&mut self) -> &mut Object {
        object_in_mut(&mut self.members, "metadata")
    }

    /// The cell's tags. Tags given as one string (off-spec) are that one tag.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.metadata().get("tags");
        let list = tags.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        tags.and_then(Json::as_str).into_iter().chain(list.iter().filter_map(Json::as_str))
    }

    /// Whether the cell has the tag, decided as papermill decides it: with Python's `in`. In tags given as one string
    /// (off-spec) it is found anywhere.
    pub fn has_tag(&self, tag: &str) -> bool {
        match self.metadata().get("tags") {
            Some(Json::Array(tags)) => tags.iter().any(|candidate| candidate.as_str() == Some(tag)),
            Some(Json::Object(tags)) => tags.contains_key(tag),
            Some(tags) => tags.text().is_some_and(|tags| tags.contains(tag)),
            None => false,
        }
    }

    /// The outputs of a code cell; none for other cells. Those that were [recorded](Self::record) are read back when they
    /// are asked for first.
    pub fn outputs(&self) -> &[Json] {
        match &self.recording {
            Some(recording) => recording.values(),
            None => self.members.get("outputs").and_then(Json::as_array).map_or(&[], Vec::as_slice),
        }
    }

    /// The outputs, to change them. A cell that has none gets an empty list: only code cells should.
    pub fn outputs_mut(&mut self) -> &mut Vec<Json> {
        self.end_recording();
        self.outputs_member()
    }

    /// The outputs of a code cell, to record more of them: each is held only as the bytes that it has in the file, once it
    /// is whole. It ends when the values are asked for to be changed.
    pub fn record(&mut self) -> &mut Recording {
        if self.recording.is_none() {
            let outputs = std::mem::take(self.outputs_member());
            self.recording = Some(Box::new(Recording::of(outputs)));
        }
        self.recording.as_mut().expect("made just above")
    }

    /// The recording of the outputs, if one has begun.
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_deref()
    }

    /// The outputs that are errors, without reading back any other.
    pub fn errors(&self) -> impl Iterator<Item = Cow<'_, Json>> {
        let recorded = self.recording.iter().flat_map(|recording| recording.errors());
        let plain = if self.recording.is_some() { &[] } else { self.outputs() };
        let is_error = |output: &&Json| output.get("output_type").and_then(Json::as_str) == Some("error");
        recorded.chain(plain.iter().filter(is_error).map(Cow::Borrowed))
    }

    fn end_recording(&mut self) {
        if let Some(recording) = self.recording.take() {
            *self.outputs_member() = recording.into_values();
        }
    }

    fn outputs_member(&mut self) -> &mut Vec<Json> {
        let outputs = self.members.entry("outputs".to_owned()).or_default();
        if !matches!(outputs, Json::Array(_)) {
            *outputs = Json::Array(Vec::new());
        }
        outputs.as_array_mut().expect("made an array just above")
    }

    /// The files attached to a Markdown or raw cell: by name, each a bundle of base64 by MIME type.
    pub fn attachments(&self) -> Option<&Object> {
        self.members.get("attachments").and_then(Json::as_object)
    }

    /// How many requests the kernel had executed when it executed this cell.
    pub fn execution_count(&self) -> Option<i64> {
        self.members.get("execution_count").and_then(Json::as_i64)
    }

    /// Sets the execution count; `None` is written as `null`.
    pub fn set_execution_count(&mut self, count: Option<i64>) {
        self.members.insert("execution_count".to_owned(), Json::from(count));
    }
}

fn as_source(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Null => Cow::Borrowed(""),
        other => other.text().unwrap_or_else(|| Cow::Owned(other.to_compact())),
    }
}

/// What stands for the members of an object that is not there.
static NO_MEMBERS: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Object::new);

fn object_in<'a>(members: &'a Object, key: &str) -> &'a Object {
    members.get(key).and_then(Json::as_object).unwrap_or(&NO_MEMBERS)
}

/// The object under that key, made if there is none.
pub(crate) fn object_in_mut<'a>(members: &'a mut Object, key: &str) -> &'a mut Object {
    if !members.get(key).is_some_and(|value| matches!(value, Json::Object(_))) {
        members.insert(key.to_owned(), Json::Object(Object::new()));
    }
    members.get_mut(key).and_then(Json::as_object_mut).expect("made an object just above")
}

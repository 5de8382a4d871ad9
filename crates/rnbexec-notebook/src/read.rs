//! Reading a notebook of any version into nbformat 4.5, as papermill does: `nbformat.reads(as_version=4)`, then
//! `nbformat.v4.upgrade`.
//!
//! Off-spec notebooks are read where that makes sense, also where nbformat gives up (no `nbformat_minor`, a cell without
//! metadata): nothing is lost, and a [`Quirk`] names the cell, what was found and how it was read.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::json::{Json, JsonError, JsonErrorKind, Note, NoteKind, Object, PathStep};
use crate::lines;
use crate::notebook::{Cell, Notebook};
use crate::quirk::{CellPlace, ODD_METADATA_KEY, Quirk, QuirkKind};
use crate::upgrade;

/// A notebook that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The notebook, in nbformat 4.5.
    pub notebook: Notebook,
    /// What was off-spec, in order of the cells, the notebook's own first.
    pub quirks: Vec<Quirk>,
}

/// Why bytes cannot be read as a notebook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotebookError {
    /// There is nothing in the file.
    #[error(
        "the notebook is empty; an interrupted save leaves such a file, so look for a checkpoint or a backup"
    )]
    Empty,
    /// The file is not JSON.
    #[error("the notebook is not valid JSON; restore it from a checkpoint, or repair it by hand")]
    NotJson(#[source] JsonError),
    /// The file holds the marks of a merge that git could not do.
    #[error("the notebook holds a merge conflict at line {line}; resolve it and try again")]
    MergeConflict {
        /// The line of its first mark, from 1.
        line: usize,
    },
    /// Arrays and objects are nested deeper than any notebook needs.
    #[error("the notebook cannot be read, and neither can Jupyter read it")]
    TooDeep(#[source] JsonError),
    /// The file is JSON, but not an object.
    #[error("the notebook is {found}, not a JSON object with `cells`")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// The file is in a version of the format that is not known.
    #[error("the notebook is nbformat {found}; versions 1 to 4 can be read, so save it as nbformat 4")]
    UnsupportedVersion {
        /// The major version.
        found: String,
    },
    /// The file is a JSON object, but not a notebook.
    #[error("the JSON object has no `{missing}` and so is not a notebook; is it the right file?")]
    NoCells {
        /// The member that a notebook of this version holds its cells in.
        missing: &'static str,
    },
    /// The cells, or a worksheet with cells, are not what they should be.
    #[error("`{place}` is {found}, not {wanted}")]
    OddCells {
        /// The member.
        place: &'static str,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A cell is not an object.
    #[error("cell {} is {found}, not a JSON object; remove it from `cells`", .index + 1)]
    OddCell {
        /// The index of the cell, from 0.
        index: usize,
        /// What it is.
        found: &'static str,
    },
}

impl Notebook {
    /// Reads a notebook of any version from 1 to 4.x. It is upgraded to nbformat 4.5 as papermill and nbformat do; `fresh_id`
    /// makes an id for each cell that needs one (nbformat takes 8 hex digits).
    ///
    /// # Errors
    /// The bytes are not JSON, or not a notebook of a known version.
    pub fn parse(bytes: &[u8], fresh_id: &mut dyn FnMut() -> String) -> Result<Parsed, NotebookError> {
        let parsed = Json::parse_notebook(bytes, join_early).map_err(|error| match error.kind {
            JsonErrorKind::Empty => NotebookError::Empty,
            JsonErrorKind::TooDeep(_) => NotebookError::TooDeep(error),
            _ => match conflict_mark(bytes) {
                Some(line) => NotebookError::MergeConflict { line },
                None => NotebookError::NotJson(error),
            },
        })?;
        let Json::Object(mut root) = parsed.value else {
            return Err(NotebookError::NotAnObject { found: parsed.value.kind() });
        };
        let mut quirks = Quirks::default();
        let version = version(&root, &mut quirks)?;
        let cells = match version.major {
            4 => take_cells(&mut root)?,
            major => upgrade::to_v4(&mut root, major, &mut quirks)?,
        };
        read_metadata(&mut root, None, &mut quirks);
        if let Some(metadata) = root.get_mut("metadata").and_then(Json::as_object_mut) {
            for transient in ["orig_nbformat", "orig_nbformat_minor", "signature"] {
                metadata.shift_remove(transient);
            }
        }
        let mut cells = cells
            .into_iter()
            .enumerate()
            .map(|(index, cell)| read_cell(index, cell, version.major == 4, &mut quirks))
            .collect::<Result<Vec<_>, _>>()?;
        read_ids(&mut cells, version.keeps_ids, fresh_id, &mut quirks);
        let in_cells = version.major == 4 || version.major == 1;
        for note in parsed.notes {
            quirks.add_note(note, in_cells);
        }
        let quirks = quirks.with_ids(&cells);
        Ok(Parsed { notebook: Notebook::from_parts(root, cells), quirks })
    }
}

/// The line, from 1, where git began to write down a merge conflict.
fn conflict_mark(bytes: &[u8]) -> Option<usize> {
    bytes.split(|&byte| byte == b'\n').position(|line| line.starts_with(b"<<<<<<< ")).map(|index| index + 1)
}

/// Collects quirks while the ids of the cells are not known yet.
#[derive(Default)]
pub(crate) struct Quirks {
    found: Vec<(Option<usize>, QuirkKind)>,
}

impl Quirks {
    pub(crate) fn add(&mut self, cell: impl Into<Option<usize>>, kind: QuirkKind) {
        self.found.push((cell.into(), kind));
    }

    fn add_note(&mut self, note: Note, in_cells: bool) {
        let cell = match note.path[..] {
            [PathStep::Key(ref key), PathStep::Index(index)] if in_cells && key == "cells" => Some(index),
            _ => None,
        };
        let kind = match note.kind {
            NoteKind::ByteOrderMark => QuirkKind::ByteOrderMark,
            NoteKind::DuplicateKey(key) => QuirkKind::DuplicateKey(key),
            NoteKind::NonFinite(word) => QuirkKind::NonFinite(word),
            NoteKind::LoneSurrogate => QuirkKind::LoneSurrogate,
        };
        self.add(cell, kind);
    }

    fn with_ids(mut self, cells: &[Cell]) -> Vec<Quirk> {
        self.found.sort_by_key(|(cell, _)| *cell);
        let place = |index| CellPlace { index, id: cells.get(index).map_or("", Cell::id).to_owned() };
        self.found.into_iter().map(|(cell, kind)| Quirk { cell: cell.map(place), kind }).collect()
    }
}

struct Version {
    major: u8,
    /// Whether the cells of this version have ids. All others get fresh ones, even if they have some, as in nbformat.
    keeps_ids: bool,
}

fn version(root: &Object, quirks: &mut Quirks) -> Result<Version, NotebookError> {
    let major = match root.get("nbformat") {
        None => {
            let major = looks_like(root)?;
            quirks.add(None, QuirkKind::NoVersion(major));
            major
        }
        Some(found) => {
            let integer = found.as_i64().or_else(|| {
                quirks.add(None, QuirkKind::OddVersion(excerpt(found)));
                let quoted = || found.as_str().and_then(|text| text.trim().parse().ok());
                let float: f64 = found.as_f64().or_else(quoted)?;
                (1..=4).find(|&major| (float - f64::from(major)).abs() < f64::EPSILON).map(i64::from)
            });
            match integer.and_then(|major| u8::try_from(major).ok()) {
                Some(major @ 1..=4) => major,
                _ => return Err(NotebookError::UnsupportedVersion { found: excerpt(found) }),
            }
        }
    };
    if major < 4 {
        return Ok(Version { major, keeps_ids: false });
    }
    let keeps_ids = match root.get("nbformat_minor") {
        None => {
            quirks.add(None, QuirkKind::NoMinorVersion);
            true
        }
        Some(found) => match found.as_i64() {
            None => {
                quirks.add(None, QuirkKind::OddMinorVersion(excerpt(found)));
                true
            }
            Some(minor) => {
                if minor > 5 {
                    quirks.add(None, QuirkKind::NewerMinorVersion(minor));
                }
                minor >= 5
            }
        },
    };
    Ok(Version { major, keeps_ids })
}

/// The major version that a notebook without `nbformat` looks like.
fn looks_like(root: &Object) -> Result<u8, NotebookError> {
    if root.contains_key("worksheets") {
        return Ok(3);
    }
    let Some(cells) = root.get("cells") else {
        return Err(NotebookError::NoCells { missing: "cells" });
    };
    let first = |cell: &Json| {
        cell.get("source").is_none() && (cell.get("code").is_some() || cell.get("text").is_some())
    };
    Ok(if cells.as_array().is_some_and(|cells| cells.iter().any(first)) { 1 } else { 4 })
}

/// Takes the list of cells out of a notebook that has it at the top.
pub(crate) fn take_cells(root: &mut Object) -> Result<Vec<Json>, NotebookError> {
    match root.shift_remove("cells") {
        Some(Json::Array(cells)) => Ok(cells),
        Some(other) => Err(NotebookError::OddCells { place: "cells", found: other.kind(), wanted: "a list" }),
        None => Err(NotebookError::NoCells { missing: "cells" }),
    }
}

/// Makes sure that there is a `metadata` object.
pub(crate) fn read_metadata(members: &mut Object, cell: Option<usize>, quirks: &mut Quirks) {
    let kept = match members.get("metadata") {
        Some(Json::Object(_)) => return,
        None | Some(Json::Null) => {
            quirks.add(cell, QuirkKind::NoMetadata);
            Object::new()
        }
        Some(other) => {
            quirks.add(cell, QuirkKind::OddMetadata(other.kind()));
            Object::from_iter([(ODD_METADATA_KEY.to_owned(), other.clone())])
        }
    };
    members.insert("metadata".to_owned(), Json::Object(kept));
}

/// Reads one cell. `rejoin` says that its multi-line strings have still to be joined.
fn read_cell(index: usize, cell: Json, rejoin: bool, quirks: &mut Quirks) -> Result<Cell, NotebookError> {
    let Json::Object(mut members) = cell else {
        return Err(NotebookError::OddCell { index, found: cell.kind() });
    };
    read_metadata(&mut members, Some(index), quirks);
    if let Some(metadata) = members.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.shift_remove("trusted");
        match metadata.get("tags") {
            None => {}
            Some(Json::Array(tags)) if tags.iter().all(Json::is_string) => {}
            Some(Json::Array(_)) => quirks.add(index, QuirkKind::OddTags("a list of other things")),
            Some(other) => quirks.add(index, QuirkKind::OddTags(other.kind())),
        }
    }
    let is_code = if let Some(name) = members.get("cell_type").and_then(Json::text) {
        let is_code = name == "code";
        if !matches!(&*name, "code" | "markdown" | "raw") {
            quirks.add(index, QuirkKind::UnknownCellType(name.into_owned()));
        }
        is_code
    } else {
        quirks.add(index, QuirkKind::NoCellType);
        false
    };
    match members.get_mut("source") {
        None => quirks.add(index, QuirkKind::NoSource),
        Some(source) => {
            if rejoin {
                join_lines(source);
            }
            match source {
                Json::String(_) | Json::IllFormed(_) => {}
                Json::Array(_) => quirks.add(index, QuirkKind::OddSource("a list of other things")),
                other => quirks.add(index, QuirkKind::OddSource(other.kind())),
            }
        }
    }
    if rejoin && let Some(attachments) = members.get_mut("attachments").and_then(Json::as_object_mut) {
        attachments.values_mut().for_each(join_bundle);
    }
    if is_code {
        read_outputs(&mut members, index, rejoin, quirks);
        match members.get("execution_count") {
            Some(Json::Null) => {}
            Some(Json::Number(count)) if count.is_integer() => {}
            Some(other) => quirks.add(index, QuirkKind::OddExecutionCount(excerpt(other))),
            None => quirks.add(index, QuirkKind::NoExecutionCount),
        }
    }
    Ok(Cell::from_members(members))
}

fn read_outputs(members: &mut Object, cell: usize, rejoin: bool, quirks: &mut Quirks) {
    let outputs = match members.get_mut("outputs") {
        Some(Json::Array(outputs)) => outputs,
        Some(other) => return quirks.add(cell, QuirkKind::OddOutputs(other.kind())),
        None => {
            quirks.add(cell, QuirkKind::NoOutputs);
            members.insert("outputs".to_owned(), Json::Array(Vec::new()));
            return;
        }
    };
    for (index, output) in outputs.iter_mut().enumerate() {
        let Json::Object(members) = output else {
            quirks.add(cell, QuirkKind::OddOutput(index, output.kind()));
            continue;
        };
        let joined = match members.get("output_type").and_then(Json::text).as_deref() {
            Some("execute_result" | "display_data") => "data",
            Some("stream" | "error") => "text",
            Some(other) => {
                quirks.add(cell, QuirkKind::UnknownOutputType(index, other.to_owned()));
                // nbformat joins the text of outputs that it does not know, too.
                if other.is_empty() {
                    continue;
                }
                "text"
            }
            None => {
                quirks.add(cell, QuirkKind::NoOutputType(index));
                continue;
            }
        };
        if rejoin && let Some(value) = members.get_mut(joined) {
            if joined == "data" { join_bundle(value) } else { join_lines(value) }
        }
    }
}

/// Joins the lines of a cell's outputs before the next cell is read: a list of short lines takes several times the memory of
/// its text. It is done once more when the version is known; here only where the cell can be of no other than the fourth.
fn join_early(cell: &mut Json) {
    let Json::Object(cell) = cell else { return };
    let is_code = cell.get("cell_type").and_then(Json::as_str) == Some("code");
    if !is_code || !cell.contains_key("source") {
        return;
    }
    for output in cell.get_mut("outputs").and_then(Json::as_array_mut).into_iter().flatten() {
        let Json::Object(members) = output else { continue };
        match members.get("output_type").and_then(Json::as_str) {
            Some("execute_result" | "display_data") => members.get_mut("data").map(join_bundle),
            Some("stream") => members.get_mut("text").map(join_lines),
            _ => None,
        };
    }
}

/// Joins the lines of those parts of a MIME bundle that are not JSON.
pub(crate) fn join_bundle(bundle: &mut Json) {
    if let Json::Object(parts) = bundle {
        for (mime, part) in parts {
            let is_json =
                mime == "application/json" || mime.starts_with("application/") && mime.ends_with("+json");
            if !is_json {
                join_lines(part);
            }
        }
    }
}

/// Joins a list of strings; leaves anything else alone.
pub(crate) fn join_lines(value: &mut Json) {
    if let Json::Array(list) = value {
        *value = lines::join(std::mem::take(list), "").unwrap_or_else(Json::Array);
    }
}

/// Gives an id to each cell that has none, or one that an earlier cell has.
fn read_ids(cells: &mut [Cell], keep: bool, fresh_id: &mut dyn FnMut() -> String, quirks: &mut Quirks) {
    let found = |cell: &Cell| cell.members.get("id").and_then(Json::as_str).map(str::to_owned);
    let mut taken: HashSet<String> =
        if keep { cells.iter().filter_map(found).collect() } else { HashSet::new() };
    let mut seen = HashSet::new();
    for (index, cell) in cells.iter_mut().enumerate() {
        if keep {
            match cell.members.get("id") {
                Some(Json::String(id)) if !seen.contains(id) => {
                    if !is_valid_id(id) {
                        quirks.add(index, QuirkKind::InvalidId(id.clone()));
                    }
                    seen.insert(id.clone());
                    continue;
                }
                Some(Json::String(id)) => quirks.add(index, QuirkKind::DuplicateId(id.clone())),
                Some(other) => {
                    quirks.add(index, QuirkKind::OddId(excerpt(other)));
                    continue;
                }
                None => quirks.add(index, QuirkKind::NoId),
            }
        }
        cell.set_id(free_id(&mut taken, fresh_id));
    }
}

/// A fresh id that no cell has. An id is random, so that a second try is all but unheard of.
fn free_id(taken: &mut HashSet<String>, fresh_id: &mut dyn FnMut() -> String) -> String {
    let mut id = fresh_id();
    for attempt in 1_u64.. {
        if taken.insert(id.clone()) {
            break;
        }
        // Even a source that repeats itself comes to an end.
        id = if attempt < 8 { fresh_id() } else { format!("{}-{attempt}", fresh_id()) };
    }
    id
}

fn is_valid_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The start of a value, for a message.
fn excerpt(value: &Json) -> String {
    match value {
        Json::Array(_) | Json::Object(_) => value.kind().to_owned(),
        scalar => scalar.to_compact().chars().take(60).collect(),
    }
}

//! Writing a notebook, byte for byte as Python's `nbformat.writes` does it.
//!
//! That is `json.dumps(indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=False)` without a newline at the end,
//! after nbformat's own two steps: multi-line text becomes a list of lines (sources, stream texts, the `text/*`, JavaScript
//! and SVG parts of outputs and attachments), and what must not be stored is left out (`trusted`, `signature`,
//! `orig_nbformat`, `orig_nbformat_minor`). Two differences: what was read as a number is written as it was spelled, and the
//! result is always valid JSON (see [`crate::json`]).

use bytes::Bytes;

use crate::json::write::{line_break, sorted, write_key, write_string, write_wtf8};
use crate::json::{Json, Object};
use crate::lines;
use crate::notebook::{Cell, CellType, Notebook};

/// What stands in a file between two cells.
pub const CELL_SEPARATOR: &[u8] = b",\n  ";

/// The depth at which cells stand in a file.
const CELL_DEPTH: usize = 2;

/// The bytes of a file before its first and after its last cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What comes before the first cell.
    pub prefix: Vec<u8>,
    /// What comes after the last cell.
    pub suffix: Vec<u8>,
}

impl Notebook {
    /// The bytes of the notebook's file.
    pub fn to_vec(&self) -> Vec<u8> {
        let Frame { prefix: mut out, suffix } = write_frame(self);
        for (index, cell) in self.cells().iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(CELL_SEPARATOR);
            }
            append_cell(cell, &mut out);
        }
        out.extend_from_slice(&suffix);
        out
    }
}

/// The bytes of a notebook's file around its cells: prefix, the cells of [`write_cell`] joined by [`CELL_SEPARATOR`], and
/// suffix are the file. Whether the notebook has any cells at all shows in the frame.
pub fn write_frame(notebook: &Notebook) -> Frame {
    let mut members: Vec<_> = sorted(&notebook.members);
    let cells = "cells".to_owned();
    let position = members.partition_point(|(key, _)| **key < cells);
    members.insert(position, (&cells, &Json::Null));

    let mut out = vec![b'{'];
    let mut prefix = Vec::new();
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        line_break(&mut out, 1);
        write_key(key, &mut out);
        out.extend_from_slice(b": ");
        if index == position {
            out.push(b'[');
            if !notebook.cells().is_empty() {
                line_break(&mut out, CELL_DEPTH);
            }
            prefix = std::mem::take(&mut out);
            if !notebook.cells().is_empty() {
                line_break(&mut out, 1);
            }
            out.push(b']');
        } else if key == "metadata" {
            write_metadata(value, &["orig_nbformat", "orig_nbformat_minor", "signature"], &mut out, 1);
        } else {
            value.write_pretty(&mut out, 1);
        }
    }
    out.extend_from_slice(b"\n}");
    Frame { prefix, suffix: out }
}

/// The bytes that a cell occupies in the file of its notebook, indented as there.
pub fn write_cell(cell: &Cell) -> Vec<u8> {
    let mut out = Vec::new();
    append_cell(cell, &mut out);
    out
}

/// The same bytes in parts. Outputs that were [recorded](Cell::record) are shared with the cell, not copied.
pub fn cell_parts(cell: &Cell) -> Vec<Bytes> {
    let mut out = Vec::new();
    let outputs_at = append_members(cell, &mut out);
    out.shrink_to_fit();
    let out = Bytes::from(out);
    match (cell.recording(), outputs_at) {
        (Some(recording), Some(at)) => {
            let mut parts = vec![out.slice(..at)];
            parts.extend(recording.parts());
            parts.push(out.slice(at..));
            parts
        }
        _ => vec![out],
    }
}

fn append_cell(cell: &Cell, out: &mut Vec<u8>) {
    if cell.recording().is_some() {
        for part in cell_parts(cell) {
            out.extend_from_slice(&part);
        }
    } else {
        append_members(cell, out);
    }
}

/// Writes a cell. Recorded outputs are left out: returns where they belong.
fn append_members(cell: &Cell, out: &mut Vec<u8>) -> Option<usize> {
    let is_code = cell.cell_type() == CellType::Code;
    let mut outputs_at = None;
    write_object(&cell.members, out, CELL_DEPTH, |key, value, out, depth| match (key, value) {
        ("metadata", metadata) => write_metadata(metadata, &["trusted"], out, depth),
        ("source", source) => write_lines(source, out, depth),
        ("attachments", Json::Object(attachments)) => {
            write_object(attachments, out, depth, |_, bundle, out, depth| write_bundle(bundle, out, depth));
        }
        ("outputs", _) if cell.recording().is_some() => outputs_at = Some(out.len()),
        ("outputs", Json::Array(outputs)) if is_code => {
            write_array(outputs.iter(), out, depth, write_output);
        }
        (_, value) => value.write_pretty(out, depth),
    });
    outputs_at
}

pub(crate) fn write_output(output: &Json, out: &mut Vec<u8>, depth: usize) {
    let Json::Object(members) = output else {
        return output.write_pretty(out, depth);
    };
    let output_type = members.get("output_type").and_then(Json::as_str);
    write_object(members, out, depth, |key, value, out, depth| match (output_type, key) {
        (Some("execute_result" | "display_data"), "data") => write_bundle(value, out, depth),
        (Some("stream"), "text") => write_lines(value, out, depth),
        _ => value.write_pretty(out, depth),
    });
}

/// Writes a MIME bundle: the parts that are text are split into lines, all others are left alone.
fn write_bundle(bundle: &Json, out: &mut Vec<u8>, depth: usize) {
    let Json::Object(parts) = bundle else {
        return bundle.write_pretty(out, depth);
    };
    write_object(parts, out, depth, |mime, part, out, depth| {
        if mime.starts_with("text/") || matches!(mime, "application/javascript" | "image/svg+xml") {
            write_lines(part, out, depth);
        } else {
            part.write_pretty(out, depth);
        }
    });
}

fn write_metadata(metadata: &Json, left_out: &[&str], out: &mut Vec<u8>, depth: usize) {
    match metadata {
        Json::Object(members) if left_out.iter().any(|key| members.contains_key(*key)) => {
            let kept: Object = members
                .iter()
                .filter(|(key, _)| !left_out.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Json::Object(kept).write_pretty(out, depth);
        }
        _ => metadata.write_pretty(out, depth),
    }
}

/// Writes a string as the list of its lines; anything else as it is.
fn write_lines(value: &Json, out: &mut Vec<u8>, depth: usize) {
    match value {
        Json::String(text) => {
            let mut start = 0;
            write_array(lines::split(text.as_bytes()), out, depth, |line, out, _| {
                write_string(&text[start..start + line.len()], out);
                start += line.len();
            });
        }
        Json::IllFormed(text) => {
            write_array(lines::split(text.as_wtf8()), out, depth, |line, out, _| write_wtf8(line, out));
        }
        _ => value.write_pretty(out, depth),
    }
}

fn write_array<T>(
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    depth: usize,
    mut write_item: impl FnMut(T, &mut Vec<u8>, usize),
) {
    out.push(b'[');
    let mut any = false;
    for item in items {
        if any {
            out.push(b',');
        }
        any = true;
        line_break(out, depth + 1);
        write_item(item, out, depth + 1);
    }
    if any {
        line_break(out, depth);
    }
    out.push(b']');
}

fn write_object(
    members: &Object,
    out: &mut Vec<u8>,
    depth: usize,
    mut write_member: impl FnMut(&str, &Json, &mut Vec<u8>, usize),
) {
    out.push(b'{');
    for (index, (key, value)) in sorted(members).into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        line_break(out, depth + 1);
        write_key(key, out);
        out.extend_from_slice(b": ");
        write_member(key, value, out, depth + 1);
    }
    if !members.is_empty() {
        line_break(out, depth);
    }
    out.push(b'}');
}

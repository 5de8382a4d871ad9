//! Upgrading notebooks of nbformat 1, 2 and 3 to nbformat 4, step by step as `nbformat.v4.convert.upgrade` and its
//! predecessors do: worksheets become one list of cells, headings become Markdown, `pyout`, `pyerr` and the short names of
//! MIME types get their names of today.

use crate::json::{Json, Object};
use crate::lines;
use crate::notebook::object_in_mut;
use crate::quirk::QuirkKind;
use crate::read::{NotebookError, Quirks, read_metadata, take_cells};

/// The outputs' members that old versions split into lines.
const MULTILINE_OUTPUTS: [&str; 6] = ["text", "html", "svg", "latex", "javascript", "json"];

/// The short names of MIME types before nbformat 4.
const MIME_TYPES: [(&str, &str); 8] = [
    ("text", "text/plain"),
    ("html", "text/html"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("latex", "text/latex"),
    ("json", "application/json"),
    ("javascript", "application/javascript"),
];

/// Takes the cells of a notebook before nbformat 4, upgraded, and brings what else it holds up to date.
pub(crate) fn to_v4(root: &mut Object, major: u8, quirks: &mut Quirks) -> Result<Vec<Json>, NotebookError> {
    let mut cells = match major {
        1 => {
            // Such notebooks had no metadata: that is not off-spec.
            root.entry("metadata".to_owned()).or_insert_with(|| Json::Object(Object::new()));
            let mut cells = take_cells(root)?;
            cells.iter_mut().filter_map(Json::as_object_mut).for_each(upgrade_first);
            cells
        }
        _ => flatten(root, quirks)?,
    };
    for (index, cell) in cells.iter_mut().enumerate() {
        let Json::Object(members) = cell else {
            return Err(NotebookError::OddCell { index, found: cell.kind() });
        };
        // Metadata came with nbformat 3, and were no duty there.
        members.entry("metadata".to_owned()).or_insert_with(|| Json::Object(Object::new()));
        read_metadata(members, Some(index), quirks);
        upgrade_cell(members, index, Joiner { plain_newline: major < 3 }, quirks);
    }
    root.shift_remove("orig_nbformat");
    root.shift_remove("orig_nbformat_minor");
    if let Some(metadata) = root.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.shift_remove("name");
    }
    Ok(cells)
}

/// The cells of all worksheets.
fn flatten(root: &mut Object, quirks: &mut Quirks) -> Result<Vec<Json>, NotebookError> {
    let odd = |place, found: &Json, wanted| NotebookError::OddCells { place, found: found.kind(), wanted };
    let worksheets = match root.shift_remove("worksheets") {
        Some(Json::Array(worksheets)) => worksheets,
        Some(other) => return Err(odd("worksheets", &other, "a list")),
        None => return Err(NotebookError::NoCells { missing: "worksheets" }),
    };
    let mut flat = Vec::new();
    for mut worksheet in worksheets {
        if worksheet.get("metadata").and_then(Json::as_object).is_some_and(|metadata| !metadata.is_empty()) {
            quirks.add(None, QuirkKind::WorksheetMetadata);
        }
        match worksheet.get_mut("cells") {
            Some(Json::Array(cells)) => flat.append(cells),
            Some(other) => return Err(odd("worksheets.cells", other, "a list")),
            None => return Err(odd("worksheets", &worksheet, "a list of objects with `cells`")),
        }
    }
    Ok(flat)
}

/// From nbformat 1 to 2: `code` becomes `input`, and a `text` cell a Markdown cell with a `source`.
fn upgrade_first(cell: &mut Object) {
    match cell.get("cell_type").and_then(Json::as_str) {
        Some("code") => {
            rename(cell, "code", "input");
            cell.entry("outputs".to_owned()).or_insert_with(|| Json::Array(Vec::new()));
            cell.entry("collapsed".to_owned()).or_insert(Json::Bool(false));
        }
        Some("text") => {
            rename(cell, "text", "source");
            cell.insert("cell_type".to_owned(), Json::from("markdown"));
        }
        _ => {}
    }
}

/// How a version joins lines.
#[derive(Clone, Copy)]
struct Joiner {
    /// Lines were always stored without their ends. Since nbformat 3 that depends on the first line.
    plain_newline: bool,
}

impl Joiner {
    fn join(self, members: &mut Object, key: &str) {
        if let Some(value) = members.get_mut(key)
            && let Json::Array(list) = value
        {
            let with_ends = !self.plain_newline
                && list.first().and_then(Json::text).is_some_and(|first| first.ends_with(['\n', '\r']));
            let separator = if with_ends { "" } else { "\n" };
            *value = lines::join(std::mem::take(list), separator).unwrap_or_else(Json::Array);
        }
    }
}

fn upgrade_cell(cell: &mut Object, index: usize, joiner: Joiner, quirks: &mut Quirks) {
    let cell_type = cell.get("cell_type").and_then(Json::as_str).unwrap_or_default().to_owned();
    if cell_type != "code" {
        joiner.join(cell, "source");
        joiner.join(cell, "rendered");
    }
    match cell_type.as_str() {
        "code" => {
            joiner.join(cell, "input");
            cell.shift_remove("language");
            if let Some(collapsed) = cell.shift_remove("collapsed") {
                object_in_mut(cell, "metadata").insert("collapsed".to_owned(), collapsed);
            }
            rename(cell, "input", "source");
            cell.entry("source".to_owned()).or_insert_with(|| Json::from(""));
            rename(cell, "prompt_number", "execution_count");
            cell.entry("execution_count".to_owned()).or_default();
            if let Some(Json::Array(outputs)) = cell.get_mut("outputs") {
                for (at, output) in outputs.iter_mut().enumerate() {
                    if let Json::Object(output) = output {
                        for key in MULTILINE_OUTPUTS {
                            joiner.join(output, key);
                        }
                        upgrade_output(output, index, at, quirks);
                    }
                }
            }
        }
        "heading" => {
            // Six levels are all that Markdown knows, but nbformat does not care.
            let level = cell.get("level").map_or(Some(1), Json::as_i64).unwrap_or(1).clamp(0, 64);
            let hashes = "#".repeat(usize::try_from(level).unwrap_or(1));
            let empty = Json::from("");
            if let Some(heading) = lines::unite(&(hashes + " "), cell.get("source").unwrap_or(&empty)) {
                cell.shift_remove("level");
                cell.insert("source".to_owned(), heading);
            }
            cell.insert("cell_type".to_owned(), Json::from("markdown"));
        }
        "html" => {
            cell.insert("cell_type".to_owned(), Json::from("markdown"));
        }
        _ => {}
    }
}

fn upgrade_output(output: &mut Object, cell: usize, index: usize, quirks: &mut Quirks) {
    match output.get("output_type").and_then(Json::as_str) {
        Some(kind @ ("pyout" | "display_data")) => {
            if kind == "pyout" {
                output.insert("output_type".to_owned(), Json::from("execute_result"));
                let count = output.shift_remove("prompt_number").unwrap_or_default();
                output.insert("execution_count".to_owned(), count);
            }
            output.entry("metadata".to_owned()).or_insert_with(|| Json::Object(Object::new()));
            let (own, mut data): (Object, Object) = std::mem::take(output)
                .into_iter()
                .partition(|(key, _)| matches!(key.as_str(), "output_type" | "execution_count" | "metadata"));
            *output = own;
            use_mime_types(&mut data);
            if let Some(metadata) = output.get_mut("metadata").and_then(Json::as_object_mut) {
                use_mime_types(metadata);
            }
            if let Some(json) = data.get_mut("application/json")
                && let Json::String(text) = json
            {
                match Json::parse(text.as_bytes()) {
                    Ok(value) => *json = value,
                    Err(_) => quirks.add(cell, QuirkKind::OutputNotJson(index)),
                }
            }
            output.insert("data".to_owned(), Json::Object(data));
        }
        Some("pyerr") => {
            output.insert("output_type".to_owned(), Json::from("error"));
        }
        Some("stream") => {
            let name = output.shift_remove("stream").unwrap_or_else(|| Json::from("stdout"));
            output.insert("name".to_owned(), name);
        }
        _ => {}
    }
}

fn use_mime_types(members: &mut Object) {
    for (short, mime) in MIME_TYPES {
        rename(members, short, mime);
    }
}

/// Gives a member another name, if there is one.
fn rename(members: &mut Object, from: &str, to: &str) {
    if let Some(value) = members.shift_remove(from) {
        members.insert(to.to_owned(), value);
    }
}

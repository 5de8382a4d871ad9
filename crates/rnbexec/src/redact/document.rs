//! Taking secrets out of documents: JSON values, cells, notebooks.

use std::borrow::Cow;

use rnbexec_notebook::{Cell, Json, Notebook};
use serde_json::Value;

use super::{Masked, Redactor};

/// How base64 of what is no text begins: PNG, JPEG, GIF, WebP, PDF.
const BINARY: [&str; 5] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi"];

/// What numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Counts, versions and times, of which readers know where they stand.
    Structure,
    /// What the code shows.
    Data,
}

impl Numbers {
    /// Below a member: a display's data (tables, Vega), the state of a widget.
    fn below(self, key: &str) -> Self {
        if matches!(key, "data" | "state") { Self::Data } else { self }
    }
}

impl Redactor {
    /// Takes the secrets out of a notebook: sources, outputs, tracebacks, attachments and metadata.
    pub fn notebook(&self, notebook: &mut Notebook) -> Masked {
        let mut masked = Masked::default();
        if self.is_empty() {
            return masked;
        }
        for cell in notebook.cells_mut() {
            self.streams(cell, &mut masked);
        }
        for value in notebook.contents_mut() {
            self.json(value, &mut masked);
        }
        masked
    }

    /// Takes the secrets out of a JSON value, keys included.
    pub fn value(&self, value: &mut Value) -> Masked {
        let mut masked = Masked::default();
        if !self.is_empty() {
            self.value_within(value, &mut masked);
        }
        masked
    }

    /// The lines of a text without any secret.
    pub(crate) fn lines_of(&self, lines: Vec<String>) -> Vec<String> {
        let mut lines = Json::Array(lines.into_iter().map(Json::String).collect());
        self.redact(&mut lines);
        let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(Json::text).map(Cow::into_owned).collect()
    }

    /// Takes every secret out of a cell's outputs.
    pub(super) fn outputs(&self, cell: &mut Cell) {
        if self.is_empty() || cell.outputs().is_empty() {
            return;
        }
        let masked = &mut Masked::default();
        self.streams(cell, masked);
        for output in cell.outputs_mut() {
            self.json(output, masked);
        }
    }

    /// Takes every secret out of a JSON value, keys included.
    pub(crate) fn redact(&self, json: &mut Json) {
        if !self.is_empty() {
            self.json(json, &mut Masked::default());
        }
    }

    /// Takes out of a cell's outputs the secrets that go over several of one stream. Tells whether there were any.
    pub(super) fn mask_streams(&self, cell: &mut Cell) -> bool {
        let mut masked = Masked::default();
        self.streams(cell, &mut masked);
        !masked.is_empty()
    }

    /// What a cell writes to one stream, something else to another and more to the first is three outputs. A secret may go from the
    /// first to the last.
    fn streams(&self, cell: &mut Cell, masked: &mut Masked) {
        if cell.outputs().is_empty() {
            return;
        }
        let outputs = cell.outputs_mut();
        for places in streams(outputs).into_iter().filter(|places| places.len() > 1) {
            let texts: Vec<_> = places
                .iter()
                .map(|&place| Cow::Borrowed(text_of(&outputs[place]).unwrap_or_default()))
                .collect();
            let Some(clean) = self.clean_pieces(&texts, "", masked) else { continue };
            for (place, clean) in places.into_iter().zip(clean) {
                if let Some(text) = outputs[place].get_mut("text") {
                    *text = Json::String(clean);
                }
            }
        }
    }

    fn json(&self, json: &mut Json, masked: &mut Masked) {
        self.json_in(json, Numbers::Structure, masked);
    }

    fn json_in(&self, json: &mut Json, numbers: Numbers, masked: &mut Masked) {
        match json {
            Json::String(text) => {
                if let Cow::Owned(clean) = self.clean(text, masked) {
                    *text = clean;
                }
            }
            // Rather no lone surrogates than a secret.
            Json::IllFormed(text) => {
                if let Cow::Owned(clean) = self.clean(&text.to_string_lossy(), masked) {
                    *json = Json::String(clean);
                }
            }
            Json::Array(items) => {
                for item in &mut *items {
                    self.json_in(item, numbers, masked);
                }
                self.lines(items, masked);
            }
            Json::Object(members) => {
                if members.keys().any(|key| matches!(self.plain(key), Cow::Owned(_))) {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, value)| (self.clean(&key, masked).into_owned(), value))
                        .collect();
                }
                for (key, value) in members {
                    let structure = key == "output_type" && is_output_type(value);
                    if !structure && !is_binary(value) {
                        self.json_in(value, numbers.below(key), masked);
                    }
                }
            }
            Json::Number(_) if numbers == Numbers::Data => {
                let shown = json.to_compact();
                if let Cow::Owned(clean) = self.clean(&shown, masked) {
                    *json = Json::String(clean);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// A list of texts may be one text in lines, with their ends or (a traceback) without, and a secret may go from one to the next.
    fn lines(&self, items: &mut [Json], masked: &mut Masked) {
        if items.len() < 2 || !items.iter().all(Json::is_string) {
            return;
        }
        for separator in ["", "\n"] {
            let texts: Vec<_> = items.iter().filter_map(Json::text).collect();
            let (_, but_last) = texts.split_last().unwrap_or((&Cow::Borrowed(""), &[]));
            if separator == "\n" && but_last.iter().all(|text| text.ends_with('\n')) {
                return;
            }
            if let Some(clean) = self.clean_pieces(&texts, separator, masked) {
                for (item, clean) in items.iter_mut().zip(clean) {
                    *item = Json::String(clean);
                }
            }
        }
    }

    fn value_within(&self, value: &mut Value, masked: &mut Masked) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.clean(text, masked) {
                    *text = clean;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value_within(item, masked);
                }
            }
            Value::Object(members) => {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(key, mut value)| {
                        self.value_within(&mut value, masked);
                        (self.clean(&key, masked).into_owned(), value)
                    })
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Where the outputs of each stream stand.
fn streams(outputs: &[Json]) -> Vec<Vec<usize>> {
    let mut streams: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, output) in outputs.iter().enumerate().filter(|(_, output)| text_of(output).is_some()) {
        let name = output.get("name").and_then(Json::as_str).unwrap_or_default();
        match streams.iter_mut().find(|(other, _)| *other == name) {
            Some((_, places)) => places.push(place),
            None => streams.push((name, vec![place])),
        }
    }
    streams.into_iter().map(|(_, places)| places).collect()
}

/// The text of a stream's output.
fn text_of(output: &Json) -> Option<&str> {
    let is_stream = output.get("output_type").and_then(Json::as_str) == Some("stream");
    output.get("text").filter(|_| is_stream).and_then(Json::as_str)
}

/// The word that says what an output is stays, whatever a secret is called.
fn is_output_type(value: &Json) -> bool {
    matches!(value.as_str(), Some("stream" | "display_data" | "execute_result" | "error"))
}

/// Whether it is an image or the like, in which a short secret would be found by chance and its mask would break it.
fn is_binary(value: &Json) -> bool {
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/=\r\n".contains(&c);
    value.as_str().is_some_and(|text| {
        BINARY.iter().any(|beginning| text.starts_with(beginning)) && text.bytes().all(is_base64)
    })
}

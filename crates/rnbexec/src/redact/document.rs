//! Taking secrets out of documents: JSON values, cells, notebooks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rnbexec_notebook::{Cell, Json, Notebook};
use serde_json::Value;

use super::{Masked, Redactor, masked_at};

/// How base64 of what is no text begins: PNG, JPEG, GIF, WebP, PDF.
const BINARY: [&str; 5] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi"];

/// Keys that the form of notebooks, outputs and widgets gives. They stay, whatever a secret is called, and tell nothing of it.
const FORM: [&str; 33] = [
    "attachments",
    "buffers",
    "cell_type",
    "cells",
    "data",
    "display_name",
    "ename",
    "evalue",
    "execution_count",
    "id",
    "kernelspec",
    "language",
    "language_info",
    "metadata",
    "model_id",
    "model_module",
    "model_module_version",
    "model_name",
    "name",
    "nbformat",
    "nbformat_minor",
    "output_type",
    "outputs",
    "papermill",
    "source",
    "state",
    "tags",
    "text",
    "traceback",
    "transient",
    "version_major",
    "version_minor",
    "widgets",
];

/// The kinds of data that displays have, save those of [`VENDORS`].
const MIME_TYPES: [&str; 17] = [
    "application/geo+json",
    "application/javascript",
    "application/json",
    "application/pdf",
    "application/xml",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/webp",
    "text/csv",
    "text/html",
    "text/latex",
    "text/markdown",
    "text/plain",
    "text/xml",
];

/// Whose kinds of data are `application/vnd.…+json`, mostly with a version.
const VENDORS: [&str; 10] = [
    "bokehjs_exec",
    "bokehjs_load",
    "dataresource",
    "holoviews_exec",
    "holoviews_load",
    "jupyter.widget-state",
    "jupyter.widget-view",
    "plotly",
    "vega",
    "vegalite",
];

/// What stands before a widget's id where another refers to it.
const REFERENCE: &str = "IPY_MODEL_";

/// What numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Counts, versions and times, of which readers know where they stand.
    Structure,
    /// What the code shows.
    Data,
}

impl Numbers {
    /// Below a member: a display's data (tables, Vega) and what is said of it, the state of a widget.
    fn below(self, key: &str, of_output: bool) -> Self {
        match key {
            "data" | "state" => Self::Data,
            "metadata" if of_output => Self::Data,
            _ => self,
        }
    }
}

impl Redactor {
    /// Takes the secrets out of a notebook: sources, outputs, tracebacks, attachments and metadata.
    pub fn notebook(&self, notebook: &mut Notebook) -> Masked {
        let mut masked = Masked::default();
        if self.is_empty() {
            return masked;
        }
        for value in notebook.contents_mut() {
            self.json(value, &mut masked);
        }
        masked
    }

    /// Takes the secrets out of a JSON value, keys included save those that the form of notebooks gives.
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
        self.streams(cell.outputs_mut(), masked);
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
        self.streams(cell.outputs_mut(), &mut masked);
        !masked.is_empty()
    }

    /// What a cell writes to one stream, something else to another and more to the first is three outputs, in a cell and in a widget
    /// that shows outputs. A secret may go from the first to the last.
    fn streams(&self, outputs: &mut [Json], masked: &mut Masked) {
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
                if let Some(clean) = self.string(text, masked) {
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
                self.streams(items, masked);
                for item in &mut *items {
                    self.json_in(item, numbers, masked);
                }
                self.lines(items, masked);
            }
            Json::Object(members) => {
                let is_output = members.contains_key("output_type");
                for (key, value) in &mut *members {
                    match value {
                        Json::String(text) if is_binary(text) => {}
                        Json::String(text) => {
                            if let Some(clean) = self.member(key, text, masked) {
                                *text = clean;
                            }
                        }
                        _ => self.json_in(value, numbers.below(key, is_output), masked),
                    }
                }
                let keys = members
                    .iter()
                    .map(|(key, value)| self.key(key, value.get("model_name").is_some(), masked))
                    .collect();
                if let Some(keys) = renamed(members.keys(), keys) {
                    *members = keys.into_iter().zip(std::mem::take(members).into_values()).collect();
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

    /// A text without secrets; `None` if there are none in it. A reference to a widget is a random number, as patterns describe.
    fn string(&self, text: &str, masked: &mut Masked) -> Option<String> {
        let is_reference = text.strip_prefix(REFERENCE).is_some_and(is_model_id);
        let clean =
            if is_reference { self.without_patterns().clean(text, masked) } else { self.clean(text, masked) };
        owned(clean)
    }

    /// The same for a text that is the value of a member.
    fn member(&self, key: &str, text: &str, masked: &mut Masked) -> Option<String> {
        match key {
            _ if is_structure(key, text) => None,
            "model_id" if is_model_id(text) => owned(self.without_patterns().clean(text, masked)),
            _ if text.starts_with(REFERENCE) => self.string(text, masked),
            // Lines of a text are no value that its key names, and they are long.
            "text" | "source" => owned(self.clean(text, masked)),
            _ if is_mime_type(key) => owned(self.clean(text, masked)),
            _ => owned(masked_at(text, &self.marks_of_member(key, text), masked)),
        }
    }

    /// The same for the key of a member, which names a widget or not.
    fn key(&self, key: &str, names_widget: bool, masked: &mut Masked) -> Option<String> {
        if is_form(key) {
            return None;
        }
        let is_id = names_widget && is_model_id(key);
        owned(if is_id { self.without_patterns().clean(key, masked) } else { self.clean(key, masked) })
    }

    /// A list of texts may be one text in lines, with their ends or (a traceback) without, and a secret may go from one to the next.
    fn lines(&self, items: &mut [Json], masked: &mut Masked) {
        if items.len() < 2 || !items.iter().all(Json::is_string) {
            return;
        }
        let refers = |item: &Json| item.as_str().is_some_and(|text| text.starts_with(REFERENCE));
        let redactor = if items.iter().any(refers) { &self.without_patterns() } else { self };
        for separator in ["", "\n"] {
            let texts: Vec<_> = items.iter().filter_map(Json::text).collect();
            let (_, but_last) = texts.split_last().unwrap_or((&Cow::Borrowed(""), &[]));
            if separator == "\n" && but_last.iter().all(|text| text.ends_with('\n')) {
                return;
            }
            if let Some(clean) = redactor.clean_pieces(&texts, separator, masked) {
                for (item, clean) in items.iter_mut().zip(clean) {
                    *item = Json::String(clean);
                }
            }
        }
    }

    fn value_within(&self, value: &mut Value, masked: &mut Masked) {
        match value {
            Value::String(text) => {
                if let Some(clean) = self.string(text, masked) {
                    *text = clean;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value_within(item, masked);
                }
            }
            Value::Object(members) => {
                for (key, value) in &mut *members {
                    if let Value::String(text) = value {
                        if let Some(clean) = self.member(key, text, masked) {
                            *text = clean;
                        }
                    } else {
                        self.value_within(value, masked);
                    }
                }
                let keys = members
                    .iter()
                    .map(|(key, value)| self.key(key, value.get("model_name").is_some(), masked))
                    .collect();
                if let Some(keys) = renamed(members.keys(), keys) {
                    *members = keys.into_iter().zip(std::mem::take(members).into_values()).collect();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Where the outputs of each stream stand.
fn streams(outputs: &[Json]) -> Vec<Vec<usize>> {
    let mut streams = BTreeMap::<&str, Vec<usize>>::new();
    for (place, output) in outputs.iter().enumerate().filter(|(_, output)| text_of(output).is_some()) {
        let name = output.get("name").and_then(Json::as_str).unwrap_or_default();
        streams.entry(name).or_default().push(place);
    }
    streams.into_values().collect()
}

/// The text of a stream's output.
fn text_of(output: &Json) -> Option<&str> {
    let is_stream = output.get("output_type").and_then(Json::as_str) == Some("stream");
    output.get("text").filter(|_| is_stream).and_then(Json::as_str)
}

/// The keys of an object in which some became others; `None` if none did. Those that would be the same are numbered: no member is lost.
fn renamed<'a>(keys: impl Iterator<Item = &'a String>, clean: Vec<Option<String>>) -> Option<Vec<String>> {
    clean.iter().any(Option::is_some).then_some(())?;
    // And the last number that each was given.
    let mut taken = BTreeMap::<String, usize>::new();
    let mut renamed = Vec::with_capacity(clean.len());
    for (key, clean) in keys.zip(clean) {
        let key = clean.unwrap_or_else(|| key.clone());
        let mut unlike = key.clone();
        while taken.contains_key(&unlike) {
            let last = taken.entry(key.clone()).or_default();
            *last += 1;
            unlike = format!("{key} {last}");
        }
        taken.insert(unlike.clone(), 1);
        renamed.push(unlike);
    }
    Some(renamed)
}

fn owned(text: Cow<'_, str>) -> Option<String> {
    match text {
        Cow::Owned(text) => Some(text),
        Cow::Borrowed(_) => None,
    }
}

/// Whether it is a word that says what a cell, an output or a stream is.
fn is_structure(key: &str, value: &str) -> bool {
    match key {
        "output_type" => matches!(value, "stream" | "display_data" | "execute_result" | "error"),
        "cell_type" => matches!(value, "code" | "markdown" | "raw"),
        "name" => is_stream_name(value),
        _ => false,
    }
}

pub(super) fn is_stream_name(name: &str) -> bool {
    matches!(name, "stdout" | "stderr")
}

/// Whether a key is one of a notebook's form.
fn is_form(key: &str) -> bool {
    FORM.contains(&key) || is_mime_type(key)
}

fn is_mime_type(key: &str) -> bool {
    let is_version = |version: &str| {
        (1..=6).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let vendor = key.strip_prefix("application/vnd.").and_then(|kind| kind.strip_suffix("+json"));
    let vendor = vendor.map(|vendor| match vendor.split_once(".v") {
        Some((name, version)) if is_version(version) => name,
        _ => vendor,
    });
    MIME_TYPES.contains(&key) || vendor.is_some_and(|vendor| VENDORS.contains(&vendor))
}

/// Whether it is as the ids of widgets are: 32 hexadecimal digits.
fn is_model_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it is an image or the like, in which a short secret would be found by chance and its mask would break it.
fn is_binary(text: &str) -> bool {
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/=\r\n".contains(&c);
    BINARY.iter().any(|beginning| text.starts_with(beginning)) && text.bytes().all(is_base64)
}

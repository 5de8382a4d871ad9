//! Notebooks written in a test, where the reader sees them.

use serde_json::{Map, Value, json};

/// A notebook of format 4.5 for the kernel `python3`, unless changed.
#[derive(Clone, Debug)]
pub struct Book {
    value: Value,
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

impl Book {
    /// A notebook without cells.
    pub fn new() -> Self {
        let metadata = json!({
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        });
        Self { value: json!({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}) }
    }

    /// A notebook for another kernel.
    #[must_use]
    pub fn for_kernel(name: &str, language: &str) -> Self {
        let mut book = Self::new();
        book.value["metadata"] = json!({
            "kernelspec": {"display_name": name, "language": language, "name": name},
            "language_info": {"name": language},
        });
        book
    }

    /// Adds a code cell.
    #[must_use]
    pub fn code(self, source: &str) -> Self {
        self.tagged(source, &[])
    }

    /// Adds a code cell with tags.
    #[must_use]
    pub fn tagged(self, source: &str, tags: &[&str]) -> Self {
        let metadata = if tags.is_empty() { json!({}) } else { json!({"tags": tags}) };
        self.cell(json!({
            "cell_type": "code", "source": source, "metadata": metadata, "outputs": [], "execution_count": null,
        }))
    }

    /// Adds a code cell tagged `parameters`.
    #[must_use]
    pub fn parameters(self, source: &str) -> Self {
        self.tagged(source, &["parameters"])
    }

    /// Adds a markdown cell.
    #[must_use]
    pub fn markdown(self, source: &str) -> Self {
        self.cell(json!({"cell_type": "markdown", "source": source, "metadata": {}}))
    }

    /// Adds a cell as it stands; it gets an id if it has none.
    #[must_use]
    pub fn cell(mut self, mut cell: Value) -> Self {
        let cells = self.value["cells"].as_array_mut().expect("a book has cells");
        if cell.get("id").is_none() {
            cell["id"] = json!(format!("cell-{}", cells.len()));
        }
        cells.push(cell);
        self
    }

    /// Adds many code cells, the source of each made from its number.
    #[must_use]
    pub fn many(mut self, count: usize, source: impl Fn(usize) -> String) -> Self {
        for number in 0..count {
            self = self.code(&source(number));
        }
        self
    }

    /// Changes the metadata of the last cell.
    ///
    /// # Panics
    /// When there is no cell.
    #[must_use]
    pub fn cell_metadata(mut self, entries: Value) -> Self {
        let last =
            self.value["cells"].as_array_mut().and_then(|cells| cells.last_mut()).expect("a cell to change");
        merge(&mut last["metadata"], entries);
        self
    }

    /// Changes the notebook's metadata; `null` removes a key.
    #[must_use]
    pub fn metadata(mut self, entries: Value) -> Self {
        merge(&mut self.value["metadata"], entries);
        self
    }

    /// The notebook as JSON.
    pub fn to_json(&self) -> &Value {
        &self.value
    }

    /// The notebook as a file.
    ///
    /// # Panics
    /// Never: a JSON value is writable.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.value).expect("a JSON value is writable")
    }
}

fn merge(into: &mut Value, entries: Value) {
    let entries: Map<String, Value> = serde_json::from_value(entries).expect("entries are a JSON object");
    for (key, value) in entries {
        if value.is_null() {
            if let Some(object) = into.as_object_mut() {
                object.remove(&key);
            }
        } else {
            into[key.as_str()] = value;
        }
    }
}

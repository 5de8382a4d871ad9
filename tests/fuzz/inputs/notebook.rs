//! Any bytes as a notebook: no panic, and what is written is read back and written the same.

use rnbexec_notebook::{Notebook, inject, inspect, write_cell, write_frame};

/// How much longer than its input a notebook may become in its file: each value gets a line and its indent.
const GROWTH: usize = 600;

fn read(bytes: &[u8]) -> Option<Notebook> {
    let mut count = 0;
    let mut fresh_id = || {
        count += 1;
        format!("new{count}")
    };
    Notebook::parse(bytes, &mut fresh_id).ok().map(|parsed| parsed.notebook)
}

pub(crate) fn check(bytes: &[u8]) {
    let Some(mut notebook) = read(bytes) else { return };
    let written = notebook.to_vec();
    assert!(written.len() <= 4096 + bytes.len() * GROWTH, "{} bytes became {}", bytes.len(), written.len());
    // An old notebook may hold lists of strings that only today's format joins.
    let again = read(&written).expect("we wrote it").to_vec();
    let third = read(&again).expect("we wrote it").to_vec();
    assert_eq!(String::from_utf8_lossy(&third), String::from_utf8_lossy(&again));
    for cell in notebook.cells() {
        write_cell(cell);
    }
    write_frame(&notebook);
    if let Ok(inspection) = inspect::inspect(&notebook) {
        inspection.to_json_schema();
        inspection.help_text("usage", "path");
    }
    inject::inject(&mut notebook, "x = 1", "injected");
    read(&notebook.to_vec()).expect("we wrote it");
}

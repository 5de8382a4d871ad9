//! The recorder: messages of a kernel folded into the outputs of a cell. Run: `cargo bench -p rnbexec`.
//!
//! The module is private, so it is compiled into this program.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rnbexec_kernel::Message;
use rnbexec_notebook::{Cell, Notebook};
use serde_json::json;

use product::record::{Recorder, Shown};

#[path = "../src"]
mod product {
    #[expect(dead_code, reason = "a part of the crate's inside, of which only the fold is measured")]
    pub(crate) mod record;
}

fn main() {
    divan::main();
}

const MESSAGES: usize = 1000;

/// So many messages of one cell.
fn messages(msg_type: &str, content: &serde_json::Value) -> Vec<Message> {
    let header = json!({"msg_type": msg_type, "date": "2026-11-21T20:37:55.310246Z"});
    let message = Message {
        header: serde_json::from_value(header).expect("a header"),
        parent_msg_id: Some("request".to_owned()),
        content: Bytes::from(content.to_string()),
        metadata: Bytes::from_static(b"{}"),
        buffers: Vec::new(),
    };
    vec![message; MESSAGES]
}

fn fold(messages: Vec<Message>) -> Notebook {
    let mut notebook = Notebook::new();
    let mut cell = Cell::code("cell", "");
    let mut recorder = Recorder::default();
    recorder.begin_cell("request", 0, &mut cell);
    notebook.cells_mut().push(cell);
    let mut shown = |_, shown: Shown<'_>| {
        black_box(shown);
    };
    for message in messages {
        recorder.apply(message, "2026-11-21T20:37:55.310246Z", &mut notebook, &mut shown);
    }
    notebook
}

#[divan::bench(args = [10, 1000, 100_000])]
fn stream_of_characters(bencher: Bencher<'_, '_>, characters: usize) {
    let messages = messages("stream", &json!({"name": "stdout", "text": "x".repeat(characters)}));
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(|| messages.clone()).bench_values(fold);
}

#[divan::bench]
fn displays(bencher: Bencher<'_, '_>) {
    let content =
        json!({"data": {"text/plain": "1", "text/html": "<b>1</b>"}, "metadata": {}, "transient": {}});
    let messages = messages("display_data", &content);
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(|| messages.clone()).bench_values(fold);
}

#[divan::bench]
fn statuses(bencher: Bencher<'_, '_>) {
    let messages = messages("status", &json!({"execution_state": "busy"}));
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(|| messages.clone()).bench_values(fold);
}

//! Reading and writing notebooks, beside what `serde_json` takes over the same text. Run: `cargo bench -p rnbexec-notebook`.
//!
//! Python's `json` and `nbformat` on such texts: the case `documents` of `cargo run --release -p rnbexec-bench`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rnbexec_notebook::Notebook;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

/// What the notebooks hold.
const KINDS: [&str; 3] = ["5,000 small cells", "100,000 lines", "20 MB in 20 lines"];

/// The text of an executed notebook, as it is saved.
fn text(kind: &str) -> Vec<u8> {
    let (cells, output) = match kind {
        "5,000 small cells" => (5000, "1\n".to_owned()),
        "100,000 lines" => (1, "a line of output\n".repeat(100_000)),
        _ => (1, ("x".repeat(999_999) + "\n").repeat(20)),
    };
    let cell = |number: usize| {
        json!({
            "id": format!("cell-{number}"), "cell_type": "code", "source": "print(1)", "execution_count": number,
            "metadata": {"tags": []},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": output}],
        })
    };
    let cells: Vec<Value> = (0..cells).map(cell).collect();
    let notebook = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
    parse(notebook.to_string().as_bytes()).to_vec()
}

fn parse(text: &[u8]) -> Notebook {
    Notebook::parse(text, &mut || unreachable!("every cell has an id")).expect("a good notebook").notebook
}

#[divan::bench(args = KINDS)]
fn read(bencher: Bencher<'_, '_>, kind: &str) {
    let text = text(kind);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| parse(black_box(&text)));
}

#[divan::bench(args = KINDS)]
fn read_with_serde_json(bencher: Bencher<'_, '_>, kind: &str) {
    let text = text(kind);
    let parse = || serde_json::from_slice::<Value>(black_box(&text)).expect("it is JSON");
    bencher.counter(BytesCount::of_slice(&text)).bench(parse);
}

#[divan::bench(args = KINDS)]
fn write(bencher: Bencher<'_, '_>, kind: &str) {
    let text = text(kind);
    let notebook = parse(&text);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| black_box(&notebook).to_vec());
}

#[divan::bench(args = KINDS)]
fn write_with_serde_json(bencher: Bencher<'_, '_>, kind: &str) {
    let text = text(kind);
    let value: Value = serde_json::from_slice(&text).expect("it is JSON");
    let write = || serde_json::to_vec_pretty(black_box(&value)).expect("it is writable");
    bencher.counter(BytesCount::of_slice(&text)).bench(write);
}

//! Reading and writing notebooks, without a kernel: rnbexec's document, serde_json, Python's json and nbformat on the same text.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use rnbexec_notebook::Notebook;
use serde::Serialize;
use serde_json::{Value, json};

use crate::case::{Scale, notebook};
use crate::contender::World;
use crate::measure;
use crate::result::median;

/// The name of this case.
pub(crate) const NAME: &str = "documents";

/// One notebook, and the median seconds that each takes over it.
#[derive(Serialize)]
pub(crate) struct Document {
    pub(crate) what: &'static str,
    pub(crate) bytes: usize,
    pub(crate) read: Figures,
    pub(crate) write: Figures,
}

#[derive(Serialize)]
pub(crate) struct Figures {
    pub(crate) rnbexec: f64,
    pub(crate) serde_json: f64,
    pub(crate) python_json: f64,
    pub(crate) nbformat: f64,
}

/// Measures all of them.
pub(crate) fn measure(world: &World, scale: Scale) -> Vec<Document> {
    let rounds = scale.pick(1, 3, 9);
    let kinds = [
        ("200 cells", executed(200, 1, "1\n")),
        ("5,000 cells", executed(scale.pick(50, 5000, 5000), 1, "1\n")),
        ("100,000 lines", executed(1, scale.pick(100, 100_000, 100_000), "a line of output\n")),
        ("50 MB in 50 lines", executed(1, scale.pick(1, 50, 50), &("x".repeat(999_999) + "\n"))),
    ];
    kinds.iter().map(|(what, value)| one(world, what, value, rounds)).collect()
}

fn one(world: &World, what: &'static str, value: &Value, rounds: usize) -> Document {
    let document = parse(&serde_json::to_vec(value).expect("a JSON value is writable"));
    let text = document.to_vec();
    let path = world.path("document.ipynb");
    fs::write(&path, &text).expect("the folder is writable");
    let said = measure::run(world.python("documents.py").arg(rounds.to_string()).arg(&path)).stdout;
    let python: HashMap<String, Vec<f64>> =
        serde_json::from_str(&said).expect("documents.py prints its figures");
    let python = |work: &str| middle(&python[work]);
    let value: Value = serde_json::from_slice(&text).expect("a written notebook is JSON");
    Document {
        what,
        bytes: text.len(),
        read: Figures {
            rnbexec: seconds(rounds, || parse(&text)),
            serde_json: seconds(rounds, || serde_json::from_slice::<Value>(&text).expect("it is JSON")),
            python_json: python("json.loads"),
            nbformat: python("nbformat.reads"),
        },
        write: Figures {
            rnbexec: seconds(rounds, || document.to_vec()),
            serde_json: seconds(rounds, || serde_json::to_vec_pretty(&value).expect("it is writable")),
            python_json: python("json.dumps"),
            nbformat: python("nbformat.writes"),
        },
    }
}

/// A notebook after its run: as many cells, each with one output of as many lines.
fn executed(cells: usize, lines: usize, line: &str) -> Value {
    let mut notebook = notebook(cells, "print(1)");
    for cell in notebook["cells"].as_array_mut().into_iter().flatten() {
        cell["outputs"] = json!([{"output_type": "stream", "name": "stdout", "text": line.repeat(lines)}]);
        cell["execution_count"] = json!(1);
    }
    notebook
}

fn parse(bytes: &[u8]) -> Notebook {
    let mut fresh_id = || unreachable!("every cell has an id");
    Notebook::parse(bytes, &mut fresh_id).expect("a good notebook").notebook
}

/// The median; what the work gives is dropped outside of the time.
fn seconds<T>(rounds: usize, work: impl Fn() -> T) -> f64 {
    let one = || {
        let begun = Instant::now();
        let made = black_box(work());
        let seconds = begun.elapsed().as_secs_f64();
        drop(made);
        seconds
    };
    middle(&(0..rounds).map(|_| one()).collect::<Vec<_>>())
}

fn middle(values: &[f64]) -> f64 {
    median(values.iter().copied()).expect("at least one round")
}

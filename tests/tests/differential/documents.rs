//! The document itself: formats, odd files, and everything in them that is none of our business and must survive.

use rnbexec_tests::Book;
use rnbexec_tests::differential::Case;
use serde_json::{Value, json};

fn prepare(notebook: impl Into<Vec<u8>>) -> Case {
    Case::of_bytes(notebook).args(["--prepare-only"])
}

fn prepare_json(notebook: &Value) -> Case {
    prepare(serde_json::to_vec(notebook).expect("a JSON value is writable"))
}

fn code(source: &Value) -> Value {
    json!({"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": null})
}

fn of_minor(minor: u32) -> Value {
    let mut nb = Book::new().code("1").markdown("m").to_json().clone();
    nb["nbformat_minor"] = json!(minor);
    nb
}

#[test]
fn every_minor_version_of_format_4() {
    for minor in 0..=7 {
        let mut nb = of_minor(minor);
        if minor < 5 {
            for cell in nb["cells"].as_array_mut().unwrap() {
                cell.as_object_mut().unwrap().remove("id");
            }
        }
        prepare_json(&nb).check();
    }
}

#[test]
fn ids_that_are_missing_repeated_or_odd() {
    let with_ids = |ids: &[Value]| {
        let mut nb = of_minor(5);
        nb["cells"] = ids
            .iter()
            .map(|id| {
                let mut cell = code(&json!("1"));
                if !id.is_null() {
                    cell["id"] = id.clone();
                }
                cell
            })
            .collect();
        prepare_json(&nb)
    };
    with_ids(&[Value::Null, json!("a"), Value::Null]).check();
    with_ids(&[json!("a"), json!("a"), json!("b"), json!("a")]).check();
    with_ids(&[json!("has.dot"), json!("ü"), json!(""), json!("x".repeat(65))]).check();
    with_ids(&[json!("has space"), json!(5)]).check();
}

#[test]
fn ids_in_a_format_without_ids() {
    prepare_json(&of_minor(4)).check();
}

#[test]
fn unknown_keys_everywhere() {
    let mut nb = Book::new()
        .cell(json!({
            "cell_type": "code", "source": "1", "metadata": {"mine": {"b": 1, "a": [null]}, "editable": false}, "mine": [1],
            "execution_count": null,
            "outputs": [{"output_type": "display_data", "data": {"x/y": {"odd": 1}}, "metadata": {"m": 1}, "extra": true}],
        }))
        .cell(json!({"cell_type": "markdown", "source": "![](attachment:a.png)", "metadata": {},
                     "attachments": {"a.png": {"image/png": "aGk="}}}))
        .cell(json!({"cell_type": "raw", "source": "r", "metadata": {}, "attachments": {"b": {"text/plain": "x"}}}))
        .metadata(json!({"mine": {"z": 1, "a": 2}, "title": "t", "authors": [{"name": "n"}]}))
        .to_json()
        .clone();
    nb["mine at the top"] = json!({"kept": true});
    prepare_json(&nb).check();
    Case::of_bytes(serde_json::to_vec(&nb).unwrap()).check();
}

#[test]
fn numbers_keep_their_value() {
    let text = String::from_utf8(Book::new().metadata(json!({"n": 1})).to_bytes()).unwrap();
    let numbers =
        "[123456789012345678901234567890, 0, 1.0, 0.1, 3.6040260791778564, -2.5, 100000.0, 12345.678]";
    prepare(text.replace("\"n\": 1", &format!("\"n\": {numbers}"))).check();
}

#[test]
fn sources_and_texts_as_strings_lists_and_odd_lists() {
    for source in [
        json!("a\nb\n"),
        json!(["a\n", "b"]),
        json!([]),
        json!(["a", "b\n\nc"]),
        json!([""]),
        json!("a\r\nb\rc"),
    ] {
        let mut nb = of_minor(5);
        let mut cell = code(&source);
        cell["id"] = json!("x");
        cell["outputs"] = json!([{"output_type": "stream", "name": "stdout", "text": source},
            {"output_type": "display_data", "metadata": {}, "data": {"text/plain": source, "image/svg+xml": source}}]);
        nb["cells"] = json!([cell]);
        prepare_json(&nb).check();
    }
}

#[test]
fn the_transient_keys_of_older_tools_go() {
    let mut nb = of_minor(4);
    nb["metadata"]["orig_nbformat"] = json!(3);
    nb["metadata"]["orig_nbformat_minor"] = json!(1);
    nb["metadata"]["signature"] = json!("sha");
    nb["cells"][0]["metadata"] = json!({"trusted": true, "collapsed": true});
    prepare_json(&nb).check();
}

#[test]
fn files_with_other_spelling() {
    let book = Book::new().code("print('ü日本😀')").code("x = 1");
    let compact = serde_json::to_string(book.to_json()).unwrap();
    prepare(compact.clone()).check();
    prepare(format!("\n\n  {compact}  \n\n")).check();
    prepare(compact.replace('ü', "\\u00fc").replace('😀', "\\ud83d\\ude00")).check();
    prepare(String::from_utf8(book.to_bytes()).unwrap().replace('\n', "\r\n")).check();
    prepare(compact.replace("\"metadata\":{}", "\"metadata\":{},\"metadata\":{\"last\":\"wins\"}")).check();
}

#[test]
fn files_that_are_no_notebook() {
    for text in [
        "",
        "not json",
        "{",
        "[]",
        "null",
        "5",
        "\"x\"",
        "{}",
        "{\"cells\": []}",
        "{\"nbformat\": 5, \"nbformat_minor\": 0}",
    ] {
        prepare(text).check();
    }
}

#[test]
fn a_truncated_notebook() {
    let bytes = Book::new().code("1").code("2").to_bytes();
    prepare(&bytes[..bytes.len() / 2]).check();
    prepare(&bytes[..bytes.len() - 1]).check();
}

#[test]
fn off_the_specification_yet_readable() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut nb = Book::new().code("1").markdown("m").to_json().clone();
        change(&mut nb);
        prepare_json(&nb).check();
    };
    with(&|nb| nb["metadata"]["kernelspec"].as_object_mut().unwrap().retain(|key, _| key != "display_name"));
    with(&|nb| nb["cells"][0]["execution_count"] = json!("five"));
    with(&|nb| nb["cells"][0]["collapsed"] = json!(true));
    with(&|nb| nb["metadata"]["language_info"]["version"] = json!(3));
    with(&|nb| nb["cells"][0]["outputs"] = json!([{"output_type": "odd", "x": 1}]));
    with(&|nb| {
        nb["cells"][0]["outputs"] =
            json!([{"output_type": "execute_result", "data": {}, "metadata": {}, "execution_count": null}]);
    });
    with(&|nb| {
        nb["cells"][0]["outputs"] =
            json!([{"output_type": "error", "ename": "E", "evalue": null, "traceback": "text"}]);
    });
    with(&|nb| nb["metadata"]["authors"] = json!("me"));
    with(&|nb| nb["cells"][1]["metadata"]["name"] = json!(5));
}

#[test]
fn a_notebook_of_format_3_with_everything() {
    let nb = json!({
        "metadata": {"name": "old", "signature": "x"}, "nbformat": 3, "nbformat_minor": 0,
        "worksheets": [
            {"cells": [
                {"cell_type": "heading", "level": 2, "metadata": {}, "source": ["A", " heading"]},
                {"cell_type": "markdown", "metadata": {"m": 1}, "source": ["*m*\n", "n"]},
                {"cell_type": "html", "metadata": {}, "source": "<b>"},
                {"cell_type": "raw", "metadata": {}, "source": ["raw"]},
                {"cell_type": "code", "collapsed": true, "input": ["print(1)\n", "2"], "language": "python", "metadata": {}, "prompt_number": 4,
                 "outputs": [
                    {"output_type": "stream", "stream": "stdout", "text": ["1\n"]},
                    {"output_type": "stream", "text": "no name"},
                    {"output_type": "pyout", "prompt_number": 4, "text": ["2"], "html": ["<b>2</b>"], "metadata": {"k": 1}},
                    {"output_type": "display_data", "png": "aGk=", "svg": ["<svg/>"], "latex": "$x$", "json": "{\"a\": 1}", "javascript": "x()"},
                    {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["t"]}
                 ]}], "metadata": {}},
            {"cells": [{"cell_type": "code", "input": "3", "outputs": [], "metadata": {}}], "metadata": {}}
        ],
    });
    prepare_json(&nb).check();
}

#[test]
fn markers_of_an_earlier_failure_go() {
    let marker =
        json!({"cell_type": "markdown", "source": "old", "metadata": {"tags": ["papermill-error-cell-tag"]}});
    let book = Book::new().cell(marker.clone()).code("1").cell(marker.clone()).code("2");
    prepare(book.to_bytes()).check();
    Case::new(&book).check();
}

#[test]
fn papermill_metadata_of_an_earlier_run() {
    let stamps = json!({"duration": 1.5, "end_time": "2020-01-01T00:00:00+00:00", "exception": true, "start_time": "2020-01-01T00:00:00+00:00",
        "status": "failed", "mine": 1});
    let book = Book::new()
        .code("1")
        .cell_metadata(json!({"papermill": stamps}))
        .markdown("m")
        .cell_metadata(json!({"papermill": stamps}));
    let run = json!({"default_parameters": {"d": 1}, "parameters": {}, "environment_variables": {"E": "1"}, "version": "2.0.0",
        "input_path": "elsewhere", "exception": true, "duration": 5.5, "mine": "kept"});
    let book = book.metadata(json!({"papermill": run}));
    Case::new(&book).check();
    prepare(book.to_bytes()).check();
}

#[test]
fn widgets_of_an_earlier_run() {
    let state = json!({"application/vnd.jupyter.widget-state+json": {"state": {"a": {"x": 1}}, "version_major": 2, "version_minor": 0}});
    let book = Book::new().code("1").metadata(json!({"widgets": state}));
    Case::new(&book).check();
    prepare(book.to_bytes()).check();
}

#[test]
fn language_info_is_replaced_and_kernelspec_is_not() {
    let book = Book::new().code("1").metadata(json!({
        "language_info": {"name": "python", "version": "2.7", "mine": true},
        "kernelspec": {"name": "python3", "display_name": "Mine", "language": "python", "env": {}},
    }));
    Case::new(&book).check();
}

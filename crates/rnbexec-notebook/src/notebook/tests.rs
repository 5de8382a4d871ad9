use super::*;

fn cell(json: &str) -> Cell {
    Cell::from_members(Json::parse(json.as_bytes()).unwrap().as_object().unwrap().clone())
}

#[test]
fn a_new_notebook_is_an_empty_one_of_nbformat_4_5() {
    let written = String::from_utf8(Notebook::new().to_vec()).unwrap();
    assert_eq!(
        written,
        "{\n \"cells\": [],\n \"metadata\": {},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}"
    );
}

#[test]
fn new_cells_have_what_nbformat_wants_of_them() {
    let mut notebook = Notebook::new();
    notebook.cells_mut().extend([Cell::code("a", "1\n2"), Cell::markdown("b", "")]);
    let written = notebook.to_vec();
    let parsed = Notebook::parse(&written, &mut || unreachable!("the cells have ids")).unwrap();
    assert_eq!((parsed.quirks.len(), parsed.notebook), (0, notebook));
}

#[test]
fn the_kernel_and_the_language_are_found_where_papermill_looks() {
    let notebook = |metadata: &str| {
        let mut notebook = Notebook::new();
        *notebook.metadata_mut() = Json::parse(metadata.as_bytes()).unwrap().as_object().unwrap().clone();
        notebook
    };
    let both = notebook(r#"{"kernelspec": {"name": "ir", "language": "r"}, "language_info": {"name": "R"}}"#);
    assert_eq!((both.kernel_name(), both.language()), (Some("ir"), Some("R")));
    let spec = notebook(r#"{"kernelspec": {"name": "", "language": "r"}, "language_info": {"name": ""}}"#);
    assert_eq!((spec.kernel_name(), spec.language()), (None, Some("r")));
    let odd = notebook(r#"{"kernelspec": 5, "language_info": []}"#);
    assert_eq!((odd.kernel_name(), odd.language()), (None, None));
}

#[test]
fn tags_are_found_as_python_finds_them() {
    let has = |tags: &str, tag: &str| cell(&format!(r#"{{"metadata": {{"tags": {tags}}}}}"#)).has_tag(tag);
    assert!(has(r#"["a", 5, "b"]"#, "b"));
    assert!(!has(r#"["ab"]"#, "a"));
    assert!(has(r#""my-parameters""#, "parameters"));
    assert!(has(r#"{"a": 1}"#, "a"));
    assert!(!has("null", "a") && !has("5", "5"));
    assert!(!cell("{}").has_tag("a"));
    assert_eq!(cell(r#"{"metadata": {"tags": ["a", 5, "b"]}}"#).tags().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn odd_members_can_be_read_and_replaced() {
    let mut odd = cell(r#"{"metadata": 5, "outputs": "x", "execution_count": "7", "source": "a\ud800"}"#);
    assert_eq!(
        (odd.id(), odd.outputs().len(), odd.execution_count(), odd.metadata().len()),
        ("", 0, None, 0)
    );
    assert_eq!(odd.source(), "a\u{FFFD}");
    odd.outputs_mut().push(Json::Null);
    odd.set_execution_count(Some(3));
    odd.set_source("b");
    assert_eq!((odd.outputs().len(), odd.execution_count(), &*odd.source()), (1, Some(3), "b"));
}

#[test]
fn everything_that_a_notebook_says_can_be_changed_and_nothing_that_makes_it_a_notebook() {
    let json = br#"{"nbformat": 4, "nbformat_minor": 5, "metadata": {"a": 1}, "own": 2, "cells": [
        {"cell_type": "code", "id": "c", "metadata": {}, "source": "s", "execution_count": 1, "outputs": []},
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "t", "attachments": {}}]}"#;
    let mut notebook = Notebook::parse(json, &mut || unreachable!("the cells have ids")).unwrap().notebook;
    assert_eq!(notebook.contents_mut().count(), 2 + 4 + 3);
    for value in notebook.contents_mut().filter(|value| value.is_string()) {
        *value = Json::from("changed");
    }
    let told: Vec<_> =
        notebook.cells().iter().map(|cell| (cell.id(), cell.cell_type(), cell.source())).collect();
    assert_eq!(told, [("c", CellType::Code, "changed".into()), ("m", CellType::Markdown, "changed".into())]);
}

use super::*;
use crate::notebook::CellType;

fn try_parse(text: &str) -> Result<Parsed, NotebookError> {
    let mut count = 0;
    Notebook::parse(text.as_bytes(), &mut || {
        count += 1;
        format!("new{count}")
    })
}

fn parse(text: &str) -> Parsed {
    try_parse(text).unwrap()
}

/// A notebook of nbformat 4.5 with these cells.
fn with_cells(cells: &str) -> String {
    format!(r#"{{"nbformat": 4, "nbformat_minor": 5, "metadata": {{}}, "cells": [{cells}]}}"#)
}

fn quirks(text: &str) -> Vec<String> {
    parse(text).quirks.iter().map(ToString::to_string).collect()
}

fn error(text: &str) -> String {
    let error = try_parse(text).unwrap_err();
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// What is written, on one line.
fn rewritten(text: &str) -> String {
    Json::parse(&parse(text).notebook.to_vec()).unwrap().to_compact()
}

fn ids(parsed: &Parsed) -> Vec<&str> {
    parsed.notebook.cells().iter().map(Cell::id).collect()
}

#[test]
fn a_notebook_of_the_current_version_has_no_quirks() {
    let cells = r#"{"cell_type": "code", "id": "a", "metadata": {"tags": ["x"]}, "source": ["1\n", "2"], "outputs": [],
        "execution_count": 3}, {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "", "unknown": 1}"#;
    let parsed = parse(&with_cells(cells));
    assert_eq!(parsed.quirks, []);
    let cell = &parsed.notebook.cells()[0];
    assert_eq!((cell.id(), cell.cell_type(), &*cell.source()), ("a", CellType::Code, "1\n2"));
    assert_eq!((cell.execution_count(), cell.outputs().len(), cell.has_tag("x")), (Some(3), 0, true));
}

#[test]
fn what_is_no_notebook_is_refused_with_a_reason() {
    assert_eq!(
        error(""),
        "the notebook is empty; an interrupted save leaves such a file, so look for a checkpoint or a backup"
    );
    let not_json = "the notebook is not valid JSON; restore it from a checkpoint, or repair it by hand";
    assert_eq!(error("not found"), format!("{not_json}: expected a value, found 'n' at line 1 column 1"));
    assert_eq!(
        error("{\"cells\": [\n {\"id\""),
        format!("{not_json}: the text ends in the middle of an array at line 2 column 7")
    );
    assert_eq!(
        error("{\"cells\": [\n<<<<<<< HEAD\n {\n=======\n [\n>>>>>>> theirs\n]}"),
        "the notebook holds a merge conflict at line 2; resolve it and try again"
    );
    assert_eq!(error("[]"), "the notebook is an array, not a JSON object with `cells`");
    assert_eq!(error("{}"), "the JSON object has no `cells` and so is not a notebook; is it the right file?");
    assert_eq!(
        error(r#"{"nbformat": 3}"#),
        "the JSON object has no `worksheets` and so is not a notebook; is it the right file?"
    );
    assert_eq!(
        error(r#"{"nbformat": 5, "cells": []}"#),
        "the notebook is nbformat 5; versions 1 to 4 can be read, so save it as nbformat 4"
    );
    assert_eq!(
        error(r#"{"nbformat": 4, "nbformat_minor": 5, "cells": {}}"#),
        "`cells` is an object, not a list"
    );
    assert_eq!(error(&with_cells("{}, 7")), "cell 2 is a number, not a JSON object; remove it from `cells`");
    assert_eq!(
        error(&"[".repeat(5000)),
        "the notebook cannot be read, and neither can Jupyter read it: nested deeper than 1056 levels at line 1 \
         column 1057"
    );
}

#[test]
fn odd_versions_are_read_as_what_they_mean() {
    let notebook = |version: &str| format!(r#"{{{version} "metadata": {{}}, "cells": []}}"#);
    assert_eq!(
        quirks(&notebook(r#""nbformat": "4","#)),
        [
            "notebook: `nbformat` is \"4\", not an integer; read as the version it means",
            "notebook: has no `nbformat_minor`; read as nbformat 4.5"
        ]
    );
    assert_eq!(quirks(&notebook(r#""nbformat": 4.0, "nbformat_minor": 5,"#)).len(), 1);
    assert_eq!(quirks(&notebook("")).len(), 2);
    assert_eq!(
        quirks(&notebook(r#""nbformat": 4, "nbformat_minor": "5","#)),
        ["notebook: `nbformat_minor` is \"5\", not an integer; read as nbformat 4.5"]
    );
    for odd in ["40", "\"40\"", "4.5", "0", "-4", "null", "true", "[4]", "99999999999999999999"] {
        let error = try_parse(&notebook(&format!(r#""nbformat": {odd},"#))).unwrap_err();
        assert!(matches!(error, NotebookError::UnsupportedVersion { .. }), "{odd}: {error}");
    }
}

#[test]
fn without_a_minor_version_ids_are_kept() {
    let parsed = parse(
        r#"{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "raw", "id": "mine", "metadata": {},
        "source": ""}, {"cell_type": "raw", "metadata": {}, "source": ""}]}"#,
    );
    assert_eq!(ids(&parsed), ["mine", "new1"]);
}

#[test]
fn before_4_5_every_cell_gets_a_fresh_id() {
    let parsed = parse(
        r#"{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "raw", "id": "mine",
        "metadata": {}, "source": ""}, {"cell_type": "raw", "metadata": {}, "source": ""}]}"#,
    );
    assert_eq!((ids(&parsed), parsed.quirks.len()), (vec!["new1", "new2"], 0));
}

#[test]
fn ids_are_made_unique_and_every_change_is_told() {
    let cell = |id: &str| format!(r#"{{"cell_type": "raw", {id} "metadata": {{}}, "source": ""}}"#);
    let cells =
        [r#""id": "a","#, "", r#""id": "a","#, r#""id": "no way","#, r#""id": 5,"#, r#""id": "new1","#]
            .map(cell);
    let text = with_cells(&cells.join(","));
    // `new1` is taken, so the fresh ids begin with `new2`.
    assert_eq!(ids(&parse(&text)), ["a", "new2", "new3", "no way", "", "new1"]);
    assert_eq!(
        quirks(&text),
        [
            "cell 2 (id new2): has no `id`; given a new one",
            "cell 3 (id new3): an earlier cell has the id \"a\" already; given a new one",
            "cell 4 (id no way): the id \"no way\" is not 1 to 64 letters, digits, `-` and `_`; kept as it is",
            "cell 5: `id` is 5, not a string; kept as it is",
        ]
    );
}

#[test]
fn a_source_of_fresh_ids_that_repeats_itself_does_not_hang() {
    let text = with_cells("{}, {}, {}");
    let parsed = Notebook::parse(text.as_bytes(), &mut || "same".to_owned()).unwrap();
    assert_eq!(ids(&parsed), ["same", "same-8", "same-9"]);
}

#[test]
fn an_empty_object_is_read_as_a_cell_that_is_kept_and_not_executed() {
    let text = with_cells("{}");
    assert_eq!(
        quirks(&text),
        [
            "cell 1 (id new1): has no `metadata`; read as empty",
            "cell 1 (id new1): has no `cell_type`; kept as it is, and never executed",
            "cell 1 (id new1): has no `source`; read as empty",
            "cell 1 (id new1): has no `id`; given a new one",
        ]
    );
    let parsed = parse(&text);
    assert_eq!(parsed.notebook.cells()[0].cell_type(), CellType::Other);
    assert_eq!(
        rewritten(&text),
        r#"{"cells":[{"id":"new1","metadata":{}}],"metadata":{},"nbformat":4,"nbformat_minor":5}"#
    );
}

/// A code cell with one member replaced; gives the quirks' text, the source, and the member as it is written.
fn code_cell_with(member: &str, value: &str) -> (Vec<String>, String, String) {
    let mut cell = Json::parse(
        br#"{"cell_type":"code","id":"a","metadata":{},"source":"","outputs":[],"execution_count":null}"#,
    )
    .unwrap();
    cell.as_object_mut().unwrap().insert(member.to_owned(), Json::parse(value.as_bytes()).unwrap());
    let text = with_cells(&cell.to_compact());
    let parsed = parse(&text);
    let quirks = parsed.quirks.iter().map(|quirk| quirk.kind.to_string()).collect();
    let written = Json::parse(&parsed.notebook.to_vec()).unwrap();
    let kept = written.get("cells").unwrap().as_array().unwrap()[0].get(member).unwrap().to_compact();
    (quirks, parsed.notebook.cells()[0].source().into_owned(), kept)
}

#[test]
fn odd_sources_are_kept_and_read_as_their_text() {
    for (value, found, text) in [
        ("null", "null", ""),
        ("5.50", "a number", "5.50"),
        ("true", "a boolean", "true"),
        (r#"["a",1,null,"b"]"#, "a list of other things", "a1b"),
        (r#"{"a":1}"#, "an object", r#"{"a":1}"#),
    ] {
        let quirk =
            format!("`source` is {found}, not a string or a list of strings; kept, and read as its text");
        assert_eq!(code_cell_with("source", value), (vec![quirk], text.to_owned(), value.to_owned()));
    }
}

#[test]
fn odd_outputs_are_kept() {
    for (value, quirk) in [
        (r#""none""#, "`outputs` is a string, not a list; kept, and read as no outputs"),
        ("null", "`outputs` is null, not a list; kept, and read as no outputs"),
        ("[1]", "output 1 is a number, not an object; kept as it is"),
        (r#"[{"text":["a","b"]}]"#, "output 1 has no `output_type`; kept as it is"),
        (r#"[{"output_type":"odd"}]"#, "output 1 is of the type \"odd\", which is not known; kept as it is"),
        (r#"[{"data":1,"output_type":"display_data"}]"#, ""),
        (r#"[{"output_type":"stream","text":5}]"#, ""),
    ] {
        let quirks = if quirk.is_empty() { vec![] } else { vec![quirk.to_owned()] };
        assert_eq!(code_cell_with("outputs", value), (quirks, String::new(), value.to_owned()));
    }
}

#[test]
fn odd_members_are_kept() {
    for (member, value, quirk) in [
        (
            "execution_count",
            r#""7""#,
            "`execution_count` is \"7\", not an integer; kept, and read as not executed",
        ),
        (
            "execution_count",
            "1.5",
            "`execution_count` is 1.5, not an integer; kept, and read as not executed",
        ),
        ("metadata", r#"{"tags":"x"}"#, "`tags` is a string, not a list of strings; kept as it is"),
        (
            "metadata",
            r#"{"tags":[1]}"#,
            "`tags` is a list of other things, not a list of strings; kept as it is",
        ),
        ("cell_type", r#""sql""#, "the cell type \"sql\" is not known; kept as it is, and never executed"),
    ] {
        assert_eq!(code_cell_with(member, value), (vec![quirk.to_owned()], String::new(), value.to_owned()));
    }
    let (quirks, _, kept) = code_cell_with("metadata", "[1]");
    assert_eq!(
        quirks,
        ["`metadata` is an array, not an object; read as empty, and kept in it as `off_spec_metadata`"]
    );
    assert_eq!(kept, r#"{"off_spec_metadata":[1]}"#);
}

#[test]
fn a_code_cell_without_outputs_and_count_is_read_as_not_executed() {
    let text = with_cells(r#"{"cell_type": "code", "id": "a", "metadata": {}, "source": ""}"#);
    assert_eq!(
        quirks(&text),
        [
            "cell 1 (id a): has no `outputs`; read as none",
            "cell 1 (id a): has no `execution_count`; read as not executed"
        ]
    );
}

#[test]
fn what_json_does_not_allow_is_told_of_the_cell_it_is_in() {
    let text = "\u{FEFF}".to_owned()
        + &with_cells(
            r#"{"cell_type": "raw", "id": "a", "metadata": {"x": NaN, "y": [NaN, -Infinity], "z": 1, "z": 2},
            "source": "\ud83d\n\ude00"}"#,
        );
    assert_eq!(
        quirks(&text),
        [
            "notebook: starts with a byte order mark; left out",
            "cell 1 (id a): holds NaN, which is not JSON; kept, and written as the string \"NaN\"",
            "cell 1 (id a): holds -Infinity, which is not JSON; kept, and written as the string \"-Infinity\"",
            "cell 1 (id a): has the key \"z\" more than once in one object; the last one is kept",
            "cell 1 (id a): holds half of a surrogate pair in a string; kept as its escape",
        ]
    );
    assert_eq!(
        rewritten(&text),
        r#"{"cells":[{"cell_type":"raw","id":"a","metadata":{"x":"NaN","y":["NaN","-Infinity"],"z":2},"source":["\ud83d\n","\ude00"]}],"metadata":{},"nbformat":4,"nbformat_minor":5}"#
    );
}

#[test]
fn numbers_are_written_as_they_were_spelled() {
    let text = with_cells(
        r#"{"cell_type": "raw", "id": "a", "metadata": {"n": [2.50, 1e5, -0, 0.0000025, 1E400, 12345678901234567890123]},
        "source": ""}"#,
    );
    assert!(rewritten(&text).contains(r#""n":[2.50,1e5,-0,0.0000025,1E400,12345678901234567890123]"#));
}

#[test]
fn old_notebooks_lose_nothing_where_they_are_odd() {
    let text = r#"{"nbformat": 3, "metadata": [1], "worksheets": [{"metadata": {"x": 1}, "cells": [
        {"cell_type": "heading", "level": 2, "source": 5},
        {"cell_type": "code", "metadata": "m", "source": "kept", "outputs": [
            {"output_type": "pyout", "json": "not json", "metadata": 5}, 7, {"text": ["a", "b"]}]}]}]}"#;
    assert_eq!(
        quirks(text),
        [
            "notebook: a worksheet has metadata, for which nbformat 4 has no place; left out, as nbformat does",
            "notebook: `metadata` is an array, not an object; read as empty, and kept in it as `off_spec_metadata`",
            "cell 1 (id new1): `source` is a number, not a string or a list of strings; kept, and read as its text",
            "cell 2 (id new2): `metadata` is a string, not an object; read as empty, and kept in it as \
             `off_spec_metadata`",
            "cell 2 (id new2): output 1 calls itself JSON but is not; kept as a string",
            "cell 2 (id new2): output 2 is a number, not an object; kept as it is",
            "cell 2 (id new2): output 3 has no `output_type`; kept as it is",
        ]
    );
    let written = rewritten(text);
    assert!(written.contains(r#""level":2,"metadata":{},"source":5"#), "{written}");
    assert!(written.contains(r#""data":{"application/json":"not json"}"#), "{written}");
    assert!(written.contains(r#""source":["kept"]"#), "{written}");
}

#[test]
fn transient_metadata_is_left_out() {
    let text = r#"{"nbformat": 4, "nbformat_minor": 5, "metadata": {"signature": 1, "orig_nbformat": 2, "orig_nbformat_minor": 0,
        "a": 1}, "cells": [{"cell_type": "raw", "id": "a", "metadata": {"trusted": true}, "source": ""}]}"#;
    let mut notebook = parse(text).notebook;
    notebook.metadata_mut().insert("signature".to_owned(), Json::Null);
    notebook.cells_mut()[0].metadata_mut().insert("trusted".to_owned(), Json::Bool(true));
    assert_eq!(
        Json::parse(&notebook.to_vec()).unwrap().to_compact(),
        r#"{"cells":[{"cell_type":"raw","id":"a","metadata":{},"source":[]}],"metadata":{"a":1},"nbformat":4,"nbformat_minor":5}"#
    );
}

#[test]
fn a_hundred_thousand_cells_are_read_and_written() {
    let cell = r#"{"cell_type":"raw","metadata":{},"source":"a"}"#;
    let text = with_cells(&vec![cell; 100_000].join(","));
    let parsed = parse(&text);
    assert_eq!((parsed.notebook.cells().len(), parsed.quirks.len()), (100_000, 100_000));
    assert!(parsed.notebook.to_vec().len() > text.len());
}

#[test]
fn a_value_as_deep_as_a_value_may_be_can_be_stored_and_read_again() {
    use crate::json::MAX_DEPTH;
    let deep = Json::parse(("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)).as_bytes()).unwrap();
    let mut notebook = Notebook::new();
    let mut cell = Cell::code("a", "");
    let data = Json::from_iter([("application/json", deep)]);
    cell.outputs_mut().push(Json::from_iter([("output_type", Json::from("display_data")), ("data", data)]));
    notebook.cells_mut().push(cell);
    assert_eq!(parse(std::str::from_utf8(&notebook.to_vec()).unwrap()).notebook, notebook);
}

//! What holds for every input.

use proptest::prelude::*;
use rnbexec_notebook::json::Number;
use rnbexec_notebook::{Json, Notebook, Object};

/// Words that a reader of notebooks looks for, so that random trees reach into all of it.
const WORDS: [&str; 40] = [
    "nbformat",
    "nbformat_minor",
    "metadata",
    "cells",
    "worksheets",
    "cell_type",
    "id",
    "source",
    "outputs",
    "attachments",
    "output_type",
    "data",
    "text",
    "execution_count",
    "tags",
    "trusted",
    "signature",
    "input",
    "prompt_number",
    "level",
    "collapsed",
    "code",
    "markdown",
    "heading",
    "html",
    "raw",
    "stream",
    "display_data",
    "execute_result",
    "pyout",
    "pyerr",
    "error",
    "text/plain",
    "application/json",
    "image/png",
    "json",
    "papermill",
    "orig_nbformat",
    "code",
    "name",
];

/// Pieces of JSON, and of what is almost JSON.
const TOKENS: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"\\u00e9\"",
    "\"\\x\"",
    "\"\\ud83d\\ude00\"",
    "\"\t\"",
    "\"\\u12\"",
    "\"",
    "0",
    "-1",
    "1.5e3",
    "01",
    "1.",
    "-",
    "e5",
    "true",
    "null",
    "nul",
    " ",
    "\n",
    "é",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![3 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => text()]
}

/// Text with all that is special to JSON or to the splitting of lines.
fn text() -> impl Strategy<Value = String> {
    let special =
        "\n\r\t\u{b}\u{c}\u{1c}\u{1e}\u{1f}\u{85}\u{2028}\u{2029}\u{0}\u{7f}\"\\/aé日😀\u{ffff}\u{fffe}";
    let special: Vec<char> = special.chars().collect();
    let character = prop_oneof![4 => proptest::sample::select(special), 1 => any::<char>()];
    proptest::collection::vec(character, 0..70).prop_map(|characters| characters.into_iter().collect())
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (0..6_i64).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|spelled| Number::parse(&spelled).map_or(Json::Null, Json::from)),
        text().prop_map(Json::from),
        word().prop_map(Json::from),
        // Half of a surrogate pair.
        Just(Json::parse(br#""\ud83d\n\ude00""#).expect("valid")),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            proptest::collection::vec((word(), inner), 0..6).prop_map(Json::from_iter),
        ]
    })
}

/// Something in the shape of a notebook, with anything at all in it.
fn notebook() -> impl Strategy<Value = Json> {
    let output = (word(), json(), json()).prop_map(|(output_type, data, text)| {
        Json::from_iter([("output_type", Json::from(output_type)), ("data", data), ("text", text)])
    });
    let outputs = proptest::collection::vec(output, 0..3).prop_map(Json::from);
    let cell = (word(), json(), outputs, proptest::collection::vec((word(), json()), 0..3)).prop_map(
        |(cell_type, source, outputs, others)| {
            let mut cell: Object = others.into_iter().collect();
            cell.insert("cell_type".to_owned(), Json::from(cell_type));
            cell.insert("source".to_owned(), source);
            cell.insert("outputs".to_owned(), outputs);
            Json::from(cell)
        },
    );
    let cells = proptest::collection::vec(cell, 0..4).prop_map(Json::from);
    let others = proptest::collection::vec((word(), json()), 0..3);
    (1..=4_i64, 0..=7_i64, cells, others).prop_map(|(major, minor, cells, others)| {
        let mut notebook: Object = others.into_iter().collect();
        notebook.insert("nbformat".to_owned(), Json::from(major));
        notebook.insert("nbformat_minor".to_owned(), Json::from(minor));
        let worksheet = Json::from_iter([("cells", cells.clone())]);
        notebook.insert("worksheets".to_owned(), Json::from(vec![worksheet]));
        notebook.insert("cells".to_owned(), cells);
        Json::from(notebook)
    })
}

fn read(bytes: &[u8]) -> Option<Notebook> {
    let mut count = 0;
    let mut fresh_id = || {
        count += 1;
        format!("new{count}")
    };
    Notebook::parse(bytes, &mut fresh_id).ok().map(|parsed| parsed.notebook)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Json::parse(&bytes));
        prop_assert!(read(&bytes).is_none());
    }

    #[test]
    fn json_is_what_serde_json_says_it_is(tokens in proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 1..9)) {
        let text = tokens.concat();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(Json::parse(text.as_bytes()).is_ok(), theirs, "{:?}", text);
    }

    #[test]
    fn no_json_panics(value in json()) {
        read(value.to_compact().as_bytes());
    }

    #[test]
    fn json_of_all_kinds_survives(value in json()) {
        let compact = value.to_compact();
        let mut pretty = Vec::new();
        value.write_pretty(&mut pretty, 0);
        prop_assert_eq!(Json::parse(&pretty).expect("we wrote it").to_compact().len(), compact.len());
        prop_assert_eq!(&Json::parse(compact.as_bytes()).expect("we wrote it").to_compact(), &compact);
    }

    #[test]
    fn a_part_of_a_notebook_does_not_panic(value in notebook(), part in 0.0..1.0) {
        let text = value.to_compact().into_bytes();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
        let end = (text.len() as f64 * part) as usize;
        prop_assert!(read(&text[..end]).is_none());
    }

    #[test]
    fn notebooks_that_we_wrote_are_written_unchanged(value in notebook()) {
        let Some(first) = read(value.to_compact().as_bytes()) else { return Ok(()) };
        let written = first.to_vec();
        let second = read(&written).expect("we wrote it");
        // An old notebook may hold lists of strings that only today's format joins.
        let again = second.to_vec();
        let third = read(&again).expect("we wrote it");
        let at_last = third.to_vec();
        prop_assert_eq!(String::from_utf8_lossy(&at_last), String::from_utf8_lossy(&again));
        if value.get("nbformat").and_then(Json::as_i64) == Some(4) {
            prop_assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&written));
        }
    }

    #[test]
    fn what_is_written_is_json(value in notebook()) {
        // Half a surrogate pair is valid JSON, but no string of Rust.
        let value = value.to_compact().replace("\\ud83d", "").replace("\\ude00", "");
        let Some(notebook) = read(value.as_bytes()) else { return Ok(()) };
        let written = notebook.to_vec();
        // serde_json refuses numbers that no float holds.
        let finite = |error: &serde_json::Error| error.to_string().contains("number out of range");
        let result = serde_json::from_slice::<serde_json::Value>(&written);
        prop_assert!(result.as_ref().err().is_none_or(finite), "{:?}: {}", result, String::from_utf8_lossy(&written));
    }
}

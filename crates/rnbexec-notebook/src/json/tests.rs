use super::*;

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn error(text: &str) -> String {
    Json::parse(text.as_bytes()).unwrap_err().to_string()
}

fn pretty(text: &str) -> String {
    let mut out = Vec::new();
    parse(text).write_pretty(&mut out, 0);
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_keep_their_spelling() {
    for spelled in
        ["0", "-0", "-0.0", "2.50", "1e5", "1E+05", "0.0000025", "123456789012345678901234567890", "5e-324"]
    {
        assert_eq!(parse(spelled).to_compact(), spelled);
    }
}

#[test]
fn a_number_tells_integers_from_floats() {
    let number = |text: &str| Number::parse(text).unwrap();
    assert_eq!(number("-12").as_i64(), Some(-12));
    assert_eq!(number("-0").as_i64(), Some(0));
    assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551616").as_i64(), None);
    assert!(number("18446744073709551616").is_integer());
    assert!(!number("1.0").is_integer());
    assert_eq!(number("1.0").as_i64(), None);
    assert!(number("1e400").as_f64().is_infinite());
    assert!(!number("NaN").is_finite() && number("NaN").as_f64().is_nan());
    for bad in ["", "-", "01", "1.", ".5", "1e", "+1", "nan", "0x1", " 1", "1_0"] {
        assert_eq!(Number::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn floats_are_spelled_as_python_spells_them() {
    for (value, spelled) in [
        (1e3, "1000.0"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (-0.0, "-0.0"),
        (0.0, "0.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        // Halfway between two spellings of equal length.
        (593_159_819_260_526.0 + 0.25, "593159819260526.2"),
        (-961_572_540_925_905.0 - 0.25, "-961572540925905.2"),
        (2_f64.powi(-44), "5.684341886080802e-14"),
        (9_007_199_254_740_993.0, "9007199254740992.0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(Number::from_f64(value).as_str(), spelled);
    }
}

#[test]
fn non_finite_numbers_are_read_and_written_as_strings() {
    assert_eq!(parse("[NaN, Infinity, -Infinity]").to_compact(), r#"["NaN","Infinity","-Infinity"]"#);
}

#[test]
fn lone_surrogates_are_kept_and_pairs_are_characters() {
    let text = r#""a\ud83dz\ude00\ud83d\ud83d\ude00""#;
    let value = parse(text);
    assert_eq!(value.to_compact(), "\"a\\ud83dz\\ude00\\ud83d\u{1F600}\"");
    assert_eq!(value.text().unwrap(), "a\u{FFFD}z\u{FFFD}\u{FFFD}\u{1F600}");
    assert_eq!(value.as_str(), None);
    assert_eq!(parse(r#""\ud83d\ude00""#), Json::from("\u{1F600}"));
}

#[test]
fn keys_with_lone_surrogates_are_kept_and_sorted_by_code_point() {
    let text = r#"{"￿": 1, "\ud800": 2, "a": 3, "￿￾d800": 4, "\udfff￾": 5}"#;
    let written = pretty(text);
    assert_eq!(
        written,
        "{\n \"a\": 3,\n \"\\ud800\": 2,\n \"\\udfff\u{FFFE}\": 5,\n \"\u{FFFF}\": 1,\n \"\u{FFFF}\u{FFFE}d800\": 4\n}"
    );
    assert_eq!(parse(&written), parse(text));
}

#[test]
fn the_last_of_duplicate_keys_wins_and_is_noted() {
    let parsed = Json::parse_notebook(b"{\"cells\": [{},\n {\"a\": 1, \"a\": 2}]}", |_| {}).unwrap();
    assert_eq!(parsed.value.to_compact(), r#"{"cells":[{},{"a":2}]}"#);
    let path = vec![PathStep::Key("cells".to_owned()), PathStep::Index(1)];
    assert_eq!(parsed.notes, [Note { kind: NoteKind::DuplicateKey("a".to_owned()), path, line: 2 }]);
}

#[test]
fn a_byte_order_mark_is_accepted_and_noted() {
    let parsed = Json::parse_notebook("\u{FEFF}[]".as_bytes(), |_| {}).unwrap();
    assert_eq!(parsed.notes, [Note { kind: NoteKind::ByteOrderMark, path: vec![], line: 1 }]);
}

#[test]
fn a_thousand_levels_can_be_read_cloned_compared_written_and_dropped() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let text = open.repeat(MAX_DEPTH) + "0" + &close.repeat(MAX_DEPTH);
        let value = parse(&text);
        assert!(value == value.clone());
        assert_eq!(value.to_compact(), text);
        value.write_pretty(&mut Vec::new(), 0);
    }
}

#[test]
fn deeper_nesting_is_refused_without_a_stack_overflow() {
    assert_eq!(error(&"[".repeat(1_000_000)), "nested deeper than 1024 levels at line 1 column 1025");
    assert_eq!(error(&"[[{\"a\":".repeat(1_000_000)), "nested deeper than 1024 levels at line 1 column 2389");
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(error(""), "the text is empty at line 1 column 1");
    assert_eq!(error(" \n "), "the text is empty at line 2 column 2");
    assert_eq!(error("{\n \"a\": }"), "expected a value, found '}' at line 2 column 7");
    assert_eq!(error("é x"), "expected a value, found 'é' at line 1 column 1");
    assert_eq!(error("[1,\n2"), "the text ends in the middle of an array at line 2 column 2");
    assert_eq!(error("{\"a\": \"b"), "the text ends in the middle of a string at line 1 column 9");
    assert_eq!(error("{\"a\""), "the text ends in the middle of a value at line 1 column 5");
    assert_eq!(error("[1,]"), "expected a value, found ']' at line 1 column 4");
    assert_eq!(error("{'a': 1}"), "expected a key in double quotes, found '\\'' at line 1 column 2");
    assert_eq!(error("[1] x"), "text after the end of the document at line 1 column 5");
    assert_eq!(error("\"a\tb\""), "unescaped control character '\\t' in a string at line 1 column 3");
    assert_eq!(error(r#""\x""#), "invalid escape in a string at line 1 column 2");
    assert_eq!(error(r#""\u12g4""#), "invalid escape in a string at line 1 column 2");
    assert_eq!(error("[01]"), "expected `,` or `]` in an array, found '1' at line 1 column 3");
    assert_eq!(error("[-x]"), "expected a digit, found 'x' at line 1 column 3");
    assert_eq!(error("nul"), "the text ends in the middle of a word at line 1 column 4");
    let invalid = Json::parse(b"[\"\xFF\"]").unwrap_err();
    assert_eq!(invalid.to_string(), "the text is not UTF-8 at line 1 column 3");
}

#[test]
fn pretty_text_is_that_of_python() {
    assert_eq!(
        pretty(
            r#"{"b":[],"a":{},"Z":[1,{"x":null}],"é":true,"":"\u0000\u001f\b\f\n\r\t\"\\\/\u007f\u2028"}"#
        ),
        "{\n \"\": \"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\u{7f}\u{2028}\",\n \"Z\": [\n  1,\n  {\n   \"x\": null\n  }\n \
         ],\n \"a\": {},\n \"b\": [],\n \"é\": true\n}"
    );
}

#[test]
fn an_escape_anywhere_in_a_long_string_is_written() {
    for at in 0..200 {
        let mut text = "x".repeat(200);
        text.replace_range(at..=at, "\n");
        let written = Json::from(text.as_str()).to_compact();
        assert_eq!(written, format!("\"{}\"", text.replace('\n', "\\n")));
        assert_eq!(parse(&written), Json::from(text));
    }
}

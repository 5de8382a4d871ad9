use super::*;

/// Read, although PyYAML refuses them: where YAML 1.2 allows more, and tabs.
const READ: &[&str] = &[
    "...",
    ":",
    "- :",
    ": 1",
    "{: 1}",
    "--- |\nx",
    "%YAML 2.0\n---\na: 1",
    "\t",
    "a: \t1",
    "a: 1\t",
    "a: b\tc",
    "- \ta",
    "-\ta",
    "a: 1\t#c",
    "[&a 1, *a , &a 2, *a]",
    "a: &x 1\nb: &x 2\nc: *x",
    "a: &a:b 1\nc: *a:b",
    "{k: http://x.y/z?q=1#f}",
    "[http://x.y/z?q=1#f]",
    "{k: ::a}",
    "[::a]",
    "{k: :a}",
    "[:a]",
    "{k: |a}",
    "[|a]",
    "{k: >a}",
    "[>a]",
    "{k: ?a}",
    "{k: ?}",
    "{k: ??}",
    "[??]",
    "{k: a?}",
    "[a?]",
    "{k: -?}",
    "[-?]",
    // These are JSON.
    "{\"a\":\n\t1}",
    "{\n\t\"a\": 1\n}",
    "{\"a\": \"\\ud83d\\ude00\"}",
];

/// Refused, although PyYAML reads them: what YAML 1.2 no longer allows.
const REFUSED: &[&str] = &["{k: -}", "[-]", "?", "[#c\n1]", "k: \u{feff}a", "{k: \u{feff}a}", "[\u{feff}a]"];

/// Read otherwise than by PyYAML: oddities of its flow collections and anchors, and JSON.
const OTHERWISE: &[(&str, &str)] = &[
    ("[?a]", r#"["?a"]"#),
    ("[?]", r#"["?"]"#),
    ("{?a: 1}", r#"{"?a":1}"#),
    ("&a: v", r#""v""#),
    ("{\"a\": 1e3}", r#"{"a":1000.0}"#),
    ("{\"a\": NaN}", r#"{"a":"NaN"}"#),
    ("{\"a\": [1, 2.50, -0, -0.0, 1E5]}", r#"{"a":[1,2.5,0,-0.0,100000.0]}"#),
];

#[test]
fn every_text_means_what_pyyaml_makes_of_it() {
    let table = Json::parse(include_bytes!("../../../tests/fixtures/parameters/yaml.json")).expect("JSON");
    let (mut read, mut refused, mut otherwise) = (Vec::new(), Vec::new(), Vec::new());
    for row in table.as_array().expect("a list") {
        let text = row.get("yaml").and_then(Json::as_str).expect("a text");
        match (parse_value(text), row.get("value")) {
            (Ok(found), Some(expected)) if found == *expected => {}
            (Err(_), None) => {}
            (Ok(_), None) => read.push(text),
            (Err(_), Some(_)) => refused.push(text),
            (Ok(found), Some(_)) => otherwise.push((text, found.to_compact())),
        }
    }
    let sorted = |texts: &[&'static str]| {
        let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        texts.sort();
        texts
    };
    read.sort_unstable();
    refused.sort_unstable();
    assert_eq!(read, sorted(READ), "read although PyYAML refuses it");
    assert_eq!(refused, sorted(REFUSED), "refused although PyYAML reads it");
    otherwise.sort();
    let mut expected: Vec<_> = OTHERWISE.iter().map(|(text, value)| (*text, (*value).to_owned())).collect();
    expected.sort();
    assert_eq!(otherwise, expected, "read otherwise");
}

fn error(text: &str) -> String {
    parse(text).expect_err("the text is bad").to_string()
}

#[test]
fn an_error_names_the_place() {
    assert_eq!(error("a: 1\nb: !!int x"), "line 2, column 4: not an integer: \"x\"");
    assert_eq!(
        error("a: 1\nb: [1, 2\n"),
        "line 3, column 1: while parsing a flow sequence, expected ',' or ']'"
    );
    assert_eq!(error("a: *x"), "line 1, column 4: while parsing node, found unknown anchor");
    assert_eq!(error("- a"), "line 1, column 1: expected a mapping of names to values, found an array");
    assert_eq!(error("a: 1\n---\nb: 2"), "line 2, column 1: expected one document, found a second");
    assert_eq!(error("a: \u{1}"), "line 1, column 4: the character U+0001 is not allowed in YAML");
}

#[test]
fn what_json_cannot_hold_is_refused_by_name() {
    assert_eq!(error("a: !!set {x}"), "line 1, column 4: a set has no form in JSON: write a list");
    assert!(error("a: !!timestamp 2019-01-01").contains("a date has no form in JSON"));
    assert!(error("a: !!binary /w==").contains("bytes that are not UTF-8 text"));
    assert!(
        error("a: !!python/object/apply:os.system [id]")
            .contains("tag:yaml.org,2002:python/object/apply:os.system")
    );
    assert!(error("{[1]: 2}").contains("a sequence cannot be a key"));
    assert!(error("a: &a [*a]").contains("an alias to a collection that contains it"));
}

#[test]
fn a_text_without_values_holds_no_parameters() {
    for text in ["", " ", "# nothing", "---", "null", "{}", "[]", "''"] {
        assert_eq!(parse(text), Ok(Parameters::new()), "{text:?}");
    }
    for text in ["0", "false", "text", "[1]"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let level =
        |level: i32| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    let laughs = "a0: &a0 [lol]\n".to_owned() + &(1..12).map(level).collect::<String>();
    assert!(error(&laughs).contains("expand to too many values"));
    let level = |level: i32| {
        format!("m{level}: &m{level} {{<<: [{}]}}\n", vec![format!("*m{}", level - 1); 3].join(", "))
    };
    let merges = "m0: &m0 {x: 1}\n".to_owned() + &(1..30).map(level).collect::<String>();
    assert!(error(&merges).contains("expand to too many values"));
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    assert_eq!(error(&format!("a: {}", "[".repeat(100_000))), "line 1, column 259: recursion limit exceeded");
    assert!(error(&"- ".repeat(10_000)).contains("nested deeper"));
    let json = format!("{{\"a\": {}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert!(error(&json).contains("nested deeper"));
}

#[test]
fn bytes_may_be_utf_16_with_a_mark() {
    let utf16: Vec<u8> = "\u{feff}a: é".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(parse_bytes(&utf16), parse("a: é"));
    assert_eq!(parse_bytes("\u{feff}a: é".as_bytes()), parse("a: é"));
    let error = parse_bytes(b"a: 1\nb: \xff").expect_err("no UTF-8");
    assert_eq!(error.to_string(), "line 2, column 4: the text is not valid UTF-8");
}

#[test]
fn numbers_keep_their_value_at_any_size() {
    let value = |text: &str| parse_value(text).map(|value| value.to_compact());
    assert_eq!(value("123456789012345678901234567890").as_deref(), Ok("123456789012345678901234567890"));
    assert_eq!(
        value("0xffffffffffffffffffffffffffffffffffff").as_deref(),
        Ok("22300745198530623141535718272648361505980415")
    );
    assert_eq!(
        value("{\"a\": 123456789012345678901234567890}").as_deref(),
        Ok("{\"a\":123456789012345678901234567890}")
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-\\[\\]{}:,?&*!|>'\"%@` \n\ta0.<=~#\\\\]{0,40}") {
        let _ = parse_value(&text);
        // The second attempt only ever sees texts that the parser refuses; here it sees all.
        let _ = flow::indent_lines(&text);
    }
}

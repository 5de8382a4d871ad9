mod differences;
mod lexer;

use proptest::prelude::*;

use super::*;
use crate::json::Json;
use crate::parameters::Secret;

const KERNELS: [&str; 10] = [
    "python",
    "R",
    "scala",
    "julia",
    "matlab",
    ".net-csharp",
    ".net-fsharp",
    ".net-powershell",
    "bash",
    "javascript",
];

fn translator(kernel: &str) -> &'static dyn Translator {
    translator_for(kernel, "").expect("a translator")
}

fn all() -> impl Iterator<Item = &'static dyn Translator> {
    KERNELS.iter().map(|kernel| translator(kernel))
}

fn code(kernel: &str, json: &str) -> String {
    let value = Json::parse(json.as_bytes()).expect("the test writes good JSON");
    translator(kernel).assign("x", &value).unwrap_or_else(|error| format!("{error}"))
}

#[test]
fn the_code_is_papermills_save_where_that_is_wrong() {
    let table = Json::parse(include_bytes!("../../tests/fixtures/parameters/code.json")).expect("JSON");
    let mut differ = 0;
    for row in table.as_array().expect("a list") {
        let text = |key: &str| row.get(key).and_then(Json::as_str);
        let (language, label) = (text("language").expect("a language"), text("label").expect("a label"));
        let parameters = Parameters::from_iter([("x", row.get("value").expect("a value").clone())]);
        let found = parameters_cell(translator(language), "Parameters", &parameters);
        let ours = differences::TABLE.iter().find(|(of, what, _)| (*of, *what) == (language, label));
        match (found, ours, text("code")) {
            (Ok(found), Some((.., Ok(ours))), papermills) => {
                assert!(
                    found.ends_with(&format!("Parameters\n{ours}\n"))
                        || found.ends_with(&format!("*)\n{ours}\n")),
                    "{language}, {label}: {found:?}"
                );
                assert_ne!(Some(found.as_str()), papermills, "{language}, {label} does not differ");
                differ += 1;
            }
            (Err(TranslateError::Value { source, .. }), Some((.., Err(what))), _) => {
                assert_eq!(source.what, *what, "{language}, {label}");
                differ += 1;
            }
            (found, None, papermills) => assert_eq!(found.as_deref().ok(), papermills, "{language}, {label}"),
            (found, ours, _) => panic!("{language}, {label}: {found:?} instead of {ours:?}"),
        }
    }
    assert_eq!(differ, differences::TABLE.len(), "every difference is of a value in papermill's table");
}

#[test]
fn javascript_is_written_as_its_grammar_has_it() {
    let row = |json: &str| code("javascript", json);
    assert_eq!(row("null"), "let x = null;");
    assert_eq!(row("[1, 2.5, true, \"a\"]"), "let x = [1, 2.5, true, \"a\"];");
    assert_eq!(row("{\"a b\": {}}"), "let x = {\"a b\": {}};");
    assert_eq!(row("9007199254740991"), "let x = 9007199254740991;");
    assert_eq!(row("-9007199254740993"), "let x = -9007199254740993n;");
    assert_eq!(row("[NaN, Infinity, -Infinity]"), "let x = [NaN, Infinity, -Infinity];");
    assert_eq!(row("\"\\u2028\\ud800\\u00e9\""), "let x = \"\\u2028\\ud800\\u00e9\";");
    assert_eq!(row("{\"__proto__\": 1}"), "let x = {[\"__proto__\"]: 1};");
}

#[test]
fn a_flat_mapping_is_an_associative_array_in_bash() {
    assert_eq!(
        code("bash", r#"{"a b": 1, "]": null, "$(id)": "`id`"}"#),
        "unset -v x; declare -A x=(['a b']=1 [']']='' ['$(id)']='`id`')"
    );
}

#[test]
fn a_key_with_a_lone_surrogate_is_written_like_a_string() {
    assert_eq!(code("python", r#"{"\ud800a": 1}"#), r#"x = {"\ud800a": 1}"#);
    assert_eq!(code("R", r#"{"\ud800a": 1}"#), "parameter \"x\" has no translation");
}

#[test]
fn a_number_is_spelled_as_python_spells_it() {
    assert_eq!(code("python", "[1.50, 1E3, -0, 1e400]"), "x = [1.5, 1000.0, 0, float('inf')]");
}

#[test]
fn a_comment_stays_a_comment() {
    for translator in all() {
        let comment = translator.comment("one\ntwo\u{2028}three *) (* \" four\0");
        for line in comment.lines() {
            let marks = ["# ", "// ", "% ", "(* "];
            assert!(
                marks.iter().any(|mark| line.starts_with(mark)),
                "{}: {comment:?}",
                translator.language()
            );
        }
        assert!(!comment.contains(['\u{2028}', '\0', '\r']), "{}", translator.language());
    }
    assert_eq!(translator(".net-fsharp").comment("a *) b (* c"), "(* a ∗) b (∗ c *)");
    assert_eq!(translator("python").comment(""), "#");
    assert_eq!(translator(".net-fsharp").comment(""), "(*  *)");
}

#[test]
fn a_name_that_is_no_identifier_is_refused() {
    let never = [
        "",
        " ",
        "a b",
        "1a",
        "a-b",
        "a;b",
        "a=b",
        "a\nb",
        "x = 1; y",
        "a[0]",
        "a(",
        "a#",
        "a\"",
        "a'",
        "a\\",
        "a`",
        "a/b",
        "{a}",
        "@a",
        "a\u{2028}b",
        "a\0",
        "é x",
        "\u{301}a",
        "$(id)",
        "a,b",
        "*",
        "if",
        "a:b",
        "a+",
    ];
    for translator in all() {
        for name in never {
            if (translator.language(), name) == ("PowerShell", "if")
                || (translator.language(), name) == ("Bash", "if")
            {
                // `$if = 1` and `if=1` are assignments.
                continue;
            }
            let result = translator.assign(name, &Json::Null);
            assert!(
                matches!(&result, Err(TranslateError::Name { name: named, .. }) if named == name),
                "{}: {name:?} gives {result:?}",
                translator.language()
            );
        }
        assert!(translator.assign("incident_id", &Json::from(1)).is_ok(), "{}", translator.language());
    }
}

#[test]
fn a_word_of_the_language_is_no_name() {
    let cases = [
        ("python", "lambda"),
        ("python", "None"),
        ("python", "__debug__"),
        ("R", "TRUE"),
        ("R", "..1"),
        ("R", ".2a"),
        ("R", "_"),
        ("scala", "val"),
        ("scala", "_"),
        ("julia", "end"),
        ("julia", "__"),
        ("matlab", "end"),
        ("matlab", "_a"),
        ("matlab", "endfunction"),
        (".net-csharp", "string"),
        (".net-fsharp", "let"),
        (".net-powershell", "PID"),
        (".net-powershell", "true"),
        ("bash", "UID"),
        ("bash", "PROMPT_COMMAND"),
        ("bash", "PS4"),
        ("bash", "é"),
        ("javascript", "let"),
        ("javascript", "undefined"),
    ];
    for (kernel, name) in cases {
        let result = translator(kernel).assign(name, &Json::Null);
        assert!(matches!(result, Err(TranslateError::Name { .. })), "{kernel}: {name} gives {result:?}");
    }
}

#[test]
fn names_that_a_language_allows_are_kept() {
    let cases = [
        ("python", "match", "match = 1"),
        ("python", "日本", "日本 = 1"),
        ("R", "__a.b", "a.b = 1"),
        ("R", ".a", ".a = 1"),
        ("julia", "x!", "x! = 1"),
        ("javascript", "$x", "let $x = 1;"),
        ("bash", "if", "if=1"),
        (".net-csharp", "été", "var été = 1;"),
    ];
    for (kernel, name, expected) in cases {
        assert_eq!(translator(kernel).assign(name, &Json::from(1)).as_deref(), Ok(expected), "{kernel}");
    }
}

#[test]
fn an_error_names_the_parameter_and_not_its_value() {
    let error =
        translator("bash").assign("token", &Json::from("hunter2\0")).expect_err("NUL has no place in Bash");
    assert_eq!(error.to_string(), "parameter \"token\" has no translation");
    let source = std::error::Error::source(&error).expect("the cause").to_string();
    assert_eq!(source, "Bash cannot express a string that holds the character NUL");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn secrets_become_code_that_shows_nowhere() {
    let mut secrets = SecretParameters::new();
    secrets.insert("token", Secret::new("hunter2"));
    secrets.insert("port", Secret::new(8080));
    let code = secret_assignments(translator("python"), &secrets).expect("good names");
    assert_eq!(code.expose(), "token = \"hunter2\"\nport = 8080\n");
    assert_eq!(format!("{code:?}"), "***");
}

#[test]
fn the_translator_is_found_by_kernel_then_by_language() {
    let language = |kernel: &str, language: &str| translator_for(kernel, language).map(Translator::language);
    assert_eq!(language("pysparkkernel", "scala"), Some("Python"));
    assert_eq!(language("sparkkernel", "python"), Some("Scala"));
    assert_eq!(language("sparkrkernel", ""), Some("R"));
    assert_eq!(language("my-env", "python"), Some("Python"));
    assert_eq!(language("ir", "R"), Some("R"));
    assert_eq!(language("julia-1.11", "julia"), Some("Julia"));
    assert_eq!(language("octave", "octave"), Some("MATLAB"));
    assert_eq!(language(".net-csharp", "C#"), Some("C#"));
    assert_eq!(language("x", "F#"), Some("F#"));
    assert_eq!(language("x", "pwsh"), Some("PowerShell"));
    assert_eq!(language("deno", "typescript"), Some("JavaScript"));
    assert_eq!(language("x", "Python"), Some("Python"));
    assert_eq!(language("x", "cobol"), None);
}

/// Strings in which the characters that mean something are frequent.
fn hostile() -> impl Strategy<Value = String> {
    let special: Vec<char> =
        "\\\"'`$%(){}[]#;!&|<>~*?@=+-_,.:/ \n\r\t\0\u{1}\u{3}\u{8}\u{b}\u{c}\u{1b}\u{7f}\u{80}\u{85}\u{a0}é\u{201c}\u{201d}\u{201e}\u{2028}\u{2029}\u{feff}\u{ffff}😀x0u1nab"
            .chars()
            .collect();
    prop::collection::vec(prop_oneof![4 => prop::sample::select(special), 1 => any::<char>()], 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_is_one_token_with_its_own_value(text in hostile()) {
        for translator in all() {
            let language = translator.language();
            match translator.literal(&Json::from(text.as_str())) {
                Ok(literal) => {
                    let expected: Vec<u16> = text.encode_utf16().collect();
                    prop_assert_eq!(lexer::string_value(language, &literal), Some(expected), "{} {}", language, literal);
                }
                Err(_) => prop_assert!(text.contains('\0') && matches!(language, "R" | "Bash"), "{} {:?}", language, text),
            }
        }
    }

    #[test]
    fn every_key_is_quoted_like_a_string(text in hostile()) {
        for kernel in ["python", "scala", "julia", ".net-csharp", ".net-fsharp", ".net-powershell", "javascript"] {
            let translator = translator(kernel);
            let literal = translator.literal(&Json::from(text.as_str())).expect("a string");
            let map = translator.literal(&Json::from_iter([(text.clone(), 1)])).expect("a map");
            prop_assert!(map.contains(&literal), "{} {}", kernel, map);
        }
    }

    #[test]
    fn a_name_with_any_foreign_character_is_refused(
        before in "[a-z]{0,3}", foreign in any::<char>().prop_filter("foreign", |c| !c.is_alphanumeric()), after in "[a-z]{0,3}",
    ) {
        let allowed = |language: &str| match foreign {
            '_' => true,
            '.' => language == "R",
            '!' => language == "Julia",
            '$' => language == "JavaScript",
            // Marks and connectors continue an identifier in languages with Unicode names.
            c => unicode_ident::is_xid_continue(c),
        };
        let name = format!("{before}{foreign}{after}");
        for translator in all().filter(|translator| !allowed(translator.language())) {
            prop_assert!(translator.assign(&name, &Json::Null).is_err(), "{} {:?}", translator.language(), name);
        }
    }
}

#[test]
fn a_value_nested_too_deep_is_refused_and_no_crash() {
    let nested = |depth: usize, open: &str, close: &str| {
        Json::parse(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes()).expect("JSON")
    };
    for translator in all().filter(|translator| translator.language() != "Bash") {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            assert!(translator.literal(&nested(MAX_DEPTH, open, close)).is_ok(), "{}", translator.language());
            let error = translator.assign("x", &nested(1000, open, close)).expect_err("too deep");
            assert!(matches!(error, TranslateError::Value { .. }), "{}", translator.language());
        }
    }
}

use super::*;

fn row_parameters(row: &Json) -> Vec<[String; 4]> {
    let fields = |parameter: &Json| {
        let fields: Vec<String> = parameter
            .as_array()
            .expect("a row")
            .iter()
            .map(|f| f.as_str().expect("text").to_owned())
            .collect();
        fields.try_into().expect("four fields")
    };
    row.get("parameters").and_then(Json::as_array).expect("a list").iter().map(fields).collect()
}

fn found(source: &str) -> Vec<[String; 4]> {
    let fields = |p: Parameter| [p.name, p.inferred_type_name, p.default, p.help];
    python_parameters(source).into_iter().map(fields).collect()
}

#[test]
fn what_papermill_finds_is_found_and_shown_alike() {
    let table = Json::parse(include_bytes!("../../tests/fixtures/parameters/inspect.json")).expect("JSON");
    for row in table.as_array().expect("a list") {
        let source = row.get("source").and_then(Json::as_str).expect("a text");
        assert_eq!(found(source), row_parameters(row), "{source}");
        let inspection = inspect(&notebook(source)).expect("a Python notebook");
        let usage = "Usage: papermill [OPTIONS] NOTEBOOK_PATH [OUTPUT_PATH]\n";
        let help = row.get("help").and_then(Json::as_str).expect("a text");
        assert_eq!(inspection.help_text(usage, "nb.ipynb"), help, "{source}");
    }
}

fn notebook(source: &str) -> Notebook {
    let mut cell = Cell::code("a", source);
    cell.metadata_mut().insert("tags".to_owned(), Json::from(vec![Json::from("parameters")]));
    let mut notebook = Notebook::new();
    let kernelspec = Json::from_iter([("name", "python3"), ("language", "python")]);
    notebook.metadata_mut().insert("kernelspec".to_owned(), kernelspec);
    notebook.cells_mut().push(cell);
    notebook
}

fn one(source: &str) -> [String; 4] {
    match <[_; 1]>::try_from(found(source)) {
        Ok([parameter]) => parameter,
        Err(all) => panic!("{source:?} gives {all:?}"),
    }
}

#[test]
fn what_papermill_misses_is_found_as_well() {
    let cases = [
        ("a: int | None = 3", ["a", "int | None", "3", ""]),
        ("a: Literal['x', 'y'] = 'x'  # one of two", ["a", "Literal['x', 'y']", "'x'", "one of two"]),
        ("a: typing.List[str] = []", ["a", "typing.List[str]", "[]", ""]),
        ("a: Literal['=', ':'] = '='", ["a", "Literal['=', ':']", "'='", ""]),
        ("a = x == 1", ["a", "None", "x == 1", ""]),
        ("a = 'k=v'", ["a", "None", "'k=v'", ""]),
        ("a = f(b=1)", ["a", "None", "f(b=1)", ""]),
        ("a = 1  # x = y", ["a", "None", "1", "x = y"]),
        ("a = '#notcomment'  # help", ["a", "None", "'#notcomment'", "help"]),
        ("a = dict(\n    x=1,  # not this\n    y='#',\n)  # this", ["a", "None", "dict(x=1,y='#',)", "this"]),
        ("a = 1 + \\\n    2", ["a", "None", "1 +2", ""]),
        ("a = \"\"\"one = # 1\n  two\"\"\"", ["a", "None", "\"\"\"one = # 1two\"\"\"", ""]),
        ("a = f'{x[\"k\"]}=1'  # f", ["a", "None", "f'{x[\"k\"]}=1'", "f"]),
        ("a = r'\\'' # '", ["a", "None", "r'\\''", "'"]),
        ("a = lambda x: x == 1", ["a", "None", "lambda x: x == 1", ""]),
        ("a = 1\nprint(a)", ["a", "None", "1", ""]),
        ("%env A=1\na = 1", ["a", "None", "1", ""]),
        ("files = !ls 'it  # list", ["files", "None", "!ls 'it ", "list"]),
        ("a = ''\n'b = 1'", ["a", "None", "''", ""]),
    ];
    for (source, expected) in cases {
        assert_eq!(one(source), expected.map(|text| text.trim_end().to_owned()), "{source}");
    }
}

#[test]
fn several_statements_may_stand_on_a_line() {
    let names =
        |source| found(source).into_iter().map(|[name, _, default, _]| (name, default)).collect::<Vec<_>>();
    let pair = |name: &str, default: &str| (name.to_owned(), default.to_owned());
    assert_eq!(names("a = 1; b = 'x;y'; c = 3"), [pair("a", "1"), pair("b", "'x;y'"), pair("c", "3")]);
    assert_eq!(names("a = b = 1"), [pair("a", "1"), pair("b", "1")]);
}

#[test]
fn what_defines_no_variable_is_no_parameter() {
    for source in [
        "a += 1",
        "a == 1",
        "a, b = 1, 2",
        "a.b = 1",
        "a[0] = 1",
        "f(a=1)",
        "def f(a=1):\n    pass",
        "if x == 1: pass",
        "while (n := 1): pass",
        "a: int",
        "else: a = 1",
        "# a = 1",
        "'a = 1'",
        "for i in x: pass",
        "import a",
        "!x=1",
        "a =",
        "=",
        ";;",
        "a != 1",
        "a <= 1",
        "x = = ",
        "\"\"\"\na = 1\n\"\"\"",
        "a := 1",
        "1a = 1",
        "if = 1",
        "(a) = 1",
    ] {
        assert_eq!(found(source), Vec::<[String; 4]>::new(), "{source}");
    }
}

#[test]
fn a_notebook_without_the_cell_says_so() {
    let inspection = inspect(&Notebook::new()).expect("nothing to translate");
    assert_eq!(
        inspection.help_text("usage\n", "n"),
        "usage\n\nParameters inferred for notebook 'n':\n\n  No cell tagged 'parameters'\n"
    );
}

#[test]
fn a_language_that_is_not_understood_is_named() {
    let inspection = inspect_for(&notebook("x <- 1"), Some("ir"), Some("R")).expect("R has a translator");
    assert_eq!(
        inspection.warnings,
        ["Translator for 'R' language does not support parameter introspection."]
    );
    assert!(inspection.has_parameters_cell && !inspection.understood);
    assert!(
        inspection.unknown(&Parameters::from_iter([("y", 1)])).is_empty(),
        "what is not understood is not judged"
    );
}

#[test]
fn a_notebook_has_to_name_a_language_with_a_translator() {
    let mut without = notebook("a = 1");
    without.metadata_mut().clear();
    assert_eq!(inspect(&without), Err(InspectError::NoKernelName));
    assert_eq!(inspect_for(&without, Some("x"), None), Err(InspectError::NoLanguage));
    let error = inspect_for(&without, Some("x"), Some("cobol")).expect_err("no translator");
    assert_eq!(error.to_string(), "no parameter translator for kernel 'x' or language 'cobol'");
}

#[test]
fn names_that_the_notebook_does_not_define_are_unknown() {
    let inspection = inspect(&notebook("a = 1\nb: int | None = None")).expect("Python");
    let given = Parameters::from_iter([("b", 1), ("c", 2), ("a", 3), ("d", 4)]);
    assert_eq!(inspection.unknown(&given), ["c", "d"]);
}

fn schema(source: &str) -> String {
    let schema = inspect(&notebook(source)).expect("Python").to_json_schema();
    schema.get("properties").and_then(|properties| properties.get("a")).expect("the parameter").to_compact()
}

#[test]
fn the_schema_takes_types_from_annotations() {
    let cases = [
        ("a: int = 1", r#"{"type":"integer","default":1}"#),
        ("a: float = 1  # metres", r#"{"type":"number","default":1,"description":"metres"}"#),
        ("a: bool = True", r#"{"type":"boolean","default":true}"#),
        ("a: 'str' = 'it\\'s'", r#"{"type":"string","default":"it's"}"#),
        ("a: int | None = None", r#"{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null}"#),
        ("a: Optional[str] = None", r#"{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}"#),
        ("a: typing.Union[int, str] = 1", r#"{"anyOf":[{"type":"integer"},{"type":"string"}],"default":1}"#),
        ("a: Literal['x', 2, None] = 'x'", r#"{"enum":["x",2,null],"default":"x"}"#),
        ("a: list[int] = [1, 2]", r#"{"type":"array","items":{"type":"integer"},"default":[1,2]}"#),
        (
            "a: Dict[str, List[float]] = {}",
            r#"{"type":"object","additionalProperties":{"type":"array","items":{"type":"number"}},"default":{}}"#,
        ),
        (
            "a: tuple[int, str] = (1, 'x')",
            r#"{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false,"minItems":2,"default":[1,"x"]}"#,
        ),
        ("a: tuple[int, ...] = ()", r#"{"type":"array","items":{"type":"integer"},"default":[]}"#),
        ("a: Path = Path('x')", r#"{"x-python-type":"Path"}"#),
        ("a: list[Path] = []", r#"{"type":"array","x-python-type":"list[Path]","default":[]}"#),
        ("a: int | Path = 1", r#"{"x-python-type":"int | Path","default":1}"#),
        ("a: Any = 1", r#"{"default":1}"#),
        ("a = 1  # type: float the length", r#"{"type":"number","default":1,"description":"the length"}"#),
    ];
    for (source, expected) in cases {
        assert_eq!(schema(source), expected, "{source}");
    }
}

#[test]
fn the_schema_takes_other_types_from_the_default() {
    let cases = [
        ("a = 1_000", r#"{"type":"integer","default":1000}"#),
        ("a = -1.5e3", r#"{"type":"number","default":-1500.0}"#),
        ("a = 0xff", r#"{"type":"integer","default":255}"#),
        ("a = 'x' \"y\"", r#"{"type":"string","default":"xy"}"#),
        ("a = r'\\n'", r#"{"type":"string","default":"\\n"}"#),
        ("a = '\\u65e5\\x41\\101\\t'", r#"{"type":"string","default":"日AA\t"}"#),
        ("a = {'k': [1, None, True],}", r#"{"type":"object","default":{"k":[1,null,true]}}"#),
        ("a = 1, 2", r#"{"type":"array","default":[1,2]}"#),
        ("a = (1)", r#"{"type":"integer","default":1}"#),
        ("a = None", r#"{"default":null}"#),
        ("a = [\n  1,  # one\n  2]", r#"{"type":"array","default":[1,2]}"#),
        ("a = f(1)", "{}"),
        ("a = b'x'", "{}"),
        ("a = f'{x}'", "{}"),
        ("a = 1 + 1", "{}"),
        ("a = nan", "{}"),
        ("a = 007", "{}"),
        ("a = {1: 2}", "{}"),
    ];
    for (source, expected) in cases {
        assert_eq!(schema(source), expected, "{source}");
    }
}

proptest::proptest! {
    #[test]
    fn no_source_makes_it_panic(source in "[ab=:;#'\"\\\\(){}\\[\\]\n\r%! ,.|0-9xuNé]{0,40}") {
        let inspection = inspect(&notebook(&source)).expect("Python");
        let _ = inspection.to_json_schema();
    }
}

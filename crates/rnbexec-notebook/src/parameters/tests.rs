use super::*;
use crate::translate::translator_for;

fn rows(table: &str) -> Vec<Json> {
    Json::parse(table.as_bytes()).expect("the table is JSON").as_array().expect("the table is a list").clone()
}

fn text<'a>(row: &'a Json, key: &str) -> &'a str {
    row.get(key).and_then(Json::as_str).expect("the row has that text")
}

#[test]
fn a_typed_value_is_what_python_makes_of_it() {
    let python = translator_for("python3", "python").expect("Python has a translator");
    for row in rows(include_str!("../../tests/fixtures/parameters/scalar.json")) {
        let given = text(&row, "text");
        assert_eq!(python.literal(&infer_scalar(given)).as_deref(), Ok(text(&row, "code")), "{given:?}");
    }
}

#[test]
fn base64_is_read_as_python_reads_it() {
    for row in rows(include_str!("../../tests/fixtures/parameters/base64.json")) {
        let given = text(&row, "base64");
        match (parse_base64(given), row.get("value").and_then(Json::as_object)) {
            (Ok(found), Some(expected)) => assert_eq!(found.as_object(), expected, "{given:?}"),
            (Err(_), None) => {}
            (found, expected) => panic!("{given:?}: {found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn the_kind_of_option_decides_which_value_wins() {
    let yaml = |text: &str| yaml::parse(text).expect("the test writes good YAML");
    let sources = ParameterSources {
        inject_input_path: Some("in.ipynb".to_owned()),
        inject_output_path: Some("out.ipynb".to_owned()),
        base64: vec![yaml("{a: b64, b: b64, c: b64, d: b64, e: b64, PAPERMILL_INPUT_PATH: mine}")],
        files: vec![yaml("{b: f1, c: f1, d: f1, e: f1}"), yaml("{b: f2}")],
        yaml: vec![yaml("{c: y, d: y, e: y}")],
        inferred: vec![("d".to_owned(), "1".to_owned()), ("e".to_owned(), "1".to_owned())],
        raw: vec![("e".to_owned(), "1".to_owned())],
    };
    assert_eq!(
        Json::from(sources.merge().into_object()).to_compact(),
        r#"{"PAPERMILL_INPUT_PATH":"mine","PAPERMILL_OUTPUT_PATH":"out.ipynb","a":"b64","b":"f2","c":"y","d":1,"e":"1"}"#
    );
}

#[test]
fn a_name_keeps_the_place_of_its_first_appearance() {
    let mut parameters = Parameters::from_iter([("b", 1), ("a", 2)]);
    parameters.update(&Parameters::from_iter([("c", 3), ("b", 4)]));
    assert_eq!(parameters.names().collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(parameters.get("b"), Some(&Json::from(4)));
}

#[test]
fn a_secret_shows_nowhere() {
    let mut secrets = SecretParameters::new();
    secrets.insert("token", Secret::new("hunter2"));
    assert_eq!(format!("{secrets:?}"), r#"SecretParameters({"token": ***})"#);
    assert_eq!(Secret::new("hunter2").to_string(), "***");
}

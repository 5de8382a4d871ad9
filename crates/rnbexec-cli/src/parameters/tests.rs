use rnbexec::store::Environment;
use rnbexec_notebook::Json;

use super::*;

fn stores() -> Stores {
    Stores::new(&Environment::default())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

async fn gathered(args: ParameterArgs, inject: InjectedPaths) -> Vec<(String, String)> {
    let parameters = gather(&args, &inject, &stores()).await.unwrap();
    parameters.iter().map(|(name, value)| (name.clone(), Json::to_compact(value))).collect()
}

#[tokio::test]
async fn later_kinds_of_options_override_earlier_ones_and_names_keep_their_first_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    std::fs::write(&file, "f: file\ny: file\np: file\nr: file\n").unwrap();
    let args = ParameterArgs {
        parameters: texts(&["p", "1", "r", "1"]),
        parameters_raw: texts(&["r", "1"]),
        parameters_file: vec![file.to_str().unwrap().to_owned()],
        parameters_yaml: texts(&["{y: yaml, p: yaml, r: yaml}"]),
        // {b: base64, f: base64, y: base64, p: base64, r: base64}
        parameters_base64: texts(&[
            "e2I6IGJhc2U2NCwgZjogYmFzZTY0LCB5OiBiYXNlNjQsIHA6IGJhc2U2NCwgcjogYmFzZTY0fQ==",
        ]),
    };
    let inject = InjectedPaths { input: Some("in.ipynb".to_owned()), output: Some("out.ipynb".to_owned()) };
    let expected = [
        ("PAPERMILL_INPUT_PATH", "\"in.ipynb\""),
        ("PAPERMILL_OUTPUT_PATH", "\"out.ipynb\""),
        ("b", "\"base64\""),
        ("f", "\"file\""),
        ("y", "\"yaml\""),
        ("p", "1"),
        ("r", "\"1\""),
    ];
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(gathered(args, inject).await, expected);
}

#[tokio::test]
async fn an_injected_url_loses_its_secrets() {
    let inject = InjectedPaths { input: Some("https://h/n.ipynb?token=hunter22".to_owned()), output: None };
    let all = gathered(ParameterArgs::default(), inject).await;
    assert!(all[0].1.contains("h/n.ipynb") && !all[0].1.contains("hunter22"), "{all:?}");
}

#[tokio::test]
async fn a_missing_parameters_file_and_bad_yaml_are_failures_that_name_the_place() {
    let missing = ParameterArgs { parameters_file: texts(&["/nowhere/p.yaml"]), ..ParameterArgs::default() };
    let failure = gather(&missing, &InjectedPaths::default(), &stores()).await.unwrap_err();
    assert_eq!(failure.code, exit::FAILURE);
    assert!(failure.causes[0].contains("/nowhere/p.yaml"), "{failure:?}");
    let bad = ParameterArgs { parameters_yaml: texts(&["- a"]), ..ParameterArgs::default() };
    let failure = gather(&bad, &InjectedPaths::default(), &stores()).await.unwrap_err();
    assert!(failure.what.contains("-y") && failure.help.is_some(), "{failure:?}");
}

#[test]
fn secrets_come_from_variables_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "from file\r\n").unwrap();
    let given = [format!("a=file:{}", file.display()), "b=env:B".to_owned()];
    let read = secrets(&given, |name| (name == "B").then(|| "from env\n".into())).unwrap();
    let values: Vec<(&str, String)> =
        read.iter().map(|(name, secret)| (name, secret.expose().to_compact())).collect();
    assert_eq!(values, [("a", "\"from file\"".to_owned()), ("b", "\"from env\\n\"".to_owned())]);
}

#[test]
fn a_secret_without_a_source_is_a_usage_error_that_does_not_repeat_it() {
    for text in ["hunter22", "name=hunter22", "=env:X", "name=http:hunter22", "name=env:", "name=file:"] {
        let failure = secrets(&texts(&[text]), |_| None).unwrap_err();
        assert_eq!(failure.code, exit::USAGE, "{text}");
        assert!(!format!("{failure:?}").contains("hunter22"), "{failure:?}");
    }
}

#[test]
fn a_secret_variable_that_is_not_set_is_named() {
    let failure = secrets(&texts(&["token=env:TOKEN"]), |_| None).unwrap_err();
    assert_eq!(failure.code, exit::FAILURE);
    assert!(failure.causes[0].contains("TOKEN"), "{failure:?}");
}

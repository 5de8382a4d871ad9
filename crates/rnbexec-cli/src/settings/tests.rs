use std::ffi::OsString;

use super::*;
use crate::args::{self, Invocation};

const TERMINAL: Streams = Streams { stdin_is_pipe: false, stdout_is_terminal: true };
const PIPED: Streams = Streams { stdin_is_pipe: true, stdout_is_terminal: true };
const CRON: Streams = Streams { stdin_is_pipe: false, stdout_is_terminal: false };

fn places(
    notebook: Option<&str>,
    output: Option<&str>,
    streams: Streams,
) -> Result<(String, String), &'static str> {
    Places::decide(notebook.map(str::to_owned), output.map(str::to_owned), streams)
        .map(|places| (places.input, places.output))
}

fn pair(input: &str, output: &str) -> (String, String) {
    (input.to_owned(), output.to_owned())
}

fn check(arguments: &[&str]) -> Result<Settings, Refused> {
    let line = ["rnbexec", "run"].iter().chain(arguments).map(OsString::from);
    let Ok(Invocation::Run(_, args)) = args::parse(line) else { panic!("{arguments:?}") };
    let PapermillArgs { notebook, output, .. } = &args.papermill;
    let places = Places::decide(notebook.clone(), output.clone(), CRON).unwrap();
    Settings::check(places, args.papermill, args.more, |_| None)
}

fn request(arguments: &[&str]) -> RunRequest {
    let arguments = [&["in.ipynb", "out.ipynb"], arguments].concat();
    let location = Location::parse("x.ipynb").unwrap();
    check(&arguments).unwrap().request(Input::At(location.clone()), location, Parameters::default())
}

#[test]
fn two_paths_are_input_and_output_whatever_the_streams_are() {
    for streams in [TERMINAL, PIPED, CRON] {
        assert_eq!(places(Some("in"), Some("out"), streams), Ok(pair("in", "out")));
    }
}

#[test]
fn with_a_pipe_on_standard_input_a_lone_path_is_the_output() {
    assert_eq!(places(Some("out"), None, PIPED), Ok(pair("-", "out")));
    assert_eq!(places(None, None, PIPED), Ok(pair("-", "-")));
}

#[test]
fn without_an_output_the_notebook_goes_to_standard_output_unless_that_is_a_terminal() {
    assert_eq!(places(Some("in"), None, CRON), Ok(pair("in", "-")));
    assert!(places(Some("in"), None, TERMINAL).unwrap_err().contains("OUTPUT_PATH"));
}

#[test]
fn without_a_pipe_the_notebook_must_be_given() {
    assert!(places(None, None, TERMINAL).unwrap_err().contains("NOTEBOOK_PATH"));
    assert!(places(None, None, CRON).unwrap_err().contains("NOTEBOOK_PATH"));
}

#[test]
fn empty_paths_count_as_not_given() {
    assert_eq!(places(Some(""), Some(""), CRON), Ok(pair("-", "-")));
    assert_eq!(places(Some("out"), Some(""), PIPED), Ok(pair("-", "out")));
}

#[test]
fn defaults_are_papermills() {
    let request = request(&[]);
    assert_eq!(request.limits, Limits::default());
    assert_eq!(request.saves, SavePolicy::default());
    assert_eq!(request.mode, Mode::Execute);
    assert_eq!(request.on_error, OnError::Stop);
    assert_eq!(request.unknown_parameters, UnknownParameters::Warn);
    assert_eq!(request.kernel.environment, EnvironmentRequest::AsFound);
    assert_eq!(request.retries, 0);
    assert!(!request.hide_source);
}

#[test]
fn every_flag_reaches_the_request() {
    let request = request(&[
        "-k",
        "ir",
        "-l",
        "R",
        "--cwd",
        "/",
        "--start-timeout",
        "5",
        "--execution-timeout",
        "7",
        "--prepare-only",
        "--no-request-save-on-cell-execute",
        "--autosave-cell-every",
        "0",
        "--report-mode",
        "--timeout",
        "2m",
        "--retries",
        "3",
        "--allow-errors",
        "--skip-tag",
        "s",
        "--only-tag",
        "o",
        "--set-env",
        "A=b=c",
        "--strict-parameters",
        "--env",
        "auto",
    ]);
    assert_eq!(request.kernel.name.as_deref(), Some("ir"));
    assert_eq!(request.kernel.language.as_deref(), Some("R"));
    assert_eq!(request.kernel.cwd.as_deref(), Some(std::path::Path::new("/")));
    assert_eq!(request.kernel.variables, [("A".to_owned(), "b=c".to_owned())]);
    assert_eq!(request.kernel.environment, EnvironmentRequest::Auto);
    assert_eq!(request.limits.start, Duration::from_secs(5));
    assert_eq!(request.limits.cell, Some(Duration::from_secs(7)));
    assert_eq!(request.limits.run, Some(Duration::from_mins(2)));
    assert_eq!(request.mode, Mode::PrepareOnly);
    assert_eq!(request.saves, SavePolicy { at_cells: false, autosave: None });
    assert!(request.hide_source);
    assert_eq!(request.retries, 3);
    assert_eq!(request.on_error, OnError::Continue);
    assert_eq!(request.selection.skip_tags, ["s"]);
    assert_eq!(request.selection.only_tags, ["o"]);
    assert_eq!(request.unknown_parameters, UnknownParameters::Refuse);
}

#[test]
fn no_time_is_no_limit() {
    for none in ["0", "-1"] {
        let limits = request(&["--execution-timeout", none, "--timeout", none]).limits;
        assert_eq!((limits.cell, limits.run), (None, None));
    }
}

#[test]
fn a_path_and_a_name_are_told_apart_in_env() {
    let env = |text: &str| request(&["--env", text]).kernel.environment;
    assert_eq!(env("./venv"), EnvironmentRequest::Path("./venv".into()));
    assert_eq!(env("/opt/conda"), EnvironmentRequest::Path("/opt/conda".into()));
    assert_eq!(env("triage"), EnvironmentRequest::Named("triage".to_owned()));
}

#[test]
fn a_notebook_on_standard_output_is_written_once_and_quietly() {
    let settings = check(&["in.ipynb", "-"]).unwrap();
    assert_eq!(settings.show.level, Level::Error);
    assert_eq!(settings.request.saves, SavePolicy { at_cells: false, autosave: None });
    let chosen = check(&["in.ipynb", "-", "--log-level", "DEBUG"]).unwrap();
    assert_eq!(chosen.show.level, Level::Debug);
    assert_eq!(check(&["in.ipynb", "out.ipynb"]).unwrap().show.level, Level::Info);
}

#[test]
fn two_things_cannot_go_to_standard_output() {
    assert!(matches!(check(&["in.ipynb", "-", "--stdout-file", "-"]), Err(Refused::Usage(_))));
    assert!(matches!(check(&["in.ipynb", "-", "--stderr-file", "-"]), Err(Refused::Usage(_))));
    assert!(check(&["in.ipynb", "out.ipynb", "--stdout-file", "-"]).is_ok());
}

#[test]
fn one_engine_goes_by_two_names() {
    for name in ["nbclient", "rnbexec"] {
        assert!(check(&["in.ipynb", "o.ipynb", "--engine", name]).is_ok());
    }
    let Err(Refused::Failure(failure)) = check(&["in.ipynb", "o.ipynb", "--engine", "foo"]) else { panic!() };
    assert_eq!(failure.code, exit::FAILURE);
    assert_eq!(failure.what, "no engine named 'foo' found");
}

#[test]
fn a_missing_working_directory_is_refused_unless_nothing_runs() {
    assert!(matches!(check(&["i.ipynb", "o.ipynb", "--cwd", "/nowhere"]), Err(Refused::Failure(_))));
    assert!(check(&["i.ipynb", "o.ipynb", "--cwd", "/nowhere", "--prepare-only"]).is_ok());
}

#[test]
fn paths_are_injected_as_typed() {
    let both = check(&["i{x}.ipynb", "o{x}.ipynb", "--inject-paths"]).unwrap().inject;
    let expected =
        InjectedPaths { input: Some("i{x}.ipynb".to_owned()), output: Some("o{x}.ipynb".to_owned()) };
    assert_eq!(both, expected);
    assert_eq!(check(&["i", "o", "--inject-input-path"]).unwrap().inject.output, None);
    assert_eq!(check(&["i", "o", "--inject-output-path"]).unwrap().inject.input, None);
}

#[test]
fn variables_and_times_must_be_well_formed() {
    for wrong in [["--set-env", "A"], ["--set-env", "=1"], ["--start-timeout", "0"]] {
        let arguments = [&["i", "o"][..], &wrong].concat();
        assert!(matches!(check(&arguments), Err(Refused::Usage(_))), "{wrong:?}");
    }
}

#[test]
fn one_name_is_not_a_parameter_and_a_secret() {
    let line = ["rnbexec", "run", "i", "o", "--secret", "x=env:X"].map(OsString::from);
    let Ok(Invocation::Run(_, args)) = args::parse(line) else { panic!() };
    let places = Places { input: "i".to_owned(), output: "o".to_owned() };
    let settings = Settings::check(places, args.papermill, args.more, |_| Some("hunter22".into())).unwrap();
    let mut parameters = Parameters::default();
    assert!(settings.refuse_clash(&parameters).is_ok());
    parameters.insert("x", "1");
    assert_eq!(settings.refuse_clash(&parameters).unwrap_err().code, exit::USAGE);
    assert!(!format!("{settings:?}").contains("hunter22"));
}

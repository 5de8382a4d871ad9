use super::*;

fn run(arguments: &[&str]) -> RunArgs {
    let line = ["rnbexec", "run"].iter().chain(arguments).map(OsString::from);
    match parse(line) {
        Ok(Invocation::Run(Front::Run, args)) => *args,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn papermill(arguments: &[&str]) -> PapermillArgs {
    let line = std::iter::once(&"papermill").chain(arguments).map(OsString::from);
    match parse(line) {
        Ok(Invocation::Run(Front::Papermill, args)) => args.papermill,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn error(arguments: &[&str]) -> clap::Error {
    match parse(arguments.iter().map(OsString::from)) {
        Err(error) => error,
        Ok(invocation) => panic!("{arguments:?}: {invocation:?}"),
    }
}

#[test]
fn clap_finds_the_definitions_sound() {
    Rnbexec::command().debug_assert();
    PapermillCommand::command().debug_assert();
}

#[test]
fn options_and_positionals_may_be_mixed() {
    let args = run(&["-p", "x", "1", "in.ipynb", "--cwd", "d", "out.ipynb", "-k", "k"]).papermill;
    assert_eq!(args.notebook.as_deref(), Some("in.ipynb"));
    assert_eq!(args.output.as_deref(), Some("out.ipynb"));
    assert_eq!(args.parameters.parameters, ["x", "1"]);
    assert_eq!(args.kernel.kernel.as_deref(), Some("k"));
}

#[test]
fn a_double_hyphen_ends_the_options() {
    let args = run(&["-k", "k", "--", "-p", "--out"]).papermill;
    assert_eq!(args.notebook.as_deref(), Some("-p"));
    assert_eq!(args.output.as_deref(), Some("--out"));
}

#[test]
fn a_hyphen_is_a_path() {
    let args = run(&["-", "-"]).papermill;
    assert_eq!((args.notebook.as_deref(), args.output.as_deref()), (Some("-"), Some("-")));
}

#[test]
fn parameter_values_may_begin_with_hyphens() {
    let args = run(&["-p", "x", "-5", "-p", "y", "-k", "-r", "--z", "--", "a", "b"]).papermill;
    assert_eq!(args.parameters.parameters, ["x", "-5", "y", "-k"]);
    assert_eq!(args.parameters.parameters_raw, ["--z", "--"]);
    assert_eq!(args.notebook.as_deref(), Some("a"));
}

#[test]
fn every_value_may_begin_with_a_hyphen() {
    let args =
        run(&["n", "-y", "-x: 1", "-f", "-", "-b", "-a", "-k", "-K", "-l", "-L", "--cwd", "-d"]).papermill;
    assert_eq!(args.parameters.parameters_yaml, ["-x: 1"]);
    assert_eq!(args.parameters.parameters_file, ["-"]);
    assert_eq!(args.parameters.parameters_base64, ["-a"]);
    assert_eq!(args.kernel.kernel.as_deref(), Some("-K"));
    assert_eq!(args.kernel.language.as_deref(), Some("-L"));
    assert_eq!(args.kernel.cwd.as_deref(), Some(Path::new("-d")));
}

#[test]
fn an_attached_name_is_split_from_its_value_as_click_does() {
    let args = papermill(&["-px", "1", "--parameters=y", "-2", "-rz", "3", "in", "out"]);
    assert_eq!(args.parameters.parameters, ["x", "1", "y", "-2"]);
    assert_eq!(args.parameters.parameters_raw, ["z", "3"]);
    assert_eq!(args.output.as_deref(), Some("out"));
}

#[test]
fn values_that_look_like_attached_options_stay_whole() {
    let args = run(&["-y", "-px", "--cwd=-px", "-p", "-rq", "-px", "--", "-px"]).papermill;
    assert_eq!(args.parameters.parameters_yaml, ["-px"]);
    assert_eq!(args.parameters.parameters, ["-rq", "-px"]);
    assert_eq!(args.kernel.cwd.as_deref(), Some(Path::new("-px")));
    assert_eq!(args.notebook.as_deref(), Some("-px"));
}

#[test]
fn a_parameter_without_its_value_is_a_usage_error() {
    assert_eq!(error(&["rnbexec", "run", "-p", "x"]).exit_code(), 2);
}

#[test]
fn both_spellings_of_long_parameter_options_work() {
    let args = run(&["--parameters_raw", "a", "1", "--parameters-raw", "b", "2", "--parameters-yaml", "{}"])
        .papermill;
    assert_eq!(args.parameters.parameters_raw, ["a", "1", "b", "2"]);
    assert_eq!(args.parameters.parameters_yaml, ["{}"]);
}

#[test]
fn of_a_flag_pair_the_last_one_wins() {
    let both = |first: &str, second: &str| run(&[first, second, "--cwd", "x"]).papermill;
    assert!(!both("--prepare-only", "--prepare-execute").run.prepare_only());
    assert!(both("--prepare-execute", "--prepare-only").run.prepare_only());
    assert_eq!(both("--progress-bar", "--no-progress-bar").output_options.progress_bar(), Some(false));
    assert_eq!(both("--no-progress-bar", "--progress-bar").output_options.progress_bar(), Some(true));
    assert!(!both("--log-output", "--no-log-output").output_options.log_output());
    assert!(both("--no-log-output", "--log-output").output_options.log_output());
    assert!(!both("--report-mode", "--no-report-mode").output_options.report_mode());
    assert!(both("--no-report-mode", "--report-mode").output_options.report_mode());
    let (yes, no) = ("--request-save-on-cell-execute", "--no-request-save-on-cell-execute");
    assert!(!both(yes, no).output_options.save_at_cells());
    assert!(both(no, yes).output_options.save_at_cells());
}

#[test]
fn flags_and_single_values_may_be_repeated_and_the_last_wins() {
    let args =
        run(&["--log-output", "--log-output", "-k", "a", "-k", "b", "--timeout", "1", "--timeout", "2m"]);
    assert!(args.papermill.output_options.log_output());
    assert_eq!(args.papermill.kernel.kernel.as_deref(), Some("b"));
    assert_eq!(args.more.timeout, Some(Limit::of_seconds(120)));
}

#[test]
fn defaults_are_papermills() {
    let args = run(&["n"]).papermill;
    assert!(args.output_options.save_at_cells());
    assert!(
        !args.run.prepare_only() && !args.output_options.log_output() && !args.output_options.report_mode()
    );
    assert_eq!(args.output_options.progress_bar(), None);
    assert_eq!(args.output_options.log_level, Level::Info);
}

#[test]
fn numbers_are_read_as_python_reads_them() {
    let args = run(&["--start_timeout", " 1_0 ", "--execution-timeout", "-5", "--autosave-cell-every", "+3"])
        .papermill;
    assert_eq!(args.kernel.start_timeout, Some(10));
    assert_eq!(args.run.execution_timeout, Some(-5));
    assert_eq!(args.output_options.autosave_cell_every, Some(3));
    for wrong in ["1.5", "x", "True"] {
        assert_eq!(error(&["rnbexec", "run", "--start-timeout", wrong]).exit_code(), 2);
    }
}

#[test]
fn log_levels_are_pythons_and_case_counts() {
    assert_eq!(run(&["--log-level", "CRITICAL"]).papermill.output_options.log_level, Level::Critical);
    assert_eq!(error(&["rnbexec", "run", "--log-level", "info"]).exit_code(), 2);
}

#[test]
fn the_programs_name_selects_papermills_command_line() {
    for name in ["papermill", "/usr/local/bin/papermill", "papermill.exe", "Papermill.EXE"] {
        let parsed = parse([name, "in", "out"].map(OsString::from));
        assert!(matches!(parsed, Ok(Invocation::Run(Front::Papermill, _))), "{name}");
    }
    for name in ["rnbexec", "/opt/papermill/rnbexec", "papermill-old"] {
        assert!(parse([name, "in", "out"].map(OsString::from)).is_err(), "{name}");
    }
}

#[test]
fn the_papermill_subcommand_is_papermills_command_line() {
    let Ok(Invocation::Run(Front::Papermill, args)) =
        parse(["rnbexec", "papermill", "-p", "x", "-1", "-ry", "2", "in"].map(OsString::from))
    else {
        panic!()
    };
    assert_eq!(args.papermill.parameters.parameters, ["x", "-1"]);
    assert_eq!(args.papermill.parameters.parameters_raw, ["y", "2"]);
    let version = parse(["rnbexec", "papermill", "--version"].map(OsString::from));
    assert!(matches!(version, Ok(Invocation::PapermillVersion)));
}

#[test]
fn papermills_command_line_knows_no_other_options() {
    assert_eq!(error(&["papermill", "in", "out", "--timeout", "5"]).exit_code(), 2);
    assert_eq!(error(&["papermill", "in", "out", "more"]).exit_code(), 2);
}

#[test]
fn strictness_about_parameters_has_two_spellings_and_the_last_wins() {
    assert_eq!(run(&["--unknown-parameters", "error"]).more.unknown_parameters, Some(Unknown::Error));
    assert!(run(&["--strict-parameters"]).more.strict_parameters);
    let args = run(&["--strict-parameters", "--unknown-parameters", "warn"]).more;
    assert!(!args.strict_parameters && args.unknown_parameters == Some(Unknown::Warn));
    let args = run(&["--unknown-parameters", "warn", "--strict-parameters"]).more;
    assert!(args.strict_parameters && args.unknown_parameters.is_none());
}

#[test]
fn tags_variables_and_secrets_add_up() {
    let args = run(&[
        "--skip-tag",
        "a",
        "--skip-tag",
        "b",
        "--only-tag",
        "c",
        "--set-env",
        "A=1",
        "--set-env",
        "B=",
    ])
    .more;
    assert_eq!(args.skip_tag, ["a", "b"]);
    assert_eq!(args.only_tag, ["c"]);
    assert_eq!(args.set_env, ["A=1", "B="]);
}

#[test]
fn help_and_version_succeed_and_nothing_at_all_is_a_usage_error() {
    assert_eq!(error(&["rnbexec", "--version"]).exit_code(), 0);
    assert_eq!(error(&["rnbexec", "run", "--help"]).exit_code(), 0);
    assert_eq!(error(&["papermill", "-h"]).exit_code(), 0);
    assert_eq!(error(&["rnbexec"]).exit_code(), 2);
}

#[test]
fn the_help_of_run_lists_the_exit_codes() {
    let help = error(&["rnbexec", "run", "--help"]).to_string();
    assert!(help.contains("Exit codes:") && help.contains("138"), "{help}");
}

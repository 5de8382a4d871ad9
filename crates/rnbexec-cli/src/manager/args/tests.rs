use std::path::Path;
use std::time::Duration;

use clap::Parser;
use rnbexec::EnvironmentRequest;
use rnbexec_manager::config::{Config, ConfigSources, Destination, LogFormat, SourceKind};

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: ManagerCommand,
}

fn once(args: &[&str]) -> OnceArgs {
    let args = ["manager", "once"].into_iter().chain(args.iter().copied());
    match Program::try_parse_from(args).unwrap().command {
        ManagerCommand::Once(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn config(args: &[&str]) -> Config {
    let args = once(args);
    let overrides = overrides(&[&args.source, &args.work, &args.config]);
    Config::load(ConfigSources { overrides, working_folder: "/here".into(), ..ConfigSources::default() })
        .unwrap()
}

#[test]
fn a_kind_of_source_is_a_word_and_all_else_the_path_of_a_folder() {
    for (word, kind) in
        [("sentinel", SourceKind::Sentinel), ("queue", SourceKind::Queue), ("folder", SourceKind::Folder)]
    {
        assert_eq!(config(&["--source", word]).source.kind, kind);
    }
    let config = config(&["--source", "some/incidents", "--written", "out"]);
    assert_eq!(config.source.kind, SourceKind::Folder);
    let folder = config.folder().unwrap();
    assert_eq!(folder.path, Path::new("/here/some/incidents"));
    assert_eq!(folder.output, Path::new("/here/out"));
}

#[test]
fn what_is_run_is_set() {
    let run =
        config(&["--notebook", "a.ipynb", "-k", "python3", "--env", "auto", "-j", "3", "--timeout", "90s"])
            .run;
    assert_eq!(run.notebook.to_string(), "/here/a.ipynb");
    assert_eq!(run.kernel.as_deref(), Some("python3"));
    assert_eq!(run.environment, EnvironmentRequest::Auto);
    assert_eq!(run.jobs, 3);
    assert_eq!(run.timeout, Some(Duration::from_secs(90)));
}

#[test]
fn a_place_to_publish_to_is_a_word_a_url_or_the_path_of_a_folder() {
    assert_eq!(config(&["--publish", "none"]).destination().unwrap(), Destination::Nowhere);
    assert_eq!(config(&["--publish", "nb"]).destination().unwrap(), Destination::Folder("/here/nb".into()));
    let blob = config(&["--publish", "https://contoso.blob.core.windows.net/triage"]).destination().unwrap();
    assert!(matches!(blob, Destination::Blob(_)), "{blob:?}");
    assert!(config(&["--publish", "workspace"]).destination().is_err(), "no workspace is named");
}

#[test]
fn the_state_and_the_log_are_set() {
    let config = config(&["--state", "st", "--log", "l.log", "--log-format", "json"]);
    assert_eq!(config.state.folder, Path::new("/here/st"));
    assert_eq!(config.log.file, Path::new("/here/l.log"));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn any_setting_can_be_set_and_wins_over_its_flag() {
    let config = config(&["--jobs", "2", "--set", "run.jobs=7", "--set", "policy.minimum_severity=Medium"]);
    assert_eq!(config.run.jobs, 7);
    assert_eq!(config.judge.minimum_severity.to_string(), "Medium");
    for wrong in ["run.jobs", "=3"] {
        let parsed = Program::try_parse_from(["manager", "once", "--set", wrong]);
        assert!(parsed.is_err(), "{wrong}");
    }
}

#[test]
fn a_watch_has_an_interval() {
    let args = match Program::try_parse_from(["manager", "watch", "--interval", "5s"]).unwrap().command {
        ManagerCommand::Watch(args) => args,
        other => panic!("{other:?}"),
    };
    let overrides = overrides(&[&*args]);
    let config = Config::load(ConfigSources { overrides, ..ConfigSources::default() }).unwrap();
    assert_eq!(config.source.interval, Duration::from_secs(5));
}

#[test]
fn again_means_incidents_that_are_named() {
    let args = once(&["--incident", "7", "--incident", "#8", "--again"]);
    assert_eq!(args.named.incident, ["7", "#8"]);
    assert!(args.named.again);
    assert!(Program::try_parse_from(["manager", "once", "--again"]).is_err());
}

#[test]
fn the_demos_incidents_are_a_count_or_numbers() {
    assert_eq!(chosen("5"), Ok(Chosen::First(5)));
    assert_eq!(chosen("1022, #1024"), Ok(Chosen::Numbers(vec![1022, 1024])));
    assert_eq!(chosen("116294"), Ok(Chosen::Numbers(vec![116_294])));
    for wrong in ["", "0", "x", "1,,2", "-3"] {
        assert!(chosen(wrong).is_err(), "{wrong}");
    }
}

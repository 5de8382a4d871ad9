mod refusals;
mod template;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rnbexec::EnvironmentRequest;
use rnbexec::store::Location;
use rnbexec_azure::credential::Source as CredentialSource;

use super::*;
use crate::error::Class;
use crate::policy::{SeverityPolicy, StatusPolicy};
use crate::severity::Severity;

/// A configuration in `/etc/triage`, read in `/home/soc`.
fn sources(file: &str) -> ConfigSources {
    ConfigSources {
        working_folder: "/home/soc".into(),
        file: Some(("/etc/triage/manager.toml".into(), file.to_owned())),
        ..ConfigSources::default()
    }
}

fn load(file: &str) -> Config {
    Config::load(sources(file)).unwrap_or_else(|error| panic!("{error}"))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with_variables(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(ConfigSources { variables: pairs(variables), ..sources(file) })
}

fn with_flags(file: &str, flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(ConfigSources { overrides: pairs(flags), ..sources(file) })
}

#[test]
fn without_a_word_incidents_are_polled_and_everything_has_a_default() {
    let config = Config::load(ConfigSources::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.source.kind, SourceKind::Sentinel);
    assert_eq!(config.run.notebook.to_string(), "shipped:incident-triage");
    assert_eq!(config.policy.severity, SeverityPolicy::Raise);
    assert_eq!(config.judge.minimum_severity, Severity::Low);
    assert_eq!(config.log.file, Path::new("notebook_execution.log"));
    assert_eq!(config.azure.cloud.name, "public");
}

#[test]
fn flags_win_over_variables_over_the_file_over_the_defaults() {
    let file = "[run]\njobs = 2\nkernel = 'of-file'\ntimeout = '1m'";
    let config = Config::load(ConfigSources {
        variables: pairs(&[
            ("RNBEXEC_MANAGER_RUN__JOBS", "3"),
            ("RNBEXEC_MANAGER_RUN__KERNEL", "of-variable"),
        ]),
        overrides: pairs(&[("run.jobs", "5")]),
        ..sources(file)
    })
    .unwrap();
    assert_eq!(config.run.jobs, 5);
    assert_eq!(config.run.kernel.as_deref(), Some("of-variable"));
    assert_eq!(config.run.timeout, Some(Duration::from_mins(1)));
    assert_eq!(config.run.bundle, Bundle::Auto);
}

#[test]
fn what_is_closed_is_said_in_the_words_of_the_command_line() {
    use rnbexec::contain::{Containment, Files, Level, Limits, Part, Variables};

    assert!(load("").run.containment.is_open());
    for level in Level::ALL {
        let config = load(&format!("[run]\nisolate = '{}'", level.name()));
        assert_eq!(config.run.containment, Containment::from(level));
    }
    let both = load("[run]\nno_network = true\nread_only = true").run.containment;
    assert_eq!(both, Containment { network: Part::Closed, ..Containment::from(Level::Files) });
    let all = load(
        "[run]\nisolate = 'strict'\nread_only = true\nwork_folder = ['out', '/srv/out']\nallow_env = 'TOKEN'\n\
         memory_limit = '2GiB'\ncpu_limit = 60\nprocess_limit = 50",
    );
    let Containment { files, work_folders, variables, limits, .. } = all.run.containment;
    assert_eq!(files, Files::HomeHidden, "a switch opens nothing");
    assert_eq!(work_folders, [PathBuf::from("/etc/triage/out"), PathBuf::from("/srv/out")]);
    assert_eq!(variables, Variables::Only(vec!["TOKEN".to_owned()]));
    let expected = Limits {
        memory: "2GiB".parse().ok(),
        cpu: Some(Duration::from_mins(1)),
        processes: std::num::NonZeroU32::new(50),
    };
    assert_eq!(limits, expected);
    let flags = [("run.isolate", "files"), ("run.work_folder", "out"), ("run.memory_limit", "1048576")];
    let flags = with_flags("", &flags).unwrap().run.containment;
    assert_eq!(flags.work_folders, [PathBuf::from("/home/soc/out")]);
    assert_eq!(flags.limits.memory, "1MiB".parse().ok());
}

#[test]
fn a_variable_holds_bare_texts_lists_tables_and_numbers() {
    let config = with_variables(
        "",
        &[
            ("RNBEXEC_MANAGER_AZURE__CREDENTIALS", "cli, msi"),
            ("RNBEXEC_MANAGER_SOURCE__SENTINEL__TITLE", "[abc] sign-in"),
            ("RNBEXEC_MANAGER_SOURCE__SENTINEL__LABELS", "['a', 'b']"),
            ("RNBEXEC_MANAGER_RUN__PARAMETERS", "{ days = 3, deep = { on = true } }"),
            ("RNBEXEC_MANAGER_ROUTE", "[{ name = 'x', skip = true, when = { tactic = 'Impact' } }]"),
            ("RNBEXEC_MANAGER_POLICY__TASKS", "TRUE"),
            ("RNBEXEC_MANAGER_POLICY__MINIMUM_CONFIDENCE", "0.5"),
        ],
    )
    .unwrap();
    assert_eq!(config.azure.credentials, [CredentialSource::AzureCli, CredentialSource::ManagedIdentity]);
    assert_eq!(config.source.sentinel.conditions.title[0].as_str(), "[abc] sign-in");
    assert_eq!(config.source.sentinel.conditions.label, ["a", "b"]);
    assert_eq!(
        rnbexec_notebook::Json::Object(config.run.parameters.into_object()).to_compact(),
        r#"{"days":3,"deep":{"on":true}}"#
    );
    assert_eq!(config.routes[0].when.tactic, ["Impact"]);
    assert!(config.policy.tasks);
    assert!((config.judge.minimum_confidence - 0.5).abs() < f64::EPSILON);
}

#[test]
fn a_parameter_can_be_given_by_itself_and_is_typed_as_on_the_command_line() {
    let config = Config::load(ConfigSources {
        variables: pairs(&[("RNBEXEC_MANAGER_RUN__PARAMETERS__Look_Back", "7")]),
        overrides: pairs(&[("run.parameters.name", "seven"), ("run.parameters.list", "[1, 2]")]),
        ..sources("[run.parameters]\nof_file = 1979-05-27")
    })
    .unwrap();
    assert_eq!(
        rnbexec_notebook::Json::Object(config.run.parameters.into_object()).to_compact(),
        r#"{"of_file":"1979-05-27","Look_Back":7,"name":"seven","list":[1,2]}"#
    );
}

#[test]
fn empty_variables_foreign_ones_and_the_name_of_the_file_are_passed_over() {
    let variables = [
        ("RNBEXEC_MANAGER_RUN__JOBS", ""),
        ("RNBEXEC_MANAGER_CONFIG", "manager.toml"),
        ("RNBEXEC_KERNEL", "x"),
        ("PATH", "/bin"),
    ];
    assert_eq!(with_variables("", &variables).unwrap(), load(""));
}

#[test]
fn paths_begin_at_the_file_where_they_stand_in_it_and_at_the_working_folder_elsewhere() {
    let file = "[run]\nnotebook = 'nb/t.ipynb'\nenvironment = './env'\n[source.folder]\npath = 'in'\n[state]\nfolder = '/var/x'";
    let config = Config::load(ConfigSources {
        overrides: pairs(&[("publish.folder.path", "out")]),
        variables: pairs(&[("RNBEXEC_MANAGER_SOURCE__FOLDER__OUTPUT", "results")]),
        ..sources(file)
    })
    .unwrap();
    assert_eq!(config.run.notebook, Notebook::At(Location::Local("/etc/triage/nb/t.ipynb".into())));
    assert_eq!(config.run.environment, EnvironmentRequest::Path("/etc/triage/./env".into()));
    assert_eq!(config.folder().unwrap().path, Path::new("/etc/triage/in"));
    assert_eq!(config.folder().unwrap().output, Path::new("/home/soc/results"));
    assert_eq!(config.destination().unwrap(), Destination::Folder("/home/soc/out".into()));
    assert_eq!(config.state.folder, Path::new("/var/x"));
    assert_eq!(config.log.file, Path::new("/home/soc/notebook_execution.log"));
}

#[test]
fn a_file_named_by_a_relative_path_is_beside_the_working_folder() {
    let config = Config::load(ConfigSources {
        working_folder: "/home/soc".into(),
        file: Some((PathBuf::from("conf/manager.toml"), "[state]\nfolder = 's'".to_owned())),
        ..ConfigSources::default()
    });
    assert_eq!(config.unwrap().state.folder, Path::new("/home/soc/conf/s"));
}

#[test]
fn durations_are_seconds_or_texts_with_units() {
    for (text, seconds) in [("90", 90), ("'90'", 90), ("'10m'", 600), ("'1h30m'", 5400), ("'2d'", 172_800)] {
        let config = load(&format!("[source.sentinel]\noverlap = {text}"));
        assert_eq!(config.source.sentinel.overlap, Duration::from_secs(seconds), "{text}");
    }
    for text in ["'none'", "0", "'0s'"] {
        assert_eq!(load(&format!("[run]\ntimeout = {text}")).run.timeout, None, "{text}");
    }
}

#[test]
fn the_first_poll_begins_some_time_ago_or_at_a_time() {
    let since = |text: &str| load(&format!("[source.sentinel]\nsince = {text}")).source.sentinel.since;
    let new_year = "2025-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(since("'12h'"), Since::Ago(Duration::from_hours(12)));
    for text in ["'2025-01-01T00:00:00Z'", "2025-01-01T01:00:00+01:00", "2025-01-01"] {
        assert_eq!(since(text), Since::At(new_year), "{text}");
    }
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let config = load("[source.sentinel]\nstatus = 'new'\nseverity = 'HIGH'\nproducts = 'Azure Sentinel'");
    assert_eq!(config.source.sentinel.status, ["New"]);
    assert_eq!(config.source.sentinel.conditions.severity, [Severity::High]);
    assert_eq!(config.source.sentinel.conditions.product, ["Azure Sentinel"]);
}

#[test]
fn every_endpoint_of_a_cloud_can_be_moved_and_keeps_its_audience() {
    let config = load(
        "[azure]\ncloud = 'government'\nauthority = 'http://127.0.0.1:9/login'\nresource_manager = 'http://127.0.0.1:9/arm'\n\
         storage_suffix = '.storage.test'\nimds = 'http://127.0.0.1:9'\n\
         [azure.audiences]\nstorage = 'api://storage/'\n[azure.api_versions]\nsentinel = '2024-03-01'",
    );
    let cloud = &config.azure.cloud;
    assert_eq!(cloud.name, "government");
    assert_eq!(cloud.authority.as_str(), "http://127.0.0.1:9/login/");
    assert_eq!(cloud.resource_manager.as_str(), "http://127.0.0.1:9/arm/");
    assert_eq!(cloud.storage_suffix, "storage.test");
    assert_eq!(cloud.management_scope(), "https://management.usgovcloudapi.net/.default");
    assert_eq!(cloud.storage_scope(), "api://storage/.default");
    assert_eq!(config.azure.imds.unwrap().as_str(), "http://127.0.0.1:9/");
    assert_eq!(config.azure.api_versions.sentinel, "2024-03-01");
}

#[test]
fn a_workspace_is_complete_or_every_missing_name_is_told_with_the_ways_to_give_it() {
    let config =
        load("[sentinel]\nsubscription = 's'\nresource_group = 'g'\nworkspace = 'w'\nworkspace_id = 'i'");
    let workspace = config.sentinel().unwrap();
    assert_eq!((workspace.id.name.as_str(), workspace.workspace_id.as_deref()), ("w", Some("i")));

    let error = load("[sentinel]\nresource_group = 'g'").sentinel().unwrap_err();
    let keys: Vec<&str> = error.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["sentinel.subscription", "sentinel.workspace"]);
    assert_eq!(
        error.problems()[0].to_string(),
        "sentinel.subscription: not given, but the incidents are in Sentinel (source.kind is not \"folder\"); write it in the \
         file ([sentinel] subscription = \"…\"), set RNBEXEC_MANAGER_SENTINEL__SUBSCRIPTION, or give --set \
         sentinel.subscription=VALUE"
    );
}

#[test]
fn a_queue_is_an_account_and_a_name_or_an_address() {
    let queue = |text: &str| load(&format!("[source.queue]\n{text}")).queue().unwrap();
    let named = queue("account = 'contoso'\nqueue = 'incidents'\nvisibility = '10m'\ndeliveries = 2");
    assert_eq!(named.url.as_str(), "https://contoso.queue.core.windows.net/incidents");
    assert_eq!(named.poison.as_str(), "https://contoso.queue.core.windows.net/incidents-poison");
    assert_eq!((named.account.as_str(), named.deliveries), ("contoso", 2));
    assert_eq!(named.visibility, Duration::from_mins(10));

    let emulated = queue("url = 'http://127.0.0.1:10001/devstoreaccount1/incidents'\npoison = 'dead'");
    assert_eq!(emulated.url.as_str(), "http://127.0.0.1:10001/devstoreaccount1/incidents");
    assert_eq!(emulated.poison.as_str(), "http://127.0.0.1:10001/devstoreaccount1/dead");
    assert_eq!(emulated.account, "devstoreaccount1");

    let elsewhere = queue("url = 'https://queues.test/incidents/'\naccount = 'contoso'");
    assert_eq!(elsewhere.url.as_str(), "https://queues.test/incidents");
    assert_eq!(elsewhere.account, "contoso");
}

#[test]
fn a_long_queue_name_has_a_poison_queue_with_a_name_that_azure_takes() {
    let name = "q".repeat(63);
    let queue = load(&format!("[source.queue]\naccount = 'contoso'\nqueue = '{name}'")).queue().unwrap();
    assert_eq!(queue.poison.path(), format!("/{}-poison", "q".repeat(56)));
}

#[test]
fn a_queue_that_nobody_named_and_one_that_is_its_own_poison_queue_are_refused() {
    let error = |text: &str| load(&format!("[source.queue]\n{text}")).queue().unwrap_err().to_string();
    assert!(error("").starts_with("source.queue.queue: not given, but source.kind is \"queue\""));
    assert!(error("account = 'contoso'").starts_with("source.queue.queue: not given"));
    assert!(error("queue = 'incidents'").starts_with("source.queue.account: not given"));
    assert!(error("account = 'a'\nqueue = 'abc'\npoison = 'abc'").contains("names the queue itself"));
}

#[test]
fn bundles_and_results_lie_in_different_folders() {
    let error = |text: &str| load(&format!("[source.folder]\n{text}")).folder().unwrap_err().to_string();
    assert!(error("").starts_with("source.folder.path: not given, but source.kind is \"folder\""));
    assert!(error("path = 'x'\noutput = 'x'").starts_with("source.folder.output: is the folder"));
}

#[test]
fn an_azure_ml_workspace_lies_beside_the_sentinel_workspace_unless_it_is_told_otherwise() {
    let file = "[sentinel]\nsubscription = 's'\nresource_group = 'g'\n[publish]\nto = 'workspace'\n[publish.workspace]\n";
    let Destination::Workspace(beside) = load(&format!("{file}name = 'ml'")).destination().unwrap() else {
        panic!("it is a workspace");
    };
    assert_eq!([&beside.subscription, &beside.resource_group, &beside.name], ["s", "g", "ml"]);
    assert_eq!(beside.folder, "Users/TriageNbs");
    assert_eq!(beside.datastore, "workspaceworkingdirectory");
    assert_eq!(beside.account_key, None);

    let other =
        load(&format!("{file}name = 'ml'\nresource_group = 'other'\nfolder = '/Users/x/'")).destination();
    let Destination::Workspace(other) = other.unwrap() else { panic!("it is a workspace") };
    assert_eq!((other.resource_group.as_str(), other.folder.as_str()), ("other", "Users/x"));

    let error = load("[publish]\nto = 'workspace'").destination().unwrap_err();
    let keys: Vec<&str> = error.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        ["publish.workspace.subscription", "publish.workspace.resource_group", "publish.workspace.name"]
    );
}

#[test]
fn a_blob_folder_names_its_account_by_its_host_or_as_azurite_by_its_path() {
    for (url, endpoint, account) in [
        (
            "https://contoso.blob.core.windows.net/triage/nb",
            "https://contoso.blob.core.windows.net/",
            "contoso",
        ),
        (
            "http://127.0.0.1:10000/devstoreaccount1/triage",
            "http://127.0.0.1:10000/devstoreaccount1",
            "devstoreaccount1",
        ),
        (
            "http://localhost:10000/devstoreaccount1/triage",
            "http://localhost:10000/devstoreaccount1",
            "devstoreaccount1",
        ),
    ] {
        let file = format!("[publish]\nto = 'blob'\n[publish.blob]\nurl = '{url}'\naccount_key = 'env:KEY'");
        let Destination::Blob(blob) = load(&file).destination().unwrap() else { panic!("it is a blob") };
        assert_eq!((blob.endpoint.as_str(), blob.account.as_str()), (endpoint, account), "{url}");
        assert_eq!(blob.account_key, Some(SecretRef::Variable("KEY".to_owned())));
    }
    let error = load("[publish]\nto = 'blob'").destination().unwrap_err().to_string();
    assert!(error.starts_with("publish.blob.url: not given, but publish.to is \"blob\""), "{error}");
}

#[test]
fn a_secret_is_named_by_its_variable_its_vault_or_its_address() {
    let secret = |text: &str| {
        let file = format!(
            "[azure]\ncloud = 'china'\n[source.queue]\naccount = 'abc'\nqueue = 'abc'\naccount_key = '{text}'"
        );
        load(&file).queue().unwrap().account_key.unwrap()
    };
    let vault = |vault: &str, name: &str, version: Option<&str>| SecretRef::KeyVault {
        vault: vault.parse().unwrap(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    assert_eq!(secret("env:STORAGE_KEY"), SecretRef::Variable("STORAGE_KEY".to_owned()));
    assert_eq!(secret("vault:contoso/key"), vault("https://contoso.vault.azure.cn/", "key", None));
    assert_eq!(
        secret("https://contoso.vault.azure.net/secrets/key/0123"),
        vault("https://contoso.vault.azure.net/", "key", Some("0123"))
    );
    assert_eq!(
        secret("http://127.0.0.1:9/vault/secrets/key/"),
        vault("http://127.0.0.1:9/vault/", "key", None)
    );
}

#[test]
fn routes_keep_their_order_and_tell_what_differs() {
    let config = load(
        "[[route]]\nname = 'quiet'\nskip = true\n[route.when]\nlabel = 'test'\n\
         [[route]]\nname = 'sign-ins'\ntimeout = 'none'\njobs = 1\nbundle = true\nparameters = { days = 2 }\n\
         [route.when]\nrule = '/subscriptions/s/providers/Microsoft.SecurityInsights/alertRules/2F9B6A1C-0C7E-4F43-9F3B-0D6F4A7F5A11'",
    );
    let [quiet, sign_ins] = config.routes.as_slice() else { panic!("there are two") };
    assert_eq!((quiet.name.as_str(), &quiet.treatment), ("quiet", &Treatment::Skip));
    assert_eq!(sign_ins.when.rule, ["2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11"]);
    let Treatment::Run(differences) = &sign_ins.treatment else { panic!("it runs") };
    assert_eq!(differences.timeout, Some(None));
    assert_eq!(differences.cell_timeout, None);
    assert_eq!((differences.jobs, differences.bundle), (Some(1), Some(Bundle::Always)));
}

#[test]
fn policies_are_opted_into() {
    let config = load(
        "[policy]\nseverity = 'set'\nstatus = 'close'\nclassification = true\nlabels = true\nadd_labels = ['rnbexec']\n\
         output_tag = 'result'\noutput_tag_severity = 'medium'",
    );
    assert_eq!(config.policy.severity, SeverityPolicy::Set);
    assert_eq!(config.policy.status, StatusPolicy::Close);
    assert!(config.policy.classification && config.policy.labels.from_verdict && !config.policy.tasks);
    assert_eq!(config.policy.labels.always, ["rnbexec"]);
    assert_eq!(
        (config.judge.output_tag.as_str(), config.judge.output_tag_severity),
        ("result", Severity::Medium)
    );
}

#[test]
fn a_comment_can_be_the_blogs_ones_own_or_none() {
    assert_eq!(load("").comment, Some(Template::default()));
    assert_eq!(
        load("[comment]\ntemplate = 'blog'\nlimit = 3000").comment,
        Some(Template::parse("blog").unwrap().with_limit(3000))
    );
    assert_eq!(load("[comment]\ntemplate = '<p>{link}</p>'").comment, Template::parse("<p>{link}</p>").ok());
    assert_eq!(load("[comment]\nenabled = false\ntemplate = 'blog'").comment, None);
}

#[test]
fn each_class_of_failures_has_its_retries_and_what_was_refused_has_none() {
    let retries = load("[retry.kernel]\nattempts = 7\n[retry.notebook]\nlongest_wait = '5s'").retries;
    assert_eq!(retries.of(Class::Kernel).attempts, 7);
    assert_eq!(retries.of(Class::Kernel).first_wait, Duration::from_secs(10));
    // The wait that is not given gives way.
    assert_eq!(retries.of(Class::Notebook).first_wait, Duration::from_secs(5));
    assert_eq!(retries.of(Class::Refused).attempts, 1);
}

#[test]
fn the_name_of_a_settings_variable_is_told() {
    assert_eq!(variable_of("source.sentinel.page_size"), "RNBEXEC_MANAGER_SOURCE__SENTINEL__PAGE_SIZE");
}

//! From flags, environment and file to a manager.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rnbexec::Services;
use rnbexec_azure::sentinel::IncidentRef;
use rnbexec_manager::config::{Config, ConfigError, ConfigSources, FILE_VARIABLE};
use rnbexec_manager::{Class, Event, Manager, Setup, SetupError, SourceChoice, Trouble};

use super::args::{ConfigArgs, Overrides};
use crate::failure::Failure;
use crate::{exit, guardian, isolation};

/// The configuration file that is looked for where none is named.
pub(crate) const FILE: &str = "rnbexec-manager.toml";

/// Hears what a manager tells.
pub(crate) type Listener = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// A listener that does not listen.
fn nobody() -> Listener {
    Box::new(|_| {})
}

/// Reads the configuration that the flags mean.
pub(crate) fn load(args: &ConfigArgs, overrides: Overrides) -> Result<Config, Failure> {
    let variables: Vec<(String, String)> = variables().into_iter().collect();
    let file = match named_file(args.config.as_deref()) {
        Some(path) => Some((path.clone(), read(&path)?)),
        None => match std::fs::read_to_string(FILE) {
            Ok(text) => Some((PathBuf::from(FILE), text)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(Path::new(FILE), &error)),
        },
    };
    let working_folder = std::env::current_dir()
        .map_err(|error| Failure::because("cannot tell what the working folder is", &error))?;
    // Relative paths in the file begin at its folder, which has to be a whole path once kernels work in folders of their own.
    let file = file.map(|(path, text)| (working_folder.join(path), text));
    Config::load(ConfigSources { working_folder, file, variables, overrides }).map_err(|error| wrong(&error))
}

/// The file that a flag or the environment names.
pub(crate) fn named_file(flag: Option<&Path>) -> Option<PathBuf> {
    let variable = || std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    flag.map(Path::to_path_buf).or_else(variable)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let failure = unreadable(path, &error);
        match error.kind() {
            ErrorKind::NotFound => {
                failure.help(format!("`rnbexec manager init {}` writes one", path.display()))
            }
            _ => failure,
        }
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let cause = format!("{}: {error}", path.display());
    Failure::new("cannot read the configuration").cause(cause).code(exit::USAGE)
}

/// Every problem of a configuration.
pub(crate) fn wrong(error: &ConfigError) -> Failure {
    let mut failure = Failure::new("the configuration cannot be used").code(exit::USAGE);
    for problem in error.problems() {
        failure = failure.cause(problem.to_string());
    }
    failure.help("`rnbexec manager init` writes a file in which every setting is explained")
}

/// The environment, as far as it is text.
pub(super) fn variables() -> HashMap<String, String> {
    let texts =
        std::env::vars_os().map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.flatten().collect()
}

/// What a kernel must not inherit: it is not the service that systemd watches.
const OURS_ALONE: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Makes the manager.
pub(crate) async fn manager(
    config: Config,
    services: Services,
    source: SourceChoice,
    again: bool,
    listener: Listener,
) -> Result<Arc<Manager>, Failure> {
    // Boxed: it holds the clients of half of Azure.
    let setup = setup(config, services, source, again, listener);
    let made = Box::pin(setup.manager()).await.map_err(|error| not_made(&error))?;
    Ok(Arc::new(made))
}

/// A manager of what the configuration names, which tells nobody.
pub(crate) async fn quiet_manager(config: Config) -> Result<Arc<Manager>, Failure> {
    manager(config, services(), SourceChoice::Configured, false, nobody()).await
}

/// The world around the runs.
pub(crate) fn services() -> Services {
    let mut services = isolation::able_to_contain(guardian::guarded(Services::from_process()));
    for name in OURS_ALONE {
        services.variables.remove(std::ffi::OsStr::new(name));
    }
    services
}

/// All that it is made of. Its guardian writes to this machine alone, and needs none of its secrets.
fn setup(config: Config, services: Services, source: SourceChoice, again: bool, listener: Listener) -> Setup {
    let guardian = services.guardian.map(|guardian| guardian.without_variables(&config.redact.variables));
    let services = Services { guardian, ..services };
    Setup { config, services, variables: variables(), source, again, listener }
}

fn not_made(error: &SetupError) -> Failure {
    match error {
        SetupError::Config(error) => wrong(error),
        SetupError::Trouble(trouble) => of_trouble(trouble),
        SetupError::Setting { .. } => Failure::of(error).code(exit::USAGE),
        error => Failure::of(error),
    }
}

/// What failed, with its exit code and what to do.
pub(crate) fn of_trouble(trouble: &Trouble) -> Failure {
    let failure = Failure::of(trouble);
    match trouble.class() {
        Class::Unavailable => failure.code(exit::TRY_AGAIN),
        Class::Permission => failure.help("`rnbexec manager doctor` says which permission is missing"),
        Class::Kernel | Class::Notebook | Class::Refused => failure,
    }
}

/// An incident as people write it.
pub(crate) fn reference(text: &str) -> Result<IncidentRef, Failure> {
    IncidentRef::parse(text).map_err(|error| Failure::because(format!("{text:?} names no incident"), &error))
}

/// The incidents that were named, or else what the configuration says.
pub(crate) fn choice(named: &[String]) -> Result<SourceChoice, Failure> {
    if named.is_empty() {
        return Ok(SourceChoice::Configured);
    }
    Ok(SourceChoice::Named(named.iter().map(|text| reference(text)).collect::<Result<_, _>>()?))
}

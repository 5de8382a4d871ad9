//! `manager doctor`.

use std::fmt::Write as _;

use rnbexec::{Cancel, CancelLevel, EnvironmentRequest, Services};
use rnbexec_manager::config::{Config, ConfigError};
use rnbexec_manager::doctor::{self as examine, Area, Check, Kernel, KernelError, Missing, Outcome};
use rnbexec_manager::route::Triage;
use serde_json::json;
use tokio::sync::watch;

use super::args::{DoctorArgs, overrides};
use super::{Installing, configure, deaf, print, print_json};
use crate::exit;
use crate::failure::Failure;
use crate::sanitise::{Keep, sanitise, sanitise_line};
use crate::supervise::{Abandoned, Supervisor};
use crate::verdict::{self, Saved};

/// `manager doctor`.
pub(super) async fn doctor(args: DoctorArgs) -> Result<u8, Failure> {
    let (mut supervisor, cancel) = Supervisor::listen().map_err(|error| deaf(&error))?;
    let mut found = Found { json: args.json, checks: Vec::new(), printed: Ok(()) };
    let (_working, busy) = watch::channel(true);
    let done = supervisor.run(Box::pin(look(&args, &mut found, cancel)), busy).await;
    match done {
        Ok(looked) => looked?,
        Err(Abandoned(signal)) => return Err(Failure::new("stopped at once").code(signal.exit_code())),
    }
    if let Some(signal) = supervisor.signal() {
        return Err(Failure::new("stopped; what was looked at so far stands above").code(signal.exit_code()));
    }
    found.printed?;
    let wrong = found.checks.iter().filter(|check| !check.is_fine()).count();
    let code = if wrong == 0 { exit::SUCCESS } else { exit::FAILURE };
    if args.json {
        print_json(&json!({ "exit_code": code, "checks": found.checks }))?;
    } else if wrong == 0 {
        tracing::info!("The manager can do its work");
    } else {
        tracing::info!("{wrong} of {} checks found something wrong", found.checks.len());
    }
    Ok(code)
}

/// What was found so far; each finding is shown at once.
struct Found {
    json: bool,
    checks: Vec<Check>,
    printed: Result<(), Failure>,
}

impl Found {
    fn add(&mut self, check: Check) {
        if !self.json {
            let first = self.checks.last().is_none_or(|last| last.area != check.area);
            let heading = if first { format!("{}\n", heading(check.area)) } else { String::new() };
            if let Err(failure) = print(heading + &in_words(&check)) {
                self.printed = Err(failure);
            }
        }
        self.checks.push(check);
    }
}

async fn look(args: &DoctorArgs, found: &mut Found, mut cancel: Cancel) -> Result<(), Failure> {
    let settings = overrides(&[&args.source, &args.work, &args.config]);
    let config = match configure::load(&args.config, settings) {
        Ok(config) => config,
        Err(failure) => {
            for problem in failure.causes {
                found.add(Check::wrong(Area::Configuration, "the settings", problem));
            }
            return Ok(());
        }
    };
    let missing = missing_settings(&config);
    if missing.is_empty() {
        found.add(Check::fine(Area::Configuration, "the settings", ""));
    }
    for check in missing {
        found.add(check);
    }
    for check in examine::files(&config).await {
        found.add(check);
    }
    let services = configure::services();
    for (routes, triage) in examine::kernels(&config) {
        let mut installing = Installing::default();
        let mut tell =
            |line: &str| installing.digest(line).into_iter().for_each(|line| tracing::info!("{line}"));
        let tried = examine::try_kernel(&triage, &services, &mut tell, cancel.clone()).await;
        if cancel.level() >= CancelLevel::Interrupt {
            return Ok(());
        }
        for check in of_triage(&routes, &triage, tried) {
            found.add(check);
        }
    }
    let variables = configure::variables();
    let mut tell = |check| found.add(check);
    tokio::select! {
        () = examine::azure(&config, &variables, &mut tell) => {}
        () = cancel.reached(CancelLevel::Interrupt) => {}
    }
    Ok(())
}

/// Settings that what was asked for needs, and that are not given.
fn missing_settings(config: &Config) -> Vec<Check> {
    use rnbexec_manager::config::SourceKind;

    let source = match config.source.kind {
        SourceKind::Sentinel => config.sentinel().map(drop),
        SourceKind::Queue => config.sentinel().and_then(|_| config.queue()).map(drop),
        SourceKind::Folder => Ok(()),
    };
    let problems = [source.err(), config.destination().err()];
    let problems = problems.iter().flatten().flat_map(ConfigError::problems);
    problems.map(|problem| Check::wrong(Area::Configuration, "the settings", problem.to_string())).collect()
}

fn of_triage(routes: &[String], triage: &Triage, tried: Result<Kernel, KernelError>) -> Vec<Check> {
    let what = format!("the kernel for {} ({})", triage.notebook, routes.join(", "));
    match tried {
        Err(error) => {
            let failure = of_kernel(&error);
            let why = [vec![failure.what], failure.causes].concat().join(": ");
            let check = Check::wrong(Area::Kernel, what, why);
            vec![match failure.help {
                Some(help) => check.help(help),
                None => check,
            }]
        }
        Ok(kernel) if kernel.missing.is_empty() => {
            let imports = match kernel.imports {
                0 => String::new(),
                1 => ", and what the notebook imports is there".to_owned(),
                count => format!(", and all {count} imports of the notebook work"),
            };
            vec![Check::fine(Area::Kernel, what, format!("{} starts{imports}", kernel.name))]
        }
        Ok(kernel) => kernel.missing.iter().map(|missing| lacks(&what, triage, &kernel, missing)).collect(),
    }
}

fn lacks(what: &str, triage: &Triage, kernel: &Kernel, missing: &Missing) -> Check {
    let module = match &missing.module {
        Some(module) => format!("the module {module} is missing: "),
        None => String::new(),
    };
    let why = format!("{module}cell {} of the notebook fails with {}", missing.cell + 1, missing.said);
    let python = kernel.python.as_deref().unwrap_or("python");
    let help = match &triage.environment {
        EnvironmentRequest::Named(name) => {
            format!(
                "`rnbexec kernel install {name} --requirements FILE --replace` with a list that has it makes the environment anew"
            )
        }
        EnvironmentRequest::Path(_) | EnvironmentRequest::AsFound | EnvironmentRequest::Auto => format!(
            "install it for {python}, or choose another kernel or environment: run.kernel, run.environment \
             (`rnbexec kernel install NAME --requirements FILE` makes one)"
        ),
    };
    Check::wrong(Area::Kernel, what, why).help(help)
}

fn heading(area: Area) -> &'static str {
    match area {
        Area::Configuration => "Configuration",
        Area::Files => "Files",
        Area::Kernel => "Kernel",
        Area::Azure => "Azure",
    }
}

/// A line for what is fine; for the rest also why, what to do, and the command that does it, on a line of its own to be copied.
fn in_words(check: &Check) -> String {
    let mut text = String::new();
    let what = sanitise_line(&check.what);
    match &check.outcome {
        Outcome::Fine { detail } => {
            let detail =
                if detail.is_empty() { String::new() } else { format!(": {}", sanitise_line(detail)) };
            writeln!(text, "  ✔ {what}{detail}").expect("writing to a String does not fail");
        }
        Outcome::Wrong { why, help, role: _, command } => {
            let indented = |text: &str| sanitise(text.trim_end(), Keep::NOTHING).replace('\n', "\n      ");
            writeln!(text, "  ✘ {what}: {}", indented(why)).expect("writing to a String does not fail");
            if let Some(help) = help {
                writeln!(text, "      {}", indented(help)).expect("writing to a String does not fail");
            }
            if let Some(command) = command {
                writeln!(text, "      {}", sanitise_line(command))
                    .expect("writing to a String does not fail");
            }
        }
    }
    text
}

/// A kernel that cannot do its work, with what to do about it.
pub(crate) fn of_kernel(error: &KernelError) -> Failure {
    match error {
        KernelError::Notebook(trouble) => configure::of_trouble(trouble),
        KernelError::Run { source, .. } => {
            verdict::of_error(source, || rnbexec_kernel::list(&Services::from_process().kernels))
        }
        KernelError::Outcome { outcome, .. } => {
            let saved = Saved { place: "nowhere", written: false };
            verdict::of_outcome(outcome, None, saved).unwrap_or_else(|| Failure::of(error))
        }
        error => Failure::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_to_do_and_a_line_to_copy() {
        let mut check =
            Check::wrong(Area::Azure, "write incidents", "the role R is missing").help("ask for it");
        if let Outcome::Wrong { command, .. } = &mut check.outcome {
            *command = Some("az role assignment create".to_owned());
        }
        let expected =
            "  ✘ write incidents: the role R is missing\n      ask for it\n      az role assignment create\n";
        assert_eq!(in_words(&check), expected);
    }

    #[test]
    fn a_service_cannot_forge_a_line_of_ours() {
        let check = Check::wrong(Area::Azure, "read incidents", "no\n  ✔ all is well\u{1b}[2J");
        assert_eq!(in_words(&check), "  ✘ read incidents: no\n        ✔ all is well\n");
    }
}

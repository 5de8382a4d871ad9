//! `manager once` and `manager watch`.

use std::sync::Arc;

use jiff::Timestamp;
use rnbexec::Services;
use rnbexec_manager::{Class, Manager, PassError, PassReport, SourceChoice};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::args::{OnceArgs, WatchArgs, overrides};
use super::notify::Service;
use super::{cases, configure, deaf, print, print_json, table};
use crate::console::Console;
use crate::exit;
use crate::failure::Failure;
use crate::manager::Progress;
use crate::signals::Signal;
use crate::supervise::{Abandoned, Supervisor};

/// How a pass went.
pub(crate) struct Passed {
    /// Who made it.
    pub(crate) manager: Arc<Manager>,
    /// What came of it.
    pub(crate) report: PassReport,
    /// The signal that stopped it.
    pub(crate) signal: Option<Signal>,
}

/// `manager once`.
pub(super) async fn once(args: OnceArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args.source, &args.work, &args.config]))?;
    let choice = configure::choice(&args.named.incident)?;
    let passed = pass(config, configure::services(), choice, args.named.again, Kind::Once).await?;
    let code = passed.exit_code();
    if args.json {
        print_json(&as_json(&passed, code))?;
    } else {
        print(cases::outcomes(&shown(&passed.report), Timestamp::now(), table::room_on_stdout()))?;
        tell_troubles(&passed.report);
        tracing::info!("{}", in_words(&passed.report));
    }
    Ok(code)
}

/// `manager watch`.
pub(super) async fn watch(args: WatchArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args]))?;
    let passed = pass(config, configure::services(), SourceChoice::Configured, false, Kind::Watch).await?;
    // To be told to stop is how a service ends; what it was not left the time for is another matter.
    let code = match passed.signal {
        Some(signal) if passed.report.given_back > 0 => signal.exit_code(),
        _ => exit::SUCCESS,
    };
    if args.json {
        print_json(&as_json(&passed, code))?;
    }
    tracing::info!("{}", in_words(&passed.report));
    Ok(code)
}

/// What came of a pass, in a line.
fn in_words(report: &PassReport) -> String {
    let figures = report.figures();
    let parts = [
        (figures.triaged, "with a finding"),
        (figures.no_finding, "without"),
        (figures.skipped, "skipped"),
        (figures.waiting, "tried again later"),
        (figures.parked, "in need of a person"),
        (report.given_back, "given back"),
        (report.rejected, "put aside"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let said = if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") };
    format!("Done in {}: {said}", cases::spoken(report.took))
}

/// What kind of pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Until nothing is left.
    Once,
    /// Until somebody stops it.
    Watch,
}

/// Makes a manager and a pass. Signals drain, then interrupt, then kill.
pub(crate) async fn pass(
    config: rnbexec_manager::config::Config,
    services: Services,
    choice: SourceChoice,
    again: bool,
    kind: Kind,
) -> Result<Passed, Failure> {
    let (mut supervisor, cancel) = Supervisor::listen_and_drain().map_err(|error| deaf(&error))?;
    let progress = Arc::new(Progress::new(Console::stderr(), kind == Kind::Watch));
    let listener = Arc::clone(&progress);
    let listening = Box::new(move |event: &rnbexec_manager::Event<'_>| listener.tell(event));
    let making = Box::pin(configure::manager(config, services, choice, again, listening));
    let manager: Arc<Manager> = match supervisor.abandonable(making).await {
        Ok(made) => made.inspect_err(|_| progress.stop())?,
        Err(Abandoned(signal)) => {
            progress.stop();
            return Err(Failure::new("stopped before anything was begun").code(signal.exit_code()));
        }
    };
    let mut stopping = cancel.clone();
    let passing = async {
        match kind {
            Kind::Once => manager.once(cancel).await,
            Kind::Watch => Service::ready().attend(manager.watch(cancel), &mut stopping).await,
        }
    };
    // The ledger would survive being dropped at any time; kernels are better shut down.
    let (_working, busy) = watch::channel(true);
    let passed = supervisor.run(Box::pin(passing), busy).await;
    progress.stop();
    match passed {
        Ok(Ok(report)) => Ok(Passed { manager, report, signal: supervisor.signal() }),
        Ok(Err(error)) => Err(broken(&error)),
        Err(Abandoned(signal)) => {
            Err(Failure::new("stopped at once; what was not finished goes on with the next pass")
                .code(signal.exit_code()))
        }
    }
}

/// The ledger failed.
pub(super) fn broken(error: &PassError) -> Failure {
    Failure::of(error).help("the ledger lies in state.folder: is there room, and may it be written to?")
}

impl Passed {
    /// What a person or a scheduler should do about it.
    pub(crate) fn exit_code(&self) -> u8 {
        exit_code(&self.report, self.signal)
    }
}

fn exit_code(report: &PassReport, signal: Option<Signal>) -> u8 {
    let figures = report.figures();
    let trouble = |unavailable: bool| {
        report.troubles.iter().any(|trouble| (trouble.class() == Class::Unavailable) == unavailable)
    };
    match signal {
        Some(signal) => signal.exit_code(),
        None if figures.parked > 0 || report.rejected > 0 || trouble(false) => exit::FAILURE,
        None if figures.waiting > 0 || report.given_back > 0 || trouble(true) => exit::TRY_AGAIN,
        None => exit::SUCCESS,
    }
}

/// The cases of a pass: those that ended, then those that wait.
pub(super) fn shown(report: &PassReport) -> Vec<rnbexec_manager::ledger::Case> {
    report.ended.iter().chain(&report.waiting).cloned().collect()
}

/// What went wrong besides the cases.
pub(crate) fn tell_troubles(report: &PassReport) {
    for trouble in &report.troubles {
        tracing::warn!("{}", trouble.in_full());
    }
}

/// A pass for programs.
pub(super) fn as_json(passed: &Passed, code: u8) -> Value {
    let report = &passed.report;
    let trouble = |trouble: &rnbexec_manager::Trouble| json!({ "class": trouble.class(), "message": trouble.in_full() });
    json!({
        "exit_code": code,
        "stopped": passed.signal.is_some(),
        "figures": report.figures(),
        "given_back": report.given_back,
        "rejected": report.rejected,
        "troubles": report.troubles.iter().map(trouble).collect::<Vec<_>>(),
        "seconds": report.took.as_secs_f64(),
        "incidents": shown(report).iter().map(cases::as_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use rnbexec_manager::Trouble;

    use super::*;

    fn with(trouble: Option<Class>, given_back: usize, rejected: usize) -> PassReport {
        PassReport {
            troubles: trouble.into_iter().map(|class| Trouble::new(class, "asking")).collect(),
            given_back,
            rejected,
            ..PassReport::default()
        }
    }

    #[test]
    fn the_exit_code_says_who_has_to_do_something() {
        assert_eq!(exit_code(&with(None, 0, 0), None), exit::SUCCESS);
        assert_eq!(exit_code(&with(Some(Class::Unavailable), 0, 0), None), exit::TRY_AGAIN);
        assert_eq!(exit_code(&with(None, 1, 0), None), exit::TRY_AGAIN);
        assert_eq!(exit_code(&with(Some(Class::Permission), 0, 0), None), exit::FAILURE);
        assert_eq!(exit_code(&with(Some(Class::Unavailable), 0, 1), None), exit::FAILURE);
        assert_eq!(exit_code(&with(None, 0, 0), Some(Signal::Interrupt)), exit::INTERRUPTED);
    }
}

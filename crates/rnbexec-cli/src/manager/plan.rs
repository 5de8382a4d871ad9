//! `manager plan` and `manager apply`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rnbexec_manager::PassError;
use rnbexec_manager::plan::{Applied, Plan, Planned, PlannedOutcome, PlannedRequest};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::args::{ApplyArgs, PlanArgs, overrides};
use super::pass::broken;
use super::table::{Column, room_on_stdout, table};
use super::{Progress, cases, configure, deaf, print, print_json};
use crate::console::Console;
use crate::exit;
use crate::failure::Failure;
use crate::sanitise::{Keep, sanitise, sanitise_line};
use crate::supervise::{Abandoned, Supervisor};

/// `manager plan`.
pub(super) async fn plan(args: PlanArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args.source, &args.work, &args.config]))?;
    let choice = configure::choice(&args.named.incident)?;
    let (mut supervisor, cancel) = Supervisor::listen_and_drain().map_err(|error| deaf(&error))?;
    let progress = Arc::new(Progress::new(Console::stderr(), false));
    let listener = Arc::clone(&progress);
    let planning = async {
        let listener: configure::Listener = Box::new(move |event| listener.tell(event));
        let manager =
            configure::manager(config, configure::services(), choice, args.named.again, listener).await?;
        manager.plan(cancel).await.map_err(|error| broken(&error))
    };
    let planned = supervised(&mut supervisor, Box::pin(planning)).await;
    progress.stop();
    let plan = planned?;
    if let Some(path) = &args.output {
        write(path, &plan)?;
    }
    if args.json {
        print_json(&json!(plan))?;
    } else {
        print(in_words(&plan))?;
    }
    for trouble in &plan.troubles {
        tracing::warn!("{trouble}");
    }
    if let Some(path) = &args.output {
        tracing::info!("`rnbexec manager apply {}` sends this", path.display());
    }
    let failed =
        plan.incidents.iter().any(|planned| matches!(planned.outcome, PlannedOutcome::Failed { .. }));
    Ok(match supervisor.signal() {
        Some(signal) => signal.exit_code(),
        None if failed => exit::FAILURE,
        None if !plan.troubles.is_empty() => exit::TRY_AGAIN,
        None => exit::SUCCESS,
    })
}

/// Work with kernels: it is asked to stop, not dropped.
async fn supervised<T>(
    supervisor: &mut Supervisor,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (_working, busy) = watch::channel(true);
    match supervisor.run(work, busy).await {
        Ok(done) => done,
        Err(Abandoned(signal)) => Err(Failure::new("stopped at once").code(signal.exit_code())),
    }
}

fn write(path: &Path, plan: &Plan) -> Result<(), Failure> {
    std::fs::write(path, plan.to_vec())
        .map_err(|error| Failure::because(format!("cannot write the plan {}", path.display()), &error))
}

/// Every request, for people.
fn in_words(plan: &Plan) -> String {
    let mut text = String::new();
    for planned in &plan.incidents {
        let Planned { facts, outcome, .. } = planned;
        line(&mut text, 0, &format!("Incident {} ({}): {}", facts.called(), facts.severity, facts.title));
        match outcome {
            PlannedOutcome::Finding { verdict, executed, requests, .. } => {
                let confidence =
                    verdict.confidence.map(|sure| format!(", confidence {sure:.2}")).unwrap_or_default();
                line(&mut text, 1, &format!("verdict {}{confidence}", verdict.severity));
                line(&mut text, 1, &format!("executed notebook {}", executed.display()));
                for request in requests {
                    self::request(&mut text, request);
                }
            }
            PlannedOutcome::NoFinding => line(&mut text, 1, "no finding: it is left as it is"),
            PlannedOutcome::Skipped { reason } => line(&mut text, 1, &format!("it is left alone: {reason}")),
            PlannedOutcome::Failed { reason } => line(&mut text, 1, &format!("the triage failed: {reason}")),
        }
    }
    if plan.incidents.is_empty() {
        text.push_str("Nothing waits: there is nothing to do.\n");
    }
    text
}

fn request(text: &mut String, request: &PlannedRequest) {
    match request {
        PlannedRequest::Publish { place, bytes, .. } => {
            line(text, 1, &format!("publish {place} ({} kB)", bytes.div_ceil(1_000)));
        }
        PlannedRequest::Write { request, changes } => {
            line(text, 1, &format!("{} {}", request.method, request.url));
            for change in changes {
                line(text, 2, &format!("- {}: {}", change.field, change.before));
                line(text, 2, &format!("+ {}: {}", change.field, change.after));
            }
            if changes.is_empty() {
                let body = sanitise(&format!("{:#}", request.body), Keep::NOTHING);
                body.lines().for_each(|part| indented(text, 2, part));
            } else {
                line(
                    text,
                    2,
                    "(the rest of the body is the incident as it was read; --json shows all of it)",
                );
            }
        }
    }
}

/// A line that may hold a stranger's words.
fn line(text: &mut String, depth: usize, what: &str) {
    indented(text, depth, &sanitise_line(what));
}

fn indented(text: &mut String, depth: usize, what: &str) {
    writeln!(text, "{:1$}{what}", "", depth * 4).expect("writing to a String does not fail");
}

/// `manager apply`.
pub(super) async fn apply(args: ApplyArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args.source, &args.work, &args.config]))?;
    let plan = read(&args.plan)?;
    let (mut supervisor, cancel) = Supervisor::listen_and_drain().map_err(|error| deaf(&error))?;
    let applying = async {
        let manager = configure::quiet_manager(config).await?;
        manager.apply(&plan, cancel).await.map_err(|error: PassError| broken(&error))
    };
    let applied = supervised(&mut supervisor, Box::pin(applying)).await?;
    let code = match supervisor.signal() {
        Some(signal) => signal.exit_code(),
        None => applied
            .iter()
            .map(|(_, applied)| code_of(applied))
            .max_by_key(|code| (*code == exit::FAILURE, *code))
            .unwrap_or(exit::SUCCESS),
    };
    if args.json {
        print_json(
            &json!({ "exit_code": code, "incidents": applied.iter().map(as_json).collect::<Vec<_>>() }),
        )?;
    } else {
        print(outcomes(&applied))?;
    }
    Ok(code)
}

fn read(path: &Path) -> Result<Plan, Failure> {
    let unreadable = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
        let failure = Failure::new(format!("cannot read the plan {}", path.display()));
        causes.fold(failure, Failure::cause).help("`rnbexec manager plan -o PLAN` writes one")
    };
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map(|_| text)
    } else {
        std::fs::read(path)
    };
    let text = text.map_err(|error| unreadable(&error))?;
    Plan::parse(&text).map_err(|error| unreadable(&error))
}

fn code_of(applied: &Applied) -> u8 {
    match applied {
        Applied::Done(_) | Applied::Nothing => exit::SUCCESS,
        Applied::Refused { .. } => exit::FAILURE,
        Applied::Unfinished(_) => exit::TRY_AGAIN,
    }
}

fn outcomes(applied: &[(Planned, Applied)]) -> String {
    const COLUMNS: [Column; 4] = [
        Column::whole("INCIDENT"),
        Column::whole("SEVERITY"),
        Column::cut("TITLE", 20),
        Column::whole("APPLIED"),
    ];
    let now = Timestamp::now();
    let row = |(planned, applied): &(Planned, Applied)| {
        let (severity, became) = match applied {
            Applied::Done(case) => (cases::severity(case), "sent".to_owned()),
            Applied::Nothing => (planned.facts.severity.clone(), "nothing to send".to_owned()),
            Applied::Refused { reason } => (planned.facts.severity.clone(), format!("not sent: {reason}")),
            Applied::Unfinished(case) => (cases::severity(case), cases::ended(case, now)),
        };
        vec![planned.facts.called(), severity, planned.facts.title.clone(), became]
    };
    table(&COLUMNS, &applied.iter().map(row).collect::<Vec<_>>(), room_on_stdout())
}

fn as_json((planned, applied): &(Planned, Applied)) -> Value {
    let (word, reason, case) = match applied {
        Applied::Done(case) => ("done", None, Some(case)),
        Applied::Nothing => ("nothing", None, None),
        Applied::Refused { reason } => ("refused", Some(reason), None),
        Applied::Unfinished(case) => ("unfinished", case.facts.reason.as_ref(), Some(case)),
    };
    json!({
        "incident": planned.facts.name,
        "number": planned.facts.number,
        "run": planned.run,
        "applied": word,
        "reason": reason,
        "case": case.map(|case| cases::as_json(case)),
    })
}

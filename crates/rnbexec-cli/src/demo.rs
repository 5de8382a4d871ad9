//! `rnbexec demo`: a backlog of recorded incidents, triaged offline, to see what the manager does.
//!
//! Everything lies in one folder: the data, a manager's configuration, its ledger and log, the reports, and an index page. The
//! other commands of the manager work there too (`--config rnbexec-demo/manager.toml`).

mod folder;

use std::cmp::Reverse;
use std::time::Instant;

use jiff::Timestamp;
use rnbexec::Services;
use rnbexec::report::{IndexEntry, IndexOptions, ReportOptions, index, report};
use rnbexec_manager::case::{Ending, Step};
use rnbexec_manager::config::{Config, ConfigSources};
use rnbexec_manager::doctor::try_kernel;
use rnbexec_manager::ledger::Case;
use rnbexec_manager::route::Router;
use rnbexec_manager::{Manager, SourceChoice, kernel_pool};
use serde_json::json;

use crate::args::Level;
use crate::failure::Failure;
use crate::manager::args::DemoArgs;
use crate::manager::{self, Installing, Kind, Passed, cases, configure};
use crate::supervise::{Abandoned, Supervisor};
use crate::verdict;

use folder::Folder;

/// `rnbexec demo`.
pub(crate) fn demo(args: &DemoArgs) -> u8 {
    manager::block_on(args.log_level, run(args))
}

async fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let begun = Instant::now();
    let folder = Folder::make(args)?;
    let config = Config::load(ConfigSources {
        working_folder: folder.path().to_owned(),
        file: Some(folder.configuration()?),
        ..ConfigSources::default()
    });
    let config = config.map_err(|error| configure::wrong(&error))?;
    let choice = match &args.incidents {
        None => SourceChoice::Configured,
        Some(chosen) => SourceChoice::Named(folder.chosen(chosen)?),
    };
    let mut services = configure::services();
    // The kernel is tried where those of the incidents will be forked.
    services.kernel_pool = kernel_pool(&config);
    prepare_kernel(&config, &services, args.log_level).await?;
    let passed = manager::pass(config, services, choice, false, Kind::Once).await?;
    let cases = finished(&passed.manager).await?;
    let page = pages(&folder, &passed.manager, &cases).await?;
    let code = passed.exit_code();
    if args.json {
        let incidents: Vec<_> = cases.iter().map(cases::as_json).collect();
        let took = begun.elapsed().as_secs_f64();
        manager::print_json(
            &json!({ "exit_code": code, "index": page, "seconds": took, "incidents": incidents }),
        )?;
        return Ok(code);
    }
    manager::print(table(&cases))?;
    manager::tell_troubles(&passed.report);
    told(&folder, &passed, &cases, begun);
    manager::print(format!("{}\n", page.display()))?;
    Ok(code)
}

/// Makes the kernel's environment where it is not there yet, so that what is wrong with it is said once and in full.
async fn prepare_kernel(config: &Config, services: &Services, level: Level) -> Result<(), Failure> {
    let triage = Router::new(config).default_run();
    let (mut told, mut installing) = (false, Installing::default());
    let mut tell = |line: &str| {
        if !told {
            tracing::info!("The triage notebook's kernel gets an environment of its own; this is done once");
            told = true;
        }
        if level <= Level::Debug {
            tracing::debug!("{line}");
        } else if let Some(line) = installing.digest(line) {
            tracing::info!("{line}");
        }
    };
    let (mut supervisor, cancel) = Supervisor::listen().map_err(|error| manager::deaf(&error))?;
    let trying = Box::pin(try_kernel(&triage, services, &mut tell, cancel));
    let (_working, busy) = tokio::sync::watch::channel(true);
    let tried = match supervisor.run(trying, busy).await {
        Ok(tried) => tried,
        Err(Abandoned(signal)) => return Err(verdict::abandoned(signal)),
    };
    if let Some(signal) = supervisor.signal() {
        return Err(verdict::abandoned(signal));
    }
    let kernel = tried.map_err(|error| manager::of_kernel(&error))?;
    match kernel.missing.first() {
        None => Ok(()),
        Some(missing) => {
            Err(Failure::new(format!("the kernel {} lacks what the notebook needs", kernel.name))
                .cause(missing.said.clone())
                .help("remove its environment, and it is made anew"))
        }
    }
}

/// What the ledger knows, the latest triage of each incident, in the order in which people read.
async fn finished(manager: &Manager) -> Result<Vec<Case>, Failure> {
    let all = manager.ledger().cases().await.map_err(|error| Failure::of(&error))?;
    let mut cases: Vec<Case> = Vec::new();
    for case in all {
        if !cases.iter().any(|known| known.facts.incident_id == case.facts.incident_id) {
            cases.push(case);
        }
    }
    cases.sort_by_key(|case| {
        let (needs_person, after, before) = cases::urgency(case);
        let verdict = case.facts.verdict.as_ref().map(|verdict| verdict.severity);
        (Reverse(needs_person), Reverse(after), Reverse(after > before), Reverse(verdict), case.facts.number)
    });
    Ok(cases)
}

/// The reports that the manager did not publish because nothing was found, and the page that links all.
async fn pages(folder: &Folder, manager: &Manager, cases: &[Case]) -> Result<std::path::PathBuf, Failure> {
    let mut entries = Vec::new();
    for case in cases {
        let name = Folder::report_name(case);
        let path = folder.reports().join(&name);
        if case.state.ending != Some(Ending::Triaged) {
            let executed = manager.executed(case).await.map_err(|trouble| configure::of_trouble(&trouble))?;
            if let Some(notebook) = executed {
                let title = format!("Incident {}: {}", case.facts.called(), case.facts.title);
                let options = ReportOptions { title: Some(title), ..ReportOptions::default() };
                folder::write(&path, report(&notebook, &options).as_bytes())?;
            }
        }
        let link = path.is_file().then(|| format!("{}/{name}", folder::REPORTS));
        entries.push(entry(case, link));
    }
    let options = IndexOptions {
        title: "Triaged incidents".to_owned(),
        introduction: format!(
            "{} recorded incidents, triaged offline by rnbexec {}. Each line leads to the executed notebook: what was looked at, \
             what was found, and how the verdict follows.",
            cases.len(),
            env!("CARGO_PKG_VERSION"),
        ),
    };
    let page = folder.path().join("index.html");
    folder::write(&page, index(&entries, &options).as_bytes())?;
    Ok(page)
}

fn entry(case: &Case, link: Option<String>) -> IndexEntry {
    let (before, after) = cases::severities(case);
    let verdict = case.facts.verdict.as_ref();
    let classification = verdict.and_then(|verdict| verdict.classification.as_ref());
    let failed = !matches!(case.state.ending, Some(Ending::Triaged | Ending::NoFinding | Ending::Skipped));
    IndexEntry {
        title: case.facts.title.clone(),
        incident: case.facts.called(),
        severity_before: Some(before.to_owned()),
        severity_after: Some(after.to_owned()),
        verdict: match (failed, verdict) {
            (true, _) => case.facts.reason.clone(),
            (false, verdict) => verdict.map(|verdict| verdict.severity.to_string()),
        },
        classification: classification.map(|classification| classification.class.to_string()),
        confidence: verdict.and_then(|verdict| verdict.confidence),
        summary: verdict.and_then(|verdict| verdict.summary.clone()),
        link,
        duration: case.facts.seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok()),
        failed,
    }
}

/// Severity, verdict, confidence, title.
fn table(cases: &[Case]) -> String {
    use crate::manager::{Column, room_on_stdout};

    const COLUMNS: [Column; 5] = [
        Column::whole("INCIDENT"),
        Column::whole("SEVERITY"),
        Column::whole("VERDICT"),
        Column::whole("CONFIDENCE"),
        Column::cut("TITLE", 24),
    ];
    let now = Timestamp::now();
    let row = |case: &Case| {
        let verdict = match case.state.step {
            Step::Done => cases::verdict(case),
            _ => cases::ended(case, now),
        };
        vec![
            case.facts.called(),
            cases::severity(case),
            verdict,
            cases::confidence(case),
            case.facts.title.clone(),
        ]
    };
    manager::table(&COLUMNS, &cases.iter().map(row).collect::<Vec<_>>(), room_on_stdout())
}

/// What was done, and what to look at next.
fn told(folder: &Folder, passed: &Passed, cases: &[Case], begun: Instant) {
    let now = passed.report.ended.len();
    let took = cases::spoken(begun.elapsed());
    let raised = cases.iter().filter(|case| cases::severities(case).0 != cases::severities(case).1).count();
    if now == 0 && passed.signal.is_none() {
        tracing::info!("All of these were triaged before; --again does it anew");
    } else {
        tracing::info!("{now} incidents triaged in {took}; the severity of {raised} was raised");
    }
    if passed.signal.is_some() {
        tracing::info!("Stopped: started again, the demo goes on where it was");
    }
    let config = folder.configuration_shown();
    tracing::info!("`rnbexec manager show INCIDENT --config {config}` tells the history of one");
    tracing::info!("The page that links every report, for a browser:");
}

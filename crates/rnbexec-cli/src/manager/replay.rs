//! `manager replay`: a recorded incident through the notebook, without a word to anybody.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rnbexec::report::{ReportOptions, report};
use rnbexec_manager::case::{Ending, Retry};
use rnbexec_manager::config::Config;
use rnbexec_manager::incidents::folder::FolderIncidents;
use rnbexec_manager::ledger::Case;
use rnbexec_manager::{Manager, SourceChoice};
use serde_json::{Value, json};

use super::args::{ReplayArgs, overrides};
use super::pass::{Kind, Passed, pass};
use super::table::{Column, room_on_stdout, table};
use super::{cases, configure, print, print_json};
use crate::exit;
use crate::failure::Failure;
use crate::sanitise::{Keep, sanitise, sanitise_line};

/// `manager replay`.
pub(super) async fn replay(args: ReplayArgs) -> Result<u8, Failure> {
    let bundles = FolderIncidents::read(&args.bundle).map_err(|trouble| configure::of_trouble(&trouble))?;
    let folder = Folder::make(&args.output)?;
    let config = configuration(&args, &folder)?;
    let passed = pass(
        config,
        configure::services(),
        SourceChoice::Recorded(bundles, folder.written()),
        true,
        Kind::Once,
    )
    .await?;
    let mut replayed = Vec::new();
    for case in &passed.report.ended {
        replayed.push(folder.replayed(&passed.manager, case).await?);
    }
    let code = code_of(&passed);
    if args.json {
        let incidents: Vec<Value> = replayed.iter().map(Replayed::as_json).collect();
        print_json(&json!({ "exit_code": code, "incidents": incidents }))?;
        return Ok(code);
    }
    match replayed.as_slice() {
        [one] => print(one.in_words())?,
        many => {
            let cases: Vec<Case> = many.iter().map(|one| one.case.clone()).collect();
            print(cases::outcomes(&cases, Timestamp::now(), room_on_stdout()))?;
        }
    }
    super::pass::tell_troubles(&passed.report);
    Ok(code)
}

fn code_of(passed: &Passed) -> u8 {
    match passed.signal {
        Some(signal) => signal.exit_code(),
        None if passed.report.figures().parked > 0 || !passed.report.troubles.is_empty() => exit::FAILURE,
        None => exit::SUCCESS,
    }
}

/// The configured way to run and judge, and nothing of where incidents come from and results go.
fn configuration(args: &ReplayArgs, folder: &Folder) -> Result<Config, Failure> {
    let mut settings = overrides(&[&args.work, &args.config]);
    let path = |path: PathBuf| {
        path.into_os_string()
            .into_string()
            .map_err(|path| Failure::new(format!("the folder {} has a name that is no text", path.display())))
    };
    settings.extend([
        ("publish.to".to_owned(), "folder".to_owned()),
        ("publish.folder.path".to_owned(), path(folder.output.clone())?),
        ("state.folder".to_owned(), path(folder.state.path().to_owned())?),
        ("log.file".to_owned(), path(folder.output.join("notebook_execution.log"))?),
        ("run.keep".to_owned(), "all".to_owned()),
    ]);
    let mut config = configure::load(&args.config, settings)?;
    // Somebody waits, and can try again.
    let retries = &mut config.retries;
    for retry in
        [&mut retries.unavailable, &mut retries.kernel, &mut retries.notebook, &mut retries.permission]
    {
        *retry = Retry { attempts: 1, ..*retry };
    }
    Ok(config)
}

/// Where everything goes.
struct Folder {
    output: PathBuf,
    /// The ledger, which nobody needs afterwards.
    state: tempfile::TempDir,
}

impl Folder {
    fn make(output: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::because(format!("cannot make the folder {}", output.display()), &error)
        };
        std::fs::create_dir_all(output).map_err(failed)?;
        let output = std::path::absolute(output).map_err(failed)?;
        let state = tempfile::Builder::new().prefix(".replay-").tempdir_in(&output).map_err(failed)?;
        Ok(Self { output, state })
    }

    /// Where what would be written to incidents is written.
    fn written(&self) -> PathBuf {
        self.output.join("incidents")
    }

    /// What came of one incident. Its notebook is put into the folder where the manager would not have published it.
    async fn replayed(&self, manager: &Manager, case: &Case) -> Result<Replayed, Failure> {
        let published = case.state.ending == Some(Ending::Triaged);
        let (notebook, report) = if published {
            (case.facts.link.clone(), case.facts.report.clone())
        } else {
            self.keep(manager, case).await?
        };
        let written = self.written().join(format!("{}.json", case.facts.name.to_lowercase()));
        let written = Some(written).filter(|path| path.is_file());
        Ok(Replayed { case: case.clone(), notebook, report, written })
    }

    async fn keep(
        &self,
        manager: &Manager,
        case: &Case,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let executed = manager.executed(case).await.map_err(|trouble| configure::of_trouble(&trouble))?;
        let Some(notebook) = executed else { return Ok((None, None)) };
        // A checked name is one part of a path.
        let path = self.output.join(format!("{}.ipynb", case.facts.name));
        let page = path.with_extension("html");
        let title = format!("Incident {}: {}", case.facts.called(), case.facts.title);
        let html = report(&notebook, &ReportOptions { title: Some(title), ..ReportOptions::default() });
        for (path, content) in [(&path, notebook.to_vec()), (&page, html.into_bytes())] {
            std::fs::write(path, content)
                .map_err(|error| Failure::because(format!("cannot write {}", path.display()), &error))?;
        }
        let shown = |path: &Path| Some(path.display().to_string());
        Ok((shown(&path), shown(&page)))
    }
}

/// What came of a recorded incident.
struct Replayed {
    case: Case,
    notebook: Option<String>,
    report: Option<String>,
    /// What would have been written to the incident.
    written: Option<PathBuf>,
}

impl Replayed {
    fn as_json(&self) -> Value {
        let mut value = cases::as_json(&self.case);
        value["executed"] = json!(self.notebook);
        value["report"] = json!(self.report);
        value["written"] = json!(self.written);
        value
    }

    fn in_words(&self) -> String {
        let Self { case, notebook, report, written } = self;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                writeln!(text, "  {name:<11}{}", sanitise_line(value))
                    .expect("writing to a String does not fail");
            }
        };
        let confidence = cases::confidence(case);
        let verdict = cases::verdict(case);
        line("severity", &cases::severity(case));
        line(
            "verdict",
            &if confidence.is_empty() { verdict } else { format!("{verdict}, confidence {confidence}") },
        );
        line("ended", &cases::ended(case, Timestamp::now()));
        line("notebook", notebook.as_deref().unwrap_or_default());
        line("report", report.as_deref().unwrap_or_default());
        line("written", &written.as_ref().map(|path| path.display().to_string()).unwrap_or_default());
        let title = sanitise_line(&case.facts.title);
        let mut whole = format!("Incident {}: {title}\n{text}", case.facts.called());
        if let Some(verdict) = &case.facts.verdict {
            let summary = sanitise(verdict.summary.as_deref().unwrap_or_default(), Keep::NOTHING);
            if !summary.trim().is_empty() {
                write!(whole, "\n{}\n", summary.trim()).expect("writing to a String does not fail");
            }
            let evidence = evidence(verdict);
            if !evidence.is_empty() {
                write!(whole, "\n{evidence}").expect("writing to a String does not fail");
            }
        }
        whole
    }
}

fn evidence(verdict: &rnbexec_manager::verdict::Verdict) -> String {
    const COLUMNS: [Column; 4] = [
        Column::whole("SEVERITY"),
        Column::whole("KIND"),
        Column::cut("ENTITY", 20),
        Column::cut("REASON", 30),
    ];
    let rows = verdict.evidence.iter().map(|row| {
        vec![
            row.severity.map(|severity| severity.to_string()).unwrap_or_default(),
            row.kind.clone().unwrap_or_default(),
            row.entity.clone(),
            row.reason.clone().unwrap_or_default(),
        ]
    });
    table(&COLUMNS, &rows.collect::<Vec<_>>(), room_on_stdout())
}

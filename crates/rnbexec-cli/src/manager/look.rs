//! `manager status` and `manager show`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec_azure::sentinel::IncidentRef;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_manager::config::Config;
use rnbexec_manager::ledger::{Case, Entry, Ledger};
use serde_json::{Value, json};

use super::args::{LookArgs, ShowArgs, overrides};
use super::cases::{self, advice, ended, severity, spoken, when};
use super::table::{Column, room_on_stdout, table};
use super::{configure, print, print_json};
use crate::exit;
use crate::failure::Failure;
use crate::sanitise::sanitise_line;

/// The ledger of a configuration; none is made by looking.
pub(super) fn ledger(config: &Config) -> Result<Ledger, Failure> {
    let folder = &config.state.folder;
    if !Ledger::exists(folder) {
        return Err(Failure::new(format!("there is no ledger in {}", folder.display())).help(
            "`rnbexec manager once` makes it; is this the right configuration (--config) or folder (--state)?",
        ));
    }
    Ledger::open(folder).map_err(|error| Failure::of(&error))
}

/// The cases of an incident, the latest first.
pub(super) async fn cases_of(ledger: &Ledger, incident: &str) -> Result<Vec<Case>, Failure> {
    // A portal URL is looked up as the id that it holds.
    let wanted = match IncidentRef::parse(incident) {
        Ok(IncidentRef::Arm { name, .. } | IncidentRef::Name(name)) => name.to_string(),
        Ok(IncidentRef::Number(number)) => number.to_string(),
        Ok(IncidentRef::Defender(_)) | Err(_) => incident.to_owned(),
    };
    let cases = ledger.cases_of(&wanted).await.map_err(|error| Failure::of(&error))?;
    if cases.is_empty() {
        let what = format!("the ledger knows no incident {}", sanitise_line(incident));
        return Err(Failure::new(what).help("`rnbexec manager status` lists those that are not done"));
    }
    Ok(cases)
}

/// What the cases of a ledger are at.
#[derive(Default)]
struct Counts {
    waiting: usize,
    running: usize,
    again: usize,
    needs_person: usize,
    triaged: usize,
    no_finding: usize,
    skipped: usize,
}

/// What is to be done about a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Waiting,
    /// It failed and waits.
    Again,
    NeedsPerson,
    Over,
}

fn state(case: &Case) -> State {
    match case.state.step {
        Step::Done => State::Over,
        Step::NeedsHuman => State::NeedsPerson,
        _ if case.owned => State::Running,
        _ if case.state.failures > 0 => State::Again,
        _ => State::Waiting,
    }
}

impl Counts {
    fn of(cases: &[Case]) -> Self {
        let mut counts = Self::default();
        for case in cases {
            *match (state(case), case.state.ending) {
                (State::Running, _) => &mut counts.running,
                (State::Waiting, _) => &mut counts.waiting,
                (State::Again, _) => &mut counts.again,
                (State::NeedsPerson, _) => &mut counts.needs_person,
                (State::Over, Some(Ending::Triaged)) => &mut counts.triaged,
                (State::Over, Some(Ending::NoFinding)) => &mut counts.no_finding,
                (State::Over, Some(Ending::Skipped | Ending::Parked) | None) => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    fn each(&self) -> [(&'static str, usize); 7] {
        [
            ("waiting", self.waiting),
            ("running", self.running),
            ("tried again later", self.again),
            ("needs a person", self.needs_person),
            ("triaged", self.triaged),
            ("no finding", self.no_finding),
            ("skipped", self.skipped),
        ]
    }
}

/// `manager status`.
pub(super) async fn status(args: LookArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.config, overrides(&[&args.config]))?;
    let ledger = ledger(&config)?;
    let now = Timestamp::now();
    let failed = |error| Failure::of(&error);
    // A case of a manager that is gone waits, it does not run.
    ledger.recover(now).await.map_err(failed)?;
    let cases = ledger.cases().await.map_err(failed)?;
    let backlog: Vec<&Case> =
        cases.iter().filter(|case| !matches!(state(case), State::Over | State::NeedsPerson)).collect();
    let oldest = backlog.iter().map(|case| case.facts.created.unwrap_or(case.enlisted)).min();
    let counts = Counts::of(&cases);
    if args.json {
        let open = cases.iter().filter(|case| state(case) != State::Over).map(cases::as_json);
        let open: Vec<Value> = open.collect();
        print_json(&json!({
            "counts": {
                "waiting": counts.waiting,
                "running": counts.running,
                "again": counts.again,
                "needs_person": counts.needs_person,
                "triaged": counts.triaged,
                "no_finding": counts.no_finding,
                "skipped": counts.skipped,
            },
            "oldest": oldest,
            "incidents": open,
        }))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    for (name, count) in counts.each() {
        line(&mut text, format_args!("{name:<18}{count:>6}"));
    }
    if let Some(oldest) = oldest {
        let age = Duration::try_from(now.duration_since(oldest)).unwrap_or_default();
        line(&mut text, format_args!("oldest that waits {:>6}", spoken(age)));
    }
    let room = room_on_stdout();
    section(&mut text, "Running", &open(&cases, State::Running, now, room));
    section(&mut text, "Waiting", &open(&cases, State::Waiting, now, room));
    section(&mut text, "Tried again later", &open(&cases, State::Again, now, room));
    section(&mut text, "Needs a person", &parked(&cases, now, room));
    if counts.needs_person > 0 {
        text.push_str("\n`rnbexec manager retry INCIDENT` begins one again, `rnbexec manager retry --all-parked` all of them.\n");
    }
    print(text)?;
    Ok(exit::SUCCESS)
}

fn section(text: &mut String, heading: &str, table: &str) {
    if !table.is_empty() {
        line(text, format_args!("\n{heading}\n{}", table.trim_end()));
    }
}

/// The cases of one state, the most urgent first.
fn of_state(cases: &[Case], wanted: State) -> Vec<&Case> {
    let mut cases: Vec<&Case> = cases.iter().filter(|case| state(case) == wanted).collect();
    cases.sort_by_key(|case| (std::cmp::Reverse(cases::urgency(case)), case.facts.created));
    cases
}

fn open(cases: &[Case], wanted: State, now: Timestamp, room: Option<usize>) -> String {
    const COLUMNS: [Column; 6] = [
        Column::whole("INCIDENT"),
        Column::whole("SEVERITY"),
        Column::cut("TITLE", 20),
        Column::whole("STEP"),
        Column::whole("FAILURES"),
        Column::cut("DUE", 24),
    ];
    let row = |case: &Case| {
        let reason = case.facts.reason.as_deref().filter(|_| wanted == State::Again);
        let due = match (wanted, reason) {
            (State::Running, _) => "running".to_owned(),
            (_, Some(reason)) => format!("{}: {reason}", when(case.due, now)),
            (_, None) => when(case.due, now),
        };
        let failures = case.state.failures.to_string();
        let step = case.state.step.as_str().to_owned();
        vec![case.facts.called(), severity(case), case.facts.title.clone(), step, failures, due]
    };
    table(&COLUMNS, &of_state(cases, wanted).into_iter().map(row).collect::<Vec<_>>(), room)
}

/// Those that were given up: a block for each, since the reason must be read in full.
fn parked(cases: &[Case], now: Timestamp, room: Option<usize>) -> String {
    const COLUMNS: [Column; 4] = [
        Column::whole("INCIDENT"),
        Column::whole("SEVERITY"),
        Column::cut("TITLE", 20),
        Column::whole("SINCE"),
    ];
    let mut text = String::new();
    for case in of_state(cases, State::NeedsPerson) {
        let since = Duration::try_from(now.duration_since(case.updated)).unwrap_or_default();
        let row = vec![case.facts.called(), severity(case), case.facts.title.clone(), spoken(since)];
        let whole = table(&COLUMNS, &[row], room);
        // One heading is enough.
        let rows = if text.is_empty() {
            whole.as_str()
        } else {
            whole.split_once('\n').map_or("", |(_, rows)| rows)
        };
        text.push_str(rows);
        let reason = case.facts.reason.as_deref().unwrap_or("not known");
        let class = case.facts.class.map(|class| format!(" ({class})")).unwrap_or_default();
        line(&mut text, format_args!("    why{class}: {}", sanitise_line(reason)));
        line(&mut text, format_args!("    what to do: {}", advice(case.facts.class)));
    }
    text
}

/// `manager show`.
pub(super) async fn show(args: ShowArgs) -> Result<u8, Failure> {
    let config = configure::load(&args.look.config, overrides(&[&args.look.config]))?;
    let ledger = ledger(&config)?;
    let now = Timestamp::now();
    ledger.recover(now).await.map_err(|error| Failure::of(&error))?;
    let mut shown = Vec::new();
    for case in cases_of(&ledger, &args.incident).await? {
        let history = ledger.history(&case.key).await.map_err(|error| Failure::of(&error))?;
        shown.push((case, history));
    }
    let files = |case: &Case| {
        let folder = rnbexec_manager::run_folder(&config.state.folder, &case.key);
        folder.is_dir().then_some(folder)
    };
    if args.look.json {
        let incidents = shown.iter().map(|(case, history)| {
            let mut value = cases::as_json(case);
            value["history"] = json!(history);
            value["files"] = json!(files(case));
            value
        });
        print_json(&json!({ "incidents": incidents.collect::<Vec<_>>() }))?;
        return Ok(exit::SUCCESS);
    }
    let mut text = String::new();
    for (case, history) in &shown {
        if !text.is_empty() {
            text.push('\n');
        }
        tell(&mut text, case, history, files(case).as_deref(), now);
    }
    print(text)?;
    Ok(exit::SUCCESS)
}

/// All that is known of a case.
fn tell(text: &mut String, case: &Case, history: &[Entry], files: Option<&Path>, now: Timestamp) {
    let facts = &case.facts;
    line(text, format_args!("Incident {}: {}", facts.called(), sanitise_line(&facts.title)));
    let verdict = cases::verdict(case);
    let confidence = cases::confidence(case);
    let said = facts.verdict.as_ref();
    let time = |time: Option<Timestamp>| time.map(stamp).unwrap_or_default();
    let rows = [
        ("id", facts.incident_id.clone()),
        ("run", case.key.to_string()),
        ("created", time(facts.created)),
        ("last activity", time(facts.activity)),
        ("source", facts.source.clone()),
        ("route", facts.route.clone()),
        ("notebook", facts.notebook.clone()),
        ("ran for", facts.seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default()),
        ("severity", severity(case)),
        (
            "verdict",
            if confidence.is_empty() { verdict } else { format!("{verdict}, confidence {confidence}") },
        ),
        ("", said.and_then(|verdict| verdict.title.clone()).unwrap_or_default()),
        ("", said.and_then(|verdict| verdict.summary.clone()).unwrap_or_default()),
        ("link", facts.link.clone().unwrap_or_default()),
        ("report", facts.report.clone().unwrap_or_default()),
        ("files", files.map(|files| files.display().to_string()).unwrap_or_default()),
        (
            "stands at",
            if case.owned { format!("{}, running", case.state.step.as_str()) } else { ended(case, now) },
        ),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        line(text, format_args!("  {name:<14}{}", sanitise_line(value)));
    }
    for withheld in &facts.withheld {
        line(text, format_args!("  {:<14}{}", "not done", sanitise_line(withheld)));
    }
    if case.state.step == Step::NeedsHuman {
        line(text, format_args!("  {:<14}{}", "what to do", advice(facts.class)));
    }
    line(text, format_args!("  history"));
    for entry in history {
        let Entry { at, step, what, detail } = entry;
        let detail = sanitise_line(detail);
        let said = format!("    {}  {:<12} {what:<8} {detail}", stamp(*at), step.as_str());
        line(text, format_args!("{}", said.trim_end()));
    }
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(text, "{what}").expect("writing to a String does not fail");
}

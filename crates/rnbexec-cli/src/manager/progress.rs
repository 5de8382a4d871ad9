//! What a manager tells while it works, on standard error: a line for each incident that ends. On a terminal, what runs now stands
//! below, with its cells.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rnbexec_manager::case::Ending;
use rnbexec_manager::ledger::Facts;
use rnbexec_manager::{Event, RunKey};

use super::cases::spoken;
use super::installing::Installing;
use super::table::{cut, room_on_stderr};
use crate::console::Console;
use crate::sanitise::sanitise_line;

/// Takes the events of a manager.
pub(crate) struct Progress(Mutex<Inner>);

struct Inner {
    console: Console,
    /// A service tells less: its journal is read later.
    service: bool,
    bar: Option<ProgressBar>,
    running: Vec<Running>,
    ended: usize,
    /// How many there are, as far as is known.
    known: usize,
    environment: Installing,
}

struct Running {
    key: RunKey,
    title: String,
    cells: Option<(usize, usize)>,
}

impl Progress {
    /// The progress of work on a backlog of so many cases.
    pub(crate) fn new(console: Console, service: bool) -> Self {
        let bar = (console.is_terminal() && !service).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is sound");
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            console.attach(bar.clone());
            bar
        });
        let running = Vec::new();
        Self(Mutex::new(Inner {
            console,
            service,
            bar,
            running,
            ended: 0,
            known: 0,
            environment: Installing::default(),
        }))
    }

    /// Something happened.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tell(event);
    }

    /// Nothing more is told.
    pub(crate) fn stop(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = inner.bar.take() {
            bar.finish_and_clear();
            inner.console.detach();
        }
    }
}

impl Inner {
    fn tell(&mut self, event: &Event<'_>) {
        match *event {
            Event::Enlisted { .. } => self.known += 1,
            Event::Started { case } => {
                let title = format!("{}  {}", case.facts.called(), case.facts.title);
                self.running.push(Running {
                    key: case.key.clone(),
                    title: sanitise_line(&title),
                    cells: None,
                });
            }
            Event::Environment { line, .. } => {
                if let Some(line) = self.environment.digest(line) {
                    tracing::info!("{line}");
                }
            }
            Event::Cell { key, index, total } => {
                if let Some(running) = self.running.iter_mut().find(|running| running.key == *key) {
                    running.cells = Some((index + 1, total));
                }
            }
            Event::Failure { key, facts, step, reason, wait: Some(wait), .. } => {
                self.forget(key);
                let called = facts.called();
                let (step, wait) = (step.as_str(), spoken(wait));
                tracing::warn!("incident {called}: {step} failed, tried again in {wait}: {reason}");
            }
            Event::GivenBack { key, facts, reason } => {
                self.forget(key);
                tracing::warn!("incident {}: given back, {reason}", facts.called());
            }
            Event::Ended { key, facts, ending } => {
                self.ended += 1;
                let cells = self.forget(key);
                let line = ended(facts, ending, cells);
                let count = if self.service { String::new() } else { format!("[{}] ", self.count()) };
                tracing::info!("{count}{line}");
            }
            Event::Note { note, .. } if !self.service => tracing::info!("{note}"),
            Event::SourceFailed { source, reason } => {
                tracing::warn!("cannot ask {source} for incidents: {reason}");
            }
            Event::Rejected { what, reason } => tracing::warn!("{what} is put aside: {reason}"),
            Event::PassedOver { incident, reason } if !self.service => {
                tracing::info!("incident {incident} is not triaged: {reason}");
            }
            Event::AlreadyProcessed { incident, case } if !self.service => {
                let before = case.updated.strftime("%Y-%m-%d %H:%M:%SZ");
                tracing::info!(
                    "incident {incident} was triaged before ({before}), and nothing happened in it since"
                );
            }
            _ => {}
        }
        self.draw();
    }

    /// Takes a case off the list of those that run; how many cells it ran.
    fn forget(&mut self, key: &RunKey) -> Option<(usize, usize)> {
        let at = self.running.iter().position(|running| running.key == *key)?;
        self.running.remove(at).cells
    }

    fn count(&self) -> String {
        let known = self.known.max(self.ended + self.running.len());
        format!("{}/{known}", self.ended)
    }

    fn draw(&self) {
        let Some(bar) = &self.bar else { return };
        let room = room_on_stderr().saturating_sub(2);
        let mut message = format!("{} incidents, {} running", self.count(), self.running.len());
        for running in &self.running {
            let cells =
                running.cells.map(|(cell, total)| format!("  cell {cell}/{total}")).unwrap_or_default();
            let title = cut(&running.title, room.saturating_sub(cells.len() + 4));
            write!(message, "\n    {title}{cells}").expect("writing to a String does not fail");
        }
        bar.set_message(message);
    }
}

/// What became of an incident, in a line.
fn ended(facts: &Facts, ending: Ending, cells: Option<(usize, usize)>) -> String {
    let reason = facts.reason.as_deref().unwrap_or("for no known reason");
    let became = match ending {
        Ending::Triaged => {
            let (before, after) = match &facts.change {
                Some((before, after)) => (before, after),
                None => (&facts.severity, &facts.severity),
            };
            let severity = if before == after { after.clone() } else { format!("{before} → {after}") };
            let verdict = facts.verdict.as_ref().map(|verdict| format!(", verdict {}", verdict.severity));
            severity + &verdict.unwrap_or_default()
        }
        Ending::NoFinding => "no finding".to_owned(),
        Ending::Skipped => format!("skipped, {reason}"),
        Ending::Parked => format!("needs a person, {reason}"),
    };
    let ran = match (cells, facts.seconds) {
        (Some((_, total)), Some(seconds)) => format!(" ({total} cells, {seconds:.1} s)"),
        _ => String::new(),
    };
    format!("incident {}: {became}{ran}: {}", facts.called(), facts.title)
}

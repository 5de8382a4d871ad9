//! The guardian: a small process that outlives this one, and brings into order what it leaves when it is killed outright.
//!
//! `kill -9`, the system's out-of-memory killer and an abort give a process no time to tidy up. The guardian is told on its
//! standard input of everything that would then be left (kernels with all they started, notebooks that say that they are
//! running), and of everything that is over. That its input ends is how it learns that we did; what is not over by then,
//! it clears up: it kills the kernels' processes, removes their private directories, and makes of the output and its journal
//! a notebook that says what happened ([`crate::recover`]).
//!
//! One guardian serves all runs of a process. It is started by the first, beside everything else that a start does, and
//! ends with the process. Should the guardian itself be killed, it is started again with the next thing it is to know of;
//! should both be killed at once, the kernels die all the same and `recover` brings the notebook into order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rnbexec_kernel::{Companion, Registrar, Remains};
use serde::{Deserialize, Serialize};

use crate::Services;
use crate::recover::{self, Told};
use crate::store::Location;
use crate::store::local::staging_prefix;

/// Starts the guardian and tells it what there is to know. Cheap to clone; there is one guardian for all clones.
#[derive(Clone)]
pub struct Guardian {
    shared: Arc<Shared>,
}

struct Shared {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Variables of ours that it does not get.
    withheld: Vec<OsString>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Companion>,
    /// It could not be started: it is not tried again, and the runs go on without.
    unavailable: bool,
    wards: Wards,
    next: u64,
}

/// What is to be brought into order if it is not over when we end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ward {
    Kernel(Remains),
    Run { output: Output, journal: PathBuf, start_time: String, staging: String },
}

/// Where a run writes to. A path is no text that could be read as something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Output {
    Local(PathBuf),
    /// With its secrets: this is said through a pipe and nowhere else.
    Elsewhere(String),
}

/// A line to the guardian.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Watch(u64, Ward),
    Over(u64),
}

type Wards = BTreeMap<u64, Ward>;

impl Guardian {
    /// A guardian that is started as this program with these arguments. The program must call [`guard`] with its standard
    /// input, and let no signal end it: what ends a run is often sent to all processes around it.
    pub fn of_program(program: impl Into<PathBuf>, arguments: Vec<OsString>) -> Self {
        let (program, withheld, state) = (program.into(), Vec::new(), Mutex::default());
        Self { shared: Arc::new(Shared { program, arguments, withheld, state }) }
    }

    /// The same, without these variables of this process: it lives while strangers' code runs, and needs none of the secrets that
    /// were meant for that. What it does need are the credentials of the storage that outputs go to
    /// ([`store::may_need`](crate::store::may_need)). To be said before the first run: it is another guardian for all that follows.
    #[must_use]
    pub fn without_variables<N: Into<OsString>>(&self, names: impl IntoIterator<Item = N>) -> Self {
        let Shared { program, arguments, withheld, state: _ } = &*self.shared;
        let withheld = withheld.iter().cloned().chain(names.into_iter().map(Into::into)).collect();
        let (program, arguments, state) = (program.clone(), arguments.clone(), Mutex::default());
        Self { shared: Arc::new(Shared { program, arguments, withheld, state }) }
    }

    /// Starts it if it is not there. Blocks for about a millisecond.
    pub(crate) fn start(&self) {
        self.shared.state().start(&self.shared);
    }

    /// Tells it of each kernel that is started.
    pub(crate) fn registrar(&self) -> Registrar {
        let guardian = self.clone();
        Arc::new(move |remains| Box::new(Settled(guardian.watch(Ward::Kernel(remains.clone())))))
    }

    /// Tells it of a run.
    pub(crate) fn watch_run(&self, output: &Location, journal: &Path, start_time: &str) -> Option<Watched> {
        let output = match output {
            Location::Local(path) => Output::Local(std::path::absolute(path).ok()?),
            elsewhere => Output::Elsewhere(elsewhere.reveal()),
        };
        let (journal, start_time) = (journal.to_path_buf(), start_time.to_owned());
        let staging = staging_prefix().to_owned();
        Some(self.watch(Ward::Run { output, journal, start_time, staging }))
    }

    fn watch(&self, ward: Ward) -> Watched {
        let mut state = self.shared.state();
        let id = state.next;
        state.next += 1;
        state.wards.insert(id, ward.clone());
        state.tell(&self.shared, &Line::Watch(id, ward));
        Watched { guardian: self.clone(), id }
    }
}

/// Something that the guardian knows of. Dropped without being over, it stays so: the guardian sees to it when we end.
pub(crate) struct Watched {
    guardian: Guardian,
    id: u64,
}

impl Watched {
    /// Nothing is left to be done about it.
    pub(crate) fn settle(&self) {
        let mut state = self.guardian.shared.state();
        if state.wards.remove(&self.id).is_some() && state.process.is_some() {
            state.tell(&self.guardian.shared, &Line::Over(self.id));
        }
    }
}

/// For what is over when it is dropped.
struct Settled(Watched);

impl Drop for Settled {
    fn drop(&mut self) {
        self.0.settle();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start(&mut self, shared: &Shared) {
        if self.process.is_some() || self.unavailable {
            return;
        }
        let begun = Instant::now();
        match Companion::start(&shared.program, &shared.arguments, &shared.withheld) {
            Ok(process) => {
                tracing::debug!(after = ?begun.elapsed(), "started a guardian");
                self.process = Some(process);
            }
            Err(error) => {
                self.unavailable = true;
                tracing::warn!(program = %shared.program.display(), %error, "cannot start the guardian of the runs");
            }
        }
    }

    /// The pipe takes a line at once: it is never full, since its reader does nothing but read.
    fn tell(&mut self, shared: &Shared, line: &Line) {
        if self.process.is_none() {
            self.start_and_tell_all(shared);
        } else if let Some(process) = &mut self.process
            && let Err(error) = say(process, line)
        {
            tracing::debug!(%error, "the guardian is gone; another one is started");
            self.bury();
            self.start_and_tell_all(shared);
        }
    }

    fn start_and_tell_all(&mut self, shared: &Shared) {
        self.start(shared);
        let Some(process) = &mut self.process else { return };
        for (id, ward) in &self.wards {
            if let Err(error) = say(process, &Line::Watch(*id, ward.clone())) {
                tracing::debug!(%error, "the new guardian is gone too");
                return;
            }
        }
    }

    fn bury(&mut self) {
        if let Some(process) = self.process.take() {
            process.dismiss();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.wards.is_empty() {
            self.bury();
        }
        // Else it has something to do, for which nobody waits; it ends by itself.
    }
}

fn say(process: &mut Companion, line: &Line) -> io::Result<()> {
    match serde_json::to_vec(line) {
        Ok(mut text) => {
            text.push(b'\n');
            process.tell(&text)
        }
        // A path that is no text: nobody is told of it.
        Err(error) => {
            tracing::debug!(%error, "the guardian cannot be told");
            Ok(())
        }
    }
}

/// The whole life of a guardian: listens until its teller has ended, then brings into order what is not over.
pub async fn guard(told: impl BufRead + Send + 'static, services: &Services) {
    let listen = tokio::task::spawn_blocking(move || listen(told));
    let Ok(wards) = listen.await else { return };
    let (kernels, runs): (Vec<_>, Vec<_>) =
        wards.into_values().partition(|ward| matches!(ward, Ward::Kernel(_)));
    let clear_up = tokio::task::spawn_blocking(move || {
        for ward in kernels {
            if let Ward::Kernel(remains) = ward {
                remains.clear_up();
            }
        }
    });
    for ward in runs {
        let Ward::Run { output, journal, start_time, staging } = ward else { continue };
        let output = match output {
            Output::Local(path) => Ok(Location::Local(path)),
            Output::Elsewhere(text) => Location::parse(&text),
        };
        match output {
            Ok(output) => {
                let told = Told { journal, start_time, staging };
                if let Err(error) = recover::after_death(&output, told, services).await {
                    tracing::warn!(%output, error = crate::error::chain(&error), "not recovered");
                }
            }
            Err(error) => tracing::warn!(%error, "not recovered"),
        }
    }
    if clear_up.await.is_err() {
        tracing::warn!("clearing up after kernels was cut short");
    }
}

/// What is not over when the input ends.
fn listen(told: impl BufRead) -> Wards {
    let mut wards = Wards::new();
    for line in told.split(b'\n') {
        // A broken pipe is an end like any other, and a line cut short was never said.
        let Ok(line) = line else { break };
        match serde_json::from_slice(&line) {
            Ok(Line::Watch(id, ward)) => drop(wards.insert(id, ward)),
            Ok(Line::Over(id)) => drop(wards.remove(&id)),
            Err(_) => {}
        }
    }
    wards
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> Ward {
        Ward::Run {
            output: Output::Local(format!("/{name}.ipynb").into()),
            journal: format!("/.{name}.ipynb.rnbexec-journal").into(),
            start_time: "2026-11-26T13:00:00+00:00".to_owned(),
            staging: staging_prefix().to_owned(),
        }
    }

    fn text(lines: &[Line]) -> Vec<u8> {
        lines.iter().flat_map(|line| serde_json::to_vec(line).unwrap().into_iter().chain([b'\n'])).collect()
    }

    #[test]
    fn what_is_not_over_at_the_end_is_left_to_the_guardian() {
        let told = text(&[
            Line::Watch(0, run("a")),
            Line::Watch(1, run("b")),
            Line::Over(0),
            Line::Watch(2, run("c")),
        ]);
        assert_eq!(listen(&told[..]), Wards::from([(1, run("b")), (2, run("c"))]));
    }

    #[test]
    fn a_line_cut_short_was_never_said() {
        let told = text(&[Line::Watch(0, run("a")), Line::Watch(1, run("b"))]);
        for cut in 0..told.len() - 1 {
            assert!(listen(&told[..cut]).len() <= 1, "{cut}");
        }
    }

    #[test]
    fn a_guardian_that_cannot_be_started_hinders_nothing() {
        let guardian = Guardian::of_program("/no/such/program", Vec::new());
        let watched = guardian.watch(run("a"));
        watched.settle();
        assert!(guardian.shared.state().unavailable);
    }

    #[cfg(unix)]
    #[test]
    fn a_guardian_that_was_killed_is_started_again_and_told_everything() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let script = format!("exec cat >> {}", said.display());
        let guardian = Guardian::of_program("/bin/sh", vec!["-c".into(), script.into()]);
        let first = guardian.watch(run("a"));
        let pid = guardian.shared.state().process.as_ref().expect("it was started").pid().to_string();
        assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        while guardian.shared.state().process.as_mut().expect("it is kept").tell(b"\n").is_ok() {
            // It is not dead yet.
        }
        let second = guardian.watch(run("b"));
        first.settle();
        second.settle();
        drop(guardian);
        // All that the second life was told, and the first may have been.
        let over = |id| text(&[Line::Over(id)]);
        let expected =
            [text(&[Line::Watch(0, run("a")), Line::Watch(1, run("b"))]), over(0), over(1)].concat();
        let deadline = Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let said = std::fs::read(&said).unwrap_or_default();
            if said.ends_with(&expected) {
                return;
            }
            assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&said));
            std::thread::yield_now();
        }
    }
}

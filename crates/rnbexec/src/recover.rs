//! What a run that was killed outright has left, made into a notebook that says what happened.
//!
//! The output as it was saved last and the run's journal together hold every cell that had ended. Such cells are as they
//! were; the cell in flight is `failed` with the outputs it had in the last save, and says that some may be missing; later
//! cells are `pending`; `exception` is `true`, and `metadata.rnbexec` says that the runner was killed.
//!
//! Recovering is idempotent, and only the output of a run that is over in no other way is touched: not one that came to its
//! end, nor one whose runner lives or that another run has overwritten. Whether the runner lives tells the journal, which is
//! beside a local output; for one elsewhere it is on the runner's machine, and without it somebody has to say so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rnbexec_notebook::papermill::{self, CellStatus};
use rnbexec_notebook::{CELL_SEPARATOR, Json, Notebook, NotebookError, Object, write_cell, write_frame};

use crate::Services;
use crate::run::note;
use crate::run::time::iso;
use crate::save::journal::{self, Contents, Locked, Record};
use crate::store::{Durability, Location, StoreError, local};

/// How long the journal's lock is waited for: whoever has it for a moment only looks at it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same for a guardian, which nobody waits for.
const GUARDIANS_PATIENCE: Duration = Duration::from_secs(5);

/// What `metadata.rnbexec` says of a run whose runner was killed.
const OUTCOME: &str = "runner-killed";
const REASON: &str = "the program that ran the notebook was killed";

/// What there was to recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// The run came to its end: the notebook says all there is to say.
    NothingToDo,
    /// The notebook now says that its runner was killed.
    Recovered {
        /// How many cells the last save did not hold as they were.
        from_journal: usize,
        /// The cell that was in flight.
        in_flight: Option<usize>,
    },
}

/// What is taken for granted of the run of an output elsewhere that has no journal on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unseen {
    /// It may be going on, on another machine: its output is left alone.
    #[default]
    MayLive,
    /// It is over: somebody knows that.
    IsOver,
}

/// Why an output could not be recovered. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The runner lives, or another process recovers the notebook.
    #[error("the run is still going on")]
    StillRunning,
    /// The output is elsewhere, and its runner was another machine's, or had other temporary files.
    #[error("this machine has no journal of the run, which may still be going on elsewhere")]
    Unseen,
    /// No run of papermill's or ours has written it.
    #[error("it is not the output of a run")]
    NotAnOutput,
    /// The output could not be fetched.
    #[error("cannot read the notebook")]
    Read(#[source] StoreError),
    /// The output is no notebook.
    #[error("it is not a notebook that can be read")]
    Notebook(#[source] NotebookError),
    /// The recovered notebook could not be written; its journal is kept.
    #[error("cannot save the notebook")]
    Save(#[source] StoreError),
}

/// Brings the output of a run into order whose runner was killed.
///
/// # Errors
/// See [`RecoverError`].
pub async fn recover(
    output: &Location,
    unseen: Unseen,
    services: &Services,
) -> Result<Recovery, RecoverError> {
    let journal = journal::place(output, &services.rescue_dir, &services.stores);
    let job = Job { output, services, journal, started: None, unseen, patience: PATIENCE };
    job.recover().await
}

/// What a guardian knows of a run.
pub(crate) struct Told {
    pub(crate) journal: PathBuf,
    pub(crate) start_time: String,
    /// How the names of its files began that were not yet in their place; the journal says so too, once it is in its own.
    pub(crate) staging: String,
}

/// The same for a guardian that knows which run it was, and saw it end just now.
pub(crate) async fn after_death(
    output: &Location,
    told: Told,
    services: &Services,
) -> Result<Recovery, RecoverError> {
    let Told { journal, start_time, staging } = told;
    if let Some(folder) = journal.parent() {
        local::clear_staging(folder, &staging);
    }
    let (journal, started) = (Some(journal), Some(start_time));
    let job =
        Job { output, services, journal, started, unseen: Unseen::IsOver, patience: GUARDIANS_PATIENCE };
    job.recover().await
}

struct Job<'a> {
    output: &'a Location,
    services: &'a Services,
    journal: Option<PathBuf>,
    /// When the run started, if it is known which one it must be.
    started: Option<String>,
    unseen: Unseen,
    patience: Duration,
}

impl Job<'_> {
    async fn recover(self) -> Result<Recovery, RecoverError> {
        let mut left = self.look().await?;
        let base = self.services.stores.read(self.output).await.map_err(RecoverError::Read)?;
        let ended = match self.started {
            Some(_) => (self.services.clock)(),
            None => {
                left.last_sign.or_else(|| last_change(self.output)).unwrap_or_else(|| (self.services.clock)())
            }
        };
        let contents = std::mem::take(&mut left.contents);
        let journaled = contents.header.as_ref().map(|header| header.start_time.clone());
        let expected = self.started;
        let merging = tokio::task::spawn_blocking(move || merge(&base, contents, expected.as_deref(), ended));
        let merged = match merging.await {
            Ok(merged) => merged?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let Some((notebook, recovery)) = merged else {
            left.remove();
            return Ok(Recovery::NothingToDo);
        };
        // The journal of another run says nothing about this one.
        let is_seen = self.output.as_local().is_some() || journaled.as_deref() == run_started(&notebook);
        if !is_seen && self.unseen == Unseen::MayLive {
            return Err(RecoverError::Unseen);
        }
        let parts = [Bytes::from(notebook.to_vec())];
        let written = self.services.stores.write(self.output, &parts, Durability::Durable).await;
        written.map_err(RecoverError::Save)?;
        left.remove();
        Ok(recovery)
    }

    async fn look(&self) -> Result<Left, RecoverError> {
        let (journal, started, patience) = (self.journal.clone(), self.started.clone(), self.patience);
        let is_local = self.output.as_local().is_some();
        let look = move || {
            let Some(path) = journal else { return Ok(Left::default()) };
            look(path, started.as_deref(), is_local, patience)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(left) => left,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// The journal of a dead run, locked for as long as this lives.
#[derive(Default)]
struct Left {
    held: Option<(std::fs::File, PathBuf)>,
    contents: Contents,
    /// When the run was last seen alive.
    last_sign: Option<Timestamp>,
}

impl Left {
    /// The journal has served.
    fn remove(self) {
        if let Some((file, path)) = self.held
            && journal::is_at(&file, &path)
        {
            journal::remove(&path);
        }
    }
}

fn look(
    path: PathBuf,
    started: Option<&str>,
    is_local: bool,
    patience: Duration,
) -> Result<Left, RecoverError> {
    let mut file = match journal::open_locked(&path, patience) {
        Ok(Locked::Dead(file)) => file,
        Ok(Locked::Alive) => return Err(RecoverError::StillRunning),
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "cannot look at the journal");
            }
            return Ok(Left::default());
        }
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    // Beside a local output lies what whoever may write there has put there, as the output itself.
    if !is_local && !journal::is_ours(&file, folder).unwrap_or(false) {
        tracing::warn!(path = %path.display(), "the journal is not this user's");
        return Ok(Left::default());
    }
    let contents = journal::read_from(&mut file);
    if let Some(started) = started
        && contents.header.as_ref().is_none_or(|header| header.start_time != started)
    {
        // Of a run before, or of the next one.
        return Ok(Left::default());
    }
    journal::clear_staging(&path, &file, &contents);
    let changed = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let last_sign = changed.and_then(|time| Timestamp::try_from(time).ok());
    Ok(Left { held: Some((file, path)), contents, last_sign })
}

fn last_change(output: &Location) -> Option<Timestamp> {
    let changed = std::fs::metadata(output.as_local()?).and_then(|metadata| metadata.modified()).ok()?;
    Timestamp::try_from(changed).ok()
}

/// Puts the last save and the journal together. `None` when there is nothing to be done about this notebook.
fn merge(
    base: &[u8],
    contents: Contents,
    expected: Option<&str>,
    ended: Timestamp,
) -> Result<Option<(Notebook, Recovery)>, RecoverError> {
    let saved = parse(base)?;
    let Some(started) = run_started(&saved).map(str::to_owned) else {
        return Err(RecoverError::NotAnOutput);
    };
    let end_time = saved.metadata().get("papermill").and_then(|run| run.get("end_time"));
    let is_over = end_time.is_some_and(|time| !time.is_null());
    if is_over || expected.is_some_and(|expected| expected != started) {
        return Ok(None);
    }
    let records = match contents.header {
        Some(header) if header.start_time == started => contents.records,
        _ => Vec::new(),
    };
    let (mut notebook, from_journal) = apply(saved, records)?;
    let in_flight = mark(&mut notebook, &started, ended);
    Ok(Some((notebook, Recovery::Recovered { from_journal, in_flight })))
}

/// When the run of the notebook started, as its metadata says it.
fn run_started(notebook: &Notebook) -> Option<&str> {
    notebook.metadata().get("papermill")?.get("start_time")?.as_str()
}

fn parse(bytes: &[u8]) -> Result<Notebook, RecoverError> {
    // What a run has saved has ids.
    let mut count = 0_u32;
    let mut fresh_id = || {
        count += 1;
        format!("{count:08x}")
    };
    Notebook::parse(bytes, &mut fresh_id).map(|parsed| parsed.notebook).map_err(RecoverError::Notebook)
}

/// Replaces the cells that the journal knows better. A cell is noted where it begins, without its outputs, and where it ends. Of
/// one that the save has as running, only its end is news; of one that it has as ended nothing is: what other cells and
/// threads make of its outputs later is saved, not noted.
fn apply(notebook: Notebook, records: Vec<Record>) -> Result<(Notebook, usize), RecoverError> {
    let mut newer = BTreeMap::new();
    for Record { cell, bytes } in records {
        let Some(saved) = notebook.cells().get(cell) else { continue };
        let Ok(json) = Json::parse(&bytes) else { continue };
        let begins = status(&json) == Some(CellStatus::Running.as_str());
        let is_news = match CellStatus::of(saved) {
            Some(CellStatus::Completed | CellStatus::Failed) => false,
            Some(CellStatus::Pending) => !begins || !newer.contains_key(&cell),
            Some(CellStatus::Running) | None => !begins,
        };
        if is_news {
            newer.insert(cell, bytes);
        }
    }
    if newer.is_empty() {
        return Ok((notebook, 0));
    }
    let frame = write_frame(&notebook);
    let mut text = frame.prefix;
    for (index, cell) in notebook.cells().iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(CELL_SEPARATOR);
        }
        match newer.get(&index) {
            Some(bytes) => text.extend_from_slice(bytes),
            None => text.extend_from_slice(&write_cell(cell)),
        }
    }
    text.extend_from_slice(&frame.suffix);
    Ok((parse(&text)?, newer.len()))
}

fn status(cell: &Json) -> Option<&str> {
    cell.get("metadata")?.get("papermill")?.get("status")?.as_str()
}

/// Says in the notebook that its runner was killed, and gives the cell that was in flight.
fn mark(notebook: &mut Notebook, started: &str, ended: Timestamp) -> Option<usize> {
    let end_time = iso(ended);
    let since = |start: Option<&str>| {
        let start: Option<Timestamp> = start.and_then(|time| time.parse().ok());
        start.map_or(0.0, |start| ended.duration_since(start).as_secs_f64().max(0.0))
    };
    let mut in_flight = None;
    for (index, cell) in notebook.cells_mut().iter_mut().enumerate() {
        if CellStatus::of(cell) != Some(CellStatus::Running) {
            continue;
        }
        in_flight = Some(index);
        let start = start_time(cell.metadata());
        papermill::end_cell(cell, CellStatus::Failed, &end_time, since(start.as_deref()));
        note::set(cell.metadata_mut(), note::OUTPUTS, "possibly incomplete");
    }
    papermill::end_run(notebook, &end_time, since(Some(started)), true);
    note::set(notebook.metadata_mut(), note::OUTCOME, OUTCOME);
    note::set(notebook.metadata_mut(), note::REASON, REASON);
    in_flight
}

fn start_time(metadata: &Object) -> Option<String> {
    metadata.get("papermill")?.get("start_time")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;

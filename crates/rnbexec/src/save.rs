//! Saving while the notebook runs, at a bounded cost.
//!
//! An output is serialized once; its bytes are shared with the notebook and a save only puts the pieces together. Saves
//! happen beside the run, the newest image wins, and after a save that took `t` the next one that nobody waits for begins no earlier
//! than [`REST`]` × t` later: however large the notebook grows, saving takes at most a tenth of the run. Every save is
//! atomic; the last one is also durable. What ended since the last save is in the [`journal`].

pub(crate) mod journal;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rnbexec_notebook::{CELL_SEPARATOR, Cell, Notebook, cell_parts, write_frame};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Services;
use crate::guardian::Watched;
use crate::redact::{Growth, Redactor};
use crate::store::{Action, Durability, Location, Rewrite, StoreError, StoreErrorKind, Stores};

use journal::Journal;

/// How many times the length of a save passes before the next unhurried one.
const REST: u32 = 9;

/// The least time between two unhurried saves that each send the whole notebook over a network.
const COSTLY_REST: Duration = Duration::from_secs(5);

/// The notebook as bytes, in pieces that change one by one.
#[derive(Clone, Debug, Default)]
struct Image {
    prefix: Bytes,
    /// Each cell in parts; its outputs share theirs with the notebook.
    cells: Vec<Vec<Bytes>>,
    suffix: Bytes,
}

impl Image {
    fn parts(&self) -> Vec<Bytes> {
        let mut parts = Vec::with_capacity(self.cells.iter().map(|cell| cell.len() + 1).sum::<usize>() + 2);
        parts.push(self.prefix.clone());
        for (index, cell) in self.cells.iter().enumerate() {
            if index > 0 {
                parts.push(Bytes::from_static(CELL_SEPARATOR));
            }
            parts.extend_from_slice(cell);
        }
        parts.push(self.suffix.clone());
        parts
    }
}

/// Keeps the output notebook up to date. Owned by one run; finish it with [`Saver::finish`].
pub(crate) struct Saver {
    shared: Arc<Shared>,
    redactor: Redactor,
    output: Option<Location>,
    task: Option<JoinHandle<()>>,
    /// Writes down that a cell has begun, which nobody waits for.
    noting: Option<JoinHandle<()>>,
    /// Whoever brings the output into order should we be killed.
    watched: Option<Watched>,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    /// Set before anything is saved, if at all.
    journal: OnceLock<Arc<Journal>>,
}

#[derive(Default)]
struct State {
    image: Image,
    /// The image has changed since it was last taken for a write.
    dirty: bool,
    /// Somebody wants the image written when it is cheap.
    wanted: bool,
    /// Whoever waits until the image as it is now is written. The saver has one owner, so there is but one.
    flush: Option<(Durability, oneshot::Sender<Result<(), StoreError>>)>,
    /// The latest failure of a save that nobody waited for.
    failure: Option<StoreError>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saver {
    /// A saver that writes to `output`; without one it only redacts.
    pub(crate) fn start(services: &Services, output: Option<Location>, redactor: Redactor) -> Self {
        let shared =
            Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), journal: OnceLock::new() });
        let task = output.clone().map(|output| {
            tokio::spawn(keep_saving(Arc::clone(&shared), Arc::clone(&services.stores), output))
        });
        Self { shared, redactor, output, task, noting: None, watched: None }
    }

    /// From the first save on keeps a journal for the run that started then, and has the output brought into order should
    /// we be killed. To be called before anything is saved.
    pub(crate) fn keep_journal(&mut self, services: &Services, start_time: &str) {
        let Some(output) = &self.output else { return };
        let Some(place) = journal::place(output, &services.rescue_dir, &services.stores) else { return };
        let journal = Arc::new(Journal::new(place, start_time));
        let guardian = services.guardian.as_ref();
        self.watched = guardian.and_then(|guardian| guardian.watch_run(output, journal.path(), start_time));
        if self.shared.journal.set(journal).is_err() {
            tracing::debug!("a run keeps but one journal");
        }
    }

    /// Notes what the cell has become; it is written down without anybody waiting.
    pub(crate) async fn note(&mut self, index: usize) {
        if let Some(journal) = self.record(index) {
            self.noted().await;
            let shared = Arc::clone(&self.shared);
            self.noting = Some(tokio::task::spawn_blocking(move || write_out(&journal, &shared)));
        }
    }

    /// Notes what the cell has become; when this returns, it survives the death of this process.
    pub(crate) async fn secure(&mut self, index: usize) {
        if let Some(journal) = self.record(index) {
            let shared = Arc::clone(&self.shared);
            // It does not panic.
            drop(tokio::task::spawn_blocking(move || write_out(&journal, &shared)).await);
        }
    }

    fn record(&self, index: usize) -> Option<Arc<Journal>> {
        let journal = self.shared.journal.get()?;
        let cell = self.shared.state().image.cells.get(index)?.clone();
        journal.record(index, cell);
        Some(Arc::clone(journal))
    }

    async fn noted(&mut self) {
        if let Some(noting) = self.noting.take() {
            // It does not panic.
            drop(noting.await);
        }
    }

    /// Takes over the whole notebook: after it was prepared, and at the end.
    pub(crate) fn replace(&self, notebook: &mut Notebook) {
        for cell in notebook.cells_mut() {
            self.redactor.settle_outputs(cell, Growth::Ended);
        }
        if self.task.is_none() {
            return;
        }
        let cells = notebook.cells().iter().map(cell_parts).collect();
        let frame = write_frame(notebook);
        let mut state = self.shared.state();
        state.image = Image { prefix: frame.prefix.into(), cells, suffix: frame.suffix.into() };
        state.dirty = true;
    }

    /// Takes over a cell that still runs, without what may be the beginning of a secret.
    pub(crate) fn update_running_cell(&self, notebook: &mut Notebook, index: usize) {
        let Some(cell) = notebook.cells_mut().get_mut(index) else { return };
        self.redactor.settle_outputs(cell, Growth::Growing);
        if self.redactor.is_empty() || cell.recording().is_none() {
            return self.take_over(cell, index);
        }
        let held = cell.record().hold_back();
        self.take_over(cell, index);
        cell.record().give_back(held);
    }

    /// Takes over one changed cell.
    pub(crate) fn update_cell(&self, notebook: &mut Notebook, index: usize) {
        let Some(cell) = notebook.cells_mut().get_mut(index) else { return };
        self.redactor.settle_outputs(cell, Growth::Ended);
        self.take_over(cell, index);
    }

    fn take_over(&self, cell: &Cell, index: usize) {
        if self.task.is_none() {
            return;
        }
        let parts = cell_parts(cell);
        let mut state = self.shared.state();
        if let Some(slot) = state.image.cells.get_mut(index) {
            *slot = parts;
            state.dirty = true;
        }
    }

    /// Takes over the notebook's own metadata.
    pub(crate) fn update_frame(&self, notebook: &Notebook) {
        if self.task.is_none() {
            return;
        }
        let frame = write_frame(notebook);
        let mut state = self.shared.state();
        state.image.prefix = frame.prefix.into();
        state.image.suffix = frame.suffix.into();
        state.dirty = true;
    }

    /// Asks for a save when it is cheap. Returns at once.
    pub(crate) fn request(&self) {
        self.shared.state().wanted = true;
        self.shared.wake.notify_one();
    }

    /// Saves now and waits for it.
    pub(crate) async fn flush(&self, durability: Durability) -> Result<(), StoreError> {
        let (Some(_), Some(output)) = (&self.task, &self.output) else { return Ok(()) };
        let (done, written) = oneshot::channel();
        self.shared.state().flush = Some((durability, done));
        self.shared.wake.notify_one();
        let lost = |_| {
            let problem = "the task that saves has ended".to_owned();
            StoreError::new(Action::Write, output, StoreErrorKind::Other { problem })
        };
        written.await.map_err(lost)?
    }

    /// The image as one piece, for putting it elsewhere.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        self.shared.state().image.parts()
    }

    /// The failure of a save that nobody waited for, told once.
    pub(crate) fn take_failure(&self) -> Option<StoreError> {
        self.shared.state().failure.take()
    }

    /// Saves for the last time and ends.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        let result = self.flush(Durability::Durable).await;
        self.close().await;
        result
    }

    /// Ends without saving. What is being written is waited for.
    pub(crate) async fn close(&mut self) {
        self.shared.state().closed = true;
        self.shared.wake.notify_one();
        if let Some(task) = &mut self.task {
            // The task does not panic: it ends by itself when told to.
            drop(task.await);
        }
        self.task = None;
        self.noted().await;
        if let Some(journal) = self.shared.journal.get().map(Arc::clone) {
            drop(tokio::task::spawn_blocking(move || journal.end()).await);
        }
        if let Some(watched) = self.watched.take() {
            watched.settle();
        }
    }

    /// The whole notebook was put elsewhere: what no save holds need not be kept beside the output.
    pub(crate) async fn discard_journal(&self) {
        if let Some(journal) = self.shared.journal.get().map(Arc::clone) {
            drop(tokio::task::spawn_blocking(move || journal.discard()).await);
        }
    }

    /// Ends at once. What is being written is given up: of it, stores promise, either all arrives or nothing.
    pub(crate) async fn abandon(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.close().await;
    }
}

/// Writes down what the journal has recorded. Blocks.
fn write_out(journal: &Journal, shared: &Shared) {
    if let Err(error) = journal.write_out() {
        journal_failed(journal, shared, error);
    }
}

/// The run goes on without; the next save of everything makes up for it.
fn journal_failed(journal: &Journal, shared: &Shared, error: std::io::Error) {
    let place = Location::Local(journal.path().to_path_buf());
    shared.state().failure = Some(StoreError::from_io(Action::Write, &place, error));
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.wake.notify_one();
    }
}

/// One save: what to write and who waits for it.
struct Job {
    parts: Vec<Bytes>,
    /// How many records of the journal it holds.
    recorded: u64,
    durability: Durability,
    waiting: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// What to do next, decided from the state alone.
enum Next {
    Save(Job),
    /// Something is wanted, but it is not cheap yet.
    Later,
    Idle,
    End,
}

fn next(state: &mut State, recorded: u64, cheap: bool) -> Next {
    if let Some((durability, done)) = state.flush.take() {
        state.dirty = false;
        state.wanted = false;
        return Next::Save(Job { parts: state.image.parts(), recorded, durability, waiting: Some(done) });
    }
    if state.closed {
        return Next::End;
    }
    if !(state.wanted && state.dirty) {
        return Next::Idle;
    }
    if !cheap {
        return Next::Later;
    }
    state.dirty = false;
    state.wanted = false;
    Next::Save(Job { parts: state.image.parts(), recorded, durability: Durability::Visible, waiting: None })
}

async fn keep_saving(shared: Arc<Shared>, stores: Arc<Stores>, output: Location) {
    let least_rest = match stores.rewrite(&output) {
        Rewrite::Cheap => Duration::ZERO,
        Rewrite::Costly | Rewrite::Once => COSTLY_REST,
    };
    let mut cheap_from = Instant::now();
    loop {
        // The guard must not live across an await.
        let step = {
            let mut state = shared.state();
            // A cell is recorded after it has changed in the image, so the image holds all that is counted here.
            let recorded = shared.journal.get().map_or(0, |journal| journal.recorded());
            next(&mut state, recorded, Instant::now() >= cheap_from)
        };
        match step {
            Next::End => return,
            Next::Idle => shared.wake.notified().await,
            Next::Later => {
                tokio::select! {
                    () = tokio::time::sleep_until(cheap_from) => {}
                    () = shared.wake.notified() => {}
                }
            }
            Next::Save(job) => {
                let begun = Instant::now();
                let result = save(&shared, &stores, &output, &job).await;
                cheap_from = Instant::now() + (begun.elapsed() * REST).max(least_rest);
                match job.waiting {
                    // Whoever stopped waiting does not want to know.
                    Some(done) => drop(done.send(result)),
                    None => shared.state().failure = result.err(),
                }
            }
        }
    }
}

/// Writes the notebook, between what the journal has to do before and after.
async fn save(shared: &Arc<Shared>, stores: &Stores, output: &Location, job: &Job) -> Result<(), StoreError> {
    let Some(journal) = shared.journal.get() else {
        return stores.write(output, &job.parts, job.durability).await;
    };
    if !journal.is_open() {
        let journal = Arc::clone(journal);
        // It does not panic.
        drop(tokio::task::spawn_blocking(move || journal.claim()).await);
    }
    stores.write(output, &job.parts, job.durability).await?;
    if journal.is_behind() {
        let (journal, shared, recorded) = (Arc::clone(journal), Arc::clone(shared), job.recorded);
        let saved = move || {
            if let Err(error) = journal.saved(recorded) {
                journal_failed(&journal, &shared, error);
            }
        };
        drop(tokio::task::spawn_blocking(saved).await);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! One notebook through the house: read → prepare → launch → execute cell by cell → finish.

mod cell;
mod finish;
pub(crate) mod note;
mod prepare;
pub(crate) mod time;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rnbexec_kernel::{
    Kernel, Kernelspec, LaunchError, LaunchOptions, Launcher, OutputStream, ShutdownPolicy,
};
use rnbexec_notebook::Notebook;
use rnbexec_notebook::inspect;
use rnbexec_notebook::papermill::{self, CellStatus};
use tokio::sync::mpsc;

use crate::cancel::{Cancel, CancelLevel};
use crate::guardian::Guardian;
use crate::outcome::TimeLimit;
use crate::record::Recorder;
use crate::redact::{LiveStreams, Redactor};
use crate::save::Saver;
use crate::store::{Durability, Location, Rewrite, StoreErrorKind};
use crate::{Mode, Outcome, RunError, RunEvent, RunReport, RunRequest, Services};

use cell::CellEnd;
use time::{Stamp, after, at};

/// How many lines that a kernel's process wrote past the notebook may wait to be told.
const KERNEL_LINES: usize = 256;

/// A line that a kernel's process wrote past the notebook, or a part of one; its end tells which.
type KernelLine = (OutputStream, String);

/// What the streams of a kernel's process are called.
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// The longest line of a kernel's process that is told as one, in bytes.
const LONGEST_KERNEL_LINE: usize = 64 << 10;

/// Where a run tells what happens.
type OnEvent<'a> = &'a mut (dyn FnMut(RunEvent<'_>) + Send);

/// Runs one notebook: reads it, injects the parameters, executes it in its kernel, and saves it.
///
/// What happens on the way is told to `on_event`. A failing cell, a dead kernel, a timeout and a raised `cancel` are
/// an [`Outcome`] in the report: the notebook then is saved with everything that was there, and its metadata tells
/// the truth (the cell in flight is `failed`, later ones stay `pending`). When this returns, the kernel and all its
/// children are gone and so are its sockets and connection file.
///
/// A failure of the environment (the kernel died or did not start, storage was unavailable) begins the run again up
/// to [`RunRequest::retries`] times.
///
/// # Errors
/// When the run could not be done at all: see [`RunError`]. Nothing is overwritten then, except that with
/// [`RunError::Save`] the run was done and only its result could not be put where it should be.
pub async fn run_notebook(
    request: RunRequest,
    services: &Services,
    on_event: OnEvent<'_>,
    mut cancel: Cancel,
) -> Result<RunReport, RunError> {
    let redactor = request.redactor.and(&request.secrets);
    let mut carried = Carried { attempt: 1, input: None, deadline: None };
    loop {
        let result = run_once(&request, services, &mut carried, &mut *on_event, cancel.clone())
            .await
            .map(|report| RunReport { attempts: carried.attempt, ..report });
        let Some(cause) = retry_cause(&result).filter(|_| carried.attempt <= request.retries) else {
            return result;
        };
        tokio::select! {
            () = tokio::time::sleep(pause_before(carried.attempt)) => {}
            () = at(carried.deadline) => return finish::hand_over(result, &request, services).await,
            () = cancel.reached(CancelLevel::Drain) => return finish::hand_over(result, &request, services).await,
        }
        carried.attempt += 1;
        let cause = redactor.plain(&cause).into_owned();
        on_event(RunEvent::Retrying { attempt: carried.attempt, cause });
    }
}

/// What one attempt leaves to the next.
struct Carried {
    /// Which attempt it is, from 1.
    attempt: u32,
    /// The notebook: standard input can be read but once, and a run in place writes over its input.
    input: Option<Bytes>,
    /// When all must be over, counted from the first start of a kernel.
    deadline: Option<tokio::time::Instant>,
}

/// Why the run should be begun again; `None` when that would not help.
fn retry_cause(result: &Result<RunReport, RunError>) -> Option<String> {
    match result {
        Ok(report) if report.outcome.is_retryable() => Some(match &report.outcome {
            Outcome::StartFailed { error, .. } => error.to_string(),
            outcome => outcome.reason(),
        }),
        // The last save has had its own retries: the notebook is not executed once more for it.
        Err(RunError::Save { rescued: Some(_), .. }) => None,
        Err(error) if error.is_retryable() => Some(crate::error::chain(error)),
        _ => None,
    }
}

/// One second, then twice as long each time, at most half a minute.
fn pause_before(attempt: u32) -> Duration {
    Duration::from_secs(1 << (attempt - 1).min(5)).min(Duration::from_secs(30))
}

async fn run_once(
    request: &RunRequest,
    services: &Services,
    carried: &mut Carried,
    on_event: OnEvent<'_>,
    cancel: Cancel,
) -> Result<RunReport, RunError> {
    let mut warnings = Warnings { on_event: &mut *on_event, told: Vec::new() };
    let bytes = match carried.input.take() {
        Some(bytes) => bytes,
        None => prepare::read(request, services).await?,
    };
    carried.input = (request.retries > 0).then(|| bytes.clone());
    let mut plan = prepare::plan(request, &bytes, &mut warnings)?;
    drop(bytes);
    let warnings = warnings.told;
    if request.mode == Mode::PrepareOnly {
        return finish::prepared_only(request, services, plan.notebook, warnings).await;
    }
    if let Some(guardian) = services.guardian.clone() {
        // Beside the search for the kernel. Whoever needs it first waits for it.
        drop(tokio::task::spawn_blocking(move || guardian.start()));
    }
    let mut called_off = cancel.clone();
    let kernelspec = tokio::select! {
        found = prepare::kernelspec(request, services, &plan, on_event) => found?,
        // Making an environment takes minutes; dropping it ends the installer.
        () = called_off.reached(CancelLevel::Interrupt) => return Ok(finish::called_off(plan.notebook, warnings)),
    };

    let started = Stamp::now(services);
    carried.deadline = carried.deadline.or_else(|| request.limits.run.and_then(after));
    papermill::start_run(&mut plan.notebook, &started.iso());
    let redactor = request.redactor.and(&request.secrets);
    let saver = Saver::start(services, request.output.clone(), redactor.clone());
    on_event(RunEvent::KernelStarting { name: &kernelspec.name, total_cells: plan.notebook.cells().len() });
    let (kernel_lines, kernel_output) = mpsc::channel(KERNEL_LINES);
    let mut run = Run {
        request,
        services,
        notebook: plan.notebook,
        recorder: Recorder::default(),
        live: LiveStreams::default(),
        saver,
        redactor,
        on_event,
        cancel,
        started,
        deadline: carried.deadline,
        is_last_attempt: carried.attempt > request.retries,
        saves_now: saves_during_run(request, services),
        kernel_output,
        kernel_streams: LiveStreams::default(),
        kernel_lines: [const { String::new() }; 2],
        first_saved: false,
        executed_cells: 0,
        touched: BTreeSet::new(),
        warnings,
    };
    run.saver.replace(&mut run.notebook);
    if run.saves_now {
        run.saver.keep_journal(services, &started.iso());
    }
    match run.start(&kernelspec, kernel_lines).await? {
        Ok(kernel) => run.execute(kernel, &kernelspec, plan.secrets).await,
        Err(Launched::Failed(error)) => run.start_failed(error, &kernelspec).await,
        Err(Launched::Stopped(outcome)) => run.stopped_at_start(outcome, &kernelspec).await,
    }
}

/// What a person should know of, told at once and kept for the report.
struct Warnings<'a, 'b> {
    on_event: &'a mut (dyn FnMut(RunEvent<'_>) + Send + 'b),
    told: Vec<String>,
}

impl Warnings<'_, '_> {
    fn warn(&mut self, text: String) {
        (self.on_event)(RunEvent::Warning(&text));
        self.told.push(text);
    }
}

/// A new cell's id: eight hexadecimal digits, as nbformat makes them.
fn fresh_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(8);
    id
}

/// Tells the lines of a kernel's process that end now, and begins the next.
fn tell_lines(line: &mut String, text: &str, on_event: &mut (dyn FnMut(RunEvent<'_>) + Send)) {
    for part in text.split_inclusive('\n') {
        line.push_str(part);
        if line.ends_with('\n') || line.len() > LONGEST_KERNEL_LINE {
            on_event(RunEvent::KernelOutput { line: line.trim_end_matches(['\r', '\n']) });
            line.clear();
        }
    }
}

/// Whether the output is written while the notebook runs: not on request, and never to a stream.
fn saves_during_run(request: &RunRequest, services: &Services) -> bool {
    request.saves.at_cells && request.output.is_some() && !writes_once(request, services)
}

/// Whether the output is a stream, which takes one notebook and no second.
fn writes_once(request: &RunRequest, services: &Services) -> bool {
    request.output.as_ref().is_some_and(|output| services.stores.rewrite(output) == Rewrite::Once)
}

/// Whether something stands at the output already. What cannot be told counts as yes.
async fn earlier_output_exists(request: &RunRequest, services: &Services) -> bool {
    match &request.output {
        None | Some(Location::Stdio) => false,
        Some(Location::Local(path)) => tokio::fs::try_exists(path).await.unwrap_or(true),
        Some(output) => !matches!(
            services.stores.read(output).await.map_err(|error| error.kind().clone()),
            Err(StoreErrorKind::NotFound)
        ),
    }
}

/// Why there is no kernel.
enum Launched {
    Failed(LaunchError),
    /// It was called off, or took too long for the whole run.
    Stopped(Outcome),
}

async fn launch(
    kernelspec: &Kernelspec,
    imports: &[String],
    request: &RunRequest,
    services: &Services,
    kernel_lines: mpsc::Sender<KernelLine>,
    (deadline, mut cancel): (Option<tokio::time::Instant>, Cancel),
) -> Result<Kernel, Launched> {
    let options = LaunchOptions {
        cwd: request.kernel.cwd.clone(),
        base_env: services.variables.clone(),
        env: request.kernel.variables.iter().map(|(name, value)| (name.into(), Some(value.into()))).collect(),
        start_timeout: request.limits.start,
        runtime_dir: services.runtime_dir.clone(),
        launcher: Launcher::Lossless,
        extra_arguments: Vec::new(),
        containment: request.kernel.containment.clone(),
        contain_command: services.contain_command.clone(),
        registrar: services.guardian.as_ref().map(Guardian::registrar),
        // Chatter: when nobody keeps up, lines are lost here, never the kernel's time.
        on_output: Some(Arc::new(move |stream, bytes| {
            for part in String::from_utf8_lossy(bytes).split_inclusive('\n') {
                if kernel_lines.try_send((stream, part.to_owned())).is_err() {
                    return;
                }
            }
        })),
    };
    let launched = async {
        match &services.kernel_pool {
            Some(pool) => pool.launch(kernelspec, options, imports).await,
            None => Kernel::launch(kernelspec, options).await,
        }
    };
    tokio::select! {
        launched = launched => launched.map_err(Launched::Failed),
        // Dropping the launch kills what was started.
        () = at(deadline) => Err(Launched::Stopped(run_timed_out(request))),
        () = cancel.reached(CancelLevel::Interrupt) => Err(Launched::Stopped(Outcome::Interrupted { cell: None })),
    }
}

/// The whole run took too long, and no cell was in flight.
fn run_timed_out(request: &RunRequest) -> Outcome {
    let after = request.limits.run.unwrap_or_default();
    Outcome::TimedOut { cell: None, limit: TimeLimit::Run, after, killed: false }
}

/// A run under way: the notebook, what records and saves it, and the caller.
struct Run<'a> {
    request: &'a RunRequest,
    services: &'a Services,
    notebook: Notebook,
    recorder: Recorder,
    live: LiveStreams,
    saver: Saver,
    redactor: Redactor,
    on_event: OnEvent<'a>,
    cancel: Cancel,
    started: Stamp,
    /// When the whole run must be over.
    deadline: Option<tokio::time::Instant>,
    saves_now: bool,
    is_last_attempt: bool,
    /// What the kernel's process wrote past the notebook.
    kernel_output: mpsc::Receiver<KernelLine>,
    /// What of that may be half a secret.
    kernel_streams: LiveStreams,
    /// The beginnings of lines whose ends are still to come, of its stdout and stderr.
    kernel_lines: [String; 2],
    /// The output was written at least once.
    first_saved: bool,
    executed_cells: usize,
    /// Cells changed since they were last handed to the saver.
    touched: BTreeSet<usize>,
    warnings: Vec<String>,
}

impl Run<'_> {
    /// Starts the kernel. The first save goes on meanwhile: an output that cannot be written is found out before any
    /// cell runs. A result of an earlier run is not touched before the kernel is up.
    async fn start(
        &mut self,
        kernelspec: &Kernelspec,
        kernel_lines: mpsc::Sender<KernelLine>,
    ) -> Result<Result<Kernel, Launched>, RunError> {
        let cheap = |output| self.services.stores.rewrite(output) == Rewrite::Cheap;
        let at_once = self.saves_now
            && self.request.output.as_ref().is_some_and(cheap)
            && !earlier_output_exists(self.request, self.services).await;
        let save = |wanted: bool| {
            let saver = &self.saver;
            let mut called_off = self.cancel.clone();
            async move {
                if !wanted {
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    written = saver.flush(Durability::Visible) => written,
                    // Nothing was executed yet that could be lost.
                    () = called_off.reached(CancelLevel::Interrupt) => Ok(()),
                }
            }
        };
        let begun = std::time::Instant::now();
        let cancel = self.cancel.clone();
        let imports = match (&self.services.kernel_pool, &self.request.kernel.imports) {
            (Some(_), None) => inspect::leading_imports(&self.notebook),
            (Some(_), Some(imports)) => imports.clone(),
            (None, _) => Vec::new(),
        };
        let limits = (self.deadline, cancel);
        let launching = launch(kernelspec, &imports, self.request, self.services, kernel_lines, limits);
        let (launched, saved) = tokio::join!(launching, save(at_once));
        let saved = match saved {
            Ok(()) if launched.is_ok() => save(self.saves_now && !at_once).await,
            saved => saved,
        };
        match saved {
            Ok(()) => {
                self.first_saved = at_once || (self.saves_now && launched.is_ok());
                if let Ok(kernel) = &launched {
                    if let Some(isolation) = kernel.isolation() {
                        note::set_isolation(self.notebook.metadata_mut(), isolation);
                        self.saver.update_frame(&self.notebook);
                    }
                    let (after, origin) = (begun.elapsed(), kernel.origin());
                    (self.on_event)(RunEvent::KernelReady { after, origin });
                }
                Ok(launched)
            }
            Err(source) => {
                if let Ok(kernel) = launched {
                    kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
                }
                self.end_saver().await;
                Err(RunError::Save { source, rescued: None })
            }
        }
    }

    /// Executes every cell, then finishes: the main line of a run.
    async fn execute(
        mut self,
        mut kernel: Kernel,
        kernelspec: &Kernelspec,
        secrets: Option<prepare::SecretCell>,
    ) -> Result<RunReport, RunError> {
        let outcome = self.execute_cells(&mut kernel, secrets).await;
        let outcome = outcome.unwrap_or_else(|| self.errors_displayed().unwrap_or(Outcome::Completed));
        self.finish(kernel, kernelspec, outcome).await
    }

    /// Executes cell by cell. `None` when the end was reached.
    async fn execute_cells(
        &mut self,
        kernel: &mut Kernel,
        mut secrets: Option<prepare::SecretCell>,
    ) -> Option<Outcome> {
        for index in 0..self.notebook.cells().len() {
            if let Some(outcome) = self.must_stop() {
                return Some(outcome);
            }
            if let Some(secrets) = secrets.take_if(|secrets| secrets.before == index)
                && let Some(outcome) = self.assign_secrets(kernel, index, &secrets.code).await
            {
                return Some(outcome);
            }
            let begun = self.begin_cell(index).await;
            let end = match self.notebook.cells().get(index) {
                Some(cell) if cell::is_executed(cell, &self.request.selection) => {
                    self.execute_cell(kernel, index).await
                }
                _ => CellEnd::Done,
            };
            self.end_cell(index, begun, &end).await;
            if let CellEnd::Stopped(outcome) = end {
                return Some(outcome);
            }
        }
        None
    }

    /// Whether the run must end between two cells.
    fn must_stop(&self) -> Option<Outcome> {
        if self.cancel.level() >= CancelLevel::Interrupt {
            return Some(Outcome::Interrupted { cell: None });
        }
        let over = self.deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
        over.then(|| run_timed_out(self.request))
    }

    async fn begin_cell(&mut self, index: usize) -> Stamp {
        let now = Stamp::now(self.services);
        let total_cells = self.notebook.cells().len();
        if let Some(cell) = self.notebook.cells_mut().get_mut(index) {
            (self.on_event)(RunEvent::CellStarted { index, total_cells, source: &cell.source() });
            papermill::start_cell(cell, &now.iso());
        }
        self.save_cell(index);
        self.saver.note(index).await;
        now
    }

    async fn end_cell(&mut self, index: usize, begun: Stamp, end: &CellEnd) {
        let told = self.live.end_cell(&self.redactor);
        self.tell_streams(told);
        let now = Stamp::now(self.services);
        let duration = now.since(begun);
        let status = match end {
            CellEnd::Done => CellStatus::Completed,
            CellEnd::Stopped(_) => CellStatus::Failed,
        };
        if let Some(cell) = self.notebook.cells_mut().get_mut(index) {
            papermill::end_cell(cell, status, &now.iso(), duration.as_secs_f64());
        }
        self.save_cell(index);
        // Before anybody is told: what is told to have ended is never lost.
        self.saver.secure(index).await;
        (self.on_event)(RunEvent::CellFinished { index, status, duration });
    }

    /// Tells what of the streams was kept back to the end as perhaps half a secret.
    fn tell_rest_of_streams(&mut self) {
        let told = self.live.finish(&self.redactor);
        self.tell_streams(told);
    }

    fn tell_streams(&mut self, told: Vec<(usize, String, String)>) {
        for (index, name, text) in told {
            (self.on_event)(RunEvent::Stream { index, name: &name, text: &text });
        }
    }

    /// Tells what the kernel's process wrote past the notebook, when it is sure to be no half of a secret, line by line.
    fn tell_kernel_line(&mut self, (stream, part): KernelLine) {
        let is_stderr = stream == OutputStream::Stderr;
        let name = if is_stderr { STDERR } else { STDOUT };
        let text = self.kernel_streams.next(&self.redactor, 0, name, &part);
        tell_lines(&mut self.kernel_lines[usize::from(is_stderr)], &text, &mut *self.on_event);
    }

    /// Tells what the kernel's process wrote to its end.
    fn tell_last_kernel_lines(&mut self) {
        while let Ok(line) = self.kernel_output.try_recv() {
            self.tell_kernel_line(line);
        }
        for (_, name, text) in self.kernel_streams.finish(&self.redactor) {
            tell_lines(&mut self.kernel_lines[usize::from(name == STDERR)], &text, &mut *self.on_event);
        }
        for line in self.kernel_lines.iter_mut().filter(|line| !line.is_empty()) {
            tell_lines(line, "\n", &mut *self.on_event);
        }
    }

    /// Hands a cell, and every other cell that changed, to the saver.
    fn save_cell(&mut self, index: usize) {
        self.touched.insert(index);
        for index in std::mem::take(&mut self.touched) {
            self.saver.update_cell(&mut self.notebook, index);
        }
        if self.saves_now {
            self.saver.request();
            self.warn_of_failed_save();
        }
    }

    /// A save on the way failed: the run goes on, as the last save decides, but the caller should know.
    fn warn_of_failed_save(&mut self) {
        if let Some(error) = self.saver.take_failure() {
            self.warn(format!("cannot save the notebook for now: {}", crate::error::chain(&error)));
        }
    }

    /// Tells a warning. It may quote what a kernel sent.
    fn warn(&mut self, text: String) {
        let text = match self.redactor.plain(&text) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => text,
        };
        (self.on_event)(RunEvent::Warning(&text));
        self.warnings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Pattern;

    #[test]
    fn a_key_of_several_lines_that_a_kernel_writes_past_the_notebook_is_masked() {
        let redactor = Redactor::new(["hunter2"], Pattern::well_known().collect());
        let (mut streams, mut line, mut told) = (LiveStreams::default(), String::new(), Vec::new());
        for part in [
            "one\n-----BEGIN PRIVATE KEY-----\n",
            "MIIEowIBAAKCAQEA\n",
            "-----END PRIVATE KEY-----\r\nhun",
            "ter2 ",
            "end\nrest",
        ] {
            let text = streams.next(&redactor, 0, STDERR, part);
            tell_lines(&mut line, &text, &mut |event| told.push(format!("{event:?}")));
        }
        let line = |line: &str| format!("{:?}", RunEvent::KernelOutput { line });
        let key = "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----";
        assert_eq!(told, [line("one"), line(key), line("*** end")]);
    }
}

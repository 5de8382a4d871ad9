//! After the cells: tell the truth in the notebook, save it, end the kernel.

use std::time::Duration;

use bytes::Bytes;
use rnbexec_kernel::{
    ExecuteRequest, ExecutionEnd, Kernel, KernelEvent, Kernelspec, LaunchError, ShutdownPolicy,
};
use rnbexec_notebook::translate::SecretCode;
use rnbexec_notebook::{Cell, Json, Notebook, papermill};

use super::time::{Stamp, after, at};
use super::{Run, earlier_output_exists, fresh_id, note, pause_before, writes_once};
use crate::cancel::{Cancel, CancelLevel};
use crate::outcome::{CellError, TimeLimit};
use crate::request::OnError;
use crate::save::Saver;
use crate::store::{Action, Durability, StoreError, StoreErrorKind};
use crate::{Outcome, RunError, RunReport, RunRequest, Services};

/// How long storage may still take for the notebook once the run is told to stop at once.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Writes a notebook that was only parameterized.
pub(super) async fn prepared_only(
    request: &RunRequest,
    services: &Services,
    mut notebook: Notebook,
    warnings: Vec<String>,
) -> Result<RunReport, RunError> {
    let redactor = request.redactor.and(&request.secrets);
    let mut saver = Saver::start(services, request.output.clone(), redactor);
    note::succeeded(&mut notebook, request.fingerprint.as_deref(), &Outcome::Prepared);
    saver.replace(&mut notebook);
    saver.finish().await.map_err(|source| RunError::Save { source, rescued: None })?;
    Ok(RunReport { saved: request.output.is_some(), ..not_executed(notebook, Outcome::Prepared, warnings) })
}

/// A run that was called off before its kernel was known: nothing was executed and nothing written.
pub(super) fn called_off(notebook: Notebook, warnings: Vec<String>) -> RunReport {
    not_executed(notebook, Outcome::Interrupted { cell: None }, warnings)
}

fn not_executed(notebook: Notebook, outcome: Outcome, warnings: Vec<String>) -> RunReport {
    RunReport {
        total_cells: notebook.cells().len(),
        notebook,
        outcome,
        attempts: 1,
        executed_cells: 0,
        duration: Duration::ZERO,
        saved: false,
        kernel: None,
        warnings,
    }
}

/// Ends a run that was to be begun again and is not: what a stream was spared until then is written now.
pub(super) async fn hand_over(
    result: Result<RunReport, RunError>,
    request: &RunRequest,
    services: &Services,
) -> Result<RunReport, RunError> {
    let mut report = result?;
    let kept = matches!(report.outcome, Outcome::StartFailed { kept_earlier_output: true, .. });
    if writes_once(request, services) && !kept {
        let redactor = request.redactor.and(&request.secrets);
        let mut saver = Saver::start(services, request.output.clone(), redactor);
        saver.replace(&mut report.notebook);
        saver.finish().await.map_err(|source| RunError::Save { source, rescued: None })?;
        report.saved = true;
    }
    Ok(report)
}

impl Run<'_> {
    /// Whether the notebook is not written because the run is about to begin again and its output takes only one.
    fn holds_back(&self, outcome: &Outcome) -> bool {
        !self.is_last_attempt && outcome.is_retryable() && writes_once(self.request, self.services)
    }

    /// Saves for the last time, or leaves the output as it is; tells which. Storage that is unavailable is asked again as
    /// often as the run may be begun again: what was executed need not be executed once more.
    async fn last_save(&mut self, wanted: bool) -> Result<bool, StoreError> {
        let mut attempt = 1;
        let saved = loop {
            if !wanted {
                break Ok(false);
            }
            match self.flush_in_time(Durability::Durable).await {
                Err(error) if error.is_transient() && attempt <= self.request.retries => {
                    tokio::select! {
                        () = tokio::time::sleep(pause_before(attempt)) => attempt += 1,
                        () = self.cancel.reached(CancelLevel::Kill) => break Err(error),
                    }
                }
                written => break written.map(|()| self.request.output.is_some()),
            }
        };
        self.end_saver().await;
        saved
    }

    /// Saves now; once the run is told to stop at once, storage that does not answer is not waited for any longer.
    async fn flush_in_time(&mut self, durability: Durability) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            written = self.saver.flush(durability) => return written,
            () = out_of_patience(&mut self.cancel) => {}
        }
        self.saver.abandon().await;
        match &self.request.output {
            Some(output) => {
                let kind = StoreErrorKind::Unavailable { retry_after: None };
                Err(StoreError::new(Action::Write, output, kind))
            }
            // What is written nowhere is written.
            None => Ok(()),
        }
    }

    /// Waits for what is still being written, with the same patience.
    pub(super) async fn end_saver(&mut self) {
        tokio::select! {
            biased;
            () = self.saver.close() => return,
            () = out_of_patience(&mut self.cancel) => {}
        }
        self.saver.abandon().await;
    }

    /// Ends a run whose kernel is up. The kernel goes first: what it says to its very end belongs into the notebook,
    /// which meanwhile is saved as it is.
    pub(super) async fn finish(
        mut self,
        kernel: Kernel,
        kernelspec: &Kernelspec,
        outcome: Outcome,
    ) -> Result<RunReport, RunError> {
        let info = kernel.info().clone();
        let policy = match outcome {
            // It was asked to stop and perhaps would not: no more patience.
            Outcome::TimedOut { .. } | Outcome::Interrupted { .. } => {
                ShutdownPolicy { grace: Duration::ZERO }
            }
            _ => ShutdownPolicy::default(),
        };
        let mut at_once = self.cancel.clone();
        let meanwhile = async {
            if self.saves_now {
                tokio::select! {
                    // The last save tells whether the notebook can be written.
                    written = self.saver.flush(Durability::Visible) => drop(written),
                    () = at_once.reached(CancelLevel::Kill) => {}
                }
            }
        };
        let ((exit, late), ()) = tokio::join!(kernel.shutdown_and_drain(policy), meanwhile);
        tracing::debug!(?exit, late = late.len(), "the kernel is gone");
        for message in late {
            // There is nobody left to answer.
            drop(self.fold(message));
        }
        self.tell_rest_of_streams();
        if let Some(info) = Json::parse(&info).ok()
            && let Some(language_info) = info.get("language_info")
        {
            self.notebook.metadata_mut().insert("language_info".to_owned(), language_info.clone());
        }
        if let Some(mut widgets) = self.recorder.widget_metadata() {
            self.redactor.redact(&mut widgets);
            self.notebook.metadata_mut().insert("widgets".to_owned(), widgets);
        }
        let duration = self.complete(&outcome);
        let wanted = !self.holds_back(&outcome);
        let saved = self.last_save(wanted).await;
        self.report(kernelspec, outcome, duration, saved).await
    }

    /// Ends a run whose kernel never came up.
    pub(super) async fn start_failed(
        mut self,
        mut error: LaunchError,
        kernelspec: &Kernelspec,
    ) -> Result<RunReport, RunError> {
        if let Some(words) = error.stderr_tail_mut() {
            *words = self.redactor.plain(words).into_owned();
        }
        let kept_earlier_output =
            earlier_output_exists(self.request, self.services).await && !self.first_saved;
        let outcome = Outcome::StartFailed { error: std::sync::Arc::new(error), kept_earlier_output };
        let duration = self.complete(&outcome);
        let wanted = !kept_earlier_output && !self.holds_back(&outcome);
        let saved = self.last_save(wanted).await;
        self.report(kernelspec, outcome, duration, saved).await
    }

    /// Ends a run that had to stop before its kernel was up.
    pub(super) async fn stopped_at_start(
        mut self,
        outcome: Outcome,
        kernelspec: &Kernelspec,
    ) -> Result<RunReport, RunError> {
        let duration = self.complete(&outcome);
        let saved = self.last_save(self.first_saved).await;
        self.report(kernelspec, outcome, duration, saved).await
    }

    /// Writes how the run ended into the notebook and hands it to the saver.
    fn complete(&mut self, outcome: &Outcome) -> Duration {
        self.tell_last_kernel_lines();
        let now = Stamp::now(self.services);
        let duration = now.since(self.started);
        let exception = !matches!(outcome, Outcome::Completed);
        papermill::end_run(&mut self.notebook, &now.iso(), duration.as_secs_f64(), exception);
        match outcome {
            Outcome::CellFailed(error) => papermill::insert_error_markers(
                &mut self.notebook,
                error.cell,
                error.execution_count,
                &mut fresh_id,
            ),
            Outcome::TimedOut { .. }
            | Outcome::KernelDied { .. }
            | Outcome::StartFailed { .. }
            | Outcome::OutputsIncomplete { .. }
            | Outcome::Interrupted { .. } => {
                let metadata = self.notebook.metadata_mut();
                note::set(metadata, note::OUTCOME, outcome.name());
                note::set(metadata, note::REASON, &self.redactor.plain(&outcome.reason()));
            }
            Outcome::Completed | Outcome::Prepared | Outcome::ExitedEarly { .. } => {
                note::succeeded(&mut self.notebook, self.request.fingerprint.as_deref(), outcome);
            }
        }
        if matches!(outcome, Outcome::CellFailed(_)) {
            self.saver.replace(&mut self.notebook);
        } else {
            for index in std::mem::take(&mut self.touched) {
                self.saver.update_cell(&mut self.notebook, index);
            }
            self.saver.update_frame(&self.notebook);
        }
        duration
    }

    async fn report(
        self,
        kernelspec: &Kernelspec,
        outcome: Outcome,
        duration: Duration,
        saved: Result<bool, StoreError>,
    ) -> Result<RunReport, RunError> {
        let saved = match saved {
            Ok(saved) => saved,
            Err(source) => {
                let rescued = rescue(self.services, &self.saver.parts()).await;
                if rescued.is_some() {
                    self.saver.discard_journal().await;
                }
                return Err(RunError::Save { source, rescued });
            }
        };
        Ok(RunReport {
            total_cells: self.notebook.cells().len(),
            notebook: self.notebook,
            outcome,
            attempts: 1,
            executed_cells: self.executed_cells,
            duration,
            saved,
            kernel: Some(kernelspec.name.clone()),
            warnings: self.warnings,
        })
    }

    /// An error output that no failing reply announced (a magic that catches and shows one): papermill fails such a
    /// run at its end, on the last cell that shows one. Cells that may raise do not count.
    pub(super) fn errors_displayed(&self) -> Option<Outcome> {
        if self.request.on_error == OnError::Continue {
            return None;
        }
        let failed = |(index, cell): (usize, &Cell)| {
            if cell.has_tag("raises-exception") {
                return None;
            }
            let error = cell.errors().find(|output| is_error(output))?;
            let text = |key: &str| error.get(key).and_then(Json::text).unwrap_or_default().into_owned();
            let traceback =
                error.get("traceback").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            Some(CellError {
                cell: index,
                execution_count: cell.execution_count(),
                ename: text("ename"),
                evalue: text("evalue"),
                traceback: traceback
                    .iter()
                    .filter_map(Json::text)
                    .map(std::borrow::Cow::into_owned)
                    .collect(),
            })
        };
        self.notebook.cells().iter().enumerate().rev().find_map(failed).map(Outcome::CellFailed)
    }

    /// Gives the kernel its secret parameters, leaving no trace in the notebook. `Some` when that ends the run.
    pub(super) async fn assign_secrets(
        &mut self,
        kernel: &mut Kernel,
        index: usize,
        code: &SecretCode,
    ) -> Option<Outcome> {
        let mut request = ExecuteRequest::new(code.expose());
        request.store_history = false;
        let mut execution = kernel.execute(request);
        self.recorder.begin_silent(execution.msg_id());
        let timed_out = |limit, after: Option<Duration>| {
            Some(Outcome::TimedOut { cell: None, limit, after: after.unwrap_or_default(), killed: false })
        };
        let limits = &self.request.limits;
        let cell_deadline = limits.cell.and_then(after);
        let mut assigned = false;
        loop {
            tokio::select! {
                biased;
                () = at(self.deadline) => return timed_out(TimeLimit::Run, limits.run),
                () = at(cell_deadline) => return timed_out(TimeLimit::Cell, limits.cell),
                () = self.cancel.reached(CancelLevel::Interrupt) => return Some(Outcome::Interrupted { cell: None }),
                event = execution.next() => match event {
                    // What cells before, and their threads, still print; all else that the request brings belongs to no cell.
                    KernelEvent::Iopub(message) => self.record(message, &mut execution),
                    KernelEvent::Reply(reply) => {
                        let content = Json::parse(&reply.content).unwrap_or(Json::Null);
                        assigned = content.get("status").and_then(Json::as_str) == Some("ok");
                    }
                    KernelEvent::Ended(ExecutionEnd::Died(death)) => return Some(self.kernel_died(None, death)),
                    KernelEvent::Ended(_) => break,
                    KernelEvent::Input(_) | KernelEvent::Rejected(_) => {}
                },
            }
        }
        // The kernel's own error would show the code, and so the secret.
        (!assigned).then(|| {
            Outcome::CellFailed(CellError {
                cell: index,
                execution_count: None,
                ename: "SecretParameterError".to_owned(),
                evalue: "the kernel could not assign the secret parameters".to_owned(),
                traceback: Vec::new(),
            })
        })
    }
}

/// Resolves a little after the run is told to stop at once.
async fn out_of_patience(cancel: &mut Cancel) {
    cancel.reached(CancelLevel::Kill).await;
    tokio::time::sleep(LAST_PATIENCE).await;
}

fn is_error(output: &Json) -> bool {
    let text = |key: &str| output.get(key).and_then(Json::as_str);
    let clean_exit = text("ename") == Some("SystemExit") && matches!(text("evalue"), Some("" | "0"));
    text("output_type") == Some("error") && !clean_exit
}

/// Puts a notebook that could not be written where it should be into the rescue folder. The name is fresh and the
/// content is not shown to others.
async fn rescue(services: &Services, parts: &[Bytes]) -> Option<std::path::PathBuf> {
    let path = services.rescue_dir.join(format!("rnbexec-rescued-{}.ipynb", uuid::Uuid::new_v4()));
    let (place, parts) = (path.clone(), parts.to_vec());
    let written =
        tokio::task::spawn_blocking(move || crate::store::local::keep_from_others(&place, &parts)).await;
    match written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::warn!(%error, "cannot rescue the notebook either");
            None
        }
    }
}

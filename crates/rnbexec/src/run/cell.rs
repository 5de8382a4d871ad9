//! Executing one cell: send it, fold what comes back into it, and stop it when it must stop.

use std::time::Duration;

use rnbexec_kernel::{ExecuteRequest, Execution, ExecutionEnd, Kernel, KernelDeath, KernelEvent, Message};
use rnbexec_notebook::{Cell, CellType, Json};
use tokio::time::Instant;

use super::time::{after, at, message_date};
use super::{Run, note};
use crate::cancel::CancelLevel;
use crate::outcome::{CellError, Outcome, TimeLimit};
use crate::record::{Recorder, Shown};
use crate::redact::Growth;
use crate::request::{CellSelection, OnError};
use crate::{RunEvent, RunRequest};

/// So many bytes of outputs are written together, at once and not only when the cell is saved: until then they take more
/// memory than their bytes.
const SETTLED_FROM: usize = 256 << 10;

/// How a cell's execution ended.
pub(super) enum CellEnd {
    /// It ran to its end; errors in it were expected or allowed.
    Done,
    /// It ended the run: failed, timed out, lost its kernel, was interrupted, or called `sys.exit(0)`.
    Stopped(Outcome),
}

/// Why a running cell is being stopped.
#[derive(Clone, Copy, Debug)]
enum Stopping {
    TimedOut(TimeLimit, Duration),
    Cancelled,
}

/// What the kernel replied to an execute_request.
#[derive(Debug, Default)]
struct Reply {
    failed: bool,
    ename: String,
    evalue: String,
    traceback: Vec<String>,
}

impl Reply {
    fn of(message: &Message) -> Self {
        let content = Json::parse(&message.content).unwrap_or(Json::Null);
        let text = |key: &str| content.get(key).and_then(Json::text).unwrap_or_default().into_owned();
        let traceback =
            content.get("traceback").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            // `aborted` is how some kernels say that they did not run it at all.
            failed: text("status") != "ok",
            ename: text("ename"),
            evalue: text("evalue"),
            traceback: traceback.iter().filter_map(Json::text).map(std::borrow::Cow::into_owned).collect(),
        }
    }

    /// `sys.exit()` and `sys.exit(0)` end a notebook early and well.
    fn is_clean_exit(&self) -> bool {
        self.ename == "SystemExit" && matches!(self.evalue.as_str(), "" | "0" | "None")
    }
}

/// Whether a cell is executed at all.
pub(super) fn is_executed(cell: &Cell, selection: &CellSelection) -> bool {
    let tagged = |tags: &[String]| tags.iter().any(|tag| cell.has_tag(tag));
    let has_parameters = cell.has_tag("parameters") || cell.has_tag("injected-parameters");
    cell.cell_type() == CellType::Code
        && !cell.source().trim().is_empty()
        && !cell.has_tag("skip-execution")
        && !tagged(&selection.skip_tags)
        && (selection.only_tags.is_empty() || has_parameters || tagged(&selection.only_tags))
}

/// The time a cell may take: its tag `timeout=SECONDS`, its metadata `rnbexec.timeout`, or the run's limit for cells.
/// Zero and less are no limit, as papermill has it.
pub(super) fn time_limit(cell: &Cell, request: &RunRequest) -> Option<Duration> {
    let by_tag = cell.tags().find_map(|tag| tag.strip_prefix("timeout=")?.parse::<f64>().ok());
    let by_metadata = || cell.metadata().get("rnbexec")?.get("timeout")?.as_f64();
    match by_tag.or_else(by_metadata) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()),
        None => request.limits.cell,
    }
}

/// A time limit that a cell was meant to have, but that is no number of seconds.
pub(super) fn bad_time_limit(cell: &Cell) -> Option<String> {
    let is_number = |seconds: f64| seconds.is_finite();
    let tag = cell.tags().find(|tag| {
        tag.strip_prefix("timeout=").is_some_and(|text| !text.parse::<f64>().is_ok_and(is_number))
    });
    let metadata = || cell.metadata().get("rnbexec")?.get("timeout").filter(|limit| limit.as_f64().is_none());
    tag.map(|tag| format!("the tag '{tag}'"))
        .or_else(|| Some(format!("the metadata rnbexec.timeout {}", metadata()?.to_compact())))
}

impl Run<'_> {
    /// Executes the cell at `index` and records what it does, until its reply and its last output are here.
    pub(super) async fn execute_cell(&mut self, kernel: &mut Kernel, index: usize) -> CellEnd {
        let Some(cell) = self.notebook.cells_mut().get_mut(index) else { return CellEnd::Done };
        let errors_allowed = self.request.on_error == OnError::Continue || cell.has_tag("raises-exception");
        let limit = time_limit(cell, self.request);
        let mut request = ExecuteRequest::new(cell.source());
        request.stop_on_error = !errors_allowed;
        let mut execution = kernel.execute(request);
        self.recorder.begin_cell(execution.msg_id(), index, cell);
        self.executed_cells += 1;

        let cell_deadline = limit.and_then(after);
        let mut reply = None;
        let mut stopping: Option<Stopping> = None;
        let mut kill_at: Option<Instant> = None;
        let mut autosave_at = self.autosave().and_then(after);

        let end = loop {
            let running = stopping.is_none();
            let cancel_at = if running { CancelLevel::Interrupt } else { CancelLevel::Kill };
            tokio::select! {
                biased;
                () = at(self.deadline), if running => {
                    stopping = Some(Stopping::TimedOut(TimeLimit::Run, self.request.limits.run.unwrap_or_default()));
                }
                () = at(cell_deadline), if running => {
                    stopping = Some(Stopping::TimedOut(TimeLimit::Cell, limit.unwrap_or_default()));
                }
                () = self.cancel.reached(cancel_at), if running || kill_at.is_some() => {
                    if running {
                        stopping = Some(Stopping::Cancelled);
                    } else {
                        kill_at = None;
                        execution.kill();
                    }
                }
                () = at(kill_at) => {
                    kill_at = None;
                    execution.kill();
                }
                () = at(autosave_at) => {
                    let begun = Instant::now();
                    self.saver.update_running_cell(&mut self.notebook, index);
                    self.saver.request();
                    self.warn_of_failed_save();
                    // Serializing a huge half-done cell must not eat the run either.
                    autosave_at = self.autosave().and_then(|every| after(every.max(begun.elapsed() * 9)));
                }
                // After the limits: a flood of messages must not starve them.
                event = execution.next() => match event {
                    KernelEvent::Iopub(message) => self.record(message, &mut execution),
                    KernelEvent::Reply(message) => {
                        let date = message_date(&message.header.date, self.services);
                        if let Some(cell) = self.notebook.cells_mut().get_mut(index) {
                            Recorder::replied(cell, &date);
                        }
                        reply = Some(Reply::of(&message));
                    }
                    KernelEvent::Ended(end) => break end,
                    KernelEvent::Input(_) => self.warn(format!("cell {} asked for input; there is nobody to ask", index + 1)),
                    KernelEvent::Rejected(error) => self.warn(format!("dropped what was no message of the kernel: {error}")),
                },
                // Last: what the kernel's process writes beside its messages may be a flood too, and what is not told of it is no loss.
                Some(line) = self.kernel_output.recv() => self.tell_kernel_line(line),
            }
            if running && stopping.is_some() {
                execution.interrupt();
                kill_at = after(self.request.limits.interrupt_grace);
            }
        };
        self.conclude(index, end, stopping, reply, errors_allowed)
    }

    /// Decides from everything that was seen how the cell ended.
    fn conclude(
        &mut self,
        index: usize,
        end: ExecutionEnd,
        stopping: Option<Stopping>,
        reply: Option<Reply>,
        errors_allowed: bool,
    ) -> CellEnd {
        let killed = matches!(end, ExecutionEnd::Died(_));
        match (stopping, end) {
            (Some(Stopping::TimedOut(limit, after)), _) => {
                CellEnd::Stopped(Outcome::TimedOut { cell: Some(index), limit, after, killed })
            }
            (Some(Stopping::Cancelled), _) => CellEnd::Stopped(Outcome::Interrupted { cell: Some(index) }),
            (None, ExecutionEnd::Died(death)) => CellEnd::Stopped(self.kernel_died(Some(index), death)),
            (None, ExecutionEnd::IdleMissing { waited } | ExecutionEnd::ReplyMissing { waited }) => {
                self.mark_incomplete(index);
                match self.replied(index, reply, errors_allowed) {
                    CellEnd::Done if self.request.on_error == OnError::Stop => {
                        CellEnd::Stopped(Outcome::OutputsIncomplete { cell: index, waited })
                    }
                    end => end,
                }
            }
            (None, ExecutionEnd::Complete) => self.replied(index, reply, errors_allowed),
        }
    }

    /// The kernel died; what it wrote last may hold a secret.
    pub(super) fn kernel_died(&self, cell: Option<usize>, mut death: KernelDeath) -> Outcome {
        death.stderr_tail = self.redactor.plain(&death.stderr_tail).into_owned();
        Outcome::KernelDied { cell, death }
    }

    fn replied(&self, index: usize, reply: Option<Reply>, errors_allowed: bool) -> CellEnd {
        let Some(reply) = reply.filter(|reply| reply.failed && !errors_allowed) else { return CellEnd::Done };
        if reply.is_clean_exit() {
            return CellEnd::Stopped(Outcome::ExitedEarly { cell: index });
        }
        let execution_count = self.notebook.cells().get(index).and_then(Cell::execution_count);
        CellEnd::Stopped(Outcome::CellFailed(CellError {
            cell: index,
            execution_count,
            ename: self.redactor.plain(&reply.ename).into_owned(),
            evalue: self.redactor.plain(&reply.evalue).into_owned(),
            traceback: self.redactor.lines_of(reply.traceback),
        }))
    }

    /// Folds one iopub message into the notebook and sends the kernel what a front end would.
    pub(super) fn record(&mut self, message: Message, execution: &mut Execution<'_>) {
        for content in self.fold(message) {
            // What the document crate writes is always JSON.
            if let Ok(content) = serde_json::value::RawValue::from_string(content.to_compact()) {
                execution.send_shell("comm_msg", &content);
            }
        }
    }

    /// Folds one iopub message into the notebook and tells the caller. Returns the `comm_msg` contents that a front end
    /// would send.
    pub(super) fn fold(&mut self, message: Message) -> Vec<Json> {
        let date = message_date(&message.header.date, self.services);
        let (redactor, live, on_event) = (&self.redactor, &mut self.live, &mut *self.on_event);
        let tells_outputs = self.request.tells_outputs;
        let mut shown = |index: usize, shown: Shown<'_>| match shown {
            Shown::Stream { .. } | Shown::Display { .. } if !tells_outputs => {}
            Shown::Stream { name, text } => {
                let text = live.next(redactor, index, name, text);
                if !text.is_empty() {
                    on_event(RunEvent::Stream { index, name, text: &text });
                }
            }
            Shown::Display { text } => on_event(RunEvent::Display { index, text: &redactor.plain(text) }),
            Shown::Error { ename, evalue } => {
                on_event(RunEvent::Error {
                    index,
                    ename: &redactor.plain(ename),
                    evalue: &redactor.plain(evalue),
                });
            }
        };
        let applied = self.recorder.apply(message, &date, &mut self.notebook, &mut shown);
        for &index in &applied.touched {
            if let Some(cell) = self.notebook.cells_mut().get_mut(index)
                && cell.recording().is_some_and(|recording| recording.pending() >= SETTLED_FROM)
            {
                self.redactor.settle_outputs(cell, Growth::Growing);
            }
        }
        self.touched.extend(applied.touched);
        if let Some(warning) = applied.warning {
            self.warn(warning);
        }
        applied.to_kernel
    }

    /// Says in the cell that the kernel never confirmed its end.
    fn mark_incomplete(&mut self, index: usize) {
        self.warn(format!("cell {} may lack outputs: the kernel did not confirm its end", index + 1));
        if let Some(cell) = self.notebook.cells_mut().get_mut(index) {
            note::set(cell.metadata_mut(), note::OUTPUTS, "possibly incomplete");
        }
    }

    fn autosave(&self) -> Option<Duration> {
        self.request.saves.autosave.filter(|every| self.saves_now && !every.is_zero())
    }
}

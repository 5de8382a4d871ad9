//! One execution: from the request to the two messages that end it.
//!
//! An execution is complete when both its `execute_reply` (shell) and its `status: idle` (iopub) have come: the two
//! travel on different sockets, and output may follow the reply. If one of them stays out, the wait for it is bounded
//! by silence, not by time: it lasts as long as messages of this execution keep coming.

use std::time::Duration;

use jupyter_protocol::messaging::KernelInfoRequest;
use serde::Serialize;
use tokio::time::Instant;

use crate::connection::Channel;
use crate::death::KernelDeath;
use crate::kernel::{Arrival, Kernel};
use crate::supervise::Command;
use crate::wire::{Message, WireError};

/// How long the second of the two last messages may stay out while nothing else of the execution comes.
const LAGGARD_SILENCE: Duration = Duration::from_secs(10);

/// The same once the kernel has answered a request that was sent after this one.
const PASSED_OVER_SILENCE: Duration = Duration::from_secs(1);

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteRequest {
    /// The code.
    pub code: String,
    /// Whether the kernel may ask for input. It is refused in any case; this says what the kernel is told.
    pub allow_stdin: bool,
    /// Whether it counts and is kept in the kernel's history.
    pub store_history: bool,
    /// Whether requests that wait in the kernel are to be aborted if this one raises.
    pub stop_on_error: bool,
}

impl ExecuteRequest {
    /// As a notebook's cell is executed.
    pub fn new(code: impl Into<String>) -> Self {
        Self { code: code.into(), allow_stdin: false, store_history: true, stop_on_error: true }
    }
}

/// What an execution brings.
#[derive(Debug)]
pub enum KernelEvent {
    /// A message on iopub, whichever request it belongs to: see [`Message::parent_msg_id`].
    Iopub(Message),
    /// The `execute_reply` of this execution.
    Reply(Message),
    /// The kernel asked for input and was refused.
    Input(Message),
    /// Bytes that were no message of this kernel, e.g. with a wrong signature; dropped.
    Rejected(WireError),
    /// The execution is over. Always the last event; asked again, it comes again.
    Ended(ExecutionEnd),
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionEnd {
    /// The kernel replied and became idle: every output has been delivered.
    Complete,
    /// The kernel replied and never said it was idle: outputs may be missing.
    IdleMissing {
        /// How long was waited for it after the last message of this execution.
        waited: Duration,
    },
    /// The kernel became idle and never replied: how the code ended is not known from a reply.
    ReplyMissing {
        /// How long was waited for it after the last message of this execution.
        waited: Duration,
    },
    /// The kernel died. Everything it had sent before has been delivered.
    Died(KernelDeath),
}

/// An execution under way. Dropping it does not stop the kernel: see [`Execution::interrupt`].
#[derive(Debug)]
pub struct Execution<'kernel> {
    kernel: &'kernel mut Kernel,
    msg_id: String,
    progress: Progress,
    ended: Option<ExecutionEnd>,
}

impl<'kernel> Execution<'kernel> {
    pub(crate) fn begin(kernel: &'kernel mut Kernel, request: ExecuteRequest) -> Self {
        let request = jupyter_protocol::messaging::ExecuteRequest {
            code: request.code,
            silent: false,
            store_history: request.store_history,
            user_expressions: None,
            allow_stdin: request.allow_stdin,
            stop_on_error: request.stop_on_error,
        };
        let msg_id = kernel.send(Channel::Shell, "execute_request", &request);
        Self { kernel, msg_id, progress: Progress::default(), ended: None }
    }

    /// The id of the request: the parent of all that belongs to it.
    pub fn msg_id(&self) -> &str {
        &self.msg_id
    }

    /// The next event. Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> KernelEvent {
        if let Some(end) = &self.ended {
            return KernelEvent::Ended(end.clone());
        }
        if let Some(end) = self.progress.complete() {
            return self.end(end);
        }
        loop {
            let arrival = match self.progress.deadline {
                None => self.kernel.arrival().await,
                Some(deadline) => tokio::select! {
                    // What has come already counts before the clock does.
                    biased;
                    arrival = self.kernel.arrival() => arrival,
                    () = tokio::time::sleep_until(deadline) => {
                        let end = self.progress.expired();
                        return self.end(end);
                    }
                },
            };
            match arrival {
                Arrival::Message(channel, message) => {
                    self.progress.observe(channel, &message, &self.msg_id, Instant::now());
                    match channel {
                        Channel::Iopub => return KernelEvent::Iopub(message),
                        Channel::Shell if is_reply(&message, &self.msg_id) => {
                            return KernelEvent::Reply(message);
                        }
                        Channel::Shell | Channel::Control | Channel::Stdin => {
                            tracing::trace!(?channel, msg_type = message.header.msg_type, "passed over");
                        }
                    }
                }
                Arrival::Input(message) => return KernelEvent::Input(message),
                Arrival::Rejected(error) => return KernelEvent::Rejected(error),
                Arrival::Died(death) => return self.end(ExecutionEnd::Died(death)),
            }
        }
    }

    fn end(&mut self, end: ExecutionEnd) -> KernelEvent {
        KernelEvent::Ended(self.ended.insert(end).clone())
    }

    /// Interrupts the kernel, in the way its kernelspec names. What the code makes of it, the next events tell.
    ///
    /// An interrupt that strikes when the code has just ended can cost the kernel its reply (ipykernel writes "KeyboardInterrupt caught
    /// in kernel" and goes on). So it is asked something else as well: it answers in order, and once it has answered that, no reply to
    /// this execution will come any more.
    pub fn interrupt(&mut self) {
        self.kernel.interrupt();
        self.progress.probe =
            Some(self.kernel.send(Channel::Shell, "kernel_info_request", &KernelInfoRequest {}));
    }

    /// Sends a message on the shell channel, e.g. a `comm_msg`.
    pub fn send_shell<C: Serialize>(&mut self, msg_type: &str, content: &C) {
        self.kernel.send(Channel::Shell, msg_type, content);
    }

    /// Kills the kernel with all it started. The execution then ends as [`ExecutionEnd::Died`].
    pub fn kill(&mut self) {
        self.kernel.command(Command::Kill);
    }
}

fn is_reply(message: &Message, request: &str) -> bool {
    message.header.msg_type == "execute_reply" && message.parent_msg_id.as_deref() == Some(request)
}

/// Which of the two last messages have come, and until when the other may stay out.
#[derive(Debug, Default)]
struct Progress {
    replied: bool,
    idle: bool,
    /// A request that was sent after the execution's.
    probe: Option<String>,
    /// That was answered, hence this will not be.
    passed_over: bool,
    deadline: Option<Instant>,
}

impl Progress {
    fn observe(&mut self, channel: Channel, message: &Message, request: &str, now: Instant) {
        let parent = message.parent_msg_id.as_deref();
        if channel == Channel::Shell && parent.is_some() && parent == self.probe.as_deref() {
            self.passed_over = true;
        } else if parent != Some(request) {
            return;
        }
        match channel {
            Channel::Shell => self.replied |= is_reply(message, request),
            Channel::Iopub => self.idle |= is_idle(message),
            Channel::Control | Channel::Stdin => {}
        }
        self.deadline = (self.replied || self.idle || self.passed_over).then(|| now + self.silence());
    }

    fn complete(&self) -> Option<ExecutionEnd> {
        (self.replied && self.idle).then_some(ExecutionEnd::Complete)
    }

    fn silence(&self) -> Duration {
        if self.passed_over { PASSED_OVER_SILENCE } else { LAGGARD_SILENCE }
    }

    fn expired(&self) -> ExecutionEnd {
        let waited = self.silence();
        if self.replied {
            ExecutionEnd::IdleMissing { waited }
        } else {
            ExecutionEnd::ReplyMissing { waited }
        }
    }
}

fn is_idle(message: &Message) -> bool {
    #[derive(serde::Deserialize)]
    struct Status {
        execution_state: String,
    }
    message.header.msg_type == "status"
        && serde_json::from_slice::<Status>(&message.content)
            .is_ok_and(|status| status.execution_state == "idle")
}

#[cfg(test)]
mod tests;

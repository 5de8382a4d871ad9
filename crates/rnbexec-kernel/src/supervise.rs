//! The thread behind a kernel: it starts the process, owns the sockets, and stays until both are gone.
//!
//! One thread for each kernel, because on Linux the process is to die with the *thread* that made it (see
//! `process::linux`), so that thread must live exactly as long as the kernel; and because reading iopub must never wait
//! for anything else. The thread only moves frames: they are verified and parsed by whoever uses the kernel.

use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::messaging::{InterruptRequest, ShutdownRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::connection::Channel;
use crate::death::DeathCause;
use crate::kernel::{Exit, ExitManner, LaunchError, ShutdownPolicy};
use crate::kernelspec::InterruptMode;
use crate::links::Received;
use crate::process::Signal;
use crate::start::{Failure, Plan, Running, Started, Starting, exceeded, launch};

/// A kernel that closes its channels is about to end, or never will.
const DISCONNECT_GRACE: Duration = Duration::from_secs(2);

/// What the thread is told.
pub(crate) enum Command {
    Send(Channel, Vec<Bytes>),
    Interrupt,
    Kill,
    Shutdown { policy: ShutdownPolicy, done: oneshot::Sender<Exit> },
}

/// The whole life of a kernel. The thread ends when nothing of it is left.
pub(crate) fn run(plan: Plan, mut commands: mpsc::UnboundedReceiver<Command>, started: Starting) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(supervise(plan, &mut commands, started)),
        Err(source) => answer(started, Err(LaunchError::Thread { source })),
    }
}

/// That nobody waits for the answer any more, the caller has seen to already.
fn answer(started: Starting, outcome: Result<Started, LaunchError>) {
    if started.send(outcome).is_err() {
        tracing::debug!("the launch of a kernel was given up");
    }
}

async fn supervise(plan: Plan, commands: &mut mpsc::UnboundedReceiver<Command>, mut started: Starting) {
    let (mut running, ready) = match launch(&plan, &mut started).await {
        Ok(launched) => launched,
        Err(Failure::GivenUp) => return,
        Err(Failure::Error(error)) => return answer(started, Err(error)),
    };
    // Should nobody want it any more, the commands have ended too, and that is its end.
    answer(started, Ok(ready));
    let stop = serve(&mut running, commands, plan.spec.interrupt_mode).await;
    running.links.drain().await;
    let mut death = running.process.death().await;
    if stop.phase == Phase::CutOff && death.cause == DeathCause::KILLED {
        death.cause = DeathCause::Disconnected;
    }
    let Running { received, directory, contained, registration, .. } = running;
    if let Some(contained) = &contained {
        death = contained.explain(death);
    }
    drop(contained);
    drop(directory);
    drop(registration);
    let exit = Exit { manner: stop.manner(), cause: death.cause.clone() };
    // Whoever is gone need not be told.
    if received.send(Received::Died(death)).is_err() {
        tracing::trace!("a kernel died that nobody listened to");
    }
    if let Some(done) = stop.done
        && done.send(exit).is_err()
    {
        tracing::trace!("nobody waited for a kernel to shut down");
    }
}

/// How far the end of a kernel has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// It closed its channels; will it end by itself?
    Disconnected,
    /// It did not, and was killed for it.
    CutOff,
    Asked,
    Terminated,
    Killed,
}

/// How a kernel was made to stop.
struct Stop {
    phase: Phase,
    grace: Duration,
    deadline: Option<Instant>,
    done: Option<oneshot::Sender<Exit>>,
}

impl Stop {
    /// The deadline has passed: what to do to the process.
    fn escalate(&mut self, now: Instant) -> Signal {
        let (phase, signal, deadline) = match self.phase {
            Phase::Asked => (Phase::Terminated, Signal::Terminate, Some(now + self.grace / 2)),
            Phase::Disconnected | Phase::CutOff => (Phase::CutOff, Signal::Kill, None),
            Phase::Serving | Phase::Terminated | Phase::Killed => (Phase::Killed, Signal::Kill, None),
        };
        self.phase = phase;
        self.deadline = deadline;
        signal
    }

    fn manner(&self) -> ExitManner {
        match self.phase {
            Phase::Serving | Phase::Disconnected | Phase::CutOff => ExitManner::AlreadyDead,
            Phase::Asked => ExitManner::Asked,
            Phase::Terminated => ExitManner::Terminated,
            Phase::Killed => ExitManner::Killed,
        }
    }
}

/// Does what it is told until the process has ended.
async fn serve(
    running: &mut Running,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    interrupt_mode: InterruptMode,
) -> Stop {
    let Running { process, contained, links, session, .. } = running;
    let mut stop = Stop { phase: Phase::Serving, grace: Duration::ZERO, deadline: None, done: None };
    let mut wanted = true;
    loop {
        let deadline = stop.deadline.unwrap_or_else(Instant::now);
        tokio::select! {
            () = process.ended() => return stop,
            command = commands.recv(), if wanted => match command {
                Some(Command::Send(channel, frames)) => links.send(channel, frames),
                Some(Command::Interrupt) => match interrupt_mode {
                    InterruptMode::Signal => process.signal(Signal::Interrupt),
                    InterruptMode::Message => links.request(session, "interrupt_request", &InterruptRequest {}),
                },
                Some(Command::Shutdown { policy, done }) => {
                    stop.phase = Phase::Asked;
                    stop.grace = policy.grace;
                    stop.done = Some(done);
                    stop.deadline = Some(Instant::now() + policy.grace);
                    if policy.grace.is_zero() {
                        process.signal(Signal::Kill);
                        stop.phase = Phase::Killed;
                    } else {
                        links.request(session, "shutdown_request", &ShutdownRequest { restart: false });
                    }
                }
                Some(Command::Kill) => process.signal(Signal::Kill),
                None => {
                    wanted = false;
                    process.signal(Signal::Kill);
                }
            },
            () = exceeded(contained.as_mut()) => process.signal(Signal::Kill),
            Some(channel) = links.closed() => {
                let vital = matches!(channel, Channel::Shell | Channel::Iopub);
                if vital && stop.phase == Phase::Serving {
                    stop.phase = Phase::Disconnected;
                    stop.deadline = Some(Instant::now() + DISCONNECT_GRACE);
                }
            }
            () = tokio::time::sleep_until(deadline), if stop.deadline.is_some() => {
                let signal = stop.escalate(Instant::now());
                process.signal(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests;

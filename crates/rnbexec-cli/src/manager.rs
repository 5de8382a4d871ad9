//! `rnbexec manager`: incidents from a source, through notebooks, to what analysts see.

pub(crate) mod args;
pub(crate) mod cases;
pub(crate) mod configure;
mod doctor;
mod explain;
mod init;
mod installing;
mod look;
mod notify;
mod pass;
mod plan;
mod progress;
mod replay;
mod retry;
mod table;

use std::fmt::Write as _;

use args::ManagerCommand;

use crate::args::Level;
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, log, runtime};

pub(crate) use doctor::of_kernel;
pub(crate) use installing::Installing;
pub(crate) use pass::{Kind, Passed, pass, tell_troubles};
pub(crate) use progress::Progress;
pub(crate) use table::{Column, cut, room_on_stderr, room_on_stdout, table};

/// Does what was asked about incidents and returns the exit code.
pub(crate) fn manager(command: ManagerCommand) -> u8 {
    match command {
        ManagerCommand::Once(args) => block_on(args.config.log_level, pass::once(*args)),
        ManagerCommand::Watch(args) => block_on(args.config.log_level, pass::watch(*args)),
        ManagerCommand::Status(args) => block_on(args.config.log_level, stoppable(look::status(*args))),
        ManagerCommand::Show(args) => block_on(args.look.config.log_level, stoppable(look::show(*args))),
        ManagerCommand::Retry(args) => block_on(args.look.config.log_level, stoppable(retry::retry(*args))),
        ManagerCommand::Replay(args) => block_on(args.config.log_level, replay::replay(*args)),
        ManagerCommand::Plan(args) => block_on(args.config.log_level, plan::plan(*args)),
        ManagerCommand::Apply(args) => block_on(args.config.log_level, plan::apply(*args)),
        ManagerCommand::Explain(args) => block_on(args.config.log_level, stoppable(explain::explain(*args))),
        ManagerCommand::Doctor(args) => block_on(args.config.log_level, doctor::doctor(*args)),
        ManagerCommand::Init(args) => block_on(Level::Info, async { init::init(&args) }),
    }
}

/// Runs a command to its exit code.
pub(crate) fn block_on(level: Level, command: impl Future<Output = Result<u8, Failure>>) -> u8 {
    let console = Console::stderr();
    log::init(&console, level);
    runtime::block_on(&console, async {
        Box::pin(command).await.unwrap_or_else(|failure| {
            failure.show(&console);
            failure.code
        })
    })
}

/// A command that the first signal ends.
async fn stoppable(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let (mut supervisor, _cancel) = Supervisor::listen().map_err(|error| deaf(&error))?;
    match supervisor.abandonable(Box::pin(command)).await {
        Ok(done) => done,
        Err(Abandoned(signal)) => Err(Failure::new("stopped").code(signal.exit_code())),
    }
}

/// No signal would be heard.
pub(crate) fn deaf(error: &std::io::Error) -> Failure {
    Failure::because("cannot listen to signals", error)
}

/// Writes what was asked for to standard output.
pub(crate) fn print(text: impl AsRef<str>) -> Result<(), Failure> {
    console::print(text.as_ref()).map_err(|error| Failure::because("cannot write to standard output", &error))
}

/// Writes a document to standard output.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(format!("{value:#}\n"))
}

/// The exit codes of a pass.
const EXIT_CODES: &[(u8, &str)] = &[
    (exit::SUCCESS, "everything that waited was triaged, or there was nothing"),
    (exit::FAILURE, "an incident needs a person (`rnbexec manager status`), or the request cannot be done"),
    (exit::USAGE, "the command line or the configuration is wrong"),
    (exit::TRY_AGAIN, "something is tried again by the next pass, or the source was unavailable"),
    (exit::HANGUP, "stopped because the terminal went away (SIGHUP)"),
    (exit::INTERRUPTED, "stopped by Ctrl-C (SIGINT); what was not finished goes on with the next pass"),
    (exit::TERMINATED, "stopped by SIGTERM; what was not finished goes on with the next pass"),
];

fn exit_codes() -> String {
    let mut text = String::from(
        "The first Ctrl-C or SIGTERM drains: what runs is finished, nothing new is begun. The second interrupts what runs, \
         the third kills it.\n\nExit codes:\n",
    );
    for (code, meaning) in EXIT_CODES {
        writeln!(text, "  {code:>3}  {meaning}").expect("writing to a String does not fail");
    }
    text
}

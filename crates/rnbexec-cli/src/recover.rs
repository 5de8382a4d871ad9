//! `rnbexec recover`: the output of a run that was killed together with its guardian.

use rnbexec::store::Location;
use rnbexec::{RecoverError, Recovery, Services, Unseen, recover as bring_into_order};

use crate::args::RecoverArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, log, runtime, verdict};

/// `rnbexec recover`.
pub(crate) fn recover(args: &RecoverArgs) -> u8 {
    let console = Console::stderr();
    log::init(&console, args.log_level);
    runtime::block_on(&console, async {
        match attempt(args).await {
            Ok(()) => exit::SUCCESS,
            Err(failure) => {
                failure.show(&console);
                failure.code
            }
        }
    })
}

async fn attempt(args: &RecoverArgs) -> Result<(), Failure> {
    let (mut supervisor, _cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    let output = Location::parse(&args.output)
        .map_err(|error| Failure::because("cannot recover the notebook", &error))?;
    let services = Services::from_process();
    let unseen = if args.force { Unseen::IsOver } else { Unseen::MayLive };
    match supervisor.abandonable(bring_into_order(&output, unseen, &services)).await {
        Ok(Ok(recovery)) => {
            tracing::info!("{}", told(&output, recovery));
            Ok(())
        }
        Ok(Err(error)) => Err(of_error(&output, &error)),
        Err(Abandoned(signal)) => Err(Failure::new("stopped").code(signal.exit_code())),
    }
}

fn told(output: &Location, recovery: Recovery) -> String {
    match recovery {
        Recovery::NothingToDo => format!("{output} needs nothing: its run came to an end"),
        Recovery::Recovered { in_flight: None, .. } => {
            format!("{output} is complete up to where its runner was killed, between two cells")
        }
        Recovery::Recovered { in_flight: Some(cell), .. } => {
            format!("{output} is complete up to where its runner was killed, in cell {}", cell + 1)
        }
    }
}

fn of_error(output: &Location, error: &RecoverError) -> Failure {
    match error {
        RecoverError::Read(source) => verdict::of_read("cannot read the notebook", source),
        RecoverError::Save(source) => verdict::of_read("cannot save the notebook", source),
        RecoverError::Unseen => Failure::because(format!("cannot recover {output}"), error)
            .help("recover it on the machine that ran it or, if you know that the run is over, with --force"),
        error => Failure::because(format!("cannot recover {output}"), error),
    }
}

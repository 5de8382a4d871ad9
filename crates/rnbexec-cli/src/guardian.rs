//! The guardian of runs: this program once more, as a process that outlives the one that runs notebooks.

use std::io::BufReader;
use std::path::PathBuf;

use rnbexec::{Guardian, Services, guard as listen};

use crate::console::Console;
use crate::signals::Signals;
use crate::{exit, runtime};

/// The hidden command that is the guardian.
pub(crate) const COMMAND: &str = "guardian";

/// With a guardian for the runs of this process. It is started with the first of them.
pub(crate) fn guarded(services: Services) -> Services {
    let guardian = Guardian::of_program(this_program(), vec![COMMAND.into()]);
    Services { guardian: Some(guardian), ..services }
}

/// On Linux the program that runs, also when another one has been put in its place meanwhile.
pub(crate) fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from("/proc/self/exe");
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rnbexec"))
}

/// Listens on standard input until whoever writes there has ended, and tidies up after it.
pub(crate) fn guard() -> u8 {
    runtime::block_on(&Console::stderr(), async {
        // Listened to and never answered: what ends a run is often sent to all processes of a service, and then the guardian
        // is needed.
        let signals = Signals::listen();
        listen(BufReader::new(std::io::stdin()), &Services::from_process()).await;
        drop(signals);
        exit::SUCCESS
    })
}

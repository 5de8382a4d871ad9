//! `rnbexec completions SHELL`.

use clap::CommandFactory as _;

use crate::args::Rnbexec;
use crate::console::{self, Console};
use crate::exit;
use crate::failure::Failure;

/// Prints the script that teaches a shell our options.
pub(crate) fn print(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Rnbexec::command(), "rnbexec", &mut script);
    match console::print(&String::from_utf8_lossy(&script)) {
        Ok(()) => exit::SUCCESS,
        Err(error) => {
            Failure::because("cannot write to standard output", &error).show(&Console::stderr());
            exit::FAILURE
        }
    }
}

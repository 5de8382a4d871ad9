//! The `rnbexec` command line: `run`, `batch`, `recover`, `inspect`, `report`, `kernel`, `manager`, `demo`, and papermill's own command line under papermill's name.
//!
//! The program on one screen: read the flags ([`args`]), hand them to their command, exit with its code ([`exit`]).
//! A command first checks its flags ([`settings`]), then acts. Standard output holds only what was asked for; all else
//! goes to standard error by way of [`console`], which lets no control sequence of a stranger through.

mod args;
mod batch;
mod clash;
mod completions;
mod console;
mod demo;
mod duration;
mod exit;
mod extension;
mod failure;
mod guardian;
mod inspect;
mod isolation;
mod kernel;
mod log;
mod manager;
mod parameters;
mod paths;
mod progress;
mod recover;
mod report;
mod reporter;
mod run;
mod runtime;
mod sanitise;
mod settings;
mod signals;
mod sinks;
mod streams;
mod summary;
mod supervise;
mod verdict;
mod version;

use std::process::ExitCode;

use args::Invocation;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == args::CONTAIN) {
        return rnbexec::contain::enter();
    }
    ExitCode::from(match args::parse(std::env::args_os()) {
        Ok(Invocation::Run(front, args)) => run::run(front, args.papermill, args.more),
        Ok(Invocation::Batch(args)) => batch::batch(*args),
        Ok(Invocation::PapermillVersion) => version::papermill(),
        Ok(Invocation::Inspect(args)) => inspect::inspect(*args),
        Ok(Invocation::Report(args)) => report::report(&args),
        Ok(Invocation::Kernel(command)) => kernel::kernel(command),
        Ok(Invocation::Manager(command)) => manager::manager(command),
        Ok(Invocation::Demo(args)) => demo::demo(&args),
        Ok(Invocation::Contain) => return rnbexec::contain::enter(),
        Ok(Invocation::Recover(args)) => recover::recover(&args),
        Ok(Invocation::Guardian) => guardian::guard(),
        Ok(Invocation::Completions(shell)) => completions::print(shell),
        Err(error) => args::show(&error),
    })
}

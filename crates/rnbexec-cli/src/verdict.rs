//! The table from how a run ended to what is said and which exit code it has.

use std::fmt::Write as _;

use rnbexec::store::{StoreError, StoreErrorKind};
use rnbexec::{CellError, Outcome, RunError, TimeLimit};
use rnbexec_kernel::provision::{ProvisionError, SHIPPED_KERNELS};
use rnbexec_kernel::{DeathCause, Kernelspec, KernelspecError, LaunchError};

use crate::exit;
use crate::failure::Failure;
use crate::signals::Signal;

/// Where the executed notebook is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved<'a> {
    /// The output.
    pub(crate) place: &'a str,
    /// Whether the run wrote it.
    pub(crate) written: bool,
}

/// What is said of a run that did not succeed; `None` when it did.
pub(crate) fn of_outcome(outcome: &Outcome, signal: Option<Signal>, saved: Saved<'_>) -> Option<Failure> {
    let Saved { place: saved, written } = saved;
    let so_far = if written {
        format!("the notebook as far as it came is at {saved}")
    } else {
        format!("nothing was written to {saved}")
    };
    Some(match outcome {
        Outcome::Completed | Outcome::Prepared | Outcome::ExitedEarly { .. } => return None,
        Outcome::CellFailed(error) => Failure::new(raised(error))
            .help(format!("the executed notebook, with the error in it, is at {saved}")),
        Outcome::TimedOut { cell, limit, after, killed } => {
            let (what, code, help) = match limit {
                TimeLimit::Cell => (
                    format!("{} took longer than {} s", place(*cell), after.as_secs_f64()),
                    exit::FAILURE,
                    "--execution-timeout, or the tag timeout=SECONDS on the cell, allows more",
                ),
                TimeLimit::Run => (
                    format!("the run took longer than {} s{}", after.as_secs_f64(), during(*cell)),
                    exit::TIMED_OUT,
                    "--timeout allows more",
                ),
            };
            let failure = Failure::new(what).code(code).help(format!("{help}; {so_far}"));
            if *killed { failure.cause("it did not stop when interrupted and was killed") } else { failure }
        }
        Outcome::KernelDied { cell, death } => {
            let failure = if death.cause.is_limit() {
                Failure::new(format!("the kernel was {}{}", death.cause, during(*cell)))
            } else {
                Failure::new(format!("the kernel died{}", during(*cell))).cause(death.cause.to_string())
            };
            let failure = failure.code(exit::KERNEL_DIED);
            let failure = if death.stderr_tail.trim().is_empty() {
                failure
            } else {
                failure.cause(format!("its last words were\n{}", shortened(death.stderr_tail.trim_end())))
            };
            let advice = limit_advice(&death.cause).unwrap_or(match death.cause {
                DeathCause::OutOfMemory { .. } => "give it more memory, or let the cell hold less at a time",
                _ => "`rnbexec run --retries N` begins again when a kernel dies",
            });
            failure.help(format!("{advice}; {so_far}"))
        }
        Outcome::StartFailed { error, kept_earlier_output } => {
            let saved = if *kept_earlier_output {
                format!("the earlier notebook at {saved} was left as it was")
            } else {
                so_far
            };
            let (code, advice) = match error.as_ref() {
                LaunchError::ProgramMissing { .. } | LaunchError::Spawn { .. } => {
                    (exit::FAILURE, "install that program, or choose another kernel with -k")
                }
                LaunchError::WorkingDirectory { .. } => {
                    (exit::FAILURE, "name a folder that exists with --cwd")
                }
                LaunchError::Containment { restriction, .. } => (exit::FAILURE, restriction.advice()),
                LaunchError::Died { death, .. } if death.cause.is_limit() => {
                    (exit::KERNEL_DIED, limit_advice(&death.cause).unwrap_or("give it more"))
                }
                LaunchError::Timeout { .. } => (exit::TRY_AGAIN, "--start-timeout gives it more time"),
                _ => (exit::TRY_AGAIN, "`rnbexec run --retries N` begins again when a kernel does not start"),
            };
            Failure::because("the kernel did not start", error.as_ref())
                .code(code)
                .help(format!("{advice}; {saved}"))
        }
        Outcome::OutputsIncomplete { cell, .. } => {
            Failure::new(format!("{} may lack outputs", place(Some(*cell))))
                .cause(outcome.reason())
                .help(format!("run it again, or go on all the same with --allow-errors; {so_far}"))
        }
        Outcome::Interrupted { cell } => Failure::new(format!("stopped{}{}", by(signal), during(*cell)))
            .code(signal.unwrap_or(Signal::Interrupt).exit_code())
            .help(so_far),
    })
}

/// How to give more of what a kernel used up.
fn limit_advice(cause: &DeathCause) -> Option<&'static str> {
    match cause {
        DeathCause::OutOfMemory { limit: Some(_), .. } => {
            Some("--memory-limit allows more, or let the cell hold less at a time")
        }
        DeathCause::CpuLimit { .. } => Some("--cpu-limit allows more"),
        _ => None,
    }
}

/// What is said of a run that was abandoned by a signal before its kernel was started.
pub(crate) fn abandoned(signal: Signal) -> Failure {
    Failure::new(format!("stopped{} before the kernel was started", by(Some(signal))))
        .code(signal.exit_code())
}

/// papermill's text for a cell that raised, which comes before everything else.
pub(crate) fn traceback(error: &CellError) -> String {
    let mut text = format!("\n{}\n", "-".repeat(75));
    let count = error.execution_count.map_or_else(|| "None".to_owned(), |count| count.to_string());
    writeln!(text, "Exception encountered at \"In [{count}]\":").expect("writing to a String does not fail");
    text.push_str(&error.traceback.join("\n"));
    text.push('\n');
    text
}

/// What is said of a run that could not be done. `kernels` are those that exist.
pub(crate) fn of_error(error: &RunError, kernels: impl FnOnce() -> Vec<Kernelspec>) -> Failure {
    let failure = Failure::of(error);
    let failure = if error.is_retryable() { failure.code(exit::TRY_AGAIN) } else { failure };
    match error {
        RunError::Notebook { .. } => {
            failure.help("a notebook is a .ipynb file as Jupyter saves it: check the path, or save it again in Jupyter")
        }
        RunError::Parameters(_) => failure.help("give a value and a name that the notebook's language can express"),
        RunError::UnknownParameters { known, .. } if known.is_empty() => {
            failure.help("it defines none; without --strict-parameters they are injected all the same")
        }
        RunError::UnknownParameters { known, .. } => failure.help(format!("it defines {}", known.join(", "))),
        RunError::EnvironmentNotMade => failure.help(
            "look at the dependencies that its `# /// script` cell names; if you trust them, make an environment of them with \
             `rnbexec kernel install NAME --notebook NOTEBOOK` and run it with --env NAME",
        ),
        RunError::OutputInWorkFolder { .. } => failure.help(
            "write it elsewhere, or give the notebook a work folder of its own: --work-folder results",
        ),
        RunError::NoKernelName => failure.help(format!("name one with -k\n{}", listing(&kernels()))),
        RunError::NoLanguage => failure.help("name it with -l, such as -l python"),
        RunError::NoTranslator { .. } => failure.help(
            "name one of python, R, scala, julia, matlab, .net-csharp, .net-fsharp, .net-powershell, bash with -l",
        ),
        RunError::Kernelspec(KernelspecError::NotFound { name, known }) => {
            let mut failure = failure;
            // The list stands in the help, with more in it.
            failure.causes = vec![format!("no kernel named '{name}' is installed")];
            let kernels = kernels();
            let known = if kernels.is_empty() {
                let searched: Vec<String> = known.searched.iter().map(|dir| dir.display().to_string()).collect();
                format!("no kernel is installed in any of\n{}", searched.join("\n"))
            } else {
                listing(&kernels)
            };
            let ours = name == "python3" || SHIPPED_KERNELS.iter().any(|kernel| kernel.name == name);
            let make = if ours {
                format!("`rnbexec kernel install {name}` makes it")
            } else {
                format!(
                    "install it by its own instructions (`rnbexec kernel install {name} --requirements FILE` makes a \
                     Python one), or choose another with -k"
                )
            };
            failure.help(format!("{make}\n{known}"))
        }
        RunError::Kernelspec(_) => failure.help("repair that kernelspec, remove it, or choose another kernel with -k"),
        RunError::Environment(source) => of_provision(failure, source),
        RunError::Save { source, rescued: Some(path) } => {
            let rescued = format!("the executed notebook was put at {} instead", path.display());
            match store_help(source) {
                Some(help) => failure.help(format!("{help}; {rescued}")),
                None => failure.help(rescued),
            }
        }
        RunError::Read(source) | RunError::Save { source, rescued: None } => with_help(failure, store_help(source)),
        // An error of a later version speaks for itself.
        _ => failure,
    }
}

/// Adds what the installer said and what to do about it.
pub(crate) fn of_provision(failure: Failure, error: &ProvisionError) -> Failure {
    let failure = if error.is_transient() { failure.code(exit::TRY_AGAIN) } else { failure };
    let failure = match error.tail().trim_end() {
        "" => failure,
        tail => failure.cause(format!("the installer's last words were\n{tail}")),
    };
    with_help(failure, error.hint())
}

/// A document that could not be read.
pub(crate) fn of_read(what: &str, error: &StoreError) -> Failure {
    let code = if error.is_transient() { exit::TRY_AGAIN } else { exit::FAILURE };
    with_help(Failure::because(what, error).code(code), store_help(error))
}

/// What to do about a document that could not be read or written.
fn store_help(error: &StoreError) -> Option<String> {
    Some(
        match error.kind() {
            StoreErrorKind::NotFound => "check the path",
            StoreErrorKind::PermissionDenied => "ask for the permission, or choose another place",
            StoreErrorKind::Unauthenticated { hint } => return Some(hint.clone()),
            StoreErrorKind::Unavailable { .. } => {
                "try again later, as `rnbexec run --retries N` does by itself"
            }
            StoreErrorKind::NotWritable { .. } | StoreErrorKind::ReadOnly => "choose another output",
            StoreErrorKind::NoSpace => "make room, or choose another output",
            StoreErrorKind::InvalidLocation { .. }
            | StoreErrorKind::NotListable
            | StoreErrorKind::Other { .. } => {
                return None;
            }
        }
        .to_owned(),
    )
}

fn with_help(failure: Failure, help: Option<String>) -> Failure {
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// The first and the last lines of a long text: a crash says what it is first, a Python exception last.
fn shortened(text: &str) -> String {
    let (head, tail) = (8, 16);
    let lines: Vec<&str> = text.lines().collect();
    match lines.len().checked_sub(head + tail) {
        None | Some(0) => text.to_owned(),
        Some(left_out) => {
            let (first, rest) = lines.split_at(head);
            let (_, last) = rest.split_at(left_out);
            format!("{}\n({left_out} lines left out)\n{}", first.join("\n"), last.join("\n"))
        }
    }
}

/// The kernels that exist: name, language and folder.
pub(crate) fn listing(kernels: &[Kernelspec]) -> String {
    let width = |text: fn(&Kernelspec) -> &str| {
        kernels.iter().map(|spec| text(spec).chars().count()).max().unwrap_or(0)
    };
    let (name, language) = (width(|spec| &spec.name), width(|spec| &spec.language));
    let mut text = String::from("these kernels exist:");
    for spec in kernels {
        write!(text, "\n{:name$}  {:language$}  {}", spec.name, spec.language, spec.dir.display())
            .expect("writing to a String does not fail");
    }
    text
}

fn raised(error: &CellError) -> String {
    let count = error.execution_count.map_or_else(String::new, |count| format!(" (In [{count}])"));
    let separator = if error.evalue.is_empty() { "" } else { ": " };
    // An IPython error's text may be a whole report; the traceback above holds it.
    let evalue = error.evalue.lines().next().unwrap_or_default();
    format!("cell {}{count} raised {}{separator}{evalue}", error.cell + 1, error.ename)
}

fn place(cell: Option<usize>) -> String {
    cell.map_or_else(|| "a cell".to_owned(), |cell| format!("cell {}", cell + 1))
}

fn during(cell: Option<usize>) -> String {
    cell.map_or_else(String::new, |cell| format!(" while cell {} ran", cell + 1))
}

fn by(signal: Option<Signal>) -> &'static str {
    match signal {
        Some(Signal::Interrupt) => " by Ctrl-C",
        Some(Signal::Terminate) => " by SIGTERM",
        Some(Signal::Hangup) => " because the terminal went away",
        None => "",
    }
}

#[cfg(test)]
mod tests;

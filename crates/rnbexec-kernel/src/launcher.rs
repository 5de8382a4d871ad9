//! How a kernelspec becomes a command: the lossless launcher for ipykernel, and the transport a kernel can do.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use jupyter_protocol::connection_info::Transport;

use crate::kernelspec::Kernelspec;

/// How to start kernels whose command is `python -m MODULE`: ipykernel, and those built on it. Other kernels are
/// always started as their kernelspec says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Launcher {
    /// By a small script of ours that lifts the send limit of ipykernel's iopub socket, so that no output is ever
    /// dropped. If the kernel is ipykernel itself, it also leaves out the debugger and has crashes leave a traceback.
    /// Where that cannot be done, it does as [`Launcher::Stock`].
    #[default]
    Lossless,
    /// Exactly as the kernelspec says. ipykernel then silently drops output that comes faster than it is read.
    Stock,
}

const SCRIPT: &str = include_str!("launcher.py");

const FORK_SERVER: &str = include_str!("fork_server.py");

/// How the fork server for a kernel is started, where the kernel's own command would be `PROGRAM [OPTIONS] -m ipykernel…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForkCommand {
    pub(crate) program: OsString,
    pub(crate) options: Vec<OsString>,
}

impl ForkCommand {
    /// What speaks for itself in a kernel's command line, and the arguments that a forked kernel gets.
    pub(crate) fn of(spec: &Kernelspec, command: &[OsString]) -> Option<(Self, Vec<String>)> {
        let (position, module) = python_module(&spec.argv)?;
        // Whatever else starts a Python need not pass our socket on.
        let is_python = Path::new(spec.argv.first()?).file_name()?.to_str()?.starts_with("python");
        if !(is_python && is_ipykernel_module(module)) {
            return None;
        }
        let arguments =
            command.get(position + 2..)?.iter().map(|argument| argument.to_str().map(str::to_owned));
        let (program, options) = command.get(..position)?.split_first()?;
        Some((
            Self { program: program.clone(), options: options.to_vec() },
            arguments.collect::<Option<_>>()?,
        ))
    }
}

/// Writes the script of fork servers into `directory`.
pub(crate) fn write_fork_server(directory: &Path) -> io::Result<PathBuf> {
    std::fs::write(directory.join("launcher.py"), SCRIPT)?;
    let script = directory.join("fork_server.py");
    std::fs::write(&script, FORK_SERVER)?;
    Ok(script)
}

fn is_ipykernel_module(module: &str) -> bool {
    ["ipykernel_launcher", "ipykernel"].contains(&module)
}

/// The position of `-m` and the module's name in a command that runs a Python module: `python [options] -m MODULE …`,
/// or anything before `-m ipykernel_launcher`.
fn python_module(argv: &[String]) -> Option<(usize, &str)> {
    let program = Path::new(argv.first()?).file_name()?.to_str()?;
    let position = argv.iter().position(|argument| argument == "-m")?;
    let module = argv.get(position + 1)?;
    // A word that is no option, before `-m`, is a script: what follows are its own arguments.
    let options = argv.get(1..position)?.iter().all(|argument| argument.starts_with('-'));
    let is_module = is_ipykernel_module(module) || (program.starts_with("python") && options);
    is_module.then_some((position, module))
}

pub(crate) fn is_ipykernel(spec: &Kernelspec) -> bool {
    python_module(&spec.argv).is_some_and(|(_, module)| is_ipykernel_module(module))
}

/// Replaces `-m MODULE` by our script and `MODULE`; the script is written into `directory`.
pub(crate) fn make_lossless(
    command: &mut Vec<OsString>,
    spec: &Kernelspec,
    directory: &Path,
) -> io::Result<()> {
    let Some((position, module)) = python_module(&spec.argv) else { return Ok(()) };
    let script = directory.join("launcher.py");
    std::fs::write(&script, SCRIPT)?;
    command.splice(position..position + 2, [script.into_os_string(), OsString::from(module)]);
    Ok(())
}

/// The argument that keeps the input history out of the user's database, where parallel runs would queue for it, as
/// nbclient passes it; unless the command says something about it already. (nbclient passes it only to kernels that
/// are named `python`; here every ipykernel gets it.)
pub(crate) fn history_argument(spec: &Kernelspec, extra: &[String]) -> Option<String> {
    let said = spec.argv.iter().chain(extra).any(|argument| argument.starts_with("--HistoryManager."));
    (is_ipykernel(spec) && !said).then(|| "--HistoryManager.hist_file=:memory:".to_owned())
}

/// The modules that a kernelspec names to be imported before its kernels are forked (`metadata.rnbexec.preload`).
pub(crate) fn preload(spec: &Kernelspec) -> Vec<String> {
    let named = spec.metadata.pointer("/rnbexec/preload").and_then(serde_json::Value::as_array);
    named.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The transports to try, in this order. A kernelspec may say `metadata.rnbexec.transport`; kernels known to speak
/// nothing but TCP get TCP; ipykernel does ipc; of all others it is found out, TCP being the second try.
pub(crate) fn transports(spec: &Kernelspec) -> &'static [Transport] {
    let told = spec.metadata.pointer("/rnbexec/transport").and_then(serde_json::Value::as_str);
    match told {
        Some("tcp") => &[Transport::TCP],
        _ if !cfg!(unix) => &[Transport::TCP],
        Some("ipc") => &[Transport::IPC],
        _ if is_ipykernel(spec) => &[Transport::IPC],
        _ if speaks_only_tcp(&spec.argv) => &[Transport::TCP],
        _ => &[Transport::IPC, Transport::TCP],
    }
}

/// ipymini and kernmini refuse other connection files; Deno takes the path for a host name.
fn speaks_only_tcp(argv: &[String]) -> bool {
    let is = |argument: &str, name: &str| Path::new(argument).file_stem() == Some(OsStr::new(name));
    let mini = argv.iter().any(|argument| is(argument, "ipymini") || is(argument, "kernmini"));
    let deno = matches!(argv, [program, command, ..] if is(program, "deno") && command == "jupyter");
    mini || deno
}

#[cfg(test)]
mod tests;

//! A kernelspec: how `kernel.json` says a kernel is started.
//!
//! Source: jupyter_client's `KernelSpec`, `KernelManager.format_kernel_cmd` and the provisioner's environment
//! substitution. Deliberate difference, since rnbexec is no Python and has no `sys.executable`: an `argv[0]` of
//! `python`, `python3` or `python3.N` means the Python of the prefix the kernelspec is installed in (`<prefix>/bin`
//! when the spec lies in `<prefix>/share/jupyter/kernels`), else that of `$VIRTUAL_ENV`, of `$CONDA_PREFIX`, else the
//! one that `$PATH` finds.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::search::KernelspecError;

/// How a kernel wants to be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterruptMode {
    /// By `SIGINT` to its process group.
    #[default]
    Signal,
    /// By an `interrupt_request` on the control channel.
    Message,
}

/// A kernel that is installed: the contents of its `kernel.json`, and where that lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernelspec {
    /// The name notebooks call it by: that of its directory, in lower case.
    pub name: String,
    /// The directory that holds `kernel.json`; `{resource_dir}` in arguments.
    pub dir: PathBuf,
    /// The command line, templates unfilled.
    pub argv: Vec<String>,
    /// The name for people.
    pub display_name: String,
    /// The language, as the kernelspec calls it.
    pub language: String,
    /// How it wants to be interrupted.
    pub interrupt_mode: InterruptMode,
    /// Environment variables to add; values may name others as `${NAME}`.
    pub env: BTreeMap<String, String>,
    /// The `metadata` object, whatever is in it.
    pub metadata: serde_json::Value,
}

#[derive(Deserialize)]
struct KernelJson {
    argv: Vec<String>,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    interrupt_mode: InterruptMode,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    metadata: serde_json::Value,
}

impl Kernelspec {
    /// Reads the kernelspec whose `kernel.json` lies in `dir`.
    ///
    /// # Errors
    /// [`KernelspecError::Unreadable`] and [`KernelspecError::Invalid`], naming the file.
    pub fn read(name: &str, dir: &Path) -> Result<Self, KernelspecError> {
        let path = dir.join("kernel.json");
        let bytes = std::fs::read(&path)
            .map_err(|source| KernelspecError::Unreadable { path: path.clone(), source })?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let json: KernelJson = serde_json::from_slice(bytes)
            .map_err(|source| KernelspecError::Invalid { path: path.clone(), source })?;
        if json.argv.is_empty() {
            return Err(KernelspecError::EmptyArgv { path });
        }
        Ok(Self {
            name: name.to_lowercase(),
            dir: dir.to_path_buf(),
            argv: json.argv,
            display_name: json.display_name,
            language: json.language,
            interrupt_mode: json.interrupt_mode,
            env: json.env,
            metadata: json.metadata,
        })
    }

    /// The prefix that the kernelspec is installed in, if it lies in `<prefix>/share/jupyter/kernels`.
    pub fn prefix(&self) -> Option<&Path> {
        let kernels = self.dir.parent()?;
        let jupyter = kernels.parent()?;
        let share = jupyter.parent()?;
        let is = |path: &Path, name: &str| path.file_name() == Some(OsStr::new(name));
        (is(kernels, "kernels") && is(jupyter, "jupyter") && is(share, "share"))
            .then(|| share.parent())
            .flatten()
    }

    /// The command line with its templates filled, and its first word resolved if it means a Python.
    pub(crate) fn command(
        &self,
        connection_file: &Path,
        extra_arguments: &[String],
        vars: &HashMap<OsString, OsString>,
    ) -> Vec<OsString> {
        let python =
            self.argv.first().filter(|program| means_python(program)).and_then(|p| self.python(p, vars));
        let prefix =
            python.as_deref().and_then(prefix_of_python).or_else(|| self.prefix().map(Path::to_path_buf));
        let fill = |name: &str| match name {
            "connection_file" => Some(connection_file.to_path_buf()),
            "resource_dir" => Some(self.dir.clone()),
            "prefix" => prefix.clone(),
            _ => None,
        };
        let mut command: Vec<OsString> =
            self.argv.iter().chain(extra_arguments).map(|argument| fill_template(argument, fill)).collect();
        if let (Some(first), Some(python)) = (command.first_mut(), python) {
            *first = python.into_os_string();
        }
        command
    }

    fn python(&self, program: &str, vars: &HashMap<OsString, OsString>) -> Option<PathBuf> {
        let named =
            |name: &str| vars.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.prefix()
            .map(Path::to_path_buf)
            .into_iter()
            .chain(named("VIRTUAL_ENV"))
            .chain(named("CONDA_PREFIX"))
            .find_map(|prefix| python_of_prefix(&prefix, program))
            .or_else(|| find_on_path(&[program, "python3", "python"], vars))
    }

    /// The environment entries, `${NAME}` and `$NAME` filled from `vars` where they are known.
    pub(crate) fn filled_env(&self, vars: &HashMap<OsString, OsString>) -> Vec<(OsString, OsString)> {
        self.env.iter().map(|(name, value)| (OsString::from(name), substitute(value, vars))).collect()
    }
}

/// Whether `program` is one of the words that mean "the Python of here" rather than a certain file.
fn means_python(program: &str) -> bool {
    program.strip_prefix("python").is_some_and(|version| {
        version.split('.').count() <= 2 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// The Python of an environment: under the wanted name if it has it, else under its usual ones.
pub(crate) fn python_of_prefix(prefix: &Path, program: &str) -> Option<PathBuf> {
    let (bin, suffix) = if cfg!(windows) { ("Scripts", ".exe") } else { ("bin", "") };
    let in_bin = [program, "python3", "python"].map(|name| prefix.join(bin).join(format!("{name}{suffix}")));
    let beside = cfg!(windows).then(|| prefix.join("python.exe"));
    in_bin.into_iter().chain(beside).find(|path| is_program(path))
}

/// The first of `names` that any directory of `$PATH` holds; an earlier name beats an earlier directory.
pub(crate) fn find_on_path(names: &[&str], vars: &HashMap<OsString, OsString>) -> Option<PathBuf> {
    let path = vars.get(OsStr::new("PATH"))?;
    let suffix = if cfg!(windows) { ".exe" } else { "" };
    names.iter().find_map(|name| {
        std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(format!("{name}{suffix}")))
            .find(|file| is_program(file))
    })
}

fn is_program(path: &Path) -> bool {
    let Ok(found) = path.metadata() else { return false };
    #[cfg(unix)]
    let executable = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let executable = true;
    found.is_file() && executable
}

/// What `sys.prefix` is for the interpreter at `python`: its environment if it is in one, else its installation.
pub(crate) fn prefix_of_python(python: &Path) -> Option<PathBuf> {
    let up = if cfg!(windows) && !python.parent()?.ends_with("Scripts") { 1 } else { 2 };
    let environment = python.ancestors().nth(up)?;
    if environment.join("pyvenv.cfg").is_file() || environment.join("conda-meta").is_dir() {
        return Some(environment.to_path_buf());
    }
    let real = python.canonicalize().ok()?;
    real.ancestors().nth(up).map(Path::to_path_buf)
}

/// Replaces `{name}` wherever `fill` knows the name, as jupyter_client does; all else stays.
fn fill_template(text: &str, fill: impl Fn(&str) -> Option<PathBuf>) -> OsString {
    let mut out = OsString::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push(before);
        let inside = &after[1..];
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
        let (name, tail) = inside.split_at(end);
        if let (Some(value), Some(tail)) = (fill(name), tail.strip_prefix('}')) {
            out.push(value);
            rest = tail;
        } else {
            out.push("{");
            rest = inside;
        }
    }
    out.push(rest);
    out
}

/// Python's `string.Template.safe_substitute`: `$name`, `${name}` where known, `$$` is `$`, all else stays.
fn substitute(text: &str, vars: &HashMap<OsString, OsString>) -> OsString {
    let mut out = OsString::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        out.push(before);
        let inside = &after[1..];
        if let Some(tail) = inside.strip_prefix('$') {
            out.push("$");
            rest = tail;
            continue;
        }
        let (braced, name_on) = match inside.strip_prefix('{') {
            Some(name_on) => (true, name_on),
            None => (false, inside),
        };
        let end = name_on.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name_on.len());
        let (name, tail) = name_on.split_at(end);
        let tail = if braced { tail.strip_prefix('}') } else { Some(tail) };
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let value = if starts_well { vars.get(OsStr::new(name)) } else { None };
        if let (Some(value), Some(tail)) = (value, tail) {
            out.push(value);
            rest = tail;
        } else {
            out.push("$");
            rest = inside;
        }
    }
    out.push(rest);
    out
}

#[cfg(test)]
mod tests;

//! Finding kernelspecs where jupyter_client finds them.
//!
//! Source: `jupyter_core.paths.jupyter_path` and `jupyter_client.kernelspec.KernelSpecManager`. The order is
//! `$JUPYTER_PATH`; then the user's data directory and the environment's, whichever the environment prefers; then the
//! system's; then `~/.ipython/kernels`. An earlier directory wins. Names are compared without case.
//!
//! Where Jupyter uses the `sys.prefix` of the Python it runs in, we have none of our own and use, in this order,
//! `$VIRTUAL_ENV`, `$CONDA_PREFIX` and the prefix of the first `python3` (else `python`) on `$PATH`.
//!
//! As in Jupyter, `python3` is a kernel even where no kernelspec says so, if that Python has ipykernel installed
//! (`ensure_native_kernel`); and the name `python` means `python3` where no kernel is called `python`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::kernelspec::{self, InterruptMode, Kernelspec};

/// The kernel every Jupyter has if ipykernel can be imported.
const NATIVE_NAME: &str = "python3";

/// What a search depends on; the library itself reads no environment.
#[derive(Debug, Clone, Default)]
pub struct SearchContext {
    /// The environment variables.
    pub vars: HashMap<OsString, OsString>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Prefixes of environments to search before everything else, e.g. one the user named for this run.
    pub prefixes: Vec<PathBuf>,
}

/// A kernelspec was not found or is no good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelspecError {
    /// No kernel of that name is installed.
    #[error("no kernel named {name:?}; {known}")]
    NotFound {
        /// The name asked for.
        name: String,
        /// What is there instead.
        known: KnownKernels,
    },
    /// A `kernel.json` cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A `kernel.json` is not what it should be.
    #[error("{} is not a valid kernelspec", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A `kernel.json` says no command.
    #[error("{} is not a valid kernelspec: argv is empty", path.display())]
    EmptyArgv {
        /// The file.
        path: PathBuf,
    },
}

/// The kernels that exist, for the message that says another does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKernels {
    /// Names and directories.
    pub kernels: Vec<(String, PathBuf)>,
    /// The directories searched.
    pub searched: Vec<PathBuf>,
}

impl fmt::Display for KnownKernels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernels.is_empty() {
            out.write_str("no kernel is installed in ")?;
            return list_of(out, self.searched.iter().map(|path| path.display().to_string()));
        }
        out.write_str("these exist: ")?;
        list_of(out, self.kernels.iter().map(|(name, dir)| format!("{name} ({})", dir.display())))
    }
}

fn list_of(out: &mut fmt::Formatter<'_>, items: impl Iterator<Item = String>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.write_str(", ")?;
        }
        out.write_str(&item)?;
    }
    Ok(())
}

/// Everything a search finds.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The kernels that can be used, by name.
    pub kernels: Vec<Kernelspec>,
    /// What looks like a kernelspec and is not one.
    pub broken: Vec<KernelspecError>,
}

/// The directories that may hold kernelspecs, the most important first.
pub fn search_path(context: &SearchContext) -> Vec<PathBuf> {
    let mut data: Vec<PathBuf> = context.prefixes.iter().map(|prefix| prefix.join("share/jupyter")).collect();
    if let Some(list) = context.var("JUPYTER_PATH") {
        data.extend(std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()));
    }
    let prefixes = environment_prefixes(context);
    let environment = prefixes.iter().map(|prefix| prefix.join("share/jupyter"));
    let user = user_data_dirs(context, &prefixes);
    if prefers_environment(context) {
        data.extend(environment.chain(user));
    } else {
        data.extend(user.into_iter().chain(environment));
    }
    data.extend(system_data_dirs(context));
    let mut path: Vec<PathBuf> = data.into_iter().map(|directory| directory.join("kernels")).collect();
    path.extend(ipython_dir(context).map(|directory| directory.join("kernels")));
    let mut seen = std::collections::HashSet::new();
    path.retain(|directory| seen.insert(directory.clone()));
    path
}

/// The kernel called `name`.
///
/// # Errors
/// [`KernelspecError::NotFound`] lists what exists; the others name the file that is no good.
pub fn find(context: &SearchContext, name: &str) -> Result<Kernelspec, KernelspecError> {
    let wanted = name.to_lowercase();
    let found = directories(context);
    if let Some(dir) = found.get(&wanted) {
        return Kernelspec::read(&wanted, dir);
    }
    if wanted == "python"
        && let Some(dir) = found.get(NATIVE_NAME)
    {
        return Kernelspec::read(NATIVE_NAME, dir);
    }
    let native = native_kernel(context);
    if let Some(native) = native.clone().filter(|_| wanted == NATIVE_NAME || wanted == "python") {
        return Ok(native);
    }
    let mut kernels: Vec<_> = found.into_iter().collect();
    if let Some(native) = native.filter(|native| kernels.iter().all(|(name, _)| *name != native.name)) {
        kernels.push((native.name, native.dir));
        kernels.sort();
    }
    Err(KernelspecError::NotFound {
        name: name.to_owned(),
        known: KnownKernels { kernels, searched: search_path(context) },
    })
}

/// The kernels that can be used, by name; see [`catalog`] for those that cannot.
pub fn list(context: &SearchContext) -> Vec<Kernelspec> {
    catalog(context).kernels
}

/// All kernelspecs, by name, the broken ones apart.
pub fn catalog(context: &SearchContext) -> Catalog {
    let mut catalog = Catalog::default();
    let found = directories(context);
    if !found.contains_key(NATIVE_NAME) {
        catalog.kernels.extend(native_kernel(context));
    }
    for (name, dir) in found {
        match Kernelspec::read(&name, &dir) {
            Ok(spec) => catalog.kernels.push(spec),
            Err(error) => catalog.broken.push(error),
        }
    }
    catalog.kernels.sort_by(|left, right| left.name.cmp(&right.name));
    catalog
}

/// Name in lower case → directory, the first on the path of each name.
fn directories(context: &SearchContext) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for directory in search_path(context) {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        dirs.sort();
        for dir in dirs.into_iter().filter(|dir| dir.join("kernel.json").is_file()) {
            if let Some(name) = dir.file_name().and_then(OsStr::to_str) {
                found.entry(name.to_lowercase()).or_insert(dir);
            }
        }
    }
    found
}

/// `python3` from the ipykernel that the environment's Python has installed, kernelspec or not.
fn native_kernel(context: &SearchContext) -> Option<Kernelspec> {
    environment_pythons(context).into_iter().find_map(|(python, prefix)| {
        let package = ipykernel_package(&prefix)?;
        Some(Kernelspec {
            name: NATIVE_NAME.to_owned(),
            dir: package.join("resources"),
            argv: [python.to_str()?, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                .map(str::to_owned)
                .to_vec(),
            display_name: "Python 3 (ipykernel)".to_owned(),
            language: "python".to_owned(),
            interrupt_mode: InterruptMode::Signal,
            env: BTreeMap::new(),
            metadata: serde_json::json!({ "debugger": true }),
        })
    })
}

/// `<prefix>/lib/python3.N/{site,dist}-packages/ipykernel`, on Windows `<prefix>/Lib/site-packages/ipykernel`.
fn ipykernel_package(prefix: &Path) -> Option<PathBuf> {
    let mut libraries = vec![prefix.join("Lib/site-packages"), prefix.join("lib/python3/dist-packages")];
    for entry in std::fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("python3.") {
            libraries.extend(["site-packages", "dist-packages"].map(|name| entry.path().join(name)));
        }
    }
    libraries
        .into_iter()
        .map(|library| library.join("ipykernel"))
        .find(|package| package.join("kernelapp.py").is_file())
}

impl SearchContext {
    fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    fn path_var(&self, name: &str) -> Option<PathBuf> {
        self.var(name).map(PathBuf::from)
    }

    /// jupyter_core's `envset`: set, unless to a word for no.
    fn flag(&self, name: &str) -> Option<bool> {
        let value = self.vars.get(OsStr::new(name))?.to_string_lossy().to_lowercase();
        Some(!["no", "n", "false", "off", "0", "0.0"].contains(&value.as_str()))
    }
}

/// Interpreters that stand for the environment we run in, each with its prefix, the most important first.
fn environment_pythons(context: &SearchContext) -> Vec<(PathBuf, PathBuf)> {
    let named = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(|name| context.path_var(name));
    let mut pythons: Vec<_> = context
        .prefixes
        .iter()
        .cloned()
        .chain(named)
        .filter_map(|prefix| Some((kernelspec::python_of_prefix(&prefix, "python3")?, prefix)))
        .collect();
    pythons.extend(path_python(context));
    pythons
}

fn path_python(context: &SearchContext) -> Option<(PathBuf, PathBuf)> {
    let python = kernelspec::find_on_path(&["python3", "python"], &context.vars)?;
    let prefix = kernelspec::prefix_of_python(&python)?;
    Some((python, prefix))
}

fn environment_prefixes(context: &SearchContext) -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(|name| context.path_var(name)).collect();
    prefixes.extend(path_python(context).map(|(_, prefix)| prefix));
    prefixes
}

fn is_virtual_environment(prefix: &Path) -> bool {
    prefix.join("pyvenv.cfg").is_file()
}

/// jupyter_core's `prefer_environment_over_user`: as told, else in a virtual environment or a conda environment other
/// than `base`. (Jupyter also asks whether the user owns it.)
fn prefers_environment(context: &SearchContext) -> bool {
    context.flag("JUPYTER_PREFER_ENV_PATH").unwrap_or_else(|| {
        let conda_base = context.var("CONDA_DEFAULT_ENV").is_none_or(|name| name == "base");
        let virtual_environment = context.path_var("VIRTUAL_ENV").is_some()
            || path_python(context).is_some_and(|(_, prefix)| is_virtual_environment(&prefix));
        virtual_environment || (context.var("CONDA_PREFIX").is_some() && !conda_base)
    })
}

fn user_data_dirs(context: &SearchContext, prefixes: &[PathBuf]) -> Vec<PathBuf> {
    let home = context.home.as_deref();
    let data = context.path_var("JUPYTER_DATA_DIR").or_else(|| {
        if cfg!(target_os = "macos") {
            let place = if context.flag("JUPYTER_PLATFORM_DIRS") == Some(true) {
                "Library/Application Support/jupyter"
            } else {
                "Library/Jupyter"
            };
            home.map(|home| home.join(place))
        } else if cfg!(windows) {
            let roaming = context.path_var("APPDATA").map(|path| path.join("jupyter"));
            roaming.or_else(|| home.map(|home| home.join(".jupyter").join("data")))
        } else {
            let share =
                context.path_var("XDG_DATA_HOME").or_else(|| home.map(|home| home.join(".local/share")));
            share.map(|share| share.join("jupyter"))
        }
    });
    // `site.USER_BASE`, which a virtual environment does not see.
    let user_base = context
        .path_var("PYTHONUSERBASE")
        .or_else(|| {
            home.filter(|_| cfg!(not(any(windows, target_os = "macos")))).map(|home| home.join(".local"))
        })
        .filter(|_| !prefixes.first().is_some_and(|prefix| is_virtual_environment(prefix)))
        .map(|base| base.join("share/jupyter"));
    data.into_iter().chain(user_base).collect()
}

fn system_data_dirs(context: &SearchContext) -> Vec<PathBuf> {
    if cfg!(windows) {
        // %PROGRAMDATA% is writable by other users: only on request, as in jupyter_core.
        let trusted = context.flag("JUPYTER_USE_PROGRAMDATA") == Some(true);
        return context
            .path_var("PROGRAMDATA")
            .filter(|_| trusted)
            .map(|path| path.join("jupyter"))
            .into_iter()
            .collect();
    }
    let platform_dirs = context.flag("JUPYTER_PLATFORM_DIRS") == Some(true);
    if let Some(list) = context.var("XDG_DATA_DIRS").filter(|_| platform_dirs) {
        return std::env::split_paths(list).map(|path| path.join("jupyter")).collect();
    }
    ["/usr/local/share/jupyter", "/usr/share/jupyter"].map(PathBuf::from).to_vec()
}

fn ipython_dir(context: &SearchContext) -> Option<PathBuf> {
    context.path_var("IPYTHONDIR").or_else(|| context.home.as_ref().map(|home| home.join(".ipython")))
}

#[cfg(test)]
mod tests;

//! Kernels that were installed by name: `rnbexec kernel install`, `list` and `remove`.
//!
//! ```text
//! <data>/installed/<name>.json       what it is, and where its kernelspec and environment are
//! <data>/installed/<name>.txt        its requirements, so that a broken environment can be made again
//! <kernels_dir>/<name>/kernel.json   the kernelspec, which Jupyter finds too
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::environment::{self, Ready, write_atomically};
use super::error::ProvisionError;
use super::modules::Modules;
use super::requirements::Requirements;
use super::script::ScriptMetadata;
use super::shipped::shipped;
use super::{ProgressSink, ProvisionContext};

/// What to install, and under which name.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// The kernel's name: its kernelspec's folder, and what `--kernel` and `--env` take.
    pub name: String,
    /// What its environment holds.
    pub source: InstallSource,
    /// The name people see; `None`: made from the name (or the shipped kernel's own).
    pub display_name: Option<String>,
    /// Whether a kernelspec of that name that rnbexec did not make may be replaced.
    pub replace: bool,
}

/// What an installed kernel's environment holds.
#[derive(Debug, Clone)]
pub enum InstallSource {
    /// `python3`: the locked ipykernel; a shipped kernel's name: its locked requirements.
    Named,
    /// The text of a requirements file.
    Requirements(String),
    /// The dependencies of a notebook.
    Script(ScriptMetadata),
}

/// A kernel that was installed by name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstalledKernel {
    /// Its name.
    pub name: String,
    /// The name people see.
    pub display_name: String,
    /// The folder of its kernelspec.
    pub kernelspec: PathBuf,
    /// Its virtual environment.
    pub environment: PathBuf,
    /// The environment's interpreter.
    pub python: PathBuf,
    /// The Python version; `None` if the environment is broken: the next use makes it again.
    pub python_version: Option<String>,
    /// `name==version` of what is installed in it; empty if it is broken.
    pub packages: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) display_name: String,
    kernelspec: PathBuf,
    requires_python: Option<String>,
    #[serde(default, skip_serializing_if = "Modules::is_empty")]
    modules: Modules,
}

fn folder(context: &ProvisionContext) -> PathBuf {
    context.data_dir.join("installed")
}

/// Makes the environment (with its packages, unless it exists) and then the kernelspec.
pub async fn install(
    context: &ProvisionContext,
    request: InstallRequest,
    progress: &mut ProgressSink<'_>,
) -> Result<InstalledKernel, ProvisionError> {
    let name = kernel_name(&request.name)?;
    let kernelspec = context.kernels_dir.join(&name);
    let file = kernelspec.join("kernel.json");
    if !request.replace && is_foreign(&file).await? {
        return Err(ProvisionError::KernelspecExists { path: file });
    }
    let (requirements, shipped_display) = match &request.source {
        InstallSource::Requirements(text) => (Requirements::from_file(text)?, None),
        InstallSource::Script(script) => (Requirements::from_script(script), None),
        InstallSource::Named if name == "python3" => {
            (Requirements::ipykernel(), Some("Python 3 (rnbexec)".to_owned()))
        }
        InstallSource::Named => {
            let kernel = shipped(&name).ok_or_else(|| ProvisionError::UnknownKernel(name.clone()))?;
            let spec: serde_json::Value = serde_json::from_str(kernel.kernel_json).unwrap_or_default();
            (kernel.requirements()?, spec["display_name"].as_str().map(str::to_owned))
        }
    };
    let display_name =
        request.display_name.or(shipped_display).unwrap_or_else(|| format!("{name} (Python 3)"));
    let before = read(context, &name).await?;
    let ready = environment::provide(context, &name, &requirements, progress).await?;

    let create = |path: PathBuf| async move {
        tokio::fs::create_dir_all(&path).await.map_err(|source| ProvisionError::io("create", &path, source))
    };
    create(folder(context)).await?;
    create(kernelspec.clone()).await?;
    let entry = Entry {
        name: name.clone(),
        display_name,
        kernelspec,
        requires_python: requirements.requires_python.as_ref().map(ToString::to_string),
        modules: requirements.modules.clone(),
    };
    write_atomically(&folder(context).join(format!("{name}.txt")), requirements.text.as_bytes()).await?;
    let json = serde_json::to_vec_pretty(&entry).expect("an entry of texts is JSON");
    write_atomically(&folder(context).join(format!("{name}.json")), &json).await?;
    let spec =
        serde_json::to_vec_pretty(&kernel_json(&entry, &ready)).expect("a kernelspec of texts is JSON");
    write_atomically(&file, &spec).await?;

    // What the name stood for before is nobody's now.
    if let Some((_, old)) = before {
        let old = environment::dir_of(context, &name, &old);
        if old != ready.dir {
            environment::discard(context, &old, progress).await?;
        }
    }
    Ok(describe(entry, &ready.dir, Some(&ready)))
}

/// All installed kernels, by name.
pub async fn list(context: &ProvisionContext) -> Result<Vec<InstalledKernel>, ProvisionError> {
    let mut kernels = Vec::new();
    for name in names(context).await? {
        if let Some((entry, requirements)) = read(context, &name).await? {
            let dir = environment::dir_of(context, &name, &requirements);
            kernels.push(describe(entry, &dir, environment::load(&dir).await.as_ref()));
        }
    }
    Ok(kernels)
}

/// Removes the kernelspec, the environment and the entry of an installed kernel, and says what it was.
pub async fn remove(
    context: &ProvisionContext,
    name: &str,
    progress: &mut ProgressSink<'_>,
) -> Result<InstalledKernel, ProvisionError> {
    let (entry, requirements) = get(context, name).await?;
    let dir = environment::dir_of(context, &entry.name, &requirements);
    let kernel = describe(entry.clone(), &dir, environment::load(&dir).await.as_ref());
    let file = entry.kernelspec.join("kernel.json");
    if !is_foreign(&file).await? {
        gone(tokio::fs::remove_file(&file).await, &file)?;
        // Whatever else somebody put there (a logo) keeps the folder.
        if let Err(error) = tokio::fs::remove_dir(&entry.kernelspec).await {
            tracing::debug!(folder = %entry.kernelspec.display(), %error, "the kernelspec's folder stays");
        }
    }
    environment::discard(context, &dir, progress).await?;
    for extension in ["txt", "json"] {
        let file = folder(context).join(format!("{}.{extension}", entry.name));
        gone(tokio::fs::remove_file(&file).await, &file)?;
    }
    Ok(kernel)
}

/// An installed kernel's entry and requirements; an error that lists what is installed if there is none.
pub(super) async fn get(
    context: &ProvisionContext,
    name: &str,
) -> Result<(Entry, Requirements), ProvisionError> {
    if let Some(found) = read(context, &kernel_name(name)?).await? {
        return Ok(found);
    }
    Err(ProvisionError::NotInstalled { name: name.to_owned(), installed: names(context).await? })
}

async fn read(
    context: &ProvisionContext,
    name: &str,
) -> Result<Option<(Entry, Requirements)>, ProvisionError> {
    let file = folder(context).join(format!("{name}.json"));
    let Some(json) = present(tokio::fs::read(&file).await, &file)? else { return Ok(None) };
    let damaged = |source: serde_json::Error| ProvisionError::io("read", &file, source.into());
    let entry: Entry = serde_json::from_slice(&json).map_err(damaged)?;
    let text_file = folder(context).join(format!("{name}.txt"));
    let Some(text) = present(tokio::fs::read_to_string(&text_file).await, &text_file)? else {
        return Ok(None);
    };
    let requires_python = entry.requires_python.as_deref().and_then(|text| text.parse().ok());
    let modules = entry.modules.clone();
    Ok(Some((entry, Requirements { text, requires_python, modules })))
}

async fn names(context: &ProvisionContext) -> Result<Vec<String>, ProvisionError> {
    let folder = folder(context);
    let mut names = Vec::new();
    let Some(mut entries) = present(tokio::fs::read_dir(&folder).await, &folder)? else { return Ok(names) };
    while let Some(entry) =
        entries.next_entry().await.map_err(|source| ProvisionError::io("read", &folder, source))?
    {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn describe(entry: Entry, dir: &Path, ready: Option<&Ready>) -> InstalledKernel {
    InstalledKernel {
        name: entry.name,
        display_name: entry.display_name,
        kernelspec: entry.kernelspec,
        environment: dir.to_owned(),
        python: super::python::interpreter(dir),
        python_version: ready.map(|ready| ready.record.python_version.clone()),
        packages: ready.map(|ready| ready.record.packages.clone()).unwrap_or_default(),
    }
}

/// A kernelspec that works in Jupyter too: the environment's interpreter by its path, and the environment's programs
/// first on the kernel's path.
fn kernel_json(entry: &Entry, ready: &Ready) -> serde_json::Value {
    json!({
        "argv": [ready.python(), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": entry.display_name,
        "language": "python",
        "interrupt_mode": "signal",
        "env": ready.variables(),
        "metadata": {"debugger": true, "rnbexec": {"installed": entry.name, "environment": ready.dir}},
    })
}

/// Whether there is a kernelspec that we did not write. A damaged one is not ours either.
async fn is_foreign(file: &Path) -> Result<bool, ProvisionError> {
    let Some(bytes) = present(tokio::fs::read(file).await, file)? else { return Ok(false) };
    let spec: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(!spec["metadata"]["rnbexec"]["installed"].is_string())
}

/// Checked as jupyter_client does, and in lower case as it writes them.
pub(super) fn kernel_name(name: &str) -> Result<String, ProvisionError> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits { Ok(name.to_ascii_lowercase()) } else { Err(ProvisionError::BadName(name.to_owned())) }
}

fn present<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, ProvisionError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProvisionError::io("read", path, source)),
    }
}

fn gone(result: io::Result<()>, path: &Path) -> Result<(), ProvisionError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ProvisionError::io("remove", path, source))
        }
        _ => Ok(()),
    }
}

//! Environments on disk: made once, in place, and then only looked at.
//!
//! ```text
//! <data>/envs/<name>-<fingerprint>/                       the virtual environment
//! <data>/envs/<name>-<fingerprint>/rnbexec-environment.json   written last: without it the folder is rubbish
//! <data>/envs/.locks/<name>-<fingerprint>.lock            held while it is made or removed
//! <data>/envs/.locks/<name>-<fingerprint>.txt             the requirements file given to the installer
//! ```
//!
//! A virtual environment cannot be moved (its scripts name its path), so it cannot be made aside and renamed. Instead the
//! record inside is written last and atomically: a process that dies half-way leaves a folder that the next one removes
//! and makes anew. The lock is the operating system's, so it ends with the process that holds it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ProvisionError;
use super::installer::{self, CommandLine, Installer};
use super::modules;
use super::python::{self, Probe};
use super::requirements::{OLDEST_PYTHON, Requirements};
use super::{Progress, ProgressSink, ProvisionContext};

/// How often a process looks whether another one has finished the environment both want.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// What a finished environment says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) tool: String,
    pub(super) python_version: String,
    /// The interpreter behind the environment's own, with all links followed: if it goes or changes, so does the environment.
    base_python: PathBuf,
    /// A file of the ipykernel package.
    ipykernel: PathBuf,
    /// `name==version` of all that was installed.
    pub(super) packages: Vec<String>,
}

/// An environment that can be used.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) dir: PathBuf,
    pub(super) record: Record,
    pub(super) created: bool,
    /// The folder of the kernel's own modules, if it has any.
    pub(super) modules: Option<PathBuf>,
}

impl Ready {
    pub(super) fn python(&self) -> PathBuf {
        python::interpreter(&self.dir)
    }
}

/// Where environments lie.
pub(super) fn envs_dir(context: &ProvisionContext) -> PathBuf {
    context.data_dir.join("envs")
}

/// The folder of one environment.
pub(super) fn dir_of(context: &ProvisionContext, name: &str, requirements: &Requirements) -> PathBuf {
    envs_dir(context).join(format!("{name}-{}", requirements.fingerprint(context.python.as_deref())))
}

fn lock_path(dir: &Path, extension: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(".locks").join(format!("{name}.{extension}"))
}

fn record_path(dir: &Path) -> PathBuf {
    dir.join("rnbexec-environment.json")
}

/// The environment, if it is complete and still works. A few file look-ups; no process is started.
pub(super) async fn load(dir: &Path) -> Option<Ready> {
    let bytes = tokio::fs::read(record_path(dir)).await.ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let base = tokio::fs::canonicalize(python::interpreter(dir)).await.ok()?;
    let whole = base == record.base_python && tokio::fs::try_exists(&record.ipykernel).await.unwrap_or(false);
    whole.then(|| Ready { dir: dir.to_owned(), record, created: false, modules: None })
}

/// Whether the environment for these requirements is whole.
pub(super) async fn is_made(context: &ProvisionContext, name: &str, requirements: &Requirements) -> bool {
    load(&dir_of(context, name, requirements)).await.is_some()
}

/// The environment for these requirements, with the kernel's own modules: reused if it is whole, else made.
pub(super) async fn provide(
    context: &ProvisionContext,
    name: &str,
    requirements: &Requirements,
    progress: &mut ProgressSink<'_>,
) -> Result<Ready, ProvisionError> {
    let ready = whole(context, name, requirements, progress).await?;
    let modules = modules::provide(&ready.dir, &requirements.modules).await?;
    Ok(Ready { modules, ..ready })
}

async fn whole(
    context: &ProvisionContext,
    name: &str,
    requirements: &Requirements,
    progress: &mut ProgressSink<'_>,
) -> Result<Ready, ProvisionError> {
    let dir = dir_of(context, name, requirements);
    if let Some(ready) = load(&dir).await {
        return Ok(ready);
    }
    let _lock = lock(&dir, context.time_limit, progress).await?;
    if let Some(ready) = load(&dir).await {
        return Ok(ready);
    }
    clear(&dir).await?;
    let made = make(context, name, requirements, &dir, progress).await;
    if made.is_err()
        && let Err(error) = clear(&dir).await
    {
        tracing::warn!(%error, "a half-made environment is left; it is never used");
    }
    made
}

/// Removes an environment, once nobody makes it.
pub(super) async fn discard(
    context: &ProvisionContext,
    dir: &Path,
    progress: &mut ProgressSink<'_>,
) -> Result<(), ProvisionError> {
    let _lock = lock(dir, context.time_limit, progress).await?;
    clear(dir).await
}

async fn make(
    context: &ProvisionContext,
    name: &str,
    requirements: &Requirements,
    dir: &Path,
    progress: &mut ProgressSink<'_>,
) -> Result<Ready, ProvisionError> {
    let envs = envs_dir(context);
    let tool = choose(context, requirements, &envs).await?;
    progress(Progress::Creating { environment: dir.to_owned(), tool: tool.name() });
    let file = lock_path(dir, "txt");
    tokio::fs::write(&file, &requirements.text)
        .await
        .map_err(|source| ProvisionError::io("write", &file, source))?;

    let create = tool.create(dir);
    let created =
        installer::run("making the environment", &create, &context.vars, dir, context.time_limit, progress)
            .await;
    created.map_err(|error| explain(error, &create))?;

    let python = python::interpreter(dir);
    progress(Progress::Installing { requirements: requirements.len(), locked: requirements.is_locked() });
    let install = tool.install(&python, &file, requirements);
    installer::run("installing the packages", &install, &context.vars, dir, context.time_limit, progress)
        .await?;

    progress(Progress::Checking);
    let probe = python::probe(&python, &context.vars, &envs).await?;
    let failed = |tail: String| ProvisionError::Installer {
        step: "checking the new environment".into(),
        status: "it does not work".into(),
        tail,
    };
    let Probe { version, ipykernel, packages, .. } = probe.map_err(failed)?;
    let ipykernel = ipykernel.ok_or_else(|| failed("ipykernel cannot be imported".into()))?;
    let base_python = tokio::fs::canonicalize(&python)
        .await
        .map_err(|source| ProvisionError::io("read", &python, source))?;
    let record = Record {
        name: name.to_owned(),
        fingerprint: requirements.fingerprint(context.python.as_deref()),
        tool: tool.name().to_owned(),
        python_version: version,
        base_python,
        ipykernel,
        packages,
    };
    let json = serde_json::to_vec_pretty(&record).expect("a record of texts is JSON");
    write_atomically(&record_path(dir), &json).await?;
    progress(Progress::Ready { environment: dir.to_owned(), packages: record.packages.len() });
    Ok(Ready { dir: dir.to_owned(), record, created: true, modules: None })
}

/// uv where it is on the path, else the venv module of a fitting Python.
async fn choose(
    context: &ProvisionContext,
    requirements: &Requirements,
    cwd: &Path,
) -> Result<Installer, ProvisionError> {
    let oldest = format!(">={}.{}", OLDEST_PYTHON.0, OLDEST_PYTHON.1);
    let wanted = requirements
        .requires_python
        .clone()
        .unwrap_or_else(|| oldest.parse().expect("a lower bound is a version specifier"));
    if let Some(uv) = python::on_path("uv", &context.vars).into_iter().next() {
        let python = match &context.python {
            Some(python) => python.display().to_string(),
            None => wanted.to_string().replace(' ', ""),
        };
        let compile =
            context.vars.get(OsStr::new("PYTHONDONTWRITEBYTECODE")).is_some_and(|set| !set.is_empty());
        return Ok(Installer::Uv { uv, python, compile });
    }
    let python = match &context.python {
        Some(python) => python.clone(),
        None => python::find(&wanted, &context.vars, cwd).await?,
    };
    Ok(Installer::Venv { python })
}

/// `python -m venv` says on Debian that ensurepip is missing, and elsewhere that venv is: both mean one thing to do. And uv
/// says when it neither found a Python nor may or can fetch one.
fn explain(error: ProvisionError, create: &CommandLine) -> ProvisionError {
    match error {
        ProvisionError::Installer { tail, .. } if tail.contains("No interpreter found for") => {
            let wanted = create.args.iter().skip_while(|arg| *arg != "--python").nth(1);
            let wanted = wanted.map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
            ProvisionError::NoPython { wanted }
        }
        ProvisionError::Installer { tail, .. }
            if ["ensurepip", "No module named venv"].iter().any(|needle| tail.contains(needle)) =>
        {
            ProvisionError::NoVenv { python: create.program.clone(), tail }
        }
        error => error,
    }
}

/// Takes the environment's lock, waiting while another process has it.
async fn lock(dir: &Path, limit: Duration, progress: &mut ProgressSink<'_>) -> Result<File, ProvisionError> {
    let path = lock_path(dir, "lock");
    let folder = path.parent().unwrap_or(dir);
    tokio::fs::create_dir_all(folder).await.map_err(|source| ProvisionError::io("create", folder, source))?;
    let file = tokio::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .await
        .map_err(|source| ProvisionError::io("open", &path, source))?
        .into_std()
        .await;
    let deadline = tokio::time::Instant::now() + limit;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(ProvisionError::io("lock", &path, source)),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                return Err(ProvisionError::TimedOut {
                    step: format!("waiting for another process that makes {}", dir.display()),
                    after: limit,
                    tail: String::new(),
                });
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    progress(Progress::Waiting { environment: dir.to_owned() });
                    told = true;
                }
                tokio::time::sleep(LOCK_POLL).await;
            }
        }
    }
}

/// Removes the folder; the record first, so that a removal cut short does not leave what looks complete.
async fn clear(dir: &Path) -> Result<(), ProvisionError> {
    let gone = |result: io::Result<()>, path: &Path| match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ProvisionError::io("remove", path, source))
        }
        _ => Ok(()),
    };
    let record = record_path(dir);
    gone(tokio::fs::remove_file(&record).await, &record)?;
    gone(tokio::fs::remove_dir_all(dir).await, dir)
}

/// Writes a file so that no reader sees half of it, even after a crash.
pub(super) async fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ProvisionError> {
    let staged = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = async {
        let mut file = tokio::fs::File::create(&staged).await?;
        tokio::io::AsyncWriteExt::write_all(&mut file, bytes).await?;
        file.sync_all().await?;
        tokio::fs::rename(&staged, path).await
    };
    written.await.map_err(|source| ProvisionError::io("write", path, source))
}

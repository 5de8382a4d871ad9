//! The environment a notebook runs in: chosen, made if need be, reused ever after.
//!
//! A kernel needs a Python that has ipykernel and what the notebook imports. rnbexec makes such environments itself, below
//! its own data folder, from hash-pinned requirements; the user's Pythons are never installed into.
//!
//! # Which environment
//! | asked for | environment |
//! |---|---|
//! | a path | that virtual environment, conda prefix or interpreter, as it is; it must have ipykernel |
//! | a name | what [`install`] made under that name, made again if it is broken |
//! | automatic ([`EnvRequest::Auto`]) | the first that applies: the notebook's PEP 723 block; its kernelspec's requirements; a shipped kernel of that name; the locked ipykernel alone |
//! | nothing ([`resolve_default`]) | as automatic, but where nothing applies the kernelspec is used as it is |
//!
//! A kernelspec asks for an environment by its metadata: `{"rnbexec": {"requirements": "requirements.txt"}}`, a path below the
//! kernelspec's folder. The `python` of its `argv` then means the environment's. `{"rnbexec": {"modules": ["helper.py"]}}` names
//! Python files of that folder that notebooks on the kernel can import.
//!
//! # Promises
//! - An environment is keyed by all that goes into it (requirements, Python versions, platform). A change makes a new one.
//! - A half-made one is never used; two processes that want the same one make it once (see `provision/environment.rs`).
//! - Where every requirement is pinned by hash, nothing else can get in.
//! - A kernel's own modules are never those of another version of it (see `provision/modules.rs`).
//! - Looking up a finished environment starts no process and takes a few file look-ups. If its Python went away or was
//!   upgraded, it is made again.
//! - No installer outlives the future that runs it.
//!
//! Values come in by [`ProvisionContext`]: nothing here reads the process's environment, home or working folder.

mod environment;
mod error;
mod installed;
mod installer;
mod modules;
mod python;
mod requirements;
mod script;
mod shipped;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::kernelspec::{InterruptMode, Kernelspec};

pub use error::ProvisionError;
pub use installed::{InstallRequest, InstallSource, InstalledKernel, install, list, remove};
pub use requirements::RequirementsError;
pub use script::{ScriptError, ScriptMetadata};
pub use shipped::{SHIPPED_KERNELS, ShippedKernel};

use environment::Ready;
use requirements::Requirements;

/// What provisioning needs to know of the machine.
#[derive(Debug, Clone)]
pub struct ProvisionContext {
    /// rnbexec's own data folder, such as `~/.local/share/rnbexec`; environments lie in its `envs/`.
    pub data_dir: PathBuf,
    /// Where [`install`] writes kernelspecs: `kernels` in the user's Jupyter data folder, so that Jupyter finds them too.
    pub kernels_dir: PathBuf,
    /// What relative paths are relative to.
    pub cwd: PathBuf,
    /// All variables of the process: `PATH` finds uv and Python; proxies, indexes and caches reach the installers.
    pub vars: HashMap<OsString, OsString>,
    /// The interpreter to make environments with; `None`: uv's choice, or the first fitting one on `PATH`.
    pub python: Option<PathBuf>,
    /// How long one step (creating, installing, waiting for another process) may take.
    pub time_limit: Duration,
}

/// Something to tell the user while an environment is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process is making the environment; it will be used when it is done.
    Waiting {
        /// The environment's folder.
        environment: PathBuf,
    },
    /// An empty environment is being made.
    Creating {
        /// Its folder.
        environment: PathBuf,
        /// What makes it: `uv`, or `venv and pip`.
        tool: &'static str,
    },
    /// Its packages are being installed.
    Installing {
        /// How many requirements there are; fewer packages where some are for other platforms.
        requirements: usize,
        /// Whether they are pinned by hash.
        locked: bool,
    },
    /// It is being looked at before it is declared ready.
    Checking,
    /// It is ready.
    Ready {
        /// Its folder.
        environment: PathBuf,
        /// How many packages it has.
        packages: usize,
    },
    /// A line that the installer wrote.
    Line(String),
}

/// Where progress is told.
pub type ProgressSink<'a> = dyn FnMut(Progress) + Send + 'a;

/// Which environment is wanted.
#[derive(Debug, Clone)]
pub enum EnvRequest {
    /// The one that fits the notebook; it is made if need be.
    Auto(Box<NotebookFacts>),
    /// A virtual environment, a conda prefix, or an interpreter.
    Path(PathBuf),
    /// One that [`install`] made.
    Name(String),
}

/// What a notebook says about where it wants to run.
#[derive(Debug, Clone, Default)]
pub struct NotebookFacts {
    /// The kernel it names.
    pub kernel_name: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// The kernelspec of that name, if there is one.
    pub kernelspec: Option<Kernelspec>,
    /// Its PEP 723 block, if it has one.
    pub script: Option<ScriptMetadata>,
}

/// An environment that can run a notebook now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Environment {
    /// Its interpreter.
    pub python: PathBuf,
    /// A kernelspec that starts ipykernel in it.
    pub kernelspec: Kernelspec,
    /// The environment's folder.
    pub prefix: PathBuf,
    /// `name==version` of what is installed in it.
    pub packages: Vec<String>,
    /// Whether it was made just now.
    pub created: bool,
}

impl EnvRequest {
    /// Reads the value of `--env`: `auto`; a path if it is written as one (it has a separator or begins with `.`); else
    /// a name, which also stands for a folder of that name where nothing of that name is installed.
    pub fn parse(text: &str, facts: NotebookFacts) -> Self {
        if text == "auto" {
            Self::Auto(Box::new(facts))
        } else if text.starts_with('.') || text.contains(std::path::is_separator) {
            Self::Path(PathBuf::from(text))
        } else {
            Self::Name(text.to_owned())
        }
    }
}

/// Finds or makes the environment that is asked for.
pub async fn resolve_env(
    context: &ProvisionContext,
    request: EnvRequest,
    progress: &mut ProgressSink<'_>,
) -> Result<Environment, ProvisionError> {
    match request {
        EnvRequest::Path(path) => given(context, &context.cwd.join(path)).await,
        EnvRequest::Name(name) => match named(context, &name, progress).await {
            Err(ProvisionError::NotInstalled { .. } | ProvisionError::BadName(_))
                if context.cwd.join(&name).is_dir() =>
            {
                given(context, &context.cwd.join(&name)).await
            }
            resolved => resolved,
        },
        EnvRequest::Auto(facts) => {
            let plan = decide(&facts, true)?;
            carry_out(context, plan, &facts, progress).await
        }
    }
}

/// The environment for a notebook for which none was asked for: `None` if its kernelspec is to be used as it is.
pub async fn resolve_default(
    context: &ProvisionContext,
    facts: &NotebookFacts,
    progress: &mut ProgressSink<'_>,
) -> Result<Option<Environment>, ProvisionError> {
    match decide(facts, false)? {
        Plan::AsItIs => Ok(None),
        plan => carry_out(context, plan, facts, progress).await.map(Some),
    }
}

/// Whether the environment of a notebook's own dependencies is there already, so that nothing has to be installed for it.
pub async fn has_script_environment(context: &ProvisionContext, script: &ScriptMetadata) -> bool {
    environment::is_made(context, "script", &Requirements::from_script(script)).await
}

/// What to do for a notebook.
#[derive(Debug, Clone, PartialEq)]
enum Plan {
    /// An environment of the notebook's own dependencies.
    Script(ScriptMetadata),
    /// An environment of the kernelspec's requirements.
    Kernelspec { spec: Kernelspec, requirements: PathBuf },
    /// One that was installed; looked after here so that a broken one is made again.
    Installed(String),
    /// A kernel that comes with rnbexec, although no kernelspec of it is on the search path.
    Shipped(&'static ShippedKernel),
    /// The locked ipykernel and nothing else.
    Plain,
    /// No environment of ours.
    AsItIs,
}

/// Decides by what the notebook says. `always`: there must be an environment of ours in the end.
fn decide(facts: &NotebookFacts, always: bool) -> Result<Plan, ProvisionError> {
    let language =
        facts.kernelspec.as_ref().map(|spec| spec.language.clone()).or_else(|| facts.language.clone());
    if let Some(language) = language.filter(|language| !is_python_language(language)) {
        return if always {
            let kernel = facts.kernel_name.clone().unwrap_or_else(|| "the notebook's kernel".into());
            Err(ProvisionError::NotPython { kernel, language })
        } else {
            Ok(Plan::AsItIs)
        };
    }
    if let Some(script) = &facts.script {
        return Ok(Plan::Script(script.clone()));
    }
    if let Some(spec) = &facts.kernelspec {
        let ours = &spec.metadata["rnbexec"];
        if let Some(file) = ours["requirements"].as_str() {
            return Ok(Plan::Kernelspec { requirements: below(spec, file)?, spec: spec.clone() });
        }
        if let Some(name) = ours["installed"].as_str() {
            return Ok(Plan::Installed(name.to_owned()));
        }
    } else if let Some(kernel) = facts.kernel_name.as_deref().and_then(shipped::shipped) {
        return Ok(Plan::Shipped(kernel));
    }
    Ok(if always { Plan::Plain } else { Plan::AsItIs })
}

fn is_python_language(language: &str) -> bool {
    ["", "python", "python3", "ipython"].contains(&language.to_ascii_lowercase().as_str())
}

/// A file that a kernelspec names, which must lie in its folder: a kernelspec is data, and may come from anywhere.
fn below(spec: &Kernelspec, file: &str) -> Result<PathBuf, ProvisionError> {
    if Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) && !file.is_empty() {
        return Ok(spec.dir.join(file));
    }
    Err(ProvisionError::Kernelspec {
        kernel: spec.name.clone(),
        reason: format!("its requirements {file:?} lie outside its folder"),
    })
}

async fn carry_out(
    context: &ProvisionContext,
    plan: Plan,
    facts: &NotebookFacts,
    progress: &mut ProgressSink<'_>,
) -> Result<Environment, ProvisionError> {
    let wanted = facts.kernel_name.clone().unwrap_or_else(|| "python3".into());
    match plan {
        Plan::Script(script) => {
            let requirements = Requirements::from_script(&script);
            let ready = environment::provide(context, "script", &requirements, progress).await?;
            Ok(provisioned(&ready, |ready| python_kernelspec(&wanted, &ready.dir, &ready.python())))
        }
        Plan::Kernelspec { spec, requirements: file } => {
            let text = tokio::fs::read_to_string(&file)
                .await
                .map_err(|source| ProvisionError::io("read", &file, source))?;
            let name = installed::kernel_name(&spec.name)?;
            let requirements = Requirements::from_file(&text)?.with_modules(modules::read(&spec).await?);
            in_environment_of(context, &name, spec, &requirements, progress).await
        }
        Plan::Shipped(kernel) => {
            let spec = shipped_kernelspec(kernel)?;
            in_environment_of(context, kernel.name, spec, &kernel.requirements()?, progress).await
        }
        Plan::Installed(name) => match named(context, &name, progress).await {
            // Somebody took our record away but left the kernelspec: it is an ordinary one then.
            Err(ProvisionError::NotInstalled { .. }) if facts.kernelspec.is_some() => {
                let spec = facts.kernelspec.clone().expect("it was just seen");
                let python = PathBuf::from(spec.argv.first().map(String::as_str).unwrap_or_default());
                given(context, &python)
                    .await
                    .map(|environment| Environment { kernelspec: spec, ..environment })
            }
            resolved => resolved,
        },
        Plan::Plain | Plan::AsItIs => {
            let ready =
                environment::provide(context, "ipykernel", &Requirements::ipykernel(), progress).await?;
            Ok(provisioned(&ready, |ready| python_kernelspec(&wanted, &ready.dir, &ready.python())))
        }
    }
}

/// A kernelspec in the environment of its requirements: its own command line, with the environment's interpreter.
async fn in_environment_of(
    context: &ProvisionContext,
    name: &str,
    mut spec: Kernelspec,
    requirements: &Requirements,
    progress: &mut ProgressSink<'_>,
) -> Result<Environment, ProvisionError> {
    let program = spec.argv.first().map(String::as_str).unwrap_or_default();
    if !is_python_program(program) {
        return Err(ProvisionError::Kernelspec {
            kernel: spec.name,
            reason: format!("its command is {program:?}, not python"),
        });
    }
    let ready = environment::provide(context, name, requirements, progress).await?;
    spec.argv[0] = ready.python().display().to_string();
    if spec.dir.as_os_str().is_empty() {
        spec.dir.clone_from(&ready.dir);
        spec.env.clear();
    }
    for (variable, value) in ready.variables() {
        spec.env.entry(variable).or_insert(value);
    }
    Ok(provisioned(&ready, |_| spec))
}

fn is_python_program(program: &str) -> bool {
    let name = program.strip_suffix(".exe").unwrap_or(program);
    name == "python" || name == "python3" || name.starts_with("python3.")
}

async fn named(
    context: &ProvisionContext,
    name: &str,
    progress: &mut ProgressSink<'_>,
) -> Result<Environment, ProvisionError> {
    let (entry, requirements) = installed::get(context, name).await?;
    let ready = environment::provide(context, &entry.name, &requirements, progress).await?;
    Ok(provisioned(&ready, |ready| Kernelspec {
        display_name: entry.display_name.clone(),
        env: ready.variables(),
        ..python_kernelspec(&entry.name, &ready.dir, &ready.python())
    }))
}

/// An environment of the user's own, taken as it is once it is known to work.
async fn given(context: &ProvisionContext, path: &Path) -> Result<Environment, ProvisionError> {
    let none = |reason: String| ProvisionError::NotAnEnvironment { path: path.to_owned(), reason };
    let python = if path.is_dir() {
        let places = python::interpreters(path);
        let found = places.iter().find(|file| python::is_executable(file)).cloned();
        found.ok_or_else(|| {
            none(format!("it has no {}", places[0].strip_prefix(path).unwrap_or(path).display()))
        })?
    } else if python::is_executable(path) {
        path.to_owned()
    } else {
        let reason = if path.exists() { "it is not executable" } else { "it does not exist" };
        return Err(none(reason.into()));
    };
    let probe = python::probe(&python, &context.vars, &context.cwd).await?.map_err(none)?;
    if probe.ipykernel.is_none() {
        return Err(ProvisionError::NoIpykernel { python });
    }
    let mut kernelspec = python_kernelspec("python3", &probe.prefix, &python);
    let conda = probe.prefix.join("conda-meta").is_dir();
    kernelspec.env = if conda || probe.prefix.join("pyvenv.cfg").is_file() {
        environment_variables(&probe.prefix, conda)
    } else {
        BTreeMap::new()
    };
    Ok(Environment { python, kernelspec, prefix: probe.prefix, packages: probe.packages, created: false })
}

fn provisioned(ready: &Ready, kernelspec: impl FnOnce(&Ready) -> Kernelspec) -> Environment {
    Environment {
        python: ready.python(),
        kernelspec: kernelspec(ready),
        prefix: ready.dir.clone(),
        packages: ready.record.packages.clone(),
        created: ready.created,
    }
}

fn python_kernelspec(name: &str, prefix: &Path, python: &Path) -> Kernelspec {
    let program = python.display().to_string();
    let arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}"].map(str::to_owned);
    Kernelspec {
        name: name.to_owned(),
        dir: prefix.to_owned(),
        argv: std::iter::once(program).chain(arguments).collect(),
        display_name: "Python 3 (ipykernel)".into(),
        language: "python".into(),
        interrupt_mode: InterruptMode::Signal,
        env: environment_variables(prefix, false),
        metadata: serde_json::json!({"debugger": true}),
    }
}

/// The kernelspec of a shipped kernel; its folder is given once its environment is there.
fn shipped_kernelspec(kernel: &ShippedKernel) -> Result<Kernelspec, ProvisionError> {
    let broken = |reason: &str| ProvisionError::Kernelspec {
        kernel: kernel.name.to_owned(),
        reason: reason.to_owned(),
    };
    let spec: serde_json::Value =
        serde_json::from_str(kernel.kernel_json).map_err(|_| broken("it is not JSON"))?;
    let argv = spec["argv"].as_array().ok_or_else(|| broken("it has no argv"))?;
    Ok(Kernelspec {
        argv: argv.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        display_name: spec["display_name"].as_str().unwrap_or(kernel.name).to_owned(),
        metadata: spec["metadata"].clone(),
        ..python_kernelspec(kernel.name, Path::new(""), Path::new(""))
    })
}

impl Ready {
    /// What its kernels are started with.
    fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = environment_variables(&self.dir, false);
        if let Some(modules) = &self.modules {
            variables.insert("PYTHONPATH".to_owned(), modules.display().to_string());
        }
        variables
    }
}

/// What activating an environment would set, so that `!pip` and `!jupyter` in a cell mean the environment's.
fn environment_variables(prefix: &Path, conda: bool) -> BTreeMap<String, String> {
    let (programs, separator) = if cfg!(windows) { ("Scripts", ';') } else { ("bin", ':') };
    let own = if conda { "CONDA_PREFIX" } else { "VIRTUAL_ENV" };
    BTreeMap::from([
        (own.to_owned(), prefix.display().to_string()),
        ("PATH".to_owned(), format!("{}{separator}${{PATH}}", prefix.join(programs).display())),
    ])
}

#[cfg(test)]
mod tests;

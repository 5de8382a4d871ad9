//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use rnbexec_kernel::contain::Containment;
use rnbexec_notebook::parameters::SecretParameters;
use rnbexec_notebook::{Json, Parameters};

use crate::redact::Redactor;
use crate::store::Location;

/// Everything one run needs to know. Start from [`RunRequest::new`] and set what differs.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// Where the notebook comes from.
    pub input: Input,
    /// Where the executed notebook goes; `None` keeps it in the [`RunReport`](crate::RunReport) only.
    pub output: Option<Location>,
    /// Values for the injected-parameters cell, in their order of first appearance.
    pub parameters: Parameters,
    /// Values that reach the kernel but never the notebook, its metadata, an event or a log.
    pub secrets: SecretParameters,
    /// What is masked in outputs, events and errors beside the secrets.
    pub redactor: Redactor,
    /// What to do with a parameter that the notebook's `parameters` cell does not define.
    pub unknown_parameters: UnknownParameters,
    /// Which kernel runs the notebook, and where.
    pub kernel: KernelRequest,
    /// Execute, or only parameterize and write.
    pub mode: Mode,
    /// Hide the source of code cells (papermill's report mode).
    pub hide_source: bool,
    /// Which code cells run.
    pub selection: CellSelection,
    /// Whether an error in a cell stops the run.
    pub on_error: OnError,
    /// How long things may take.
    pub limits: Limits,
    /// When the notebook is saved while it runs.
    pub saves: SavePolicy,
    /// Whether what the cells show is told as it comes ([`RunEvent::Stream`](crate::RunEvent::Stream),
    /// [`RunEvent::Display`](crate::RunEvent::Display)). Nobody who does not listen should have it searched for secrets.
    pub tells_outputs: bool,
    /// How often the whole run is begun again after a failure of the environment (the kernel died or did not start,
    /// storage was unavailable); never after a failure of the notebook.
    pub retries: u32,
    /// A digest of what decides the result. It is kept in the notebook's metadata once the run succeeded, so that whoever
    /// made it can tell later that the run need not be done again ([`batch`](crate::batch) does).
    pub fingerprint: Option<String>,
}

impl RunRequest {
    /// A run of `input` into `output` with papermill's defaults.
    pub fn new(input: impl Into<Input>, output: impl Into<Option<Location>>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            parameters: Parameters::default(),
            secrets: SecretParameters::default(),
            redactor: Redactor::default(),
            unknown_parameters: UnknownParameters::Warn,
            kernel: KernelRequest::default(),
            mode: Mode::Execute,
            hide_source: false,
            selection: CellSelection::default(),
            on_error: OnError::Stop,
            limits: Limits::default(),
            saves: SavePolicy::default(),
            tells_outputs: true,
            retries: 0,
            fingerprint: None,
        }
    }

    /// Adds one parameter, as `-p` would after typing it.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }
}

/// Where the notebook comes from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A place to read it from.
    At(Location),
    /// The bytes of a notebook that the caller already holds, and the path its metadata should name.
    Bytes {
        /// The `.ipynb` text.
        bytes: bytes::Bytes,
        /// What `metadata.papermill.input_path` says.
        path: Option<String>,
    },
}

impl From<Location> for Input {
    fn from(location: Location) -> Self {
        Self::At(location)
    }
}

/// What to do with a parameter that the notebook does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownParameters {
    /// Say so and inject it all the same, as papermill does.
    Warn,
    /// Refuse to run.
    Refuse,
}

/// Which kernel runs the notebook, and where.
#[derive(Clone, Debug, Default)]
pub struct KernelRequest {
    /// A kernelspec name that overrides the notebook's own.
    pub name: Option<String>,
    /// A language that overrides the notebook's own (it selects the translator).
    pub language: Option<String>,
    /// The environment the kernel runs in.
    pub environment: EnvironmentRequest,
    /// The kernel's working directory; `None` is the caller's.
    pub cwd: Option<PathBuf>,
    /// Modules that a kernel which is forked (see [`Services::kernel_pool`](crate::Services::kernel_pool)) has imported before:
    /// `None` for those that the notebook's cells import first of all.
    pub imports: Option<Vec<String>>,
    /// Variables set in the kernel's process on top of the inherited ones.
    pub variables: Vec<(String, String)>,
    /// What is closed to it. Needs [`Services::contain_command`](crate::Services::contain_command).
    pub containment: Containment,
}

/// The environment the kernel runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EnvironmentRequest {
    /// The kernelspec as it is found, except that a kernelspec which names locked requirements, and a notebook which
    /// carries its dependencies as PEP 723 metadata, get their private environment.
    #[default]
    AsFound,
    /// Always a private environment: from the notebook's PEP 723 metadata, its kernelspec's requirements, or a plain
    /// locked ipykernel.
    Auto,
    /// A virtual environment, conda prefix or Python executable.
    Path(PathBuf),
    /// An environment made by `rnbexec kernel install NAME`.
    Named(String),
}

/// Execute, or only parameterize and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Run every selected code cell.
    Execute,
    /// Inject the parameters and write; no kernel is needed.
    PrepareOnly,
}

/// Which code cells run. Cells tagged `parameters` or `injected-parameters` run unless a skip tag names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellSelection {
    /// Cells with any of these tags do not run.
    pub skip_tags: Vec<String>,
    /// When not empty, only cells with one of these tags run.
    pub only_tags: Vec<String>,
}

/// Whether an error in a cell stops the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The first cell that fails ends the run (a cell tagged `raises-exception` does not fail by raising).
    Stop,
    /// Errors are recorded and the run goes on to its end, successfully.
    Continue,
}

/// How long things may take. `None` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the kernel's start to its first sign of life.
    pub start: Duration,
    /// One cell, unless its tag `timeout=SECONDS` or its metadata `rnbexec.timeout` says otherwise.
    pub cell: Option<Duration>,
    /// The whole run with all its attempts, from the moment a kernel is first started.
    pub run: Option<Duration>,
    /// How long an interrupted cell may take to end before the kernel is killed.
    pub interrupt_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_mins(1),
            cell: None,
            run: None,
            interrupt_grace: Duration::from_secs(10),
        }
    }
}

/// When the notebook is saved while it runs. The first and the last save always happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavePolicy {
    /// Save at cell borders.
    pub at_cells: bool,
    /// Save this often inside a long cell; `None` never does.
    pub autosave: Option<Duration>,
}

impl Default for SavePolicy {
    fn default() -> Self {
        Self { at_cells: true, autosave: Some(Duration::from_secs(30)) }
    }
}

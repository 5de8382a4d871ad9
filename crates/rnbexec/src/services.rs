//! What a run needs from the world around it. Values come in: the library reads no environment, home or clock itself.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rnbexec_kernel::provision::ProvisionContext;
use rnbexec_kernel::{KernelPool, SearchContext};

use crate::Guardian;
use crate::store::{Environment, Stores};

/// The world around a run. Cheap to clone; one serves any number of runs.
#[derive(Clone)]
pub struct Services {
    /// Where notebooks are read from and written to.
    pub stores: Arc<Stores>,
    /// Where kernelspecs are looked for.
    pub kernels: SearchContext,
    /// Where private kernel environments are kept and how they are made.
    pub environments: ProvisionContext,
    /// Where kernels come from in a program that runs many notebooks: forked, and prepared ahead. `None` starts each anew.
    pub kernel_pool: Option<Arc<KernelPool>>,
    /// The variables a kernel inherits.
    pub variables: HashMap<OsString, OsString>,
    /// Where kernels keep their sockets, in a private folder each; `None` is the system's temporary folder.
    pub runtime_dir: Option<PathBuf>,
    /// The program that contains a kernel, with the arguments that have it call [`contain::enter`](crate::contain::enter);
    /// empty if no run asks for that.
    pub contain_command: Vec<OsString>,
    /// Where an executed notebook is put when its output cannot be written.
    pub rescue_dir: PathBuf,
    /// What tidies up should this process be killed: kernels' children, private folders, and notebooks that say that they
    /// are running. `None` is nobody: kernels die all the same, and [`recover`](crate::recover()) brings a notebook into
    /// order later.
    pub guardian: Option<Guardian>,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Services {
    /// The services of this process: its environment variables, home, working and temporary folders and clock.
    ///
    /// For programs. A library that embeds this one fills in the fields itself: this function is the one place that
    /// reads them.
    pub fn from_process() -> Self {
        let variables: HashMap<OsString, OsString> = std::env::vars_os().collect();
        let home = std::env::home_dir();
        let folders = Folders::of(&variables, home.as_deref());
        let environment: Environment = variables.clone().into_iter().collect();
        Self {
            stores: Arc::new(Stores::new(&environment)),
            environments: ProvisionContext {
                data_dir: folders.data.join("rnbexec"),
                kernels_dir: folders.jupyter.join("kernels"),
                cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
                vars: variables.clone(),
                python: None,
                time_limit: Duration::from_mins(30),
            },
            kernels: SearchContext { vars: variables.clone(), home, prefixes: Vec::new() },
            kernel_pool: None,
            variables,
            runtime_dir: None,
            contain_command: Vec::new(),
            rescue_dir: std::env::temp_dir(),
            guardian: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Where a user's data lies.
struct Folders {
    /// For programs of any kind.
    data: PathBuf,
    /// Jupyter's own (`jupyter --data-dir`).
    jupyter: PathBuf,
}

impl Folders {
    /// By the rules of the platform, as `jupyter_core` knows them.
    fn of(vars: &HashMap<OsString, OsString>, home: Option<&Path>) -> Self {
        let var =
            |name: &str| vars.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = home.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let (data, jupyter) = if cfg!(target_os = "macos") {
            (home.join("Library/Application Support"), home.join("Library/Jupyter"))
        } else if cfg!(windows) {
            let data = var("APPDATA").unwrap_or_else(|| home.join("AppData").join("Roaming"));
            (var("LOCALAPPDATA").unwrap_or_else(|| data.clone()), data.join("jupyter"))
        } else {
            let data = var("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
            (data.clone(), data.join("jupyter"))
        };
        Self { data, jupyter: var("JUPYTER_DATA_DIR").unwrap_or(jupyter) }
    }
}

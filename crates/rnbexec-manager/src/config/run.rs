//! `[run]`: what is run for an incident, and how.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use rnbexec::EnvironmentRequest;
use rnbexec::contain::{Containment, Files, Level, Limits, MemoryLimit, Variables};
use rnbexec::store::Location;
use rnbexec_kernel::provision::{EnvRequest, NotebookFacts};
use rnbexec_notebook::Parameters;

use super::read::{Section, boolean};
use super::tree::{Kind, Node};
use super::value::{self, Limit};

/// How notebooks are run where no route says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The notebook.
    pub notebook: Notebook,
    /// A kernelspec's name; `None` is the notebook's own.
    pub kernel: Option<String>,
    /// The environment the kernel runs in.
    pub environment: EnvironmentRequest,
    /// How many notebooks run at the same time, at least one.
    pub jobs: usize,
    /// Whether kernels are forked from a process that has imported what they need, where that can be had.
    pub fork_server: bool,
    /// How long one notebook may run.
    pub timeout: Option<Duration>,
    /// How long one cell may run.
    pub cell_timeout: Option<Duration>,
    /// Whether the notebook gets the incident that was fetched.
    pub bundle: Bundle,
    /// The folder the kernels work in; `None` gives each run one of its own.
    pub working_folder: Option<PathBuf>,
    /// What is closed to the kernels, and how much they may use.
    pub containment: Containment,
    /// What is kept on this machine.
    pub keep: Keep,
    /// Parameters for every notebook, besides those that the manager sets.
    pub parameters: Parameters,
}

/// A notebook to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notebook {
    /// One that is part of the program, by its name (`incident-triage`).
    Shipped(String),
    /// One that lies somewhere.
    At(Location),
}

/// Whether the notebook gets the path of a file with the incident, its entities and its alerts as parameter
/// `incident_bundle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// Always.
    Always,
    /// Never.
    Never,
    /// Where the notebook has a parameter of that name.
    Auto,
}

/// Which executed notebooks are kept on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that found something, and failed ones.
    Findings,
    /// All.
    All,
    /// None; what is published stays published.
    Nothing,
}

/// The notebooks that are part of the program.
pub const SHIPPED: [&str; 1] = ["incident-triage"];

/// The parameters that the manager itself sets in every run, and nobody else may.
pub const RESERVED: [&str; 3] = ["incident_id", "ten_id", "ws_id"];

impl fmt::Display for Notebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => write!(f, "shipped:{name}"),
            Self::At(location) => location.fmt(f),
        }
    }
}

const KEEPS: [(&str, Keep); 3] =
    [("findings", Keep::Findings), ("all", Keep::All), ("nothing", Keep::Nothing)];

pub(super) fn run(section: &Section<'_>) -> Run {
    let jobs = section.whole("jobs", 1..=1000).unwrap_or(4);
    let timeout = section.limit("timeout").map_or(Some(Duration::from_mins(30)), |Limit(limit)| limit);
    let cell_timeout = section.limit("cell_timeout").and_then(|Limit(limit)| limit);
    Run {
        notebook: notebook(section).unwrap_or_else(|| Notebook::Shipped(SHIPPED[0].to_owned())),
        kernel: kernel(section),
        environment: environment(section).unwrap_or_default(),
        jobs: usize::try_from(jobs).unwrap_or(usize::MAX),
        fork_server: section.boolean("fork_server").unwrap_or(true),
        timeout,
        cell_timeout,
        bundle: bundle(section).unwrap_or(Bundle::Auto),
        working_folder: section.path("working_folder"),
        containment: containment(section),
        keep: section
            .text("keep", &value::one_of(&KEEPS), |text| value::word(text, &KEEPS))
            .unwrap_or(Keep::Findings),
        parameters: parameters(section),
    }
}

const LEVELS: [(&str, Level); 4] = [
    (Level::None.name(), Level::None),
    (Level::Network.name(), Level::Network),
    (Level::Files.name(), Level::Files),
    (Level::Strict.name(), Level::Strict),
];

/// The switches of `rnbexec run`, by the same names.
fn containment(section: &Section<'_>) -> Containment {
    let level = section.text("isolate", &value::one_of(&LEVELS), |text| value::word(text, &LEVELS));
    let mut containment = Containment::from(level.unwrap_or_default());
    if section.boolean("no_network").unwrap_or(false) {
        containment.close_network();
    }
    if section.boolean("read_only").unwrap_or(false) {
        containment.close_files();
    }
    let folders = section.paths("work_folder");
    if !folders.is_empty() && containment.files == Files::Open {
        section.refuse(
            "work_folder",
            "notebooks can write to all other folders, too",
            "leave it out, or write isolate = \"files\", isolate = \"strict\" or read_only = true too",
        );
    }
    containment.work_folders = folders;
    let names = "write the names of variables, such as [\"HTTPS_PROXY\"]";
    if let Some(names) = section.list("allow_env", names, value::variable) {
        containment.variables = Variables::Only(names);
    }
    containment.limits = Limits {
        memory: memory_limit(section),
        cpu: section.whole("cpu_limit", 1..=u32::MAX).map(|seconds| Duration::from_secs(seconds.into())),
        processes: section.whole("process_limit", 1..=u32::MAX).and_then(NonZeroU32::new),
    };
    containment
}

fn memory_limit(section: &Section<'_>) -> Option<MemoryLimit> {
    section.value("memory_limit", "write such as \"512MiB\" or \"2GiB\", at least \"1MiB\"", |node| {
        let limit = match node.kind {
            Kind::Integer(bytes) => u64::try_from(bytes).ok().and_then(MemoryLimit::of_bytes),
            _ => node.text().and_then(|text| text.parse().ok()),
        };
        limit.ok_or_else(|| format!("{} is no such amount of memory", node.what()))
    })
}

pub(super) fn notebook(section: &Section<'_>) -> Option<Notebook> {
    let shipped = SHIPPED.map(|name| format!("\"shipped:{name}\"")).join(", ");
    let instead = format!("write a path, an address of a notebook, or {shipped}");
    section.value("notebook", &instead, |node| {
        let text = node.text().ok_or_else(|| format!("{} is no text", node.what()))?;
        if let Some(name) = text.strip_prefix("shipped:") {
            return match SHIPPED.iter().find(|shipped| **shipped == name) {
                Some(name) => Ok(Notebook::Shipped((*name).to_owned())),
                None => Err(format!("no notebook named {name:?} is part of the program")),
            };
        }
        match Location::parse(text).map_err(|error| error.to_string())? {
            Location::Local(path) => {
                let text = path.to_str().ok_or("the path is no text")?;
                Ok(Notebook::At(Location::Local(section.resolved(node, text))))
            }
            Location::Stdio | Location::Memory(_) => Err(format!("{text:?} cannot be read again and again")),
            location => Ok(Notebook::At(location)),
        }
    })
}

pub(super) fn kernel(section: &Section<'_>) -> Option<String> {
    section.text("kernel", "write a kernelspec's name, such as \"python3\"", |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.chars().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is no kernel's name"))
        }
    })
}

/// The spellings of `--env` on the command line: a path has a separator or begins with a dot, all else is a name.
pub(super) fn environment(section: &Section<'_>) -> Option<EnvironmentRequest> {
    let instead = "write \"as-found\", \"auto\", the path of an environment, or the name of one that `rnbexec kernel install` made";
    section.value("environment", instead, |node| {
        let text = node.text().ok_or_else(|| format!("{} is no text", node.what()))?;
        if text == "as-found" {
            return Ok(EnvironmentRequest::AsFound);
        }
        match EnvRequest::parse(text, NotebookFacts::default()) {
            EnvRequest::Auto(_) => Ok(EnvironmentRequest::Auto),
            EnvRequest::Path(_) => Ok(EnvironmentRequest::Path(section.resolved(node, text))),
            EnvRequest::Name(name) if name.is_empty() => Err("the text is empty".to_owned()),
            EnvRequest::Name(name) => Ok(EnvironmentRequest::Named(name)),
        }
    })
}

pub(super) fn bundle(section: &Section<'_>) -> Option<Bundle> {
    section.value("bundle", "write true, false or \"auto\"", |node: &Node| match boolean(node) {
        Some(true) => Ok(Bundle::Always),
        Some(false) => Ok(Bundle::Never),
        None if node.text() == Some("auto") => Ok(Bundle::Auto),
        None => Err(format!("{} is none of them", node.what())),
    })
}

pub(super) fn parameters(section: &Section<'_>) -> Parameters {
    let parameters = section.parameters("parameters");
    for name in RESERVED.iter().filter(|name| parameters.contains(name)) {
        section.refuse(
            "parameters",
            format!("{name} is set by the manager"),
            "leave it out (it comes from the incident, azure.tenant and sentinel.workspace_id)",
        );
    }
    parameters
}

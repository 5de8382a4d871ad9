//! Whether a notebook's kernel starts and can import what the notebook needs, without running the notebook.
//!
//! The import statements at the top level of the notebook's cells are found and run by Python itself, in the kernel; the
//! sources get there as a parameter, which is data wherever it goes.

use std::time::Duration;

use rnbexec::{
    Cancel, Input, KernelRequest, Limits, Outcome, RunError, RunEvent, RunRequest, Services, run_notebook,
};
use rnbexec_notebook::inspect::leading_imports;
use rnbexec_notebook::{Cell, CellType, Json, Notebook};
use serde::Deserialize;

use crate::error::{Class, Trouble};
use crate::manager::fresh_ids;
use crate::route::Triage;

/// What the trial displays.
const MIME_TYPE: &str = "application/vnd.rnbexec.imports+json";

/// How long all imports together may take; the first after an installation are slow.
const LIMIT: Duration = Duration::from_mins(5);

/// What a kernel can do for a notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Its Python, when it is one.
    pub python: Option<String>,
    /// How many import statements were tried.
    pub imports: usize,
    /// What cannot be imported.
    pub missing: Vec<Missing>,
}

/// An import that fails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Missing {
    /// The cell that has it, counted from 0.
    pub cell: usize,
    /// The module that is not there, when that is the reason.
    pub module: Option<String>,
    /// What Python says.
    pub said: String,
}

/// Why the kernel cannot be tried, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The notebook cannot be read.
    #[error(transparent)]
    Notebook(#[from] Trouble),
    /// There is no such kernel, or its environment cannot be made.
    #[error("cannot prepare the kernel of {notebook}")]
    Run {
        /// The notebook.
        notebook: String,
        /// Why.
        #[source]
        source: Box<RunError>,
    },
    /// It does not start, or dies.
    #[error("the kernel of {notebook} does not work: {}", .outcome.reason())]
    Outcome {
        /// The notebook.
        notebook: String,
        /// What became of it.
        outcome: Box<Outcome>,
    },
}

#[derive(Deserialize)]
struct Said {
    python: String,
    tried: usize,
    missing: Vec<Missing>,
}

/// Tries the kernel of a triage; its environment is made if it has to be, which is told line by line.
pub async fn try_kernel(
    triage: &Triage,
    services: &Services,
    tell: &mut (dyn FnMut(&str) + Send),
    cancel: Cancel,
) -> Result<Kernel, KernelError> {
    let name = triage.notebook.to_string();
    let bytes = crate::manager::read(&triage.notebook, services).await?;
    let parsed = Notebook::parse(&bytes, &mut fresh_ids());
    let parsed = parsed.map_err(|error| {
        Trouble::new(Class::Refused, format!("{name} is not a notebook that can be run")).because(error)
    })?;
    let notebook = parsed.notebook;
    let is_python = speaks_python(triage, &notebook, services);
    let folder = tempfile::tempdir()
        .map_err(|error| Trouble::new(Class::Unavailable, "cannot make a temporary folder").because(error))?;
    let trial = trial(&notebook, is_python);
    let input = Input::Bytes { bytes: trial.to_vec().into(), path: None };
    let mut request = RunRequest::new(input, None);
    // As the notebook itself would have it, so that what is imported for the trial is imported for its runs too.
    request.kernel = KernelRequest { imports: Some(leading_imports(&notebook)), ..triage.kernel_request() };
    if triage.working_folder.as_ref().is_none_or(|folder| !folder.is_dir()) {
        request.kernel.cwd = Some(folder.path().to_owned());
    }
    request.limits = Limits { run: Some(LIMIT), ..Limits::default() };
    if is_python {
        request.parameters.insert("sources".to_owned(), sources(&notebook));
    }
    let mut tell = |event: RunEvent<'_>| {
        if let RunEvent::Environment(line) = event {
            tell(line);
        }
    };
    let ran = run_notebook(request, services, &mut tell, cancel).await;
    let report = ran.map_err(|error| KernelError::Run { notebook: name.clone(), source: Box::new(error) })?;
    if !report.outcome.is_success() {
        return Err(KernelError::Outcome { notebook: name, outcome: Box::new(report.outcome) });
    }
    let said = said(&report.notebook);
    Ok(Kernel {
        name: report.kernel.unwrap_or_default(),
        imports: said.as_ref().map_or(0, |said| said.tried),
        missing: said.as_ref().map(|said| said.missing.clone()).unwrap_or_default(),
        python: said.map(|said| said.python),
    })
}

fn speaks_python(triage: &Triage, notebook: &Notebook, services: &Services) -> bool {
    let kernel = triage.kernel.as_deref().or_else(|| notebook.kernel_name());
    let found = kernel.and_then(|name| rnbexec_kernel::find(&services.kernels, name).ok());
    let language = found.as_ref().map(|spec| spec.language.as_str()).or_else(|| notebook.language());
    language.is_none_or(|language| language.eq_ignore_ascii_case("python"))
}

/// A notebook for the same kernel that only imports, or does nothing at all.
fn trial(notebook: &Notebook, is_python: bool) -> Notebook {
    let mut trial = Notebook::new();
    trial.metadata_mut().clone_from(notebook.metadata());
    // What the notebook says of its dependencies decides on its environment.
    let dependencies = notebook.cells().iter().filter(|cell| cell.source().contains("# /// script"));
    trial.cells_mut().extend(dependencies.enumerate().map(|(index, cell)| {
        let comments: Vec<String> =
            cell.source().lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
        Cell::code(format!("dependencies-{index}"), comments.join("\n"))
    }));
    if is_python {
        trial.cells_mut().push(Cell::code("imports", include_str!("imports.py")));
    }
    trial
}

/// The code cells, with their positions.
fn sources(notebook: &Notebook) -> Json {
    let cells = notebook.cells().iter().enumerate();
    let code = cells.filter(|(_, cell)| cell.cell_type() == CellType::Code);
    let pair = |(index, cell): (usize, &Cell)| {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        Json::Array(vec![Json::from(index), Json::from(cell.source().as_ref())])
    };
    Json::Array(code.map(pair).collect())
}

fn said(executed: &Notebook) -> Option<Said> {
    let outputs = executed.cells().iter().flat_map(Cell::outputs);
    let shown = outputs.filter_map(|output| output.get("data")?.get(MIME_TYPE)).next_back()?;
    serde_json::from_str(&shown.to_compact()).ok()
}

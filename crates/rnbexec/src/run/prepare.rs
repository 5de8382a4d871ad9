//! Before the kernel: read the notebook, parameterize it, find its kernel.

use bytes::Bytes;
use rnbexec_kernel::Kernelspec;
use rnbexec_kernel::contain::{Containment, Files, Part};
use rnbexec_kernel::provision::{self, EnvRequest, NotebookFacts, Progress, ProvisionError, ScriptMetadata};
use rnbexec_notebook::inject::{INJECTED_TAG, PARAMETERS_TAG, Placement, inject};
use rnbexec_notebook::parameters::{INPUT_PATH, OUTPUT_PATH};
use rnbexec_notebook::translate::{self, SecretCode, Translator};
use rnbexec_notebook::{Cell, CellType, Json, Notebook, inspect, papermill};

use super::{Warnings, fresh_id, note};
use crate::redact::Redactor;
use crate::request::{EnvironmentRequest, Input, UnknownParameters};
use crate::{RunError, RunEvent, RunRequest, Services};

/// The kernelspec that runs a notebook which names none, when an environment was asked for.
const DEFAULT_KERNEL: &str = "python3";

/// A notebook that is ready to run.
pub(super) struct Plan {
    pub(super) notebook: Notebook,
    pub(super) secrets: Option<SecretCell>,
    /// The kernelspec that the caller, or the notebook, names.
    kernel: Option<String>,
    language: Option<String>,
}

/// The assignments of secret parameters: run silently, never stored.
pub(super) struct SecretCell {
    /// The cell before which they run.
    pub(super) before: usize,
    pub(super) code: SecretCode,
}

/// Fetches the notebook.
pub(super) async fn read(request: &RunRequest, services: &Services) -> Result<Bytes, RunError> {
    match &request.input {
        Input::At(location) => services.stores.read(location).await.map_err(RunError::Read),
        Input::Bytes { bytes, .. } => Ok(bytes.clone()),
    }
}

/// Parses and parameterizes the notebook, in papermill's order: parameters are injected first, then paths and report
/// mode are noted, then the error markers of an earlier run go, and its notes.
pub(super) fn plan(
    request: &RunRequest,
    bytes: &[u8],
    warnings: &mut Warnings<'_, '_>,
) -> Result<Plan, RunError> {
    refuse_forgeable_output(request)?;
    let input_path = match &request.input {
        Input::At(location) => Some(location.metadata_text()),
        Input::Bytes { path, .. } => path.clone(),
    };
    let parsed = Notebook::parse(bytes, &mut fresh_id).map_err(|source| RunError::Notebook {
        path: input_path.clone().unwrap_or_else(|| "the given notebook".to_owned()),
        source,
    })?;
    for quirk in &parsed.quirks {
        warnings.warn(quirk.to_string());
    }
    let mut notebook = parsed.notebook;
    papermill::prepare(&mut notebook, env!("CARGO_PKG_VERSION"));

    let any_environment = request.kernel.environment != EnvironmentRequest::AsFound;
    let kernel = request
        .kernel
        .name
        .clone()
        .or_else(|| notebook.kernel_name().map(str::to_owned))
        .or_else(|| any_environment.then(|| DEFAULT_KERNEL.to_owned()));
    let language = request
        .kernel
        .language
        .clone()
        .or_else(|| notebook.language().map(str::to_owned))
        .or_else(|| any_environment.then(|| "python".to_owned()));

    for name in Redactor::too_short(&request.secrets) {
        warnings.warn(format!(
            "the secret '{name}' is shorter than four characters: outputs that show it are not masked"
        ));
    }
    check_names(request, &notebook, kernel.as_deref(), language.as_deref(), warnings)?;
    let mut secrets = None;
    if !request.parameters.is_empty() || !request.secrets.is_empty() {
        let translator = translator(kernel.as_deref(), language.as_deref())?;
        if !request.parameters.is_empty() {
            let code = translate::parameters_cell(translator, "Parameters", &request.parameters)
                .map_err(RunError::Parameters)?;
            if inject(&mut notebook, code, fresh_id()) == Placement::Top {
                warnings.warn("Input notebook does not contain a cell with tag 'parameters'".to_owned());
            }
            papermill::set_parameters(&mut notebook, request.parameters.as_object().clone());
        }
        secrets = secret_cell(request, &notebook, translator)?;
    }
    papermill::set_paths(
        &mut notebook,
        input_path.as_deref(),
        request.output.as_ref().map(crate::store::Location::metadata_text).as_deref(),
    );
    if request.hide_source {
        papermill::hide_sources(&mut notebook);
    }
    papermill::remove_error_markers(&mut notebook);
    note::forget(&mut notebook);
    warn_of_vain_requests(request, &notebook, warnings);
    Ok(Plan { notebook, secrets, kernel, language })
}

/// Whether the notebook's code is kept from something, and not only limited.
fn closes_something(containment: &Containment) -> bool {
    containment.files != Files::Open || [containment.network, containment.processes].contains(&Part::Closed)
}

/// Code that is contained must not be able to put a link, or another notebook, where the output is written from outside.
fn refuse_forgeable_output(request: &RunRequest) -> Result<(), RunError> {
    let containment = &request.kernel.containment;
    let Some(output) = request.output.as_ref().filter(|_| containment.files != Files::Open) else {
        return Ok(());
    };
    match containment.work_folders.iter().find(|folder| output.lies_in(folder)) {
        Some(folder) => {
            Err(RunError::OutputInWorkFolder { output: output.to_string(), folder: folder.clone() })
        }
        None => Ok(()),
    }
}

/// A tag that no cell has chooses nothing, and a time limit that is no number limits nothing: better said than found out.
fn warn_of_vain_requests(request: &RunRequest, notebook: &Notebook, warnings: &mut Warnings<'_, '_>) {
    let selection = &request.selection;
    for tag in selection.only_tags.iter().chain(&selection.skip_tags) {
        if !notebook.cells().iter().any(|cell| cell.has_tag(tag)) {
            warnings.warn(format!("no cell has the tag '{tag}'"));
        }
    }
    for (index, cell) in notebook.cells().iter().enumerate() {
        if let Some(found) = super::cell::bad_time_limit(cell) {
            warnings.warn(format!("cell {}: {found} is no number of seconds; ignored", index + 1));
        }
    }
}

/// Names that the notebook's `parameters` cell does not define are told, or refused.
fn check_names(
    request: &RunRequest,
    notebook: &Notebook,
    kernel: Option<&str>,
    language: Option<&str>,
    warnings: &mut Warnings<'_, '_>,
) -> Result<(), RunError> {
    if request.parameters.is_empty() && request.secrets.is_empty() {
        return Ok(());
    }
    // Without a kernel, a language or a translator nothing can be injected either: the injection says so.
    let Ok(inspection) = inspect::inspect_for(notebook, kernel, language) else { return Ok(()) };
    for warning in &inspection.warnings {
        warnings.warn(warning.clone());
    }
    let mut given = request.parameters.clone();
    for name in request.secrets.names() {
        given.insert(name, Json::Null);
    }
    let names = inspection.unknown(&given);
    match request.unknown_parameters {
        // The paths that are given on request are nobody's spelling mistake.
        UnknownParameters::Refuse if names.iter().any(|name| ![INPUT_PATH, OUTPUT_PATH].contains(name)) => {
            Err(RunError::UnknownParameters {
                names: names.into_iter().map(str::to_owned).collect(),
                known: inspection.parameters.into_iter().map(|parameter| parameter.name).collect(),
            })
        }
        UnknownParameters::Refuse | UnknownParameters::Warn => {
            for name in names {
                warnings.warn(format!("Passed unknown parameter: {name}"));
            }
            Ok(())
        }
    }
}

fn translator(kernel: Option<&str>, language: Option<&str>) -> Result<&'static dyn Translator, RunError> {
    let kernel = kernel.ok_or(RunError::NoKernelName)?;
    let language = language.ok_or(RunError::NoLanguage)?;
    translate::translator_for(kernel, language)
        .ok_or_else(|| RunError::NoTranslator { kernel: kernel.to_owned(), language: language.to_owned() })
}

/// Secrets are assigned where parameters would be: after the injected cell, else after the `parameters`
/// cell, else first of all.
fn secret_cell(
    request: &RunRequest,
    notebook: &Notebook,
    translator: &dyn Translator,
) -> Result<Option<SecretCell>, RunError> {
    if request.secrets.is_empty() {
        return Ok(None);
    }
    let code = translate::secret_assignments(translator, &request.secrets).map_err(RunError::Parameters)?;
    let after = |tag: &str| notebook.cells().iter().position(|cell| cell.has_tag(tag)).map(|index| index + 1);
    let before = after(INJECTED_TAG).or_else(|| after(PARAMETERS_TAG)).unwrap_or(0);
    Ok(Some(SecretCell { before, code }))
}

/// Finds the kernelspec that runs the notebook, making its environment if it needs one of ours.
pub(super) async fn kernelspec(
    request: &RunRequest,
    services: &Services,
    plan: &Plan,
    on_event: &mut (dyn FnMut(RunEvent<'_>) + Send),
) -> Result<Kernelspec, RunError> {
    let found = plan.kernel.as_deref().map(|name| rnbexec_kernel::find(&services.kernels, name));
    let code_cells: Vec<_> = plan
        .notebook
        .cells()
        .iter()
        .filter(|cell| cell.cell_type() == CellType::Code)
        .map(Cell::source)
        .collect();
    let facts = NotebookFacts {
        kernel_name: plan.kernel.clone(),
        language: plan.language.clone(),
        kernelspec: found.as_ref().and_then(|found| found.as_ref().ok()).cloned(),
        script: ScriptMetadata::find(code_cells.iter().map(AsRef::as_ref)).map_err(ProvisionError::from)?,
    };
    if let Some(script) = &facts.script
        && closes_something(&request.kernel.containment)
        && matches!(request.kernel.environment, EnvironmentRequest::AsFound | EnvironmentRequest::Auto)
        && !provision::has_script_environment(&services.environments, script).await
    {
        return Err(RunError::EnvironmentNotMade);
    }
    let mut progress = |progress: Progress| on_event(RunEvent::Environment(&in_words(&progress)));
    let asked = match &request.kernel.environment {
        EnvironmentRequest::AsFound => {
            return match provision::resolve_default(&services.environments, &facts, &mut progress).await? {
                Some(environment) => Ok(environment.kernelspec),
                None => Ok(found.ok_or(RunError::NoKernelName)??),
            };
        }
        EnvironmentRequest::Auto => EnvRequest::Auto(Box::new(facts)),
        EnvironmentRequest::Path(path) => EnvRequest::Path(path.clone()),
        EnvironmentRequest::Named(name) => EnvRequest::Name(name.clone()),
    };
    Ok(provision::resolve_env(&services.environments, asked, &mut progress).await?.kernelspec)
}

fn in_words(progress: &Progress) -> String {
    match progress {
        Progress::Waiting { environment } => {
            format!("waiting for another process that makes {}", environment.display())
        }
        Progress::Creating { environment, tool } => {
            format!("making the kernel's environment {} with {tool}", environment.display())
        }
        Progress::Installing { requirements, locked } => format!(
            "installing {requirements} {}requirements (only the first run of this environment does)",
            if *locked { "locked " } else { "" }
        ),
        Progress::Checking => "checking the environment".to_owned(),
        Progress::Ready { environment, packages } => {
            format!("the environment {} is ready with {packages} packages", environment.display())
        }
        Progress::Line(line) => line.clone(),
        _ => String::new(),
    }
}

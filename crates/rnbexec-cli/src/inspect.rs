//! `rnbexec inspect` and `--help-notebook`: which parameters a notebook takes.

use rnbexec::Services;
use rnbexec::store::Location;
use rnbexec_notebook::Notebook;
use rnbexec_notebook::inspect::{Inspection, inspect_for};

use crate::args::{self, Front, InspectArgs, Level, PapermillArgs, ParameterArgs};
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::parameters::{self, InjectedPaths};
use crate::paths::{Filler, Source};
use crate::settings::NO_NOTEBOOK;
use crate::streams::Streams;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, log, runtime, verdict};

/// What is to be shown.
struct Wanted {
    notebook: String,
    /// They fill in the fields of the path.
    parameters: ParameterArgs,
    kernel: Option<String>,
    language: Option<String>,
    form: Form,
    level: Level,
}

enum Form {
    /// papermill's text, under the usage line of a front.
    Text(Front),
    JsonSchema,
}

/// `rnbexec inspect`.
pub(crate) fn inspect(args: InspectArgs) -> u8 {
    show(Wanted {
        notebook: args.notebook,
        parameters: args.parameters,
        kernel: args.kernel,
        language: args.language,
        form: if args.json { Form::JsonSchema } else { Form::Text(Front::Run) },
        level: args.log_level,
    })
}

/// `--help-notebook` among the options of a run. A notebook that is not named is the one on standard input.
pub(crate) fn help_notebook(front: Front, args: PapermillArgs) -> u8 {
    if args.notebook.is_none() && !Streams::of_process().stdin_is_pipe {
        return args::show(&args::usage_error(front, NO_NOTEBOOK));
    }
    show(Wanted {
        notebook: args.notebook.filter(|path| !path.is_empty()).unwrap_or_else(|| "-".to_owned()),
        parameters: args.parameters,
        kernel: args.kernel.kernel,
        language: args.kernel.language,
        form: Form::Text(front),
        level: args.output_options.log_level,
    })
}

fn show(wanted: Wanted) -> u8 {
    let console = Console::stderr();
    // Who asks for the parameters wants to see them and what is odd about them, not that they are being read.
    let level = if wanted.level == Level::Info { Level::Warning } else { wanted.level };
    log::init(&console, level);
    runtime::block_on(&console, async {
        match look(wanted).await {
            Ok(code) => code,
            Err(failure) => {
                failure.show(&console);
                failure.code
            }
        }
    })
}

async fn look(wanted: Wanted) -> Result<u8, Failure> {
    let (mut supervisor, _cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    match supervisor.abandonable(read(&wanted)).await {
        Ok(notebook) => tell(&wanted, &notebook?),
        Err(Abandoned(signal)) => Err(Failure::new("stopped").code(signal.exit_code())),
    }
}

async fn read(wanted: &Wanted) -> Result<Notebook, Failure> {
    let services = Services::from_process();
    let parameters =
        parameters::gather(&wanted.parameters, &InjectedPaths::default(), &services.stores).await?;
    let source = Source::parse(&Filler::now().fill(&wanted.notebook, &parameters)?)?;
    tracing::info!("Input Notebook:  {source}");
    if let Some(warning) = source.extension_warning() {
        tracing::warn!("{warning}");
    }
    let name = source.to_string();
    let bytes = match source {
        Source::Text(text) => text.into_bytes().into(),
        Source::Place { location, .. } => fetch(&services, &location).await?,
    };
    let mut ids = 0_u32;
    let mut fresh_id = || {
        ids += 1;
        format!("{ids:08x}")
    };
    let parsed = Notebook::parse(&bytes, &mut fresh_id).map_err(|error| {
        Failure::because(format!("{name} is not a notebook that can be read"), &error)
            .help("a notebook is a .ipynb file as Jupyter saves it")
    })?;
    for quirk in &parsed.quirks {
        tracing::warn!("{quirk}");
    }
    Ok(parsed.notebook)
}

async fn fetch(services: &Services, location: &Location) -> Result<bytes::Bytes, Failure> {
    services.stores.read(location).await.map_err(|error| verdict::of_read("cannot read the notebook", &error))
}

fn tell(wanted: &Wanted, notebook: &Notebook) -> Result<u8, Failure> {
    let inspection =
        inspect_for(notebook, wanted.kernel.as_deref(), wanted.language.as_deref()).map_err(|error| {
            Failure::because("cannot tell the notebook's parameters", &error)
                .help("name its kernel with -k and its language with -l")
        })?;
    for warning in &inspection.warnings {
        tracing::warn!("{warning}");
    }
    let (text, code) = match wanted.form {
        Form::JsonSchema => (schema(&inspection), exit::SUCCESS),
        Form::Text(front) => {
            let path = parameters::without_secrets(&wanted.notebook);
            let text = inspection.help_text(&format!("Usage: {}\n", front.usage()), &path);
            let code = if inspection.has_parameters_cell { exit::SUCCESS } else { exit::FAILURE };
            (text, code)
        }
    };
    console::print(&text).map_err(|error| Failure::because("cannot write to standard output", &error))?;
    Ok(code)
}

/// The schema, indented for people.
fn schema(inspection: &Inspection) -> String {
    let mut text = Vec::new();
    inspection.to_json_schema().write_pretty(&mut text, 0);
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

//! The command line as it was typed: flags and texts, not yet checked against each other.
//!
//! Two fronts share the same options: `rnbexec run` and, under the name `papermill`, papermill's own command line.
//! Source: papermill 2.7.0 `cli.py` and click's parser. Options and positionals may be mixed, `--` ends the options,
//! of a repeated option (and of a `--x/--no-x` pair) the last one wins, and every value may begin with a hyphen.

mod attached;
mod isolation;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::batch::args::BatchArgs;
use crate::duration::{Limit, parse_limit};
use crate::exit;
use crate::manager::args::{DemoArgs, ManagerCommand};

pub(crate) use isolation::{IsolationArgs, IsolationLevel};
pub(crate) use report::{ReportArgs, WhenScripts};

use attached::split_attached_pairs;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run a notebook.
    Run(Front, Box<RunArgs>),
    /// Run a notebook many times.
    Batch(Box<BatchArgs>),
    /// Print papermill's version.
    PapermillVersion,
    /// Show a notebook's parameters.
    Inspect(Box<InspectArgs>),
    /// Make the page of an executed notebook.
    Report(Box<ReportArgs>),
    /// Do something about kernels.
    Kernel(KernelCommand),
    /// Do something about incidents.
    Manager(ManagerCommand),
    /// Show what the manager does.
    Demo(DemoArgs),
    /// Become a kernel that is contained.
    Contain,
    /// Bring the output of a run into order whose runner was killed.
    Recover(Box<RecoverArgs>),
    /// Be the guardian of another process's runs.
    Guardian,
    /// Print a completion script.
    Completions(clap_complete::Shell),
}

/// Run Jupyter notebooks: parameterize, execute, save.
#[derive(Debug, Parser)]
#[command(name = "rnbexec", version, args_override_self = true, arg_required_else_help = true)]
pub(crate) struct Rnbexec {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a notebook and save the executed copy
    #[command(override_usage = RUN_USAGE, after_help = run_after_help())]
    Run(Box<RunArgs>),
    /// Run a notebook many times, each with parameters of its own
    #[command(override_usage = BATCH_USAGE, after_help = batch_after_help())]
    Batch(Box<BatchArgs>),
    /// Bring the output of a run into order that was killed with its guardian
    Recover(Box<RecoverArgs>),
    /// Show the parameters a notebook takes
    #[command(
        after_help = "Exits with 1 when no cell is tagged 'parameters' (with --json: an empty schema and 0)."
    )]
    Inspect(Box<InspectArgs>),
    /// Make an HTML page of an executed notebook
    #[command(after_help = report::AFTER_HELP)]
    Report(Box<ReportArgs>),
    /// List, install and remove kernels
    #[command(subcommand)]
    Kernel(KernelCommand),
    /// Triage Microsoft Sentinel incidents with notebooks
    #[command(subcommand)]
    Manager(ManagerCommand),
    /// Triage a backlog of recorded incidents offline, to see what the manager does
    Demo(DemoArgs),
    /// papermill's own command line, as when started under that name
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Papermill {
        /// papermill's options and paths
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Contain this process as standard input orders, and become a kernel
    #[command(name = CONTAIN, hide = true)]
    Contain,
    /// Bring into order what the program that started this one leaves when it is killed
    #[command(name = crate::guardian::COMMAND, hide = true)]
    Guardian,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// papermill's command line.
#[derive(Debug, Parser)]
#[command(
    name = "papermill",
    args_override_self = true,
    disable_version_flag = true,
    override_usage = PAPERMILL_USAGE,
    about = "Executes a notebook: takes a source notebook, applies parameters to it, executes it with its kernel, and \
             saves the executed copy",
    after_help = "NOTEBOOK_PATH and OUTPUT_PATH may be `-` for standard input and output, or be left out between pipes."
)]
struct PapermillCommand {
    #[command(flatten)]
    args: PapermillArgs,
    /// Print the version
    #[arg(long)]
    version: bool,
}

/// Everything `rnbexec run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) papermill: PapermillArgs,
    #[command(flatten)]
    pub(crate) more: MoreArgs,
}

/// papermill's options and positionals.
#[derive(Debug, Args)]
pub(crate) struct PapermillArgs {
    /// The notebook to run: a path, `-` for standard input, or an http, https, s3, gs, abs, abfs, hdfs or GitHub URL;
    /// parameters fill in its {name:format} fields
    #[arg(value_name = "NOTEBOOK_PATH")]
    pub(crate) notebook: Option<String>,
    /// Where the executed notebook goes: the same kinds of places; standard output when left out in a pipe
    #[arg(value_name = "OUTPUT_PATH")]
    pub(crate) output: Option<String>,
    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,
    #[command(flatten)]
    pub(crate) inject: InjectArgs,
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
    #[command(flatten)]
    pub(crate) run: RunningArgs,
    #[command(flatten)]
    pub(crate) output_options: OutputArgs,
    #[command(flatten)]
    pub(crate) sinks: SinkArgs,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Parameters")]
pub(crate) struct ParameterArgs {
    /// A parameter: True, False, None, an integer, a float, else text
    #[arg(short, long = "parameters", num_args = 2, value_names = ["NAME", "VALUE"])]
    #[arg(allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) parameters: Vec<String>,
    /// A parameter whose value is text, whatever it looks like
    #[arg(short = 'r', long = "parameters_raw", alias = "parameters-raw", num_args = 2)]
    #[arg(value_names = ["NAME", "VALUE"], allow_hyphen_values = true, action = ArgAction::Append)]
    pub(crate) parameters_raw: Vec<String>,
    /// A YAML or JSON file of parameters, local or at any place a notebook may be
    #[arg(short = 'f', long = "parameters_file", alias = "parameters-file", value_name = "PATH")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) parameters_file: Vec<String>,
    /// Parameters as YAML or JSON text
    #[arg(short = 'y', long = "parameters_yaml", alias = "parameters-yaml", value_name = "YAML")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) parameters_yaml: Vec<String>,
    /// Parameters as YAML or JSON text in base64
    #[arg(short = 'b', long = "parameters_base64", alias = "parameters-base64", value_name = "BASE64")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) parameters_base64: Vec<String>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Parameters")]
pub(crate) struct InjectArgs {
    /// Inject the input path as the parameter PAPERMILL_INPUT_PATH
    #[arg(long)]
    pub(crate) inject_input_path: bool,
    /// Inject the output path as the parameter PAPERMILL_OUTPUT_PATH
    #[arg(long)]
    pub(crate) inject_output_path: bool,
    /// Inject both paths
    #[arg(long)]
    pub(crate) inject_paths: bool,
    /// Print the parameters the notebook takes, and run nothing
    #[arg(long)]
    pub(crate) help_notebook: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Kernel")]
pub(crate) struct KernelArgs {
    /// The kernel to run, instead of the one the notebook names
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) kernel: Option<String>,
    /// The language of the parameters, instead of the one the notebook names
    #[arg(short, long, value_name = "LANGUAGE", allow_hyphen_values = true)]
    pub(crate) language: Option<String>,
    /// The execution engine; nbclient and rnbexec are the same one here
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) engine: Option<String>,
    /// The kernel's working directory
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    pub(crate) cwd: Option<PathBuf>,
    /// How long the kernel may take to start, in seconds [default: 60]
    #[arg(long, alias = "start_timeout", value_name = "SECONDS", value_parser = python_int)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) start_timeout: Option<i64>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunningArgs {
    /// How long each cell may take, in seconds; 0 is for ever [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = python_int, allow_hyphen_values = true)]
    pub(crate) execution_timeout: Option<i64>,
    /// Inject the parameters and save, but run nothing (--prepare-execute undoes it)
    #[arg(long, overrides_with = "prepare_execute")]
    prepare_only: bool,
    #[arg(long, overrides_with = "prepare_only", hide = true)]
    prepare_execute: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Save after each cell, which is the default (--no-request-save-on-cell-execute: do not)
    #[arg(long, overrides_with = "no_request_save_on_cell_execute")]
    request_save_on_cell_execute: bool,
    #[arg(long, overrides_with = "request_save_on_cell_execute", hide = true)]
    no_request_save_on_cell_execute: bool,
    /// Save this often during a long cell, in seconds; 0 is never [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = python_int, allow_hyphen_values = true)]
    pub(crate) autosave_cell_every: Option<i64>,
    /// Hide the source of the code cells in the saved notebook (--no-report-mode undoes it)
    #[arg(long, overrides_with = "no_report_mode")]
    report_mode: bool,
    #[arg(long, overrides_with = "report_mode", hide = true)]
    no_report_mode: bool,
    /// Show progress, which is the default on a terminal (--no-progress-bar: do not)
    #[arg(long, overrides_with = "no_progress_bar")]
    progress_bar: bool,
    #[arg(long, overrides_with = "progress_bar", hide = true)]
    no_progress_bar: bool,
    /// Show on standard error what the cells print (--no-log-output undoes it)
    #[arg(long, overrides_with = "no_log_output")]
    log_output: bool,
    #[arg(long, overrides_with = "log_output", hide = true)]
    no_log_output: bool,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) log_level: Level,
}

/// Where the streams of one run go.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct SinkArgs {
    /// Write what the cells print to their stdout into this file as it comes; `-` is standard output
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) stdout_file: Option<PathBuf>,
    /// Write what the cells print to their stderr into this file as it comes; `-` is standard output
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) stderr_file: Option<PathBuf>,
}

/// What `rnbexec run` takes on top of papermill.
#[derive(Debug, Default, Args)]
pub(crate) struct MoreArgs {
    /// A parameter that reaches the code but never the saved notebook, a log or the process list
    #[arg(long, value_name = "NAME=env:VAR|file:PATH", help_heading = "Parameters")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) secret: Vec<String>,
    /// A regular expression: what it matches, or its group `secret`, is masked in outputs, errors and messages
    #[arg(long, value_name = "PATTERN", help_heading = "Output", allow_hyphen_values = true)]
    pub(crate) redact: Vec<String>,
    /// Mask what is surely a secret too: Azure signatures and account keys, tokens, authorization headers, private keys
    #[arg(long, help_heading = "Output")]
    pub(crate) redact_tokens: bool,
    /// What to do about a parameter the notebook does not define: say so and inject it as papermill does, or run
    /// nothing
    #[arg(long, value_enum, value_name = "ACTION", help_heading = "Parameters")]
    #[arg(overrides_with = "strict_parameters")]
    pub(crate) unknown_parameters: Option<Unknown>,
    /// The same as --unknown-parameters error
    #[arg(long, help_heading = "Parameters", overrides_with = "unknown_parameters")]
    pub(crate) strict_parameters: bool,
    /// The kernel's environment: `auto` makes a private one, a PATH is a virtual environment, a conda prefix or a
    /// Python, a NAME is one made by `rnbexec kernel install`
    #[arg(long, value_name = "auto|PATH|NAME", help_heading = "Kernel", allow_hyphen_values = true)]
    pub(crate) env: Option<String>,
    /// A variable for the kernel's process
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Kernel", allow_hyphen_values = true)]
    pub(crate) set_env: Vec<String>,
    /// Fork the kernel from a Python that has imported what the kernelspec's preload list and the notebook's first cells
    /// name: with --retries, each attempt after the first begins at once
    #[arg(long, help_heading = "Kernel")]
    pub(crate) fork_server: bool,
    #[command(flatten)]
    pub(crate) isolation: IsolationArgs,
    /// How long the whole run may take: 90, 90s, 5m, 1h; 0 is for ever
    #[arg(long, value_name = "DURATION", value_parser = parse_limit, help_heading = "Running")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) timeout: Option<Limit>,
    /// How often to begin again when the environment fails (the kernel died or did not start, storage was
    /// unavailable); never when the notebook fails
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Running")]
    pub(crate) retries: u32,
    /// Go on after a cell that raises, and succeed
    #[arg(long, help_heading = "Running")]
    pub(crate) allow_errors: bool,
    /// Do not run cells with this tag
    #[arg(long, value_name = "TAG", help_heading = "Running", allow_hyphen_values = true)]
    pub(crate) skip_tag: Vec<String>,
    /// Run only cells with one of these tags (and the parameters)
    #[arg(long, value_name = "TAG", help_heading = "Running", allow_hyphen_values = true)]
    pub(crate) only_tag: Vec<String>,
    /// Print one last line of JSON on standard output that says how it went (on standard error when the notebook
    /// itself goes to standard output)
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The notebook that the run was writing: a path or a URL
    #[arg(value_name = "OUTPUT_PATH")]
    pub(crate) output: String,
    /// The run is over, though this machine has no journal of it to tell (an output elsewhere)
    #[arg(long)]
    pub(crate) force: bool,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The notebook: a path, `-` for standard input, or a URL
    #[arg(value_name = "NOTEBOOK_PATH")]
    pub(crate) notebook: String,
    /// Print a JSON Schema of the parameters
    #[arg(long)]
    pub(crate) json: bool,
    /// The kernel, instead of the one the notebook names
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) kernel: Option<String>,
    /// The language, instead of the one the notebook names
    #[arg(short, long, value_name = "LANGUAGE", allow_hyphen_values = true)]
    pub(crate) language: Option<String>,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelCommand {
    /// List the kernels that can be used here
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a kernel with a private environment of its own
    Install(KernelInstall),
    /// Remove a kernel that `rnbexec kernel install` made
    Remove {
        /// The kernel's name
        name: String,
    },
    /// Print the folder of a kernel
    Path {
        /// The kernel's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KernelInstall {
    /// The kernel's name; that of a shipped kernel brings its locked requirements
    pub(crate) name: String,
    /// The packages it needs, as a pip requirements file
    #[arg(long, value_name = "FILE", conflicts_with = "notebook")]
    pub(crate) requirements: Option<PathBuf>,
    /// A notebook that carries its dependencies (PEP 723) to take them from
    #[arg(long, value_name = "NOTEBOOK")]
    pub(crate) notebook: Option<PathBuf>,
    /// The name that people see
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// Replace a kernel of that name even if rnbexec did not make it
    #[arg(long)]
    pub(crate) replace: bool,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
}

/// papermill's log levels, which are Python's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Level {
    Notset,
    Debug,
    #[default]
    Info,
    Warning,
    Error,
    Critical,
}

/// What to do about a parameter the notebook does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unknown {
    Warn,
    Error,
}

/// One of `--x` and `--no-x`, or none of them.
fn pair(yes: bool, no: bool) -> Option<bool> {
    if yes { Some(true) } else { no.then_some(false) }
}

impl RunningArgs {
    pub(crate) fn prepare_only(&self) -> bool {
        pair(self.prepare_only, self.prepare_execute).unwrap_or(false)
    }
}

impl OutputArgs {
    pub(crate) fn save_at_cells(&self) -> bool {
        pair(self.request_save_on_cell_execute, self.no_request_save_on_cell_execute).unwrap_or(true)
    }

    pub(crate) fn report_mode(&self) -> bool {
        pair(self.report_mode, self.no_report_mode).unwrap_or(false)
    }

    /// `None` when neither was said.
    pub(crate) fn progress_bar(&self) -> Option<bool> {
        pair(self.progress_bar, self.no_progress_bar)
    }

    pub(crate) fn log_output(&self) -> bool {
        pair(self.log_output, self.no_log_output).unwrap_or(false)
    }
}

/// An integer as Python's `int()` reads it, which is how click reads papermill's numbers.
fn python_int(text: &str) -> Result<i64, String> {
    let value = rnbexec_notebook::parameters::infer_scalar(text);
    value.as_i64().ok_or_else(|| "expected a whole number".to_owned())
}

/// Reads the command line; an error holds the help, the version or what is wrong.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.first().is_some_and(is_papermill) {
        return papermill(arguments);
    }
    if let Some(program) = arguments.first_mut() {
        *program = "rnbexec".into();
    }
    let command = Rnbexec::command();
    let arguments = split_attached_pairs(&command, arguments);
    let matches = command.try_get_matches_from(arguments)?;
    match Rnbexec::from_arg_matches(&matches)?.command {
        Command::Run(args) => Ok(Invocation::Run(Front::Run, args)),
        Command::Batch(args) => Ok(Invocation::Batch(args)),
        Command::Recover(args) => Ok(Invocation::Recover(args)),
        Command::Guardian => Ok(Invocation::Guardian),
        Command::Inspect(args) => Ok(Invocation::Inspect(args)),
        Command::Report(args) => Ok(Invocation::Report(args)),
        Command::Kernel(command) => Ok(Invocation::Kernel(command)),
        Command::Manager(command) => Ok(Invocation::Manager(command)),
        Command::Demo(args) => Ok(Invocation::Demo(args)),
        Command::Contain => Ok(Invocation::Contain),
        Command::Completions { shell } => Ok(Invocation::Completions(shell)),
        Command::Papermill { arguments } => {
            papermill(std::iter::once("papermill".into()).chain(arguments).collect())
        }
    }
}

fn papermill(mut arguments: Vec<OsString>) -> Result<Invocation, clap::Error> {
    if let Some(program) = arguments.first_mut() {
        *program = "papermill".into();
    }
    let command = PapermillCommand::command();
    let arguments = split_attached_pairs(&command, arguments);
    let PapermillCommand { args, version } =
        PapermillCommand::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
    if version {
        return Ok(Invocation::PapermillVersion);
    }
    Ok(Invocation::Run(Front::Papermill, Box::new(RunArgs { papermill: args, more: MoreArgs::default() })))
}

/// Whether the program was started under papermill's name.
fn is_papermill(program: &OsString) -> bool {
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    name.strip_suffix(".exe").unwrap_or(&name) == "papermill"
}

/// A usage error found after parsing, printed the way clap prints its own.
pub(crate) fn usage_error(front: Front, message: &str) -> clap::Error {
    let mut command = match front {
        Front::Papermill => PapermillCommand::command(),
        Front::Run => subcommand("run"),
        Front::Batch => subcommand("batch"),
    };
    command.error(clap::error::ErrorKind::MissingRequiredArgument, message)
}

fn subcommand(name: &str) -> clap::Command {
    let mut command = Rnbexec::command();
    command.build();
    command.find_subcommand(name).cloned().unwrap_or(command)
}

/// Prints help, version or a usage error where it belongs, and returns the exit code.
pub(crate) fn show(error: &clap::Error) -> u8 {
    if error.print().is_err() {
        // Nobody reads it.
    }
    u8::try_from(error.exit_code()).unwrap_or(exit::USAGE)
}

/// The command by which this program starts itself to become a kernel that is contained.
pub(crate) const CONTAIN: &str = "__contained";

const RUN_USAGE: &str = "rnbexec run [OPTIONS] NOTEBOOK_PATH [OUTPUT_PATH]";
const BATCH_USAGE: &str =
    "rnbexec batch [OPTIONS] NOTEBOOK_PATH --each ROWS|--grid NAME=VALUES [--output TEMPLATE]";
const PAPERMILL_USAGE: &str = "papermill [OPTIONS] NOTEBOOK_PATH [OUTPUT_PATH]";

/// Which command line a run came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// `rnbexec run`
    Run,
    /// `rnbexec batch`
    Batch,
    /// papermill's
    Papermill,
}

impl Front {
    /// What the usage line that `--help-notebook` begins with says.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Run => RUN_USAGE,
            Self::Batch => BATCH_USAGE,
            Self::Papermill => PAPERMILL_USAGE,
        }
    }
}

fn run_after_help() -> String {
    format!(
        "A cell's own time limit: tag it `timeout=SECONDS`. A cell that may raise: tag it `raises-exception`.\n\
         Fields in paths: {{name}}, {{name:03d}}, {{pm[run_uuid]}}, {{pm[current_datetime_utc]:%Y%m%d}}.\n\n{}\n{}",
        isolation::TABLE,
        exit::help_section()
    )
}

fn batch_after_help() -> String {
    format!(
        "Rows: a CSV text whose first line has the names (values are typed as -p types them, an empty one is not given), \
         JSON lines, or a JSON array of objects. What a row gives wins over -p, -r, -f, -y and -b.\n\
         Fields in --output: {{name}}, {{name:03d}}, {{row}} (the number of the run, from 1, unless a parameter is called \
         row), {{pm[run_uuid]}}. A value may bring folders, but none that lie outside of the folder before the first \
         field.\n\n{}",
        exit::batch_help_section()
    )
}

#[cfg(test)]
mod tests;

//! Checked settings: what the flags of a run mean together. Nothing here does anything but look at the flags, the
//! secrets they name and whether the working directory is there.

use std::path::PathBuf;
use std::time::Duration;

use rnbexec::redact::{Pattern, PatternError, Redactor};
use rnbexec::{
    CellSelection, EnvironmentRequest, Input, KernelRequest, Limits, Mode, OnError, RunRequest, SavePolicy,
    Services, UnknownParameters,
    store::{self, Location},
};
use rnbexec_kernel::provision::{EnvRequest, NotebookFacts};
use rnbexec_notebook::parameters::{Parameters, SecretParameters};

use crate::args::{Level, MoreArgs, PapermillArgs, ParameterArgs, Unknown};
use crate::clash;
use crate::duration::Limit;
use crate::exit;
use crate::failure::Failure;
use crate::isolation;
use crate::parameters::{self, InjectedPaths};
use crate::sinks;
use crate::streams::Streams;

/// What is said when no notebook is named and none comes through a pipe.
pub(crate) const NO_NOTEBOOK: &str = "the following required argument was not provided: <NOTEBOOK_PATH>";

/// A run as it was asked for, before its parameters are read and its paths are filled in.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the notebook comes from and goes to, as typed.
    pub(crate) places: Places,
    pub(crate) parameters: ParameterArgs,
    pub(crate) inject: InjectedPaths,
    pub(crate) show: Shown,
    /// Kernels are forked rather than started, where that can be had.
    pub(crate) fork_server: bool,
    secret_variables: Vec<String>,
    request: Request,
}

/// Input and output, as typed; `-` for the standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) input: String,
    pub(crate) output: String,
}

/// What is shown while the notebook runs, and where.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) level: Level,
    /// `None` when it was not said.
    pub(crate) progress_bar: Option<bool>,
    pub(crate) log_output: bool,
    /// How a kernel's environment is being made is told even where other messages are not: it takes its time.
    pub(crate) environment: bool,
    pub(crate) stdout_file: Option<PathBuf>,
    pub(crate) stderr_file: Option<PathBuf>,
}

/// The parts of a [`RunRequest`] that the flags alone decide.
#[derive(Debug)]
struct Request {
    secrets: SecretParameters,
    redactor: Redactor,
    unknown_parameters: UnknownParameters,
    kernel: KernelRequest,
    mode: Mode,
    hide_source: bool,
    selection: CellSelection,
    on_error: OnError,
    limits: Limits,
    saves: SavePolicy,
    retries: u32,
}

/// Why there are no settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The command line is wrong: clap says so, with the usage.
    Usage(String),
    /// The command line is right, but what it asks for cannot be done.
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Places {
    /// papermill's rules. A pipe on standard input makes a lone path the output. Without an output the notebook goes to
    /// standard output, unless that is a terminal. Empty paths count as not given.
    pub(crate) fn decide(
        notebook: Option<String>,
        output: Option<String>,
        streams: Streams,
    ) -> Result<Self, &'static str> {
        let given = |path: Option<String>| path.filter(|path| !path.is_empty());
        let piped = streams.stdin_is_pipe;
        if notebook.is_none() && !piped {
            return Err(NO_NOTEBOOK);
        }
        let (notebook, output) = (given(notebook), given(output));
        if output.is_none() && !piped && streams.stdout_is_terminal {
            return Err("the following required argument was not provided: <OUTPUT_PATH>");
        }
        let stream = || "-".to_owned();
        Ok(match (notebook, output) {
            (Some(path), None) if piped => Self { input: stream(), output: path },
            (notebook, output) => {
                Self { input: notebook.unwrap_or_else(stream), output: output.unwrap_or_else(stream) }
            }
        })
    }

    /// Whether the notebook goes to standard output, as far as the typed path tells.
    pub(crate) fn to_stdout(&self) -> bool {
        self.output == "-"
    }
}

impl Settings {
    /// Checks the flags of a run against each other.
    pub(crate) fn check(
        places: Places,
        args: PapermillArgs,
        more: MoreArgs,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, Refused> {
        let PapermillArgs {
            notebook: _,
            output: _,
            parameters,
            inject,
            kernel,
            run,
            output_options: out,
            sinks: to,
        } = args;
        let stdout = std::path::Path::new("-");
        if places.to_stdout()
            && [&to.stdout_file, &to.stderr_file].iter().any(|file| file.as_deref() == Some(stdout))
        {
            let problem = "the notebook and what its cells print cannot both go to standard output";
            return Err(Refused::Usage(problem.to_owned()));
        }
        let secrets = parameters::secrets(&more.secret, variable)?;
        if let Some(engine) =
            kernel.engine.as_deref().filter(|engine| !["nbclient", "rnbexec"].contains(engine))
        {
            return Err(Failure::new(format!("no engine named '{engine}' found"))
                .help("there is one engine, called rnbexec or nbclient: leave --engine out")
                .into());
        }
        let redactor = redactor(&more)?;
        let secret_variables = parameters::secret_variables(&more.secret);
        let executes = !run.prepare_only();
        if let Some(cwd) = kernel.cwd.as_deref().filter(|cwd| executes && !cwd.is_dir()) {
            return Err(Failure::new(format!("{} is not a folder", cwd.display()))
                .help("--cwd names the folder that the kernel works in")
                .into());
        }
        let containment = isolation::containment(more.isolation, executes)?;
        let sinks = [("--stdout-file", &to.stdout_file), ("--stderr-file", &to.stderr_file)];
        for (flag, file) in sinks.into_iter().filter_map(|(flag, file)| Some((flag, file.as_deref()?))) {
            clash::refuse(
                flag,
                file,
                &[("the notebook", &places.input), ("the executed notebook", &places.output)],
            )?;
            clash::refuse_work_folders(flag, file, &containment)?;
            if executes {
                sinks::check(file)?;
            }
        }
        let start_timeout = kernel.start_timeout.unwrap_or(60);
        let start = u64::try_from(start_timeout).ok().filter(|&seconds| seconds > 0).ok_or_else(|| {
            Refused::Usage(format!("--start-timeout must be at least one second, not {start_timeout}"))
        })?;
        let variables = more.set_env.iter().map(|text| set_env(text)).collect::<Result<_, _>>()?;
        let limit = |seconds: Option<i64>| seconds.and_then(|seconds| Limit::of_seconds(seconds).0);
        // Every save would be a whole notebook of its own on standard output.
        let to_stdout = places.to_stdout();
        let request = Request {
            secrets,
            redactor,
            unknown_parameters: match (more.unknown_parameters, more.strict_parameters) {
                (Some(Unknown::Error), _) | (None, true) => UnknownParameters::Refuse,
                (Some(Unknown::Warn), _) | (None, false) => UnknownParameters::Warn,
            },
            kernel: KernelRequest {
                name: kernel.kernel,
                language: kernel.language,
                environment: more.env.as_deref().map_or(EnvironmentRequest::AsFound, environment),
                cwd: kernel.cwd,
                variables,
                imports: None,
                containment,
            },
            mode: if executes { Mode::Execute } else { Mode::PrepareOnly },
            hide_source: out.report_mode(),
            selection: CellSelection { skip_tags: more.skip_tag, only_tags: more.only_tag },
            on_error: if more.allow_errors { OnError::Continue } else { OnError::Stop },
            limits: Limits {
                start: Duration::from_secs(start),
                cell: limit(run.execution_timeout),
                run: more.timeout.and_then(|limit| limit.0),
                ..Limits::default()
            },
            saves: SavePolicy {
                at_cells: out.save_at_cells() && !to_stdout,
                autosave: limit(Some(out.autosave_cell_every.unwrap_or(30))).filter(|_| !to_stdout),
            },
            retries: more.retries,
        };
        let inject = InjectedPaths {
            input: (inject.inject_input_path || inject.inject_paths).then(|| places.input.clone()),
            output: (inject.inject_output_path || inject.inject_paths).then(|| places.output.clone()),
        };
        let show = Shown {
            level: if to_stdout && out.log_level == Level::Info { Level::Error } else { out.log_level },
            progress_bar: out.progress_bar(),
            log_output: out.log_output(),
            environment: out.log_level <= Level::Info,
            stdout_file: to.stdout_file,
            stderr_file: to.stderr_file,
        };
        let fork_server = more.fork_server;
        Ok(Self { places, parameters, inject, show, fork_server, secret_variables, request })
    }

    /// No process that is started has the variables that secrets came from, save that the guardian has those that it may need to
    /// write an output.
    pub(crate) fn keep_secret_variables_from(&self, services: &mut Services) {
        for name in &self.secret_variables {
            let Services { variables, environments, kernels, .. } = &mut *services;
            for variables in [variables, &mut environments.vars, &mut kernels.vars] {
                variables.remove(std::ffi::OsStr::new(name));
            }
        }
        let withheld = self.secret_variables.iter().filter(|name| !store::may_need(name));
        services.guardian = services.guardian.take().map(|guardian| guardian.without_variables(withheld));
    }

    /// What takes the secrets out of what is said of the run.
    pub(crate) fn redactor(&self) -> Redactor {
        self.request.redactor.and(&self.request.secrets)
    }

    /// One name cannot be both a parameter and a secret: the secret would be saved, or would not count.
    pub(crate) fn refuse_clash(&self, parameters: &Parameters) -> Result<(), Failure> {
        match self.request.secrets.names().find(|name| parameters.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Failure::new(format!("'{name}' is given both as a parameter and as a secret"))
                .help("give it once")
                .code(exit::USAGE)),
        }
    }

    /// The request, now that its paths and parameters are known.
    pub(crate) fn request(
        self,
        input: Input,
        output: impl Into<Option<Location>>,
        parameters: Parameters,
    ) -> RunRequest {
        let Self { request, show, .. } = self;
        RunRequest {
            parameters,
            secrets: request.secrets,
            redactor: request.redactor,
            unknown_parameters: request.unknown_parameters,
            kernel: request.kernel,
            mode: request.mode,
            hide_source: request.hide_source,
            selection: request.selection,
            on_error: request.on_error,
            limits: request.limits,
            saves: request.saves,
            tells_outputs: show.log_output || show.stdout_file.is_some() || show.stderr_file.is_some(),
            retries: request.retries,
            ..RunRequest::new(input, output)
        }
    }

    /// The kernel's working directory, when it was given.
    pub(crate) fn cwd(&self) -> Option<&std::path::Path> {
        self.request.kernel.cwd.as_deref()
    }
}

/// What is masked beside the secrets.
fn redactor(more: &MoreArgs) -> Result<Redactor, Refused> {
    let own = more.redact.iter().map(|pattern| Pattern::parse(pattern));
    let tokens = more.redact_tokens.then(Pattern::well_known).into_iter().flatten();
    let patterns = own.chain(tokens.map(Ok)).collect::<Result<_, _>>().map_err(|error: PatternError| {
        // The library draws where; its last line says why.
        let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let why = why.lines().last().map(|why| why.trim_start_matches("error: ")).unwrap_or_default();
        let colon = if why.is_empty() { "" } else { ": " };
        Refused::Usage(format!("--redact takes a regular expression: {error}{colon}{why}"))
    })?;
    Ok(Redactor::new([""; 0], patterns))
}

fn set_env(text: &str) -> Result<(String, String), Refused> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(Refused::Usage("--set-env takes NAME=VALUE".to_owned())),
    }
}

/// What `--env` asks for; the provisioner decides what is a path and what is a name.
fn environment(text: &str) -> EnvironmentRequest {
    match EnvRequest::parse(text, NotebookFacts::default()) {
        EnvRequest::Auto(_) => EnvironmentRequest::Auto,
        EnvRequest::Path(path) => EnvironmentRequest::Path(path),
        EnvRequest::Name(name) => EnvironmentRequest::Named(name),
    }
}

#[cfg(test)]
mod tests;

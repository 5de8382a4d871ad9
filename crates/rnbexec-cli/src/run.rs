//! `rnbexec run`, and papermill's command line: from flags to an exit code.

use std::sync::Arc;

use rnbexec::redact::Redactor;
use rnbexec::store::Location;
use rnbexec::{Outcome, RunEvent, RunReport, Services, run_notebook};
use rnbexec_kernel::{KernelPool, PoolOptions};

use crate::args::{self, Front, MoreArgs, PapermillArgs};
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::paths::{Filler, Source};
use crate::reporter::{Reporter, seconds};
use crate::settings::{Places, Refused, Settings};
use crate::streams::Streams;
use crate::summary::{self, Summary};
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, extension, guardian, inspect, isolation, log, parameters, runtime, verdict};

/// Runs a notebook as the command line says, and returns the exit code.
pub(crate) fn run(front: Front, args: PapermillArgs, more: MoreArgs) -> u8 {
    if args.inject.help_notebook {
        return inspect::help_notebook(front, args);
    }
    let console = Console::stderr();
    let PapermillArgs { notebook, output, .. } = &args;
    let places = match Places::decide(notebook.clone(), output.clone(), Streams::of_process()) {
        Ok(places) => places,
        Err(problem) => return args::show(&args::usage_error(front, problem)),
    };
    let mut told = Told {
        json: more.json,
        input: parameters::without_secrets(&places.input),
        output: parameters::without_secrets(&places.output),
        to_stdout: places.to_stdout(),
        redactor: Redactor::default(),
    };
    let settings = match Settings::check(places, args, more, |name| std::env::var_os(name)) {
        Ok(settings) => settings,
        Err(Refused::Usage(problem)) => return args::show(&args::usage_error(front, &problem)),
        Err(Refused::Failure(failure)) => return told.end(&console, End::Undone(failure)),
    };
    log::init(&console, settings.show.level);
    told.redactor = settings.redactor();
    runtime::block_on(&console, async {
        let end = Box::pin(attempt(settings, &console, &mut told)).await.unwrap_or_else(End::Undone);
        told.end(&console, end)
    })
}

/// What became of a run.
enum End {
    /// It was done, well or not; the failure is there when not.
    Done(Box<RunReport>, Option<Failure>),
    /// It could not be done.
    Undone(Failure),
    /// It was stopped before there was anything to report.
    Stopped(Failure),
}

async fn attempt(settings: Settings, console: &Console, told: &mut Told) -> Result<End, Failure> {
    let (mut supervisor, cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    let mut services = isolation::able_to_contain(guardian::guarded(Services::from_process()));
    if settings.fork_server {
        let pool = KernelPool::new(PoolOptions { fork: true, spares: 0 });
        services.kernel_pool = Some(Arc::new(pool));
    }
    settings.keep_secret_variables_from(&mut services);
    let gathered = parameters::gather(&settings.parameters, &settings.inject, &services.stores);
    let parameters = match supervisor.abandonable(gathered).await {
        Ok(parameters) => parameters?,
        Err(Abandoned(signal)) => return Ok(End::Stopped(verdict::abandoned(signal))),
    };
    settings.refuse_clash(&parameters)?;

    let filler = Filler::now();
    let input = Source::parse(&filler.fill(&settings.places.input, &parameters)?)?;
    let output_text = filler.fill(&settings.places.output, &parameters)?;
    let output = Location::parse(&output_text)
        .map_err(|error| Failure::because("cannot write to the output", &error))?;
    (told.input, told.output) = (input.to_string(), output.to_string());
    told.to_stdout = output == Location::Stdio;
    tracing::info!("Input Notebook:  {}", told.input);
    tracing::info!("Output Notebook: {}", told.output);
    if let Some(cwd) = settings.cwd() {
        tracing::info!("Working directory: {}", cwd.display());
    }
    let warnings =
        [input.extension_warning(), extension::warning(&output_text, &output, extension::NOTEBOOK)];
    for warning in warnings.iter().flatten() {
        tracing::warn!("{warning}");
    }

    let mut reporter = Reporter::new(console.clone(), &settings.show, told.to_stdout, supervisor.handle());
    let busy = reporter.kernel_starts();
    let request = settings.request(input.into_input(), output, parameters);
    let mut tell = |event: RunEvent<'_>| reporter.tell(event);
    let ended = supervisor.run(Box::pin(run_notebook(request, &services, &mut tell, cancel)), busy).await;
    let broken_sink = reporter.finish();
    Ok(match ended {
        Ok(Ok(report)) => {
            let saved = verdict::Saved { place: told.saved_at(), written: report.saved };
            let failure =
                broken_sink.or_else(|| verdict::of_outcome(&report.outcome, supervisor.signal(), saved));
            End::Done(Box::new(report), failure)
        }
        Ok(Err(error)) => End::Undone(verdict::of_error(&error, || rnbexec_kernel::list(&services.kernels))),
        Err(Abandoned(signal)) => End::Stopped(verdict::abandoned(signal)),
    })
}

/// What is known of a run when its end is told.
struct Told {
    /// A last line of JSON was asked for.
    json: bool,
    /// The input as people may see it.
    input: String,
    /// The output as people may see it.
    output: String,
    /// The notebook itself goes to standard output, so nothing else does.
    to_stdout: bool,
    /// Takes the secrets out of why it failed.
    redactor: Redactor,
}

impl Told {
    /// Tells how it ended and returns the exit code.
    fn end(&self, console: &Console, end: End) -> u8 {
        let otherwise = if matches!(end, End::Stopped(_)) { "interrupted" } else { "error" };
        let (report, failure) = match end {
            End::Done(report, failure) => (Some(report), failure),
            End::Undone(failure) | End::Stopped(failure) => (None, Some(failure)),
        };
        let (report, failure) = (report.as_deref(), failure.map(|failure| failure.masked(&self.redactor)));
        let failure = failure.as_ref();
        if let Some(RunReport { outcome: Outcome::CellFailed(error), .. }) = report {
            console.block(&verdict::traceback(error));
        }
        match (report, failure) {
            (_, Some(failure)) => failure.show(console),
            (Some(report), None) => tracing::info!("{}", self.success(report)),
            (None, None) => {}
        }
        let exit_code = failure.map_or(exit::SUCCESS, |failure| failure.code);
        if !self.json {
            return exit_code;
        }
        let run = summary::Run {
            exit_code: Some(exit_code),
            input: &self.input,
            output: &self.output,
            report,
            failure,
            otherwise,
        };
        let line = Summary::of(run).line();
        if self.to_stdout {
            console.block(&line);
        } else if let Err(error) = console::print(&line) {
            Failure::because("cannot write the last line", &error).show(console);
            return exit_code.max(exit::FAILURE);
        }
        exit_code
    }

    fn saved_at(&self) -> &str {
        if self.to_stdout { "standard output" } else { &self.output }
    }

    fn success(&self, report: &RunReport) -> String {
        let place = self.saved_at();
        let cells = if report.executed_cells == 1 { "cell" } else { "cells" };
        let ran = format!("{} code {cells} ran in {}", report.executed_cells, seconds(report.duration));
        match report.outcome {
            Outcome::Prepared => format!("Parameters injected, nothing executed: the notebook is at {place}"),
            Outcome::ExitedEarly { cell } => {
                format!("Cell {} ended the notebook: {ran}, the result is at {place}", cell + 1)
            }
            _ => format!("Done: {ran}, the result is at {place}"),
        }
    }
}

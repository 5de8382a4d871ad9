//! `rnbexec batch`: many runs of one notebook, from flags to an exit code.
//!
//! The work is [`rnbexec::batch`]'s. Here the rows are read ([`rows`]), what happens is told ([`teller`], [`progress`]) and
//! written down ([`record`]).

pub(crate) mod args;
mod progress;
mod record;
mod rows;
mod teller;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rnbexec::batch::{
    Batch, BatchEvent, BatchReport, Items, OutputTemplate, Refusal, Scope, Stop, Survey, run_batch, survey,
};
use rnbexec::{RunError, Services};
use rnbexec_kernel::{KernelPool, PoolOptions};
use tokio::sync::watch;

use crate::args::Front;
use crate::clash;
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::manager::cases::spoken;
use crate::parameters::{self, InjectedPaths};
use crate::paths::{Filler, Source};
use crate::progress::Show;
use crate::settings::{Places, Refused, Settings};
use crate::signals::Signal;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, guardian, inspect, isolation, log, runtime, verdict};

use args::{BatchArgs, RunsArgs};
use progress::Progress;
use record::{Record, Sum};
use teller::{Kept, Teller, Told};

/// How a file is called where only its folder was given.
const NAME: &str = "{row:05d}.ipynb";

/// Runs a notebook as often as the command line says, and returns the exit code.
pub(crate) fn batch(args: BatchArgs) -> u8 {
    if args.inject.help_notebook {
        let (papermill, ..) = args.into_run(String::new());
        return inspect::help_notebook(Front::Batch, papermill);
    }
    let console = Console::stderr();
    let template = template(args.runs.output.as_deref(), &args.notebook);
    let places = Places { input: args.notebook.clone(), output: template.clone() };
    let usage = |problem: &str| crate::args::show(&crate::args::usage_error(Front::Batch, problem));
    if let Some(problem) = problem(&args, &template) {
        return usage(problem);
    }
    let (papermill, more, runs) = args.into_run(template);
    let json = more.json;
    let settings = match Settings::check(places, papermill, more, |name| std::env::var_os(name)) {
        Ok(settings) => settings,
        Err(Refused::Usage(problem)) => return usage(&problem),
        Err(Refused::Failure(failure)) => return Ending::undone(failure, String::new()).tell(&console, json),
    };
    log::init(&console, settings.show.level);
    let jobs = jobs(&runs);
    runtime::block_on_with(&console, jobs.min(processors()), async {
        let input = parameters::without_secrets(&settings.places.input);
        let redactor = settings.redactor();
        let ending = Box::pin(attempt(settings, runs, &console, json)).await;
        let undone = |failure: Failure| Ending::undone(failure.masked(&redactor), input);
        ending.unwrap_or_else(undone).tell(&console, json)
    })
}

/// What is wrong with the flags among each other.
fn problem(args: &BatchArgs, template: &str) -> Option<&'static str> {
    let stdin = args.runs.each.as_deref() == Some("-");
    let summary = args.runs.summary.as_deref() == Some(std::path::Path::new("-"));
    if args.runs.each.is_none() && args.runs.grid.is_empty() {
        Some("the runs are not given: --each ROWS, --grid NAME=VALUES, or both")
    } else if stdin
        && (args.notebook == "-" || args.parameters.parameters_file.iter().any(|file| file == "-"))
    {
        Some("standard input holds one thing: the rows, the notebook or the parameters")
    } else if template == "-" {
        Some("many notebooks cannot go to standard output: --output names a path with fields, or a folder")
    } else if summary && args.runs.dry_run {
        Some("the list of a dry run and its summary cannot both go to standard output")
    } else {
        None
    }
}

/// The template that was given, with a name where it is a folder; else a folder called after the notebook.
fn template(output: Option<&str>, notebook: &str) -> String {
    match output.filter(|output| !output.is_empty()) {
        Some(folder) if folder.ends_with('/') => format!("{folder}{NAME}"),
        Some(folder) if !folder.contains('{') && std::path::Path::new(folder).is_dir() => {
            format!("{folder}/{NAME}")
        }
        Some(template) => template.to_owned(),
        None => {
            let name = Source::parse(notebook).ok().and_then(|source| source.file_name());
            let name = name.as_deref().unwrap_or("notebook");
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            format!("{}-batch/{NAME}", stem.replace('{', "{{").replace('}', "}}"))
        }
    }
}

fn jobs(runs: &RunsArgs) -> usize {
    // A list keeps the order of the rows.
    if runs.dry_run { 1 } else { runs.jobs.map_or_else(processors, NonZeroUsize::get) }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

async fn attempt(
    settings: Settings,
    runs: RunsArgs,
    console: &Console,
    json: bool,
) -> Result<Ending, Failure> {
    let begun = Instant::now();
    let (mut supervisor, cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    let mut services = isolation::able_to_contain(guardian::guarded(Services::from_process()));
    let pool = PoolOptions { fork: settings.fork_server || !runs.no_fork_server, ..PoolOptions::default() };
    services.kernel_pool = Some(Arc::new(KernelPool::new(pool)));
    settings.keep_secret_variables_from(&mut services);
    let inject = InjectedPaths { output: None, ..settings.inject.clone() };
    let gathering = async {
        let parameters = parameters::gather(&settings.parameters, &inject, &services.stores).await?;
        Ok::<_, Failure>((parameters, rows::Source::read(&runs, &services.stores).await?))
    };
    let (parameters, rows) = match supervisor.abandonable(gathering).await {
        Ok(gathered) => gathered?,
        Err(Abandoned(signal)) => return Err(stopped(signal)),
    };
    settings.refuse_clash(&parameters)?;
    let filler = Filler::now();
    let source = Source::parse(&filler.fill(&settings.places.input, &parameters)?)?;
    if let Some(warning) = source.extension_warning() {
        tracing::warn!("{warning}");
    }
    let input = source.to_string();
    let show =
        Show::decide(settings.show.progress_bar, settings.show.log_output, false, console.is_terminal());
    let (level, log_output) = (settings.show.level, settings.show.log_output);
    let batch = Batch {
        output: OutputTemplate::new(settings.places.output.clone()),
        builtins: filler.builtins(&settings.places.output),
        inject_output_path: settings.inject.output.is_some(),
        jobs: jobs(&runs),
        max_failures: if runs.fail_fast { Some(1) } else { runs.max_failures.map(std::num::NonZeroU64::get) },
        scope: if runs.resume { Scope::Outdated } else { Scope::All },
        dry_run: runs.dry_run,
        request: settings.request(source.into_input(), None, parameters),
    };
    let total = if rows.is_known() {
        match supervisor.abandonable(look_through(&batch, &rows)).await {
            Ok(total) => Some(total?),
            Err(Abandoned(signal)) => return Err(stopped(signal)),
        }
    } else {
        None
    };
    if let Some(summary) = runs.summary.as_deref() {
        let rows = runs.each.as_deref().map(|rows| ("the rows", rows));
        let others = [("the notebook", input.as_str())].into_iter().chain(rows).collect::<Vec<_>>();
        clash::refuse("--summary", summary, &others)?;
        clash::refuse_work_folders("--summary", summary, &batch.request.kernel.containment)?;
    }
    let record = runs.summary.as_deref().filter(|summary| !runs.dry_run || *summary == Path::new("-"));
    let record = record.map(|path| Record::open(path, runs.resume)).transpose()?;
    tracing::info!("{}", beginning(&input, total, &batch));
    let teller = Arc::new(Teller::new(Told {
        console: console.clone(),
        level,
        log_output,
        lists: runs.dry_run && !json,
        input: input.clone(),
        progress: Progress::new(console.clone(), show, total),
        record,
        cancel: supervisor.handle(),
        redactor: batch.request.redactor.and(&batch.request.secrets),
        kernels: {
            let kernels = services.kernels.clone();
            Box::new(move || rnbexec_kernel::list(&kernels))
        },
    }));
    let listener = Arc::clone(&teller);
    let tell = Arc::new(move |event: BatchEvent<'_>| listener.tell(event));
    let items: Items = rows.items()?;
    let working = run_batch(batch, items, &services, tell, cancel);
    // Kernels are shut down, not dropped.
    let (_working, busy) = watch::channel(true);
    let worked = supervisor.run(Box::pin(working), busy).await;
    let kept = teller.finish();
    let report = match worked {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return Err(of_notebook(&error, &services)),
        Err(Abandoned(signal)) => return Err(stopped(signal)),
    };
    // Of a stream nobody knows what was still to come.
    let cut = report.interrupted + report.not_started > 0 || total.is_none();
    let failure = failure(&report, &kept, supervisor.signal().filter(|_| cut));
    Ok(Ending {
        report,
        kept,
        failure,
        input,
        took: begun.elapsed(),
        teller: Some(teller),
        lists: runs.dry_run,
    })
}

/// Looks at all rows before anything runs: how many there are. Rows that cannot be read, or that go to the same place,
/// are put right first.
async fn look_through(batch: &Batch, rows: &rows::Source) -> Result<u64, Failure> {
    let Survey { items, wrong, wrong_count } = survey(batch, rows.known()?).await;
    if wrong_count == 0 {
        return Ok(items);
    }
    let mut failure = Failure::new(format!(
        "{wrong_count} of {items} {} cannot be run as they are",
        if items == 1 { "run" } else { "runs" }
    ));
    for (item, refusal) in &wrong {
        let place = item.origin.map_or_else(|| format!("run {}", item.number), |origin| origin.to_string());
        let why = Failure::of(refusal);
        let why = std::iter::once(why.what).chain(why.causes).collect::<Vec<_>>().join(": ");
        failure = failure.cause(format!("{place}: {why}"));
    }
    let named = u64::try_from(wrong.len()).unwrap_or(u64::MAX);
    if wrong_count > named {
        failure = failure.cause(format!("and {} more", wrong_count - named));
    }
    let share_a_place = wrong.iter().any(|(_, refusal)| matches!(refusal, Refusal::SamePlace { .. }));
    Err(failure.help(if share_a_place {
        "nothing was run; --output needs fields that tell the runs apart, such as {row}"
    } else {
        "nothing was run; put these rows right, or leave them out"
    }))
}

fn beginning(input: &str, total: Option<u64>, batch: &Batch) -> String {
    let runs = match total {
        Some(1) => "1 run".to_owned(),
        Some(total) => format!("{total} runs"),
        None => "runs as they come".to_owned(),
    };
    format!("Input Notebook:  {input}: {runs}, {} at a time", batch.jobs)
}

fn stopped(signal: Signal) -> Failure {
    Failure::new("stopped before the end").code(signal.exit_code())
}

fn of_notebook(error: &RunError, services: &Services) -> Failure {
    verdict::of_error(error, || rnbexec_kernel::list(&services.kernels))
}

/// What is said of a batch that did not succeed, with its exit code; `None` when it did.
fn failure(report: &BatchReport, kept: &Kept, signal: Option<Signal>) -> Option<Failure> {
    if let Some(broken) = &kept.broken {
        return Some(broken.clone());
    }
    let failures = report.failed + report.refused;
    let left = report.interrupted + report.not_started;
    let resume = "the same command with --resume does only what is not done";
    if let Some(signal) = signal.filter(|_| report.stopped == Some(Stop::Asked)) {
        return Some(
            Failure::new(match left {
                0 => "stopped; what was still to come was not read".to_owned(),
                left => format!("stopped; {left} of {} runs were not finished", report.total()),
            })
            .code(signal.exit_code())
            .help(resume),
        );
    }
    let code = if kept.for_good { exit::FAILURE } else { exit::TRY_AGAIN };
    match report.stopped {
        Some(Stop::Hopeless) => {
            let cause = kept.undone.clone().unwrap_or_else(|| Failure::new("no run could be done"));
            Some(Failure { code, ..cause })
        }
        _ if failures == 0 => None,
        stopped => {
            let mut what = format!("{failures} of {} runs failed", report.total());
            if stopped == Some(Stop::Failures) {
                what.push_str("; no further one was started");
            }
            Some(Failure::new(what).code(code).help(resume))
        }
    }
}

/// How a batch ended.
struct Ending {
    report: BatchReport,
    kept: Kept,
    failure: Option<Failure>,
    input: String,
    took: Duration,
    /// `None` when it never began.
    teller: Option<Arc<Teller>>,
    /// Its runs were listed already.
    lists: bool,
}

impl Ending {
    fn undone(failure: Failure, input: String) -> Self {
        Self {
            report: BatchReport::default(),
            kept: Kept::default(),
            failure: Some(failure),
            input,
            took: Duration::ZERO,
            teller: None,
            lists: false,
        }
    }

    /// Tells how it ended and returns the exit code.
    fn tell(self, console: &Console, json: bool) -> u8 {
        let code = self.failure.as_ref().map_or(exit::SUCCESS, |failure| failure.code);
        let line = Sum::of(&self.report, &self.input, code, self.took, self.failure.as_ref()).line();
        let concluded = self.teller.as_ref().map_or(Ok(false), |teller| teller.conclude(&line));
        if self.teller.is_some() {
            tracing::info!("{}", in_words(&self.report, self.took));
        }
        if let Some(failure) = &self.failure {
            failure.show(console);
        }
        let printed = match concluded {
            Ok(true) => Ok(()),
            Ok(false) if json => console::print(&line),
            Ok(false) if self.lists => Ok(()),
            Ok(false) => console::print(&self.kept.table(self.report.total())),
            Err(failure) => {
                if self.kept.broken.is_none() {
                    failure.show(console);
                }
                return code.max(exit::FAILURE);
            }
        };
        if let Err(error) = printed {
            Failure::because("cannot write to standard output", &error).show(console);
            return code.max(exit::FAILURE);
        }
        code
    }
}

fn in_words(report: &BatchReport, took: Duration) -> String {
    let parts = [
        (report.succeeded, "succeeded"),
        (report.up_to_date, "up to date"),
        (report.would_run, "would be run"),
        (report.failed, "failed"),
        (report.refused, "refused"),
        (report.interrupted, "interrupted"),
        (report.not_started, "not started"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let said = if said.is_empty() { "there was nothing to run".to_owned() } else { said.join(", ") };
    format!("Done in {}: {said}", spoken(took))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_output_a_folder_is_called_after_the_notebook() {
        assert_eq!(template(None, "notebooks/hello.ipynb"), "hello-batch/{row:05d}.ipynb");
        assert_eq!(template(Some(""), "s3://bucket/a.b.ipynb"), "a.b-batch/{row:05d}.ipynb");
        assert_eq!(template(None, "-"), "notebook-batch/{row:05d}.ipynb");
        assert_eq!(template(None, "x{y}.ipynb"), "x{{y}}-batch/{row:05d}.ipynb");
    }

    #[test]
    fn a_folder_gets_a_name_for_each_run() {
        assert_eq!(template(Some("out/"), "a.ipynb"), "out/{row:05d}.ipynb");
        assert_eq!(template(Some("/tmp"), "a.ipynb"), "/tmp/{row:05d}.ipynb");
        assert_eq!(template(Some("out/{x}.ipynb"), "a.ipynb"), "out/{x}.ipynb");
    }

    fn code(report: BatchReport, for_good: bool, signal: Option<Signal>) -> u8 {
        let mut kept = Kept::default();
        kept.for_good = for_good;
        failure(&report, &kept, signal).map_or(exit::SUCCESS, |failure| failure.code)
    }

    #[test]
    fn the_exit_code_tells_whether_any_failed() {
        let fine = BatchReport { succeeded: 3, up_to_date: 2, ..BatchReport::default() };
        assert_eq!(code(fine, false, None), exit::SUCCESS);
        assert_eq!(code(BatchReport { failed: 1, ..fine }, true, None), exit::FAILURE);
        assert_eq!(code(BatchReport { refused: 1, ..fine }, true, None), exit::FAILURE);
        assert_eq!(code(BatchReport { failed: 1, ..fine }, false, None), exit::TRY_AGAIN);
        let cut = BatchReport { failed: 1, not_started: 4, stopped: Some(Stop::Failures), ..fine };
        assert_eq!(code(cut, true, None), exit::FAILURE);
    }

    #[test]
    fn a_signal_decides_the_exit_code_when_it_stopped_something() {
        let fine = BatchReport { succeeded: 3, ..BatchReport::default() };
        let stopped = BatchReport { interrupted: 1, failed: 1, stopped: Some(Stop::Asked), ..fine };
        assert_eq!(code(stopped, true, Some(Signal::Interrupt)), exit::INTERRUPTED);
        let over = BatchReport { stopped: None, ..fine };
        assert_eq!(code(over, false, Some(Signal::Interrupt)), exit::SUCCESS);
    }
}

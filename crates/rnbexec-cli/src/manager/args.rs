//! The manager's command line as it was typed, and which settings its flags stand for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::Level;

/// What is to be done about incidents.
#[derive(Debug, Subcommand)]
pub(crate) enum ManagerCommand {
    /// Triage the incidents that wait, then stop: for cron
    #[command(after_help = super::exit_codes())]
    Once(Box<OnceArgs>),
    /// Triage incidents as they come until told to stop: for a service
    #[command(after_help = WATCH_AFTER_HELP)]
    Watch(Box<WatchArgs>),
    /// Show what waits, what runs, and what needs a person
    Status(Box<LookArgs>),
    /// Show everything that is known about an incident
    Show(Box<ShowArgs>),
    /// Begin an incident again that failed for good, or at once one that waits
    Retry(Box<RetryArgs>),
    /// Run the notebook on a recorded incident: nothing but a folder is written to
    #[command(after_help = REPLAY_AFTER_HELP)]
    Replay(Box<ReplayArgs>),
    /// Check the configuration, the kernel and every permission
    Doctor(Box<DoctorArgs>),
    /// Write a configuration file in which every setting is explained
    Init(InitArgs),
    /// Run the notebooks and show the requests that would be sent
    Plan(Box<PlanArgs>),
    /// Send what a plan says, if the incidents have not changed meanwhile
    Apply(Box<ApplyArgs>),
    /// Say which route an incident takes, and why
    Explain(Box<ExplainArgs>),
}

const WATCH_AFTER_HELP: &str = "The first SIGTERM or Ctrl-C drains: what runs is finished, nothing new is begun, and the exit \
                                code is 0. The second interrupts what runs, the third kills it. Speaks sd_notify: READY, \
                                STOPPING, WATCHDOG.";
const REPLAY_AFTER_HELP: &str = "A bundle is {\"incident\", \"entities\", \"alerts\"} as the API returns them; the manager keeps \
                                 one of each incident, `rnbexec manager show` says where.";

/// Which configuration is meant, and what is told.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// The configuration file [default: $RNBEXEC_MANAGER_CONFIG, else rnbexec-manager.toml if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Any setting by its name in the file: --set run.timeout=10m
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, allow_hyphen_values = true)]
    set: Vec<(String, String)>,
    /// The folder of the ledger and of the runs (state.folder)
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// The file that tells what happened to each incident (log.file)
    #[arg(long, value_name = "FILE")]
    log: Option<String>,
    /// How that file is written (log.format)
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<JournalFormat>,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
}

/// How the log file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Where incidents come from.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Incidents")]
pub(crate) struct SourceArgs {
    /// Where incidents come from: `sentinel`, `queue`, or the path of a folder of bundles (source.kind, source.folder.path)
    #[arg(long, value_name = "KIND|DIR")]
    source: Option<String>,
    /// With a folder of bundles: where what would be written to Sentinel is written (source.folder.output)
    #[arg(long, value_name = "DIR")]
    written: Option<String>,
}

/// What is run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct NotebookArgs {
    /// The notebook: a path, a URL, or shipped:incident-triage (run.notebook)
    #[arg(long, value_name = "NOTEBOOK")]
    notebook: Option<String>,
    /// The kernel, instead of the one the notebook names (run.kernel)
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,
    /// The kernel's environment (run.environment)
    #[arg(long, value_name = "auto|as-found|PATH|NAME")]
    env: Option<String>,
    /// How many notebooks run at the same time (run.jobs)
    #[arg(short, long, value_name = "N")]
    jobs: Option<String>,
    /// How long one notebook may run: 90, 10m, 1h, none (run.timeout)
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
}

/// What is run, and where it goes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    notebook: NotebookArgs,
    /// Where executed notebooks go: `workspace`, `blob`, the https URL of a container, the path of a folder, or `none`
    /// (publish.to)
    #[arg(long, value_name = "PLACE")]
    publish: Option<String>,
}

/// Which incidents, when not those that the source hands out.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Incidents")]
pub(crate) struct NamedArgs {
    /// This incident instead of those that wait: its id, number, ARM id or portal URL; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) incident: Vec<String>,
    /// Also when it was triaged before
    #[arg(long, requires = "incident")]
    pub(crate) again: bool,
}

/// `manager once`.
#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print what came of it as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// How long to wait after the source had nothing new: 30s, 5m (source.interval)
    #[arg(long, value_name = "DURATION", help_heading = "Incidents")]
    interval: Option<String>,
    /// Print what came of it as JSON at the end
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager status`.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The incident: its id, number, ARM id, portal URL, or the key of a run
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// `manager retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The incidents: id, number, ARM id, portal URL, or the key of a run
    #[arg(value_name = "INCIDENT", required_unless_present = "all_parked", conflicts_with = "all_parked")]
    pub(crate) incidents: Vec<String>,
    /// All that need a person
    #[arg(long)]
    pub(crate) all_parked: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// `manager replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The recorded incident: a JSON file with one bundle, or an array of them
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Where the executed notebook, its report, and what would be written to the incident go
    #[arg(short, long, value_name = "DIR", default_value = "rnbexec-replay")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) work: NotebookArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print what came of it as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write [default: $RNBEXEC_MANAGER_CONFIG, else rnbexec-manager.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The same, spelled as in the other commands
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) config: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `manager plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Write the plan into this file, for `rnbexec manager apply`
    #[arg(short, long, value_name = "PLAN")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print the plan as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The plan that `rnbexec manager plan -o PLAN` wrote
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print what became of it as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `manager explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The incident: its id, number, ARM id or portal URL
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: String,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `rnbexec demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder for everything: data, reports, log
    #[arg(value_name = "FOLDER", default_value = "rnbexec-demo")]
    pub(crate) folder: PathBuf,
    /// How many notebooks run at the same time [default: one more than there are processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) jobs: Option<u16>,
    /// Only the first N incidents, or those with these numbers: 5, or 1022,1024
    #[arg(long, value_name = "N|NUMBERS", value_parser = chosen)]
    pub(crate) incidents: Option<Chosen>,
    /// Begin from nothing, also where incidents were triaged before
    #[arg(long)]
    pub(crate) again: bool,
    /// Print what came of it as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
}

/// Which of the shipped incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// So many.
    First(usize),
    /// Those with these numbers.
    Numbers(Vec<u64>),
}

/// The shipped incidents have numbers from 1000 on, so that a small number alone can only be a count.
const LEAST_NUMBER: u64 = 1000;

fn chosen(text: &str) -> Result<Chosen, String> {
    let numbers: Result<Vec<u64>, _> =
        text.split(',').map(|part| part.trim().trim_start_matches('#').parse::<u64>()).collect();
    match numbers.as_deref() {
        Ok([count]) if (1..LEAST_NUMBER).contains(count) => {
            Ok(Chosen::First(usize::try_from(*count).unwrap_or(1)))
        }
        Ok(numbers) if !numbers.contains(&0) => Ok(Chosen::Numbers(numbers.to_vec())),
        _ => Err("expected how many, such as 5, or numbers of incidents, such as 1022,1024".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as run.jobs=2".to_owned()),
    }
}

/// Settings that flags stand for: names with dots, and texts.
pub(crate) type Overrides = Vec<(String, String)>;

/// What stands for settings.
pub(crate) trait Sets {
    /// Adds the settings that were given.
    fn set(&self, to: &mut Overrides);
}

fn put(to: &mut Overrides, key: &str, value: Option<&String>) {
    to.extend(value.map(|value| (key.to_owned(), value.clone())));
}

impl Sets for ConfigArgs {
    fn set(&self, to: &mut Overrides) {
        let format = self.log_format.map(|format| match format {
            JournalFormat::Text => "text".to_owned(),
            JournalFormat::Json => "json".to_owned(),
        });
        put(to, "state.folder", self.state.as_ref());
        put(to, "log.file", self.log.as_ref());
        put(to, "log.format", format.as_ref());
        to.extend(self.set.iter().cloned());
    }
}

impl Sets for SourceArgs {
    fn set(&self, to: &mut Overrides) {
        let (kind, path) = match self.source.as_deref() {
            Some(kind @ ("sentinel" | "queue" | "folder")) => (Some(kind.to_owned()), None),
            Some(path) => (Some("folder".to_owned()), Some(path.to_owned())),
            None => (None, None),
        };
        put(to, "source.kind", kind.as_ref());
        put(to, "source.folder.path", path.as_ref());
        put(to, "source.folder.output", self.written.as_ref());
    }
}

impl Sets for WorkArgs {
    fn set(&self, to: &mut Overrides) {
        let (place, key) = match self.publish.as_deref() {
            Some(place @ ("workspace" | "blob" | "folder" | "none")) => (Some(place), None),
            Some(url) if url.contains("://") => (Some("blob"), Some("publish.blob.url")),
            Some(_) => (Some("folder"), Some("publish.folder.path")),
            None => (None, None),
        };
        self.notebook.set(to);
        put(to, "publish.to", place.map(str::to_owned).as_ref());
        if let Some(key) = key {
            put(to, key, self.publish.as_ref());
        }
    }
}

impl Sets for NotebookArgs {
    fn set(&self, to: &mut Overrides) {
        put(to, "run.notebook", self.notebook.as_ref());
        put(to, "run.kernel", self.kernel.as_ref());
        put(to, "run.environment", self.env.as_ref());
        put(to, "run.jobs", self.jobs.as_ref());
        put(to, "run.timeout", self.timeout.as_ref());
    }
}

impl Sets for WatchArgs {
    fn set(&self, to: &mut Overrides) {
        self.source.set(to);
        self.work.set(to);
        put(to, "source.interval", self.interval.as_ref());
        self.config.set(to);
    }
}

/// The settings of several groups of flags; of the same setting the last one wins.
pub(crate) fn overrides(groups: &[&dyn Sets]) -> Overrides {
    let mut overrides = Overrides::new();
    for group in groups {
        group.set(&mut overrides);
    }
    overrides
}

#[cfg(test)]
mod tests;

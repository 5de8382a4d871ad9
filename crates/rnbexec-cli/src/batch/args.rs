//! What `rnbexec batch` takes: its own flags, and those of a run that mean the same for many.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;

use crate::args::{
    InjectArgs, KernelArgs, MoreArgs, OutputArgs, PapermillArgs, ParameterArgs, RunningArgs, SinkArgs,
};

#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// The notebook to run: a path, `-` for standard input, or a URL, as `run` takes them
    #[arg(value_name = "NOTEBOOK_PATH")]
    pub(crate) notebook: String,
    #[command(flatten)]
    pub(crate) runs: RunsArgs,
    #[command(flatten)]
    pub(crate) parameters: ParameterArgs,
    #[command(flatten)]
    pub(crate) inject: InjectArgs,
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    #[command(flatten)]
    pub(crate) output_options: OutputArgs,
    #[command(flatten)]
    pub(crate) more: MoreArgs,
}

/// Which runs there are, and how they go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Runs")]
pub(crate) struct RunsArgs {
    /// A run for each row of this CSV, JSON lines or JSON file, at any place a notebook may be; `-` reads standard input,
    /// taking a row when there is room for its run
    #[arg(long, value_name = "ROWS")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) each: Option<String>,
    /// A run for each of these values, typed as -p types them, or a JSON list; several --grid, and --grid with --each,
    /// make all combinations
    #[arg(long, value_name = "NAME=VALUE,VALUE,…")]
    pub(crate) grid: Vec<String>,
    /// Where the executed notebooks go: a path with fields such as out/{name}.ipynb, or a folder (ending in /), which then
    /// holds 00001.ipynb and so on [default: the folder NOTEBOOK-batch/]
    #[arg(short, long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub(crate) output: Option<String>,
    /// How many runs go on at the same time [default: the number of processors]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Pass over runs whose output is there from an earlier run that succeeded with the same notebook, parameters and
    /// options
    #[arg(long)]
    pub(crate) resume: bool,
    /// Start no further run after one has failed; those that go on come to their end
    #[arg(long, conflicts_with = "max_failures")]
    pub(crate) fail_fast: bool,
    /// Start no further run after N have failed
    #[arg(long, value_name = "N")]
    pub(crate) max_failures: Option<NonZeroU64>,
    /// Start every kernel anew, instead of forking Python kernels from a process that has imported what they need
    #[arg(long, overrides_with = "fork_server")]
    pub(crate) no_fork_server: bool,
    /// Only list what would be run
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write a line of JSON for each run as it ends into this file, and a last one for all; with --resume what is there
    /// stays; `-` is standard output
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) summary: Option<PathBuf>,
}

impl BatchArgs {
    /// As the options of one run.
    pub(crate) fn into_run(self, output: String) -> (PapermillArgs, MoreArgs, RunsArgs) {
        let Self { notebook, runs, parameters, inject, kernel, running, output_options, more } = self;
        let papermill = PapermillArgs {
            notebook: Some(notebook),
            output: Some(output),
            parameters,
            inject,
            kernel,
            run: running,
            output_options,
            sinks: SinkArgs::default(),
        };
        (papermill, more, runs)
    }
}

//! What a run closes to its kernel, as typed.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rnbexec::contain::{Level, MemoryLimit};

/// The switches; each closes more than the level alone.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Isolation")]
pub(crate) struct IsolationArgs {
    /// How much is closed to the kernel and all it starts: nothing, the network, writing files and meddling with other
    /// processes, or all that and the home folder and most variables [default: none]
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub(crate) isolate: Option<IsolationLevel>,
    /// Close the network
    #[arg(long)]
    pub(crate) no_network: bool,
    /// Close writing files, save the work folders and a temporary one, and meddling with other processes
    #[arg(long)]
    pub(crate) read_only: bool,
    /// A folder that can be written all the same
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    pub(crate) work_folder: Vec<PathBuf>,
    /// Let the kernel inherit only harmless variables (PATH, LANG, TZ, …) and this one
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) allow_env: Vec<String>,
    /// The memory that the kernel and all it starts may use together: 2GiB, 512MiB
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub(crate) memory_limit: Option<MemoryLimit>,
    /// The CPU time in seconds that the kernel, and each process it starts, may use
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), allow_hyphen_values = true)]
    pub(crate) cpu_limit: Option<u64>,
    /// The processes and threads that the kernel and all it starts may have at a time, together
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) process_limit: Option<NonZeroU32>,
}

/// The library's levels, by their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IsolationLevel(pub(crate) Level);

impl ValueEnum for IsolationLevel {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [IsolationLevel; 4] = [
            IsolationLevel(Level::None),
            IsolationLevel(Level::Network),
            IsolationLevel(Level::Files),
            IsolationLevel(Level::Strict),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

/// What the levels close, for the help.
pub(super) const TABLE: &str = "\
Isolation levels (--isolate); what cannot be closed here is an error before the kernel starts:
                                                     network  files  strict
  network, but a loopback device of its own          closed   open   closed
  writing outside work folders and a temporary one   open     closed closed
  signals to other processes, tracing them           open     closed closed
  reading the home folder                            open     open   closed
  inherited variables but PATH, LANG, TZ, …          open     open   closed
  Unix sockets with a path that the user may use     open     open   open
  memory, CPU time, processes                        as limited by the options
";

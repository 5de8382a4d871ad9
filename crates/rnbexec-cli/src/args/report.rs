//! What `rnbexec report` takes.

use clap::{Args, ValueEnum};

use super::Level;

pub(super) const AFTER_HELP: &str = "The page needs no Jupyter, no network and no scripts; what the notebook displays cannot \
                                 harm its reader.";

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The executed notebook: a path, `-` for standard input, or a URL
    #[arg(value_name = "NOTEBOOK_PATH")]
    pub(crate) notebook: String,
    /// Where the page goes: the same kinds of places [default: beside the notebook, with the extension .html]
    #[arg(value_name = "OUTPUT_PATH")]
    pub(crate) output: Option<String>,
    /// The title, instead of the notebook's first heading
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) title: Option<String>,
    /// Leave the code out
    #[arg(long, visible_alias = "hide-source")]
    pub(crate) no_code: bool,
    /// When outputs that need scripts of their own may run them, walled off from the page and the network
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) scripts: WhenScripts,
    /// The least important messages to show on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info, hide_default_value = true)]
    pub(crate) log_level: Level,
}

/// When the scripts of outputs run in a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenScripts {
    /// When the reader opens the output
    #[default]
    OnDemand,
    /// When the page is opened
    Always,
    /// Never: they are left out
    Never,
}

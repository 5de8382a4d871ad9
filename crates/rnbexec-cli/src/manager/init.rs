//! `manager init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use rnbexec_manager::config::TEMPLATE;

use super::args::InitArgs;
use super::configure::{FILE, named_file};
use crate::exit;
use crate::failure::Failure;

/// `manager init`.
pub(super) fn init(args: &InitArgs) -> Result<u8, Failure> {
    let named = args.file.as_deref().or(args.config.as_deref());
    let path = named_file(named).unwrap_or_else(|| PathBuf::from(FILE));
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(&path).and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    written.map_err(|error| {
        let failure = Failure::because(format!("cannot write {}", path.display()), &error);
        match error.kind() {
            ErrorKind::AlreadyExists => failure.help("--force replaces it; another name leaves it alone"),
            ErrorKind::NotFound => failure.help("make its folder first"),
            _ => failure,
        }
    })?;
    tracing::info!("Every setting is explained in {}; none is set yet.", path.display());
    tracing::info!("`rnbexec manager doctor --config {}` checks what you set.", path.display());
    Ok(exit::SUCCESS)
}

//! `papermill --version`.

use crate::console::{self, Console};
use crate::exit;
use crate::failure::Failure;

/// The papermill whose command line and notebooks these are.
const PAPERMILL: &str = "2.7.0";

/// Prints papermill's version in papermill's form: `2.7.0 from <path> (rnbexec 0.1.0)`.
pub(crate) fn papermill() -> u8 {
    let program =
        std::env::current_exe().map_or_else(|_| "papermill".to_owned(), |path| path.display().to_string());
    match console::print(&format!("{PAPERMILL} from {program} (rnbexec {})\n", env!("CARGO_PKG_VERSION"))) {
        Ok(()) => exit::SUCCESS,
        Err(error) => {
            Failure::because("cannot write to standard output", &error).show(&Console::stderr());
            exit::FAILURE
        }
    }
}

//! Reads a notebook of any version from standard input and writes it to standard output as nbformat 4.5, byte for byte as
//! Python's nbformat would; says on standard error what was off-spec.
//!
//! `cargo run -p rnbexec-notebook --example rewrite < old.ipynb > new.ipynb`

use std::error::Error;
use std::io::{Read, Write};
use std::process::ExitCode;

use rnbexec_notebook::Notebook;

fn main() -> ExitCode {
    let Err(error) = rewrite() else { return ExitCode::SUCCESS };
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    // When standard error is gone, the exit code still tells.
    writeln!(std::io::stderr(), "{message}").map_or(ExitCode::FAILURE, |()| ExitCode::FAILURE)
}

fn rewrite() -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut count = 0_u32;
    let mut fresh_id = || {
        count += 1;
        format!("{count:08x}")
    };
    let parsed = Notebook::parse(&bytes, &mut fresh_id)?;
    let mut stderr = std::io::stderr().lock();
    for quirk in &parsed.quirks {
        writeln!(stderr, "{quirk}")?;
    }
    std::io::stdout().write_all(&parsed.notebook.to_vec())?;
    Ok(())
}

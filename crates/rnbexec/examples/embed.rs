//! Embedding rnbexec: run one notebook held in memory and look at what it printed.
//!
//! `cargo run -p rnbexec --example embed -- notebook.ipynb`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that shows what it does")]

use rnbexec::store::Location;
use rnbexec::{Cancel, CancelLevel, Outcome, RunEvent, RunRequest, Services, run_notebook};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let notebook = std::env::args().nth(1).ok_or("which notebook?")?;
    // A program takes the services of its process; a server would fill in its own.
    let services = Services::from_process();
    let request = RunRequest::new(Location::parse(&notebook)?, None).parameter("name", "embedded");

    // Whoever holds the handle can stop the run: interrupt first, kill when that is not enough.
    let (handle, cancel) = Cancel::new();
    let mut on_event = |event: RunEvent<'_>| match event {
        RunEvent::Stream { text, .. } => {
            print!("{text}");
            if text.contains("enough") {
                handle.raise(CancelLevel::Interrupt);
            }
        }
        RunEvent::Warning(warning) => eprintln!("warning: {warning}"),
        _ => {}
    };
    let report = run_notebook(request, &services, &mut on_event, cancel).await?;
    match report.outcome {
        Outcome::Completed => println!("{} cells ran", report.executed_cells),
        other => println!("{}: {}", other.name(), other.reason()),
    }
    Ok(())
}

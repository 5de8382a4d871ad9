//! The simulated Azure by itself, to be tried by hand: `simulated-azure [PORT [INCIDENTS]]`.
//!
//! Serves on the port of loopback (8080) with so many of the shipped incidents (all), prints as TOML what points a client at it,
//! and goes on until it is stopped.

use std::env;
use std::process::ExitCode;
use std::thread;

use rnbexec_tests::azure::SimulatedAzure;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let number = |text: Option<String>, default: usize| text.map_or(Ok(default), |text| text.parse());
    let mut arguments = env::args().skip(1);
    let (port, incidents) = (number(arguments.next(), 8080), number(arguments.next(), usize::MAX));
    let (Ok(Ok(port)), Ok(incidents)) = (port.map(u16::try_from), incidents) else {
        eprintln!("usage: simulated-azure [PORT [INCIDENTS]]");
        return ExitCode::from(2);
    };
    let azure = SimulatedAzure::on_port(port);
    let seeded = azure.seed_shipped(incidents);
    println!("# {} incidents\n\n{}", seeded.len(), azure.settings().to_toml());
    loop {
        thread::park();
    }
}

//! The simulated Azure by itself, to be tried by hand: `simulated-azure [PORT [INCIDENTS]]`.
//!
//! Serves on the port of loopback (8080) with so many of the shipped incidents (all), prints a configuration of the
//! manager that points at it, and goes on until it is stopped.

use std::env;
use std::process::ExitCode;
use std::thread;

use rnbexec_tests::azure::SimulatedAzure;
use rnbexec_tests::azure::names::KEY_SECRET;

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
    let settings = azure.settings();
    println!("# {} incidents. The environment:", seeded.len());
    for (name, value) in settings.as_service_principal() {
        println!("#   {name}={value}");
    }
    println!(
        "# The account key of the workspace's storage:\n#   account_key = {:?}\n",
        settings.secret(KEY_SECRET)
    );
    print!("{}", settings.manager());
    loop {
        thread::park();
    }
}

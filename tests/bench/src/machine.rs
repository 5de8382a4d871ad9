//! What it was measured on.

use std::fs;

use rnbexec_oracle as oracle;
use serde::Serialize;

use crate::contender::World;

/// The machine and the programs.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) python: String,
    pub(crate) papermill: String,
    pub(crate) rnbexec: String,
    /// Whether the command line is optimised; in a debug build no figure means anything.
    pub(crate) optimised: bool,
    pub(crate) date: String,
    /// The load average (one minute): before, and after each case.
    pub(crate) load: Vec<f64>,
}

impl Machine {
    pub(crate) fn this(world: &World) -> Self {
        let after = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            value.trim_matches(|sign: char| sign.is_whitespace() || ":=\"".contains(sign)).to_owned()
        };
        let first_line = |command: &mut std::process::Command| {
            let output = command.output().expect("a program that is there");
            String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
        };
        let kib = after("/proc/meminfo", "MemTotal:");
        let kib: u64 =
            kib.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let papermill = first_line(world.command(oracle::papermill()).arg("--version"));
        Self {
            cpu: after("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory_gib: kib.div_ceil(1 << 20),
            system: format!("{}, Linux {}", after("/etc/os-release", "PRETTY_NAME"), kernel.trim()),
            python: first_line(world.command(oracle::python()).arg("--version")),
            papermill: papermill.split_whitespace().next().unwrap_or_default().to_owned(),
            rnbexec: first_line(world.rnbexec().arg("--version")),
            optimised: !cfg!(debug_assertions),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            load: vec![load()],
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

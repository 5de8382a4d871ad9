//! How fast rnbexec is: papermill, the bare kernel and rnbexec on the same notebooks, on this machine, now.
//!
//! `cargo run --release -p rnbexec-bench` builds the command line, installs papermill and its kernel where they are not there yet,
//! runs every case, and leaves a table, a plot and JSON. What counts are ratios: the contenders of a round run one after the other, so
//! that a busy machine slows all of them, and a ratio is the median of the rounds' ratios.
//!
//! - [`case`]: what is run, and how often.
//! - [`contender`]: who runs it.
//! - [`measure`]: one run of a program, its time and its memory.
//! - [`documents`]: reading and writing notebooks alone, without a kernel.
//! - [`startup`]: what rnbexec takes before anything runs.
//! - [`result`]: what came out, as JSON.
//! - [`machine`], [`table`], [`plot`]: how it is told.

mod case;
mod contender;
mod documents;
mod machine;
mod measure;
mod plot;
mod result;
mod startup;
mod table;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use rnbexec_oracle as oracle;

use case::{Case, Scale};
use contender::World;
use machine::{Machine, load};
use result::{CaseResult, PointResult, Results};

/// Measures rnbexec against papermill and against the bare kernel.
#[derive(Debug, Parser)]
struct Args {
    /// Fewer rounds and smaller sizes: minutes instead of twenty
    #[arg(long)]
    quick: bool,
    /// One round at the smallest sizes: shows that the benchmark works, and measures nothing
    #[arg(long, conflicts_with = "quick")]
    tiny: bool,
    /// Only these cases
    #[arg(long, value_name = "CASE", value_parser = case::names())]
    only: Vec<String>,
    /// Where the results go
    #[arg(long, value_name = "DIR", default_value_os_t = oracle::workspace().join("target/bench"))]
    out: PathBuf,
    /// Be the kernel that notes when it is first spoken to
    #[arg(long, hide = true, value_name = "CONNECTION_FILE", exclusive = true)]
    listen: Option<PathBuf>,
}

fn main() {
    let args = Args::parse();
    if let Some(connection_file) = &args.listen {
        startup::listen(connection_file);
        return;
    }
    let scale = match args {
        Args { tiny: true, .. } => Scale::Tiny,
        Args { quick: true, .. } => Scale::Quick,
        _ => Scale::Full,
    };
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    tell("Installing what is compared, where it is not there yet");
    let world = World::new();
    let mut results = Results {
        machine: Machine::this(&world),
        scale,
        startup: None,
        cases: Vec::new(),
        documents: Vec::new(),
    };
    if wanted(startup::NAME) {
        tell(startup::NAME);
        results.startup = Some(startup::measure(&world, scale));
        save(&results, &args.out);
    }
    for case in case::all(scale).into_iter().filter(|case| wanted(case.name)) {
        results.cases.push(run(&world, &case));
        results.machine.load.push(load());
        // Nobody loses half an hour to the last case.
        save(&results, &args.out);
    }
    if wanted(documents::NAME) {
        tell(documents::NAME);
        results.documents = documents::measure(&world, scale);
        results.machine.load.push(load());
        save(&results, &args.out);
    }
    let table = table::of(&results);
    std::io::stdout().write_all(table.as_bytes()).expect("standard output takes the table");
    tell(&format!("Table, plot and JSON are in {}", args.out.display()));
}

/// Every contender in turn, round by round; who begins changes with the round.
fn run(world: &World, case: &Case) -> CaseResult {
    let mut points = Vec::new();
    for point in &case.points {
        tell(&format!("{} {}", case.name, point.label));
        let entries: Vec<_> =
            point.entries.iter().filter(|entry| world.can(entry.contender, point)).collect();
        let job = world.prepare(point);
        let mut result = PointResult::new(point);
        for round in 0..entries.iter().map(|entry| entry.rounds).max().unwrap_or(0) {
            let mut turn: Vec<_> = entries.iter().filter(|entry| round < entry.rounds).collect();
            let first = round % turn.len();
            turn.rotate_left(first);
            for entry in turn {
                result.add(entry.contender, round, job.run(entry.contender));
            }
        }
        points.push(result);
    }
    CaseResult { name: case.name, what: case.what, axis: case.axis, points }
}

fn save(results: &Results, folder: &Path) {
    fs::create_dir_all(folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    };
    write("results.md", table::of(results).as_bytes());
    write("results.json", &serde_json::to_vec_pretty(results).expect("results are plain data"));
    if let Some(plot) = plot::of(results) {
        write("speed.svg", plot.as_bytes());
    }
}

/// Says what is going on, on standard error.
fn tell(what: &str) {
    // Whoever closed standard error does not want to know.
    if writeln!(std::io::stderr(), "{what}").is_err() {}
}

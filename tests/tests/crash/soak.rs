//! Runs that are killed at random moments, again and again.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rnbexec_tests::program::Running;
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, oracle, wait_for};
use serde_json::{Value, json};

use super::{SOON, names, pids};

/// How many times; `RNBEXEC_SOAK_ROUNDS` says another number.
const ROUNDS: u64 = 12;

/// Where the random numbers begin; `RNBEXEC_SOAK_SEED` says another number.
const SEED: u64 = 20_261_126;

fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => usual,
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// How much each cell prints. Each first writes its number into a file beside the notebook: whoever reads it there knows
/// that the runner took every cell before for finished.
fn book(dice: &mut Dice) -> (Book, Vec<usize>) {
    let sizes: Vec<usize> = (0..40)
        .map(|_| match dice.next(12) {
            0 => 3_000_000,
            1..=3 => 100_000,
            4 => 0,
            _ => 20,
        })
        .collect();
    let mut book = FakeKernel::book();
    for (number, size) in sizes.iter().enumerate() {
        let child = if dice.next(10) == 0 { "shell setsid sleep 600 &\n" } else { "" };
        let text = format!("{number} ").repeat(size.div_ceil(3));
        book = book.code(&format!("shell echo {number} >> begun\n{child}stdout {text}\nresult {number}"));
    }
    (book, sizes)
}

/// How many cells the side file says were begun.
fn begun(scratch: &Scratch) -> usize {
    fs::read_to_string(scratch.join("begun")).unwrap_or_default().lines().count()
}

#[test]
fn a_runner_killed_at_any_moment_loses_nothing_and_leaves_nothing() {
    let seed = setting("RNBEXEC_SOAK_SEED", SEED);
    let mut dice = Dice(seed);
    let mut world = Scratch::new();
    let mut caught = [0_u32; 4];
    for round in 0..setting("RNBEXEC_SOAK_ROUNDS", ROUNDS) {
        if round % 20 == 19 {
            expect_valid(&world);
            world = Scratch::new();
        }
        FakeKernel::default().install(&world);
        let (book, sizes) = book(&mut dice);
        world.write("in.ipynb", book.to_bytes());
        for name in ["out.ipynb", "begun"] {
            // Every other round overwrites what the one before has left.
            if dice.next(2) == 0 || name == "begun" {
                drop(fs::remove_file(world.join(name)));
            }
        }
        let before = fs::read(world.join("out.ipynb")).ok();
        let runner = Running::start(&mut world.rnbexec(["run", "in.ipynb", "out.ipynb"]));
        // A quarter of the rounds is killed at a random time, the others at some cell and a random time after it.
        if dice.next(4) > 0 {
            let cell = usize::try_from(dice.next(39)).expect("a small number");
            wait_for("that cell", SOON, || (begun(&world) > cell).then_some(()));
            thread::sleep(Duration::from_micros(dice.next(30_000)));
        } else {
            thread::sleep(Duration::from_micros(dice.next(900_000)));
        }
        runner.signal("KILL");
        let killed = runner.finish(SOON);
        let context = format!("round {round}, seed {seed}, stderr {}", killed.stderr);
        wait_for("the guardian to have ended", SOON, || pids(&world, " guardian").is_empty().then_some(()));
        world.expect_nothing_left();
        caught[check(&world, &sizes, before.as_deref(), &context)] += 1;
        if let Ok(bytes) = fs::read(world.join("out.ipynb")) {
            fs::create_dir_all(kept(&world)).expect("a folder can be made");
            fs::write(kept(&world).join(format!("{round}.ipynb")), bytes).expect("a file can be written");
        }
    }
    expect_valid(&world);
    eprintln!("nothing written, not ours, killed, finished: {caught:?}");
}

/// Where what the runs left is kept until it is looked at by nbformat.
fn kept(world: &Scratch) -> PathBuf {
    world.root().join("kept")
}

/// nbformat finds each notebook that was left valid.
fn expect_valid(world: &Scratch) {
    let code = "import glob, nbformat\nfor name in glob.glob('*.ipynb'): nbformat.validate(nbformat.read(name, as_version=4))";
    finish(world.command(oracle::python()).current_dir(kept(world)).args(["-c", code])).expect_code(0);
}

/// Looks at what a killed run has left, and gives what it was.
fn check(world: &Scratch, sizes: &[usize], before: Option<&[u8]>, context: &str) -> usize {
    let left = names(&world.path());
    let others = left.iter().filter(|name| !["in.ipynb", "out.ipynb", "begun"].contains(&name.as_str()));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new(), "{context}");
    let begun = begun(world);
    let Ok(bytes) = fs::read(world.join("out.ipynb")) else {
        assert_eq!(begun, 0, "cells ran and no notebook was saved: {context}");
        return 0;
    };
    if before == Some(&bytes[..]) {
        assert_eq!(begun, 0, "cells ran and an earlier notebook stands there: {context}");
        return 1;
    }
    let saved = Saved(serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {context}")));
    let statuses = saved.statuses();
    let stamp = &saved.0["metadata"]["papermill"];
    assert!(stamp["end_time"].is_string(), "the notebook says that it is still running: {context}");
    assert!(!statuses.iter().any(|status| status == "running"), "{statuses:?}: {context}");
    let completed = statuses.iter().take_while(|status| *status == "completed").count();
    assert!(completed + 1 >= begun, "{completed} cells are there of {begun} begun: {context}");
    for (number, size) in sizes.iter().enumerate().take(completed) {
        let text = format!("{number} ").repeat(size.div_ceil(3));
        assert!(saved.printed(number) == text.trim_end(), "cell {number}: {context}");
        let last = saved.cell(number)["outputs"].as_array().and_then(|outputs| outputs.last());
        assert_eq!(last.expect("an output")["data"]["text/plain"], json!([number.to_string()]), "{context}");
    }
    let mut rest = statuses[completed..].iter();
    if rest.clone().next().is_some_and(|status| status == "failed") {
        rest.next();
    }
    assert!(rest.all(|status| status == "pending"), "{statuses:?}: {context}");
    let whole = completed == sizes.len() && saved.0["metadata"]["rnbexec"].is_null();
    if whole {
        assert_eq!(saved.exception(), &Value::Null, "{context}");
        return 3;
    }
    assert_eq!(saved.exception(), &json!(true), "{context}");
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], "runner-killed", "{context}");
    2
}

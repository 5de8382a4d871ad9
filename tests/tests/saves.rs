//! Saving: atomic always, often enough, and cheap however large the notebook grows.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rnbexec_tests::program::Running;
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, wait_for};
use serde_json::Value;

mod saves {
    mod disks;
}

const SOON: Duration = Duration::from_mins(5);

#[test]
fn a_reader_never_sees_half_a_notebook() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let (path, go) = (scratch.join("out.ipynb"), scratch.join("go"));
    // The half-way cell waits until the reader has seen a part.
    let waits = |number| if number == 60 { format!("sleep-until {}\n", go.display()) } else { String::new() };
    let book = FakeKernel::book()
        .many(120, |number| format!("{}stdout {}", waits(number), format!("{number} ").repeat(2000)));
    scratch.write("in.ipynb", book.to_bytes());
    let running = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
    let reader = thread::spawn(move || {
        let mut seen = Vec::<usize>::new();
        loop {
            let Ok(bytes) = fs::read(&path) else { continue };
            let nb: Value = serde_json::from_slice(&bytes).expect("every state of the file is a notebook");
            let cells = nb["cells"].as_array().expect("cells");
            assert_eq!(cells.len(), 120);
            let done =
                cells.iter().filter(|cell| cell["metadata"]["papermill"]["status"] == "completed").count();
            seen.push(done);
            if done > 0 {
                fs::write(&go, "").expect("the folder is writable");
            }
            if !nb["metadata"]["papermill"]["end_time"].is_null() {
                return seen;
            }
        }
    });
    running.finish(SOON).expect_code(0);
    let seen = reader.join().expect("the reader saw notebooks only");
    assert!(seen.is_sorted(), "progress never goes back: {seen:?}");
    assert!(seen.iter().any(|&done| done > 0 && done < 120), "the notebook was saved while it ran");
}

#[test]
fn no_temporary_file_stays_beside_the_output() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").code("2").to_bytes());
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "sub/out.ipynb"])).expect_code(0);
    let names: Vec<_> =
        fs::read_dir(scratch.join("sub")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["out.ipynb"]);
}

#[test]
fn the_file_is_there_while_the_first_cell_runs() {
    let scratch = Scratch::new();
    let source = "import json, time\n\
                  status = lambda: json.load(open('out.ipynb'))['cells'][0]['metadata']['papermill']['status']\n\
                  while (now := status()) == 'pending': time.sleep(.01)\nprint(now)";
    scratch.write("in.ipynb", Book::new().code(source).code("2").to_bytes());
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"])).expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "running\n");
}

#[test]
fn a_long_cell_is_saved_on_the_autosave_interval() {
    let scratch = Scratch::new();
    let source = "import time\nprint('early', flush=True)\nwhile not __import__('os').path.exists('go'): time.sleep(.05); print('.', end='', flush=True)";
    scratch.write("in.ipynb", Book::new().code(source).to_bytes());
    let running =
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--autosave-cell-every", "1"]));
    let saved = wait_for("the outputs so far", SOON, || {
        let bytes = fs::read(scratch.join("out.ipynb")).ok()?;
        let saved = Saved(serde_json::from_slice(&bytes).expect("every state of the file is a notebook"));
        saved.printed(0).starts_with("early\n").then_some(saved)
    });
    assert_eq!(saved.statuses(), ["running"]);
    scratch.write("go", "");
    running.finish(SOON).expect_code(0);
}

#[test]
fn a_cell_that_says_nothing_more_is_saved_on_the_interval_too() {
    let scratch = Scratch::new();
    let source =
        "import os, time\nprint('early', flush=True)\nwhile not os.path.exists('go'): time.sleep(.05)";
    scratch.write("in.ipynb", Book::new().code(source).to_bytes());
    let running =
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--autosave-cell-every", "1"]));
    wait_for("the outputs so far", SOON, || {
        let bytes = fs::read(scratch.join("out.ipynb")).ok()?;
        let saved = Saved(serde_json::from_slice(&bytes).expect("every state of the file is a notebook"));
        (saved.printed(0) == "early\n").then_some(())
    });
    scratch.write("go", "");
    running.finish(SOON).expect_code(0);
}

#[test]
fn without_saves_on_cells_the_end_is_saved_all_the_same() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("print(1)").code("1/0").to_bytes());
    let args =
        ["run", "in.ipynb", "out.ipynb", "--no-request-save-on-cell-execute", "--autosave-cell-every", "0"];
    finish(&mut scratch.rnbexec(args)).expect_code(1);
    assert_eq!(Saved::of(&scratch).statuses(), ["completed", "failed"]);
}

/// papermill's cost is quadratic: 200 cells take 6.7 s and 1,000 take 200 s. Here twice the cells are about twice the time.
#[test]
fn the_cost_of_saving_grows_with_the_cells_and_not_with_their_square() {
    let time = |cells: usize| {
        let scratch = Scratch::new();
        FakeKernel::default().install(&scratch);
        scratch.write(
            "in.ipynb",
            FakeKernel::book().many(cells, |number| format!("stdout line {number}")).to_bytes(),
        );
        let start = Instant::now();
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--no-progress-bar"]))
            .finish(Duration::from_mins(4))
            .expect_code(0);
        let wall = start.elapsed();
        assert_eq!(Saved::of(&scratch).printed(cells - 1), format!("line {}", cells - 1));
        wall
    };
    // Four times the cells: linear is ×4, quadratic ×16. A busy machine may double either, but not each time.
    let linear = |_| {
        let (few, many) = (time(500), time(2000));
        many < few * 9
    };
    assert!((0..3).any(linear), "2,000 cells took more than 9 times as long as 500");
}

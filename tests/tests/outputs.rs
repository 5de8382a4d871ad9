//! Not one message of a kernel is lost, what is kept is kept as nbclient keeps it, and large outputs are in memory at most twice.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rnbexec_tests::program::Running;
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish};
use serde_json::json;

/// What a run takes beside its outputs: 20 MiB as it is delivered. Built for tests, its code alone is far larger.
const ALONE: u64 = if cfg!(debug_assertions) { 40 << 20 } else { 20 << 20 };

fn run(book: &Book) -> (Scratch, Saved) {
    let (scratch, saved, _) = run_measured(book);
    (scratch, saved)
}

/// Tells the most memory that the run took, too.
fn run_measured(book: &Book) -> (Scratch, Saved, u64) {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    scratch.write("in.ipynb", book.to_bytes());
    let done =
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"])).finish(Duration::from_mins(5));
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    (scratch, saved, done.peak_memory)
}

/// Keeps both processors busy while something else is to be tested.
fn under_load<T>(work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_hundred_thousand_flushed_prints_under_load_are_a_hundred_thousand_lines() {
    let (_, saved) =
        under_load(|| run(&Book::new().code("for i in range(100_000):\n    print(i, flush=True)")));
    assert_eq!(saved.cell(0)["outputs"].as_array().map(Vec::len), Some(1), "one stream is one output");
    let printed = saved.printed(0);
    assert_eq!(printed.lines().count(), 100_000);
    assert!(printed.lines().enumerate().all(|(number, line)| line == number.to_string()), "in their order");
}

/// The same from a kernel that sends as fast as it can, twice over.
#[test]
fn a_flood_of_small_messages_loses_none() {
    let (_, saved) = under_load(|| run(&FakeKernel::book().code("lines 20000").code("lines 20000")));
    for cell in 0..2 {
        let printed = saved.printed(cell);
        assert_eq!(printed.lines().count(), 20_000);
        assert!(printed.lines().enumerate().all(|(number, line)| line == number.to_string()));
    }
}

/// Not flushed: ipykernel sends them in few large messages.
#[test]
fn a_million_prints_are_a_million_lines() {
    let (_, saved) = run(&Book::new().code("for i in range(1_000_000): print(i)"));
    let printed = saved.printed(0);
    assert_eq!(printed.lines().count(), 1_000_000);
    assert!(printed.lines().enumerate().all(|(number, line)| line == number.to_string()), "in their order");
}

#[test]
fn twenty_thousand_displays() {
    let (_, saved) = run(&Book::new().code("for i in range(20_000):\n    display(i)"));
    let outputs = saved.cell(0)["outputs"].as_array().cloned().unwrap_or_default();
    assert_eq!(outputs.len(), 20_000);
    assert!(
        outputs
            .iter()
            .enumerate()
            .all(|(number, output)| output["data"]["text/plain"] == json!([number.to_string()]))
    );
}

/// More on demand: `RNBEXEC_HUGE_MB=200`.
#[test]
fn fifty_megabytes_in_one_message() {
    let size = std::env::var("RNBEXEC_HUGE_MB").map_or(50, |size| size.parse().expect("a number"));
    let (_, saved) = run(&FakeKernel::book().code(&format!("flood {size}MB")).code("stdout after"));
    assert_eq!(saved.printed(0).len(), size * 1_000_000);
    assert_eq!(saved.printed(1), "after");
}

/// Outputs of many cells, of many messages, and of a display.
#[test]
fn large_outputs_are_held_twice_at_most_and_only_for_a_moment() {
    let prints = "for _ in range(10): print('x' * 1_000_000, flush=True)";
    let mut book = Book::new().code(prints).code("display({'text/plain': 'x' * 8_000_000}, raw=True)");
    for _ in 0..8 {
        book = book.code("print(('x' * 99 + '\\n') * 10_000)");
    }
    let (scratch, saved, peak) = run_measured(&book);
    let size = fs::metadata(scratch.join("out.ipynb")).expect("the output is there").len();
    assert!(peak > 0 && peak <= 2 * size + ALONE, "{peak} bytes of memory for {size} bytes of notebook");
    assert_eq!(saved.printed(0).len(), 10_000_010);
    assert_eq!(saved.printed(9).len(), 1_000_001);
}

#[test]
fn streams_are_joined_only_while_nothing_comes_between() {
    let (_, saved) = run(&FakeKernel::book()
        .code("stdout a\nstdout b\nstderr c\nstdout d\ndisplay text/plain x\nstdout e\nstdout f"));
    let outputs = saved.cell(0)["outputs"].as_array().cloned().unwrap_or_default();
    let shape: Vec<String> =
        outputs.iter().map(|output| rnbexec_tests::saved::joined(&output["text"])).collect();
    assert_eq!(shape, ["ab", "c", "d", "", "ef"]);
}

#[test]
fn a_message_that_came_twice_is_kept_twice() {
    let (_, saved) = run(&FakeKernel::book().code("duplicate stdout x"));
    assert_eq!(saved.printed(0), "xx");
}

#[test]
fn messages_of_unknown_types_and_odd_contents_change_nothing() {
    let odd = "iopub mystery {\"a\": 1}\niopub stream {\"name\": \"stdout\"}\niopub stream {\"text\": 5, \"name\": 6}\n\
               iopub display_data {}\niopub display_data {\"data\": {\"text/plain\": \"kept\"}, \"metadata\": {}, \"transient\": null}\n\
               iopub error {}\niopub status {\"execution_state\": \"starting\"}\niopub comm_msg {}\niopub comm_open {\"comm_id\": \"c\", \"target_name\": \"t\", \"data\": []}\n\
               iopub clear_output {\"wait\": \"odd\"}\niopub update_display_data {\"data\": {}, \"transient\": {}}\nstdout end";
    let (_, saved) = run(&FakeKernel::book().code(odd).code("stdout next"));
    assert!(saved.printed(0).ends_with("end"), "{:#}", saved.cell(0));
    assert_eq!(saved.printed(1), "next");
}

#[test]
fn execution_counts_are_the_kernels() {
    let (_, saved) = run(&FakeKernel::book().code("stdout a").code("").code("count"));
    assert_eq!(saved.cell(0)["execution_count"], json!(1));
    assert_eq!(saved.cell(1)["execution_count"], json!(null));
    assert_eq!(saved.cell(2)["execution_count"], json!(2));
}

#[test]
fn lone_surrogates_from_a_kernel_are_saved_as_valid_json() {
    let scratch = Scratch::new();
    scratch.write(
        "in.ipynb",
        Book::new().code("print('a\\ud800b')\ndisplay({'text/plain': '\\udc00'}, raw=True)").to_bytes(),
    );
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    let check = "import json; json.loads(open('out.ipynb', encoding='utf-8').read())";
    finish(scratch.command(rnbexec_tests::oracle::python()).args(["-c", check])).expect_code(0);
}

//! Long life: what many runs, and a manager under load, leave in the process that does them. A few seconds each by default;
//! `RNBEXEC_SOAK_ROUNDS=1000` and `RNBEXEC_SOAK_SECONDS=1200` for the real thing.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rnbexec::store::{Environment, Location, MemoryStore, Stores};
use rnbexec::{Cancel, CancelLevel, Mode, Outcome, RunEvent, RunRequest, Services, run_notebook};
use rnbexec_kernel::{KernelPool, PoolOptions};
use rnbexec_manager::Event;
use rnbexec_tests::{Book, Desk, FakeKernel, Scratch};
use serde_json::json;

/// What one of these does to the process the other would see.
static ALONE: Mutex<()> = Mutex::new(());

/// How much more memory may be in use after all rounds: what an allocator keeps is not flat to the byte.
const SLACK_KIB: u64 = 24 << 10;

/// What this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footprint {
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
    /// Processes of the world that are alive.
    processes: usize,
    /// Files and folders where kernels and notebooks have temporary ones.
    files: usize,
}

impl Footprint {
    fn of(scratch: &Scratch) -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux tells of a process");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let entries = |folder: &str| fs::read_dir(folder).expect("Linux tells of a process").count();
        Self {
            memory_kib: resident.trim().trim_end_matches(" kB").parse().expect("a number"),
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            processes: scratch.alive().len(),
            files: files_below(&scratch.tmp()) + files_below(&scratch.root().join("run")),
        }
    }

    /// Whether nothing has grown from `self` to `later`.
    fn holds(&self, later: &Self) -> bool {
        later.memory_kib <= self.memory_kib + SLACK_KIB
            && later.descriptors <= self.descriptors
            && later.threads <= self.threads
            && later.processes <= self.processes
            && later.files <= self.files
    }
}

fn files_below(folder: &Path) -> usize {
    // What is there for a moment only may be gone.
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| 1 + if entry.path().is_dir() { files_below(&entry.path()) } else { 0 })
        .sum()
}

/// Looks until nothing is more than it was: threads that wait for work end by themselves after a while.
#[track_caller]
fn expect_as_before(scratch: &Scratch, before: Footprint, rounds: usize) -> Footprint {
    let begun = Instant::now();
    loop {
        let now = Footprint::of(scratch);
        if before.holds(&now) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{rounds} rounds: {before:?} became {now:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A runtime whose threads are few and the same from the beginning.
fn runtime() -> tokio::runtime::Runtime {
    const BLOCKING: usize = 4;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(Duration::from_hours(24))
        .enable_all()
        .build()
        .expect("a runtime");
    // They are made when they are needed: all at once, now.
    let all = Arc::new(std::sync::Barrier::new(BLOCKING));
    let made = [(); BLOCKING].map(|()| {
        let all = Arc::clone(&all);
        runtime.spawn_blocking(move || {
            all.wait();
        })
    });
    for one in made {
        runtime.block_on(one).expect("it does not panic");
    }
    runtime
}

/// Three kinds of rounds: parameters only, a kernel of faults, and ipykernel out of a pool.
fn request(round: usize, documents: &MemoryStore) -> RunRequest {
    let (name, book) = match round % 3 {
        0 => ("prepared", Book::new().parameters("x = 1").code("x")),
        1 => ("fake", FakeKernel::book().code("stdout hi\\n\nresult 42").code("flood 1MB")),
        _ => ("python", Book::new().parameters("x = 1").code("print('y' * 100_000)").code("import json; x")),
    };
    let input = documents.put(&format!("{name}.ipynb"), book.to_bytes());
    let mut request = RunRequest::new(input, Location::memory(format!("{name}-out.ipynb")));
    match round % 3 {
        0 => request.mode = Mode::PrepareOnly,
        1 => {}
        _ => request = request.parameter("x", i64::try_from(round).expect("few rounds")),
    }
    request
}

#[test]
fn many_runs_in_one_process_leave_it_as_it_was() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = usize::try_from(number("RNBEXEC_SOAK_ROUNDS", 30)).expect("few rounds");
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let documents = MemoryStore::new();
    let variables: HashMap<OsString, OsString> = scratch.env().into_iter().collect();
    let pool = Arc::new(KernelPool::new(PoolOptions { fork: true, spares: 0 }));
    let mut services = Services::from_process();
    services.stores = Arc::new(Stores::new(&Environment::default()).with_memory(documents.clone()));
    services.kernels.vars.clone_from(&variables);
    services.kernels.home = Some(scratch.home());
    services.environments.vars.clone_from(&variables);
    services.environments.data_dir = scratch.join("data");
    services.runtime_dir = Some(scratch.tmp());
    services.rescue_dir = scratch.tmp();
    services.variables = variables;
    services.kernel_pool = Some(Arc::clone(&pool));

    let runtime = runtime();
    let run = |round| {
        let request = request(round, &documents);
        let mut on_event = |_: RunEvent<'_>| {};
        let ran = run_notebook(request, &services, &mut on_event, Cancel::never());
        let report = runtime.block_on(ran).expect("a report");
        assert!(
            matches!(report.outcome, Outcome::Completed | Outcome::Prepared),
            "round {round}: {:?}",
            report.outcome
        );
    };
    let warm = rounds / 3;
    (0..warm).for_each(run);
    let before = Footprint::of(&scratch);
    (warm..rounds).for_each(run);
    let after = expect_as_before(&scratch, before, rounds);
    println!("{rounds} runs: {before:?} became {after:?}");
    runtime.block_on(pool.close());
    scratch.expect_nothing_left();
}

/// How many bundles lie in the folder at a time.
const SLOTS: usize = 4;

#[test]
fn a_manager_that_watches_under_load_stays_as_it_was() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let whole = Duration::from_secs(number("RNBEXEC_SOAK_SECONDS", 12));
    let desk = Desk::scripted();
    // A bundle appears at once, and takes the place of one that was triaged.
    let put = |number: usize| {
        let title = format!("incident {number}");
        let mut bundle = Desk::bundle(u64::try_from(number).expect("few incidents"), &title, "Low");
        bundle["incident"]["properties"]["description"] =
            json!("print('y' * 100_000); find('High', title='bad')");
        desk.scratch.write_json("bundle.json", &bundle);
        let place = desk.scratch.join(format!("incidents/{}.json", number % SLOTS));
        fs::rename(desk.scratch.join("bundle.json"), place).expect("the folders are ours");
    };
    fs::create_dir(desk.scratch.join("incidents")).expect("the folder is ours");
    let settings = [
        ("source.kind", "folder"),
        ("source.interval", "1s"),
        ("source.folder.path", "incidents"),
        ("source.folder.output", "triaged"),
        ("publish.to", "folder"),
        ("publish.folder.path", "notebooks"),
    ];
    let ended = Arc::new(AtomicUsize::new(0));
    let mut setup = desk.setup(&settings);
    let counter = Arc::clone(&ended);
    setup.listener = Box::new(move |event: &Event<'_>| {
        if matches!(event, Event::Ended { .. }) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let runtime = runtime();
    let manager =
        Arc::new(runtime.block_on(Box::pin(setup.manager())).unwrap_or_else(|error| panic!("{error:?}")));
    let (handle, cancel) = Cancel::new();
    let watching = runtime.spawn(async move { manager.watch(cancel).await });

    let begun = Instant::now();
    let mut before = None;
    let mut given = 0;
    while begun.elapsed() < whole || before.is_none() {
        let done = ended.load(Ordering::SeqCst);
        assert!(begun.elapsed() < whole + Duration::from_mins(3), "{done} of {given}: {}", desk.log());
        // At the same point of the work as at the end: everything is done, nothing is running.
        let is_warm = done == given && given >= 2 * SLOTS && begun.elapsed() > whole / 3;
        if is_warm && before.is_none() {
            before = Some(Footprint::of(&desk.scratch));
        }
        if done == given {
            for _ in 0..SLOTS {
                given += 1;
                put(given);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    rnbexec_tests::wait_for("the last incidents to be triaged", Duration::from_mins(2), || {
        (ended.load(Ordering::SeqCst) == given).then_some(())
    });
    let before = before.expect("it was warm");
    let after = expect_as_before(&desk.scratch, before, given);
    println!("{given} incidents: {before:?} became {after:?}");
    handle.raise(CancelLevel::Drain);
    let report = runtime.block_on(watching).expect("it does not panic").expect("the ledger works");
    assert_eq!(report.figures().triaged, given, "{}", desk.log());
    assert!(report.ended.len() <= 200, "{} cases are kept", report.ended.len());
    desk.scratch.expect_nothing_left();
}

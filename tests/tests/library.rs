//! rnbexec as a library: no command line, no file, no environment of this process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rnbexec::store::{
    Action, Durability, Environment, Location, MemoryStore, RetryPolicy, Store, StoreError, StoreErrorKind,
    Stores,
};
use rnbexec::{
    Cancel, CancelLevel, EnvironmentRequest, Input, Limits, Outcome, RunError, RunEvent, RunReport,
    RunRequest, Services, TimeLimit, UnknownParameters, run_notebook,
};
use rnbexec_notebook::{CellStatus, Json};
use rnbexec_tests::{Book, FakeKernel, Scratch};

mod library {
    mod faults;
}

/// A library's world: documents in memory, the oracle's kernels, a private home.
struct World {
    documents: MemoryStore,
    services: Services,
    scratch: Scratch,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let documents = MemoryStore::new();
        let variables: HashMap<OsString, OsString> = scratch.env().into_iter().collect();
        let mut services = Services::from_process();
        services.stores = Arc::new(Stores::new(&Environment::default()).with_memory(documents.clone()));
        services.kernels.vars.clone_from(&variables);
        services.kernels.home = Some(scratch.home());
        services.environments.vars.clone_from(&variables);
        services.environments.data_dir = scratch.join("data");
        services.runtime_dir = Some(scratch.tmp());
        services.rescue_dir = scratch.tmp();
        services.variables = variables;
        Self { documents, services, scratch }
    }

    fn request(&self, book: &Book) -> RunRequest {
        let input = self.documents.put("in.ipynb", book.to_bytes());
        RunRequest::new(input, Location::memory("out.ipynb"))
    }

    async fn run(&self, request: RunRequest) -> Result<RunReport, RunError> {
        run_notebook(request, &self.services, &mut |_| {}, Cancel::never()).await
    }

    fn saved(&self) -> serde_json::Value {
        let bytes = self.documents.get("out.ipynb").expect("an output notebook");
        serde_json::from_slice(&bytes).expect("valid JSON")
    }
}

#[tokio::test]
async fn a_notebook_runs_from_memory_to_memory_and_tells_what_happens() {
    let world = World::new();
    let book = Book::new().parameters("name = 'nobody'").code("print('hello', name)").markdown("the end");
    let mut told = Vec::new();
    let mut on_event = |event: RunEvent<'_>| match event {
        RunEvent::Stream { index, name, text } => told.push(format!("{index} {name} {text}")),
        RunEvent::CellFinished { index, status, .. } => told.push(format!("{index} {}", status.as_str())),
        _ => {}
    };
    let request = world.request(&book).parameter("name", "library");
    let report =
        run_notebook(request, &world.services, &mut on_event, Cancel::never()).await.expect("a report");

    assert!(matches!(report.outcome, Outcome::Completed), "{:?}", report.outcome);
    assert_eq!(report.executed_cells, 3);
    assert_eq!(
        told,
        ["0 completed", "1 completed", "2 stdout hello library\n", "2 completed", "3 completed"]
    );
    assert_eq!(world.saved()["cells"][2]["outputs"][0]["text"][0], "hello library\n");
    // What the report holds is what was saved.
    assert_eq!(world.documents.get("out.ipynb").expect("saved"), report.notebook.to_vec());
}

#[tokio::test]
async fn a_raised_cancel_interrupts_the_cell_and_leaves_a_truthful_notebook() {
    let world = World::new();
    let book = Book::new().code("print('up', flush=True)\nimport time\ntime.sleep(600)").code("1");
    let (handle, cancel) = Cancel::new();
    let mut on_event = |event: RunEvent<'_>| {
        if matches!(event, RunEvent::Stream { .. }) {
            handle.raise(CancelLevel::Interrupt);
        }
    };
    let report =
        run_notebook(world.request(&book), &world.services, &mut on_event, cancel).await.expect("a report");

    assert!(matches!(report.outcome, Outcome::Interrupted { cell: Some(0) }), "{:?}", report.outcome);
    let cells = report.notebook.cells();
    assert_eq!(CellStatus::of(&cells[0]), Some(CellStatus::Failed));
    assert_eq!(CellStatus::of(&cells[1]), Some(CellStatus::Pending));
    assert_eq!(world.saved()["metadata"]["papermill"]["exception"], true);
}

#[tokio::test]
async fn a_kernel_that_ignores_the_interrupt_is_killed_after_the_grace() {
    let world = World::new();
    FakeKernel::default().install(&world.scratch);
    let mut request = world.request(&FakeKernel::book().code("ignore-interrupt\nsleep 600"));
    request.limits = Limits {
        cell: Some(Duration::from_secs(1)),
        interrupt_grace: Duration::from_millis(300),
        ..Limits::default()
    };
    let report = world.run(request).await.expect("a report");
    let Outcome::TimedOut { cell: Some(0), limit: TimeLimit::Cell, killed: true, .. } = report.outcome else {
        panic!("{:?}", report.outcome);
    };
}

#[tokio::test]
async fn the_bytes_of_a_notebook_run_without_any_store() {
    let world = World::new();
    let bytes = Book::new().code("6 * 7").to_bytes();
    let request = RunRequest::new(Input::Bytes { bytes: bytes.into(), path: None }, None);
    let report = world.run(request).await.expect("a report");
    assert_eq!(
        report.notebook.cells()[0].outputs()[0].get("data").map(Json::to_compact).as_deref(),
        Some(r#"{"text/plain":"42"}"#)
    );
}

#[tokio::test]
async fn unknown_parameters_can_be_refused_before_anything_happens() {
    let world = World::new();
    let mut request = world.request(&Book::new().parameters("known = 1")).parameter("unknown", 2_i64);
    request.unknown_parameters = UnknownParameters::Refuse;
    let Err(RunError::UnknownParameters { names, known }) = world.run(request).await else {
        panic!("not refused")
    };
    assert_eq!((names, known), (vec!["unknown".to_owned()], vec!["known".to_owned()]));
    assert!(world.documents.get("out.ipynb").is_none());
}

#[tokio::test]
async fn a_failed_start_leaves_an_earlier_result_alone_and_says_so() {
    let world = World::new();
    world.documents.put("out.ipynb", "the earlier result");
    let mut request = world.request(&Book::new().code("1"));
    request.kernel.environment = EnvironmentRequest::AsFound;
    request.limits.start = Duration::ZERO;
    let report = world.run(request).await.expect("a report");
    assert!(
        matches!(report.outcome, Outcome::StartFailed { kept_earlier_output: true, .. }),
        "{:?}",
        report.outcome
    );
    assert_eq!(world.documents.get("out.ipynb").expect("still there"), "the earlier result");
}

#[tokio::test]
async fn two_runs_share_one_process_without_noticing_each_other() {
    let world = World::new();
    let run = |value: i64| {
        let book = Book::new().parameters("n = 0").code("import os\nprint(n, os.getcwd())");
        let bytes = book.to_bytes();
        let folder = world.scratch.join(format!("cwd{value}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut request =
            RunRequest::new(Input::Bytes { bytes: bytes.into(), path: None }, None).parameter("n", value);
        request.kernel.cwd = Some(folder);
        world.run(request)
    };
    let (one, two) = tokio::join!(run(1), run(2));
    for (report, value) in [(one, 1), (two, 2)] {
        let report = report.expect("a report");
        let printed = report.notebook.cells()[2].outputs()[0].to_compact();
        assert!(
            printed.contains(&format!("{value} ")) && printed.contains(&format!("cwd{value}")),
            "{printed}"
        );
    }
}

/// Storage that is unavailable for a number of durable writes, the kind that ends a run.
struct Unavailable {
    documents: MemoryStore,
    times: AtomicU32,
}

#[async_trait::async_trait]
impl Store for Unavailable {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        self.documents.read(location).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let left = |times: u32| times.checked_sub(1);
        if durability == Durability::Durable
            && self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok()
        {
            return Err(StoreError::new(
                Action::Write,
                location,
                StoreErrorKind::Unavailable { retry_after: None },
            ));
        }
        self.documents.write(location, parts, durability).await
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        self.documents.list(location).await
    }
}

impl World {
    /// This world with storage that is unavailable `times` times at the end of a run.
    fn with_unavailable_storage(mut self, times: u32) -> Self {
        let store = Unavailable { documents: self.documents.clone(), times: AtomicU32::new(times) };
        let once = RetryPolicy::never();
        let stores = Stores::new(&Environment::default()).with_memory(store).with_retry(once);
        self.services.stores = Arc::new(stores);
        self
    }

    /// A notebook that notes in a file each time it runs, and how often it has.
    fn counted(&self) -> (Book, impl Fn() -> usize + use<>) {
        let log = self.scratch.join("ran");
        let book = Book::new().code(&format!("open({:?}, 'a').write('x')", log.display().to_string()));
        (book, move || std::fs::read(&log).map_or(0, |ran| ran.len()))
    }
}

#[tokio::test]
async fn storage_that_is_unavailable_at_the_end_does_not_run_the_notebook_again() {
    let world = World::new().with_unavailable_storage(1);
    let (book, times) = world.counted();
    let mut request = world.request(&book);
    request.retries = 1;
    let report = world.run(request).await.expect("a report");
    assert!(report.saved && matches!(report.outcome, Outcome::Completed), "{:?}", report.outcome);
    assert_eq!(times(), 1);
    assert_eq!(world.saved()["cells"][0]["metadata"]["papermill"]["status"], "completed");
}

#[tokio::test]
async fn a_notebook_that_cannot_be_saved_is_put_elsewhere() {
    let world = World::new().with_unavailable_storage(1);
    let (book, times) = world.counted();
    let error = world.run(world.request(&book)).await.expect_err("storage is unavailable");
    assert!(error.is_retryable());
    let RunError::Save { rescued: Some(path), .. } = error else { panic!("{error:?}") };
    let rescued: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).expect("the rescued notebook")).expect("JSON");
    assert_eq!(rescued["cells"][0]["metadata"]["papermill"]["status"], "completed");
    assert_eq!(times(), 1);
}

#[tokio::test]
async fn what_a_request_asks_for_in_vain_is_said() {
    let world = World::new();
    let mut request = world.request(&Book::new().tagged("1", &["timeout=soon"]));
    request.selection.only_tags = vec!["nosuch".to_owned()];
    let report = world.run(request).await.expect("a report");
    assert_eq!(report.executed_cells, 0);
    assert_eq!(
        report.warnings,
        ["no cell has the tag 'nosuch'", "cell 1: the tag 'timeout=soon' is no number of seconds; ignored"]
    );
}

//! Clocks that jump and storage that does not answer, where a test holds them in its hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rnbexec::store::{Durability, Environment, Location, MemoryStore, Store, StoreError, Stores};
use rnbexec::{Cancel, Limits, Outcome, RunEvent, SavePolicy, run_notebook};
use rnbexec_tests::FakeKernel;
use tokio::sync::Notify;

use crate::World;

/// A leap day, the spring's change of time, the end of 32 bits, the first and the last moments that a clock can have.
const MOMENTS: [&str; 8] = [
    "2026-03-29T00:59:59.999999Z",
    "2024-02-29T23:59:59Z",
    "2038-01-19T03:14:08Z",
    "1969-12-31T23:59:59.5Z",
    "2026-10-25T01:30:00Z",
    "9999-12-30T21:59:59.999Z",
    "-009999-01-02T02:00:00Z",
    "2026-03-28T23:59:59Z",
];

#[tokio::test]
async fn moments_in_any_order_are_dates_and_no_durations() {
    let mut world = World::new();
    FakeKernel::default().install(&world.scratch);
    let looks = AtomicUsize::new(0);
    world.services.clock = Arc::new(move || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        MOMENTS[look % MOMENTS.len()].parse().expect("a moment")
    });
    let book = FakeKernel::book().many(MOMENTS.len(), |number| format!("stdout {number}\nsleep 0.01"));
    let mut request = world.request(&book);
    request.limits = Limits {
        cell: Some(Duration::from_secs(50)),
        run: Some(Duration::from_mins(1)),
        ..Limits::default()
    };
    let report = world.run(request).await.expect("a report");
    assert!(matches!(report.outcome, Outcome::Completed), "{:?}", report.outcome);
    assert!(report.duration < Duration::from_mins(1), "{:?}", report.duration);
    let saved = world.saved();
    let cells = saved["cells"].as_array().expect("cells");
    let stamps = cells.iter().chain([&saved]).map(|part| &part["metadata"]["papermill"]);
    for stamp in stamps {
        let seconds = stamp["duration"].as_f64().expect("a duration");
        assert!((0.01..60.0).contains(&seconds), "{stamp:#}");
        for date in ["start_time", "end_time"] {
            let date = stamp[date].as_str().expect("a date");
            assert!(date.ends_with("+00:00") && date.len() >= "2026-03-29T00:59:59+00:00".len(), "{date}");
        }
    }
}

/// Storage that takes some notebooks and then does not answer until it is told to.
#[derive(Clone)]
struct Slow {
    documents: MemoryStore,
    passes: usize,
    /// A file that is made when the first notebook is here that is not answered.
    stuck: PathBuf,
    asked: Arc<AtomicUsize>,
    answers: Arc<Notify>,
}

#[async_trait::async_trait]
impl Store for Slow {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        self.documents.read(location).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) >= self.passes {
            std::fs::write(&self.stuck, "").expect("the scratch is writable");
            self.answers.notified().await;
            // From here on it is as fast as any other.
            self.answers.notify_one();
        }
        self.documents.write(location, parts, durability).await
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        self.documents.list(location).await
    }
}

impl World {
    fn with_slow_storage(mut self, passes: usize) -> (Self, Slow) {
        let slow = Slow {
            documents: self.documents.clone(),
            passes,
            stuck: self.scratch.join("stuck"),
            asked: Arc::default(),
            answers: Arc::default(),
        };
        let stores = Stores::new(&Environment::default()).with_memory(slow.clone());
        self.services.stores = Arc::new(stores);
        (self, slow)
    }
}

/// The storage answers only when the last cell has ended: were any cell to wait for a save, this would never end.
#[tokio::test]
async fn storage_that_is_slow_holds_up_no_cell() {
    let (world, slow) = World::new().with_slow_storage(1);
    FakeKernel::default().install(&world.scratch);
    let book = FakeKernel::book().many(5, |number| format!("stdout {number}\nsleep 0.02"));
    let mut on_event = |event: RunEvent<'_>| {
        if matches!(event, RunEvent::CellFinished { index: 4, .. }) {
            slow.answers.notify_one();
        }
    };
    let request = world.request(&book);
    let report =
        run_notebook(request, &world.services, &mut on_event, Cancel::never()).await.expect("a report");
    assert!(report.saved && matches!(report.outcome, Outcome::Completed), "{:?}", report.outcome);
    assert!(slow.asked.load(Ordering::SeqCst) < 5, "while one save is under way the next ones are one");
    assert_eq!(world.saved()["cells"][4]["metadata"]["papermill"]["status"], "completed");
}

/// The kernel dies while the autosave of its cell is on its way; the storage answers after that. Two saves come before it:
/// the first of all, and that of the cell's beginning.
#[tokio::test]
async fn a_death_during_an_autosave_is_told_by_the_next_save() {
    let (world, slow) = World::new().with_slow_storage(2);
    FakeKernel::default().install(&world.scratch);
    let script = format!("stdout so far\nsleep-until {}\ndie 9", slow.stuck.display());
    let mut on_event = |event: RunEvent<'_>| {
        if matches!(event, RunEvent::CellFinished { .. }) {
            slow.answers.notify_one();
        }
    };
    let mut request = world.request(&FakeKernel::book().code(&script));
    request.saves = SavePolicy { autosave: Some(Duration::from_millis(20)), ..request.saves };
    let report =
        run_notebook(request, &world.services, &mut on_event, Cancel::never()).await.expect("a report");
    assert!(report.saved && matches!(report.outcome, Outcome::KernelDied { .. }), "{:?}", report.outcome);
    let saved = world.saved();
    assert_eq!(saved["cells"][0]["metadata"]["papermill"]["status"], "failed");
    assert_eq!(saved["cells"][0]["outputs"][0]["text"][0], "so far");
    assert_eq!(saved["metadata"]["rnbexec"]["outcome"], "kernel-died");
}

//! What saving costs, counted in bytes and not in time.

use std::collections::HashSet;

use rnbexec_notebook::{Cell, Json, Object};

use super::*;
use crate::store::{Environment, Store};

/// Keeps an eye on an image: which of its bytes were written anew since the last look.
#[derive(Default)]
struct Watch {
    /// Every part ever seen. They are kept, so that no address is used twice.
    seen: Vec<Bytes>,
    places: HashSet<*const u8>,
    written: usize,
}

impl Watch {
    fn look(&mut self, saver: &Saver, cell: usize) {
        let state = saver.shared.state();
        for part in &state.image.cells[cell] {
            if self.places.insert(part.as_ptr()) {
                self.written += part.len();
                self.seen.push(part.clone());
            }
        }
    }
}

/// A saver that keeps an image as if it wrote it somewhere.
fn saver() -> Saver {
    let shared = Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), journal: OnceLock::new() });
    let task = Some(tokio::spawn(async {}));
    Saver { shared, redactor: Redactor::default(), output: None, task, noting: None, watched: None }
}

fn stream(text: &str) -> Object {
    let members = [("output_type", "stream"), ("name", "stdout"), ("text", text)];
    members.into_iter().map(|(key, value)| (key.to_owned(), Json::from(value))).collect()
}

fn notebook(cells: usize) -> Notebook {
    let mut notebook = Notebook::new();
    notebook.cells_mut().extend((0..cells).map(|index| Cell::code(format!("c{index}"), "source")));
    notebook
}

fn size(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

#[tokio::test]
async fn two_thousand_cells_with_fifty_megabytes_of_outputs_are_written_once() {
    let mut notebook = notebook(2000);
    let (saver, mut watch) = (saver(), Watch::default());
    saver.replace(&mut notebook);
    let line = format!("{}\n", "x".repeat(24_999));
    for index in 0..2000 {
        saver.update_cell(&mut notebook, index);
        watch.look(&saver, index);
        notebook.cells_mut()[index].record().push(stream(&line), line.len());
        saver.update_cell(&mut notebook, index);
        watch.look(&saver, index);
        // A finished cell is touched again by a late message: its outputs stay as they were written.
        saver.update_cell(&mut notebook, index / 2);
        watch.look(&saver, index / 2);
    }
    let size = size(&saver.parts());
    assert!(size > 50_000_000);
    assert!(watch.written < size * 11 / 10, "{} bytes were written for {size}", watch.written);
    assert_eq!(saver.parts().concat(), notebook.to_vec());
}

#[tokio::test]
async fn a_cell_that_is_saved_again_and_again_is_written_as_far_as_it_grew() {
    let mut notebook = notebook(1);
    let (saver, mut watch) = (saver(), Watch::default());
    saver.replace(&mut notebook);
    let part = format!("{}\r", "no line ends here ".repeat(3000));
    for _ in 0..200 {
        notebook.cells_mut()[0].record().push(stream(&part), part.len());
        saver.update_cell(&mut notebook, 0);
        watch.look(&saver, 0);
    }
    let size = size(&saver.parts());
    assert!(size > 10_000_000);
    assert!(watch.written < size * 11 / 10, "{} bytes were written for {size}", watch.written);
    assert_eq!(saver.parts().concat(), notebook.to_vec());
}

#[tokio::test]
async fn an_update_of_one_display_writes_no_other_output() {
    let mut notebook = notebook(1);
    let (saver, mut watch) = (saver(), Watch::default());
    let display = |text: &str| {
        let data = Json::from_iter([("text/plain", text)]);
        let members =
            [("output_type", Json::from("display_data")), ("metadata", Json::Object(Object::new()))];
        let members = members.into_iter().chain([("data", data)]);
        members.map(|(key, value)| (key.to_owned(), value)).collect::<Object>()
    };
    let large = "x".repeat(1_000_000);
    notebook.cells_mut()[0].record().push(display(&large), large.len());
    notebook.cells_mut()[0].record().push(display("0 %"), 3);
    saver.replace(&mut notebook);
    watch.look(&saver, 0);
    let before = watch.written;
    for percent in 1..=100 {
        let output = notebook.cells_mut()[0].record().get_mut(1, 5).expect("it is there");
        *output = Json::Object(display(&format!("{percent} %")));
        saver.update_cell(&mut notebook, 0);
        watch.look(&saver, 0);
    }
    assert!(watch.written - before < 100_000, "{} bytes were written", watch.written - before);
    assert_eq!(saver.parts().concat(), notebook.to_vec());
}

/// A store that takes a second for each write.
#[derive(Clone, Default)]
struct Slow(Arc<std::sync::atomic::AtomicU32>);

#[async_trait::async_trait]
impl Store for Slow {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        Err(StoreError::new(Action::Read, location, StoreErrorKind::NotFound))
    }

    async fn write(&self, _: &Location, _: &[Bytes], _: Durability) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    async fn list(&self, _: &Location) -> Result<Vec<Location>, StoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn saves_that_nobody_waits_for_take_a_tenth_of_the_time_at_most() {
    let slow = Slow::default();
    let mut services = Services::from_process();
    services.stores = Arc::new(Stores::new(&Environment::default()).with_memory(slow.clone()));
    let saver = Saver::start(&services, Some(Location::memory("slow.ipynb")), Redactor::default());
    let mut notebook = notebook(1);
    saver.replace(&mut notebook);
    let end = Instant::now() + Duration::from_secs(1000);
    while Instant::now() < end {
        saver.update_cell(&mut notebook, 0);
        saver.request();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let count = slow.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!((95..=100).contains(&count), "{count} saves of a second each in 1,000 seconds");
}

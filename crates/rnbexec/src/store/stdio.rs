//! `-`: standard input and output.
//!
//! A stream passes once. It is read to its end once, and written once: two notebooks one after the other on standard output
//! would be no notebook. A second read or write is therefore an error and not a surprise.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Action, Durability, Location, Store, StoreError, StoreErrorKind};

type Input = Box<dyn Read + Send>;
type Output = Box<dyn Write + Send>;

/// Standard input and output, or two streams in their place.
pub struct StdioStore {
    /// Empty once taken.
    input: Mutex<Option<Input>>,
    output: Mutex<Option<Output>>,
}

impl StdioStore {
    /// The streams of this process.
    pub fn new() -> Self {
        Self::of(Box::new(io::stdin()), Box::new(io::stdout()))
    }

    /// Other streams in their place.
    pub fn of(input: Box<dyn Read + Send>, output: Box<dyn Write + Send>) -> Self {
        Self { input: Mutex::new(Some(input)), output: Mutex::new(Some(output)) }
    }
}

impl Default for StdioStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StdioStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StdioStore")
    }
}

#[async_trait]
impl Store for StdioStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let Some(mut input) = take(&self.input) else {
            let problem = "standard input was read already; only one input can be -".to_owned();
            return Err(StoreError::new(Action::Read, location, StoreErrorKind::InvalidLocation { problem }));
        };
        detached(move || {
            let mut content = Vec::new();
            input.read_to_end(&mut content)?;
            Ok(Bytes::from(content))
        })
        .await
        .map_err(|error| StoreError::from_io(Action::Read, location, error))
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let Some(mut output) = take(&self.output) else {
            let reason = "standard output was written already".to_owned();
            return Err(StoreError::new(Action::Write, location, StoreErrorKind::NotWritable { reason }));
        };
        let parts: Arc<[Bytes]> = parts.into();
        detached(move || {
            for part in parts.iter() {
                output.write_all(part)?;
            }
            output.flush()
        })
        .await
        .map_err(|error| StoreError::from_io(Action::Write, location, error))
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        Err(StoreError::new(Action::List, location, StoreErrorKind::NotListable))
    }
}

fn take<T>(stream: &Mutex<Option<T>>) -> Option<T> {
    stream.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Runs stream work on a thread that nobody joins: a read of a silent pipe cannot be interrupted, and a runtime that shuts
/// down waits for its own blocking threads, so a cancelled run would hang until somebody typed.
async fn detached<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name("stdio".to_owned()).spawn(move || {
        // Nobody listens when the run was cancelled meanwhile.
        drop(done.send(work()));
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the stream's thread died")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose bytes can be looked at afterwards.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn input_is_read_to_its_end_once() {
        let store = StdioStore::of(Box::new(&b"notebook"[..]), Box::new(io::sink()));
        assert_eq!(store.read(&Location::Stdio).await.unwrap(), "notebook");
        let error = store.read(&Location::Stdio).await.unwrap_err();
        assert!(error.to_string().contains("only one input can be -"), "{error}");
    }

    #[tokio::test]
    async fn output_is_written_once() {
        let seen = Seen::default();
        let store = StdioStore::of(Box::new(io::empty()), Box::new(seen.clone()));
        let parts = [Bytes::from("note"), Bytes::from("book")];
        store.write(&Location::Stdio, &parts, Durability::Durable).await.unwrap();
        assert!(store.write(&Location::Stdio, &parts, Durability::Durable).await.is_err());
        assert_eq!(*seen.0.lock().unwrap(), b"notebook");
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_said_so() {
        let store = StdioStore::of(Box::new(io::empty()), Box::new(Closed));
        let parts = [Bytes::from("x")];
        let error = store.write(&Location::Stdio, &parts, Durability::Durable).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot write -: it cannot be written to: its reader has gone away");
    }
}

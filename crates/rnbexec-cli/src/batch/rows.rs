//! Where the parameters of the runs come from: `--each`, `--grid`, or both.

use std::io::{self, Cursor};

use bytes::Bytes;
use rnbexec::batch::rows::{Format, Rows};
use rnbexec::batch::{Grid, Item, Items, Row, RowError, combine};
use rnbexec::store::{Location, Stores};
use tokio::sync::mpsc;

use super::args::RunsArgs;
use crate::exit;
use crate::failure::Failure;
use crate::verdict;

/// What `--each` and `--grid` name, read as far as it can be before anything runs.
pub(super) struct Source {
    grid: Grid,
    rows: Given,
}

enum Given {
    /// There is only a grid.
    Nothing,
    /// A text that is there.
    Text { bytes: Bytes, format: Format, name: String },
    /// Standard input, as it comes.
    Stdin,
}

impl Source {
    pub(super) async fn read(runs: &RunsArgs, stores: &Stores) -> Result<Self, Failure> {
        let mut grid = Grid::default();
        for text in &runs.grid {
            grid.add(text).map_err(|error| {
                Failure::because("cannot read --grid", &error)
                    .help("write --grid name=1,2,3 or --grid 'name=[\"a,b\", null]'")
                    .code(exit::USAGE)
            })?;
        }
        let rows = match runs.each.as_deref() {
            None => Given::Nothing,
            Some("-") => Given::Stdin,
            Some(text) => {
                let location = Location::parse(text)
                    .map_err(|error| Failure::because("cannot read the rows of --each", &error))?;
                let bytes = stores
                    .read(&location)
                    .await
                    .map_err(|error| verdict::of_read("cannot read the rows of --each", &error))?;
                Given::Text { bytes, format: Format::of(&location), name: location.to_string() }
            }
        };
        Ok(Self { grid, rows })
    }

    /// Whether all of it is there.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self.rows, Given::Stdin)
    }

    /// All items, where all of them are there; can be asked for again.
    pub(super) fn known(&self) -> Result<Box<dyn Iterator<Item = Item> + Send>, Failure> {
        let grid = self.grid.clone();
        match &self.rows {
            Given::Text { bytes, format, name } => {
                let rows = Rows::read(Cursor::new(bytes.clone()), *format).map_err(|error| {
                    Failure::because(format!("cannot read the rows of {name}"), &error).help(
                        "rows are CSV with names in the first line, JSON lines, or a JSON array of objects",
                    )
                })?;
                Ok(combine(Some(rows), grid))
            }
            Given::Nothing | Given::Stdin => Ok(combine(None::<Rows>, grid)),
        }
    }

    /// The items of a batch.
    pub(super) fn items(self) -> Result<Items, Failure> {
        if self.is_known() {
            return self.known().map(Items::Known);
        }
        // One row waits; the next ones stay where they come from until there is room.
        let (sender, receiver) = mpsc::channel(1);
        // A thread of its own: it may wait for a next row for ever, and the process does not wait for it.
        std::thread::spawn(move || send(self.grid, &sender));
        Ok(Items::Stream(receiver))
    }
}

fn send(grid: Grid, sender: &mpsc::Sender<Item>) {
    let items = match Rows::read(io::stdin(), Format::AsItBegins) {
        Ok(rows) => combine(Some(rows), grid),
        Err(error) => {
            let error = RowError::Io(io::Error::other(error));
            combine(Some(std::iter::once(Row { origin: None, parameters: Err(error) })), grid)
        }
    };
    for item in items {
        if sender.blocking_send(item).is_err() {
            // The batch was stopped.
            return;
        }
    }
}

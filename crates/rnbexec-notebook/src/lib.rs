//! The Jupyter notebook document: lossless, synchronous, no I/O.

pub mod json;
mod lines;
pub mod notebook;
pub mod quirk;
pub mod read;
mod upgrade;
pub mod write;

pub use json::{Json, Object};
pub use notebook::{Cell, CellType, Notebook};
pub use quirk::Quirk;
pub use read::{NotebookError, Parsed};

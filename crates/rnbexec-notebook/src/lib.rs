//! The Jupyter notebook document: lossless, synchronous, no I/O.

pub mod inject;
pub mod inspect;
pub mod json;
mod lines;
mod notebook;
pub mod papermill;
pub mod parameters;
mod python;
mod quirk;
mod read;
pub mod template;
pub mod translate;
mod upgrade;
mod write;

pub use json::{Json, Object};
pub use notebook::{Cell, CellType, Notebook};
pub use papermill::CellStatus;
pub use parameters::Parameters;
pub use quirk::{CellPlace, Quirk, QuirkKind};
pub use read::{NotebookError, Parsed};
pub use write::{CELL_SEPARATOR, Frame, write_cell, write_frame};

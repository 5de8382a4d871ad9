//! The Jupyter notebook document: lossless, synchronous, no I/O.
//!
//! [`Notebook::parse`] reads nbformat 1 to 4 into nbformat 4.5 and tells each [`Quirk`] of a file that is off-spec;
//! [`Notebook::to_vec`] writes, byte for byte, what Python's nbformat would write of the same content. Between the two a
//! program changes [`Cell`]s, whose every value is a [`Json`] that keeps what general JSON libraries lose.
//!
//! ```
//! use rnbexec_notebook::{Cell, Notebook};
//!
//! let bytes = br#"{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": []}"#;
//! let mut fresh_id = || "0a1b2c3d".to_owned();
//! let mut notebook = Notebook::parse(bytes, &mut fresh_id)?.notebook;
//! notebook.cells_mut().push(Cell::markdown(fresh_id(), "# Hello\nworld"));
//! assert!(notebook.to_vec().ends_with(b"\"nbformat_minor\": 5\n}"));
//! # Ok::<(), rnbexec_notebook::NotebookError>(())
//! ```
//!
//! The rest is what papermill adds to a notebook: [`parameters`] and their types, [`template`]s of paths, the translation of
//! parameters into the language of the kernel ([`translate`]), where they are injected ([`inject`]), what a notebook says of its own
//! parameters ([`inspect`]), and the record of a run in the metadata ([`papermill`]).
//!
//! Nothing here reads a file, the clock or the environment, or makes up random ids: all of that comes in.

pub mod inject;
pub mod inspect;
pub mod json;
mod lines;
mod notebook;
mod outputs;
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
pub use outputs::{Decided, Recording};
pub use papermill::CellStatus;
pub use parameters::Parameters;
pub use quirk::{CellPlace, Quirk, QuirkKind};
pub use read::{NotebookError, Parsed};
pub use write::{CELL_SEPARATOR, Frame, cell_parts, write_cell, write_frame};

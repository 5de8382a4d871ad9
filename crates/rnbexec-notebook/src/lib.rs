//! The Jupyter notebook document: lossless, synchronous, no I/O.

pub mod json;

pub use json::{Json, Object};

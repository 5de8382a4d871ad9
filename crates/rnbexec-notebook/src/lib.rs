//! The Jupyter notebook document: lossless, synchronous, no I/O.

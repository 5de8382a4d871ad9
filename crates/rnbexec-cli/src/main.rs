//! The `rnbexec` command line.

fn main() {}

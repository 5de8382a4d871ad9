//! What breaks under a program: its disk and its clock, by a library that is loaded before the C library.
//!
//! `oracle/preload.c` is compiled on first use with the C compiler that Rust's linker comes with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::oracle::{cache_dir, digest_of, workspace};

const SOURCE: &str = include_str!("../oracle/preload.c");

/// A call that fails with an input/output error on a disk that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Writing to a file.
    Write,
    /// Making what was written durable.
    Sync,
}

/// Has `call` fail for files below `folder`, once `passed` calls have passed.
pub fn break_disk(command: &mut Command, call: Call, folder: &Path, passed: usize) {
    let call = match call {
        Call::Write => "write",
        Call::Sync => "fsync",
    };
    command
        .env("LD_PRELOAD", library())
        .env("FAIL_CALL", call)
        .env("FAIL_BELOW", folder)
        .env("FAIL_AFTER", passed.to_string());
}

/// Has each look at the wall clock be off by the next of so many seconds, in turn.
pub fn jump_clock(command: &mut Command, seconds: &[i64]) {
    let jumps: Vec<String> = seconds.iter().map(i64::to_string).collect();
    command.env("LD_PRELOAD", library()).env("CLOCK_JUMPS", jumps.join(","));
}

fn library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = cache_dir().join(format!("preload-{}.so", digest_of(&[SOURCE])));
        if !path.is_file() {
            let made = path.with_extension(format!("{}.tmp", std::process::id()));
            fs::create_dir_all(cache_dir()).expect("the cache is writable");
            let out = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
                .arg(&made)
                .arg(workspace().join("tests/oracle/preload.c"))
                .arg("-ldl")
                .output()
                .unwrap_or_else(|e| panic!("the tests of broken disks and clocks need cc: {e}"));
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            fs::rename(&made, &path).expect("the cache is writable");
        }
        path
    })
}

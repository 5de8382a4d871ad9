//! The borders between the crates, as `crates/README.md` draws them.

use std::fs;
use std::path::{Path, PathBuf};

use rnbexec_tests::oracle;

/// The product's source files below `crates/<name>/src`, without unit tests in files of their own.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&oracle::workspace().join("crates").join(name).join("src"), &mut found);
    assert!(!found.is_empty(), "no sources of {name}");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a source file"))).collect()
}

/// The code of a file: what stands before its unit tests, without comments.
fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn expect_nowhere(crates: &[&str], words: &[&str], except: &[&str]) {
    for name in crates {
        for (path, text) in sources(name) {
            let excused = except.iter().any(|file| path.ends_with(file));
            let code = code(&text);
            for word in words {
                assert!(excused || !code.contains(word), "{} says {word:?}", path.display());
            }
        }
    }
}

const LIBRARIES: [&str; 5] =
    ["rnbexec-notebook", "rnbexec-kernel", "rnbexec-azure", "rnbexec", "rnbexec-manager"];

#[test]
fn the_document_does_no_io_and_has_no_async() {
    expect_nowhere(
        &["rnbexec-notebook"],
        &["tokio", "async fn", "std::fs", "std::net", "std::process", "SystemTime", "Instant::now", "Uuid"],
        &[],
    );
}

#[test]
fn libraries_read_no_environment_home_or_working_folder() {
    expect_nowhere(
        &LIBRARIES,
        &["env::var", "env::home_dir", "env::current_dir", "env::temp_dir", "env::args"],
        // The one constructor that is there to read them.
        &["rnbexec/src/services.rs"],
    );
}

#[test]
fn libraries_know_no_terminal() {
    expect_nowhere(&LIBRARIES, &["println!", "eprintln!", "is_terminal", "indicatif", "clap"], &[]);
}

#[test]
fn one_file_is_unsafe_and_says_why() {
    expect_nowhere(&LIBRARIES, &["unsafe {", "unsafe_code"], &["rnbexec-kernel/src/process/unix.rs"]);
    expect_nowhere(&["rnbexec-cli"], &["unsafe {", "unsafe_code"], &[]);
}

#[test]
fn leaves_do_not_know_each_other_and_libraries_not_the_command_line() {
    let manifest = |name: &str| {
        fs::read_to_string(oracle::workspace().join("crates").join(name).join("Cargo.toml"))
            .expect("a manifest")
    };
    for leaf in ["rnbexec-notebook", "rnbexec-kernel", "rnbexec-azure"] {
        let manifest = manifest(leaf);
        let others = LIBRARIES.iter().chain(&["rnbexec-cli"]).filter(|name| **name != leaf);
        for other in others {
            let named = manifest
                .lines()
                .any(|line| line.starts_with(&format!("{other} ")) || line.starts_with(&format!("{other}.")));
            assert!(!named, "{leaf} depends on {other}");
        }
    }
    assert!(!manifest("rnbexec").contains("rnbexec-cli") && !manifest("rnbexec").contains("rnbexec-manager"));
    assert!(!manifest("rnbexec-manager").contains("rnbexec-cli"));
}

#[test]
fn zeromq_is_spoken_in_one_file() {
    expect_nowhere(&LIBRARIES, &["zeromq::", "jeromq", "zmq::Context"], &[]);
    let speakers: Vec<PathBuf> = sources("rnbexec-kernel")
        .into_iter()
        .filter(|(_, text)| code(text).contains("b\"NULL\"") || code(text).contains("READY"))
        .map(|(path, _)| path)
        .collect();
    assert!(speakers.iter().all(|path| path.ends_with("zmq.rs")), "{speakers:?}");
}

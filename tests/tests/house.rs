//! The borders between the crates, as `crates/README.md` draws them; and that the documents name no test that is not there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use rnbexec_tests::oracle;

mod house {
    mod supply;
}

/// Every source file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The product's source files below `crates/<name>/src`, without unit tests in files of their own.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut found = rust_files(&oracle::workspace().join("crates").join(name).join("src"));
    found.retain(|path| !path.ends_with("tests.rs"));
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

/// The names of the tests in a source file.
fn tests_in(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut is_test) {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

/// The texts of a document that name tests as evidence: the last cells of tables whose last column is "shown by", and what
/// follows the sentence of an invariant.
fn evidence(document: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut in_table, mut in_invariants) = (false, false);
    for line in document.lines() {
        if let Some(row) = line.strip_prefix('|') {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
            if in_table && !cell.starts_with("---") {
                found.push(cell);
            }
            in_table |= cell == "shown by";
        } else {
            in_table = false;
            in_invariants =
                if line.starts_with("## ") { line == "## Architecture invariants" } else { in_invariants };
            if in_invariants && line.starts_with(|first: char| first.is_ascii_digit()) {
                found.push(line.rsplit("**").next().unwrap_or_default());
            }
        }
    }
    found
}

/// What stands in backquotes there is a file of tests, a crate, or a test in the files and crates that stand before it
/// (anywhere, if none does); a semicolon begins anew.
#[test]
fn every_test_that_the_documents_name_exists() {
    let root = oracle::workspace();
    let files: HashMap<PathBuf, HashSet<String>> =
        [rust_files(&root.join("tests/tests")), rust_files(&root.join("crates"))]
            .concat()
            .into_iter()
            .map(|path| (path.clone(), tests_in(&fs::read_to_string(&path).expect("a source file"))))
            .collect();
    let mut wrong = Vec::new();
    let mut named = 0;
    for document in ["README.md", "crates/README.md", "crates/rnbexec/PROMISES.md", "tests/README.md"] {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        for part in evidence(&text).into_iter().flat_map(|evidence| evidence.split(';')) {
            let mut scope: Vec<&PathBuf> = Vec::new();
            for span in part.split('`').skip(1).step_by(2) {
                if Path::new(span).extension().is_some_and(|extension| extension == "rs") {
                    // Its tests may lie in a folder of the same name beside it.
                    let beside = Path::new(span).with_extension("");
                    let before = scope.len();
                    scope.extend(files.keys().filter(|path| {
                        path.ends_with(span) || path.parent().is_some_and(|folder| folder.ends_with(&beside))
                    }));
                    if scope.len() == before {
                        wrong.push(format!("{document}: no file {span}"));
                    }
                } else if root.join("crates").join(span).is_dir() {
                    scope
                        .extend(files.keys().filter(|path| path.starts_with(root.join("crates").join(span))));
                } else if span.contains('_')
                    && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                {
                    named += 1;
                    let exists = files
                        .iter()
                        .filter(|(path, _)| scope.is_empty() || scope.contains(path))
                        .any(|(_, tests)| tests.contains(span));
                    if !exists {
                        wrong.push(format!("{document}: no test {span} where it is said to be"));
                    }
                }
            }
        }
    }
    assert!(named > 100, "the documents name tests: {named}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! The inputs from which fuzzing starts, and those that it found, through the same functions as there (`tests/fuzz`).

use std::fs;

use rnbexec_tests::oracle;

#[path = "../../fuzz/inputs/configuration.rs"]
mod configuration;
#[path = "../../fuzz/inputs/incident.rs"]
mod incident;
#[path = "../../fuzz/inputs/message.rs"]
mod message;
#[path = "../../fuzz/inputs/notebook.rs"]
mod notebook;
#[path = "../../fuzz/inputs/parameters.rs"]
mod parameters;
#[path = "../../fuzz/inputs/report.rs"]
mod report;
#[path = "../../fuzz/inputs/verdict.rs"]
mod verdict;

#[track_caller]
fn check_corpus(name: &str, check: fn(&[u8])) {
    let folder = oracle::workspace().join("tests/fuzz/corpus").join(name);
    let mut checked = 0;
    for entry in fs::read_dir(folder).expect("a corpus") {
        check(&fs::read(entry.expect("an entry").path()).expect("an input"));
        checked += 1;
    }
    assert!(checked > 0, "the corpus {name} is empty");
}

#[test]
fn notebooks_that_fuzzing_knows_are_read_written_and_shown() {
    check_corpus("notebook", notebook::check);
    check_corpus("report", report::check);
}

#[test]
fn parameters_that_fuzzing_knows_are_read_and_translated() {
    check_corpus("parameters", parameters::check);
}

#[test]
fn messages_incidents_and_verdicts_that_fuzzing_knows_are_read_or_refused() {
    check_corpus("message", message::check);
    check_corpus("incident", incident::check);
    check_corpus("verdict", verdict::check);
}

#[test]
fn configurations_that_fuzzing_knows_are_read_or_refused() {
    check_corpus("configuration", configuration::check);
}

#![no_main]

#[path = "../inputs/notebook.rs"]
mod notebook;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| notebook::check(bytes));

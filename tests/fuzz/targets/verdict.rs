#![no_main]

#[path = "../inputs/verdict.rs"]
mod verdict;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verdict::check(bytes));

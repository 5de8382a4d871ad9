#![no_main]

#[path = "../inputs/parameters.rs"]
mod parameters;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parameters::check(bytes));

#![no_main]

#[path = "../inputs/incident.rs"]
mod incident;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| incident::check(bytes));

//! Any bytes as what a storage service answers; the module is private to its crate and is taken out of it here.
#![no_main]

#[path = "../../../crates/rnbexec-azure/src/storage/xml.rs"]
#[expect(dead_code, reason = "a module of another crate")]
mod xml;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(element) = xml::Element::parse(bytes)
        && let Some(escaped) = xml::escaped(&element.text)
    {
        let again = xml::Element::parse(format!("<R>{escaped}</R>").as_bytes()).expect("we wrote it");
        assert_eq!(again.text, element.text);
    }
});

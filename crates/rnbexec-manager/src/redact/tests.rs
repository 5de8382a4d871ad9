use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redactor(known: &[&str], patterns: &[&str]) -> Redactor {
    let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Redactor::new(known.iter().copied(), &RedactSettings { patterns, well_known: true }).unwrap()
}

fn clean(redactor: &Redactor, text: &str) -> String {
    redactor.text(text).0.into_owned()
}

const SIGNATURE: &str = "u4Ev9%2BzGkLxWbXbq4pO0cJrS1e2hYtQmZ8aNd5fVw7I%3D";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJodHRwczovL21hbmFnZW1lbnQuYXp1cmUuY29tIn0.c2lnbmF0dXJlLWhlcmU";

#[test]
fn a_known_secret_is_masked_in_its_guises() {
    let redactor = redactor(&["pa/ss w\"ord&"], &[]);
    for text in [
        "pa/ss w\"ord&",
        "pa/ss w\\\"ord&",
        "pa%2Fss%20w%22ord%26",
        "pa/ss w&quot;ord&amp;",
        "cGEvc3MgdyJvcmQm",
    ] {
        assert!(clean(&redactor, text).contains(MASK), "{text}");
    }
}

#[test]
fn what_is_surely_a_secret_is_masked_wherever_it_stands() {
    let private = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----";
    for (text, expected, kind) in [
        (
            format!("https://a.blob/c?sv=2022&sig={SIGNATURE}&se=1"),
            "https://a.blob/c?sv=2022&sig=***&se=1",
            "shared access signature",
        ),
        (
            format!("\"https://a/c?x=1\\u0026sig={SIGNATURE}\""),
            "\"https://a/c?x=1\\u0026sig=***\"",
            "shared access signature",
        ),
        (format!("?x&amp;sig={SIGNATURE}"), "?x&amp;sig=***", "shared access signature"),
        (format!("AccountName=a;AccountKey={KEY};X=1"), "AccountName=a;AccountKey=***;X=1", "account key"),
        (format!("{{\"account_key\": \"{KEY}\"}}"), "{\"account_key\": \"***\"}", "account key"),
        (format!("token {TOKEN}."), "token ***", "JSON web token"),
        ("Authorization: Bearer abcdefgh12".to_owned(), "Authorization: Bearer ***", "authorization header"),
        (
            "{'Authorization': 'Basic dXNlcjpwYXNz'}".to_owned(),
            "{'Authorization': 'Basic ***'}",
            "authorization header",
        ),
        (
            "authorization: SharedKey acct:c2ln".to_owned(),
            "authorization: SharedKey ***",
            "authorization header",
        ),
        (format!("Bearer {}", "a1".repeat(20)), "Bearer ***", "bearer token"),
        (
            private.to_owned(),
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
            "private key",
        ),
        (format!("secret=abc8Q~{}", "x".repeat(34)), "secret=***", "client secret"),
    ] {
        let (masked_text, masked) = redactor(&[], &[]).text(&text).clone_parts();
        assert_eq!(masked_text, expected);
        assert_eq!(masked.kinds().collect::<Vec<_>>(), [(kind, 1)], "{text}");
        let off = Redactor::new(
            Vec::<String>::new(),
            &RedactSettings { well_known: false, ..RedactSettings::default() },
        );
        assert_eq!(off.unwrap().text(&text).0, text, "it can be switched off");
    }
}

/// So that a test can hold both.
trait Parts {
    fn clone_parts(self) -> (String, Masked);
}

impl Parts for (Cow<'_, str>, Masked) {
    fn clone_parts(self) -> (String, Masked) {
        (self.0.into_owned(), self.1)
    }
}

#[test]
fn evidence_that_looks_a_little_like_a_secret_stays() {
    for text in [
        "powershell -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA",
        "sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "http://evil.example/login?sig=abc&next=/",
        "the bearer of bad news",
        "design=sig",
        "eyJ only",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ] {
        let (same, masked) = redactor(&[], &[]).text(text).clone_parts();
        assert_eq!((same.as_str(), masked.total()), (text, 0));
    }
}

#[test]
fn patterns_of_the_settings_mask_what_they_match_or_their_group() {
    let redactor = redactor(&[], &[r"EMP-\d{4}", r"pin[:=](?<secret>\d+)"]);
    let (text, masked) = redactor.text("EMP-1234, pin=987 and pin:1").clone_parts();
    assert_eq!(text, "***, pin=*** and pin:***");
    assert_eq!(masked.to_string(), "configured pattern (3)");
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    let refused = |pattern: &str| {
        let settings = RedactSettings { patterns: vec![pattern.to_owned()], ..RedactSettings::default() };
        Redactor::new(Vec::<String>::new(), &settings).unwrap_err().to_string()
    };
    assert_eq!(refused("("), "the pattern \"(\" is no regular expression");
    assert_eq!(refused("x*"), "the pattern \"x*\" matches the empty text");
    assert_eq!(refused(r"(\w{1000}){1000}"), "the pattern \"(\\\\w{1000}){1000}\" is no regular expression");
}

/// A notebook with a secret in every place that one has.
fn full_of(secret: &str) -> Notebook {
    let json = json!({
        "nbformat": 4, "nbformat_minor": 5, "unknown": secret,
        "metadata": {"papermill": {"parameters": {"password": secret}}, (secret): 1, "kernelspec": {"name": "python3"}},
        "cells": [
            {"cell_type": "markdown", "id": "m", "metadata": {}, "source": ["# ", secret],
             "attachments": {"x.txt": {"text/plain": secret}}},
            {"cell_type": "code", "id": "c", "metadata": {"tags": [secret], "n": {"o": [secret]}}, "source": format!("x = '{secret}'\n"),
             "execution_count": 1, "outputs": [
                {"output_type": "stream", "name": "stdout", "text": [format!("a {secret}\n"), "b"]},
                {"output_type": "display_data", "metadata": {"k": secret}, "data": {
                    "text/html": format!("<b>{secret}</b>"), "text/plain": [secret],
                    "application/json": {"deep": [{(secret): [secret, 1, null]}]},
                }},
                {"output_type": "error", "ename": secret, "evalue": secret, "traceback": ["x", secret]},
            ]},
        ],
    });
    Notebook::parse(json.to_string().as_bytes(), &mut || "fresh".to_owned()).unwrap().notebook
}

#[test]
fn nothing_of_a_notebook_keeps_a_secret_and_its_form_stays() {
    for secret in ["hunter2", "stream", "code", "text"] {
        let mut notebook = full_of(secret);
        let masked = redactor(&[secret], &[]).notebook(&mut notebook);
        let written = notebook.to_vec();
        let text = String::from_utf8(written.clone()).unwrap();
        if secret == "hunter2" {
            assert!(!text.contains(secret), "{text}");
            assert_eq!(masked.to_string(), "known secret (17)");
        }
        let again = Notebook::parse(&written, &mut || "fresh".to_owned()).unwrap().notebook;
        assert_eq!(again.cells().len(), 2);
        assert_eq!(again.cells()[1].outputs().len(), 3);
        assert_eq!(again.cells()[1].outputs()[0].get("output_type").unwrap().as_str(), Some("stream"));
    }
}

#[test]
fn a_notebook_without_secrets_stays_as_it_is() {
    let mut notebook = full_of("nothing");
    let before = notebook.to_vec();
    let masked = redactor(&["hunter2"], &["EMP-[0-9]+"]).notebook(&mut notebook);
    assert_eq!(notebook.to_vec(), before);
    assert_eq!((masked.is_empty(), masked.to_string().as_str()), (true, "nothing"));
}

#[test]
fn a_secret_that_goes_over_lines_or_colours_is_masked() {
    let secret = "line one\nline two";
    let json = json!({
        "nbformat": 4, "nbformat_minor": 5, "metadata": {"lines": ["x line one\n", "line two y"]},
        "cells": [{"cell_type": "code", "id": "c", "metadata": {}, "source": "", "execution_count": 1, "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["x line one\n", "line two y\n"]},
            {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["\u{1b}[31mline \u{1b}[0mone\n\u{1b}[1;32mline two"]},
        ]}],
    });
    let mut notebook =
        Notebook::parse(json.to_string().as_bytes(), &mut || "fresh".to_owned()).unwrap().notebook;
    let masked = redactor(&[secret], &[]).notebook(&mut notebook);
    assert_eq!(masked.total(), 3);
    let written = String::from_utf8(notebook.to_vec()).unwrap();
    assert!(!written.contains("line two"), "{written}");
    assert!(written.contains("x *** y"), "{written}");
}

#[test]
fn colours_stay_where_they_hide_nothing() {
    let coloured = "\u{1b}[31mred\u{1b}[0m hunter2";
    assert_eq!(clean(&redactor(&["hunter2"], &[]), coloured), "\u{1b}[31mred\u{1b}[0m ***");
}

#[test]
fn verdicts_and_json_values_are_cleaned_too() {
    let redactor = redactor(&["hunter2"], &[]);
    let mut value = json!({
        "severity": "High", "title": "hunter2", "summary": "is **hunter2**", "labels": ["hunter2"], "classification": "TruePositive",
        "classification_comment": "hunter2", "tasks": [{"title": "hunter2", "description": "hunter2"}],
        "evidence": [{"kind": "hunter2", "entity": "hunter2", "reason": "hunter2", "source": "hunter2", "technique": "hunter2"}],
    });
    let mut verdict = Verdict::parse(&value).unwrap();
    assert_eq!(redactor.verdict(&mut verdict).total(), 11);
    assert!(!Value::from(verdict).to_string().contains("hunter2"));
    value["hunter2"] = json!(1);
    assert_eq!(redactor.value(&mut value).total(), 12);
    assert!(!value.to_string().contains("hunter2"));
}

#[test]
fn neither_the_redactor_nor_its_count_shows_a_secret() {
    let redactor = redactor(&["hunter2"], &["EMP-[0-9]+"]);
    let (_, masked) = redactor.text("hunter2 EMP-1");
    assert_eq!(masked.to_string(), "configured pattern (1), known secret (1)");
    assert!(!format!("{redactor:?} {masked:?}").contains("hunter2"));
}

#[test]
fn each_well_known_pattern_is_one() {
    assert_eq!(patterns::well_known().count(), 7);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_keeps_a_secret_and_none_panics(
        secret in "[!-~]{6,20}",
        before in "[ -~\n\u{1b}é]{0,20}",
        after in "[ -~\n\u{1b}é]{0,20}",
    ) {
        let redactor = redactor(&[&secret], &[]);
        let clean = clean(&redactor, &format!("{before}{secret}{after}"));
        // What was masked may by chance spell the secret anew with its surroundings only if the secret holds the mask.
        prop_assert!(secret.contains('*') || !clean.contains(&secret));
    }
}

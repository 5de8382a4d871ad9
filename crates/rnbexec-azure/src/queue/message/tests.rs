use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const GUID: &str = "73e01a99-5cd7-4139-a149-9f2736ff2ab5";
const ARM_ID: &str = "/subscriptions/d0cfe6b2-9ac0-4464-9919-dccaee2e48c0/resourceGroups/myRg/providers/\
                      Microsoft.OperationalInsights/workspaces/myWorkspace/providers/Microsoft.SecurityInsights/\
                      Incidents/73e01a99-5cd7-4139-a149-9f2736ff2ab5";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[track_caller]
fn means(text: &str, expected: &str) {
    assert_eq!(IncidentMessage::parse(text).ok(), IncidentRef::parse(expected).ok(), "{text}");
    assert!(IncidentRef::parse(expected).is_ok());
}

#[test]
fn an_incident_alone_is_read() {
    for incident in [GUID, ARM_ID, "116294"] {
        means(incident, incident);
        means(&format!(" \u{feff}{incident}\r\n\0"), incident);
        means(&format!("\"{incident}\""), incident);
    }
}

#[test]
fn a_portal_url_is_read() {
    let url = format!("https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident{ARM_ID}");
    means(&url, &url);
    means(&BASE64_STANDARD.encode(&url), &url);
}

#[test]
fn json_is_read_whatever_the_case_of_its_keys() {
    for (json, expected) in [
        (format!(r#"{{"id": "{ARM_ID}"}}"#), ARM_ID),
        (format!(r#"{{"incidentArmId": "{ARM_ID}", "id": "x"}}"#), ARM_ID),
        (format!(r#"{{"IncidentArmId": "{ARM_ID}"}}"#), ARM_ID),
        (format!(r#"{{"ID": "{GUID}"}}"#), GUID),
        (format!(r#"{{"eventId": "{GUID}", "object": {{"id": "{ARM_ID}", "properties": {{}}}}}}"#), ARM_ID),
        (
            format!(r#"{{"Object": {{"Id": " {GUID} "}}, "id": "73e01a99-0000-4139-a149-9f2736ff2ab5"}}"#),
            GUID,
        ),
        (r#"{"id": 116294}"#.to_owned(), "116294"),
        (serde_json::to_string(&format!(r#"{{"id": "{ARM_ID}"}}"#)).unwrap(), ARM_ID),
    ] {
        means(&json, expected);
        means(&BASE64_STANDARD.encode(&json), expected);
    }
}

#[test]
fn base64_of_any_kind_is_read() {
    for text in [ARM_ID, GUID, &format!(r#"{{"incidentArmId": "{ARM_ID}"}}"#)] {
        let expected = if text == GUID { GUID } else { ARM_ID };
        for bytes in [
            text.as_bytes().to_vec(),
            utf16(text),
            utf16(&format!("\u{feff}{text}")),
            format!("\u{feff}{text}\n").into_bytes(),
        ] {
            for encoded in [
                BASE64_STANDARD.encode(&bytes),
                BASE64_STANDARD_NO_PAD.encode(&bytes),
                BASE64_URL_SAFE.encode(&bytes),
                BASE64_URL_SAFE_NO_PAD.encode(&bytes),
            ] {
                means(&encoded, expected);
                means(&format!(" {encoded}\n"), expected);
                means(&format!("\"{encoded}\""), expected);
                means(&BASE64_STANDARD.encode(&encoded), expected);
            }
        }
    }
    let wrapped = BASE64_STANDARD.encode(ARM_ID);
    means(&format!("{}\r\n{}", &wrapped[..76], &wrapped[76..]), ARM_ID);
}

#[test]
fn a_name_that_is_no_guid_is_read_where_it_is_nothing_else() {
    let arm_id = ARM_ID.replace(GUID, "incident");
    for (text, expected) in [
        ("inc-0001", "inc-0001"),
        (r#"{"id": "incident"}"#, "incident"),
        (&arm_id, &arm_id),
        (&BASE64_STANDARD.encode(&arm_id), &arm_id),
    ] {
        means(text, expected);
    }
}

#[test]
fn what_means_no_incident_is_refused() {
    let thrice = (0..3).fold(ARM_ID.to_owned(), |text, _| BASE64_STANDARD.encode(text));
    for text in [
        "",
        "   ",
        "hello",
        "{}",
        "[]",
        "null",
        "true",
        r#"{"name": "x"}"#,
        r#"{"id": null}"#,
        r#"{"id": ["73e01a99-5cd7-4139-a149-9f2736ff2ab5"]}"#,
        r#"{"id": -1}"#,
        r#"{"id": 1.5}"#,
        "{\"id\": ",
        "/subscriptions/x",
        "SGVsbG8sIHdvcmxkIDE",
        "../../etc/passwd",
        "73e01a99-5cd7-4139-a149-9f2736ff2ab5/../x",
        &thrice,
        &"[".repeat(100_000),
        &format!("{{\"id\": {}", "[".repeat(100_000)),
    ] {
        assert!(IncidentMessage::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_refusal_says_what_is_taken_and_shows_the_beginning() {
    let hostile = format!("\u{1b}[2J\u{202e}evil\n{}", "x".repeat(500));
    let error = IncidentMessage::parse(&hostile).unwrap_err().to_string();
    assert!(error.contains("ARM id") && error.contains("base64"), "{error}");
    assert!(error.contains("\u{fffd}[2J\u{fffd}evil\u{fffd}xxx"), "{error}");
    assert!(!error.contains(['\u{1b}', '\u{202e}', '\n']) && error.chars().count() < 300, "{error}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes);
        IncidentMessage::parse(&text).ok();
        IncidentMessage::parse(&BASE64_STANDARD.encode(&bytes)).ok();
    }

    #[test]
    fn a_number_is_read_however_it_is_encoded(number: u64) {
        let plain = IncidentRef::parse(&number.to_string()).ok();
        prop_assert_eq!(IncidentMessage::parse(&BASE64_STANDARD.encode(number.to_string())).ok(), plain);
    }
}

use proptest::prelude::*;

use super::*;

const ANSWER: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList>\
    <QueueMessage><MessageId>5974b586-0df3-4e2d-ad0c-18e3892bfca2</MessageId>\
    <InsertionTime>Fri, 09 Oct 2009 21:04:30 GMT</InsertionTime><ExpirationTime>Fri, 16 Oct 2009 21:04:30 GMT</ExpirationTime>\
    <PopReceipt>YzQ4Yzg1MDItYTc0Ny00OWNjLTkxYTUtZGM0MDFiZDAwYzEw+/=</PopReceipt>\
    <TimeNextVisible>Fri, 09 Oct 2009 23:29:20 GMT</TimeNextVisible><DequeueCount>3</DequeueCount>\
    <MessageText> {&quot;id&quot;: &quot;a&amp;b&#x1;&quot;}\t</MessageText></QueueMessage>\
    <QueueMessage><MessageId>2</MessageId><PopReceipt>r</PopReceipt><DequeueCount>1</DequeueCount>\
    <MessageText/></QueueMessage></QueueMessagesList>";

#[test]
fn an_answer_is_read_exactly() {
    let messages = messages(ANSWER.as_bytes()).unwrap();
    let [first, second] = messages.as_slice() else { panic!("two messages") };
    assert_eq!(first.id, "5974b586-0df3-4e2d-ad0c-18e3892bfca2");
    assert_eq!(first.pop_receipt, "YzQ4Yzg1MDItYTc0Ny00OWNjLTkxYTUtZGM0MDFiZDAwYzEw+/=");
    assert_eq!(first.dequeue_count, 3);
    assert_eq!(first.text, " {\"id\": \"a&b\u{1}\"}\t");
    assert_eq!(first.inserted.unwrap().to_string(), "2009-10-09T21:04:30Z");
    assert_eq!((second.text.as_str(), second.inserted), ("", None));
}

#[test]
fn a_message_that_nobody_could_delete_is_an_error() {
    for field in ["MessageId", "PopReceipt", "DequeueCount"] {
        let answer = ANSWER.replace(field, "Other");
        let error = messages(answer.as_bytes()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(field), "{source}");
    }
    assert!(messages(b"{}").is_err());
}

#[test]
fn the_proof_of_a_lease_shows_in_no_debug() {
    let messages = messages(ANSWER.as_bytes()).unwrap();
    assert!(!format!("{messages:?}").contains("YzQ4"));
}

#[test]
fn a_queue_has_a_name_that_the_service_takes() {
    for name in ["abc", "incidents", "a-b-3", &"q".repeat(63)] {
        assert!(QueueName::parse(name).is_ok(), "{name}");
    }
    for name in ["", "ab", "Incidents", "-abc", "abc-", "a--b", "a/b", "a_b", "a.b", &"q".repeat(64)] {
        assert!(QueueName::parse(name).is_err(), "{name}");
    }
}

#[test]
fn times_are_what_the_service_takes() {
    assert_eq!(whole_seconds(Duration::from_millis(2900)), 2);
    assert_eq!(whole_seconds(Duration::MAX), 604_800);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        messages(&bytes).ok();
    }
}

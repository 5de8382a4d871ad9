use proptest::prelude::*;

use super::*;
use crate::notebook::Cell;
use crate::{cell_parts, write_cell};

/// What a kernel sends, in short.
#[derive(Clone, Debug)]
enum Sent {
    Text(&'static str, String),
    Output(Json),
    /// A new value for the output at about that place.
    Update(usize, String),
    Clear,
    /// The cell is saved, keeping back that many bytes of a stream.
    Settle(usize),
}

fn stream(name: &str, text: &str) -> Object {
    let members = [("output_type", "stream"), ("name", name), ("text", text)];
    members.into_iter().map(|(key, value)| (key.to_owned(), Json::from(value))).collect()
}

fn display(text: &str) -> Json {
    let data = Json::from_iter([("text/plain", text), ("image/png", "iVBORw0K")]);
    Json::from_iter([
        ("output_type", "display_data".into()),
        ("metadata", Json::Object(Object::new())),
        ("data", data),
    ])
}

fn error() -> Json {
    Json::from_iter([("output_type", "error"), ("ename", "E"), ("evalue", "a\nb")])
}

/// Joins as the recorder did when outputs were values.
fn push_plainly(outputs: &mut Vec<Json>, output: Object) {
    let same = |last: &Json| last.get("name").is_some() && last.get("name") == output.get("name");
    if let Some(last) = outputs.last_mut().filter(|last| same(last))
        && let (Some(Json::String(text)), Some(Json::String(more))) =
            (last.get_mut("text"), output.get("text"))
    {
        text.push_str(more);
        return;
    }
    outputs.push(Json::Object(output));
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = || "[ab\"\\\\\r\n\u{85}\u{2028}é😀\u{1}]{0,12}";
    prop_oneof![
        6 => (prop_oneof![3 => Just("stdout"), 1 => Just("stderr")], text())
            .prop_map(|(name, text)| Sent::Text(name, text)),
        2 => text().prop_map(|text| Sent::Output(display(&text))),
        1 => Just(Sent::Output(error())),
        1 => (0_usize..8, text()).prop_map(|(place, text)| Sent::Update(place, text)),
        1 => Just(Sent::Clear),
        4 => (0_usize..6).prop_map(Sent::Settle),
    ]
}

proptest! {
    #[test]
    fn a_recording_is_written_and_read_as_its_values_are(all in prop::collection::vec(sent(), 0..24)) {
        let mut recorded = Cell::code("id", "source");
        let mut plain = recorded.clone();
        for sent in all {
            match sent {
                Sent::Text(name, text) => {
                    recorded.record().push(stream(name, &text), text.len());
                    push_plainly(plain.outputs_mut(), stream(name, &text));
                }
                Sent::Output(output) => {
                    recorded.record().push(output.as_object().unwrap().clone(), 9);
                    plain.outputs_mut().push(output);
                }
                Sent::Update(place, text) => {
                    let is_display = |output: &&mut Json| output.get("data").is_some();
                    if let Some(output) = plain.outputs_mut().get_mut(place).filter(|output| is_display(output)) {
                        *output = display(&text);
                        *recorded.record().get_mut(place, 9).unwrap() = display(&text);
                    }
                }
                Sent::Clear => {
                    recorded.record().clear();
                    plain.outputs_mut().clear();
                }
                Sent::Settle(kept) => recorded.record().settle(&|text| first(text.floor_char_boundary(text.len().saturating_sub(kept))), &mut |_| {}),
            }
            prop_assert_eq!(text(write_cell(&recorded)), text(write_cell(&plain)));
        }
        prop_assert_eq!(text(cell_parts(&recorded).concat()), text(write_cell(&plain)));
        prop_assert_eq!(&recorded, &plain);
        prop_assert_eq!(recorded.errors().count(), plain.errors().count());
        let len = plain.outputs().len();
        prop_assert_eq!(recorded.record().len(), len);
        prop_assert_eq!(recorded.outputs_mut(), plain.outputs_mut());
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn first(end: usize) -> Decided {
    Decided { end, instead: None }
}

#[test]
fn a_stream_is_in_pieces_when_others_are_between() {
    let mut cell = Cell::code("id", "");
    for (name, is_cut) in [("stdout", false), ("stdout", false), ("stderr", false), ("stdout", true)] {
        cell.record().push(stream(name, "x"), 1);
        cell.record().settle(&|text| first(text.len()), &mut |_| {});
        assert_eq!(cell.record().has_streams_in_pieces(), is_cut, "{name}");
    }
    cell.record().clear();
    assert!(!cell.record().has_streams_in_pieces());
    let outputs = ["stdout", "stderr", "stdout"].map(|name| Json::Object(stream(name, "x")));
    assert!(Recording::of(outputs.to_vec()).has_streams_in_pieces());
}

#[test]
fn what_is_settled_is_not_written_again() {
    let mut cell = Cell::code("id", "");
    cell.record().push(stream("stdout", "one\ntw"), 6);
    cell.record().settle(&|text| first(text.len()), &mut |_| {});
    cell.record().push(stream("stdout", "o\n"), 2);
    cell.record().push(display("x").as_object().unwrap().clone(), 1);
    cell.record().settle(&|text| first(text.len()), &mut |_| {});
    assert_eq!(cell.record().pending(), 0);
    let places = |cell: &Cell| -> Vec<_> {
        let parts = cell.recording().map(Recording::parts).unwrap_or_default();
        parts.iter().map(|part| part.as_ptr()).collect()
    };
    let before = places(&cell);
    cell.record().settle(&|text| first(text.len()), &mut |_| panic!("nothing is left to look at"));
    assert_eq!(places(&cell), before);
}

#[test]
fn what_may_be_half_a_secret_is_seen_again_with_what_follows() {
    let mut cell = Cell::code("id", "");
    for text in ["a secret, a sec", "ret, a s", "ecret"] {
        cell.record().push(stream("stdout", text), text.len());
        let begins = |text: &str| {
            (0..text.len()).find(|&at| text[at..] != *"secret" && "secret".starts_with(&text[at..]))
        };
        let decide = |text: &str| {
            let end = begins(text).unwrap_or(text.len());
            Decided { end, instead: Some(text[..end].replace("secret", "***")) }
        };
        cell.record().settle(&decide, &mut |_| {});
        let held = cell.record().hold_back();
        let all = text_of(&cell);
        assert!(!all.contains("sec") && "secret".starts_with(&held), "{all}, {held}");
        cell.record().give_back(held);
    }
    assert_eq!(text_of(&cell), "a ***, a ***, a ***");
}

fn text_of(cell: &Cell) -> String {
    cell.outputs()[0].get("text").and_then(Json::as_str).unwrap_or_default().to_owned()
}

use bytes::Bytes;
use rnbexec_kernel::{Header, Message};
use rnbexec_notebook::{Json, Notebook};

use proptest::prelude::*;

use super::*;

const DATE: &str = "2026-01-02T03:04:05.000006Z";

/// A notebook of `n` code cells and a recorder that has begun all of them as requests `r0`, `r1`, ….
struct Fixture {
    recorder: Recorder,
    notebook: Notebook,
}

impl Fixture {
    fn new(cells: usize) -> Self {
        let cell = r#"{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],"source":"x"}"#;
        let text = format!(
            r#"{{"cells":[{}],"metadata":{{}},"nbformat":4,"nbformat_minor":4}}"#,
            vec![cell; cells].join(",")
        );
        let mut ids = 0;
        let parsed = Notebook::parse(text.as_bytes(), &mut || {
            ids += 1;
            format!("id{ids}")
        });
        let mut notebook = parsed.expect("a valid notebook").notebook;
        let mut recorder = Recorder::default();
        for (index, cell) in notebook.cells_mut().iter_mut().enumerate() {
            recorder.begin_cell(&format!("r{index}"), index, cell);
        }
        Self { recorder, notebook }
    }

    fn send(&mut self, request: &str, msg_type: &str, content: &str) -> Applied {
        self.send_with_buffers(request, msg_type, content, Vec::new())
    }

    fn send_with_buffers(
        &mut self,
        request: &str,
        msg_type: &str,
        content: &str,
        buffers: Vec<Bytes>,
    ) -> Applied {
        let message = Message {
            header: Header {
                msg_id: "m".into(),
                msg_type: msg_type.into(),
                session: "s".into(),
                username: "u".into(),
                date: DATE.into(),
                version: "5.3".into(),
            },
            parent_msg_id: Some(request.into()),
            content: Bytes::copy_from_slice(content.as_bytes()),
            metadata: Bytes::from_static(b"{}"),
            buffers,
        };
        self.recorder.apply(message, DATE, &mut self.notebook, &mut |_, _| {})
    }

    /// The outputs of a cell as compact JSON.
    fn outputs(&self, cell: usize) -> String {
        Json::Array(self.notebook.cells()[cell].outputs().to_vec()).to_compact()
    }

    fn stream(&mut self, request: &str, name: &str, text: &str) {
        let text = Json::from(text).to_compact();
        self.send(request, "stream", &format!(r#"{{"name":"{name}","text":{text}}}"#));
    }
}

#[test]
fn consecutive_messages_of_one_stream_become_one_output() {
    let mut fixture = Fixture::new(1);
    fixture.stream("r0", "stdout", "a");
    fixture.stream("r0", "stdout", "b\n");
    fixture.stream("r0", "stderr", "e");
    fixture.stream("r0", "stdout", "c");
    assert_eq!(
        fixture.outputs(0),
        concat!(
            r#"[{"output_type":"stream","name":"stdout","text":"ab\n"},"#,
            r#"{"output_type":"stream","name":"stderr","text":"e"},"#,
            r#"{"output_type":"stream","name":"stdout","text":"c"}]"#
        )
    );
}

#[test]
fn an_update_reaches_every_output_with_the_display_id_in_every_cell() {
    let mut fixture = Fixture::new(2);
    let display = r#"{"data":{"text/plain":"old"},"metadata":{},"transient":{"display_id":"d"}}"#;
    fixture.send("r0", "display_data", display);
    fixture.send("r1", "display_data", display);
    let applied = fixture.send(
        "r1",
        "update_display_data",
        r#"{"data":{"text/plain":"new"},"metadata":{"k":1},"transient":{"display_id":"d"}}"#,
    );
    let expected = r#"[{"output_type":"display_data","data":{"text/plain":"new"},"metadata":{"k":1}}]"#;
    assert_eq!(fixture.outputs(0), expected);
    assert_eq!(fixture.outputs(1), expected);
    assert_eq!(applied.touched.into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_unknown_display_id_is_ignored_and_null_transient_is_harmless() {
    let mut fixture = Fixture::new(1);
    fixture.send(
        "r0",
        "update_display_data",
        r#"{"data":{},"metadata":{},"transient":{"display_id":"none"}}"#,
    );
    fixture.send("r0", "display_data", r#"{"data":{"text/plain":"x"},"metadata":{},"transient":null}"#);
    assert_eq!(
        fixture.outputs(0),
        r#"[{"output_type":"display_data","data":{"text/plain":"x"},"metadata":{}}]"#
    );
}

#[test]
fn clear_output_clears_at_once_and_forgets_the_display_ids_of_the_cell() {
    let mut fixture = Fixture::new(1);
    fixture.send("r0", "display_data", r#"{"data":{"a":1},"metadata":{},"transient":{"display_id":"d"}}"#);
    fixture.send("r0", "clear_output", r#"{"wait":false}"#);
    assert_eq!(fixture.outputs(0), "[]");
    fixture.stream("r0", "stdout", "kept");
    fixture.send(
        "r0",
        "update_display_data",
        r#"{"data":{"a":2},"metadata":{},"transient":{"display_id":"d"}}"#,
    );
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"kept"}]"#);
}

#[test]
fn clear_output_with_wait_clears_on_the_next_output_only() {
    let mut fixture = Fixture::new(1);
    fixture.stream("r0", "stdout", "one");
    fixture.send("r0", "clear_output", r#"{"wait":true}"#);
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"one"}]"#);
    fixture.stream("r0", "stdout", "two");
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"two"}]"#);
}

#[test]
fn a_late_output_reaches_the_cell_that_caused_it() {
    let mut fixture = Fixture::new(2);
    fixture.stream("r1", "stdout", "second");
    let applied = {
        let text = r#"{"name":"stdout","text":"late"}"#;
        fixture.send("r0", "stream", text)
    };
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"late"}]"#);
    assert!(applied.touched.contains(&0));
}

#[test]
fn messages_of_strangers_change_nothing() {
    let mut fixture = Fixture::new(1);
    let before = fixture.notebook.to_vec();
    fixture.stream("somebody else", "stdout", "x");
    assert_eq!(fixture.notebook.to_vec(), before);
}

#[test]
fn content_that_is_not_json_is_reported_and_ignored() {
    let mut fixture = Fixture::new(1);
    assert!(fixture.send("r0", "stream", "{").warning.is_some());
    assert!(fixture.send("r0", "stream", "[]").warning.is_some());
    assert_eq!(fixture.outputs(0), "[]");
}

#[test]
fn timing_is_taken_from_the_messages() {
    let mut fixture = Fixture::new(1);
    fixture.send("r0", "status", r#"{"execution_state":"busy"}"#);
    fixture.send("r0", "execute_input", r#"{"code":"x","execution_count":7}"#);
    fixture.send("r0", "status", r#"{"execution_state":"idle"}"#);
    let cell = &fixture.notebook.cells()[0];
    assert_eq!(cell.execution_count(), Some(7));
    let timing = cell.metadata().get("execution").expect("timing");
    for key in ["iopub.status.busy", "iopub.execute_input", "iopub.status.idle"] {
        assert_eq!(timing.get(key).and_then(Json::as_str), Some(DATE), "{key}");
    }
}

#[test]
fn the_output_widget_takes_outputs_from_the_cell_and_tells_the_kernel() {
    let mut fixture = Fixture::new(1);
    fixture.send(
        "r0",
        "comm_open",
        r#"{"comm_id":"w","target_name":"jupyter.widget","data":{"state":{"_model_name":"OutputModel","_model_module":"@jupyter-widgets/output","_model_module_version":"1.0.0","outputs":[],"msg_id":""}}}"#,
    );
    fixture.send("r0", "comm_msg", r#"{"comm_id":"w","data":{"method":"update","state":{"msg_id":"r0"}}}"#);
    let applied = fixture.send("r0", "stream", r#"{"name":"stdout","text":"inside"}"#);
    assert_eq!(fixture.outputs(0), "[]");
    assert_eq!(
        applied.to_kernel[0].to_compact(),
        r#"{"data":{"method":"update","state":{"outputs":[{"output_type":"stream","name":"stdout","text":"inside"}]},"buffer_paths":[]},"comm_id":"w"}"#
    );
    fixture.send("r0", "comm_msg", r#"{"comm_id":"w","data":{"method":"update","state":{"msg_id":""}}}"#);
    fixture.stream("r0", "stdout", "outside");
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"outside"}]"#);
    let widgets = fixture.recorder.widget_metadata().expect("widget state").to_compact();
    assert!(widgets.contains(r#""model_name":"OutputModel""#), "{widgets}");
    assert!(widgets.contains("inside"), "{widgets}");
}

#[test]
fn binary_widget_state_is_kept_as_base64_by_its_path() {
    let mut fixture = Fixture::new(1);
    fixture.send_with_buffers(
        "r0",
        "comm_open",
        r#"{"comm_id":"w","target_name":"jupyter.widget","data":{"state":{"_model_name":"ImageModel"},"buffer_paths":[["value"]]}}"#,
        vec![Bytes::from_static(b"png")],
    );
    let widgets = fixture.recorder.widget_metadata().expect("widget state").to_compact();
    assert!(
        widgets.contains(r#""buffers":[{"data":"cG5n","encoding":"base64","path":["value"]}]"#),
        "{widgets}"
    );
}

#[test]
fn what_threads_print_while_no_cell_runs_goes_to_the_cell_before_and_nothing_else_does() {
    let mut fixture = Fixture::new(1);
    fixture.recorder.begin_silent("secrets");
    fixture.stream("secrets", "stdout", "from a thread");
    fixture.send("secrets", "error", r#"{"ename":"E","evalue":"","traceback":[]}"#);
    fixture.send("secrets", "execute_input", r#"{"code":"token = 1","execution_count":7}"#);
    assert_eq!(fixture.outputs(0), r#"[{"output_type":"stream","name":"stdout","text":"from a thread"}]"#);
    let mut first = Recorder::default();
    first.begin_silent("secrets");
    assert!(first.silent.is_empty(), "before the first cell there is none to give it to");
}

/// Merges sequences into one, each in its own order: `turns` says whose turn it is.
fn interleaved<T: Clone>(sequences: &[Vec<T>], turns: &[usize]) -> Vec<T> {
    let mut rest: Vec<&[T]> = sequences.iter().map(Vec::as_slice).collect();
    let mut merged = Vec::new();
    for turn in turns.iter().copied().chain(0..) {
        rest.retain(|sequence| !sequence.is_empty());
        let Some(count) = std::num::NonZero::new(rest.len()) else { return merged };
        let chosen = &mut rest[turn % count];
        merged.push(chosen[0].clone());
        *chosen = &chosen[1..];
    }
    merged
}

/// Types and contents of messages.
type Sent = Vec<(String, String)>;

fn parts(name: &'static str) -> impl Strategy<Value = Sent> {
    let content = move |text: String| match name {
        "display" => {
            ("display_data".to_owned(), format!(r#"{{"data":{{"text/plain":"{text}"}},"metadata":{{}}}}"#))
        }
        _ => ("stream".to_owned(), format!(r#"{{"name":"{name}","text":"{text}"}}"#)),
    };
    proptest::collection::vec("([a-z]|\\\\n|\\\\r){1,6}".prop_map(content), 0..6)
}

proptest! {
    #[test]
    fn the_streams_and_displays_of_a_cell_are_the_same_in_any_order_among_each_other(
        sequences in (parts("stdout"), parts("stderr"), parts("display")),
        turns in proptest::collection::vec(0..6_usize, 0..20),
    ) {
        let (out, err, shown) = sequences;
        let outputs = |messages: &Sent| {
            let mut fixture = Fixture::new(1);
            for (msg_type, content) in messages {
                fixture.send("r0", msg_type, content);
            }
            // A stream that another output interrupts goes on in an output of its own: what is said stays the same.
            let mut said = std::collections::BTreeMap::<String, String>::new();
            let outputs: Vec<serde_json::Value> = serde_json::from_str(&fixture.outputs(0)).unwrap();
            for output in outputs {
                let name = output["name"].as_str().unwrap_or("display").to_owned();
                let text = output["text"].as_str().map_or_else(|| output["data"].to_string(), str::to_owned);
                said.entry(name).or_default().push_str(&text);
            }
            said
        };
        let one_by_one = [out.clone(), err.clone(), shown.clone()].concat();
        prop_assert_eq!(outputs(&interleaved(&[out, err, shown], &turns)), outputs(&one_by_one));
    }

    #[test]
    fn the_messages_of_several_cells_may_come_in_any_order_among_each_other(
        cells in proptest::collection::vec((parts("stdout"), parts("display")), 3),
        turns in proptest::collection::vec(0..6_usize, 0..30),
    ) {
        let of_cell = |index: usize, (out, shown): &(Sent, Sent)| {
            out.iter().chain(shown).map(|message| (index, message.clone())).collect::<Vec<_>>()
        };
        let sequences: Vec<_> = cells.iter().enumerate().map(|(index, cell)| of_cell(index, cell)).collect();
        let outputs = |messages: &[(usize, (String, String))]| {
            let mut fixture = Fixture::new(3);
            for (index, (msg_type, content)) in messages {
                fixture.send(&format!("r{index}"), msg_type, content);
            }
            (0..3).map(|index| fixture.outputs(index)).collect::<Vec<_>>()
        };
        prop_assert_eq!(outputs(&interleaved(&sequences, &turns)), outputs(&sequences.concat()));
    }
}

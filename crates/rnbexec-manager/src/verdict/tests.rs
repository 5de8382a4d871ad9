use proptest::prelude::*;
use rnbexec_notebook::Notebook;
use serde_json::json;

use super::*;

fn whole() -> Value {
    json!({
        "version": 1, "severity": "High", "confidence": 0.75, "title": "One line", "summary": "**Some** lines\nof it",
        "classification": "FalsePositive", "classification_reason": "InaccurateData", "classification_comment": "Stale data",
        "labels": ["T1003"], "tasks": [{"title": "Look", "description": "there"}, {"title": "Think"}],
        "evidence": [
            {"kind": "ip", "entity": "203.0.113.7", "severity": "High", "reason": "known", "source": "TI", "technique": "T1071"},
            {"entity": "host"},
        ],
    })
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

fn problem(value: &Value) -> String {
    Verdict::parse(value).unwrap_err().to_string()
}

#[test]
fn only_the_severity_is_required() {
    assert_eq!(Verdict::parse(&json!({"severity": "high"})), Ok(Verdict::new(Severity::High)));
    assert_eq!(problem(&json!({})), "severity: missing");
}

#[test]
fn every_key_is_read() {
    let verdict = Verdict::parse(&whole()).unwrap();
    assert_eq!(verdict.severity, Severity::High);
    assert_eq!(verdict.confidence, Some(0.75));
    assert_eq!(verdict.title.as_deref(), Some("One line"));
    assert_eq!(verdict.summary.as_deref(), Some("**Some** lines\nof it"));
    let classification = Classification {
        class: Class::FalsePositive,
        reason: Some(Reason::InaccurateData),
        comment: Some("Stale data".to_owned()),
    };
    assert_eq!(verdict.classification, Some(classification));
    assert_eq!(verdict.labels, ["T1003"]);
    assert_eq!(verdict.tasks.len(), 2);
    assert_eq!(verdict.tasks[0], Task { title: "Look".to_owned(), description: "there".to_owned() });
    assert_eq!(verdict.evidence[0].severity, Some(Severity::High));
    assert_eq!(verdict.evidence[1].entity, "host");
}

#[test]
fn a_verdict_is_written_as_it_is_read() {
    let verdict = Verdict::parse(&whole()).unwrap();
    let written = serde_json::to_value(&verdict).unwrap();
    assert!(schema().is_valid(&written));
    assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), verdict);
}

#[test]
fn a_text_that_holds_a_verdict_is_one() {
    let text = Value::String(whole().to_string());
    assert_eq!(Verdict::parse(&text), Verdict::parse(&whole()));
    assert!(problem(&json!("{")).starts_with("the verdict: a text that is no JSON"));
}

#[test]
fn unknown_keys_and_nulls_are_as_good_as_absent() {
    let mut value = whole();
    value["from_the_future"] = json!({"a": 1});
    value["title"] = Value::Null;
    value["tasks"][0]["assignee"] = json!(["x"]);
    let verdict = Verdict::parse(&value).unwrap();
    assert_eq!((verdict.title, verdict.tasks.len()), (None, 2));
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (pointer, value, expected) in [
        (
            "/severity",
            json!("Critical"),
            "severity: \"Critical\" is no severity; there are High, Medium, Low and Informational",
        ),
        ("/severity", json!(3), "severity: a number where a text belongs"),
        ("/version", json!(2), "version: 2 is not known; 1 is"),
        ("/confidence", json!(1.5), "confidence: 1.5 is not between 0 and 1"),
        ("/confidence", json!("high"), "confidence: a text where a number belongs"),
        ("/title", json!(["x"]), "title: a list where a text belongs"),
        (
            "/classification",
            json!("Bad"),
            "classification: \"Bad\" is not one of TruePositive, BenignPositive, FalsePositive, Undetermined",
        ),
        ("/classification", Value::Null, "classification_reason: without classification"),
        ("/labels", json!("x"), "labels: a text where a list belongs"),
        ("/labels/0", json!(1), "labels[0]: a number where a text belongs"),
        ("/tasks/1/title", json!(" \t"), "tasks[1].title: blank"),
        ("/tasks/1", json!("Look"), "tasks[1]: a text where an object belongs"),
        (
            "/evidence/0/severity",
            json!("bad"),
            "evidence[0].severity: \"bad\" is no severity; there are High, Medium, Low and Informational",
        ),
    ] {
        let mut verdict = whole();
        *verdict.pointer_mut(pointer).unwrap() = value;
        assert_eq!(problem(&verdict), expected, "{pointer}");
        assert!(!schema().is_valid(&verdict), "{pointer}");
    }
    assert_eq!(problem(&json!([1])), "the verdict: a list where an object belongs");
}

#[test]
fn what_is_too_long_is_cut_and_marked_and_not_refused() {
    let mut value = whole();
    value["title"] = json!("t".repeat(300));
    value["summary"] = json!("s".repeat(9_000));
    value["labels"] = (0..60).map(|number| json!(format!("label {number}"))).collect();
    value["tasks"] = (0..51).map(|number| json!({"title": number.to_string()})).collect();
    value["evidence"] = (0..520).map(|number| json!({"entity": number.to_string()})).collect();
    let verdict = Verdict::parse(&value).unwrap();
    let title = verdict.title.as_ref().unwrap();
    assert!(title.chars().count() == 200 && title.ends_with('…'));
    let summary = verdict.summary.as_ref().unwrap();
    assert!(summary.chars().count() == 8_000 && summary.ends_with('…'));
    assert_eq!((verdict.labels.len(), verdict.tasks.len(), verdict.evidence.len()), (50, 50, 500));
    assert_eq!(verdict.omitted, Omitted { labels: 10, tasks: 1, evidence: 20 });
    let again = Verdict::parse(&Value::from(verdict.clone())).unwrap();
    assert_eq!(again, verdict, "what was cut is not cut again, and what was left out is still told");
}

#[test]
fn characters_that_act_unseen_are_taken_out() {
    let verdict = Verdict::parse(&json!({
        "severity": "Low", "title": "a\u{202e}b\u{1b}[2J\nc", "labels": ["\u{200b}", "x\u{0}y"],
        "evidence": [{"entity": "cmd.exe\u{2066}\r\n/c", "reason": "\u{7}"}],
    }));
    let verdict = verdict.unwrap();
    assert_eq!(verdict.title.as_deref(), Some("ab[2J c"));
    assert_eq!(verdict.labels, ["xy"]);
    assert_eq!((verdict.evidence[0].entity.as_str(), &verdict.evidence[0].reason), ("cmd.exe /c", &None));
}

/// What may stand where a verdict has a value: right, nearly right and wrong.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(0)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!(0.5)),
        Just(json!(2)),
        Just(json!(-1)),
        Just(json!("")),
        Just(json!("  ")),
        Just(json!("High")),
        Just(json!("lOW")),
        Just(json!("TruePositive")),
        Just(json!("truepositive")),
        Just(json!("SuspiciousActivity")),
        Just(json!("text")),
        Just(json!([])),
        Just(json!(["a", ""])),
        Just(json!(["a", 1])),
        Just(json!([{"title": "t", "entity": "e", "severity": "Low"}])),
        Just(json!([{"title": " ", "entity": " "}])),
        Just(json!([{"description": "d", "reason": "r"}])),
        Just(json!([{"title": "t", "description": 1, "kind": []}])),
        Just(json!([{"title": "t", "severity": "x"}])),
        Just(json!([[]])),
        Just(json!({})),
        Just(json!({"labels": 3, "evidence": null})),
        Just(json!({"tasks": -1})),
        Just(json!({"tasks": "x"})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_takes_what_the_schema_allows_and_nothing_else(
        changes in proptest::collection::btree_map(
            prop_oneof![
                Just("version"), Just("severity"), Just("confidence"), Just("title"), Just("summary"),
                Just("classification"), Just("classification_reason"), Just("classification_comment"),
                Just("labels"), Just("tasks"), Just("evidence"), Just("omitted"), Just("other"),
            ],
            proptest::option::of(odd()),
            0..4,
        ),
    ) {
        static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(schema);
        let mut value = whole();
        for (key, change) in changes {
            match change {
                Some(change) => value[key] = change,
                None => drop(value.as_object_mut().unwrap().remove(key)),
            }
        }
        prop_assert_eq!(Verdict::parse(&value).is_ok(), VALIDATOR.is_valid(&value), "{}: {:?}", value, Verdict::parse(&value));
    }

    #[test]
    fn no_value_panics(text in ".{0,200}") {
        let _ = Verdict::parse(&Value::String(text.clone()));
        let _ = Verdict::parse(&json!({"severity": "High", "title": text, "summary": text, "labels": [text]}));
    }
}

/// A notebook of code cells, each given by its outputs, tags and status.
fn notebook(cells: &[(&str, Value)]) -> Notebook {
    let cells: Vec<Value> = cells
        .iter()
        .enumerate()
        .map(|(index, (tags, outputs))| {
            json!({
                "cell_type": "code", "id": format!("c{index}"), "source": "", "execution_count": 1, "outputs": outputs,
                "metadata": {"tags": tags.split_whitespace().collect::<Vec<_>>(), "papermill": {"status": "completed"}},
            })
        })
        .collect();
    parsed(&json!({"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": {
        "papermill": {"start_time": "2026-11-22T00:00:00", "end_time": "2026-11-22T00:00:10", "exception": null},
    }}))
}

fn parsed(json: &Value) -> Notebook {
    Notebook::parse(json.to_string().as_bytes(), &mut || "fresh".to_owned()).unwrap().notebook
}

fn displayed(verdict: &Value) -> Value {
    json!([{"output_type": "display_data", "metadata": {}, "data": {"text/plain": "v", (MIME_TYPE): verdict}}])
}

fn judged(cells: &[(&str, Value)]) -> Judgement {
    judge(&notebook(cells), &JudgeRules::default())
}

#[test]
fn the_last_verdict_counts() {
    let judgement = judged(&[
        ("", displayed(&json!({"severity": "High"}))),
        ("", displayed(&json!({"severity": "Low", "title": "after all"}))),
        ("", json!([{"output_type": "stream", "name": "stdout", "text": "done"}])),
    ]);
    let Judgement::Finding(verdict) = judgement else { panic!("{judgement:?}") };
    assert_eq!((verdict.severity, verdict.title.as_deref()), (Severity::Low, Some("after all")));
}

#[test]
fn a_verdict_counts_as_a_result_too_and_as_text_in_lines() {
    let lines = json!(["{\"severity\":", " \"Medium\"}"]);
    let result = json!([{"output_type": "execute_result", "metadata": {}, "execution_count": 1, "data": {(MIME_TYPE): lines}}]);
    assert_eq!(judged(&[("", result)]), Judgement::Finding(Verdict::new(Severity::Medium)));
}

#[test]
fn informational_is_no_finding_unless_the_rules_say_so() {
    let cells = [("output", displayed(&json!({"severity": "Informational"})))];
    let informational = Verdict::new(Severity::Informational);
    assert_eq!(judged(&cells), Judgement::NoFinding(Some(informational.clone())));
    let rules = JudgeRules { minimum_severity: Severity::Informational, ..JudgeRules::default() };
    assert_eq!(judge(&notebook(&cells), &rules), Judgement::Finding(informational));
}

#[test]
fn a_verdict_that_is_not_sure_enough_is_no_finding() {
    let rules = JudgeRules { minimum_confidence: 0.6, ..JudgeRules::default() };
    for (confidence, finding) in [(json!(0.5), false), (json!(0.6), true), (Value::Null, true)] {
        let cells = [("", displayed(&json!({"severity": "High", "confidence": confidence})))];
        assert_eq!(
            matches!(judge(&notebook(&cells), &rules), Judgement::Finding(_)),
            finding,
            "{confidence}"
        );
    }
}

#[test]
fn no_verdict_and_no_tagged_output_is_no_finding() {
    let printed = json!([{"output_type": "stream", "name": "stdout", "text": "x"}]);
    assert_eq!(judged(&[("", printed), ("output", json!([]))]), Judgement::NoFinding(None));
}

#[test]
fn any_output_of_the_tagged_cell_is_a_finding_where_there_is_no_verdict() {
    let printed = json!([{"output_type": "stream", "name": "stdout", "text": "High"}]);
    let cells = [("output", printed)];
    assert_eq!(judged(&cells), Judgement::Finding(Verdict::new(Severity::High)));
    let rules = JudgeRules {
        output_tag: "result".to_owned(),
        output_tag_severity: Severity::Medium,
        ..JudgeRules::default()
    };
    assert_eq!(judge(&notebook(&cells), &rules), Judgement::NoFinding(None));
}

#[test]
fn one_verdict_that_cannot_be_read_makes_the_triage_unclear() {
    let judgement = judged(&[
        ("", displayed(&json!({"severity": "Worst"}))),
        ("output", displayed(&json!({"severity": "Low"}))),
    ]);
    let Judgement::Unclear { problem } = judgement else { panic!("{judgement:?}") };
    assert!(
        problem.starts_with("the verdict that cell 1 displays cannot be read: severity: \"Worst\""),
        "{problem}"
    );
}

#[test]
fn verdicts_that_only_a_notebooks_json_can_hold_make_it_unclear_and_no_panic() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for payload in ["{\"severity\": \"\\ud800\"}", "{\"severity\": \"Low\", \"confidence\": NaN}", &deep] {
        let json = format!(
            r#"{{"nbformat": 4, "nbformat_minor": 5, "metadata": {{}}, "cells": [{{"cell_type": "code", "id": "a", "metadata": {{}},
            "source": "", "execution_count": 1, "outputs": [{{"output_type": "display_data", "metadata": {{}},
            "data": {{"{MIME_TYPE}": {payload}}}}}]}}]}}"#
        );
        let notebook = Notebook::parse(json.as_bytes(), &mut || "fresh".to_owned()).unwrap().notebook;
        assert!(matches!(judge(&notebook, &JudgeRules::default()), Judgement::Unclear { .. }), "{payload}");
    }
}

/// The notebook of `cells` whose papermill metadata at `pointer` says something else.
fn stamped(pointer: &str, value: Value) -> Notebook {
    let finding = notebook(&[("", displayed(&json!({"severity": "High"})))]);
    let mut json: Value = serde_json::from_slice(&finding.to_vec()).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    parsed(&json)
}

#[test]
fn a_run_that_did_not_come_to_its_end_is_unclear_whatever_it_displayed() {
    for (pointer, value, expected) in [
        ("/metadata/papermill/exception", json!(true), "the run of the notebook failed"),
        ("/metadata/papermill/end_time", Value::Null, "the run of the notebook did not come to its end"),
        ("/cells/0/metadata/papermill/status", json!("failed"), "cell 1 failed"),
        ("/cells/0/metadata/papermill/status", json!("running"), "cell 1 did not come to its end"),
        (
            "/cells/0/outputs",
            json!([{"output_type": "error", "ename": "KeyError", "evalue": "secret", "traceback": []}]),
            "cell 1 raised with KeyError",
        ),
    ] {
        let judgement = judge(&stamped(pointer, value), &JudgeRules::default());
        assert_eq!(judgement, Judgement::Unclear { problem: expected.to_owned() }, "{pointer}");
    }
}

#[test]
fn a_cell_that_may_raise_does_not_make_the_triage_unclear() {
    let raised = json!([{"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []}]);
    assert_eq!(judged(&[("raises-exception", raised)]), Judgement::NoFinding(None));
}

#[test]
fn a_notebook_that_papermill_never_saw_is_judged_by_its_outputs() {
    let mut notebook = notebook(&[("", displayed(&json!({"severity": "High"})))]);
    notebook.metadata_mut().shift_remove("papermill");
    for cell in notebook.cells_mut() {
        cell.metadata_mut().shift_remove("papermill");
    }
    assert_eq!(judge(&notebook, &JudgeRules::default()), Judgement::Finding(Verdict::new(Severity::High)));
}

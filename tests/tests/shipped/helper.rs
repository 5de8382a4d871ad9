//! `rnbexec_verdict` and `rnbexec_show`, the modules that the triage kernel brings.

use rnbexec_manager::verdict::Verdict;
use serde_json::{Value, json};

use super::python;

/// What `rnbexec_verdict.build(…)` gives, or the error it raises.
fn build(arguments: &str) -> Result<Value, String> {
    python(&[
        "-c",
        &format!("import json; from rnbexec_verdict import *; print(json.dumps(build({arguments})))"),
    ])
}

#[test]
fn a_verdict_needs_only_its_severity() {
    let made = build("'Low'").unwrap();
    assert_eq!(made, json!({"version": 1, "severity": "Low", "labels": [], "tasks": [], "evidence": []}));
    Verdict::parse(&made).unwrap();
}

#[test]
fn what_the_helper_accepts_the_manager_reads() {
    let made = build(
        "'High', confidence=0.9, title='A', summary='B `c`', classification='TruePositive', \
         classification_reason='SuspiciousActivity', classification_comment='x', labels=['T1110', 'T1110'], \
         tasks=['Do it', {'title': 'And this', 'description': 'so'}], \
         evidence=[{'kind': 'Ip', 'entity': '203.0.113.7', 'severity': 'High', 'reason': 'r', 'source': '', 'technique': 'T1110'}], \
         incident_number=7",
    )
    .unwrap();
    let read = Verdict::parse(&made).unwrap();
    assert_eq!((read.labels, read.confidence), (vec!["T1110".to_owned()], Some(0.9)));
    assert_eq!(read.tasks.iter().map(|task| task.title.as_str()).collect::<Vec<_>>(), ["Do it", "And this"]);
    assert_eq!(read.evidence[0].entity, "203.0.113.7");
    assert_eq!(made["incident_number"], 7);
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    for (arguments, field) in [
        ("'high'", "severity is one of"),
        ("'Low', confidence=1.5", "confidence is a number from 0 to 1"),
        ("'Low', confidence=float('nan')", "confidence is a number from 0 to 1"),
        ("'Low', title='a\\nb'", "title is one line"),
        ("'Low', title=5", "title is text"),
        ("'Low', classification='Bad'", "classification is one of"),
        (
            "'Low', classification='Undetermined', classification_reason='SuspiciousActivity'",
            "goes with TruePositive",
        ),
        ("'Low', labels='T1110'", "labels is a list"),
        ("'Low', tasks=[{'title': ' '}]", "dicts with a title"),
        ("'Low', evidence=['x']", "evidence is a list of dicts"),
        ("'Low', evidence=[{'severity': 'Bad'}]", "severity of evidence is one of"),
        ("'Low', other=object()", "not JSON"),
    ] {
        let error = build(arguments).unwrap_err();
        assert!(error.contains("VerdictError") && error.contains(field), "{arguments}: {error}");
    }
}

#[test]
fn a_verdict_is_one_display_in_three_forms_with_its_texts_escaped() {
    let code = "import json, IPython.display as d\n\
                shown = []\n\
                d.display = lambda thing, **more: shown.append([thing, more])\n\
                from rnbexec_verdict import verdict\n\
                verdict('Low', title='<b>\\u202e', summary='see `</code><script>` at http://a.example\\n\\n[x](http://b.example)', tasks=['<i>'])\n\
                print(json.dumps(shown))";
    let shown = python(&["-c", code]).unwrap();
    assert_eq!(shown.as_array().map(Vec::len), Some(1));
    assert_eq!(shown[0][1], json!({"raw": true}));
    let display = &shown[0][0];
    Verdict::parse(&display["application/vnd.rnbexec.verdict+json"]).unwrap();
    let page = display["text/html"].as_str().unwrap();
    for text in ["<b>\\u202e", "<script", "<i>", "http://", "\u{202e}", "href"] {
        assert!(!page.contains(text), "{text:?} in {page}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("hxxp://a.example"), "{page}");
    assert_eq!(
        display["text/plain"],
        "Low: see `</code><script>` at hxxp://a.example  [x](hxxp://b.example)"
    );
}

#[test]
fn tables_cards_and_trees_show_text_as_text() {
    let code = "import json, IPython.display as d\n\
                shown = []\n\
                d.display = lambda thing, **more: shown.append(thing)\n\
                from rnbexec_show import card, defang, note, table, tree\n\
                bad = '<img src=x onerror=alert(1)> http://a.example \\u202e\\x1b[31m'\n\
                table([{'severity': bad, 'a': bad}], ['severity', 'a'], mono=('a',))\n\
                card({bad: bad, 'Severity': bad})\n\
                note(bad, bad)\n\
                tree([(0, bad, bad, bad, True)])\n\
                print(json.dumps([shown, defang('http://a.b[.]c/x')]))";
    let answer = python(&["-c", code]).unwrap();
    assert_eq!(answer[1], "hxxp://a[.]b[.]c/x");
    for display in answer[0].as_array().unwrap() {
        let (page, text) = (display["text/html"].as_str().unwrap(), display["text/plain"].as_str().unwrap());
        assert!(!page.contains("<img") && page.contains("&lt;img"), "{page}");
        for shown in [page, text] {
            assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{shown}");
        }
    }
    assert_eq!(answer[0].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_timeline_is_a_drawing_in_which_text_is_text_and_each_place_is_drawn_once() {
    let code = "import base64, json, re, IPython.display as d\n\
                import xml.etree.ElementTree as xml\n\
                from datetime import datetime, timedelta, timezone\n\
                shown = []\n\
                d.display = lambda thing, **more: shown.append(thing)\n\
                from rnbexec_show import timeline\n\
                bad = '</text><script>x</script><image href=\"http://a.example\"/> \\u202e\\x1b[31m'\n\
                at = datetime(2019, 1, 15, 23, 30, tzinfo=timezone.utc)\n\
                points = [(at + timedelta(hours=hours), lane, '#b3261e', mark)\n\
                          for hours in (0, 0, 1, 2) for lane, mark in enumerate(['dot', 'diamond', 'bar'])]\n\
                timeline(bad, [bad, 'b', 'c'], points, bad, shaded=(at, at), legend=[('#b3261e', 'dot', bad)])\n\
                timeline('nothing', [], [], 'nothing')\n\
                timeline('years', ['a'], [(at, 0, 'x', 'dot'), (datetime.max, 0, 'x', 'dot'), (datetime.min, 0, 'x', 'dot')], 'years')\n\
                import pandas\n\
                naive = [(datetime(2019, 1, 15), 0, 'x', 'dot'), (pandas.NaT, 0, 'x', 'dot'), (at, 1, 'x', 'dot'), (at, -1, 'x', 'dot')]\n\
                timeline('left out', ['a'], naive, 'left out', shaded=(pandas.NaT, pandas.NaT))\n\
                many = [(at + timedelta(seconds=s), s % 2, 'x', 'dot') for s in range(50_000)]\n\
                timeline('W' * 200, ['W' * 60, 'b'], many, 'many')\n\
                def told(display):\n\
                \x20   drawing = xml.fromstring(base64.b64decode(re.search('base64,([^\"]*)', display['text/html'])[1]))\n\
                \x20   named = lambda name: [e for e in drawing.iter() if e.tag.endswith('}' + name)]\n\
                \x20   return [sorted({e.tag.split('}')[1] for e in drawing.iter()}), len(named('g')), [e.text for e in named('text')], display]\n\
                print(json.dumps([told(display) for display in shown]))";
    let answer = python(&["-c", code]).unwrap();
    let [tags, marks, words, display] = answer[0].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(tags, &json!(["circle", "g", "path", "rect", "svg", "text"]), "none that the text had");
    assert_eq!(marks, 10, "three times on three lanes, and the legend");
    let bad = "</text><script>x</script><image href=\"http://a.example\"/> \\u202e\\u001b[31m";
    assert_eq!(
        words,
        &json!([
            bad,
            "23:30",
            "2019-01-15",
            "00:00",
            "2019-01-16",
            "00:30",
            "01:00",
            "01:30",
            "</text><script>x</script><image href=\"http://a.example\"/> \\u202e\\u001b…",
            "b",
            "c",
            bad
        ])
    );
    let page = display["text/html"].as_str().unwrap();
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains('\u{1b}'), "{page}");
    assert_eq!(answer[1][1], 0);
    assert!(answer[2][2].as_array().unwrap().len() < 14 && answer[2][1] == 3, "{}", answer[2]);
    assert_eq!((&answer[3][1], &answer[3][2][4]), (&json!(1), &json!("2019-01-15")), "{}", answer[3]);
    let many = answer[4][3]["text/html"].as_str().unwrap().len();
    assert!(many < 1 << 20, "{many} bytes");
}

#[test]
fn text_that_is_shown_holds_no_character_that_is_none() {
    let code = "import base64, json, re, IPython.display as d\n\
                import xml.etree.ElementTree as xml\n\
                from datetime import datetime, timezone\n\
                from rnbexec_verdict import clean\n\
                shown = []\n\
                d.display = lambda thing, **more: shown.append(thing)\n\
                from rnbexec_show import timeline\n\
                bad = 'a\\ufffeb\\uffffc\\ufdd0d\\u0378e'\n\
                timeline(bad, [bad], [(datetime(2019, 1, 15, tzinfo=timezone.utc), 0, '#b3261e', 'dot')], bad)\n\
                drawing = base64.b64decode(re.search('base64,([^\"]*)', shown[0]['text/html'])[1])\n\
                words = [e.text for e in xml.fromstring(drawing).iter() if e.tag.endswith('}text')]\n\
                print(json.dumps([clean(bad), clean('\\u00e4\\u4e2d\\U0001f600'), words]))";
    let answer = python(&["-c", code]).unwrap();
    let clean = "a\\ufffeb\\uffffc\\ufdd0d\\u0378e";
    assert_eq!((&answer[0], &answer[1]), (&json!(clean), &json!("\u{e4}\u{4e2d}\u{1f600}")));
    assert!(answer[2].as_array().is_some_and(|words| words.contains(&json!(clean))), "{answer}");
}

#[test]
fn the_table_of_indicators_answers_like_a_provider_of_msticpy() {
    let code = "import json, pandas as pd\n\
                from rnbexec_ti import TableTI\n\
                rows = [{'NetworkIP': '198.51.100.7', 'ConfidenceScore': '80', 'ThreatType': 'Malware'},\n\
                        {'Url': 'http://Bad.example/x/', 'ConfidenceScore': '', 'ThreatType': 'C2'}]\n\
                found = TableTI(pd.DataFrame(rows).fillna('')).lookup_iocs(\n\
                    {'198.51.100.7': 'ipv4', 'http://bad.example/X': 'url', 'bad.example': 'dns', '192.0.2.1': 'ipv4'})\n\
                print(json.dumps(found[['Ioc', 'Result', 'Severity', 'Provider']].values.tolist()))";
    assert_eq!(
        python(&["-c", code]).unwrap(),
        json!([
            ["198.51.100.7", true, "high", "TableTI"],
            ["http://bad.example/X", true, "warning", "TableTI"],
            ["bad.example", true, "warning", "TableTI"],
            ["192.0.2.1", false, "information", "TableTI"],
        ])
    );
}

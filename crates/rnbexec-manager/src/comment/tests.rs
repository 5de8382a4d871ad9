use proptest::prelude::*;
use serde_json::json;

use super::*;

const LINK: &str = "https://ml.azure.com/fileexplorerAzNB?wsid=/subscriptions/s&tid=t&activeFilePath=Users/TriageNbs/x.ipynb";

fn incident(title: &str) -> Incident {
    Incident::from(json!({
        "id": "/incidents/x", "name": "x",
        "properties": {"title": title, "severity": "Low", "status": "New", "incidentNumber": 42},
    }))
}

fn run() -> RunKey {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn verdict() -> Verdict {
    Verdict::parse(&json!({
        "severity": "High", "confidence": 0.9, "title": "Credentials dumped", "classification": "TruePositive",
        "summary": "**comsvcs.dll** dumped `lsass`:\n\n- on HOST-1\n- by svc",
        "evidence": [
            {"kind": "ip", "entity": "203.0.113.7", "severity": "Low", "reason": "seen before"},
            {"kind": "process", "entity": "rundll32.exe", "severity": "High", "reason": "dumps memory", "source": "alert", "technique": "T1003"},
        ],
    }))
    .unwrap()
}

/// The comment of a template, with everything there is to tell.
fn rendered(template: &Template, incident: &Incident, verdict: Option<&Verdict>, link: &str) -> String {
    let report = "https://ml.azure.com/report.html";
    let run = run();
    template.render(&CommentContext {
        incident,
        verdict,
        link,
        report: Some(report),
        notebook: "notebooks/incident-triage.ipynb",
        run: &run,
    })
}

fn by_default(verdict: &Verdict) -> String {
    rendered(&Template::default(), &incident("t"), Some(verdict), LINK)
}

#[test]
fn the_default_comment_tells_the_verdict_its_evidence_and_where_to_read_on() {
    assert_eq!(
        by_default(&verdict()),
        "<p><b>🔴 High</b> <b>Credentials dumped</b> (true positive, confidence 90&#37;)</p>\
         <p><b>comsvcs.dll</b> dumped <code>lsass</code>:</p><ul><li>on HOST-1</li><li>by svc</li></ul>\
         <table><tr><th>Severity</th><th>Kind</th><th>Entity</th><th>Why</th></tr>\
         <tr><td>High</td><td>process</td><td>rundll32.exe</td><td>dumps memory <i>(alert, T1003)</i></td></tr>\
         <tr><td>Low</td><td>ip</td><td>203.0.113.7</td><td>seen before</td></tr></table>\
         <p><a href=\"https://ml.azure.com/fileexplorerAzNB?wsid=/subscriptions/s&amp;tid=t&amp;activeFilePath=Users/TriageNbs/x.ipynb\">\
         Triage notebook</a><br><a href=\"https://ml.azure.com/report.html\">Report</a></p>\
         <p><i>notebooks/incident-triage.ipynb, run 0123456789abcdef0123456789abcdef</i></p>"
    );
}

#[test]
fn the_blogs_comment_is_word_for_word_the_blogs() {
    let blog = Template::parse("blog").unwrap();
    assert_eq!(
        rendered(&blog, &incident("t"), None, "https://ml.azure.com/x"),
        "<a href='https://ml.azure.com/x'>View incident triage notebook in AML</a>"
    );
}

#[test]
fn a_template_of_the_settings_is_filled_with_single_values() {
    let template = Template::parse(
        "<p>{severity} {title} {confidence} #{incident_number} {incident_id} {incident_title} {notebook} {run_key}</p>",
    );
    let comment = rendered(&template.unwrap(), &incident("mail"), Some(&verdict()), LINK);
    assert_eq!(
        comment,
        "<p>High Credentials dumped 90&#37; #42 x mail notebooks/incident-triage.ipynb 0123456789abcdef0123456789abcdef</p>"
    );
}

#[test]
fn a_placeholder_that_nobody_fills_is_refused() {
    let error = Template::parse("{lnik}").unwrap_err().to_string();
    assert!(error.starts_with("unknown placeholder {lnik}; there are {verdict}"), "{error}");
}

#[test]
fn the_same_triage_makes_the_same_comment() {
    assert_eq!(by_default(&verdict()), by_default(&verdict()));
}

#[test]
fn a_file_that_is_not_on_the_web_is_shown_and_not_linked() {
    let comment = rendered(&Template::default(), &incident("t"), None, "/out/x's <b>.ipynb");
    assert!(comment.contains("Triage notebook: <code>/out/x&#39;s &#60;b&#62;.ipynb</code>"), "{comment}");
}

#[test]
fn no_link_leads_anywhere_but_to_the_web_or_a_file() {
    for hostile in [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JAVASCRIPT:x",
        "data:text/html,x",
        "//evil.example",
        "vbscript:x",
    ] {
        let blog = rendered(&Template::parse("blog").unwrap(), &incident("t"), None, hostile);
        assert!(blog.starts_with("<a href='./"), "{blog}");
        assert!(!rendered(&Template::default(), &incident("t"), None, hostile).contains("<a href=\"./"));
    }
    let quotes =
        rendered(&Template::parse("blog").unwrap(), &incident("t"), None, "https://h/'><script>&\"`");
    assert_eq!(
        quotes,
        "<a href='https://h/&#39;%3E%3Cscript%3E&amp;%22%60'>View incident triage notebook in AML</a>"
    );
}

/// Texts as attackers write them into file names, accounts and alerts.
const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "'><a href='https://evil.example'>x</a>",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example and www.evil.example and a@evil.example",
    "# heading **bold** _em_ `code` ~~gone~~ | cell |",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "</td></tr></table><h1>x</h1>",
    "[x]: https://evil.example\n[x]",
    "{link} {{7*7}} {%x%} ${x}",
    "\u{202e}cod.exe\u{1b}[2J\u{0}",
];

/// What a reader of HTML sees: the tags that stand there, and the text with its character references resolved.
fn seen(html: &str) -> (Vec<String>, String) {
    let mut tags = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = rest.find('>').expect("a tag ends");
        tags.push(rest[at + 1..end].to_owned());
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    let reference = regex::Regex::new("&#([0-9]+);").unwrap();
    let text = reference.replace_all(&text, |found: &regex::Captures<'_>| {
        char::from_u32(found[1].parse().unwrap()).unwrap().to_string()
    });
    (tags, text.into_owned())
}

#[test]
fn hostile_texts_are_shown_as_they_are_and_do_nothing() {
    for hostile in HOSTILE {
        let verdict = Verdict::parse(&json!({
            "severity": "High", "title": hostile,
            "evidence": [{"kind": hostile, "entity": hostile, "reason": hostile, "source": hostile, "technique": hostile}],
        }));
        let (hostile_tags, text) = seen(&by_default(&verdict.unwrap()));
        let (tags, _) = seen(&by_default(
            &Verdict::parse(&json!({
                "severity": "High", "title": "t",
                "evidence": [{"kind": "k", "entity": "e", "reason": "r", "source": "s", "technique": "t"}],
            }))
            .unwrap(),
        ));
        assert_eq!(hostile_tags, tags, "{hostile}");
        assert!(text.contains(&one_line(hostile, 200)), "{text}");
    }
}

#[test]
fn a_hostile_summary_makes_no_link_no_image_and_no_tag_of_its_own() {
    const ALLOWED: [&str; 15] =
        ["p", "b", "i", "s", "code", "pre", "ul", "ol", "li", "br", "hr", "blockquote", "table", "tr", "td"];
    for hostile in HOSTILE {
        let (tags, text) = seen(&safe_html(hostile));
        for tag in tags {
            assert!(ALLOWED.contains(&tag.trim_start_matches('/')), "{tag} of {hostile}");
        }
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'));
    }
}

/// What a reader of Markdown sees: plain text, or the first thing that is none.
fn seen_as_markdown(markdown: &str) -> Result<String, String> {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let mut text = String::new();
    for event in Parser::new_ext(markdown, Options::all().difference(Options::ENABLE_SMART_PUNCTUATION)) {
        match event {
            Event::Text(more) => text.push_str(&more),
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
            other => return Err(format!("{other:?} of {markdown}")),
        }
    }
    Ok(text)
}

#[test]
fn a_reader_of_markdown_sees_hostile_texts_as_they_are_too() {
    for hostile in HOSTILE {
        let line = one_line(hostile, 200);
        assert_eq!(seen_as_markdown(&format!("x {}", escape(&line))), Ok(format!("x {line}")));
        assert!(
            !escape(&line).contains("://") && !escape(&line).contains("www."),
            "no address is made a link by itself"
        );
    }
}

#[test]
fn code_keeps_its_lines_and_tables_their_cells() {
    assert_eq!(safe_html("```\na\n\n<b>\n```"), "<pre>a<br><br>&#60;b&#62;</pre>");
    assert_eq!(
        safe_html("|a|b|\n|-|-|\n|**1**|`2`|"),
        "<table><tr><td>a</td><td>b</td></tr><tr><td><b>1</b></td><td><code>2</code></td></tr></table>"
    );
    assert_eq!(
        safe_html("[text](https://evil.example) ![alt](https://evil.example/x.png)"),
        "<p>text alt</p>"
    );
    assert_eq!(safe_html("a\nb  \nc"), "<p>a b<br>c</p>");
}

fn long() -> Verdict {
    let rows: Vec<_> =
        (0..600).map(|row| json!({"kind": "ip", "entity": format!("{row} {}", "<&>".repeat(300)), "reason": "*".repeat(900)})).collect();
    Verdict::parse(&json!({"severity": "High", "title": "&".repeat(300), "summary": "_<b>_ ".repeat(2_000), "evidence": rows}))
        .unwrap()
}

#[test]
fn a_comment_is_never_longer_than_its_limit_and_says_what_it_leaves_out() {
    for limit in [30_000, 3_000, 1_000, 700] {
        let comment = rendered(&Template::default().with_limit(limit), &incident("t"), Some(&long()), LINK);
        assert!(comment.encode_utf16().count() <= limit, "{limit}");
        assert!(comment.contains("Triage notebook</a>"), "{comment}");
        let (tags, text) = seen(&comment);
        assert_eq!(
            tags.iter().filter(|tag| *tag == "p").count(),
            tags.iter().filter(|tag| *tag == "/p").count(),
            "no tag is cut off"
        );
        assert!(text.contains("of evidence in the notebook"), "{text}");
    }
}

#[test]
fn where_not_even_the_links_fit_a_plain_sentence_stands() {
    let tiny = |limit| rendered(&Template::default().with_limit(limit), &incident("t"), Some(&long()), LINK);
    assert_eq!(tiny(60), "The triage notebook is published.");
    assert_eq!(tiny(10), "");
}

#[test]
fn rows_that_the_verdict_left_out_are_counted_too() {
    let comment = by_default(&long());
    let counts = regex::Regex::new("<p>([0-9]+) more rows of evidence in the notebook</p>").unwrap();
    let rest: usize = counts.captures(&comment).unwrap()[1].parse().unwrap();
    let shown = comment.matches("<tr><td>").count();
    assert_eq!(rest + shown, 600);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_escaped_a_reader_of_markdown_sees_the_same_text(text in "[ -~]{0,40}") {
        let line = format!("x {}", one_line(&text, 100));
        prop_assert_eq!(seen_as_markdown(&escape(&line)), Ok(line.trim_end().to_owned()));
    }

    #[test]
    fn at_the_beginning_of_a_line_too(text in "[-+=#>0-9.)a ]{1,12}") {
        let line = one_line(&text, 100);
        prop_assert_eq!(seen_as_markdown(&escape(&line)), Ok(line));
    }

    #[test]
    fn no_text_makes_a_tag_of_its_own_in_a_summary(markdown in "[ -~\n]{0,60}") {
        let (tags, _) = seen(&safe_html(&markdown));
        for tag in tags {
            prop_assert!(tag.chars().all(|c| c == '/' || c.is_ascii_lowercase()), "{tag}");
        }
    }
}

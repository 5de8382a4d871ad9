//! The page as a whole.

use super::*;

fn notebook(metadata: &str, cells: &str) -> Notebook {
    let text = format!("{{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{metadata},\"cells\":[{cells}]}}");
    Notebook::parse(text.as_bytes(), &mut || "x".to_owned()).unwrap().notebook
}

fn page(metadata: &str, cells: &str) -> String {
    report(&notebook(metadata, cells), &ReportOptions::default())
}

const MARKDOWN: &str =
    r##"{"id":"m","cell_type":"markdown","metadata":{},"source":"# Title\n\n## One\n## Two\n### Three\n"}"##;

fn code(more: &str) -> String {
    format!(
        r#"{{"id":"c","cell_type":"code","metadata":{{{more}}},"source":"def f(): pass","execution_count":3,"outputs":[]}}"#
    )
}

#[test]
fn the_page_fetches_and_runs_nothing() {
    let page = page("{}", MARKDOWN);
    let policy = page.find("default-src 'none'; style-src 'unsafe-inline'; img-src data:").unwrap();
    assert!(policy < 200, "the policy comes first");
    for absent in ["<script", "<link", "@import", "url(", "http://", "https://"] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn the_title_is_what_was_asked_for_else_the_first_heading_else_the_name() {
    let title = |notebook: &Notebook, title: Option<&str>| {
        let options = ReportOptions {
            title: title.map(str::to_owned),
            name: Some("n.ipynb".to_owned()),
            ..ReportOptions::default()
        };
        let page = report(notebook, &options);
        page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap().to_owned()
    };
    let with_heading = notebook("{}", MARKDOWN);
    assert_eq!(title(&with_heading, Some("<Mine>")), "&lt;Mine&gt;");
    assert_eq!(title(&with_heading, None), "Title");
    assert_eq!(title(&notebook("{}", ""), None), "n.ipynb");
    assert_eq!(
        report(&with_heading, &ReportOptions::default()).matches(">Title<").count(),
        2,
        "title and heading"
    );
}

#[test]
fn headings_make_a_table_of_contents() {
    let page = page("{}", MARKDOWN);
    assert!(page.contains("<li class=\"l0\"><a href=\"#h-one\">One</a></li>"), "{page}");
    assert!(page.contains("<li class=\"l1\"><a href=\"#h-three\">Three</a></li>"), "{page}");
}

#[test]
fn the_header_tells_how_the_run_went_and_with_what() {
    let page = page(
        r#"{"kernelspec":{"name":"python3","display_name":"Python <3>"},"language_info":{"name":"python"},
        "papermill":{"start_time":"2026-11-22T01:54:00+00:00","end_time":"x","duration":75.2,"exception":null,
        "parameters":{"incident_id":"<1>"},"input_path":"in.ipynb"},"rnbexec":{"outcome":"completed"}}"#,
        &code(""),
    );
    for part in [
        "<span class=\"status good\">Completed</span>",
        "1 min 15 s",
        "2026-11-22 01:54:00 UTC",
        "Python &lt;3&gt;",
        "<th scope=\"row\">incident_id</th><td>&lt;1&gt;</td>",
        "papermill.input_path",
        "rnbexec.outcome",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_cell_that_failed_is_linked_open_and_marked() {
    let failed = r#"{"id":"c","cell_type":"code","metadata":{"papermill":{"status":"failed","duration":0.5}},"source":"1/0",
        "execution_count":3,"outputs":[{"output_type":"error","ename":"ZeroDivisionError","evalue":"x","traceback":[]}]}"#;
    let marker = r#"{"id":"k","cell_type":"markdown","metadata":{"tags":["papermill-error-cell-tag"]},
        "source":"<span id=\"papermill-error-cell\">stopped</span>"}"#;
    let page = page(
        r#"{"papermill":{"start_time":"x","end_time":"y","exception":true}}"#,
        &[MARKDOWN, marker, failed].join(","),
    );
    assert!(page.contains("ZeroDivisionError: x <a href=\"#cell-3\">Go to the cell</a>"), "{page}");
    assert!(
        page.contains("<section class=\"cell code failed\" id=\"cell-3\"><details class=\"source\" open>"),
        "{page}"
    );
    assert!(page.contains("500 ms") && !page.contains("stopped"), "{page}");
}

#[test]
fn code_is_folded_or_left_out() {
    let notebook = notebook("{}", &code(""));
    let folded = report(&notebook, &ReportOptions::default());
    assert!(folded.contains("<details class=\"source\"><summary>") && folded.contains("In [3]"), "{folded}");
    let without = report(&notebook, &ReportOptions { code: Code::Omitted, ..ReportOptions::default() });
    assert!(!without.contains("def f()") && !without.contains("show-code\">"), "{without}");
}

#[test]
fn outputs_that_the_author_hid_are_folded() {
    let cell = r#"{"id":"c","cell_type":"code","metadata":{"jupyter":{"outputs_hidden":true}},"source":"x","execution_count":1,
        "outputs":[{"output_type":"stream","name":"stdout","text":"hi"}]}"#;
    assert!(page("{}", cell).contains("<summary>Outputs, hidden in the notebook</summary><pre"));
}

#[test]
fn a_verdict_becomes_the_banner() {
    let cell = r#"{"id":"c","cell_type":"code","metadata":{},"source":"x","execution_count":1,"outputs":[{"output_type":
        "display_data","metadata":{},"data":{"application/vnd.rnbexec.verdict+json":{"severity":"Medium","title":"Odd"}}}]}"#;
    let page = page("{}", cell);
    assert!(
        page.contains("<section class=\"verdict s-medium\" id=\"verdict\"") && page.contains("<h2>Odd</h2>"),
        "{page}"
    );
    assert!(page.contains("<a href=\"#verdict\">"), "{page}");
}

#[test]
fn cells_of_any_shape_are_shown_or_passed_over() {
    for cell in [
        r#"{"id":"r","cell_type":"raw","metadata":{},"source":"<b>"}"#,
        r#"{"id":"o","cell_type":"odd","metadata":{},"source":3}"#,
        r#"{"id":"e","cell_type":"code","metadata":{},"source":"","execution_count":null,"outputs":[]}"#,
        r#"{"id":"t","cell_type":"markdown","metadata":{},"source":""}"#,
    ] {
        page("{\"papermill\":3,\"rnbexec\":[],\"kernelspec\":\"x\",\"widgets\":1}", cell);
    }
}

#[test]
fn the_cost_grows_with_the_size_alone() {
    let line = "\\u001b[32mok\\u001b[0m some text of a log\\n";
    let stream = |lines: usize| {
        format!(r#"{{"output_type":"stream","name":"stdout","text":"{}"}}"#, line.repeat(lines))
    };
    let cell = |outputs: String| {
        format!(
            r#"{{"id":"c","cell_type":"code","metadata":{{}},"source":"x","execution_count":1,"outputs":[{outputs}]}}"#
        )
    };
    let time = |notebook: &Notebook| {
        let begin = std::time::Instant::now();
        assert!(!report(notebook, &ReportOptions::default()).is_empty());
        begin.elapsed()
    };
    let few = notebook("{}", &cell(vec![stream(4_000); 2].join(",")));
    let many = notebook("{}", &cell(vec![stream(4_000); 16].join(",")));
    // Whatever else the machine does, it does not do it each time.
    assert!(
        (0..3).any(|_| time(&many) < time(&few) * 40),
        "8 times the outputs took more than 40 times as long"
    );
}

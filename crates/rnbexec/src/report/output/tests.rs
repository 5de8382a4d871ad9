//! One test for each kind of output.

use rnbexec_notebook::Notebook;

use super::super::{ReportOptions, Scripts, report};

/// The page of a notebook with one code cell that has these outputs.
fn page(outputs: &str) -> String {
    page_with(outputs, "{}", Scripts::OnDemand)
}

fn page_with(outputs: &str, metadata: &str, scripts: Scripts) -> String {
    let text = format!(
        r#"{{"nbformat":4,"nbformat_minor":5,"metadata":{metadata},"cells":[{{"id":"a","cell_type":"code","metadata":{{}},
        "source":"x","execution_count":1,"outputs":[{outputs}]}}]}}"#
    );
    let notebook = Notebook::parse(text.as_bytes(), &mut || "x".to_owned()).unwrap().notebook;
    let page = report(&notebook, &ReportOptions { scripts, ..ReportOptions::default() });
    // What stands before the cells is not looked at here.
    page.split_once("id=\"cell-1\"").map(|(_, cell)| cell.to_owned()).unwrap()
}

fn display(data: &str) -> String {
    format!(r#"{{"output_type":"display_data","metadata":{{}},"data":{data}}}"#)
}

#[track_caller]
fn expect(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn streams_keep_their_colours_and_stderr_is_marked() {
    let html = page(
        r#"{"output_type":"stream","name":"stdout","text":"\u001b[31mred\u001b[0m <b>\n"},
        {"output_type":"stream","name":"stderr","text":["one\n","two"]}"#,
    );
    expect(&html, &["<span class=\"af af1\">red</span> &lt;b&gt;</pre>", "text stderr\">one\ntwo</pre>"]);
}

#[test]
fn errors_show_what_was_raised_and_the_traceback() {
    let html = page(
        r#"{"output_type":"error","ename":"NameError","evalue":"<x>","traceback":["\u001b[0;31mNameError\u001b[0m","line 2"]}"#,
    );
    expect(
        &html,
        &["<strong>NameError</strong> &lt;x&gt;", "<span class=\"af af1\">NameError</span>\nline 2</pre>"],
    );
}

#[test]
fn images_are_shown_in_the_size_that_the_notebook_asks_for() {
    let html = page(
        r#"{"output_type":"display_data","metadata":{"image/png":{"width":320,"height":"1\" onload=\"x"},"filename":"/etc/passwd"},
        "data":{"image/png":"iVBORw0K\nGgo=","text/plain":"<Figure>"}}"#,
    );
    expect(&html, &["<img alt=\"&lt;Figure&gt;\" width=\"320\" src=\"data:image/png;base64,iVBORw0KGgo=\">"]);
    assert!(!html.contains("onload") && !html.contains("passwd"), "{html}");
    for kind in ["image/jpeg", "image/gif", "image/webp"] {
        expect(&page(&display(&format!(r#"{{"{kind}":"AAAA"}}"#))), &[&format!("data:{kind};base64,AAAA")]);
    }
}

#[test]
fn svg_is_an_image() {
    let html = page(&display(r#"{"image/svg+xml":"<svg onload='x()'><script>x()</script></svg>"}"#));
    expect(&html, &["src=\"data:image/svg+xml;base64,"]);
    assert!(!html.contains("<svg") && !html.contains("<script"), "{html}");
}

#[test]
fn html_keeps_its_look_and_loses_what_runs() {
    let html = page(&display(
        r#"{"text/html":"<table><tr><td style='background:#fee'>1</td></tr></table><img src=x onerror=x()>","text/plain":"1"}"#,
    ));
    expect(&html, &["<div class=\"out html paper\" id=\"o1\"><table>", "style=\"background:#fee;\""]);
    assert!(!html.contains("onerror"), "{html}");
}

#[test]
fn markdown_latex_json_and_text_are_shown() {
    expect(&page(&display(r#"{"text/markdown":"**b**"}"#)), &["<strong>b</strong>"]);
    expect(&page(&display(r#"{"text/latex":"$\\frac{a}{b}$"}"#)), &["$\\frac{a}{b}$</pre>"]);
    expect(
        &page(&display(
            r#"{"application/json":{"a":["</script>"]},"text/plain":"<IPython.core.display.JSON>"}"#,
        )),
        &["{\n &quot;a&quot;: [\n  &quot;&lt;/script&gt;&quot;"],
    );
    expect(&page(&display(r#"{"text/plain":"<object>"}"#)), &["&lt;object&gt;</pre>"]);
    expect(&page(&display(r#"{"application/geo+json":{"a":1}}"#)), &["&quot;a&quot;: 1"]);
}

#[test]
fn the_richest_form_that_can_be_shown_is_shown() {
    let html = page(&display(r#"{"text/plain":"plain","text/html":"<b>rich</b>"}"#));
    assert!(html.contains("<b>rich</b>") && !html.contains("plain"), "{html}");
    let html = page(&display(r#"{"text/plain":"plain","image/png":"no base64!"}"#));
    expect(&html, &["plain</pre>", "An image that a page cannot show"]);
    let html = page(&display(r#"{"text/plain":"plain","text/html":"<div id=x></div>"}"#));
    expect(&html, &["plain</pre>"]);
}

#[test]
fn javascript_is_not_run() {
    let html = page(&display(r#"{"application/javascript":"x()</script>"}"#));
    expect(&html, &["which was not run", "x()&lt;/script&gt;"]);
}

#[test]
fn html_that_draws_itself_gets_a_frame_beside_what_needs_no_script() {
    let drawing = display(r#"{"text/html":"<p>static</p><script>draw()</script>","text/plain":"p"}"#);
    let html = page(&drawing);
    expect(
        &html,
        &[
            "<p>static</p>",
            "The same with its scripts</summary><div class=\"live\"><iframe sandbox=\"allow-scripts\"",
        ],
    );
    let html = page_with(&drawing, "{}", Scripts::Omitted);
    assert!(html.contains("left out of this report") && !html.contains("draw()"), "{html}");
}

#[test]
fn charts_that_would_fetch_their_library_show_what_stands_beside_them() {
    let html = page(&display(
        r#"{"text/html":"<div id=v></div><script>load('https://cdn.jsdelivr.net/npm/vega');vegaEmbed()</script>","text/plain":"alt.Chart"}"#,
    ));
    expect(&html, &["that it would fetch from the network", "alt.Chart</pre>"]);
    let html = page(&display(
        r#"{"text/html":"<script src='https://x/y.js'></script><div></div>","image/png":"AAAA"}"#,
    ));
    expect(&html, &["data:image/png"]);
    let html = page(&display(r#"{"application/vnd.plotly.v1+json":{"data":[]},"image/png":"AAAA"}"#));
    expect(&html, &["data:image/png"]);
    let html = page(&display(r#"{"application/vnd.vegalite.v5+json":{},"text/plain":"<VegaLite>"}"#));
    expect(&html, &["A Vega chart", "&lt;VegaLite&gt;</pre>"]);
}

#[test]
fn bokeh_draws_with_the_library_that_the_notebook_embeds() {
    let library = format!(
        "{{\"application/javascript\":\"bokeh.min.js {}\",\"application/vnd.bokehjs_load.v0+json\":\"\"}}",
        "x".repeat(100_000)
    );
    let element = display(r#"{"text/html":"<div id='chart'></div>"}"#);
    let script = display(
        r#"{"application/javascript":"root.Bokeh.embed.embed_items_notebook()","application/vnd.bokehjs_exec.v0+json":""}"#,
    );
    let loading = display(r#"{"text/html":"<span>Loading BokehJS ...</span>"}"#);
    let html = page(&[loading.as_str(), &display(&library), &element, &script].join(","));
    assert!(!html.contains("Loading BokehJS"), "{html}");
    expect(&html, &["<iframe", "bokeh.min.js", "id='chart'"]);
    let html = page(&[element.as_str(), &script].join(","));
    expect(&html, &["a library (Bokeh) that it would fetch"]);
}

#[test]
fn widgets_show_their_last_state() {
    let view = r#"{"application/vnd.jupyter.widget-view+json":{"model_id":"a"},"text/plain":"HBox()"}"#;
    let state = r#"{"widgets":{"application/vnd.jupyter.widget-state+json":{"state":{
        "a":{"model_name":"HBoxModel","state":{"children":["IPY_MODEL_b","IPY_MODEL_c","IPY_MODEL_d"]}},
        "b":{"model_name":"HTMLModel","state":{"value":"<i>x</i><script>x()</script>"}},
        "c":{"model_name":"IntTextModel","state":{"value":3,"description":"<n>"}},
        "d":{"model_name":"OutputModel","state":{"outputs":[{"output_type":"stream","name":"stdout","text":"inner"}]}}}}}}"#;
    let html = page_with(&display(view), state, Scripts::OnDemand);
    expect(&html, &["<i>x</i>", "&lt;n&gt;: 3", "inner</pre>"]);
    assert!(!html.contains("x()"), "{html}");
    expect(&page(&display(view)), &["what it showed was not kept", "HBox()</pre>"]);
}

#[test]
fn what_was_left_out_is_said() {
    let html = page(&display(
        r#"{"text/html":"<p>x</p><iframe src='http://x'></iframe><img src='http://x/y.png'>"}"#,
    ));
    expect(
        &html,
        &["embedded in this output was left out", "would be fetched from the network were left out"],
    );
    expect(
        &page(&display(r#"{"application/pdf":"AAAA"}"#)),
        &["of type application/pdf, which a page cannot show"],
    );
    expect(&page(r#"{"output_type":"odd","x":1}"#), &["of a kind that is not known", "&quot;odd&quot;"]);
}

#[test]
fn outputs_that_are_no_outputs_show_nothing_and_break_nothing() {
    for odd in [
        "3",
        "null",
        r#"{"output_type":"stream"}"#,
        r#"{"output_type":"error"}"#,
        r#"{"output_type":"display_data"}"#,
        r#"{"output_type":"display_data","data":{}}"#,
        r#"{"output_type":"error","traceback":"text"}"#,
    ] {
        page(odd);
    }
}

#[test]
fn a_long_text_shows_its_ends() {
    let text = "0123456789\\n".repeat(400_000);
    let html = page(&format!(r#"{{"output_type":"stream","name":"stdout","text":"{text}"}}"#));
    assert!(html.len() < 3_000_000, "{}", html.len());
    expect(&html, &["in between are left out here"]);
}

#[test]
fn texts_and_html_beyond_what_a_page_bears_are_shortened_and_said_so() {
    let text = "0123456789\\n".repeat(150_000);
    let stream = format!(r#"{{"output_type":"stream","name":"stdout","text":"{text}"}}"#);
    let html = page(&vec![stream; 20].join(","));
    assert!(html.len() < 12_000_000 && html.matches("are left out here").count() > 5, "{}", html.len());
    let table = format!(r#"{{"text/html":"<p>{}</p>","text/plain":"beside"}}"#, "x ".repeat(2_000_000));
    let html = page(&vec![display(&table); 5].join(","));
    assert!(html.len() < 12_000_000, "{}", html.len());
    expect(&html, &["would make the page too slow", "beside</pre>"]);
}

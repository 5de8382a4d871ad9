//! The HTML page of an executed notebook: made by the command line, harmless in a real browser whatever the notebook holds.

mod report {
    pub(crate) mod hostile;
}

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use report::hostile;
use rnbexec::report::{IndexEntry, IndexOptions, ReportOptions, Scripts, index, report as page};
use rnbexec_notebook::Notebook;
use rnbexec_tests::browser::{Canary, Visit, visit};
use rnbexec_tests::servers::Http;
use rnbexec_tests::{Book, Scratch, finish};
use serde_json::{Value, json};

fn parse(json: &Value) -> Notebook {
    let mut ids = 0;
    let mut fresh_id = || {
        ids += 1;
        format!("id-{ids}")
    };
    Notebook::parse(json.to_string().as_bytes(), &mut fresh_id).expect("a notebook").notebook
}

fn code_cell(outputs: &Value) -> Value {
    json!({"cell_type": "code", "metadata": {}, "source": "show()", "execution_count": 1, "outputs": outputs})
}

fn notebook_of(cells: &[Value]) -> Notebook {
    parse(&json!({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
}

fn written(scratch: &Scratch, name: &str, html: &str) -> PathBuf {
    scratch.write(name, html);
    scratch.join(name)
}

fn read(scratch: &Scratch, name: &str) -> String {
    String::from_utf8(scratch.read(name)).expect("a page is UTF-8")
}

/// A notebook that was run, with a plot of text, a table and a failure.
fn executed(scratch: &Scratch) {
    let book = Book::new()
        .markdown("# What happened\n\nSee <b>below</b>.")
        .parameters("who = 'nobody'")
        .code("class Table:\n    def _repr_html_(self):\n        return '<table><tr><td style=\"color:red\">cell</td></tr></table>'\nTable()")
        .code("print('\\x1b[32mgreen\\x1b[0m')\nraise ValueError('<b>no</b>')");
    scratch.write("in.ipynb", book.to_bytes());
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-p", "who", "<me>"])).expect_code(1);
}

#[test]
fn the_page_of_a_run_lies_beside_the_notebook_and_shows_what_happened() {
    let scratch = Scratch::new();
    executed(&scratch);
    let done = finish(&mut scratch.rnbexec(["report", "out.ipynb"]));
    done.expect_code(0).expect_stderr("The report of out.ipynb is at out.html");
    let seen = &visit(&[Visit::file(&scratch.join("out.html"))
        .reading("document.querySelector('header .status').innerText")
        .reading("document.querySelector('header .failure').innerText")
        .reading("document.querySelector('.pairs').innerText.trim()")
        .reading("getComputedStyle(document.querySelector('.html td')).color")
        .reading("document.querySelector(document.querySelector('.failure a').getAttribute('href')).className")
        .reading("[...document.querySelectorAll('pre')].some(pre => pre.innerText === 'green' && pre.querySelector('span'))")])[0];
    seen.expect_quiet();
    assert_eq!(seen.0["title"], "What happened");
    assert_eq!(seen.value(0), "Failed");
    assert_eq!(seen.value(1), "Failed: ValueError: <b>no</b> Go to the cell");
    assert_eq!(seen.value(2), "who\t<me>");
    assert_eq!(seen.value(3), "rgb(255, 0, 0)");
    assert_eq!(seen.value(4), "cell code failed");
    assert_eq!(seen.value(5), true);
}

#[test]
fn title_and_code_are_chosen_on_the_command_line() {
    let scratch = Scratch::new();
    scratch.write("n.ipynb", Book::new().markdown("# Heading").code("secret_word = 1").to_bytes());
    finish(&mut scratch.rnbexec(["report", "n.ipynb", "a.html", "--title", "Mine & yours"])).expect_code(0);
    let html = read(&scratch, "a.html");
    assert!(html.contains("<title>Mine &amp; yours</title>") && html.contains("secret_word"), "{html}");
    for flag in ["--no-code", "--hide-source"] {
        finish(&mut scratch.rnbexec(["report", "n.ipynb", "b.html", flag])).expect_code(0);
        assert!(!read(&scratch, "b.html").contains("secret_word"));
    }
}

#[test]
fn scripts_of_outputs_wait_run_at_once_or_are_left_out_as_the_command_line_says() {
    let scratch = Scratch::new();
    let book =
        Book::new().cell(code_cell(&json!([display(&json!({"text/html": "<script>draw()</script><p>x"}))])));
    scratch.write("n.ipynb", book.to_bytes());
    for (when, waits, runs) in [("on-demand", true, false), ("always", false, true), ("never", false, false)]
    {
        finish(&mut scratch.rnbexec(["report", "n.ipynb", "--scripts", when])).expect_code(0);
        let html = read(&scratch, "n.html");
        assert_eq!(html.contains("<button"), waits, "{when}");
        assert_eq!(html.contains(">draw()</script>"), runs, "{when}");
    }
}

#[test]
fn the_page_goes_to_standard_output_and_to_any_place_that_notebooks_go_to() {
    let scratch = Scratch::new();
    scratch.write("n.ipynb", Book::new().markdown("# Heading").to_bytes());
    let done = finish(&mut scratch.rnbexec(["report", "n.ipynb", "-"]));
    done.expect_code(0);
    assert!(done.stdout_text().starts_with("<!doctype html>") && done.stderr.is_empty(), "{}", done.stderr);

    let server = Http::storing();
    finish(&mut scratch.rnbexec(["run", "--prepare-only", "n.ipynb", &format!("{}/x.ipynb", server.url())]))
        .expect_code(0);
    finish(&mut scratch.rnbexec(["report", &format!("{}/x.ipynb", server.url())])).expect_code(0);
    let put = server.asked().into_iter().find(|asked| asked.method == "PUT" && asked.target == "/x.html");
    assert!(put.is_some_and(|put| put.body.starts_with(b"<!doctype html>")));
}

#[test]
fn what_is_no_notebook_and_what_would_overwrite_it_is_refused() {
    let scratch = Scratch::new();
    scratch.write("n.ipynb", "{}");
    scratch.write("good.ipynb", Book::new().to_bytes());
    finish(&mut scratch.rnbexec(["report", "n.ipynb"])).expect_code(1).expect_stderr("is not a notebook");
    finish(&mut scratch.rnbexec(["report", "absent.ipynb"])).expect_code(1).expect_stderr("does not exist");
    let done = finish(&mut scratch.rnbexec(["report", "good.ipynb", "good.ipynb"]));
    done.expect_code(1).expect_stderr("would overwrite the notebook");
    finish(&mut scratch.rnbexec(["report"])).expect_code(2);
}

fn display(data: &Value) -> Value {
    json!({"output_type": "display_data", "metadata": {}, "data": data})
}

/// What must hold of a page in the browser whatever it was made of, as expressions that are true.
const INVARIANTS: &[(&str, &str)] = &[
    ("nothing fired", "window.__pwned === undefined"),
    ("no script stands in the page", "document.scripts.length === 0"),
    (
        "no handler stands in the page",
        "![...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => a.name.startsWith('on')))",
    ),
    (
        "links lead to the web or within the page and cannot reach back",
        "[...document.querySelectorAll('a[href], area')].every(a => { const href = a.getAttribute('href'); \
         const below = a.protocol === location.protocol && !/[:\\\\]|^\\//.test(href); \
         return href.startsWith('#') || ((below || ['http:', 'https:', 'mailto:'].includes(a.protocol)) && \
         a.rel.includes('noopener') && !a.target && !a.ping); })",
    ),
    (
        "images come with the page",
        "[...document.images].every(i => !i.src || i.src.startsWith('data:image/'))",
    ),
    (
        "no image fills the memory",
        "[...document.images].every(i => i.naturalWidth * i.naturalHeight <= 100000000 && !/R0lGODlh\\/|AA6mAAAOpg/.test(i.src))",
    ),
    (
        "nothing embeds, submits, redirects or rebases",
        "!document.querySelector('form, input:not([name=theme], #show-code), object, embed, base, link, video, audio, meta[http-equiv=refresh i]')",
    ),
    (
        "frames are walled off",
        "[...document.querySelectorAll('iframe')].every(f => f.getAttribute('sandbox') === 'allow-scripts' && !f.src)",
    ),
    (
        "nothing of a stranger leaves its box",
        "[...document.querySelectorAll('.html *, .md *')].every(e => getComputedStyle(e).position === 'static')",
    ),
    (
        "every id stands for one element of the page",
        "['content', 'theme-auto', 'show-code'].every(id => document.querySelectorAll('#' + id).length <= 1) && \
         document.querySelectorAll('[id=verdict]').length <= 1",
    ),
    (
        "no class of the page is on what strangers made",
        "![...document.querySelectorAll('.html [class], .md [class]')].some(e => [...e.classList].some(c => !c.startsWith('u-')))",
    ),
    (
        "no name of a stranger hides a part of the document",
        "document.body instanceof HTMLElement && document.title === document.querySelector('title').textContent",
    ),
    (
        "nothing reads otherwise than it is",
        "!/[\\u202a-\\u202e\\u2066-\\u2069\\u0000]/.test(document.documentElement.outerHTML)",
    ),
];

#[track_caller]
fn expect_harmless(path: &Path, canary: &Canary) {
    let mut visited = Visit::file(path);
    for (_, expression) in INVARIANTS {
        visited = visited.reading(expression);
    }
    let seen = &visit(&[visited])[0];
    seen.expect_quiet();
    for (index, (what, _)) in INVARIANTS.iter().enumerate() {
        assert_eq!(seen.value(index), true, "{what}");
    }
    assert_eq!(canary.heard(), Vec::<String>::new(), "the page reached for the network");
}

#[test]
fn the_browser_and_the_canary_notice_what_a_page_does() {
    let canary = Canary::listen();
    let scratch = Scratch::new();
    let evil = format!(
        "<!doctype html><title>x</title><img src=http://{0}/image><script>window.__pwned=1;document.title='pwned';open('about:blank')</script>",
        canary.host()
    );
    let seen = &visit(&[Visit::file(&written(&scratch, "evil.html", &evil)).reading("window.__pwned")])[0];
    assert_eq!((seen.value(0), &seen.0["title"]), (&json!(1), &json!("pwned")));
    assert!(canary.heard().iter().any(|line| line.contains("/image")), "{:?}", canary.heard());
}

#[test]
fn hostile_outputs_of_every_kind_are_harmless() {
    let canary = Canary::listen();
    let scratch = Scratch::new();
    let html = page(&parse(&hostile::notebook(&canary.host())), &ReportOptions::default());
    expect_harmless(&written(&scratch, "hostile.html", &html), &canary);
}

#[test]
fn drawings_that_multiply_by_references_hold_no_browser_up() {
    let scratch = Scratch::new();
    let mut outputs = hostile::bombs();
    let count = outputs.len();
    // What libraries draw stays.
    let scatter = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'><defs><path id='m' d='M0 0L9 9' stroke='red'/></defs>{}</svg>",
        "<use href='#m' x='1' y='2'/>".repeat(2_000)
    );
    outputs.push(display(&json!({"image/svg+xml": scatter, "text/plain": "scatter"})));
    let html = page(&notebook_of(&[code_cell(&outputs.into())]), &ReportOptions::default());
    let path = written(&scratch, "bombs.html", &html);
    let begun = Instant::now();
    let seen = &visit(&[Visit::file(&path)
        .reading("[...document.images].every(i => i.complete)")
        .reading("[...document.images].filter(i => i.naturalWidth === 99).length")
        .reading("document.querySelectorAll('svg use, svg pattern').length")
        .reading("[...document.querySelectorAll('pre')].filter(p => p.innerText === 'a drawing').length")])
        [0];
    let took = begun.elapsed();
    assert_eq!(
        (seen.value(0), seen.value(1), seen.value(2)),
        (&json!(true), &json!(1), &json!(0)),
        "{count} bombs"
    );
    assert_eq!(seen.value(3), 8, "what stands beside a drawing is shown instead");
    // A billion elements take hours, if there is memory for them.
    assert!(took < Duration::from_mins(1), "{took:?}");
}

#[test]
fn hostile_incidents_are_harmless_in_the_index() {
    let canary = Canary::listen();
    let scratch = Scratch::new();
    let entries: Vec<IndexEntry> = hostile::html(&canary.host())
        .into_iter()
        .map(|text| IndexEntry {
            title: text.clone(),
            incident: text.clone(),
            severity_before: Some(text.clone()),
            severity_after: Some("High".to_owned()),
            verdict: Some(text.clone()),
            classification: Some(text.clone()),
            summary: Some(text.clone()),
            link: Some(text),
            duration: Some(Duration::from_secs(3)),
            confidence: Some(f64::NAN),
            failed: false,
        })
        .collect();
    let options =
        IndexOptions { title: "<script>1</script>".to_owned(), introduction: "\u{202e}<b>".to_owned() };
    expect_harmless(&written(&scratch, "index.html", &index(&entries, &options)), &canary);
}

#[test]
fn scripts_that_the_reader_starts_reach_neither_the_page_nor_the_network() {
    let canary = Canary::listen();
    let scratch = Scratch::new();
    let outputs: Vec<Value> = hostile::scripts(&canary.host())
        .into_iter()
        .map(|script| display(&json!({"text/html": format!("<div id=x></div><script>{script}</script>")})))
        .collect();
    // Those that try to go elsewhere end at an empty page of the browser.
    let staying = outputs.len() - hostile::LEAVING;
    let notebook = notebook_of(&[code_cell(&outputs.into())]);
    for scripts in [Scripts::OnDemand, Scripts::Run] {
        let html = page(&notebook, &ReportOptions { scripts, ..ReportOptions::default() });
        let path = written(&scratch, "frames.html", &html);
        let visited = Visit::file(&path).reading("window.__pwned === undefined");
        let visited = if scripts == Scripts::OnDemand { visited.pressing() } else { visited.waiting() };
        let seen = &visit(&[visited])[0];
        seen.expect_quiet();
        assert_eq!(seen.value(0), true);
        assert_eq!(seen.0["title"], "Notebook");
        let ran = seen.frames().iter().filter(|text| text.contains("ran")).count();
        assert_eq!(ran, staying, "scripts run in their frames: {:#?}", seen.frames());
        assert_eq!(canary.heard(), Vec::<String>::new(), "{scripts:?}");
    }
}

#[test]
fn scripts_do_not_run_before_the_reader_starts_them() {
    let scratch = Scratch::new();
    let output = display(&json!({"text/html": "<div id=p></div><script>p.innerText='ran'</script>"}));
    let notebook = notebook_of(&[code_cell(&json!([output]))]);
    let path = written(&scratch, "waits.html", &page(&notebook, &ReportOptions::default()));
    let seen = &visit(&[Visit::file(&path)])[0];
    assert!(seen.frames()[0].contains("Show the interactive output"), "{:?}", seen.frames());
}

#[test]
fn the_page_follows_the_readers_preference_and_choice_of_light_or_dark() {
    let scratch = Scratch::new();
    let notebook = notebook_of(&[json!({"cell_type": "markdown", "metadata": {}, "source": "# Title"})]);
    let path = written(&scratch, "page.html", &page(&notebook, &ReportOptions::default()));
    let background = "getComputedStyle(document.body).backgroundColor";
    let choose = "document.getElementById('theme-light').click()";
    let seen = visit(&[
        Visit::file(&path).reading(background),
        Visit::file(&path).dark().reading(background).reading(choose).reading(background),
    ]);
    let (light, dark) = (seen[0].value(0), seen[1].value(0));
    assert_ne!(light, dark);
    assert_eq!(seen[1].value(2), light, "chosen by a click, without scripts of the page");
}

#[test]
fn a_huge_image_and_a_huge_table_stay_within_the_page() {
    let scratch = Scratch::new();
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='90000' height='90000'><rect width='9' height='9'/></svg>";
    let wide = format!(
        "<table><tr>{}</tr></table><div style='width:90000px;height:90000px'>x</div>",
        "<td>cell</td>".repeat(500)
    );
    let outputs = json!([display(&json!({"image/svg+xml": svg})), display(&json!({"text/html": wide}))]);
    let path = written(
        &scratch,
        "huge.html",
        &page(&notebook_of(&[code_cell(&outputs)]), &ReportOptions::default()),
    );
    let seen = &visit(&[Visit::file(&path)
        .reading("document.documentElement.scrollWidth <= innerWidth")
        .reading("document.documentElement.scrollHeight < 5000")])[0];
    assert_eq!((seen.value(0), seen.value(1)), (&json!(true), &json!(true)));
}

//! An executed notebook as one HTML page that opens anywhere: without Jupyter, without the network, harmlessly.
//!
//! [`report`] makes the page of one notebook, [`index`] a page that links many. Both are pure.
//!
//! A notebook is hostile: its outputs carry what attackers chose, from incident titles to whole pages. So
//!
//! - the page has no script and a content security policy that lets none run and nothing be fetched; should something slip
//!   through the rest, it does nothing;
//! - every text is escaped, and characters that act unseen (bidirectional controls, control characters) are shown as such;
//! - HTML passes an allow-list: tables and simple boxes keep their look, everything that runs, fetches, submits, overlays or
//!   takes the name of a part of the page goes; SVG files are images, in which nothing runs;
//! - outputs that need scripts (Bokeh, Plotly) are walled off in frames without an origin and without network, and run only when
//!   the reader opens them ([`Scripts::OnDemand`]). That is the default because a sandbox still lets a script burn the reader's
//!   processor and tell somebody by side channels that the page is open (a look-up of a name, a peer connection), so that no
//!   script should run unasked; leaving such outputs out ([`Scripts::Omitted`]) loses the charts that analysts look at.
//! - names in the metadata of outputs (`filename`) are never followed.
//!
//! The cost is linear in the size of the notebook, and the page stays one that a browser can open: texts of more than 2 MiB, and all
//! texts once there are 8 MiB of them, are shown by their ends; HTML beyond 8 MiB, and HTML that cannot be checked at a bounded
//! cost, by its plain text. Images are all shown.

mod ansi;
mod frame;
mod highlight;
mod html;
mod image;
mod index;
mod markdown;
mod output;
mod run;
mod svg;
mod text;
mod verdict;
mod widgets;

use rnbexec_notebook::papermill::ERROR_MARKER_TAG;
use rnbexec_notebook::{Cell, CellStatus, CellType, Notebook};

pub use index::{IndexEntry, IndexOptions, index};

use frame::Frames;
use markdown::{Headings, Images};
use output::Outputs;
use run::Run;

const STYLE: &str = include_str!("report/page.css");

/// What a report looks like.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// The title, instead of the notebook's first heading.
    pub title: Option<String>,
    /// The notebook's name, for one without a heading.
    pub name: Option<String>,
    /// What is shown of the code.
    pub code: Code,
    /// What becomes of outputs that need scripts.
    pub scripts: Scripts,
}

/// What is shown of the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    /// A line, which opens to all of it.
    #[default]
    Folded,
    /// Nothing.
    Omitted,
}

/// What becomes of outputs that need scripts of their own. Where they run, they run in frames without an origin or network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// They run when the reader opens them.
    #[default]
    OnDemand,
    /// They run when the page is opened.
    Run,
    /// They are left out.
    Omitted,
}

/// The page of a notebook.
pub fn report(notebook: &Notebook, options: &ReportOptions) -> String {
    let run = Run::of(notebook);
    let mut page = Page::new(notebook, options, &run);
    for (index, cell) in notebook.cells().iter().enumerate() {
        page.cell(index, cell);
    }
    let Page { body, headings, outputs, title, .. } = page;

    let mut out = String::with_capacity(body.len() + STYLE.len() + 16_384);
    head(&mut out, &title, &outputs.frames.policy());
    out.push_str("<body><a class=\"skip\" href=\"#content\">Skip to the content</a>");
    let contents = contents(&headings);
    out.push_str(if contents.is_empty() { "<div class=\"page\">" } else { "<div class=\"page with-toc\">" });
    out.push_str(&contents);
    out.push_str("<main id=\"content\">");
    let verdict = verdict::of(notebook);
    header(&mut out, &title, &run, options, verdict.is_some());
    if let Some(verdict) = verdict {
        verdict::banner(&mut out, &verdict);
    }
    out.push_str(&body);
    footer(&mut out);
    out.push_str("</main></div></body></html>\n");
    out
}

/// Everything before the body. The policy comes before all else that could fetch.
fn head(out: &mut String, title: &str, scripts: &str) {
    out.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    out.push_str(scripts);
    out.push_str(
        "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta http-equiv=\"x-dns-prefetch-control\" content=\"off\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"generator\" content=\"rnbexec\"><title>",
    );
    text::escape(out, title);
    out.push_str("</title><style>");
    out.push_str(STYLE);
    out.push_str("</style></head>");
}

/// Light or dark, chosen without a script.
fn theme(out: &mut String) {
    out.push_str("<fieldset class=\"theme\"><legend>Theme</legend>");
    for (name, checked) in [("auto", " checked"), ("light", ""), ("dark", "")] {
        text::push(
            out,
            format_args!(
                "<label><input type=\"radio\" name=\"theme\" id=\"theme-{name}\"{checked}><span>{name}</span></label>"
            ),
        );
    }
    out.push_str("</fieldset>");
}

fn header(out: &mut String, title: &str, run: &Run<'_>, options: &ReportOptions, verdict_follows: bool) {
    out.push_str("<header><div class=\"head-line\"><h1>");
    text::escape(out, title);
    out.push_str("</h1>");
    theme(out);
    out.push_str("</div><dl class=\"facts\">");
    let mut fact = |name: &str, value: &str| {
        out.push_str("<div><dt>");
        out.push_str(name);
        out.push_str("</dt><dd>");
        out.push_str(value);
        out.push_str("</dd></div>");
    };
    fact("Run", &format!("<span class=\"status {}\">{}</span>", run.ending.class(), run.word));
    if let Some(seconds) = run.duration {
        fact("Took", &run::seconds(seconds));
    }
    if let Some(started) = &run.started {
        fact("Started", &text::escaped(started));
    }
    if run.code_cells > 0 {
        let cells = if run.ran == run.code_cells {
            format!("{}", run.ran)
        } else {
            format!("{} of {}", run.ran, run.code_cells)
        };
        fact("Code cells run", &cells);
    }
    if let Some(kernel) = &run.kernel {
        fact("Kernel", &text::escaped(kernel));
    }
    if let Some(name) = options.name.as_ref().filter(|name| *name != title) {
        fact("Notebook", &text::escaped(&text::line(name, 200)));
    }
    out.push_str("</dl>");
    failure(out, run);
    parameters(out, run, verdict_follows);
    record(out, run);
    if options.code == Code::Folded && run.code_cells > 0 {
        out.push_str(
            "<label class=\"all-code\"><input type=\"checkbox\" id=\"show-code\"><span>Show all code</span></label>",
        );
    }
    out.push_str("</header>");
}

fn failure(out: &mut String, run: &Run<'_>) {
    if run.ending != run::Ending::Bad {
        return;
    }
    out.push_str("<p class=\"failure\" role=\"alert\"><strong>");
    out.push_str(run.word);
    out.push_str("</strong>");
    if let Some(reason) = &run.reason {
        out.push_str(": ");
        text::escape(out, reason);
    }
    if let Some(failed) = run.failed {
        text::push(out, format_args!(" <a href=\"#cell-{}\">Go to the cell</a>", failed + 1));
    }
    out.push_str("</p>");
}

fn parameters(out: &mut String, run: &Run<'_>, folded: bool) {
    let Some(parameters) = run.parameters else { return };
    out.push_str(if folded { "<details class=\"more\">" } else { "<details class=\"more\" open>" });
    out.push_str("<summary>Parameters</summary><table class=\"pairs\"><tbody>");
    for (name, value) in parameters {
        pair(out, name, &text::line(&text::of_json(value), 2_000));
    }
    out.push_str("</tbody></table></details>");
}

fn record(out: &mut String, run: &Run<'_>) {
    if run.record.is_empty() {
        return;
    }
    out.push_str(
        "<details class=\"more\"><summary>Record of the run</summary><table class=\"pairs\"><tbody>",
    );
    for (name, value) in &run.record {
        pair(out, name, value);
    }
    out.push_str("</tbody></table></details>");
}

fn pair(out: &mut String, name: &str, value: &str) {
    out.push_str("<tr><th scope=\"row\">");
    text::escape(out, name);
    out.push_str("</th><td>");
    text::escape(out, value);
    out.push_str("</td></tr>");
}

/// The table of contents; nothing when there is little to find.
fn contents(headings: &Headings) -> String {
    let deepest = 3;
    let found: Vec<_> = headings.found.iter().filter(|heading| heading.level <= deepest).collect();
    if found.len() < 3 {
        return String::new();
    }
    let top = found.iter().map(|heading| heading.level).min().unwrap_or(1);
    let mut out = String::from(
        "<nav class=\"toc\" aria-label=\"Contents\"><details open><summary>Contents</summary><ul>",
    );
    for heading in found {
        text::push(&mut out, format_args!("<li class=\"l{}\"><a href=\"#", heading.level - top));
        text::escape(&mut out, &heading.id);
        out.push_str("\">");
        text::escape(&mut out, &heading.text);
        out.push_str("</a></li>");
    }
    out.push_str("</ul></details></nav>");
    out
}

fn footer(out: &mut String) {
    out.push_str(concat!(
        "<footer>Made by rnbexec ",
        env!("CARGO_PKG_VERSION"),
        ". This page runs no scripts of its own and loads nothing from the network.</footer>"
    ));
}

/// The body as it grows.
struct Page<'a> {
    body: String,
    title: String,
    headings: Headings,
    outputs: Outputs<'a>,
    code: Code,
    language: String,
    failed: Option<usize>,
}

impl<'a> Page<'a> {
    fn new(notebook: &'a Notebook, options: &ReportOptions, run: &Run<'_>) -> Self {
        let markdown =
            |cell: &&Cell| cell.cell_type() == CellType::Markdown && !cell.has_tag(ERROR_MARKER_TAG);
        let heading = || {
            notebook.cells().iter().filter(markdown).find_map(|cell| markdown::first_heading(&cell.source()))
        };
        let given = options.title.clone();
        let found = if given.is_none() { heading() } else { None };
        let headings = Headings { first_is_title: found.is_some(), ..Headings::default() };
        let title = given.or(found).or_else(|| options.name.clone()).unwrap_or_else(|| "Notebook".to_owned());
        Self {
            body: String::new(),
            title: text::line(&title, 300),
            headings,
            outputs: Outputs::new(Frames::new(notebook, options.scripts), notebook.metadata()),
            code: options.code,
            language: run.language.clone(),
            failed: run.failed,
        }
    }

    fn cell(&mut self, index: usize, cell: &'a Cell) {
        match cell.cell_type() {
            CellType::Markdown if cell.has_tag(ERROR_MARKER_TAG) => {}
            CellType::Markdown => {
                let html = markdown::render(&cell.source(), Images::of(cell), Some(&mut self.headings));
                if !html.trim().is_empty() {
                    self.body.push_str("<section class=\"cell md\">");
                    self.body.push_str(&html);
                    self.body.push_str("</section>");
                }
            }
            CellType::Code => self.code_cell(index, cell),
            CellType::Raw | CellType::Other => {
                let source = cell.source();
                if !source.trim().is_empty() {
                    self.body.push_str("<section class=\"cell\"><pre class=\"out text\">");
                    text::escape(&mut self.body, text::ends(&source, text::LIMIT).0);
                    self.body.push_str("</pre></section>");
                }
            }
        }
    }

    fn code_cell(&mut self, index: usize, cell: &'a Cell) {
        let source = cell.source();
        if source.trim().is_empty() && cell.outputs().is_empty() {
            return;
        }
        let failed = self.failed == Some(index);
        let count =
            cell.execution_count().map_or_else(|| "In [ ]".to_owned(), |count| format!("In [{count}]"));
        let out = &mut self.body;
        let class = if failed { "cell code failed" } else { "cell code" };
        text::push(out, format_args!("<section class=\"{class}\" id=\"cell-{}\">", index + 1));
        if self.code == Code::Folded {
            code(out, cell, &source, &count, &self.language, failed);
        }
        if let Some(note) = cell.metadata().get("rnbexec").and_then(|notes| notes.get("outputs")) {
            out.push_str("<p class=\"note\">Outputs of this cell: ");
            text::escape(out, &text::line(&text::of_json(note), 200));
            out.push_str(".</p>");
        }
        let hidden = outputs_are_hidden(cell) && !failed && !cell.outputs().is_empty();
        if hidden {
            out.push_str("<details class=\"more\"><summary>Outputs, hidden in the notebook</summary>");
        }
        self.outputs.write(out, cell.outputs(), &format!("Output of {count}"));
        if hidden {
            out.push_str("</details>");
        }
        out.push_str("</section>");
    }
}

/// The code of a cell, folded into one line unless it failed.
fn code(out: &mut String, cell: &Cell, source: &str, count: &str, language: &str, failed: bool) {
    out.push_str(if failed {
        "<details class=\"source\" open><summary>"
    } else {
        "<details class=\"source\"><summary>"
    });
    out.push_str("<span class=\"count\">");
    text::escape(out, count);
    out.push_str("</span><code class=\"peek\">");
    let first = source.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    text::escape(out, &text::line(first, 120));
    out.push_str("</code>");
    for (applies, word, class) in [
        (failed, "failed", "bad"),
        (!failed && !run::ran(cell) && CellStatus::of(cell).is_some(), "not run", "unknown"),
        (cell.has_tag(rnbexec_notebook::inject::INJECTED_TAG), "injected parameters", "unknown"),
        (cell.has_tag("parameters"), "parameters", "unknown"),
    ] {
        if applies {
            text::push(out, format_args!("<span class=\"status {class}\">{word}</span>"));
        }
    }
    if let Some(duration) = run::cell_duration(cell) {
        text::push(out, format_args!("<span class=\"took\">{}</span>", run::seconds(duration)));
    }
    out.push_str("</summary><pre><code>");
    let (head, rest) = text::ends(source, text::LIMIT);
    highlight::render(out, head, language);
    if let Some((left_out, tail)) = rest {
        text::push(out, format_args!("\n[{} left out]\n", text::size(left_out)));
        text::escape(out, tail);
    }
    out.push_str("</code></pre></details>");
}

/// Whether the author of the notebook has folded the outputs away, in Jupyter's words of today or of old.
fn outputs_are_hidden(cell: &Cell) -> bool {
    let metadata = cell.metadata();
    let flag = |value: Option<&rnbexec_notebook::Json>| {
        value.and_then(rnbexec_notebook::Json::as_bool) == Some(true)
    };
    flag(metadata.get("collapsed"))
        || flag(metadata.get("jupyter").and_then(|jupyter| jupyter.get("outputs_hidden")))
}

#[cfg(test)]
mod tests;

//! The outputs of a code cell: each in the richest form that a page without scripts and network can show.

use rnbexec_notebook::{Json, Object};

use super::frame::{self, Drawn, Frames};
use super::markdown::{self, Images};
use super::widgets::{self, Shown, Widgets};
use super::{ansi, html, image, text, verdict};

const BOKEH_LOAD: &str = "application/vnd.bokehjs_load.v0+json";
const BOKEH_EXEC: &str = "application/vnd.bokehjs_exec.v0+json";
const JAVASCRIPT: &[&str] = &["application/javascript", "text/javascript"];
const IMAGES: &[&str] = &["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"];
/// Specifications of charts that only a script can draw.
const CHARTS: &[(&str, &str)] = &[
    ("application/vnd.plotly", "Plotly"),
    ("application/vnd.vega", "Vega"),
    ("application/vnd.bokeh", "Bokeh"),
];
/// How much text all outputs may show together in full, and how much HTML: browsers are slow with more. Of texts beyond that a little
/// is shown, of HTML the plain text that stands beside it.
const TEXT_BUDGET: usize = 8 << 20;
const HTML_BUDGET: usize = 8 << 20;
/// How much is shown of every text.
const TEXT_LEAST: usize = 16 << 10;
/// How deep outputs may lie in widgets.
const DEPTH: usize = 3;

/// Writes outputs, and what they share.
pub(super) struct Outputs<'a> {
    pub(super) frames: Frames<'a>,
    widgets: Widgets<'a>,
    /// How many boxes there are, for their ids.
    boxes: usize,
    depth: usize,
    text_left: usize,
    html_left: usize,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(frames: Frames<'a>, metadata: &'a Object) -> Self {
        Self {
            frames,
            widgets: Widgets::of(metadata),
            boxes: 0,
            depth: 0,
            text_left: TEXT_BUDGET,
            html_left: HTML_BUDGET,
        }
    }

    /// Appends the outputs; `label` says whose they are.
    pub(super) fn write(&mut self, out: &mut String, outputs: &'a [Json], label: &str) {
        for (index, output) in outputs.iter().enumerate() {
            let kind = output.get("output_type").and_then(Json::as_str).unwrap_or_default();
            match kind {
                "stream" => self.stream(out, output),
                "error" => self.error(out, output),
                "display_data" | "execute_result" => {
                    if let Some(data) = output.get("data").and_then(Json::as_object) {
                        let before = index.checked_sub(1).and_then(|before| outputs.get(before)?.get("data"));
                        let after = outputs.get(index + 1).and_then(|after| after.get("data"));
                        let metadata = output.get("metadata");
                        self.display(out, &Display { data, metadata, before, after, label });
                    }
                }
                _ => {
                    note(out, "An output of a kind that is not known:");
                    self.pretty(out, output);
                }
            }
        }
    }

    fn display(&mut self, out: &mut String, display: &Display<'a, '_>) {
        let data = display.data;
        if self.bokeh(out, display) {
            return;
        }
        let shown = self.widget(out, display)
            || self.html(out, display)
            || display.text("text/markdown").is_some_and(|source| {
                open_box(out, "md");
                out.push_str(&markdown::render(&source, Images::default(), None));
                out.push_str("</div>");
                true
            })
            || picture(out, display)
            || display.text("text/latex").is_some_and(|source| {
                self.plain(out, &source, "latex");
                true
            });
        if shown {
            return;
        }
        if data.contains_key(verdict::MIME_TYPE) {
            out.push_str(
                "<p class=\"note\"><a href=\"#verdict\">The verdict</a> stands at the top of this page.</p>",
            );
            return;
        }
        for (kind, name) in CHARTS {
            if data.keys().any(|mime| mime.starts_with(kind)) {
                note(
                    out,
                    &format!("A {name} chart, which is drawn by a script that the notebook does not hold."),
                );
                if let Some(source) = display.text("text/plain") {
                    self.plain(out, &source, "");
                }
                return;
            }
        }
        if let Some(json) = data.get("application/json") {
            return self.pretty(out, json);
        }
        if let Some(source) = display.text("text/plain") {
            return self.plain(out, &source, "");
        }
        if let Some((_, json)) = data.iter().find(|(kind, _)| kind.ends_with("+json")) {
            return self.pretty(out, json);
        }
        if let Some(source) = JAVASCRIPT.iter().find_map(|kind| display.text(kind)) {
            out.push_str("<details class=\"more\"><summary>JavaScript, which was not run</summary>");
            self.plain(out, &source, "");
            out.push_str("</details>");
            return;
        }
        if let Some((kind, _)) = data.first()
            && display.text("text/html").is_none()
        {
            note(out, &format!("An output of type {}, which a page cannot show.", text::line(kind, 100)));
        }
    }

    /// Bokeh's own way: one display loads the library, others are an element and the script that draws into it.
    fn bokeh(&mut self, out: &mut String, display: &Display<'a, '_>) -> bool {
        let loads = |data: Option<&Json>| data.is_some_and(|data| data.get(BOKEH_LOAD).is_some());
        if loads(display.after) && display.text("text/html").is_some_and(|html| html.contains("BokehJS")) {
            // "Loading BokehJS …", which the script would replace.
            return true;
        }
        let script = || JAVASCRIPT.iter().find_map(|kind| display.text(kind));
        if display.data.contains_key(BOKEH_LOAD) {
            if let Some(script) = script() {
                self.frames.set_up(frame::document_of("", &script));
            }
            return true;
        }
        if !display.data.contains_key(BOKEH_EXEC) {
            return false;
        }
        let Some(script) = script() else { return false };
        let element =
            display.before.and_then(|data| data.get("text/html")).map(text::of_json).unwrap_or_default();
        let document = frame::document_of(&element, &script);
        self.draw(out, &document, &[], display.label);
        true
    }

    fn draw(&mut self, out: &mut String, document: &str, external: &[String], label: &str) -> bool {
        match self.frames.draw(document, external, label) {
            Drawn::Framed(html) => {
                out.push_str(&html);
                true
            }
            Drawn::Not(why) => {
                note(out, &why);
                false
            }
        }
    }

    /// HTML: what of it needs no script in the page, what does in a frame.
    fn html(&mut self, out: &mut String, display: &Display<'a, '_>) -> bool {
        let Some(source) = display.text("text/html") else { return false };
        let too_much = source.len() > self.html_left;
        // A library is large, and still not shown by itself.
        if too_much && !frame::has_script(&source) {
            note(out, &too_slow(source.len()));
            return false;
        }
        let facts = html::facts(&source);
        if facts.too_costly {
            note(
                out,
                &format!(
                    "HTML that is too large or too tangled to be checked ({}).",
                    text::size(source.len())
                ),
            );
            return false;
        }
        if frame::sets_up(&source, &facts) {
            self.frames.set_up(source.into_owned());
            return true;
        }
        let scripted = facts.inline_scripts > 0 || !facts.external_scripts.is_empty();
        if facts.content && too_much {
            note(out, &too_slow(source.len()));
            return false;
        }
        let clean = if facts.content { html_box(&source, &mut self.boxes, &facts) } else { String::new() };
        // Of a page that is nothing without its scripts, an image beside it shows more.
        if scripted && clean.is_empty() && picture(out, display) {
            return true;
        }
        self.html_left = self.html_left.saturating_sub(clean.len());
        out.push_str(&clean);
        let mut shown = !clean.is_empty();
        if facts.inline_scripts > 0 {
            // What shows something without its scripts may do with the odd button that does nothing.
            let aside = shown && !frame::draws(&source);
            if aside {
                out.push_str("<details class=\"more\"><summary>The same with its scripts</summary>");
            }
            shown |= self.draw(out, &source, &facts.external_scripts, display.label);
            if aside {
                out.push_str("</details>");
            }
        } else if scripted {
            note(
                out,
                "Interactive output, whose scripts would be fetched from the network. A report fetches nothing.",
            );
        }
        if facts.embedded > 0 {
            note(out, "A page that is embedded in this output was left out.");
        }
        if facts.external_media > 0 {
            note(out, "Images that would be fetched from the network were left out.");
        }
        // An element that only a script fills, and nothing else to show, is nothing to speak of.
        shown
            || !display.data.contains_key("text/plain")
                && !display.data.keys().any(|kind| kind.starts_with("image/"))
    }

    fn stream(&mut self, out: &mut String, output: &Json) {
        let Some(source) = output.get("text").map(text::of_json) else { return };
        let stderr = output.get("name").and_then(Json::as_str) == Some("stderr");
        self.plain(out, &source, if stderr { "stderr" } else { "" });
    }

    fn error(&mut self, out: &mut String, output: &Json) {
        let part = |key: &str| output.get(key).map(text::of_json).unwrap_or_default();
        out.push_str("<div class=\"out error\"><p><strong>");
        text::escape(out, &text::line(&part("ename"), 200));
        out.push_str("</strong> ");
        text::escape(out, &text::line(&part("evalue"), 2_000));
        out.push_str("</p>");
        let lines: Vec<_> = output
            .get("traceback")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .map(text::of_json)
            .collect();
        if !lines.is_empty() {
            self.plain(out, &lines.join("\n"), "traceback");
        }
        out.push_str("</div>");
    }

    /// Text as a terminal would show it.
    fn plain(&mut self, out: &mut String, source: &str, class: &str) {
        let source = source.trim_end_matches('\n');
        if source.is_empty() {
            return;
        }
        let (head, rest) = text::ends(source, self.text_left.clamp(TEXT_LEAST, text::LIMIT));
        self.text_left = self.text_left.saturating_sub(head.len() + rest.map_or(0, |(_, tail)| tail.len()));
        out.push_str("<pre class=\"out text ");
        out.push_str(class);
        out.push_str("\">");
        ansi::render(out, head);
        out.push_str("</pre>");
        if let Some((left_out, tail)) = rest {
            note(
                out,
                &format!("{} in between are left out here; the notebook has them.", text::size(left_out)),
            );
            out.push_str("<pre class=\"out text ");
            out.push_str(class);
            out.push_str("\">");
            ansi::render(out, tail);
            out.push_str("</pre>");
        }
    }

    fn pretty(&mut self, out: &mut String, json: &Json) {
        let mut bytes = Vec::new();
        json.write_pretty(&mut bytes, 0);
        self.plain(out, &String::from_utf8_lossy(&bytes), "json");
    }

    fn widget(&mut self, out: &mut String, display: &Display<'a, '_>) -> bool {
        let Some(view) = display.data.get(widgets::VIEW) else { return false };
        let shown = self.widgets.show(view);
        if shown.is_empty() || self.depth == DEPTH {
            note(out, "An interactive widget; what it showed was not kept.");
            return false;
        }
        open_box(out, "widget");
        for shown in shown {
            match shown {
                Shown::Line(line) => {
                    out.push_str("<p>");
                    text::escape(out, &line);
                    out.push_str("</p>");
                }
                Shown::Html(source) => {
                    let facts = html::facts(&source);
                    if !facts.too_costly {
                        out.push_str(&html_box(&source, &mut self.boxes, &facts));
                    }
                }
                Shown::Outputs(outputs) => {
                    self.depth += 1;
                    self.write(out, outputs, display.label);
                    self.depth -= 1;
                }
            }
        }
        out.push_str("<p class=\"note\">A widget, as it was when the run ended.</p></div>");
        true
    }
}

/// One display and what stands around it.
struct Display<'a, 'b> {
    data: &'a Object,
    metadata: Option<&'a Json>,
    before: Option<&'a Json>,
    after: Option<&'a Json>,
    label: &'b str,
}

impl<'a> Display<'a, '_> {
    fn text(&self, kind: &str) -> Option<std::borrow::Cow<'a, str>> {
        self.data.get(kind).map(text::of_json)
    }
}

fn open_box(out: &mut String, class: &str) {
    text::push(out, format_args!("<div class=\"out {class}\">"));
}

/// Sanitized HTML in a box of its own; nothing when nothing of it is left.
fn html_box(source: &str, boxes: &mut usize, facts: &html::Facts) -> String {
    *boxes += 1;
    let id = format!("o{boxes}");
    let clean = html::sanitized(source, &id, &facts.styles);
    if clean.trim().is_empty() {
        return String::new();
    }
    let paper = if html::wants_paper(&clean) { " paper" } else { "" };
    format!("<div class=\"out html{paper}\" id=\"{id}\">{clean}</div>")
}

fn picture(out: &mut String, display: &Display<'_, '_>) -> bool {
    let found = IMAGES.iter().find_map(|kind| {
        let uri = image::data_uri(kind, &display.text(kind)?)?;
        Some((*kind, uri))
    });
    let Some((kind, uri)) = found else {
        let is_bomb = |kind: &&str| display.text(kind).is_some_and(|data| image::is_bomb(kind, &data));
        if IMAGES.iter().any(is_bomb) {
            note(
                out,
                "A drawing that repeats itself so often that it would hold up the page; the notebook has it.",
            );
        } else if display.data.keys().any(|kind| kind.starts_with("image/")) {
            note(out, "An image that a page cannot show.");
        }
        return false;
    };
    out.push_str("<div class=\"out image\"><img alt=\"");
    let alt = display.text("text/plain").unwrap_or_default();
    text::escape(out, &text::line(&alt, 200));
    out.push('"');
    // The size that the notebook asks for, as on screens with small pixels.
    for side in ["width", "height"] {
        let size = display.metadata.and_then(|metadata| metadata.get(kind)?.get(side)?.as_i64());
        if let Some(size) = size.filter(|size| (1..=20_000).contains(size)) {
            text::push(out, format_args!(" {side}=\"{size}\""));
        }
    }
    out.push_str(" src=\"");
    out.push_str(&uri);
    out.push_str("\"></div>");
    true
}

fn too_slow(size: usize) -> String {
    format!("HTML ({}) that would make the page too slow; the notebook has it.", text::size(size))
}

/// A remark of the report itself.
fn note(out: &mut String, remark: &str) {
    out.push_str("<p class=\"note\">");
    text::escape(out, remark);
    out.push_str("</p>");
}

#[cfg(test)]
mod tests;

//! Outputs that draw themselves with scripts: walled off, and run only when the reader asks for it.
//!
//! Each gets an `<iframe sandbox="allow-scripts">` whose document stands in its `srcdoc`: an origin of its own, so that it reaches
//! neither the page nor anything the browser holds, and no popups, no forms, no way to lead the page elsewhere. At first it holds a
//! button and, as mere data, what the button writes in its own place. (A closed or lazy frame runs its `srcdoc` all the same, and a
//! browser follows no link to a `data:` URL of the size of a library.)
//!
//! Two policies hold in such a document. It inherits the page's, which lets a script run only with a nonce: a digest of the
//! notebook, which nothing that stands in the notebook can know, so that a script that slipped into the page itself would not run,
//! while those put into a frame here get it. Its own lets inline scripts run and nothing be fetched, as the nonce alone would let
//! a script fetch another. The page's policy, which lets no frame lead anywhere, keeps it where it is.
//!
//! Libraries that a notebook embeds once (BokehJS, Plotly) are repeated in each frame that draws with them, up to [`BUDGET`];
//! a library that would have to be fetched is not there, so such outputs get no frame.

use std::cell::OnceCell;

use rnbexec_notebook::Notebook;
use sha2::{Digest as _, Sha256};

use super::text;
use super::{Scripts, html};

/// How large all frames of a page may be together.
const BUDGET: usize = 36 << 20;
/// A script longer than this holds a library, which names many places without needing them.
const LIBRARY_SIZE: usize = 100_000;
/// What the URLs that scripts fetch libraries from have in common.
const LIBRARY_HOSTS: &[&str] = &[
    "cdn.jsdelivr.net",
    "cdnjs.cloudflare.com",
    "unpkg.com",
    "cdn.bokeh.org",
    "cdn.plot.ly",
    "cdn.pydata.org",
];

/// A library that draws in the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    Bokeh,
    Plotly,
    Vega,
    /// None of those that are known.
    Other,
}

impl Library {
    /// The library that a script draws with.
    fn of_use(script: &str) -> Self {
        if script.contains("Bokeh.embed") || script.contains("embed_items") {
            Self::Bokeh
        } else if script.contains("Plotly.newPlot") || script.contains("Plotly.react") {
            Self::Plotly
        } else if script.contains("vegaEmbed") {
            Self::Vega
        } else {
            Self::Other
        }
    }

    /// The library that a script contains.
    fn of_source(script: &str) -> Option<Self> {
        if script.len() < LIBRARY_SIZE {
            return None;
        }
        let marks = [
            (Self::Bokeh, "bokeh.min.js"),
            (Self::Bokeh, "bokehjs"),
            (Self::Plotly, "plotly.js"),
            (Self::Vega, "vega-embed"),
        ];
        marks.into_iter().find(|(_, mark)| script.contains(mark)).map(|(library, _)| library)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bokeh => "Bokeh",
            Self::Plotly => "Plotly",
            Self::Vega => "Vega",
            Self::Other => "script",
        }
    }
}

/// What can be done about an output that draws itself.
#[derive(Debug)]
pub(super) enum Drawn {
    /// The HTML of its frame.
    Framed(String),
    /// It cannot be shown, for this reason.
    Not(String),
}

/// The frames of a page and what they share.
pub(super) struct Frames<'a> {
    notebook: &'a Notebook,
    scripts: Scripts,
    nonce: OnceCell<String>,
    /// Documents that set something up for later ones, with the library they contain.
    setups: Vec<(Option<Library>, String)>,
    spent: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(notebook: &'a Notebook, scripts: Scripts) -> Self {
        Self { notebook, scripts, nonce: OnceCell::new(), setups: Vec::new(), spent: 0 }
    }

    /// What the page's policy says of scripts: nothing may run, unless there is a frame.
    pub(super) fn policy(&self) -> String {
        match self.nonce.get() {
            // Libraries compile expressions; that needs a script that runs in the first place.
            Some(nonce) => format!("script-src 'nonce-{nonce}' 'unsafe-eval'; "),
            None => String::new(),
        }
    }

    /// Remembers a document that only sets something up; one that would fetch a library is of no use.
    pub(super) fn set_up(&mut self, document: String) {
        let contained = Library::of_source(&document);
        let fetches = LIBRARY_HOSTS.iter().any(|host| document.contains(host));
        if self.scripts != Scripts::Omitted && (contained.is_some() || !fetches) {
            self.setups.push((contained, document));
        }
    }

    /// A frame for a document with scripts.
    pub(super) fn draw(&mut self, document: &str, external: &[String], label: &str) -> Drawn {
        let library = Library::of_use(document);
        if self.scripts == Scripts::Omitted {
            return Drawn::Not(format!("Interactive output ({}), left out of this report.", library.name()));
        }
        let there = Library::of_source(document).is_some()
            || self.setups.iter().any(|(contained, _)| *contained == Some(library));
        let fetches = !external.is_empty() || LIBRARY_HOSTS.iter().any(|host| document.contains(host));
        if !there && (fetches || library != Library::Other) {
            return Drawn::Not(format!(
                "Interactive output, drawn by a library ({}) that it would fetch from the network. A report fetches nothing.",
                library.name()
            ));
        }
        let setups = self
            .setups
            .iter()
            .filter(|(contained, _)| contained.is_none_or(|contained| contained == library));
        let size = document.len() + setups.clone().map(|(_, setup)| setup.len()).sum::<usize>();
        if self.spent + size > BUDGET {
            return Drawn::Not(format!(
                "Interactive output ({}), left out: the page would grow beyond {}. The notebook has it.",
                library.name(),
                text::size(BUDGET)
            ));
        }
        self.spent += size;
        let nonce = self.nonce.get_or_init(|| digest(self.notebook));
        let mut drawing = String::with_capacity(size + 1_000);
        drawing.push_str(FRAME_HEAD);
        for (_, setup) in setups {
            with_nonce(&mut drawing, setup, nonce);
        }
        with_nonce(&mut drawing, document, nonce);
        let at_once = self.scripts == Scripts::Run;
        let source = if at_once { drawing } else { behind_a_button(&drawing, library, nonce) };
        let mut out = String::with_capacity(source.len() * 5 / 4);
        out.push_str("<div class=\"live\"><iframe sandbox=\"allow-scripts\" referrerpolicy=\"no-referrer\"");
        text::push(&mut out, format_args!(" style=\"height:{}px\" title=\"", height(document)));
        text::escape(&mut out, label);
        out.push_str("\" srcdoc=\"");
        attribute(&mut out, &source);
        out.push_str("\"></iframe></div>");
        Drawn::Framed(out)
    }
}

/// What every document of a frame begins with: its policy, before anything of a stranger.
const FRAME_HEAD: &str = "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"\
     default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src \
     data:; base-uri 'none'; form-action 'none'\"><meta name=\"referrer\" content=\"no-referrer\"><style>body{margin:8px;\
     background:#fff;color:#1b1f24;font:14px system-ui,sans-serif}button{font:inherit;font-weight:600;padding:5px 16px;\
     border:1px solid #0b5cad;border-radius:6px;background:#fff;color:#0b5cad;cursor:pointer}</style>";

/// A document that writes another in its own place when its button is pressed.
fn behind_a_button(drawing: &str, library: Library, nonce: &str) -> String {
    // No data of this form can end the element it stands in.
    let data = serde_json::Value::from(drawing).to_string().replace('<', "\\u003c");
    format!(
        "{FRAME_HEAD}<style>body{{margin:0;height:100vh;display:flex;flex-direction:column;gap:10px;align-items:center;\
         justify-content:center;text-align:center;color:#57606c;background:#f6f7f9}}</style><button>\u{25b6} Show the interactive \
         output</button><span>{}: its scripts run walled off from the report and the network.</span><script nonce={nonce} \
         type=\"application/json\">{data}</script><script nonce={nonce}>document.querySelector('button').onclick=function(){{\
         var text=document.querySelector('script').textContent;document.open();document.write(JSON.parse(text));\
         document.close()}}</script>",
        library.name()
    )
}

/// How high a frame should be, as far as the document says it. (A frame cannot tell its page, which has no scripts to hear it.)
fn height(document: &str) -> u32 {
    let said = |key: &'static str| {
        document.split(key).skip(1).take(20).filter_map(|rest| {
            let value = rest.trim_start();
            let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
            value[..digits].parse::<u32>().ok().filter(|height| (50..=5_000).contains(height))
        })
    };
    // Bokeh gives each of the plots below each other its height, a style the height of all.
    let below_each_other = Some(said("\"height\":").sum()).filter(|height| *height > 0);
    // Toolbars and legends come on top.
    below_each_other
        .or_else(|| said("height:").next())
        .map_or(440, |height: u32| height.saturating_add(60).clamp(180, 900))
}

/// The document of a script that comes without one.
pub(super) fn document_of(before: &str, script: &str) -> String {
    // The script stands in an element of its own, which nothing in it may end.
    let script =
        script.replace("</script", "<\\/script").replace("</SCRIPT", "<\\/SCRIPT").replace("<!--", "<\\!--");
    format!("{before}<script>{script}</script>")
}

/// Whether the HTML draws with a library that is known.
pub(super) fn draws(html: &str) -> bool {
    Library::of_use(html) != Library::Other
}

/// Whether there may be a script in the HTML.
pub(super) fn has_script(html: &str) -> bool {
    find_ignoring_case(html, "<script").is_some()
}

/// Whether the HTML only sets something up for others: there are scripts and nothing to see.
pub(super) fn sets_up(html: &str, facts: &html::Facts) -> bool {
    facts.inline_scripts > 0 && !facts.content && !html.contains("<div") && !html.contains("<canvas")
}

/// Appends HTML with the nonce in the start tag of each script. Names in scripts and comments are passed over, so that no
/// library is changed.
fn with_nonce(out: &mut String, html: &str, nonce: &str) {
    let mut rest = html;
    while let Some(at) = find_ignoring_case(rest, "<script") {
        let (before, tag) = rest.split_at(at + "<script".len());
        out.push_str(before);
        if tag.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')) {
            out.push_str(" nonce=");
            out.push_str(nonce);
            let end = find_ignoring_case(tag, "</script").unwrap_or(tag.len());
            out.push_str(&tag[..end]);
            rest = &tag[end..];
        } else {
            rest = tag;
        }
    }
    out.push_str(rest);
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find('<') {
        let start = from + at;
        let candidate = bytes.get(start..start + wanted.len())?;
        if candidate.eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// Appends a document as a quoted attribute's value.
fn attribute(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let instead = match byte {
            b'&' => "&amp;",
            b'"' => "&quot;",
            0 => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(instead);
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
}

fn digest(notebook: &Notebook) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(notebook.to_vec()).iter().take(16) {
        text::push(&mut hex, format_args!("{byte:02x}"));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(notebook: &Notebook) -> Frames<'_> {
        Frames::new(notebook, Scripts::OnDemand)
    }

    /// The element, and the document that it shows in the end.
    fn framed(drawn: Drawn) -> (String, String) {
        let Drawn::Framed(html) = drawn else { panic!("{drawn:?}") };
        let source = html.split("srcdoc=\"").nth(1).unwrap().split('"').next().unwrap();
        let source = source.replace("&quot;", "\"").replace("&amp;", "&");
        let document = match source.split_once("application/json\">") {
            Some((_, data)) => serde_json::from_str(data.split("</script>").next().unwrap()).unwrap(),
            None => source,
        };
        (html, document)
    }

    #[test]
    fn a_page_without_frames_lets_nothing_run() {
        let notebook = Notebook::new();
        assert_eq!(frames(&notebook).policy(), "");
    }

    #[test]
    fn scripts_run_in_a_sandbox_without_an_origin_and_only_with_the_nonce() {
        let notebook = Notebook::new();
        let mut frames = frames(&notebook);
        let (html, document) =
            framed(frames.draw("<div id=a></div><SCRIPT\ntype=x>1<\"2\"</SCRIPT>", &[], "In [1]"));
        assert!(
            html.contains("<iframe sandbox=\"allow-scripts\"") && !html.contains("allow-same-origin"),
            "{html}"
        );
        let nonce = frames.policy().split('\'').nth(1).unwrap().trim_start_matches("nonce-").to_owned();
        assert!(document.contains(&format!("<SCRIPT nonce={nonce}\ntype=x>1<\"2\"</SCRIPT>")), "{document}");
        let policy = document.find("default-src 'none'").unwrap();
        assert!(
            policy < document.find("<div").unwrap() && !document[policy..].contains("script-src 'nonce"),
            "{document}"
        );
    }

    #[test]
    fn nothing_runs_before_the_reader_asks_for_it_unless_the_maker_did() {
        let notebook = Notebook::new();
        let drawing = "<script>drawn()</script>";
        let (asked, document) = framed(frames(&notebook).draw(drawing, &[], "x"));
        assert!(
            asked.contains("button")
                && asked.contains("u003cscript")
                && !asked.contains("<script>drawn")
                && document.contains(">drawn()"),
            "{asked}"
        );
        let (at_once, _) = framed(Frames::new(&notebook, Scripts::Run).draw(drawing, &[], "x"));
        assert!(!at_once.contains("<button") && at_once.contains(">drawn()</script>"), "{at_once}");
    }

    #[test]
    fn what_waits_cannot_leave_its_place() {
        let notebook = Notebook::new();
        let (html, document) = framed(frames(&notebook).draw(
            "</script><img src=x>\"></iframe><b id='&quot;'>\0<script>1</script>",
            &[],
            "x",
        ));
        assert!(!html.contains("<img") && html.matches("</iframe>").count() == 1, "{html}");
        assert!(document.contains("</script><img src=x>\"></iframe><b id='&quot;'>"), "{document}");
    }

    #[test]
    fn a_frame_is_as_high_as_its_chart_says() {
        assert_eq!(height(r#"{"attributes":{"width":700,"height":260}}"#), 320);
        assert_eq!(height(r#"[{"height":300},{"height":120}]"#), 480);
        assert_eq!(height("<div style=\"height: 525px; width:100%\">"), 585);
        for odd in ["", "height:", "\"height\":99999999999", "height:1px", "height:x"] {
            assert_eq!(height(odd), 440, "{odd}");
        }
    }

    #[test]
    fn another_notebook_has_another_nonce() {
        let (a, mut b) = (Notebook::new(), Notebook::new());
        b.cells_mut().push(rnbexec_notebook::Cell::code("x", "y"));
        assert_ne!(digest(&a), digest(&b));
    }

    #[test]
    fn a_library_that_was_embedded_is_there_for_each_chart_and_one_to_be_fetched_is_not() {
        let notebook = Notebook::new();
        let mut frames = frames(&notebook);
        let chart = "<div id=c></div><script>Plotly.newPlot('c')</script>";
        assert!(matches!(frames.draw(chart, &[], "x"), Drawn::Not(why) if why.contains("Plotly")));
        frames.set_up("<script src=https://cdn.plot.ly/plotly.js></script>".to_owned());
        assert!(matches!(frames.draw(chart, &[], "x"), Drawn::Not(_)));
        frames.set_up(format!("<script>plotly.js {}</script>", "x".repeat(LIBRARY_SIZE)));
        assert!(framed(frames.draw(chart, &[], "x")).1.contains("plotly.js"));
        let external = ["https://cdn/mathjax.js".to_owned()];
        assert!(framed(frames.draw(chart, &external, "x")).1.contains("plotly.js"));
        let map = "<script>L.map('m')</script>";
        assert!(matches!(frames.draw(map, &["https://x/leaflet.js".to_owned()], "x"), Drawn::Not(_)));
    }

    #[test]
    fn all_frames_together_are_bounded() {
        let notebook = Notebook::new();
        let mut frames = frames(&notebook);
        let large = format!("<script>{}</script>", "x".repeat(BUDGET / 2));
        assert!(matches!(frames.draw(&large, &[], "x"), Drawn::Framed(_)));
        assert!(matches!(frames.draw(&large, &[], "x"), Drawn::Not(why) if why.contains("MB")));
    }

    #[test]
    fn scripts_can_be_left_out() {
        let notebook = Notebook::new();
        let mut frames = Frames::new(&notebook, Scripts::Omitted);
        assert!(matches!(frames.draw("<script>1</script>", &[], "x"), Drawn::Not(_)));
        assert_eq!(frames.policy(), "");
    }

    #[test]
    fn a_script_cannot_end_its_element() {
        assert_eq!(document_of("", "a('</script><b>')"), "<script>a('<\\/script><b>')</script>");
    }
}

//! Outputs that draw themselves with scripts: walled off, and run only when the reader asks for it.
//!
//! Each gets an `<iframe sandbox="allow-scripts">` whose document is a `data:` URL: an origin of its own, so that it reaches
//! neither the page nor anything the browser holds, and no popups, no forms, no way to lead the page elsewhere. A link in the page
//! leads the frame there (a frame with `srcdoc`, lazy or not, would run at once).
//!
//! Two policies hold in such a document. It inherits the page's, which lets a script run only with a nonce: a digest of the
//! notebook, which nothing that stands in the notebook can know, so that a script that slipped into the page itself would not run,
//! while those put into a frame here get it. Its own lets inline scripts run and nothing be fetched, as the nonce alone would let
//! a script fetch another. The page's `frame-src` keeps the frame from going elsewhere.
//!
//! Libraries that a notebook embeds once (BokehJS, Plotly) are repeated in each frame that draws with them, up to [`BUDGET`];
//! a library that would have to be fetched is not there, so such outputs get no frame.

use std::cell::OnceCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    count: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(notebook: &'a Notebook, scripts: Scripts) -> Self {
        Self { notebook, scripts, nonce: OnceCell::new(), setups: Vec::new(), spent: 0, count: 0 }
    }

    /// What the page's policy says of scripts: nothing may run, unless there is a frame.
    pub(super) fn policy(&self) -> String {
        match self.nonce.get() {
            // Libraries compile expressions; that needs a script that runs in the first place.
            Some(nonce) => format!("script-src 'nonce-{nonce}' 'unsafe-eval'; frame-src data:; "),
            None => String::new(),
        }
    }

    /// Remembers a document that only sets something up.
    pub(super) fn set_up(&mut self, document: String) {
        if self.scripts != Scripts::Omitted {
            self.setups.push((Library::of_source(&document), document));
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
        let mut source = String::from(
            "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; \
             base-uri 'none'; form-action 'none'\"><meta name=\"referrer\" content=\"no-referrer\"><style>body{margin:8px;\
             background:#fff;color:#1b1f24;font:14px system-ui,sans-serif}</style>",
        );
        for (_, setup) in setups {
            with_nonce(&mut source, setup, nonce);
        }
        with_nonce(&mut source, document, nonce);
        self.count += 1;
        Drawn::Framed(self.element(&source, library, label))
    }

    fn element(&self, source: &str, library: Library, label: &str) -> String {
        const START: &str = "data:text/html;charset=utf-8;base64,";
        let name = format!("frame-{}", self.count);
        let mut out = String::with_capacity(source.len() * 4 / 3 + 1_000);
        out.push_str("<div class=\"live\"><p><b>Interactive output</b> (");
        out.push_str(library.name());
        out.push_str("). Its scripts run walled off from this page and the network.</p>");
        let at_once = self.scripts == Scripts::Run;
        if !at_once {
            out.push_str("<a class=\"run\" target=\"");
            out.push_str(&name);
            out.push_str("\" href=\"");
            out.push_str(START);
            STANDARD.encode_string(source, &mut out);
            out.push_str("\">Run</a>");
        }
        out.push_str("<iframe sandbox=\"allow-scripts\" referrerpolicy=\"no-referrer\" name=\"");
        out.push_str(&name);
        out.push_str("\" title=\"");
        text::escape(&mut out, label);
        if at_once {
            out.push_str("\" class=\"runs\" src=\"");
            out.push_str(START);
            STANDARD.encode_string(source, &mut out);
        }
        out.push_str("\"></iframe></div>");
        out
    }
}

/// The document of a script that comes without one.
pub(super) fn document_of(before: &str, script: &str) -> String {
    // The script stands in an element of its own, which nothing in it may end.
    let script =
        script.replace("</script", "<\\/script").replace("</SCRIPT", "<\\/SCRIPT").replace("<!--", "<\\!--");
    format!("{before}<script>{script}</script>")
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

fn digest(notebook: &Notebook) -> String {
    use std::fmt::Write as _;
    let mut hex = String::new();
    for byte in Sha256::digest(notebook.to_vec()).iter().take(16) {
        write!(hex, "{byte:02x}").expect("writing to a String does not fail");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(notebook: &Notebook) -> Frames<'_> {
        Frames::new(notebook, Scripts::OnDemand)
    }

    /// The element, and the document in it.
    fn framed(drawn: Drawn) -> (String, String) {
        let Drawn::Framed(html) = drawn else { panic!("{drawn:?}") };
        let encoded = html.split("base64,").nth(1).unwrap().split('"').next().unwrap();
        let document = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
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
        let (asked, _) = framed(frames(&notebook).draw("<script>1</script>", &[], "x"));
        assert!(
            asked.contains(" target=\"frame-1\" href=\"data:") && !asked.contains("src=\"data:"),
            "{asked}"
        );
        let (at_once, _) = framed(Frames::new(&notebook, Scripts::Run).draw("<script>1</script>", &[], "x"));
        assert!(at_once.contains("src=\"data:") && !at_once.contains("href"), "{at_once}");
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

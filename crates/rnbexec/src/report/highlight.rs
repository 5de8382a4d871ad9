//! Source code with its words in colours: Python by its own grammar (tree-sitter), every other language plain.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use tree_sitter_highlight::{HighlightConfiguration, HighlightEvent, Highlighter};

use super::text;

/// A longer source is shown plain: parsing what is no Python may take long.
const SIZE: usize = 100_000;

/// The kinds of words that have a look, with the class of it.
const KINDS: &[(&str, &str)] = &[
    ("comment", "hc"),
    ("keyword", "hk"),
    ("string", "hs"),
    ("number", "hn"),
    ("function", "hf"),
    ("function.builtin", "hb"),
    ("constant.builtin", "hn"),
    ("type", "ht"),
    ("operator", "ho"),
    ("escape", "he"),
    ("embedded", "hx"),
];

static PYTHON: LazyLock<Option<HighlightConfiguration>> = LazyLock::new(|| {
    let language = tree_sitter_python::LANGUAGE.into();
    let mut python =
        HighlightConfiguration::new(language, "python", tree_sitter_python::HIGHLIGHTS_QUERY, "", "").ok()?;
    python.configure(&KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    Some(python)
});

/// What was rendered last, by its source: a manager writes the report of the same notebook for each incident.
static RENDERED: LazyLock<Mutex<Rendered>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Rendered {
    html: HashMap<String, String>,
    bytes: usize,
}

impl Rendered {
    /// The most that is kept, in bytes: some notebooks. With more it begins anew.
    const MOST: usize = 4 << 20;

    fn keep(&mut self, source: &str, html: &str) {
        self.bytes += source.len() + html.len();
        if self.bytes > Self::MOST {
            self.html.clear();
            self.bytes = source.len() + html.len();
        }
        self.html.insert(source.to_owned(), html.to_owned());
    }
}

/// Appends a source as the content of a `<code>`.
pub(super) fn render(out: &mut String, source: &str, language: &str) {
    if !matches!(language, "python" | "ipython" | "python3") || source.len() > SIZE {
        return text::escape(out, source);
    }
    let rendered = || RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(html) = rendered().html.get(source) {
        return out.push_str(html);
    }
    let start = out.len();
    if python(out, source).is_none() {
        out.truncate(start);
        text::escape(out, source);
    }
    rendered().keep(source, &out[start..]);
}

fn python(out: &mut String, source: &str) -> Option<()> {
    let mut highlighter = Highlighter::new();
    let events = highlighter.highlight(PYTHON.as_ref()?, source.as_bytes(), None, None, |_| None).ok()?;
    for event in events {
        match event.ok()? {
            HighlightEvent::Source { start, end } => text::escape(out, source.get(start..end)?),
            HighlightEvent::HighlightStart(kind) => {
                out.push_str("<span class=\"");
                out.push_str(KINDS.get(kind.0)?.1);
                out.push_str("\">");
            }
            HighlightEvent::HighlightEnd => out.push_str("</span>"),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str, language: &str) -> String {
        let mut out = String::new();
        render(&mut out, source, language);
        out
    }

    #[test]
    fn the_query_of_the_grammar_fits_the_grammar() {
        assert!(PYTHON.is_some());
    }

    #[test]
    fn words_of_python_get_their_classes_and_text_is_escaped() {
        let html = html("def f(x):  # <b>\n    return \"</code>\" + 1", "python");
        assert!(html.contains("<span class=\"hk\">def</span> <span class=\"hf\">f</span>"), "{html}");
        assert!(html.contains("<span class=\"hc\"># &lt;b&gt;</span>"), "{html}");
        assert!(html.contains("<span class=\"hs\">&quot;&lt;/code&gt;&quot;</span>"), "{html}");
    }

    #[test]
    fn nothing_of_a_source_is_lost_or_added() {
        let tags = |html: &str| {
            let mut text = String::new();
            let mut rest = html;
            while let Some(at) = rest.find('<') {
                text.push_str(&rest[..at]);
                rest = &rest[at + rest[at..].find('>').unwrap() + 1..];
            }
            text + rest
        };
        for source in
            ["%matplotlib inline\n!ls 'x", "((((", "f\"{a!r:>{w}}\" é \u{202e} \0", "", "class A: pass\n\n"]
        {
            assert_eq!(tags(&html(source, "python")), text::escaped(source), "{source}");
        }
    }

    #[test]
    fn what_is_kept_of_what_was_rendered_stays_bounded() {
        let mut rendered = Rendered::default();
        for number in 0..100 {
            rendered.keep(&number.to_string(), &"x".repeat(Rendered::MOST / 10));
            assert!(rendered.bytes <= Rendered::MOST && rendered.html.contains_key(&number.to_string()));
        }
        assert!(rendered.html.len() < 10);
        assert_eq!(html("x = 'twice'", "python"), html("x = 'twice'", "python"));
    }

    #[test]
    fn other_languages_stay_plain() {
        assert_eq!(html("def f <- 1", "R"), "def f &lt;- 1");
    }
}

//! What a piece of HTML holds, found in one pass over its tokens before anything is built of it.
//!
//! The pass also bounds what building it may cost. A parser must open unclosed formatting again in every block that follows, so
//! that a few megabytes can ask for more elements than fit into memory, and it walks up its stack of open elements again and
//! again. The count here is that of a stack that only an exactly matching end tag pops: tidy HTML stays shallow, whatever is
//! worse counts as worse than it is.

use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// How large a piece of HTML may be.
const SIZE: usize = 8 << 20;
/// How deep its elements may be nested.
const DEPTH: usize = 500;
/// How often formatting may have to be opened again, all in all.
const REOPENED: usize = 4_000_000;

/// What was found.
#[derive(Debug, Default)]
pub(in crate::report) struct Facts {
    /// Building it would cost too much.
    pub(in crate::report) too_costly: bool,
    /// The scripts that stand in it.
    pub(in crate::report) inline_scripts: usize,
    /// The scripts that it would fetch.
    pub(in crate::report) external_scripts: Vec<String>,
    /// The text of its style elements.
    pub(in crate::report) styles: Vec<String>,
    /// Pages embedded in it: frames, objects, plug-ins.
    pub(in crate::report) embedded: usize,
    /// Images and media that it would fetch.
    pub(in crate::report) external_media: usize,
    /// There is something to see even without scripts and frames.
    pub(in crate::report) content: bool,
}

/// Looks through a piece of HTML.
pub(in crate::report) fn of(html: &str) -> Facts {
    if html.len() > SIZE {
        return Facts { too_costly: true, content: true, ..Facts::default() };
    }
    let tokenizer = Tokenizer::new(Counter::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    while !input.is_empty() {
        // The counter never asks to stop, so this ends after one turn.
        drop(tokenizer.feed(&input));
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner().facts
}

#[derive(Default)]
struct Counter(RefCell<State>);

#[derive(Default)]
struct State {
    facts: Facts,
    stack: Vec<Open>,
    formatting: usize,
    reopened: usize,
    /// There was SVG or MathML, in which the names of raw text are no raw text.
    foreign: bool,
    raw: Option<Raw>,
}

struct Open {
    name: html5ever::LocalName,
    formatting: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Raw {
    Style,
    Unseen,
    Seen,
}

impl TokenSink for Counter {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return state.start(&tag),
            Token::TagToken(tag) => state.end(&tag),
            Token::CharacterTokens(text) => match state.raw {
                Some(Raw::Style) => {
                    if let Some(style) = state.facts.styles.last_mut() {
                        style.push_str(&text);
                    }
                }
                Some(Raw::Unseen) => {}
                Some(Raw::Seen) | None => {
                    state.facts.content |= text.chars().any(|c| !c.is_whitespace());
                }
            },
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let attribute = |wanted: &str| {
            tag.attrs
                .iter()
                .find(|attribute| &*attribute.name.local == wanted)
                .map(|attribute| &*attribute.value)
        };
        let fetches = |url: Option<&str>| {
            url.is_some_and(|url| !url.trim_start().to_ascii_lowercase().starts_with("data:"))
        };
        match name {
            "svg" | "math" => {
                self.foreign = true;
                self.facts.content |= name == "svg";
            }
            "script" => match attribute("src") {
                Some(url) => self.facts.external_scripts.push(url.to_owned()),
                // Data blocks (`type="application/json"`) are no scripts.
                None if attribute("type").is_none_or(is_script_type) => self.facts.inline_scripts += 1,
                None => {}
            },
            "style" => self.facts.styles.push(String::new()),
            "img" => {
                self.facts.content = true;
                self.facts.external_media += usize::from(fetches(attribute("src")));
            }
            "video" | "audio" | "source" | "input" => {
                self.facts.external_media += usize::from(fetches(attribute("src")));
            }
            "iframe" | "object" | "embed" | "frame" => self.facts.embedded += 1,
            "hr" | "progress" | "meter" => self.facts.content = true,
            _ => {}
        }
        self.reopened += self.formatting + 1;
        self.facts.too_costly |= self.reopened > REOPENED || self.stack.len() > DEPTH;
        // Once it is too much, nothing more has to be kept of it.
        if !is_void(name) && !self.facts.too_costly {
            let formatting = is_formatting(name);
            self.formatting += usize::from(formatting);
            self.stack.push(Open { name: tag.name.clone(), formatting });
        }
        if self.foreign {
            return TokenSinkResult::Continue;
        }
        let (raw, kind) = match name {
            "script" => (Raw::Unseen, RawKind::ScriptData),
            "style" => (Raw::Style, RawKind::Rawtext),
            "iframe" | "noembed" | "noframes" | "noscript" => (Raw::Unseen, RawKind::Rawtext),
            "xmp" => (Raw::Seen, RawKind::Rawtext),
            "textarea" => (Raw::Seen, RawKind::Rcdata),
            "title" => (Raw::Unseen, RawKind::Rcdata),
            _ => return TokenSinkResult::Continue,
        };
        self.raw = Some(raw);
        TokenSinkResult::RawData(kind)
    }

    fn end(&mut self, tag: &Tag) {
        self.raw = None;
        // An end tag also ends elements whose own end tag may be left out.
        while let Some(open) = self.stack.last() {
            if open.name == tag.name {
                self.formatting -= usize::from(open.formatting);
                self.stack.pop();
                return;
            }
            if !ends_by_itself(&open.name) || is_formatting(&tag.name) {
                return;
            }
            self.stack.pop();
        }
    }
}

fn is_script_type(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    kind.is_empty() || kind == "module" || kind.ends_with("javascript") || kind.ends_with("ecmascript")
}

fn is_formatting(name: &str) -> bool {
    matches!(
        name,
        "a" | "b"
            | "big"
            | "code"
            | "em"
            | "font"
            | "i"
            | "nobr"
            | "s"
            | "small"
            | "strike"
            | "strong"
            | "tt"
            | "u"
    )
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

fn ends_by_itself(name: &str) -> bool {
    matches!(
        name,
        "p" | "li" | "td" | "th" | "tr" | "tbody" | "thead" | "tfoot" | "dt" | "dd" | "option" | "colgroup"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_styles_frames_and_fetched_media_are_counted() {
        let facts = of("<style>a{}</style><p>hi<script>1<b></script><script src=//x/y.js></script>\
                        <script type=application/json>{}</script><img src=http://x><img src=data:,>\
                        <iframe srcdoc='<p>'></iframe><style>b{}</style>");
        assert_eq!(facts.inline_scripts, 1);
        assert_eq!(facts.external_scripts, ["//x/y.js"]);
        assert_eq!(facts.styles, ["a{}", "b{}"]);
        assert_eq!((facts.external_media, facts.embedded), (1, 1));
        assert!(facts.content && !facts.too_costly);
    }

    #[test]
    fn scripts_and_styles_alone_are_nothing_to_see() {
        assert!(!of(" <style>a</style><script>b</script><div id=x> </div>").content);
        assert!(of("<div><svg></svg></div>").content);
    }

    #[test]
    fn a_large_tidy_table_is_fine_also_with_end_tags_left_out() {
        let tidy =
            format!("<table>{}</table>", "<tr><td><b>x</b></td><td><a href=x>y</a></td></tr>".repeat(50_000));
        assert!(!of(&tidy).too_costly);
        let brief = "<table><tr><td>x<td>y</table><ul><li>a<li>b</ul>".repeat(5_000);
        assert!(!of(&brief).too_costly);
    }

    #[test]
    fn html_that_explodes_when_built_is_too_costly() {
        let fonts = "<font size=1><font size=2>".repeat(1_500);
        for html in [
            format!("{fonts}{}", "<p>".repeat(100_000)),
            format!("<svg><style>{fonts}</style></svg>{}", "<p>".repeat(100_000)),
            "<div>".repeat(100_000),
            "<b><div></b>".repeat(10_000),
            " ".repeat(SIZE + 1),
        ] {
            assert!(of(&html).too_costly, "{}", &html[..20]);
        }
    }
}

//! From text to a tree of nodes: the events of the parser, with aliases resolved to the nodes they name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::YamlError;
use super::resolve::{self, Kind};

/// How deep collections may be nested. Python's own limit on recursion is reached at about the same depth.
pub(super) const MAX_DEPTH: usize = 256;

/// A node, its tag already known.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tag: Cow<'static, str>,
    pub(super) content: Content,
    pub(super) at: Marker,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(String),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Pair>),
}

/// A key and its value.
pub(super) type Pair = (Rc<Node>, Rc<Node>);

impl Content {
    /// The kind as PyYAML calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::Sequence(_) => "sequence",
            Self::Mapping(_) => "mapping",
        }
    }
}

pub(super) fn error_at(at: Marker, message: impl Into<String>) -> YamlError {
    YamlError { line: at.line().max(1), column: at.col() + 1, message: message.into() }
}

/// PyYAML's reader takes printable characters only.
pub(super) fn check_characters(text: &str) -> Result<(), YamlError> {
    let (mut line, mut column) = (1, 1);
    for c in text.chars() {
        let printable =
            matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..);
        if !printable {
            let message = format!("the character U+{:04X} is not allowed in YAML", u32::from(c));
            return Err(YamlError { line, column, message });
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(())
}

/// The root of the one document in the text; nothing if there is none.
pub(super) fn compose(text: &str) -> Result<Option<Rc<Node>>, YamlError> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        open: Vec::new(),
        length: text.chars().count(),
        open_ended: !text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']),
    };
    let mut root = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::DocumentStart(_) if root.is_some() => {
                return Err(error_at(span.start, "expected one document, found a second"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = composer.next()?;
                root = Some(composer.node(event, span, 0)?);
            }
            _ => {}
        }
    }
}

struct Composer<'input> {
    parser: Parser<'input, StrInput<'input>>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Anchors of the collections that are being read.
    open: Vec<usize>,
    /// Of the text, in characters.
    length: usize,
    /// Whether the text ends without a line break.
    open_ended: bool,
}

impl<'input> Composer<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn node(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<Rc<Node>, YamlError> {
        let at = span.start;
        if depth > MAX_DEPTH {
            return Err(error_at(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (content, tag, anchor) = match event {
            Event::Alias(anchor) => {
                if self.open.contains(&anchor) {
                    return Err(error_at(at, "an alias to a collection that contains it"));
                }
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| error_at(at, "an alias to an unknown anchor"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = match explicit(tag.as_deref()) {
                    Explicit::Tag(tag) => Cow::Owned(tag),
                    // PyYAML looks at the text behind `!`, even a quoted one.
                    Explicit::NonSpecific => Cow::Borrowed(resolve::plain(&text)),
                    Explicit::None if style == ScalarStyle::Plain => Cow::Borrowed(resolve::plain(&text)),
                    Explicit::None => Cow::Borrowed(Kind::STR),
                };
                let mut text = text.into_owned();
                // The parser ends a block scalar with a line break that the text does not have.
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && self.open_ended && span.end.index() >= self.length && text.ends_with('\n') {
                    text.pop();
                }
                (Content::Scalar(text), tag, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open.push(anchor);
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                self.open.pop();
                (Content::Sequence(items), collection_tag(tag.as_deref(), Kind::SEQ), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.open.push(anchor);
                let mut pairs = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        break;
                    }
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    pairs.push((key, self.node(event, span, depth + 1)?));
                }
                self.open.pop();
                (Content::Mapping(pairs), collection_tag(tag.as_deref(), Kind::MAP), anchor)
            }
            _ => return Err(error_at(at, "expected a value")),
        };
        let node = Rc::new(Node { tag, content, at });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }
}

enum Explicit {
    None,
    /// The tag `!`.
    NonSpecific,
    Tag(String),
}

fn explicit(tag: Option<&Tag>) -> Explicit {
    match tag {
        None => Explicit::None,
        Some(tag) => match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("" | "!", "!" | "") => Explicit::NonSpecific,
            (handle, suffix) => Explicit::Tag(format!("{handle}{suffix}")),
        },
    }
}

fn collection_tag(tag: Option<&Tag>, default: &'static str) -> Cow<'static, str> {
    match explicit(tag) {
        Explicit::Tag(tag) => Cow::Owned(tag),
        Explicit::None | Explicit::NonSpecific => Cow::Borrowed(default),
    }
}

fn scan_error(error: &ScanError) -> YamlError {
    error_at(*error.marker(), error.info())
}

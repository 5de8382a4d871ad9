//! Foreign text as HTML that says what the text says and does nothing.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, TextMergeStream};
use url::Url;

use crate::text::{lines, one_line};

/// The text, with no character left that HTML or Markdown would take for anything but itself.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        let acts = match c {
            '&' | '<' | '>' | '"' | '\'' | '`' | '*' | '_' | '[' | ']' | '\\' | '|' | '~' | '#' | '!'
            | '{' | '}' | '$' | '^' | '@' => true,
            // Lists and underlines, at the beginning of a line.
            '-' | '+' | '=' => before.is_empty(),
            '.' | ')'
                if is_number(before) && (after.is_empty() || after.starts_with(char::is_whitespace)) =>
            {
                true
            }
            // Addresses become links by themselves.
            ':' => after.starts_with("//"),
            '.' => ends_with_www(before),
            _ => false,
        };
        if acts {
            escaped.extend(["&#", &u32::from(c).to_string(), ";"]);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ends_with_www(text: &str) -> bool {
    text.len()
        .checked_sub(3)
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Whether a link leads to the web.
pub(super) fn is_web(target: &str) -> bool {
    web(target).is_some()
}

fn web(target: &str) -> Option<Url> {
    Url::parse(target).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// A link as the value of an attribute, whichever quotes it stands in. What does not lead to the web is a path, and can be
/// nothing else: no `javascript:`, no other scheme.
pub(super) fn href(target: &str) -> String {
    let target = match web(target) {
        Some(url) => url.to_string(),
        None => match one_line(target, 2_000) {
            path if path.starts_with("./") || path.starts_with('/') && !path.starts_with("//") => path,
            path => format!("./{path}"),
        },
    };
    escape_attribute(&target)
}

/// Within a tag Markdown has nothing to say, so this is HTML's escaping alone.
fn escape_attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '`' => escaped.push_str("&#96;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Markdown, of at most `limit` characters, as HTML of few tags: paragraphs, lists, emphasis and code. Links and images become
/// their texts, and HTML in it is shown as it is written.
pub(super) fn rich(markdown: &str, limit: usize) -> String {
    let markdown = lines(markdown, limit);
    let mut html = String::new();
    // Within a table the cells of a row.
    let mut row: Option<Vec<String>> = None;
    let parser = Parser::new_ext(&markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    // Merged, because what becomes an address by itself must be seen whole.
    for event in TextMergeStream::new(parser) {
        match event {
            Event::Start(tag) => match tag {
                Tag::TableHead | Tag::TableRow => row = Some(Vec::new()),
                Tag::TableCell => html.push('\u{0}'),
                tag => html.push_str(opening(&tag)),
            },
            Event::End(tag) => match tag {
                TagEnd::TableCell => {
                    let cell = html.rfind('\u{0}').map(|start| html.split_off(start)).unwrap_or_default();
                    if let Some(row) = &mut row {
                        row.push(cell.trim_start_matches('\u{0}').to_owned());
                    }
                }
                TagEnd::TableHead | TagEnd::TableRow => {
                    let cells = row.take().unwrap_or_default();
                    html.extend(["<tr><td>", &cells.join("</td><td>"), "</td></tr>"]);
                }
                tag => {
                    if matches!(tag, TagEnd::CodeBlock | TagEnd::HtmlBlock) && html.ends_with("<br>") {
                        html.truncate(html.len() - "<br>".len());
                    }
                    html.push_str(closing(tag));
                }
            },
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                html.push_str(&escape_lines(&text));
            }
            Event::Code(code) => html.extend(["<code>", &escape(&code), "</code>"]),
            Event::SoftBreak => html.push(' '),
            Event::HardBreak => html.push_str("<br>"),
            Event::Rule => html.push_str("<hr>"),
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
        }
    }
    html
}

/// The text of a task as HTML that is safe to show.
pub(crate) fn safe_html(markdown: &str) -> String {
    rich(markdown, 3_000)
}

/// Escaped, with its line breaks.
fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("<br>")
}

fn opening(tag: &Tag<'_>) -> &'static str {
    match tag {
        Tag::Paragraph | Tag::HtmlBlock => "<p>",
        Tag::Heading { .. } => "<p><b>",
        Tag::BlockQuote(_) => "<blockquote>",
        Tag::CodeBlock(_) => "<pre>",
        Tag::List(None) => "<ul>",
        Tag::List(Some(_)) => "<ol>",
        Tag::Item => "<li>",
        Tag::Emphasis => "<i>",
        Tag::Strong => "<b>",
        Tag::Strikethrough => "<s>",
        Tag::Table(_) => "<table>",
        _ => "",
    }
}

fn closing(tag: TagEnd) -> &'static str {
    match tag {
        TagEnd::Paragraph | TagEnd::HtmlBlock => "</p>",
        TagEnd::Heading(_) => "</b></p>",
        TagEnd::BlockQuote(_) => "</blockquote>",
        TagEnd::CodeBlock => "</pre>",
        TagEnd::List(false) => "</ul>",
        TagEnd::List(true) => "</ol>",
        TagEnd::Item => "</li>",
        TagEnd::Emphasis => "</i>",
        TagEnd::Strong => "</b>",
        TagEnd::Strikethrough => "</s>",
        TagEnd::Table => "</table>",
        _ => "",
    }
}

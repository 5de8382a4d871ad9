//! Text of strangers, escaped for HTML, with what acts unseen made visible.
//!
//! A notebook's texts can hold characters that no reader sees but that change what is read: bidirectional controls show
//! `exe.gpj` as `jpg.exe`, tag characters carry text without a glyph, control characters vanish. Here they are shown as what they
//! are: `⟦U+202E⟧`, and control characters as their pictures (`␀`).

use std::borrow::Cow;
use std::fmt::Write as _;

use rnbexec_notebook::Json;

/// Appends `text` for use between tags and inside quoted attributes.
pub(super) fn escape(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let Some(instead) = instead_of(c) else { continue };
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        out.push_str(&instead);
    }
    out.push_str(&text[plain..]);
}

/// Appends what `format_args!` made; nothing of it is escaped.
pub(super) fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a String does not fail");
}

/// `text` for use between tags and inside quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    escape(&mut out, text);
    out
}

/// One line of `text`, at most `limit` characters of it.
pub(super) fn line(text: &str, limit: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(limit) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// HTML that is safe already, with what acts unseen made visible. (Markup holds no such character, so this meets text and
/// attribute values alone.)
pub(super) fn revealed(html: &str) -> Cow<'_, str> {
    if !html.chars().any(is_unseen) {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len() + 64);
    for c in html.chars() {
        match picture(c) {
            Some(picture) => out.push_str(&picture),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn instead_of(c: char) -> Option<Cow<'static, str>> {
    match c {
        '&' => Some("&amp;".into()),
        '<' => Some("&lt;".into()),
        '>' => Some("&gt;".into()),
        '"' => Some("&quot;".into()),
        '\'' => Some("&#39;".into()),
        c => picture(c),
    }
}

/// What is shown of a character that acts unseen; `None` for all others.
fn picture(c: char) -> Option<Cow<'static, str>> {
    if !is_unseen(c) {
        return None;
    }
    let picture = match c {
        '\r' => return Some("".into()),
        '\u{2028}' | '\u{2029}' => return Some("\n".into()),
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        _ => None,
    };
    let mut text = String::new();
    match picture {
        Some(picture) => text.push(picture),
        None => push(&mut text, format_args!("⟦U+{:04X}⟧", u32::from(c))),
    }
    Some(text.into())
}

/// Control characters, bidirectional controls and tags. Not: line feeds, tabs, joiners (emoji and many scripts need them).
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text of the document; anything else as its JSON.
pub(super) fn of_json(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Null => Cow::Borrowed(""),
        Json::Array(parts) if parts.iter().all(Json::is_string) => {
            parts.iter().filter_map(Json::text).collect::<String>().into()
        }
        other => other.text().unwrap_or_else(|| Cow::Owned(other.to_compact())),
    }
}

/// How much of one text a page shows; more of it only makes the page slow, and the notebook has all.
pub(super) const LIMIT: usize = 2 << 20;

/// The begin and the end of a text that is longer than `limit`, cut at line breaks where there are some, and how many bytes lie
/// between.
pub(super) fn ends(text: &str, limit: usize) -> (&str, Option<(usize, &str)>) {
    if text.len() <= limit {
        return (text, None);
    }
    // A line that is itself too long is cut anywhere.
    let slack = limit / 32;
    let head_end = text.floor_char_boundary(limit / 2);
    let near = text.floor_char_boundary(head_end - slack);
    let head_end = text[near..head_end].rfind('\n').map_or(head_end, |at| near + at + 1);
    let tail_start = text.floor_char_boundary(text.len() - limit / 4);
    let near = text.floor_char_boundary(tail_start + slack);
    let tail_start = text[tail_start..near].find('\n').map_or(tail_start, |at| tail_start + at + 1);
    (&text[..head_end], Some((tail_start - head_end, &text[tail_start..])))
}

/// A number of bytes for people.
pub(super) fn size(bytes: usize) -> String {
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    if bytes < 1_000_000 {
        return format!("{} kB", bytes / 1_000);
    }
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_in_text_and_attributes() {
        assert_eq!(
            escaped("<a href='x' title=\"y\">&"),
            "&lt;a href=&#39;x&#39; title=&quot;y&quot;&gt;&amp;"
        );
    }

    #[test]
    fn what_acts_unseen_is_shown() {
        assert_eq!(escaped("a\u{202e}gpj.exe"), "a⟦U+202E⟧gpj.exe");
        assert_eq!(escaped("a\0b\u{1b}c\u{7f}\u{9b}"), "a␀b␛c␡⟦U+009B⟧");
        assert_eq!(escaped("\u{e0041}"), "⟦U+E0041⟧");
        assert_eq!(revealed("<td title=\"\u{2066}\">x</td>"), "<td title=\"⟦U+2066⟧\">x</td>");
    }

    #[test]
    fn text_of_any_script_and_emoji_stay() {
        let text = "Grüße שלום 日本 👩‍💻\n\tx";
        assert_eq!(escaped(text), text);
        assert!(matches!(revealed(text), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_is_one_line_and_not_too_long() {
        assert_eq!(line("  a\n\tb  c ", 80), "a b c");
        assert_eq!(line("äöüß", 2), "äö…");
    }

    #[test]
    fn of_a_long_text_the_ends_are_shown_cut_at_lines() {
        let text = "line of text\n".repeat(1_000);
        let (head, rest) = ends(&text, 3_000);
        let (left_out, tail) = rest.unwrap();
        assert!(head.ends_with('\n') && tail.starts_with("line") && head.len() + tail.len() < 3_000);
        assert_eq!(head.len() + left_out + tail.len(), text.len());
        for limit in [0, 1, 2, 3, 50, 1_999] {
            let one_line = "é".repeat(1_000);
            let (head, rest) = ends(&one_line, limit);
            assert_eq!(head.len() + rest.unwrap().0 + rest.unwrap().1.len(), one_line.len());
        }
        assert_eq!(ends("short", 5), ("short", None));
    }
}

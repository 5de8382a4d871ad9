//! Outside text made fit to be shown: in a log line, a comment, a report, a terminal.
//!
//! Titles of incidents and what notebooks emit are other people's words. Here everything goes that is not seen but acts:
//! control characters (escape sequences of terminals among them), marks that turn the direction of text around, and
//! characters without a width that hide in a word.

/// What stands where a text was cut.
pub(crate) const CUT: char = '…';

/// The text as one line of at most `limit` characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let visible = text.chars().filter_map(|c| match c {
        c if c.is_whitespace() || matches!(c, '\u{2028}' | '\u{2029}') => Some(' '),
        c if acts_unseen(c) => None,
        c => Some(c),
    });
    let mut line = String::new();
    for c in visible {
        if c != ' ' || !(line.is_empty() || line.ends_with(' ')) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    cut(line, limit)
}

/// The text in lines, of at most `limit` characters in all.
pub(crate) fn lines(text: &str, limit: usize) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{b}', '\u{c}'], "\n");
    let text: String = text.chars().filter(|&c| matches!(c, '\n' | '\t') || !acts_unseen(c)).collect();
    cut(text.trim_end().to_owned(), limit)
}

fn acts_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Directions.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // No width; the joiners stay, some scripts need them.
            | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            // Tags: ASCII that nobody sees.
            | '\u{e0000}'..='\u{e007f}')
}

fn cut(mut text: String, limit: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        let last = text[..end].char_indices().next_back().map_or(0, |(start, _)| start);
        text.truncate(last);
        text.truncate(text.trim_end().len());
        if limit > 0 {
            text.push(CUT);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_nothing_that_acts_unseen() {
        assert_eq!(one_line(" a\r\n\u{202e}b\u{1b}[31m\u{0}\tc\u{e0041}\u{200b} ", 99), "a b[31m c");
    }

    #[test]
    fn lines_keep_their_breaks_and_tabs() {
        assert_eq!(lines("a\r\nb\u{2028}c\td\u{7}\n\n", 99), "a\nb\nc\td");
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_character_and_marked() {
        assert_eq!(one_line("äöüß", 4), "äöüß");
        assert_eq!(one_line("äöüß!", 4), "äöü…");
        assert_eq!(one_line("äö üß", 4), "äö…");
        assert_eq!(one_line("a", 0), "");
    }

    #[test]
    fn cutting_twice_is_cutting_once() {
        let once = one_line(&"word ".repeat(100), 50);
        assert_eq!(one_line(&once, 50), once);
    }
}

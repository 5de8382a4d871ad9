//! Text from notebooks, kernels and servers, made safe for a terminal.
//!
//! Such text is hostile: an escape sequence can retitle the window, move the cursor over our own messages or write to
//! the clipboard. Nothing but printable characters, line feeds, tabs and (where asked for) colours goes through.

/// What of a text may reach the terminal besides its printable characters, line feeds and tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Colours and text styles (`ESC [ … m`).
    pub(crate) colours: bool,
    /// Lone carriage returns, with which a cell redraws its own line (progress bars).
    pub(crate) carriage_returns: bool,
}

impl Keep {
    /// Plain text.
    pub(crate) const NOTHING: Self = Self { colours: false, carriage_returns: false };
}

/// `text` without anything that could steer a terminal, save what is to be kept.
pub(crate) fn sanitise(text: &str, keep: Keep) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' => {
                let (style, after) = escape_sequence(after);
                if let Some(style) = style.filter(|_| keep.colours) {
                    clean.push_str("\u{1b}[");
                    clean.push_str(style);
                    clean.push('m');
                    coloured = !matches!(style, "" | "0");
                }
                after
            }
            // The eight-bit forms of CSI, and of OSC and its like.
            '\u{9b}' => skip_csi(after).1,
            '\u{9d}' | '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => skip_string(after),
            '\n' | '\t' => {
                clean.push(c);
                after
            }
            '\r' => {
                if keep.carriage_returns && !after.starts_with('\n') {
                    clean.push(c);
                }
                after
            }
            c if c.is_control() || reorders_text(c) => after,
            c => {
                clean.push(c);
                after
            }
        };
    }
    if coloured {
        clean.push_str("\u{1b}[0m");
    }
    clean
}

/// One line of plain text: line breaks and tabs become blanks.
pub(crate) fn sanitise_line(text: &str) -> String {
    sanitise(text, Keep::NOTHING).replace(['\n', '\t'], " ")
}

/// What follows an ESC: the parameters when it is a style, and the text behind the sequence.
fn escape_sequence(after: &str) -> (Option<&str>, &str) {
    match after.chars().next() {
        Some('[') => skip_csi(&after[1..]),
        Some(']' | 'P' | 'X' | '^' | '_') => (None, skip_string(&after[1..])),
        // Two or three characters: intermediates, then one final.
        Some(' '..='/') => {
            let rest = after.trim_start_matches(|c| matches!(c, ' '..='/'));
            (None, rest.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(rest))
        }
        Some('0'..='~') => (None, &after[1..]),
        _ => (None, after),
    }
}

/// The parameters of a control sequence when it is a style, and the text behind it.
fn skip_csi(after: &str) -> (Option<&str>, &str) {
    let end = after.find(|c| !matches!(c, ' '..='?')).unwrap_or(after.len());
    let (parameters, rest) = after.split_at(end);
    match rest.chars().next() {
        Some('m') => {
            let plain = parameters.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':');
            (plain.then_some(parameters), &rest[1..])
        }
        Some('@'..='~') => (None, &rest[1..]),
        _ => (None, rest),
    }
}

/// The text behind a string sequence, which BEL or `ESC \` ends. One without an end hides nothing: its text stays.
fn skip_string(after: &str) -> &str {
    let end = after.find(['\u{7}', '\u{1b}', '\u{9c}', '\n']);
    match end {
        Some(at) if after[at..].starts_with(['\u{7}', '\u{9c}']) => {
            let width = after[at..].chars().next().map_or(0, char::len_utf8);
            &after[at + width..]
        }
        Some(at) if after[at..].starts_with("\u{1b}\\") => &after[at + 2..],
        _ => after,
    }
}

/// Characters that make text read otherwise than it is: bidirectional overrides and isolates, line separators.
fn reorders_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Keep = Keep { colours: true, carriage_returns: false };

    fn plain(text: &str) -> String {
        sanitise(text, Keep::NOTHING)
    }

    #[test]
    fn printable_text_of_any_script_line_feeds_and_tabs_stay() {
        assert_eq!(plain("Grüße 日本 😀\n\tx"), "Grüße 日本 😀\n\tx");
    }

    #[test]
    fn colours_stay_only_when_asked_for() {
        let red = "\u{1b}[0;31mred\u{1b}[0m";
        assert_eq!(plain(red), "red");
        assert_eq!(sanitise(red, COLOURS), red);
    }

    #[test]
    fn a_colour_that_is_left_on_is_turned_off_at_the_end() {
        assert_eq!(sanitise("\u{1b}[31mred", COLOURS), "\u{1b}[31mred\u{1b}[0m");
    }

    #[test]
    fn titles_links_and_clipboard_writes_go_whatever_ends_them() {
        for keep in [Keep::NOTHING, COLOURS] {
            assert_eq!(sanitise("a\u{1b}]0;title\u{7}b", keep), "ab");
            assert_eq!(sanitise("a\u{1b}]8;;http://x\u{1b}\\b", keep), "ab");
            assert_eq!(sanitise("a\u{9d}52;c;aGk=\u{9c}b", keep), "ab");
            assert_eq!(sanitise("a\u{1b}P1$r\u{1b}\\b", keep), "ab");
        }
    }

    #[test]
    fn an_unterminated_title_loses_its_escape_and_hides_nothing() {
        assert_eq!(plain("a\u{1b}]0;all the rest\nof it"), "a0;all the rest\nof it");
    }

    #[test]
    fn cursor_moves_erasures_and_modes_go() {
        assert_eq!(sanitise("a\u{1b}[2J\u{1b}[1;1H\u{1b}[?1049h\u{1b}[Kb\u{9b}1Ac", COLOURS), "abc");
        assert_eq!(sanitise("a\u{1b}(0b\u{1b}cc\u{1b}7d", COLOURS), "abcd");
    }

    #[test]
    fn private_and_odd_style_sequences_are_not_taken_for_colours() {
        assert_eq!(sanitise("\u{1b}[>4;2mx\u{1b}[?4my", COLOURS), "xy");
    }

    #[test]
    fn a_sequence_cut_short_at_the_end_goes() {
        for cut in ["x\u{1b}", "x\u{1b}[", "x\u{1b}[31", "x\u{1b}]"] {
            assert_eq!(sanitise(cut, COLOURS), "x");
        }
    }

    #[test]
    fn control_characters_and_text_reordering_go() {
        assert_eq!(plain("a\u{0}\u{7}\u{8}\u{7f}\u{85}b\u{202e}c\u{2066}d"), "abcd");
    }

    #[test]
    fn carriage_returns_go_unless_a_cell_may_redraw_its_line() {
        assert_eq!(plain("10%\r20%\r\n"), "10%20%\n");
        let keep = Keep { colours: false, carriage_returns: true };
        assert_eq!(sanitise("10%\r20%\r\n", keep), "10%\r20%\n");
    }

    #[test]
    fn a_line_holds_no_line_breaks() {
        assert_eq!(sanitise_line("a\nerror: b\tc"), "a error: b c");
    }

    #[test]
    fn no_text_of_escapes_panics() {
        let pieces = ["\u{1b}", "[", "]", "é", "m", "\u{9b}", "\u{7}", "31;", "\\", "\n"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let clean = sanitise(&format!("{a}{b}{c}"), COLOURS);
                    assert!(!clean.contains('\u{9b}') && !clean.contains('\u{7}'));
                }
            }
        }
    }
}

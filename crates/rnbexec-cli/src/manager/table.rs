//! Tables for people: columns as wide as what stands in them, the long ones cut to what the terminal has room for.
//!
//! What stands in a cell may be anybody's words: it is made one harmless line.

use std::io::IsTerminal as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::sanitise::sanitise_line;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    /// How narrow it may become; `None` is never cut.
    least: Option<usize>,
}

impl Column {
    /// A column whose texts are never cut.
    pub(crate) const fn whole(heading: &'static str) -> Self {
        Self { heading, least: None }
    }

    /// A column whose texts may be cut to so many characters.
    pub(crate) const fn cut(heading: &'static str, least: usize) -> Self {
        Self { heading, least: Some(least) }
    }
}

/// The longest text in a column that may be cut, where no terminal says how much room there is.
const LONGEST: usize = 60;

const GAP: &str = "  ";

/// The table, with a line of headings; an empty text when there are no rows. `room` is how wide the terminal is.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>], room: Option<usize>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|text| sanitise_line(text).trim().to_owned()).collect())
        .collect();
    let widths = widths(columns, &rows, room);
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut written = String::new();
        for (cell, width) in cells.zip(&widths) {
            let cell = cut(cell, *width);
            let blanks = width.saturating_sub(cell.width());
            written.push_str(&cell);
            written.extend(std::iter::repeat_n(' ', blanks));
            written.push_str(GAP);
        }
        text.push_str(written.trim_end());
        text.push('\n');
    };
    line(&mut columns.iter().map(|column| column.heading));
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

fn widths(columns: &[Column], rows: &[Vec<String>], room: Option<usize>) -> Vec<usize> {
    let longest = |index: usize| rows.iter().filter_map(|row| row.get(index)).map(|text| text.width()).max();
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let needed = longest(index).unwrap_or(0).max(column.heading.width());
            if column.least.is_some() && room.is_none() { needed.min(LONGEST) } else { needed }
        })
        .collect();
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room.unwrap_or(usize::MAX));
    // The widest column gives first, one character after the other, so that all that may be cut end up alike.
    while over > 0 {
        let widest = widths
            .iter_mut()
            .zip(columns)
            .filter(|(width, column)| column.least.is_some_and(|least| **width > least))
            .max_by_key(|(width, _)| **width);
        let Some((width, _)) = widest else { break };
        *width -= 1;
        over -= 1;
    }
    widths
}

/// The text in at most `width` columns of a terminal, with a mark where it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// How wide the terminal is that shows standard output; `None` when none does.
pub(crate) fn room_on_stdout() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// How wide the terminal is that shows standard error.
pub(crate) fn room_on_stderr() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::whole("incident"), Column::cut("title", 6), Column::whole("end")];

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_are_as_wide_as_their_texts() {
        let rows = [row(["1", "short", "done"]), row(["123456789", "日本", "x"])];
        let expected = "incident   title  end\n1          short  done\n123456789  日本   x\n";
        assert_eq!(table(&COLUMNS, &rows, None), expected);
    }

    #[test]
    fn what_may_be_cut_is_cut_to_the_room_there_is() {
        let rows = [row(["1", "a very long title indeed", "done"])];
        assert_eq!(table(&COLUMNS, &rows, Some(24)), "incident  title     end\n1         a very…   done\n");
        let narrow = table(&COLUMNS, &rows, Some(5));
        assert!(narrow.ends_with("1         a ver…  done\n"), "{narrow}");
    }

    #[test]
    fn a_strangers_text_is_one_harmless_line() {
        let rows = [row(["1", "a\u{1b}[2J\nb\u{202e}c", "\u{1b}]0;x\u{7}y"])];
        assert_eq!(table(&COLUMNS, &rows, None), "incident  title  end\n1         a bc   y\n");
    }

    #[test]
    fn without_rows_there_is_no_table() {
        assert_eq!(table(&COLUMNS, &[], None), "");
    }

    #[test]
    fn a_cut_never_goes_through_a_wide_character() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
    }
}

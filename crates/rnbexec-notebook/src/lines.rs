//! Multi-line strings: a notebook file holds them as lists of lines, memory holds them as one string.

use crate::json::ill_formed::Builder;
use crate::json::{Json, position};

/// Joins a list of strings as Python's `str.join` does; gives the list back if it holds anything else.
pub(crate) fn join(lines: Vec<Json>, separator: &str) -> Result<Json, Vec<Json>> {
    if !lines.iter().all(Json::is_string) {
        return Err(lines);
    }
    let length = lines.iter().map(|line| line.as_str().map_or(0, str::len) + separator.len()).sum();
    let mut joined = Builder::Well(String::with_capacity(length));
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        match line {
            Json::String(text) => joined.push_str(text),
            Json::IllFormed(text) => joined.push_wtf8(text.as_wtf8()),
            _ => {}
        }
    }
    Ok(joined.finish())
}

/// The lines of a string on one line, with a space between any two, after some other text.
pub(crate) fn unite(before: &str, text: &Json) -> Option<Json> {
    let text = match text {
        Json::String(text) => text.as_bytes(),
        Json::IllFormed(text) => text.as_wtf8(),
        _ => return None,
    };
    let mut united = Builder::Well(before.to_owned());
    for (index, line) in split(text).enumerate() {
        if index > 0 {
            united.push_str(" ");
        }
        united.push_wtf8(&line[..line.len() - break_length(line)]);
    }
    Some(united.finish())
}

/// The lines of (W)TF-8 text as Python's `str.splitlines(keepends=True)` cuts them: after `\n`, `\r\n`, `\r`, `\v`, `\f`, the
/// separators U+001C to U+001E, U+0085, U+2028 and U+2029. Each cut lies between two characters.
pub(crate) fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == text.len() {
            return None;
        }
        let end = line_end(text, start);
        let line = &text[start..end];
        start = end;
        Some(line)
    })
}

/// How many bytes at the end of a line are its line break.
pub(crate) fn break_length(line: &[u8]) -> usize {
    match line {
        [.., b'\r', b'\n'] | [.., 0xC2, 0x85] => 2,
        [.., 0xE2, 0x80, 0xA8 | 0xA9] => 3,
        [.., 0x0A..=0x0D | 0x1C..=0x1E] => 1,
        _ => 0,
    }
}

fn line_end(text: &[u8], start: usize) -> usize {
    // 0xC2 and 0xE2 may be the start of a line break that is more than one byte long.
    let candidate = |byte| matches!(byte, 0x0A..=0x0D | 0x1C..=0x1E | 0xC2 | 0xE2);
    let mut at = start;
    while let Some(found) = position(text, at, candidate) {
        let length = match &text[found..] {
            [b'\r', b'\n', ..] | [0xC2, 0x85, ..] => 2,
            [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
            [0xC2 | 0xE2, ..] => 0,
            _ => 1,
        };
        if length > 0 {
            return found + length;
        }
        at = found + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<&str> {
        split(text.as_bytes()).map(|line| std::str::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_cut_where_python_cuts_them() {
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("a\nb"), ["a\n", "b"]);
        assert_eq!(lines("a\n\n"), ["a\n", "\n"]);
        assert_eq!(lines("10%\r20%\r\n30%\n\r"), ["10%\r", "20%\r\n", "30%\n", "\r"]);
        assert_eq!(lines("a\x0bb\x0cc\x1cd\x1de\x1ef"), ["a\x0b", "b\x0c", "c\x1c", "d\x1d", "e\x1e", "f"]);
        assert_eq!(lines("a\u{85}b\u{2028}c\u{2029}d"), ["a\u{85}", "b\u{2028}", "c\u{2029}", "d"]);
        assert_eq!(lines("\x1f\u{84}é\u{2027}\u{a0}ℂ"), ["\x1f\u{84}é\u{2027}\u{a0}ℂ"]);
    }

    #[test]
    fn the_break_of_a_line_is_known() {
        for (line, length) in
            [("a", 0), ("a\n", 1), ("a\r\n", 2), ("\u{85}", 2), ("a\u{2029}", 3), ("\x1e", 1), ("", 0)]
        {
            assert_eq!(break_length(line.as_bytes()), length, "{line:?}");
        }
    }

    #[test]
    fn halves_of_a_pair_that_meet_become_a_character() {
        let halves = Json::parse(br#"["a\ud83d", "\ude00b"]"#).unwrap();
        assert_eq!(join(halves.as_array().unwrap().clone(), ""), Ok(Json::from("a\u{1F600}b")));
        assert_eq!(join(vec![Json::from("a"), Json::Null], ""), Err(vec![Json::from("a"), Json::Null]));
    }
}

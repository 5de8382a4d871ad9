//! A text as its reader sees it: without escape sequences, tags, or the ends of lines.

use std::ops::Range;

/// What is left of a text, and where it stands in it.
#[derive(Debug)]
pub(super) struct View {
    text: String,
    /// Where each run of the text begins: here, and in the original.
    runs: Vec<(usize, usize)>,
}

impl View {
    /// Without the escape sequences of terminals: colours, titles, cursor movements. `None` if there are none.
    pub(super) fn without_escapes(text: &str) -> Option<Self> {
        Self::without(text, false)
    }

    /// Without HTML tags and escape sequences. `None` if there are no tags.
    pub(super) fn without_tags(text: &str) -> Option<Self> {
        text.contains('<').then(|| Self::without(text, true)).flatten()
    }

    fn without(text: &str, tags: bool) -> Option<Self> {
        let begins = |c: char| c == '\u{1b}' || c == '\u{9b}' || (tags && c == '<');
        let first = text.find(begins)?;
        let mut view = Self { text: String::with_capacity(text.len()), runs: vec![(0, 0)] };
        view.text.push_str(&text[..first]);
        let (mut at, mut ends) = (first, Ends::default());
        while let Some(c) = text[at..].chars().next() {
            let length = ends.hidden(&text[at..]).unwrap_or(0);
            let shown = at + length;
            let from = if length == 0 { shown + c.len_utf8() } else { shown };
            let next = text[from..].find(begins).map_or(text.len(), |next| from + next);
            if length > 0 {
                view.runs.push((view.text.len(), shown));
            }
            view.text.push_str(&text[shown..next]);
            at = next;
        }
        (view.runs.len() > 1).then_some(view)
    }

    /// Without the ends of lines and the blanks that the next ones begin with. `None` if there are none.
    pub(super) fn without_breaks(text: &str) -> Option<Self> {
        let mut at = 0;
        let breaks = std::iter::from_fn(|| {
            let begin = at + text[at..].find(['\n', '\r'])?;
            at = text[begin..]
                .find(|c| !matches!(c, '\n' | '\r' | ' ' | '\t'))
                .map_or(text.len(), |end| begin + end);
            Some(begin..at)
        });
        Self::hiding(text, breaks)
    }

    /// Without these places, which come in order and apart from each other. `None` if there are none.
    pub(super) fn hiding(original: &str, places: impl Iterator<Item = Range<usize>>) -> Option<Self> {
        let mut view = Self { text: String::new(), runs: vec![(0, 0)] };
        let mut shown = 0;
        for place in places {
            view.text.push_str(&original[shown..place.start]);
            shown = place.end;
            view.runs.push((view.text.len(), shown));
        }
        view.text.push_str(&original[shown..]);
        (view.runs.len() > 1).then_some(view)
    }

    /// What is seen.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where in the original a place of the view stands.
    pub(super) fn behind(&self, place: Range<usize>) -> Range<usize> {
        match place.end.checked_sub(1) {
            Some(last) if !place.is_empty() => self.stands_at(place.start)..self.stands_at(last) + 1,
            _ => place,
        }
    }

    /// Where in the original that stands which is seen at `seen`.
    pub(super) fn stands_at(&self, seen: usize) -> usize {
        let run = self.runs.partition_point(|(begins, _)| *begins <= seen) - 1;
        let (begins, stands) = self.runs[run];
        stands + (seen - begins)
    }

    /// What is not seen of the original.
    pub(super) fn hidden(&self, original: &str) -> String {
        let ends = self.runs.iter().skip(1).map(|(seen, _)| *seen).chain([self.text.len()]);
        let mut hidden = String::new();
        let mut last = 0;
        for ((seen, stands), end) in self.runs.iter().zip(ends) {
            hidden.push_str(original.get(last..*stands).unwrap_or_default());
            last = stands + (end - seen);
        }
        hidden
    }
}

/// What is known not to come any more, so that looking for ends takes linear time in all.
#[derive(Default)]
struct Ends {
    no_tag_ends: bool,
    no_string_ends: bool,
}

impl Ends {
    /// How much of the beginning of a text is not seen.
    fn hidden(&mut self, text: &str) -> Option<usize> {
        let mut characters = text.chars();
        match (characters.next()?, characters.next()) {
            ('<', Some(c)) if c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?') => self.tag(text),
            ('\u{9b}', _) | ('\u{1b}', Some('[')) => Some(2 + sequence(&text[2..])),
            ('\u{1b}', Some(']' | 'P' | 'X' | '^' | '_')) => Some(self.string(text).unwrap_or(2)),
            ('\u{1b}', Some(' '..='/')) => Some(1 + designation(&text[1..])),
            ('\u{1b}', Some('0'..='~')) => Some(2),
            ('\u{1b}', _) => Some(1),
            _ => None,
        }
    }

    fn tag(&mut self, text: &str) -> Option<usize> {
        if self.no_tag_ends {
            return None;
        }
        let end = text.find('>').map(|at| at + 1);
        self.no_tag_ends = end.is_none();
        end
    }

    /// A title, a link: up to BEL or `ESC \`.
    fn string(&mut self, text: &str) -> Option<usize> {
        if self.no_string_ends {
            return None;
        }
        let end = text[2..].find(['\u{7}', '\u{1b}', '\u{9c}']).map(|at| 2 + at);
        self.no_string_ends = end.is_none();
        let end = end?;
        let mark = if text[end..].starts_with("\u{1b}\\") {
            2
        } else {
            text[end..].chars().next().map_or(0, char::len_utf8)
        };
        // Another sequence begins here: this one has no end.
        if text[end..].starts_with('\u{1b}') && mark == 1 { Some(2) } else { Some(end + mark) }
    }
}

/// The parameters of a control sequence and its last character.
fn sequence(text: &str) -> usize {
    let end = text.find(|c| !matches!(c, ' '..='?')).unwrap_or(text.len());
    end + usize::from(text[end..].starts_with(|c| matches!(c, '@'..='~')))
}

/// What chooses a character set: what is chosen for, and the set.
fn designation(text: &str) -> usize {
    let end = text.find(|c| !matches!(c, ' '..='/')).unwrap_or(text.len());
    end + usize::from(text[end..].starts_with(|c| matches!(c, '0'..='~')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_left_out_and_places_are_found_again() {
        assert_eq!(
            View::without_escapes("s\u{1b}(B\u{1b}[mec\u{1b}(0\u{1b}7ret\u{1b}(é").unwrap().text(),
            "secreté"
        );
        let text = "a\u{1b}[31mb\u{1b}]0;title\u{7}c<b class='x'>d</b> < e";
        let view = View::without_tags(text).unwrap();
        assert_eq!(view.text(), "abcd < e");
        assert_eq!(&text[view.behind(1..4)], "b\u{1b}]0;title\u{7}c<b class='x'>d");
        assert_eq!(view.hidden(text), "\u{1b}[31m\u{1b}]0;title\u{7}<b class='x'></b>");
        assert_eq!(View::without_escapes(text).unwrap().text(), "abc<b class='x'>d</b> < e");
        assert!(View::without_escapes("plain <b>").is_none() && View::without_tags("1 < 2").is_none());
    }

    #[test]
    fn what_has_no_end_is_seen_and_takes_no_time() {
        let many = "<a\u{1b}]0".repeat(200_000);
        let begun = std::time::Instant::now();
        assert_eq!(View::without_tags(&many).unwrap().text(), "<a0".repeat(200_000));
        assert!(begun.elapsed() < std::time::Duration::from_mins(1));
    }
}

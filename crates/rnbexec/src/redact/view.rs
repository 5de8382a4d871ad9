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

    /// Without the ends of lines and the blanks that the next ones begin with; and, where lines are padded, without the blanks that
    /// they end with too. `seen` is what is seen of the text within lines, if that is not all.
    pub(super) fn across_lines<'a>(text: &'a str, seen: Option<&'a Self>) -> impl Iterator<Item = Self> + 'a {
        let shown = seen.map_or(text, Self::text);
        let ends_padded =
            |end: &str| shown.contains(&format!(" {end}")) || shown.contains(&format!("\t{end}"));
        let is_padded = shown.ends_with([' ', '\t']) || ends_padded("\n") || ends_padded("\r");
        [false, true].into_iter().filter(move |padded| is_padded || !padded).filter_map(move |padded| {
            let Some(seen) = seen else { return Self::hiding(shown, breaks(shown, padded)) };
            let mut places: Vec<_> = breaks(shown, padded).map(|place| seen.behind(place)).collect();
            if places.is_empty() {
                return None;
            }
            places.extend(seen.hidden_places());
            Self::hiding(text, joined(places).into_iter())
        })
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
        self.hidden_places().filter_map(|place| original.get(place)).collect()
    }

    fn hidden_places(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let runs = self.runs.iter().zip(self.runs.iter().skip(1));
        runs.map(|((seen, stands), (next_seen, next_stands))| stands + (next_seen - seen)..*next_stands)
    }
}

/// The ends of lines with the blanks behind them, and before them too where lines are `padded`; so are those at the end of the text,
/// which may be the end of a line.
fn breaks(text: &str, padded: bool) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let next = text[at..].find(['\n', '\r']).map(|next| at + next);
        let next = next.or_else(|| padded.then_some(text.len()))?;
        let line = &text[at..next];
        let begin = if padded { at + line.trim_end_matches([' ', '\t']).len() } else { next };
        at = text[next..]
            .find(|c| !matches!(c, '\n' | '\r' | ' ' | '\t'))
            .map_or(text.len(), |shown| next + shown);
        (begin < at).then_some(begin..at)
    })
}

/// The places in order; those that overlap or touch become one.
pub(super) fn joined(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_unstable_by_key(|place| place.start);
    places.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    places
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
    fn lines_with_colours_or_padding_are_seen_as_one_and_places_are_found_again() {
        let text = "\u{1b}[1mab\u{1b}[0m  \n\u{1b}[1m  c\u{1b}[0md \n";
        let seen = View::without_escapes(text);
        let views: Vec<_> = View::across_lines(text, seen.as_ref()).collect();
        assert_eq!(views.iter().map(View::text).collect::<Vec<_>>(), ["ab  cd ", "abcd"]);
        assert_eq!(&text[views[1].behind(1..3)], "b\u{1b}[0m  \n\u{1b}[1m  c");
        assert_eq!(views[1].hidden(text), "\u{1b}[1m\u{1b}[0m  \n\u{1b}[1m  \u{1b}[0m \n");
        let texts = |text: &str| View::across_lines(text, None).map(|view| view.text).collect::<Vec<_>>();
        assert_eq!(texts("a\r\n b\n"), ["ab"]);
        assert_eq!(texts(" a\t\n b "), [" a\tb ", " ab"]);
        assert!(texts("a b").is_empty() && texts("").is_empty());
        assert_eq!(texts("\n"), [""]);
    }

    #[test]
    fn what_has_no_end_is_seen_and_takes_no_time() {
        let many = "<a\u{1b}]0".repeat(200_000);
        let begun = std::time::Instant::now();
        assert_eq!(View::without_tags(&many).unwrap().text(), "<a0".repeat(200_000));
        assert!(begun.elapsed() < std::time::Duration::from_mins(1));
    }
}

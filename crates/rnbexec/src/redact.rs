//! Taking secrets out of what leaves a run, and what leaves the machine: notebooks, reports, comments, log lines.
//!
//! Two kinds are looked for: secrets that are known (as they are, and as they look in Python's `repr`, JSON, HTML, URLs, base64
//! and hexadecimal digits), and what a [`Pattern`] describes.
//!
//! Known secrets are searched for all at once, each pattern once, in time that grows with the text alone. Escape sequences and
//! HTML tags that cut a known secret in pieces do not hide it, nor do the lines and messages that it is spread over, nor a display that
//! leaves the rest of it out. What is percent-encoded or in base64 is searched as it is and decoded. Texts are searched, images and other
//! binary data are not. What is told of it is which kinds were masked and how often, never a value.

mod document;
mod encoded;
mod known;
mod live;
mod pattern;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rnbexec_notebook::parameters::SecretParameters;

use encoded::Decoded;
use known::Known;
pub use pattern::{Pattern, PatternError};
use view::View;

pub(crate) use live::{Growth, LiveStreams};

/// What stands where a secret stood.
const MASK: &str = "***";

/// What is masked of known secrets, in words.
const KNOWN: &str = "known secret";

/// The most of a line, in bytes, in which a pattern is sure to be seen while the line is still being written.
const LONGEST_LINE: usize = 8 << 10;

/// How long what is kept of a stream may be, in times of what is seen of it: with a colour for each character, and more.
const ESCAPES_PER_CHARACTER: usize = 32;

/// The longest value of a member, in bytes, that patterns see together with its key.
const LONGEST_MEMBER: usize = 64 << 10;

/// How many encodings one in the other are decoded: a signature in a URL in base64.
const ENCODINGS: usize = 2;

/// Takes secrets out of texts and documents. Cheap to clone; one that looks for nothing costs nothing.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Known>,
    patterns: Arc<[Pattern]>,
}

/// How often a secret of which kind was masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked(BTreeMap<&'static str, usize>);

/// A secret that was found in a text.
#[derive(Clone, Debug)]
struct Found {
    place: Range<usize>,
    /// All that has to be there for it to be found: `AccountKey=` too.
    whole: Range<usize>,
    kind: &'static str,
}

/// A place that is to be masked, and what stands there.
#[derive(Clone, Debug)]
struct Mark {
    place: Range<usize>,
    /// See [`Found`].
    whole: Range<usize>,
    kind: &'static str,
    within: Within,
}

/// What within a masked place is no part of the secret.
#[derive(Clone, Copy, Debug)]
struct Within {
    breaks: bool,
    escapes: bool,
    tags: bool,
}

impl Redactor {
    /// A redactor for these secrets and patterns. Secrets shorter than four characters are not searched for: masking every `1`
    /// in a notebook would destroy it and hide nothing.
    pub fn new<S: AsRef<str>>(known: impl IntoIterator<Item = S>, patterns: Vec<Pattern>) -> Self {
        let values = known.into_iter().map(|value| value.as_ref().to_owned());
        Self { known: Arc::new(Known::new(values.collect())), patterns: patterns.into() }
    }

    /// The same redactor, which looks for these secrets too.
    #[must_use]
    pub fn and(&self, secrets: &SecretParameters) -> Self {
        if secrets.is_empty() {
            return self.clone();
        }
        let mut values = self.known.values().to_vec();
        values.extend(secrets.iter().flat_map(|(_, secret)| known::texts_in(secret.expose())));
        Self { known: Arc::new(Known::new(values)), patterns: Arc::clone(&self.patterns) }
    }

    /// The same redactor, which looks for known secrets alone.
    fn without_patterns(&self) -> Self {
        Self { known: Arc::clone(&self.known), patterns: Arc::default() }
    }

    /// The names of the secrets that are too short to be looked for.
    pub(crate) fn too_short(secrets: &SecretParameters) -> impl Iterator<Item = &str> {
        let is_short = |text: &String| (1..known::SHORTEST).contains(&text.chars().count());
        secrets
            .iter()
            .filter(move |(_, secret)| known::texts_in(secret.expose()).iter().any(is_short))
            .map(|(name, _)| name)
    }

    /// The patterns, as they are written.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Pattern::as_str)
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.patterns.is_empty()
    }

    /// The text without secrets, and what was masked.
    pub fn text<'a>(&self, text: &'a str) -> (Cow<'a, str>, Masked) {
        let mut masked = Masked::default();
        let clean = self.clean(text, &mut masked);
        (clean, masked)
    }

    /// The text without secrets.
    pub(crate) fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.clean(text, &mut Masked::default())
    }

    fn clean<'a>(&self, text: &'a str, masked: &mut Masked) -> Cow<'a, str> {
        masked_at(text, &self.marks(text), masked)
    }

    /// The pieces of one text, which are joined by `separator`, without the secrets in them; `None` when there are none. A secret
    /// that goes over several pieces is masked in the first and gone from the others.
    fn clean_pieces(
        &self,
        pieces: &[Cow<'_, str>],
        separator: &str,
        masked: &mut Masked,
    ) -> Option<Vec<String>> {
        let whole = pieces.join(separator);
        let marks = self.marks(&whole);
        if marks.is_empty() {
            return None;
        }
        let mut clean = Vec::with_capacity(pieces.len());
        let (mut begin, mut next, mut copied) = (0, 0, 0);
        for piece in pieces {
            let end = begin + piece.len();
            let mut text = String::with_capacity(piece.len());
            copied = begin.max(copied);
            while let Some(mark) = marks.get(next).filter(|mark| mark.place.start < end) {
                text.push_str(&whole[copied..mark.place.start.max(copied)]);
                text.push_str(&mark.replacement(&whole));
                masked.count(mark.kind, 1);
                (copied, next) = (mark.place.end, next + 1);
            }
            if copied < end {
                text.push_str(&whole[copied..end]);
            }
            clean.push(text);
            begin = end + separator.len();
        }
        Some(clean)
    }

    /// Where a text is to be masked: in order, and apart from each other.
    fn marks(&self, text: &str) -> Vec<Mark> {
        let mut marks = Vec::new();
        if self.is_empty() {
            return marks;
        }
        let found = self.found(text, ENCODINGS).into_iter();
        marks.extend(found.map(|found| found.mark(Within::NOTHING)));
        let escapes = View::without_escapes(text);
        if let Some(view) = &escapes {
            let found = self.found(view.text(), ENCODINGS).into_iter();
            marks.extend(found.map(|found| found.behind(|place| view.behind(place)).mark(Within::ESCAPES)));
        }
        if self.known.is_empty() {
            return merged(marks);
        }
        // Patterns would match across the cells of a table.
        let tags = View::without_tags(text);
        if let Some(view) = &tags {
            let found = self.found_known(view.text());
            let found = found.map(|found| found.behind(|place| view.behind(place)));
            marks.extend(found.map(|found| found.mark(Within::TAGS)));
        }
        for (view, within) in across_lines(text, escapes.as_ref(), tags.as_ref()) {
            let places = self.known.long_places(view.text()).map(|place| view.behind(place));
            marks.extend(places.map(|place| Found::known(place).mark(within)));
        }
        merged(marks)
    }

    /// Where the value of a member is to be masked. Of some secrets the name tells that they are one, as it does where the same is
    /// printed: patterns see both, as JSON has them.
    fn marks_of_member(&self, key: &str, value: &str) -> Vec<Mark> {
        let mut marks = self.marks(value);
        if self.patterns.is_empty() || value.len() > LONGEST_MEMBER {
            return marks;
        }
        let before = format!("\"{key}\": \"");
        // A quotation mark within would look like its end.
        let member = format!("{before}{}\"", value.replace('"', "'"));
        let within = |place: Range<usize>| {
            let at = |at: usize| at.saturating_sub(before.len()).min(value.len());
            at(place.start)..at(place.end)
        };
        let found = self.patterns.iter().flat_map(|pattern| pattern.places(&member));
        let found = found.map(|found| found.behind(within));
        let found = found.filter(|found| !matches!(&value[found.place.clone()], "" | MASK));
        marks.extend(found.map(|found| found.mark(Within::NOTHING)));
        merged(marks)
    }

    fn found_known(&self, text: &str) -> impl Iterator<Item = Found> {
        let places = self.known.places(text).into_iter();
        places.map(Found::known)
    }

    /// Where secrets stand in a text, as they are or in so many encodings, one in the other.
    fn found(&self, text: &str, encodings: usize) -> Vec<Found> {
        let mut found: Vec<Found> = self.found_known(text).collect();
        found.extend(self.patterns.iter().flat_map(|pattern| pattern.places(text)));
        if encodings == 0 {
            return found;
        }
        let within = |decoded: &Decoded, encodings: usize| {
            let found = self.found(decoded.text(), encodings).into_iter();
            found.map(|found| found.behind(|place| decoded.behind(place))).collect::<Vec<_>>()
        };
        for decoded in encoded::url(text).iter().chain(&encoded::base64(text)) {
            found.extend(within(decoded, encodings - 1));
        }
        // What is encoded in a form has its `+` encoded too, and is found as above.
        if let Some(decoded) = encoded::form(text) {
            found.extend(within(&decoded, 0));
        }
        if let Some(view) = encoded::unwrapped(text) {
            // Patterns are looked for in what it holds alone: in the lines themselves they would match what the next one begins with.
            let of_lines = encoded::base64(view.text());
            let of_lines = of_lines.iter().flat_map(|decoded| within(decoded, encodings - 1));
            let of_lines = self.found_known(view.text()).chain(of_lines);
            found.extend(of_lines.map(|found| found.behind(|place| view.behind(place))));
        }
        found
    }

    /// Where the line begins, or the block, to whose end a pattern may match; without patterns, what may be half of an encoding.
    fn undecided_line(&self, text: &str) -> usize {
        let line = if self.patterns.is_empty() {
            encoded::last_word(text)
        } else {
            text.rfind(['\n', '\r']).map_or(0, |at| at + 1)
        };
        let line = encoded::first_line(text, line, text.len().saturating_sub(2 * LONGEST_LINE));
        let block = self.patterns.iter().filter_map(|pattern| pattern.open_block(text)).min();
        let open = line.min(block.unwrap_or(line));
        // Half of what is too long goes at a time: what is searched twice stays bounded.
        let is_long = text.len() - open > 2 * LONGEST_LINE;
        if is_long { floor_boundary(text, text.len() - LONGEST_LINE) } else { open }
    }

    /// Where the end of a text begins that, with what is still to come, may be a secret, and where secrets stand before it.
    fn decided(&self, text: &str) -> (usize, Vec<Mark>) {
        let mut from = self.known.undecided(text).min(self.undecided_line(text));
        let escapes = View::without_escapes(text);
        if let Some(view) = &escapes {
            let seen = view.text();
            from = from.min(view.stands_at(self.known.undecided(seen).min(self.undecided_line(seen))));
        }
        if !self.known.is_empty() {
            let tags = View::without_tags(text);
            let across_lines = across_lines(text, escapes.as_ref(), tags.as_ref());
            let views = across_lines.iter().map(|(view, _)| view).chain(&tags);
            from = views.map(|view| view.stands_at(self.known.undecided(view.text()))).fold(from, usize::min);
        }
        self.decided_to(text, from)
    }

    /// The same where a cell ends and its stream may go on in the next: a line goes no further, nor what lines cut.
    fn decided_at_cell_end(&self, text: &str) -> (usize, Vec<Mark>) {
        let from = View::without_escapes(text).map(|view| view.stands_at(self.known.undecided(view.text())));
        self.decided_to(text, self.known.undecided(text).min(from.unwrap_or(text.len())))
    }

    fn decided_to(&self, text: &str, mut from: usize) -> (usize, Vec<Mark>) {
        // Escape sequences without end are not seen, and yet kept.
        let longest = ESCAPES_PER_CHARACTER * LONGEST_LINE.max(self.known.longest());
        if text.len() - from > longest {
            from = floor_boundary(text, text.len() - longest / 2);
        }
        if from == 0 {
            return (0, Vec::new());
        }
        // What is a secret already is not torn apart, nor from what it is found by: its end may be the beginning of another.
        let mut marks = self.marks(text);
        while let Some(torn) = marks.iter().find(|mark| mark.whole.start < from && from < mark.whole.end) {
            from = torn.whole.end;
        }
        marks.retain(|mark| mark.place.end <= from);
        (from, marks)
    }
}

/// Says nothing of what is looked for.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Masked {
    /// Whether nothing was masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often something was masked.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// What kinds of secrets were masked, and how often.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Adds what was masked elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in other.kinds() {
            self.count(kind, count);
        }
    }

    fn count(&mut self, kind: &'static str, count: usize) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

/// `account key (1), known secret (3)`
impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.kinds().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} ({count})")?;
        }
        if self.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

impl Found {
    fn known(place: Range<usize>) -> Self {
        Self { whole: place.clone(), place, kind: KNOWN }
    }

    /// The same in the text behind a view.
    fn behind(self, view: impl Fn(Range<usize>) -> Range<usize>) -> Self {
        Self { place: view(self.place), whole: view(self.whole), kind: self.kind }
    }

    fn mark(self, within: Within) -> Mark {
        Mark { place: self.place, whole: self.whole, kind: self.kind, within }
    }
}

impl Within {
    const NOTHING: Self = Self { breaks: false, escapes: false, tags: false };
    const ESCAPES: Self = Self { escapes: true, ..Self::NOTHING };
    const TAGS: Self = Self { tags: true, ..Self::ESCAPES };

    /// What is no part of either secret.
    fn and(self, other: Self) -> Self {
        Self {
            breaks: self.breaks && other.breaks,
            escapes: self.escapes && other.escapes,
            tags: self.tags && other.tags,
        }
    }
}

impl Mark {
    /// What stands where the secret stood: the mask, and the colours and tags that were within.
    fn replacement(&self, text: &str) -> Cow<'static, str> {
        let secret = &text[self.place.clone()];
        let tags = if self.within.tags { View::without_tags(secret) } else { None };
        let seen = tags.or_else(|| View::without_escapes(secret).filter(|_| self.within.escapes));
        let lines = self.within.breaks.then(|| View::across_lines(secret, seen.as_ref()).last());
        let view = lines.flatten().or(seen);
        view.map_or(Cow::Borrowed(MASK), |view| Cow::Owned(format!("{MASK}{}", view.hidden(secret))))
    }
}

/// The text with its lines as one, as it is and without what is not seen of them; and what of that is no part of a secret.
fn across_lines(text: &str, escapes: Option<&View>, tags: Option<&View>) -> Vec<(View, Within)> {
    let mut all: Vec<_> = View::across_lines(text, None)
        .map(|view| (view, Within { breaks: true, ..Within::NOTHING }))
        .collect();
    for (seen, within) in [(escapes, Within::ESCAPES), (tags, Within::TAGS)] {
        let views = seen.into_iter().flat_map(|seen| View::across_lines(text, Some(seen)));
        all.extend(views.map(|view| (view, Within { breaks: true, ..within })));
    }
    all
}

/// The text with these places masked.
fn masked_at<'a>(text: &'a str, marks: &[Mark], masked: &mut Masked) -> Cow<'a, str> {
    if marks.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for mark in marks {
        clean.push_str(&text[copied..mark.place.start]);
        clean.push_str(&mark.replacement(text));
        copied = mark.place.end;
        masked.count(mark.kind, 1);
    }
    clean.push_str(&text[copied..]);
    Cow::Owned(clean)
}

/// The marks in order; those that overlap become one.
fn merged(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_by_key(|mark| mark.place.start);
    let mut apart: Vec<Mark> = Vec::with_capacity(marks.len());
    for mark in marks {
        match apart.last_mut() {
            Some(last) if mark.place.start < last.place.end => {
                last.place.end = last.place.end.max(mark.place.end);
                last.whole = last.whole.start.min(mark.whole.start)..last.whole.end.max(mark.whole.end);
                last.within = last.within.and(mark.within);
            }
            _ => apart.push(mark),
        }
    }
    apart
}

/// The nearest place at or before `at` between two characters.
fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

//! Secrets that are known, in the forms in which they turn up.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rnbexec_notebook::Json;

use super::encoded::SHORTEST_BASE64;
use super::view::joined;

/// The shortest secret, in characters, that is searched for.
pub(super) const SHORTEST: usize = 4;

/// The shortest line of a secret of several that is searched for by itself, in bytes: a key's, not its braces.
const SHORTEST_LINE: usize = 16;

/// The shortest form of a secret that is searched for where the ends of lines cut it, in bytes: the end of one and the beginning of the
/// next spell short ones by chance.
const SHORTEST_IN_LINES: usize = 8;

/// The shortest beginning or end of a secret, in characters, that is taken for it where a display leaves the rest out (`abc…xyz`).
const SHORTEST_CUT: usize = 8;

/// Secrets that are searched for all at once.
#[derive(Default)]
pub(super) struct Known {
    values: Vec<String>,
    /// In the order of their first bytes.
    needles: Vec<String>,
    /// The same from their ends to their beginnings, in the order of their last bytes.
    reversed: Vec<Vec<u8>>,
    search: Option<AhoCorasick>,
    longest: usize,
    /// Whether a needle begins with two bytes, by the bytes: most of a text is passed over by looking here.
    beginnings: Vec<bool>,
}

impl Known {
    /// For these values. Short ones are left out.
    pub(super) fn new(mut values: Vec<String>) -> Self {
        values.retain(|value| value.chars().count() >= SHORTEST);
        if values.is_empty() {
            return Self::default();
        }
        let mut needles: Vec<String> =
            values.iter().flat_map(|value| with_parts(value)).flat_map(|value| guises(&value)).collect();
        needles.sort_unstable();
        needles.dedup();
        let mut search = AhoCorasick::builder();
        // Every place is wanted, so that a secret which contains another is masked whole.
        search.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
        let search = search.build(&needles).expect("secrets are shorter than two thousand million bytes");
        let longest = needles.iter().map(String::len).max().unwrap_or(0);
        let mut beginnings = vec![false; 1 << 16];
        for needle in &needles {
            beginnings[pair(needle.as_bytes())] = true;
        }
        let mut reversed: Vec<Vec<u8>> =
            needles.iter().map(|needle| needle.bytes().rev().collect()).collect();
        reversed.sort_unstable();
        Self { values, needles, reversed, search: Some(search), longest, beginnings }
    }

    /// The values that are searched for.
    pub(super) fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// Where long ones stand.
    pub(super) fn long_places(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        self.places(text).into_iter().filter(|place| place.len() >= SHORTEST_IN_LINES)
    }

    /// The length of the longest form of a secret, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Where secrets stand in a text.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let found = self.search.iter().flat_map(|search| search.find_overlapping_iter(text));
        let mut places: Vec<Range<usize>> = Vec::new();
        for found in found {
            // In the order of their ends: the last ones may lie within this one.
            let mut place = found.range();
            while let Some(last) = places.pop_if(|last| place.start < last.end) {
                place.start = place.start.min(last.start);
            }
            places.push(place);
        }
        let cut = self.cut_places(text);
        if cut.is_empty() {
            return places;
        }
        places.extend(cut);
        joined(places)
    }

    /// Where the beginnings and ends of secrets stand whose middle or end is left out.
    fn cut_places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        if self.is_empty() {
            return places;
        }
        let is_long = |shown: &str| {
            // What begins any URL tells nothing.
            let shown = shown.rsplit("://").next().unwrap_or(shown);
            shown.chars().count() >= SHORTEST_CUT
        };
        let mut ellipses = ellipses(text).peekable();
        let mut last = 0;
        while let Some(ellipsis) = ellipses.next() {
            let next = ellipses.peek().map_or(text.len(), |next| next.start);
            // No further than the next one: what is looked at twice stays bounded.
            let before = last.max(ellipsis.start.saturating_sub(self.longest));
            let before = &text.as_bytes()[before..ellipsis.start];
            let begin = ellipsis.start - longest_end(&self.needles, before);
            let after = next.min(ellipsis.end + self.longest);
            let after: Vec<u8> = text.as_bytes()[ellipsis.end..after].iter().rev().copied().collect();
            let end = ellipsis.end + longest_end(&self.reversed, &after);
            let shown = [begin..ellipsis.start, ellipsis.end..end];
            places.extend(shown.into_iter().filter(|place| text.get(place.clone()).is_some_and(is_long)));
            last = ellipsis.end;
        }
        places
    }

    /// Where the end of a text begins that is the beginning of a secret, or of one that is cut short.
    pub(super) fn undecided(&self, text: &str) -> usize {
        let begins = self.begins(text);
        let before = text.strip_suffix("..").or_else(|| text.strip_suffix('.'));
        let cut = before.map(|before| (self.begins(before), before.len()));
        cut.filter(|(begins, end)| end - begins >= SHORTEST_CUT).map_or(begins, |(cut, _)| cut.min(begins))
    }

    fn begins(&self, text: &str) -> usize {
        let near = text.len().saturating_sub(self.longest.saturating_sub(1));
        let begins_here = |start: usize| {
            let end = &text[start..];
            if end.len() > 1 && !self.beginnings[pair(end.as_bytes())] {
                return false;
            }
            let first = self.needles.partition_point(|needle| needle.as_str() <= end);
            // Those that begin with it come right behind it.
            self.needles.get(first).is_some_and(|needle| needle.starts_with(end))
        };
        (near..text.len()).find(|&at| text.is_char_boundary(at) && begins_here(at)).unwrap_or(text.len())
    }
}

/// Where a display says that it leaves something out.
fn ellipses(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let is_dot = |c: char| matches!(c, '.' | '\u{2026}');
    let mut at = 0;
    let dots = std::iter::from_fn(move || {
        let begin = at + text[at..].find(is_dot)?;
        at = text[begin..].find(|c| !is_dot(c)).map_or(text.len(), |end| begin + end);
        Some(begin..at)
    });
    // The one character has three bytes too.
    dots.filter(|dots| dots.len() >= "...".len())
}

/// How long the longest end of a text is, in bytes, that one of these, which come in order, begins with.
fn longest_end<T: AsRef<[u8]>>(sorted: &[T], text: &[u8]) -> usize {
    let ends = (0..text.len()).map(|at| &text[at..]);
    let begins = |end: &&[u8]| {
        let first = sorted.partition_point(|one| one.as_ref() < *end);
        sorted.get(first).is_some_and(|one| one.as_ref().starts_with(end))
    };
    ends.into_iter().find(begins).map_or(0, <[u8]>::len)
}

/// The first two bytes as a number.
fn pair(bytes: &[u8]) -> usize {
    let byte = |at: usize| bytes.get(at).map_or(0, |&byte| usize::from(byte));
    (byte(0) << 8) | byte(1)
}

/// The texts of a secret that is no text: what would be shown of it.
pub(super) fn texts_in(value: &Json) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().flat_map(texts_in).collect(),
        Json::Object(members) => members.values().flat_map(texts_in).collect(),
        Json::Number(_) => vec![value.to_compact()],
        Json::Null | Json::Bool(_) => Vec::new(),
        Json::String(_) | Json::IllFormed(_) => value.text().map(String::from).into_iter().collect(),
    }
}

/// A value, the same without blanks around it, and the lines of a long one.
fn with_parts(value: &str) -> Vec<String> {
    let trimmed = value.trim();
    let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    let parts =
        [trimmed].into_iter().chain(lines).filter(|part| part.chars().count() >= SHORTEST && *part != value);
    [value].into_iter().chain(parts).map(str::to_owned).collect()
}

/// The forms in which a value turns up in outputs.
fn guises(value: &str) -> Vec<String> {
    let json = Json::from(value).to_compact();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quoted = escaped.replace('\'', "\\'");
    let htmls = [
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#39;"),
        html,
    ];
    let mut guises = vec![
        value.to_owned(),
        ascii(&json),
        json,
        bytes(&quoted),
        bytes(&escaped),
        python_ascii(&quoted),
        python_ascii(&escaped),
        // Python writes single quotes around a text unless it holds one and no double quote.
        quoted,
        escaped,
        hexadecimal(value, false),
        hexadecimal(value, true),
    ];
    guises.extend(htmls.iter().flat_map(|html| character_references(html)));
    guises.extend(htmls);
    guises.extend(percent_encoded(value));
    guises.extend(base64_within(value.as_bytes()));
    // In JSON a slash may have a backslash before it: pandas and PHP put it there.
    let slashes = guises.iter().filter(|guise| guise.contains('/')).map(|guise| guise.replace('/', "\\/"));
    let slashes: Vec<String> = slashes.collect();
    guises.extend(slashes);
    guises
}

/// JSON with everything beyond ASCII as `\uXXXX`, as Python's `json.dumps` writes it.
fn ascii(json: &str) -> String {
    let unit = |unit: &u16| format!("\\u{unit:04x}");
    let character = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(unit).collect(),
    };
    json.chars().map(character).collect()
}

/// With everything beyond ASCII as `\xXX`, as Python shows bytes.
fn bytes(escaped: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") };
    escaped.bytes().map(byte).collect()
}

/// With everything beyond ASCII as Python's `ascii` writes it.
fn python_ascii(escaped: &str) -> String {
    let character = |c: char| match u32::from(c) {
        0..0x80 => c.to_string(),
        code @ 0x80..0x100 => format!("\\x{code:02x}"),
        code @ 0x100..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    escaped.chars().map(character).collect()
}

/// With everything beyond ASCII as HTML and XML have it that are written in ASCII: by its number.
fn character_references(html: &str) -> [String; 3] {
    let with = |reference: fn(u32) -> String| {
        let character = |c: char| if c.is_ascii() { c.to_string() } else { reference(c.into()) };
        html.chars().map(character).collect()
    };
    [
        with(|code| format!("&#{code};")),
        with(|code| format!("&#x{code:x};")),
        with(|code| format!("&#x{code:X};")),
    ]
}

fn hexadecimal(value: &str, capitals: bool) -> String {
    let digits = |byte: u8| if capitals { format!("{byte:02X}") } else { format!("{byte:02x}") };
    value.bytes().map(digits).collect()
}

/// As parts of URLs have it: with everything encoded, with slashes left alone (Python's `urllib.parse.quote`) or JavaScript's
/// marks, with a blank as `+` (forms), in capitals or not (.NET).
fn percent_encoded(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for (safe, small) in [("", false), ("/", false), ("", true), ("/", true), ("!'()*", false)] {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
            byte if safe.as_bytes().contains(&byte) => char::from(byte).to_string(),
            byte if small => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        };
        let encoded: String = value.bytes().map(byte).collect();
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded);
    }
    forms
}

/// The characters of base64 that the value alone decides, at each of the three places it can have in a longer text
/// (`user:password` in a header, say), in the alphabets of MIME and of URLs.
fn base64_within(value: &[u8]) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let mut found = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        // Characters that neighbours share are left out: the first `before + 1` of them, and a last partial group.
        let first = if before == 0 { 0 } else { before + 1 };
        let whole = bytes.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            if let Some(part) = text.get(first..whole).filter(|part| part.len() >= SHORTEST_BASE64) {
                found.push(part.to_owned());
            }
        }
    }
    found
}

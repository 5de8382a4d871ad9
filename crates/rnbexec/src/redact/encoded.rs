//! A text as the programs that it is meant for read it: what is percent-encoded or in base64, decoded.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::view::View;

/// Both alphabets of base64; what pads or follows it is no part of it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The shortest base64 that is decoded, in characters: shorter words are everywhere.
pub(super) const SHORTEST_BASE64: usize = 8;

/// The shortest text that is one in what base64 holds, in bytes: what eight characters hold. Shorter ones are there by chance.
const SHORTEST_TEXT: usize = 6;

/// The least of a text that is one wherever it stands, in bytes. Shorter ones are there by chance in what is mostly something else.
const LONG_TEXT: usize = 16;

/// What begins a URL that holds binary data in base64, in which nothing is looked for: images, fonts.
const BINARY: [&str; 6] =
    ["image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf"];

/// The least of a line of base64, in characters, that goes on in the next line: PEM has 64, MIME 76.
const SHORTEST_LINE: usize = 60;

/// A text that was decoded, and where it stands.
#[derive(Debug)]
pub(super) struct Decoded {
    text: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Where runs of bytes begin, here and in the original, and how many bytes of that each of them takes.
    Percent(Vec<(usize, usize, usize)>),
    /// From which character on, and after how many bytes of what is decoded from there.
    Base64 { from: usize, bytes: usize },
}

impl Decoded {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where in the original that stands which is at `place` here.
    pub(super) fn behind(&self, place: Range<usize>) -> Range<usize> {
        match &self.place {
            Place::Percent(runs) => {
                let at = |seen: usize| {
                    let run = runs.partition_point(|(begins, ..)| *begins <= seen) - 1;
                    let (begins, stands, width) = runs[run];
                    (stands + (seen - begins) * width, width)
                };
                let (last, width) = at(place.end.max(place.start + 1) - 1);
                at(place.start).0..last + width
            }
            // Four characters hold three bytes; those that hold a part of a byte belong to it.
            Place::Base64 { from, bytes } => {
                let (start, end) = (bytes + place.start, bytes + place.end);
                from + start * 4 / 3..from + (end * 4).div_ceil(3)
            }
        }
    }
}

/// The text as a part of a URL. `None` if that is the text itself.
pub(super) fn url(text: &str) -> Option<Decoded> {
    text.contains('%').then(|| percent(text)).filter(|decoded| decoded.text.len() < text.len())
}

/// The text as a form that was sent, in which `+` is a blank. `None` if there is none.
pub(super) fn form(text: &str) -> Option<Decoded> {
    text.contains('+').then(|| percent(&text.replace('+', " ")))
}

/// The text with what is percent-encoded decoded.
fn percent(text: &str) -> Decoded {
    let bytes = text.as_bytes();
    let escaped = |at: usize| {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        (bytes.get(at) == Some(&b'%')).then_some(())?;
        u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
    };
    let (mut decoded, mut runs) = (String::with_capacity(text.len()), vec![(0, 0, 1)]);
    let mut at = 0;
    while let Some(next) = text[at..].find('%').map(|next| at + next) {
        let mut end = next;
        // No more than a character may take: what is looked at twice stays bounded.
        let all = std::iter::from_fn(|| escaped(end).inspect(|_| end += 3)).take(4).collect::<Vec<u8>>();
        let characters = match std::str::from_utf8(&all) {
            Ok(all) => all,
            Err(error) => std::str::from_utf8(&all[..error.valid_up_to()]).unwrap_or_default(),
        };
        decoded.push_str(&text[at..next]);
        if characters.is_empty() {
            // A lone sign, or a part of a character: it means itself.
            decoded.push('%');
            at = next + 1;
            continue;
        }
        runs.push((decoded.len(), next, 3));
        decoded.push_str(characters);
        at = next + 3 * characters.len();
        runs.push((decoded.len(), at, 1));
    }
    decoded.push_str(&text[at..]);
    Decoded { text: decoded, place: Place::Percent(runs) }
}

/// Every text that base64 in this text may hold. Where it begins cannot be seen (`key-c2VjcmV0`), so each of the four ways to cut
/// it in groups is tried.
pub(super) fn base64(text: &str) -> Vec<Decoded> {
    let mut found = Vec::new();
    let mut bytes = Vec::new();
    for run in runs(text).filter(|run| !is_binary_url(&text[..run.start])) {
        let standard: Cow<'_, str> = match &text[run.clone()] {
            url if url.contains(['-', '_']) => url.replace('-', "+").replace('_', "/").into(),
            same => same.into(),
        };
        for first in 0..4 {
            let groups = &standard[first..];
            // One character more than whole groups holds no byte.
            let whole = groups.len() - usize::from(groups.len() % 4 == 1);
            bytes.clear();
            if BASE64.decode_vec(&groups[..whole], &mut bytes).is_err() {
                continue;
            }
            let mostly_text = texts(&bytes).map(|(_, text)| text.len()).sum::<usize>() * 2 >= bytes.len();
            let all = texts(&bytes).filter(|(_, text)| mostly_text || text.len() >= LONG_TEXT);
            found.extend(all.map(|(begins, text)| Decoded {
                text: text.to_owned(),
                place: Place::Base64 { from: run.start + first, bytes: begins },
            }));
        }
    }
    found
}

/// Whether a text ends as the beginning of a URL of binary data does. A drawing (SVG) is text.
fn is_binary_url(before: &str) -> bool {
    let Some((_, kind)) = before.strip_suffix(";base64,").and_then(|before| {
        // No name of a kind is longer.
        let from = before.ceil_char_boundary(before.len().saturating_sub(128));
        before[from..].rsplit_once("data:")
    }) else {
        return false;
    };
    BINARY.iter().any(|binary| kind.starts_with(binary)) && !kind.starts_with("image/svg")
}

/// The text with base64 that goes over several lines in one, as encoders for mail and keys wrap it. `None` if there is none.
pub(super) fn unwrapped(text: &str) -> Option<View> {
    let breaks = runs(text).filter(|run| run.len() >= SHORTEST_LINE).filter_map(|run| {
        let length = line_break(&text[run.end..])?;
        let goes_on = text[run.end + length..].bytes().next().is_some_and(is_base64);
        goes_on.then_some(run.end..run.end + length)
    });
    View::hiding(text, breaks)
}

/// Where the lines of base64 begin that the line at `line` goes on; those before `earliest` do not matter.
pub(super) fn first_line(text: &str, mut line: usize, earliest: usize) -> usize {
    while line > earliest {
        let before = text[..line].trim_end_matches(['\n', '\r']);
        if before.bytes().rev().take_while(|&byte| is_base64(byte)).take(SHORTEST_LINE).count()
            < SHORTEST_LINE
        {
            break;
        }
        line = before.rfind('\n').map_or(0, |at| at + 1);
    }
    line
}

/// Where the last word begins: with what is still to come it may be base64 or percent-encoded text.
pub(super) fn last_word(text: &str) -> usize {
    let is_part = |byte: u8| is_base64(byte) || b"%.~=".contains(&byte);
    text.bytes().rposition(|byte| !is_part(byte)).map_or(0, |at| at + 1)
}

/// A line's end, also as it stands in a string of a program.
fn line_break(text: &str) -> Option<usize> {
    ["\r\n", "\n", "\\r\\n", "\\n"].into_iter().find(|end| text.starts_with(end)).map(str::len)
}

/// Where there may be base64.
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + bytes[at..].iter().position(|&byte| is_base64(byte))?;
            let end = bytes[start..]
                .iter()
                .position(|&byte| !is_base64(byte))
                .map_or(bytes.len(), |end| start + end);
            at = end;
            if end - start >= SHORTEST_BASE64 {
                return Some(start..end);
            }
        }
    })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// What of some bytes is text, and where it begins.
fn texts(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let is_no_text = |c: char| c.is_control() && !is_blank(c);
    let begin = bytes.as_ptr().addr();
    stretches(bytes)
        .flat_map(|place| bytes[place].utf8_chunks())
        .flat_map(move |chunk| chunk.valid().split(is_no_text))
        .filter(|text| text.len() >= SHORTEST_TEXT)
        .map(move |text| (text.as_ptr().addr() - begin, text))
}

/// Controls that texts have.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{1b}')
}

/// Where so many bytes in a row may be text that it can be one: in what is none, as most of what is in base64, no character is
/// decoded in vain.
fn stretches(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const fn kinds() -> [u8; 256] {
        let mut kinds = [NO_TEXT; 256];
        let mut byte = 0;
        while byte < 256 {
            kinds[byte] = match byte {
                0x20..=0x7e | 0x09 | 0x0a | 0x0d | 0x1b => 0,
                0xc2..=0xdf => 1,
                0xe0..=0xef => 2,
                0xf0..=0xf4 => 3,
                0x80..=0xbf => CONTINUES,
                _ => NO_TEXT,
            };
            byte += 1;
        }
        kinds
    }
    const CONTINUES: u8 = 4;
    const NO_TEXT: u8 = 5;
    /// What begins a character, by how many bytes go on.
    static KINDS: [u8; 256] = kinds();

    let mut at = 0;
    std::iter::from_fn(move || {
        let (mut awaited, mut run) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            let kind = KINDS[usize::from(byte)];
            let begins = kind < CONTINUES;
            let goes_on = kind == CONTINUES && awaited > 0;
            let fits = goes_on || (begins && awaited == 0);
            if run >= SHORTEST_TEXT && !fits {
                return Some(at - run..at);
            }
            run = run * usize::from(fits) + usize::from(fits || begins);
            awaited = if begins { kind } else { awaited.saturating_sub(1) * u8::from(goes_on) };
            at += 1;
        }
        (run >= SHORTEST_TEXT).then(|| at - run..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_what_is_percent_encoded_are_found_again() {
        let text = "100% of %C3%BCb%65r %c3 50%2";
        let decoded = url(text).unwrap();
        assert_eq!(decoded.text(), "100% of über %c3 50%2");
        let at = decoded.text().find("über").unwrap();
        assert_eq!(&text[decoded.behind(at..at + 5)], "%C3%BCb%65r");
        assert_eq!(&text[decoded.behind(0..4)], "100%");
        let last = decoded.text().len();
        assert_eq!(&text[decoded.behind(last - 2..last)], "%2");
        assert_eq!(url("%41%42%ff%43%44%45%46%47").unwrap().text(), "AB%ffCDEFG");
        assert!(url("100 %, 5% and %x1").is_none());
        assert_eq!(form("a+b%2Bc").unwrap().text(), "a b+c");
        assert!(form("a%20b").is_none());
    }

    #[test]
    fn of_bytes_that_are_no_text_the_texts_are_found() {
        let found = |bytes: &[u8]| texts(bytes).map(|(at, text)| (at, text.to_owned())).collect::<Vec<_>>();
        assert_eq!(found(b"secret"), [(0, "secret".to_owned())]);
        assert_eq!(
            found(b"\xffsecret\xff\xe4words too"),
            [(1, "secret".to_owned()), (9, "words too".to_owned())]
        );
        assert_eq!(
            found("\u{1}\u{e4}\u{20ac}\u{1f600}\u{85}".as_bytes()),
            [(1, "\u{e4}\u{20ac}\u{1f600}".to_owned())]
        );
        assert_eq!(found("ü secret".as_bytes()), [(0, "ü secret".to_owned())]);
        assert_eq!(found(b"\xbc\xc3secret\xc3"), [(2, "secret".to_owned())]);
        assert_eq!(found(b"short\0again\xe2\x82short"), []);
    }

    #[test]
    fn texts_in_base64_are_found_wherever_it_begins_and_ends() {
        for around in ["", "k-", "/ab", "_x_y"] {
            let text = format!("<{around}c2VjcmV0LXdvcmQ_{around}>");
            let found = base64(&text);
            let (decoded, at) =
                found.iter().find_map(|decoded| Some((decoded, decoded.text().find("secret")?))).unwrap();
            assert_eq!(&text[decoded.behind(at..at + 6)], "c2VjcmV0", "{text}");
            assert_eq!(&text[decoded.behind(at + 1..at + 5)], "2VjcmV", "{text}");
        }
        assert!(base64("in plain sight c2Vj").is_empty());
    }

    #[test]
    fn nothing_is_looked_for_in_images_nor_taken_for_text_by_chance() {
        let encoded = "YSB0ZXh0IG9mIHdvcmRz".repeat(3);
        for (before, is_text) in [
            ("<img src='data:image/png;base64,", false),
            ("url(data:font/woff2;charset=utf-8;base64,", false),
            ("data:image/svg+xml;base64,", true),
            ("data:text/plain;base64,", true),
            ("image/png;base64,", true),
            ("", true),
        ] {
            let text = format!("{before}{encoded}");
            let found = base64(&text).iter().any(|decoded| decoded.text().contains("a text"));
            assert_eq!(found, is_text, "{before}");
        }
        // SHA-256 in hexadecimal digits.
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert!(base64(hash).is_empty(), "{:?}", base64(hash));
    }

    #[test]
    fn the_last_word_may_go_on() {
        for (text, word) in
            [("a word", "word"), ("é%41", "%41"), ("x aGVsbG8t", "aGVsbG8t"), ("word\n", ""), ("é", "")]
        {
            assert_eq!(&text[last_word(text)..], word, "{text}");
        }
    }

    #[test]
    fn base64_of_several_lines_is_one() {
        let line = "QUJD".repeat(16);
        for end in ["\n", "\r\n", "\\n"] {
            let text = format!("{line}{end}{line}{end}QUJD\nand more");
            assert_eq!(unwrapped(&text).unwrap().text(), format!("{line}{line}QUJD\nand more"));
        }
        assert!(unwrapped(&format!("{line}\n\n{line}=\nx short\nlines")).is_none());
        let text = format!("x\nkey: {line}\n{line}\nQU");
        assert_eq!(first_line(&text, text.len() - 2, 0), 2);
        assert_eq!(first_line(&text, text.len() - 2, 80), 72);
        assert_eq!(first_line("x\ny", 2, 0), 2);
        assert_eq!(first_line("", 0, 0), 0);
    }
}

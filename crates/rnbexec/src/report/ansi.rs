//! What a program wrote for a terminal, as HTML: colours and styles become spans, everything else that steers a terminal goes.
//!
//! Kept: SGR (16, 256 and 24-bit colours, bold, faint, italic, underlined, inverse, struck out), carriage returns and backspaces, as
//! a terminal draws them within a line. Dropped: titles, links and clipboard writes (OSC), cursor movements, modes, and whatever
//! else is a sequence.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

use super::text;

/// Appends `source` as the content of a `<pre>`.
pub(super) fn render(out: &mut String, source: &str) {
    if !source.bytes().any(|b| matches!(b, 0x1b | b'\r' | 0x08 | 0xc2)) {
        return text::escape(out, source);
    }
    let mut screen = Screen { out, line: Vec::new(), column: 0, style: Style::default() };
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    for byte in source.bytes() {
        parser.advance(&mut screen, byte);
    }
    screen.flush();
}

/// One line as a terminal holds it.
struct Screen<'a> {
    out: &'a mut String,
    line: Vec<(char, Style)>,
    column: usize,
    style: Style,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    foreground: Colour,
    background: Colour,
    /// Bits in the order of [`ATTRIBUTES`].
    attributes: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Colour {
    #[default]
    None,
    /// One of the 16 named ones, which the page's theme defines.
    Named(u8),
    Rgb(u8, u8, u8),
}

const ATTRIBUTES: [(u16, &str); 6] = [(1, "b"), (2, "f"), (3, "i"), (4, "u"), (7, "v"), (9, "s")];

impl Screen<'_> {
    fn put(&mut self, c: char) {
        if self.column < self.line.len() {
            self.line[self.column] = (c, self.style);
        } else {
            self.line.push((c, self.style));
        }
        self.column += 1;
    }

    fn flush(&mut self) {
        let mut open = Style::default();
        let mut run = String::new();
        for (c, style) in self.line.drain(..) {
            if style != open {
                close(self.out, &mut run, open);
                open = style;
            }
            run.push(c);
        }
        close(self.out, &mut run, open);
        self.column = 0;
    }
}

/// Writes a run of text that has one style.
fn close(out: &mut String, run: &mut String, style: Style) {
    if run.is_empty() {
        return;
    }
    if style == Style::default() {
        text::escape(out, run);
    } else {
        style.open(out);
        text::escape(out, run);
        out.push_str("</span>");
    }
    run.clear();
}

impl Style {
    fn open(self, out: &mut String) {
        let mut classes = String::new();
        let mut css = String::new();
        for (bit, (_, name)) in ATTRIBUTES.iter().enumerate() {
            if self.attributes & (1 << bit) != 0 {
                text::push(&mut classes, format_args!(" a{name}"));
            }
        }
        for (colour, class, property) in [(self.foreground, "af", "--af"), (self.background, "ag", "--ag")] {
            match colour {
                Colour::None => {}
                Colour::Named(number) => text::push(&mut classes, format_args!(" {class} {class}{number}")),
                Colour::Rgb(r, g, b) => {
                    text::push(&mut classes, format_args!(" {class}"));
                    text::push(&mut css, format_args!("{property}:#{r:02x}{g:02x}{b:02x};"));
                }
            }
        }
        text::push(out, format_args!("<span class=\"{}\"", classes.trim_start()));
        if !css.is_empty() {
            text::push(out, format_args!(" style=\"{css}\""));
        }
        out.push('>');
    }

    fn set(&mut self, code: u16) {
        let small = |base: u16| u8::try_from(code - base).unwrap_or_default();
        match code {
            0 => *self = Self::default(),
            22 => self.attributes &= !0b11,
            23 => self.attributes &= !0b100,
            24 => self.attributes &= !0b1000,
            27 => self.attributes &= !0b1_0000,
            29 => self.attributes &= !0b10_0000,
            30..=37 => self.foreground = Colour::Named(small(30)),
            39 => self.foreground = Colour::None,
            40..=47 => self.background = Colour::Named(small(40)),
            49 => self.background = Colour::None,
            90..=97 => self.foreground = Colour::Named(small(90) + 8),
            100..=107 => self.background = Colour::Named(small(100) + 8),
            _ => {
                if let Some(bit) = ATTRIBUTES.iter().position(|(known, _)| *known == code) {
                    self.attributes |= 1 << bit;
                }
            }
        }
    }
}

/// The colour that follows a 38 or 48: `5;n` or `2;r;g;b`, also with colons and their empty colour space.
fn extended(codes: &mut impl Iterator<Item = u16>, colon: bool) -> Option<Colour> {
    let byte = |code: u16| u8::try_from(code).ok();
    match codes.next()? {
        5 => Some(indexed(byte(codes.next()?)?)),
        2 => {
            let rest: Vec<u16> = if colon { codes.collect() } else { codes.take(3).collect() };
            let [.., r, g, b] = rest.as_slice() else { return None };
            Some(Colour::Rgb(byte(*r)?, byte(*g)?, byte(*b)?))
        }
        _ => None,
    }
}

/// The xterm palette.
fn indexed(index: u8) -> Colour {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        0..16 => Colour::Named(index),
        16..232 => {
            let cube = index - 16;
            Colour::Rgb(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            Colour::Rgb(grey, grey, grey)
        }
    }
}

impl Perform for Screen<'_> {
    fn print(&mut self, c: char) {
        self.put(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.flush();
                self.out.push('\n');
            }
            b'\r' => self.column = 0,
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.put('\t'),
            0x07 => {}
            other => self.put(char::from(other)),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: u8) {
        match action {
            b'm' if intermediates.is_empty() => {
                if params.is_empty() {
                    self.style = Style::default();
                }
                let mut groups = params.iter();
                while let Some(group) = groups.next() {
                    let first = group.first().copied().unwrap_or_default();
                    if !matches!(first, 38 | 48) {
                        self.style.set(first);
                        continue;
                    }
                    let colour = if group.len() > 1 {
                        extended(&mut group[1..].iter().copied(), true)
                    } else {
                        let mut rest = groups.by_ref().filter_map(|group| group.first().copied());
                        extended(&mut rest, false)
                    };
                    let Some(colour) = colour else { continue };
                    if first == 38 {
                        self.style.foreground = colour;
                    } else {
                        self.style.background = colour;
                    }
                }
            }
            // Erase to the end of the line, or all of it: what progress bars do before they draw again.
            b'K' => match params.iter().next().and_then(|group| group.first().copied()) {
                None | Some(0) => self.line.truncate(self.column),
                Some(2) => self.line.iter_mut().for_each(|cell| *cell = (' ', Style::default())),
                _ => {}
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> String {
        let mut out = String::new();
        render(&mut out, source);
        out
    }

    #[test]
    fn colours_and_styles_become_spans() {
        assert_eq!(html("\x1b[0;31mred\x1b[0m <b>"), "<span class=\"af af1\">red</span> &lt;b&gt;");
        assert_eq!(html("\x1b[1;4;92;41mx\x1b[m"), "<span class=\"ab au af af10 ag ag1\">x</span>");
        assert_eq!(html("\x1b[38;5;208mx"), "<span class=\"af\" style=\"--af:#ff8700;\">x</span>");
        assert_eq!(html("\x1b[48;2;1;2;3mx"), "<span class=\"ag\" style=\"--ag:#010203;\">x</span>");
        assert_eq!(html("\x1b[38:2::1:2:3mx"), "<span class=\"af\" style=\"--af:#010203;\">x</span>");
        assert_eq!(html("\x1b[1mx\x1b[22my"), "<span class=\"ab\">x</span>y");
    }

    #[test]
    fn titles_links_clipboard_writes_and_cursor_moves_go() {
        assert_eq!(html("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1b]52;c;aGk=\x07d"), "abcd");
        assert_eq!(html("a\x1b[2J\x1b[1;1H\x1b[?1049hb\x1bPq\x1b\\c"), "abc");
        // The eight-bit form is shown as what it is.
        assert_eq!(html("a\u{9b}1Ab"), "a⟦U+009B⟧1Ab");
    }

    #[test]
    fn a_line_that_is_redrawn_shows_its_last_state() {
        assert_eq!(html("10%\r50%\r100%\n"), "100%\n");
        assert_eq!(html("abc\rX\n"), "Xbc\n");
        assert_eq!(html("abc\r\x1b[KX\r\ny"), "X\ny");
        assert_eq!(html("ab\x08c"), "ac");
    }

    #[test]
    fn plain_text_stays_and_controls_are_shown() {
        assert_eq!(html("a\tb\n日本\u{202e}\0"), "a\tb\n日本⟦U+202E⟧␀");
        assert_eq!(html("\x1b[31mé\0\u{85}x\x1b[0m"), html("\x1b[31mé\0\u{85}x"));
        assert!(html("a\x1b[31mé\0").contains("é␀"));
    }

    #[test]
    fn a_sequence_cut_short_hides_only_itself() {
        for cut in ["x\x1b", "x\x1b[", "x\x1b[31"] {
            assert_eq!(html(cut), "x");
        }
    }

    #[test]
    fn no_text_of_escapes_panics() {
        let pieces = ["\x1b", "[", "]", "é", "m", "\u{9b}", "\x07", "38;5;", "2", "\\", "\n", "\r", "K"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        html(&format!("{a}{b}{c}{d}"));
                    }
                }
            }
        }
    }
}

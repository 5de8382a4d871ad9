//! Text that wants to be more than text, and what may reach a terminal of it.

/// Writes to the clipboard, a link, a title, erasures, modes, a question to the terminal, a reset, eight-bit forms, reordering, a return
/// over the line.
pub const TEXT: &str = "odd\u{1b}]52;c;aGk=\u{7}\u{1b}]8;;http://x\u{1b}\\\u{1b}]0;t\u{7}\u{1b}[2J\u{1b}[?2004h\u{1b}[6n\u{1b}c\
                        \u{1b}P1$r\u{1b}\\\u{9b}2J\u{9d}0;t\u{9c}\u{8}\u{202e}\u{2066}\u{2028}\rtext";

/// Checks that nothing of [`TEXT`] that acts is in what a terminal got, and that something was said.
///
/// # Panics
/// With what is.
#[track_caller]
pub fn expect_tame(what: &str, shown: &str) {
    assert!(!shown.trim().is_empty(), "{what} says nothing");
    let acting = [
        "\u{1b}]",
        "\u{1b}P",
        "\u{1b}c",
        "\u{1b}[2J",
        "\u{1b}[?2004h",
        "\u{1b}[6n",
        "\u{7}",
        "\u{8}",
        "\u{9b}",
        "\u{9d}",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
    ];
    for sequence in acting {
        assert!(!shown.contains(sequence), "{sequence:?} reaches the terminal of {what}: {shown:?}");
    }
}

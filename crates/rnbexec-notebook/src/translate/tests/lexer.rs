//! What each language reads in a string literal, written from its grammar and not from the translators: the value, if the text is one
//! string token and nothing else.

/// The UTF-16 units of the string that the text is in that language.
pub(super) fn string_value(language: &str, text: &str) -> Option<Vec<u16>> {
    match language {
        "Python" | "F#" => backslashed(text, "\\'\"abfnrtv", &[('x', 2), ('u', 4), ('U', 8)], ""),
        // R: at most so many digits, and the translators always write all; mixing `\x` with `\u` is an error.
        "R" => backslashed(text, "\\'\"abfnrtv", &[('u', 4), ('U', 8)], ""),
        "Scala" => backslashed(text, "\\'\"bfnrt", &[('u', 4)], ""),
        // Julia: from `\x80` on `\x` is a byte, so only control characters may be written like that.
        "Julia" => backslashed(text, "\\\"$abfnrtv", &[('x', 2), ('u', 4), ('U', 8)], "$")
            .filter(|_| !writes_bytes(text)),
        "C#" => backslashed(text, "\\'\"0abfnrtv", &[('u', 4), ('U', 8)], ""),
        "JavaScript" => backslashed(text, "\\'\"bfnrtv", &[('x', 2), ('u', 4)], ""),
        "MATLAB" => matlab(text),
        "PowerShell" => powershell(text),
        "Bash" => bash(text),
        _ => None,
    }
}

/// Whether there is a `\x80` or above.
fn writes_bytes(text: &str) -> bool {
    text.replace("\\\\", "")
        .split("\\x")
        .skip(1)
        .any(|digits| !digits.starts_with(|c: char| ('0'..='7').contains(&c)))
}

/// `"…"` with a backslash as the escape character; `forbidden` may not stand in it unescaped.
fn backslashed(text: &str, simple: &str, hex: &[(char, usize)], forbidden: &str) -> Option<Vec<u16>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = Vec::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            if c == '"' || !(' '..='~').contains(&c) || forbidden.contains(c) {
                return None;
            }
            value.push(u16::try_from(u32::from(c)).ok()?);
            continue;
        }
        let escape = rest.next()?;
        if let Some((_, digits)) = hex.iter().find(|(letter, _)| *letter == escape) {
            let digits: String = rest.by_ref().take(*digits).collect();
            let code = u32::from_str_radix(&digits, 16).ok()?;
            match char::from_u32(code) {
                Some(c) => value.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                None => value.push(u16::try_from(code).ok()?),
            }
        } else if simple.contains(escape) {
            value.push(control(escape).unwrap_or(u16::try_from(u32::from(escape)).ok()?));
        } else {
            return None;
        }
    }
    Some(value)
}

fn control(letter: char) -> Option<u16> {
    Some(match letter {
        '0' => 0,
        'a' => 7,
        'b' => 8,
        't' => 9,
        'n' => 10,
        'v' => 11,
        'f' => 12,
        'r' => 13,
        _ => return None,
    })
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// `"…"` where `""` is a quote and a backslash would mean different things in MATLAB and Octave; or `sprintf("…", codes)`.
fn matlab(text: &str) -> Option<Vec<u16>> {
    let (formatted, rest) = match text.strip_prefix("sprintf(") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('"')?;
    let mut inner = String::new();
    let mut characters = rest.chars();
    let after = loop {
        match characters.next()? {
            '"' if characters.as_str().starts_with('"') => {
                characters.next();
                inner.push('"');
            }
            '"' => break characters.as_str(),
            '\n' | '\r' => return None,
            c => inner.push(c),
        }
    };
    if !formatted {
        return (after.is_empty() && !inner.contains('\\')).then(|| units(&inner));
    }
    let mut codes = after.strip_suffix(')')?.split(", ").skip(1).map(|code| code.parse::<u16>().ok());
    let mut value = Vec::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next()? {
                '\\' => value.push(0x5C),
                letter => value.push(control(letter)?),
            },
            '%' => match characters.next()? {
                '%' => value.push(0x25),
                'c' => value.push(codes.next()??),
                _ => return None,
            },
            c => value.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
    codes.next().is_none().then_some(value)
}

/// `"…"` with a backtick as the escape character. The curly double quotes end it as well.
fn powershell(text: &str) -> Option<Vec<u16>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = Vec::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '"' | '\u{201C}' | '\u{201D}' | '\u{201E}' | '$' | '\n' | '\r' => return None,
            '`' => match rest.next()? {
                'u' => {
                    let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    rest = after.chars();
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                letter => match control(letter) {
                    Some(code) => char::from_u32(code.into())?,
                    None if letter == 'e' => '\u{1b}',
                    None => letter,
                },
            },
            c => c,
        };
        value.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    Some(value)
}

/// One word: unquoted, `'…'`, `"…"` and `$'…'` side by side.
fn bash(text: &str) -> Option<Vec<u16>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    if text.is_empty() {
        return None;
    }
    while let Some(c) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (inner, after) = quoted.split_once('\'')?;
            bytes.extend_from_slice(inner.as_bytes());
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (inner, after) = quoted.split_once('"')?;
            if inner.contains(['$', '`', '\\', '!']) {
                return None;
            }
            bytes.extend_from_slice(inner.as_bytes());
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix("$'") {
            let mut characters = quoted.chars();
            loop {
                match characters.next()? {
                    '\'' => break,
                    '\\' => match characters.next()? {
                        c @ ('\\' | '\'') => bytes.push(u8::try_from(c).ok()?),
                        digit @ '0'..='3' => {
                            let octal: String =
                                std::iter::once(digit).chain(characters.by_ref().take(2)).collect();
                            bytes.push(u8::from_str_radix(&octal, 8).ok()?);
                        }
                        letter => bytes.push(u8::try_from(control(letter)?).ok()?),
                    },
                    c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            rest = characters.as_str();
        } else if c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c) {
            bytes.push(u8::try_from(c).ok()?);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    // An interactive shell looks for `!` in every line that begins anew.
    if text.contains('\n') && text.contains('!') || text.chars().any(|c| c.is_control() && c != '\n') {
        return None;
    }
    Some(units(std::str::from_utf8(&bytes).ok()?))
}

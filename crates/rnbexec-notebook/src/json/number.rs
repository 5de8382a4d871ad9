//! Numbers that keep their spelling.

use std::fmt;

/// A JSON number as it was spelled, or one of Python's three non-finite words.
///
/// Two numbers are equal when they are spelled alike: `1.0` and `1.00` are different texts, and a lossless document
/// must not take one for the other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    /// A number from its JSON spelling, or from `NaN`, `Infinity`, `-Infinity`.
    pub fn parse(text: &str) -> Option<Self> {
        let finite = !text.is_empty() && spelled_length(text.as_bytes()) == Some(text.len());
        (finite || matches!(text, "NaN" | "Infinity" | "-Infinity")).then(|| Self(text.into()))
    }

    /// A number as Python's `repr` spells the float: `1000.0`, `1e-05`, `1e+16`, `NaN`.
    pub fn from_f64(value: f64) -> Self {
        Self(python_repr(value).into())
    }

    /// Takes a spelling that the parser has just checked.
    pub(super) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is spelled as an integer: digits only, of any length.
    pub fn is_integer(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    }

    /// Whether it is a number of JSON, and not `NaN`, `Infinity` or `-Infinity`.
    pub fn is_finite(&self) -> bool {
        self.0.ends_with(|last: char| last.is_ascii_digit())
    }

    /// The value, if it is spelled as an integer and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The value, if it is spelled as an integer without sign and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The nearest float. A number too large for a float is infinite, as in Python.
    pub fn as_f64(&self) -> f64 {
        match &*self.0 {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            spelled => spelled.parse().expect("the spelling of a JSON number is one of a Rust float"),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Number {
            fn from(value: $integer) -> Self {
                Self(value.to_string().into())
            }
        }
    )*};
}
from_integer!(i32 u32 i64 u64 usize);

/// How many bytes at the start spell a JSON number: `-? (0 | [1-9] [0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`. A fraction or an
/// exponent without digits is not part of it, as in Python's scanner.
pub(super) fn spelled_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match text.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if text.get(at) == Some(&b'.') {
        match digits(at + 1) {
            0 => return Some(at),
            fraction => at += 1 + fraction,
        }
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        match digits((at + 1 + sign).min(text.len())) {
            0 => return Some(at),
            exponent => at += 1 + sign + exponent,
        }
    }
    Some(at)
}

/// Python's `repr(float)`, but with JSON's words for the non-finite numbers: the shortest digits that read back to the
/// same float, with an exponent when that is below -4 or above 15.
fn python_repr(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    // Of the shortest spellings Python takes the nearest, and of two that are equally near the even one. Rust need not, so
    // its own only says how many digits there are. (Just above a power of two the nearest may not read back.)
    let shortest = format!("{value:e}");
    let precision = shortest.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count() - 1;
    let nearest = format!("{value:.precision$e}");
    let reads_back = nearest.parse() == Ok(value);
    let scientific = if reads_back { &nearest } else { &shortest };
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a float is a small integer");
    if (-4..16).contains(&exponent) {
        let decimals = i32::try_from(precision).expect("a float has at most 17 digits") - exponent;
        let decimals = usize::try_from(decimals).unwrap_or(0).max(1);
        return if reads_back { format!("{value:.decimals$}") } else { format!("{value:?}") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

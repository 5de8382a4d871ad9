//! What a `-p NAME VALUE` means: Python's `int()`, then `float()`, else the text itself.
//!
//! Source: papermill 2.7.0 `cli._resolve_type`, CPython 3.11 `int(str)` and `float(str)`: surrounding white
//! space, one underscore between digits, decimal digits of every script, numbers of any size. What Python
//! itself makes of texts is in `tests/fixtures/parameters/scalar.json`.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::json::{Json, Number};

/// CPython refuses to turn more digits than this into an `int` (`sys.int_info.default_max_str_digits`);
/// `float()` then takes them.
pub(crate) const MAX_INT_DIGITS: usize = 4300;

/// The value of a `-p NAME VALUE` option: `True`, `False` and `None`, else what Python's `int()` or `float()`
/// makes of the text, else the text.
///
/// Floats are spelled as Python's `repr` spells them; `nan` and infinities become [`Number`]s that are not finite.
///
/// ```
/// use rnbexec_notebook::parameters::infer_scalar;
/// assert_eq!(infer_scalar("1_000").to_compact(), "1000");
/// assert_eq!(infer_scalar("1e3").to_compact(), "1000.0");
/// assert_eq!(infer_scalar("0x10").to_compact(), "\"0x10\"");
/// ```
pub fn infer_scalar(text: &str) -> Json {
    match text {
        "True" => return Json::Bool(true),
        "False" => return Json::Bool(false),
        "None" => return Json::Null,
        _ => {}
    }
    let ascii = to_ascii_digits(text);
    if let Some(integer) = python_int(&ascii) {
        return Json::Number(integer);
    }
    match python_float(&ascii) {
        Some(float) => Json::from(float),
        None => Json::from(text),
    }
}

/// As CPython does before it reads a number: the ends lose their white space, decimal digits of every script
/// become ASCII. Other characters stay, and make the text no number.
fn to_ascii_digits(text: &str) -> String {
    text.trim().chars().map(|c| decimal_digit(c).unwrap_or(c)).collect()
}

/// The ASCII digit of the same value, for a decimal digit of any script.
fn decimal_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    let is_digit = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    if !is_digit(c) {
        return None;
    }
    // Unicode guarantees that digits stand in whole runs of ten from 0 to 9.
    let before = (0..u32::from(c)).rev().map_while(char::from_u32).take_while(|&c| is_digit(c)).count();
    char::from_digit(u32::try_from(before % 10).ok()?, 10)
}

/// `int(text)`, of text without surrounding space.
fn python_int(text: &str) -> Option<Number> {
    let (negative, digits) = split_sign(text);
    let digits = digits_without_underscores(digits)?;
    if digits.len() > MAX_INT_DIGITS {
        return None;
    }
    integer(negative, &digits)
}

/// An integer in JSON's spelling, from any decimal digits.
pub(super) fn integer(negative: bool, digits: &str) -> Option<Number> {
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let sign = if negative && digits != "0" { "-" } else { "" };
    Number::parse(&format!("{sign}{digits}"))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The digits, when there are only digits with single underscores between them.
fn digits_without_underscores(text: &str) -> Option<String> {
    text.split('_')
        .map(|run| (!run.is_empty() && run.bytes().all(|b| b.is_ascii_digit())).then_some(run))
        .collect()
}

/// `float(text)`, of text without surrounding space.
fn python_float(text: &str) -> Option<f64> {
    let (negative, unsigned) = split_sign(text);
    let magnitude = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => {
            let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => (mantissa, Some(exponent)),
                None => (unsigned, None),
            };
            let (whole, fraction) = match mantissa.split_once('.') {
                Some((whole, fraction)) => (whole, Some(fraction)),
                None => (mantissa, None),
            };
            let run = |digits: &str| {
                if digits.is_empty() { Some(String::new()) } else { digits_without_underscores(digits) }
            };
            let (whole, fraction) = (run(whole)?, run(fraction.unwrap_or_default())?);
            if whole.is_empty() && fraction.is_empty() {
                return None;
            }
            let exponent = match exponent {
                None => "0".to_owned(),
                Some(text) => {
                    let (negative, digits) = split_sign(text);
                    let digits = digits_without_underscores(digits)?;
                    format!("{}{digits}", if negative { "-" } else { "" })
                }
            };
            format!("{whole}.{fraction}e{exponent}").parse().ok()?
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

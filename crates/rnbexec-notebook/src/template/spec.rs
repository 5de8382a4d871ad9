//! Python's format specification mini-language: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.

use super::Value;
use crate::json::{Json, Number};
use crate::python::{change_base, number_repr};

/// The widest field and the highest precision. Python has no bound; a path needs none beyond this.
const MAX_WIDTH: usize = 4096;

/// `format(value, spec)`; what is wrong otherwise.
pub(super) fn format(value: &Value<'_>, spec: &str) -> Result<String, String> {
    let json = match value {
        Value::DateTime(time) if spec.is_empty() => return Ok(time.to_string()),
        Value::DateTime(time) => return Ok(time.strftime(spec)),
        Value::Builtins(_) | Value::Json(_) if spec.is_empty() => return Ok(value.to_str()),
        Value::Builtins(_) => return Err("unsupported format string for a dict".to_owned()),
        Value::Json(json) => json.as_ref(),
    };
    let unsupported = |what: &str| Err(format!("unsupported format string for {what}: {spec:?}"));
    match json {
        Json::Null => unsupported("None"),
        Json::Array(_) => unsupported("a list"),
        Json::Object(_) => unsupported("a dict"),
        Json::Bool(value) => Spec::parse(spec)?.integer(&Number::from(i32::from(*value))),
        Json::Number(number) if number.is_integer() => Spec::parse(spec)?.integer(number),
        Json::Number(number) => Spec::parse(spec)?.float(number.as_f64()),
        Json::String(_) | Json::IllFormed(_) => Spec::parse(spec)?.string(&value.to_str()),
    }
}

struct Spec {
    fill: char,
    align: Option<char>,
    sign: Option<char>,
    no_negative_zero: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(spec: &str) -> Result<Self, String> {
        let is_align = |c: &char| matches!(c, '<' | '>' | '=' | '^');
        let characters: Vec<char> = spec.chars().collect();
        let mut at = 0;
        let (mut fill, mut align) = (None, None);
        if let Some(second) = characters.get(1).filter(|c| is_align(c)) {
            (fill, align, at) = (Some(characters[0]), Some(*second), 2);
        } else if let Some(first) = characters.first().filter(|c| is_align(c)) {
            (align, at) = (Some(*first), 1);
        }
        let take = |at: &mut usize, such: &dyn Fn(char) -> bool| {
            let found = characters.get(*at).copied().filter(|&c| such(c));
            *at += usize::from(found.is_some());
            found
        };
        let sign = take(&mut at, &|c| matches!(c, '+' | '-' | ' '));
        let no_negative_zero = take(&mut at, &|c| c == 'z').is_some();
        let alternate = take(&mut at, &|c| c == '#').is_some();
        let zero = fill.is_none() && take(&mut at, &|c| c == '0').is_some();
        let number = |at: &mut usize| -> Result<Option<usize>, String> {
            let start = *at;
            let mut value = 0usize;
            while let Some(digit) = characters.get(*at).and_then(|c| c.to_digit(10)) {
                value = value.saturating_mul(10).saturating_add(digit as usize);
                *at += 1;
            }
            if value > MAX_WIDTH {
                return Err(format!("a width or precision above {MAX_WIDTH}"));
            }
            Ok((*at > start).then_some(value))
        };
        let width = number(&mut at)?.unwrap_or(0);
        let grouping = take(&mut at, &|c| matches!(c, ',' | '_'));
        if grouping.is_some() && matches!(characters.get(at), Some(',' | '_')) {
            return Err("cannot specify both ',' and '_'".to_owned());
        }
        let mut precision = None;
        if take(&mut at, &|c| c == '.').is_some() {
            precision = Some(number(&mut at)?.ok_or("format specifier missing precision")?);
        }
        let kind = take(&mut at, &|_| true);
        if at < characters.len() {
            return Err(format!("invalid format specifier {spec:?}"));
        }
        Ok(Self {
            fill: fill.unwrap_or(if zero { '0' } else { ' ' }),
            align,
            sign,
            no_negative_zero,
            alternate,
            zero,
            width,
            grouping,
            precision,
            kind,
        })
    }

    fn string(&self, text: &str) -> Result<String, String> {
        match self.kind {
            None | Some('s') => {}
            Some(kind) => return Err(format!("unknown format code '{kind}' for a string")),
        }
        let refused = if self.sign.is_some() {
            Some("sign")
        } else if self.alternate {
            Some("alternate form (#)")
        } else if self.align == Some('=') {
            Some("'=' alignment")
        } else if self.grouping.is_some() {
            Some("grouping")
        } else if self.no_negative_zero {
            Some("negative zero coercion (z)")
        } else {
            None
        };
        if let Some(what) = refused {
            return Err(format!("{what} not allowed in string format specifier"));
        }
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        Ok(self.pad(&text, "", '<'))
    }

    fn integer(&self, number: &Number) -> Result<String, String> {
        let base = match self.kind {
            None | Some('d' | 'n') => 10,
            Some('b') => 2,
            Some('o') => 8,
            Some('x' | 'X') => 16,
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => return self.float(number.as_f64()),
            Some('c') => return self.character(number),
            Some(kind) => return Err(format!("unknown format code '{kind}' for an integer")),
        };
        if self.precision.is_some() {
            return Err("precision not allowed in integer format specifier".to_owned());
        }
        if self.no_negative_zero {
            return Err("negative zero coercion (z) not allowed in integer format specifier".to_owned());
        }
        if self.grouping == Some(',') && !matches!(self.kind, None | Some('d'))
            || self.grouping.is_some() && self.kind == Some('n')
        {
            return Err(format!("cannot specify grouping with '{}'", self.kind.unwrap_or('d')));
        }
        let text = number_repr(number);
        let (negative, decimal) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.as_str()),
        };
        let digits: String = if base == 10 {
            decimal.to_owned()
        } else if decimal.len() > MAX_WIDTH {
            return Err("an integer of too many digits".to_owned());
        } else {
            let digits: Vec<u32> = decimal.chars().filter_map(|c| c.to_digit(10)).collect();
            change_base(&digits, 10, base)
                .into_iter()
                .filter_map(|digit| char::from_digit(digit, base))
                .collect()
        };
        let mut prefix = self.sign_of(negative).to_owned();
        if self.alternate && base != 10 {
            prefix.push_str(match base {
                2 => "0b",
                8 => "0o",
                _ => "0x",
            });
        }
        let upper = self.kind == Some('X');
        let digits = self.grouped(&digits, prefix.len(), if base == 10 { 3 } else { 4 }, "");
        let (prefix, digits) =
            if upper { (prefix.to_uppercase(), digits.to_uppercase()) } else { (prefix, digits) };
        Ok(self.pad(&digits, &prefix, '>'))
    }

    fn character(&self, number: &Number) -> Result<String, String> {
        let plain = self.sign.is_none() && !self.no_negative_zero && !self.alternate;
        if !plain || self.precision.is_some() || self.grouping.is_some() {
            return Err("format code 'c' takes no sign, z, '#', grouping or precision".to_owned());
        }
        let c = number.as_u64().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
        let c = c.ok_or_else(|| "%c arg not in range(0x110000)".to_owned())?;
        Ok(self.pad(&c.to_string(), "", '>'))
    }

    fn float(&self, value: f64) -> Result<String, String> {
        let kind = match self.kind {
            None => None,
            Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Some(kind),
            Some('n') if self.grouping.is_none() => Some('g'),
            Some(kind) => return Err(format!("unknown format code '{kind}' for a float")),
        };
        let upper = matches!(kind, Some('E' | 'F' | 'G'));
        let magnitude = value.abs();
        let body = match kind.map(|kind| kind.to_ascii_lowercase()) {
            kind if !value.is_finite() => {
                let word = if value.is_nan() { "nan" } else { "inf" };
                if kind == Some('%') { format!("{word}%") } else { word.to_owned() }
            }
            Some('f') => fixed(magnitude, self.precision.unwrap_or(6), self.alternate),
            Some('%') => fixed(magnitude * 100.0, self.precision.unwrap_or(6), self.alternate) + "%",
            Some('e') => scientific(magnitude, self.precision.unwrap_or(6), self.alternate),
            Some(_) => general(magnitude, self.precision.unwrap_or(6), self.alternate, false),
            None => match self.precision {
                None => shortest(magnitude, self.alternate),
                Some(precision) => general(magnitude, precision, self.alternate, true),
            },
        };
        let shows_zero = body.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0') && value.is_finite();
        let negative = value.is_sign_negative() && !value.is_nan() && !(self.no_negative_zero && shows_zero);
        let prefix = self.sign_of(negative);
        let whole = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
        let (digits, tail) = body.split_at(whole);
        let digits = self.grouped(digits, prefix.len(), 3, tail);
        let body = digits + tail;
        Ok(self.pad(&if upper { body.to_uppercase() } else { body }, prefix, '>'))
    }

    fn sign_of(&self, negative: bool) -> &'static str {
        match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    }

    /// The digits with separators, and with zeros before them when those fill the width.
    fn grouped(&self, digits: &str, before: usize, group: usize, tail: &str) -> String {
        let Some(separator) = self.grouping else { return digits.to_owned() };
        let fills = self.fill == '0' && (self.zero && self.align.is_none() || self.align == Some('='));
        let mut reversed: Vec<char> = Vec::new();
        let push = |reversed: &mut Vec<char>, index: usize, c: char| {
            if index > 0 && index.is_multiple_of(group) {
                reversed.push(separator);
            }
            reversed.push(c);
        };
        let mut count = 0;
        for c in digits.chars().rev() {
            push(&mut reversed, count, c);
            count += 1;
        }
        if fills && count > 0 {
            while before + reversed.len() + tail.chars().count() < self.width {
                push(&mut reversed, count, '0');
                count += 1;
            }
        }
        reversed.into_iter().rev().collect()
    }

    /// Fills up to the width. The prefix (sign, base) stays before zeros.
    fn pad(&self, body: &str, prefix: &str, default_align: char) -> String {
        let length = prefix.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(length);
        let fill = |count: usize| std::iter::repeat_n(self.fill, count).collect::<String>();
        let default = if self.zero && default_align == '>' { '=' } else { default_align };
        match self.align.unwrap_or(default) {
            '<' => format!("{prefix}{body}{}", fill(missing)),
            '^' => format!("{}{prefix}{body}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{prefix}{}{body}", fill(missing)),
            _ => format!("{}{prefix}{body}", fill(missing)),
        }
    }
}

/// As `repr`, with a point in any case when asked for.
fn shortest(value: f64, alternate: bool) -> String {
    let text = number_repr(&Number::from_f64(value));
    match text.split_once('e') {
        Some((mantissa, exponent)) if alternate && !mantissa.contains('.') => {
            format!("{mantissa}.e{exponent}")
        }
        _ => text,
    }
}

fn fixed(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.precision$}");
    if alternate && precision == 0 { text + "." } else { text }
}

fn scientific(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}e{sign}{digits:0>2}")
}

/// `%g`, or (with `whole_shows_fraction`) what a float with a precision and no type is formatted as.
fn general(value: f64, precision: usize, alternate: bool, whole_shows_fraction: bool) -> String {
    let precision = precision.max(1);
    let rounded = format!("{value:.*e}", precision - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let digits = i32::try_from(precision).unwrap_or(i32::MAX);
    // Without a type, one digit has to remain after the point.
    let limit = if whole_shows_fraction { digits - 1 } else { digits };
    let trimmed = |text: String| {
        if alternate || !text.contains('.') {
            return text;
        }
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if exponent < -4 || exponent >= limit {
        let text = scientific(value, precision - 1, alternate);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{exponent}", trimmed(mantissa.to_owned()));
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    let text = trimmed(fixed(value, decimals, alternate));
    if whole_shows_fraction && !text.contains('.') { text + ".0" } else { text }
}

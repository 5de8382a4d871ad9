//! The value of a Python literal: what `ast.literal_eval` takes, of what JSON can hold.

use crate::json::ill_formed::Builder;
use crate::json::{Json, Object};
use crate::parameters::infer_scalar;
use crate::python::change_base;

/// How deep lists and dicts may be nested.
const MAX_DEPTH: usize = 100;

/// The value of the expression; nothing if it is no literal, or one without a form in JSON.
pub(super) fn parse(code: &str) -> Option<Json> {
    let mut parser = Parser { rest: code, depth: 0 };
    let value = parser.tuple_or_value(&[])?;
    parser.space();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'c> {
    rest: &'c str,
    depth: usize,
}

impl<'c> Parser<'c> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self, such: impl Fn(char) -> bool) -> &'c str {
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !such(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// Values with commas are a tuple, up to one of the closing marks (which stays).
    fn tuple_or_value(&mut self, close: &[&str]) -> Option<Json> {
        let first = self.value()?;
        if !self.take(",") {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.space();
            if self.rest.is_empty() || close.iter().any(|mark| self.rest.starts_with(mark)) {
                return Some(Json::from(items));
            }
            items.push(self.value()?);
            if !self.take(",") {
                return Some(Json::from(items));
            }
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.space();
        let value = match self.rest.chars().next()? {
            '(' => {
                self.take("(");
                if self.take(")") {
                    Json::Array(Vec::new())
                } else {
                    let value = self.tuple_or_value(&[")"])?;
                    self.take(")").then_some(value)?
                }
            }
            '[' => self.list()?,
            '{' => self.dict()?,
            '+' | '-' | '0'..='9' | '.' => self.number()?,
            '"' | '\'' => self.strings()?,
            c if c.is_alphabetic() => {
                let before = self.rest;
                match self.word(|c| c.is_alphanumeric() || c == '_') {
                    "None" => Json::Null,
                    "True" => Json::Bool(true),
                    "False" => Json::Bool(false),
                    _ if self.rest.starts_with(['"', '\'']) => {
                        self.rest = before;
                        self.strings()?
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        self.depth -= 1;
        Some(value)
    }

    fn list(&mut self) -> Option<Json> {
        self.take("[");
        let mut items = Vec::new();
        while !self.take("]") {
            items.push(self.value()?);
            if !self.take(",") {
                self.take("]").then_some(())?;
                break;
            }
        }
        Some(Json::from(items))
    }

    fn dict(&mut self) -> Option<Json> {
        self.take("{");
        let mut members = Object::new();
        while !self.take("}") {
            let key = self.value()?.as_str()?.to_owned();
            self.take(":").then_some(())?;
            members.insert(key, self.value()?);
            if !self.take(",") {
                self.take("}").then_some(())?;
                break;
            }
        }
        Some(Json::from(members))
    }

    fn number(&mut self) -> Option<Json> {
        let mut sign = String::new();
        while self.rest.starts_with(['+', '-', ' ']) {
            if self.take("-") {
                sign = if sign.is_empty() { "-".to_owned() } else { String::new() };
            } else {
                self.take("+");
                self.space();
            }
        }
        let start = self.rest;
        let mut word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if word.ends_with(['e', 'E']) && !word.starts_with("0x") && self.rest.starts_with(['+', '-']) {
            let length = word.len() + 1;
            self.rest = &self.rest[1..];
            let exponent = self.word(|c| c.is_ascii_digit() || c == '_').len();
            word = &start[..length + exponent];
        }
        let lower = word.to_ascii_lowercase();
        let (digits, base) = match lower.get(..2) {
            Some("0x") => (&lower[2..], 16),
            Some("0o") => (&lower[2..], 8),
            Some("0b") => (&lower[2..], 2),
            _ => {
                // Words such as `nan` are names in Python, and `007` is no number.
                let numeric = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
                let octal =
                    word.len() > 1 && word.bytes().all(|b| b.is_ascii_digit()) && word.starts_with('0');
                let padded = octal && word.bytes().any(|b| b != b'0');
                let value = infer_scalar(&format!("{sign}{word}"));
                let finite = value.as_number().is_some_and(crate::json::Number::is_finite);
                return (numeric && finite && !padded).then_some(value);
            }
        };
        let digits: Option<Vec<u32>> =
            digits.chars().filter(|&c| c != '_').map(|c| c.to_digit(base)).collect();
        let decimal =
            change_base(&digits.filter(|digits| !digits.is_empty() && digits.len() < 10_000)?, base, 10);
        let decimal: String = decimal.into_iter().filter_map(|digit| char::from_digit(digit, 10)).collect();
        Some(infer_scalar(&format!("{sign}{decimal}")))
    }

    /// String literals side by side are one.
    fn strings(&mut self) -> Option<Json> {
        let mut text = Builder::Well(String::new());
        loop {
            self.space();
            let before = self.rest;
            let prefix = self.word(char::is_alphabetic).to_lowercase();
            if !self.rest.starts_with(['"', '\'']) {
                self.rest = before;
                return Some(text.finish());
            }
            let raw = match prefix.as_str() {
                "" | "u" => false,
                "r" => true,
                _ => return None,
            };
            self.string(raw, &mut text)?;
        }
    }

    fn string(&mut self, raw: bool, text: &mut Builder) -> Option<()> {
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let close = if self.rest.starts_with(&triple) { triple.as_str() } else { quote };
        self.rest = &self.rest[close.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(());
            }
            let mut characters = self.rest.chars();
            let c = characters.next()?;
            self.rest = characters.as_str();
            match c {
                '\\' if raw => {
                    text.push_char('\\');
                    let escaped = characters.next()?;
                    text.push_char(escaped);
                    self.rest = characters.as_str();
                }
                '\\' => self.escape(text)?,
                '\n' if close.len() == 1 => return None,
                c => text.push_char(c),
            }
        }
    }

    fn escape(&mut self, text: &mut Builder) -> Option<()> {
        let mut characters = self.rest.chars();
        let c = characters.next()?;
        self.rest = characters.as_str();
        let digits = match c {
            '\n' => return Some(()),
            '\\' | '\'' | '"' => {
                text.push_char(c);
                return Some(());
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            // A name from the Unicode tables.
            'N' => return None,
            '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let value = u32::from_str_radix(&format!("{c}{}", &self.rest[..more]), 8).ok()?;
                self.rest = &self.rest[more..];
                text.push_char(char::from_u32(value)?);
                return Some(());
            }
            _ => {
                if let Some(at) = "abfnrtv".find(c) {
                    text.push_char("\u{7}\u{8}\u{c}\n\r\t\u{b}".chars().nth(at)?);
                } else {
                    text.push_char('\\');
                    text.push_char(c);
                }
                return Some(());
            }
        };
        let code = u32::from_str_radix(self.rest.get(..digits)?, 16).ok()?;
        self.rest = &self.rest[digits..];
        match (char::from_u32(code), u16::try_from(code)) {
            (Some(c), _) => text.push_char(c),
            (None, Ok(surrogate)) => text.push_surrogate(surrogate),
            (None, Err(_)) => return None,
        }
        Some(())
    }
}

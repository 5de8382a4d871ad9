//! C#, as .NET Interactive runs it. Grammar: the C# language specification, 6.4.3 "Identifiers", 6.4.5
//! "Literals", 12.8.17.5 "Array creation expressions".
//!
//! As papermill, but: `null` (papermill has none; `object x = null;`, since `var` cannot hold it); `double.NaN`
//! and the infinities; integers beyond 64 bits as `System.Numerics.BigInteger.Parse("…")`; characters U+0001 to
//! U+00FF as `\u00NN` (`\x` takes up to four digits in C# and would swallow what follows); an array whose
//! elements have no best common type, and an empty one, as `new object[] {…}`.

use super::name::{NameRule, letter_or_underscore, word};
use super::number::{Numeric, fits_i32, fits_i64};
use super::text::{self, Unit};
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "C#";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: letter_or_underscore,
    rest: word,
    reserved: "_ abstract as await base bool break byte case catch char checked class const continue \
        decimal default delegate do double else enum event explicit extern false finally fixed \
        float for foreach goto if implicit in int interface internal is lock long namespace new \
        null object operator out override params private protected public readonly ref return \
        sbyte sealed short sizeof stackalloc static string struct switch this throw true try \
        typeof uint ulong unchecked unsafe ushort using virtual void volatile while",
};

#[derive(Debug)]
pub(super) struct CSharp;

impl Translator for CSharp {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("//", text)
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        not_too_deep(value, LANGUAGE).map(literal)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        let declared = if value.is_null() { "object" } else { "var" };
        Ok(format!("{declared} {name} = {};", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if fits_i32(&text) => text,
            Numeric::Integer(text) if fits_i64(&text) => format!("{text}L"),
            Numeric::Integer(text) => format!("System.Numerics.BigInteger.Parse(\"{text}\")"),
            Numeric::Finite(text) => text,
            Numeric::NaN => "double.NaN".to_owned(),
            Numeric::Infinity => "double.PositiveInfinity".to_owned(),
            Numeric::NegativeInfinity => "double.NegativeInfinity".to_owned(),
        },
        Json::String(text) => string(text.as_bytes()),
        Json::IllFormed(text) => string(text.as_wtf8()),
        Json::Array(items) => {
            let new = if array_type(items) == Type::Objects { "new object[]" } else { "new []" };
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("{new} {{ {} }}", items.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{{ {} , {} }}", string(&text::of_key(key)), literal(value)))
                .collect();
            format!("new Dictionary<string,Object>{{ {} }}", members.join(", "))
        }
    }
}

/// The type that C# gives an expression, as far as it matters for the elements of an array.
#[derive(Clone, PartialEq, Eq)]
enum Type {
    Null,
    Bool,
    Int,
    Long,
    Big,
    Double,
    Text,
    Dictionary,
    Array(Box<Type>),
    /// `object[]`
    Objects,
}

fn type_of(value: &Json) -> Type {
    match value {
        Json::Null => Type::Null,
        Json::Bool(_) => Type::Bool,
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if fits_i32(&text) => Type::Int,
            Numeric::Integer(text) if fits_i64(&text) => Type::Long,
            Numeric::Integer(_) => Type::Big,
            _ => Type::Double,
        },
        Json::String(_) | Json::IllFormed(_) => Type::Text,
        Json::Object(_) => Type::Dictionary,
        Json::Array(items) => array_type(items),
    }
}

/// The type of `new [] { … }`, or [`Type::Objects`] when there is none or one that would round a number.
fn array_type(items: &[Json]) -> Type {
    let mut types = items.iter().map(type_of);
    let Some(first) = types.next() else { return Type::Objects };
    let common = types.try_fold(first, |common, next| match (common, next) {
        (common, next) if common == next => Some(common),
        (Type::Int, Type::Long) | (Type::Long, Type::Int) => Some(Type::Long),
        (Type::Int, Type::Double) | (Type::Double, Type::Int) => Some(Type::Double),
        (Type::Null, other @ (Type::Text | Type::Dictionary | Type::Array(_) | Type::Objects))
        | (other @ (Type::Text | Type::Dictionary | Type::Array(_) | Type::Objects), Type::Null) => {
            Some(other)
        }
        _ => None,
    });
    match common {
        None | Some(Type::Null) => Type::Objects,
        Some(element) => Type::Array(Box::new(element)),
    }
}

fn string(wtf8: &[u8]) -> String {
    let mut out = String::from('"');
    for unit in text::units(wtf8) {
        match unit {
            Unit::Surrogate(unit) => out.push_str(&text::escape_4(unit)),
            Unit::Char(c) => match (text::common_escape(c), u32::from(c)) {
                (Some(escape), _) => out.push_str(escape),
                _ if text::is_plain_ascii(c) => out.push(c),
                (None, code @ 0..=0xFFFF) => out.push_str(&text::escape_4(code)),
                (None, code) => out.push_str(&text::escape_8(code)),
            },
        }
    }
    out.push('"');
    out
}

//! F#, as .NET Interactive runs it. Grammar: the F# language specification 4.1, 3.4 "Identifiers and Keywords",
//! 3.5 "Strings and Characters", 3.8 "Numeric Literals"; 4.4 "Operators and precedence" for `|>` and `:>`.
//!
//! As papermill, but: `infinity` and `-infinity`; integers beyond 64 bits as `…I`; the elements of a list get
//! one type, as F# demands: mixed integers as `L`, integers beside floats as floats, anything else boxed; in a
//! map `null` and the empty list carry their types, and an empty map does. Keywords and names with an
//! apostrophe are refused; a comment cannot be ended from within.

use super::name::{NameRule, letter_or_underscore, word};
use super::number::{Numeric, fits_f64, fits_i32, fits_i64};
use super::text::{self, Unit};
use super::{TranslateError, Translator, Unsupported, not_too_deep, of_parameter};
use crate::json::{Json, Object};

const LANGUAGE: &str = "F#";

const NAMES: NameRule = NameRule {
    language: LANGUAGE,
    first: letter_or_underscore,
    rest: word,
    reserved: "_ abstract and as asr assert base begin break checked class component const constraint \
        continue default delegate do done downcast downto elif else end event exception extern \
        external false finally fixed for fun function global if in include inherit inline \
        interface internal land lazy let lor lsl lsr lxor match member mixin mod module mutable \
        namespace new not null of open or override parallel private process protected public \
        pure rec return sealed select sig static struct tailcall then to trait true try type \
        upcast use val virtual void when while with yield",
};

#[derive(Debug)]
pub(super) struct FSharp;

impl Translator for FSharp {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        // Inside a comment F# still reads nested comments and strings.
        let inert: String = text
            .chars()
            .map(|c| match c {
                '"' => '\u{2033}',
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
                c => c,
            })
            .collect();
        format!("(* {} *)", inert.replace('*', if inert.contains(['(', ')']) { "\u{2217}" } else { "*" }))
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        not_too_deep(value, LANGUAGE).map(literal)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        Ok(format!("let {name} = {}", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if fits_i32(&text) => text,
            Numeric::Integer(text) if fits_i64(&text) => format!("{text}L"),
            Numeric::Integer(text) => format!("{text}I"),
            Numeric::Finite(text) => text,
            Numeric::NaN => "nan".to_owned(),
            Numeric::Infinity => "infinity".to_owned(),
            Numeric::NegativeInfinity => "-infinity".to_owned(),
        },
        Json::String(text) => string(text.as_bytes()),
        Json::IllFormed(text) => string(text.as_wtf8()),
        Json::Array(items) => {
            let element = element_type(items);
            let items: Vec<_> = items.iter().map(|item| as_element(item, &element)).collect();
            format!("[ {} ]", items.join("; "))
        }
        Json::Object(members) => map(members),
    }
}

fn map(members: &Object) -> String {
    if members.is_empty() {
        return "(Map.empty : Map<string, IComparable>)".to_owned();
    }
    let member = |(key, value): (&String, &Json)| {
        let key = string(&text::of_key(key));
        match value {
            Json::Null => format!("({key}, (null : IComparable))"),
            Json::Array(items) if items.is_empty() => format!("({key}, ([] : int list) :> IComparable)"),
            // What is boxed cannot be compared, and a map's values must be.
            Json::Array(items) if element_type(items) == Type::Boxed => {
                let items: Vec<_> = items.iter().map(comparable).collect();
                format!("({key}, [ {} ] :> IComparable)", items.join("; "))
            }
            value => format!("({key}, {} :> IComparable)", literal(value)),
        }
    };
    let members: Vec<_> = members.iter().map(member).collect();
    format!("[ {} ] |> Map.ofList", members.join("; "))
}

/// A value cast to what all values of a map are.
fn comparable(value: &Json) -> String {
    match value {
        Json::Null => "(null : IComparable)".to_owned(),
        Json::Array(items) if items.is_empty() => "(([] : int list) :> IComparable)".to_owned(),
        Json::Array(items) if element_type(items) == Type::Boxed => {
            let items: Vec<_> = items.iter().map(comparable).collect();
            format!("([ {} ] :> IComparable)", items.join("; "))
        }
        value => format!("({} :> IComparable)", literal(value)),
    }
}

/// The type of an expression, as far as it matters for the elements of a list.
#[derive(Clone, PartialEq, Eq)]
enum Type {
    Unknown,
    Bool,
    Int,
    Long,
    /// Only integers that a float holds exactly may stand beside it.
    Float,
    Big,
    Text,
    Map,
    List(Box<Type>),
    /// `obj`, since nothing better fits.
    Boxed,
}

fn type_of(value: &Json) -> Type {
    match value {
        // `None` has a type of its own for each use.
        Json::Null => Type::Boxed,
        Json::Bool(_) => Type::Bool,
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if fits_i32(&text) => Type::Int,
            Numeric::Integer(text) if fits_i64(&text) => Type::Long,
            Numeric::Integer(_) => Type::Big,
            _ => Type::Float,
        },
        Json::String(_) | Json::IllFormed(_) => Type::Text,
        Json::Object(_) => Type::Map,
        Json::Array(items) => Type::List(Box::new(element_type(items))),
    }
}

/// The type that all elements of a list can have.
fn element_type(items: &[Json]) -> Type {
    let whole_numbers_fit =
        items.iter().filter_map(Json::as_number).all(|number| match Numeric::of(number) {
            Numeric::Integer(text) => fits_f64(&text),
            _ => true,
        });
    let common = |left: Type, right: Type| match (left, right) {
        (left, right) if left == right => left,
        (Type::Unknown, other) | (other, Type::Unknown) => other,
        (Type::Int, Type::Long) | (Type::Long, Type::Int) => Type::Long,
        (Type::Float, Type::Int | Type::Long) | (Type::Int | Type::Long, Type::Float)
            if whole_numbers_fit =>
        {
            Type::Float
        }
        (Type::List(left), Type::List(right)) if *left == Type::Unknown => Type::List(right),
        (Type::List(left), Type::List(right)) if *right == Type::Unknown => Type::List(left),
        _ => Type::Boxed,
    };
    items.iter().map(type_of).fold(Type::Unknown, common)
}

fn as_element(value: &Json, element: &Type) -> String {
    let text = literal(value);
    match (element, value) {
        (Type::Boxed, Json::Null) => "(null : obj)".to_owned(),
        (Type::Boxed, _) => format!("box ({text})"),
        (Type::Long, _) if !text.ends_with('L') => text + "L",
        (Type::Float, Json::Number(number)) if number.is_integer() => {
            text.trim_end_matches('L').to_owned() + ".0"
        }
        _ => text,
    }
}

fn string(wtf8: &[u8]) -> String {
    let mut out = String::from('"');
    for unit in text::units(wtf8) {
        match unit {
            Unit::Surrogate(unit) => out.push_str(&text::escape_4(unit)),
            Unit::Char(c) => match text::common_escape(c) {
                Some(escape) => out.push_str(escape),
                None if text::is_plain_ascii(c) => out.push(c),
                None => out.push_str(&crate::python::numeric_escape(c)),
            },
        }
    }
    out.push('"');
    out
}

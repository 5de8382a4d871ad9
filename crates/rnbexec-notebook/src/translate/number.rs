//! Numbers, sorted by what languages can do with them.

use crate::json::Number;
use crate::python::number_repr;

/// A number as Python holds it.
pub(super) enum Numeric {
    /// An integer of any size, in decimal.
    Integer(String),
    /// A float that is a number, as Python's `repr` writes it.
    Finite(String),
    NaN,
    Infinity,
    NegativeInfinity,
}

impl Numeric {
    pub(super) fn of(number: &Number) -> Self {
        let text = number_repr(number);
        match text.as_str() {
            "nan" => Self::NaN,
            "inf" => Self::Infinity,
            "-inf" => Self::NegativeInfinity,
            _ if number.is_integer() => Self::Integer(text),
            _ => Self::Finite(text),
        }
    }
}

pub(super) fn fits_i32(integer: &str) -> bool {
    integer.parse::<i32>().is_ok()
}

pub(super) fn fits_i64(integer: &str) -> bool {
    integer.parse::<i64>().is_ok()
}

/// Whether a float can hold the integer exactly.
pub(super) fn fits_f64(integer: &str) -> bool {
    integer.parse::<f64>().is_ok_and(|float| format!("{float:.0}") == integer)
}

//! Answers in pages: `{"value": […], "nextLink": "…"}`, the link absolute and to be followed as it is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::arm::fail;
use super::call::{Call, Played, Reply};
use super::world::World;

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Azure writes the dollar of a parameter's name as it is.
const NAME: &AsciiSet = &KEPT.remove(b'$');

/// How a list is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// How many a page has at most.
    pub(super) size: usize,
    /// The parameter that says where a page begins.
    pub(super) parameter: &'static str,
}

/// A page that begins after as many items as the parameter says.
pub(super) fn by_offset(world: &World, call: &Call, all: Vec<Value>, page: Page) -> Played {
    let begin = match call.query(page.parameter) {
        None => 0,
        Some(text) => text.parse().map_err(|_| bad_token(page.parameter))?,
    };
    let end = begin + page.size.max(1);
    let more = all.len() > end;
    let value: Vec<Value> = all.into_iter().skip(begin).take(page.size.max(1)).collect();
    let next = more.then(|| next_link(world, call, page.parameter, &end.to_string()));
    Ok(reply(&value, next))
}

/// The answer with one page.
pub(super) fn reply(value: &[Value], next: Option<String>) -> Reply {
    let mut body = json!({"value": value});
    if let Some(next) = next {
        body["nextLink"] = Value::String(next);
    }
    Reply::json(200, &body)
}

/// What a token that no page gave gets.
pub(super) fn bad_token(parameter: &str) -> Reply {
    fail(400, "BadRequest", &format!("The value of '{parameter}' is not valid."))
}

/// The same request with another place to begin.
pub(super) fn next_link(world: &World, call: &Call, parameter: &str, at: &str) -> String {
    let kept = call.query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(parameter));
    let mut query: Vec<String> = kept.map(|(name, value)| pair(name, value)).collect();
    query.push(pair(parameter, at));
    format!("{}{}?{}", world.url, call.path, query.join("&"))
}

fn pair(name: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(name, NAME), utf8_percent_encode(value, KEPT))
}

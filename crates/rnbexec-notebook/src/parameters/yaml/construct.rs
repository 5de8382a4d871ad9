//! From nodes to values: PyYAML's `SafeConstructor`.

use std::collections::HashSet;
use std::rc::Rc;

use super::YamlError;
use super::document::{Content, Node, Pair, error_at};
use super::resolve::Kind;
use crate::json::{Json, Object};
use crate::parameters::infer_scalar;
use crate::parameters::scalar::integer;
use crate::python::change_base;

/// How much aliases and merge keys may add to what the text itself holds, in values (long strings count for several).
const MAX_EXPANSION: usize = 1_000_000;

/// Integers longer than this are refused: changing their base takes quadratic time.
const MAX_DIGITS: usize = 20_000;

/// The value of a document.
pub(super) fn construct(root: &Rc<Node>) -> Result<Json, YamlError> {
    Constructor { seen: HashSet::new(), expanded: 0 }.value(root)
}

/// A JSON document with its numbers spelled as Python would print what it read; nothing if it has more levels
/// than that.
pub(super) fn with_python_numbers(json: Json, levels: usize) -> Option<Json> {
    let inner = levels.checked_sub(1);
    Some(match json {
        Json::Number(number) if number.is_integer() => {
            let (negative, digits) = signed(number.as_str());
            integer(negative, digits).map_or(Json::Number(number), Json::Number)
        }
        Json::Number(number) => Json::from(number.as_f64()),
        Json::Array(items) => {
            let items = items.into_iter().map(|item| with_python_numbers(item, inner?));
            Json::Array(items.collect::<Option<_>>()?)
        }
        Json::Object(members) => {
            let members =
                members.into_iter().map(|(key, value)| Some((key, with_python_numbers(value, inner?)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        other => other,
    })
}

struct Constructor {
    /// Nodes that were visited once; whatever is visited again was reached through an alias.
    seen: HashSet<*const Node>,
    expanded: usize,
}

impl Constructor {
    fn value(&mut self, node: &Rc<Node>) -> Result<Json, YamlError> {
        if !self.seen.insert(Rc::as_ptr(node)) {
            let cost = match &node.content {
                Content::Scalar(text) => 1 + text.len() / 32,
                Content::Sequence(_) | Content::Mapping(_) => 1,
            };
            self.expand(cost, node)?;
        }
        match &*node.tag {
            Kind::NULL => scalar(node).map(|_| Json::Null),
            Kind::BOOL => boolean(node),
            Kind::INT => int(node),
            Kind::FLOAT => float(node).map(Json::from),
            Kind::STR => scalar(node).map(Json::from),
            Kind::BINARY => binary(node),
            Kind::SEQ => self.sequence(node),
            Kind::MAP => self.mapping(node),
            Kind::OMAP | Kind::PAIRS => self.pairs(node),
            Kind::SET => Err(error_at(node.at, "a set has no form in JSON: write a list")),
            Kind::TIMESTAMP => {
                Err(error_at(node.at, "a date has no form in JSON: without the tag it is text"))
            }
            other => Err(error_at(node.at, format!("no value has the tag {other:?}"))),
        }
    }

    /// Bounds what aliases to aliases can grow to ("billion laughs").
    fn expand(&mut self, cost: usize, node: &Node) -> Result<(), YamlError> {
        self.expanded += cost;
        if self.expanded > MAX_EXPANSION {
            return Err(error_at(node.at, "the aliases of this text expand to too many values"));
        }
        Ok(())
    }

    fn sequence(&mut self, node: &Rc<Node>) -> Result<Json, YamlError> {
        let Content::Sequence(items) = &node.content else {
            return Err(expected("sequence", node));
        };
        items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>().map(Json::from)
    }

    fn mapping(&mut self, node: &Rc<Node>) -> Result<Json, YamlError> {
        let pairs = self.merged(node)?;
        let mut members = Object::with_capacity(pairs.len());
        for (key, value) in &pairs {
            let key = self.key(key)?;
            members.insert(key, self.value(value)?);
        }
        Ok(Json::Object(members))
    }

    /// The pairs of a mapping, those of its merge keys first, so that its own win.
    fn merged(&mut self, node: &Rc<Node>) -> Result<Vec<Pair>, YamlError> {
        let Content::Mapping(pairs) = &node.content else {
            return Err(expected("mapping", node));
        };
        let mut merged = Vec::new();
        let mut own = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            if key.tag != Kind::MERGE {
                own.push((Rc::clone(key), Rc::clone(value)));
                continue;
            }
            match &value.content {
                Content::Mapping(_) => merged.extend(self.merged(value)?),
                Content::Sequence(sources) => {
                    for source in sources.iter().rev() {
                        if !matches!(source.content, Content::Mapping(_)) {
                            return Err(expected("mapping to merge", source));
                        }
                        merged.extend(self.merged(source)?);
                    }
                }
                Content::Scalar(_) => return Err(expected("mapping or list of mappings to merge", value)),
            }
        }
        self.expand(merged.len(), node)?;
        merged.append(&mut own);
        Ok(merged)
    }

    /// A key, as `json.dumps` writes keys that are no strings.
    fn key(&mut self, node: &Rc<Node>) -> Result<String, YamlError> {
        if node.tag == Kind::VALUE {
            return scalar(node).map(str::to_owned);
        }
        if !matches!(node.content, Content::Scalar(_)) {
            return Err(error_at(node.at, format!("a {} cannot be a key", node.content.kind())));
        }
        Ok(match self.value(node)? {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Number(number) => number.as_str().to_owned(),
            Json::String(text) => text,
            other => return Err(error_at(node.at, format!("{} cannot be a key", other.kind()))),
        })
    }

    /// `!!omap` and `!!pairs`: a list of pairs, as JSON shows Python's tuples.
    fn pairs(&mut self, node: &Rc<Node>) -> Result<Json, YamlError> {
        let Content::Sequence(items) = &node.content else {
            return Err(expected("sequence", node));
        };
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            let Content::Mapping(members) = &item.content else {
                return Err(expected("mapping of one key", item));
            };
            let [(key, value)] = &members[..] else {
                return Err(expected("mapping of one key", item));
            };
            pairs.push(Json::from(vec![self.value(key)?, self.value(value)?]));
        }
        Ok(Json::from(pairs))
    }
}

fn expected(what: &str, node: &Node) -> YamlError {
    error_at(node.at, format!("expected a {what}, found a {}", node.content.kind()))
}

fn scalar(node: &Node) -> Result<&str, YamlError> {
    match &node.content {
        Content::Scalar(text) => Ok(text),
        Content::Sequence(_) | Content::Mapping(_) => Err(expected("scalar", node)),
    }
}

fn boolean(node: &Node) -> Result<Json, YamlError> {
    let text = scalar(node)?;
    match text.to_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(Json::Bool(true)),
        "no" | "false" | "off" => Ok(Json::Bool(false)),
        _ => Err(error_at(node.at, format!("not a boolean: {text:?}"))),
    }
}

fn int(node: &Node) -> Result<Json, YamlError> {
    let text = scalar(node)?;
    let wrong = || error_at(node.at, format!("not an integer: {text:?}"));
    let plain = text.replace('_', "");
    let (negative, digits) = signed(&plain);
    if digits.len() > MAX_DIGITS {
        return Err(error_at(node.at, "an integer of too many digits"));
    }
    let in_base = |digits: &str, base: u32| {
        let digits: Option<Vec<u32>> = digits.chars().map(|c| c.to_digit(base)).collect();
        let digits = digits.filter(|digits| !digits.is_empty()).ok_or_else(wrong)?;
        let decimal = change_base(&digits, base, 10);
        Ok(decimal.into_iter().filter_map(|digit| char::from_digit(digit, 10)).collect())
    };
    let decimal: String = if let Some(binary) = digits.strip_prefix("0b") {
        in_base(binary, 2)?
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        in_base(hexadecimal, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        // `int("0o17", 8)` is 15, so an explicit `!!int 0o17` is as well.
        let octal = digits.strip_prefix("0o").or_else(|| digits.strip_prefix("0O"));
        in_base(octal.unwrap_or(digits), 8)?
    } else if digits.contains(':') {
        sexagesimal(digits).ok_or_else(wrong)?
    } else if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.to_owned()
    } else {
        return Err(wrong());
    };
    integer(negative, &decimal).map(Json::Number).ok_or_else(wrong)
}

/// `1:30:00`: base sixty.
fn sexagesimal(text: &str) -> Option<String> {
    let mut value: u128 = 0;
    for part in text.split(':') {
        let part: u128 = part.parse().ok()?;
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value.to_string())
}

fn float(node: &Node) -> Result<f64, YamlError> {
    let text = scalar(node)?;
    let wrong = || error_at(node.at, format!("not a float: {text:?}"));
    let plain = text.replace('_', "").to_lowercase();
    let (negative, digits) = signed(&plain);
    let magnitude = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => {
            let mut value = 0.0;
            let mut base = 1.0;
            for part in digits.rsplit(':') {
                value += python_float(part).ok_or_else(wrong)? * base;
                base *= 60.0;
            }
            value
        }
        _ => python_float(digits).ok_or_else(wrong)?,
    };
    Ok(if negative { -magnitude } else { magnitude })
}

fn python_float(text: &str) -> Option<f64> {
    infer_scalar(text).as_f64()
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn binary(node: &Node) -> Result<Json, YamlError> {
    let text = scalar(node)?;
    if !text.is_ascii() {
        return Err(error_at(node.at, "base64 is ASCII"));
    }
    let bytes =
        crate::parameters::base64::decode(text).map_err(|error| error_at(node.at, error.to_string()))?;
    String::from_utf8(bytes)
        .map(Json::String)
        .map_err(|_| error_at(node.at, "bytes that are not UTF-8 text have no form in JSON"))
}

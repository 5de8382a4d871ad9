//! Type annotations of Python, as far as parameters use them.

use super::literal;
use crate::json::Json;

/// How deep annotations may be nested.
const MAX_DEPTH: usize = 50;

/// A parsed annotation.
#[derive(Debug)]
pub(super) enum Annotation {
    /// `a | b`
    Union(Vec<Annotation>),
    /// `name[arguments]`; the last part of a dotted name. `None` is a name.
    Named(String, Vec<Annotation>),
    /// What stands in `Literal[…]`.
    Literal(Json),
    /// `...`
    Ellipsis,
}

/// The annotation that the text is; nothing if it is none that is understood.
pub(super) fn parse(text: &str) -> Option<Annotation> {
    let mut parser = Parser { rest: text, depth: 0 };
    let annotation = parser.union()?;
    parser.rest.trim().is_empty().then_some(annotation)
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, mark: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn union(&mut self) -> Option<Annotation> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let first = self.single()?;
        let mut members = vec![first];
        while self.take("|") {
            members.push(self.single()?);
        }
        self.depth -= 1;
        if members.len() == 1 { members.pop() } else { Some(Annotation::Union(members)) }
    }

    fn single(&mut self) -> Option<Annotation> {
        if self.take("...") {
            return Some(Annotation::Ellipsis);
        }
        self.rest = self.rest.trim_start();
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            // A forward reference.
            let (inner, rest) = self.rest[1..].split_once(quote)?;
            self.rest = rest;
            return parse(inner);
        }
        let end =
            self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(self.rest.len());
        let (dotted, rest) = self.rest.split_at(end);
        self.rest = rest;
        let name = dotted.rsplit('.').next().filter(|name| !name.is_empty())?.to_owned();
        if !self.take("[") {
            return Some(Annotation::Named(name, Vec::new()));
        }
        let mut arguments = Vec::new();
        while !self.take("]") {
            arguments.push(if name == "Literal" { self.literal()? } else { self.union()? });
            if !self.take(",") && !self.rest.starts_with(']') {
                return None;
            }
        }
        Some(Annotation::Named(name, arguments))
    }

    /// One value, up to a `,` or `]` outside of strings.
    fn literal(&mut self) -> Option<Annotation> {
        let mut quote = None;
        let mut escaped = false;
        let end = self.rest.find(|c: char| {
            match (quote, c) {
                _ if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(open), c) if c == open => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, ',' | ']') => return true,
                _ => {}
            }
            false
        })?;
        let (code, rest) = self.rest.split_at(end);
        self.rest = rest;
        literal::parse(code.trim()).map(Annotation::Literal)
    }
}

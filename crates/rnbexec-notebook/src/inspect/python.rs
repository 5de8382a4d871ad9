//! The assignments in a piece of Python.
//!
//! A scanner that knows what ends a statement: strings of all kinds, brackets, comments, continuation lines,
//! semicolons, and the lines that are IPython's (`%magic`, `!command`). It takes any text; what it cannot make
//! sense of is no parameter.

use super::{Parameter, literal};

const KEYWORDS: &str = "False None True and as assert async await break class continue def del elif else except \
    finally for from global if import in is lambda nonlocal not or pass raise return try while \
    with yield";

/// The parameters that the source defines, in order.
pub(crate) fn parameters(source: &str) -> Vec<Parameter> {
    let mut found = Vec::new();
    let mut scanner = Scanner { rest: source };
    while let Some(statement) = scanner.statement() {
        statement.parameters(&mut found);
    }
    found
}

/// One simple statement, comments and line continuations taken out.
#[derive(Default)]
struct Statement {
    code: String,
    /// Where single `=` stand outside of brackets.
    equals: Vec<usize>,
    /// Where the first `:` stands, if before the first `=`.
    colon: Option<usize>,
    /// The comment on its last line.
    comment: String,
}

impl Statement {
    fn parameters(&self, found: &mut Vec<Parameter>) {
        let (Some(&first), Some(&last)) = (self.equals.first(), self.equals.last()) else { return };
        let value = self.code[last + 1..].trim();
        if value.is_empty() {
            return;
        }
        let (type_comment, help) = split_comment(&self.comment);
        let annotation = self.colon.map(|colon| unquoted(flat(&self.code[colon + 1..first])));
        let type_name = annotation.filter(|text| !text.is_empty()).or(type_comment);
        let type_name = type_name.unwrap_or_else(|| "None".to_owned());
        let mut start = 0;
        for &equal in &self.equals {
            let end = self.colon.filter(|&colon| colon < equal && colon >= start).unwrap_or(equal);
            let name = self.code[start..end].trim();
            if is_identifier(name) {
                found.push(Parameter {
                    name: name.to_owned(),
                    inferred_type_name: type_name.clone(),
                    default: flat(value),
                    help: help.clone(),
                    value: literal::parse(value),
                });
            }
            start = equal + 1;
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
        && characters.all(unicode_ident::is_xid_continue)
        && !KEYWORDS.split(' ').any(|word| word == name)
}

/// On one line, as papermill joins lines.
fn flat(code: &str) -> String {
    code.lines().map(str::trim).collect()
}

/// The type in `type: T help`, and the help.
fn split_comment(comment: &str) -> (Option<String>, String) {
    let comment = comment.trim();
    let Some(after) = comment.strip_prefix("type:") else {
        return (None, comment.to_owned());
    };
    let after = after.trim_start();
    let end = after.find(char::is_whitespace).unwrap_or(after.len());
    let (name, help) = after.split_at(end);
    ((!name.is_empty()).then(|| name.to_owned()), help.trim().to_owned())
}

/// An annotation without the quotes of a forward reference.
fn unquoted(annotation: String) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = annotation.strip_prefix(quote).and_then(|text| text.strip_suffix(quote))
            && !inner.contains(quote)
        {
            return inner.trim().to_owned();
        }
    }
    annotation
}

struct Scanner<'s> {
    rest: &'s str,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let c = characters.next();
        self.rest = characters.as_str();
        c
    }

    /// Drops the rest of the line and returns it. The line break stays.
    fn line(&mut self) -> &str {
        let (line, rest) = self.rest.split_at(self.rest.find(['\n', '\r']).unwrap_or(self.rest.len()));
        self.rest = rest;
        line
    }

    /// The next statement that is not empty; nothing at the end.
    fn statement(&mut self) -> Option<Statement> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return None;
        }
        let mut statement = Statement::default();
        if self.rest.starts_with(['%', '!', '?']) {
            self.line();
            return Some(statement);
        }
        let mut depth = 0usize;
        while let Some(c) = self.next() {
            let code = &mut statement.code;
            match c {
                '#' => {
                    let comment = self.line();
                    if depth == 0 {
                        statement.comment = comment.trim_start_matches('#').to_owned();
                    }
                    continue;
                }
                '\n' | '\r' if depth == 0 => break,
                ';' if depth == 0 => {
                    // A comment behind the last statement of a line belongs to that one.
                    break;
                }
                '\\' if self.rest.starts_with(['\n', '\r']) => {
                    self.next();
                    code.push('\n');
                    continue;
                }
                '"' | '\'' => {
                    self.string(c, code);
                    continue;
                }
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ':' if depth == 0
                    && statement.equals.is_empty()
                    && statement.colon.is_none()
                    && !self.rest.starts_with('=') =>
                {
                    statement.colon = Some(code.len());
                }
                '=' if self.rest.starts_with('=') => {
                    self.next();
                    code.push('=');
                }
                '=' if depth == 0 && !code.ends_with(is_operator) => {
                    statement.equals.push(code.len());
                    code.push(c);
                    if self.rest.trim_start_matches(' ').starts_with(['!', '%']) {
                        // `files = !ls 'x`: a command, where quotes and brackets mean nothing to Python.
                        let line = self.line();
                        let end = line.find(" #").unwrap_or(line.len());
                        code.push_str(&line[..end]);
                        statement.comment = line[end..].trim_start().trim_start_matches('#').to_owned();
                    }
                    continue;
                }
                _ => {}
            }
            statement.code.push(c);
        }
        Some(statement)
    }

    /// Copies a string literal after its first quote, to its end. One that is not closed ends with its line.
    fn string(&mut self, quote: char, code: &mut String) {
        code.push(quote);
        let triple = [quote; 3].iter().collect::<String>();
        let close = if self.rest.starts_with(&triple[1..]) {
            self.next();
            self.next();
            code.push_str(&triple[1..]);
            triple.as_str()
        } else {
            &triple[..1]
        };
        while !self.rest.is_empty() {
            if self.rest.starts_with(close) {
                code.push_str(close);
                self.rest = &self.rest[close.len()..];
                return;
            }
            if close.len() == 1 && self.rest.starts_with(['\n', '\r']) {
                return;
            }
            let Some(c) = self.next() else { return };
            code.push(c);
            if c == '\\'
                && let Some(escaped) = self.next()
            {
                code.push(escaped);
            }
        }
    }
}

/// What makes `=` a part of another operator when it stands before it.
fn is_operator(c: char) -> bool {
    matches!(c, '!' | '<' | '>' | ':' | '+' | '-' | '*' | '/' | '%' | '@' | '&' | '|' | '^')
}

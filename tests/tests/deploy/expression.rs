//! The expression language of ARM templates, as far as ours use it: `[format('{0}-nic', parameters('name'))]`.

use std::iter::Peekable;
use std::str::Chars;

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Text(String),
    Number(i64),
    Call(String, Vec<Expression>),
    Property(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
}

/// What a string of a template is.
pub(crate) enum Meaning {
    Literal(String),
    Computed(Expression),
}

/// Reads a string of a template.
pub(crate) fn read(text: &str) -> Meaning {
    match text.strip_prefix('[') {
        Some(rest) if text.ends_with(']') && !rest.starts_with('[') => {
            let mut parser = Parser { chars: rest[..rest.len() - 1].chars().peekable(), whole: text };
            let expression = parser.expression();
            assert!(parser.next_token().is_none(), "something follows the expression in {text}");
            Meaning::Computed(expression)
        }
        Some(rest) if rest.starts_with('[') => Meaning::Literal(rest.to_owned()),
        _ => Meaning::Literal(text.to_owned()),
    }
}

impl Expression {
    /// Calls `visit` on this expression and everything in it.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Text(_) | Self::Number(_) => {}
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.walk(visit)),
            Self::Property(of, _) => of.walk(visit),
            Self::Index(of, at) => {
                of.walk(visit);
                at.walk(visit);
            }
        }
    }
}

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
    whole: &'a str,
}

impl Parser<'_> {
    fn next_token(&mut self) -> Option<char> {
        while self.chars.peek() == Some(&' ') {
            self.chars.next();
        }
        self.chars.peek().copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.next_token() == Some(wanted);
        if there {
            self.chars.next();
        }
        there
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(letter) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '-') {
            word.push(letter);
        }
        assert!(!word.is_empty(), "a name is missing in {}", self.whole);
        word
    }

    fn expression(&mut self) -> Expression {
        let mut read = match self.next_token() {
            Some('\'') => Expression::Text(self.text()),
            Some(digit) if digit.is_ascii_digit() => {
                Expression::Number(self.word().parse().expect("digits are a number"))
            }
            Some(_) => self.call(),
            None => panic!("{} ends too early", self.whole),
        };
        loop {
            if self.take('.') {
                read = Expression::Property(Box::new(read), self.word());
            } else if self.take('[') {
                let at = self.expression();
                assert!(self.take(']'), "a ] is missing in {}", self.whole);
                read = Expression::Index(Box::new(read), Box::new(at));
            } else {
                return read;
            }
        }
    }

    fn call(&mut self) -> Expression {
        let name = self.word();
        assert!(self.take('('), "{name} is not called in {}", self.whole);
        let mut arguments = Vec::new();
        while !self.take(')') {
            assert!(arguments.is_empty() || self.take(','), "a comma is missing in {}", self.whole);
            arguments.push(self.expression());
        }
        Expression::Call(name, arguments)
    }

    fn text(&mut self) -> String {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next() {
                Some('\'') if self.chars.peek() == Some(&'\'') => {
                    self.chars.next();
                    text.push('\'');
                }
                Some('\'') => return text,
                Some(letter) => text.push(letter),
                None => panic!("a text has no end in {}", self.whole),
            }
        }
    }
}

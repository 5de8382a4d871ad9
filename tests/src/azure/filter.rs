//! `$filter` and `$orderby` of the list of incidents: a small part of OData 4, checked as strictly as the service does.
//!
//! Property paths begin with `properties/`; times stand bare, text in single quotes; comparing a property with a literal of
//! another type is an error.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Time,
    Number,
}

const FIELDS: [(&str, Kind); 22] = [
    ("name", Kind::Text),
    ("properties/title", Kind::Text),
    ("properties/description", Kind::Text),
    ("properties/severity", Kind::Text),
    ("properties/status", Kind::Text),
    ("properties/classification", Kind::Text),
    ("properties/classificationReason", Kind::Text),
    ("properties/classificationComment", Kind::Text),
    ("properties/providerName", Kind::Text),
    ("properties/providerIncidentId", Kind::Text),
    ("properties/owner/objectId", Kind::Text),
    ("properties/owner/email", Kind::Text),
    ("properties/owner/assignedTo", Kind::Text),
    ("properties/owner/userPrincipalName", Kind::Text),
    ("properties/createdTimeUtc", Kind::Time),
    ("properties/lastModifiedTimeUtc", Kind::Time),
    ("properties/firstActivityTimeUtc", Kind::Time),
    ("properties/lastActivityTimeUtc", Kind::Time),
    ("properties/incidentNumber", Kind::Number),
    ("properties/additionalData/alertsCount", Kind::Number),
    ("properties/additionalData/bookmarksCount", Kind::Number),
    ("properties/additionalData/commentsCount", Kind::Number),
];

#[derive(Debug, Clone, Copy)]
struct Field(&'static str, Kind);

impl Field {
    fn parse(text: &str) -> Result<Self, String> {
        FIELDS.iter().find(|(name, _)| *name == text).map(|&(name, kind)| Self(name, kind)).ok_or_else(|| {
            format!("Could not find a property named '{text}' on type 'Microsoft.SecurityInsights.Incident'.")
        })
    }

    fn of(self, incident: &Value) -> Key {
        let value = self.0.split('/').fold(incident, |value, name| &value[name]);
        match (self.1, value) {
            (Kind::Text, Value::String(text)) => Key::Text(text.clone()),
            (Kind::Time, Value::String(text)) => text.parse().map_or(Key::Nothing, Key::Time),
            (Kind::Number, Value::Number(number)) => number.as_i64().map_or(Key::Nothing, Key::Number),
            _ => Key::Nothing,
        }
    }
}

/// A value as it is compared; nothing comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Nothing,
    Text(String),
    Time(Timestamp),
    Number(i64),
}

/// A condition on incidents.
#[derive(Debug, Clone)]
pub(super) struct Filter(Node);

#[derive(Debug, Clone)]
enum Node {
    Compare(Field, &'static str, Key),
    Contains(Field, String),
    StartsWith(Field, String),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { tokens: tokens(text)?, at: 0 };
        let node = reader.any_of()?;
        match reader.next() {
            None => Ok(Self(node)),
            Some(token) => Err(format!("Syntax error at '{}' in '{text}'.", token.text)),
        }
    }

    pub(super) fn matches(&self, incident: &Value) -> bool {
        self.0.matches(incident)
    }
}

impl Node {
    fn matches(&self, incident: &Value) -> bool {
        match self {
            Self::Compare(field, operator, right) => {
                let left = field.of(incident);
                let order = left.cmp(right);
                // Nothing is only equal to nothing, and neither before nor after anything.
                let comparable = left != Key::Nothing && *right != Key::Nothing;
                match *operator {
                    "eq" => order == Ordering::Equal,
                    "ne" => order != Ordering::Equal,
                    "gt" => comparable && order == Ordering::Greater,
                    "ge" => comparable && order != Ordering::Less,
                    "lt" => comparable && order == Ordering::Less,
                    _ => comparable && order != Ordering::Greater,
                }
            }
            Self::Contains(field, part) => {
                matches!(field.of(incident), Key::Text(text) if text.contains(part))
            }
            Self::StartsWith(field, part) => {
                matches!(field.of(incident), Key::Text(text) if text.starts_with(part))
            }
            Self::Not(node) => !node.matches(incident),
            Self::And(left, right) => left.matches(incident) && right.matches(incident),
            Self::Or(left, right) => left.matches(incident) || right.matches(incident),
        }
    }
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    quoted: bool,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(&letter) = letters.peek() {
        let mut token = Token { text: String::new(), quoted: false };
        match letter {
            ' ' => {
                letters.next();
                continue;
            }
            '(' | ')' | ',' => {
                token.text.push(letter);
                letters.next();
            }
            '\'' => {
                token.quoted = true;
                letters.next();
                loop {
                    match letters.next() {
                        None => return Err(format!("There is an unterminated string literal in '{text}'.")),
                        // Two quotes inside text are one.
                        Some('\'') if letters.next_if_eq(&'\'').is_some() => token.text.push('\''),
                        Some('\'') => break,
                        Some(letter) => token.text.push(letter),
                    }
                }
            }
            _ => {
                while let Some(letter) =
                    letters.next_if(|&letter| letter.is_alphanumeric() || "/.:-+_$".contains(letter))
                {
                    token.text.push(letter);
                }
                if token.text.is_empty() {
                    return Err(format!("Syntax error: character '{letter}' is not valid in '{text}'."));
                }
            }
        }
        found.push(token);
    }
    Ok(found)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| !token.quoted && token.text == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("Syntax error: '{word}' expected.")) }
    }

    fn any_of(&mut self) -> Result<Node, String> {
        let mut node = self.all_of()?;
        while self.take("or") {
            node = Node::Or(Box::new(node), Box::new(self.all_of()?));
        }
        Ok(node)
    }

    fn all_of(&mut self) -> Result<Node, String> {
        let mut node = self.one()?;
        while self.take("and") {
            node = Node::And(Box::new(node), Box::new(self.one()?));
        }
        Ok(node)
    }

    fn one(&mut self) -> Result<Node, String> {
        if self.take("not") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let node = self.any_of()?;
            self.expect(")")?;
            return Ok(node);
        }
        if self.take("contains") {
            let (field, part) = self.arguments()?;
            return Ok(Node::Contains(field, part));
        }
        if self.take("startswith") {
            let (field, part) = self.arguments()?;
            return Ok(Node::StartsWith(field, part));
        }
        let field = Field::parse(&self.word("a property")?.text)?;
        let operator = self.word("an operator")?.text;
        let operator = ["eq", "ne", "gt", "ge", "lt", "le"]
            .into_iter()
            .find(|known| *known == operator)
            .ok_or_else(|| format!("Syntax error: '{operator}' is no operator."))?;
        let literal = self.word("a value")?;
        Ok(Node::Compare(field, operator, literal_of(field, &literal)?))
    }

    fn arguments(&mut self) -> Result<(Field, String), String> {
        self.expect("(")?;
        let field = Field::parse(&self.word("a property")?.text)?;
        self.expect(",")?;
        let part = self.word("text")?;
        self.expect(")")?;
        match literal_of(field, &part)? {
            Key::Text(text) => Ok((field, text)),
            _ => Err(format!("'{}' is not text.", field.0)),
        }
    }

    fn word(&mut self, what: &str) -> Result<Token, String> {
        self.next().ok_or_else(|| format!("Syntax error: {what} expected at the end."))
    }
}

fn literal_of(Field(name, kind): Field, token: &Token) -> Result<Key, String> {
    let literal = match kind {
        _ if !token.quoted && token.text == "null" => Some(Key::Nothing),
        Kind::Text => token.quoted.then(|| Key::Text(token.text.clone())),
        Kind::Time if !token.quoted => token.text.parse().ok().map(Key::Time),
        Kind::Number if !token.quoted => token.text.parse().ok().map(Key::Number),
        Kind::Time | Kind::Number => None,
    };
    literal.ok_or_else(|| {
        format!(
            "A binary operator with incompatible types was detected: '{name}' is {kind:?}, but '{}' is not.",
            token.text
        )
    })
}

/// An order of incidents. Incidents that are equal in it are ordered by name, so that a list can go on after any of them.
#[derive(Debug, Clone)]
pub(super) struct Order(Vec<(Field, bool)>);

impl Order {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|part| {
                let mut words = part.split_whitespace();
                let field = Field::parse(words.next().unwrap_or_default())?;
                match (words.next(), words.next()) {
                    (None | Some("asc"), None) => Ok((field, true)),
                    (Some("desc"), None) => Ok((field, false)),
                    _ => Err(format!("Syntax error in '{text}'.")),
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn compare(&self, left: &Value, right: &Value) -> Ordering {
        let by_fields = self.0.iter().map(|(field, ascending)| {
            let order = field.of(left).cmp(&field.of(right));
            if *ascending { order } else { order.reverse() }
        });
        by_fields
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left["name"].as_str().cmp(&right["name"].as_str()))
    }

    /// What is enough of an incident to find its place again.
    pub(super) fn place(&self, incident: &Value) -> Value {
        let mut place = serde_json::json!({"name": incident["name"]});
        for (Field(name, _), _) in &self.0 {
            let value = name.split('/').fold(incident, |value, name| &value[name]).clone();
            *name.split('/').fold(&mut place, |value, name| &mut value[name]) = value;
        }
        place
    }
}

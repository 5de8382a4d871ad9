//! The settings as one tree: the file, with the variables and the flags laid over it. Every leaf knows where it stands.
//!
//! What a variable or a flag holds stays a bare text here ([`Kind::Bare`]): only the setting's type tells whether
//! `[a-z]` is a pattern or a list.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// The keys and values of a table, in the order in which they stand.
pub(super) type Table = Vec<(String, Node)>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Table(Table),
    Array(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// The text of a variable or a flag.
    Bare(String),
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    File { path: Rc<PathBuf>, line: usize },
    Variable(String),
    Flag,
}

impl Origin {
    /// For people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File { path, line } => {
                let name = path.file_name().unwrap_or_else(|| path.as_os_str());
                format!("{}, line {line}", name.display())
            }
            Self::Variable(name) => format!("variable {name}"),
            Self::Flag => "command line".to_owned(),
        }
    }
}

impl Node {
    /// What kind of value this is, for people.
    pub(super) fn what(&self) -> String {
        match &self.kind {
            Kind::Table(_) => "a table".to_owned(),
            Kind::Array(_) => "a list".to_owned(),
            Kind::Text(text) | Kind::Bare(text) => format!("{text:?}"),
            Kind::Integer(number) => number.to_string(),
            Kind::Float(number) => number.to_string(),
            Kind::Boolean(value) => value.to_string(),
        }
    }

    /// The text, whatever may stand in it.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Bare(text) => Some(text),
            _ => None,
        }
    }

    /// This node with a bare text read as the TOML value that it must be here.
    pub(super) fn expanded(&self) -> Result<Self, String> {
        let Kind::Bare(text) = &self.kind else { return Ok(self.clone()) };
        let value = DeValue::parse(text).map_err(|error| error.message().to_owned())?;
        Ok(Self::of(value.get_ref(), &|_| self.origin.clone(), 0))
    }

    fn of(value: &DeValue<'_>, origin: &dyn Fn(usize) -> Origin, at: usize) -> Self {
        let kind = match value {
            DeValue::String(text) => Kind::Text(text.clone().into_owned()),
            // An integer or a float beyond what we can hold stays a text, which no number is read from.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Kind::Text(number.to_string()), Kind::Integer),
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Kind::Text(number.to_string()), Kind::Float)
            }
            DeValue::Boolean(value) => Kind::Boolean(*value),
            DeValue::Datetime(time) => Kind::Text(time.to_string()),
            DeValue::Array(items) => Kind::Array(
                items.iter().map(|item| Self::of(item.get_ref(), origin, item.span().start)).collect(),
            ),
            DeValue::Table(table) => Kind::Table(table_of(table, origin)),
        };
        Self { origin: origin(at), kind }
    }
}

fn table_of(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| (key.get_ref().to_string(), Node::of(value.get_ref(), origin, key.span().start)))
        .collect()
}

/// Reads the file.
pub(super) fn of_file(path: &Path, text: &str) -> Result<Table, Problem> {
    let file = Rc::new(path.to_owned());
    let line = |at: usize| 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count();
    let origin = |at: usize| Origin::File { path: Rc::clone(&file), line: line(at) };
    match DeTable::parse(text) {
        Ok(table) => Ok(table_of(table.get_ref(), &origin)),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            Err(Problem {
                key: String::new(),
                place: Some(origin(at).place()),
                wrong: error.message().trim().replace('\n', ", "),
                instead: String::new(),
            })
        }
    }
}

/// Lays a bare text over the tree. Tables on the way are made; a value that stands where a table should is refused.
pub(super) fn lay_over(
    root: &mut Table,
    path: &[String],
    text: String,
    origin: &Origin,
) -> Result<(), Problem> {
    let [key, rest @ ..] = path else { return Ok(()) };
    let problem = |wrong: String| Problem {
        key: path.join("."),
        place: Some(origin.place()),
        wrong,
        instead: "give the whole of it as one TOML value".to_owned(),
    };
    let found = root.iter().position(|(name, _)| name == key);
    let at = found.unwrap_or_else(|| {
        let kind = Kind::Table(Table::new());
        root.push((key.clone(), Node { origin: origin.clone(), kind }));
        root.len() - 1
    });
    let Some((_, node)) = root.get_mut(at) else { return Ok(()) };
    if rest.is_empty() {
        *node = Node { origin: origin.clone(), kind: Kind::Bare(text) };
        return Ok(());
    }
    if matches!(&node.kind, Kind::Bare(text) if text.trim_start().starts_with('{')) {
        *node = node.expanded().map_err(problem)?;
    }
    match &mut node.kind {
        Kind::Table(table) => lay_over(table, rest, text, origin),
        Kind::Array(_) => Err(problem(format!("{key} is a list"))),
        _ => Err(problem(format!("{key} is no section"))),
    }
}

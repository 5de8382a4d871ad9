//! Reading typed values out of the tree. What is asked for becomes known: every other key is refused, with the nearest
//! known one. A value that cannot be read is noted, and reading goes on, so that all problems are told at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use rnbexec_notebook::parameters::infer_scalar;
use rnbexec_notebook::{Json, Parameters};

use super::error::Problem;
use super::tree::{Kind, Node, Origin, Table};
use super::value::{self, Limit};

/// How near a misspelt key must be to be suggested, of 1.
const NEAR: f64 = 0.7;

/// What went wrong so far, which keys there are, and where relative paths begin.
#[derive(Debug)]
pub(super) struct Reader {
    working_folder: PathBuf,
    problems: RefCell<Vec<Problem>>,
    known: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

#[derive(Debug)]
struct Unknown {
    section: String,
    key: String,
    node: Node,
    siblings: Vec<String>,
}

/// One table of the configuration.
#[derive(Debug)]
pub(super) struct Section<'a> {
    reader: &'a Reader,
    /// The name for people, with a final dot; empty for the root.
    path: String,
    table: Table,
    asked: RefCell<Vec<String>>,
}

impl Reader {
    pub(super) fn new(working_folder: PathBuf) -> Self {
        Self {
            working_folder,
            problems: RefCell::default(),
            known: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Reads the whole tree with `read`.
    pub(super) fn root<T>(&self, table: Table, read: impl FnOnce(&Section<'_>) -> T) -> T {
        Section::read(self, String::new(), table, read)
    }

    /// Notes a problem.
    pub(super) fn refuse(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Everything that was wrong: unreadable values first, then keys that nobody asked for.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.borrow().clone();
        problems.extend(self.unknown.borrow().iter().map(|unknown| self.unknown_key(unknown)));
        problems
    }

    /// The names of all settings that were asked for; those of a list's tables with `[]`.
    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    fn unknown_key(&self, unknown: &Unknown) -> Problem {
        let Unknown { section, key, node, siblings } = unknown;
        let nearness = |name: &String| strsim::jaro_winkler(name, key);
        let nearest = siblings.iter().max_by(|one, other| nearness(one).total_cmp(&nearness(other)));
        let known = self.known.borrow();
        let elsewhere = known.iter().find(|name| name.rsplit('.').next() == Some(key.as_str()));
        let instead = match (nearest, elsewhere) {
            (Some(nearest), _) if nearness(nearest) >= NEAR => format!("did you mean {section}{nearest}?"),
            (_, Some(elsewhere)) => format!("did you mean {elsewhere}?"),
            _ => format!("known here are {}", siblings.join(", ")),
        };
        Problem {
            key: format!("{section}{key}"),
            place: Some(node.origin.place()),
            wrong: "no setting has this name".to_owned(),
            instead,
        }
    }
}

impl<'a> Section<'a> {
    fn read<T>(reader: &'a Reader, path: String, table: Table, read: impl FnOnce(&Self) -> T) -> T {
        let section = Self { reader, path, table, asked: RefCell::default() };
        let value = read(&section);
        let Self { path, table, asked, .. } = section;
        let siblings = asked.into_inner();
        let unknown = table.into_iter().filter(|(key, _)| !siblings.contains(key));
        reader.unknown.borrow_mut().extend(unknown.map(|(key, node)| Unknown {
            section: path.clone(),
            key,
            node,
            siblings: siblings.clone(),
        }));
        value
    }

    /// A setting's full name.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// Whether the setting is given.
    pub(super) fn given(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name == key)
    }

    /// Notes that a setting cannot be as it is.
    pub(super) fn refuse(&self, key: &str, wrong: impl Into<String>, instead: impl Into<String>) {
        let node = self.table.iter().find(|(name, _)| name == key);
        self.reader.refuse(Problem {
            key: self.key(key),
            place: node.map(|(_, node)| node.origin.place()),
            wrong: wrong.into(),
            instead: instead.into(),
        });
    }

    /// Refuses two settings that exclude each other.
    pub(super) fn exclude(&self, key: &str, other: &str, instead: &str) {
        if self.given(key) && self.given(other) {
            let other = self.key(other);
            self.refuse(key, format!("cannot be given together with {other}"), instead);
        }
    }

    fn node(&self, key: &str) -> Option<&Node> {
        if !self.asked.borrow().iter().any(|asked| asked == key) {
            self.asked.borrow_mut().push(key.to_owned());
        }
        let generic = self.path.split('[').enumerate().map(|(n, part)| match part.split_once(']') {
            Some((_, rest)) if n > 0 => format!("[]{rest}"),
            _ => part.to_owned(),
        });
        self.reader.known.borrow_mut().insert(generic.collect::<String>() + key);
        self.table.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Reads a value; what cannot be read is noted together with `instead`.
    pub(super) fn value<T>(
        &self,
        key: &str,
        instead: &str,
        read: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.node(key)?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.refuse(key, wrong, instead);
                None
            }
        }
    }

    /// A text, as `parse` understands it.
    pub(super) fn text<T>(
        &self,
        key: &str,
        instead: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.value(key, instead, |node| parse(text(node)?))
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.value(key, "write true or false", |node| {
            boolean(node).ok_or_else(|| format!("{} is neither true nor false", node.what()))
        })
    }

    pub(super) fn whole(&self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let instead = match range.end() {
            &u32::MAX => format!("write a whole number from {} on", range.start()),
            end => format!("write a whole number from {} to {end}", range.start()),
        };
        self.value(key, &instead, |node| {
            let number = match &node.kind {
                Kind::Integer(number) => u32::try_from(*number).ok(),
                Kind::Bare(text) => text.trim().parse().ok(),
                _ => None,
            };
            let number = number.ok_or_else(|| format!("{} is no such number", node.what()))?;
            if range.contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
        })
    }

    pub(super) fn fraction(&self, key: &str) -> Option<f64> {
        self.value(key, "write a number from 0.0 to 1.0", |node| {
            let number = number(node).ok_or_else(|| format!("{} is no number", node.what()))?;
            if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
        })
    }

    pub(super) fn duration(&self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let instead = format!(
            "write seconds such as 90, or a duration such as \"10m\" or \"1h30m\", from {} to {}",
            value::spoken(*range.start()),
            value::spoken(*range.end())
        );
        self.value(key, &instead, |node| {
            let duration = duration(node)?;
            if range.contains(&duration) {
                Ok(duration)
            } else {
                Err(format!("{} is out of range", value::spoken(duration)))
            }
        })
    }

    /// A limit: a duration, or `"none"`.
    pub(super) fn limit(&self, key: &str) -> Option<Limit> {
        let instead = "write seconds such as 90, a duration such as \"10m\" or \"1h30m\", or \"none\"";
        self.value(key, instead, |node| match node.text() {
            Some(text) if text.trim().eq_ignore_ascii_case("none") => Ok(Limit(None)),
            // Nothing is no limit, as on the command line.
            _ => Ok(Limit(Some(duration(node)?).filter(|limit| !limit.is_zero()))),
        })
    }

    /// A list, or a single value in place of a list of one.
    pub(super) fn list<T>(
        &self,
        key: &str,
        instead: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.value(key, instead, |node| match &node.kind {
            Kind::Bare(text) if is_list(text) => match node.expanded().map(|node| node.kind) {
                Ok(Kind::Array(items)) => items.iter().map(|item| parse(self::text(item)?)).collect(),
                _ => Err(format!("{text:?} looks like a list and is none in TOML")),
            },
            Kind::Array(items) => items.iter().map(|item| parse(self::text(item)?)).collect(),
            _ => Ok(vec![parse(self::text(node)?)?]),
        })
    }

    /// A list of words out of a fixed choice. A variable or a flag may put commas between them.
    pub(super) fn choices<T>(
        &self,
        key: &str,
        instead: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        match self.node(key).map(|node| &node.kind) {
            Some(Kind::Bare(text)) if !is_list(text) => {
                self.value(key, instead, |_| text.split(',').map(|word| parse(word.trim())).collect())
            }
            _ => self.list(key, instead, parse),
        }
    }

    /// A path, relative to the configuration file where it stands in one, else to the working folder.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.value(key, "write a path", |node| Ok(self.resolved(node, text(node)?)))
    }

    /// Paths, each as [`path`](Self::path) reads it: a list, or a single one. None where nothing is given.
    pub(super) fn paths(&self, key: &str) -> Vec<PathBuf> {
        let Some(texts) = self.list(key, "write a path, or a list of paths", |text| Ok(text.to_owned()))
        else {
            return Vec::new();
        };
        let node = self.node(key);
        texts.iter().filter_map(|text| Some(self.resolved(node?, text))).collect()
    }

    /// The path that a text at this node means.
    pub(super) fn resolved(&self, node: &Node, path: &str) -> PathBuf {
        match &node.origin {
            Origin::File { path: file, .. } => {
                let folder = file.parent().unwrap_or(file);
                self.reader.working_folder.join(folder).join(path)
            }
            Origin::Variable(_) | Origin::Flag => self.default_path(path),
        }
    }

    /// A path that is a default.
    pub(super) fn default_path(&self, path: &str) -> PathBuf {
        self.reader.working_folder.join(path)
    }

    /// A section in this one.
    pub(super) fn section<T>(&self, key: &str, read: impl FnOnce(&Section<'_>) -> T) -> T {
        let table = self.table_of(key).unwrap_or_default();
        Section::read(self.reader, format!("{}{key}.", self.path), table, read)
    }

    fn table_of(&self, key: &str) -> Option<Table> {
        self.value(key, "write it as a section", |node| match node.expanded()?.kind {
            Kind::Table(table) => Ok(table),
            _ => Err(format!("{} is no section", node.what())),
        })
    }

    /// The tables of a list of sections, each read with `read`.
    pub(super) fn sections<T>(&self, key: &str, read: impl Fn(&Section<'_>) -> T) -> Vec<T> {
        let instead = format!("write [[{key}]] over each");
        let items = self.value(key, &instead, |node| match node.expanded()?.kind {
            Kind::Array(items) => Ok(items),
            _ => Err(format!("{} is no list of sections", node.what())),
        });
        let mut values = Vec::new();
        for (n, item) in items.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{}{key}[{}]", self.path, n + 1);
            if let Kind::Table(table) = item.kind {
                values.push(Section::read(self.reader, format!("{path}."), table, &read));
            } else {
                self.reader.refuse(Problem {
                    key: path,
                    place: Some(item.origin.place()),
                    wrong: format!("{} is no section", item.what()),
                    instead: instead.clone(),
                });
            }
        }
        values
    }

    /// A section whose keys are the user's: parameters of a notebook.
    pub(super) fn parameters(&self, key: &str) -> Parameters {
        self.table_of(key)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, node)| (name, json(&node)))
            .collect::<Parameters>()
    }
}

/// Whether a bare text is meant as a list. `[a-z] and more` is a pattern.
fn is_list(text: &str) -> bool {
    text.trim_start().starts_with('[') && text.trim_end().ends_with(']')
}

fn text(node: &Node) -> Result<&str, String> {
    let text = node.text().ok_or_else(|| format!("{} is no text", node.what()))?;
    if text.trim().is_empty() { Err("the text is empty".to_owned()) } else { Ok(text) }
}

/// True and false; what a variable holds may be written in capitals, or as 1 and 0.
pub(super) fn boolean(node: &Node) -> Option<bool> {
    match &node.kind {
        Kind::Boolean(value) => Some(*value),
        Kind::Bare(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Float(number) => Some(*number),
        Kind::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        Kind::Bare(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn duration(node: &Node) -> Result<Duration, String> {
    let found = match &node.kind {
        Kind::Integer(_) | Kind::Float(_) => value::seconds(number(node).unwrap_or(f64::NAN)),
        Kind::Text(text) | Kind::Bare(text) => value::duration(text),
        _ => None,
    };
    found.ok_or_else(|| format!("{} is no duration", node.what()))
}

/// A parameter's value. A bare text is typed as `-p` of the command line types it, or is a TOML list or table.
fn json(node: &Node) -> Json {
    match &node.kind {
        Kind::Table(table) => {
            Json::Object(table.iter().map(|(name, node)| (name.clone(), json(node))).collect())
        }
        Kind::Array(items) => Json::Array(items.iter().map(json).collect()),
        Kind::Text(text) => text.as_str().into(),
        Kind::Integer(number) => (*number).into(),
        Kind::Float(number) => (*number).into(),
        Kind::Boolean(value) => (*value).into(),
        Kind::Bare(text) if text.trim_start().starts_with(['[', '{']) => {
            node.expanded().map_or_else(|_| text.as_str().into(), |node| json(&node))
        }
        Kind::Bare(text) => infer_scalar(text),
    }
}

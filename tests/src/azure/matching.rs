//! Which requests a fault, a hook or a question about the journal is for.

use super::Plane;
use super::journal::Entry;

/// A set of requests.
///
/// The path is given from its end and by whole segments, in which `*` stands for anything: `incidents/*` is every single incident
/// but none of its comments, `incidents/*/comments/*` every single comment, `incidents` their list. Case does not count.
#[derive(Debug, Clone, Default)]
pub struct On {
    method: Option<&'static str>,
    plane: Option<Plane>,
    path: Vec<String>,
    query: Vec<(String, String)>,
}

impl On {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Every request to one service.
    pub fn plane(plane: Plane) -> Self {
        Self { plane: Some(plane), ..Self::default() }
    }

    /// Every `GET` of such a path.
    pub fn get(path: &str) -> Self {
        Self::method("GET", path)
    }

    /// Every `PUT` to such a path.
    pub fn put(path: &str) -> Self {
        Self::method("PUT", path)
    }

    /// Every `POST` to such a path.
    pub fn post(path: &str) -> Self {
        Self::method("POST", path)
    }

    /// Every `DELETE` of such a path.
    pub fn delete(path: &str) -> Self {
        Self::method("DELETE", path)
    }

    /// Every request with any method to such a path.
    pub fn path(path: &str) -> Self {
        let path = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_lowercase);
        Self { path: path.collect(), ..Self::default() }
    }

    fn method(method: &'static str, path: &str) -> Self {
        Self { method: Some(method), ..Self::path(path) }
    }

    /// Of these only those to one service.
    #[must_use]
    pub fn of(mut self, plane: Plane) -> Self {
        self.plane = Some(plane);
        self
    }

    /// Of these only those with this parameter in the query, as `comp=rename`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether a request is one of these.
    pub fn matches(&self, entry: &Entry) -> bool {
        let path = entry.path.to_lowercase();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        self.method.is_none_or(|method| method == entry.method)
            && self.plane.is_none_or(|plane| plane == entry.plane)
            && segments.len() >= self.path.len()
            && self.path.iter().rev().zip(segments.iter().rev()).all(|(pattern, text)| glob(pattern, text))
            && self.query.iter().all(|(name, value)| entry.query(name) == Some(value))
    }
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(index, _)| index)
                .chain([tail.len()])
                .any(|index| glob(rest, &tail[index..]))
        }),
    }
}

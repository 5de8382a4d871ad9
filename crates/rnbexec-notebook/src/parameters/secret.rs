//! Values that reach the code of a run and nothing else.

use std::fmt;

use indexmap::IndexMap;

use crate::json::Json;

/// A value that shows nowhere: `Debug` and `Display` print `***`, and only a translator of this crate reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Json);

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<Json>) -> Self {
        Self(value.into())
    }

    /// The value itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &Json {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Named secrets, in order. They are no [`Parameters`](super::Parameters) and cannot become some: what is saved (the
/// injected cell, the metadata) is made of `Parameters` alone, so that a secret cannot end up there by mistake.
///
/// Their code comes from [`secret_assignments`](crate::translate::secret_assignments).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretParameters(IndexMap<String, Secret>);

impl SecretParameters {
    /// No secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a secret. A name that is there keeps its place.
    pub fn insert(&mut self, name: impl Into<String>, value: Secret) {
        self.0.insert(name.into(), value);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a secret of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names and secrets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

//! The parameters of a run: named values in the order in which they first appeared.
//!
//! Where they come from and which source wins is [`ParameterSources`]; what a `-p` value means is
//! [`infer_scalar`]; YAML and JSON texts are read by [`yaml`]. Values that must never be saved are
//! [`SecretParameters`], a type of their own that turns into nothing but code. Source: papermill 2.7.0
//! `cli.papermill`.

mod base64;
mod scalar;
mod secret;
pub mod yaml;

use indexmap::map;

use crate::json::{Json, Object};

pub use base64::{Base64Error, parse_base64};
pub(crate) use scalar::MAX_INT_DIGITS;
pub use scalar::infer_scalar;
pub use secret::{Secret, SecretParameters};

/// The name under which the input path is injected.
pub const INPUT_PATH: &str = "PAPERMILL_INPUT_PATH";
/// The name under which the output path is injected.
pub const OUTPUT_PATH: &str = "PAPERMILL_OUTPUT_PATH";

/// Named values, in the order in which the names first appeared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Object);

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value. A name that is there keeps its place.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names and values, in order.
    pub fn iter(&self) -> map::Iter<'_, String, Json> {
        self.0.iter()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Sets all values of `later`, as Python's `dict.update`: new names are added at the end, known ones keep
    /// their place.
    pub fn update(&mut self, later: &Self) {
        self.extend(later.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// The JSON object of them, as `metadata.papermill.parameters` holds it.
    pub fn as_object(&self) -> &Object {
        &self.0
    }

    /// The JSON object of them.
    pub fn into_object(self) -> Object {
        self.0
    }
}

impl From<Object> for Parameters {
    fn from(values: Object) -> Self {
        Self(values)
    }
}

impl Extend<(String, Json)> for Parameters {
    fn extend<I: IntoIterator<Item = (String, Json)>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

impl<N: Into<String>, V: Into<Json>> FromIterator<(N, V)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<'a> IntoIterator for &'a Parameters {
    type Item = (&'a String, &'a Json);
    type IntoIter = map::Iter<'a, String, Json>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where the parameters of a run come from: one field for each command line option, in rising order of precedence.
///
/// Between options of different kind the kind decides, whatever their order on the command line; within one
/// kind the last wins.
#[derive(Clone, Debug, Default)]
pub struct ParameterSources {
    /// The input path as given on the command line, if it is to be injected.
    pub inject_input_path: Option<String>,
    /// The output path as given on the command line, if it is to be injected.
    pub inject_output_path: Option<String>,
    /// `-b`: what [`parse_base64`] read.
    pub base64: Vec<Parameters>,
    /// `-f`: what [`yaml::parse`] read of the files.
    pub files: Vec<Parameters>,
    /// `-y`: what [`yaml::parse`] read of the texts.
    pub yaml: Vec<Parameters>,
    /// `-p`: names and texts, each given its type by [`infer_scalar`].
    pub inferred: Vec<(String, String)>,
    /// `-r`: names and texts that stay texts.
    pub raw: Vec<(String, String)>,
}

impl ParameterSources {
    /// All of them as one.
    pub fn merge(&self) -> Parameters {
        let mut all = Parameters::new();
        if let Some(path) = &self.inject_input_path {
            all.insert(INPUT_PATH, path.as_str());
        }
        if let Some(path) = &self.inject_output_path {
            all.insert(OUTPUT_PATH, path.as_str());
        }
        for source in self.base64.iter().chain(&self.files).chain(&self.yaml) {
            all.update(source);
        }
        all.extend(self.inferred.iter().map(|(name, text)| (name.clone(), infer_scalar(text))));
        all.extend(self.raw.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))));
        all
    }
}

#[cfg(test)]
mod tests;

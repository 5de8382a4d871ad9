//! Where the notebook of each run goes: a template, and the rule that no value leads out of its folder.
//!
//! The folder is what the template says before its first field. A value may bring folders of its own below it
//! (`2026/11`), but may not climb (`..`), begin at a root, choose the store or host, or change what a URL means beyond its
//! path.

use rnbexec_notebook::Parameters;
use rnbexec_notebook::template::{Builtins, Piece, TemplateError, format_pieces};

use crate::store::{Location, LocationError};

/// A path with `{name:format}` fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTemplate(String);

/// Why a run has no place to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A field cannot be filled in.
    #[error("cannot fill in the output: {0}")]
    Template(TemplateError),
    /// A value would lead out of the folder that the template names, or change more than a path.
    #[error("{value:?} in the output would {problem}")]
    Escapes {
        /// The value.
        value: String,
        /// What it would do.
        problem: &'static str,
    },
    /// What comes out is no place.
    #[error("the output is no place: {0}")]
    Location(LocationError),
    /// One standard output cannot take many notebooks.
    #[error("many notebooks cannot go to standard output")]
    Stream,
}

impl OutputTemplate {
    /// The template as it was written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The place for these parameters.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn fill(&self, parameters: &Parameters, builtins: &Builtins) -> Result<Location, PlaceError> {
        let pieces = format_pieces(&self.0, parameters, builtins).map_err(PlaceError::Template)?;
        let mut path = Path::default();
        for piece in &pieces {
            match piece {
                Piece::Fixed(text) => path.text.push_str(text),
                Piece::Filled(value) => path.fill(value)?,
            }
        }
        path.check_climb()?;
        match Location::parse(&path.text).map_err(PlaceError::Location)? {
            Location::Local(local) if path.names_store() || !path.text.contains("://") => {
                Ok(Location::Local(local))
            }
            Location::Stdio if path.values.is_empty() => Err(PlaceError::Stream),
            location if path.values.is_empty() || path.names_store() => Ok(location),
            _ => Err(path.values[0].refused("choose another store")),
        }
    }
}

/// A path as far as it has come.
#[derive(Default)]
struct Path<'a> {
    text: String,
    values: Vec<Filled<'a>>,
}

/// A value in a path.
struct Filled<'a> {
    at: usize,
    value: &'a str,
}

impl Filled<'_> {
    fn refused(&self, problem: &'static str) -> PlaceError {
        PlaceError::Escapes { value: self.value.to_owned(), problem }
    }
}

const SEPARATORS: [char; 2] = ['/', '\\'];

/// The schemes whose names are taken as they stand; in others `?`, `#` and `%` have a meaning.
const LITERAL: [&str; 7] = ["s3", "s3n", "s3a", "gs", "gcs", "hdfs", "memory"];

impl<'a> Path<'a> {
    fn fill(&mut self, value: &'a str) -> Result<(), PlaceError> {
        let filled = Filled { at: self.text.len(), value };
        if value.chars().any(char::is_control) {
            return Err(filled.refused("put a control character into a path"));
        }
        match self.text.split_once("://") {
            Some((scheme, rest)) => {
                let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
                if !rest.contains('/') && !value.chars().all(plain) {
                    return Err(filled.refused("choose more than the name of a host or bucket"));
                }
                let literal = LITERAL.iter().any(|known| scheme.eq_ignore_ascii_case(known));
                if !literal && value.contains(['?', '#', '%']) {
                    return Err(filled.refused("change a URL beyond its path"));
                }
            }
            None if self.text.is_empty() && value.starts_with(SEPARATORS) => {
                return Err(filled.refused("lead out of the folder"));
            }
            None if cfg!(windows) && value.contains(':') => {
                return Err(filled.refused("name a drive or a stream"));
            }
            None => {}
        }
        self.text.push_str(value);
        self.values.push(filled);
        Ok(())
    }

    /// Whether the template itself says which store it is.
    fn names_store(&self) -> bool {
        let first = self.values.first().map_or(self.text.len(), |filled| filled.at);
        self.text.get(..first).is_some_and(|fixed| fixed.contains("://"))
    }

    /// From the segment on that holds the first value, nothing climbs.
    fn check_climb(&self) -> Result<(), PlaceError> {
        let Some(first) = self.values.first() else { return Ok(()) };
        let mut end = 0;
        for segment in self.text.split(SEPARATORS) {
            end += segment.len();
            if segment == ".." && end >= first.at {
                let culprit = self.values.iter().rev().find(|filled| filled.at <= end).unwrap_or(first);
                return Err(culprit.refused("lead out of the folder"));
            }
            end += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rnbexec_notebook::Json;
    use rnbexec_notebook::template::DateTime;

    use super::*;

    fn fill(template: &str, value: &str) -> Result<String, PlaceError> {
        let noon = DateTime {
            year: 2026,
            month: 11,
            day: 26,
            hour: 12,
            minute: 0,
            second: 0,
            microsecond: 0,
            utc_offset: None,
        };
        let builtins = Builtins { run_uuid: "uuid".to_owned(), now_local: noon, now_utc: noon };
        let parameters = Parameters::from_iter([("x", Json::from(value)), ("dot", Json::from("."))]);
        OutputTemplate::new(template).fill(&parameters, &builtins).map(|location| location.to_string())
    }

    #[track_caller]
    fn refused(template: &str, value: &str) {
        let filled = fill(template, value);
        assert!(
            matches!(filled, Err(PlaceError::Escapes { .. } | PlaceError::Location(_))),
            "{template} {value}: {filled:?}"
        );
    }

    #[test]
    fn values_fill_in_names_and_may_bring_folders() {
        assert_eq!(fill("out/{x}.ipynb", "a").unwrap(), "out/a.ipynb");
        assert_eq!(fill("out/{x}.ipynb", "2026/11").unwrap(), "out/2026/11.ipynb");
        assert_eq!(fill("out/{x}.ipynb", "a..b").unwrap(), "out/a..b.ipynb");
        assert_eq!(fill("{x}.ipynb", "a").unwrap(), "a.ipynb");
        assert_eq!(fill("{x}", "a/b.ipynb").unwrap(), "a/b.ipynb");
        assert_eq!(fill("s3://bucket/{x}.ipynb", "50% of #1?").unwrap(), "s3://bucket/50% of #1?.ipynb");
        assert_eq!(fill("s3://{x}/a.ipynb", "bucket-1").unwrap(), "s3://bucket-1/a.ipynb");
    }

    #[test]
    fn what_the_template_itself_says_is_the_users() {
        assert_eq!(fill("../out/{x}.ipynb", "a").unwrap(), "../out/a.ipynb");
        assert_eq!(fill("/out/{x}.ipynb", "a").unwrap(), "/out/a.ipynb");
        assert_eq!(fill("../fixed.ipynb", "a").unwrap(), "../fixed.ipynb");
    }

    #[test]
    fn no_value_leads_out_of_the_folder() {
        for value in ["../a", "..", "a/../../b", "/../a", "..\\a", "a\\..\\b", "x/.."] {
            for template in
                ["out/{x}/a.ipynb", "out/{x}", "{x}/a.ipynb", "../out/{x}/a", "s3://b/{x}/a.ipynb"]
            {
                refused(template, value);
            }
        }
        refused("out/{dot}{x}/a.ipynb", "./b");
        refused("out/a{x}/b.ipynb", "/../../b");
        refused("{x}.ipynb", "/etc/a");
    }

    #[test]
    fn a_climb_made_of_a_value_and_the_template_is_refused_too() {
        refused("out/{x}/{dot}{dot}/a.ipynb", "a");
        refused("out/{x}./a.ipynb", ".");
        refused("out/.{x}/a.ipynb", ".");
        assert_eq!(fill("out/{x}a.ipynb", "..").unwrap(), "out/..a.ipynb");
    }

    #[test]
    fn no_value_chooses_the_store_the_host_or_the_query() {
        refused("{x}", "s3://other/a.ipynb");
        refused("{x}", "https://host/a.ipynb");
        refused("{x}", "file:///etc/a.ipynb");
        refused("{x}", "FILE:///etc/a.ipynb");
        refused("file:{x}", "///etc/a.ipynb");
        refused("{x}", "-");
        refused("s3:{x}", "//other/a");
        refused("{x}://other/a", "s3");
        refused("s3://{x}/a.ipynb", "other/b");
        refused("https://{x}/a.ipynb", "user@host");
        refused("https://host/{x}.ipynb?sig=1", "a?b");
        refused("https://host/{x}.ipynb", "%2e%2e/a");
        refused("abs://a.blob.core.windows.net/c/{x}.ipynb?sig=1", "a#b");
        refused("out/{x}.ipynb", "a\0b");
        refused("out/{x}.ipynb", "a\nb");
    }

    #[test]
    fn a_field_without_a_value_and_standard_output_are_refused() {
        assert_eq!(
            fill("out/{y}.ipynb", "a").unwrap_err().to_string(),
            "cannot fill in the output: missing parameter 'y'"
        );
        assert_eq!(fill("-", "a").unwrap_err(), PlaceError::Stream);
    }
}

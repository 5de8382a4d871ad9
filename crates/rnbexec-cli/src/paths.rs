//! Input and output paths: their `{name:format}` fields filled in, then read.

use std::fmt;

use jiff::tz::TimeZone;
use rnbexec::Input;
use rnbexec::store::Location;
use rnbexec_notebook::Json;
use rnbexec_notebook::parameters::Parameters;
use rnbexec_notebook::template::{Builtins, DateTime, format_path};

use crate::extension;
use crate::failure::Failure;

/// Fills in path templates, all of one run with the same time and the same uuid.
pub(crate) struct Filler {
    run_uuid: String,
    now: jiff::Timestamp,
}

impl Filler {
    /// A run that begins now.
    pub(crate) fn now() -> Self {
        Self { run_uuid: uuid::Uuid::new_v4().to_string(), now: jiff::Timestamp::now() }
    }

    /// The path with its fields filled in.
    pub(crate) fn fill(&self, path: &str, parameters: &Parameters) -> Result<String, Failure> {
        format_path(path, parameters, &self.builtins(path)).map_err(|error| {
            let path = crate::parameters::without_secrets(path);
            Failure::because(format!("cannot fill in the path {path}"), &error)
                .help("a field is {name} or {name:format} of a parameter; a brace itself is written {{ or }}")
        })
    }

    /// What `{pm[…]}` means in the path.
    pub(crate) fn builtins(&self, path: &str) -> Builtins {
        let utc = TimeZone::UTC.to_datetime(self.now);
        // Finding out the local time zone means reading through the system's database of all of them.
        let local = if path.contains("{pm") { TimeZone::system().to_datetime(self.now) } else { utc };
        Builtins {
            run_uuid: self.run_uuid.clone(),
            now_local: fields(local, None),
            now_utc: fields(utc, Some(0)),
        }
    }
}

/// A point in time as the templates take it.
fn fields(time: jiff::civil::DateTime, utc_offset: Option<i32>) -> DateTime {
    let small = |field: i8| u8::try_from(field).unwrap_or_default();
    DateTime {
        year: u16::try_from(time.year()).unwrap_or_default(),
        month: small(time.month()),
        day: small(time.day()),
        hour: small(time.hour()),
        minute: small(time.minute()),
        second: small(time.second()),
        microsecond: u32::try_from(time.subsec_nanosecond() / 1000).unwrap_or_default(),
        utc_offset,
    }
}

/// Where a notebook comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A place, and how it was written.
    Place { location: Location, text: String },
    /// The notebook itself, as JSON text on the command line, which papermill takes as well.
    Text(String),
}

impl Source {
    /// Reads a path whose fields are filled in.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim_start().starts_with('{') && Json::parse(text.as_bytes()).is_ok() {
            return Ok(Self::Text(text.to_owned()));
        }
        match Location::parse(text) {
            Ok(location) => Ok(Self::Place { location, text: text.to_owned() }),
            Err(error) => Err(Failure::because("cannot read the notebook", &error)),
        }
    }

    /// papermill's warning about its name.
    pub(crate) fn extension_warning(&self) -> Option<String> {
        match self {
            Self::Place { location, text } => extension::warning(text, location, extension::NOTEBOOK),
            Self::Text(_) => None,
        }
    }

    /// What its file is called.
    pub(crate) fn file_name(&self) -> Option<String> {
        match self {
            Self::Place { location, .. } => location.file_name().map(str::to_owned),
            Self::Text(_) => None,
        }
    }

    /// What a run takes.
    pub(crate) fn into_input(self) -> Input {
        match self {
            Self::Place { location, .. } => Input::At(location),
            Self::Text(text) => Input::Bytes { bytes: text.into_bytes().into(), path: None },
        }
    }
}

/// The place without its secrets.
impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { location, .. } => location.fmt(out),
            Self::Text(_) => out.write_str("(the notebook on the command line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(path: &str) -> Result<String, Failure> {
        let mut parameters = Parameters::default();
        parameters.insert("x", 7);
        Filler::now().fill(path, &parameters)
    }

    #[test]
    fn parameters_and_builtins_fill_in_paths() {
        assert_eq!(fill("o{x:03d}.ipynb").unwrap(), "o007.ipynb");
        assert_eq!(fill("{pm[run_uuid]}").unwrap().len(), 36);
        assert!(fill("{pm[current_datetime_utc]:%Y%m%d}").unwrap().starts_with("20"));
        assert_eq!(fill("{{x}}").unwrap(), "{x}");
    }

    #[test]
    fn the_local_time_is_that_of_the_system() {
        let filler = Filler::now();
        let local = filler.now.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let path = filler.fill("{pm[current_datetime_local]}", &Parameters::default()).unwrap();
        assert!(path.starts_with(&local), "{path}");
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let failure = fill("{missing}").unwrap_err();
        assert!(failure.causes[0].contains("missing") && failure.help.is_some(), "{failure:?}");
    }

    #[test]
    fn both_paths_of_a_run_get_the_same_uuid() {
        let filler = Filler::now();
        let [a, b] = [(); 2].map(|()| filler.fill("{pm[run_uuid]}", &Parameters::default()).unwrap());
        assert_eq!(a, b);
    }

    #[test]
    fn a_notebook_may_stand_on_the_command_line() {
        assert!(matches!(Source::parse("{\"cells\": []}").unwrap(), Source::Text(_)));
        assert!(matches!(Source::parse("{braces}.ipynb").unwrap(), Source::Place { .. }));
        assert!(Source::parse("ftp://host/x").is_err());
    }
}

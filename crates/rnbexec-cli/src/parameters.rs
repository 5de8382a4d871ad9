//! The parameters of a run, gathered from the command line and the files it names.

use std::path::Path;

use rnbexec::store::{Location, Stores};
use rnbexec_notebook::parameters::{
    ParameterSources, Parameters, Secret, SecretParameters, parse_base64, yaml,
};

use crate::args::ParameterArgs;
use crate::exit;
use crate::extension;
use crate::failure::Failure;
use crate::verdict;

/// The paths to inject, as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InjectedPaths {
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
}

/// Reads and merges all parameters, in papermill's order of precedence: injected paths, `-b`, `-f`, `-y`, `-p`, `-r`.
pub(crate) async fn gather(
    args: &ParameterArgs,
    inject: &InjectedPaths,
    stores: &Stores,
) -> Result<Parameters, Failure> {
    let base64 = args.parameters_base64.iter().map(|text| {
        parse_base64(text).map_err(|error| {
            Failure::because("cannot read the parameters of -b", &error)
                .help("-b takes a mapping of names to values as YAML or JSON in base64")
        })
    });
    let base64 = base64.collect::<Result<_, _>>()?;
    let mut files = Vec::new();
    for path in &args.parameters_file {
        files.push(read_file(path, stores).await?);
    }
    let yaml = args.parameters_yaml.iter().map(|text| {
        yaml::parse(text).map_err(|error| {
            Failure::because("cannot read the parameters of -y", &error)
                .help("-y takes a mapping of names to values, such as '{alpha: 0.1, names: [a, b]}'")
        })
    });
    let yaml = yaml.collect::<Result<_, _>>()?;
    let sources = ParameterSources {
        inject_input_path: inject.input.as_deref().map(without_secrets),
        inject_output_path: inject.output.as_deref().map(without_secrets),
        base64,
        files,
        yaml,
        inferred: pairs(&args.parameters),
        raw: pairs(&args.parameters_raw),
    };
    Ok(sources.merge())
}

async fn read_file(path: &str, stores: &Stores) -> Result<Parameters, Failure> {
    let location =
        Location::parse(path).map_err(|error| Failure::because("cannot read a parameters file", &error))?;
    if let Some(warning) = extension::warning(path, &location, extension::PARAMETERS) {
        tracing::warn!("{warning}");
    }
    let bytes = stores
        .read(&location)
        .await
        .map_err(|error| verdict::of_read("cannot read a parameters file", &error))?;
    yaml::parse_bytes(&bytes).map_err(|error| {
        Failure::because(format!("cannot read the parameters of {location}"), &error)
            .help("a parameters file is a mapping of names to values as YAML or JSON")
    })
}

/// A place as it was typed, save its secrets: an injected path is saved with the notebook, so a password or a
/// signature in it is not injected. Plain paths stay exactly as they were given.
pub(crate) fn without_secrets(text: &str) -> String {
    match Location::parse(text) {
        Ok(Location::Local(_) | Location::Stdio) | Err(_) => text.to_owned(),
        Ok(location) => location.to_string(),
    }
}

fn pairs(flat: &[String]) -> Vec<(String, String)> {
    let (pairs, _) = flat.as_chunks::<2>();
    pairs.iter().map(|[name, value]| (name.clone(), value.clone())).collect()
}

/// Reads `--secret NAME=env:VAR|file:PATH`. Neither messages nor the process list ever show a value.
pub(crate) fn secrets(
    texts: &[String],
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<SecretParameters, Failure> {
    let mut secrets = SecretParameters::default();
    for text in texts {
        let form = || {
            Failure::new("cannot read a --secret").help("write --secret NAME=env:VARIABLE or NAME=file:PATH")
        };
        let (name, source) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| form().code(exit::USAGE))?;
        let value = match source.split_once(':') {
            Some(("env", var)) if !var.is_empty() => {
                let value = variable(var).ok_or_else(|| {
                    Failure::new(format!("the secret '{name}' has no value"))
                        .cause(format!("the environment variable {var} is not set"))
                        .help(format!("set {var}, or name another source: --secret {name}=file:PATH"))
                })?;
                value.into_string().map_err(|_| {
                    Failure::new(format!("the secret '{name}' is no text"))
                        .cause(format!("the environment variable {var} is not UTF-8"))
                })?
            }
            Some(("file", path)) if !path.is_empty() => secret_file(name, Path::new(path))?,
            _ => {
                return Err(form()
                    .cause(format!("'{name}' names no source, as env:VARIABLE or file:PATH"))
                    .code(exit::USAGE));
            }
        };
        secrets.insert(name, Secret::new(value));
    }
    Ok(secrets)
}

/// The variables that `--secret NAME=env:VAR` names.
pub(crate) fn secret_variables(texts: &[String]) -> Vec<String> {
    let variable = |text: &String| Some(text.split_once('=')?.1.strip_prefix("env:")?.to_owned());
    texts.iter().filter_map(variable).collect()
}

/// A file's text without the line break that editors and `echo` put at its end.
fn secret_file(name: &str, path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::because(format!("cannot read the secret '{name}' from {}", path.display()), &error)
    })?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;

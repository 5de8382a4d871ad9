//! Which parameters a notebook has: what its first cell tagged `parameters` defines.
//!
//! Source: papermill 2.7.0 `inspection` and `translators.PythonTranslator.inspect`. Whatever papermill's line
//! pattern finds is found with the same name, type, default and help; and beyond that `int | None`,
//! `Literal['x']`, `typing.List[str]`, values that hold `=` or `#`, values of several lines, several statements
//! on a line. Only Python is understood; of other languages the inspection says so in [`Inspection::warnings`],
//! as papermill does.

mod annotation;
mod imports;
mod literal;
mod python;
mod schema;

use crate::json::Json;
use crate::notebook::{Cell, Notebook};
use crate::parameters::Parameters;
use crate::translate::translator_for;

pub use imports::leading_imports;
pub(crate) use python::parameters as python_parameters;

/// The tag of the cell that defines the parameters.
const TAG: &str = "parameters";

/// One parameter, as the code defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name of the variable.
    pub name: String,
    /// The annotation or type comment as written; `None` if there is neither.
    pub inferred_type_name: String,
    /// The code of the default value, on one line.
    pub default: String,
    /// The comment behind it, without what it says of the type.
    pub help: String,
    /// The default value, if it is a literal.
    pub value: Option<Json>,
}

/// What is known of a notebook's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The parameters, in order of definition.
    pub parameters: Vec<Parameter>,
    /// Whether there is a cell tagged `parameters` at all.
    pub has_parameters_cell: bool,
    /// Whether the code of that cell could be read: not every language's can.
    pub understood: bool,
    /// What to tell the user.
    pub warnings: Vec<String>,
}

/// Why a notebook cannot be inspected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Neither the notebook nor the caller says which kernel it is for.
    #[error("no kernel name found in notebook and no override provided")]
    NoKernelName,
    /// Neither the notebook nor the caller says which language it is in.
    #[error("no language found in notebook and no override provided")]
    NoLanguage,
    /// There is no translator for the language.
    #[error("no parameter translator for kernel '{kernel_name}' or language '{language}'")]
    NoTranslator {
        /// The kernel.
        kernel_name: String,
        /// The language.
        language: String,
    },
}

/// Inspects a notebook, by the kernel and language that it names.
///
/// # Errors
/// It has a `parameters` cell and names no kernel or no language, or one without a translator.
pub fn inspect(notebook: &Notebook) -> Result<Inspection, InspectError> {
    inspect_for(notebook, None, None)
}

/// Inspects a notebook, by the given kernel and language instead of those that it names.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_for(
    notebook: &Notebook,
    kernel_name: Option<&str>,
    language: Option<&str>,
) -> Result<Inspection, InspectError> {
    let Some(cell) = notebook.cells().iter().find(|cell| cell.has_tag(TAG)) else {
        return Ok(Inspection { understood: true, ..Inspection::default() });
    };
    let given = |name: &&str| !name.is_empty();
    let kernel_name =
        kernel_name.filter(given).or_else(|| notebook.kernel_name()).ok_or(InspectError::NoKernelName)?;
    let language = language.filter(given).or_else(|| notebook.language()).ok_or(InspectError::NoLanguage)?;
    inspect_cell(cell, kernel_name, language)
}

fn inspect_cell(cell: &Cell, kernel_name: &str, language: &str) -> Result<Inspection, InspectError> {
    let translator = translator_for(kernel_name, language).ok_or_else(|| InspectError::NoTranslator {
        kernel_name: kernel_name.to_owned(),
        language: language.to_owned(),
    })?;
    let found = translator.inspect(&cell.source());
    let warnings = match found {
        Some(_) => Vec::new(),
        None => {
            vec![format!("Translator for '{language}' language does not support parameter introspection.")]
        }
    };
    Ok(Inspection {
        has_parameters_cell: true,
        understood: found.is_some(),
        parameters: found.unwrap_or_default(),
        warnings,
    })
}

impl Inspection {
    /// What `--help-notebook` prints, from the usage line (given by the caller, with its line break) on.
    pub fn help_text(&self, usage: &str, path: &str) -> String {
        let mut text = format!("{usage}\nParameters inferred for notebook '{path}':\n");
        if !self.has_parameters_cell {
            text.push_str("\n  No cell tagged 'parameters'\n");
        } else if self.parameters.is_empty() {
            text.push_str(
                "\n  Can't infer anything about this notebook's parameters. It may not have any parameter defined.\n",
            );
        }
        for parameter in &self.parameters {
            text.push_str(&parameter.help_line());
            text.push('\n');
        }
        text
    }

    /// The names among those given that the notebook does not define. Empty when its code is not understood.
    pub fn unknown<'a>(&self, given: &'a Parameters) -> Vec<&'a str> {
        if !self.understood {
            return Vec::new();
        }
        given.names().filter(|name| !self.parameters.iter().any(|known| known.name == *name)).collect()
    }

    /// A JSON Schema (2020-12) of the object that the parameters are.
    ///
    /// Types come from the annotations, else from the default value. What cannot be said in JSON is not
    /// constrained; its Python type stands in `x-python-type`.
    pub fn to_json_schema(&self) -> Json {
        schema::of_parameters(&self.parameters)
    }
}

impl Parameter {
    fn help_line(&self) -> String {
        let type_name = match self.inferred_type_name.as_str() {
            "None" => "Unknown type",
            name => name,
        };
        let definition = format!("  {}: {type_name} (default {})", self.name, self.default);
        match (definition.chars().count() > 30, self.help.is_empty()) {
            (true, false) => format!("{definition}\n{:34}{}", "", self.help),
            (true, true) => definition,
            (false, _) => format!("{definition:<34}{}", self.help),
        }
    }
}

#[cfg(test)]
mod tests;

//! Why a run could not be done. A failing notebook is not here: that is an [`Outcome`](crate::Outcome).

use std::path::PathBuf;

use rnbexec_kernel::KernelspecError;
use rnbexec_kernel::provision::ProvisionError;
use rnbexec_notebook::NotebookError;
use rnbexec_notebook::translate::TranslateError;

use crate::store::StoreError;

/// We could not do our job. By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input could not be fetched.
    #[error("cannot read the notebook")]
    Read(#[source] StoreError),
    /// The input is no notebook.
    #[error("{path} is not a notebook that can be run")]
    Notebook {
        /// The input, redacted.
        path: String,
        /// What is wrong with it, and where.
        #[source]
        source: NotebookError,
    },
    /// A parameter cannot be expressed in the notebook's language.
    #[error("cannot inject the parameters")]
    Parameters(#[source] TranslateError),
    /// Parameters were given that the notebook does not define, and that was forbidden.
    #[error("the notebook does not define {}", list(.names))]
    UnknownParameters {
        /// The names that are unknown.
        names: Vec<String>,
        /// The names the notebook defines.
        known: Vec<String>,
    },
    /// To install what the notebook asks for is to run code of strangers, and that would not be contained.
    #[error(
        "the environment of the notebook's own dependencies is not made yet, and making it would run code that is not contained"
    )]
    EnvironmentNotMade,
    /// Contained code could put something else where its notebook is written, which is done from outside of its containment.
    #[error("the output {output} lies in the work folder {}, where the notebook itself can write", .folder.display())]
    OutputInWorkFolder {
        /// Where the notebook was to be written, without secrets.
        output: String,
        /// The folder that is open to its code.
        folder: std::path::PathBuf,
    },
    /// Neither the notebook nor the caller names a kernel.
    #[error("the notebook names no kernel and none was given")]
    NoKernelName,
    /// Parameters cannot be injected without knowing the language.
    #[error("the notebook names no language and none was given")]
    NoLanguage,
    /// No translator speaks the notebook's language.
    #[error("no parameter translator for kernel '{kernel}' or language '{language}'")]
    NoTranslator {
        /// The kernelspec's name.
        kernel: String,
        /// The language.
        language: String,
    },
    /// The kernel is not installed, or its kernelspec is broken.
    #[error("cannot find the notebook's kernel")]
    Kernelspec(#[from] KernelspecError),
    /// The kernel's private environment could not be made.
    #[error("cannot prepare the kernel's environment")]
    Environment(#[from] ProvisionError),
    /// The executed notebook could not be written.
    #[error("cannot save the notebook")]
    Save {
        /// What storage said.
        #[source]
        source: StoreError,
        /// Where the executed notebook was put instead, so that nothing is lost.
        rescued: Option<PathBuf>,
    },
}

impl RunError {
    /// The environment failed, not the request: trying again later may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Read(source) | Self::Save { source, .. } => source.is_transient(),
            Self::Environment(source) => source.is_transient(),
            _ => false,
        }
    }
}

/// An error with everything behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

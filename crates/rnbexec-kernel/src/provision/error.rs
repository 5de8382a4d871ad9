//! What can go wrong while an environment is chosen or made, and what the user does about it.

use std::path::PathBuf;
use std::time::Duration;

use super::requirements::RequirementsError;
use super::script::ScriptError;
use super::shipped::{SHIPPED_KERNELS, shipped};

/// Why there is no environment.
///
/// The message names the thing; [`hint`](Self::hint) says what to do; [`tail`](Self::tail) holds the last lines that
/// the installer wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// Neither uv nor a fitting Python is on the search path.
    #[error("no Python {wanted} found to make an environment with")]
    NoPython {
        /// The version specifier that is needed.
        wanted: String,
    },
    /// This Python cannot make virtual environments (Debian and Ubuntu split that off).
    #[error("{} cannot make virtual environments: its venv or ensurepip module is missing", python.display())]
    NoVenv {
        /// The interpreter that was tried.
        python: PathBuf,
        /// Last lines of its output.
        tail: String,
    },
    /// The package index could not be reached.
    #[error("the package index could not be reached")]
    Network {
        /// Last lines of the installer.
        tail: String,
    },
    /// A downloaded package is not the one that the lock pins.
    #[error("a package does not have the hash that the requirements pin")]
    HashMismatch {
        /// Last lines of the installer.
        tail: String,
    },
    /// No space left.
    #[error("no space left on the device of {}", path.display())]
    DiskFull {
        /// Where the environment was to be.
        path: PathBuf,
    },
    /// The installer failed for another reason.
    #[error("{step} failed ({status})")]
    Installer {
        /// What was being done.
        step: String,
        /// How the process ended.
        status: String,
        /// Its last lines.
        tail: String,
    },
    /// It took longer than the context allows.
    #[error("{step} did not end within {} s", after.as_secs())]
    TimedOut {
        /// What was being done.
        step: String,
        /// The limit.
        after: Duration,
        /// Last lines of the installer.
        tail: String,
    },
    /// A file could not be read, written or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// Its object.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The requirements cannot be used.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// The notebook's PEP 723 block cannot be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A kernelspec names requirements outside its folder, or a Python command that is none.
    #[error("the kernelspec {kernel} cannot be provisioned: {reason}")]
    Kernelspec {
        /// The kernelspec's name.
        kernel: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Environments are made for Python only.
    #[error("the kernel {kernel} is for {language}; environments are made for Python kernels only")]
    NotPython {
        /// The kernel's name.
        kernel: String,
        /// Its language.
        language: String,
    },
    /// Nothing of that name is installed.
    #[error("no environment named {name} is installed")]
    NotInstalled {
        /// The name asked for.
        name: String,
        /// What is installed.
        installed: Vec<String>,
    },
    /// Neither `python3` nor a shipped kernel.
    #[error("rnbexec ships no kernel named {0}")]
    UnknownKernel(String),
    /// The given path is neither an environment nor an interpreter.
    #[error("{} is no Python environment and no Python interpreter: {reason}", path.display())]
    NotAnEnvironment {
        /// The path asked for.
        path: PathBuf,
        /// What was looked for in vain.
        reason: String,
    },
    /// The environment cannot run a notebook.
    #[error("{} has no ipykernel", python.display())]
    NoIpykernel {
        /// The environment's interpreter.
        python: PathBuf,
    },
    /// A kernelspec of that name exists and was not made by rnbexec.
    #[error("a kernelspec that rnbexec did not make exists already: {}", path.display())]
    KernelspecExists {
        /// The kernelspec.
        path: PathBuf,
    },
    /// Jupyter allows only some characters in a kernel's name.
    #[error("{0:?} is no kernel name: only ASCII letters, digits, '-', '_' and '.' are allowed")]
    BadName(String),
}

impl ProvisionError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoPython { wanted } => format!(
                "install Python {wanted}, or uv (https://docs.astral.sh/uv/), which fetches a Python by itself"
            ),
            Self::NoVenv { .. } => "install them (Debian, Ubuntu: apt install python3-venv), or install uv".into(),
            Self::Network { .. } => {
                "check the connection and the proxy; pip and uv take another index from PIP_INDEX_URL and \
                 UV_DEFAULT_INDEX; or use an environment that exists: --env PATH"
                    .into()
            }
            Self::HashMismatch { .. } => {
                "the index serves other files than those that were locked: do not trust them, or lock again".into()
            }
            Self::DiskFull { path } => format!("free space there ({}), or give rnbexec a data folder on a larger disk", path.display()),
            Self::TimedOut { .. } => "try again: what was downloaded is kept".into(),
            Self::Requirements(_) => {
                "lock them into one file: uv pip compile --generate-hashes requirements.in -o requirements.txt".into()
            }
            Self::NotPython { .. } => "run without --env and install that kernel by its own instructions".into(),
            Self::NotInstalled { name, installed } => {
                let known = if installed.is_empty() {
                    "nothing is installed".to_owned()
                } else {
                    format!("installed: {}", installed.join(", "))
                };
                let ours = name == "python3" || shipped(name).is_some();
                let of = if ours { "" } else { " --requirements FILE" };
                format!("{known}; rnbexec kernel install {name}{of} makes it (a path is written ./{name})")
            }
            Self::UnknownKernel(name) => {
                let shipped: Vec<&str> = SHIPPED_KERNELS.iter().map(|kernel| kernel.name).collect();
                format!(
                    "it ships python3, {}; other kernels: rnbexec kernel install {name} --requirements FILE",
                    shipped.join(", ")
                )
            }
            Self::NoIpykernel { python } => {
                format!("install it: {0} -m pip install ipykernel (or: uv pip install --python {0} ipykernel)", python.display())
            }
            Self::KernelspecExists { .. } => "choose another name, or say --replace".into(),
            Self::Io { .. }
            | Self::Installer { .. }
            | Self::Script(_)
            | Self::Kernelspec { .. }
            | Self::NotAnEnvironment { .. }
            | Self::BadName(_) => return None,
        })
    }

    /// The last lines that the installer wrote; empty where none ran.
    pub fn tail(&self) -> &str {
        match self {
            Self::NoVenv { tail, .. }
            | Self::Network { tail }
            | Self::HashMismatch { tail }
            | Self::Installer { tail, .. }
            | Self::TimedOut { tail, .. } => tail,
            _ => "",
        }
    }

    /// Whether the same request may succeed later, with nothing changed here.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::TimedOut { .. })
    }

    pub(super) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::DiskFull { path: path.to_owned() };
        }
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// The reason behind a failed installer, read from what it wrote: neither pip nor uv tells it in another way.
pub(super) fn diagnose(step: &str, status: &str, tail: String, env: &std::path::Path) -> ProvisionError {
    let text = tail.to_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if says(&["no space left on device", "os error 28", "disk quota exceeded"]) {
        return ProvisionError::DiskFull { path: env.to_owned() };
    }
    if says(&["do not match the hashes", "hash mismatch for"]) {
        return ProvisionError::HashMismatch { tail };
    }
    if says(&[
        "name resolution",
        "name or service not known",
        "dns error",
        "failed to lookup address",
        "failed to establish a new connection",
        "network is unreachable",
        "network is down",
        "connection refused",
        "connection reset",
        "connection timed out",
        "connecttimeout",
        "read timed out",
        "operation timed out",
        "error sending request",
        "network connectivity is disabled",
        "cannot connect to proxy",
    ]) {
        return ProvisionError::Network { tail };
    }
    ProvisionError::Installer { step: step.to_owned(), status: status.to_owned(), tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tail: &str) -> ProvisionError {
        diagnose("installing packages", "exit code 1", tail.into(), "/envs/x".as_ref())
    }

    #[test]
    fn the_installers_words_tell_the_reason() {
        let pip_offline = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...: \
            Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')\nERROR: No matching \
            distribution found for ipykernel";
        let uv_offline = "error: Failed to fetch: `https://example.org/simple/ipykernel/`\n  Caused by: dns error: \
            failed to lookup address information";
        assert!(matches!(of(pip_offline), ProvisionError::Network { .. }));
        assert!(matches!(of(uv_offline), ProvisionError::Network { .. }));
        assert!(matches!(
            of("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
            ProvisionError::HashMismatch { .. }
        ));
        assert!(matches!(of("  × Hash mismatch for `six==1.17.0`"), ProvisionError::HashMismatch { .. }));
        assert!(matches!(of("ERROR: [Errno 28] No space left on device"), ProvisionError::DiskFull { .. }));
        assert!(matches!(of("ERROR: ResolutionImpossible"), ProvisionError::Installer { .. }));
    }

    #[test]
    fn only_what_the_world_may_mend_is_transient() {
        assert!(of("dns error").is_transient());
        assert!(!of("hash mismatch for `a`").is_transient());
    }
}

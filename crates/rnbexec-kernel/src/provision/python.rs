//! Python interpreters: what one says about itself, and which one an environment is made with.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use pep440_rs::{Version, VersionSpecifiers};
use serde::Deserialize;

use super::error::ProvisionError;
use super::installer::{CommandLine, command, describe};

/// Names under which interpreters lie on the search path, best first.
const NAMES: &[&str] = &[
    "python3",
    "python3.15",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
    "python",
];

/// How many characters of a failed interpreter's last line are told.
const LAST_WORDS: usize = 100;

/// How long an interpreter may take to say what it is.
const PROBE_LIMIT: Duration = Duration::from_mins(1);

/// Looks ipykernel up without importing it, which is ten times as fast.
const PROBE: &str = r#"
import importlib.util, json, sys
try:
    from importlib.metadata import distributions
    packages = sorted({(d.metadata["Name"] or "") + "==" + d.version for d in distributions()}, key=str.lower)
except Exception:
    packages = []
spec = importlib.util.find_spec("ipykernel")
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "prefix": sys.prefix,
    "ipykernel": getattr(spec, "origin", None),
    "packages": packages,
}))
"#;

/// What an interpreter says about itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Probe {
    pub(super) version: String,
    pub(super) prefix: PathBuf,
    /// The file of the `ipykernel` package, if it can be imported.
    pub(super) ipykernel: Option<PathBuf>,
    /// `name==version` of all that is installed.
    pub(super) packages: Vec<String>,
}

impl Probe {
    fn satisfies(&self, wanted: &VersionSpecifiers) -> bool {
        Version::from_str(&self.version).is_ok_and(|version| wanted.contains(&version))
    }
}

/// Asks an interpreter what it is. The inner error is what it did instead of answering.
pub(super) async fn probe(
    python: &Path,
    vars: &HashMap<OsString, OsString>,
    cwd: &Path,
) -> Result<Result<Probe, String>, ProvisionError> {
    let line = CommandLine::new(python, ["-c", PROBE]);
    let output = tokio::time::timeout(PROBE_LIMIT, command(&line, vars, cwd).output()).await;
    let output = match output {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(ProvisionError::io("run", python, source)),
        Err(_) => return Ok(Err(format!("it did not answer within {} s", PROBE_LIMIT.as_secs()))),
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        // What is no Python may repeat the whole probe as the name of a file it cannot find.
        let last: String = last.chars().take(LAST_WORDS).collect();
        return Ok(Err(format!("{}: {last}", describe(output.status))));
    }
    // A site customisation may print first: the answer is the last line.
    let stdout = String::from_utf8_lossy(&output.stdout);
    let answer = stdout.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
    Ok(serde_json::from_str(answer).map_err(|_| "it does not answer as a Python 3 does".to_owned()))
}

/// The first Python on the search path that satisfies `wanted`.
pub(super) async fn find(
    wanted: &VersionSpecifiers,
    vars: &HashMap<OsString, OsString>,
    cwd: &Path,
) -> Result<PathBuf, ProvisionError> {
    for name in NAMES {
        for python in on_path(name, vars) {
            // One that does not start (a stale shim) must not hide a good one behind it.
            if let Ok(Ok(probe)) = probe(&python, vars, cwd).await
                && probe.satisfies(wanted)
            {
                return Ok(python);
            }
        }
    }
    Err(ProvisionError::NoPython { wanted: wanted.to_string() })
}

/// All programs of that name on the `PATH` of `vars`, in order.
pub(super) fn on_path(name: &str, vars: &HashMap<OsString, OsString>) -> Vec<PathBuf> {
    let Some(path) = vars.get(OsStr::new("PATH")) else { return Vec::new() };
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .filter(|file| is_executable(file))
        .collect()
}

pub(super) fn is_executable(file: &Path) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}

/// Where the interpreter of a virtual environment or conda prefix lies, best first.
pub(super) fn interpreters(prefix: &Path) -> Vec<PathBuf> {
    let names: &[&str] =
        if cfg!(windows) { &["Scripts/python.exe", "python.exe"] } else { &["bin/python", "bin/python3"] };
    names.iter().map(|name| prefix.join(name)).collect()
}

/// The interpreter of a virtual environment that we make.
pub(super) fn interpreter(env_dir: &Path) -> PathBuf {
    env_dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// Writes a shell script by way of another process: were the file ever open for writing in this one, a test that starts a
/// process at that moment would inherit it, and running the script would fail with "text file busy".
#[cfg(test)]
#[cfg(unix)]
pub(super) fn write_program(file: &Path, script: &str) {
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .args([file.as_os_str(), script.as_ref()])
        .status();
    assert!(written.unwrap().success());
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn fake(dir: &Path, name: &str, script: &str) -> PathBuf {
        let file = dir.join(name);
        write_program(&file, script);
        file
    }

    fn answering(dir: &Path, name: &str, version: &str) -> PathBuf {
        let answer = format!(r#"{{"version":"{version}","prefix":"/p","ipykernel":null,"packages":[]}}"#);
        fake(dir, name, &format!("echo hello; echo '{answer}'"))
    }

    fn path_of(dirs: &[&Path]) -> HashMap<OsString, OsString> {
        HashMap::from([("PATH".into(), std::env::join_paths(dirs).unwrap())])
    }

    #[tokio::test]
    async fn the_first_fitting_python_on_the_path_is_taken() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fake(one.path(), "python3", "exit 127");
        answering(one.path(), "python3.11", "3.11.7");
        let wanted = answering(two.path(), "python3.12", "3.12.1");
        let vars = path_of(&[one.path(), two.path()]);
        let found = find(&">=3.12".parse().unwrap(), &vars, one.path()).await.unwrap();
        assert_eq!(found, wanted);
        let none = find(&">=3.13".parse().unwrap(), &vars, one.path()).await.unwrap_err();
        assert!(matches!(none, ProvisionError::NoPython { wanted } if wanted == ">=3.13"));
    }

    #[tokio::test]
    async fn a_program_that_is_no_python_is_told_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let odd = fake(dir.path(), "odd", "echo 'no such option: -c' >&2; exit 3");
        let answer = probe(&odd, &HashMap::new(), dir.path()).await.unwrap();
        assert_eq!(answer.unwrap_err(), "exit code 3: no such option: -c");
    }

    #[test]
    fn only_executable_files_in_absolute_folders_are_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("uv"), "").unwrap();
        assert!(on_path("uv", &path_of(&[dir.path(), "relative".as_ref()])).is_empty());
        let uv = fake(dir.path(), "uv", "");
        assert_eq!(on_path("uv", &path_of(&[dir.path()])), [uv]);
    }
}

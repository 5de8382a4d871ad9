//! The outside witnesses: papermill, nbformat, nbclient and the kernels, in one private Python environment.
//!
//! The environment lies under `target/rnbexec-tests/oracle-<digest of the locked requirements>` of the workspace and is
//! made on first use. Test binaries run side by side, so a file lock makes one of them build it while the others wait,
//! and a marker file written last says that it is whole. Only `python3` ≥ 3.11 must be on the machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Raised when the layout of the environment changes though the requirements do not.
const LAYOUT: u32 = 1;
const COMPLETE: &str = "complete";

/// The folder of the environment; installs it on first use.
///
/// # Panics
/// When no suitable `python3` exists or the requirements cannot be installed; the message says which.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| environment("oracle", REQUIREMENTS, LAYOUT, write_kernelspecs))
}

/// The environment's Python, with papermill, nbformat, nbclient, ipykernel, pyzmq and bash_kernel importable.
pub fn python() -> PathBuf {
    root().join("bin/python")
}

/// papermill's own command line.
pub fn papermill() -> PathBuf {
    root().join("bin/papermill")
}

/// The `bin` folder of the environment, for the front of `PATH`.
pub fn bin() -> PathBuf {
    root().join("bin")
}

/// The Jupyter data directory (the one value of `JUPYTER_PATH` in the tests) that holds the kernelspecs `python3`, `bash`
/// and `deno`, each with absolute paths in its argv.
pub fn jupyter_path() -> PathBuf {
    root().join("jupyter")
}

/// A digest of everything that decides how the oracle answers, to key cached answers with.
pub fn digest() -> String {
    digest_of(&[REQUIREMENTS, &LAYOUT.to_string()])
}

/// The folder that outlives test runs: `target/rnbexec-tests` of the workspace.
pub fn cache_dir() -> PathBuf {
    workspace().join("target/rnbexec-tests")
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies in tests/ of the workspace")
}

/// A Python environment named `name` with exactly the hash-pinned `requirements`, made on first use and then kept under
/// [`cache_dir`]. `finish` runs once in the new environment's folder, before it counts as complete.
///
/// # Panics
/// As [`root`].
pub fn environment(name: &str, requirements: &str, layout: u32, finish: impl FnOnce(&Path)) -> PathBuf {
    let digest = digest_of(&[requirements, &layout.to_string()]);
    let dir = cache_dir().join(format!("{name}-{digest}"));
    if dir.join(COMPLETE).is_file() {
        return dir;
    }
    fs::create_dir_all(cache_dir()).unwrap_or_else(|e| panic!("cannot make {}: {e}", cache_dir().display()));
    let lock_path = cache_dir().join(format!("{name}-{digest}.lock"));
    let lock =
        File::create(&lock_path).unwrap_or_else(|e| panic!("cannot make {}: {e}", lock_path.display()));
    lock.lock().unwrap_or_else(|e| panic!("cannot lock {}: {e}", lock_path.display()));
    if dir.join(COMPLETE).is_file() {
        return dir;
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("cannot clear {}: {e}", dir.display()));
    }
    must(
        Command::new(find_python()).args(["-m", "venv"]).arg(&dir),
        "make a virtual environment (is python3-venv there?)",
    );
    let list = dir.join("requirements.txt");
    fs::write(&list, requirements).unwrap_or_else(|e| panic!("cannot write {}: {e}", list.display()));
    must(
        Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--require-hashes", "-r"])
            .arg(&list),
        "install the locked requirements",
    );
    finish(&dir);
    fs::write(dir.join(COMPLETE), digest)
        .unwrap_or_else(|e| panic!("cannot complete {}: {e}", dir.display()));
    dir
}

fn write_kernelspecs(dir: &Path) {
    let python = dir.join("bin/python");
    write_kernelspec(
        &dir.join("jupyter"),
        "python3",
        &json!({
            "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3 (ipykernel)", "language": "python", "metadata": {"debugger": true},
        }),
    );
    write_kernelspec(
        &dir.join("jupyter"),
        "bash",
        &json!({
            "argv": [python, "-m", "bash_kernel", "-f", "{connection_file}"],
            "display_name": "Bash", "language": "bash", "env": {"PS1": "$"},
        }),
    );
    write_kernelspec(
        &dir.join("jupyter"),
        "deno",
        &json!({
            "argv": [dir.join("bin/deno"), "jupyter", "--kernel", "--conn", "{connection_file}"],
            "display_name": "Deno", "language": "typescript",
        }),
    );
}

/// Writes `kernels/<name>/kernel.json` below the Jupyter data directory `data_dir`.
///
/// # Panics
/// When the folder cannot be written.
pub fn write_kernelspec(data_dir: &Path, name: &str, spec: &serde_json::Value) {
    let dir = data_dir.join("kernels").join(name);
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
    let text = serde_json::to_vec_pretty(spec).expect("a JSON value is writable");
    fs::write(dir.join("kernel.json"), text)
        .unwrap_or_else(|e| panic!("cannot write in {}: {e}", dir.display()));
}

/// `python3`, or a versioned one where `python3` is too old for the oracle.
fn find_python() -> OsString {
    let probe = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
    let names = ["python3", "python3.11", "python3.12", "python3.13", "python3.14"];
    for name in names {
        let works = Command::new(name).args(["-c", probe]).output().is_ok_and(|o| o.status.success());
        if works {
            return name.into();
        }
    }
    panic!(
        "these tests compare rnbexec with papermill: they need Python ≥ 3.11 with venv on PATH, as one of {names:?}"
    );
}

fn must(command: &mut Command, what: &str) {
    // A Python environment around the test run must not leak into the one that is being made.
    let out = command
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .env_remove("VIRTUAL_ENV")
        .output()
        .unwrap_or_else(|e| panic!("cannot {what}: {command:?}: {e}"));
    assert!(
        out.status.success(),
        "cannot {what}: {command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The first 16 hex digits of a digest over the parts, for file names.
pub fn digest_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = format!("{:x}", hash.finalize());
    digest[..16].to_owned()
}

//! The variables of a contained kernel: fewer, and pointing at places it may write to.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Files, Variables};

/// What programs need to work and what says nothing about anybody's accounts: where programs and libraries are, how
/// people write and count, who and where one is.
const HARMLESS: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONHASHSEED",
    "R_HOME",
    "R_LIBS",
    "JULIA_DEPOT_PATH",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
];

type Environment = HashMap<OsString, OsString>;

fn is_harmless(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| HARMLESS.contains(&name) || name.starts_with("LC_"))
}

/// What a kernel inherits of `base`, with its folders for passing things moved into `scratch` where files are closed.
pub(crate) fn environment(
    base: &Environment,
    variables: &Variables,
    files: Files,
    scratch: Option<&Path>,
) -> Environment {
    let mut env = base.clone();
    if let Variables::Only(names) = variables {
        env.retain(|name, _| is_harmless(name) || names.iter().any(|allowed| name == OsStr::new(allowed)));
    }
    let Some(scratch) = scratch.filter(|_| files != Files::Open) else { return env };
    let mut set = |name: &str, folder: PathBuf| env.insert(name.into(), folder.into());
    set("TMPDIR", scratch.join("tmp"));
    set("XDG_CACHE_HOME", scratch.join("cache"));
    set("IPYTHONDIR", scratch.join("ipython"));
    set("MPLCONFIGDIR", scratch.join("matplotlib"));
    set("JUPYTER_RUNTIME_DIR", scratch.join("tmp"));
    for name in ["TMP", "TEMP", "XDG_RUNTIME_DIR"] {
        env.remove(OsStr::new(name));
    }
    if files == Files::HomeHidden {
        let home = env.insert("HOME".into(), scratch.join("home").into());
        // Packages that the user has installed for themselves stay importable.
        if let Some(home) = home {
            let user_base = Path::new(&home).join(".local");
            env.entry("PYTHONUSERBASE".into()).or_insert(user_base.into());
        }
        for name in
            ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"]
        {
            env.remove(OsStr::new(name));
        }
    }
    env
}

/// The folders that [`environment`] names, relative to the scratch folder.
#[cfg(target_os = "linux")]
pub(super) const SCRATCH_FOLDERS: [&str; 5] = ["tmp", "cache", "ipython", "matplotlib", "home"];

/// What a kernel that is told this environment must be able to read, wherever it lies.
#[cfg(target_os = "linux")]
pub(super) fn read_by_kernel(env: &Environment, program: Option<&OsStr>) -> Vec<PathBuf> {
    let var = |name: &str| env.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let mut paths: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME"]
        .iter()
        .filter_map(|name| var(name))
        .map(PathBuf::from)
        .collect();
    paths.extend(
        ["PYTHONPATH", "LD_LIBRARY_PATH", "R_LIBS"]
            .iter()
            .filter_map(|name| var(name))
            .flat_map(std::env::split_paths),
    );
    paths.extend(var("PYTHONUSERBASE").map(|base| Path::new(base).join("lib")));
    // An environment, and what belongs to programs in the prefix of the Python which it is made of.
    if let Some(program) = program.map(Path::new) {
        let real = program.canonicalize().ok();
        for folder in [Some(program), real.as_deref()].into_iter().flatten().filter_map(Path::parent) {
            let Some(prefix) = folder.parent() else { continue };
            if ["pyvenv.cfg", "conda-meta"].iter().any(|mark| prefix.join(mark).exists()) {
                paths.push(prefix.to_path_buf());
            } else {
                paths.extend([folder.to_path_buf()]);
                paths.extend(["lib", "lib64", "include"].map(|name| prefix.join(name)));
            }
        }
    }
    paths.retain(|path| path.is_absolute());
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    #[test]
    fn only_harmless_and_allowed_variables_pass() {
        let base = env(&[("PATH", "/bin"), ("LC_ALL", "C"), ("AWS_SECRET_ACCESS_KEY", "x"), ("MINE", "1")]);
        let only = Variables::Only(vec!["MINE".to_owned()]);
        let left = environment(&base, &only, Files::Open, None);
        assert_eq!(left, env(&[("PATH", "/bin"), ("LC_ALL", "C"), ("MINE", "1")]));
        assert_eq!(environment(&base, &Variables::All, Files::Open, None), base);
    }

    /// A program in the folder of a user's own programs would else open all that the user has.
    #[cfg(target_os = "linux")]
    #[test]
    fn of_a_program_its_environment_can_be_read_and_of_no_environment_only_what_programs_need() {
        let base = tempfile::tempdir().unwrap();
        let prefix = base.path().canonicalize().unwrap();
        let bin = prefix.join("bin");
        std::fs::create_dir(&bin).unwrap();
        let program = bin.join("python");
        std::fs::write(&program, "").unwrap();
        let read = || {
            let paths = read_by_kernel(&Environment::new(), Some(program.as_os_str()));
            paths.into_iter().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(read(), ["bin", "include", "lib", "lib64"].map(|name| prefix.join(name)).into());
        std::fs::write(prefix.join("pyvenv.cfg"), "").unwrap();
        assert_eq!(read(), [prefix].into());
    }

    #[test]
    fn closed_files_move_what_is_written_to_the_scratch_folder() {
        let base = env(&[("HOME", "/home/u"), ("TMP", "/t"), ("XDG_CONFIG_HOME", "/c")]);
        let scratch = Some(Path::new("/s"));
        let read_only = environment(&base, &Variables::All, Files::ReadOnly, scratch);
        assert_eq!(read_only.get(OsStr::new("HOME")), Some(&"/home/u".into()));
        assert_eq!(read_only.get(OsStr::new("TMPDIR")), Some(&"/s/tmp".into()));
        assert!(!read_only.contains_key(OsStr::new("TMP")));
        let hidden = environment(&base, &Variables::All, Files::HomeHidden, scratch);
        assert_eq!(hidden.get(OsStr::new("HOME")), Some(&"/s/home".into()));
        assert_eq!(hidden.get(OsStr::new("PYTHONUSERBASE")), Some(&"/home/u/.local".into()));
        assert!(!hidden.contains_key(OsStr::new("XDG_CONFIG_HOME")));
    }
}

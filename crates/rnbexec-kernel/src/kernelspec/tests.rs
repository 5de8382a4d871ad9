use super::*;

fn written(dir: &Path, json: &str) -> Result<Kernelspec, KernelspecError> {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("kernel.json"), json).unwrap();
    Kernelspec::read("Name", dir)
}

fn spec(dir: &Path, argv: &[&str]) -> Kernelspec {
    written(dir, &serde_json::json!({ "argv": argv }).to_string()).unwrap()
}

fn vars(pairs: &[(&str, &str)]) -> HashMap<OsString, OsString> {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn command(spec: &Kernelspec, vars: &HashMap<OsString, OsString>) -> Vec<String> {
    let command = spec.command(Path::new("/run/c.json"), &[], vars);
    command.into_iter().map(|word| word.into_string().unwrap()).collect()
}

/// Makes `<prefix>/bin/<name>` a program.
#[cfg(unix)]
fn program(prefix: &Path, name: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let file = prefix.join("bin").join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn everything_a_kernelspec_says_is_read() {
    let base = tempfile::tempdir().unwrap();
    let json = r#"{"argv": ["x", "{connection_file}"], "display_name": "X", "language": "xl",
        "interrupt_mode": "message", "env": {"A": "1"}, "metadata": {"debugger": true}, "kernel_protocol_version": "5.5"}"#;
    let spec = written(base.path(), json).unwrap();
    assert_eq!(spec.name, "name");
    assert_eq!(spec.display_name, "X");
    assert_eq!(spec.language, "xl");
    assert_eq!(spec.interrupt_mode, InterruptMode::Message);
    assert_eq!(spec.env["A"], "1");
    assert_eq!(spec.metadata["debugger"], true);
}

#[test]
fn a_kernelspec_needs_no_more_than_a_command() {
    let base = tempfile::tempdir().unwrap();
    let spec = written(base.path(), r#"{"argv": ["x"]}"#).unwrap();
    assert_eq!(spec.interrupt_mode, InterruptMode::Signal);
    assert!(spec.env.is_empty());
}

#[test]
fn a_bad_kernelspec_is_named_by_its_file() {
    let base = tempfile::tempdir().unwrap();
    for json in ["", "{", "[]", "{}", r#"{"argv": "x"}"#, r#"{"argv": []}"#, r#"{"argv": ["x"], "env": 1}"#] {
        let error = written(base.path(), json).unwrap_err();
        assert!(error.to_string().contains("kernel.json"), "{json}: {error}");
    }
    let error = Kernelspec::read("x", &base.path().join("missing")).unwrap_err();
    assert!(matches!(error, KernelspecError::Unreadable { .. }), "{error}");
}

#[test]
fn templates_are_filled_anywhere_in_an_argument_and_unknown_ones_stay() {
    let base = tempfile::tempdir().unwrap();
    let spec = spec(
        base.path(),
        &["k", "--f={connection_file}", "{resource_dir}/x", "{other}", "{", "{{connection_file}}", "ä{"],
    );
    let dir = base.path().display();
    assert_eq!(
        command(&spec, &HashMap::new()),
        ["k", "--f=/run/c.json", &format!("{dir}/x"), "{other}", "{", "{/run/c.json}", "ä{"]
    );
}

#[test]
fn extra_arguments_come_last_and_are_templates_too() {
    let base = tempfile::tempdir().unwrap();
    let spec = spec(base.path(), &["k", "-a"]);
    let command = spec.command(Path::new("c"), &["-b={connection_file}".to_owned()], &HashMap::new());
    assert_eq!(command, ["k", "-a", "-b=c"]);
}

#[cfg(unix)]
#[test]
fn python_means_that_of_the_prefix_the_kernelspec_is_installed_in() {
    let base = tempfile::tempdir().unwrap();
    let prefix = base.path().join("env");
    let python = program(&prefix, "python");
    std::fs::write(prefix.join("pyvenv.cfg"), "").unwrap();
    let spec = spec(&prefix.join("share/jupyter/kernels/x"), &["python", "{prefix}"]);
    let other = base.path().join("other");
    program(&other, "python");
    let vars = vars(&[("VIRTUAL_ENV", other.to_str().unwrap())]);
    assert_eq!(command(&spec, &vars), [python.as_str(), prefix.to_str().unwrap()]);
}

#[cfg(unix)]
#[test]
fn python_of_a_kernelspec_elsewhere_is_that_of_the_environment_then_that_of_the_path() {
    let base = tempfile::tempdir().unwrap();
    let [venv, conda, on_path] = ["venv", "conda", "path"].map(|name| base.path().join(name));
    let spec = spec(&base.path().join("kernels/x"), &["python3"]);
    let [in_venv, in_conda, in_path] = [&venv, &conda, &on_path].map(|prefix| program(prefix, "python3"));
    let path = on_path.join("bin");
    let mut vars = vars(&[
        ("VIRTUAL_ENV", venv.to_str().unwrap()),
        ("CONDA_PREFIX", conda.to_str().unwrap()),
        ("PATH", path.to_str().unwrap()),
    ]);
    assert_eq!(command(&spec, &vars), [in_venv]);
    vars.remove(OsStr::new("VIRTUAL_ENV"));
    assert_eq!(command(&spec, &vars), [in_conda]);
    vars.remove(OsStr::new("CONDA_PREFIX"));
    assert_eq!(command(&spec, &vars), [in_path]);
    assert_eq!(command(&spec, &HashMap::new()), ["python3"]);
}

#[test]
fn only_words_for_a_python_are_resolved() {
    for word in ["python", "python3", "python2", "python3.11"] {
        assert!(means_python(word), "{word}");
    }
    for word in ["/usr/bin/python", "pythonw", "python3.11.7", "xpython", "python-x", "R", ""] {
        assert!(!means_python(word), "{word}");
    }
}

#[test]
fn environment_values_may_name_variables() {
    let vars = vars(&[("HOME", "/h"), ("A_1", "one")]);
    for (value, filled) in [
        ("${HOME}/x", "/h/x"),
        ("$HOME:$A_1", "/h:one"),
        ("$$HOME", "$HOME"),
        ("${UNKNOWN}", "${UNKNOWN}"),
        ("$UNKNOWN", "$UNKNOWN"),
        ("a$", "a$"),
        ("${HOME", "${HOME"),
        ("$1", "$1"),
        ("ä$ü", "ä$ü"),
    ] {
        assert_eq!(substitute(value, &vars), filled, "{value}");
    }
}

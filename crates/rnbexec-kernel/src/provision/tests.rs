use super::*;

fn context(dir: &Path) -> ProvisionContext {
    ProvisionContext {
        data_dir: dir.join("data"),
        kernels_dir: dir.join("jupyter/kernels"),
        cwd: dir.to_owned(),
        vars: HashMap::new(),
        python: None,
        time_limit: Duration::from_mins(1),
    }
}

fn spec(metadata: serde_json::Value) -> Kernelspec {
    let mut spec = python_kernelspec("k", Path::new("/jupyter/kernels/k"), Path::new("python"));
    spec.metadata = metadata;
    spec
}

fn script() -> ScriptMetadata {
    ScriptMetadata { dependencies: vec!["rich".into()], requires_python: None }
}

#[test]
fn a_notebooks_own_dependencies_come_before_its_kernelspecs() {
    let facts = NotebookFacts {
        kernelspec: Some(spec(serde_json::json!({"rnbexec": {"requirements": "requirements.txt"}}))),
        script: Some(script()),
        ..NotebookFacts::default()
    };
    assert_eq!(decide(&facts, false).unwrap(), Plan::Script(script()));
}

#[test]
fn a_kernelspec_that_names_requirements_gets_them_unasked() {
    let spec = spec(serde_json::json!({"rnbexec": {"requirements": "requirements.txt"}}));
    let facts = NotebookFacts { kernelspec: Some(spec.clone()), ..NotebookFacts::default() };
    let requirements = PathBuf::from("/jupyter/kernels/k/requirements.txt");
    assert_eq!(decide(&facts, false).unwrap(), Plan::Kernelspec { spec, requirements });
}

#[test]
fn requirements_outside_the_kernelspecs_folder_are_refused() {
    for file in ["/etc/passwd", "../x.txt", "a/../../x", ""] {
        let spec = spec(serde_json::json!({"rnbexec": {"requirements": file}}));
        let facts = NotebookFacts { kernelspec: Some(spec), ..NotebookFacts::default() };
        assert!(matches!(decide(&facts, false), Err(ProvisionError::Kernelspec { .. })), "{file}");
    }
}

#[test]
fn a_shipped_kernel_needs_no_kernelspec_and_yields_to_one() {
    let name = SHIPPED_KERNELS[0].name;
    let facts = NotebookFacts { kernel_name: Some(name.into()), ..NotebookFacts::default() };
    assert_eq!(decide(&facts, false).unwrap(), Plan::Shipped(&SHIPPED_KERNELS[0]));
    let facts = NotebookFacts { kernelspec: Some(spec(serde_json::json!({}))), ..facts };
    assert_eq!(decide(&facts, false).unwrap(), Plan::AsItIs);
}

#[test]
fn an_installed_kernel_is_looked_after() {
    let spec = spec(serde_json::json!({"rnbexec": {"installed": "mine"}}));
    let facts = NotebookFacts { kernelspec: Some(spec), ..NotebookFacts::default() };
    assert_eq!(decide(&facts, false).unwrap(), Plan::Installed("mine".into()));
}

#[test]
fn where_nothing_applies_auto_gives_plain_ipykernel_and_the_default_leaves_the_kernelspec() {
    let facts = NotebookFacts { kernel_name: Some("python3".into()), ..NotebookFacts::default() };
    assert_eq!(decide(&facts, true).unwrap(), Plan::Plain);
    assert_eq!(decide(&facts, false).unwrap(), Plan::AsItIs);
}

#[test]
fn another_language_is_left_alone_and_refused_where_an_environment_is_demanded() {
    let facts = NotebookFacts {
        kernel_name: Some("ir".into()),
        language: Some("R".into()),
        script: Some(script()),
        ..NotebookFacts::default()
    };
    assert_eq!(decide(&facts, false).unwrap(), Plan::AsItIs);
    assert!(
        matches!(decide(&facts, true), Err(ProvisionError::NotPython { language, .. }) if language == "R")
    );
}

#[test]
fn env_values_are_auto_paths_or_names() {
    let parse = |text| EnvRequest::parse(text, NotebookFacts::default());
    assert!(matches!(parse("auto"), EnvRequest::Auto(_)));
    for path in ["./venv", "/opt/conda", "..", ".venv", "envs/x"] {
        assert!(matches!(parse(path), EnvRequest::Path(_)), "{path}");
    }
    assert!(matches!(parse("triage"), EnvRequest::Name(name) if name == "triage"));
}

#[test]
fn only_a_bare_python_is_replaced() {
    for program in ["python", "python3", "python3.11", "python.exe"] {
        assert!(is_python_program(program), "{program}");
    }
    for program in ["/usr/bin/python3", "pythonw-like", "R", ""] {
        assert!(!is_python_program(program), "{program}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let mut quiet = |_| {};
    let error = resolve_env(&context, EnvRequest::Path("none".into()), &mut quiet).await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::NotAnEnvironment { reason, .. } if reason == "it does not exist")
    );
    let error = resolve_env(&context, EnvRequest::Path(".".into()), &mut quiet).await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::NotAnEnvironment { reason, .. } if reason.starts_with("it has no "))
    );
    let error = resolve_env(&context, EnvRequest::Name("triage".into()), &mut quiet).await.unwrap_err();
    assert!(error.hint().unwrap().contains("rnbexec kernel install triage --requirements FILE"), "{error:?}");
    let request = EnvRequest::Name(SHIPPED_KERNELS[0].name.into());
    let hint = resolve_env(&context, request, &mut quiet).await.unwrap_err().hint().unwrap();
    assert!(hint.contains(&format!("rnbexec kernel install {} makes it", SHIPPED_KERNELS[0].name)), "{hint}");
}

#[tokio::test]
async fn with_neither_uv_nor_python_the_error_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let request = EnvRequest::Auto(Box::default());
    let error = resolve_env(&context(dir.path()), request, &mut |_| {}).await.unwrap_err();
    assert!(matches!(&error, ProvisionError::NoPython { wanted } if wanted == ">=3.10"), "{error:?}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_name_that_cannot_be_a_kernels_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["../x", "a b", "", ".hidden", "x/y"] {
        let request = InstallRequest {
            name: name.into(),
            source: InstallSource::Named,
            display_name: None,
            replace: false,
        };
        let error = install(&context(dir.path()), request, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, ProvisionError::BadName(_)), "{name}");
    }
    assert!(!dir.path().join("data").exists());
}

#[cfg(unix)]
mod with_a_fake_python {
    use std::sync::Mutex;

    use super::python::write_program;
    use super::*;

    /// A `python3` that counts how often it makes an environment and answers as one: `-m venv DIR` makes DIR with a
    /// `bin/python` that links back, `-m pip …` does what `pip` says, `-c …` answers the probe.
    fn machine(dir: &Path, pip: &str) -> ProvisionContext {
        let bin = dir.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let package = dir.join("ipykernel.py");
        std::fs::write(&package, "").unwrap();
        let script = format!(
            "if [ \"$1\" = -c ]; then echo '{{\"version\":\"3.11.7\",\"prefix\":\"/p\",\"ipykernel\":\"{}\",\
             \"packages\":[\"ipykernel==7.4.0\"]}}'; exit; fi\n\
             if [ \"$2\" = venv ]; then echo made >> {}; /bin/mkdir -p \"$3/bin\"; /bin/ln -s {} \"$3/bin/python\"; exit; fi\n\
             {pip}",
            package.display(),
            dir.join("count").display(),
            bin.join("python3").display(),
        );
        write_program(&bin.join("python3"), &script);
        let mut context = context(dir);
        context.vars.insert("PATH".into(), bin.into());
        context
    }

    fn made(dir: &Path) -> usize {
        std::fs::read_to_string(dir.join("count")).unwrap_or_default().lines().count()
    }

    fn auto() -> EnvRequest {
        EnvRequest::Auto(Box::default())
    }

    #[tokio::test]
    async fn an_environment_is_made_once_and_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "echo installing");
        let mut told = Vec::new();
        let first = resolve_env(&context, auto(), &mut |progress| told.push(progress)).await.unwrap();
        assert!(first.created && first.python.starts_with(dir.path().join("data/envs")));
        assert_eq!(first.packages, ["ipykernel==7.4.0"]);
        assert!(matches!(told[0], Progress::Creating { tool: "venv and pip", .. }), "{told:?}");
        assert!(told.contains(&Progress::Line("installing".into())));
        assert!(matches!(told.last(), Some(Progress::Ready { packages: 1, .. })));

        let again = resolve_env(&context, auto(), &mut |progress| panic!("{progress:?}")).await.unwrap();
        assert!(!again.created);
        assert_eq!((again.python, made(dir.path())), (first.python, 1));
    }

    #[tokio::test]
    async fn a_kernels_own_modules_are_on_its_path_and_a_changed_one_takes_no_new_environment() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let folder = dir.path().join("k");
        std::fs::create_dir(&folder).unwrap();
        let json = r#"{"argv": ["python"], "metadata": {"rnbexec": {"requirements": "r.txt", "modules": ["helper.py"]}}}"#;
        std::fs::write(folder.join("kernel.json"), json).unwrap();
        std::fs::write(folder.join("r.txt"), "rich\n").unwrap();
        let facts = || NotebookFacts {
            kernelspec: Some(Kernelspec::read("k", &folder).unwrap()),
            ..NotebookFacts::default()
        };
        let mut paths = Vec::new();
        for (source, new) in [("x = 1", true), ("x = 2", false), ("x = 1", false)] {
            std::fs::write(folder.join("helper.py"), source).unwrap();
            let environment = resolve_default(&context, &facts(), &mut |_| {}).await.unwrap().unwrap();
            assert_eq!(environment.created, new);
            let path = PathBuf::from(&environment.kernelspec.env["PYTHONPATH"]);
            assert!(path.starts_with(&environment.prefix), "{}", path.display());
            assert_eq!(std::fs::read_to_string(path.join("helper.py")).unwrap(), source);
            paths.push(path);
        }
        assert!(paths[0] != paths[1] && paths[0] == paths[2] && paths[0].exists());

        std::fs::remove_file(folder.join("helper.py")).unwrap();
        let error = resolve_default(&context, &facts(), &mut |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("helper.py"), "{error}");
    }

    #[tokio::test]
    async fn an_environment_whose_python_is_gone_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let first = resolve_env(&context, auto(), &mut |_| {}).await.unwrap();
        std::fs::remove_file(&first.python).unwrap();
        assert!(resolve_env(&context, auto(), &mut |_| {}).await.unwrap().created);
        assert_eq!(made(dir.path()), 2);
    }

    #[tokio::test]
    async fn a_half_made_environment_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let first = resolve_env(&context, auto(), &mut |_| {}).await.unwrap();
        std::fs::remove_file(first.prefix.join("rnbexec-environment.json")).unwrap();
        std::fs::write(first.prefix.join("rubbish"), "").unwrap();
        assert!(resolve_env(&context, auto(), &mut |_| {}).await.unwrap().created);
        assert!(!first.prefix.join("rubbish").exists());
    }

    #[tokio::test]
    async fn a_failed_installation_leaves_nothing_and_tells_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "echo 'ERROR: no space left on device' >&2; exit 1");
        let error = resolve_env(&context, auto(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, ProvisionError::DiskFull { .. }), "{error:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path().join("data/envs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [".locks"]);
    }

    #[tokio::test]
    async fn two_that_want_the_same_environment_make_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let (mut quiet, mut quiet_too) = (|_| {}, |_| {});
        let (one, two) = tokio::join!(
            resolve_env(&context, auto(), &mut quiet),
            resolve_env(&context, auto(), &mut quiet_too)
        );
        assert_ne!(one.unwrap().created, two.unwrap().created);
        assert_eq!(made(dir.path()), 1);
    }

    #[tokio::test]
    async fn a_python_without_ensurepip_is_told_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let mut context = machine(dir.path(), "");
        let debian = dir.path().join("debian");
        std::fs::create_dir(&debian).unwrap();
        let script = "if [ \"$1\" = -c ]; then echo '{\"version\":\"3.11.2\",\"prefix\":\"/usr\",\"ipykernel\":null,\
                      \"packages\":[]}'; exit; fi\necho 'The virtual environment was not created successfully because \
                      ensurepip is not available.'; exit 1";
        write_program(&debian.join("python3"), script);
        context.vars.insert("PATH".into(), debian.into());
        let error = resolve_env(&context, auto(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, ProvisionError::NoVenv { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("python3-venv"));
    }

    #[tokio::test]
    async fn install_list_use_and_remove_agree() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let request = |name: &str| InstallRequest {
            name: name.into(),
            source: InstallSource::Requirements("rich\n".into()),
            display_name: None,
            replace: false,
        };
        let kernel = install(&context, request("Mine"), &mut |_| {}).await.unwrap();
        assert_eq!((kernel.name.as_str(), kernel.display_name.as_str()), ("mine", "mine (Python 3)"));
        assert_eq!(list(&context).await.unwrap(), std::slice::from_ref(&kernel));
        let spec = Kernelspec::read("mine", &kernel.kernelspec).unwrap();
        assert_eq!(spec.argv[0], kernel.python.display().to_string());

        let facts = NotebookFacts { kernelspec: Some(spec), ..NotebookFacts::default() };
        let used = resolve_default(&context, &facts, &mut |_| {}).await.unwrap().unwrap();
        assert_eq!((used.python, used.created), (kernel.python.clone(), false));
        let named = resolve_env(&context, EnvRequest::Name("mine".into()), &mut |_| {}).await.unwrap();
        assert_eq!(named.kernelspec.display_name, "mine (Python 3)");

        assert_eq!(remove(&context, "mine", &mut |_| {}).await.unwrap(), kernel);
        assert!(list(&context).await.unwrap().is_empty());
        assert!(!kernel.environment.exists() && !kernel.kernelspec.exists());
        assert!(matches!(
            remove(&context, "mine", &mut |_| {}).await,
            Err(ProvisionError::NotInstalled { .. })
        ));
    }

    #[tokio::test]
    async fn installing_other_requirements_removes_the_environment_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let request = |text: &str| InstallRequest {
            name: "mine".into(),
            source: InstallSource::Requirements(text.into()),
            display_name: None,
            replace: false,
        };
        let before = install(&context, request("rich\n"), &mut |_| {}).await.unwrap();
        let after = install(&context, request("attrs\n"), &mut |_| {}).await.unwrap();
        assert!(!before.environment.exists() && after.environment.exists());
    }

    #[tokio::test]
    async fn somebody_elses_kernelspec_is_replaced_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let theirs = context.kernels_dir.join("python3/kernel.json");
        std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        std::fs::write(&theirs, r#"{"argv": ["python"], "display_name": "Theirs"}"#).unwrap();
        let request = |replace| InstallRequest {
            name: "python3".into(),
            source: InstallSource::Named,
            display_name: None,
            replace,
        };
        let error = install(&context, request(false), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, ProvisionError::KernelspecExists { .. }));
        assert_eq!(made(dir.path()), 0);
        install(&context, request(true), &mut |_| {}).await.unwrap();
        assert!(std::fs::read_to_string(&theirs).unwrap().contains("rnbexec"));
    }

    #[tokio::test]
    async fn a_given_environment_without_ipykernel_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        std::fs::remove_file(dir.path().join("ipykernel.py")).unwrap();
        let python = dir.path().join("bin/python3");
        let script = std::fs::read_to_string(&python).unwrap();
        let package = format!("\"{}\"", dir.path().join("ipykernel.py").display());
        write_program(&python, &script.replace(&package, "null"));
        let error = resolve_env(&context, EnvRequest::Path(python), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, ProvisionError::NoIpykernel { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("-m pip install ipykernel"));
    }

    #[tokio::test]
    async fn waiting_for_another_process_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let context = machine(dir.path(), "");
        let ready = resolve_env(&context, auto(), &mut |_| {}).await.unwrap();
        let name = ready.prefix.file_name().unwrap().to_string_lossy().into_owned();
        std::fs::remove_dir_all(&ready.prefix).unwrap();
        let lock = std::fs::File::open(dir.path().join(format!("data/envs/.locks/{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let holder = Mutex::new(Some(lock));
        let mut waited = false;
        let mut sink = |progress| {
            if let Progress::Waiting { .. } = progress {
                waited = true;
                drop(holder.lock().unwrap().take());
            }
        };
        assert!(resolve_env(&context, auto(), &mut sink).await.unwrap().created);
        assert!(waited);
    }
}

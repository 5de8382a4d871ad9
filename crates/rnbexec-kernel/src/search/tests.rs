use super::*;

/// A file system of its own, and nothing of the real environment.
struct World {
    base: tempfile::TempDir,
    context: SearchContext,
}

impl World {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let context = SearchContext { home: Some(base.path().join("home")), ..SearchContext::default() };
        Self { base, context }
    }

    fn join(&self, path: &str) -> PathBuf {
        self.base.path().join(path)
    }

    fn var(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.context.vars.insert(name.into(), value.into());
        self
    }

    /// Variables that name directories of this world, joined as a list.
    fn dirs_var(self, name: &str, paths: &[&str]) -> Self {
        let list = std::env::join_paths(paths.iter().map(|path| self.join(path))).unwrap();
        self.var(name, list)
    }

    /// Installs a kernel whose display name is where it lies.
    fn kernel(self, dir: &str) -> Self {
        self.kernel_json(dir, &serde_json::json!({ "argv": ["x"], "display_name": dir }).to_string())
    }

    fn kernel_json(self, dir: &str, json: &str) -> Self {
        let path = self.join(dir);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("kernel.json"), json).unwrap();
        self
    }

    fn file(self, path: &str) -> Self {
        let path = self.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    /// Where `name` is found, relative to this world.
    fn found(&self, name: &str) -> String {
        find(&self.context, name).unwrap().display_name
    }

    /// The search path, relative to this world, without the system's directories.
    fn path(&self) -> Vec<String> {
        let inside =
            |path: PathBuf| path.strip_prefix(self.base.path()).ok().map(|path| path.display().to_string());
        search_path(&self.context).into_iter().filter_map(inside).collect()
    }
}

const USER: &str =
    if cfg!(target_os = "macos") { "home/Library/Jupyter" } else { "home/.local/share/jupyter" };

#[cfg(target_os = "linux")]
#[test]
fn the_order_is_that_of_jupyter() {
    let world = World::new().dirs_var("JUPYTER_PATH", &["a", "b"]).dirs_var("CONDA_PREFIX", &["conda"]);
    let expected = [
        "a/kernels",
        "b/kernels",
        "home/.local/share/jupyter/kernels",
        "conda/share/jupyter/kernels",
        "home/.ipython/kernels",
    ];
    assert_eq!(world.path(), expected);
    let whole = search_path(&world.context);
    assert!(whole.contains(&PathBuf::from("/usr/local/share/jupyter/kernels")));
    assert!(whole.contains(&PathBuf::from("/usr/share/jupyter/kernels")));
    assert_eq!(whole.len(), 7);
}

#[cfg(target_os = "linux")]
#[test]
fn a_virtual_environment_comes_before_the_user_unless_told_otherwise() {
    let world = World::new().dirs_var("VIRTUAL_ENV", &["venv"]);
    assert_eq!(world.path()[..2], ["venv/share/jupyter/kernels", "home/.local/share/jupyter/kernels"]);
    let world = world.var("JUPYTER_PREFER_ENV_PATH", "no");
    assert_eq!(world.path()[..2], ["home/.local/share/jupyter/kernels", "venv/share/jupyter/kernels"]);
}

#[test]
fn a_conda_environment_comes_before_the_user_unless_it_is_the_base() {
    let world = World::new().dirs_var("CONDA_PREFIX", &["conda"]).var("CONDA_DEFAULT_ENV", "work");
    assert_eq!(world.path()[0], "conda/share/jupyter/kernels");
    let world = world.var("CONDA_DEFAULT_ENV", "base");
    assert_eq!(world.path()[0], format!("{USER}/kernels"));
}

#[cfg(unix)]
#[test]
fn the_python_on_the_path_stands_for_the_environment() {
    let world =
        World::new().file("env/bin/python3").file("env/pyvenv.cfg").dirs_var("PATH", &["nothing", "env/bin"]);
    assert_eq!(world.path()[0], "env/share/jupyter/kernels");
}

#[test]
fn a_prefix_named_for_this_run_comes_first() {
    let mut world = World::new().dirs_var("JUPYTER_PATH", &["a"]);
    world.context.prefixes.push(world.join("mine"));
    assert_eq!(world.path()[..2], ["mine/share/jupyter/kernels", "a/kernels"]);
}

#[test]
fn the_data_directory_of_the_user_can_be_moved() {
    let world = World::new().dirs_var("JUPYTER_DATA_DIR", &["data"]);
    assert_eq!(world.path()[0], "data/kernels");
}

#[cfg(target_os = "linux")]
#[test]
fn the_data_directory_follows_xdg() {
    let world = World::new().dirs_var("XDG_DATA_HOME", &["xdg"]);
    assert_eq!(world.path()[..2], ["xdg/jupyter/kernels", "home/.local/share/jupyter/kernels"]);
}

#[test]
fn an_earlier_directory_wins() {
    let world = World::new()
        .dirs_var("JUPYTER_PATH", &["a", "b"])
        .kernel("b/kernels/x")
        .kernel("a/kernels/x")
        .kernel(&format!("{USER}/kernels/x"));
    assert_eq!(world.found("x"), "a/kernels/x");
}

#[test]
fn names_are_found_in_any_case() {
    let world = World::new().kernel(&format!("{USER}/kernels/IRkernel"));
    assert_eq!(find(&world.context, "irKERNEL").unwrap().name, "irkernel");
}

#[test]
fn python_means_python3_where_no_kernel_is_called_python() {
    let world = World::new().kernel(&format!("{USER}/kernels/python3"));
    assert_eq!(find(&world.context, "python").unwrap().name, "python3");
    let world = world.kernel(&format!("{USER}/kernels/python"));
    assert_eq!(find(&world.context, "python").unwrap().name, "python");
}

#[test]
fn a_missing_kernel_is_told_with_those_that_exist() {
    let world = World::new().kernel(&format!("{USER}/kernels/ir")).kernel(&format!("{USER}/kernels/julia"));
    let message = find(&world.context, "nope").unwrap_err().to_string();
    assert!(message.starts_with("no kernel named \"nope\"; these exist: ir ("), "{message}");
    assert!(message.contains(&format!("julia ({}", world.join(USER).display())), "{message}");
}

#[test]
fn where_no_kernel_exists_the_directories_searched_are_told() {
    let world = World::new();
    let message = find(&world.context, "python3").unwrap_err().to_string();
    assert!(message.contains("no kernel is installed in"), "{message}");
    assert!(message.contains(&world.join(USER).display().to_string()), "{message}");
}

#[test]
fn a_broken_kernelspec_hides_no_other() {
    let world = World::new()
        .kernel(&format!("{USER}/kernels/good"))
        .kernel_json(&format!("{USER}/kernels/bad"), "{not JSON");
    let catalog = catalog(&world.context);
    assert_eq!(catalog.kernels.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(catalog.broken.len(), 1);
    let error = find(&world.context, "bad").unwrap_err();
    assert!(matches!(error, KernelspecError::Invalid { .. }), "{error}");
}

#[test]
fn a_directory_without_a_kernel_json_is_no_kernel() {
    let world =
        World::new().file(&format!("{USER}/kernels/empty/logo.png")).kernel(&format!("{USER}/kernels/x"));
    assert_eq!(list(&world.context).len(), 1);
}

#[cfg(unix)]
#[test]
fn ipykernel_without_a_kernelspec_is_python3_all_the_same() {
    let world = World::new()
        .file("env/bin/python3")
        .file("env/pyvenv.cfg")
        .file("env/lib/python3.11/site-packages/ipykernel/kernelapp.py")
        .dirs_var("PATH", &["env/bin"]);
    let spec = find(&world.context, "python3").unwrap();
    assert_eq!(spec.argv[0], world.join("env/bin/python3").to_str().unwrap());
    assert_eq!(spec.argv[1..], ["-m", "ipykernel_launcher", "-f", "{connection_file}"]);
    assert_eq!(spec.language, "python");
    assert_eq!(list(&world.context), [spec]);
    let world = world.kernel(&format!("{USER}/kernels/python3"));
    assert_eq!(world.found("python3"), format!("{USER}/kernels/python3"));
}

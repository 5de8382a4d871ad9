//! Environments as a user's machine makes them: with the real venv, pip, uv and package index.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rnbexec_kernel::provision::{
    EnvRequest, Environment, InstallRequest, InstallSource, NotebookFacts, Progress, ProvisionContext,
    ProvisionError, ScriptMetadata, install, resolve_env,
};
use rnbexec_tests::oracle;

/// The variables of this process, with `uv` on the `PATH` or certainly not.
fn vars(uv: Option<&Path>) -> HashMap<OsString, OsString> {
    let mut vars: HashMap<OsString, OsString> = std::env::vars_os().collect();
    let path = vars.get(&OsString::from("PATH")).cloned().unwrap_or_default();
    let without = std::env::split_paths(&path).filter(|folder| !folder.join("uv").exists());
    let folders: Vec<_> = uv.map(Path::to_path_buf).into_iter().chain(without).collect();
    vars.insert("PATH".into(), std::env::join_paths(folders).expect("folders of a PATH make a PATH"));
    vars
}

fn context(folder: &Path, uv: Option<&Path>) -> ProvisionContext {
    ProvisionContext {
        data_dir: folder.join("data"),
        kernels_dir: folder.join("jupyter/kernels"),
        cwd: folder.to_owned(),
        vars: vars(uv),
        python: None,
        time_limit: Duration::from_mins(10),
    }
}

/// What the environment's own Python says when it is asked to import ipykernel.
async fn import_ipykernel(environment: &Environment) -> String {
    let output = tokio::process::Command::new(&environment.python)
        .args(["-c", "import ipykernel; print(ipykernel.__version__)"])
        .output()
        .await
        .expect("the environment's Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a version is text").trim().to_owned()
}

#[tokio::test]
async fn venv_and_pip_make_the_locked_environment_once() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), None);
    let mut told = Vec::new();
    let request = || EnvRequest::Auto(Box::default());
    let made = resolve_env(&context, request(), &mut |progress| told.push(progress)).await.unwrap();
    assert!(made.created);
    assert!(matches!(&told[0], Progress::Creating { tool: "venv and pip", .. }), "{told:?}");
    assert!(
        told.iter().any(|progress| matches!(progress, Progress::Installing { locked: true, .. })),
        "{told:?}"
    );
    let version = import_ipykernel(&made).await;
    assert!(made.packages.contains(&format!("ipykernel=={version}")), "{:?}", made.packages);

    let again = resolve_env(&context, request(), &mut |progress| panic!("{progress:?}")).await.unwrap();
    assert!(!again.created && again.python == made.python);
}

#[tokio::test]
async fn uv_makes_the_environment_of_a_notebooks_own_dependencies() {
    let uv = oracle::environment("uv", include_str!("../oracle/uv.txt"), 1, |_| {}).join("bin");
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), Some(&uv));
    let cell = "# /// script\n# requires-python = \">=3.10\"\n# dependencies = [\"wcwidth<0.3\"]\n# ///";
    let facts = NotebookFacts { script: ScriptMetadata::find([cell]).unwrap(), ..NotebookFacts::default() };
    let mut tool = None;
    let mut sink = |progress| {
        if let Progress::Creating { tool: name, .. } = progress {
            tool = Some(name);
        }
    };
    let made = resolve_env(&context, EnvRequest::Auto(Box::new(facts)), &mut sink).await.unwrap();
    assert_eq!(tool, Some("uv"));
    assert!(made.packages.iter().any(|package| package.starts_with("wcwidth==0.2.")), "{:?}", made.packages);
    import_ipykernel(&made).await;
}

#[tokio::test]
async fn a_package_with_another_hash_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), None);
    let request = InstallRequest {
        name: "tampered".into(),
        source: InstallSource::Requirements(format!("ipykernel==7.2.0 --hash=sha256:{}\n", "0".repeat(64))),
        display_name: None,
        replace: false,
    };
    let error = install(&context, request, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ProvisionError::HashMismatch { .. }), "{error:?}");
    assert!(!folder.path().join("jupyter").exists(), "a kernelspec was written though nothing was installed");
}

//! `rnbexec kernel list|install|remove|path`.

use std::fmt::Write as _;

use rnbexec::Services;
use rnbexec_kernel::provision::{
    self, InstallRequest, InstallSource, Progress, ProvisionError, SHIPPED_KERNELS, ScriptMetadata,
};
use rnbexec_kernel::{Catalog, InterruptMode, Kernelspec};
use rnbexec_notebook::{Cell, CellType, Notebook};
use serde_json::{Map, Value, json};

use crate::args::{KernelCommand, KernelInstall, Level};
use crate::console::{self, Console};
use crate::failure::Failure;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, log, runtime, verdict};

/// Does what was asked about kernels and returns the exit code.
pub(crate) fn kernel(command: KernelCommand) -> u8 {
    let console = Console::stderr();
    let level = match &command {
        KernelCommand::Install(install) => install.log_level,
        _ => Level::Info,
    };
    log::init(&console, level);
    let done = match command {
        KernelCommand::List { json } => list(json),
        KernelCommand::Path { name } => path(&name),
        KernelCommand::Install(command) => {
            return runtime::block_on(&console, told(&console, install(command)));
        }
        KernelCommand::Remove { name } => return runtime::block_on(&console, told(&console, remove(name))),
    };
    match done {
        Ok(()) => exit::SUCCESS,
        Err(failure) => {
            failure.show(&console);
            failure.code
        }
    }
}

async fn told(console: &Console, work: impl Future<Output = Result<(), Failure>>) -> u8 {
    match work.await {
        Ok(()) => exit::SUCCESS,
        Err(failure) => {
            failure.show(console);
            failure.code
        }
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let catalog = rnbexec_kernel::catalog(&Services::from_process().kernels);
    for broken in &catalog.broken {
        let failure = Failure::of(broken);
        tracing::warn!("{}: {}", failure.what, failure.causes.join(": "));
    }
    print(&if json { as_json(&catalog) } else { as_table(&catalog) })
}

fn path(name: &str) -> Result<(), Failure> {
    let context = Services::from_process().kernels;
    let spec = rnbexec_kernel::find(&context, name)
        .map_err(|error| verdict::of_error(&error.into(), || rnbexec_kernel::list(&context)))?;
    print(&format!("{}\n", spec.dir.display()))
}

async fn install(command: KernelInstall) -> Result<(), Failure> {
    let KernelInstall { name, requirements, notebook, display_name, replace, log_level: _ } = command;
    let source = match (requirements, notebook) {
        (Some(file), _) => InstallSource::Requirements(std::fs::read_to_string(&file).map_err(|error| {
            Failure::because(format!("cannot read the requirements {}", file.display()), &error)
        })?),
        (None, Some(file)) => InstallSource::Script(script(&file)?),
        (None, None) => InstallSource::Named,
    };
    let context = Services::from_process().environments;
    let request = InstallRequest { name, source, display_name, replace };
    let mut progress = tell;
    let kernel = supervised(provision::install(&context, request, &mut progress)).await?;
    let python = kernel.python_version.map_or_else(String::new, |version| format!(", Python {version}"));
    tracing::info!("Installed the kernel {} ({} packages{python})", kernel.name, kernel.packages.len());
    tracing::info!("  kernelspec:  {}", kernel.kernelspec.display());
    tracing::info!("  environment: {}", kernel.environment.display());
    tracing::info!("  use it:      rnbexec run -k {} NOTEBOOK OUTPUT", kernel.name);
    Ok(())
}

async fn remove(name: String) -> Result<(), Failure> {
    let context = Services::from_process().environments;
    let mut progress = tell;
    let removing = async {
        match provision::remove(&context, &name, &mut progress).await {
            Err(ProvisionError::NotInstalled { .. }) => Ok(None),
            removed => removed.map(Some),
        }
    };
    let Some(kernel) = supervised(removing).await? else {
        return Err(Failure::new(format!("rnbexec has installed no kernel named '{name}'")).help(
            "`rnbexec kernel list` shows every kernel; one that something else installed is removed the same way, or \
             with the folder that `rnbexec kernel path NAME` prints",
        ));
    };
    tracing::info!("Removed the kernel {} and its environment {}", kernel.name, kernel.environment.display());
    Ok(())
}

/// Work of the provisioner, which keeps its promises however early it is dropped.
async fn supervised<T>(work: impl Future<Output = Result<T, ProvisionError>>) -> Result<T, Failure> {
    let (mut supervisor, _cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    match supervisor.abandonable(work).await {
        Ok(done) => done.map_err(|error| verdict::of_provision(Failure::of(&error), &error)),
        Err(Abandoned(signal)) => {
            Err(Failure::new("stopped; what was half made is not used").code(signal.exit_code()))
        }
    }
}

/// The dependencies that a notebook carries.
fn script(file: &std::path::Path) -> Result<ScriptMetadata, Failure> {
    let unreadable = || format!("cannot read the dependencies of {}", file.display());
    let bytes = std::fs::read(file).map_err(|error| Failure::because(unreadable(), &error))?;
    let parsed =
        Notebook::parse(&bytes, &mut String::new).map_err(|error| Failure::because(unreadable(), &error))?;
    let code: Vec<_> = parsed
        .notebook
        .cells()
        .iter()
        .filter(|cell| cell.cell_type() == CellType::Code)
        .map(Cell::source)
        .collect();
    match ScriptMetadata::find(code.iter().map(AsRef::as_ref)) {
        Ok(Some(script)) => Ok(script),
        Ok(None) => Err(Failure::new(format!("{} carries no dependencies", file.display()))
            .help("a notebook carries them in a code cell, as a PEP 723 block: # /// script … # ///")),
        Err(error) => Err(Failure::because(unreadable(), &error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the provisioner hands it over")]
fn tell(progress: Progress) {
    match &progress {
        Progress::Line(line) if is_chatter(line) => tracing::debug!("{line}"),
        _ => tracing::info!("{}", in_words(&progress)),
    }
}

/// What an installer says of packages that are for other platforms or that it knows already: nothing to look at.
pub(crate) fn is_chatter(line: &str) -> bool {
    line.starts_with("Ignoring ") || line.starts_with("Requirement already satisfied")
}

fn in_words(progress: &Progress) -> String {
    match progress {
        Progress::Waiting { environment } => {
            format!("Waiting for another process that makes {}", environment.display())
        }
        Progress::Creating { environment, tool } => format!("Making {} with {tool}", environment.display()),
        Progress::Installing { requirements, locked: true } => {
            format!("Installing {requirements} locked requirements")
        }
        Progress::Installing { requirements, locked: false } => {
            format!("Installing {requirements} requirements")
        }
        Progress::Checking => "Checking the environment".to_owned(),
        Progress::Ready { packages, .. } => format!("The environment is ready with {packages} packages"),
        Progress::Line(line) => line.clone(),
        // News of a later version, which this one has no words for.
        _ => "Working".to_owned(),
    }
}

/// One line each: name, language, folder. Those that come with rnbexec are listed though they are not installed yet.
fn as_table(catalog: &Catalog) -> String {
    let installed = |name: &str| catalog.kernels.iter().any(|kernel| kernel.name == name);
    let made_when_used = SHIPPED_KERNELS.iter().filter(|kernel| !installed(kernel.name)).map(|kernel| {
        [kernel.name, "python", "-", "(comes with rnbexec; made when it is first used)"].map(str::to_owned)
    });
    let rows: Vec<[String; 4]> = catalog.kernels.iter().map(row).chain(made_when_used).collect();
    let header = ["NAME", "LANGUAGE", "TITLE", "FOLDER"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let [name, language, title] = [width(0), width(1), width(2)];
    let mut table = String::new();
    for [a, b, c, d] in [&header].into_iter().chain(&rows) {
        writeln!(table, "{a:name$}  {b:language$}  {c:title$}  {d}")
            .expect("writing to a String does not fail");
    }
    if catalog.kernels.is_empty() {
        table.push_str("No kernel is installed. Make one: rnbexec kernel install python3\n");
    }
    table
}

fn row(spec: &Kernelspec) -> [String; 4] {
    [spec.name.clone(), spec.language.clone(), spec.display_name.clone(), spec.dir.display().to_string()]
        .map(|text| crate::sanitise::sanitise_line(&text))
}

/// In the form of `jupyter kernelspec list --json`.
fn as_json(catalog: &Catalog) -> String {
    let spec = |spec: &Kernelspec| {
        let interrupt_mode = match spec.interrupt_mode {
            InterruptMode::Signal => "signal",
            InterruptMode::Message => "message",
        };
        json!({
            "resource_dir": spec.dir,
            "spec": {
                "argv": spec.argv,
                "env": spec.env,
                "display_name": spec.display_name,
                "language": spec.language,
                "interrupt_mode": interrupt_mode,
                "metadata": spec.metadata,
            },
        })
    };
    let kernels: Map<String, Value> =
        catalog.kernels.iter().map(|kernel| (kernel.name.clone(), spec(kernel))).collect();
    format!("{:#}\n", json!({ "kernelspecs": kernels }))
}

fn print(text: &str) -> Result<(), Failure> {
    console::print(text).map_err(|error| Failure::because("cannot write to standard output", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let spec = Kernelspec {
            name: "ir".to_owned(),
            dir: "/k/ir".into(),
            argv: vec!["R".to_owned(), "{connection_file}".to_owned()],
            display_name: "R\u{1b}[2J\nx".to_owned(),
            language: "R".to_owned(),
            interrupt_mode: InterruptMode::Message,
            env: std::collections::BTreeMap::new(),
            metadata: json!({}),
        };
        Catalog { kernels: vec![spec], broken: Vec::new() }
    }

    #[test]
    fn a_table_has_a_line_for_each_kernel_and_no_strangers_control_characters() {
        let table = as_table(&catalog());
        let [header, ir, triage] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
        assert_eq!(header, "NAME            LANGUAGE  TITLE  FOLDER");
        assert_eq!(ir, "ir              R         R x    /k/ir");
        assert!(triage.starts_with("rnbexec-triage  python    -      (comes with rnbexec"), "{triage}");
    }

    #[test]
    fn the_json_is_that_of_jupyter_kernelspec_list() {
        let json: Value = serde_json::from_str(&as_json(&catalog())).unwrap();
        assert_eq!(json["kernelspecs"]["ir"]["resource_dir"], "/k/ir");
        assert_eq!(json["kernelspecs"]["ir"]["spec"]["interrupt_mode"], "message");
        assert_eq!(json["kernelspecs"]["ir"]["spec"]["argv"][0], "R");
    }

    #[test]
    fn without_kernels_the_table_says_how_to_get_one() {
        assert!(as_table(&Catalog::default()).contains("rnbexec kernel install"));
    }

    #[test]
    fn a_notebook_without_dependencies_is_told_from_an_unreadable_one() {
        let folder = tempfile::tempdir().unwrap();
        let notebook = |name: &str, source: &str| {
            let cell = json!({"cell_type": "code", "id": "a", "metadata": {}, "outputs": [],
                "execution_count": null, "source": source});
            let text = json!({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
            let path = folder.path().join(name);
            std::fs::write(&path, text.to_string()).unwrap();
            path
        };
        let plain = script(&notebook("plain.ipynb", "1 + 1")).unwrap_err();
        assert!(plain.what.contains("carries no dependencies"), "{plain:?}");
        let block = "# /// script\n# dependencies = [\"rich\"]\n# ///";
        assert_eq!(script(&notebook("block.ipynb", block)).unwrap().dependencies, ["rich"]);
        assert!(script(&folder.path().join("missing.ipynb")).unwrap_err().what.contains("missing.ipynb"));
    }
}

//! The notebooks and kernels that come with rnbexec keep the promises of their README files.

use std::path::{Path, PathBuf};

use rnbexec_kernel::provision::SHIPPED_KERNELS;
use rnbexec_notebook::{CellType, Notebook};
use rnbexec_tests::oracle;

fn notebooks() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = oracle::workspace().join("notebooks");
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .expect("the notebooks folder can be read")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ipynb"))
        .map(|path| (path.clone(), std::fs::read(&path).expect("a notebook can be read")))
        .collect();
    found.sort();
    assert!(found.len() >= 2, "{} holds {} notebooks", folder.display(), found.len());
    found
}

fn parse(path: &Path, bytes: &[u8]) -> Notebook {
    let parsed = Notebook::parse(bytes, &mut || "fresh".to_owned())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(parsed.quirks.is_empty(), "{} is off-spec: {:?}", path.display(), parsed.quirks);
    parsed.notebook
}

#[test]
fn notebooks_are_kept_in_the_bytes_that_nbformat_writes() {
    for (path, bytes) in notebooks() {
        assert!(parse(&path, &bytes).to_vec() == bytes, "{} is not in canonical bytes", path.display());
    }
}

#[test]
fn notebooks_are_kept_without_outputs_and_have_one_parameters_cell() {
    for (path, bytes) in notebooks() {
        let notebook = parse(&path, &bytes);
        for cell in notebook.cells().iter().filter(|cell| cell.cell_type() == CellType::Code) {
            let clean = cell.outputs().is_empty() && cell.execution_count().is_none();
            assert!(clean, "{}: cell {} was run", path.display(), cell.id());
        }
        let tagged = notebook.cells().iter().filter(|cell| cell.has_tag("parameters")).count();
        assert_eq!(tagged, 1, "{}", path.display());
    }
}

#[test]
fn every_notebooks_kernel_is_shipped_or_plain_python() {
    for (path, bytes) in notebooks() {
        let notebook = parse(&path, &bytes);
        let kernel = notebook.kernel_name().unwrap_or_default();
        let shipped = SHIPPED_KERNELS.iter().any(|shipped| shipped.name == kernel);
        assert!(shipped || kernel == "python3", "{}: kernel {kernel:?}", path.display());
    }
}

#[test]
fn every_kernel_folder_is_embedded_and_the_other_way_round() {
    let mut folders: Vec<String> = std::fs::read_dir(oracle::workspace().join("kernels"))
        .expect("the kernels folder can be read")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.join("kernel.json").is_file())
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    folders.sort();
    let mut embedded: Vec<&str> = SHIPPED_KERNELS.iter().map(|kernel| kernel.name).collect();
    embedded.sort_unstable();
    assert_eq!(folders, embedded);
}

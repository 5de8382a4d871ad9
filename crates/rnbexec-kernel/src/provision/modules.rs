//! A kernel's own Python modules: small files beside its `kernel.json` that its notebooks import by name.
//!
//! A kernelspec names them by its metadata, `{"rnbexec": {"modules": ["helper.py"]}}`. They are copied to
//! `<environment>/rnbexec-modules/<digest>/`, which is the kernel's `PYTHONPATH`. So a changed module takes no new environment,
//! which may be hundreds of megabytes, and a kernel that runs keeps those it began with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::ProvisionError;
use crate::kernelspec::Kernelspec;

/// Tells copies that one process makes at the same time apart.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Source text by file name.
pub(super) type Modules = BTreeMap<String, String>;

/// The files that a kernelspec's metadata names.
pub(super) fn names(kernel: &str, metadata: &Value) -> Result<Vec<String>, ProvisionError> {
    let wrong = |reason: String| ProvisionError::Kernelspec { kernel: kernel.to_owned(), reason };
    match &metadata["rnbexec"]["modules"] {
        Value::Null => Ok(Vec::new()),
        Value::Array(files) => files
            .iter()
            .map(|file| match file.as_str() {
                Some(file) if is_module(file) => Ok(file.to_owned()),
                _ => Err(wrong(format!("its module {file} is not named like `name.py`"))),
            })
            .collect(),
        other => Err(wrong(format!("its modules are {other}, not a list"))),
    }
}

/// Reads the modules that lie beside a `kernel.json`.
pub(super) async fn read(spec: &Kernelspec) -> Result<Modules, ProvisionError> {
    let mut modules = Modules::new();
    for name in names(&spec.name, &spec.metadata)? {
        let path = spec.dir.join(&name);
        let text = tokio::fs::read_to_string(&path)
            .await
            .map_err(|source| ProvisionError::io("read", &path, source))?;
        modules.insert(name, text);
    }
    Ok(modules)
}

/// The folder with these modules in the environment at `environment`; written if it is not there. `None` if there are none.
pub(super) async fn provide(
    environment: &Path,
    modules: &Modules,
) -> Result<Option<PathBuf>, ProvisionError> {
    if modules.is_empty() {
        return Ok(None);
    }
    let all = environment.join("rnbexec-modules");
    let dir = all.join(digest(modules));
    if tokio::fs::try_exists(&dir).await.unwrap_or(false) {
        return Ok(Some(dir));
    }
    // Written aside and renamed: whoever sees the folder sees all of it.
    let staged = all.join(format!("{}-{}.tmp", std::process::id(), COPIES.fetch_add(1, Ordering::Relaxed)));
    tokio::fs::create_dir_all(&staged)
        .await
        .map_err(|source| ProvisionError::io("create", &staged, source))?;
    for (name, text) in modules {
        let path = staged.join(name);
        tokio::fs::write(&path, text).await.map_err(|source| ProvisionError::io("write", &path, source))?;
    }
    match tokio::fs::rename(&staged, &dir).await {
        Ok(()) => Ok(Some(dir)),
        // Another process was faster; its copy is the same.
        Err(_) if tokio::fs::try_exists(&dir).await.unwrap_or(false) => {
            tokio::fs::remove_dir_all(&staged)
                .await
                .map_err(|source| ProvisionError::io("remove", &staged, source))?;
            Ok(Some(dir))
        }
        Err(source) => Err(ProvisionError::io("create", &dir, source)),
    }
}

fn digest(modules: &Modules) -> String {
    let mut hash = Sha256::new();
    for text in modules.iter().flat_map(|(name, source)| [name, source]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all text");
        hex
    })
}

/// A plain file name that Python can import, so that it neither leaves the folder nor hides in it.
fn is_module(file: &str) -> bool {
    file.strip_suffix(".py").is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_plain_file_that_python_can_import() {
        let named = |files: Value| names("k", &serde_json::json!({"rnbexec": {"modules": files}}));
        assert_eq!(named(serde_json::json!(["a.py", "_b2.py"])).unwrap(), ["a.py", "_b2.py"]);
        assert_eq!(names("k", &Value::Null).unwrap(), [""; 0]);
        for file in ["../a.py", "a/b.py", "/a.py", "a", ".py", "2a.py", "a-b.py", "a.py.pyc", "a.b.py", ""] {
            assert!(named(serde_json::json!([file])).is_err(), "{file}");
        }
        assert!(named(serde_json::json!("a.py")).is_err() && named(serde_json::json!([1])).is_err());
    }
}

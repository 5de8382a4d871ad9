//! A kernel's own Python modules: small files beside its `kernel.json`, put into its environment.
//!
//! A kernelspec names them by its metadata, `{"rnbexec": {"modules": ["helper.py"]}}`. They lie in its folder, and a
//! notebook on that kernel imports them by name. They belong to what identifies the environment, as its requirements do.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::error::ProvisionError;
use crate::kernelspec::Kernelspec;

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

/// Writes them where the environment's packages lie.
pub(super) async fn write(packages: &Path, modules: &Modules) -> Result<(), ProvisionError> {
    for (name, text) in modules {
        let path = packages.join(name);
        tokio::fs::write(&path, text).await.map_err(|source| ProvisionError::io("write", &path, source))?;
    }
    Ok(())
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

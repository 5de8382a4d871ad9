//! A requirements file, read as far as an environment needs it: is it locked, does it bring a kernel, what identifies it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pep440_rs::VersionSpecifiers;
use sha2::{Digest, Sha256};

use super::modules::Modules;
use super::script::ScriptMetadata;

/// The hash-pinned ipykernel that every environment gets unless its own requirements bring one. Made by
/// `uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --no-annotate ipykernel.in`.
pub(super) const IPYKERNEL_LOCK: &str = include_str!("ipykernel.txt");

/// The oldest Python the locked ipykernel runs on.
pub(super) const OLDEST_PYTHON: (u64, u64) = (3, 10);

/// Part of every fingerprint: raised when environments made by older versions must not be reused.
const GENERATION: &str = "rnbexec environment 1";

/// What an environment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirements {
    /// The requirements file, as given to the installer.
    pub(super) text: String,
    /// The Python versions it is for; `None`: whatever the locked ipykernel runs on.
    pub(super) requires_python: Option<VersionSpecifiers>,
    /// Files of the kernel's own that are importable in it. They do not identify the environment.
    pub(super) modules: Modules,
}

/// Why a requirements file cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequirementsError {
    /// It points at other files, so that its text alone does not say what gets installed.
    #[error("the requirements are not self-contained: {0:?}")]
    NotSelfContained(String),
}

impl Requirements {
    /// Only the locked ipykernel.
    pub(super) fn ipykernel() -> Self {
        Self { text: IPYKERNEL_LOCK.to_owned(), requires_python: None, modules: Modules::new() }
    }

    /// A requirements file; the locked ipykernel is added unless the file brings its own.
    pub(super) fn from_file(text: &str) -> Result<Self, RequirementsError> {
        for line in logical_lines(text) {
            if refers_elsewhere(&line) {
                return Err(RequirementsError::NotSelfContained(line));
            }
        }
        Ok(Self { text: with_ipykernel(text), requires_python: None, modules: Modules::new() })
    }

    /// The dependencies of a notebook, resolved when the environment is made.
    pub(super) fn from_script(script: &ScriptMetadata) -> Self {
        if script.dependencies.is_empty() && script.requires_python.is_none() {
            return Self::ipykernel();
        }
        Self {
            text: with_ipykernel(&script.dependencies.join("\n")),
            requires_python: script.requires_python.clone(),
            modules: Modules::new(),
        }
    }

    /// With modules of the kernel's own.
    pub(super) fn with_modules(self, modules: Modules) -> Self {
        Self { modules, ..self }
    }

    /// Whether each package is pinned by hash, so that nothing but those very files may be installed.
    pub(super) fn is_locked(&self) -> bool {
        is_locked(&self.text)
    }

    /// How many requirements there are (in a lock for several platforms, more than get installed).
    pub(super) fn len(&self) -> usize {
        logical_lines(&self.text).iter().filter(|line| !line.starts_with('-')).count()
    }

    /// Identifies the environment: equal inputs give equal fingerprints on every machine of one kind. Comments and
    /// layout do not count. `base` is the interpreter that was asked for by path, if one was.
    pub(super) fn fingerprint(&self, base: Option<&std::path::Path>) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &[u8]| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        field(GENERATION.as_bytes());
        field(std::env::consts::OS.as_bytes());
        field(std::env::consts::ARCH.as_bytes());
        field(self.requires_python.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes());
        field(base.map(|base| base.as_os_str().as_encoded_bytes()).unwrap_or_default());
        for line in logical_lines(&self.text) {
            field(line.as_bytes());
        }
        hash.finalize().iter().take(6).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes all text");
            hex
        })
    }
}

/// Lines without comments, continuation lines joined, blank ones dropped (pip's "requirements file format").
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let code = line.split(" #").next().unwrap_or_default().trim();
        let (part, continues) = code.strip_suffix('\\').map_or((code, false), |part| (part.trim_end(), true));
        if !open.is_empty() && !part.is_empty() {
            open.push(' ');
        }
        open.push_str(part);
        if !continues && !open.is_empty() {
            lines.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        lines.push(open);
    }
    lines
}

fn is_locked(text: &str) -> bool {
    logical_lines(text).iter().any(|line| line.contains(" --hash="))
}

fn refers_elsewhere(line: &str) -> bool {
    let includes = ["-r", "-c", "-e", "--requirement", "--constraint", "--editable"];
    let first = line.split([' ', '=']).next().unwrap_or_default();
    includes.contains(&first) || line.starts_with("./") || line.starts_with("../")
}

/// The project a requirement names, in the normal form of PEP 503.
fn project(line: &str) -> Option<String> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(line.len());
    let name = &line[..end];
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut normal = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    Some(normal)
}

/// Adds ipykernel where the requirements lack it: pinned to a lock, unpinned to requirements that are not pinned
/// either. In a lock, what both name stays as the file has it, and the installer refuses what does not fit together.
fn with_ipykernel(text: &str) -> String {
    let named: BTreeSet<String> = logical_lines(text).iter().filter_map(|line| project(line)).collect();
    let mut text = text.to_owned();
    if named.contains("ipykernel") {
        return text;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if is_locked(&text) {
        for line in logical_lines(IPYKERNEL_LOCK) {
            if project(&line).is_some_and(|name| !named.contains(&name)) {
                text.push_str(&line);
                text.push('\n');
            }
        }
    } else {
        text.push_str("ipykernel\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Requirements {
        Requirements::from_file(text).unwrap()
    }

    #[test]
    fn the_embedded_lock_is_locked_and_brings_ipykernel() {
        let plain = Requirements::ipykernel();
        assert!(plain.is_locked());
        assert_eq!(file(IPYKERNEL_LOCK), plain);
        assert!(logical_lines(IPYKERNEL_LOCK).iter().all(|line| line.contains(" --hash=sha256:")));
    }

    #[test]
    fn a_fingerprint_ignores_comments_and_layout() {
        let wide = "# made by uv\nipykernel==7.4.0 \\\n    --hash=sha256:00  # why\n\n";
        let flat = "ipykernel==7.4.0 --hash=sha256:00\n";
        assert_eq!(file(wide).fingerprint(None), file(flat).fingerprint(None));
        assert_eq!(file(flat).fingerprint(None).len(), 12);
    }

    #[test]
    fn a_fingerprint_differs_by_requirement_python_and_interpreter() {
        let script = |python: Option<&str>| {
            Requirements::from_script(&ScriptMetadata {
                dependencies: vec!["rich".into()],
                requires_python: python.map(|text| text.parse().unwrap()),
            })
        };
        let all = [
            file("rich\n").fingerprint(Some("/usr/bin/python3".as_ref())),
            script(None).fingerprint(None),
            script(Some(">=3.11")).fingerprint(None),
            script(Some(">=3.12")).fingerprint(None),
            file("attrs\n").fingerprint(None),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn loose_requirements_get_an_unpinned_ipykernel_unless_they_bring_one() {
        assert_eq!(file("pandas>=2").text, "pandas>=2\nipykernel\n");
        assert_eq!(file("IPyKernel<8\n").text, "IPyKernel<8\n");
        assert!(!file("pandas>=2").is_locked());
    }

    #[test]
    fn a_lock_gets_the_pins_it_lacks_and_keeps_its_own() {
        let lock = file("Tornado==6.4 --hash=sha256:aa\n");
        assert!(lock.text.starts_with("Tornado==6.4 --hash=sha256:aa\n"));
        assert!(!lock.text.contains("\ntornado=="));
        assert!(lock.text.contains("\nipykernel==7.4.0"));
        assert!(lock.is_locked());
    }

    #[test]
    fn a_file_that_points_at_other_files_is_refused() {
        for line in ["-r base.txt", "--constraint=c.txt", "-e .", "./wheels/x.whl"] {
            let error = Requirements::from_file(&format!("rich\n{line}\n")).unwrap_err();
            assert_eq!(error, RequirementsError::NotSelfContained(line.into()));
        }
        assert!(Requirements::from_file("--index-url https://example.org/simple\nrich\n").is_ok());
    }

    #[test]
    fn project_names_are_compared_in_normal_form() {
        assert_eq!(project("Jupyter_Client[test]>=8").as_deref(), Some("jupyter-client"));
        assert_eq!(project("a..B ; python_version < '4'").as_deref(), Some("a-b"));
        assert_eq!(project("--index-url x"), None);
    }
}

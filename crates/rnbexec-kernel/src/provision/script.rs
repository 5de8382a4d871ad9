//! A notebook's own dependencies: the PEP 723 block.
//!
//! Source: PEP 723 (now the "Inline script metadata" specification), and juv, which keeps the block in a code cell of
//! the notebook:
//!
//! ```text
//! # /// script
//! # requires-python = ">=3.11"
//! # dependencies = ["requests<3", "rich"]
//! # ///
//! ```
//!
//! The first code cell that holds a block counts. Keys other than the two above (`[tool.…]`) belong to other tools.

use std::str::FromStr;

use pep440_rs::VersionSpecifiers;
use serde::Deserialize;

/// What the PEP 723 block of a notebook asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptMetadata {
    /// PEP 508 requirements, as written.
    pub dependencies: Vec<String>,
    /// The Python versions the notebook says it runs on, such as `>=3.11`.
    pub requires_python: Option<VersionSpecifiers>,
}

/// Why a PEP 723 block cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// PEP 723 forbids a second block in one source: which one counts would be a guess.
    #[error("a code cell holds more than one `# /// script` block")]
    Several,
    /// The block is not the TOML it must be.
    #[error("the notebook's `# /// script` block is not valid TOML")]
    Toml(#[source] Box<toml::de::Error>),
    /// `requires-python` is no version specifier.
    #[error("`requires-python = {text:?}` is no Python version specifier")]
    RequiresPython {
        /// The value as written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: pep440_rs::VersionSpecifiersParseError,
    },
    /// A dependency is no requirement (an option of the installer, or several lines).
    #[error("the dependency {0:?} is no requirement such as `pandas>=2`")]
    Dependency(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Block {
    #[serde(default)]
    dependencies: Vec<String>,
    requires_python: Option<String>,
}

impl ScriptMetadata {
    /// Finds the block in a notebook's code cells, given in order; `None` if no cell has one.
    pub fn find<'a>(code_cells: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, ScriptError> {
        for source in code_cells {
            if let Some(text) = block(source)? {
                return Self::parse(&text).map(Some);
            }
        }
        Ok(None)
    }

    fn parse(text: &str) -> Result<Self, ScriptError> {
        let block: Block = toml::from_str(text).map_err(|error| ScriptError::Toml(Box::new(error)))?;
        if let Some(odd) = block.dependencies.iter().find(|line| !is_requirement(line)) {
            return Err(ScriptError::Dependency(odd.clone()));
        }
        let requires_python = match block.requires_python {
            None => None,
            Some(text) => Some(
                VersionSpecifiers::from_str(&text)
                    .map_err(|source| ScriptError::RequiresPython { text, source })?,
            ),
        };
        Ok(Self { dependencies: block.dependencies, requires_python })
    }
}

/// The lines become a requirements file, where a leading or later `-x` would be an option of the installer
/// (`--index-url …`) instead of a requirement.
fn is_requirement(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !line.contains(char::is_control)
        && !line.contains(" -")
}

/// The TOML text of the `script` block. The block runs to the last `# ///` of the run of comment lines that follows
/// its opening; a block that is never closed is no block.
fn block(source: &str) -> Result<Option<String>, ScriptError> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = None;
    let mut at = 0;
    while at < lines.len() {
        let kind = lines[at]
            .strip_prefix("# /// ")
            .filter(|kind| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        at += 1;
        let Some(kind) = kind else { continue };
        let comments = lines[at..].iter().take_while(|line| **line == "#" || line.starts_with("# ")).count();
        let Some(length) = lines[at..at + comments].iter().rposition(|line| *line == "# ///") else {
            continue;
        };
        if kind == "script" {
            if found.is_some() {
                return Err(ScriptError::Several);
            }
            let text: Vec<&str> =
                lines[at..at + length].iter().map(|line| line.strip_prefix("# ").unwrap_or("")).collect();
            found = Some(text.join("\n"));
        }
        at += length + 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(cells: &[&str]) -> Result<Option<ScriptMetadata>, ScriptError> {
        ScriptMetadata::find(cells.iter().copied())
    }

    #[test]
    fn the_first_cell_with_a_block_counts() {
        let cells = [
            "import this",
            "# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"rich\",\n#\n#   \"attrs>=23 ; python_version < '4'\",\n# ]\n# ///\nprint()",
            "# /// script\n# dependencies = [\"other\"]\n# ///",
        ];
        let found = find(&cells).unwrap().unwrap();
        assert_eq!(found.dependencies, ["rich", "attrs>=23 ; python_version < '4'"]);
        assert_eq!(found.requires_python.unwrap().to_string(), ">=3.11");
    }

    #[test]
    fn other_blocks_unclosed_blocks_and_plain_comments_are_no_script() {
        for source in [
            "# /// pyproject\n# dependencies = []\n# ///",
            "# /// script\n# dependencies = []\nprint()\n# ///",
            "# /// script\n# dependencies = []",
            " # /// script\n # ///",
            "# ///script\n# ///",
        ] {
            assert_eq!(find(&[source]).unwrap(), None, "{source}");
        }
    }

    #[test]
    fn the_block_runs_to_the_last_closing_line_of_the_comment() {
        let source = "# /// script\n# dependencies = [\"a\"]\n# text = '''\n# ///\n# '''\n# ///";
        assert_eq!(find(&[source]).unwrap().unwrap().dependencies, ["a"]);
    }

    #[test]
    fn tool_tables_are_left_to_their_tools() {
        let source = "# /// script\n# dependencies = [\"a\"]\n# [tool.uv]\n# exclude-newer = \"2026-01-01T00:00:00Z\"\n# ///";
        assert_eq!(find(&[source]).unwrap().unwrap().dependencies, ["a"]);
    }

    #[test]
    fn two_blocks_in_one_cell_are_an_error() {
        let block = "# /// script\n# dependencies = []\n# ///\n";
        assert!(matches!(find(&[&format!("{block}\n{block}")]), Err(ScriptError::Several)));
    }

    #[test]
    fn bad_toml_bad_versions_and_installer_options_are_errors() {
        assert!(matches!(find(&["# /// script\n# dependencies = [\n# ///"]), Err(ScriptError::Toml(_))));
        assert!(matches!(
            find(&["# /// script\n# requires-python = \"three\"\n# ///"]),
            Err(ScriptError::RequiresPython { .. })
        ));
        for odd in ["--index-url https://example.org", "-e .", "rich --no-deps", "rich\\n-e .", ""] {
            let source = format!("# /// script\n# dependencies = [\"{odd}\"]\n# ///");
            assert!(matches!(find(&[&source]), Err(ScriptError::Dependency(_))), "{odd}");
        }
    }
}

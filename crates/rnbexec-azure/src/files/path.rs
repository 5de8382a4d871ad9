//! The path of a file on a share, checked once.

use std::fmt;

use uuid::Uuid;

use crate::AzureError;

const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 2048;

/// One or more names that Azure Files takes, none of which leads anywhere but down.
///
/// Source: "Naming and referencing shares, directories, files, and metadata" of the Azure Storage REST reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePath(Vec<String>);

impl FilePath {
    pub(super) fn parse(text: &str) -> Result<Self, AzureError> {
        let names: Vec<String> = text.split('/').map(str::to_owned).collect();
        let problem = names.iter().find_map(|name| problem(name));
        let problem = problem.or((text.encode_utf16().count() > LONGEST_PATH).then_some("it is too long"));
        match problem {
            None => Ok(Self(names)),
            Some(problem) => {
                Err(AzureError::settings(format!("{text:?} is no path on a file share: {problem}")))
            }
        }
    }

    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }

    /// The directories above it, the topmost first.
    pub(super) fn parents(&self) -> impl Iterator<Item = &[String]> {
        (1..self.0.len()).map(|depth| &self.0[..depth])
    }

    /// A name beside it for what is not whole yet: `<name>.<nonce>.part`.
    pub(super) fn part(&self, nonce: Uuid) -> Self {
        let mut names = self.0.clone();
        if let Some(name) = names.last_mut() {
            let ending = format!(".{}.part", nonce.simple());
            // The end of a long name makes room.
            while name.encode_utf16().count() + ending.len() > LONGEST_NAME {
                name.pop();
            }
            name.push_str(&ending);
        }
        Self(names)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name in it is empty")
    } else if name.encode_utf16().count() > LONGEST_NAME {
        Some("a name in it is too long")
    } else if name.ends_with(['.', ' ']) {
        Some("a name in it ends with a dot or a space")
    } else if name.contains(|character: char| character.is_control() || "\"\\:|<>*?".contains(character)) {
        Some("a name in it has a character that no file there can have")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_down_only() {
        for text in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a:b", "a\nb", "a/b?", "a."] {
            assert!(FilePath::parse(text).is_err(), "{text:?}");
        }
        assert!(FilePath::parse(&"a".repeat(256)).is_err());
        assert!(FilePath::parse(&format!("{}a", "a/".repeat(1100))).is_err());
    }

    #[test]
    fn folders_are_made_from_the_top() {
        let path = FilePath::parse("Users/Triage Nbs/ä.ipynb").unwrap();
        let parents: Vec<String> = path.parents().map(|names| names.join("/")).collect();
        assert_eq!(parents, ["Users", "Users/Triage Nbs"]);
    }

    #[test]
    fn a_part_lies_beside_its_file_and_fits() {
        let nonce = Uuid::nil();
        let part = FilePath::parse("a/b.ipynb").unwrap().part(nonce);
        assert_eq!(part.to_string(), "a/b.ipynb.00000000000000000000000000000000.part");
        let long = FilePath::parse(&"ä".repeat(255)).unwrap().part(nonce).to_string();
        assert_eq!(long.chars().count(), 255);
    }
}

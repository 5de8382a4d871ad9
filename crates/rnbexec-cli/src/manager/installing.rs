//! What an installer says, in a few lines: pip tells two for each of a hundred packages.

/// Takes the lines of an installation.
#[derive(Debug, Default)]
pub(crate) struct Installing {
    /// How many packages were fetched.
    packages: usize,
    last: String,
}

/// A word about every so many packages.
const EVERY: usize = 25;

/// How lines begin that say nothing to whoever waits: pip's and uv's.
const CHATTER: [&str; 14] = [
    "Ignoring ",
    "Requirement already satisfied",
    "Looking in ",
    "Downloading ",
    "Using cached ",
    "Preparing metadata",
    "Getting requirements",
    "Installing build dependencies",
    "Attempting uninstall",
    "Found existing installation",
    "Uninstalling ",
    "Successfully ",
    "+ ",
    "━",
];

impl Installing {
    /// What is to be shown of a line, if anything.
    pub(crate) fn digest(&mut self, line: &str) -> Option<String> {
        let line = line.trim();
        if line.starts_with("Collecting ") {
            self.packages += 1;
            return self
                .packages
                .is_multiple_of(EVERY)
                .then(|| format!("  {} packages so far", self.packages));
        }
        if line.starts_with("Installing collected packages") {
            return Some(format!("  {} packages fetched, unpacking them", self.packages));
        }
        if line.is_empty() || line == self.last || CHATTER.iter().any(|chatter| line.starts_with(chatter)) {
            return None;
        }
        line.clone_into(&mut self.last);
        Some(line.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_installation_a_few_lines_remain() {
        let mut installing = Installing::default();
        let mut said = Vec::new();
        said.extend(installing.digest("installing 60 locked requirements"));
        for package in 0..60 {
            said.extend(installing.digest(&format!("Collecting p{package}==1 (from -r x (line 1))")));
            said.extend(installing.digest("  Downloading p-1.whl (15 kB)"));
        }
        said.extend(installing.digest("Installing collected packages: a, b"));
        said.extend(installing.digest("  WARNING: something"));
        said.extend(installing.digest("  WARNING: something"));
        let expected = [
            "installing 60 locked requirements",
            "  25 packages so far",
            "  50 packages so far",
            "  60 packages fetched, unpacking them",
            "WARNING: something",
        ];
        assert_eq!(said, expected);
    }
}

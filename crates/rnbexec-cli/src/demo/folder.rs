//! The demo's folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rnbexec_azure::sentinel::{Incident, IncidentRef};
use rnbexec_manager::bundle::Bundle;
use rnbexec_manager::ledger::Case;
use rnbexec_manager::shipped;

use crate::exit;
use crate::failure::Failure;
use crate::manager::args::{Chosen, DemoArgs};

/// Where the reports lie.
pub(super) const REPORTS: &str = "reports";

const CONFIGURATION: &str = "manager.toml";

/// What the configuration begins with: by it the folder is known for ours.
const MARK: &str = "# Made by `rnbexec demo`";

/// Everything that the demo makes, besides the configuration.
const OURS: [&str; 6] = ["data", "incidents", REPORTS, "state", "written", "index.html"];
const LOG: &str = "notebook_execution.log";

/// See the module.
pub(super) struct Folder {
    path: PathBuf,
    /// As it was named.
    shown: PathBuf,
    incidents: Vec<Incident>,
}

impl Folder {
    /// Makes the folder, or takes the one of an earlier demo. A folder of somebody else is left alone.
    pub(super) fn make(args: &DemoArgs) -> Result<Self, Failure> {
        let shown = args.folder.clone();
        let path = std::path::absolute(&shown).map_err(|error| cannot_make(&shown, &error))?;
        let data = path.join("data");
        let Some(data_text) = data.to_str() else {
            return Err(Failure::new(format!("the folder {} has a name that is no text", path.display())));
        };
        if !is_ours(&path).map_err(|error| cannot_make(&shown, &error))? {
            return Err(Failure::new(format!("{} is there already, and no demo made it", shown.display()))
                .help("name another folder: `rnbexec demo FOLDER`"));
        }
        fs::create_dir_all(&path).map_err(|error| cannot_make(&shown, &error))?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // One more than can run: a notebook waits now and then, for its kernel or for what is written.
        let jobs = args.jobs.map_or(cores + 1, usize::from);
        // First of all, so that a demo that ends here is known for one.
        write(&path.join(CONFIGURATION), configuration(data_text, jobs).as_bytes())?;
        if args.again {
            clear(&path)?;
        }
        shipped::unpack(&data).map_err(|error| cannot_make(&data, &error))?;
        let bundles = shipped::incidents();
        for bundle in &bundles {
            write(&path.join("incidents").join(format!("{}.json", name(bundle))), &bundle.to_vec())?;
        }
        let incidents = bundles.into_iter().map(|bundle| bundle.incident).collect();
        Ok(Self { path, shown, incidents })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reports(&self) -> PathBuf {
        self.path.join(REPORTS)
    }

    /// The configuration's path and text.
    pub(super) fn configuration(&self) -> Result<(PathBuf, String), Failure> {
        let path = self.path.join(CONFIGURATION);
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::because(format!("cannot read {}", path.display()), &error))?;
        Ok((path, text))
    }

    /// The configuration's path as people type it.
    pub(super) fn configuration_shown(&self) -> String {
        self.shown.join(CONFIGURATION).display().to_string()
    }

    /// The incidents that were asked for.
    pub(super) fn chosen(&self, chosen: &Chosen) -> Result<Vec<IncidentRef>, Failure> {
        match chosen {
            Chosen::First(count) => {
                let names = self.incidents.iter().take(*count).filter_map(|incident| incident.name().ok());
                Ok(names.map(IncidentRef::Name).collect())
            }
            Chosen::Numbers(numbers) => {
                let known: Vec<u64> = self.incidents.iter().filter_map(Incident::number).collect();
                match numbers.iter().find(|number| !known.contains(number)) {
                    None => Ok(numbers.iter().map(|number| IncidentRef::Number(*number)).collect()),
                    Some(unknown) => {
                        let (least, most) = (known.iter().min(), known.iter().max());
                        let range = format!("{} to {}", least.unwrap_or(&0), most.unwrap_or(&0));
                        Err(Failure::new(format!("no incident {unknown} is part of the demo"))
                            .code(exit::USAGE)
                            .help(format!("their numbers go from {range}; incidents/*.json holds them all")))
                    }
                }
            }
        }
    }

    /// The name of a case's report, which the configuration gives the published ones.
    pub(super) fn report_name(case: &Case) -> String {
        format!("incident-{}.html", case.facts.called())
    }
}

/// Whether a demo may use this folder: it is not there, empty, or a demo made it.
fn is_ours(path: &Path) -> std::io::Result<bool> {
    let mut entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if entries.next().is_none() {
        return Ok(true);
    }
    match fs::read_to_string(path.join(CONFIGURATION)) {
        Ok(text) => Ok(text.starts_with(MARK)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what an earlier demo made, and nothing else.
fn clear(path: &Path) -> Result<(), Failure> {
    for name in OURS.iter().chain([&LOG]) {
        let path = path.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Failure::because(format!("cannot remove {}", path.display()), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn cannot_make(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot make the folder {}", path.display()), error)
}

/// Writes a file, with its folder.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, content))
        .map_err(|error| Failure::because(format!("cannot write {}", path.display()), &error))
}

/// The number that people know the incident by.
fn name(bundle: &Bundle) -> String {
    match bundle.incident.number() {
        Some(number) => number.to_string(),
        None => bundle.incident.name().map(|name| name.to_string()).unwrap_or_default(),
    }
}

fn configuration(data: &str, jobs: usize) -> String {
    format!(
        "{MARK}, and made anew by each. The other commands of the manager work with it too:
#   rnbexec manager status --config manager.toml
#   rnbexec manager show 1022 --config manager.toml
#   rnbexec manager once --config manager.toml --incident 1022 --again
# `rnbexec manager init` writes a file in which every setting is explained.

[source]
kind = \"folder\"

[source.folder]
path = \"incidents\"
# What would be written to Sentinel: the changed incidents and their comments.
output = \"written\"

[run]
jobs = {jobs}
keep = \"all\"

[run.parameters]
# The tables that the notebook reads in place of a workspace.
data_dir = {}

[publish]
to = \"folder\"
file = \"incident-{{incident_number}}.ipynb\"

[publish.folder]
path = \"{REPORTS}\"

[state]
folder = \"state\"

[log]
file = \"{LOG}\"
",
        quoted(data)
    )
}

/// A basic string of TOML: JSON's, but for one character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo");
        assert!(is_ours(&path).unwrap(), "not there");
        fs::create_dir(&path).unwrap();
        assert!(is_ours(&path).unwrap(), "empty");
        fs::write(path.join("thesis.txt"), "").unwrap();
        assert!(!is_ours(&path).unwrap());
        fs::write(path.join(CONFIGURATION), "[run]\n").unwrap();
        assert!(!is_ours(&path).unwrap());
        fs::write(path.join(CONFIGURATION), configuration("/d", 1)).unwrap();
        assert!(is_ours(&path).unwrap());
    }

    #[test]
    fn clearing_removes_only_what_a_demo_makes() {
        let folder = tempfile::tempdir().unwrap();
        for name in OURS {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("mine.txt"), "").unwrap();
        clear(folder.path()).unwrap();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mine.txt"]);
    }

    #[test]
    fn any_path_can_be_a_parameter() {
        use rnbexec_manager::config::{Config, ConfigSources};

        let path = "/a \"b\"\\c\u{7f}\n/ü";
        let file = Some((PathBuf::from("/x/manager.toml"), configuration(path, 3)));
        let config = Config::load(ConfigSources { file, ..ConfigSources::default() }).unwrap();
        let data = config.run.parameters.iter().find(|(name, _)| *name == "data_dir").unwrap().1;
        assert_eq!(data.as_str(), Some(path));
        assert_eq!(config.run.jobs, 3);
    }
}

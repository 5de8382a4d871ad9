//! Managers of a desk's world in processes of their own, and what people see of what they did.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::Desk;
use crate::azure::On;
use crate::wait_for;

impl Desk {
    /// A manager of this world in a process of its own: `program` is the built `crashing-manager`, `what` is `once` or `watch`,
    /// the settings come on top.
    pub fn process(&self, program: &str, what: &str, settings: &[(&str, &str)]) -> Command {
        // Written once: another may be reading it.
        let file = self.scratch.join("manager.toml");
        if fs::read_to_string(&file).ok().as_ref() != Some(&self.toml) {
            self.scratch.write("manager.toml", &self.toml);
        }
        let mut command = self.scratch.command(program);
        command.envs(self.env()).arg(what).arg(file);
        command.args(settings.iter().map(|(key, value)| format!("{key}={value}")));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What people see of the incidents: their properties, comments and tasks, without the times at which they were written,
    /// and which files there are.
    pub fn seen(&self) -> Value {
        let incidents = self.azure.incidents().into_iter().map(|incident| {
            let name = incident["name"].as_str().expect("an incident has a name");
            let mut properties = incident["properties"].clone();
            strip(&mut properties, "lastModifiedTimeUtc");
            let comments = self.azure.comments(name).into_iter().map(|comment| {
                json!({"name": comment["name"], "message": comment["properties"]["message"]})
            });
            let tasks = self.azure.tasks(name).into_iter().map(|task| {
                let properties = &task["properties"];
                json!({"name": task["name"], "title": properties["title"], "description": properties["description"],
                       "status": properties["status"]})
            });
            json!({"name": name, "properties": properties, "comments": comments.collect::<Vec<_>>(),
                   "tasks": tasks.collect::<Vec<_>>()})
        });
        let seen = json!({"incidents": incidents.collect::<Vec<_>>(),
                          "files": self.azure.files().into_keys().collect::<Vec<_>>()});
        // The comment names the notebook by where it lies; every world lies elsewhere.
        let text = seen.to_string().replace(&self.scratch.root().display().to_string(), "");
        serde_json::from_str(&text).expect("still JSON")
    }

    /// How often an incident's own properties were written.
    pub fn changes(&self, incident: &str) -> usize {
        let asked = self.azure.asked(&On::put(&format!("incidents/{incident}")));
        asked.iter().filter(|entry| entry.status.is_none_or(|status| status < 300)).count()
    }

    /// Checks that every published file is whole: notebooks that ran to their end, reports that are closed.
    ///
    /// # Panics
    /// With the name of one that is not.
    #[track_caller]
    pub fn expect_whole_files(&self) {
        for (path, bytes) in self.azure.files() {
            match Path::new(&path).extension().and_then(|end| end.to_str()) {
                Some("ipynb") => {
                    let notebook: Value = serde_json::from_slice(&bytes)
                        .unwrap_or_else(|error| panic!("{path} is no JSON: {error}"));
                    let ran = &notebook["metadata"]["papermill"];
                    assert!(ran["end_time"].is_string() && ran["exception"].is_null(), "{path}: {ran}");
                    assert!(notebook.to_string().contains("vnd.rnbexec.verdict"), "{path} has no verdict");
                }
                Some("html") => {
                    let page = String::from_utf8_lossy(&bytes);
                    assert!(page.trim_end().ends_with("</html>"), "{path} is cut off");
                }
                _ => panic!("nobody published {path}"),
            }
        }
    }

    /// Checks that a person can read every line of the log.
    ///
    /// # Panics
    /// With the first line of another form.
    #[track_caller]
    pub fn expect_readable_log(&self) {
        for line in self.log().lines() {
            let mut parts = line.splitn(3, ':');
            let (level, logger, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
            let known = matches!(level, Some("INFO" | "WARNING" | "ERROR")) && logger == Some("rnbexec");
            let (time, text) = rest.split_once(" - ").unwrap_or_default();
            assert!(known && time.ends_with('Z') && time.len() == 24 && !text.is_empty(), "{line:?}");
        }
    }

    /// Waits until no process of this world is alive. Kernels notice within a second or two that their manager was killed.
    ///
    /// # Panics
    /// When one lives on.
    #[track_caller]
    pub fn wait_until_alone(&self) {
        wait_for("every process of the world to end", Duration::from_secs(30), || {
            self.scratch.alive().is_empty().then_some(())
        });
    }
}

fn strip(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}

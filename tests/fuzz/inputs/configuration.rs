//! Any text as a manager's configuration, a comment's template and a template of a place: no panic, and every error can be told.

use rnbexec_manager::comment::Template;
use rnbexec_manager::config::{Config, ConfigSources};

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let sources = ConfigSources {
        working_folder: "/home/soc".into(),
        file: Some(("/etc/triage/manager.toml".into(), text.clone().into_owned())),
        variables: Vec::new(),
        overrides: Vec::new(),
    };
    match Config::load(sources) {
        Ok(config) => {
            drop(config.sentinel());
            drop(config.queue());
            drop(config.folder());
            drop(config.destination());
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.problems().is_empty()),
    }
    drop(Template::parse(&text));
}

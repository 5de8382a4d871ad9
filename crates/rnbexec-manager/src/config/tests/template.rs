//! The file that `manager init` writes holds every setting, with the default that the program has.

use std::collections::BTreeSet;

use super::*;

/// A setting of the template.
#[derive(Debug)]
struct Line<'a> {
    /// With its section, `route[]` for a route's.
    key: String,
    /// The section's header.
    section: &'a str,
    /// `key = value`.
    text: &'a str,
    /// The lines around it, up to the next empty ones.
    paragraph: String,
}

/// The template's settings. A line with `#` and no blank behind it is one, or the header of a section.
fn lines() -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut section = "";
    for paragraph in TEMPLATE.split("\n\n") {
        for line in paragraph.lines() {
            let text = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
            if text.starts_with('[') {
                section = text;
            } else if let Some((key, _)) = text.split_once(" = ").filter(|_| !text.starts_with('#')) {
                let name = section.trim_matches(['[', ']']).replacen("route", "route[]", 1);
                let key = format!("{name}.{key}");
                lines.push(Line { key, section, text, paragraph: paragraph.to_lowercase() });
            }
        }
    }
    lines
}

/// The template with every setting in force.
fn in_force() -> String {
    let uncommented = TEMPLATE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    uncommented.collect::<Vec<_>>().join("\n")
}

#[test]
fn as_it_is_it_changes_nothing() {
    let sources = ConfigSources {
        file: Some((PathBuf::from("manager.toml"), TEMPLATE.to_owned())),
        ..ConfigSources::default()
    };
    assert_eq!(Config::load(sources).unwrap(), Config::default());
}

#[test]
fn it_holds_every_setting_there_is_and_no_other() {
    let (_, reader) = Config::read(sources(&in_force()));
    let known = reader.known();
    let is_section = |key: &String| {
        known.iter().any(|other| {
            other
                .strip_prefix(key.as_str())
                .is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]"))
        })
    };
    let settings: BTreeSet<String> = known.iter().filter(|key| !is_section(key)).cloned().collect();
    // The parameters themselves are the user's.
    let parameters = |key: String| match key.split_once(".parameters.") {
        Some((section, _)) => format!("{section}.parameters"),
        None => key,
    };
    let written: BTreeSet<String> = lines().into_iter().map(|line| parameters(line.key)).collect();
    assert_eq!(written, settings);

    let problems = reader.problems();
    let wrong: Vec<String> = problems.iter().map(ToString::to_string).collect();
    // Only what excludes each other on purpose is refused.
    assert_eq!(wrong.len(), 2, "{wrong:#?}");
    assert!(wrong[0].starts_with("source.queue.queue (manager.toml, line "), "{wrong:#?}");
    assert!(wrong[1].starts_with("run.work_folder (manager.toml, line "), "{wrong:#?}");
}

#[test]
fn each_setting_has_its_default_or_says_that_it_has_none() {
    let routes = |line: &&Line<'_>| !line.key.starts_with("route");
    for Line { key, section, text, paragraph } in lines().iter().filter(routes) {
        // One that makes no sense alone.
        let other = if key == "run.work_folder" { "isolate = 'files'" } else { "" };
        let with = |text: &str| {
            let file = Some((PathBuf::from("manager.toml"), format!("{section}\n{other}\n{text}")));
            Config::load(ConfigSources { file, ..ConfigSources::default() })
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let none = ["no default", "without default"].iter().any(|text| paragraph.contains(text));
        assert_eq!(with(text) != with(""), none, "{key}");
    }
}

#[test]
fn each_line_of_it_fits_a_wide_window() {
    for line in TEMPLATE.lines() {
        assert!(line.chars().count() <= 128, "{line}");
    }
}

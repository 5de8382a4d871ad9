//! papermill's warning about a file's extension. The file is used all the same.

use rnbexec::store::Location;

/// The extensions of notebooks.
pub(crate) const NOTEBOOK: &[&str] = &[".ipynb", ".json"];
/// The extensions of parameter files.
pub(crate) const PARAMETERS: &[&str] = &[".json", ".yaml", ".yml"];

/// What papermill would say about the name in `text`; nothing about standard input and output, which have none.
pub(crate) fn warning(text: &str, location: &Location, extensions: &[&str]) -> Option<String> {
    if matches!(location, Location::Stdio) {
        return None;
    }
    let name = text.rsplit(['/', std::path::MAIN_SEPARATOR]).next().unwrap_or_default();
    let name = name.split('?').next().unwrap_or_default();
    if !name.contains('.') {
        return Some(format!("the file is not specified with any extension : {name}"));
    }
    if extensions.iter().any(|extension| name.ends_with(extension)) {
        return None;
    }
    let listed: Vec<String> = extensions.iter().map(|extension| format!("'{extension}'")).collect();
    Some(format!("The specified file ({location}) does not end in one of [{}]", listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        warning(text, &Location::parse(text).unwrap(), NOTEBOOK)
    }

    #[test]
    fn notebooks_and_standard_streams_are_fine() {
        for text in ["a.ipynb", "dir.d/a.json", "-", "https://host/a.ipynb?token=x"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_without_extension_is_warned_about() {
        assert_eq!(of("d.d/o").unwrap(), "the file is not specified with any extension : o");
    }

    #[test]
    fn another_extension_is_warned_about_without_secrets() {
        assert_eq!(
            of("o.txt").unwrap(),
            "The specified file (o.txt) does not end in one of ['.ipynb', '.json']"
        );
        let url = of("https://host/o.txt?token=hunter22").unwrap();
        assert!(url.contains("o.txt") && !url.contains("hunter22"), "{url}");
    }
}

//! Values that must not change the shape of a path.

/// What becomes of a value before it is put into a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Nothing: it may hold several segments. For values that the user gave on the command line, as in papermill.
    #[default]
    None,
    /// [`escape_segment`]: it stays within one segment. For values from outside.
    Segment,
}

/// A text that can be part of one segment of a path or URL, and nothing else.
///
/// Kept are letters and digits of all scripts, and `_ - + = @ , .` and spaces between them; every other
/// character becomes `_`: separators (`/`, `\`, `:`), what URLs give meaning (`%`, `?`, `#`, `&`), wildcards,
/// control characters, NUL. So do dots in a row and dots and spaces at either end, so that no `.` or `..` comes
/// about with whatever stands beside it in the template, and a leading `-`, which would make an option of the
/// path. The empty text becomes `_`. Different texts may become the same.
///
/// ```
/// use rnbexec_notebook::template::escape_segment;
/// assert_eq!(escape_segment("../../etc/passwd"), "______etc_passwd");
/// assert_eq!(escape_segment("Malware on host-1"), "Malware on host-1");
/// ```
pub fn escape_segment(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '=' | '@' | ',' | '.' | ' ');
    let mut segment: String = text.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    if segment.is_empty() {
        return "_".to_owned();
    }
    // Two dots in a row are never left, wherever they are.
    while segment.contains("..") {
        segment = segment.replace("..", "__");
    }
    if segment.starts_with(['.', ' ', '-']) {
        segment.replace_range(..1, "_");
    }
    if segment.ends_with(['.', ' ']) {
        segment.replace_range(segment.len() - 1.., "_");
    }
    segment
}

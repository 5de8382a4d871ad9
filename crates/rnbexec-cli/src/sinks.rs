//! `--stdout-file` and `--stderr-file`: what the cells print, as it comes, chunk by chunk.
//!
//! A file is made when the first chunk for it comes, so that a run that prints nothing leaves none. Both options may
//! name the same file: then it holds both streams in order (papermill lets one overwrite the other). Paths are
//! relative to where the program was started, like all its paths (in papermill: to `--cwd`).

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::sanitise::{Keep, sanitise};

/// Where both streams go.
pub(crate) struct Sinks {
    stdout: Option<usize>,
    stderr: Option<usize>,
    open: Vec<Sink>,
}

struct Sink {
    path: PathBuf,
    file: Option<File>,
}

impl Sinks {
    pub(crate) fn new(stdout: Option<PathBuf>, stderr: Option<PathBuf>) -> Self {
        let mut sinks: Vec<Sink> = Vec::new();
        let mut place = |path: PathBuf| {
            sinks.iter().position(|sink| sink.path == path).unwrap_or_else(|| {
                sinks.push(Sink { path, file: None });
                sinks.len() - 1
            })
        };
        let (stdout, stderr) = (stdout.map(&mut place), stderr.map(&mut place));
        Self { stdout, stderr, open: sinks }
    }

    /// A cell wrote this to its stdout.
    pub(crate) fn stdout(&mut self, text: &str) -> Result<(), Failure> {
        self.write(self.stdout, text)
    }

    /// A cell wrote this to its stderr.
    pub(crate) fn stderr(&mut self, text: &str) -> Result<(), Failure> {
        self.write(self.stderr, text)
    }

    fn write(&mut self, place: Option<usize>, text: &str) -> Result<(), Failure> {
        let Some(sink) = place.and_then(|place| self.open.get_mut(place)) else { return Ok(()) };
        sink.write(text).map_err(|error| unwritable(&sink.path, &error))
    }
}

/// Refuses a file that cannot be made or written, as far as that can be told without making it: better before the
/// notebook runs than in the middle.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(());
    }
    let tried = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // Nothing else is opened to try: opening a named pipe would wait for its reader.
        Ok(found) if found.is_file() => OpenOptions::new().append(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(_) => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => match std::fs::metadata(folder) {
                Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
                found => found.map(drop),
            },
            None => Ok(()),
        },
    };
    tried.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot write what the cells print to {}", path.display()), error)
        .help("--stdout-file and --stderr-file name files in folders that exist")
}

impl Sink {
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.path == Path::new("-") {
            return to_stdout(text);
        }
        if self.file.is_none() {
            self.file = Some(File::create(&self.path)?);
        }
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }
}

/// Raw into a file or a pipe; safe on a terminal, where a cell may still colour and redraw its own line.
fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        let keep = Keep { colours: true, carriage_returns: true };
        stdout.write_all(sanitise(text, keep).as_bytes())?;
    } else {
        stdout.write_all(text.as_bytes())?;
    }
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_when_something_is_written_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
        let mut sinks = Sinks::new(Some(out.clone()), Some(err.clone()));
        assert!(!out.exists());
        sinks.stdout("a").unwrap();
        sinks.stdout("b\u{1b}[2J\n").unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "ab\u{1b}[2J\n");
        assert!(!err.exists());
    }

    #[test]
    fn both_streams_may_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let both = folder.path().join("both");
        let mut sinks = Sinks::new(Some(both.clone()), Some(both.clone()));
        sinks.stdout("1\n").unwrap();
        sinks.stderr("2\n").unwrap();
        sinks.stdout("3\n").unwrap();
        assert_eq!(std::fs::read_to_string(&both).unwrap(), "1\n2\n3\n");
    }

    #[test]
    fn a_stream_without_a_file_goes_nowhere() {
        let mut sinks = Sinks::new(None, None);
        assert_eq!(sinks.stdout("x"), Ok(()));
        assert_eq!(sinks.stderr("x"), Ok(()));
    }

    #[test]
    fn a_file_that_cannot_be_made_is_refused_beforehand_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let fine = folder.path().join("fine");
        assert_eq!(check(&fine), Ok(()));
        assert!(!fine.exists());
        assert_eq!(check(Path::new("-")), Ok(()));
        assert!(check(folder.path()).is_err());
        assert!(check(&folder.path().join("missing/o.txt")).unwrap_err().what.contains("missing/o.txt"));
        std::fs::write(&fine, "kept").unwrap();
        assert_eq!(check(&fine), Ok(()));
        assert_eq!(std::fs::read_to_string(&fine).unwrap(), "kept");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let mut sinks = Sinks::new(Some("/nowhere/out".into()), None);
        let failure = sinks.stdout("x").unwrap_err();
        assert!(failure.what.contains("/nowhere/out"), "{failure:?}");
    }
}

//! Files that would be written over what the same command reads, or writes elsewhere.

use std::path::Path;

use rnbexec::contain::{Containment, Files};
use rnbexec::store::Location;

use crate::failure::Failure;

/// Refuses the file that a flag names where it is one of these places: `(what it is, where)`. Names with fields in braces are no
/// files yet, and what is not of this machine is none.
pub(crate) fn refuse(flag: &str, file: &Path, others: &[(&str, &str)]) -> Result<(), Failure> {
    let file_itself = Location::Local(file.to_owned()).canonical();
    let is_this = |other: &str| Location::parse(other).is_ok_and(|other| other.canonical() == file_itself);
    match others.iter().find(|(_, other)| is_this(other)) {
        Some((what, _)) => Err(Failure::new(format!("{flag} {} would overwrite {what}", file.display()))
            .help("name another file")),
        None => Ok(()),
    }
}

/// Refuses a file in a folder that contained code can write to: it could put a link there.
pub(crate) fn refuse_work_folders(flag: &str, file: &Path, containment: &Containment) -> Result<(), Failure> {
    let place = Location::Local(file.to_owned());
    let closed = containment.files != Files::Open && file != Path::new("-");
    match containment.work_folders.iter().find(|folder| closed && place.lies_in(folder)) {
        Some(folder) => Err(Failure::new(format!(
            "{flag} {} lies in the work folder {}, where the notebook itself can write",
            file.display(),
            folder.display()
        ))
        .help("name another file, or give the notebook a work folder of its own")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("in.ipynb"), "").unwrap();
        std::os::unix::fs::symlink(place("in.ipynb"), place("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), place("folder")).unwrap();
        let others = [place("in.ipynb"), place("out.ipynb")].map(|place| place.display().to_string());
        let others = [("the notebook", others[0].as_str()), ("the output", &others[1])];
        for same in ["in.ipynb", "link", "folder/in.ipynb", "folder/./out.ipynb"] {
            let failure = refuse("--stdout-file", &place(same), &others).unwrap_err();
            assert!(failure.what.contains("would overwrite the"), "{failure:?}");
        }
        for other in ["other", "no/such/folder/in.ipynb", "-"] {
            assert_eq!(refuse("--summary", &place(other), &others), Ok(()), "{other}");
        }
        assert_eq!(
            refuse("--summary", Path::new("-"), &[("the notebook", "-"), ("rows", "s3://a/-")]),
            Ok(())
        );
    }
}

use super::*;
use crate::store::conformance;

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    write_atomic(path, &[text.as_bytes()], Durability::Visible)
}

#[tokio::test]
async fn it_keeps_the_promise_of_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = Location::Local(folder.path().join("suite"));
    conformance::run(&LocalStore, &root, conformance::Abilities::ALL).await.unwrap();
}

#[test]
fn parts_are_written_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nb.ipynb");
    let large = vec![b'x'; BUFFER + 1];
    write_atomic(&path, &[b"a".as_slice(), &large, b"", b"z"], Durability::Durable).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [b"a", large.as_slice(), b"z"].concat());
    assert_eq!(entries(folder.path()), ["nb.ipynb"]);
}

#[test]
fn missing_parent_folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/nb.ipynb");
    write(&path, "x").unwrap();
    assert_eq!(read(&path).unwrap(), b"x");
}

#[test]
fn a_folder_is_neither_read_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    assert_eq!(write(folder.path(), "x").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    let absent = folder.path().join("absent/");
    assert_eq!(write(&absent, "x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(entries(folder.path()).is_empty());
}

#[test]
fn a_parent_that_is_a_file_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("file"), "x").unwrap();
    let location = Location::Local(folder.path().join("file/nb.ipynb"));
    let error = write(location.as_local().unwrap(), "y").unwrap_err();
    let error = StoreError::from_io(Action::Write, &location, error);
    assert!(error.to_string().ends_with("a part of its path is a file, not a folder"), "{error}");
}

#[test]
fn a_name_that_is_too_long_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let longest = folder.path().join("x".repeat(255));
    write(&longest, "fits").unwrap();
    let location = Location::Local(folder.path().join("x".repeat(256)));
    let error = write(location.as_local().unwrap(), "y").unwrap_err();
    assert!(matches!(
        StoreError::from_io(Action::Write, &location, error).kind(),
        StoreErrorKind::InvalidLocation { .. }
    ));
    assert_eq!(entries(folder.path()).len(), 1);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_permission_bits_of_the_replaced_file_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nb.ipynb");
        write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, "new").unwrap();
        assert_eq!((mode(&path), read(&path).unwrap().as_slice()), (0o640, b"new".as_slice()));
    }

    #[test]
    fn a_new_file_has_the_permissions_any_new_file_has() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("ours"), "").unwrap();
        fs::write(folder.path().join("theirs"), "").unwrap();
        assert_eq!(mode(&folder.path().join("ours")), mode(&folder.path().join("theirs")));
    }

    #[test]
    fn of_a_link_the_file_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        let (link, real) = (folder.path().join("link"), folder.path().join("real/nb.ipynb"));
        symlink("real/nb.ipynb", &link).unwrap();
        write(&link, "through a dangling link").unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&real).unwrap(), b"new");
    }

    #[test]
    fn a_ring_of_links_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("ring");
        symlink("ring", &link).unwrap();
        assert!(write(&link, "x").is_err());
    }

    #[test]
    fn a_named_pipe_is_written_through_and_stays_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(rewrite(&pipe), Rewrite::Once);
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, "notebook").unwrap();
        assert_eq!(reader.join().unwrap(), b"notebook");
        assert_eq!(entries(folder.path()), ["pipe"]);
    }

    #[test]
    fn devices_are_written_through() {
        write(Path::new("/dev/null"), "x").unwrap();
        assert_eq!(rewrite(Path::new("/dev/null")), Rewrite::Once);
        assert_eq!(rewrite(Path::new("/dev/stdout")), Rewrite::Once);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_device_is_said_to_be_full() {
        let location = Location::Local(PathBuf::from("/dev/full"));
        let error = write(location.as_local().unwrap(), "x").unwrap_err();
        assert_eq!(*StoreError::from_io(Action::Write, &location, error).kind(), StoreErrorKind::NoSpace);
    }

    #[test]
    fn a_write_protected_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nb.ipynb");
        write(&path, "precious").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        // Root may write everything; for all others the protection holds.
        let root = fs::metadata(folder.path()).unwrap().uid() == 0;
        assert_eq!(write(&path, "new").is_ok(), root);
        assert_eq!(read(&path).unwrap(), if root { b"new".as_slice() } else { b"precious" });
        assert_eq!(mode(&path), 0o444);
    }
}

/// Content that cannot be had: the write breaks off in the middle.
struct Broken;

impl AsRef<[u8]> for Broken {
    fn as_ref(&self) -> &[u8] {
        panic!("no content")
    }
}

#[test]
fn a_write_that_breaks_off_leaves_the_previous_file_and_no_temporary_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nb.ipynb");
    write(&path, "precious").unwrap();
    assert!(std::panic::catch_unwind(|| write_atomic(&path, &[Broken], Durability::Visible)).is_err());
    assert_eq!(entries(folder.path()), ["nb.ipynb"]);
    assert_eq!(read(&path).unwrap(), b"precious");
}

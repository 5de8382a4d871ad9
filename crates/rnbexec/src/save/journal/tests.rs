use super::*;

const START: &str = "2026-11-26T13:00:00.000001+00:00";

fn journal_in(folder: &Path) -> Journal {
    Journal::new(folder.join(".out.ipynb.rnbexec-journal"), START)
}

fn record(cell: usize, text: &'static str) -> Record {
    Record { cell, bytes: Bytes::from_static(text.as_bytes()) }
}

fn contents(journal: &Journal) -> Contents {
    read_from(&mut File::open(journal.path()).expect("the journal is there"))
}

/// A journal whose first save has happened.
fn open_in(folder: &Path) -> Journal {
    let journal = journal_in(folder);
    journal.claim();
    journal.saved(0).expect("a journal can be made");
    journal
}

#[test]
fn what_is_recorded_and_written_out_is_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    journal.record(0, vec!["{\n \"a\"".into(), ": 1\n}".into()]);
    journal.record(1, vec!["".into()]);
    journal.record(0, vec!["{}".into()]);
    journal.write_out().unwrap();
    let read = contents(&journal);
    assert_eq!(read.header.unwrap().start_time, START);
    assert_eq!(read.records, [record(0, "{\n \"a\": 1\n}"), record(1, ""), record(0, "{}")]);
}

#[test]
fn a_journal_cut_anywhere_is_read_as_the_records_that_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    let header = std::fs::read(journal.path()).unwrap().len();
    let mut whole_at = vec![header];
    for (cell, text) in ["{\n\n}", "{\"cell\":0,\"length\":1,\"crc32\":0}\nx\n", "{}"].into_iter().enumerate()
    {
        journal.record(cell, vec![text.into()]);
        journal.write_out().unwrap();
        whole_at.push(std::fs::read(journal.path()).unwrap().len());
    }
    let bytes = Bytes::from(std::fs::read(journal.path()).unwrap());
    for end in 0..=bytes.len() {
        let read = read(&bytes.slice(..end));
        assert_eq!(read.header.is_some(), end >= header);
        let whole = whole_at.iter().filter(|&&at| at <= end).count().saturating_sub(1);
        assert_eq!(read.records.len(), whole, "cut at {end} of {}", bytes.len());
    }
}

#[test]
fn a_record_that_was_damaged_ends_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    for cell in 0..3 {
        journal.record(cell, vec!["{\"some\": \"cell\"}".into()]);
    }
    journal.write_out().unwrap();
    let bytes = std::fs::read(journal.path()).unwrap();
    let second = bytes.windows(4).enumerate().filter(|(_, at)| *at == b"some").nth(1).unwrap().0;
    let mut damaged = bytes.clone();
    damaged[second..second + 4].fill(0);
    assert_eq!(read(&damaged.into()).records.len(), 1);
}

#[test]
fn a_save_that_holds_everything_empties_the_journal_and_one_that_does_not_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    journal.record(0, vec!["{}".into()]);
    let taken = journal.recorded();
    journal.write_out().unwrap();
    journal.record(1, vec!["{}".into()]);
    journal.write_out().unwrap();
    journal.saved(taken).unwrap();
    assert_eq!(contents(&journal).records.len(), 2, "the save knew nothing of the second");
    journal.saved(journal.recorded()).unwrap();
    assert_eq!(contents(&journal).records, []);
    journal.record(2, vec!["{}".into()]);
    journal.write_out().unwrap();
    assert_eq!(contents(&journal).records, [record(2, "{}")]);
}

#[test]
fn the_journal_goes_with_the_run_unless_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    journal.end();
    assert!(!journal.path().exists());

    let journal = open_in(folder.path());
    journal.record(0, vec!["{}".into()]);
    journal.write_out().unwrap();
    journal.end();
    assert!(journal.path().exists(), "the last save failed: the journal has what it should have held");
}

#[test]
fn a_journal_is_locked_as_long_as_its_owner_lives() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    assert!(matches!(open_locked(journal.path(), Duration::ZERO), Ok(Locked::Alive)));
    let path = journal.path().to_owned();
    drop(journal);
    assert!(matches!(open_locked(&path, Duration::ZERO), Ok(Locked::Dead(_))));
}

#[test]
fn a_run_takes_the_place_of_the_journal_of_a_dead_one_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dead = open_in(folder.path());
    let left = local::staging(folder.path(), local::Readers::AsUmask).unwrap().into_temp_path();
    let path = dead.path().to_owned();
    drop(dead);
    let next = Journal::new(path.clone(), "later");
    next.claim();
    assert!(!left.exists(), "what it was about to write is gone");
    assert_eq!(read_from(&mut File::open(&path).unwrap()).header.unwrap().start_time, START);
    next.saved(0).unwrap();
    assert_eq!(contents(&next).header.unwrap().start_time, "later");
}

/// A file of another user.
#[cfg(unix)]
fn anothers(folder: &Path) -> File {
    let path = folder.join("anothers");
    std::fs::write(&path, "").unwrap();
    match std::os::unix::fs::chown(&path, Some(65_534), None) {
        Ok(()) => File::open(path).unwrap(),
        // Who may not give files away is not root.
        Err(_) => File::open("/etc/passwd").unwrap(),
    }
}

#[cfg(unix)]
#[test]
fn what_another_users_journal_says_is_to_be_removed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dead = open_in(folder.path());
    let left = local::staging(folder.path(), local::Readers::AsUmask).unwrap().into_temp_path();
    let contents = contents(&dead);
    clear_staging(dead.path(), &anothers(folder.path()), &contents);
    assert!(left.exists());
    clear_staging(dead.path(), &File::open(dead.path()).unwrap(), &contents);
    assert!(!left.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_has_the_name_of_a_journal_and_is_no_file_is_neither_waited_for_nor_followed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(folder.path());
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, journal.path(), mode).unwrap();
    assert!(open_locked(journal.path(), Duration::ZERO).is_err());
    journal.claim();
    std::fs::remove_file(journal.path()).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let dead = open_in(elsewhere.path());
    let target = dead.path().to_owned();
    drop(dead);
    let left = local::staging(folder.path(), local::Readers::AsUmask).unwrap().into_temp_path();
    std::os::unix::fs::symlink(&target, journal.path()).unwrap();
    assert!(open_locked(journal.path(), Duration::ZERO).is_err());
    journal_in(folder.path()).claim();
    assert!(left.exists() && target.exists());
}

#[test]
fn a_run_that_lost_its_place_to_another_does_not_remove_the_others_journal() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_in(folder.path());
    let second = Journal::new(first.path().to_owned(), "later");
    second.saved(0).unwrap();
    first.end();
    assert_eq!(contents(&second).header.unwrap().start_time, "later");
}

#[test]
fn a_journal_names_no_other_files_for_removal() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join(".rnbexec-.tmp");
    std::fs::write(&precious, "").unwrap();
    for staging in ["", ".", ".rnbexec-", ".rnbexec--"] {
        local::clear_staging(folder.path(), staging);
    }
    assert!(precious.exists());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let journal = open_in(folder.path());
    assert_eq!(std::fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_journal_lies_beside_a_local_output_and_apart_from_one_elsewhere() {
    let stores = Stores::new(&crate::store::Environment::default());
    let folder = tempfile::tempdir().unwrap();
    let place = |text: &str| place(&Location::parse(text).unwrap(), Path::new("/t"), &stores);
    let output = folder.path().join("out.ipynb");
    assert_eq!(place(&output.to_string_lossy()), Some(folder.path().join(".out.ipynb.rnbexec-journal")));
    let remote = place("s3://bucket/out.ipynb").unwrap();
    assert_eq!(remote.parent(), Some(Path::new("/t")));
    assert!(!remote.to_string_lossy().contains("bucket"));
    assert_eq!(place("-"), None);
    assert_eq!(place("/dev/null"), None);
}

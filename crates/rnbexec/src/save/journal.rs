//! The journal of a run: what cells have become since the last save of the whole notebook.
//!
//! Saving everything whenever a cell ends would cost the square of the notebook's size; appending the one cell that ended
//! costs what it weighs. So each cell that begins or ends is appended here, before anybody is told that it ended, and the
//! journal is emptied by each save that holds all of it. Should the run be killed, [`crate::recover`] puts the two
//! together.
//!
//! - Appending is a plain write: it survives the death of this process, not a loss of power, as the saves on the way do
//!   not either. (Syncing each cell would make a run wait for the disk at each cell; only the last save does.)
//! - A journal begins with a line that names its run, by the time it started; a notebook of another run it says nothing
//!   about. A record is a line of JSON with the cell's position, length and checksum, and the cell's bytes as they stand
//!   in the file. What comes after a torn record counts for nothing: nothing can come after it but zeros.
//! - Its owner keeps the file locked. Whoever gets the lock knows that the owner is gone.
//! - It lies beside a local output, under a hidden name; for an output elsewhere in the folder for temporary files, only
//!   the owner may read it, and one that belongs to another user is not looked at. Secrets were taken out before.
//! - Others may write to that folder: what has the name and is no regular file is not opened, and what a journal of another
//!   user says is to be removed stays.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::store::{Location, Stores, local};

/// How long a run waits for another process that has its output in hand, most likely one that recovers it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a lock is asked for again: nothing tells when it is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Small parts are written together.
const BUFFER: usize = 64 << 10;

/// The version of the format.
const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    journal: u32,
    /// When the run started, as its notebook's metadata says it.
    pub(crate) start_time: String,
    /// How the names of files begin that the process writes before they have their place.
    staging: String,
}

/// The line before a cell.
#[derive(Serialize, Deserialize)]
struct Line {
    cell: usize,
    length: usize,
    crc32: u32,
}

/// What a cell has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) cell: usize,
    /// The cell as it stands in the file of its notebook.
    pub(crate) bytes: Bytes,
}

/// Where the journal of a run into `output` lies; `None` where there is none: in memory and for streams.
pub(crate) fn place(output: &Location, temporary: &Path, stores: &Stores) -> Option<PathBuf> {
    match output {
        Location::Stdio | Location::Memory(_) => None,
        Location::Local(path) => {
            let target = local::target(path)?;
            let mut name = std::ffi::OsString::from(".");
            name.push(target.file_name()?);
            name.push(".rnbexec-journal");
            std::path::absolute(target.with_file_name(name)).ok()
        }
        // The name must say nothing of the place and be found again by it.
        remote if stores.rewrite(remote) != crate::store::Rewrite::Once => {
            let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, remote.metadata_text().as_bytes());
            Some(temporary.join(format!("rnbexec-{}.journal", name.simple())))
        }
        _ => None,
    }
}

/// The journal of a run under way. What touches the file may block, and says so.
pub(crate) struct Journal {
    path: PathBuf,
    header: Header,
    queue: Mutex<Queue>,
    file: Mutex<State>,
    /// Whether there is a file.
    open: AtomicBool,
    /// How many records were in all when the journal was last emptied.
    emptied: AtomicU64,
}

/// What a cell has become, in the parts that the saver has of it.
#[derive(Clone)]
struct Noted {
    cell: usize,
    parts: Vec<Bytes>,
}

/// What is not yet written.
#[derive(Default)]
struct Queue {
    records: Vec<Noted>,
    /// How many there have been in all.
    recorded: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Unclaimed,
    /// The journal of a run before, locked so that nobody recovers it any more; `None` when there was none.
    Claimed {
        _left: Option<File>,
    },
    Open(Open),
}

struct Open {
    file: File,
    /// The length of the header.
    header: u64,
    /// The length of all that is whole.
    length: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// A journal at `path` for the run that started then. No file is made yet.
    pub(crate) fn new(path: PathBuf, start_time: &str) -> Self {
        let header = Header {
            journal: VERSION,
            start_time: start_time.to_owned(),
            staging: local::staging_prefix().to_owned(),
        };
        Self {
            path,
            header,
            queue: Mutex::default(),
            file: Mutex::default(),
            open: AtomicBool::new(false),
            emptied: AtomicU64::new(0),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what a cell has become, in memory.
    pub(crate) fn record(&self, cell: usize, parts: Vec<Bytes>) {
        let mut queue = lock(&self.queue);
        queue.records.push(Noted { cell, parts });
        queue.recorded += 1;
    }

    /// How many records there have been.
    pub(crate) fn recorded(&self) -> u64 {
        lock(&self.queue).recorded
    }

    /// Whether the first save has happened and made it.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether a save gives it something to do.
    pub(crate) fn is_behind(&self) -> bool {
        !self.is_open() || self.recorded() > self.emptied.load(Ordering::Acquire)
    }

    /// Before the first save: waits while another process recovers what an earlier run has left, and keeps others from
    /// beginning to. Blocks.
    pub(crate) fn claim(&self) {
        let mut state = lock(&self.file);
        if !matches!(*state, State::Unclaimed) {
            return;
        }
        let left = match open_locked(&self.path, PATIENCE) {
            Ok(Locked::Dead(mut file)) => {
                let contents = read_from(&mut file);
                clear_staging(&self.path, &file, &contents);
                Some(file)
            }
            Ok(Locked::Alive) => {
                tracing::warn!(path = %self.path.display(), "another run writes the same output");
                None
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(path = %self.path.display(), %error, "cannot look at an earlier journal");
                }
                None
            }
        };
        *state = State::Claimed { _left: left };
    }

    /// After a save that holds the first `saved` records: empties the journal if these are all, makes it if it is not
    /// there. Blocks.
    pub(crate) fn saved(&self, saved: u64) -> io::Result<()> {
        let mut state = lock(&self.file);
        let State::Open(open) = &mut *state else {
            *state = State::Open(Open::create(&self.path, &self.header)?);
            self.open.store(true, Ordering::Release);
            return Ok(());
        };
        let mut queue = lock(&self.queue);
        if queue.recorded == saved {
            queue.records.clear();
            drop(queue);
            open.cut(open.header)?;
            self.emptied.store(saved, Ordering::Release);
        }
        Ok(())
    }

    /// Writes what was recorded. Blocks. After an error it is tried again with what comes next.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let mut state = lock(&self.file);
        let State::Open(open) = &mut *state else { return Ok(()) };
        let records = std::mem::take(&mut lock(&self.queue).records);
        for (written, record) in records.iter().enumerate() {
            if let Err(error) = open.append(record) {
                lock(&self.queue).records.splice(0..0, records.iter().skip(written).cloned());
                open.cut(open.length)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The run is over: the file goes, unless it holds what no save does. Blocks.
    pub(crate) fn end(&self) {
        let needed = {
            let file = lock(&self.file);
            let State::Open(open) = &*file else { return };
            open.length > open.header || !lock(&self.queue).records.is_empty()
        };
        if !needed {
            self.discard();
        }
    }

    /// What it holds is safe elsewhere: the file goes, whatever is in it. Blocks.
    pub(crate) fn discard(&self) {
        let State::Open(open) = std::mem::take(&mut *lock(&self.file)) else { return };
        if is_at(&open.file, &self.path) {
            remove(&self.path);
        }
    }
}

impl Open {
    fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut line = serde_json::to_vec(header)?;
        line.push(b'\n');
        // Locked and begun before it has its name: whoever sees the name sees a journal that is taken.
        let mut staged = local::staging(folder, local::Readers::Owner)?;
        staged.as_file_mut().write_all(&line)?;
        let file = OpenOptions::new().append(true).open(staged.path())?;
        // Some network file systems know no locks: then nobody is kept from anything.
        if let Err(std::fs::TryLockError::Error(error)) = file.try_lock() {
            tracing::debug!(path = %path.display(), %error, "the journal is not locked");
        }
        staged.persist(path).map_err(|error| error.error)?;
        let header = line.len() as u64;
        Ok(Self { file, header, length: header })
    }

    fn append(&mut self, Noted { cell, parts }: &Noted) -> io::Result<()> {
        let length = parts.iter().map(Bytes::len).sum();
        let mut checksum = crc32fast::Hasher::new();
        for part in parts {
            checksum.update(part);
        }
        let mut line = serde_json::to_vec(&Line { cell: *cell, length, crc32: checksum.finalize() })?;
        line.push(b'\n');
        // What an error leaves, the caller cuts off.
        let mut file = BufWriter::with_capacity(BUFFER, &self.file);
        file.write_all(&line)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.write_all(b"\n")?;
        file.flush()?;
        drop(file);
        self.length += (line.len() + length + 1) as u64;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if length < self.length || length == self.length && self.file.metadata()?.len() > length {
            self.file.set_len(length)?;
            self.length = length;
        }
        Ok(())
    }
}

/// A journal that is there.
pub(crate) enum Locked {
    /// Its owner is gone, and for as long as this is kept nobody else takes it up.
    Dead(File),
    /// Its owner lives, or another process recovers it.
    Alive,
}

/// Opens a journal and asks for its lock, at most so long.
pub(crate) fn open_locked(path: &Path, patience: Duration) -> io::Result<Locked> {
    let deadline = Instant::now() + patience;
    loop {
        // Opened anew each time: it may have been removed, or replaced.
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => return Ok(Locked::Dead(file)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(std::fs::TryLockError::WouldBlock) => return Ok(Locked::Alive),
            Err(std::fs::TryLockError::Error(error)) => {
                tracing::debug!(path = %path.display(), %error, "locks are not to be had here");
                return Ok(Locked::Dead(file));
            }
        }
    }
}

/// Opens a file for reading, and nothing else that may have the name: a link leads elsewhere, and a pipe is waited for.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = |access| rustix::fs::open(path, flags | access, Mode::empty());
    // NFS locks only what is open for writing, and would have a run that lives taken for dead.
    let file = match opened(OFlags::RDWR) {
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => opened(OFlags::RDONLY),
        opened => opened,
    };
    let file = File::from(file?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// `None` when it is none.
    pub(crate) header: Option<Header>,
    pub(crate) records: Vec<Record>,
}

/// Reads a journal as far as it is whole.
pub(crate) fn read_from(file: &mut File) -> Contents {
    let mut bytes = Vec::new();
    if let Err(error) = file.read_to_end(&mut bytes) {
        tracing::warn!(%error, "cannot read all of a journal");
    }
    read(&bytes.into())
}

fn read(bytes: &Bytes) -> Contents {
    let Some((line, mut rest)) = cut_line(bytes) else { return Contents::default() };
    let header = serde_json::from_slice(&line).ok().filter(|header: &Header| header.journal == VERSION);
    let mut records = Vec::new();
    while header.is_some() {
        let Some((record, after)) = cut_record(&rest) else { break };
        records.push(record);
        rest = after;
    }
    Contents { header, records }
}

fn cut_line(bytes: &Bytes) -> Option<(Bytes, Bytes)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((bytes.slice(..end), bytes.slice(end + 1..)))
}

fn cut_record(bytes: &Bytes) -> Option<(Record, Bytes)> {
    let (line, rest) = cut_line(bytes)?;
    let line: Line = serde_json::from_slice(&line).ok()?;
    if rest.get(line.length) != Some(&b'\n') {
        return None;
    }
    let cell = rest.slice(..line.length);
    let whole = crc32fast::hash(&cell) == line.crc32;
    whole.then(|| (Record { cell: line.cell, bytes: cell }, rest.slice(line.length + 1..)))
}

/// Removes what the process that wrote the journal was about to put in its place when it died. Another user's journal may name
/// what a process of ours is about to.
pub(crate) fn clear_staging(path: &Path, journal: &File, contents: &Contents) {
    if let (Some(folder), Some(header)) = (path.parent(), &contents.header)
        && is_ours(journal, folder).unwrap_or(false)
    {
        local::clear_staging(folder, &header.staging);
    }
}

/// Removes a journal that is not needed any more.
pub(crate) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove a journal"),
    }
}

/// Whether this file, and no newer one, has the name.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let named = path.symlink_metadata().map(id).ok();
    named.is_some() && named == file.metadata().map(id).ok()
}

#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a file in a folder that others may write to is this user's own.
#[cfg(unix)]
pub(crate) fn is_ours(file: &File, folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    // Who we are, a new file tells.
    Ok(file.metadata()?.uid() == tempfile::tempfile_in(folder)?.metadata()?.uid())
}

#[cfg(not(unix))]
pub(crate) fn is_ours(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests;

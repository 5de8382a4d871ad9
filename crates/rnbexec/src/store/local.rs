//! Files of this machine.
//!
//! Writing is atomic: the bytes go to a new file in the target's folder, which is then renamed over the target. Nobody
//! ever sees half a file, and a failure of any kind leaves the previous file as it was. Details people rely on:
//!
//! - missing parent folders are made;
//! - permission bits, and where allowed the owner, of the replaced file are kept; a new file gets what the umask gives;
//! - a file that could not be opened for writing is not replaced either, although a rename would be allowed;
//! - of a symbolic link the file it leads to is replaced, not the link;
//! - what is no regular file (`/dev/null`, `/dev/stdout`, a named pipe) is written through, not replaced;
//! - a killed process may leave a `.rnbexec-*.tmp` file behind, which whoever recovers the run removes. Hard links to a replaced file keep the old content, and
//!   extended attributes are not copied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Action, Durability, Location, Rewrite, Store, StoreError, StoreErrorKind};

/// How many symbolic links are followed, as in the Linux kernel.
const MAX_LINKS: usize = 40;

/// Big enough that a notebook of many small cells takes few system calls; larger parts pass the buffer by.
const BUFFER: usize = 256 * 1024;

/// Files of this machine as a [`Store`]. The same as [`read`] and [`write_atomic`], off the async threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStore;

#[async_trait]
impl Store for LocalStore {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let path = path_of(Action::Read, location)?;
        let result = blocking(move || read(&path)).await;
        result.map(Bytes::from).map_err(|error| StoreError::from_io(Action::Read, location, error))
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let path = path_of(Action::Write, location)?;
        let parts = parts.to_vec();
        blocking(move || write_atomic(&path, &parts, durability))
            .await
            .map_err(|error| StoreError::from_io(Action::Write, location, error))
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let path = path_of(Action::List, location)?;
        let result = blocking(move || list(&path)).await;
        result
            .map(|paths| paths.into_iter().map(Location::Local).collect())
            .map_err(|error| StoreError::from_io(Action::List, location, error))
    }
}

/// The whole content of a file, a named pipe or a device.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Not `fs::read`: opening a folder succeeds on Unix and fails later with a less clear error.
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// Replaces the content of `path` by `parts`, one after the other, atomically. See the [module](self) for the details.
///
/// Synchronous, for callers that have their own thread.
pub fn write_atomic<P: AsRef<[u8]>>(path: &Path, parts: &[P], durability: Durability) -> io::Result<()> {
    match find_target(path)? {
        Target::Stream(path) => write_through(&path, parts),
        Target::File { path, replaced } => replace(&path, replaced.as_ref(), parts, durability),
    }
}

/// The file that a write to `path` replaces or makes, once all links are followed; `None` when it cannot be replaced.
pub(crate) fn target(path: &Path) -> Option<PathBuf> {
    match find_target(path) {
        Ok(Target::File { path, .. }) => Some(path),
        Ok(Target::Stream(_)) | Err(_) => None,
    }
}

/// The absolute path without links of a file that need not be there.
pub(super) fn real(path: &Path) -> PathBuf {
    let target = target(path);
    let path = target.as_deref().unwrap_or(path);
    // Without a working folder nothing can be written to a relative path either.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        && let Ok(folder) = folder.canonicalize()
    {
        return folder.join(name);
    }
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // What is there so far has no links, or is not there yet.
            Component::ParentDir => drop(real.pop()),
            part => {
                real.push(part);
                real = real.canonicalize().unwrap_or(real);
            }
        }
    }
    real
}

/// How often the target at `path` can be written: a pipe or a terminal shows every save, so only the last one counts.
pub fn rewrite(path: &Path) -> Rewrite {
    match find_target(path) {
        Ok(Target::Stream(_)) => Rewrite::Once,
        // What cannot be looked at cannot be written: the write tells why.
        Ok(Target::File { .. }) | Err(_) => Rewrite::Cheap,
    }
}

/// What a path leads to once all links are followed.
enum Target {
    /// A file to be replaced or made. `replaced` is what stands there now.
    File { path: PathBuf, replaced: Option<fs::Metadata> },
    /// A device, a pipe, a socket, or an open file of ours under `/proc`: cannot be replaced.
    Stream(PathBuf),
}

fn find_target(path: &Path) -> io::Result<Target> {
    let mut at = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        // Links under /proc (`/dev/stdout` leads there) open a file that is open already; their text is no path.
        if at.starts_with("/proc") {
            return Ok(Target::Stream(at));
        }
        let metadata = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Target::File { path: at, replaced: None });
            }
            Err(error) => return Err(error),
        };
        if metadata.is_symlink() {
            let link = fs::read_link(&at)?;
            at = match at.parent() {
                Some(folder) => folder.join(link),
                None => link,
            };
        } else if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        } else if metadata.is_file() {
            return Ok(Target::File { path: at, replaced: Some(metadata) });
        } else {
            return Ok(Target::Stream(at));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many levels of symbolic links"))
}

fn write_through<P: AsRef<[u8]>>(path: &Path, parts: &[P]) -> io::Result<()> {
    // Truncating means nothing to pipes and devices; under /proc there may be a regular file behind, which the shell
    // would truncate as well (`> /dev/stdout`).
    write_parts(OpenOptions::new().write(true).truncate(true).open(path)?, parts).map(drop)
}

fn replace<P: AsRef<[u8]>>(
    path: &Path,
    replaced: Option<&fs::Metadata>,
    parts: &[P],
    durability: Durability,
) -> io::Result<()> {
    if path.file_name().is_none() || ends_with_separator(path) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names a folder, not a file"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if replaced.is_some() {
        // A rename asks only for the folder's permission. Whoever write-protects a file means the file.
        OpenOptions::new().write(true).open(path)?;
    } else {
        fs::create_dir_all(folder)?;
    }

    let mut temporary = staging(folder, Readers::AsUmask)?;
    write_parts(temporary.as_file_mut(), parts)?;
    if let Some(replaced) = replaced {
        keep_attributes(temporary.as_file(), replaced)?;
    }
    if durability == Durability::Durable {
        temporary.as_file().sync_all()?;
    }
    // On failure the temporary file is removed by the drop of the error's content.
    temporary.persist(path).map_err(|error| error.error)?;
    if durability == Durability::Durable {
        sync_folder(folder)?;
    }
    Ok(())
}

/// Writes a new file that only its owner may read, durably.
pub(crate) fn keep_from_others<P: AsRef<[u8]>>(path: &Path, parts: &[P]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = staging(folder, Readers::Owner)?;
    write_parts(temporary.as_file_mut(), parts)?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever the umask lets.
    AsUmask,
    /// Its owner alone.
    Owner,
}

/// How the names of this process's files begin before they have their place, and no other process's anywhere do: another
/// process can tell what this one left.
pub(crate) fn staging_prefix() -> &'static str {
    static PREFIX: LazyLock<String> = LazyLock::new(|| {
        let token = uuid::Uuid::new_v4().simple().to_string();
        format!("{STAGING}{token}-")
    });
    &PREFIX
}

/// How the names of files begin that are not yet in their place, and how they end.
const STAGING: &str = ".rnbexec-";
const STAGED: &str = ".tmp";

/// A new file in the folder of the file that it is to become.
pub(crate) fn staging(folder: &Path, readers: Readers) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(staging_prefix()).suffix(STAGED);
    #[cfg(unix)]
    if readers == Readers::AsUmask {
        use std::os::unix::fs::PermissionsExt as _;
        // tempfile's own default is for secrets (0600); the umask takes from this as from any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Removes the files that a process, which is gone, has left in the folder before they had their place. A prefix that is
/// not such a process's removes nothing.
pub(crate) fn clear_staging(folder: &Path, prefix: &str) {
    let token = prefix.strip_prefix(STAGING).and_then(|rest| rest.strip_suffix('-')).unwrap_or_default();
    if token.len() != 32 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_left = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(STAGED));
        if is_left && let Err(error) = fs::remove_file(entry.path()) {
            tracing::debug!(path = %entry.path().display(), %error, "cannot remove what a killed run left");
        }
    }
}

/// Buffers small parts, and hands the file back once everything is with the operating system.
fn write_parts<W: Write, P: AsRef<[u8]>>(file: W, parts: &[P]) -> io::Result<W> {
    let mut file = BufWriter::with_capacity(BUFFER, file);
    for part in parts {
        file.write_all(part.as_ref())?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

fn keep_attributes(file: &File, replaced: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let ours = file.metadata()?;
        if (ours.uid(), ours.gid()) != (replaced.uid(), replaced.gid()) {
            // Only root may give files away. Others keep at least the group where they are in it; if neither is
            // allowed, the file is the writer's, as a new one would be.
            let given = fchown(file, Some(replaced.uid()), Some(replaced.gid()))
                .or_else(|_| fchown(file, None, Some(replaced.gid())));
            if let Err(error) = given {
                tracing::debug!(%error, "owner of the replaced file not kept");
            }
        }
    }
    // After the owner: giving a file away clears its set-id bits.
    file.set_permissions(replaced.permissions())
}

/// Makes the rename itself durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Network and FUSE file systems may not know it, and a folder may be writable without being readable.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            tracing::debug!(%error, "folder not synced");
            Ok(())
        }
        result => result,
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Follows links: a link to a document is a document. One that leads nowhere is none.
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&last| std::path::is_separator(char::from(last)))
}

fn path_of(action: Action, location: &Location) -> Result<PathBuf, StoreError> {
    match location {
        Location::Local(path) => Ok(path.clone()),
        other => Err(StoreError::new(
            action,
            other,
            StoreErrorKind::InvalidLocation { problem: "it is not a file of this machine".to_owned() },
        )),
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;

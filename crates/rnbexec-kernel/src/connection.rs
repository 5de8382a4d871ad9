//! Where a kernel's channels are: the private directory, the connection file, the endpoints.
//!
//! Channels are Unix sockets in a directory that only we can enter: a TCP iopub can be read by every local user
//! without any key, and picking a free port and then using it is a race. TCP on the loopback address remains for
//! kernels and platforms that have nothing else.
//!
//! The directory is removed with its owner. Should its owner be killed outright, the next launch by the same user
//! removes it: each directory holds a lock file that only its living owner has locked.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use jupyter_protocol::connection_info::{ConnectionInfo, Transport};

use crate::zmq::Endpoint;

/// Names of our directories begin so; anything else is not ours to remove.
const PREFIX: &str = "rnbexec-kernel-";

/// A socket address holds 108 bytes with the final NUL; our longest name is `/k-5` after the directory.
const LONGEST_SOCKET_PATH: usize = 107;

/// A name that no directory of somebody else's holds by chance.
const LOCK_NAME: &str = ".rnbexec-kernel-lock";

/// A directory (mode 0700) for one kernel's connection file, sockets and launcher; removed on drop.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    directory: tempfile::TempDir,
    /// Held locked as long as we live.
    _lock: std::fs::File,
}

impl PrivateDir {
    /// Makes one in the first usable of: `chosen`, `$XDG_RUNTIME_DIR`, `$TMPDIR`, `/tmp`. Only a directory whose
    /// path leaves room for a socket's name is usable.
    pub(crate) fn create(chosen: Option<&Path>, vars: &HashMap<OsString, OsString>) -> io::Result<Self> {
        let mut failure = None;
        for base in bases(chosen, vars) {
            sweep(&base);
            match Self::create_in(&base) {
                Ok(directory) => return Ok(directory),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let base = std::path::absolute(base)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(8);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let directory = builder.tempdir_in(&base)?;
        let socket = directory.path().join("k-5");
        if cfg!(unix) && socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(io::Error::new(
                io::ErrorKind::InvalidFilename,
                format!("{} is too long for the path of a socket", socket.display()),
            ));
        }
        // Locked before it has its name: whoever sees the name sees a lock that is held.
        let (unnamed, named) = (directory.path().join(".lock-new"), directory.path().join(LOCK_NAME));
        let lock = std::fs::File::create(&unnamed)?;
        lock.try_lock()?;
        std::fs::rename(unnamed, named)?;
        Ok(Self { directory, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Where private directories are made, the first usable of these.
pub(crate) fn bases(chosen: Option<&Path>, vars: &HashMap<OsString, OsString>) -> Vec<PathBuf> {
    if let Some(chosen) = chosen {
        return vec![chosen.to_path_buf()];
    }
    let mut bases: Vec<PathBuf> = ["XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP"]
        .iter()
        .filter_map(|name| vars.get(std::ffi::OsStr::new(name)))
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .collect();
    if cfg!(unix) {
        bases.push(PathBuf::from("/tmp"));
    }
    bases
}

/// Whether it is called as private directories are.
#[cfg(target_os = "linux")]
pub(crate) fn is_private(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Removes what owners who were killed left behind. Nothing here may fail a launch.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        remove_abandoned(&entry.path());
    }
}

/// Removes a directory of a kernel's whose owner is gone; leaves everything else alone.
pub(crate) fn remove_abandoned(path: &Path) {
    let has_our_name = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    if has_our_name && is_abandoned(path) {
        match std::fs::remove_dir_all(path) {
            Ok(()) => tracing::debug!(path = %path.display(), "removed an abandoned kernel directory"),
            Err(error) => tracing::debug!(path = %path.display(), %error, "cannot remove it"),
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    // A link or another user's directory is not ours, whatever its name.
    path.symlink_metadata().is_ok_and(|found| found.is_dir() && is_ours(&found))
        && open_lock(&path.join(LOCK_NAME)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Opens a lock, and nothing else that may have the name: a kernel can write where its lock is, a link leads elsewhere, and a pipe is
/// waited for.
#[cfg(unix)]
fn open_lock(path: &Path) -> io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let lock = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if lock.metadata()?.is_file() { Ok(lock) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(not(unix))]
fn open_lock(path: &Path) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}

#[cfg(unix)]
fn is_ours(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(found) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &std::fs::Metadata) -> bool {
    true
}

/// The channels a client of a kernel connects to. (The heartbeat is not among them: we know the process itself.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Shell,
    Iopub,
    Stdin,
    Control,
}

impl Channel {
    pub(crate) const ALL: [Self; 4] = [Self::Shell, Self::Iopub, Self::Stdin, Self::Control];
}

/// A kernel's connection file and what it says, the key among it: hence no `Debug`.
pub(crate) struct Connection {
    pub(crate) file: PathBuf,
    pub(crate) info: ConnectionInfo,
}

impl Connection {
    /// Writes a connection file with a fresh key into `directory`.
    pub(crate) fn create(directory: &Path, transport: Transport, kernel_name: &str) -> io::Result<Self> {
        let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let (ip, ports) = match transport {
            Transport::IPC => {
                let stem = directory.join("k").into_os_string().into_string().map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::InvalidFilename,
                        "the path of the kernel directory is not UTF-8",
                    )
                })?;
                (stem, [1, 2, 3, 4, 5])
            }
            Transport::TCP => (Ipv4Addr::LOCALHOST.to_string(), free_ports()?),
        };
        let [shell_port, iopub_port, stdin_port, control_port, hb_port] = ports;
        let info = ConnectionInfo {
            ip,
            transport,
            shell_port,
            iopub_port,
            stdin_port,
            control_port,
            hb_port,
            key,
            signature_scheme: "hmac-sha256".to_owned(),
            kernel_name: Some(kernel_name.to_owned()),
        };
        let file = directory.join("connection.json");
        write_private(&file, &serde_json::to_vec_pretty(&info)?)?;
        Ok(Self { file, info })
    }

    /// The places where the kernel may bind `channel`. The protocol's form of an ipc address is `ip-port`, but some
    /// kernels (IRkernel, IJulia, evcxr) write `ip:port` whatever the transport.
    pub(crate) fn endpoints(&self, channel: Channel) -> Vec<Endpoint> {
        let port = match channel {
            Channel::Shell => self.info.shell_port,
            Channel::Iopub => self.info.iopub_port,
            Channel::Stdin => self.info.stdin_port,
            Channel::Control => self.info.control_port,
        };
        match self.info.transport {
            Transport::IPC => ['-', ':']
                .iter()
                .map(|separator| Endpoint::Ipc(PathBuf::from(format!("{}{separator}{port}", self.info.ip))))
                .collect(),
            Transport::TCP => vec![Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))],
        }
    }
}

/// Five ports that were free a moment ago. Another process may take one before the kernel does: then the kernel fails
/// to start and is started again with others.
fn free_ports() -> io::Result<[u16; 5]> {
    let mut ports = [0; 5];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, bytes)
}

#[cfg(test)]
mod tests;

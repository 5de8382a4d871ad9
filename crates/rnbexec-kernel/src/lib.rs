//! Jupyter kernels: kernelspecs, environments, processes and the wire.
//!
//! [`find`] a [`Kernelspec`], [`Kernel::launch`] it, [`Kernel::execute`] code and read [`KernelEvent`]s until the
//! execution has ended, [`Kernel::shutdown`]. No more is needed to run a notebook.
//!
//! What holds here, and what tests check:
//! - Not one message of a kernel is lost: a thread of its own does nothing but read, and ipykernel is started without
//!   a send limit ([`Launcher::Lossless`]).
//! - An execution is over when the kernel has replied *and* become idle, or has died; every wait is bounded.
//! - That a kernel is alive, its process says; there is no heartbeat that load could delay.
//! - When a [`Kernel`] is dropped or shut down, nothing of it is left: no process of its group, no socket, no file. Should we
//!   be killed outright, another process can see to that ([`Remains`]).
//! - The channels are Unix sockets in a directory that only the user can enter; messages are signed, and what is not
//!   signed right is not accepted.
//! - The library reads no environment variable, no home directory and no terminal: values come in.

mod companion;
mod connection;
pub mod contain;
mod death;
mod execution;
mod fork_server;
mod kernel;
mod kernelspec;
mod launcher;
mod links;
mod pool;
mod process;
pub mod provision;
mod remains;
mod search;
mod start;
mod supervise;
mod wire;
mod zmq;

pub use companion::Companion;
pub use death::{DeathCause, KernelDeath};
pub use execution::{ExecuteRequest, Execution, ExecutionEnd, KernelEvent};
pub use kernel::{Exit, ExitManner, Kernel, LaunchError, LaunchOptions, Origin, ShutdownPolicy};
pub use kernelspec::{InterruptMode, Kernelspec};
pub use launcher::Launcher;
pub use pool::{Expected, KernelPool, PoolOptions};
pub use process::{OutputSink, OutputStream};
pub use remains::{Registrar, Registration, Remains};
pub use search::{Catalog, KernelspecError, KnownKernels, SearchContext, catalog, find, list, search_path};
pub use wire::{Header, Message, WireError};

//! Containment: what is closed to a kernel and to all it starts, for notebooks that are not fully trusted.
//!
//! What shall be closed is decided by a pure policy ([`Containment`]). It is enforced before the kernel's first
//! instruction: a program of the caller's is started in the kernel's place, takes its order from standard input,
//! contains *itself* ([`enter`]) and then becomes the kernel. Nothing needs to happen between fork and exec, and the
//! process id, its group, its mark and its death with us stay what they are.
//!
//! Invariants: what was asked for and cannot be enforced is [`LaunchError::Containment`], and no kernel has run; there
//! is no weaker second choice that is not told in the [`Isolation`] of the kernel. A limit that was exceeded is the
//! named cause of death. Control groups that were made go with the kernel, those of runners that were killed with the
//! next launch.
//!
//! In layers, outermost first: control groups and resource limits, user, network and mount namespaces, no new
//! privileges, landlock, no capabilities. Facts: landlock(7), user_namespaces(7), cgroups(7), getrlimit(2).
//!
//! [`LaunchError::Containment`]: crate::LaunchError::Containment

mod environment;
mod order;
mod policy;

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod prepare;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod wrapper;

#[cfg(not(target_os = "linux"))]
#[path = "contain/portable.rs"]
mod prepare;
#[cfg(not(target_os = "linux"))]
use prepare as wrapper;

pub use order::Restriction;
pub use policy::{
    Containment, Files, Isolation, Level, Limits, Mechanism, MemoryLimit, NotAMemoryLimit, Part, Variables,
};
pub use wrapper::enter;

pub(crate) use environment::environment;
pub(crate) use order::Refusal;
pub(crate) use prepare::{Contained, NotStarted, Request, prepare};

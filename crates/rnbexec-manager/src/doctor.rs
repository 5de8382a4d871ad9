//! Whether the manager could do its work here.

mod kernel;

pub use kernel::{Kernel, KernelError, Missing, try_kernel};

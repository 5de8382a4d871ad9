//! What rnbexec promises, as tests against outside witnesses: this library is the harness, the promises are in `tests/*.rs`.
//!
//! - [`azure`]: a simulated Azure, stateful and strict, with faults on demand.
//! - [`oracle`]: the Python tools rnbexec is compared with, hash-pinned, installed on first use.
//! - [`book`]: notebooks written in a test.
//! - [`browser`]: a real headless browser, and a canary that tells whether a page reached for the network.
//! - [`canary`]: marked secrets, and whoever looks for them in everything.
//! - [`desk`]: a manager's world: a simulated Azure with incidents, a state folder, a triage notebook.
//! - [`differential`]: the same case through papermill and through rnbexec, compared.
//! - [`fake_kernel`]: a kernel whose language is faults.
//! - [`hostile`]: text that wants to be more than text.
//! - [`program`]: the built command line, started in a world of its own.
//! - [`saved`]: a saved notebook as a test looks at it.
//! - [`preload`]: what breaks under a program: its disk, its clock.
//! - [`scratch`]: a temporary folder with that world's environment, and who is still alive in it.
//! - [`servers`]: the servers that the stores are tested against.
//! - [`wait`]: waiting for a state with a deadline.
//!
//! A test whose witness is missing fails with the reason; it never passes by doing nothing.

pub mod azure;
pub mod book;
pub mod browser;
pub mod canary;
pub mod desk;
pub mod differential;
pub mod fake_kernel;
pub mod hostile;
pub mod preload;
pub mod program;
pub mod saved;
pub mod scratch;
pub mod servers;
pub mod wait;

pub use book::Book;
pub use canary::Canaries;
pub use desk::Desk;
pub use fake_kernel::FakeKernel;
pub use program::{Done, finish, finish_papermill, rnbexec_path};
pub use rnbexec_oracle as oracle;
pub use saved::Saved;
pub use scratch::Scratch;
pub use wait::wait_for;

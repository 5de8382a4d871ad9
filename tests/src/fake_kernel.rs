//! The kernel whose language is faults; see `oracle/fake_kernel.py` for the commands a cell may hold.

use serde_json::json;

use crate::{Book, Scratch, oracle};

/// How the fake kernel is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeKernel {
    /// Flags of the kernel's command line.
    pub flags: &'static [&'static str],
    /// Whether the kernelspec asks for `interrupt_request` instead of SIGINT.
    pub interrupt_by_message: bool,
}

impl FakeKernel {
    /// Writes the kernelspec `fake` for the programs started in the scratch.
    pub fn install(self, scratch: &Scratch) {
        let script = oracle::workspace().join("tests/oracle/fake_kernel.py");
        let mut argv = vec![
            oracle::python().display().to_string(),
            script.display().to_string(),
            "{connection_file}".to_owned(),
        ];
        argv.extend(self.flags.iter().map(|&flag| flag.to_owned()));
        let mode = if self.interrupt_by_message { "message" } else { "signal" };
        let spec =
            json!({"argv": argv, "display_name": "Fake", "language": "faults", "interrupt_mode": mode});
        oracle::write_kernelspec(&scratch.home().join("jupyter-data"), "fake", &spec);
    }

    /// A notebook for it without cells.
    #[must_use]
    pub fn book() -> Book {
        Book::for_kernel("fake", "faults")
    }
}

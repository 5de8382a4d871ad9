//! The asynchronous runtime, made by the commands that need it.

use std::future::Future;

use crate::console::Console;
use crate::exit;
use crate::failure::Failure;

/// Runs a command to its exit code.
pub(crate) fn block_on(console: &Console, command: impl Future<Output = u8>) -> u8 {
    // The run itself stays on this thread; the workers keep kernels and saves going while it writes to a terminal.
    block_on_with(console, 2, command)
}

/// The same with so many workers, for many runs at once.
pub(crate) fn block_on_with(console: &Console, workers: usize, command: impl Future<Output = u8>) -> u8 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers.max(2)).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // A thread may still wait for standard input, which may never end.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            let failure = Failure::because("cannot start", &error).code(exit::TRY_AGAIN);
            failure.show(console);
            failure.code
        }
    }
}

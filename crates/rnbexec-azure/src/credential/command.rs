//! Runs `az` and `azd` for their credentials, with an end: neither outlives us or takes for ever.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use azure_identity::Executor;

/// The command lines are slow, above all the first time.
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Command {
    /// `PATH` of the command.
    pub(super) path: Option<OsString>,
}

#[async_trait]
impl Executor for Command {
    async fn run(&self, program: &OsStr, args: &[&OsStr]) -> io::Result<Output> {
        let mut command = tokio::process::Command::new(program);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        match tokio::time::timeout(TIMEOUT, command.output()).await {
            Ok(output) => output,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TIMEOUT:?}"))),
        }
    }
}

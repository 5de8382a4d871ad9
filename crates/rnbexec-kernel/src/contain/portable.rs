//! Stand-ins where there is no Linux: containment is always refused.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::Isolation;
use super::order::{Refusal, Restriction};
use crate::death::KernelDeath;
use crate::kernel::LaunchOptions;
use crate::process::{Process, ProcessSpec};

/// Containment is not to be had on this system: fails.
pub fn enter() -> ExitCode {
    ExitCode::FAILURE
}

/// There is none.
pub(crate) enum Contained {}

#[expect(dead_code, reason = "the fields of its Linux counterpart")]
pub(crate) struct Request<'a> {
    pub(crate) command: Vec<OsString>,
    pub(crate) env: &'a HashMap<OsString, OsString>,
    pub(crate) channels: &'a Path,
    pub(crate) kernelspec: &'a Path,
}

#[expect(dead_code, reason = "the variants of its Linux counterpart")]
pub(crate) enum NotStarted {
    Refused(Refusal),
    NotRun(io::Error),
}

pub(crate) fn prepare(options: &LaunchOptions) -> Result<Option<Contained>, Refusal> {
    if options.containment.is_open() {
        return Ok(None);
    }
    let reason = "this system is no Linux".to_owned();
    Err(Refusal { restriction: Restriction::Everything, reason, program_missing: false })
}

impl Contained {
    pub(crate) fn scratch(&self) -> Option<&Path> {
        match *self {}
    }

    pub(crate) fn isolation(&self) -> &Isolation {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the signature of its Linux counterpart")]
    pub(crate) async fn spawn(&mut self, _: Request<'_>, _: ProcessSpec) -> Result<Process, NotStarted> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the signature of its Linux counterpart")]
    pub(crate) async fn exceeded(&mut self) {
        match *self {}
    }

    pub(crate) fn explain(&self, _: KernelDeath) -> KernelDeath {
        match *self {}
    }
}

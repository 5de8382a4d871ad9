//! Where there are no fork servers: what `linux.rs` has, in vain.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use super::{Birth, NotForked, Seed};
use crate::remains::Registrar;

#[derive(Debug)]
pub(super) struct Server(Infallible);

impl Server {
    pub(super) fn start(_: &Seed, _: Option<Registrar>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[expect(clippy::unused_async, reason = "the one for Linux awaits")]
    pub(super) async fn ready(&self, _: Duration) -> Result<(), NotForked> {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "the one for Linux awaits")]
    pub(super) async fn fork(self: &Arc<Self>, _: &Birth) -> Result<Forked, NotForked> {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "the one for Linux awaits")]
    pub(super) async fn check(&self, _: Option<&Path>) -> Result<(), NotForked> {
        match self.0 {}
    }
}

pub(crate) struct Forked(Infallible);

impl Forked {
    pub(crate) fn outputs(&mut self) -> Option<[tokio::io::Empty; 2]> {
        match self.0 {}
    }

    pub(crate) fn pid(&self) -> u32 {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "the one for Linux awaits")]
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.0 {}
    }
}

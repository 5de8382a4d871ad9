//! The connected channels of a kernel, as seen from its own thread.
//!
//! Each has a task that only reads and one that only writes. Frames go on unread: nothing here parses or verifies, so
//! that iopub is read as fast as the kernel writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::connection::Channel;
use crate::death::KernelDeath;
use crate::process::join_until_silence;
use crate::wire::{self, Session};
use crate::zmq;

/// After the process's end, its last messages are read until its sockets end or stay silent for so long. They end at
/// once unless something that left the kernel's process group still holds them.
const SILENCE_AFTER_DEATH: Duration = Duration::from_millis(300);

/// How long in all they are read: a dead process leaves no more than fits into the buffers of its sockets.
const FRAMES_AFTER_DEATH: Duration = Duration::from_secs(10);

/// What the thread of a kernel tells.
pub(crate) enum Received {
    Frames(Channel, Vec<Bytes>),
    /// After the last frame of a kernel that died.
    Died(KernelDeath),
}

enum Outgoing {
    Message(Vec<Bytes>),
    Pong(Bytes),
}

/// All channels of a kernel.
#[derive(Default)]
pub(crate) struct Links {
    writers: Vec<(Channel, mpsc::UnboundedSender<Outgoing>)>,
    readers: JoinSet<Channel>,
    /// Counts messages, to tell a slow stream from a silent one.
    progress: Arc<AtomicU64>,
}

impl Links {
    pub(crate) fn add(
        &mut self,
        channel: Channel,
        reader: zmq::Reader,
        writer: zmq::Writer,
        received: mpsc::UnboundedSender<Received>,
    ) {
        let (outgoing, outgoing_rx) = mpsc::unbounded_channel();
        self.writers.push((channel, outgoing.clone()));
        let progress = Arc::clone(&self.progress);
        self.readers.spawn(read(channel, reader, outgoing, received, progress));
        // Ends with the runtime, at the latest; an error of a socket shows at the reader too.
        tokio::spawn(write(channel, writer, outgoing_rx));
    }

    pub(crate) fn send(&self, channel: Channel, frames: Vec<Bytes>) {
        let writer = self.writers.iter().find(|(at, _)| *at == channel);
        if writer.is_none_or(|(_, writer)| writer.send(Outgoing::Message(frames)).is_err()) {
            tracing::debug!(?channel, "the channel is closed");
        }
    }

    /// A request on the control channel whose reply nobody needs.
    pub(crate) fn request(&self, session: &Session, msg_type: &str, content: &impl serde::Serialize) {
        let content = serde_json::to_vec(content).expect("requests of ours are plain data");
        self.send(Channel::Control, session.encode(&wire::fresh_id(), msg_type, Bytes::new(), content));
    }

    /// The next channel that ends. Cancel-safe.
    pub(crate) async fn closed(&mut self) -> Option<Channel> {
        self.readers.join_next().await?.ok()
    }

    /// Reads what is left after the process's end.
    pub(crate) async fn drain(&mut self) {
        let until_silence = join_until_silence(&mut self.readers, &self.progress, SILENCE_AFTER_DEATH);
        if tokio::time::timeout(FRAMES_AFTER_DEATH, until_silence).await.is_err() {
            self.readers.abort_all();
        }
    }
}

async fn read(
    channel: Channel,
    mut reader: zmq::Reader,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    received: mpsc::UnboundedSender<Received>,
    progress: Arc<AtomicU64>,
) -> Channel {
    loop {
        match reader.next().await {
            Ok(zmq::Incoming::Message(frames)) => {
                progress.fetch_add(1, Ordering::Relaxed);
                // Nobody listens only when the kernel is about to be killed; reading on does no harm.
                if received.send(Received::Frames(channel, frames)).is_err() {
                    tracing::trace!(?channel, "a message that nobody waits for");
                }
            }
            Ok(zmq::Incoming::Command { name, body }) => {
                if name == "PING" && outgoing.send(Outgoing::Pong(body)).is_err() {
                    tracing::debug!(?channel, "cannot answer a ping");
                }
            }
            Err(error) => {
                tracing::debug!(?channel, %error, "the channel ended");
                return channel;
            }
        }
    }
}

async fn write(channel: Channel, mut writer: zmq::Writer, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(next) = outgoing.recv().await {
        let sent = match next {
            Outgoing::Message(frames) => writer.send(&frames).await,
            Outgoing::Pong(ping) => writer.pong(&ping).await,
        };
        if let Err(error) = sent {
            tracing::debug!(?channel, %error, "cannot send");
            return;
        }
    }
}

//! The server: connections, faults, hooks and the journal around what the services play.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Response;
use axum::serve::IncomingStream;
use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::call::{Call, Reply};
use super::fault::Effect;
use super::hooks::{Action, Moment};
use super::journal::Entry;
use super::{Azure, Plane, arm, files, key_vault, logs};

const MOST_BYTES: usize = 64 * 1024 * 1024;
/// In how many parts a slow answer comes.
const PARTS: usize = 10;

/// Serves until it is told to stop, or its teller is gone.
pub(super) async fn serve(azure: Azure, listener: std::net::TcpListener, stop: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a runtime takes a listener that does not block");
    let service =
        Router::new().fallback(handle).with_state(azure).into_make_service_with_connect_info::<Scissors>();
    tokio::select! {
        served = axum::serve(Lines(listener), service) => served.expect("serving never ends by itself"),
        _ = stop => {}
    }
}

async fn handle(
    State(azure): State<Azure>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // A client that goes away while it asks has asked nothing.
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        scissors.cut();
        return Response::new(Body::empty());
    };
    let query = parts.uri.query().unwrap_or_default();
    let call = Call::new(parts.method.as_str(), parts.uri.path(), query, parts.headers, body);
    // A task of its own ends what it began also when the client goes away, and its panics can be told.
    let answered = tokio::spawn(answer(azure.clone(), scissors, call)).await;
    answered.unwrap_or_else(|error| {
        azure.world().panics.push(format!("a request made the simulation panic: {error}"));
        response(Reply::empty(500), Sending::Whole)
    })
}

/// How an answer is sent.
#[derive(Clone, Copy)]
enum Sending {
    Whole,
    Half,
    Slow(Duration),
}

async fn answer(azure: Azure, scissors: Scissors, call: Call) -> Response<Body> {
    let entry = {
        let mut world = azure.world();
        let plane = world.plane(&call);
        let (number, principal) = (world.requests, world.principal(&call));
        let entry = Entry::new(number, &call, plane, world.clock.now(), principal);
        world.requests += 1;
        world.journal.push(entry.clone());
        entry
    };
    run_hooks(&azure, Moment::Before, &entry).await;
    let (latency, effect) = faults(&azure, &entry);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let reply = match &effect {
        Some(Effect::CutBefore) => None,
        Some(Effect::Status { status, retry_after }) => {
            let reply = faulty(entry.plane, *status);
            Some(match retry_after {
                Some(seconds) => reply.with("retry-after", seconds.to_string()),
                None => reply,
            })
        }
        Some(Effect::ExpiredToken) => Some(expired(&azure, entry.plane)),
        Some(Effect::Forbidden) => Some(forbidden(&call, entry.plane)),
        _ => Some(azure.world().play(&call, entry.plane)),
    };
    let cut = matches!(effect, Some(Effect::CutBefore | Effect::CutAfter));
    if let Some(reply) = &reply
        && !cut
    {
        let status = Some(reply.status);
        // A test may have forgotten the request meanwhile.
        let mut world = azure.world();
        world
            .journal
            .iter_mut()
            .filter(|known| known.number == entry.number)
            .for_each(|known| known.status = status);
    }
    run_hooks(&azure, Moment::After, &entry).await;
    match reply {
        Some(reply) if !cut => response(
            reply,
            match effect {
                Some(Effect::Half) => Sending::Half,
                Some(Effect::Slow(pause)) => Sending::Slow(pause),
                _ => Sending::Whole,
            },
        ),
        _ => {
            scissors.cut();
            Response::new(Body::empty())
        }
    }
}

async fn run_hooks(azure: &Azure, moment: Moment, entry: &Entry) {
    let due: Vec<Action> =
        azure.world().hooks.iter_mut().filter_map(|hook| hook.due(moment, entry)).collect();
    for action in due {
        let azure = azure.clone();
        let run = tokio::task::spawn_blocking(move || {
            let mut action = action.lock().expect("an action that panicked is not run again");
            action(&azure);
        });
        run.await.expect("what a test does between two requests does not panic");
    }
}

/// The latencies that a request meets, and the first fault of any other kind.
fn faults(azure: &Azure, entry: &Entry) -> (Duration, Option<Effect>) {
    let (mut latency, mut found) = (Duration::ZERO, None);
    for fault in &mut azure.world().faults {
        if let Effect::Latency(time) = fault.effect {
            if fault.strikes(entry) {
                latency += time;
            }
        } else if found.is_none() && fault.strikes(entry) {
            found = Some(fault.effect.clone());
        }
    }
    (latency, found)
}

fn faulty(plane: Plane, status: u16) -> Reply {
    match plane {
        Plane::ResourceManager => arm::fault(status),
        Plane::Files => files::fault(status),
        Plane::KeyVault => key_vault::fault(status),
        Plane::Logs => logs::fault(status),
        Plane::Login | Plane::ManagedIdentity => {
            let body = serde_json::json!({
                "error": "temporarily_unavailable", "error_description": "The server cannot handle the request now.",
            });
            Reply::json(status, &body)
        }
    }
}

fn expired(azure: &Azure, plane: Plane) -> Reply {
    match plane {
        Plane::Files => files::expired_now(),
        Plane::KeyVault => key_vault::expired_now(&azure.world()),
        Plane::Logs => logs::expired_now(),
        Plane::ResourceManager | Plane::Login | Plane::ManagedIdentity => arm::expired_now(),
    }
}

fn forbidden(call: &Call, plane: Plane) -> Reply {
    match plane {
        Plane::Files => files::forbidden_now(),
        Plane::KeyVault => key_vault::forbidden_now(),
        Plane::Logs => logs::forbidden_now(),
        Plane::ResourceManager | Plane::Login | Plane::ManagedIdentity => arm::forbidden_now(call),
    }
}

fn response(reply: Reply, sending: Sending) -> Response<Body> {
    let request_id = Uuid::new_v4().to_string();
    let mut response = Response::builder()
        .status(reply.status)
        .header("x-ms-request-id", &request_id)
        .header("x-ms-correlation-request-id", &request_id);
    let sized = reply.headers.iter().any(|(name, _)| *name == "content-length");
    for (name, value) in &reply.headers {
        response = response.header(*name, value.replace(['\r', '\n'], " "));
    }
    // What comes in parts has its whole length in the head all the same.
    if !sized && !matches!(sending, Sending::Whole) {
        response = response.header("content-length", reply.body.len());
    }
    let body = match sending {
        Sending::Whole => Body::from(reply.body),
        Sending::Half => half(&reply.body),
        Sending::Slow(pause) => slow(&reply.body, pause),
    };
    response.body(body).expect("the services give headers that are well-formed")
}

/// Half of the bytes, then the end of the connection.
fn half(bytes: &Bytes) -> Body {
    let part = bytes.slice(..bytes.len() / 2);
    let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand");
    Body::from_stream(stream::iter([Ok(part), Err(cut)]))
}

fn slow(bytes: &Bytes, pause: Duration) -> Body {
    let size = bytes.len().div_ceil(PARTS).max(1);
    Body::from_stream(stream::unfold(bytes.clone(), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let part = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, io::Error>(part), rest))
    }))
}

/// Connections that can be cut in the middle.
struct Lines(TcpListener);

struct Line {
    stream: TcpStream,
    is_cut: Arc<AtomicBool>,
}

/// Cuts one connection: nothing more is sent on it.
#[derive(Debug, Clone)]
struct Scissors(Arc<AtomicBool>);

impl Scissors {
    fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Lines>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        Self(Arc::clone(&stream.io().is_cut))
    }
}

impl axum::serve::Listener for Lines {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        stream.set_nodelay(true).expect("a connection that was just accepted takes options");
        (Line { stream, is_cut: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand")));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

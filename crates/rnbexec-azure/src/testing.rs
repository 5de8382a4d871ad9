//! A server on loopback that answers as it is told, and an identity whose tokens are counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::Url;
use azure_core::time::OffsetDateTime;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::arm::Arm;
use crate::cloud::Cloud;
use crate::credential::Identity;
use crate::transport::{Http, HttpSettings, Rejected, RetryPolicy};

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `PUT /path?query`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// What goes back; `None` closes the connection without an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

pub(crate) fn answer(status: u16, body: &(impl ToString + ?Sized)) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string() }
}

impl Answer {
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// A server that asks `respond` for each answer. `None`: the connection ends without one.
    pub(crate) async fn start(respond: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, respond) = (Arc::clone(&asked), Arc::new(respond));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, respond) = (Arc::clone(&log), Arc::clone(&respond));
                connections.spawn(async move { serve(stream, &log, &*respond).await });
            }
        });
        Self { url: Url::parse(&format!("http://{address}/")).expect("a URL"), asked, task }
    }

    /// A server that gives these answers, one after the other.
    pub(crate) async fn script(answers: Vec<Answer>) -> Self {
        let answers = Mutex::new(answers.into_iter());
        Self::start(move |asked| {
            let next = answers.lock().expect("nobody panics").next();
            Some(next.unwrap_or_else(|| panic!("nothing was expected any more, but {}", asked.line)))
        })
        .await
    }

    /// All that came until now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics").clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// A cloud all of whose endpoints are this server.
    pub(crate) fn cloud(&self) -> Cloud {
        let url = self.url.clone();
        Cloud { authority: url.clone(), resource_manager: url.clone(), log_analytics: url, ..Cloud::public() }
    }

    pub(crate) fn arm(&self) -> Arm {
        Arm::new(self.cloud(), Tokens::identity(), &quick())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    respond: &(impl Fn(&Asked) -> Option<Answer> + ?Sized),
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let asked = Asked { line, headers, body: String::from_utf8(body).ok()? };
    log.lock().expect("nobody panics").push(asked.clone());
    let Answer { status, headers, body } = respond(&asked)?;
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        text.extend([name.as_str(), ": ", &value, "\r\n"]);
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.ok()
}

/// Connections that try again at once.
pub(crate) fn quick() -> Http {
    let retry = RetryPolicy { attempts: 3, first_wait: Duration::from_millis(1), ..RetryPolicy::default() };
    Http::new(&HttpSettings { retry, ..HttpSettings::default() }).expect("nothing can be wrong with it")
}

/// An identity that gives `token-1`, and the next one when a token was refused.
#[derive(Debug, Default)]
pub(crate) struct Tokens(AtomicUsize);

impl Tokens {
    pub(crate) fn identity() -> Identity {
        Arc::new(Self::default())
    }
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        _scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let refused =
            options.is_some_and(|options| options.method_options.context.value::<Rejected>().is_some());
        let count = self.0.fetch_add(usize::from(refused), Ordering::SeqCst) + usize::from(refused) + 1;
        Ok(AccessToken::new(format!("token-{count}"), OffsetDateTime::now_utc() + Duration::from_hours(1)))
    }
}

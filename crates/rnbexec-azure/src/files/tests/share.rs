//! A file share on loopback, with faults on demand: the verbs that are used here, as the REST reference has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// What goes wrong.
pub(super) enum Fault {
    /// Nothing is done, and this is the answer.
    Status(u16),
    /// Half of the request is read, and the connection closed.
    Cut,
    /// It is done, and the connection closed.
    DoneButCut,
}

type Faults = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

struct State {
    files: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
    asked: Vec<Asked>,
    fault: Faults,
}

pub(super) struct Share {
    address: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Share {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            asked: Vec::new(),
            fault: Box::new(|_| None),
        }));
        let serving = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    serve(stream, &state).await;
                }
            }
        });
        Self { address, state, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn fault(&self, fault: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().fault = Box::new(fault);
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Path and content of every file.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state.lock().unwrap().files.clone().into_iter().collect()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One request per connection, one connection at a time.
async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut asked =
        Asked { method: String::new(), target: String::new(), headers: HashMap::new(), body: Vec::new() };
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    (asked.method, asked.target) = (words.next()?.to_owned(), words.next()?.to_owned());
    loop {
        line.clear();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let fault = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        (state.fault)(&asked)
    };
    let length = asked.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let read = if matches!(fault, Some(Fault::Cut)) { length / 2 } else { length };
    asked.body = vec![0; read];
    reader.read_exact(&mut asked.body).await.ok()?;
    let (status, code, body) = match fault {
        Some(Fault::Cut) => return None,
        Some(Fault::Status(status)) => (status, "Fault", Body::Bytes(Vec::new())),
        Some(Fault::DoneButCut) => {
            answer(&mut state.lock().unwrap(), &asked);
            return None;
        }
        None => answer(&mut state.lock().unwrap(), &asked),
    };
    let error = if status >= 400 { format!("x-ms-error-code: {code}\r\n") } else { String::new() };
    let (length, body) = match body {
        Body::Bytes(bytes) => (bytes.len(), bytes),
        Body::Length(length) => (length, Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status} said\r\ncontent-length: {length}\r\nconnection: close\r\n{error}\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()
}

enum Body {
    Bytes(Vec<u8>),
    /// The answer to a `HEAD`.
    Length(usize),
}

fn answer(state: &mut State, asked: &Asked) -> (u16, &'static str, Body) {
    let nothing = || Body::Bytes(Vec::new());
    let (path, _) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let path = percent_decode_str(path.trim_start_matches("/acct")).decode_utf8().unwrap().into_owned();
    let path = path.trim_start_matches("/code-1").trim_matches('/').to_owned();
    let parent = path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let orphan = parent.is_some_and(|parent| !state.directories.contains(&parent));
    match (asked.method.as_str(), asked.query("restype"), asked.query("comp")) {
        ("PUT", Some("directory"), None) if state.files.contains_key(&path) => {
            (409, "ResourceTypeMismatch", nothing())
        }
        ("PUT", ..) if orphan => (404, "ParentNotFound", nothing()),
        ("PUT", Some("directory"), None) => {
            if state.directories.insert(path) {
                (201, "", nothing())
            } else {
                (409, "ResourceAlreadyExists", nothing())
            }
        }
        ("PUT", None, None) => {
            let length = asked.header("x-ms-content-length").parse().unwrap();
            state.files.insert(path, vec![0; length]);
            (201, "", nothing())
        }
        ("PUT", None, Some("range")) => {
            let range = asked.header("x-ms-range").trim_start_matches("bytes=");
            let (start, end) = range.split_once('-').unwrap();
            let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
            state.files.get_mut(&path).unwrap()[start..=end].copy_from_slice(&asked.body);
            (201, "", nothing())
        }
        ("PUT", None, Some("rename")) => {
            let source = asked.header("x-ms-file-rename-source");
            let source = source.split_once("/code-1/").unwrap().1;
            let source = source.split_once('?').map_or(source, |(path, _)| path);
            let source = percent_decode_str(source).decode_utf8().unwrap().into_owned();
            match state.files.remove(&source) {
                Some(content) => {
                    state.files.insert(path, content);
                    (200, "", nothing())
                }
                None => (404, "ResourceNotFound", nothing()),
            }
        }
        ("GET", _, Some("list")) if path.is_empty() && asked.query("restype").is_none() => {
            let shares = "<Share><Name>azureml-filestore-1</Name></Share><Share><Name>code-1</Name></Share>";
            let xml =
                format!("<EnumerationResults><Shares>{shares}</Shares><NextMarker/></EnumerationResults>");
            (200, "", Body::Bytes(xml.into_bytes()))
        }
        ("GET", Some("directory"), Some("list")) => {
            let marker = asked.query("marker").map_or(0, |marker| marker.parse().unwrap());
            (200, "", Body::Bytes(page(state, &path, marker).into_bytes()))
        }
        ("GET" | "HEAD" | "DELETE", None, None) => match state.files.get(&path) {
            None => (404, "ResourceNotFound", nothing()),
            Some(content) => match asked.method.as_str() {
                "GET" => (200, "", Body::Bytes(content.clone())),
                "HEAD" => (200, "", Body::Length(content.len())),
                _ => {
                    state.files.remove(&path);
                    (202, "", nothing())
                }
            },
        },
        _ => (400, "UnsupportedQueryParameter", nothing()),
    }
}

/// A page of one entry.
fn page(state: &State, directory: &str, marker: usize) -> String {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let inside = |path: &str| Some(path.strip_prefix(&prefix)?.to_owned()).filter(|name| !name.contains('/'));
    let files = state.files.iter().filter_map(|(path, content)| {
        let name = inside(path)?.replace('&', "&amp;");
        let length = format!("<Properties><Content-Length>{}</Content-Length></Properties>", content.len());
        Some(format!("<File><Name>{name}</Name>{length}</File>"))
    });
    let directories = state.directories.iter().filter_map(|path| inside(path));
    let directories =
        directories.map(|name| format!("<Directory><Name>{name}</Name><Properties/></Directory>"));
    let entries: Vec<String> = files.chain(directories).collect();
    let mut xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Entries>".to_owned();
    xml.extend(entries.get(marker).cloned());
    let next = if marker + 1 < entries.len() { (marker + 1).to_string() } else { String::new() };
    write!(xml, "</Entries><NextMarker>{next}</NextMarker></EnumerationResults>").unwrap();
    xml
}

//! Azure Files, the data plane: shares, directories and files over REST.
//!
//! The account is the first segment of the path, as in Azurite (`/account/share/…`), or is left out (`/share/…`). Names keep their
//! case and are compared without it. What is asked with a token needs the header that says it is meant as a backup.

mod authorize;
mod operations;
mod tree;

use uuid::Uuid;

use super::call::{Call, Played, Reply, escape_xml};
use super::names;
use super::world::World;

pub(super) use authorize::holder;
pub(super) use tree::{FileService, Node};

/// Directories and files of a share, as a request names them.
struct Target<'a> {
    share: &'a str,
    path: &'a [String],
}

/// Whether a path is one of this service.
pub(super) fn is_path(world: &World, segments: &[String]) -> bool {
    segments.first().is_none_or(|first| first == names::STORAGE_ACCOUNT || world.files.has_share(first))
}

/// Plays a request.
pub(super) fn play(world: &mut World, call: &Call) -> Played {
    let played = authorize::check(world, call).and_then(|()| route(world, call));
    let served = |reply: Reply| {
        let version = call.header("x-ms-version").unwrap_or("2026-04-06").to_owned();
        let mut reply = reply.with("x-ms-version", version).with("server", "Windows-Azure-File/1.0");
        if call.method == "HEAD" {
            reply.body = bytes::Bytes::new();
        }
        reply
    };
    match played {
        Ok(reply) => Ok(served(reply)),
        Err(reply) => Err(served(reply)),
    }
}

fn route(world: &mut World, call: &Call) -> Played {
    let mut segments = call.segments.as_slice();
    if let [account, rest @ ..] = segments
        && account == names::STORAGE_ACCOUNT
    {
        segments = rest;
    }
    let (kind, comp) = (call.query("restype"), call.query("comp"));
    let Some((share, path)) = segments.split_first() else {
        return match (call.method.as_str(), comp) {
            ("GET", Some("list")) => Ok(operations::list_shares(world, call)),
            _ => Err(unsupported(call)),
        };
    };
    let target = Target { share, path };
    match (call.method.as_str(), kind, comp) {
        ("PUT", Some("share"), None) => operations::create_share(world, &target),
        ("GET" | "HEAD", Some("share"), None) => operations::share(world, &target),
        _ if !world.files.has_share(share) => {
            Err(error(404, "ShareNotFound", "The specified share does not exist."))
        }
        ("PUT", Some("directory"), None) => operations::create_directory(world, &target),
        ("GET" | "HEAD", Some("directory"), None) => operations::directory(world, &target),
        ("GET", Some("directory"), Some("list")) => operations::list_directory(world, call, &target),
        ("DELETE", Some("directory"), None) => operations::delete_directory(world, &target),
        ("PUT", None, None) => operations::create_file(world, call, &target),
        ("PUT", None, Some("range")) => operations::put_range(world, call, &target),
        ("PUT", None, Some("rename")) => operations::rename(world, call, &target),
        ("GET" | "HEAD", None, None) => operations::get_file(world, call, &target),
        ("DELETE", None, None) => operations::delete_file(world, &target),
        _ => Err(unsupported(call)),
    }
}

fn unsupported(call: &Call) -> Reply {
    let message = format!("No operation is played for {} {}.", call.method, call.path);
    error(400, "InvalidQueryParameterValue", &message)
}

/// An error with storage's body.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    detailed(status, code, message, "")
}

/// The same with elements that say more.
fn detailed(status: u16, code: &str, message: &str, details: &str) -> Reply {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{}\nRequestId:{}\nTime:{}\
         </Message>{details}</Error>",
        escape_xml(message),
        Uuid::new_v4(),
        jiff::Timestamp::now(),
    );
    Reply::xml(status, body).with("x-ms-error-code", code)
}

fn missing_header(name: &str) -> Reply {
    let message = "An HTTP header that's mandatory for this request is not specified.";
    detailed(400, "MissingRequiredHeader", message, &format!("<HeaderName>{name}</HeaderName>"))
}

fn bad_header(name: &str, value: &str) -> Reply {
    let message = "The value for one of the HTTP headers is not in the correct format.";
    let details = format!("<HeaderName>{name}</HeaderName><HeaderValue>{}</HeaderValue>", escape_xml(value));
    detailed(400, "InvalidHeaderValue", message, &details)
}

/// The error of a service that cannot serve.
pub(super) fn fault(status: u16) -> Reply {
    let (code, message) = match status {
        429 | 503 => {
            ("ServerBusy", "The server is currently unable to receive requests. Please retry your request.")
        }
        408 | 504 => ("OperationTimedOut", "The operation could not be completed within the permitted time."),
        _ => ("InternalError", "The server encountered an internal error. Please retry the request."),
    };
    error(status, code, message)
}

/// The reply to a token that has just expired.
pub(super) fn expired_now() -> Reply {
    authorize::refuse_token("Lifetime validation failed. The token is expired.")
}

/// The reply to a role that is missing.
pub(super) fn forbidden_now() -> Reply {
    authorize::no_permission()
}

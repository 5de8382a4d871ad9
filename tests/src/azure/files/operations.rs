//! The operations of the file service.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::tree::{Entry, Node, not_found};
use super::{Target, bad_header, error, missing_header};
use crate::azure::call::{Call, Played, Reply, escape_xml, segments_of};
use crate::azure::clock::http_date;
use crate::azure::names;
use crate::azure::world::World;

const MOST_PER_RANGE: usize = 4 * 1024 * 1024;
const MOST_PER_FILE: usize = 256 * 1024 * 1024;

impl Target<'_> {
    fn path(&self) -> String {
        self.path.join("/")
    }
}

pub(super) fn list_shares(world: &World, call: &Call) -> Reply {
    let prefix = call.query("prefix").unwrap_or_default();
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"{}/{}/\"><Prefix>{}</Prefix><Shares>",
        world.url,
        names::STORAGE_ACCOUNT,
        escape_xml(prefix)
    );
    for name in world.files.shares.keys().filter(|name| name.starts_with(prefix)) {
        let modified = http_date(world.clock.now());
        put(
            &mut body,
            &format!(
                "<Share><Name>{name}</Name><Properties><Last-Modified>{modified}</Last-Modified><Quota>5120</Quota></Properties></Share>"
            ),
        );
    }
    body.push_str("</Shares><NextMarker /></EnumerationResults>");
    Reply::xml(200, body)
}

pub(super) fn create_share(world: &mut World, target: &Target<'_>) -> Played {
    if world.files.has_share(target.share) {
        return Err(error(409, "ShareAlreadyExists", "The specified share already exists."));
    }
    world.files.shares.insert(target.share.to_owned(), super::tree::Share::default());
    Ok(Reply::empty(201))
}

pub(super) fn share(world: &World, target: &Target<'_>) -> Played {
    if world.files.has_share(target.share) {
        return Ok(Reply::empty(200).with("x-ms-share-quota", "5120"));
    }
    Err(error(404, "ShareNotFound", "The specified share does not exist."))
}

pub(super) fn create_directory(world: &mut World, target: &Target<'_>) -> Played {
    let (path, now) = (checked(target)?, world.clock.now());
    let share = world.files.share_mut(target.share);
    share.parent_of(&path)?;
    if share.get(&path).is_some() {
        return Err(exists());
    }
    let entry = Entry::new(&path, Node::Directory, now);
    let reply = described(Reply::empty(201), &entry);
    share.insert(entry);
    Ok(reply)
}

pub(super) fn directory(world: &World, target: &Target<'_>) -> Played {
    let found = world.files.share(target.share).directory(&target.path())?;
    Ok(found.map_or_else(|| Reply::empty(200), |entry| described(Reply::empty(200), entry)))
}

pub(super) fn list_directory(world: &World, call: &Call, target: &Target<'_>) -> Played {
    let share = world.files.share(target.share);
    let path = target.path();
    share.directory(&path)?;
    let prefix = call.query("prefix").unwrap_or_default();
    let marker = call.query("marker").unwrap_or_default().to_lowercase();
    let size = call.query("maxresults").and_then(|size| size.parse().ok());
    let size: usize = size.or(world.page_size).unwrap_or(5000);
    let mut found = share
        .inside(&path)
        .filter(|entry| entry.name().to_lowercase().starts_with(&prefix.to_lowercase()))
        .filter(|entry| entry.name().to_lowercase() >= marker);
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"{}/{}/\" ShareName=\"{}\" \
         DirectoryPath=\"{}\"><Prefix>{}</Prefix><Entries>",
        world.url,
        names::STORAGE_ACCOUNT,
        target.share,
        escape_xml(&path),
        escape_xml(prefix)
    );
    for entry in found.by_ref().take(size) {
        let name = escape_xml(entry.name());
        put(
            &mut body,
            &match &entry.node {
                Node::Directory => format!("<Directory><Name>{name}</Name><Properties /></Directory>"),
                Node::File { bytes, .. } => format!(
                    "<File><Name>{name}</Name><Properties><Content-Length>{}</Content-Length></Properties></File>",
                    bytes.len()
                ),
            },
        );
    }
    let next = found.next().map(|entry| escape_xml(entry.name())).unwrap_or_default();
    put(&mut body, &format!("</Entries><NextMarker>{next}</NextMarker></EnumerationResults>"));
    Ok(Reply::xml(200, body))
}

pub(super) fn delete_directory(world: &mut World, target: &Target<'_>) -> Played {
    let path = target.path();
    let share = world.files.share_mut(target.share);
    share.directory(&path)?;
    if share.inside(&path).next().is_some() {
        return Err(error(409, "DirectoryNotEmpty", "The specified directory is not empty."));
    }
    share.remove(&path);
    Ok(Reply::empty(202))
}

/// Makes a file of zeros of the length it says, over whatever file was there.
pub(super) fn create_file(world: &mut World, call: &Call, target: &Target<'_>) -> Played {
    let (path, now) = (checked(target)?, world.clock.now());
    if needed(call, "x-ms-type")? != "file" {
        return Err(bad_header("x-ms-type", needed(call, "x-ms-type")?));
    }
    let length = needed(call, "x-ms-content-length")?;
    let length: usize = length.parse().map_err(|_| bad_header("x-ms-content-length", length))?;
    if length > MOST_PER_FILE {
        return Err(bad_header("x-ms-content-length", &length.to_string()));
    }
    if !call.body.is_empty() {
        return Err(bad_header("Content-Length", &call.body.len().to_string()));
    }
    // Since then the attributes have defaults.
    if call.header("x-ms-version").is_some_and(|version| version < "2021-06-08") {
        for name in [
            "x-ms-file-permission",
            "x-ms-file-attributes",
            "x-ms-file-creation-time",
            "x-ms-file-last-write-time",
        ] {
            needed(call, name)?;
        }
    }
    let content_type = call.header("x-ms-content-type").unwrap_or("application/octet-stream").to_owned();
    let share = world.files.share_mut(target.share);
    share.parent_of(&path)?;
    if share.get(&path).is_some_and(Entry::is_directory) {
        return Err(error(
            409,
            "ResourceTypeMismatch",
            "The specified resource type does not match the type of the existing resource.",
        ));
    }
    let entry = Entry::new(&path, Node::File { bytes: vec![0; length], content_type }, now);
    let reply = described(Reply::empty(201), &entry);
    share.insert(entry);
    Ok(reply)
}

pub(super) fn put_range(world: &mut World, call: &Call, target: &Target<'_>) -> Played {
    let (path, now) = (target.path(), world.clock.now());
    let write = needed(call, "x-ms-write")?;
    let range = call.header("x-ms-range").or_else(|| call.header("range"));
    let range = range.ok_or_else(|| missing_header("x-ms-range"))?;
    let (first, last) = bounds(range).ok_or_else(|| bad_header("x-ms-range", range))?;
    let last = last.filter(|last| *last >= first).ok_or_else(|| bad_header("x-ms-range", range))?;
    let length = last - first + 1;
    let entry = world.files.share_mut(target.share).file_mut(&path)?;
    let Node::File { bytes, .. } = &mut entry.node else { return Err(not_found()) };
    if last >= bytes.len() {
        return Err(invalid_range());
    }
    match write {
        "update" if length > MOST_PER_RANGE => {
            return Err(error(
                413,
                "RequestBodyTooLarge",
                "The size of the request body exceeds the maximum size permitted.",
            ));
        }
        "update" if call.body.len() != length => {
            return Err(bad_header("Content-Length", &call.body.len().to_string()));
        }
        "update" => bytes[first..=last].copy_from_slice(&call.body),
        "clear" if call.body.is_empty() => bytes[first..=last].fill(0),
        other => return Err(bad_header("x-ms-write", other)),
    }
    entry.touch(now);
    Ok(described(Reply::empty(201), entry))
}

/// Renames a file over another, if the request says that it may. Nobody sees anything between.
pub(super) fn rename(world: &mut World, call: &Call, target: &Target<'_>) -> Played {
    if call.header("x-ms-version").is_some_and(|version| version < "2021-04-10") {
        return Err(error(
            400,
            "InvalidQueryParameterValue",
            "Value for one of the query parameters is invalid.",
        ));
    }
    let source = needed(call, "x-ms-file-rename-source")?;
    let from =
        source_of(source, target.share).ok_or_else(|| bad_header("x-ms-file-rename-source", source))?;
    let replace = match call.header("x-ms-file-rename-replace-if-exists").unwrap_or("false") {
        "true" => true,
        "false" => false,
        other => return Err(bad_header("x-ms-file-rename-replace-if-exists", other)),
    };
    let path = checked(target)?;
    let share = world.files.share_mut(target.share);
    let mut moved = share.file(&from)?.clone();
    share.parent_of(&path)?;
    let same = from.eq_ignore_ascii_case(&path);
    match share.get(&path) {
        Some(known) if known.is_directory() => return Err(exists()),
        Some(_) if !replace && !same => return Err(exists()),
        _ => {}
    }
    share.remove(&from);
    share.remove(&path);
    moved.path = path;
    moved.touch(world.clock.now());
    let reply = described(Reply::empty(200), &moved);
    world.files.share_mut(target.share).insert(moved);
    Ok(reply)
}

/// The path in a full address of a file in the same share.
fn source_of(source: &str, share: &str) -> Option<String> {
    let rest = source.strip_prefix("http://").or_else(|| source.strip_prefix("https://"))?;
    let (_, path) = rest.split_once('/')?;
    let segments = segments_of(path.split('?').next()?);
    let inner = match segments.as_slice() {
        [account, rest @ ..] if account == names::STORAGE_ACCOUNT => rest,
        all => all,
    };
    let (first, path) = inner.split_first()?;
    (first == share && !path.is_empty()).then(|| path.join("/"))
}

pub(super) fn get_file(world: &World, call: &Call, target: &Target<'_>) -> Played {
    let entry = world.files.share(target.share).file(&target.path())?;
    let Node::File { bytes, content_type } = &entry.node else { return Err(not_found()) };
    let range = call.header("x-ms-range").or_else(|| call.header("range")).filter(|_| call.method == "GET");
    let reply = match range {
        None => {
            let mut reply = Reply::empty(200);
            // The server cuts the body of an answer to HEAD; its length stays.
            reply.body = if call.method == "GET" { bytes.clone().into() } else { bytes::Bytes::new() };
            if call.method == "HEAD" { reply.with("content-length", bytes.len().to_string()) } else { reply }
        }
        Some(range) => {
            let (first, last) = bounds(range).ok_or_else(|| bad_header("x-ms-range", range))?;
            if first >= bytes.len() {
                return Err(invalid_range());
            }
            let last = last.unwrap_or(usize::MAX).min(bytes.len() - 1);
            let mut reply = Reply::empty(206);
            reply.body = bytes.get(first..=last).unwrap_or_default().to_vec().into();
            reply.with("content-range", format!("bytes {first}-{last}/{}", bytes.len()))
        }
    };
    let reply = reply.with("content-type", content_type.clone()).with("accept-ranges", "bytes");
    Ok(described(reply.with("x-ms-type", "File"), entry))
}

pub(super) fn delete_file(world: &mut World, target: &Target<'_>) -> Played {
    let path = target.path();
    let share = world.files.share_mut(target.share);
    share.file(&path)?;
    share.remove(&path);
    Ok(Reply::empty(202))
}

fn needed<'a>(call: &'a Call, name: &str) -> Result<&'a str, Reply> {
    call.header(name).ok_or_else(|| missing_header(name))
}

/// A path whose every name Azure Files takes.
fn checked(target: &Target<'_>) -> Result<String, Reply> {
    let bad = |name: &String| {
        name.len() > 255
            || name.ends_with(['.', ' '])
            || name.chars().any(|letter| letter.is_control() || "\"\\/:|<>*?".contains(letter))
    };
    if target.path.is_empty() || target.path.iter().any(bad) {
        return Err(error(
            400,
            "InvalidResourceName",
            "The specified resource name contains invalid characters.",
        ));
    }
    Ok(target.path())
}

/// `bytes=first-last`; the last may be left out.
fn bounds(range: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

fn described(reply: Reply, entry: &Entry) -> Reply {
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string();
    reply
        .with("etag", entry.etag.clone())
        .with("last-modified", http_date(entry.modified))
        .with("x-ms-file-last-write-time", time(entry.modified))
        .with("x-ms-file-attributes", if entry.is_directory() { "Directory" } else { "Archive" })
        .with("x-ms-request-server-encrypted", "true")
}

fn exists() -> Reply {
    error(409, "ResourceAlreadyExists", "The specified resource already exists.")
}

fn invalid_range() -> Reply {
    error(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
}

fn put(body: &mut String, text: &str) {
    write!(body, "{text}").expect("writing into a string cannot fail");
}

//! `[source]`: where incidents come from.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::error::{ConfigError, Problem};
use super::read::Section;
use super::route::{Conditions, PLURAL, conditions};
use super::value::{self, SecretRef, Since};

/// Where incidents come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Sentinel is asked.
    Sentinel,
    /// Messages of an Azure Storage queue name them.
    Queue,
    /// They lie in a folder, as bundles.
    Folder,
}

/// Where incidents come from, and how to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Which of the three.
    pub kind: SourceKind,
    /// How long `watch` waits before it asks again after it found nothing new.
    pub interval: Duration,
    /// How Sentinel is asked.
    pub sentinel: Poll,
    pub(super) queue: QueueGiven,
    pub(super) folder: FolderGiven,
}

/// Which incidents are asked of Sentinel.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// Only these states (`New`, `Active`), as Sentinel spells them; closed incidents are never triaged.
    pub status: Vec<String>,
    /// Only incidents that meet these.
    pub conditions: Conditions,
    /// OData that must hold too.
    pub filter: Option<String>,
    /// How far back the very first poll looks.
    pub since: Since,
    /// How far before the newest incident seen the next poll begins.
    pub overlap: Duration,
    /// How many incidents one page of the answer holds.
    pub page_size: u32,
}

/// A queue whose messages name incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The queue's address.
    pub url: Url,
    /// The storage account's name.
    pub account: String,
    /// How long a message is ours before it is renewed or comes back.
    pub visibility: Duration,
    /// After how many deliveries that nobody lived to hand back a message goes to the poison queue.
    pub deliveries: u32,
    /// The address of the poison queue.
    pub poison: Url,
    /// Where the account key is; `None` is Entra ID.
    pub account_key: Option<SecretRef>,
}

/// A folder of bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where the bundles lie.
    pub path: PathBuf,
    /// Where what would be written to Sentinel is written.
    pub output: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueGiven {
    url: Option<Url>,
    account: Option<String>,
    queue: Option<String>,
    visibility: Duration,
    deliveries: u32,
    poison: Option<String>,
    account_key: Option<SecretRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderGiven {
    path: Option<PathBuf>,
    output: PathBuf,
}

const KINDS: [(&str, SourceKind); 3] =
    [("sentinel", SourceKind::Sentinel), ("queue", SourceKind::Queue), ("folder", SourceKind::Folder)];

/// What Azure allows a message to be invisible.
const LONGEST_LEASE: Duration = Duration::from_hours(7 * 24);

pub(super) fn source(section: &Section<'_>, key_vault_suffix: &str) -> Source {
    let kind = section.text("kind", &value::one_of(&KINDS), |text| value::word(text, &KINDS));
    let day = Duration::from_hours(24);
    Source {
        kind: kind.unwrap_or(SourceKind::Sentinel),
        interval: section
            .duration("interval", Duration::from_secs(1)..=day)
            .unwrap_or(Duration::from_mins(1)),
        sentinel: section.section("sentinel", poll),
        queue: section.section("queue", |section| queue(section, key_vault_suffix)),
        folder: section.section("folder", |section| FolderGiven {
            path: section.path("path"),
            output: section.path("output").unwrap_or_else(|| section.default_path("triaged-incidents")),
        }),
    }
}

fn poll(section: &Section<'_>) -> Poll {
    let open = [("New", "New"), ("Active", "Active")];
    let instead = format!("{} (closed incidents are never triaged)", value::one_of(&open));
    let status = section.choices("status", &instead, |text| value::word(text, &open));
    let days = |days: u64| Duration::from_hours(days * 24);
    let since = "write how far back (\"7d\") or a time (\"2025-01-31T00:00:00Z\")";
    Poll {
        status: status.unwrap_or_else(|| vec!["New", "Active"]).into_iter().map(str::to_owned).collect(),
        conditions: conditions(section, &PLURAL),
        filter: section.text("filter", "write an OData filter", |text| Ok(text.trim().to_owned())),
        since: section.value("since", since, Since::read).unwrap_or(Since::Ago(days(7))),
        overlap: section.duration("overlap", Duration::ZERO..=days(30)).unwrap_or(Duration::from_mins(10)),
        page_size: section.whole("page_size", 1..=1000).unwrap_or(100),
    }
}

fn queue(section: &Section<'_>, key_vault_suffix: &str) -> QueueGiven {
    section.exclude("queue", "url", "leave queue out: the address ends in it");
    let url = section.text("url", value::URL, |text| {
        let url = value::url(text)?;
        match queue_name(&url).map(|name| queue_of(&name)) {
            Some(Ok(_)) => Ok(url),
            _ => Err(format!("{text:?} does not end in a queue's name")),
        }
    });
    let named = "write a queue's name: 3 to 63 small letters, digits and single -";
    QueueGiven {
        url,
        account: section.text("account", "write the storage account's name", account),
        queue: section.text("queue", named, queue_of),
        visibility: section
            .duration("visibility", Duration::from_secs(1)..=LONGEST_LEASE)
            .unwrap_or(Duration::from_mins(5)),
        deliveries: section.whole("deliveries", 1..=1000).unwrap_or(5),
        poison: section.text("poison", named, queue_of),
        account_key: section
            .text("account_key", SecretRef::INSTEAD, |text| SecretRef::parse(text, key_vault_suffix)),
    }
}

fn queue_name(url: &Url) -> Option<String> {
    url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
}

fn queue_of(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (3..=63).contains(&text.len()) && text.chars().all(plain);
    if !fits || text.starts_with('-') || text.ends_with('-') || text.contains("--") {
        return Err(format!("{text:?} is no queue's name"));
    }
    Ok(text.to_owned())
}

/// A storage account's name; other services than Azure's allow more than Azure's 24 small letters and digits.
pub(super) fn account(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.len() > 63 || !text.chars().all(plain) || text.starts_with('-') {
        return Err(format!("{text:?} is no storage account's name"));
    }
    Ok(text.to_owned())
}

/// The account that an address of its storage means: the first part of the host, or of the path where the host is an IP
/// address or stands alone, as with Azurite.
pub(super) fn account_of(url: &Url) -> Option<String> {
    let first = match url.host()? {
        url::Host::Domain(host) => host.split_once('.').map(|(first, _)| first.to_owned()),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    };
    first.or_else(|| url.path_segments()?.next().filter(|first| !first.is_empty()).map(str::to_owned))
}

impl QueueGiven {
    pub(super) fn checked(&self, storage_suffix: &str) -> Result<Queue, Vec<Problem>> {
        let because = "source.kind is \"queue\"";
        let missing = |key: &str, example: &str| ConfigError::missing(key, because, example);
        let mut problems = Vec::new();
        let url = match (&self.url, &self.account, &self.queue) {
            (Some(url), _, _) => Some(url.clone()),
            (None, Some(account), Some(queue)) => {
                Url::parse(&format!("https://{account}.queue.{storage_suffix}/{queue}/")).ok()
            }
            (None, None, None) => {
                let example =
                    "[source.queue] account = \"ACCOUNT\" and queue = \"QUEUE\", or url = \"ADDRESS\"";
                problems.push(missing("source.queue.queue", example));
                None
            }
            (None, account, _) => {
                let key = if account.is_some() { "queue" } else { "account" };
                let example = format!("[source.queue] {key} = \"NAME\"");
                problems.push(missing(&format!("source.queue.{key}"), &example));
                None
            }
        };
        let Some(url) = url else { return Err(problems) };
        let name = queue_name(&url).unwrap_or_default();
        let poison_name = self.poison.clone().unwrap_or_else(|| {
            // A queue's name has 63 characters at most.
            let kept: String = name.chars().take(56).collect();
            format!("{}-poison", kept.trim_end_matches('-'))
        });
        let mut poison = url.clone();
        if let Ok(mut segments) = poison.path_segments_mut() {
            segments.pop_if_empty().pop().push(&poison_name);
        }
        let mut url = url;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        let account = self.account.clone().or_else(|| account_of(&url)).unwrap_or_default();
        if poison == url {
            problems.push(Problem {
                key: "source.queue.poison".to_owned(),
                place: None,
                wrong: "names the queue itself".to_owned(),
                instead: "name another queue".to_owned(),
            });
            return Err(problems);
        }
        Ok(Queue {
            url,
            account,
            visibility: self.visibility,
            deliveries: self.deliveries,
            poison,
            account_key: self.account_key.clone(),
        })
    }
}

impl FolderGiven {
    pub(super) fn checked(&self) -> Result<Folder, Vec<Problem>> {
        let Some(path) = self.path.clone() else {
            let example = "[source.folder] path = \"incidents\"";
            return Err(vec![ConfigError::missing(
                "source.folder.path",
                "source.kind is \"folder\"",
                example,
            )]);
        };
        if path == self.output {
            return Err(vec![Problem {
                key: "source.folder.output".to_owned(),
                place: None,
                wrong: "is the folder that the incidents come from".to_owned(),
                instead: "name another folder".to_owned(),
            }]);
        }
        Ok(Folder { path, output: self.output.clone() })
    }
}

//! The types of single settings.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use url::Url;

use super::tree::{Kind, Node};

/// How long something may take; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<Duration>);

/// A regular expression, compiled. Equal when written equally.
#[derive(Clone)]
pub struct Pattern(regex::Regex);

/// Where a secret is; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Variable(String),
    /// In a Key Vault.
    KeyVault {
        /// The vault's address.
        vault: Url,
        /// The secret's name.
        name: String,
        /// Its version; `None` is the newest.
        version: Option<String>,
    },
}

/// How far back to look for incidents at the very first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This long before now.
    Ago(Duration),
    /// From this moment on.
    At(Timestamp),
}

/// A hundred years: longer is a slip, and would overflow clocks.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// Seconds as a duration.
pub(super) fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|&duration| duration <= LONGEST)
}

/// Seconds (`90`, `1.5`), or numbers with units (`ms`, `s`, `m`, `h`, `d` of 24 hours, `w`).
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Ok(number) = text.trim().parse() {
        return seconds(number);
    }
    let span: Span = text.trim().parse().ok()?;
    let days_are_24_hours = SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(days_are_24_hours).ok()?;
    Duration::try_from(duration).ok().filter(|&duration| duration <= LONGEST)
}

/// A duration as people write it, and as [`duration`] reads it.
pub(crate) fn spoken(duration: Duration) -> String {
    let days = duration.as_secs() / 86_400;
    if days > 0 && duration == Duration::from_secs(days * 86_400) {
        return format!("{days}d");
    }
    SignedDuration::try_from(duration).map_or_else(
        |_| format!("{}s", duration.as_secs()),
        |duration| format!("{duration:#}").replace(' ', ""),
    )
}

/// An error with its causes. Where one draws the place of the error under the text, its last line says what it is.
pub(super) fn on_one_line(error: &dyn std::error::Error) -> String {
    let mut parts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let last = text.trim_end().lines().last().unwrap_or_default().trim_start_matches("error: ");
        parts.push(last.to_owned());
        next = error.source();
    }
    parts.join(": ")
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match regex::Regex::new(text) {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => Err(format!("{text:?} is no regular expression: {}", on_one_line(&error))),
        }
    }

    /// The compiled expression.
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Since {
    pub(super) fn read(node: &Node) -> Result<Self, String> {
        if let Kind::Integer(seconds) = node.kind {
            let ago = u64::try_from(seconds).ok().map(Duration::from_secs).filter(|&ago| ago <= LONGEST);
            return ago.map(Self::Ago).ok_or_else(|| format!("{seconds} is out of range"));
        }
        let text = node.text().ok_or_else(|| format!("{} is no text", node.what()))?.trim();
        if let Some(ago) = duration(text) {
            return Ok(Self::Ago(ago));
        }
        let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
        match text.parse().ok().or_else(|| date().map(|date| date.timestamp())) {
            Some(time) => Ok(Self::At(time)),
            None => Err(format!("{text:?} is neither a duration nor a time")),
        }
    }
}

impl SecretRef {
    /// What to write where a secret is needed.
    pub(super) const INSTEAD: &'static str = "write where the secret is: \"env:VARIABLE\", \
        \"vault:VAULT/SECRET\", or the secret's address \"https://VAULT.vault.azure.net/secrets/SECRET\"";

    /// Reads a reference. No error shows the text: it may be a secret that was written in the wrong place.
    pub(super) fn parse(text: &str, key_vault_suffix: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("env:") {
            return variable(name).map(Self::Variable);
        }
        if let Some(rest) = text.strip_prefix("vault:") {
            let (vault, secret) = rest.split_once('/').ok_or("it names no secret of the vault")?;
            if vault.is_empty() || !vault.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return Err("it names no vault".to_owned());
            }
            let suffix = key_vault_suffix.trim_start_matches('.');
            let vault =
                Url::parse(&format!("https://{vault}.{suffix}/")).map_err(|error| error.to_string())?;
            return Self::in_vault(vault, secret);
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => {
                let path = url.path().to_owned();
                let (before, secret) =
                    path.split_once("/secrets/").ok_or("the address names no secret (/secrets/NAME)")?;
                let mut vault = url;
                if !vault.username().is_empty() || vault.password().is_some() {
                    return Err("an address does not hold a user".to_owned());
                }
                vault.set_path(&format!("{before}/"));
                vault.set_query(None);
                vault.set_fragment(None);
                Self::in_vault(vault, secret)
            }
            _ => Err("what is written does not say where the secret is".to_owned()),
        }
    }

    fn in_vault(vault: Url, secret: &str) -> Result<Self, String> {
        let (name, version) = match secret.trim_end_matches('/').split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (secret.trim_end_matches('/'), None),
        };
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 127
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !plain(name) || version.is_some_and(|version| !plain(version)) {
            return Err("a secret's name and version hold letters, digits and - only".to_owned());
        }
        Ok(Self::KeyVault { vault, name: name.to_owned(), version: version.map(str::to_owned) })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::KeyVault { vault, name, version: _ } => write!(f, "the secret {name} of {vault}"),
        }
    }
}

/// The name of an environment variable.
pub(super) fn variable(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
        // Not shown: it may be the secret itself.
        return Err("what is written is no variable's name".to_owned());
    }
    Ok(name.to_owned())
}

/// A name that stands as one segment in Azure's addresses.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
    if matches!(text, "." | "..") || text.len() > 90 || !text.chars().all(plain) || text.ends_with('.') {
        return Err(format!("{text:?} is no name in Azure"));
    }
    Ok(text.to_owned())
}

/// What to write where [`url`] says no.
pub(super) const URL: &str = "write an address such as \"https://host\" or \"http://127.0.0.1:8080\"";

/// The address of a service: without user, query and fragment, its path ending in a slash.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|error| format!("{text:?} is no address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} is no address of a web service"));
    }
    // What follows may be a secret: it is not shown.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address holds a user".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address holds a query or a fragment".to_owned());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// One of a fixed choice of words, in any case.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
    found.map(|&(_, value)| value).ok_or_else(|| format!("{text:?} is none of the choices"))
}

/// What to write where [`word`] says no.
pub(super) fn one_of<T>(words: &[(&str, T)]) -> String {
    let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    format!("write {}", words.join(", ")).replace("write , ", "write ")
}

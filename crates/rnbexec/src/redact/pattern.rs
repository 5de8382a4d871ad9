//! Regular expressions for secrets. Which of them a run uses is up to its caller.

use regex::{Match, Regex, RegexBuilder};

use super::{Found, MASK};

/// The group that is masked, of a pattern that has it.
const GROUP: &str = "secret";

const PRIVATE_KEY: &str = "private key";

/// What is surely a secret, wherever it stands: the kind, and what it looks like.
/// A slash has a backslash before it in the JSON of pandas and PHP.
const WELL_KNOWN: [(&str, &str); 7] = [
    // 32 bytes in base64, at the end of a URL, in any encoding of one.
    (
        "shared access signature",
        r#"(?i)(?:^|[?&;\s"']|u0026|%26)sig(?:=|%3d)(?<secret>(?:[a-z0-9+_-]|\\*/|%[0-9a-f]{2}){40,}={0,2})"#,
    ),
    (
        "account key",
        r#"(?i)(?:AccountKey|SharedAccessKey|account_key)\\?["']?\s*[:=]\s*\\?["']?(?<secret>(?:[a-z0-9+]|\\*/){40,}={0,2})"#,
    ),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    (
        "authorization header",
        r#"(?i)authorization\\?["']?\s*[:=,]\s*\\?["']?(?:bearer|basic|sharedkey(?:lite)?)\s+(?<secret>(?:[^\s"'<>&\\*]|\\+/){8,})"#,
    ),
    ("bearer token", r"(?i)\bbearer\s+(?<secret>(?:[a-z0-9._~+-]|\\*/){32,}=*)"),
    (
        PRIVATE_KEY,
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?<secret>(?s:.){16,}?)-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    ),
    // Three characters, a version, a tilde and the rest.
    ("client secret", r"\b[A-Za-z0-9][A-Za-z0-9_~.-]{2}[78]Q~[A-Za-z0-9_~.-]{31,34}"),
];

/// The longest program that a pattern of the user's may become, in bytes.
const LARGEST: usize = 1 << 20;

/// A pattern that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is no regular expression.
    #[error("the pattern {pattern:?} is no regular expression")]
    Malformed {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: regex::Error,
    },
    /// It would mask everything.
    #[error("the pattern {pattern:?} matches the empty text")]
    MatchesNothing {
        /// The pattern.
        pattern: String,
    },
}

/// What a kind of secret looks like: a regular expression, matched in time that grows with the text alone. All that it matches is
/// masked; of one with a group named `secret`, that group.
#[derive(Clone, Debug)]
pub struct Pattern {
    kind: &'static str,
    regex: Regex,
    /// What begins and ends a secret of several lines.
    block: Option<(&'static str, &'static str)>,
}

impl Pattern {
    /// What is surely a secret, wherever it stands: signatures of shared access, keys of accounts, tokens, private keys.
    pub fn well_known() -> impl Iterator<Item = Self> {
        WELL_KNOWN.into_iter().map(|(kind, pattern)| Self {
            kind,
            regex: Regex::new(pattern).expect("a test uses each of them"),
            block: (kind == PRIVATE_KEY).then_some(("-----BEGIN ", "-----END ")),
        })
    }

    /// A pattern of the user's.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(pattern).size_limit(LARGEST).build();
        let regex =
            regex.map_err(|source| PatternError::Malformed { pattern: pattern.to_owned(), source })?;
        if regex.is_match("") {
            return Err(PatternError::MatchesNothing { pattern: pattern.to_owned() });
        }
        Ok(Self { kind: "configured pattern", regex, block: None })
    }

    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Where the pattern finds secrets in a text.
    pub(super) fn places(&self, text: &str) -> Vec<Found> {
        let with_group = self.regex.capture_names().flatten().any(|name| name == GROUP);
        let found = |whole: Match<'_>, secret: Match<'_>| Found {
            place: secret.range(),
            whole: whole.range(),
            kind: self.kind,
        };
        let places: Vec<Found> = if with_group {
            let all = self.regex.captures_iter(text);
            all.map(|all| found(all.get_match(), all.name(GROUP).unwrap_or(all.get_match()))).collect()
        } else {
            self.regex.find_iter(text).map(|all| found(all, all)).collect()
        };
        // A group that took part in no match, or matched what is masked already, hides nothing.
        let hides = |found: &Found| !found.place.is_empty() && &text[found.place.clone()] != MASK;
        places.into_iter().filter(hides).collect()
    }

    /// Where a secret of several lines begins whose end is not here yet.
    pub(super) fn open_block(&self, text: &str) -> Option<usize> {
        let (begin, end) = self.block?;
        let begins = text.rfind(begin)?;
        let ended = text[begins..].split_once(end).is_some_and(|(_, rest)| rest.contains("-----"));
        (!ended).then_some(begins)
    }
}

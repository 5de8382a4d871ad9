//! Regular expressions for secrets.

use regex::{Captures, Regex, RegexBuilder};

use super::MASK;

/// The group that is masked, of a pattern that has it.
const GROUP: &str = "secret";

/// What is surely a secret, wherever it stands: the kind, and what it looks like.
const WELL_KNOWN: [(&str, &str); 7] = [
    // 32 bytes in base64, at the end of a URL, in any encoding of one.
    (
        "shared access signature",
        r#"(?i)(?:^|[?&;\s"']|u0026|%26)sig(?:=|%3d)(?<secret>(?:[a-z0-9+/_-]|%[0-9a-f]{2}){40,}={0,2})"#,
    ),
    (
        "account key",
        r#"(?i)(?:AccountKey|SharedAccessKey|account_key)\\?["']?\s*[:=]\s*\\?["']?(?<secret>[a-z0-9+/]{40,}={0,2})"#,
    ),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    (
        "authorization header",
        r#"(?i)authorization\\?["']?\s*[:=,]\s*\\?["']?(?:bearer|basic|sharedkey(?:lite)?)\s+(?<secret>[^\s"'<>&\\*]{8,})"#,
    ),
    ("bearer token", r"(?i)\bbearer\s+(?<secret>[a-z0-9._~+/-]{32,}=*)"),
    (
        "private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?<secret>(?s:.){16,}?)-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    ),
    // Three characters, a version, a tilde and the rest.
    ("client secret", r"\b[A-Za-z0-9][A-Za-z0-9_~.-]{2}[78]Q~[A-Za-z0-9_~.-]{31,34}"),
];

/// The longest program that a pattern of the settings may become, in bytes.
const LARGEST: usize = 1 << 20;

/// A pattern of the settings that cannot be used.
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

/// What a kind of secret looks like.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    kind: &'static str,
    regex: Regex,
}

/// The patterns of what is surely a secret.
pub(super) fn well_known() -> impl Iterator<Item = Pattern> {
    WELL_KNOWN.into_iter().map(|(kind, pattern)| Pattern {
        kind,
        regex: Regex::new(pattern).expect("a test uses each of them"),
    })
}

impl Pattern {
    /// A pattern of the settings.
    pub(super) fn parse(pattern: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(pattern).size_limit(LARGEST).build();
        let regex =
            regex.map_err(|source| PatternError::Malformed { pattern: pattern.to_owned(), source })?;
        if regex.is_match("") {
            return Err(PatternError::MatchesNothing { pattern: pattern.to_owned() });
        }
        Ok(Self { kind: "configured pattern", regex })
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The text without what the pattern matches, and how often it did; `None` if it did not.
    pub(super) fn mask(&self, text: &str) -> Option<(String, usize)> {
        let mut count = 0;
        let clean = self.regex.replace_all(text, |found: &Captures<'_>| {
            let all = found.get_match();
            let secret = found.name(GROUP).unwrap_or(all);
            // A group that took part in no match, or matched what is masked already, hides nothing.
            if secret.is_empty() || secret.as_str() == MASK {
                return all.as_str().to_owned();
            }
            count += 1;
            format!("{}{MASK}{}", &text[all.start()..secret.start()], &text[secret.end()..all.end()])
        });
        let clean = (count > 0).then(|| clean.into_owned());
        clean.map(|clean| (clean, count))
    }
}

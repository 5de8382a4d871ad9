//! Takes secrets out of text that people will see.
//!
//! A location may carry a password (`https://user:word@host/`), a shared access signature (`?sig=…`) or a token
//! (`?token=…`). Such text is shown in messages, saved into notebooks and logged, so everything shown goes through here.
//! The rule errs on the side of hiding: a query value is hidden as soon as its name smells of a secret.

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Parts of a query name that make its value a secret, in lower case.
const SECRET_NAMES: &[&str] =
    &["sig", "token", "key", "secret", "pass", "pwd", "cred", "auth", "code", "jwt", "session", "ticket"];

/// `text` with every secret in every URL it holds replaced by `***`.
///
/// The text may be one URL or a whole message with URLs in it; what is no URL stays as it is.
pub(crate) fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        shown.push_str(before);
        // Inside a message a URL ends at a blank, a quote or a closing bracket; none of these is raw in a valid URL.
        let end = url.find(|c: char| c.is_whitespace() || "\"'<>)]}`".contains(c)).unwrap_or(url.len());
        redact_after_scheme(&url[..end], &mut shown);
        rest = &url[end..];
    }
    shown.push_str(rest);
    shown
}

/// One location's text: unlike in a message, blanks and brackets are part of it.
pub(crate) fn redact_location(text: &str) -> String {
    let Some(at) = text.find("://") else { return text.to_owned() };
    let (scheme, rest) = text.split_at(at + 3);
    let mut shown = scheme.to_owned();
    redact_after_scheme(rest, &mut shown);
    shown
}

/// The secret values in a location's text (user information and query values), for finding them again inside foreign
/// messages. Values shorter than four characters are left out: they would blank out ordinary words.
pub(crate) fn secrets_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(at) = text.find("://") else { return found };
    let rest = &text[at + 3..];
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if let Some((user, _)) = rest[..authority_end].rsplit_once('@') {
        // `container@account` of abfss:// is no password: only what follows a colon is.
        if let Some((_, password)) = user.split_once(':') {
            found.push(password.to_owned());
        }
        found.push(user.to_owned());
    }
    for pair in rest[authority_end..].split(['?', '#', '&']).skip(1) {
        if let Some((name, value)) = pair.split_once('=')
            && is_secret_name(name)
        {
            found.push(value.to_owned());
        }
    }
    let decoded: Vec<String> = found
        .iter()
        .filter(|value| value.contains('%'))
        .map(|value| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
        .collect();
    found.extend(decoded);
    found.retain(|value| value.len() >= 4);
    // Longest first, so that a secret holding another is hidden as a whole.
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    found
}

/// `message` with the given secrets and every secret in its URLs hidden.
pub(crate) fn scrub(message: &str, secrets: &[String]) -> String {
    let mut shown = message.to_owned();
    for secret in secrets {
        shown = shown.replace(secret.as_str(), HIDDEN);
    }
    redact(&shown)
}

/// True when a query parameter of this name holds a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn redact_after_scheme(rest: &str, shown: &mut String) {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        // `abfss://container@account…` names a container; a user with a password, or alone on the web, is a secret.
        Some((user, host))
            if user.contains(':') || shown.ends_with("http://") || shown.ends_with("https://") =>
        {
            shown.push_str(HIDDEN);
            shown.push('@');
            shown.push_str(host);
        }
        _ => shown.push_str(authority),
    }
    let query_at = tail.find(['?', '#']).unwrap_or(tail.len());
    let (path, query) = tail.split_at(query_at);
    shown.push_str(path);
    let mut first = true;
    for piece in query.split_inclusive(['?', '#', '&']) {
        let (pair, separator) = match piece.char_indices().next_back() {
            Some((at, c @ ('?' | '#' | '&'))) => (&piece[..at], Some(c)),
            _ => (piece, None),
        };
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(HIDDEN);
            }
            // A query that is one bare word is as likely a token as anything (`?eyJhbGciOi…`).
            None if !first && pair.len() >= 20 => shown.push_str(HIDDEN),
            _ => shown.push_str(pair),
        }
        if let Some(c) = separator {
            shown.push(c);
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_secrets_stays_as_it_is() {
        let url = "https://example.org/a%20b.ipynb?raw=true&version=2#top";
        assert_eq!(redact_location(url), url);
    }

    #[test]
    fn a_password_in_a_url_is_hidden() {
        assert_eq!(redact_location("https://me:word@host:8080/x"), "https://***@host:8080/x");
        assert_eq!(redact_location("https://ghp_abc@host/x"), "https://***@host/x");
    }

    #[test]
    fn the_container_of_an_abfss_url_is_shown() {
        let url = "abfss://data@acct.dfs.core.windows.net/x.ipynb";
        assert_eq!(redact_location(url), url);
    }

    #[test]
    fn signatures_and_tokens_are_hidden_and_the_rest_is_kept() {
        assert_eq!(
            redact_location("abs://a.blob.core.windows.net/c/b.ipynb?sv=2024-11-04&se=2027&sig=abc%2Fdef%3D"),
            "abs://a.blob.core.windows.net/c/b.ipynb?sv=2024-11-04&se=2027&sig=***"
        );
        assert_eq!(
            redact_location(
                "https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIA&X-Amz-Date=1&X-Amz-Signature=00ff"
            ),
            "https://b.s3.amazonaws.com/k?X-Amz-Credential=***&X-Amz-Date=1&X-Amz-Signature=***"
        );
        assert_eq!(redact_location("https://h/x#access_token=t"), "https://h/x#access_token=***");
    }

    #[test]
    fn a_bare_long_query_is_hidden() {
        assert_eq!(redact_location("https://h/x?eyJhbGciOiJIUzI1NiJ9.e30"), "https://h/x?***");
    }

    #[test]
    fn urls_inside_a_message_are_redacted_and_the_words_stay() {
        assert_eq!(
            redact("error sending request for url (https://u:p@h/x?sig=abc): refused"),
            "error sending request for url (https://***@h/x?sig=***): refused"
        );
    }

    #[test]
    fn known_secrets_are_found_in_foreign_messages_also_when_decoded() {
        let secrets = secrets_of("abs://a.blob.core.windows.net/c/b?sv=1&sig=ab%2Fcd%3D");
        assert_eq!(scrub("got ab/cd= and ab%2Fcd%3D", &secrets), "got *** and ***");
    }
}

//! Shared Key authorization, which the official crate lacks: the account key signs each request.
//!
//! Source: "Authorize with Shared Key" of the Azure Storage REST reference.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::Secret;
use azure_core::hmac::hmac_sha256;
use azure_core::http::headers::HeaderName;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Body, Context, Request};
use azure_core::time::{OffsetDateTime, to_rfc7231};

/// Headers that are signed by their place, in this order; all others only when they begin with `x-ms-`.
const SIGNED: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// Signs requests with the key of an account.
#[derive(Debug)]
pub(crate) struct SharedKeyPolicy {
    pub(crate) account: String,
    pub(crate) key: Secret,
}

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "async_trait makes a lifetime that is written out differ from the trait's"
)]
impl Policy for SharedKeyPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let signature = hmac_sha256(&string_to_sign(&self.account, request), &self.key)?;
        request.insert_header("authorization", format!("SharedKey {}:{signature}", self.account));
        let (first, rest) = next.split_first().expect("the transport is the last policy of every pipeline");
        first.send(ctx, request, rest).await
    }
}

fn string_to_sign(account: &str, request: &Request) -> String {
    let mut text = format!("{}\n", request.method().as_str());
    for name in SIGNED {
        let value = request.headers().get_optional_str(&HeaderName::from_static(name)).unwrap_or_default();
        if name == "content-length" {
            // The transport sets it from the body; a length of zero is signed as nothing.
            if let Body::Bytes(bytes) = request.body()
                && !bytes.is_empty()
            {
                text.push_str(&bytes.len().to_string());
            } else if value != "0" {
                text.push_str(value);
            }
        } else {
            text.push_str(value);
        }
        text.push('\n');
    }
    let mut ours: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .collect();
    ours.sort_unstable();
    for (name, value) in ours {
        push_line(&mut text, name, value.trim());
    }
    // On Azurite the path begins with the account as well, so that it stands here twice.
    text.push('/');
    text.push_str(account);
    text.push_str(request.url().path());
    let mut query: Vec<(String, String)> = request
        .url()
        .query_pairs()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    query.sort_unstable();
    for (name, value) in query {
        text.push('\n');
        text.push_str(&name);
        text.push(':');
        text.push_str(&value);
    }
    text
}

fn push_line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name}:{value}").expect("writing into a string cannot fail");
}

#[cfg(test)]
mod tests {
    use azure_core::http::{Method, Url};

    use super::*;

    #[test]
    fn the_text_that_is_signed_is_the_one_of_the_reference() {
        let url = "https://myaccount.blob.core.windows.net/mycontainer/a%20b?comp=metadata&Timeout=20";
        let mut request = Request::new(Url::parse(url).unwrap(), Method::Put);
        request.insert_header("x-ms-version", "2024-11-04");
        request.insert_header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        request.insert_header("content-type", "text/plain");
        request.set_body(Body::Bytes(b"hello".as_slice().into()));
        assert_eq!(
            string_to_sign("myaccount", &request),
            "PUT\n\n\n5\n\ntext/plain\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2024-11-04\n\
             /myaccount/mycontainer/a%20b\ncomp:metadata\ntimeout:20"
        );
    }

    #[test]
    fn the_key_shows_nowhere() {
        let policy = SharedKeyPolicy { account: "a".to_owned(), key: Secret::new("a2V5") };
        assert!(!format!("{policy:?}").contains("a2V5"));
    }
}

//! `s3://bucket/key`: Amazon S3 and servers that speak its protocol.
//!
//! Three verbs over signed HTTP, rather than a storage framework: frameworks read the process's environment themselves,
//! rewrite keys, know no profiles, or hide the answers that tell a wrong region from a missing permission. The hard part, the
//! credentials and the signature, is Apache's `reqsign`.
//!
//! - Credentials, in this order: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (`AWS_SESSION_TOKEN`), the profile (`AWS_PROFILE`) in
//!   `~/.aws/credentials` and `~/.aws/config` with its keys, `role_arn` over `source_profile`, SSO or `credential_process`, web
//!   identity, ECS and EKS containers, EC2. Without any, requests go unsigned, for public buckets.
//! - Region: `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, else `us-east-1`; when S3 answers that the bucket lives elsewhere, that.
//! - Endpoint: `BOTO3_ENDPOINT_URL` (papermill's), `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, else Amazon's.
//!
//! As papermill does, objects on Amazon are written with the ACL `bucket-owner-full-control`. Unlike papermill, keys that end in
//! `.gz` are read as they are.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, header};
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, ProfileCredentialProvider,
    RequestSigner,
};
use reqsign_core::hash::hex_sha256;
use reqsign_core::{Context, SignRequest as _, Signer};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::http::{LazyClient, Redirects, body, execute, refused};
use super::signed::{Cached, context, encoded, encoded_path, folder_prefix};
use super::{
    Action, Durability, Environment, Location, ObjectPath, Store, StoreError, StoreErrorKind, joined,
};

mod profile;

const LOG_IN: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile of ~/.aws/config \
                      (aws configure, aws sso login)";

/// S3 as a store.
pub(super) struct S3Store {
    client: LazyClient,
    environment: Environment,
    endpoint: Option<String>,
    /// What the environment and the profile say, once the profile was read.
    setup: tokio::sync::OnceCell<Setup>,
    credential: Cached<Credential>,
    /// Where a bucket really lives, once S3 said so.
    regions: Mutex<HashMap<String, String>>,
    context: OnceLock<Context>,
}

/// The region that is configured and the way to credentials.
struct Setup {
    region: String,
    provider: DefaultCredentialProvider,
}

/// One request, before it is bound to a region.
struct Call<'a> {
    action: Action,
    location: &'a Location,
    bucket: &'a str,
    method: Method,
    key: &'a str,
    query: String,
    headers: Vec<(&'static str, String)>,
    content: Bytes,
}

impl S3Store {
    pub(super) fn new(environment: &Environment) -> Self {
        let endpoint = ["BOTO3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| environment.get(name))
            .map(|url| url.trim_end_matches('/').to_owned());
        Self {
            client: LazyClient::new(Redirects::Return),
            environment: environment.clone(),
            endpoint,
            setup: tokio::sync::OnceCell::new(),
            credential: Cached::default(),
            regions: Mutex::default(),
            context: OnceLock::new(),
        }
    }

    /// Sends the request, once more if the bucket turns out to live in another region.
    async fn call(&self, call: Call<'_>) -> Result<Response, StoreError> {
        let client = self.client.get(call.action, call.location)?;
        let context = self.context.get_or_init(|| context(&self.environment, client)).clone();
        let setup = self.setup.get_or_init(|| setup(&self.environment, &context)).await;
        let known = self.regions().get(call.bucket).cloned();
        let mut region = known.unwrap_or_else(|| setup.region.clone());
        let mut moved = false;
        loop {
            let credential = self.credential.get(&context, &setup.provider).await;
            let credential = credential.map_err(|error| not_logged_in(&call, &error))?;
            let mut parts = call.request(self.endpoint.as_deref(), &region)?.into_parts().0;
            RequestSigner::new("s3", &region)
                .sign_request(&context, &mut parts, credential.as_ref(), None)
                .await
                .map_err(|error| not_logged_in(&call, &error))?;
            let request = http::Request::from_parts(parts, call.content.clone());
            let response = execute(call.action, call.location, client, request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let home = response.headers().get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
            match home {
                Some(home) if home != region && !moved => {
                    tracing::debug!(
                        bucket = call.bucket,
                        region = home,
                        "the bucket lives in another region"
                    );
                    region = home.to_owned();
                    self.regions().insert(call.bucket.to_owned(), region.clone());
                    moved = true;
                }
                _ => return Err(explained(&call, response, credential.is_none()).await),
            }
        }
    }

    fn regions(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    fn request(&self, endpoint: Option<&str>, region: &str) -> Result<http::Request<()>, StoreError> {
        let key = encoded_path(self.key);
        let url = match endpoint {
            Some(endpoint) => format!("{endpoint}/{}/{key}", self.bucket),
            None => format!("{}/{key}", amazon(self.bucket, region)),
        };
        let url = if self.query.is_empty() { url } else { format!("{url}?{}", self.query) };
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(url)
            .header("x-amz-content-sha256", hex_sha256(&self.content));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if self.method == Method::PUT && endpoint.is_none() {
            // Whoever owns the bucket shall own what we put there. Other servers know no ACLs, and some refuse them.
            request = request.header("x-amz-acl", "bucket-owner-full-control");
        }
        request.body(()).map_err(|error| {
            let problem = "not a valid bucket or endpoint".to_owned();
            StoreError::new(self.action, self.location, StoreErrorKind::InvalidLocation { problem })
                .caused_by(self.location, &error)
        })
    }
}

#[async_trait]
impl Store for S3Store {
    async fn read(&self, location: &Location) -> Result<Bytes, StoreError> {
        let at = object_of(Action::Read, location)?;
        let call = Call {
            action: Action::Read,
            location,
            bucket: &at.bucket,
            method: Method::GET,
            key: &at.key,
            query: String::new(),
            headers: Vec::new(),
            content: Bytes::new(),
        };
        body(Action::Read, location, self.call(call).await?).await
    }

    async fn write(
        &self,
        location: &Location,
        parts: &[Bytes],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        let at = object_of(Action::Write, location)?;
        let call = Call {
            action: Action::Write,
            location,
            bucket: &at.bucket,
            method: Method::PUT,
            key: &at.key,
            query: String::new(),
            headers: vec![(header::CONTENT_TYPE.as_str(), location.content_type().to_owned())],
            content: joined(parts),
        };
        self.call(call).await.map(drop)
    }

    async fn list(&self, location: &Location) -> Result<Vec<Location>, StoreError> {
        let Location::S3(at) = location else { return Err(wrong(Action::List, location)) };
        let prefix = folder_prefix(&at.key);
        let mut found = Vec::new();
        let mut continuation: Option<String> = None;
        loop {
            let mut query = format!("delimiter=%2F&list-type=2&prefix={}", encoded(&prefix));
            if let Some(token) = &continuation {
                query = format!("continuation-token={}&{query}", encoded(token));
            }
            let call = Call {
                action: Action::List,
                location,
                bucket: &at.bucket,
                method: Method::GET,
                key: "",
                query,
                headers: Vec::new(),
                content: Bytes::new(),
            };
            let answer = body(Action::List, location, self.call(call).await?).await?;
            let page: Page = quick_xml::de::from_reader(answer.as_ref()).map_err(|error| {
                let problem = "the server's list cannot be read".to_owned();
                StoreError::new(Action::List, location, StoreErrorKind::Other { problem })
                    .caused_by(location, &error)
            })?;
            // The folder itself may be an object, as consoles make them.
            found.extend(page.contents.into_iter().map(|object| object.key).filter(|key| *key != prefix));
            continuation = page.next_continuation_token;
            if continuation.is_none() {
                break;
            }
        }
        found.sort();
        Ok(found.into_iter().map(|key| Location::S3(at.with_key(key))).collect())
    }
}

/// One page of `ListObjectsV2`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    contents: Vec<Object>,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    key: String,
}

/// Reads the profile, and finds the region and the way to credentials.
async fn setup(environment: &Environment, context: &Context) -> Setup {
    let profile = profile::load(environment, context).await;
    let region = environment
        .get("AWS_REGION")
        .or_else(|| environment.get("AWS_DEFAULT_REGION"))
        .or(profile.region.as_deref())
        .unwrap_or("us-east-1")
        .to_owned();
    let mut provider = DefaultCredentialProvider::new();
    // A role of the profile comes after keys of the environment and before everything else, as in the AWS tools.
    if let (Some(role), Some(source), None) =
        (profile.role, profile.source, environment.get("AWS_ACCESS_KEY_ID"))
    {
        let keys = ProfileCredentialProvider::new().with_profile(source);
        let signer = Signer::new(context.clone(), keys, RequestSigner::new("sts", &region));
        provider = provider.push_front(
            AssumeRoleCredentialProvider::new(role, signer)
                .with_region(region.clone())
                .with_regional_sts_endpoint(),
        );
    }
    Setup { region, provider }
}

/// Amazon's URL of a bucket. A name with dots matches no certificate as a host's first part, so it goes into the path.
fn amazon(bucket: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let plain = bucket.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    if plain {
        format!("https://{bucket}.s3.{region}.{suffix}")
    } else {
        format!("https://s3.{region}.{suffix}/{}", encoded(bucket))
    }
}

async fn explained(call: &Call<'_>, response: Response, anonymous: bool) -> StoreError {
    let status = response.status();
    let error = refused(call.action, call.location, response).await;
    match status {
        // Unsigned and refused: whether it would be allowed to somebody is not known.
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED if anonymous => {
            error.with_kind(StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() })
        }
        StatusCode::UNAUTHORIZED => {
            error.with_kind(StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() })
        }
        // A key with nobody behind it or a wrong signature is 403 as well; the answer kept as the source tells.
        _ if call.action == Action::Write && status == StatusCode::NOT_FOUND => {
            error.with_kind(StoreErrorKind::NotFound)
        }
        _ => error,
    }
}

fn not_logged_in(call: &Call<'_>, error: &reqsign_core::Error) -> StoreError {
    let kind = StoreErrorKind::Unauthenticated { hint: LOG_IN.to_owned() };
    StoreError::new(call.action, call.location, kind).caused_by(call.location, error)
}

fn object_of(action: Action, location: &Location) -> Result<&ObjectPath, StoreError> {
    match location {
        Location::S3(at) if at.key.is_empty() || at.key.ends_with('/') => {
            let problem = "it names a folder; an object's key is missing".to_owned();
            Err(StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem }))
        }
        Location::S3(at) => Ok(at),
        _ => Err(wrong(action, location)),
    }
}

fn wrong(action: Action, location: &Location) -> StoreError {
    let problem = "it is not in S3".to_owned();
    StoreError::new(action, location, StoreErrorKind::InvalidLocation { problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bucket: &str, endpoint: Option<&str>) -> http::Request<()> {
        let location = Location::parse("s3://b/k").unwrap();
        let call = Call {
            action: Action::Write,
            location: &location,
            bucket,
            method: Method::PUT,
            key: "dir/a b.ipynb",
            query: String::new(),
            headers: Vec::new(),
            content: Bytes::from("x"),
        };
        call.request(endpoint, "eu-central-1").unwrap()
    }

    #[test]
    fn a_bucket_is_the_host_unless_its_name_has_dots() {
        assert_eq!(put("b", None).uri(), "https://b.s3.eu-central-1.amazonaws.com/dir/a%20b.ipynb");
        assert_eq!(put("b.c", None).uri(), "https://s3.eu-central-1.amazonaws.com/b.c/dir/a%20b.ipynb");
        assert_eq!(put("b", Some("http://h:1")).uri(), "http://h:1/b/dir/a%20b.ipynb");
        assert_eq!(amazon("b", "cn-north-1"), "https://b.s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn on_amazon_the_owner_of_the_bucket_gets_control() {
        assert_eq!(put("b", None).headers()["x-amz-acl"], "bucket-owner-full-control");
        assert!(put("b", Some("http://h:1")).headers().get("x-amz-acl").is_none());
    }

    #[test]
    fn papermills_variable_for_the_endpoint_wins() {
        let environment = Environment::from_iter([
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_S3", "http://b"),
            ("BOTO3_ENDPOINT_URL", "http://c/"),
        ]);
        assert_eq!(S3Store::new(&environment).endpoint.as_deref(), Some("http://c"));
    }
}

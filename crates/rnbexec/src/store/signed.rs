//! What S3 and Google Cloud Storage share: credentials from the places where each cloud's users keep them, and paths in URLs.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_core::{
    CommandExecute, CommandOutput, Context, Error, HttpSend, ProvideCredential, SigningCredential, StaticEnv,
};
use reqsign_file_read_tokio::TokioFileRead;
use tokio::sync::Mutex;

use super::Environment;

/// Everything but what no signature and no server reads two ways (RFC 3986 unreserved).
const PATH_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A metadata service answers at once or is not there: off the cloud its address is silence.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// A service that gives tokens and takes longer has gone away.
const TOKEN_TIMEOUT: Duration = Duration::from_mins(1);

/// A key as one part of a URL, slashes and all.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PATH_PART).to_string()
}

/// A key as the path of a URL.
#[cfg(feature = "s3")]
pub(super) fn encoded_path(key: &str) -> String {
    key.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// The key under which everything directly and deeper in the folder `key` lies.
pub(super) fn folder_prefix(key: &str) -> String {
    match key.trim_end_matches('/') {
        "" => String::new(),
        key => format!("{key}/"),
    }
}

/// Where credentials may come from: the variables of `environment`, files, commands (`credential_process`), HTTP.
pub(super) fn context(environment: &Environment, client: &reqwest::Client) -> Context {
    let home = environment.get("HOME").or_else(|| environment.get("USERPROFILE")).map(Into::into);
    Context::new()
        .with_env(StaticEnv { home_dir: home, envs: environment.all() })
        .with_file_read(TokioFileRead)
        .with_command_execute(CredentialProcess)
        .with_http_send(CredentialHttp(client.clone()))
}

/// A credential that is asked for once and again when it runs out. That there is none is an answer as well: requests are
/// then sent unsigned, for public buckets.
pub(super) struct Cached<C>(Mutex<Answer<C>>);

enum Answer<C> {
    NotAsked,
    Nobody,
    Somebody(C),
}

impl<C> Default for Cached<C> {
    fn default() -> Self {
        Self(Mutex::new(Answer::NotAsked))
    }
}

impl<C: SigningCredential> Cached<C> {
    pub(super) async fn get(
        &self,
        context: &Context,
        provider: &impl ProvideCredential<Credential = C>,
    ) -> Result<Option<C>, Error> {
        // Held while asking, so that many at once ask once.
        let mut cached = self.0.lock().await;
        match &*cached {
            Answer::Nobody => return Ok(None),
            Answer::Somebody(credential) if credential.is_valid() => return Ok(Some(credential.clone())),
            Answer::Somebody(_) | Answer::NotAsked => {}
        }
        let credential = provider.provide_credential(context).await?;
        *cached = credential.clone().map_or(Answer::Nobody, Answer::Somebody);
        Ok(credential)
    }
}

impl<C> fmt::Debug for Cached<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cached")
    }
}

/// Runs a `credential_process`, with an end: it is given nothing to read, and no longer than a service would be.
#[derive(Debug)]
struct CredentialProcess;

impl CommandExecute for CredentialProcess {
    async fn command_execute(&self, program: &str, arguments: &[&str]) -> Result<CommandOutput, Error> {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let failed =
            |why: String| Error::unexpected(format!("the command '{program}' for credentials {why}"));
        let output = tokio::time::timeout(TOKEN_TIMEOUT, command.output())
            .await
            .map_err(|_| failed(format!("gave none within {} s", TOKEN_TIMEOUT.as_secs())))?
            .map_err(|error| failed("cannot be run".to_owned()).with_source(error))?;
        let status = output.status.code().unwrap_or(-1);
        Ok(CommandOutput { status, stdout: output.stdout, stderr: output.stderr })
    }
}

#[derive(Debug)]
struct CredentialHttp(reqwest::Client);

impl HttpSend for CredentialHttp {
    async fn http_send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, Error> {
        let host = request.uri().host().unwrap_or_default();
        let metadata =
            host.starts_with("169.254.") || host == "metadata.google.internal" || host == "[fd00:ec2::254]";
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let answer = async {
            let response = self.0.execute(request).await.map_err(unreachable)?;
            let mut answer = http::Response::builder().status(response.status());
            if let Some(headers) = answer.headers_mut() {
                headers.clone_from(response.headers());
            }
            let body = response.bytes().await.map_err(unreachable)?;
            answer.body(body).map_err(|error| Error::unexpected(error.to_string()))
        };
        let (patience, silence) = if metadata {
            (METADATA_TIMEOUT, "the metadata service does not answer (not a machine of this cloud)")
        } else {
            (TOKEN_TIMEOUT, "the credential service does not answer")
        };
        tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Err(Error::unexpected(silence)))
    }
}

/// The URL of a token endpoint may hold a secret: it stays out.
fn unreachable(error: reqwest::Error) -> Error {
    Error::unexpected("the credential service cannot be reached").with_source(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encoded_once_and_its_slashes_stay() {
        assert_eq!(encoded("a/b c"), "a%2Fb%20c");
        #[cfg(feature = "s3")]
        assert_eq!(encoded_path("d/a b%25~é.ipynb"), "d/a%20b%2525~%C3%A9.ipynb");
    }

    #[test]
    fn a_folder_does_not_begin_its_neighbours_names() {
        assert_eq!(folder_prefix("out"), "out/");
        assert_eq!(folder_prefix("out/"), "out/");
        assert_eq!(folder_prefix(""), "");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_credential_process_has_nothing_to_read() {
        assert!(CredentialProcess.command_execute("cat", &[]).await.unwrap().success());
    }

    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn a_credential_process_that_never_answers_is_given_up() {
        let error = CredentialProcess.command_execute("sleep", &["1000"]).await.unwrap_err();
        assert!(error.to_string().contains("'sleep' for credentials gave none within 60 s"), "{error}");
    }
}

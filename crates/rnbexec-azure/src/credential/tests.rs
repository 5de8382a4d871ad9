use std::sync::atomic::{AtomicUsize, Ordering};

use azure_core::credentials::TokenRequestOptions;
use serde_json::json;

use super::*;
use crate::testing::{Server, answer, quick};
use crate::transport::rejected;
use crate::{AzureError, AzureErrorKind};

const SCOPE: &str = "https://storage.azure.com/.default";

/// A time far away, as the endpoints write it.
const FAR: &str = "4102444800";

fn settings(variables: &[(&str, &str)]) -> CredentialSettings {
    CredentialSettings::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

async fn token(identity: &Identity) -> String {
    identity.get_token(&[SCOPE], None).await.unwrap().token.secret().to_owned()
}

/// What Entra ID's endpoint answers, with a new token each time.
async fn entra(lifetime: u64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        let token = format!("t0ken-{}", count.fetch_add(1, Ordering::SeqCst) + 1);
        Some(answer(200, &json!({"token_type": "Bearer", "expires_in": lifetime, "access_token": token})))
    })
    .await
}

fn principal(server: &Server) -> CredentialSettings {
    settings(&[
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_SECRET", "hush&hush"),
        ("AZURE_AUTHORITY_HOST", server.url.join("login").unwrap().as_str()),
    ])
}

#[tokio::test]
async fn a_client_secret_is_shown_to_the_configured_authority_below_its_path_over_plain_http() {
    let server = entra(3600).await;
    let identity = credential(&principal(&server)).unwrap();
    assert_eq!(token(&identity).await, "t0ken-1");
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.line, "POST /login/tenant/oauth2/v2.0/token");
    let mut form: Vec<&str> = asked.body.split('&').collect();
    form.sort_unstable();
    assert_eq!(
        form,
        [
            "client_id=client",
            "client_secret=hush%26hush",
            "grant_type=client_credentials",
            "scope=https%3A%2F%2Fstorage.azure.com%2F.default"
        ]
    );
}

#[tokio::test]
async fn a_workload_shows_the_token_of_its_file_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = entra(1).await;
    let settings = settings(&[
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", server.url.as_str()),
    ]);
    let identity = credential(&settings).unwrap();
    for content in ["first", "second"] {
        std::fs::write(&file, content).unwrap();
        identity.get_token(&[SCOPE], Some(rejected(&Secret::new("t0ken-1")))).await.unwrap();
        let body = server.asked().pop().unwrap().body;
        assert!(body.contains(&format!("client_assertion={content}")), "{body}");
        assert!(body.contains("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"), "{body}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let server = Server::script(Vec::new()).await;
    let settings = settings(&[
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_CERTIFICATE_PATH", "/absent/cert.pem"),
        ("AZURE_AUTHORITY_HOST", server.url.as_str()),
    ]);
    let error = credential(&settings).unwrap().get_token(&[SCOPE], None).await.unwrap_err().to_string();
    assert!(error.contains("client certificate: /absent/cert.pem"), "{error}");
}

#[tokio::test]
async fn many_that_ask_at_once_ask_the_service_once_for_each_scope() {
    let server = entra(3600).await;
    let identity = credential(&principal(&server)).unwrap();
    let tokens = futures_util::future::join_all((0..20).map(|_| token(&identity))).await;
    assert!(tokens.iter().all(|token| token == "t0ken-1"), "{tokens:?}");
    identity.get_token(&["https://management.azure.com/.default"], None).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_token_that_expires_soon_is_replaced_before() {
    // Less than a second of life: its half is over at once.
    let server = entra(0).await;
    let identity = credential(&principal(&server)).unwrap();
    assert_eq!(
        (token(&identity).await, token(&identity).await),
        ("t0ken-1".to_owned(), "t0ken-2".to_owned())
    );
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_many_refusals_of_it_once() {
    let server = entra(3600).await;
    let identity = credential(&principal(&server)).unwrap();
    let old = Secret::new(token(&identity).await);
    let again = || identity.get_token(&[SCOPE], Some(rejected(&old)));
    let fresh = futures_util::future::join_all([again(), again(), again()]).await;
    assert!(fresh.into_iter().all(|fresh| fresh.unwrap().token.secret() == "t0ken-2"));
    assert_eq!((token(&identity).await, server.asked().len()), ("t0ken-2".to_owned(), 2));
}

#[tokio::test]
async fn an_authority_that_is_busy_is_asked_again_and_then_is_not_available() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        Some(match count.fetch_add(1, Ordering::SeqCst) {
            0 => answer(503, ""),
            1 => answer(200, &json!({"token_type": "Bearer", "expires_in": 3600, "access_token": "t"})),
            _ => answer(429, "").with("retry-after", "0"),
        })
    })
    .await;
    let identity = credential(&principal(&server).with_http(quick())).unwrap();
    assert_eq!(token(&identity).await, "t");
    let error = identity.get_token(&["https://vault.azure.net/.default"], None).await.unwrap_err();
    assert!(matches!(AzureError::from(error).kind(), AzureErrorKind::Unavailable { .. }));
}

#[tokio::test]
async fn an_authority_that_refuses_says_why_and_shows_no_secret() {
    let body = json!({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.",
                      "error_codes": [7_000_215]});
    let server = Server::start(move |_| Some(answer(401, &body))).await;
    let error = credential(&principal(&server)).unwrap().get_token(&[SCOPE], None).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("AADSTS7000215") && !text.contains("hush"), "{text}");
    assert_eq!(AzureError::from(error).kind(), &AzureErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_virtual_machine_asks_its_metadata_service_wherever_it_is() {
    let server = Server::start(|_| {
        Some(answer(200, &json!({"access_token": "t", "expires_in": "3599", "expires_on": FAR})))
    })
    .await;
    let base = server.url.join("sim/").unwrap();
    for (base, path) in [(server.url.as_str(), ""), (base.as_str(), "/sim")] {
        let settings = settings(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", base), ("AZURE_CLIENT_ID", "c")]);
        assert_eq!(token(&credential(&settings).unwrap()).await, "t");
        let asked = server.asked().pop().unwrap();
        assert_eq!(
            asked.line,
            format!(
                "GET {path}/metadata/identity/oauth2/token?api-version=2018-02-01\
                 &resource=https%3A%2F%2Fstorage.azure.com&client_id=c"
            )
        );
        assert_eq!(asked.header("metadata"), Some("true"));
    }
}

#[tokio::test]
async fn a_metadata_service_that_comes_up_is_waited_for() {
    let answers =
        vec![answer(404, ""), answer(410, ""), answer(200, &json!({"access_token": "t", "expires_in": 60}))];
    let server = Server::script(answers).await;
    let settings = settings(&[]).with_metadata_service(&server.url).with_http(quick());
    assert_eq!(token(&credential(&settings).unwrap()).await, "t");
}

#[tokio::test]
async fn a_machine_without_an_identity_says_so() {
    let body = json!({"error": "invalid_request", "error_description": "Identity not found"});
    let server = Server::start(move |_| Some(answer(400, &body))).await;
    let settings = settings(&[]).with_metadata_service(&server.url);
    let error = credential(&settings).unwrap().get_token(&[SCOPE], None).await.unwrap_err();
    assert_eq!(error.to_string(), "managed identity: 400 invalid_request: Identity not found");
}

#[tokio::test]
async fn app_service_is_asked_in_its_own_form() {
    let server = Server::start(|_| Some(answer(200, &json!({"access_token": "t", "expires_on": FAR})))).await;
    let endpoint = server.url.join("msi/token").unwrap();
    let settings = settings(&[("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "hush")]);
    assert_eq!(token(&credential(&settings).unwrap()).await, "t");
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.line, "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com");
    assert_eq!(asked.header("x-identity-header"), Some("hush"));
}

#[tokio::test]
async fn azure_ml_is_asked_in_its_own_form_and_once() {
    let server = Server::start(|_| Some(answer(200, &json!({"access_token": "t", "expires_on": FAR})))).await;
    let endpoint = server.url.join("msi/token").unwrap();
    let settings = settings(&[
        ("MSI_ENDPOINT", endpoint.as_str()),
        ("MSI_SECRET", "hush"),
        ("DEFAULT_IDENTITY_CLIENT_ID", "the-client"),
    ]);
    let identity = credential(&settings).unwrap();
    assert_eq!((token(&identity).await, token(&identity).await), ("t".to_owned(), "t".to_owned()));
    assert_eq!(
        server.lines(),
        [
            "GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fstorage.azure.com&clientid=the-client"
        ]
    );
    assert_eq!(server.asked()[0].header("secret"), Some("hush"));
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_not_quoted() {
    let server =
        Server::start(|_| Some(answer(200, r#"{"access_token":"s3cret","expires_on":"soon"}"#))).await;
    let settings = settings(&[]).with_metadata_service(&server.url);
    let error = credential(&settings).unwrap().get_token(&[SCOPE], None).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

/// A folder with an `az` that writes its arguments to a file and then runs `script`.
#[cfg(unix)]
fn az(script: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("#!/bin/sh\necho \"$*\" > '{}'\n{script}\n", folder.path().join("asked").display());
    // By way of another process: a test that starts one while the file is open for writing here would keep it busy.
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .args([folder.path().join("az").as_os_str(), text.as_ref()])
        .status();
    assert!(written.unwrap().success());
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, path)
}

#[cfg(unix)]
#[tokio::test]
async fn the_command_line_is_asked_for_the_tenant() {
    let (folder, path) = az(r#"echo '{"accessToken":"t","expires_on":4102444800,"tokenType":"Bearer"}'"#);
    let settings = settings(&[("PATH", &path)]).with_order([Source::AzureCli]).with_tenant("ten.ant-1");
    assert_eq!(token(&credential(&settings).unwrap()).await, "t");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("asked")).unwrap().trim(),
        format!("account get-access-token -o json --scope {SCOPE} --tenant ten.ant-1")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_logged_in_at_the_command_line_is_passed_over() {
    let (_folder, path) = az("echo 'Please run az login' >&2; exit 1");
    let server = Server::start(|_| Some(answer(200, &json!({"access_token": "t", "expires_on": FAR})))).await;
    let settings = settings(&[("PATH", &path)])
        .with_metadata_service(&server.url)
        .with_order([Source::AzureCli, Source::ManagedIdentity]);
    assert_eq!(token(&credential(&settings).unwrap()).await, "t");

    let alone = settings.with_order([Source::AzureCli]);
    let error = credential(&alone).unwrap().get_token(&[SCOPE], None).await.unwrap_err().to_string();
    assert!(error.contains("Azure CLI") && error.contains("Please run az login"), "{error}");
}

#[tokio::test]
async fn a_configured_source_that_fails_ends_the_search() {
    let settings = settings(&[
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/absent/token"),
    ]);
    let error = credential(&settings).unwrap().get_token(&[SCOPE], None).await.unwrap_err().to_string();
    assert!(error.contains("workload identity") && error.contains("/absent/token"), "{error}");
    assert!(!error.contains("Azure CLI"), "{error}");
}

#[tokio::test]
async fn without_any_source_the_error_says_so() {
    let settings = settings(&[]).with_order([Source::Environment, Source::AzureMl]);
    let error = credential(&settings).unwrap().get_token(&[SCOPE], None).await.unwrap_err();
    assert_eq!(error.to_string(), "no source is configured");
}

#[test]
fn half_a_service_principal_is_none_and_an_empty_variable_is_unset() {
    let settings =
        settings(&[("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "")]);
    assert_eq!(settings.presence(Source::Environment), Presence::Absent);
    assert_eq!(settings.presence(Source::ClientCertificate), Presence::Absent);
}

#[test]
fn a_service_principals_client_is_no_managed_identity() {
    let alone = settings(&[("AZURE_CLIENT_ID", "c")]);
    assert_eq!(alone.managed_client(), Some("c"));
    let principal = alone.with_tenant("t").with_client_certificate("/x.pem");
    assert_eq!(principal.managed_client(), None);
}

#[test]
fn app_service_is_not_taken_for_azure_ml() {
    let settings =
        settings(&[("MSI_ENDPOINT", "http://x"), ("MSI_SECRET", "s"), ("IDENTITY_ENDPOINT", "http://x")]);
    assert_eq!(settings.presence(Source::AzureMl), Presence::Absent);
    assert_eq!(settings.presence(Source::ManagedIdentity), Presence::Configured);
}

#[test]
fn a_source_has_the_names_that_other_tools_give_it() {
    for (name, source) in [
        ("env", Source::Environment),
        ("clientsecret", Source::Environment),
        ("certificate", Source::ClientCertificate),
        ("workload_identity", Source::WorkloadIdentity),
        ("Azure ML identity", Source::AzureMl),
        ("msi", Source::ManagedIdentity),
        ("managed-identity", Source::ManagedIdentity),
        ("ManagedIdentityCredential", Source::ManagedIdentity),
        ("cli", Source::AzureCli),
        ("AzureCliCredential", Source::AzureCli),
        ("azd", Source::AzureDeveloperCli),
    ] {
        assert_eq!(Source::parse(name), Some(source), "{name}");
    }
    assert_eq!(Source::parse("interactive"), None);
    for source in Source::DEFAULT_ORDER {
        assert_eq!(Source::parse(&source.to_string()), Some(source));
    }
}

#[test]
fn an_authority_is_a_url_with_or_without_its_scheme() {
    let of = |authority: &str| credential(&settings(&[("AZURE_AUTHORITY_HOST", authority)])).is_ok();
    assert!(of("login.microsoftonline.us") && of("http://127.0.0.1:1/login"));
    assert!(!of("file:///x") && !of("http://"));
}

#[tokio::test]
async fn secrets_show_in_no_debug_and_can_be_heard() {
    let server = entra(3600).await;
    let known = KnownSecrets::default();
    let settings = principal(&server).with_known_secrets(known.clone());
    let identity = credential(&settings).unwrap();
    token(&identity).await;
    let text = format!("{settings:?} {identity:?} {known:?}");
    assert!(!text.contains("hush") && !text.contains("t0ken"), "{text}");
    let heard: Vec<String> = known.all().iter().map(|secret| secret.secret().to_owned()).collect();
    assert_eq!(heard, ["hush&hush", "t0ken-1"]);
}

#[tokio::test]
async fn one_scope_at_a_time_is_asked_for() {
    let identity = credential(&settings(&[])).unwrap();
    let options: Option<TokenRequestOptions<'_>> = None;
    assert!(identity.get_token(&[], options.clone()).await.is_err());
    assert!(identity.get_token(&[SCOPE, SCOPE], options).await.is_err());
}

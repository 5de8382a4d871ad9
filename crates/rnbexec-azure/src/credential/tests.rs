use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SCOPE: &str = "https://storage.azure.com/.default";

fn settings(variables: &[(&str, &str)]) -> CredentialSettings {
    CredentialSettings::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

/// A server that answers one request with `body` and gives back what it was asked.
async fn answer_once(body: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/msi/token", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, server)
}

#[tokio::test]
async fn azure_ml_is_asked_in_its_own_form_and_once() {
    let (url, server) = answer_once(r#"{"access_token":"t0ken","expires_on":"4102444800"}"#).await;
    let settings = settings(&[
        ("MSI_ENDPOINT", &url),
        ("MSI_SECRET", "hush"),
        ("DEFAULT_IDENTITY_CLIENT_ID", "the-client"),
    ]);
    let credential = credential(&settings).unwrap();
    for _ in 0..2 {
        let token = credential.get_token(&[SCOPE], None).await.unwrap();
        assert_eq!(token.token.secret(), "t0ken");
    }
    let request = server.await.unwrap();
    let path =
        "GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fstorage.azure.com&clientid=the-client ";
    assert!(request.starts_with(path), "{request}");
    assert!(request.contains("secret: hush\r\n"), "{request}");
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
fn half_a_service_principal_is_none() {
    let settings = settings(&[("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")]);
    assert_eq!(settings.presence(Source::Environment), Presence::Absent);
}

#[test]
fn app_service_is_not_taken_for_azure_ml() {
    let settings =
        settings(&[("MSI_ENDPOINT", "http://x"), ("MSI_SECRET", "s"), ("IDENTITY_ENDPOINT", "http://x")]);
    assert_eq!(settings.presence(Source::AzureMl), Presence::Absent);
    assert_eq!(settings.presence(Source::ManagedIdentity), Presence::Configured);
}

#[tokio::test]
async fn secrets_show_in_no_debug() {
    let settings = settings(&[
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "hunter22"),
        ("MSI_ENDPOINT", "http://127.0.0.1:1"),
        ("MSI_SECRET", "hunter22"),
    ]);
    let credential = credential(&settings).unwrap();
    assert!(!format!("{settings:?} {credential:?}").contains("hunter22"));
}

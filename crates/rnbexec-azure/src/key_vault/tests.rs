use serde_json::json;

use super::*;
use crate::testing::{Asked, Server, Tokens, answer, quick};

fn vaults(server: &Server, known: &KnownSecrets) -> KeyVault {
    KeyVault::new(server.cloud(), Tokens::identity(), quick(), API_VERSION.to_owned(), known.clone())
}

/// A vault that wants a token and says for what.
fn vault(challenge: Option<&'static str>) -> impl Fn(&Asked) -> Option<crate::testing::Answer> {
    move |asked| {
        Some(match (asked.header("authorization"), challenge) {
            (Some(_), _) => answer(200, &json!({"value": "a2V5", "id": "https://v/secrets/storage/1"})),
            (None, Some(challenge)) => answer(401, "").with("www-authenticate", challenge),
            (None, None) => answer(401, ""),
        })
    }
}

#[tokio::test]
async fn a_secret_is_read_after_the_vault_said_what_it_wants() {
    let challenge =
        r#"Bearer authorization="https://login.windows.net/t", resource="https://vault.azure.net""#;
    let server = Server::start(vault(Some(challenge))).await;
    let known = KnownSecrets::default();
    let secret = vaults(&server, &known).secret(&server.url, "storage", None).await.unwrap();
    assert_eq!(secret.secret(), "a2V5");
    assert_eq!(server.lines().len(), 2);
    let asked = server.asked().pop().unwrap();
    assert!(
        asked.line.starts_with("GET /secrets/storage") && asked.line.ends_with("api-version=7.4"),
        "{}",
        asked.line
    );
    assert_eq!(asked.header("authorization"), Some("Bearer token-1"));
    assert_eq!(known.all(), [secret]);
}

#[tokio::test]
async fn a_vault_that_refuses_in_silence_gets_what_all_want() {
    let server = Server::start(vault(None)).await;
    let vaults = vaults(&server, &KnownSecrets::default());
    assert_eq!(vaults.secret(&server.url, "storage", Some("1a")).await.unwrap().secret(), "a2V5");
    assert!(server.lines()[1].starts_with("GET /secrets/storage/1a?api-version="));
}

#[tokio::test]
async fn a_vault_below_a_path_keeps_it() {
    let server = Server::start(vault(None)).await;
    let vault = server.url.join("vault/").unwrap();
    vaults(&server, &KnownSecrets::default()).secret(&vault, "storage", None).await.unwrap();
    assert!(server.lines()[0].starts_with("GET /vault/secrets/storage"), "{:?}", server.lines());
}

#[tokio::test]
async fn a_vault_gets_no_token_for_anything_else() {
    for challenge in [
        r#"Bearer resource="https://management.azure.com""#,
        r#"Bearer authorization="resource=", scope="https://management.azure.com/.default", resource="https://management.azure.com""#,
        r#"Bearer resource="https://net""#,
        r#"Bearer resource="""#,
        "Basic",
    ] {
        let server = Server::start(vault(Some(challenge))).await;
        let result = vaults(&server, &KnownSecrets::default()).secret(&server.url, "storage", None).await;
        assert!(result.is_err(), "{challenge}");
        assert!(server.asked().iter().all(|asked| asked.header("authorization").is_none()), "{challenge}");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let server = Server::start(|asked| {
        Some(match asked.header("authorization") {
            Some("Bearer token-2") => answer(200, r#"{"value": "v"}"#),
            _ => answer(401, ""),
        })
    })
    .await;
    let vaults = vaults(&server, &KnownSecrets::default());
    assert_eq!(vaults.secret(&server.url, "storage", None).await.unwrap().secret(), "v");
}

#[tokio::test]
async fn what_is_forbidden_or_absent_is_told_apart() {
    for (status, code, kind) in [
        (403, "Forbidden", AzureErrorKind::PermissionDenied),
        (404, "SecretNotFound", AzureErrorKind::NotFound),
    ] {
        let body = json!({"error": {"code": code, "message": "no"}});
        let server = Server::start(move |asked| {
            let told = asked.header("authorization").is_some();
            Some(if told { answer(status, &body) } else { answer(401, "") })
        })
        .await;
        let error =
            vaults(&server, &KnownSecrets::default()).secret(&server.url, "s", None).await.unwrap_err();
        assert_eq!((error.kind(), error.answer().unwrap().code.as_deref()), (&kind, Some(code)));
    }
}

#[tokio::test]
async fn a_vault_is_a_name_in_its_cloud_or_a_url() {
    let known = KnownSecrets::default();
    let vaults = KeyVault::new(Cloud::china(), Tokens::identity(), quick(), API_VERSION.to_owned(), known);
    assert_eq!(vaults.address("kv-1").unwrap().as_str(), "https://kv-1.vault.azure.cn/");
    assert_eq!(vaults.address("http://127.0.0.1:8/kv").unwrap().as_str(), "http://127.0.0.1:8/kv");
    for bad in ["", "a.b", "a/b", "../x", "file:///etc/passwd", "evil.test#"] {
        assert!(vaults.address(bad).is_err(), "{bad}");
    }
    let here = Url::parse("http://127.0.0.1:1").unwrap();
    for bad in ["", "a/b", "..", "a?b"] {
        assert!(vaults.secret(&here, bad, None).await.is_err(), "{bad}");
    }
}

#[test]
fn a_vault_may_want_what_stands_above_it() {
    let challenge = Challenge { audience: "https://vault.azure.net".to_owned() };
    let vault = Url::parse("https://kv.vault.usgovcloudapi.net").unwrap();
    assert!(challenge.may_want("https://vault.usgovcloudapi.net", &vault));
    assert!(challenge.may_want("https://vault.azure.net", &vault));
    for other in [
        "https://ault.usgovcloudapi.net",
        "https://kv.vault.usgovcloudapi.net.evil.test",
        "https://storage.azure.com",
    ] {
        assert!(!challenge.may_want(other, &vault), "{other}");
    }
}

//! Azure Files, Key Vault and Log Analytics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::*;

const INTENT: (&str, &str) = ("x-ms-file-request-intent", "backup");
const TODAY: (&str, &str) = ("x-ms-version", "2025-01-05");

/// A client of the file service, with a token.
fn files() -> Client {
    let (mut client, _) = Client::new(0);
    client.token = Some(client.azure.token(STORAGE));
    client
}

fn path(rest: &str) -> String {
    format!("/{}/{}/{rest}", names::STORAGE_ACCOUNT, names::CODE_SHARE)
}

impl Client {
    #[track_caller]
    fn file(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let headers: Vec<(&str, &str)> = [INTENT, TODAY].iter().chain(headers).copied().collect();
        self.send(method, path, &headers, body.to_vec()).expect("an answer")
    }

    #[track_caller]
    fn write(&self, name: &str, bytes: &[u8]) {
        let length = bytes.len().to_string();
        self.file("PUT", &path(name), &[("x-ms-type", "file"), ("x-ms-content-length", &length)], b"")
            .expect(201);
        let range = format!("bytes=0-{}", bytes.len() - 1);
        let headers = [("x-ms-write", "update"), ("x-ms-range", range.as_str())];
        self.file("PUT", &path(&format!("{name}?comp=range")), &headers, bytes).expect(201);
    }
}

#[test]
fn a_file_needs_its_parents_and_holds_what_was_written() {
    let client = files();
    let new = [("x-ms-type", "file"), ("x-ms-content-length", "5")];
    let got = client.file("PUT", &path("Users/TriageNbs/a.ipynb"), &new, b"").expect(404);
    assert_eq!(got.header("x-ms-error-code"), "ParentNotFound");
    assert!(got.text().contains("<Code>ParentNotFound</Code>"));
    client.file("PUT", &path("Users/TriageNbs?restype=directory"), &[], b"").expect(404);
    client.file("PUT", &path("Users?restype=directory"), &[], b"").expect(201);
    client.file("PUT", &path("Users/TriageNbs?restype=directory"), &[], b"").expect(201);
    let again = client.file("PUT", &path("users/triagenbs?restype=directory"), &[], b"").expect(409);
    assert_eq!(again.header("x-ms-error-code"), "ResourceAlreadyExists");
    client.write("Users/TriageNbs/a.ipynb", b"hello");
    assert_eq!(client.azure.file("Users/TriageNbs/a.ipynb").unwrap(), b"hello");
    assert_eq!(client.file("GET", &path("Users/TriageNbs/a.ipynb"), &[], b"").expect(200).body, b"hello");
    let part =
        client.file("GET", &path("Users/TriageNbs/a.ipynb"), &[("x-ms-range", "bytes=1-2")], b"").expect(206);
    assert_eq!((part.body.as_slice(), part.header("content-range")), (b"el".as_slice(), "bytes 1-2/5"));
    let head = client.file("HEAD", &path("Users/TriageNbs/a.ipynb"), &[], b"").expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("5", 0));
    let listed =
        client.file("GET", &path("Users/TriageNbs?restype=directory&comp=list"), &[], b"").expect(200).text();
    assert!(
        listed.contains("<File><Name>a.ipynb</Name><Properties><Content-Length>5</Content-Length>"),
        "{listed}"
    );
    client.file("DELETE", &path("Users/TriageNbs?restype=directory"), &[], b"").expect(409);
    client.file("DELETE", &path("Users/TriageNbs/a.ipynb"), &[], b"").expect(202);
    client.file("DELETE", &path("Users/TriageNbs/a.ipynb"), &[], b"").expect(404);
}

#[test]
fn the_account_may_be_left_out_of_the_path() {
    let client = files();
    client.azure.put_file("a.txt", "here");
    let short = format!("/{}/a.txt", names::CODE_SHARE);
    assert_eq!(client.file("GET", &short, &[], b"").expect(200).body, b"here");
}

#[test]
fn making_a_file_again_empties_it() {
    let client = files();
    client.write("a", b"longer");
    client.file("PUT", &path("a"), &[("x-ms-type", "file"), ("x-ms-content-length", "2")], b"").expect(201);
    assert_eq!(client.azure.file("a").unwrap(), [0, 0]);
}

#[test]
fn a_range_must_fit_the_file_and_the_body() {
    let client = files();
    client
        .file("PUT", &path("a"), &[("x-ms-type", "file"), ("x-ms-content-length", "5000000")], b"")
        .expect(201);
    let put = |range: &str, size: usize| {
        let headers = [("x-ms-write", "update"), ("x-ms-range", range)];
        client.file("PUT", &path("a?comp=range"), &headers, &vec![b'x'; size])
    };
    put("bytes=0-4194303", 4_194_304).expect(201);
    assert_eq!(
        put("bytes=0-4194304", 4_194_305).expect(413).header("x-ms-error-code"),
        "RequestBodyTooLarge"
    );
    put("bytes=4999999-5000000", 2).expect(416);
    put("bytes=0-9", 9).expect(400);
    put("bytes=0-", 9).expect(400);
}

#[test]
fn a_rename_replaces_only_when_it_says_so() {
    let client = files();
    client.azure.put_file("Users/x.part", "new");
    client.azure.put_file("Users/x.ipynb", "old");
    let source = format!("{}{}", client.azure.url(), path("Users/x.part"));
    let rename = |to: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> =
            [("x-ms-file-rename-source", source.as_str())].iter().chain(headers).copied().collect();
        client.file("PUT", &path(&format!("{to}?comp=rename")), &headers, b"")
    };
    assert_eq!(rename("Users/x.ipynb", &[]).expect(409).header("x-ms-error-code"), "ResourceAlreadyExists");
    assert_eq!(rename("None/x.ipynb", &[]).expect(404).header("x-ms-error-code"), "ParentNotFound");
    rename("Users/x.ipynb", &[("x-ms-file-rename-replace-if-exists", "true")]).expect(200);
    assert_eq!(client.azure.file("Users/x.ipynb").unwrap(), b"new");
    assert_eq!(client.azure.file("Users/x.part"), None);
    assert_eq!(rename("Users/y.ipynb", &[]).expect(404).header("x-ms-error-code"), "ResourceNotFound");
}

#[test]
fn a_token_needs_the_intent_a_new_version_the_right_audience_and_the_role() {
    let mut client = files();
    client.azure.put_file("a", "x");
    let get = |client: &Client, headers: &[(&str, &str)]| {
        client.send("GET", &path("a"), headers, Vec::new()).unwrap()
    };
    get(&client, &[INTENT, TODAY]).expect(200);
    let got = get(&client, &[TODAY]).expect(400);
    assert!(got.text().contains("<HeaderName>x-ms-file-request-intent</HeaderName>"));
    get(&client, &[INTENT]).expect(400);
    get(&client, &[INTENT, ("x-ms-version", "2021-12-02")]).expect(403);
    client.azure.deny("Microsoft.Storage/storageAccounts/fileServices/fileShares/files/read");
    let got = get(&client, &[INTENT, TODAY]).expect(403);
    assert_eq!(got.header("x-ms-error-code"), "AuthorizationPermissionMismatch");
    client.token = Some(client.azure.token(ARM));
    let got = get(&client, &[INTENT, TODAY]).expect(401);
    assert_eq!(got.header("x-ms-error-code"), "InvalidAuthenticationInfo");
    client.token = None;
    assert_eq!(
        get(&client, &[INTENT, TODAY]).expect(401).header("x-ms-error-code"),
        "NoAuthenticationInformation"
    );
}

#[test]
fn the_shared_key_signature_is_checked() {
    let mut client = files();
    client.token = None;
    client.azure.put_file("Users/a b.ipynb", "x");
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    // From the reference: verb, eleven headers, own headers in order, resource, query in order.
    let target = format!("/{}/{}/Users/a%20b.ipynb", names::STORAGE_ACCOUNT, names::CODE_SHARE);
    let text = format!(
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-12-02\n/{}{target}\ntimeout:30",
        names::STORAGE_ACCOUNT
    );
    let key = STANDARD.decode(client.azure.account_key()).unwrap();
    let sign = |key: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        format!("SharedKey {}:{}", names::STORAGE_ACCOUNT, STANDARD.encode(mac.finalize().into_bytes()))
    };
    let get = |authorization: &str| {
        let headers =
            [("authorization", authorization), ("x-ms-date", &date), ("x-ms-version", "2021-12-02")];
        client.send("GET", &format!("{target}?timeout=30"), &headers, Vec::new()).unwrap()
    };
    get(&sign(&key)).expect(200);
    let principal = client.azure.journal().last().unwrap().principal.clone();
    assert_eq!(principal.unwrap(), format!("key of {}", names::STORAGE_ACCOUNT));
    let got = get(&sign(b"another key")).expect(403);
    assert_eq!(got.header("x-ms-error-code"), "AuthenticationFailed");
    assert!(got.text().contains("Server used following string to sign"));
}

#[test]
fn the_vault_challenges_and_gives_the_current_version_of_a_secret() {
    let (mut client, _) = Client::new(0);
    let url = format!("/secrets/{}?api-version=7.4", names::KEY_SECRET);
    client.token = None;
    let challenge = client.get(&url).expect(401);
    assert!(challenge.header("www-authenticate").contains("resource=\"https://vault.azure.net\""));
    assert!(challenge.header("www-authenticate").contains(names::TENANT));
    client.token = Some(client.azure.token(ARM));
    client.get(&url).expect(401);
    client.token = Some(client.azure.token("https://vault.azure.net"));
    assert_eq!(client.get(&url).expect(200).json()["value"], client.azure.account_key());
    client.get("/secrets/none?api-version=7.4").expect(404);
    client.get(&format!("/secrets/{}", names::KEY_SECRET)).expect(400);
    let old = client.azure.set_secret("turned", "one");
    client.azure.set_secret("turned", "two");
    assert_eq!(client.get("/secrets/turned?api-version=7.4").expect(200).json()["value"], "two");
    assert_eq!(
        client.get(&format!("/secrets/turned/{old}?api-version=7.4")).expect(200).json()["value"],
        "one"
    );
    client.azure.disable_secret("turned");
    client.get("/secrets/turned?api-version=7.4").expect(403);
    client.azure.deny("Microsoft.KeyVault/vaults/secrets/getSecret/action");
    assert_eq!(client.get(&url).expect(403).json()["error"]["innererror"]["code"], "ForbiddenByRbac");
}

#[test]
fn a_query_is_answered_as_told_and_an_unknown_table_is_an_error() {
    let (mut client, _) = Client::new(0);
    client.token = Some(client.azure.token("https://api.loganalytics.io"));
    let url = format!("/v1/workspaces/{}/query", names::CUSTOMER_ID);
    let query = |client: &Client, text: &str| {
        let body = json!({"query": text}).to_string().into_bytes();
        client.send("POST", &url, &[("content-type", "application/json")], body).unwrap()
    };
    assert_eq!(query(&client, "print 1").expect(200).json()["tables"][0]["rows"], json!([[1]]));
    assert_eq!(query(&client, "SecurityAlert | take 1").expect(400).code(), "BadArgumentError");
    client.azure.answer_query("SecurityAlert", &[("AlertName", "string")], &[json!(["a"])]);
    let answer = query(&client, "SecurityAlert | take 1").expect(200).json();
    assert_eq!(answer["tables"][0]["columns"], json!([{"name": "AlertName", "type": "string"}]));
    client.token = Some(client.azure.token(STORAGE));
    assert_eq!(query(&client, "print 1").expect(403).code(), "InvalidTokenError");
}

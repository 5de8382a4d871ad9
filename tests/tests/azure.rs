//! The simulated Azure is as strict as Azure: what the tests of the manager rely on.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Method;
use rnbexec_tests::azure::{Fault, On, Plane, SimulatedAzure, names};
use serde_json::{Value, json};

const ARM: &str = "https://management.azure.com";
const STORAGE: &str = "https://storage.azure.com";
const VERSION: &str = "api-version=2025-09-01";

/// A client that does only what it is told.
struct Client {
    azure: SimulatedAzure,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    token: Option<String>,
}

struct Got {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Got {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are text"))
    }

    /// The code of an error of ARM or Key Vault.
    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Client {
    /// With so many of the shipped incidents, and a token for ARM.
    fn new(incidents: usize) -> (Self, Vec<String>) {
        let azure = SimulatedAzure::start();
        let seeded = azure.seed_shipped(incidents);
        let token = Some(azure.token(ARM));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        (Self { azure, runtime, http, token }, seeded)
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Got, reqwest::Error> {
        let url = if url.starts_with("http") { url.to_owned() } else { format!("{}{url}", self.azure.url()) };
        let mut request =
            self.http.request(Method::from_bytes(method.as_bytes()).expect("a method"), url).body(body);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Ok(Got { status, headers, body: answer.bytes().await?.to_vec() })
        })
    }

    #[track_caller]
    fn get(&self, url: &str) -> Got {
        self.send("GET", url, &[], Vec::new()).expect("an answer")
    }

    #[track_caller]
    fn post(&self, url: &str) -> Got {
        self.send("POST", url, &[], Vec::new()).expect("an answer")
    }

    #[track_caller]
    fn put(&self, url: &str, body: &Value) -> Got {
        self.send("PUT", url, &[("content-type", "application/json")], body.to_string().into_bytes())
            .expect("an answer")
    }

    #[track_caller]
    fn form(&self, url: &str, fields: &[(&str, &str)]) -> Got {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", url, &headers, body.join("&").into_bytes()).expect("an answer")
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| {
        if byte.is_ascii_alphanumeric() {
            all + &char::from(byte).to_string()
        } else {
            all + &format!("%{byte:02X}")
        }
    })
}

fn incidents() -> String {
    format!("{}/providers/Microsoft.SecurityInsights/incidents", names::workspace_id())
}

fn one(name: &str) -> String {
    format!("{}/{name}?{VERSION}", incidents())
}

fn comment(incident: &str, name: &str) -> String {
    format!("{}/{incident}/comments/{name}?{VERSION}", incidents())
}

fn list(query: &[(&str, &str)]) -> String {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{}?{VERSION}&{}", incidents(), query.join("&"))
}

fn named(page: &Value) -> Vec<String> {
    let items = page["value"].as_array().expect("a page has items");
    items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
}

mod arm {
    use super::*;

    #[test]
    fn a_request_without_a_token_is_told_where_to_get_one() {
        let (mut client, seeded) = Client::new(1);
        client.token = None;
        let got = client.get(&one(&seeded[0])).expect(401);
        assert_eq!(got.code(), "AuthenticationFailed");
        assert!(got.header("www-authenticate").contains("authorization_uri="));
    }

    #[test]
    fn a_token_for_another_service_is_refused() {
        let (mut client, seeded) = Client::new(1);
        client.token = Some(client.azure.token(STORAGE));
        assert_eq!(client.get(&one(&seeded[0])).expect(401).code(), "InvalidAuthenticationTokenAudience");
        client.token = Some(client.azure.token(&client.azure.url()));
        client.get(&one(&seeded[0])).expect(200);
    }

    #[test]
    fn a_revoked_token_has_expired_and_a_new_one_works() {
        let (mut client, seeded) = Client::new(1);
        client.azure.revoke_tokens();
        assert_eq!(client.get(&one(&seeded[0])).expect(401).code(), "ExpiredAuthenticationToken");
        client.token = Some(client.azure.token(ARM));
        client.get(&one(&seeded[0])).expect(200);
    }

    #[test]
    fn the_api_version_must_be_there_and_known() {
        let (client, seeded) = Client::new(1);
        let path = format!("{}/{}", incidents(), seeded[0]);
        assert_eq!(client.get(&path).expect(400).code(), "MissingApiVersionParameter");
        assert_eq!(
            client.get(&format!("{path}?api-version=2019-01-01")).expect(400).code(),
            "NoRegisteredProviderFound"
        );
        // Entities came later than incidents.
        let entities = format!("{path}/entities?api-version=");
        client.post(&format!("{entities}2020-01-01")).expect(400);
        client.post(&format!("{entities}2021-04-01")).expect(200);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (client, seeded) = Client::new(1);
        for (wrong, right, code) in [
            ("00000000-0000-0000-0000-000000000000", names::SUBSCRIPTION, "SubscriptionNotFound"),
            ("other-rg", names::RESOURCE_GROUP, "ResourceGroupNotFound"),
            ("other-ws", names::WORKSPACE, "ResourceNotFound"),
            ("no-incident", &seeded[0], "NotFound"),
        ] {
            let got = client.get(&one(&seeded[0]).replace(right, wrong)).expect(404);
            assert_eq!(got.code(), code);
            assert!(!got.header("x-ms-request-id").is_empty());
        }
    }

    #[test]
    fn ids_do_not_depend_on_case() {
        let (client, seeded) = Client::new(1);
        let odd = one(&seeded[0].to_uppercase())
            .replace("resourceGroups", "resourcegroups")
            .replace("/incidents/", "/Incidents/");
        assert_eq!(client.get(&odd).expect(200).json()["name"], seeded[0]);
    }

    #[test]
    fn a_denied_action_is_named_and_shows_in_the_permissions() {
        let (client, seeded) = Client::new(1);
        let action = "Microsoft.SecurityInsights/incidents/write";
        client.azure.deny(action);
        let incident = client.azure.incident(&seeded[0]);
        let got = client.put(&one(&seeded[0]), &incident).expect(403);
        assert_eq!(got.code(), "AuthorizationFailed");
        assert!(got.text().contains(action));
        client
            .put(&comment(&seeded[0], "c"), &json!({"properties": {"message": "still allowed"}}))
            .expect(201);
        let permissions = format!(
            "{}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01",
            names::workspace_id()
        );
        let permissions = client.get(&permissions).expect(200).json();
        assert_eq!(permissions["value"][0]["notActions"], json!([action]));
    }

    #[test]
    fn the_machine_learning_workspace_leads_to_its_share_and_key() {
        let (client, _) = Client::new(0);
        client.azure.set_page_size(3);
        let workspace = names::ml_workspace_id();
        let version = "api-version=2024-10-01";
        let got = client.get(&format!("{workspace}?{version}")).expect(200).json();
        assert_eq!(got["properties"]["storageAccount"], names::storage_id());
        let first = client.get(&format!("{workspace}/datastores?{version}")).expect(200).json();
        assert_eq!(named(&first).len(), 3);
        let second = client.get(first["nextLink"].as_str().unwrap()).expect(200).json();
        assert_eq!(named(&second), ["workspaceworkingdirectory"]);
        assert_eq!(second["value"][0]["properties"]["fileShareName"], names::CODE_SHARE);
        assert!(second["nextLink"].is_null());
        let secrets = format!("{workspace}/datastores/workspaceworkingdirectory/listSecrets?{version}");
        assert_eq!(client.post(&secrets).expect(200).json()["key"], client.azure.account_key());
        let keys = format!("{}/listKeys?api-version=2023-01-01", names::storage_id());
        assert_eq!(client.post(&keys).expect(200).json()["keys"][0]["value"], client.azure.account_key());
    }
}

mod identities {
    use super::*;

    fn login() -> String {
        format!("/{}/oauth2/v2.0/token", names::TENANT)
    }

    const SCOPE: (&str, &str) = ("scope", "https://management.azure.com/.default");
    const GRANT: (&str, &str) = ("grant_type", "client_credentials");
    const ID: (&str, &str) = ("client_id", names::CLIENT_ID);

    #[test]
    fn a_secret_gets_a_token_that_opens_the_service_it_is_for() {
        let (mut client, seeded) = Client::new(1);
        let got = client
            .form(&login(), &[GRANT, ID, SCOPE, ("client_secret", names::CLIENT_SECRET)])
            .expect(200)
            .json();
        assert_eq!(got["expires_in"], 3600);
        client.token = Some(got["access_token"].as_str().unwrap().to_owned());
        client.get(&one(&seeded[0])).expect(200);
        assert_eq!(client.azure.journal().last().unwrap().principal.as_deref(), Some("triage-sp"));
    }

    #[test]
    fn a_login_says_what_is_wrong_by_its_number() {
        let (client, _) = Client::new(0);
        let secret = ("client_secret", names::CLIENT_SECRET);
        for (fields, status, code) in [
            (vec![GRANT, ID, SCOPE, ("client_secret", "wrong")], 401, 7_000_215),
            (vec![GRANT, ID, SCOPE], 401, 7_000_218),
            (vec![GRANT, ("client_id", "nobody"), SCOPE, secret], 400, 700_016),
            (vec![GRANT, ID, ("scope", "https://management.azure.com"), secret], 400, 70011),
            (vec![GRANT, ID, ("scope", "https://example.com/.default"), secret], 400, 500_011),
            (vec![("grant_type", "password"), ID, SCOPE, secret], 400, 70003),
            (vec![ID, SCOPE, secret], 400, 900_144),
        ] {
            let got = client.form(&login(), &fields).expect(status).json();
            assert_eq!(got["error_codes"], json!([code]), "{fields:?}");
        }
        let elsewhere =
            client.form("/other-tenant/oauth2/v2.0/token", &[GRANT, ID, SCOPE, secret]).expect(400);
        assert_eq!(elsewhere.json()["error_codes"], json!([90002]));
    }

    fn jwt(header: &Value, claims: &Value) -> String {
        use base64::Engine as _;
        let part = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header.to_string()), part(claims.to_string()))
    }

    #[test]
    fn assertions_of_a_certificate_and_of_a_federation_are_checked_for_their_shape() {
        let (client, _) = Client::new(0);
        let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let audience = format!("{}{}", client.azure.url(), login());
        let header = json!({"alg": "RS256", "typ": "JWT", "x5t": "dGh1bWI"});
        let claims = json!({
            "aud": audience, "iss": names::CLIENT_ID, "sub": names::CLIENT_ID, "jti": "1", "nbf": 0, "exp": 4_102_444_800_i64,
        });
        let try_it = |header: &Value, claims: &Value| {
            client.form(&login(), &[GRANT, ID, SCOPE, kind, ("client_assertion", &jwt(header, claims))])
        };
        try_it(&header, &claims).expect(200);
        let with = |key: &str, value: Value| {
            let mut changed = claims.clone();
            changed[key] = value;
            changed
        };
        for wrong in [
            with("aud", json!("https://example.com")),
            with("exp", json!(1)),
            with("jti", json!("")),
            with("sub", json!("x")),
        ] {
            assert_eq!(try_it(&header, &wrong).expect(401).json()["error_codes"], json!([700_027]));
        }
        try_it(&json!({"alg": "RS256"}), &claims).expect(401);
        let federated = json!({
            "aud": "api://AzureADTokenExchange", "iss": "https://oidc.example", "sub": "system:serviceaccount:soc:triage",
            "exp": 4_102_444_800_i64,
        });
        try_it(&json!({"alg": "RS256"}), &federated).expect(200);
    }

    #[test]
    fn the_metadata_service_wants_its_header_and_gives_numbers_as_strings() {
        let (mut client, seeded) = Client::new(1);
        client.token = None;
        let url = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
        let header = [("metadata", "true")];
        client.get(url).expect(400);
        client
            .send("GET", url, &[header[0], ("x-forwarded-for", "1.2.3.4")], Vec::new())
            .unwrap()
            .expect(400);
        client.azure.set_token_lifetime(Duration::from_mins(2));
        let got = client.send("GET", url, &header, Vec::new()).unwrap().expect(200).json();
        assert_eq!(got["expires_in"], "120");
        assert!(got["expires_on"].as_str().unwrap().parse::<u64>().is_ok());
        assert_eq!(got["client_id"], names::SYSTEM_IDENTITY);
        client.token = Some(got["access_token"].as_str().unwrap().to_owned());
        client.get(&one(&seeded[0])).expect(200);
        let picked = format!("{url}&client_id={}", names::USER_IDENTITY);
        let got = client.send("GET", &picked, &header, Vec::new()).unwrap().expect(200).json();
        assert_eq!(got["client_id"], names::USER_IDENTITY);
        client.send("GET", &format!("{url}&client_id=nobody"), &header, Vec::new()).unwrap().expect(400);
        client.azure.remove_managed_identity();
        let got = client.send("GET", url, &header, Vec::new()).unwrap().expect(400);
        assert_eq!(got.json()["error_description"], "Identity not found");
    }

    #[test]
    fn app_service_and_machine_learning_want_their_secret() {
        let (mut client, _) = Client::new(0);
        client.token = None;
        let settings = client.azure.settings();
        let resource = "resource=https%3A%2F%2Fmanagement.azure.com";
        for (url, header) in [
            (
                format!("{}?api-version=2019-08-01&{resource}", settings.identity_endpoint),
                "x-identity-header",
            ),
            (format!("{}?api-version=2017-09-01&{resource}", settings.msi_endpoint), "secret"),
        ] {
            client.send("GET", &url, &[(header, "wrong")], Vec::new()).unwrap().expect(401);
            let got = client
                .send("GET", &url, &[(header, names::IDENTITY_SECRET)], Vec::new())
                .unwrap()
                .expect(200);
            assert!(got.json()["expires_on"].is_string());
        }
        let journal = client.azure.journal();
        assert!(journal.iter().all(|entry| entry.plane == Plane::ManagedIdentity));
        assert!(!format!("{journal:?}").contains(names::IDENTITY_SECRET));
    }
}

#[path = "azure/incidents.rs"]
mod incidents;

#[path = "azure/comments.rs"]
mod comments;

#[path = "azure/planes.rs"]
mod planes;

#[path = "azure/disturbances.rs"]
mod disturbances;

#[path = "azure/clients.rs"]
mod clients;

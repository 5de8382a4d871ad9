//! Who the manager is to Azure, and which Azure it means: by configuration alone.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rnbexec::Cancel;
use rnbexec_manager::case::Ending;
use rnbexec_manager::{Class, PassReport, SetupError};
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{On, Plane, names};
use serde_json::json;

/// One pass of a manager whose process has these variables.
async fn once_as(desk: &Desk, variables: &[(&str, String)], overrides: &[(&str, &str)]) -> PassReport {
    let mut setup = desk.setup(overrides);
    setup.variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let manager = Arc::new(Box::pin(setup.manager()).await.unwrap_or_else(|error| panic!("{error:?}")));
    manager.once(Cancel::never()).await.expect("a pass")
}

/// Who asked for incidents.
fn who(desk: &Desk) -> Vec<String> {
    let asked = desk.azure.asked(&On::get("incidents"));
    asked
        .into_iter()
        .map(|entry| entry.principal.unwrap_or_else(|| format!("nobody: {:?}", entry.status)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_works_under_every_identity_that_azure_gives() {
    let desk = Desk::scripted();
    let settings = desk.azure.settings();
    let token = desk.scratch.write("federated", federated_token());
    let workload = vec![
        ("AZURE_AUTHORITY_HOST", settings.authority.clone()),
        ("AZURE_TENANT_ID", names::TENANT.to_owned()),
        ("AZURE_CLIENT_ID", names::CLIENT_ID.to_owned()),
        ("AZURE_FEDERATED_TOKEN_FILE", token.display().to_string()),
    ];
    let metadata = settings.metadata.clone();
    let machine: &[(&str, &str)] = &[("azure.imds", &metadata)];
    let assigned: &[(&str, &str)] = &[("azure.imds", &metadata), ("azure.client_id", names::USER_IDENTITY)];
    for (source, variables, overrides, expected) in [
        ("environment", settings.as_service_principal(), &[][..], "triage-sp"),
        ("workload", workload, &[][..], "triage-sp"),
        ("msi", Vec::new(), machine, "triage-vm"),
        ("msi", Vec::new(), assigned, "triage-user-assigned"),
        ("msi", settings.as_virtual_machine(), &[][..], "triage-vm"),
        ("msi", settings.as_app_service(), &[][..], "triage-vm"),
        ("aml", settings.as_machine_learning(), &[][..], "triage-vm"),
    ] {
        desk.azure.clear_journal();
        let order = format!("[\"{source}\"]");
        let overrides: Vec<_> =
            overrides.iter().copied().chain([("azure.credentials", order.as_str())]).collect();
        let report = once_as(&desk, &variables, &overrides).await;
        assert!(report.troubles.is_empty(), "{source}: {:?}", report.troubles);
        assert_eq!(who(&desk), [expected], "{source} {overrides:?}");
    }
}

/// What Kubernetes gives to a pod.
fn federated_token() -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "iss": "https://oidc.example/cluster", "sub": "system:serviceaccount:soc:triage",
        "aud": "api://AzureADTokenExchange", "exp": jiff::Timestamp::now().as_second() + 600,
    });
    format!("{}.{}.c2ln", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_microsofts_original_falls_from_the_command_line_to_the_managed_identity() {
    let desk = Desk::scripted();
    let metadata = desk.azure.settings().metadata;
    let nowhere = vec![("PATH", desk.scratch.tmp().display().to_string())];
    let overrides = [("azure.credentials", "[\"cli\", \"msi\"]"), ("azure.imds", metadata.as_str())];
    let report = once_as(&desk, &nowhere, &overrides).await;
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!(who(&desk), ["triage-vm"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_order_finds_the_identity_of_the_environment() {
    let mut desk = Desk::scripted();
    desk.toml = desk.toml.replace("credentials = [\"environment\"]", "");
    let variables = desk.azure.settings().as_service_principal();
    let report = once_as(&desk, &variables, &[]).await;
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!(who(&desk), ["triage-sp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_a_missing_permission_and_is_told_nowhere() {
    let desk = Desk::scripted();
    let mut variables: HashMap<_, _> = desk.azure.settings().as_service_principal().into_iter().collect();
    variables.insert("AZURE_CLIENT_SECRET", "not-the-secret-0815".to_owned());
    let variables: Vec<_> = variables.into_iter().collect();
    let report = once_as(&desk, &variables, &[("publish.to", "none")]).await;
    assert_eq!(report.troubles[0].class(), Class::Permission, "{:?}", report.troubles);
    let told = format!("{} {:?} {}", report.troubles[0].in_full(), report.troubles, desk.log());
    assert!(told.contains("7000215"), "{told}");
    assert!(!told.contains("not-the-secret-0815"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_identity_the_pass_says_so() {
    let desk = Desk::scripted();
    let report =
        once_as(&desk, &[], &[("publish.to", "none"), ("azure.credentials", "[\"environment\"]")]).await;
    assert_eq!(report.troubles[0].class(), Class::Permission, "{:?}", report.troubles);
    assert!(desk.log().contains("Unable to retrieve incidents"), "{}", desk.log());
    assert!(desk.azure.journal().is_empty());
}

#[test]
fn the_name_of_a_cloud_stands_for_all_its_endpoints() {
    let desk = Desk::scripted();
    let plain = desk
        .toml
        .lines()
        .filter(|line| !line.starts_with("authority") && !line.starts_with("resource_manager"));
    let desk = Desk { toml: plain.collect::<Vec<_>>().join("\n"), ..desk };
    for (name, authority, manager, storage, vault, studio) in [
        (
            "public",
            "login.microsoftonline.com",
            "management.azure.com",
            "core.windows.net",
            "vault.azure.net",
            "ml.azure.com",
        ),
        (
            "government",
            "login.microsoftonline.us",
            "management.usgovcloudapi.net",
            "core.usgovcloudapi.net",
            "vault.usgovcloudapi.net",
            "ml.azure.us",
        ),
        (
            "china",
            "login.chinacloudapi.cn",
            "management.chinacloudapi.cn",
            "core.chinacloudapi.cn",
            "vault.azure.cn",
            "studio.ml.azure.cn",
        ),
    ] {
        let cloud = desk.config(&[("azure.cloud", name)]).azure.cloud;
        assert_eq!(cloud.authority.host_str(), Some(authority));
        assert_eq!(cloud.resource_manager.host_str(), Some(manager));
        assert_eq!(cloud.management_scope(), format!("https://{manager}/.default"));
        assert_eq!((cloud.storage_suffix.as_str(), cloud.key_vault_suffix.as_str()), (storage, vault));
        assert_eq!(cloud.storage_scope(), "https://storage.azure.com/.default");
        assert_eq!(cloud.key_vault_scope(), format!("https://{vault}/.default"));
        assert_eq!(cloud.studio.host_str(), Some(studio));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interface_is_spoken_in_the_configured_version() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    let secret = desk.azure.settings().secret(names::KEY_SECRET);
    let versions = [
        ("azure.api_versions.sentinel", "2024-03-01"),
        ("azure.api_versions.machine_learning", "2023-04-01"),
        ("azure.api_versions.key_vault", "7.3"),
        ("azure.api_versions.files", "2024-11-04"),
        ("publish.workspace.account_key", secret.as_str()),
    ];
    let report = desk.once_with(&versions).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    let mut seen = [0; 4];
    for asked in desk.azure.journal() {
        let version = asked.query("api-version");
        let path = asked.path.to_lowercase();
        if path.contains("/microsoft.securityinsights/") {
            assert_eq!(version, Some("2024-03-01"), "{}", asked.line());
            seen[0] += 1;
        } else if path.contains("/microsoft.machinelearningservices/") {
            assert_eq!(version, Some("2023-04-01"), "{}", asked.line());
            seen[1] += 1;
        } else if asked.plane == Plane::KeyVault {
            assert_eq!(version, Some("7.3"), "{}", asked.line());
            seen[2] += 1;
        } else if asked.plane == Plane::Files {
            assert_eq!(asked.headers["x-ms-version"], "2024-11-04", "{}", asked.line());
            seen[3] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// A server that has the simulated Azure's services below other paths: `/one/two/…` there is `/…` here.
async fn gateway(azure: String) -> String {
    async fn pass_on(
        State((azure, client)): State<(String, reqwest::Client)>,
        request: Request,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().expect("a path").as_str();
        let mut segments = target.splitn(4, '/').skip(3);
        let below = segments.next().expect("everything lies two folders deep");
        let mut asked =
            client.request(parts.method.clone(), format!("{azure}/{below}")).header("x-gateway", "1");
        for (name, value) in &parts.headers {
            if name == "x-ms-file-rename-source" {
                // It holds an address, which the service behind reads as its own.
                let value = value.to_str().expect("an address").splitn(6, '/').nth(5).expect("a path");
                asked = asked.header(name, format!("{azure}/{value}"));
            } else if name != "host" {
                asked = asked.header(name, value);
            }
        }
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let answer = asked.body(body).send().await.expect("the simulation answers");
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
            response = response.header(name, value);
        }
        response.body(Body::from(answer.bytes().await.expect("a body"))).expect("an answer")
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let service = Router::new().fallback(pass_on).with_state((azure, reqwest::Client::new()));
    // It ends with the test's runtime.
    drop(tokio::spawn(async move { axum::serve(listener, service).await }));
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_may_be_at_another_address_and_below_another_path() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    let gateway = gateway(desk.azure.url()).await;
    let at = |path: &str| format!("{gateway}/{path}");
    let (login, arm, files) =
        (at("login/a"), at("arm/b"), at(&format!("files/c/{}", names::STORAGE_ACCOUNT)));
    let overrides = [
        ("azure.authority", login.as_str()),
        ("azure.resource_manager", arm.as_str()),
        ("publish.workspace.endpoint", files.as_str()),
        ("azure.studio", "https://studio.example/ml"),
    ];
    let mut variables = desk.azure.settings().as_service_principal();
    variables.retain(|(name, _)| *name != "AZURE_AUTHORITY_HOST");
    let report = once_as(&desk, &variables, &overrides).await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert!(desk.comment(incident).contains("https://studio.example/ml/fileexplorerAzNB"));
    assert!(desk.azure.file(&format!("Users/TriageNbs/{incident}.ipynb")).is_some());

    let secret = at(&format!("vault/d/secrets/{}", names::KEY_SECRET));
    let overrides = overrides.into_iter().chain([("publish.workspace.account_key", secret.as_str())]);
    let mut setup = desk.setup(&overrides.collect::<Vec<_>>());
    setup.variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    setup.manager().await.unwrap_or_else(|error| panic!("{error:?}"));
    let asked = desk.azure.asked(&On::plane(Plane::KeyVault));
    assert_eq!(asked.last().expect("the vault was asked").status, Some(200));
    for asked in desk.azure.journal() {
        assert_eq!(asked.headers.get("x-gateway").map(String::as_str), Some("1"), "{}", asked.line());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_vault_that_may_not_be_read_is_named() {
    let desk = Desk::scripted();
    desk.azure.deny("Microsoft.KeyVault/vaults/secrets/getSecret/action");
    let secret = desk.azure.settings().secret(names::KEY_SECRET);
    let setup = desk.setup(&[("publish.workspace.account_key", &secret)]);
    let error = setup.manager().await.err().expect("the key cannot be read");
    let SetupError::Trouble(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.class(), Class::Permission);
    assert!(
        trouble.in_full().contains("cannot read the secret aml-storage-key of the key vault"),
        "{}",
        trouble.in_full()
    );
}

use super::*;

fn settings(variables: &[(&str, &str)]) -> StorageSettings {
    StorageSettings::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

const HOST: &str = "acct.blob.core.windows.net";

#[test]
fn without_settings_the_identity_of_the_process_is_asked() {
    let access = settings(&[]).access(Some(HOST), None).unwrap();
    assert_eq!(access.endpoint, "https://acct.blob.core.windows.net");
    assert_eq!(access.authorization, Authorization::Token);
}

#[test]
fn the_signature_in_the_url_wins() {
    let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_KEY", "a2V5")]);
    let access = settings.access(Some(HOST), Some("sig=x")).unwrap();
    assert_eq!(access.authorization, Authorization::Sas(Secret::new("sig=x")));
}

#[test]
fn a_key_is_used_for_its_own_account_only() {
    let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_KEY", "a2V5")]);
    let key = Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5"));
    assert_eq!(settings.access(Some(HOST), None).unwrap().authorization, key);
    assert_eq!(settings.access(None, None).unwrap().authorization, key);
    let other = settings.access(Some("other.blob.core.windows.net"), None).unwrap();
    assert_eq!(other.authorization, Authorization::Token);
}

#[test]
fn a_signature_of_the_environment_goes_to_its_own_account_only() {
    let settings = settings(&[("AZURE_STORAGE_ACCOUNT", "acct"), ("AZURE_STORAGE_SAS_TOKEN", "sig=x")]);
    let other = settings.access(Some("other.blob.core.windows.net"), None).unwrap();
    assert_eq!(other.authorization, Authorization::Token);
}

#[test]
fn a_connection_string_names_account_key_and_endpoint() {
    let text = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5PT0=;BlobEndpoint=http://127.0.0.1:1/acct;";
    let settings = settings(&[("AZURE_STORAGE_CONNECTION_STRING", text), ("AZURE_STORAGE_KEY", "b3RoZXI=")]);
    let access = settings.access(Some(HOST), None).unwrap();
    assert_eq!(access.endpoint, "http://127.0.0.1:1/acct");
    assert_eq!(access.authorization, Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5PT0=")));
}

#[test]
fn development_storage_is_azurite() {
    let settings = settings(&[("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")]);
    assert_eq!(settings.access(None, None).unwrap().endpoint, DEVELOPMENT_ENDPOINT);
}

#[test]
fn a_login_is_asked_for_by_the_auth_mode() {
    let settings = settings(&[
        ("AZURE_STORAGE_ACCOUNT", "acct"),
        ("AZURE_STORAGE_KEY", "a2V5"),
        ("AZURE_STORAGE_AUTH_MODE", "login"),
    ]);
    assert_eq!(settings.access(None, None).unwrap().authorization, Authorization::Token);
}

#[test]
fn an_account_that_nobody_names_is_an_error_that_says_how() {
    let error = settings(&[]).access(None, None).unwrap_err().to_string();
    assert!(error.contains("AZURE_STORAGE_ACCOUNT") && error.contains("abfss://"), "{error}");
}

#[test]
fn secrets_show_in_no_debug() {
    let settings = settings(&[
        ("AZURE_STORAGE_ACCOUNT", "acct"),
        ("AZURE_STORAGE_KEY", "aHVudGVy"),
        ("AZURE_STORAGE_SAS_TOKEN", "sig=aHVudGVy"),
    ]);
    let access = settings.access(None, None).unwrap();
    assert!(!format!("{settings:?} {access:?}").contains("aHVudGVy"));
}

#[test]
fn a_connection_string_leads_to_each_service() {
    let text = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5PT0=;EndpointSuffix=core.usgovcloudapi.net";
    let settings = StorageSettings::from_connection_string(text).unwrap();
    for (service, endpoint) in [
        (Service::Queue, "https://acct.queue.core.usgovcloudapi.net"),
        (Service::File, "https://acct.file.core.usgovcloudapi.net"),
    ] {
        let access = settings.reach(service).unwrap();
        assert_eq!(access.endpoint, endpoint);
        assert_eq!(
            access.authorization,
            Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5PT0="))
        );
    }
    let text = format!("{text};QueueEndpoint=http://127.0.0.1:1/acct/");
    let settings = StorageSettings::from_connection_string(&text).unwrap();
    assert_eq!(settings.reach(Service::Queue).unwrap().endpoint, "http://127.0.0.1:1/acct");
    let settings = StorageSettings::from_connection_string("UseDevelopmentStorage=true").unwrap();
    assert_eq!(settings.reach(Service::Queue).unwrap().endpoint, DEVELOPMENT_QUEUE_ENDPOINT);
    assert!(StorageSettings::from_connection_string("hello").is_err());
}

#[test]
fn a_url_names_account_and_queue() {
    let key = Secret::new("a2V5");
    for (url, endpoint, account) in [
        ("https://acct.queue.core.windows.net/incidents", "https://acct.queue.core.windows.net", "acct"),
        ("https://acct.queue.core.windows.net/incidents/", "https://acct.queue.core.windows.net", "acct"),
        ("http://127.0.0.1:10001/acct/incidents", "http://127.0.0.1:10001/acct", "acct"),
        ("http://localhost:10001/acct/incidents", "http://localhost:10001/acct", "acct"),
        ("http://azurite.local:10001/acct/incidents", "http://azurite.local:10001/acct", "acct"),
    ] {
        let known = StorageSettings::of_account("acct").with_key(key.clone());
        for settings in [known, StorageSettings::default().with_key(key.clone())] {
            let (settings, name) = settings.at(Service::Queue, url).unwrap();
            assert_eq!(name, "incidents", "{url}");
            let access = settings.reach(Service::Queue).unwrap();
            assert_eq!(access.endpoint, endpoint, "{url}");
            assert_eq!(access.authorization, Authorization::SharedKey(account.to_owned(), key.clone()));
        }
    }
}

#[test]
fn a_host_of_another_kind_leaves_the_account_to_the_settings() {
    let settings = StorageSettings::of_account("acct").with_key(Secret::new("a2V5"));
    let (settings, _) = settings.at(Service::Queue, "https://queues.example.org/incidents").unwrap();
    let access = settings.reach(Service::Queue).unwrap();
    assert_eq!(access.endpoint, "https://queues.example.org");
    assert_eq!(access.authorization, Authorization::SharedKey("acct".to_owned(), Secret::new("a2V5")));
}

#[test]
fn the_key_of_one_account_is_not_shown_to_another() {
    let ours = StorageSettings::of_account("ours").with_key(Secret::new("a2V5"));
    let (other, _) = ours.at(Service::File, "https://other.file.core.windows.net/share").unwrap();
    assert_eq!(other.reach(Service::File).unwrap().authorization, Authorization::Token);
}

#[test]
fn the_signature_in_a_url_is_what_lets_us_in() {
    let (settings, name) = StorageSettings::default()
        .at(Service::Queue, "https://acct.queue.core.windows.net/q?sv=2021&sig=c2ln")
        .unwrap();
    assert_eq!(name, "q");
    let access = settings.reach(Service::Queue).unwrap();
    assert_eq!(access.authorization, Authorization::Sas(Secret::new("sv=2021&sig=c2ln")));
    assert!(!format!("{settings:?}").contains("c2ln"));
}

#[test]
fn a_url_without_a_name_is_an_error_that_says_how() {
    for url in ["https://acct.queue.core.windows.net/", "incidents", "ftp://a/b", "mailto:a"] {
        let error = StorageSettings::default().at(Service::Queue, url).unwrap_err().to_string();
        assert!(error.contains("https://account.queue.core.windows.net/name"), "{error}");
    }
}

#[test]
fn a_key_without_an_account_is_an_error() {
    let settings = StorageSettings::default()
        .with_key(Secret::new("a2V5"))
        .with_endpoint(Service::Queue, "http://127.0.0.1:1");
    assert!(settings.reach(Service::Queue).is_err());
}

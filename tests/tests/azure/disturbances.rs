//! Faults, hooks and the journal.

use std::sync::mpsc;
use std::time::Instant;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn message() -> Value {
    json!({"properties": {"message": "m"}})
}

#[test]
fn a_throttled_request_is_told_when_to_come_again_and_the_next_one_passes() {
    let (client, seeded) = Client::new(1);
    client.azure.fault(Fault::throttled(7).on(On::get("incidents/*")));
    let got = client.get(&one(&seeded[0])).expect(429);
    assert_eq!((got.header("retry-after"), got.code().as_str()), ("7", "TooManyRequests"));
    assert!(client.azure.faults_are_spent());
    client.get(&one(&seeded[0])).expect(200);
}

#[test]
fn a_fault_strikes_only_what_it_is_for_as_often_as_it_says() {
    let (client, seeded) = Client::new(1);
    client.azure.fault(Fault::status(503).on(On::put("incidents/*/comments/*")).after(1).times(2));
    client.get(&one(&seeded[0])).expect(200);
    let put = |name: &str| client.put(&comment(&seeded[0], name), &message()).status;
    assert_eq!([put("a"), put("b"), put("c"), put("d")], [201, 503, 503, 201]);
    assert_eq!(client.azure.comments(&seeded[0]).len(), 2);
}

#[test]
fn a_token_expires_and_a_role_is_missing_on_demand_with_the_services_own_errors() {
    let (client, seeded) = Client::new(1);
    client.azure.fault(Fault::expired_token().on(On::plane(Plane::ResourceManager)));
    client.azure.fault(Fault::forbidden().on(On::plane(Plane::ResourceManager)));
    client.azure.fault(Fault::status(500).on(On::any().of(Plane::Files)));
    assert_eq!(client.get(&one(&seeded[0])).expect(401).code(), "ExpiredAuthenticationToken");
    assert_eq!(client.get(&one(&seeded[0])).expect(403).code(), "AuthorizationFailed");
    let got = client.get(&format!("/{}/{}/a", names::STORAGE_ACCOUNT, names::CODE_SHARE)).expect(500);
    assert_eq!(got.header("x-ms-error-code"), "InternalError");
}

#[test]
fn a_connection_is_cut_before_or_after_the_effect() {
    let (client, seeded) = Client::new(1);
    let put = |name: &str| {
        let headers = [("content-type", "application/json")];
        client.send("PUT", &comment(&seeded[0], name), &headers, message().to_string().into_bytes())
    };
    client.azure.fault(Fault::cut_before().on(On::put("incidents/*/comments/*")));
    assert!(put("before").is_err());
    assert_eq!(client.azure.comments(&seeded[0]).len(), 0);
    client.azure.fault(Fault::cut_after().on(On::put("incidents/*/comments/*")));
    assert!(put("after").is_err());
    assert_eq!(client.azure.comments(&seeded[0]).len(), 1);
    assert!(client.azure.journal().iter().all(|entry| entry.status.is_none()));
    put("whole").unwrap().expect(201);
}

#[test]
fn an_answer_breaks_off_in_the_middle() {
    let (client, seeded) = Client::new(1);
    client.azure.fault(Fault::half().on(On::get("incidents/*")));
    assert!(client.send("GET", &one(&seeded[0]), &[], Vec::new()).is_err());
    client.get(&one(&seeded[0])).expect(200);
}

#[test]
fn an_answer_comes_late_or_slowly_but_whole() {
    let (client, seeded) = Client::new(1);
    let start = Instant::now();
    client.azure.fault(Fault::latency(Duration::from_millis(100)));
    client.azure.fault(Fault::slow(Duration::from_millis(10)));
    let got = client.get(&one(&seeded[0])).expect(200);
    assert_eq!(got.json(), client.azure.incident(&seeded[0]));
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn an_analyst_acts_between_two_requests() {
    let (client, seeded) = Client::new(1);
    let name = seeded[0].clone();
    client.azure.after(On::get("incidents/*"), 2, move |azure| {
        azure.edit_incident(&name, |properties| {
            properties.insert("status".to_owned(), json!("Closed"));
        });
    });
    client.get(&one(&seeded[0])).expect(200);
    let seen = client.get(&one(&seeded[0])).expect(200).json();
    assert_eq!(seen["properties"]["status"], "New");
    client.put(&one(&seeded[0]), &seen).expect(409);
    assert_eq!(client.azure.incident(&seeded[0])["properties"]["status"], "Closed");
}

#[test]
fn a_request_is_held_until_the_test_lets_it_go() {
    let (client, seeded) = Client::new(1);
    let (release, held) = mpsc::channel::<()>();
    client.azure.before(On::put("incidents/*/comments/*"), 1, move |_| {
        held.recv_timeout(PATIENCE).expect("the test lets the request go");
    });
    let azure = (*client.azure).clone();
    let name = seeded[0].clone();
    let test = std::thread::spawn(move || {
        azure.wait_for(&On::put("incidents/*/comments/*"), 1, PATIENCE);
        let comments = azure.comments(&name).len();
        release.send(()).unwrap();
        comments
    });
    client.put(&comment(&seeded[0], "c"), &message()).expect(201);
    assert_eq!(test.join().unwrap(), 0);
}

#[test]
fn every_write_can_be_looked_at() {
    let (client, seeded) = Client::new(1);
    let (tell, told) = mpsc::channel();
    let name = seeded[0].clone();
    client.azure.after_each(On::put("incidents/*/comments/*"), move |azure| {
        tell.send(azure.comments(&name).len()).unwrap();
    });
    client.put(&comment(&seeded[0], "a"), &message()).expect(201);
    client.put(&comment(&seeded[0], "b"), &message()).expect(201);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn the_journal_tells_who_asked_what_without_secrets() {
    let (client, seeded) = Client::new(1);
    client.put(&comment(&seeded[0], "c"), &message()).expect(201);
    let secret = [("grant_type", "client_credentials"), ("client_secret", names::CLIENT_SECRET)];
    client.form(&format!("/{}/oauth2/v2.0/token", names::TENANT), &secret).expect(400);
    let journal = client.azure.journal();
    let put = &client.azure.asked(&On::put("comments/c").with("api-version", "2025-09-01"))[0];
    assert_eq!(put.line(), format!("PUT {}/{}/comments/c", incidents(), seeded[0]));
    assert_eq!((put.plane, put.status), (Plane::ResourceManager, Some(201)));
    assert_eq!(put.body, message());
    assert_eq!(put.principal.as_deref(), Some("triage-sp"));
    assert_eq!(put.headers["authorization"], "Bearer ***");
    assert_eq!(journal[1].body, json!({"grant_type": "client_credentials", "client_secret": "***"}));
    assert!(!format!("{journal:?}").contains(client.token.as_deref().unwrap()));
    client.azure.clear_journal();
    assert!(client.azure.journal().is_empty());
}

#[test]
fn a_request_that_is_forgotten_while_it_is_served_is_served_all_the_same() {
    let (client, seeded) = Client::new(1);
    client.azure.before(On::get("incidents/*"), 1, rnbexec_tests::azure::Azure::clear_journal);
    client.get(&one(&seeded[0])).expect(200);
    assert!(client.azure.journal().is_empty());
}

#[test]
fn requests_are_told_apart_by_the_end_of_their_path() {
    let (client, seeded) = Client::new(1);
    client.get(&one(&seeded[0])).expect(200);
    client.get(&comment(&seeded[0], "c")).expect(404);
    client.get(&list(&[])).expect(200);
    let asked = |on: On| client.azure.asked(&on).len();
    assert_eq!(asked(On::get("Incidents/*")), 1);
    assert_eq!(asked(On::get("incidents/*/comments/*")), 1);
    assert_eq!(asked(On::get("incidents")), 1);
    assert_eq!(asked(On::path(&format!("incidents/{}*", &seeded[0][..8]))), 1);
    assert_eq!(
        asked(On::put("incidents/*")) + asked(On::post("incidents/*")) + asked(On::delete("incidents/*")),
        0
    );
}

#[test]
#[should_panic(expected = "a request made the simulation panic")]
fn a_panic_while_serving_fails_the_test() {
    let (client, seeded) = Client::new(1);
    client.azure.before(On::get("incidents/*"), 1, |_| panic!("on purpose"));
    client.get(&one(&seeded[0])).expect(500);
    drop(client);
}

#[test]
fn the_server_is_gone_with_its_value() {
    let (client, _) = Client::new(0);
    let url = client.azure.url();
    let Client { azure, http, runtime, .. } = client;
    drop(azure);
    assert!(runtime.block_on(http.get(url).send()).is_err());
}

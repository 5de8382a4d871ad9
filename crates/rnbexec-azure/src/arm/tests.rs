use serde_json::json;

use super::*;
use crate::testing::{Server, Tokens, answer, quick};

fn url(server: &Server) -> Url {
    server.arm().url(&["subscriptions", "s"], "2025-09-01", &[]).unwrap()
}

#[tokio::test]
async fn a_throttled_call_is_made_again() {
    let busy = answer(429, "").with("retry-after", "0");
    let server = Server::script(vec![busy, answer(503, ""), answer(200, r#"{"a":1}"#)]).await;
    assert_eq!(server.arm().get(url(&server)).await.unwrap(), json!({"a": 1}));
    assert_eq!(server.lines(), ["GET /subscriptions/s?api-version=2025-09-01"; 3]);
}

#[tokio::test]
async fn a_call_is_given_up_after_its_attempts_and_says_how_long_to_wait() {
    let server = Server::start(|_| Some(answer(503, "").with("retry-after", "0"))).await;
    let error = server.arm().get(url(&server)).await.unwrap_err();
    let wait = Some(std::time::Duration::ZERO);
    assert_eq!(error.kind(), &AzureErrorKind::Unavailable { retry_after: wait });
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_a_write_with_it() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        (!first).then(|| answer(201, "{}"))
    })
    .await;
    server.arm().put(url(&server), &json!({"a": "b"})).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (asked[1].json(), asked[1].header("content-type")),
        (json!({"a": "b"}), Some("application/json"))
    );
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let server = Server::script(vec![answer(401, ""), answer(200, "{}")]).await;
    server.arm().get(url(&server)).await.unwrap();
    let tokens: Vec<_> =
        server.asked().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    assert_eq!(tokens, [Some("Bearer token-1".to_owned()), Some("Bearer token-2".to_owned())]);

    let server = Server::script(vec![answer(401, ""), answer(401, "")]).await;
    let error = server.arm().get(url(&server)).await.unwrap_err();
    assert_eq!(error.kind(), &AzureErrorKind::Unauthenticated);
}

#[tokio::test]
async fn an_endpoint_below_a_path_keeps_it() {
    let server = Server::script(vec![answer(200, "{}")]).await;
    let mut cloud = server.cloud();
    cloud.resource_manager = server.url.join("sim/arm").unwrap();
    let arm = Arm::new(cloud, Tokens::identity(), &quick());
    arm.get(arm.url(&["subscriptions", "a b/c"], "v", &[("$filter", "x eq 'y'")]).unwrap()).await.unwrap();
    assert_eq!(server.lines(), ["GET /sim/arm/subscriptions/a%20b%2Fc?api-version=v&%24filter=x+eq+%27y%27"]);
}

#[test]
fn no_segment_leads_out_of_an_id() {
    let arm = Arm::new(Cloud::public(), Tokens::identity(), &quick());
    for bad in ["..", ".", ""] {
        assert!(arm.url(&["subscriptions", bad], "v", &[]).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_end_by_links_that_are_followed_as_they_are() {
    let server = Server::start(|asked| {
        let host = asked.header("host").unwrap_or_default();
        Some(match asked.line.as_str() {
            "GET /subscriptions/s?api-version=2025-09-01" => answer(
                200,
                &json!({"value": [1, 2], "nextLink": format!("http://{host}/p?b=2&a=%20%2f&$skipToken=x")}),
            ),
            "GET /p?b=2&a=%20%2f&$skipToken=x" => answer(200, &json!({"value": [3], "nextLink": ""})),
            other => answer(404, other),
        })
    })
    .await;
    let all = server.arm().list(url(&server)).all().await.unwrap();
    assert_eq!(all, [json!(1), json!(2), json!(3)]);
}

#[tokio::test]
async fn a_link_to_another_host_is_refused_and_gets_no_token() {
    let foreign = Server::script(Vec::new()).await;
    let port = foreign.url.port().unwrap();
    for link in [
        format!("http://127.0.0.1:{port}/steal"),
        format!("http://localhost:{port}/steal"),
        "https://management.azure.com.evil.test/".to_owned(),
        "HOST@evil.test/".to_owned(),
        "/relative".to_owned(),
    ] {
        let own = link.clone();
        let server = Server::start(move |asked| {
            let host = format!("http://user:pw@{}", asked.header("host").unwrap_or_default());
            Some(answer(200, &json!({"value": [], "nextLink": own.replace("HOST@evil.test", &host)})))
        })
        .await;
        let error = server.arm().list(url(&server)).all().await.unwrap_err();
        assert_eq!((error.kind(), server.asked().len()), (&AzureErrorKind::Other, 1), "{link}");
    }
    assert_eq!(foreign.asked().len(), 0);
}

#[tokio::test]
async fn pages_that_go_round_in_a_circle_end() {
    let server = Server::start(|asked| {
        let host = asked.header("host").unwrap_or_default();
        let next = if asked.line.contains("/a") { "b" } else { "a" };
        Some(answer(200, &json!({"value": [1], "nextLink": format!("http://{host}/{next}")})))
    })
    .await;
    let error = server.arm().list(url(&server)).all().await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("circle"));
}

#[tokio::test]
async fn an_answer_that_is_no_list_or_no_json_is_an_error_and_not_an_empty_list() {
    for body in ["[]", "<html>", r#"{"value": 3}"#, ""] {
        let server = Server::script(vec![answer(200, body)]).await;
        assert!(server.arm().list(url(&server)).all().await.is_err(), "{body}");
    }
    let server = Server::script(vec![answer(200, "{}")]).await;
    assert!(server.arm().list(url(&server)).all().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let foreign = Server::script(Vec::new()).await;
    let there = foreign.url.to_string();
    let server = Server::start(move |_| Some(answer(307, "").with("location", there.clone()))).await;
    assert!(server.arm().get(url(&server)).await.is_err());
    assert_eq!(foreign.asked().len(), 0);
}

#[tokio::test]
async fn a_whole_call_is_bounded_however_many_attempts_are_left() {
    use crate::transport::{Http, HttpSettings, RetryPolicy};
    let server = Server::start(|_| None).await;
    let retry = RetryPolicy {
        attempts: 1000,
        first_wait: std::time::Duration::from_mins(10),
        longest_wait: std::time::Duration::from_mins(10),
        total: std::time::Duration::from_mins(2),
        ..RetryPolicy::default()
    };
    let http = Http::new(&HttpSettings { retry, ..HttpSettings::default() }).unwrap();
    let arm = Arm::new(server.cloud(), Tokens::identity(), &http);
    let started = std::time::Instant::now();
    let error = arm.get(url(&server)).await.unwrap_err();
    assert_eq!(error.kind(), &AzureErrorKind::Unavailable { retry_after: None });
    assert!(started.elapsed() < std::time::Duration::from_mins(1));
}

/// What is logged while it is alive.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_the_ids_of_each_attempt_and_neither_tokens_nor_bodies() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Other tests may have come to these lines of code first, when nobody listened: then once more.
    for _ in 0..2 {
        tracing::callsite::rebuild_interest_cache();
        let server = Server::script(vec![
            answer(401, "s3cret-in-a-refusal").with("x-ms-request-id", "r-1"),
            answer(503, "s3cret").with("x-ms-request-id", "r-2").with("x-ms-correlation-request-id", "c-2"),
            answer(200, r#"{"key": "s3cret-in-an-answer"}"#).with("x-ms-request-id", "r-3"),
        ])
        .await;
        let mut url = url(&server);
        url.query_pairs_mut().append_pair("sig", "s3cret-in-a-query");
        server.arm().put(url, &json!({"key": "s3cret-in-a-question"})).await.unwrap();
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for id in [
        "request_id=\"r-1\"",
        "request_id=\"r-2\"",
        "correlation_id=\"c-2\"",
        "request_id=\"r-3\"",
        "trying again",
    ] {
        assert!(text.contains(id), "{id}: {text}");
    }
    assert!(!text.contains("s3cret") && !text.contains("token-"), "{text}");
}

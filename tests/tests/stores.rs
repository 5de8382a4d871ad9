//! The stores keep their promise against real servers on loopback, find credentials where each cloud's users keep them, and show
//! no secret.

use std::error::Error as _;
use std::time::Duration;

use rnbexec::store::conformance::{self, Abilities};
use rnbexec::store::{
    Durability, Environment, Location, RetryPolicy, Segment, StoreError, StoreErrorKind, Stores,
};
use rnbexec_tests::servers::{Answer, Http, Server};

/// Never in a message.
const SECRET: &str = "hunter22hunter22";

fn stores(variables: &[(&str, &str)]) -> Stores {
    // Metadata services of clouds are not on loopback; AWS lets them be switched off.
    let variables = variables.iter().copied().chain([("AWS_EC2_METADATA_DISABLED", "true")]);
    Stores::new(&variables.collect::<Environment>())
        .with_retry(RetryPolicy { first_wait: Duration::from_millis(1), ..RetryPolicy::default() })
}

fn at(text: &str) -> Location {
    Location::parse(text).expect("a location")
}

/// Everything anybody may come to see of an error.
fn everything(error: &StoreError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown = format!("{shown} | {error} {error:?}");
        cause = error.source();
    }
    shown
}

#[track_caller]
fn shows_no_secret(error: &StoreError) {
    let shown = everything(error);
    assert!(!shown.contains(SECRET), "{shown}");
}

mod http {
    use super::*;

    #[tokio::test]
    async fn a_server_that_takes_put_is_a_store() {
        let server = Http::storing();
        let folder = at(&format!("{}/notebooks", server.url()));
        conformance::run(&stores(&[]), &folder, Abilities::READ_WRITE).await.unwrap();
    }

    #[tokio::test]
    async fn json_is_asked_for_and_said_to_be_sent() {
        let server = Http::serve(|_| Answer::ok("{}"));
        let location = at(&format!("{}/nb.ipynb?version=3", server.url()));
        stores(&[]).read(&location).await.unwrap();
        stores(&[]).write(&location, &["{}".into()], Durability::Durable).await.unwrap();
        let asked = server.asked();
        assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("GET", "/nb.ipynb?version=3"));
        assert_eq!(asked[0].headers["accept"], "application/json");
        assert_eq!(asked[1].headers["content-type"], "application/json");
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again() {
        let mut busy = 2;
        let server = Http::serve(move |_| {
            if busy == 0 {
                return Answer::ok("at last");
            }
            busy -= 1;
            Answer::status(503).with("Retry-After", "0")
        });
        assert_eq!(stores(&[]).read(&at(&server.url())).await.unwrap(), "at last");
        assert_eq!(server.asked().len(), 3);
    }

    /// A login in between answers so; what is fetched there is no answer to the upload.
    #[tokio::test]
    async fn an_upload_that_is_answered_with_a_question_is_not_taken_for_done() {
        let server = Http::serve(|asked| match asked.target.as_str() {
            "/out.ipynb" => Answer::status(303).with("Location", "/login"),
            "/moved.ipynb" => Answer::status(307).with("Location", "/there.ipynb"),
            _ => Answer::ok("<html>"),
        });
        let write = async |name| {
            let place = at(&format!("{}/{name}", server.url()));
            stores(&[]).write(&place, &["notebook".into()], Durability::Durable).await
        };
        let error = write("out.ipynb").await.unwrap_err();
        assert!(error.to_string().contains("points elsewhere instead of taking it"), "{error}");
        write("moved.ipynb").await.unwrap();
        let asked: Vec<_> = server.asked().into_iter().map(|asked| (asked.method, asked.target)).collect();
        let put = |target: &str| ("PUT".to_owned(), target.to_owned());
        assert_eq!(asked, ["/out.ipynb", "/moved.ipynb", "/there.ipynb"].map(put));
    }

    #[tokio::test]
    async fn a_server_that_stays_busy_is_given_up() {
        let server = Http::serve(|_| Answer::status(503));
        let error = stores(&[]).read(&at(&server.url())).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(server.asked().len(), 4);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_not_taken_for_the_document() {
        let server = Http::serve(|_| Answer { cut: true, ..Answer::ok("a whole notebook") });
        let error = stores(&[]).read(&at(&server.url())).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }

    /// What has not arrived whole counts for nothing, and is sent whole again.
    #[tokio::test]
    async fn an_upload_that_is_cut_is_made_again_from_its_beginning() {
        let server = Http::losing(2, |_| Answer::status(201));
        let notebook = vec![b'x'; 1 << 20];
        let parts = [notebook.clone().into()];
        stores(&[]).write(&at(&server.url()), &parts, Durability::Durable).await.unwrap();
        let arrived = server.asked();
        assert!(arrived.len() == 1 && arrived[0].body == notebook);
    }

    #[tokio::test]
    async fn a_document_that_comes_byte_by_byte_is_whole() {
        let document: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let sent = document.clone();
        let server = Http::trickling(move |_| Answer::ok(sent.clone()));
        assert_eq!(stores(&[]).read(&at(&server.url())).await.unwrap(), document);
    }

    #[tokio::test]
    async fn who_asks_for_patience_gets_it_and_who_refuses_is_asked_once() {
        for (status, asked, transient) in [(429, 4, true), (503, 4, true), (409, 1, false), (412, 1, false)] {
            let server = Http::serve(move |_| Answer::status(status).with("Retry-After", "0"));
            let written = stores(&[]).write(&at(&server.url()), &["{}".into()], Durability::Durable).await;
            let error = written.unwrap_err();
            assert_eq!((server.asked().len(), error.is_transient()), (asked, transient), "{status}: {error}");
            assert!(everything(&error).contains(&status.to_string()), "{}", everything(&error));
        }
    }

    #[tokio::test]
    async fn an_error_page_is_no_notebook() {
        for (status, kind) in [(404, StoreErrorKind::NotFound), (403, StoreErrorKind::PermissionDenied)] {
            let server = Http::serve(move |_| Answer { status, ..Answer::ok("<html>sorry</html>") });
            let error = stores(&[]).read(&at(&server.url())).await.unwrap_err();
            assert_eq!(*error.kind(), kind);
            assert_eq!(server.asked().len(), 1, "what will not change is not tried again");
        }
    }

    #[tokio::test]
    async fn a_server_without_put_cannot_be_written_to() {
        let server = Http::serve(|_| Answer::status(405));
        let error =
            stores(&[]).write(&at(&server.url()), &["{}".into()], Durability::Durable).await.unwrap_err();
        assert!(matches!(error.kind(), StoreErrorKind::NotWritable { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_password_of_the_url_is_sent_and_shown_nowhere() {
        let server = Http::serve(|asked| {
            // me:hunter22hunter22
            let known = asked
                .headers
                .get("authorization")
                .is_some_and(|sent| sent == "Basic bWU6aHVudGVyMjJodW50ZXIyMg==");
            if known { Answer::ok("{}") } else { Answer::status(401) }
        });
        let location = at(&format!("http://me:{SECRET}@{}/nb.ipynb", server.host()));
        stores(&[]).read(&location).await.unwrap();
        assert!(!format!("{location} {location:?}").contains(SECRET));

        let wrong = at(&format!("http://you:{SECRET}@{}/nb.ipynb", server.host()));
        let error = stores(&[]).read(&wrong).await.unwrap_err();
        assert!(matches!(error.kind(), StoreErrorKind::Unauthenticated { .. }), "{error}");
        shows_no_secret(&error);
    }

    #[tokio::test]
    async fn a_redirect_is_followed_without_telling_where_from() {
        let goal = Http::serve(|_| Answer::ok("moved"));
        let target = format!("{}/new", goal.url());
        let server = Http::serve(move |_| Answer::status(302).with("Location", target.clone()));
        let location = at(&format!("http://me:{SECRET}@{}/nb?token={SECRET}", server.host()));
        assert_eq!(stores(&[]).read(&location).await.unwrap(), "moved");
        let asked = goal.asked();
        assert!(
            !format!("{:?}", asked[0]).contains(SECRET) && !asked[0].headers.contains_key("authorization")
        );
    }

    #[tokio::test]
    async fn a_token_shows_in_no_error() {
        let dead = Http::serve(|_| Answer::ok("")).url();
        for location in [
            format!("{dead}/nb?token={SECRET}"),
            format!("{}/nb?X-Amz-Signature={SECRET}", dead.replace("http://", "https://")),
            format!("http://absent.invalid/nb?sig={SECRET}"),
        ] {
            let stores = stores(&[]).with_retry(RetryPolicy::never());
            shows_no_secret(&stores.read(&at(&location)).await.unwrap_err());
            let written = stores.write(&at(&location), &["{}".into()], Durability::Visible).await;
            shows_no_secret(&written.unwrap_err());
        }
        // A server that says the secret back.
        let echo = Http::serve(|asked| Answer { status: 400, ..Answer::ok(asked.target.clone()) });
        let location = at(&format!("{}/nb?token={SECRET}", echo.url()));
        shows_no_secret(&stores(&[]).read(&location).await.unwrap_err());
    }
}

mod github {
    use super::*;

    const PAGE: &str = "https://github.com/owner/repo/blob/main/dir/a%20b.ipynb";

    #[tokio::test]
    async fn a_file_is_read_raw_with_the_token() {
        let server = Http::serve(|_| Answer::ok("{}"));
        let stores = stores(&[("GITHUB_API_URL", &server.url()), ("GITHUB_ACCESS_TOKEN", SECRET)]);
        assert_eq!(stores.read(&at(PAGE)).await.unwrap(), "{}");
        let asked = &server.asked()[0];
        assert_eq!(asked.target, "/repos/owner/repo/contents/dir/a%20b.ipynb?ref=main");
        assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET}"));
        assert_eq!(asked.headers["accept"], "application/vnd.github.raw+json");
    }

    #[tokio::test]
    async fn an_absent_file_is_not_found_and_none_can_be_written() {
        let server = Http::serve(|_| Answer::status(404));
        let stores = stores(&[("GITHUB_API_URL", &server.url())]);
        assert_eq!(*stores.read(&at(PAGE)).await.unwrap_err().kind(), StoreErrorKind::NotFound);
        let error = stores.write(&at(PAGE), &["{}".into()], Durability::Visible).await.unwrap_err();
        assert!(matches!(error.kind(), StoreErrorKind::NotWritable { .. }), "{error}");
    }

    #[tokio::test]
    async fn too_many_requests_are_not_a_missing_permission() {
        let server = Http::serve(|_| Answer::status(403).with("X-RateLimit-Remaining", "0"));
        let error = stores(&[("GITHUB_API_URL", &server.url())]).read(&at(PAGE)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

mod azure {
    use super::*;

    #[tokio::test]
    async fn blobs_are_reached_with_a_key_or_a_signature() {
        let server = Server::azurite();
        let with_key = stores(&[("AZURE_STORAGE_CONNECTION_STRING", server.said("connection"))]);
        let folder = at("abfs://suite/with a key");
        conformance::run(&with_key, &folder, Abilities::ALL).await.unwrap();

        let endpoint = [
            ("AZURE_STORAGE_ACCOUNT", "devstoreaccount1"),
            ("AZURE_STORAGE_BLOB_ENDPOINT", server.said("url")),
        ];
        let host = "abs://devstoreaccount1.blob.core.windows.net/suite";
        let folder = at(&format!("{host}/with-sas?{}", server.said("sas")));
        conformance::run(&stores(&endpoint), &folder, Abilities::ALL).await.unwrap();

        // Larger than the parts in which blobs travel.
        let large: Vec<u8> = (0..=255).cycle().take(9 << 20).collect();
        let location = at("abfss://suite@devstoreaccount1.dfs.core.windows.net/large.bin");
        with_key.write(&location, &[large.clone().into()], Durability::Durable).await.unwrap();
        assert!(with_key.read(&location).await.unwrap() == large);

        let absent = at("abfs://no-such-container/nb.ipynb");
        let error = with_key.write(&absent, &["{}".into()], Durability::Visible).await.unwrap_err();
        assert_eq!(*error.kind(), StoreErrorKind::NotFound, "{}", everything(&error));

        let forged =
            at(&format!("{host}/nb.ipynb?sv=2019-12-12&ss=b&srt=sco&sp=r&se=2099-01-01&sig={SECRET}"));
        let error = stores(&endpoint).read(&forged).await.unwrap_err();
        // Azure calls it AuthenticationFailed, Azurite AuthorizationFailure.
        let refused =
            matches!(error.kind(), StoreErrorKind::Unauthenticated { .. } | StoreErrorKind::PermissionDenied);
        assert!(refused, "{}", everything(&error));
        shows_no_secret(&error);
    }

    #[tokio::test]
    async fn a_signature_shows_in_no_error() {
        let dead = Http::serve(|_| Answer::ok("")).url();
        let endpoint = [("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_STORAGE_BLOB_ENDPOINT", dead.as_str())];
        let location = at(&format!("abs://a.blob.core.windows.net/c/nb.ipynb?sig={SECRET}"));
        let stores = stores(&endpoint).with_retry(RetryPolicy::never());
        let error = stores.read(&location).await.unwrap_err();
        assert!(error.is_transient(), "{}", everything(&error));
        shows_no_secret(&error);
        shows_no_secret(&stores.list(&location).await.unwrap_err());
        shows_no_secret(&stores.write(&location, &["{}".into()], Durability::Visible).await.unwrap_err());
    }

    #[tokio::test]
    async fn a_throttled_request_is_tried_again() {
        let mut busy = true;
        let server = Http::serve(move |_| {
            if std::mem::take(&mut busy) {
                Answer::status(503).with("Retry-After", "0")
            } else {
                Answer::status(201)
            }
        });
        let endpoint = [("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_STORAGE_BLOB_ENDPOINT", &server.url())];
        let location = at("abs://a.blob.core.windows.net/c/nb.ipynb?sig=x");
        stores(&endpoint).write(&location, &["{}".into()], Durability::Durable).await.unwrap();
        assert_eq!(server.asked().len(), 2);
    }
}

mod s3 {
    use super::*;

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIATEST"), ("AWS_SECRET_ACCESS_KEY", SECRET)];

    #[tokio::test]
    async fn objects_are_read_written_and_listed_page_by_page() {
        let server = Server::s3();
        let stores = stores(&[KEYS[0], KEYS[1], ("BOTO3_ENDPOINT_URL", server.said("url"))]);
        conformance::run(&stores, &at("s3://suite/conformance"), Abilities::ALL).await.unwrap();

        // A page holds 1000.
        let folder = at("s3n://suite/many");
        for number in 0..1003 {
            let name = Segment::parse(&format!("{number:04}.json")).unwrap();
            stores.write(&folder.join(&name), &["{}".into()], Durability::Visible).await.unwrap();
        }
        let listed = stores.list(&folder).await.unwrap();
        assert_eq!(listed.len(), 1003);
        assert_eq!(listed[1002].to_string(), "s3n://suite/many/1002.json");

        let absent = at("s3://no-such-bucket/nb.ipynb");
        let error = stores.write(&absent, &["{}".into()], Durability::Visible).await.unwrap_err();
        assert_eq!(*error.kind(), StoreErrorKind::NotFound, "{}", everything(&error));
    }

    #[tokio::test]
    async fn keys_and_region_come_from_the_profile() {
        let folder = tempfile::tempdir().unwrap();
        let (config, keys) = (folder.path().join("config"), folder.path().join("credentials"));
        std::fs::write(&config, "[profile work]\nregion = eu-central-1\n").unwrap();
        let text = format!("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = {SECRET}\n");
        std::fs::write(&keys, text).unwrap();
        let server = Http::serve(|_| Answer::ok("{}"));
        let stores = stores(&[
            ("AWS_PROFILE", "work"),
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", keys.to_str().unwrap()),
            ("AWS_ENDPOINT_URL_S3", &server.url()),
        ]);
        stores.read(&at("s3://bucket/nb.ipynb")).await.unwrap();
        let authorization = server.asked()[0].headers["authorization"].clone();
        assert!(
            authorization.contains("Credential=AKIAWORK/") && authorization.contains("/eu-central-1/s3/")
        );
    }

    #[tokio::test]
    async fn a_bucket_is_followed_to_its_region_once() {
        let server = Http::serve(|asked| {
            if asked.headers["authorization"].contains("/ap-south-1/s3/") {
                Answer::ok("{}")
            } else {
                Answer::status(400).with("x-amz-bucket-region", "ap-south-1")
            }
        });
        let stores = stores(&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", &server.url())]);
        for _ in 0..2 {
            stores.read(&at("s3://bucket/nb.ipynb")).await.unwrap();
        }
        assert_eq!(server.asked().len(), 3, "the region is remembered");
    }

    #[tokio::test]
    async fn without_keys_requests_go_unsigned_and_a_refusal_says_how_to_log_in() {
        let server = Http::serve(|asked| {
            assert!(!asked.headers.contains_key("authorization"));
            if asked.target == "/public/nb.ipynb" { Answer::ok("{}") } else { Answer::status(403) }
        });
        let stores = stores(&[("AWS_ENDPOINT_URL", &server.url()), ("HOME", "/nonexistent")]);
        assert_eq!(stores.read(&at("s3://public/nb.ipynb")).await.unwrap(), "{}");
        let error = stores.read(&at("s3://private/nb.ipynb")).await.unwrap_err();
        assert!(error.to_string().contains("AWS_PROFILE"), "{error}");
    }

    #[tokio::test]
    async fn a_known_identity_that_is_refused_lacks_a_permission() {
        let server =
            Http::serve(|_| Answer { status: 403, ..Answer::ok("<Error><Code>AccessDenied</Code></Error>") });
        let stores = stores(&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", &server.url())]);
        let error = stores.read(&at("s3://private/nb.ipynb")).await.unwrap_err();
        assert_eq!(*error.kind(), StoreErrorKind::PermissionDenied);
        assert!(everything(&error).contains("AccessDenied"), "{}", everything(&error));
        shows_no_secret(&error);
    }
}

mod gs {
    use super::*;

    #[tokio::test]
    async fn objects_are_read_written_and_listed() {
        let server = Server::gs();
        let stores = stores(&[("STORAGE_EMULATOR_HOST", server.said("url"))]);
        conformance::run(&stores, &at("gs://suite/conformance"), Abilities::ALL).await.unwrap();
    }

    #[tokio::test]
    async fn a_list_is_read_page_by_page() {
        let server = Http::serve(|asked| {
            let second = asked.target.contains("pageToken=p%2F2");
            Answer::ok(if second {
                r#"{"items": [{"name": "dir/b.json"}]}"#
            } else {
                r#"{"items": [{"name": "dir/a.json"}], "nextPageToken": "p/2"}"#
            })
        });
        let stores = stores(&[("STORAGE_EMULATOR_HOST", &server.host())]);
        let listed = stores.list(&at("gs://bucket/dir")).await.unwrap();
        assert_eq!(listed, [at("gs://bucket/dir/a.json"), at("gs://bucket/dir/b.json")]);
        assert!(server.asked()[0].target.starts_with("/storage/v1/b/bucket/o?delimiter=%2F&prefix=dir%2F"));
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_so() {
    let error = stores(&[]).read(&at("memory://nb.ipynb")).await.unwrap_err();
    assert!(error.to_string().contains("only for programs that embed"), "{error}");
}

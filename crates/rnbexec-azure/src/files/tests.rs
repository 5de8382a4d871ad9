mod share;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};

use share::{Asked, Fault, Share};

use super::*;
use crate::AzureErrorKind;
use crate::transport::{Http, HttpSettings, RetryPolicy};

/// The identity of these tests.
#[derive(Debug)]
struct Anybody;

#[async_trait]
impl TokenCredential for Anybody {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://storage.azure.com/.default"]);
        Ok(AccessToken::new("t0ken", OffsetDateTime::now_utc() + Duration::from_hours(1)))
    }
}

fn client() -> StorageClient {
    let retry = RetryPolicy { attempts: 3, first_wait: Duration::from_millis(1), ..RetryPolicy::default() };
    let http = Http::new(&HttpSettings { retry, ..HttpSettings::default() }).unwrap();
    StorageClient::new(http, Arc::new(Anybody))
}

fn settings(url: &str) -> StorageSettings {
    StorageSettings::of_account("acct").with_endpoint(Service::File, url)
}

fn files(share: &Share) -> Files {
    Files::new(&client(), &settings(&share.url()), "code-1").unwrap()
}

const PATH: &str = "Users/Triage Nbs/ä.ipynb";
const NOTEBOOK: &str = "application/x-ipynb+json";

/// Method and target of what was asked, with the random part of names masked.
fn lines(asked: &[Asked]) -> Vec<String> {
    asked
        .iter()
        .map(|asked| {
            let target = match (asked.target.find(".ipynb."), asked.target.find(".part")) {
                (Some(start), Some(end)) => {
                    format!("{}RANDOM{}", &asked.target[..start + 7], &asked.target[end..])
                }
                _ => asked.target.clone(),
            };
            format!("{} {target}", asked.method)
        })
        .collect()
}

const PART: &str = "/code-1/Users/Triage%20Nbs/%C3%A4.ipynb.RANDOM.part";
const TARGET: &str = "/code-1/Users/Triage%20Nbs/%C3%A4.ipynb";

#[tokio::test]
async fn a_file_is_written_beside_its_place_and_renamed_over_it() {
    let share = Share::start().await;
    files(&share).put(PATH, "{}".into(), NOTEBOOK).await.unwrap();
    let asked = share.asked();
    assert_eq!(
        lines(&asked),
        [
            "PUT /code-1/Users?restype=directory",
            "PUT /code-1/Users/Triage%20Nbs?restype=directory",
            &format!("PUT {PART}"),
            &format!("PUT {PART}?comp=range"),
            &format!("PUT {TARGET}?comp=rename"),
            &format!("HEAD {PART}"),
        ]
    );
    for asked in &asked {
        assert_eq!(asked.header("x-ms-version"), "2022-11-02");
        assert_eq!(asked.header("authorization"), "Bearer t0ken");
        assert_eq!(asked.header("x-ms-file-request-intent"), "backup");
        assert!(asked.header("x-ms-date").ends_with(" GMT"));
    }
    let [_, _, create, range, rename, _] = asked.as_slice() else { panic!("six requests") };
    assert_eq!(create.header("x-ms-type"), "file");
    assert_eq!(create.header("x-ms-content-length"), "2");
    assert_eq!(create.header("content-length"), "0");
    assert_eq!(create.header("x-ms-content-type"), NOTEBOOK);
    assert_eq!(range.header("x-ms-write"), "update");
    assert_eq!(range.header("x-ms-range"), "bytes=0-1");
    assert_eq!(rename.header("x-ms-file-rename-source"), format!("{}{}", share.url(), create.target));
    assert_eq!(rename.header("x-ms-file-rename-replace-if-exists"), "true");
    assert_eq!(share.files(), [(PATH.to_owned(), b"{}".to_vec())]);
}

#[tokio::test]
async fn a_big_file_goes_in_ranges_that_the_service_takes() {
    let share = Share::start().await;
    let content: Vec<u8> = (0..RANGE * 2 + 5).map(|index| u8::try_from(index % 251).unwrap()).collect();
    files(&share).put("a.ipynb", content.clone().into(), NOTEBOOK).await.unwrap();
    let ranges: Vec<_> =
        share.asked().iter().filter_map(|asked| asked.headers.get("x-ms-range").cloned()).collect();
    assert_eq!(ranges, ["bytes=0-4194303", "bytes=4194304-8388607", "bytes=8388608-8388612"]);
    assert_eq!(share.files(), [("a.ipynb".to_owned(), content)]);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let share = Share::start().await;
    files(&share).put("a.txt", Bytes::new(), "text/plain").await.unwrap();
    assert_eq!(share.files(), [("a.txt".to_owned(), Vec::new())]);
}

#[tokio::test]
async fn a_file_is_replaced_and_folders_may_be_there() {
    let share = Share::start().await;
    let files = files(&share);
    files.put(PATH, "a longer first".into(), NOTEBOOK).await.unwrap();
    files.put(PATH, "second".into(), NOTEBOOK).await.unwrap();
    assert_eq!(files.get(PATH).await.unwrap(), "second");
}

#[tokio::test]
async fn a_file_where_a_folder_should_be_is_an_error() {
    let share = Share::start().await;
    let files = files(&share);
    files.put("Users", "x".into(), "text/plain").await.unwrap();
    let error = files.put("Users/a.ipynb", "{}".into(), NOTEBOOK).await.unwrap_err();
    assert!(error.to_string().contains("ResourceTypeMismatch"), "{error}");
}

#[tokio::test]
async fn files_are_asked_for_and_removed() {
    let share = Share::start().await;
    let files = files(&share);
    files.put(PATH, "{}".into(), NOTEBOOK).await.unwrap();
    assert!(files.exists(PATH).await.unwrap());
    assert!(files.delete(PATH).await.unwrap());
    assert!(!files.delete(PATH).await.unwrap());
    assert!(!files.exists(PATH).await.unwrap());
    assert_eq!(files.get(PATH).await.unwrap_err().kind(), &AzureErrorKind::NotFound);
}

#[tokio::test]
async fn a_path_that_leaves_its_folder_is_never_asked_for() {
    let share = Share::start().await;
    let files = files(&share);
    for path in ["../other/a", "a/../../b", "/a", "a//b", ""] {
        let error = files.put(path, "{}".into(), NOTEBOOK).await.unwrap_err();
        assert!(matches!(error.kind(), AzureErrorKind::Settings { .. }), "{path}: {error}");
    }
    assert!(share.asked().is_empty());
}

/// The ways in which a service says that it knows nothing of renaming.
#[tokio::test]
async fn a_service_that_cannot_rename_is_written_to_in_place() {
    for answer in [201, 400, 404, 405, 501] {
        let share = Share::start().await;
        share.fault(move |asked| asked.target.contains("comp=rename").then_some(Fault::Status(answer)));
        let files = files(&share);
        let content = vec![7; RANGE + 1];
        files.put("a.ipynb", content.clone().into(), NOTEBOOK).await.unwrap();
        assert_eq!(share.files(), [("a.ipynb".to_owned(), content)], "{answer}");
        let before = share.asked().len();
        files.put("b.ipynb", vec![7; RANGE + 1].into(), NOTEBOOK).await.unwrap();
        // Known by now; and the beginning comes last.
        let asked = share.asked().split_off(before);
        assert_eq!(
            lines(&asked),
            ["PUT /code-1/b.ipynb", "PUT /code-1/b.ipynb?comp=range", "PUT /code-1/b.ipynb?comp=range"]
        );
        assert_eq!(asked[1].header("x-ms-range"), "bytes=4194304-4194304");
        assert_eq!(asked[2].header("x-ms-range"), "bytes=0-4194303");
    }
}

#[tokio::test]
async fn a_service_that_says_yes_to_a_rename_and_does_nothing_is_found_out() {
    let share = Share::start().await;
    share.fault(|asked| asked.target.contains("comp=rename").then_some(Fault::Status(200)));
    files(&share).put("a.ipynb", "{}".into(), NOTEBOOK).await.unwrap();
    assert_eq!(share.files(), [("a.ipynb".to_owned(), b"{}".to_vec())]);
}

#[tokio::test]
async fn a_rename_that_is_refused_leaves_the_old_file_and_no_part() {
    let share = Share::start().await;
    let files = files(&share);
    files.put("a.ipynb", "old".into(), NOTEBOOK).await.unwrap();
    share.fault(|asked| asked.target.contains("comp=rename").then_some(Fault::Status(409)));
    let error = files.put("a.ipynb", "new".into(), NOTEBOOK).await.unwrap_err();
    assert_eq!(error.kind(), &AzureErrorKind::Conflict);
    assert_eq!(share.files(), [("a.ipynb".to_owned(), b"old".to_vec())]);
}

#[tokio::test]
async fn nobody_sees_a_file_while_it_is_written() {
    let share = Share::start().await;
    let files = files(&share);
    files.put("a.ipynb", "old".into(), NOTEBOOK).await.unwrap();
    share.fault(|asked| asked.target.contains("comp=range").then_some(Fault::Status(403)));
    let error = files.put("a.ipynb", "new".into(), NOTEBOOK).await.unwrap_err();
    assert_eq!(error.kind(), &AzureErrorKind::PermissionDenied);
    assert_eq!(share.files(), [("a.ipynb".to_owned(), b"old".to_vec())]);
}

#[tokio::test]
async fn a_busy_service_is_asked_again() {
    let share = Share::start().await;
    let mut busy = 2;
    share.fault(move |asked| {
        let fault = busy > 0 && asked.target.contains("comp=range");
        busy -= i32::from(fault);
        fault.then_some(Fault::Status(503))
    });
    files(&share).put("a.ipynb", "{}".into(), NOTEBOOK).await.unwrap();
    assert_eq!(share.files(), [("a.ipynb".to_owned(), b"{}".to_vec())]);
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_of_a_range_is_made_again() {
    let share = Share::start().await;
    let mut whole = false;
    share.fault(move |asked| {
        let cut = !whole && asked.target.contains("comp=range");
        whole |= cut;
        cut.then_some(Fault::Cut)
    });
    let content = vec![7; RANGE / 2];
    files(&share).put("a.ipynb", content.clone().into(), NOTEBOOK).await.unwrap();
    assert_eq!(share.files(), [("a.ipynb".to_owned(), content)]);
}

#[tokio::test]
async fn a_rename_whose_answer_was_lost_is_no_loss() {
    let share = Share::start().await;
    let mut done = false;
    share.fault(move |asked| {
        let first = !done && asked.target.contains("comp=rename");
        done |= first;
        first.then_some(Fault::DoneButCut)
    });
    files(&share).put("a.ipynb", "{}".into(), NOTEBOOK).await.unwrap();
    assert_eq!(share.files(), [("a.ipynb".to_owned(), b"{}".to_vec())]);
    let written = share.asked().iter().filter(|asked| asked.target == "/code-1/a.ipynb").count();
    assert_eq!(written, 0, "it was not written again in place");
}

#[tokio::test]
async fn a_service_that_stays_away_is_not_available() {
    let share = Share::start().await;
    share.fault(|_| Some(Fault::Cut));
    let error = files(&share).get("a.ipynb").await.unwrap_err();
    assert_eq!(error.kind(), &AzureErrorKind::Unavailable { retry_after: None });
}

#[tokio::test]
async fn a_key_signs_and_says_nothing_of_backups() {
    let share = Share::start().await;
    let settings = settings(&share.url()).with_key(Secret::new("c2VjcmV0"));
    let files = Files::new(&client(), &settings, "code-1").unwrap();
    files.put("a.ipynb", "{}".into(), NOTEBOOK).await.unwrap();
    for asked in share.asked() {
        assert!(asked.header("authorization").starts_with("SharedKey acct:"), "{asked:?}");
        assert!(!asked.headers.contains_key("x-ms-file-request-intent"));
        assert!(!format!("{files:?}").contains("c2VjcmV0"));
    }
}

#[tokio::test]
async fn an_account_may_stand_in_the_path_and_a_signature_in_the_query() {
    let share = Share::start().await;
    let (found, name) = StorageSettings::default()
        .at(Service::File, &format!("{}/acct/code-1?sv=1&sig=c2ln", share.url()))
        .unwrap();
    let files = Files::new(&client(), &found, &name).unwrap();
    files.put("a.ipynb", "{}".into(), NOTEBOOK).await.unwrap();
    let asked = share.asked();
    assert_eq!(lines(&asked)[1], "PUT /acct/code-1/a.ipynb.RANDOM.part?sv=1&sig=c2ln&comp=range");
    let source = asked[2].header("x-ms-file-rename-source").to_owned();
    assert!(source.ends_with(".part?sv=1&sig=c2ln"), "{source}");
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_listing_is_followed_to_its_end() {
    let share = Share::start().await;
    let files = files(&share);
    for name in ["d/1 & 2.ipynb", "d/e/3.ipynb", "d/4.ipynb"] {
        files.put(name, "{}".into(), NOTEBOOK).await.unwrap();
    }
    let file = |name: &str| Entry { name: name.to_owned(), kind: EntryKind::File(2) };
    let directory = Entry { name: "e".to_owned(), kind: EntryKind::Directory };
    assert_eq!(files.list_directory("d").await.unwrap(), [file("1 & 2.ipynb"), file("4.ipynb"), directory]);
    let last = share.asked().pop().unwrap();
    assert_eq!(last.target, "/code-1/d?restype=directory&comp=list&marker=2");
    assert_eq!(files.list_directory("").await.unwrap().len(), 1);
    let shares = Files::shares(&client(), &settings(&share.url())).await.unwrap();
    assert_eq!(shares, ["azureml-filestore-1", "code-1"]);
}

#[test]
fn names_that_xml_cannot_carry_are_decoded() {
    let element = Element::parse(b"<File><Name Encoded=\"true\">a%EF%BF%BFb</Name></File>").unwrap();
    assert_eq!(entry_of(&element).unwrap().name, "a\u{ffff}b");
}

#[test]
fn a_share_has_a_name_of_its_own() {
    for name in ["", "a/b", "..", "a b"] {
        assert!(Files::new(&client(), &settings("http://127.0.0.1:1"), name).is_err(), "{name}");
    }
}

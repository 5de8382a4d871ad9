//! Where executed notebooks go besides an Azure ML workspace: Blob Storage (Azurite), a folder, nowhere.

use rnbexec_manager::case::Ending;
use rnbexec_tests::Desk;
use rnbexec_tests::servers::Server;
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::finding(&json!({"severity": "High", "summary": "it *is* bad"}))
}

/// What a comment links to, as its HTML has it.
fn links(comment: &str) -> Vec<String> {
    let targets = comment.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    targets.map(|(target, _)| target.replace("&#58;", ":").replace("&amp;", "&")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn notebooks_and_reports_go_to_blob_storage_and_the_comment_links_them() {
    let server = Server::azurite();
    let mut desk = desk();
    let name = desk.seed(1).remove(0);
    let key = server.said("connection").split(';').find_map(|part| part.strip_prefix("AccountKey="));
    desk.variables.push(("BLOB_KEY".to_owned(), key.expect("a key").to_owned()));
    let folder = format!("{}/suite/triage notebooks", server.said("url"));
    let report = desk
        .once_with(&[
            ("publish.to", "blob"),
            ("publish.blob.url", &folder),
            ("publish.blob.account_key", "env:BLOB_KEY"),
            ("publish.file", "{date}/{incident_id}.ipynb"),
        ])
        .await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());

    let place = format!("{}/suite/triage%20notebooks/2026-01-02/{name}", server.said("url"));
    let comment = desk.comment(&name);
    let mut linked = links(&comment);
    linked.sort();
    assert_eq!(linked, [format!("{place}.html"), format!("{place}.ipynb")], "{comment}");
    let read = async |link: &str| {
        let answer = reqwest::get(format!("{link}?{}", server.said("sas"))).await.expect("Azurite answers");
        assert!(answer.status().is_success(), "{link}: {}", answer.status());
        let kind = answer.headers()["content-type"].to_str().expect("a type").to_owned();
        (kind, answer.bytes().await.expect("a body"))
    };
    let (kind, page) = read(&linked[0]).await;
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(String::from_utf8_lossy(&page).trim_end().ends_with("</html>"));
    let (kind, notebook) = read(&linked[1]).await;
    assert_eq!(kind, "application/x-ipynb+json");
    let notebook: Value = serde_json::from_slice(&notebook).expect("a notebook");
    assert!(notebook["metadata"]["papermill"]["end_time"].is_string());
    assert!(desk.azure.files().is_empty());
    let said = format!("{}{comment}", desk.log());
    assert!(!said.contains(key.expect("a key")), "the key is nowhere to be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn notebooks_go_to_a_folder_and_the_comment_says_where() {
    let desk = desk();
    let name = desk.seed(1).remove(0);
    desk.once_with(&[("publish.to", "folder"), ("publish.folder.path", "triaged")]).await;
    let notebook = desk.scratch.json(format!("triaged/{name}.ipynb"));
    assert!(notebook["metadata"]["papermill"]["end_time"].is_string());
    let page = String::from_utf8(desk.scratch.read(format!("triaged/{name}.html"))).expect("a page");
    assert!(page.trim_end().ends_with("</html>"));
    let comment = desk.comment(&name);
    assert!(links(&comment).is_empty(), "a path is no link: {comment}");
    assert!(comment.contains(&format!("{name}.ipynb")), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_nowhere_still_raises_the_severity() {
    let desk = desk();
    let name = desk.seed(1).remove(0);
    desk.once_with(&[("publish.to", "none")]).await;
    assert_eq!(desk.azure.incident(&name)["properties"]["severity"], "High");
    assert!(desk.azure.comments(&name).is_empty(), "there is nothing to link");
    assert!(desk.azure.files().is_empty());
}

//! One incident's way, from new in Sentinel to a finished investigation linked on it.

use rnbexec_manager::case::Ending;
use rnbexec_tests::Desk;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incident_ends_with_a_published_notebook_a_comment_and_a_raised_severity() {
    let desk = Desk::finding(&json!({"severity": "High", "confidence": 0.9, "summary": "it *is* bad"}));
    let names = desk.seed(1);
    let report = desk.once().await;

    assert_eq!(report.ended.len(), 1, "{report:?}\n{}", desk.log());
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    let incident = desk.azure.incident(&names[0]);
    assert_eq!(incident["properties"]["severity"], "High");
    assert_eq!(incident["properties"]["status"], "New");
    assert_eq!(incident["properties"]["owner"]["assignedTo"], "Ada");
    let comments = desk.azure.comments(&names[0]);
    assert_eq!(comments.len(), 1);
    let files = desk.azure.files();
    let paths: Vec<&str> =
        files.keys().filter_map(|path| path.split_once('/')).map(|(_share, path)| path).collect();
    let expected = ["html", "ipynb"].map(|end| format!("Users/TriageNbs/{}.{end}", names[0]));
    assert_eq!(paths, expected);
}

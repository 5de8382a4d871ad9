//! A notebook of the kind that Microsoft's blog post has, unchanged under the manager: same parameters, tag, folder and comment.

use std::fs;

use rnbexec_manager::case::Ending;
use rnbexec_manager::comment::BLOG;
use rnbexec_tests::azure::names;
use rnbexec_tests::{Book, Desk, oracle};
use serde_json::Value;

const KNOWN_BAD: &str = "1c0ffee1-0000-4000-8000-000000000010";
const HARMLESS: &str = "1c0ffee2-0000-4000-8000-000000000020";
const NOT_IN_THE_LOGS: &str = "1c0ffee3-0000-4000-8000-000000000030";

/// The workspace that the bundles name.
const THEIR_WORKSPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/soc/providers/\
                               Microsoft.OperationalInsights/workspaces/contoso-sentinel";

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_of_the_blogs_kind_triages_as_it_did_under_the_blogs_manager() {
    let folder = oracle::workspace().join("tests/notebooks/blog");
    let mut desk = Desk::new(&Book::new());
    let stubs = folder.join("stubs").display().to_string();
    desk.variables.push(("PYTHONPATH".to_owned(), stubs));
    desk.variables.push(("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()));
    desk.seed_bundles(
        [1, 2, 3]
            .map(|number| {
                let bundle = fs::read_to_string(folder.join(format!("bundles/{number}.json")));
                // The same incidents, in this world's workspace.
                let bundle =
                    bundle.expect("the bundle can be read").replace(THEIR_WORKSPACE, &names::workspace_id());
                serde_json::from_str(&bundle).expect("a bundle is JSON")
            })
            .to_vec(),
    );
    desk.once_with(&[
        ("run.notebook", folder.join("triage.ipynb").to_str().expect("a path that is text")),
        ("comment.template", "blog"),
        ("publish.report", "false"),
    ])
    .await;

    let published = desk.azure.files();
    let path = format!("{}/Users/TriageNbs/{KNOWN_BAD}.ipynb", names::CODE_SHARE);
    assert_eq!(published.keys().collect::<Vec<_>>(), [&path], "{}", desk.log());
    let notebook: Value = serde_json::from_slice(&published[&path]).expect("a notebook");
    let parameters = &notebook["metadata"]["papermill"]["parameters"];
    assert_eq!(parameters["incident_id"], KNOWN_BAD);
    assert_eq!(
        (&parameters["ten_id"], &parameters["ws_id"]),
        (&names::TENANT.into(), &names::CUSTOMER_ID.into())
    );
    assert_eq!(parameters.as_object().map(serde_json::Map::len), Some(3));

    let case = desk.case(KNOWN_BAD).await;
    let link = case.facts.link.expect("a link").replace('&', "&amp;");
    assert_eq!(desk.comment(KNOWN_BAD), BLOG.replace("{link}", &link));
    assert_eq!(desk.azure.incident(KNOWN_BAD)["properties"]["severity"], "High");

    assert_eq!(desk.case(HARMLESS).await.state.ending, Some(Ending::NoFinding));
    let failed = desk.case(NOT_IN_THE_LOGS).await;
    assert_eq!(failed.state.ending, Some(Ending::Parked));
    assert!(failed.facts.reason.expect("a reason").contains("IndexError"));
    for untouched in [HARMLESS, NOT_IN_THE_LOGS] {
        assert!(desk.azure.comments(untouched).is_empty());
        assert_eq!(desk.changes(untouched), 0);
    }
}

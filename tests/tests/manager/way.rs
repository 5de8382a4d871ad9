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

/// The first to run waits until another kernel works beside it; the second finds that this was its own.
const LOOKS_FOR_THE_NEXT: &str = r"
import pathlib

runs = pathlib.Path.cwd().parent.parent


def beside():
    for process in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            cwd = (process / 'cwd').resolve(strict=True)
        except OSError:
            continue
        if cwd.parent.parent == runs and process.name != str(os.getpid()):
            yield process.name


seen = runs / 'seen'
if seen.exists():
    assert str(os.getpid()) in seen.read_text().split()
else:
    while not (kernels := list(beside())):
        time.sleep(0.01)
    seen.write_text(' '.join(kernels))
find('High')
";

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_of_the_next_incident_is_prepared_in_its_own_folder() {
    let desk = Desk::scripted();
    desk.seed_scripts(&[("Low", LOOKS_FOR_THE_NEXT), ("Low", LOOKS_FOR_THE_NEXT)]);
    let report = desk.once_with(&[("run.jobs", "1")]).await;
    let endings: Vec<_> = report.ended.iter().map(|case| case.state.ending).collect();
    assert_eq!(endings, [Some(Ending::Triaged), Some(Ending::Triaged)], "{}", desk.log());
}

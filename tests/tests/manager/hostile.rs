//! Titles, names, verdicts and outputs that want to be more than text.

use rnbexec_manager::case::Ending;
use rnbexec_tests::Desk;
use rnbexec_tests::azure::names;
use serde_json::{Value, json};

/// What no text that is shown to people may hold.
fn acts_unseen(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Every tag of a piece of HTML, without its brackets.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest)).collect()
}

const NASTY: &str = "<img src=x onerror=alert(1)> [click](https://evil.example/?a=b) \u{1b}[2J\u{1b}]0;gone\u{7}\r\n\
                     INFO:rnbexec:2026-01-01 00:00:00.000Z - all is well \u{202e}gnp.exe {link} {run_key} ${HOME} `rm -rf /` \
                     ' OR 1=1 -- \"\"\" \\";

/// An incident whose title and entities are hostile, and whose script makes a verdict of such texts.
fn nasty_bundle() -> Value {
    let mut bundle = Desk::bundle(1, &format!("{NASTY}{}", "A".repeat(10_000)), "Low");
    bundle["incident"]["properties"]["description"] = json!(
        "bad = incident['title'][:500] + '<script>alert(1)</script>'\n\
         print(bad)\ndisplay({'text/html': bad, 'text/plain': bad}, raw=True)\n\
         entity = bundle['entities']['entities'][0]['properties']['hostName']\n\
         find('High', title=bad[:150], summary=bad + ' [x](javascript:alert(1)) ![y](https://evil.example/y.png)', \
         evidence=[{'kind': 'host', 'entity': entity[:900], 'severity': 'High', 'reason': bad, 'source': bad[:150]}])"
    );
    bundle["entities"]["entities"] =
        json!([{"kind": "Host", "properties": {"hostName": NASTY, "friendlyName": NASTY}}]);
    bundle
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_titles_and_verdicts_are_shown_as_text_everywhere() {
    let desk = Desk::scripted();
    let incident = &desk.seed_bundles(vec![nasty_bundle()])[0];
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());

    let comment = desk.comment(incident);
    assert!(comment.chars().count() <= 30_000);
    assert!(!comment.contains(acts_unseen), "{comment}");
    for tag in tags(&comment) {
        let ours = tag.starts_with("a href=\"https://ml.azure.com/fileexplorerAzNB?")
            || tag.starts_with("a href='https://ml.azure.com/fileexplorerAzNB?")
            || tag.trim_start_matches('/').chars().all(|c| c.is_ascii_alphanumeric());
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let allowed = [
            "a", "b", "i", "p", "br", "ul", "ol", "li", "code", "pre", "table", "thead", "tbody", "tr", "td",
            "th", "em", "strong", "h3", "h4",
        ];
        assert!(ours && allowed.contains(&name.as_str()), "<{tag}> in {comment}");
    }
    for live in ["](https://evil", "javascript:alert", "evil.example/y.png)"] {
        assert!(!comment.contains(live), "{live:?} in {comment}");
    }
    let log = desk.log();
    assert!(!log.contains(acts_unseen), "{log}");
    for line in log.lines() {
        let level = ["INFO:rnbexec:", "WARNING:rnbexec:", "ERROR:rnbexec:"];
        assert!(level.iter().any(|level| line.starts_with(level)), "{line}");
        assert!(!line.starts_with("INFO:rnbexec:2026-01-01 00:00:00.000Z"), "a title forged a line: {line}");
    }
    let page = desk.azure.file(&format!("Users/TriageNbs/{incident}.html")).expect("the report");
    let page = String::from_utf8(page).expect("text");
    let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).expect("a title");
    assert!(!title.contains(acts_unseen) && !title.contains('<'), "{title}");
    // What a cell displayed as HTML stands in the data of a frame that may do nothing.
    for live in ["<script>alert", "<img src=x", "\u{1b}"] {
        assert!(!page.contains(live), "{live:?} in the report");
    }
    let paths: Vec<_> = desk.azure.files().into_keys().collect();
    assert_eq!(
        paths,
        ["html", "ipynb"].map(|end| format!("{}/Users/TriageNbs/{incident}.{end}", names::CODE_SHARE))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_title_is_in_no_report_log_or_ledger() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let title = format!("the password is {}", names::CLIENT_SECRET);
    let incident = &desk.seed_bundles(vec![Desk::bundle(1, &title, "Low")])[0];
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    let page = desk.azure.file(&format!("Users/TriageNbs/{incident}.html")).expect("it is published");
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("<title>Incident 1: the password is ***</title>"), "{page}");
    assert_eq!(desk.case(incident).await.facts.title, "the password is ***");
    for (what, text) in [("report", page), ("log", desk.log()), ("comment", desk.comment(incident))] {
        assert!(!text.contains(names::CLIENT_SECRET), "{what}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_title_does_not_break_the_log_of_json_lines() {
    let desk = Desk::scripted();
    desk.seed_bundles(vec![nasty_bundle()]);
    desk.once_with(&[("log.format", "json"), ("publish.to", "folder")]).await;
    let log = desk.log();
    assert!(log.lines().count() > 5, "{log}");
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["time"].is_string() && value["event"].is_string(), "{line}");
        assert!(!value["message"].as_str().expect("a message").contains(acts_unseen), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_with_an_impossible_name_is_refused_and_told_and_nothing_is_written_elsewhere() {
    let desk = Desk::scripted();
    let impossible = ["..", ".", "%2e%2e", "../../../../tmp/x", "a/b", "a\0b", "a\nb", &"x".repeat(300)];
    let mut bundles: Vec<_> = (2..)
        .zip(impossible)
        .map(|(number, name)| {
            let mut bundle = Desk::bundle(number, "Something odd", "High");
            let id =
                format!("{}/providers/Microsoft.SecurityInsights/Incidents/{name}", names::workspace_id());
            bundle["incident"]["id"] = json!(id);
            bundle["incident"]["name"] = json!(name);
            bundle["incident"]["properties"]["description"] = json!("find('High')");
            bundle
        })
        .collect();
    let mut good = Desk::bundle(1, "Something odd", "Low");
    good["incident"]["properties"]["description"] = json!("find('High')");
    bundles.push(good);
    desk.azure.seed_bundles(bundles);
    let report = desk.once().await;
    assert_eq!(report.rejected, impossible.len(), "{}", desk.log());
    assert_eq!(report.ended.len(), 1, "the good one is triaged: {}", desk.log());
    assert_eq!(desk.log().matches("Unable to read").count(), impossible.len(), "{}", desk.log());
    assert!(!desk.log().contains(acts_unseen), "{}", desk.log());
    assert_eq!(desk.runs().len(), 1);
    assert_eq!(desk.azure.files().len(), 2);
    let runs = desk.scratch.join("rnbexec-manager/runs");
    assert_eq!(std::fs::read_dir(runs).expect("the runs").count(), 1);
    for entry in desk.writes() {
        let path = entry.path.to_lowercase();
        let good = path.contains("00000000-0000-4000-8000-000000000001");
        assert!(
            good || entry.query("restype") == Some("directory") || path.contains(".part"),
            "{}",
            entry.line()
        );
    }
}

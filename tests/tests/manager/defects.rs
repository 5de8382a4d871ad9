//! The fifteen defects of Microsoft's original (two notebooks, papermill, cron), each as what happens here instead.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rnbexec::{Cancel, CancelLevel};
use rnbexec_azure::Url;
use rnbexec_manager::Event;
use rnbexec_manager::case::Ending;
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{Azure, On, Plane, names};
use serde_json::json;

/// Where the links of a comment lead.
fn links(comment: &str) -> Vec<Url> {
    let links = comment.split("href=").skip(1).filter_map(|part| {
        let quote = part.chars().next()?;
        part.split(quote).nth(1)
    });
    let urls = links.map(|link| Url::parse(&link.replace("&amp;", "&")));
    urls.map(|url| url.unwrap_or_else(|error| panic!("{error}: {comment}"))).collect()
}

fn value(link: &Url, name: &str) -> String {
    let found = link.query_pairs().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {link}")).1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_01_an_incident_is_triaged_once_however_often_the_manager_runs() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed(2);
    for _ in 0..3 {
        desk.once().await;
    }
    let mut runs = desk.runs();
    runs.sort();
    assert_eq!(runs, incidents, "{}", desk.log());
    for incident in &incidents {
        assert_eq!(desk.azure.comments(incident).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_a_failed_triage_is_not_taken_for_done_but_tried_again() {
    let desk = Desk::scripted();
    let script = "flag = os.path.expanduser('~/again')\nif not os.path.exists(flag):\n    open(flag, 'w').close()\n    \
                  raise OSError('the threat intelligence is asleep')\nfind('High')";
    let incidents = desk.seed_scripts(&[("Low", script)]);
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(desk.runs().len(), 2);
    assert_eq!(desk.azure.incident(&incidents[0])["properties"]["severity"], "High");
    assert!(report.waiting.is_empty(), "what was tried again and ended does not wait any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_a_failed_triage_waits_for_its_time_when_the_policy_says_so() {
    let desk = Desk::scripted();
    let script = "flag = os.path.expanduser('~/again')\nif not os.path.exists(flag):\n    open(flag, 'w').close()\n    \
                  raise OSError('the threat intelligence is asleep')\nfind('High')";
    let incidents = desk.seed_scripts(&[("Low", script)]);
    let patient = [("retry.notebook.first_wait", "10m"), ("retry.notebook.longest_wait", "1h")];
    let report = desk.once_with(&patient).await;
    assert_eq!((report.ended.len(), report.waiting.len()), (0, 1), "{}", desk.log());
    assert!(desk.log().contains("next try in 10m"), "{}", desk.log());
    assert!(desk.once_with(&patient).await.ended.is_empty());
    let report = desk.once_after(jiff::SignedDuration::from_mins(11), &patient).await;
    assert_eq!(report.ended.len(), 1, "{}", desk.log());
    assert_eq!(desk.azure.comments(&incidents[0]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_what_was_taken_from_the_source_and_not_finished_is_taken_up_again() {
    let desk = Desk::scripted();
    let script = "flag = os.path.expanduser('~/again')\nif not os.path.exists(flag):\n    open(flag, 'w').close()\n    \
                  time.sleep(60)\nfind('High')";
    let incidents = desk.seed_scripts(&[("Low", script), ("Low", "find('High')")]);
    let (stop, cancel) = Cancel::new();
    let flag = desk.scratch.home().join("again");
    let stopping = std::thread::spawn(move || {
        rnbexec_tests::wait_for("the first notebook to sleep", Duration::from_mins(1), || {
            flag.exists().then_some(())
        });
        stop.raise(CancelLevel::Interrupt);
    });
    let setup = desk.setup(&[("run.jobs", "1")]);
    let manager = Arc::new(setup.manager().await.expect("a manager"));
    let report = manager.once(cancel).await.expect("a pass");
    stopping.join().expect("the first notebook slept");
    assert_eq!((report.ended.len(), report.given_back), (0, 1), "{}", desk.log());
    drop(manager);

    let report = desk.once().await;
    assert_eq!(report.ended.len(), 2, "{}", desk.log());
    for incident in &incidents {
        assert_eq!(desk.azure.comments(incident).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_04_an_arm_id_becomes_the_guid_that_the_notebook_and_the_path_need() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    let id = desk.azure.incident(incident)["id"].as_str().unwrap().to_owned();
    assert!(id.contains("/Incidents/"), "{id}");
    let report = desk.once_for(&[&id]).await;
    assert_eq!(report.ended.len(), 1, "{}", desk.log());
    assert_eq!(desk.runs(), std::slice::from_ref(incident));
    let notebook = desk.azure.file(&format!("Users/TriageNbs/{incident}.ipynb")).expect("the notebook");
    let notebook = String::from_utf8(notebook).unwrap();
    for (name, value) in
        [("incident_id", incident.as_str()), ("ten_id", names::TENANT), ("ws_id", names::CUSTOMER_ID)]
    {
        assert!(notebook.contains(&format!("{name} = \\\"{value}\\\"")), "{name}: {notebook}");
    }
    for path in desk.azure.files().keys() {
        let below = path.strip_prefix(&format!("{}/Users/TriageNbs/", names::CODE_SHARE));
        assert!(below.is_some_and(|name| !name.contains('/')), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_05_the_log_tells_what_happened_to_each_incident_and_why() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[
        ("Low", "find('High', title='a known bad address', confidence=0.9)"),
        ("Low", "pass"),
        ("Low", "raise LookupError('no such table: SigninLogs')"),
    ]);
    desk.once().await;
    let log = desk.log();
    let [bad, good, failed] = &incidents[..] else { panic!("three") };
    for told in [
        format!("INFO:rnbexec:{}", jiff::Timestamp::now().strftime("%Y-")),
        format!("Processing incident {bad}, number 1, Low, \"Something odd\""),
        format!("Judging incident {bad}: a finding, severity High, confidence 0.9, \"a known bad address\""),
        format!("Storing notebook for {bad} in AML: Users/TriageNbs/{bad}.ipynb"),
        format!("Adding link to notebook for incident: {bad}: https://ml.azure.com/"),
        format!("Updating severity for {bad}: Low to High"),
        format!("Judging incident {good}: no finding"),
        format!("Finished incident {good}: no-finding"),
        format!("Unable to process incident {failed} - skipping, it needs a person"),
        "LookupError: no such table: SigninLogs".to_owned(),
        "Finished: 1 with a finding, 1 without, 0 left alone, 0 to be tried again, 1 for a person".to_owned(),
    ] {
        assert!(log.contains(&told), "{told:?} is not in the log:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_06_the_link_leads_to_the_uploaded_file_in_the_real_workspace() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once_with(&[("publish.workspace.folder", "Users/Night shift/Triage & more")]).await;
    let comment = desk.comment(incident);
    let links = links(&comment);
    assert!(!links.is_empty(), "{comment}");
    let mut paths = Vec::new();
    for link in &links {
        assert_eq!(link.host_str(), Some("ml.azure.com"), "{link}");
        assert_eq!(value(link, "wsid"), names::ml_workspace_id());
        assert_eq!(value(link, "tid"), names::TENANT);
        let path = value(link, "activeFilePath");
        assert!(desk.azure.file(&path).is_some(), "{path} is not there: {:?}", desk.azure.files().keys());
        paths.push(path);
    }
    assert!(
        paths.contains(&format!("Users/Night shift/Triage & more/{incident}.ipynb")),
        "{paths:?}\n{comment}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_07_the_folders_above_the_notebook_are_made() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    assert!(desk.azure.files().is_empty(), "the share is empty at first");
    desk.once_with(&[("publish.workspace.folder", "Users/a/b/c")]).await;
    assert!(desk.azure.file(&format!("Users/a/b/c/{incident}.ipynb")).is_some(), "{}", desk.log());
    let made = desk.azure.asked(&On::put("c").with("restype", "directory"));
    assert!(!made.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_08_incidents_of_the_second_and_later_pages_are_triaged() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed(3);
    desk.once_with(&[("source.sentinel.page_size", "1")]).await;
    let mut runs = desk.runs();
    runs.sort();
    assert_eq!(runs, incidents);
    assert!(desk.azure.asked(&On::get("incidents")).len() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_09_status_owner_labels_description_and_classification_survive() {
    let desk = Desk::finding(&json!({"severity": "High", "classification": "FalsePositive"}));
    let incident = &desk.seed(1)[0];
    desk.azure.edit_incident(incident, |properties| {
        properties.insert("status".to_owned(), json!("Active"));
        properties.insert("description".to_owned(), json!("an analyst's words"));
        properties.insert("classification".to_owned(), json!("Undetermined"));
        properties.insert("classificationComment".to_owned(), json!("not sure yet"));
    });
    let before = desk.azure.incident(incident);
    desk.once().await;
    let after = desk.azure.incident(incident);
    assert_eq!(after["properties"]["severity"], "High", "{}", desk.log());
    for (name, value) in before["properties"].as_object().unwrap() {
        // What the service counts by itself, and the one thing that was to change.
        if !["severity", "lastModifiedTimeUtc", "additionalData"].contains(&name.as_str()) {
            assert_eq!(after["properties"][name], *value, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_10_the_severity_follows_the_verdict_and_only_rises() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[
        ("Low", "find('Medium')"),
        ("High", "find('Medium')"),
        ("Informational", "find('Low')"),
        ("Low", "find('Informational')"),
    ]);
    desk.once().await;
    let severities: Vec<_> = incidents
        .iter()
        .map(|incident| desk.azure.incident(incident)["properties"]["severity"].clone())
        .collect();
    assert_eq!(severities, ["Medium", "High", "Low", "Low"], "{}", desk.log());
    let comments: Vec<_> = incidents.iter().map(|incident| desk.azure.comments(incident).len()).collect();
    assert_eq!(comments, [1, 1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_11_tokens_that_expire_while_the_notebook_runs_are_made_anew() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    // Each of the steps after the first finds its tokens expired.
    for on in [
        On::post("incidents/*/entities"),
        On::put("*").with("comp", "rename"),
        On::put("incidents/*/comments/*"),
    ] {
        desk.azure.after(on, 1, Azure::revoke_tokens);
    }
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    assert_eq!(report.ended[0].state.failures, 0, "no step had to be done again");
    assert_eq!(desk.azure.incident(incident)["properties"]["severity"], "High");
    assert_eq!(desk.azure.comments(incident).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_11_tokens_are_made_anew_before_they_expire() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    // Less than what a token must still be good for.
    desk.azure.set_token_lifetime(Duration::from_mins(1));
    let report = desk.once().await;
    assert_eq!(report.ended[0].state.ending, Some(Ending::Triaged), "{}", desk.log());
    let refused: Vec<_> =
        desk.azure.journal().into_iter().filter(|entry| entry.status == Some(401)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_12_two_passes_at_once_share_the_work() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incidents = desk.seed(3);
    let (one, other) = tokio::join!(desk.once(), desk.once());
    let mut ended: Vec<_> =
        one.ended.iter().chain(&other.ended).map(|case| case.facts.name.clone()).collect();
    // A pass that finds everything taken leaves it to the other one.
    ended.sort();
    assert_eq!(ended, incidents, "{}", desk.log());
    let mut runs = desk.runs();
    runs.sort();
    assert_eq!(runs, incidents);
    for incident in &incidents {
        assert_eq!(desk.azure.comments(incident).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_12_a_notebook_that_never_ends_is_stopped_and_holds_up_no_other() {
    let mut desk = Desk::scripted();
    desk.toml
        .push_str("[[route]]\nname = \"hasty\"\ntimeout = \"2s\"\n[route.when]\nseverity = [\"High\"]\n");
    let incidents = desk.seed_scripts(&[("High", "time.sleep(3600)"), ("Low", "find('High')")]);
    let report = desk.once_with(&[("run.jobs", "1"), ("retry.notebook.attempts", "1")]).await;
    let ended: Vec<_> = report.ended.iter().map(|case| (&case.facts.name, case.state.ending)).collect();
    assert_eq!(
        ended,
        [(&incidents[0], Some(Ending::Parked)), (&incidents[1], Some(Ending::Triaged))],
        "{}",
        desk.log()
    );
    let reason = report.ended[0].facts.reason.clone().unwrap();
    assert!(reason.contains("the run took longer than 2 s"), "{reason}");
    assert!(desk.azure.comments(&incidents[0]).is_empty());
    desk.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_12_notebooks_run_side_by_side() {
    let desk = Desk::scripted();
    // Each waits until the other has begun.
    let script = |own: &str, other: &str| {
        format!(
            "home = os.path.expanduser('~/')\nopen(home + '{own}', 'w').close()\n\
             deadline = time.time() + 30\nwhile not os.path.exists(home + '{other}'):\n    \
             assert time.time() < deadline, 'the other one never began'\n    time.sleep(0.01)\nfind('High')"
        )
    };
    desk.seed_scripts(&[("Low", &script("one", "other")), ("Low", &script("other", "one"))]);
    let report = desk.once_with(&[("run.jobs", "2")]).await;
    assert!(report.ended.iter().all(|case| case.state.ending == Some(Ending::Triaged)), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_13_a_triage_made_again_replaces_its_comment_and_its_files() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once().await;
    let (first, files) = (desk.azure.comments(incident), desk.azure.files());
    desk.once_for(&[incident]).await;
    assert_eq!(desk.runs().len(), 2, "{}", desk.log());
    let again = desk.azure.comments(incident);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["name"], first[0]["name"]);
    assert_eq!(desk.azure.files().keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    let order: Vec<_> = desk.writes().iter().map(|entry| (entry.plane, entry.line())).collect();
    let position = |what: &str| order.iter().position(|(_, line)| line.contains(what)).unwrap();
    assert!(position(".ipynb") < position("/comments/"), "nothing is linked before it is there: {order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_13_managers_that_know_nothing_of_each_other_write_the_same_comment() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once_with(&[("state.folder", "one")]).await;
    desk.once_with(&[("state.folder", "other")]).await;
    assert_eq!(desk.runs().len(), 2, "{}", desk.log());
    assert_eq!((desk.azure.comments(incident).len(), desk.azure.files().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_13_managers_with_other_parameters_write_the_same_comment() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let incident = &desk.seed(1)[0];
    desk.once().await;
    desk.once_with(&[("state.folder", "elsewhere"), ("run.parameters", "{ depth = 2 }")]).await;
    assert_eq!(desk.runs().len(), 2, "{}", desk.log());
    assert_eq!(desk.azure.comments(incident).len(), 1, "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_14_a_missing_module_is_named_and_the_incident_untouched() {
    let desk = Desk::scripted();
    let incidents = desk.seed_scripts(&[("Low", "import msticpy.data.azure_sentinel")]);
    let before = desk.azure.incident(&incidents[0]);
    let report = desk.once().await;
    let case = &report.ended[0];
    assert_eq!(case.state.ending, Some(Ending::Parked), "{}", desk.log());
    let reason = case.facts.reason.clone().unwrap();
    assert!(reason.contains("ModuleNotFoundError: No module named 'msticpy"), "{reason}");
    assert!(desk.log().contains("No module named 'msticpy"));
    assert_eq!(desk.azure.incident(&incidents[0]), before);
    assert!(desk.writes().is_empty(), "{:#?}", desk.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_15_no_account_key_is_needed() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.azure.deny("Microsoft.Storage/storageAccounts/listkeys/action");
    desk.azure.deny("Microsoft.MachineLearningServices/workspaces/datastores/listsecrets/action");
    desk.azure.deny("Microsoft.KeyVault/vaults/secrets/*");
    let incident = &desk.seed(1)[0];
    desk.once().await;
    assert!(desk.azure.file(&format!("Users/TriageNbs/{incident}.ipynb")).is_some(), "{}", desk.log());
    for asked in desk.azure.asked(&On::plane(Plane::Files)) {
        assert_eq!(asked.headers["authorization"], "Bearer ***");
        assert_eq!(asked.headers["x-ms-file-request-intent"], "backup");
        assert_eq!(asked.principal.as_deref(), Some("triage-sp"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_15_an_account_key_of_the_key_vault_works_too() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.azure.deny("Microsoft.Storage/storageAccounts/fileServices/*");
    let incident = &desk.seed(1)[0];
    let secret = desk.azure.settings().secret(names::KEY_SECRET);
    desk.once_with(&[("publish.workspace.account_key", &secret)]).await;
    assert!(desk.azure.file(&format!("Users/TriageNbs/{incident}.ipynb")).is_some(), "{}", desk.log());
    let holders: Vec<_> =
        desk.azure.asked(&On::plane(Plane::Files)).into_iter().map(|entry| entry.principal).collect();
    let key = Some(format!("key of {}", names::STORAGE_ACCOUNT));
    assert!(!holders.is_empty() && holders.iter().all(|holder| *holder == key), "{holders:?}");
    assert!(!desk.log().contains(&desk.azure.account_key()));
}

/// The listener of a manager hears everything in order; here only the ends of steps.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_written_down_before_and_after_its_effect() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    desk.seed(1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut setup = desk.setup(&[]);
    let told = Arc::clone(&heard);
    setup.listener = Box::new(move |event| {
        let word = match event {
            Event::Intent { step, .. } => format!("intend {}", step.as_str()),
            Event::Result { step, .. } => format!("did {}", step.as_str()),
            _ => return,
        };
        told.lock().unwrap().push(word);
    });
    let manager = Arc::new(setup.manager().await.expect("a manager"));
    manager.once(Cancel::never()).await.expect("a pass");
    let steps = ["claim", "run", "judge", "publish", "annotate", "settle", "acknowledge"];
    let expected: Vec<_> =
        steps.iter().flat_map(|step| [format!("intend {step}"), format!("did {step}")]).collect();
    assert_eq!(*heard.lock().unwrap(), expected);
}

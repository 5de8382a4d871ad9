use std::path::Path;

use serde_json::json;
use url::Url;

use super::*;

const GUID: &str = "73e01a99-5cd7-4139-a149-9f2736ff2ab5";

fn incident() -> Incident {
    Incident::from(json!({
        "id": format!("/subscriptions/s/x/Incidents/{GUID}"), "name": GUID,
        "properties": {
            "title": "../../etc/passwd", "severity": "Low", "status": "New", "incidentNumber": 42,
            "createdTimeUtc": "2026-11-22T01:02:03.1234567Z",
        },
    }))
}

fn run() -> RunKey {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn workspace() -> Workspace {
    Workspace {
        studio: Url::parse("https://ml.azure.com").unwrap(),
        subscription: "d0cfe6b2".to_owned(),
        resource_group: "my (rg)".to_owned(),
        name: "ws&1".to_owned(),
        tenant: Some("t/1".to_owned()),
    }
}

fn share(folder: &str, link: &str, file: &str) -> Result<Places, PlaceError> {
    let share = CodeShare::new(workspace(), folder, LinkTemplate::parse(link)?)?;
    Places::new(Target::CodeShare(share), file)
}

fn place(places: &Places) -> Place {
    places.of(&incident(), &run(), Some("mail")).unwrap()
}

#[test]
fn a_notebook_lies_where_the_blogs_lies_and_its_report_beside_it() {
    let place = place(&share("Users/TriageNbs", "long", DEFAULT_FILE).unwrap());
    assert_eq!(place.notebook.destination, Destination::Share(format!("Users/TriageNbs/{GUID}.ipynb")));
    assert_eq!(place.report.destination, Destination::Share(format!("Users/TriageNbs/{GUID}.html")));
}

#[test]
fn a_link_names_the_workspace_and_encodes_each_value() {
    let link = place(&share("/Users/TriageNbs/", "long", DEFAULT_FILE).unwrap()).notebook.link;
    assert_eq!(
        link,
        format!(
            "https://ml.azure.com/fileexplorerAzNB?wsid=/subscriptions/d0cfe6b2/resourceGroups/my%20%28rg%29/providers/\
             Microsoft.MachineLearningServices/workspaces/ws%261&tid=t%2F1&activeFilePath=Users/TriageNbs/{GUID}.ipynb"
        )
    );
    let short = place(&share("Users/TriageNbs", "short", DEFAULT_FILE).unwrap()).notebook.link;
    assert_eq!(
        short,
        format!(
            "https://ml.azure.com/fileexplorerAzNB?wsid=/subscriptions/d0cfe6b2/resourcegroups/my%20%28rg%29/workspaces/\
             ws%261&tid=t%2F1&activeFilePath=Users/TriageNbs/{GUID}.ipynb"
        )
    );
}

#[test]
fn the_path_in_the_link_is_the_path_that_is_uploaded() {
    for folder in ["Users/TriageNbs", "Users/a b&c=d#e%41+é", ""] {
        for link in ["long", "short"] {
            let place = place(&share(folder, link, "{date}/{route}-{incident_number}.ipynb").unwrap());
            for spot in [place.notebook, place.report] {
                let url = Url::parse(&spot.link).unwrap();
                let (_, path) = url.query_pairs().find(|(key, _)| key == "activeFilePath").unwrap();
                assert_eq!(Destination::Share(path.into_owned()), spot.destination);
                let (_, workspace) = url.query_pairs().find(|(key, _)| key == "wsid").unwrap();
                assert!(workspace.ends_with("/workspaces/ws&1"), "{workspace}");
            }
        }
    }
}

#[test]
fn another_studio_and_a_template_of_the_settings_make_the_link_they_say() {
    let mut workspace = workspace();
    workspace.studio = Url::parse("http://127.0.0.1:8080/studio/").unwrap();
    workspace.tenant = None;
    let template = LinkTemplate::parse("{studio}/open?file={path}").unwrap();
    let share = CodeShare::new(workspace.clone(), "Users", template).unwrap();
    let place = place(&Places::new(Target::CodeShare(share), DEFAULT_FILE).unwrap());
    assert_eq!(place.notebook.link, format!("http://127.0.0.1:8080/studio/open?file=Users/{GUID}.ipynb"));
    assert_eq!(CodeShare::new(workspace, "Users", LinkTemplate::default()), Err(PlaceError::NoTenant));
}

#[test]
fn a_file_is_named_after_what_the_template_says() {
    let at = |file: &str| place(&share("Users", "long", file).unwrap()).notebook.destination.to_string();
    assert_eq!(at("{incident_number}.ipynb"), "Users/42.ipynb");
    assert_eq!(
        at("{date}/{route}/{run_key}.ipynb"),
        "Users/2026-11-22/mail/0123456789abcdef0123456789abcdef.ipynb"
    );
}

#[test]
fn templates_that_cannot_be_are_refused() {
    let error = |file: &str| share("Users", "long", file).unwrap_err();
    assert_eq!(error("{incident_id}.html"), PlaceError::NoNotebook("{incident_id}.html".to_owned()));
    assert_eq!(error("triage.ipynb"), PlaceError::SameForAll("triage.ipynb".to_owned()));
    assert_eq!(error("{date}.ipynb"), PlaceError::SameForAll("{date}.ipynb".to_owned()));
    assert!(matches!(error("{title}.ipynb"), PlaceError::File { .. }));
    assert!(matches!(share("Users", "{studio}/{file}", DEFAULT_FILE), Err(PlaceError::Link { .. })));
    for folder in ["Users/../..", "a\\b", "a:b", "Users/.", "x\u{0}", "nul", "com1.d", "end.", "q?"] {
        assert!(matches!(share(folder, "long", DEFAULT_FILE), Err(PlaceError::Segment { .. })), "{folder}");
    }
}

#[test]
fn nothing_of_an_incident_leads_out_of_its_folder() {
    let mut raw = incident().into_value();
    let places = share("Users/TriageNbs", "long", "{route}/{incident_id}.ipynb").unwrap();
    for name in ["..", "../../x", "a/b", "a\\b", "", "x\u{0}", "a b", "..."] {
        raw["name"] = json!(name);
        let at = places.of(&Incident::from(raw.clone()), &run(), None);
        assert!(
            at.as_ref().map_or(true, |place| place
                .notebook
                .destination
                .to_string()
                .starts_with("Users/TriageNbs/default/")),
            "{name}: {at:?}"
        );
        assert!(!format!("{at:?}").contains("Users/TriageNbs/default/.."), "{name}");
    }
    for route in ["..", "a/b", "a\\b", "", "con"] {
        assert!(
            matches!(places.of(&incident(), &run(), Some(route)), Err(PlaceError::Segment { .. })),
            "{route}"
        );
    }
}

#[test]
fn an_incident_without_what_its_file_is_named_after_is_told_so() {
    let bare = Incident::from(json!({"id": "", "properties": {}}));
    for (file, missing) in [
        ("{incident_id}.ipynb", "usable id"),
        ("{incident_number}.ipynb", "number"),
        ("{date}-{run_key}.ipynb", "time of creation"),
    ] {
        let error = share("Users", "long", file).unwrap().of(&bare, &run(), None).unwrap_err();
        assert_eq!(error, PlaceError::Nameless(missing));
    }
}

#[test]
fn a_folder_of_this_machine_is_a_path_and_the_path_is_the_link() {
    let places =
        Places::new(Target::Folder(PathBuf::from("/out dir")), "{date}/{incident_id}.ipynb").unwrap();
    let place = place(&places);
    let path = format!("/out dir/2026-11-22/{GUID}.ipynb");
    assert_eq!(place.notebook.link, path);
    let Destination::Store(location) = &place.notebook.destination else { panic!("{place:?}") };
    assert_eq!(location.as_local(), Some(Path::new(&path)));
    assert!(place.report.link.ends_with(&format!("{GUID}.html")));
}

fn blob(folder: &str) -> Place {
    place(&Places::new(Target::Blob(BlobFolder::parse(folder).unwrap()), DEFAULT_FILE).unwrap())
}

#[test]
fn a_folder_of_blob_storage_is_read_in_every_spelling() {
    for folder in [
        "https://acct.blob.core.windows.net/triage/a b",
        "https://acct.blob.core.windows.net/triage/a%20b/",
        "abs://acct.blob.core.windows.net/triage/a b",
        "abfss://triage@acct.dfs.core.windows.net/a b",
    ] {
        let place = blob(folder);
        assert_eq!(
            place.notebook.link,
            format!("https://acct.blob.core.windows.net/triage/a%20b/{GUID}.ipynb"),
            "{folder}"
        );
        let Destination::Store(Location::AzureBlob(at)) = &place.notebook.destination else {
            panic!("{place:?}")
        };
        assert_eq!(at.host.as_deref(), Some("acct.blob.core.windows.net"));
        assert_eq!(
            (at.container.as_str(), at.blob.as_str()),
            ("triage", format!("a b/{GUID}.ipynb").as_str())
        );
    }
}

#[test]
fn an_emulators_folder_is_one_of_the_account_of_the_environment() {
    let place = blob("http://127.0.0.1:10000/devstoreaccount1/triage/x");
    assert_eq!(place.report.link, format!("http://127.0.0.1:10000/devstoreaccount1/triage/x/{GUID}.html"));
    let Destination::Store(Location::AzureBlob(at)) = &place.report.destination else { panic!("{place:?}") };
    assert_eq!((at.host.as_deref(), at.container.as_str()), (None, "triage"));
    assert_eq!(at.blob, format!("x/{GUID}.html"));
}

#[test]
fn a_signature_is_used_and_shows_neither_in_the_link_nor_in_the_log() {
    for folder in [
        "https://acct.blob.core.windows.net/triage?sv=1&sig=hunter2",
        "az://triage?sv=1&sig=hunter2",
        "http://127.0.0.1:10000/acct/triage?sig=hunter2",
    ] {
        let place = blob(folder);
        let shown = format!("{place:?} {}", place.notebook.destination);
        assert!(!shown.contains("hunter2") && !place.notebook.link.contains("sig="), "{shown}");
    }
    let error = BlobFolder::parse("s3://bucket/x?sig=hunter2").unwrap_err().to_string();
    assert!(
        error.starts_with("\"s3://bucket/x\" is no folder of Blob Storage") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn what_is_no_folder_of_blob_storage_is_refused() {
    for folder in [
        "/local",
        "https://acct.blob.core.windows.net",
        "http://127.0.0.1:10000/acct",
        "gs://b/k",
        "nope://x",
        "",
    ] {
        assert!(matches!(BlobFolder::parse(folder), Err(PlaceError::Blob { .. })), "{folder}");
    }
}

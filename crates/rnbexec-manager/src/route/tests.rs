use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::config::ConfigSources;

fn router(file: &str) -> Router {
    let sources = ConfigSources {
        file: Some((PathBuf::from("manager.toml"), file.to_owned())),
        ..ConfigSources::default()
    };
    Router::new(&Config::load(sources).unwrap_or_else(|error| panic!("{error}")))
}

/// An incident as Sentinel gives it.
fn incident() -> Incident {
    Incident::from(json!({
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w/providers/\
               Microsoft.SecurityInsights/Incidents/0f9b3a2e-1111-2222-3333-444455556666",
        "name": "0f9b3a2e-1111-2222-3333-444455556666",
        "properties": {
            "title": "Brute force against \"admin\"",
            "severity": "Medium",
            "incidentNumber": 17,
            "createdTimeUtc": "2025-03-01T10:00:00Z",
            "labels": [{"labelName": "Identity", "labelType": "User"}],
            "relatedAnalyticRuleIds": [
                "/subscriptions/s/providers/Microsoft.SecurityInsights/alertRules/2F9B6A1C-0C7E-4F43-9F3B-0D6F4A7F5A11"
            ],
            "additionalData": {
                "alertProductNames": ["Azure Sentinel"],
                "tactics": ["CredentialAccess", "InitialAccess"]
            }
        }
    }))
}

fn route_with(condition: &str) -> String {
    router(&format!("[[route]]\nname = 'it'\n[route.when]\n{condition}")).choose(&incident()).route
}

#[test]
fn a_condition_is_met_by_what_the_incident_has_whatever_the_capitals() {
    for condition in [
        "severity = 'medium'",
        "severity = ['High', 'Medium']",
        "title = '^Brute force'",
        "title = ['nothing', '(?i)BRUTE']",
        "rule = '2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11'",
        "rule = '/subscriptions/other/providers/x/alertRules/2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11'",
        "tactic = 'initialaccess'",
        "tactic = 'Initial Access'",
        "product = 'azure sentinel'",
        "label = 'IDENTITY'",
    ] {
        assert_eq!(route_with(condition), "it", "{condition}");
    }
}

#[test]
fn a_condition_is_not_met_by_anything_else() {
    for condition in [
        "severity = ['High', 'Low']",
        "title = 'brute'",
        "rule = '2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a12'",
        "tactic = 'Access'",
        "product = 'Azure'",
        "label = 'Ident'",
    ] {
        assert_eq!(route_with(condition), DEFAULT_ROUTE, "{condition}");
    }
}

#[test]
fn a_rule_is_found_behind_the_workspace_in_its_name() {
    let mut raw = incident().into_value();
    raw["properties"]["relatedAnalyticRuleIds"] =
        json!(["/x/alertRules/aaaaaaaa-0c7e-4f43-9f3b-0d6f4a7f5a11_2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11"]);
    let router = router("[[route]]\nname = 'it'\nwhen = { rule = '2f9b6a1c-0c7e-4f43-9f3b-0d6f4a7f5a11' }");
    assert_eq!(router.choose(&Incident::from(raw)).route, "it");
}

#[test]
fn all_conditions_of_a_route_must_be_met() {
    assert_eq!(route_with("severity = 'Medium'\nlabel = 'identity'"), "it");
    assert_eq!(route_with("severity = 'Medium'\nlabel = 'network'"), DEFAULT_ROUTE);
}

#[test]
fn the_first_route_that_matches_wins() {
    let file = "[[route]]\nname = 'no'\nwhen = { label = 'x' }\n[[route]]\nname = 'first'\nwhen = { severity = 'Medium' }\n\
                [[route]]\nname = 'second'";
    assert_eq!(router(file).choose(&incident()).route, "first");
}

#[test]
fn an_incident_that_lacks_everything_meets_no_condition_and_takes_a_route_without_any() {
    let bare = Incident::from(json!({}));
    let conditions = "severity = 'Medium'|tactic = 'Impact'|product = 'x'|label = 'x'|rule = 'x'|title = 'x'";
    for condition in conditions.split('|') {
        let router = router(&format!("[[route]]\nname = 'it'\nwhen = {{ {condition} }}"));
        assert_eq!(router.choose(&bare).route, DEFAULT_ROUTE, "{condition}");
    }
    assert_eq!(router("[[route]]\nname = 'all'").choose(&bare).route, "all");
}

#[test]
fn without_a_route_run_holds_as_it_is() {
    let router = router("[run]\nkernel = 'k'\ntimeout = '5m'\nparameters = { days = 7 }");
    let Action::Run(triage) = router.choose(&incident()).action else { panic!("it runs") };
    assert_eq!(triage, router.default_run());
    assert_eq!(triage.kernel_request().name.as_deref(), Some("k"));
    assert_eq!(triage.limits().run, Some(Duration::from_mins(5)));
    assert_eq!(triage.limits().cell, None);
    assert_eq!(triage.parameters.get("days").and_then(rnbexec_notebook::Json::as_i64), Some(7));
}

#[test]
fn a_route_changes_what_it_names_and_nothing_else() {
    let router = router(
        "[run]\nnotebook = '/nb/a.ipynb'\nkernel = 'k'\ntimeout = '5m'\ncell_timeout = '1m'\nworking_folder = '/w'\n\
         parameters = { days = 7, depth = 1 }\n\
         [[route]]\nname = 'it'\nnotebook = '/nb/b.ipynb'\ntimeout = 'none'\nbundle = false\nparameters = { depth = 2, more = 3 }",
    );
    let Action::Run(triage) = router.choose(&incident()).action else { panic!("it runs") };
    assert_eq!(triage.notebook.to_string(), "/nb/b.ipynb");
    assert_eq!((triage.kernel.as_deref(), triage.timeout), (Some("k"), None));
    assert_eq!(triage.cell_timeout, Some(Duration::from_mins(1)));
    assert_eq!((triage.bundle, triage.working_folder), (Bundle::Never, Some(PathBuf::from("/w"))));
    let parameters = rnbexec_notebook::Json::Object(triage.parameters.into_object()).to_compact();
    assert_eq!(parameters, r#"{"days":7,"depth":2,"more":3}"#);
}

#[test]
fn a_route_can_leave_incidents_alone() {
    let choice = router("[[route]]\nname = 'quiet'\nskip = true").choose(&incident());
    assert_eq!(choice, Choice { route: "quiet".to_owned(), action: Action::Skip });
}

#[test]
fn a_route_has_its_own_jobs_within_those_of_all() {
    let router = router(
        "[run]\njobs = 3\n[[route]]\nname = 'one'\njobs = 1\nwhen = { label = 'x' }\n[[route]]\nname = 'many'\njobs = 9",
    );
    let jobs = ["one", "many", DEFAULT_ROUTE].map(|route| router.jobs_of(route));
    assert_eq!(jobs, [1, 3, 3]);
}

#[test]
fn the_severest_come_first_and_of_those_the_oldest() {
    let incident = |severity: &str, created: &str| {
        Incident::from(
            json!({"properties": {"severity": severity, "createdTimeUtc": created, "title": created}}),
        )
    };
    let mut incidents = [
        incident("Low", "2025-01-01T00:00:00Z"),
        incident("High", "2025-01-03T00:00:00Z"),
        incident("Informational", "2024-01-01T00:00:00Z"),
        incident("high", "2025-01-02T00:00:00Z"),
        incident("Unheard-of", "2025-01-04T00:00:00Z"),
        incident("High", "nonsense"),
        incident("Medium", "2025-01-01T00:00:00Z"),
    ];
    incidents.sort_by_key(Priority::of);
    let order: Vec<_> = incidents.iter().map(|incident| (incident.severity(), incident.title())).collect();
    assert_eq!(
        order,
        [
            ("High", "nonsense"),
            ("high", "2025-01-02T00:00:00Z"),
            ("High", "2025-01-03T00:00:00Z"),
            ("Unheard-of", "2025-01-04T00:00:00Z"),
            ("Medium", "2025-01-01T00:00:00Z"),
            ("Low", "2025-01-01T00:00:00Z"),
            ("Informational", "2024-01-01T00:00:00Z"),
        ]
    );
}

const EXPLAINED: &str = "[run]\nparameters = { days = 7 }\n\
    [[route]]\nname = 'network'\n[route.when]\nproduct = ['Fortinet', 'Palo Alto']\ntitle = 'scan'\n\
    [[route]]\nname = 'identity'\nnotebook = '/nb/identity.ipynb'\ntimeout = '10m'\njobs = 2\n\
    [route.when]\nlabel = 'identity'\nseverity = ['High', 'Medium']\n\
    [[route]]\nname = 'rest'\nskip = true";

#[test]
fn an_explanation_tells_a_person_each_route_each_condition_and_what_is_run() {
    assert_eq!(
        router(EXPLAINED).explain(&incident()).to_string(),
        "\
incident 0f9b3a2e-1111-2222-3333-444455556666 (number 17): Brute force against \"admin\"
  route network: does not match
    no  title: Brute force against \"admin\" matches none of scan
    no  product: Azure Sentinel is not among Fortinet, Palo Alto
  route identity: matches
    yes severity: Medium is among High, Medium
    yes label: Identity is among identity
  route rest: not looked at
taken: identity
  notebook      /nb/identity.ipynb
  kernel        the notebook's own
  environment   as-found
  timeout       10m (one cell: none)
  at most       2 at the same time
  bundle        auto
  parameter     days = 7"
    );
}

#[test]
fn an_explanation_says_what_is_closed() {
    let closed = router("[run]\nisolate = 'network'\nmemory_limit = '2GiB'").explain(&incident());
    assert!(closed.to_string().contains("\n  isolation     network closed, memory 2 GiB"), "{closed}");
    assert!(!router("").explain(&incident()).to_string().contains("isolation"));
}

#[test]
fn an_explanation_is_json_too() {
    let explained = serde_json::to_value(router(EXPLAINED).explain(&incident())).unwrap();
    assert_eq!(explained["number"], 17);
    assert_eq!(
        explained["tried"][1],
        json!({"route": "identity", "matched": true, "checks": [
            {"condition": "severity", "wanted": ["High", "Medium"], "found": ["Medium"], "met": true},
            {"condition": "label", "wanted": ["identity"], "found": ["Identity"], "met": true},
        ]})
    );
    assert_eq!(explained["not_tried"], json!(["rest"]));
    assert_eq!(explained["chosen"]["route"], "identity");
    assert_eq!(explained["chosen"]["run"]["parameters"], json!({"days": 7}));
}

#[test]
fn an_explanation_says_when_an_incident_is_left_alone_and_when_nothing_matches() {
    let skipped = router("[[route]]\nname = 'rest'\nskip = true").explain(&incident()).to_string();
    assert!(skipped.ends_with(
        "route rest: matches\n    it has no conditions\ntaken: rest, which leaves the incident alone"
    ));
    let default = router("").explain(&incident()).to_string();
    assert!(default.contains("\ntaken: default\n  notebook      shipped:incident-triage\n"), "{default}");
}

#[test]
fn what_is_explained_is_what_happens() {
    for file in [EXPLAINED, "", "[[route]]\nname = 'quiet'\nskip = true"] {
        let router = router(file);
        let (choice, explanation) = (router.choose(&incident()), router.explain(&incident()));
        assert_eq!(explanation.chosen.route, choice.route);
        assert_eq!(explanation.chosen.run.is_none(), choice.action == Action::Skip);
    }
}

#[test]
fn an_explanation_shows_hostile_words_without_their_powers() {
    let mut raw = incident().into_value();
    raw["properties"]["title"] = json!("\u{1b}[2Jharmless\n  route x: matches\u{202e}");
    raw["properties"]["labels"] = json!([{"labelName": "a\nb\u{7}"}]);
    let explanation =
        router("[[route]]\nname = 'r'\nwhen = { label = 'c', title = 'd' }").explain(&Incident::from(raw));
    let text = explanation.to_string();
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(text.contains("no  label: a b is not among c"), "{text}");
    assert!(!text.contains("\n  route x"), "{text}");
}

use super::*;

fn builtins() -> Builtins {
    let local = DateTime {
        year: 2026,
        month: 1,
        day: 3,
        hour: 5,
        minute: 7,
        second: 9,
        microsecond: 0,
        utc_offset: None,
    };
    let utc = DateTime {
        month: 11,
        day: 21,
        hour: 20,
        minute: 40,
        second: 8,
        microsecond: 184_962,
        utc_offset: Some(0),
        ..local
    };
    Builtins { run_uuid: "6f1c2c0e-0d0b-4c87-9d9b-0a8d3b1f3a51".to_owned(), now_local: local, now_utc: utc }
}

#[test]
fn every_template_gives_what_python_gives() {
    let table = Json::parse(include_bytes!("../../tests/fixtures/parameters/template.json")).expect("JSON");
    let rows = table.as_array().expect("a list");
    let parameters: Parameters =
        rows[0].get("parameters").and_then(Json::as_object).expect("the parameters").clone().into();
    for row in &rows[1..] {
        let template = row.get("template").and_then(Json::as_str).expect("a template");
        let found = format_path(template, &parameters, &builtins());
        match (&found, row.get("result").and_then(Json::as_str)) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected, "{template}"),
            (Err(_), None) => {}
            // A key of YAML that is a number is a string here.
            (Ok(found), None) if template == "{d[0]}" => assert_eq!(found, "zero"),
            (Err(_), Some(_)) if template == "{i.real}" || template.ends_with(":10000}") => {}
            (found, expected) => panic!("{template:?}: {found:?} instead of {expected:?}"),
        }
    }
}

fn fill(template: &str) -> Result<String, String> {
    let parameters = Parameters::from_iter([
        ("x", Json::from(5)),
        ("up", Json::from("../../etc/cron.d/x")),
        ("title", Json::from("Malware: \"a/b\" on host-1?")),
    ]);
    format_path(template, &parameters, &builtins()).map_err(|error| error.to_string())
}

#[test]
fn an_error_says_what_is_missing_or_wrong() {
    assert_eq!(fill("{missing}"), Err("missing parameter 'missing'".to_owned()));
    assert_eq!(fill("{pm[nope]}"), Err("missing parameter 'nope'".to_owned()));
    assert_eq!(fill("{"), Err("bad path template: single '{' encountered".to_owned()));
    assert_eq!(fill("{}"), Err("cannot format {}: fields are named, not numbered: write {name}".to_owned()));
    assert_eq!(
        fill("{pm.run_uuid}"),
        Err("cannot format {pm.run_uuid}: attributes are not supported: write [run_uuid]".to_owned())
    );
    assert_eq!(fill("{x:s}"), Err("cannot format {x:s}: unknown format code 's' for an integer".to_owned()));
}

#[test]
fn a_parameter_named_pm_takes_the_place_of_the_builtins() {
    let parameters = Parameters::from_iter([("pm", "mine")]);
    assert_eq!(format_path("{pm}", &parameters, &builtins()).as_deref(), Ok("mine"));
    assert!(format_path("{pm[run_uuid]}", &parameters, &builtins()).is_err());
}

#[test]
fn a_value_may_bring_folders_unless_it_is_escaped() {
    assert_eq!(fill("out/{up}.ipynb").as_deref(), Ok("out/../../etc/cron.d/x.ipynb"));
    let parameters =
        Parameters::from_iter([("up", "../../etc/cron.d/x"), ("title", "Malware: \"a/b\" on host-1?")]);
    let escaped = |template| format_path_with(template, &parameters, &builtins(), Escape::Segment);
    assert_eq!(escaped("out/{up}.ipynb").as_deref(), Ok("out/______etc_cron.d_x.ipynb"));
    assert_eq!(escaped("out/{title}.ipynb").as_deref(), Ok("out/Malware_ _a_b_ on host-1_.ipynb"));
}

#[test]
fn an_offset_shows_as_python_shows_it() {
    let time = DateTime { utc_offset: Some(-12_600), ..builtins().now_utc };
    assert_eq!(time.to_string(), "2026-11-21 20:40:08.184962-03:30");
    assert_eq!(time.strftime("%z %Z"), "-0330 UTC-03:30");
    assert!(time.repr().ends_with("tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=73800)))"));
}

proptest::proptest! {
    #[test]
    fn an_escaped_value_is_one_segment(value in "[-./\\\\a ~%:\0\u{2028}é]{0,12}", beside in "[.a-]{0,1}") {
        let segment = escape_segment(&value);
        proptest::prop_assert!(!segment.is_empty() && !segment.starts_with('-'));
        let shaping = ['/', '\\', '\0', ':', '%', '~', '\u{2028}'];
        proptest::prop_assert!(!segment.contains(shaping));
        let path = format!("{beside}{segment}{beside}");
        proptest::prop_assert!(path != "." && path != ".." && !path.contains("..") || beside == ".", "{path}");
        proptest::prop_assert!(path != "." && path != "..", "{path}");
    }

    #[test]
    fn no_template_makes_it_panic(template in "[{}x\\[\\]!:.<>=^+#0-9,_dfgesnpm%é]{0,16}") {
        let _ = fill(&template);
    }
}

//! Any text as parameters and as a template of a path: no panic, in no language.

use rnbexec_notebook::parameters::{infer_scalar, parse_base64, yaml};
use rnbexec_notebook::template::{Builtins, DateTime, Escape, format_path_with};
use rnbexec_notebook::translate::{parameters_cell, translator_for};
use rnbexec_notebook::{Json, Parameters};

const LANGUAGES: [&str; 10] = [
    "python",
    "R",
    "scala",
    "julia",
    "matlab",
    ".net-csharp",
    ".net-fsharp",
    ".net-powershell",
    "bash",
    "javascript",
];

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parameters = yaml::parse_bytes(bytes).unwrap_or_default();
    parameters.update(&parse_base64(&text).unwrap_or_default());
    parameters.insert("scalar", infer_scalar(&text));
    if let Ok(value) = yaml::parse_value(&text) {
        parameters.insert("value", value);
    }
    translated(&parameters);
    // The first line is a template, and what follows are its values.
    let template = text.lines().next().unwrap_or_default();
    let now = |utc_offset| DateTime {
        year: 2026,
        month: 2,
        day: 28,
        hour: 23,
        minute: 59,
        second: 58,
        microsecond: 7,
        utc_offset,
    };
    let builtins = Builtins { run_uuid: "uuid".to_owned(), now_local: now(None), now_utc: now(Some(0)) };
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    for value in [infer_scalar(rest), Json::from(rest), yaml::parse_value(rest).unwrap_or(Json::Null)] {
        let mut parameters = Parameters::new();
        parameters.insert("x", value);
        for escape in [Escape::None, Escape::Segment] {
            if let Ok(path) = format_path_with(template, &parameters, &builtins, escape) {
                assert!(path.len() < 1 << 26, "{} bytes of a path", path.len());
            }
        }
    }
}

fn translated(parameters: &Parameters) {
    for language in LANGUAGES {
        let translator = translator_for(language, language).expect("a language that we know");
        for (name, value) in parameters {
            // One that a language cannot say must not hide the others.
            let mut one = Parameters::new();
            one.insert(name.as_str(), value.clone());
            drop(parameters_cell(translator, "Parameters", &one));
        }
    }
}

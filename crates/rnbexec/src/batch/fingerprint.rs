//! What decides the result of a run, in one digest, and whether an output shows that it need not be run again.

use std::fmt::Write as _;

use rnbexec_kernel::contain::Containment;
use rnbexec_notebook::{Json, Object};
use sha2::{Digest as _, Sha256};

use crate::request::{CellSelection, EnvironmentRequest, KernelRequest};
use crate::run::note;
use crate::{Mode, OnError, RunRequest};

/// Changes when what goes into the digest does.
const VERSION: &str = "1";

/// The digest of a notebook's bytes.
pub(super) fn of_notebook(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of everything that decides the result of this run. Of secrets it knows the names alone: a digest of a
/// value could be guessed. Time limits, retries and saves decide whether a run succeeds, not what comes out of it.
pub(super) fn of_run(request: &RunRequest, notebook: &str) -> String {
    // Whoever adds a field says here whether it decides the result.
    let RunRequest {
        input: _,
        output: _,
        parameters,
        secrets,
        redactor,
        unknown_parameters: _,
        // Which modules a fork has imported before makes no difference to what comes of it.
        kernel: KernelRequest { name, language, environment, cwd, imports: _, variables, containment },
        mode,
        hide_source,
        selection: CellSelection { skip_tags, only_tags },
        on_error,
        limits: _,
        saves: _,
        tells_outputs: _,
        retries: _,
        fingerprint: _,
    } = request;
    let text = |text: &Option<String>| Json::from(text.as_deref());
    let texts =
        |texts: &[String]| Json::from(texts.iter().map(|text| text.as_str().into()).collect::<Vec<Json>>());
    let environment = match environment {
        EnvironmentRequest::AsFound => "as found".to_owned(),
        EnvironmentRequest::Auto => "auto".to_owned(),
        EnvironmentRequest::Path(path) => format!("path {}", path.display()),
        EnvironmentRequest::Named(name) => format!("name {name}"),
    };
    // Limits decide whether a run succeeds.
    let Containment { network, files, work_folders, readable, processes, variables: inherited, limits: _ } =
        containment;
    let mut closed = format!("{network:?} {files:?} {work_folders:?} {processes:?} {inherited:?}");
    if !readable.is_empty() {
        closed = format!("{closed} {readable:?}");
    }
    let variables = variables.iter().flat_map(|(name, value)| [name.as_str().into(), value.as_str().into()]);
    let mut values: Vec<(&String, &Json)> = parameters.iter().collect();
    values.sort_by_key(|(name, _)| *name);
    let members: [(&str, Json); 15] = [
        ("version", VERSION.into()),
        ("notebook", notebook.into()),
        (
            "parameters",
            Json::Object(values.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
        ),
        ("secrets", Json::Array(secrets.names().map(Json::from).collect())),
        ("masks", Json::Array(redactor.patterns().map(Json::from).collect())),
        ("kernel", text(name)),
        ("language", text(language)),
        ("environment", environment.into()),
        ("cwd", text(&cwd.as_ref().map(|cwd| cwd.display().to_string()))),
        ("variables", Json::Array(variables.collect())),
        ("closed", closed.into()),
        ("executes", Json::from(*mode == Mode::Execute)),
        ("hides source", Json::from(*hide_source)),
        ("tags", Json::Array(vec![texts(skip_tags), texts(only_tags)])),
        ("goes on", Json::from(*on_error == OnError::Continue)),
    ];
    let members: Object = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    hex(&Sha256::digest(Json::Object(members).to_compact()))
}

/// Whether an output notebook is that of a successful run with this fingerprint.
///
/// Both are asked for: the note that such a run leaves, and papermill's own marks, which another program that ran the
/// notebook since will have set anew without knowing of the note.
pub(super) fn is_done(notebook: &[u8], fingerprint: &str) -> bool {
    let Ok(notebook) = Json::parse(notebook) else { return false };
    let Some(metadata) = notebook.get("metadata") else { return false };
    let noted = |key: &str| metadata.get("rnbexec")?.get(key)?.as_str();
    let stamp = |key: &str| metadata.get("papermill").and_then(|stamp| stamp.get(key));
    let ended = stamp("end_time").is_some_and(Json::is_string);
    let raised = stamp("exception").is_some_and(|exception| exception.as_bool() == Some(true));
    noted(note::FINGERPRINT) == Some(fingerprint)
        && match noted(note::OUTCOME) {
            Some("completed") => ended && !raised,
            // For papermill an early exit is an exception.
            Some("exited-early") => ended,
            Some("prepared") => true,
            _ => false,
        }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rnbexec_notebook::parameters::Secret;

    use super::*;
    use crate::redact::{Pattern, Redactor};
    use crate::store::Location;

    fn request() -> RunRequest {
        RunRequest::new(Location::memory("in"), Location::memory("out")).parameter("a", 1).parameter("b", "x")
    }

    fn fingerprint(change: impl FnOnce(&mut RunRequest)) -> String {
        let mut request = request();
        change(&mut request);
        of_run(&request, &of_notebook(b"{}"))
    }

    #[test]
    fn what_decides_the_result_changes_the_fingerprint() {
        let same = fingerprint(|_| {});
        let changes: [fn(&mut RunRequest); 13] = [
            |request| request.parameters.insert("a", 2),
            |request| request.parameters.insert("a", "1"),
            |request| request.parameters.insert("c", Json::Null),
            |request| request.secrets.insert("s", Secret::new("v")),
            |request| request.redactor = Redactor::new([""; 0], Pattern::well_known().collect()),
            |request| request.kernel.name = Some("other".to_owned()),
            |request| request.kernel.language = Some("R".to_owned()),
            |request| request.kernel.environment = EnvironmentRequest::Named("auto".to_owned()),
            |request| request.kernel.cwd = Some("d".into()),
            |request| request.kernel.variables.push(("A".to_owned(), "1".to_owned())),
            |request| request.mode = Mode::PrepareOnly,
            |request| request.selection.skip_tags.push("slow".to_owned()),
            |request| request.on_error = OnError::Continue,
        ];
        let mut seen = vec![same, of_run(&request(), &of_notebook(b"{ }"))];
        seen.push(fingerprint(|request| request.selection.only_tags.push("slow".to_owned())));
        seen.push(fingerprint(|request| request.hide_source = true));
        seen.extend(changes.map(fingerprint));
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn what_does_not_decide_the_result_leaves_the_fingerprint() {
        let same = fingerprint(|_| {});
        let changes: [fn(&mut RunRequest); 4] = [
            |request| request.limits.run = Some(Duration::from_secs(1)),
            |request| request.retries = 3,
            |request| request.saves.at_cells = false,
            |request| request.output = None,
        ];
        for change in changes {
            assert_eq!(fingerprint(change), same);
        }
        let turned = RunRequest {
            parameters: [("b", Json::from("x")), ("a", Json::from(1))].into_iter().collect(),
            ..request()
        };
        assert_eq!(of_run(&turned, &of_notebook(b"{}")), same);
    }

    #[test]
    fn the_value_of_a_secret_is_not_in_it() {
        let with = |value: &str| fingerprint(|request| request.secrets.insert("s", Secret::new(value)));
        assert_eq!(with("one"), with("two"));
    }

    fn done(notes: &str, stamp: &str) -> bool {
        let text = format!(r#"{{"cells":[],"metadata":{{"rnbexec":{notes},"papermill":{stamp}}}}}"#);
        is_done(text.as_bytes(), "f")
    }

    #[test]
    fn a_run_that_succeeded_with_the_same_fingerprint_is_done() {
        let (ended, raised) =
            (r#"{"end_time":"t","exception":null}"#, r#"{"end_time":"t","exception":true}"#);
        assert!(done(r#"{"fingerprint":"f","outcome":"completed"}"#, ended));
        assert!(done(r#"{"fingerprint":"f","outcome":"exited-early"}"#, raised));
        assert!(done(r#"{"fingerprint":"f","outcome":"prepared"}"#, "{}"));
    }

    #[test]
    fn whatever_else_an_output_says_is_not_done() {
        let ended = r#"{"end_time":"t","exception":null}"#;
        for (notes, stamp) in [
            (r#"{"fingerprint":"g","outcome":"completed"}"#, ended),
            (r#"{"fingerprint":"f","outcome":"cell-failed"}"#, ended),
            (r#"{"fingerprint":"f"}"#, ended),
            (r#"{"outcome":"completed"}"#, ended),
            ("{}", ended),
            ("[]", ended),
            // Another program ran it since, and it failed or goes on.
            (r#"{"fingerprint":"f","outcome":"completed"}"#, r#"{"end_time":"t","exception":true}"#),
            (r#"{"fingerprint":"f","outcome":"completed"}"#, r#"{"end_time":null,"exception":null}"#),
            (r#"{"fingerprint":"f","outcome":"completed"}"#, "null"),
        ] {
            assert!(!done(notes, stamp), "{notes} {stamp}");
        }
        assert!(!is_done(b"", "f") && !is_done(b"[1]", "f") && !is_done(b"{}", "f"));
    }
}

//! The notebooks and kernels that come with rnbexec keep the promises of their README files.
//!
//! The triage notebook runs in the environment that its kernel's locked requirements make, without a network: in a network
//! namespace of its own where the machine allows that, else with every proxy pointing at a closed port.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rnbexec_kernel::provision::{
    EnvRequest, Environment, NotebookFacts, ProvisionContext, SHIPPED_KERNELS, resolve_env,
};
use rnbexec_manager::severity::Severity;
use rnbexec_manager::verdict;
use rnbexec_notebook::{CellType, Notebook};
use rnbexec_tests::{Done, Scratch, finish, oracle, rnbexec_path, saved};
use serde_json::Value;

fn notebooks() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = oracle::workspace().join("notebooks");
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .expect("the notebooks folder can be read")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ipynb"))
        .map(|path| (path.clone(), std::fs::read(&path).expect("a notebook can be read")))
        .collect();
    found.sort();
    assert!(found.len() >= 2, "{} holds {} notebooks", folder.display(), found.len());
    found
}

fn parse(path: &Path, bytes: &[u8]) -> Notebook {
    let parsed = Notebook::parse(bytes, &mut || "fresh".to_owned())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(parsed.quirks.is_empty(), "{} is off-spec: {:?}", path.display(), parsed.quirks);
    parsed.notebook
}

#[test]
fn notebooks_are_kept_in_the_bytes_that_nbformat_writes() {
    for (path, bytes) in notebooks() {
        let written = parse(&path, &bytes).to_vec();
        let at = written.iter().zip(&bytes).position(|(one, other)| one != other);
        let around =
            at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..bytes.len().min(at + 80)]));
        assert!(written == bytes, "{} is not in canonical bytes: {around:?}", path.display());
    }
}

#[test]
fn notebooks_are_kept_without_outputs_and_have_one_parameters_cell() {
    for (path, bytes) in notebooks() {
        let notebook = parse(&path, &bytes);
        for cell in notebook.cells().iter().filter(|cell| cell.cell_type() == CellType::Code) {
            let clean = cell.outputs().is_empty() && cell.execution_count().is_none();
            assert!(clean, "{}: cell {} was run", path.display(), cell.id());
        }
        let tagged = notebook.cells().iter().filter(|cell| cell.has_tag("parameters")).count();
        assert_eq!(tagged, 1, "{}", path.display());
    }
}

#[test]
fn every_notebooks_kernel_is_shipped_or_plain_python() {
    for (path, bytes) in notebooks() {
        let notebook = parse(&path, &bytes);
        let kernel = notebook.kernel_name().unwrap_or_default();
        let shipped = SHIPPED_KERNELS.iter().any(|shipped| shipped.name == kernel);
        assert!(shipped || kernel == "python3", "{}: kernel {kernel:?}", path.display());
    }
}

#[test]
fn every_kernel_folder_is_embedded_and_the_other_way_round() {
    let mut folders: Vec<String> = std::fs::read_dir(oracle::workspace().join("kernels"))
        .expect("the kernels folder can be read")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.join("kernel.json").is_file())
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    folders.sort();
    let mut embedded: Vec<&str> = SHIPPED_KERNELS.iter().map(|kernel| kernel.name).collect();
    embedded.sort_unstable();
    assert_eq!(folders, embedded);
}

/// rnbexec's data folder for these tests: the kernel's environment is hundreds of megabytes, so it is made once and kept.
fn data_home() -> PathBuf {
    oracle::cache_dir().join("data")
}

/// The environment of the triage kernel, made on first use.
fn kernel() -> &'static Environment {
    static KERNEL: OnceLock<Environment> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let context = ProvisionContext {
            data_dir: data_home().join("rnbexec"),
            kernels_dir: oracle::cache_dir().join("no-kernels"),
            cwd: oracle::workspace().to_owned(),
            vars: std::env::vars_os().collect(),
            python: None,
            time_limit: Duration::from_mins(20),
        };
        let facts = NotebookFacts { kernel_name: Some("rnbexec-triage".into()), ..NotebookFacts::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let made = runtime.block_on(resolve_env(&context, EnvRequest::Auto(Box::new(facts)), &mut |_| {}));
        made.expect("the locked requirements can be installed")
    })
}

/// The same command without a network.
fn cut_off(command: &Command) -> Command {
    static NAMESPACES: OnceLock<bool> = OnceLock::new();
    let allowed = *NAMESPACES.get_or_init(|| {
        Command::new("unshare").args(["-rn", "true"]).output().is_ok_and(|out| out.status.success())
    });
    let mut inner =
        Command::new(if allowed { OsString::from("unshare") } else { command.get_program().into() });
    if allowed {
        inner.arg("-rn").arg(command.get_program());
    }
    inner.args(command.get_args()).env_clear().stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        inner.env(name, value.unwrap_or_default());
    }
    for name in ["http_proxy", "https_proxy", "all_proxy"].map(str::to_owned) {
        inner.env(name.to_uppercase(), "http://127.0.0.1:9").env(name, "http://127.0.0.1:9");
    }
    if let Some(folder) = command.get_current_dir() {
        inner.current_dir(folder);
    }
    inner
}

/// One run of the triage notebook, offline.
struct Triage {
    scratch: Scratch,
    done: Done,
}

impl Triage {
    fn of(incident: &str) -> Self {
        Self::with(incident, &[])
    }

    fn with(incident: &str, arguments: &[&str]) -> Self {
        let scratch = Scratch::new();
        let done = finish(&mut cut_off(&Self::command(&scratch, incident, arguments)));
        scratch.expect_nothing_left();
        Self { scratch, done }
    }

    fn command(scratch: &Scratch, incident: &str, arguments: &[&str]) -> Command {
        kernel();
        let notebook = oracle::workspace().join("notebooks/incident-triage.ipynb");
        let data = oracle::workspace().join("notebooks/data/sentinel");
        let mut command = scratch.command(rnbexec_path());
        command.arg("run").arg(notebook).arg("out.ipynb").env("XDG_DATA_HOME", data_home());
        command.args(["-r", "incident_id", incident, "-r", "data_dir"]).arg(data).args(arguments);
        command
    }

    fn outputs(&self) -> Vec<Value> {
        let notebook = self.scratch.json("out.ipynb");
        let cells = notebook["cells"].as_array().expect("a notebook has cells");
        cells.iter().filter_map(|cell| cell["outputs"].as_array()).flatten().cloned().collect()
    }

    /// The one verdict, as the manager reads it.
    fn verdict(&self) -> verdict::Verdict {
        self.done.expect_code(0);
        let outputs = self.outputs();
        let mut found = outputs.iter().filter_map(|output| output["data"].get(verdict::MIME_TYPE));
        let only =
            verdict::Verdict::parse(found.next().expect("there is a verdict")).expect("it is in order");
        assert!(found.next().is_none(), "there is one verdict");
        only
    }

    /// All that the page shows to a browser.
    fn page(&self) -> String {
        self.outputs()
            .iter()
            .map(|output| saved::joined(&output["data"]["text/html"]))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn has_tagged_output(&self) -> bool {
        let notebook = self.scratch.json("out.ipynb");
        let cells = notebook["cells"].as_array().expect("a notebook has cells").clone();
        let tagged = |cell: &&Value| {
            cell["metadata"]["tags"].as_array().is_some_and(|tags| tags.contains(&"output".into()))
        };
        let outputs: Vec<_> = cells.iter().filter(tagged).map(|cell| cell["outputs"].clone()).collect();
        assert_eq!(outputs.len(), 1, "one cell has the tag");
        outputs[0].as_array().is_some_and(|outputs| !outputs.is_empty())
    }
}

/// What is expected of an incident: severity, classification, words of the summary, and what the page shows for it.
type Story = (&'static str, Severity, &'static str, &'static str, &'static [&'static str]);

fn expect(stories: &[Story]) {
    for (incident, severity, class, summary, shown) in stories {
        let triage = Triage::of(incident);
        let verdict = triage.verdict();
        let told = verdict.summary.clone().unwrap_or_default();
        assert_eq!(verdict.severity, *severity, "{incident}: {told}");
        let classification = verdict.classification.map(|classification| classification.class.as_str());
        assert_eq!(classification, Some(*class), "{incident}: {told}");
        assert!(told.contains(summary), "{incident}: {told}");
        let page = triage.page();
        for text in *shown {
            assert!(page.contains(text), "{incident}: the page does not show {text:?}");
        }
        assert_eq!(triage.has_tagged_output(), *severity != Severity::Informational, "{incident}");
        assert!(!page.contains("<script") && !page.contains("No verdict:"), "{incident}");
    }
}

#[test]
fn an_attack_is_told_with_its_evidence() {
    expect(&[
        (
            "1022",
            Severity::High,
            "TruePositive",
            "PowerShell fetches something",
            &["strings joined", "hxxp://pastebbin/raw/", "T1027"],
        ),
        (
            "1063",
            Severity::High,
            "TruePositive",
            "just created on the command line",
            &["adm1nistrator", "05:15:06", "name made to look like administrator"],
        ),
        (
            "2001",
            Severity::High,
            "TruePositive",
            "a dump of LSASS was written to disk",
            &["lsass-comsvcs.dmp", "T1003.001", "Reset the passwords"],
        ),
        (
            "2003",
            Severity::High,
            "TruePositive",
            "written through an administrative share",
            &["GruntHTTP.exe", "172[.]18[.]39[.]5"],
        ),
    ]);
}

#[test]
fn evidence_against_an_attack_lowers_the_verdict() {
    expect(&[
        (
            "1031",
            Severity::Informational,
            "BenignPositive",
            "The alert says of itself that it is a test",
            &["What speaks against an attack"],
        ),
        (
            "1014",
            Severity::Informational,
            "FalsePositive",
            "a tracking cookie, not a program",
            &["lowers by"],
        ),
        (
            "1041",
            Severity::Medium,
            "Undetermined",
            "started by a script whose name says that it simulates attacks",
            &["WindowsSimulateDetections.bat", "this incident"],
        ),
    ]);
}

#[test]
fn what_only_the_alert_claims_counts_with_less_confidence() {
    expect(&[
        ("1005", Severity::High, "Undetermined", "command-and-control server", &["183[.]95[.]154[.]13"]),
        (
            "fac7e091-b7cb-4d27-88e6-61336ea63a36",
            Severity::Medium,
            "Undetermined",
            "a disguised command line",
            &["Aachen, Germany (as the alert says)"],
        ),
    ]);
    assert!(Triage::of("1005").verdict().confidence.is_some_and(|confidence| confidence < 0.5));
}

#[test]
fn a_forked_kernel_that_has_imported_what_the_triage_needs_finds_the_same() {
    let started = Triage::of("116294");
    let forked = Triage::with("116294", &["--fork-server", "--log-level", "DEBUG"]);
    assert!(forked.done.stderr.contains("the kernel was forked"), "{}", forked.done.stderr);
    assert_eq!(forked.outputs(), started.outputs());
}

/// All ways out lead to a door of ours, and nobody comes. The incident names domains, which are told from other words by a list.
#[test]
fn offline_nothing_is_asked_of_the_network() {
    let door = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let way_out = format!("http://{}", door.local_addr().expect("it is bound"));
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    std::thread::spawn(move || {
        for visit in door.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(visit);
        }
    });
    let scratch = Scratch::new();
    let mut command = Triage::command(&scratch, "1022", &[]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &way_out).env(name.to_lowercase(), &way_out);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    finish(&mut command).expect_code(0);
    assert_eq!(visits.load(Ordering::Relaxed), 0);
    scratch.expect_nothing_left();
}

#[test]
fn hostile_texts_stay_texts() {
    let triage = Triage::of("9001");
    assert_eq!(triage.verdict().severity, Severity::High);
    let page = triage.page();
    for text in [
        "<script",
        "<img",
        "onerror=\"",
        "javascript:alert(1)\"",
        "http://",
        "https://",
        "\u{202e}",
        "\u{1b}",
    ] {
        assert!(!page.contains(text), "the page holds {text:?}");
    }
    assert!(
        page.contains("&lt;script&gt;") || page.contains("&lt;img"),
        "the hostile text is shown, as text"
    );
    for output in triage.outputs() {
        for text in ["text/plain", "text"]
            .map(|key| saved::joined(&output["data"][key]) + &saved::joined(&output[key]))
        {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        }
    }
}

#[test]
fn a_run_that_breaks_off_has_no_verdict_and_says_so_on_top() {
    let triage = Triage::of("31337");
    triage.done.expect_code(1).expect_stderr("no incident '31337'");
    let page = triage.page();
    assert!(page.contains("No verdict:"), "{page}");
    assert!(triage.outputs().iter().all(|output| output["data"].get(verdict::MIME_TYPE).is_none()));
}

/// What a Python program in the kernel's environment prints, or its standard error.
fn python(arguments: &[&str]) -> Result<Value, String> {
    let scratch = Scratch::new();
    let mut command = scratch.command(&kernel().python);
    command.args(arguments).env("PYTHONPATH", &kernel().kernelspec.env["PYTHONPATH"]);
    let done = finish(&mut cut_off(&command));
    if done.code() != 0 {
        return Err(done.stderr);
    }
    Ok(serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout_text())))
}

fn triage_script(mode: &str, argument: &str) -> Result<Value, String> {
    let workspace = oracle::workspace();
    let script = workspace.join("tests/tests/shipped/triage.py");
    let notebook = workspace.join("notebooks/incident-triage.ipynb");
    python(&[&script.to_string_lossy(), &notebook.to_string_lossy(), mode, argument])
}

#[test]
fn every_shipped_incident_gets_one_verdict_and_they_differ() {
    let data = oracle::workspace().join("notebooks/data/sentinel");
    let answers = triage_script("backlog", &data.to_string_lossy()).expect("all incidents can be triaged");
    let answers = answers.as_array().expect("a list");
    assert!(answers.len() >= 60, "{} incidents", answers.len());
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for answer in answers {
        let verdicts = answer["verdicts"].as_array().expect("a list");
        assert_eq!(verdicts.len(), 1, "{}", answer["number"]);
        let read = verdict::Verdict::parse(&verdicts[0])
            .unwrap_or_else(|error| panic!("{}: {error}", answer["number"]));
        *counts.entry(verdicts[0]["severity"].as_str().expect("text")).or_default() += 1;
        // Every piece of evidence is on the page, under its reason.
        let page = answer["page"].as_str().expect("text");
        for evidence in &read.evidence {
            let reason = evidence.reason.clone().unwrap_or_default();
            let start: String = reason.chars().take_while(|c| !"'\"<>&".contains(*c)).take(40).collect();
            assert!(page.contains(&start), "{}: {reason}", answer["number"]);
        }
        assert!(!page.contains("http://") && !page.contains("https://"), "{}: a link", answer["number"]);
    }
    assert!(counts.len() == 4 && counts.values().all(|count| *count >= 3), "{counts:?}");
}

fn online(scenario: &str) -> Value {
    triage_script("online", scenario).expect("the notebook runs to its end")
}

#[test]
fn online_the_workspace_is_asked_with_the_credentials_in_their_order() {
    let answer = online("plain");
    assert_eq!(
        answer["connected"][0]["credential"],
        serde_json::json!(["AzureCliCredential", "ManagedIdentityCredential"])
    );
    assert_eq!(
        answer["connected"][0]["workspace_ids"],
        serde_json::json!(["66666666-7777-8888-9999-000000000000"])
    );
    let verdict = verdict::Verdict::parse(&answer["verdicts"][0]).expect("it is in order");
    assert_eq!(verdict.severity, Severity::High);
    let summary = verdict.summary.expect("it says why");
    assert!(summary.contains("12 failed log-ons, then 1 that succeeded"), "{summary}");
    let page = answer["page"].as_str().expect("text");
    for text in ["the security log was cleared", "Earlier", "185[.]220[.]101[.]1", "over the network"] {
        assert!(page.contains(text), "the page does not show {text:?}");
    }
}

#[test]
fn no_text_of_an_incident_becomes_kql() {
    let (plain, hostile) = (online("plain"), online("hostile"));
    assert_eq!(plain["skeletons"], hostile["skeletons"]);
    assert!(hostile["queries"].to_string().contains("project-away"), "the hostile name was asked for");
    let queries = online("hostile-bundle")["skeletons"].to_string();
    assert!(!queries.contains("project-away") && !queries.contains("or true"), "{queries}");
}

#[test]
fn what_could_not_be_asked_is_said_beside_the_verdict() {
    for (scenario, gap) in [
        ("missing-tables", "SecurityEvent (processes)"),
        ("unreachable", "the workspace"),
        ("no-time", "not asked: the budget of 0 s was spent"),
    ] {
        let answer = online(scenario);
        let verdict = &answer["verdicts"][0];
        assert_eq!(verdict["severity"], "High", "{scenario}: {verdict}");
        assert!(
            verdict["summary"].as_str().is_some_and(|text| text.contains("Not looked at: ")),
            "{verdict}"
        );
        let page = answer["page"].as_str().expect("text");
        assert!(page.contains("What could not be looked at") && page.contains(gap), "{scenario}");
    }
}

#[test]
fn what_was_asked_in_part_only_is_said_beside_the_verdict() {
    let answer = online("too-much");
    let summary = answer["verdicts"][0]["summary"].as_str().expect("it says why");
    let page = answer["page"].as_str().expect("text");
    for (part, why) in [
        ("part of SecurityEvent (processes)", "asked about 100 of 121 values only"),
        ("part of related incidents", "the answer ends at 50 rows"),
    ] {
        assert!(summary.contains(part), "{summary}");
        assert!(page.contains(part) && page.contains(why), "the page does not show {why:?}");
    }
    assert!(!online("plain")["page"].to_string().contains("part of "), "where all was asked nothing is said");
}

#[test]
fn an_attack_that_is_seen_is_not_talked_away_by_an_alert_that_calls_itself_a_test() {
    let plain = online("plain")["verdicts"][0].clone();
    let verdict = online("called-a-test")["verdicts"][0].clone();
    assert_eq!((&plain["severity"], &verdict["severity"]), (&"High".into(), &"Medium".into()), "{verdict}");
    assert_eq!(verdict["classification"], "Undetermined");
    assert!(verdict["summary"].as_str().is_some_and(|text| text.contains("says of itself")), "{verdict}");
}

#[test]
fn nothing_found_without_the_workspace_is_a_failed_run_and_no_verdict() {
    let error = triage_script("online", "unreachable-and-quiet").unwrap_err();
    assert!(
        error.contains("ConnectionError: nothing was found, but the workspace cannot be reached"),
        "{error}"
    );
}

#[path = "shipped/helper.rs"]
mod helper;

#[path = "shipped/notebooks.rs"]
mod notebooks;

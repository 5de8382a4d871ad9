//! Starts that fail. The "kernels" are shell commands; real ones are in the tests of the workspace.
#![cfg(unix)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rnbexec_kernel::{
    DeathCause, InterruptMode, Kernel, Kernelspec, LaunchError, LaunchOptions, OutputStream,
};

fn spec(argv: &[&str]) -> Kernelspec {
    Kernelspec {
        name: "shell".to_owned(),
        dir: "/kernels/shell".into(),
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        display_name: String::new(),
        language: String::new(),
        interrupt_mode: InterruptMode::Signal,
        env: BTreeMap::new(),
        // One transport, hence one start.
        metadata: serde_json::json!({ "rnbexec": { "transport": "ipc" } }),
    }
}

fn shell(script: &str) -> Kernelspec {
    spec(&["/bin/sh", "-c", script])
}

fn options(runtime_dir: &Path) -> LaunchOptions {
    LaunchOptions {
        runtime_dir: Some(runtime_dir.to_path_buf()),
        start_timeout: Duration::from_secs(30),
        ..LaunchOptions::new(HashMap::from([("PATH".into(), "/usr/bin:/bin".into())]))
    }
}

/// Launches what cannot be launched, and looks whether anything is left of it.
async fn failure(spec: &Kernelspec, change: impl FnOnce(&mut LaunchOptions)) -> LaunchError {
    let base = tempfile::tempdir().expect("a temporary directory");
    let mut options = options(base.path());
    change(&mut options);
    let error = Kernel::launch(spec, options).await.expect_err("this is no kernel");
    let left = std::fs::read_dir(base.path()).expect("the directory we made").count();
    assert_eq!(left, 0, "files are left");
    error
}

/// Whether the process runs; one that has ended may still wait for init to take notice.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Looks until it is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within half a minute");
}

#[tokio::test]
async fn a_missing_program_is_named_with_the_kernelspec() {
    let error = failure(&spec(&["no-such-program", "{connection_file}"]), |_| ()).await;
    let message = error.to_string();
    assert!(matches!(error, LaunchError::ProgramMissing { .. }), "{message}");
    assert!(
        message.contains("no-such-program") && message.contains("/kernels/shell/kernel.json"),
        "{message}"
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named() {
    let error = failure(&spec(&["/etc/passwd"]), |_| ()).await;
    assert!(matches!(&error, LaunchError::Spawn { program, .. } if program == "/etc/passwd"), "{error}");
}

#[tokio::test]
async fn a_missing_working_directory_is_named() {
    let error = failure(&shell("exit 0"), |options| options.cwd = Some("/no/such/place".into())).await;
    assert!(matches!(&error, LaunchError::WorkingDirectory { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/place"));
}

#[tokio::test]
async fn an_unusable_runtime_directory_is_told() {
    let error = Kernel::launch(&shell("exit 0"), options(Path::new("/no/such/place"))).await.unwrap_err();
    assert!(matches!(error, LaunchError::PrivateDirectory { .. }), "{error}");
}

#[tokio::test]
async fn a_kernel_that_dies_at_its_start_says_how_and_its_last_words() {
    let error = failure(&shell("echo the last words >&2; exit 7"), |_| ()).await;
    let LaunchError::Died { death, .. } = &error else { panic!("{error}") };
    assert_eq!(death.cause, DeathCause::Exit(7));
    assert_eq!(death.stderr_tail, "the last words");
    let error = failure(&shell("kill -SEGV $$"), |_| ()).await;
    let LaunchError::Died { death, .. } = &error else { panic!("{error}") };
    assert_eq!(death.cause, DeathCause::Signal(11));
}

#[tokio::test]
async fn of_long_last_words_the_end_is_kept() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i of many >&2; i=$((i+1)); done; exit 1";
    let error = failure(&shell(script), |_| ()).await;
    let LaunchError::Died { death, .. } = &error else { panic!("{error}") };
    assert!(death.stderr_tail.ends_with("line 2999 of many"));
    assert!(death.stderr_tail.len() <= 8 << 10);
}

#[tokio::test]
async fn a_kernel_that_never_answers_is_killed_with_its_children_when_the_time_is_up() {
    let base = tempfile::tempdir().unwrap();
    let pids = base.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", pids.display());
    let error = failure(&shell(&script), |options| options.start_timeout = Duration::from_secs(5)).await;
    assert!(
        matches!(&error, LaunchError::Timeout { waited, .. } if *waited < Duration::from_secs(20)),
        "{error}"
    );
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    eventually("both have ended", || !pids.split_whitespace().any(is_alive)).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_start_that_is_given_up() {
    let base = tempfile::tempdir().unwrap();
    let runtime = base.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let pid = base.path().join("pid");
    let script = format!("echo $$ > {}; sleep 1000", pid.display());
    let (spec, options) = (shell(&script), options(&runtime));
    tokio::select! {
        launched = Kernel::launch(&spec, options) => panic!("{launched:?}"),
        () = eventually("it has started", || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))) => {}
    }
    assert!(!is_alive(&std::fs::read_to_string(pid).unwrap()));
    assert_eq!(std::fs::read_dir(&runtime).unwrap().count(), 0);
}

#[tokio::test]
async fn what_the_process_writes_goes_to_the_caller() {
    let seen = Arc::new(Mutex::new((String::new(), String::new())));
    let sink = Arc::clone(&seen);
    failure(&shell("echo out; echo err >&2"), |options| {
        options.on_output = Some(Arc::new(move |stream, bytes| {
            let mut seen = sink.lock().unwrap();
            let text = String::from_utf8_lossy(bytes);
            match stream {
                OutputStream::Stdout => seen.0.push_str(&text),
                OutputStream::Stderr => seen.1.push_str(&text),
            }
        }));
    })
    .await;
    assert_eq!(*seen.lock().unwrap(), ("out\n".to_owned(), "err\n".to_owned()));
}

#[tokio::test]
async fn the_environment_is_what_the_caller_and_the_kernelspec_say_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("env");
    let mut spec = shell(&format!("env > {}", file.display()));
    spec.env = BTreeMap::from([
        ("FROM_SPEC".to_owned(), "${GIVEN}/x".to_owned()),
        ("GONE".to_owned(), "1".to_owned()),
    ]);
    failure(&spec, |options| {
        options.base_env.insert("GIVEN".into(), "given".into());
        options.base_env.insert("PYTHONEXECUTABLE".into(), "/other".into());
        options.env = vec![("SET".into(), Some("set".into())), ("GONE".into(), None)];
    })
    .await;
    let text = std::fs::read_to_string(file).unwrap();
    // What the shell adds by itself, and what we find the kernel's descendants by.
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !["PWD=", "SHLVL=", "_=", "RNBEXEC_KERNEL="].iter().any(|own| line.starts_with(own)))
        .collect();
    lines.sort_unstable();
    let parent = format!("JPY_PARENT_PID={}", std::process::id());
    assert_eq!(lines, ["FROM_SPEC=given/x", "GIVEN=given", &parent, "PATH=/usr/bin:/bin", "SET=set"]);
}

#[tokio::test]
async fn the_kernel_leads_a_session_of_its_own_and_reads_an_empty_stdin() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("stat");
    let script = format!("cat; cut -d ' ' -f 1,5,6 /proc/$$/stat > {}", file.display());
    failure(&shell(&script), |_| ()).await;
    let text = std::fs::read_to_string(file).unwrap();
    let ids: Vec<_> = text.split_whitespace().collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "pid, process group, session: {text}");
}

#[tokio::test]
async fn a_kernel_that_cannot_do_ipc_is_started_again_with_tcp() {
    let base = tempfile::tempdir().unwrap();
    let log = base.path().join("log");
    let script = format!("grep '\"transport\"' \"$0\" >> {}; exit 1", log.display());
    let mut spec = spec(&["/bin/sh", "-c", &script, "{connection_file}"]);
    spec.metadata = serde_json::Value::Null;
    let error = failure(&spec, |_| ()).await;
    assert!(matches!(error, LaunchError::Died { .. }), "{error}");
    let text = std::fs::read_to_string(log).unwrap();
    let transports: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(transports, ["\"transport\": \"ipc\",", "\"transport\": \"tcp\","]);
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_tried_again_with_others() {
    let base = tempfile::tempdir().unwrap();
    let log = base.path().join("log");
    let script =
        format!("echo started >> {}; echo OSError: Address already in use >&2; exit 1", log.display());
    let mut spec = shell(&script);
    spec.metadata = serde_json::json!({ "rnbexec": { "transport": "tcp" } });
    let error = failure(&spec, |_| ()).await;
    assert!(error.to_string().contains("Address already in use"), "{error}");
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 4);
}

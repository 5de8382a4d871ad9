use super::*;

fn spec(argv: &[&str], metadata: serde_json::Value) -> Kernelspec {
    Kernelspec {
        name: "test".to_owned(),
        dir: "/kernels/test".into(),
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        display_name: String::new(),
        language: String::new(),
        interrupt_mode: crate::InterruptMode::Signal,
        env: std::collections::BTreeMap::new(),
        metadata,
    }
}

fn plain(argv: &[&str]) -> Kernelspec {
    spec(argv, serde_json::Value::Null)
}

fn lossless(argv: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut command = argv.iter().map(OsString::from).collect();
    make_lossless(&mut command, &plain(argv), directory.path()).unwrap();
    let inside = directory.path().to_str().unwrap().to_owned() + "/";
    command.into_iter().map(|argument| argument.into_string().unwrap().replace(&inside, "DIR/")).collect()
}

#[test]
fn a_python_module_is_started_by_our_script() {
    assert_eq!(
        lossless(&["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]),
        ["python", "DIR/launcher.py", "ipykernel_launcher", "-f", "{connection_file}"]
    );
    assert_eq!(
        lossless(&["/usr/bin/python3.12", "-Xfrozen_modules=off", "-m", "bash_kernel", "-f", "c"]),
        ["/usr/bin/python3.12", "-Xfrozen_modules=off", "DIR/launcher.py", "bash_kernel", "-f", "c"]
    );
    assert_eq!(
        lossless(&["conda", "run", "-n", "x", "python", "-m", "ipykernel", "-f", "c"]),
        ["conda", "run", "-n", "x", "python", "DIR/launcher.py", "ipykernel", "-f", "c"]
    );
}

#[test]
fn other_commands_stay_as_they_are() {
    for argv in [
        &["deno", "jupyter", "--conn", "c"] as &[&str],
        &["python", "kernel.py", "-m", "mode"],
        &["ir", "-m", "bash_kernel"],
        &["python", "-m"],
        &[],
    ] {
        assert_eq!(lossless(argv), argv);
    }
}

#[test]
fn only_ipykernel_is_told_to_keep_its_history_in_memory() {
    let argument = Some("--HistoryManager.hist_file=:memory:".to_owned());
    assert_eq!(history_argument(&plain(&["python", "-m", "ipykernel_launcher"]), &[]), argument);
    assert_eq!(history_argument(&plain(&["python", "-m", "bash_kernel"]), &[]), None);
}

#[test]
fn what_is_said_about_the_history_already_counts() {
    let spec = plain(&["python", "-m", "ipykernel_launcher"]);
    assert_eq!(history_argument(&spec, &["--HistoryManager.enabled=False".to_owned()]), None);
}

#[cfg(unix)]
#[test]
fn ipykernel_gets_ipc_and_kernels_known_to_refuse_it_get_tcp() {
    let ipc: &[_] = &[Transport::IPC];
    let tcp: &[_] = &[Transport::TCP];
    assert_eq!(transports(&plain(&["python", "-m", "ipykernel_launcher"])), ipc);
    assert_eq!(transports(&plain(&["/opt/deno", "jupyter", "--kernel"])), tcp);
    assert_eq!(transports(&plain(&["python", "-m", "ipymini"])), tcp);
    assert_eq!(transports(&plain(&["R", "-e", "IRkernel::main()"])), [Transport::IPC, Transport::TCP]);
}

#[cfg(unix)]
#[test]
fn the_kernelspec_may_choose_the_transport() {
    let tcp = serde_json::json!({"rnbexec": {"transport": "tcp"}});
    assert_eq!(transports(&spec(&["python", "-m", "ipykernel_launcher"], tcp)), [Transport::TCP]);
    let ipc = serde_json::json!({"rnbexec": {"transport": "ipc"}});
    assert_eq!(transports(&spec(&["R"], ipc)), [Transport::IPC]);
}

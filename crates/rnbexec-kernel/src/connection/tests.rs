use super::*;

fn vars(pairs: &[(&str, &Path)]) -> HashMap<OsString, OsString> {
    pairs.iter().map(|(name, value)| (OsString::from(name), value.as_os_str().to_owned())).collect()
}

fn entries(base: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn only_the_user_can_enter_the_directory_and_read_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let directory = PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap();
    let connection = Connection::create(directory.path(), Transport::IPC, "x").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.path()), 0o700);
    assert_eq!(mode(&connection.file), 0o600);
}

#[test]
fn nothing_is_left_of_a_directory_that_is_dropped() {
    let base = tempfile::tempdir().unwrap();
    let directory = PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap();
    Connection::create(directory.path(), Transport::IPC, "x").unwrap();
    drop(directory);
    assert!(entries(base.path()).is_empty());
}

#[test]
fn the_runtime_directory_comes_before_the_temporary_one() {
    let (runtime, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vars = vars(&[("TMPDIR", temporary.path()), ("XDG_RUNTIME_DIR", runtime.path())]);
    let directory = PrivateDir::create(None, &vars).unwrap();
    assert_eq!(directory.path().parent(), Some(runtime.path()));
}

#[test]
fn a_place_that_does_not_exist_or_is_too_deep_for_a_socket_is_passed_over() {
    let good = tempfile::tempdir().unwrap();
    let deep = good.path().join("d".repeat(90));
    std::fs::create_dir(&deep).unwrap();
    let missing = good.path().join("missing");
    let vars = vars(&[("XDG_RUNTIME_DIR", &missing), ("TMPDIR", &deep), ("TEMP", good.path())]);
    let directory = PrivateDir::create(None, &vars).unwrap();
    assert_eq!(directory.path().parent(), Some(good.path()));
    assert!(entries(&deep).is_empty());
}

#[test]
fn a_place_that_was_chosen_is_the_only_one() {
    let base = tempfile::tempdir().unwrap();
    let error = PrivateDir::create(Some(&base.path().join("missing")), &HashMap::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_a_killed_owner_left_is_removed_and_what_a_living_one_holds_stays() {
    let base = tempfile::tempdir().unwrap();
    let living = PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap();
    let abandoned = base.path().join("rnbexec-kernel-abandoned");
    std::fs::create_dir(&abandoned).unwrap();
    std::fs::write(abandoned.join(LOCK_NAME), "").unwrap();
    std::fs::write(abandoned.join("connection.json"), "{}").unwrap();
    drop(PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap());
    assert!(!abandoned.exists());
    assert!(living.path().exists());
}

#[test]
fn what_only_looks_like_ours_stays() {
    let base = tempfile::tempdir().unwrap();
    let unlocked = base.path().join("rnbexec-kernel-without-lock");
    let other = base.path().join("other");
    let file = base.path().join("rnbexec-kernel-file");
    for directory in [&unlocked, &other] {
        std::fs::create_dir(directory).unwrap();
    }
    std::fs::write(other.join(LOCK_NAME), "").unwrap();
    std::fs::write(&file, "").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&other, base.path().join("rnbexec-kernel-link")).unwrap();
    drop(PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap());
    assert!(unlocked.exists() && other.join(LOCK_NAME).exists() && file.exists());
}

/// A kernel may write where its lock is.
#[cfg(unix)]
#[test]
fn a_lock_that_is_a_pipe_or_a_link_is_neither_waited_for_nor_followed() {
    let base = tempfile::tempdir().unwrap();
    let [pipe, link] = ["pipe", "link"].map(|name| base.path().join(format!("rnbexec-kernel-{name}")));
    for directory in [&pipe, &link] {
        std::fs::create_dir(directory).unwrap();
    }
    let made = std::process::Command::new("mkfifo").arg(pipe.join(LOCK_NAME)).status();
    assert!(made.unwrap().success());
    let elsewhere = base.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, link.join(LOCK_NAME)).unwrap();
    drop(PrivateDir::create(Some(base.path()), &HashMap::new()).unwrap());
    assert!(pipe.exists() && link.exists());
}

#[test]
fn an_ipc_channel_may_be_at_either_spelling_of_its_address() {
    let base = tempfile::tempdir().unwrap();
    let connection = Connection::create(base.path(), Transport::IPC, "x").unwrap();
    let at = |name: &str| Endpoint::Ipc(base.path().join(name));
    assert_eq!(connection.endpoints(Channel::Shell), [at("k-1"), at("k:1")]);
    assert_eq!(connection.endpoints(Channel::Iopub), [at("k-2"), at("k:2")]);
}

#[test]
fn tcp_channels_are_on_five_different_ports_of_this_machine() {
    let base = tempfile::tempdir().unwrap();
    let info = Connection::create(base.path(), Transport::TCP, "x").unwrap().info;
    assert_eq!(info.ip, "127.0.0.1");
    let ports = [info.shell_port, info.iopub_port, info.stdin_port, info.control_port, info.hb_port];
    assert_eq!(std::collections::HashSet::from(ports).len(), 5);
    assert!(!ports.contains(&0));
}

#[test]
fn each_connection_file_has_its_own_key_and_says_what_jupyter_says() {
    let base = tempfile::tempdir().unwrap();
    let first = Connection::create(base.path(), Transport::IPC, "python3").unwrap();
    let second = Connection::create(base.path(), Transport::IPC, "python3").unwrap();
    assert_ne!(first.info.key, second.info.key);
    assert!(first.info.key.len() >= 64);
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&second.file).unwrap()).unwrap();
    assert_eq!(file["transport"], "ipc");
    assert_eq!(file["ip"], base.path().join("k").to_str().unwrap());
    assert_eq!(file["signature_scheme"], "hmac-sha256");
    assert_eq!(file["kernel_name"], "python3");
    assert_eq!(file["key"], second.info.key);
    for name in ["shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"] {
        assert!(file[name].is_u64(), "{name}");
    }
}

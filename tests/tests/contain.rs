//! What `--isolate` and its switches close is closed, from inside the kernel; what they leave open works; and what this
//! machine cannot close is an error before the kernel starts.
//!
//! These tests need user namespaces, landlock of Linux 6.12, and control groups for memory and processes that can be
//! written: where one is missing, they fail and say so.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rnbexec_tests::program::{Done, Running};
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, wait_for};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(2);

/// What a run at the highest level takes here: the tests find processes by that variable.
const STRICT: [&str; 4] = ["--isolate", "strict", "--allow-env", "RNBEXEC_TESTS_MARK"];

fn run_in(scratch: &Scratch, book: &Book, args: &[&str]) -> Done {
    scratch.write("in.ipynb", book.to_bytes());
    let running = Running::start(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    let runner = running.id();
    let done = running.finish(SOON);
    scratch.expect_nothing_left();
    let groups = control_groups(runner);
    assert!(groups.is_empty(), "control groups are left: {groups:?}");
    done
}

/// Runs cells that all succeed, and gives what each printed.
#[track_caller]
fn printed(scratch: &Scratch, cells: &[&str], args: &[&str]) -> Vec<String> {
    let book = cells.iter().fold(Book::new(), |book, cell| book.code(cell));
    run_in(scratch, &book, args).expect_code(0);
    let saved = Saved::of(scratch);
    (0..cells.len()).map(|cell| saved.printed(cell).trim_end().to_owned()).collect()
}

/// A cell that says how an attempt ended.
fn attempt(code: &str) -> String {
    let body = code.replace('\n', "\n    ");
    format!(
        "try:\n    {body}\n    print('done')\nexcept Exception as error:\n    print(type(error).__name__)"
    )
}

fn isolation(scratch: &Scratch) -> Value {
    Saved::of(scratch).0["metadata"]["rnbexec"]["isolation"].clone()
}

/// The control groups that this runner has made and that are still there.
fn control_groups(runner: u32) -> Vec<PathBuf> {
    fn walk(folder: &Path, infix: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("rnbexec-") && name.contains(infix) {
                found.push(entry.path());
            }
            walk(&entry.path(), infix, found);
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &format!("-{runner}-"), &mut found);
    found
}

#[test]
fn a_closed_network_reaches_nobody() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.set_nonblocking(true).expect("a socket can be set so");
    let ports = [&tcp.local_addr(), &udp.local_addr()].map(|at| at.as_ref().expect("it is bound").port());
    let connect =
        attempt(&format!("import socket\nsocket.create_connection(('127.0.0.1', {}), 5).close()", ports[0]));
    let send = attempt(&format!(
        "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {}))",
        ports[1]
    ));
    let devices = "import socket\nprint([name for _, name in socket.if_nameindex()])".to_owned();
    let cells: Vec<&str> = [&connect, &send, &devices].map(String::as_str).to_vec();
    let heard = || udp.recv(&mut [0; 8]).is_ok();

    let scratch = Scratch::new();
    assert_eq!(printed(&scratch, &cells, &[])[0], "done");
    assert!(heard(), "the test itself can be reached");
    for args in [&["--isolate", "network"][..], &["--no-network"], &STRICT] {
        let said = printed(&scratch, &cells, args);
        assert_eq!((said[0].as_str(), said[2].as_str()), ("ConnectionRefusedError", "['lo']"), "{args:?}");
        assert!(!heard(), "{args:?}");
    }
}

#[test]
fn closed_files_are_read_and_not_written() {
    let scratch = Scratch::new();
    let file = scratch.write("data.txt", "kept");
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    let outside = scratch.root().join("outside");
    let cells = [
        "print(open('data.txt').read())".to_owned(),
        attempt("open('data.txt', 'a').write('x')"),
        attempt("import os\nos.truncate('data.txt', 0)"),
        attempt("import os\nos.remove('data.txt')"),
        attempt("import os\nos.rename('data.txt', 'work/data.txt')"),
        attempt(&format!("open({:?}, 'w').close()", outside.display())),
        attempt("import os\nos.mkdir('folder')"),
        attempt("open('work/made', 'w').write('x')\nimport os\nos.mkdir('work/folder')"),
        attempt("import tempfile\ntempfile.NamedTemporaryFile().write(b'x')"),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    for level in ["files", "strict"] {
        let args = [&STRICT[..], &["--isolate", level, "--work-folder", "work"]].concat();
        let said = printed(&scratch, &cells, &args[2..]);
        let denied = "PermissionError";
        assert_eq!(said, ["kept", denied, denied, denied, said[4].as_str(), denied, denied, "done", "done"]);
        assert!(["PermissionError", "OSError"].contains(&said[4].as_str()), "{said:?}");
        assert_eq!(std::fs::read(&file).expect("it is there"), b"kept");
        assert!(scratch.join("work/made").exists() && !outside.exists());
        std::fs::remove_dir_all(scratch.join("work")).expect("it can be removed");
        std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    }
}

#[test]
fn the_home_folder_is_hidden_at_the_highest_level() {
    let scratch = Scratch::new();
    let secret = scratch.home().join("secret");
    std::fs::write(&secret, "s3cret").expect("home can be written");
    scratch.write("data.txt", "kept");
    let cells = [
        format!("print(open('data.txt').read())\n{}", attempt(&format!("open({:?}).read()", secret.display()))),
        attempt(&format!("import os\nos.listdir({:?})", scratch.home().display())),
        "import os\nopen(os.path.expanduser('~/mine'), 'w').write('x')\nprint(os.listdir(os.path.expanduser('~')))"
            .to_owned(),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let said = printed(&scratch, &cells, &STRICT);
    assert_eq!(said, ["kept\nPermissionError", "PermissionError", "['mine']"]);
    assert!(printed(&scratch, &cells[..1], &["--isolate", "files"])[0].ends_with("done"));
}

#[test]
fn only_harmless_and_allowed_variables_are_inherited() {
    let scratch = Scratch::new();
    let cell = "import os\nprint([os.environ.get(name) for name in ('TOKEN', 'MINE', 'SET', 'TZ')])";
    scratch.write("in.ipynb", Book::new().code(cell).to_bytes());
    for (args, expected) in [
        (&STRICT[..], "[None, None, 'x', 'UTC']"),
        (&["--isolate", "strict", "--allow-env", "MINE"], "[None, 'mine', 'x', 'UTC']"),
        (&["--allow-env", "MINE"], "[None, 'mine', 'x', 'UTC']"),
        (&["--isolate", "files"], "['t0ken', 'mine', 'x', 'UTC']"),
    ] {
        let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--set-env", "SET=x"]);
        finish(command.args(args).env("TOKEN", "t0ken").env("MINE", "mine")).expect_code(0);
        assert_eq!(Saved::of(&scratch).printed(0).trim_end(), expected, "{args:?}");
    }
}

/// A process outside, of the same user.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

#[test]
fn processes_outside_cannot_be_signalled_or_looked_into() {
    let mut outside =
        Bystander(Command::new("sleep").arg("600").env("SECRET", "s3cret").spawn().expect("sleep runs"));
    let pid = outside.0.id();
    let cells = [
        attempt(&format!("import os, signal\nos.kill({pid}, signal.SIGTERM)")),
        attempt(&format!("open('/proc/{pid}/environ').read()")),
        attempt(
            "import os, signal, subprocess\nchild = subprocess.Popen(['sleep', '600'])\nchild.kill()\nchild.wait()",
        ),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    for args in [&["--isolate", "files"][..], &STRICT] {
        let said = printed(&Scratch::new(), &cells, args);
        assert_eq!(said, ["PermissionError", "PermissionError", "done"], "{args:?}");
    }
    assert!(outside.0.try_wait().expect("it is ours").is_none(), "the process outside lives");
}

/// A queue of messages of System V, which has no name in the file system. It is removed when this ends.
struct Messages(String);

impl Messages {
    fn make() -> Self {
        let made = finish(Command::new("ipcmk").arg("--queue"));
        let said = String::from_utf8_lossy(&made.expect_code(0).stdout);
        Self(said.split_whitespace().last().expect("an id").to_owned())
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        drop(Command::new("ipcrm").args(["--queue-id", &self.0]).status());
    }
}

#[test]
fn queues_of_messages_without_a_file_are_closed_at_the_highest_level() {
    let outside = Messages::make();
    let cell = format!(
        "with open('/proc/sysvipc/msg') as queues: print([line.split()[1] for line in queues].count('{}'))",
        outside.0
    );
    for (args, seen) in [(&["--isolate", "files"][..], "1"), (&STRICT, "0")] {
        assert_eq!(printed(&Scratch::new(), &[&cell], args), [seen], "{args:?}");
    }
}

/// Holds ever more memory, which counts only once it is written to; not faster than a busy machine can look.
const HOG: &str =
    "import time\nheld = []\nwhile True:\n    held.append(b'x' * (8 << 20))\n    time.sleep(.02)";

#[track_caller]
fn expect_memory_limit(scratch: &Scratch, done: &Done, by: &str) {
    done.expect_code(138)
        .expect_stderr("the kernel was killed for using more than its memory limit of 200 MiB");
    let saved = Saved::of(scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], "kernel-died");
    let reason = saved.0["metadata"]["rnbexec"]["reason"].to_string();
    assert!(reason.contains("more than its memory limit of 200 MiB"), "{reason}");
    let limit = &isolation(scratch)["memory_limit"];
    assert_eq!(limit["bytes"], 200 << 20);
    assert!(limit["by"].as_str().is_some_and(|text| text.contains(by)), "{limit}, not {by}");
}

fn three(second: &str) -> Book {
    Book::new().code("print('first')").code(second).code("print('never')")
}

#[test]
fn a_kernel_that_uses_too_much_memory_is_killed_and_the_limit_named() {
    let scratch = Scratch::new();
    let done = run_in(&scratch, &three(HOG), &["--memory-limit", "200MiB", "--retries", "3"]);
    expect_memory_limit(&scratch, &done, "control group");
    assert!(!done.stderr.contains("Beginning again"), "it would exceed its limit again: {}", done.stderr);
}

#[test]
fn a_child_that_uses_too_much_memory_is_the_kernels_too() {
    let scratch = Scratch::new();
    let child = format!(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {HOG:?}])\nimport time; time.sleep(600)"
    );
    let done = run_in(&scratch, &three(&child), &["--memory-limit", "200MiB"]);
    expect_memory_limit(&scratch, &done, "control group");
}

/// A command in a mount namespace where the control groups are out of sight, as in many containers.
fn without_control_groups(command: &Command) -> Command {
    wrapped(
        command,
        &["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"", "sh"],
    )
}

fn wrapped(command: &Command, by: &[&str]) -> Command {
    let mut outer = Command::new(by[0]);
    outer.args(&by[1..]).arg(command.get_program()).args(command.get_args()).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
        .current_dir(command.get_current_dir().expect("a world has a folder"))
        .stdin(std::process::Stdio::null());
    outer
}

#[test]
fn memory_is_watched_where_no_control_group_can_be_made() {
    for second in [
        HOG.to_owned(),
        format!(
            "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {HOG:?}], start_new_session=True)"
        ),
    ] {
        let scratch = Scratch::new();
        scratch.write("in.ipynb", three(&second).to_bytes());
        let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--memory-limit", "200MiB"]);
        let done = finish(&mut without_control_groups(&command));
        scratch.expect_nothing_left();
        expect_memory_limit(&scratch, &done, "watching");
    }
}

/// A command of another user than root, who has no privileges; whatever is root's belongs to them here.
fn without_privileges(command: &Command) -> Command {
    wrapped(command, &["unshare", "--user", "--map-user=65534", "--map-group=65534"])
}

#[test]
fn another_user_than_root_is_contained_as_well_without_control_groups() {
    let scratch = Scratch::new();
    let outside = scratch.root().join("outside");
    std::fs::write(scratch.home().join("secret"), "s3cret").expect("home can be written");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("it is bound").port();
    let cells = [
        "import os\nprint(os.getuid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0])"
            .to_owned(),
        attempt(&format!("open({:?}, 'w').close()", outside.display())),
        attempt(&format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 5).close()")),
        attempt(&format!("open({:?}).read()", scratch.home().join("secret").display())),
    ];
    let book = cells.iter().fold(Book::new(), |book, cell| book.code(cell));
    scratch.write("in.ipynb", book.to_bytes());
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]);
    command.args(STRICT).args(["--memory-limit", "1GiB"]);
    finish(&mut without_control_groups(&without_privileges(&command))).expect_code(0);
    scratch.expect_nothing_left();
    let saved = Saved::of(&scratch);
    let said: Vec<String> = (0..4).map(|cell| saved.printed(cell).trim_end().to_owned()).collect();
    let (denied, refused) = ("PermissionError", "ConnectionRefusedError");
    assert_eq!(said, ["65534 0000000000000000", denied, refused, denied]);
    let by = |limit: &str| isolation(&scratch)[limit]["by"].clone();
    assert_eq!(by("memory_limit"), "watching its processes in /proc");
    assert_eq!(by("network"), "user and network namespaces");
}

#[test]
fn a_limit_of_processes_that_does_not_bind_root_by_another_name_is_an_error() {
    let scratch = scratch_with_an_earlier_output();
    let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--process-limit", "60"]);
    let done = finish(&mut without_control_groups(&without_privileges(&command)));
    expect_refused(&scratch, &done, "cannot limit the number of its processes: setting RLIMIT_NPROC");
}

#[test]
fn what_processes_share_counts_once() {
    let scratch = Scratch::new();
    let cell = "import os, time\nheld = b'x' * (120 << 20)\nfor _ in range(3):\n    if os.fork() == 0:\n        time.sleep(60)\n\
                time.sleep(1)\nprint('lives')";
    scratch.write("in.ipynb", Book::new().code(cell).to_bytes());
    let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--memory-limit", "300MiB"]);
    finish(&mut without_control_groups(&command)).expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "lives\n");
}

#[test]
fn a_kernel_that_uses_too_much_cpu_time_is_killed_and_the_limit_named() {
    let ignoring = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass";
    for second in ["while True: pass", ignoring] {
        let scratch = Scratch::new();
        let done = run_in(&scratch, &three(second), &["--cpu-limit", "3"]);
        done.expect_code(138)
            .expect_stderr("the kernel was killed for using more than its CPU time limit of 3 s");
        assert_eq!(Saved::of(&scratch).statuses(), ["completed", "failed", "pending"]);
        assert_eq!(isolation(&scratch)["cpu_limit"]["seconds"], 3);
    }
}

#[test]
fn the_number_of_processes_is_bounded() {
    let scratch = Scratch::new();
    let bomb = "import subprocess\nchildren = []\ntry:\n    while len(children) < 200:\n        \
                children.append(subprocess.Popen(['sleep', '600']))\nexcept OSError as error:\n    \
                print(type(error).__name__)\nprint(len(children))";
    let said = printed(&scratch, &[bomb], &["--process-limit", "60"]);
    let (error, count) = said[0].split_once('\n').unwrap_or_else(|| panic!("it was not bounded: {said:?}"));
    assert_eq!(error, "BlockingIOError");
    assert!(count.parse::<u32>().is_ok_and(|count| (1..60).contains(&count)), "{count}");
    assert_eq!(isolation(&scratch)["process_limit"]["processes"], 60);
}

#[test]
fn the_notebook_says_what_was_active_and_an_open_run_says_nothing() {
    let scratch = Scratch::new();
    let limits =
        ["--memory-limit", "1GiB", "--cpu-limit", "60", "--process-limit", "200", "--work-folder", "work"];
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    printed(&scratch, &["print(1)"], &[&STRICT[..], &limits].concat());
    let said = isolation(&scratch);
    let parts: Vec<&String> = said.as_object().expect("an object").keys().collect();
    let expected =
        ["network", "files", "home", "processes", "variables", "memory_limit", "cpu_limit", "process_limit"];
    let parts: BTreeSet<&str> = parts.into_iter().map(String::as_str).collect();
    assert_eq!(parts, BTreeSet::from(expected), "{said:#}");
    assert_eq!(said["network"]["by"], "user and network namespaces");
    for part in ["files", "home", "processes"] {
        assert!(said[part]["by"].as_str().is_some_and(|by| by.starts_with("landlock (ABI ")), "{said:#}");
    }
    assert_eq!(said["files"]["work_folders"], json!([scratch.join("work")]));
    printed(&scratch, &["print(1)"], &[]);
    assert_eq!(isolation(&scratch), Value::Null);
}

#[test]
fn what_ordinary_notebooks_do_works_at_the_highest_level() {
    let scratch = Scratch::new();
    let cells = [
        "import multiprocessing as mp\nwith mp.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
        "p = mp.get_context('fork').Process(target=print, args=('from a child',)); p.start(); p.join()",
        "!echo from a shell",
        "import tempfile, os\nwith tempfile.TemporaryDirectory() as d: print(os.listdir(d))",
        "import random, ssl, sqlite3, asyncio\nprint(len(os.urandom(4)), open('/dev/null').read() == '')",
        "print(sum(1 for _ in open(os.__file__)) > 0)",
    ];
    let said = printed(&scratch, &cells, &STRICT);
    assert_eq!(said, ["[1, 2]", "from a child", "from a shell", "[]", "4 True", "True"]);
}

#[test]
fn another_kernel_is_contained_as_well() {
    let scratch = Scratch::new();
    let book = Book::for_kernel("bash", "bash")
        .code("echo hi; { : > outside; } 2>/dev/null || echo refused")
        .code("(exec 3<>/dev/tcp/127.0.0.1/1) 2>/dev/null || echo nobody; ls /proc/net/dev >/dev/null && tail -n +3 /proc/net/dev | wc -l");
    run_in(&scratch, &book, &STRICT).expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!((saved.printed(0).as_str(), saved.printed(1).as_str()), ("hi\nrefused\n", "nobody\n1\n"));
}

#[test]
fn a_kernel_that_needs_a_network_to_be_reached_is_refused_without_one() {
    let scratch = Scratch::new();
    let book = Book::for_kernel("deno", "typescript").code("1");
    let done = run_in(&scratch, &book, &["--no-network"]);
    done.expect_code(1).expect_stderr("cannot close the network to it").expect_stderr("TCP only");
}

#[test]
fn each_run_of_a_batch_is_contained_and_its_kernel_is_started_anew() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("results")).expect("a folder can be made");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("it is bound").port();
    let book = Book::new()
        .parameters("name = ''")
        .code(&attempt("open(f'out/{name}.txt', 'w').close()"))
        .code(&attempt(&format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 5).close()")))
        .code(&attempt("open(f'results/{name}.txt', 'w').close()"))
        .code("print(open('/proc/self/cmdline').read())");
    scratch.write("in.ipynb", book.to_bytes());
    let batch = |args: &[&str]| {
        let mut command =
            scratch.rnbexec(["batch", "in.ipynb", "--grid", "name=a,b,c", "-o", "out/{name}.ipynb"]);
        finish(command.args(["--jobs", "2"]).args(args)).expect_code(0);
        scratch.expect_nothing_left();
        ["a", "b", "c"].map(|name| Saved(scratch.json(format!("out/{name}.ipynb"))))
    };
    let limits = ["--memory-limit", "1GiB", "--work-folder", "results"];
    for fork_server in ["--fork-server", "--no-fork-server"] {
        for (name, saved) in
            ["a", "b", "c"].iter().zip(batch(&[&STRICT[..], &limits, &[fork_server]].concat()))
        {
            let said: Vec<String> = (1..4).map(|cell| saved.printed(cell).trim_end().to_owned()).collect();
            assert_eq!(said, ["PermissionError", "ConnectionRefusedError", "done"], "{name}");
            assert!(!saved.printed(4).contains("fork_server"), "{}", saved.printed(4));
            let isolation = &saved.0["metadata"]["rnbexec"]["isolation"];
            assert_eq!(isolation["network"]["by"], "user and network namespaces", "{isolation:#}");
            assert_eq!(isolation["files"]["work_folders"], json!([scratch.join("results")]), "{isolation:#}");
            assert_eq!(isolation["memory_limit"]["bytes"], 1 << 30, "{isolation:#}");
            std::fs::remove_file(scratch.join(format!("results/{name}.txt"))).expect("the run wrote it");
        }
    }
    // Without a word they are forked.
    for saved in batch(&[]) {
        assert!(saved.printed(4).contains("fork_server"), "{}", saved.printed(4));
        assert_eq!(saved.0["metadata"]["rnbexec"]["isolation"], Value::Null);
    }
}

#[test]
fn interrupts_timeouts_and_signals_work_when_contained() {
    let book =
        three("print('so far', flush=True)\nopen('work/begun', 'w').close()\nimport time; time.sleep(600)");
    let limits = ["--memory-limit", "1GiB", "--process-limit", "200", "--work-folder", "work"];
    let args = [&STRICT[..], &limits].concat();
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    run_in(&scratch, &book, &[&args[..], &["--execution-timeout", "5"]].concat()).expect_code(1);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert!(saved.cell(1)["outputs"].to_string().contains("KeyboardInterrupt"), "{:#}", saved.cell(1));

    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    scratch.write("in.ipynb", book.to_bytes());
    let running = Running::start(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(&args));
    wait_for("the cell to begin", SOON, || scratch.join("work/begun").exists().then_some(()));
    running.signal("TERM");
    running.finish(SOON).expect_code(143);
    assert_eq!(Saved::of(&scratch).statuses(), ["completed", "failed", "pending"]);
    scratch.expect_nothing_left();
}

#[test]
fn a_contained_kernel_dies_with_its_runner_and_the_next_run_removes_its_control_groups() {
    let scratch = Scratch::new();
    let limits = ["--memory-limit", "1GiB", "--process-limit", "200", "--work-folder", "work"];
    let args = [&STRICT[..], &limits].concat();
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    scratch.write(
        "in.ipynb",
        Book::new().code("open('work/begun', 'w').close()\nimport time; time.sleep(600)").to_bytes(),
    );
    let running = Running::start(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(&args));
    wait_for("the cell to begin", SOON, || scratch.join("work/begun").exists().then_some(()));
    let killed = running.id();
    assert!(!control_groups(killed).is_empty(), "this machine has control groups that can be written");
    running.signal("KILL");
    assert_eq!(running.finish(SOON).code(), 137);
    wait_for("the kernel to be gone", SOON, || scratch.alive().is_empty().then_some(()));
    run_in(&scratch, &Book::new().code("1"), &args).expect_code(0);
    assert_eq!(control_groups(killed), Vec::<PathBuf>::new());
}

/// Contained code would otherwise put a link there, through which the runner, which is not contained, writes.
#[test]
fn nothing_is_written_into_a_work_folder_from_outside() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('begun', 'w').close()").to_bytes());
    scratch.write("rows.csv", "x\n1\n");
    std::fs::create_dir(scratch.join("work")).expect("a folder can be made");
    std::os::unix::fs::symlink(scratch.home(), scratch.join("work/planted")).expect("a link can be made");
    let closed = ["--isolate", "files", "--work-folder", "work"];
    let run = ["run", "in.ipynb"];
    for others in
        [&["work/out.ipynb"][..], &["work/planted/out.ipynb"], &["out.ipynb", "--stdout-file", "work/stdout"]]
    {
        finish(scratch.rnbexec(run).args(others).args(closed))
            .expect_code(1)
            .expect_stderr("lies in the work folder");
    }
    let batch = ["batch", "in.ipynb", "--each", "rows.csv", "-o"];
    for others in [&["work/{x}.ipynb"][..], &["out/{x}.ipynb", "--summary", "work/summary"]] {
        finish(scratch.rnbexec(batch).args(others).args(closed))
            .expect_code(1)
            .expect_stderr("lies in the work folder");
    }
    assert!(!scratch.join("begun").exists() && std::fs::read_dir(scratch.join("work")).unwrap().count() == 1);
    scratch.expect_nothing_left();
}

/// Installing runs what packages bring, with all that the runner may do.
#[test]
fn the_dependencies_that_a_contained_notebook_names_are_not_installed_for_it() {
    let scratch = Scratch::new();
    let package = scratch.join("package");
    std::fs::create_dir(&package).expect("a folder can be made");
    std::fs::write(package.join("setup.py"), format!("open({:?}, 'w')", scratch.join("begun")))
        .expect("it can be written");
    let block = format!("# /// script\n# dependencies = [\"evil @ file://{}\"]\n# ///", package.display());
    scratch.write("in.ipynb", Book::new().code(&block).to_bytes());
    for closed in [&["--isolate", "strict"][..], &["--no-network"], &["--read-only", "--env", "auto"]] {
        finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(closed))
            .expect_code(1)
            .expect_stderr("would run code that is not contained")
            .expect_stderr("help: look at the dependencies");
    }
    assert!(!scratch.join("begun").exists() && !scratch.join("out.ipynb").exists());
}

/// Whoever can read another kernel's connection file can have it run code, and that kernel may not be contained.
#[test]
fn the_folders_of_other_kernels_are_closed() {
    let scratch = Scratch::new();
    let other = Running::start(&mut {
        scratch.write(
            "other.ipynb",
            Book::new().code("open('begun', 'w').close()\nimport time; time.sleep(600)").to_bytes(),
        );
        scratch.rnbexec(["run", "other.ipynb", "other-out.ipynb"])
    });
    wait_for("the other kernel", SOON, || scratch.join("begun").exists().then_some(()));
    let files = connection_files(&scratch);
    assert!(!files.is_empty(), "the other has one");
    let read: Vec<String> =
        files.iter().map(|file| attempt(&format!("open({:?}).read()", file.display()))).collect();
    let book = read.iter().fold(Book::new(), |book, cell| book.code(cell));
    scratch.write("in.ipynb", book.to_bytes());
    for level in ["files", "strict"] {
        let closed = [&STRICT[2..], &["--isolate", level]].concat();
        finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(closed)).expect_code(0);
        let saved = Saved::of(&scratch);
        assert!((0..read.len()).all(|cell| saved.printed(cell) == "PermissionError\n"), "{:#}", saved.0);
    }
    other.signal("INT");
    other.finish(SOON).expect_code(130);
}

/// The connection files of the kernels that run in this world.
fn connection_files(scratch: &Scratch) -> Vec<PathBuf> {
    let bases = [scratch.root().join("run"), scratch.tmp()];
    let folders = bases.iter().filter_map(|base| std::fs::read_dir(base).ok()).flatten().flatten();
    let mark = "rnbexec-kernel-";
    let ours = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(mark));
    ours.map(|entry| entry.path().join("connection.json")).filter(|file| file.exists()).collect()
}

/// Also not what the caller of the program had open: a lock, a secret, a folder.
#[test]
fn descriptors_of_whoever_started_the_program_are_closed() {
    let scratch = Scratch::new();
    scratch.write("secret", "s3cret");
    scratch.write(
        "in.ipynb",
        Book::new().code("import os\nprint(sorted(os.listdir('/proc/self/fd')).count('77'))").to_bytes(),
    );
    let run = ["-c", "exec 77<secret; exec \"$@\"", "bash"];
    for (closed, seen) in [(&["--isolate", "network"][..], "0\n"), (&["--isolate", "strict"], "0\n")] {
        let mut command = scratch.command("bash");
        command
            .args(run)
            .arg(rnbexec_tests::rnbexec_path())
            .args(["run", "in.ipynb", "out.ipynb"])
            .args(closed);
        finish(&mut command).expect_code(0);
        assert_eq!(Saved::of(&scratch).printed(0), seen);
    }
}

/// Nothing ran: the earlier notebook at the output stands, and the kernel's process was never there.
#[track_caller]
fn expect_refused(scratch: &Scratch, done: &Done, what: &str) {
    done.expect_code(1).expect_stderr("the kernel did not start").expect_stderr(what).expect_stderr("help: ");
    assert_eq!(scratch.read("out.ipynb"), b"earlier");
    assert!(!scratch.join("begun").exists(), "the cell ran");
    scratch.expect_nothing_left();
}

fn scratch_with_an_earlier_output() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('begun', 'w').close()").to_bytes());
    scratch.write("out.ipynb", "earlier");
    scratch
}

#[test]
fn a_network_that_cannot_be_closed_here_is_an_error_before_the_kernel_starts() {
    let scratch = scratch_with_an_earlier_output();
    let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--no-network", "--retries", "2"]);
    // Where an administrator forbids user namespaces, as many do.
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let done =
        finish(&mut wrapped(&command, &["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]));
    expect_refused(&scratch, &done, "cannot close the network to it: making namespaces");
}

/// Runs a command where three system calls are unknown, as on a Linux without landlock.
const NO_LANDLOCK: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def op(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
ENOSYS = 0x00050000 | 38
program = b"".join([op(0x20, 0, 0, 0), op(0x35, 0, 2, 444), op(0x25, 1, 0, 446), op(0x06, 0, 0, ENOSYS), op(0x06, 0, 0, 0x7fff0000)])
buffer = ctypes.create_string_buffer(program)
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
filter = Program(len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn files_that_cannot_be_closed_here_are_an_error_before_the_kernel_starts() {
    for switch in ["--read-only", "--isolate=strict"] {
        let scratch = scratch_with_an_earlier_output();
        let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", switch]);
        let done = finish(&mut wrapped(&command, &["python3", "-c", NO_LANDLOCK]));
        expect_refused(&scratch, &done, "cannot close files to it: asking landlock");
    }
}

#[test]
fn a_limit_of_processes_that_nothing_enforces_is_an_error_before_the_kernel_starts() {
    let scratch = scratch_with_an_earlier_output();
    let command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--process-limit", "50"]);
    let done = finish(&mut without_control_groups(&command));
    expect_refused(&scratch, &done, "cannot limit the number of its processes");
}

#[test]
fn a_program_that_is_missing_is_named_as_ever_when_contained() {
    let scratch = Scratch::new();
    let spec = json!({"argv": ["/no/such/program", "{connection_file}"], "display_name": "x", "language": "faults",
                      "metadata": {"rnbexec": {"transport": "ipc"}}});
    rnbexec_tests::oracle::write_kernelspec(&scratch.home().join("jupyter-data"), "fake", &spec);
    let done = run_in(&scratch, &FakeKernel::book().code("stdout hi"), &STRICT);
    done.expect_code(1).expect_stderr("/no/such/program").expect_stderr("does not exist");
}

//! Kernels that are forked, and kernels that are prepared ahead: what comes of a notebook is the same either way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rnbexec_kernel::{
    DeathCause, Expected, Kernel, KernelPool, Kernelspec, Origin, PoolOptions, SearchContext, ShutdownPolicy,
};
use rnbexec_tests::{FakeKernel, wait_for};
use serde_json::{Value, json};

use crate::{Act, Seen, World, execute, execute_with};

const FORKS: PoolOptions = PoolOptions { fork: true, spares: 0 };
const NO_FORKS: PoolOptions = PoolOptions { fork: false, spares: 0 };

impl World {
    fn spec(&self, name: &str) -> Kernelspec {
        let context = SearchContext {
            vars: self.options.base_env.clone(),
            home: Some(self.scratch.home()),
            prefixes: Vec::new(),
        };
        rnbexec_kernel::find(&context, name).expect("the harness installs it")
    }

    /// Puts modules where every Python here finds them; returns their folder.
    fn with_modules(&mut self, modules: &[(&str, &str)]) -> PathBuf {
        let folder = self.scratch.root().join("modules");
        fs::create_dir_all(&folder).expect("the folder is ours");
        for (name, code) in modules {
            fs::write(folder.join(format!("{name}.py")), code).expect("the folder is ours");
        }
        self.options.base_env.insert("PYTHONPATH".into(), folder.clone().into_os_string());
        folder
    }

    /// Makes a module `slow`, whose import lasts until somebody has opened and closed the pipe that is returned.
    fn with_slow_module(&mut self) -> PathBuf {
        let code = "open(__file__.replace('slow.py', 'gate')).read()\n";
        let gate = self.with_modules(&[("slow", code)]).join("gate");
        let made = std::process::Command::new("mkfifo").arg(&gate).status();
        assert!(made.is_ok_and(|status| status.success()));
        gate
    }

    async fn from(&self, pool: &KernelPool, imports: &[&str]) -> Kernel {
        let imports: Vec<String> = imports.iter().map(|&name| name.to_owned()).collect();
        pool.launch(&self.spec("python3"), self.options.clone(), &imports).await.expect("it starts")
    }

    /// Waits for a forked kernel that is none of these; returns its process.
    fn prepared(&self, known: &[&Kernel]) -> u32 {
        wait_for("a prepared kernel", Duration::from_mins(1), || {
            let processes = self.scratch.alive();
            let forked = processes.iter().filter(|process| process.contains("fork_server"));
            let mut ids = forked.filter_map(|process| process.split(' ').next()?.parse().ok());
            ids.find(|&pid| {
                is_session_leader_with_sockets(pid) && known.iter().all(|kernel| kernel.pid() != pid)
            })
        })
    }

    /// What cells give in one kernel of the pool, as a notebook would keep it; and where the kernel came from.
    async fn outputs(&self, pool: &KernelPool, imports: &[&str], cells: &[&str]) -> (Origin, Vec<Value>) {
        let mut kernel = self.from(pool, imports).await;
        let origin = kernel.origin();
        let mut outputs = Vec::new();
        for cell in cells {
            outputs.push(kept(&execute(&mut kernel, cell).await.complete()));
        }
        kernel.shutdown(ShutdownPolicy::default()).await;
        (origin, outputs)
    }
}

/// The outputs of a cell: texts of a stream joined, transient things left out.
fn kept(seen: &Seen) -> Value {
    let mut outputs: Vec<Value> = Vec::new();
    for message in &seen.iopub {
        let mut content: Value = serde_json::from_slice(&message.content).expect("JSON");
        let msg_type = message.header.msg_type.as_str();
        if !["stream", "execute_result", "display_data", "error"].contains(&msg_type) {
            continue;
        }
        content["msg_type"] = msg_type.into();
        let content = without_process_ids(&content);
        match outputs.last_mut() {
            Some(last) if msg_type == "stream" && last["name"] == content["name"] => {
                let joined =
                    [&last["text"], &content["text"]].map(|text| text.as_str().unwrap_or_default()).concat();
                last["text"] = joined.into();
            }
            _ => outputs.push(content),
        }
    }
    json!({"outputs": outputs, "status": seen.reply["status"]})
}

/// A cell's file is named after its kernel's process.
fn without_process_ids(content: &Value) -> Value {
    let mut text = content.to_string();
    let mut from = 0;
    while let Some(at) = text[from..].find("ipykernel_") {
        from += at + "ipykernel_".len();
        let digits = text[from..].bytes().take_while(u8::is_ascii_digit).count();
        text.replace_range(from..from + digits, "PID");
    }
    serde_json::from_str(&text).expect("it still is JSON")
}

#[tokio::test]
async fn outputs_are_the_same_whether_a_kernel_is_forked_or_started() {
    let mut world = World::new();
    world.with_modules(&[
        ("heavy", "import json\nfrom dataclasses import dataclass\nVALUE = [1, 2, 3]\n"),
        ("chatty", "print('imported chatty')\nimport sys; print('to stderr', file=sys.stderr)\n"),
        ("warns", "import warnings; warnings.warn('old', DeprecationWarning, stacklevel=2)\n"),
        ("threaded", "import threading, time\nTHREAD = threading.Thread(target=time.sleep, args=(1000,), daemon=True)\nTHREAD.start()\n"),
        ("asks", "from IPython import get_ipython\nSHELL = type(get_ipython()).__name__\n"),
        ("broken", "1 / 0\n"),
    ]);
    let imports = [
        "heavy",
        "chatty",
        "warns",
        "threaded",
        "asks",
        "broken",
        "no_such_module",
        "tqdm.auto",
        "ipywidgets",
        "multiprocessing", // names the main program a second time
    ];
    let cells = [
        "import sys, os\nsys.argv[0].rsplit('/', 1)[-1], len(sys.argv), sys.executable, sys.path, sys.flags",
        "os.getcwd(), __name__, sorted(set(os.environ) - {'RNBEXEC_KERNEL'}), os.environ['MPLBACKEND'], os.umask(0o22)",
        "import signal\n[(number.name, str(signal.getsignal(number)).split(' at ')[0]) for number in sorted(signal.valid_signals() - {n for n in signal.valid_signals() if not hasattr(n, 'name')})]",
        "type(get_ipython()).__name__, sys.modules['__main__'].__dict__ is globals(), 'launcher' in sys.modules",
        "import heavy; print(heavy.VALUE); heavy",
        "import chatty",
        "import warns",
        "import threaded; threaded.THREAD.is_alive()",
        "import asks; asks.SHELL",
        "import broken",
        "import no_such_module",
        "from tqdm.auto import tqdm; tqdm.__module__",
        "os.getpgid(0) == os.getpid() == os.getsid(0), sys.stdin.closed, os.read(0, 10)",
        "depth = 0\ndef deeper():\n    global depth\n    depth += 1\n    deeper()\ntry:\n    deeper()\nexcept RecursionError:\n    print(depth)",
        "def fail(): raise ValueError('no')\nfail()",
        "import subprocess; print(subprocess.run(['sh', '-c', 'echo $RNBEXEC_TESTS_MARK; pwd'], capture_output=True, text=True).stdout)",
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
        "import asyncio\nawait asyncio.sleep(0)\nasyncio.get_running_loop().is_running()",
        "%who\n%pwd",
        "!echo from a shell",
        "input()",
    ];
    let (forked, from_fork) = world.outputs(&KernelPool::new(FORKS), &imports, &cells).await;
    let (started, from_start) = world.outputs(&KernelPool::new(NO_FORKS), &imports, &cells).await;
    assert_eq!((forked, started), (Origin::Forked, Origin::Started));
    for ((cell, forked), started) in cells.iter().zip(&from_fork).zip(&from_start) {
        assert_eq!(forked, started, "{cell}");
    }
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn what_is_imported_is_there_before_the_fork_and_random_state_is_not_shared() {
    let mut world = World::new();
    world.with_modules(&[("heavy", "import os\nPID = os.getpid()\n")]);
    let pool = KernelPool::new(FORKS);
    let cells = [
        "import heavy, os; print(heavy.PID == os.getpid())",
        "import random, uuid, secrets; print(random.random(), uuid.uuid4(), secrets.token_hex(4))",
    ];
    let (_, one) = world.outputs(&pool, &["heavy"], &cells).await;
    let (origin, other) = world.outputs(&pool, &["heavy"], &cells).await;
    assert_eq!(origin, Origin::Forked);
    assert_eq!(one[0]["outputs"][0]["text"], "False\n");
    let words = |outputs: &[Value]| -> Vec<String> {
        outputs[1]["outputs"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    for (mine, theirs) in words(&one).iter().zip(&words(&other)) {
        assert_ne!(mine, theirs);
    }
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_module_of_the_working_directory_is_not_hidden_by_a_preloaded_one() {
    let world = World::new();
    world.scratch.write("tqdm.py", "PLACE = 'here'\n");
    let cells = ["import tqdm; print(tqdm.PLACE)"];
    let (origin, outputs) = world.outputs(&KernelPool::new(FORKS), &["tqdm"], &cells).await;
    assert_eq!(origin, Origin::Started);
    assert_eq!(outputs[0]["outputs"][0]["text"], "here\n");
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_preloaded_module_that_changes_is_imported_again() {
    let mut world = World::new();
    let folder = world.with_modules(&[("rules", "VERSION = 'one'\n")]);
    let pool = KernelPool::new(FORKS);
    let cells = ["import rules; print(rules.VERSION)"];
    let version = |outputs: Vec<Value>| outputs[0]["outputs"][0]["text"].as_str().map(str::to_owned);
    let (_, outputs) = world.outputs(&pool, &["rules"], &cells).await;
    assert_eq!(version(outputs).as_deref(), Some("one\n"));
    fs::write(folder.join("rules.py"), "VERSION = 'number two'\n").expect("the folder is ours");
    let (origin, outputs) = world.outputs(&pool, &["rules"], &cells).await;
    assert_eq!((origin, version(outputs).as_deref()), (Origin::Started, Some("number two\n")));
    let (origin, outputs) = world.outputs(&pool, &["rules"], &cells).await;
    assert_eq!((origin, version(outputs).as_deref()), (Origin::Forked, Some("number two\n")));
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_forked_kernel_is_interrupted_and_its_death_is_explained() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    let code = "import time\nprint('begun', flush=True)\ntime.sleep(1000)";
    let mut interrupted = false;
    let seen = execute_with(&mut kernel, code, |seen| {
        let now = !interrupted && seen.stdout() == "begun\n";
        interrupted |= now;
        now.then_some(Act::Interrupt)
    });
    assert_eq!(seen.await.complete().reply["ename"], "KeyboardInterrupt");
    let seen = execute(&mut kernel, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").await;
    let (cause, tail) = seen.death();
    assert_eq!(cause, &DeathCause::Signal(11));
    assert!(tail.contains("Segmentation fault"), "{tail}");
    drop(kernel);

    let mut kernel = world.from(&pool, &[]).await;
    assert_eq!(kernel.origin(), Origin::Forked);
    assert_eq!(execute(&mut kernel, "import os; os._exit(7)").await.death().0, &DeathCause::Exit(7));
    drop((kernel, pool));
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn what_a_forked_kernel_started_ends_with_it() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    let other = world.from(&pool, &[]).await;
    let code =
        "import subprocess\nsubprocess.Popen(['sleep', '600'])\nsubprocess.Popen(['setsid', 'sleep', '600'])";
    execute(&mut kernel, code).await.complete();
    kernel.shutdown(ShutdownPolicy::default()).await;
    wait_for("the sleepers to be gone", Duration::from_secs(20), || {
        world.scratch.alive().iter().all(|process| !process.contains("sleep")).then_some(())
    });
    // The server and the other kernel are not touched.
    let mut other = other;
    assert_eq!(execute(&mut other, "print('here')").await.complete().stdout(), "here\n");
    drop((other, pool));
    world.scratch.expect_nothing_left();
}

/// Without becoming another program, and where no signal to the kernel's group reaches it.
#[tokio::test]
async fn what_a_forked_kernel_forked_ends_with_it() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    assert_eq!(kernel.origin(), Origin::Forked);
    let mut other = world.from(&pool, &[]).await;
    let code = "import os, signal
begun, begin = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    os.write(begin, b'.')
    while True:
        signal.pause()
os.read(begun, 1)
print(child)";
    let seen = execute(&mut kernel, code).await.complete();
    let child = format!("{} ", seen.stdout().trim());
    let lives = || world.scratch.alive().iter().any(|process| process.starts_with(&child));
    assert!(lives(), "{child}");
    kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
    wait_for("what it forked to be gone", Duration::from_secs(20), || (!lives()).then_some(()));
    assert_eq!(execute(&mut other, "print('here')").await.complete().stdout(), "here\n");
    drop((other, pool));
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn when_the_server_dies_its_kernels_do_and_the_next_is_started() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    let seen = execute(
        &mut kernel,
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL); import time; time.sleep(1000)",
    )
    .await;
    assert_eq!(seen.death().0, &DeathCause::Signal(9));
    drop(kernel);
    let mut next = world.from(&pool, &[]).await;
    assert_eq!(execute(&mut next, "print('here')").await.complete().stdout(), "here\n");
    assert_eq!(next.origin(), Origin::Started);
    drop(next);
    let again = world.from(&pool, &[]).await;
    assert_eq!(again.origin(), Origin::Forked);
    drop((again, pool));
    world.scratch.expect_nothing_left();
}

/// Deaths are told one by one, and no death waits for another, or for anybody to ask for a kernel.
#[tokio::test]
async fn a_death_is_told_also_after_a_signal_that_told_of_none() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    assert_eq!(kernel.origin(), Origin::Forked);
    let code = "import os, signal
server = os.getppid()
os.kill(server, signal.SIGCHLD)
taken = False
while not taken:
    with open(f'/proc/{server}/status') as file:
        status = file.read()
    taken = 'State:\\tS' in status and 'ShdPnd:\\t0000000000000000' in status
os._exit(7)";
    let seen = tokio::time::timeout(Duration::from_mins(1), execute(&mut kernel, code)).await;
    assert_eq!(seen.expect("its death is told").death().0, &DeathCause::Exit(7));
    drop((kernel, pool));
    world.scratch.expect_nothing_left();
}

/// Libraries have handlers of their own for a fork.
#[tokio::test]
async fn kernels_whose_fork_hangs_are_started_and_only_the_first_is_waited_for() {
    let mut world = World::new();
    let code = "import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(1000))";
    world.with_modules(&[("hanging", code)]);
    let pool = KernelPool::new(FORKS);
    for _ in 0..2 {
        let mut kernel = world.from(&pool, &["hanging"]).await;
        assert_eq!(kernel.origin(), Origin::Started);
        assert_eq!(execute(&mut kernel, "print('here')").await.complete().stdout(), "here\n");
    }
    // The others are not forgotten for it.
    assert_eq!(world.from(&pool, &[]).await.origin(), Origin::Forked);
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn the_death_of_a_kernel_whose_server_hangs_is_noticed() {
    let world = World::new();
    let pool = KernelPool::new(FORKS);
    let mut kernel = world.from(&pool, &[]).await;
    assert_eq!(kernel.origin(), Origin::Forked);
    let code = "import os, signal; os.kill(os.getppid(), signal.SIGSTOP); os._exit(7)";
    let seen = tokio::time::timeout(Duration::from_mins(1), execute(&mut kernel, code)).await;
    // Only its parent could learn how it ended.
    assert_eq!(seen.expect("its death is noticed").death().0, &DeathCause::Unknown);
    drop((kernel, pool));
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_whose_server_is_ready_does_not_wait_for_one_that_starts() {
    let mut world = World::new();
    let gate = world.with_slow_module();
    let pool = KernelPool::new(FORKS);
    drop(world.from(&pool, &[]).await);
    let (slow, quick) = tokio::join!(world.from(&pool, &["slow"]), async {
        let opened = import_has_begun(&gate);
        let quick = world.from(&pool, &[]).await;
        drop(opened);
        quick
    });
    assert_eq!((quick.origin(), slow.origin()), (Origin::Forked, Origin::Forked));
    drop((slow, quick, pool));
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_late_forks_the_kernels_that_come_when_it_is_ready() {
    let mut world = World::new();
    let gate = world.with_slow_module();
    let pool = KernelPool::new(FORKS);
    let patience = std::mem::replace(&mut world.options.start_timeout, Duration::from_secs(20));
    let first = world.from(&pool, &["slow"]).await;
    assert_eq!(first.origin(), Origin::Started);
    drop(import_has_begun(&gate));
    world.options.start_timeout = patience;
    let second = world.from(&pool, &["slow"]).await;
    assert_eq!(second.origin(), Origin::Forked);
    drop((first, second, pool));
    world.scratch.expect_nothing_left();
}

/// Opens the pipe that the import of a slow module reads.
fn import_has_begun(gate: &Path) -> tokio::net::unix::pipe::Sender {
    // It cannot be opened before somebody reads.
    let open = || tokio::net::unix::pipe::OpenOptions::new().open_sender(gate).ok();
    wait_for("a module to be imported", Duration::from_mins(1), open)
}

#[tokio::test]
async fn kernels_that_cannot_be_forked_are_started() {
    let world = World::new();
    FakeKernel::default().install(&world.scratch);
    let pool = KernelPool::new(FORKS);
    let kernel = pool.launch(&world.spec("fake"), world.options.clone(), &[]).await.expect("it starts");
    assert_eq!(kernel.origin(), Origin::Started);
    drop(kernel);

    // A Python without what the server needs.
    let mut world = world;
    world.with_modules(&[("socket", "raise ImportError('not here')\n")]);
    let launched = pool.launch(&world.spec("python3"), world.options.clone(), &[]).await;
    assert!(launched.is_err(), "ipykernel needs it too, and its own words are told");
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_kernel_is_prepared_while_more_are_expected() {
    let world = World::new();
    let pool = KernelPool::new(PoolOptions { fork: false, spares: 1 });
    pool.expect(Expected::Alike);
    let first = world.from(&pool, &[]).await;
    let processes = || {
        let kernels = world.scratch.alive().into_iter().filter(|process| process.contains("launcher.py"));
        kernels.filter_map(|process| process.split(' ').next()?.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    let prepared = wait_for("a second kernel", Duration::from_mins(1), || {
        processes().into_iter().find(|&pid| pid != first.pid())
    });
    let mut second = world.from(&pool, &[]).await;
    assert_eq!(second.pid(), prepared);
    assert_eq!(execute(&mut second, "print('here')").await.complete().stdout(), "here\n");
    // Another working directory is another kernel.
    let mut elsewhere = world.options.clone();
    elsewhere.cwd = Some(world.scratch.root().to_path_buf());
    let mut third = pool.launch(&world.spec("python3"), elsewhere, &[]).await.expect("it starts");
    let seen = execute(&mut third, "import os; print(os.getcwd())").await.complete();
    assert_eq!(Path::new(seen.stdout().trim()), world.scratch.root());
    // Unless it is known where the next will work.
    pool.expect(Expected::In(world.scratch.home()));
    let mut elsewhere = world.options.clone();
    elsewhere.cwd = Some(world.scratch.tmp());
    let fourth = pool.launch(&world.spec("python3"), elsewhere.clone(), &[]).await.expect("it starts");
    let known = [&first, &second, &third, &fourth].map(Kernel::pid);
    let prepared = wait_for("a fifth kernel", Duration::from_mins(1), || {
        processes().into_iter().find(|pid| !known.contains(pid) && works_in(*pid, &world.scratch.home()))
    });
    elsewhere.cwd = Some(world.scratch.home());
    let mut fifth = pool.launch(&world.spec("python3"), elsewhere, &[]).await.expect("it starts");
    assert_eq!(fifth.pid(), prepared);
    let seen = execute(&mut fifth, "import os; print(os.getcwd())").await.complete();
    assert_eq!(Path::new(seen.stdout().trim()), world.scratch.home());
    drop((first, second, third, fourth, fifth));
    pool.close().await;
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_kernel_that_died_is_not_handed_out() {
    let world = World::new();
    let pool = KernelPool::new(PoolOptions { fork: true, spares: 1 });
    pool.expect(Expected::Alike);
    let first = world.from(&pool, &[]).await;
    let prepared = world.prepared(&[&first]).to_string();
    let killed = std::process::Command::new("kill").args(["-KILL", &prepared]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let mut second = world.from(&pool, &[]).await;
    assert_eq!(execute(&mut second, "print('here')").await.complete().stdout(), "here\n");
    drop((first, second));
    pool.close().await;
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_kernel_with_a_module_that_changed_is_not_handed_out() {
    let mut world = World::new();
    let folder = world.with_modules(&[("rules", "VERSION = 'one'\n")]);
    let pool = KernelPool::new(PoolOptions { fork: true, spares: 1 });
    pool.expect(Expected::Alike);
    let first = world.from(&pool, &["rules"]).await;
    let prepared = world.prepared(&[&first]);
    // As long as nothing changes, it is.
    let mut second = world.from(&pool, &["rules"]).await;
    assert_eq!((second.pid(), second.origin()), (prepared, Origin::Forked));
    let code = "import rules; print(rules.VERSION)";
    assert_eq!(execute(&mut second, code).await.complete().stdout(), "one\n");
    let prepared = world.prepared(&[&first, &second]);
    fs::write(folder.join("rules.py"), "VERSION = 'number two'\n").expect("the folder is ours");
    let mut third = world.from(&pool, &["rules"]).await;
    assert_ne!(third.pid(), prepared);
    assert_eq!(execute(&mut third, code).await.complete().stdout(), "number two\n");
    drop((first, second, third));
    pool.close().await;
    drop(pool);
    world.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_kernel_with_a_module_that_the_working_directory_has_got_is_not_handed_out() {
    let world = World::new();
    let pool = KernelPool::new(PoolOptions { fork: true, spares: 1 });
    pool.expect(Expected::Alike);
    let first = world.from(&pool, &["tqdm"]).await;
    let prepared = world.prepared(&[&first]);
    world.scratch.write("tqdm.py", "PLACE = 'here'\n");
    let mut second = world.from(&pool, &["tqdm"]).await;
    assert_ne!(second.pid(), prepared);
    let seen = execute(&mut second, "import tqdm; print(tqdm.PLACE)").await.complete();
    assert_eq!(seen.stdout(), "here\n");
    drop((first, second));
    pool.close().await;
    drop(pool);
    world.scratch.expect_nothing_left();
}

fn works_in(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
}

/// Whether this is a forked kernel, not the server: it has threads.
fn is_session_leader_with_sockets(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 2)
}

//! The kernel library against real kernels: ipykernel, bash, Deno, and the one whose language is faults.

mod kernel {
    mod pool;
}

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use rnbexec_kernel::{
    DeathCause, ExecuteRequest, ExecutionEnd, Exit, ExitManner, Kernel, KernelEvent, LaunchOptions, Launcher,
    Message, SearchContext, ShutdownPolicy, WireError,
};
use rnbexec_tests::{FakeKernel, Scratch};
use serde_json::Value;

/// A world with no kernel in it yet.
struct World {
    scratch: Scratch,
    options: LaunchOptions,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let vars: HashMap<OsString, OsString> = scratch.env().into_iter().collect();
        let options = LaunchOptions { cwd: Some(scratch.path()), ..LaunchOptions::new(vars) };
        Self { scratch, options }
    }

    async fn launch(&self, name: &str) -> Kernel {
        let context = SearchContext {
            vars: self.options.base_env.clone(),
            home: Some(self.scratch.home()),
            prefixes: Vec::new(),
        };
        let spec = rnbexec_kernel::find(&context, name).expect("the harness installs it");
        Kernel::launch(&spec, self.options.clone()).await.expect("it starts")
    }

    async fn python() -> (Self, Kernel) {
        let world = Self::new();
        let kernel = world.launch("python3").await;
        (world, kernel)
    }

    async fn fake(kernel: FakeKernel) -> (Self, Kernel) {
        let world = Self::new();
        kernel.install(&world.scratch);
        let kernel = world.launch("fake").await;
        (world, kernel)
    }

    /// Shuts the kernel down and looks whether anything is left.
    async fn end(self, kernel: Kernel) -> Exit {
        // Far more than any of them needs, and less than those need that hang.
        let exit = kernel.shutdown(ShutdownPolicy { grace: Duration::from_secs(8) }).await;
        self.scratch.expect_nothing_left();
        exit
    }
}

/// What an execution brought.
#[derive(Debug, Default)]
struct Seen {
    iopub: Vec<Message>,
    reply: Value,
    rejected: Vec<WireError>,
    inputs: usize,
    end: Option<ExecutionEnd>,
}

impl Seen {
    fn stdout(&self) -> String {
        self.of_type("stream").iter().filter(|content| content["name"] == "stdout").filter_map(text).collect()
    }

    fn of_type(&self, msg_type: &str) -> Vec<Value> {
        let matching = self.iopub.iter().filter(|message| message.header.msg_type == msg_type);
        matching.map(|message| serde_json::from_slice(&message.content).expect("JSON")).collect()
    }

    #[track_caller]
    fn complete(self) -> Self {
        assert_eq!(self.end, Some(ExecutionEnd::Complete));
        self
    }

    #[track_caller]
    fn death(&self) -> (&DeathCause, &str) {
        let Some(ExecutionEnd::Died(death)) = &self.end else { panic!("alive: {:?}", self.end) };
        (&death.cause, &death.stderr_tail)
    }
}

fn text(content: &Value) -> Option<String> {
    content["text"].as_str().map(str::to_owned)
}

async fn execute(kernel: &mut Kernel, code: &str) -> Seen {
    execute_with(kernel, code, |_| None).await
}

/// What to do about an event.
enum Act {
    Interrupt,
    Kill,
    Pause(Duration),
}

async fn execute_with(kernel: &mut Kernel, code: &str, mut react: impl FnMut(&Seen) -> Option<Act>) -> Seen {
    let mut seen = Seen::default();
    let mut execution = kernel.execute(ExecuteRequest::new(code));
    let id = execution.msg_id().to_owned();
    while seen.end.is_none() {
        match execution.next().await {
            KernelEvent::Iopub(message) if message.parent_msg_id.as_ref() == Some(&id) => {
                seen.iopub.push(message);
            }
            KernelEvent::Iopub(_) => continue,
            KernelEvent::Reply(message) => {
                seen.reply = serde_json::from_slice(&message.content).expect("JSON");
            }
            KernelEvent::Input(_) => seen.inputs += 1,
            KernelEvent::Rejected(error) => seen.rejected.push(error),
            KernelEvent::Ended(end) => seen.end = Some(end),
        }
        match react(&seen) {
            Some(Act::Interrupt) => execution.interrupt(),
            Some(Act::Kill) => execution.kill(),
            Some(Act::Pause(time)) => tokio::time::sleep(time).await,
            None => {}
        }
    }
    seen
}

#[tokio::test]
async fn a_python_kernel_runs_code_and_goes_when_asked() {
    let (world, mut kernel) = World::python().await;
    let info: Value = serde_json::from_slice(kernel.info()).unwrap();
    assert_eq!(info["language_info"]["name"], "python");
    let seen = execute(&mut kernel, "print('hello')\n6 * 7").await.complete();
    assert_eq!(seen.stdout(), "hello\n");
    assert_eq!(seen.of_type("execute_result")[0]["data"]["text/plain"], "42");
    assert_eq!(seen.reply["status"], "ok");
    assert_eq!(seen.reply["execution_count"], 1);
    let again: Value = serde_json::from_slice(&kernel.kernel_info().await.unwrap()).unwrap();
    assert_eq!(again["language_info"], info["language_info"]);
    let exit = world.end(kernel).await;
    assert_eq!(exit, Exit { manner: ExitManner::Asked, cause: DeathCause::Exit(0) });
}

#[tokio::test]
async fn a_kernel_that_is_dropped_leaves_nothing() {
    let (world, mut kernel) = World::python().await;
    execute(&mut kernel, "import subprocess; child = subprocess.Popen(['sleep', '600'])").await.complete();
    drop(kernel);
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_kernel_is_ended_though_its_code_left_children_behind() {
    let (world, mut kernel) = World::python().await;
    execute(&mut kernel, "import subprocess; subprocess.Popen(['sleep', '600'])").await.complete();
    let exit = world.end(kernel).await;
    assert_eq!(exit.manner, ExitManner::Asked, "a child that nobody waits for holds nothing up");
}

/// In one of a hundred stock ipykernels a thread does this by chance at the end, and then waits for ever.
#[tokio::test]
async fn a_thread_that_speaks_when_iopub_has_just_ended_holds_nothing_up() {
    let (world, mut kernel) = World::python().await;
    // In a function: IPython empties the cells' namespace before.
    let code = "
def arm():
    from ipykernel.kernelapp import IPKernelApp
    iopub = IPKernelApp.instance().iopub_thread
    join = iopub.thread.join
    def join_and_speak(timeout=None):
        join()
        looks = iter([True, True])
        iopub.thread.is_alive = lambda: next(looks, False)
        iopub.schedule(lambda: None)
    iopub.thread.join = join_and_speak
arm()
";
    assert_eq!(execute(&mut kernel, code).await.complete().reply["status"], "ok");
    assert_eq!(world.end(kernel).await.manner, ExitManner::Asked);
}

#[tokio::test]
async fn several_kernels_live_beside_each_other() {
    let world = World::new();
    let (mut one, mut two) = tokio::join!(world.launch("python3"), world.launch("python3"));
    let (first, second) =
        tokio::join!(execute(&mut one, "x = 1; print(x)"), execute(&mut two, "print('x' in vars())"));
    assert_eq!((first.complete().stdout(), second.complete().stdout()), ("1\n".into(), "False\n".into()));
    drop(one);
    assert_eq!(execute(&mut two, "print(2)").await.complete().stdout(), "2\n");
    world.end(two).await;
}

/// With the limit that ipykernel has by itself, a reader this slow loses messages, and in the end hangs.
#[tokio::test]
async fn nothing_is_lost_when_the_one_who_uses_the_kernel_is_slow() {
    let (world, mut kernel) = World::python().await;
    let mut pauses = 0;
    let code = "for i in range(20_000): print(i, flush=True)";
    let seen = execute_with(&mut kernel, code, |seen| {
        let pause = seen.iopub.len() % 2000 == 10 && pauses < 10;
        pauses += u32::from(pause);
        pause.then_some(Act::Pause(Duration::from_millis(200)))
    });
    let stdout = seen.await.complete().stdout();
    let numbers = (0..20_000).map(|number| number.to_string());
    assert!(stdout.lines().eq(numbers), "{} lines", stdout.lines().count());
    world.end(kernel).await;
}

#[tokio::test]
async fn fifty_megabytes_in_one_message_arrive_whole() {
    let (world, mut kernel) = World::python().await;
    let seen = execute(&mut kernel, "print('x' * 50_000_000, end='')").await.complete();
    let stdout = seen.stdout();
    assert!(stdout.len() == 50_000_000 && stdout.bytes().all(|byte| byte == b'x'));
    world.end(kernel).await;
}

#[tokio::test]
async fn an_interrupt_reaches_the_code_and_what_it_started_and_the_kernel_goes_on() {
    let (world, mut kernel) = World::python().await;
    let code = "import subprocess\nprint('started', flush=True)\nsubprocess.run(['sleep', '600'])";
    let begun = Instant::now();
    let mut interrupted = false;
    let seen = execute_with(&mut kernel, code, |seen| {
        let now = !interrupted && !seen.of_type("stream").is_empty();
        interrupted |= now;
        now.then_some(Act::Interrupt)
    });
    let seen = seen.await.complete();
    assert_eq!(seen.reply["ename"], "KeyboardInterrupt");
    assert!(begun.elapsed() < Duration::from_mins(5));
    assert_eq!(execute(&mut kernel, "print('on')").await.complete().stdout(), "on\n");
    world.end(kernel).await;
}

#[tokio::test]
async fn a_kernel_that_is_killed_by_us_is_dead_for_ever() {
    let (world, mut kernel) = World::python().await;
    let seen = execute_with(&mut kernel, "import time\nwhile True: time.sleep(600)", |seen| {
        (seen.end.is_none() && seen.iopub.len() == 2).then_some(Act::Kill)
    });
    assert_eq!(seen.await.death().0, &DeathCause::Signal(9));
    assert_eq!(execute(&mut kernel, "1").await.death().0, &DeathCause::Signal(9));
    assert_eq!(kernel.kernel_info().await, None);
    let exit = world.end(kernel).await;
    assert_eq!(exit, Exit { manner: ExitManner::AlreadyDead, cause: DeathCause::Signal(9) });
}

/// Everything the kernel had sent is delivered before its death is.
#[tokio::test]
async fn a_dying_kernel_loses_nothing_it_had_sent() {
    let (world, mut kernel) = World::fake(FakeKernel::default()).await;
    let seen = execute(&mut kernel, "lines 5000\ndie 9").await;
    assert_eq!(seen.death().0, &DeathCause::Signal(9));
    assert_eq!(seen.stdout().lines().count(), 5000);
    world.end(kernel).await;
}

#[tokio::test]
async fn a_segmentation_fault_names_the_line_of_the_cell() {
    let (world, mut kernel) = World::python().await;
    let seen = execute(&mut kernel, "import ctypes\n\nctypes.string_at(0)").await;
    let (cause, stderr) = seen.death();
    assert_eq!(cause, &DeathCause::Signal(11));
    assert!(stderr.starts_with("Fatal Python error: Segmentation fault"), "{stderr}");
    assert!(stderr.contains("line 3 in <module>"), "{stderr}");
    world.end(kernel).await;
}

#[tokio::test]
async fn a_process_that_is_no_kernel_any_more_counts_as_dead() {
    let (world, mut kernel) = World::python().await;
    let seen = execute(&mut kernel, "import os; os.execvp('sleep', ['sleep', '600'])").await;
    assert_eq!(seen.death().0, &DeathCause::Disconnected);
    world.end(kernel).await;
}

#[tokio::test]
async fn what_is_not_signed_right_or_no_message_at_all_is_not_accepted() {
    let (world, mut kernel) = World::fake(FakeKernel::default()).await;
    let code = "stdout one\\n\nbad-signature stdout forged\\n\nshort-frame\njunk-frame\nstdout two\\n";
    let seen = execute(&mut kernel, code).await.complete();
    assert_eq!(seen.stdout(), "one\ntwo\n");
    assert!(
        matches!(
            &seen.rejected[..],
            [WireError::BadSignature, WireError::Truncated { .. }, WireError::NoDelimiter { .. }]
        ),
        "{:?}",
        seen.rejected
    );
    world.end(kernel).await;
}

#[tokio::test]
async fn input_is_refused_at_once() {
    let (world, mut kernel) = World::fake(FakeKernel::default()).await;
    let seen = execute(&mut kernel, "input your name").await.complete();
    assert_eq!((seen.inputs, seen.stdout().as_str()), (1, "got ''\n"));
    world.end(kernel).await;
}

#[tokio::test]
async fn an_execution_waits_for_both_reply_and_idle_whichever_comes_first() {
    let (world, mut kernel) = World::fake(FakeKernel::default()).await;
    let seen = execute(&mut kernel, "reply\nsleep 0.2\nstdout late\\n").await.complete();
    assert_eq!(seen.stdout(), "late\n");
    let seen = execute(&mut kernel, "idle\nsleep 0.2").await.complete();
    assert_eq!(seen.reply["status"], "ok");
    world.end(kernel).await;
}

#[tokio::test]
async fn a_reply_or_an_idle_that_never_comes_is_told_after_a_silence() {
    let (world, mut kernel) = World::fake(FakeKernel::default()).await;
    let (other, mut second) = World::fake(FakeKernel::default()).await;
    let (no_reply, no_idle) = tokio::join!(
        execute(&mut kernel, "stdout hi\nnever-reply"),
        execute(&mut second, "stdout hi\nnever-idle")
    );
    assert!(matches!(no_reply.end, Some(ExecutionEnd::ReplyMissing { .. })), "{:?}", no_reply.end);
    assert!(matches!(no_idle.end, Some(ExecutionEnd::IdleMissing { .. })), "{:?}", no_idle.end);
    assert_eq!((no_reply.stdout(), no_idle.stdout()), ("hi".to_owned(), "hi".to_owned()));
    assert_eq!(execute(&mut kernel, "stdout on").await.complete().stdout(), "on");
    world.end(kernel).await;
    other.end(second).await;
}

#[tokio::test]
async fn kernels_with_and_without_a_welcome_lose_no_first_output() {
    for flags in [&["--welcome"] as &[_], &[]] {
        for _ in 0..5 {
            let (world, mut kernel) = World::fake(FakeKernel { flags, ..FakeKernel::default() }).await;
            let seen = execute(&mut kernel, "lines 100").await.complete();
            assert_eq!(seen.stdout().lines().count(), 100);
            assert_eq!(seen.of_type("status").len(), 2, "busy and idle");
            world.end(kernel).await;
        }
    }
}

#[tokio::test]
async fn a_kernel_that_neither_goes_nor_heeds_sigterm_is_killed() {
    let (world, kernel) = World::fake(FakeKernel {
        flags: &["--no-shutdown", "--ignore-terminate", "--child"],
        ..FakeKernel::default()
    })
    .await;
    let exit = kernel.shutdown(ShutdownPolicy { grace: Duration::from_millis(300) }).await;
    assert_eq!(exit, Exit { manner: ExitManner::Killed, cause: DeathCause::Signal(9) });
    world.scratch.expect_nothing_left();
}

/// Until its tracer has asked how it ended, or is gone, a traced process stays.
#[tokio::test]
async fn a_kernel_that_something_it_started_holds_on_to_is_ended_with_that() {
    let (world, mut kernel) = World::python().await;
    let code = "import ctypes, subprocess, sys
tracer = '''import ctypes, os, time
print(ctypes.CDLL(None).ptrace(0x4206, os.getppid(), 0, 0), flush=True)
time.sleep(1000)'''
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
started = subprocess.Popen([sys.executable, '-c', tracer], stdout=subprocess.PIPE, start_new_session=True)
print(started.stdout.readline())";
    assert_eq!(execute(&mut kernel, code).await.complete().stdout(), "b'0\\n'\n");
    kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_shutdown_without_grace_kills_at_once() {
    let (world, kernel) = World::python().await;
    let exit = kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
    assert_eq!(exit, Exit { manner: ExitManner::Killed, cause: DeathCause::Signal(9) });
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn bash_and_deno_are_kernels_like_any_other() {
    let world = World::new();
    let mut bash = world.launch("bash").await;
    assert_eq!(execute(&mut bash, "echo $((6 * 7))").await.complete().stdout(), "42\n");
    let mut deno = world.launch("deno").await;
    let mut seen = execute(&mut deno, "console.log(6 * 7)").await.complete();
    drop(bash);
    // Deno at times sends output after it has said that the cell is done; it is not lost, only late.
    let (_, late) = deno.shutdown_and_drain(ShutdownPolicy::default()).await;
    seen.iopub.extend(late);
    assert_eq!(seen.stdout(), "42\n");
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn ipykernel_over_tcp_is_as_good() {
    let world = World::new();
    let context = SearchContext { vars: world.options.base_env.clone(), ..SearchContext::default() };
    let mut spec = rnbexec_kernel::find(&context, "python3").unwrap();
    spec.metadata = serde_json::json!({"rnbexec": {"transport": "tcp"}});
    let mut kernel = Kernel::launch(&spec, world.options.clone()).await.unwrap();
    assert_eq!(execute(&mut kernel, "print('hello')").await.complete().stdout(), "hello\n");
    world.end(kernel).await;
}

/// What code can see of how its kernel was started.
const SURROUNDINGS: &str = "import os, sys, __main__\n\
    sys.argv[sys.argv.index('-f') + 1] = 'file'\n\
    print(sys.argv, sys.path, sys.flags, sorted(vars(__main__)), os.getcwd(), getattr(__main__, '__file__', None))";

#[tokio::test]
async fn code_cannot_tell_our_launcher_from_the_stock_one() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for launcher in [Launcher::Lossless, Launcher::Stock] {
        world.options.launcher = launcher;
        let mut kernel = world.launch("python3").await;
        seen.push(execute(&mut kernel, SURROUNDINGS).await.complete().stdout());
        let imported = execute(&mut kernel, "import debugpy; print('ok')").await.complete();
        assert_eq!(imported.stdout(), "ok\n");
        kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
    }
    assert_eq!(seen[0], seen[1]);
    world.scratch.expect_nothing_left();
}

/// Whatever makes Python of a cell's source, also when it depends on what was executed before.
const TRANSFORMED: [&str; 12] = [
    "%alias greet echo hello",
    "greet",
    "greet = 'a name'",
    "print(greet)",
    "%autocall 2",
    "print 'called'",
    "%autocall 0",
    "seen = []\ndef count(lines):\n    seen.append(''.join(lines))\n    return lines\nget_ipython().input_transformers_cleanup.append(count)",
    "print(len(seen))",
    "get_ipython().input_transformers_cleanup.remove(count)\nprint(len(seen))",
    "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')\n!echo from a shell",
    "cell = 'greeting'\nget_ipython().run_cell(cell)\ngreeting = 'hello again'\nget_ipython().run_cell(cell);",
];

#[tokio::test]
async fn cells_are_transformed_as_the_stock_launcher_has_it() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for launcher in [Launcher::Lossless, Launcher::Stock] {
        world.options.launcher = launcher;
        let mut kernel = world.launch("python3").await;
        let mut outcomes = Vec::new();
        for cell in TRANSFORMED {
            let done = execute(&mut kernel, cell).await.complete();
            outcomes.push((cell, done.stdout(), done.reply["status"].clone()));
        }
        seen.push(outcomes);
        kernel.shutdown(ShutdownPolicy { grace: Duration::ZERO }).await;
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!((seen[0][1].1.trim_end(), seen[0][3].1.trim_end()), ("hello", "a name"));
    assert_eq!((seen[0][8].1.as_str(), seen[0][9].1.as_str()), ("2\n", "4\n"));
    world.scratch.expect_nothing_left();
}

#[tokio::test]
async fn a_python_without_ipykernel_says_so() {
    let world = World::new();
    let bare = rnbexec_kernel::Kernelspec {
        name: "bare".to_owned(),
        dir: world.scratch.path(),
        // Isolated and without site-packages: no ipykernel there.
        argv: ["python3", "-I", "-S", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            .map(str::to_owned)
            .to_vec(),
        display_name: String::new(),
        language: "python".to_owned(),
        interrupt_mode: rnbexec_kernel::InterruptMode::Signal,
        env: std::collections::BTreeMap::new(),
        metadata: Value::Null,
    };
    let error = Kernel::launch(&bare, world.options.clone()).await.unwrap_err();
    assert!(error.to_string().contains("has no ipykernel; install it with"), "{error}");
    world.scratch.expect_nothing_left();
}

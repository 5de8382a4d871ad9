//! Managers that share the work: on one ledger, and on many machines with one queue (Azurite).

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rnbexec::{Cancel, CancelLevel};
use rnbexec_azure::credential::{CredentialSettings, credential};
use rnbexec_azure::queue::{Keep, Message, Queue};
use rnbexec_azure::storage::{StorageClient, StorageSettings};
use rnbexec_azure::{Http, HttpSettings};
use rnbexec_manager::PassReport;
use rnbexec_manager::case::{Ending, Step};
use rnbexec_tests::Desk;
use rnbexec_tests::azure::{Fault, On};
use rnbexec_tests::servers::Server;
use serde_json::json;
use tokio::process::{Child, Command};

/// A manager as a program.
const MANAGER: &str = env!("CARGO_BIN_EXE_crashing-manager");

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Says that it waits, and finds something once the test says so.
const WAITS: &str = "open(os.path.expanduser('~/waits'), 'w').close()\n\
                     while not os.path.exists(os.path.expanduser('~/go')):\n    time.sleep(0.01)\nfind('High')";

/// Finds something, and notes which manager had it done.
const SIGNS: &str =
    "with open(os.path.expanduser('~/by'), 'a') as by:\n    by.write(f'{os.getppid()}\\n')\nfind('High')";

/// Looks until something is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < 2 * MINUTE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start(mut command: std::process::Command) -> Child {
    command.stderr(Stdio::inherit()).stdin(Stdio::piped());
    Command::from(command).kill_on_drop(true).spawn().expect("the program starts")
}

async fn expect_success(manager: Child) {
    let output = manager.wait_with_output().await.expect("it can be waited for");
    assert!(output.status.success(), "{}", output.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_managers_that_start_at_once_run_each_notebook_once() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let names = desk.seed(8);
    let managers = [(); 2].map(|()| start(desk.process(MANAGER, "once", &[])));
    for manager in managers {
        expect_success(manager).await;
    }
    let mut runs = desk.runs();
    runs.sort();
    assert_eq!(runs, names, "{}", desk.log());
    for name in &names {
        assert_eq!((desk.azure.comments(name).len(), desk.changes(name)), (1, 1), "{}", desk.log());
    }
    let cases = desk.ledger().cases().await.expect("the ledger can be read");
    assert!(cases.iter().all(|case| case.state.ending == Some(Ending::Triaged)), "{}", desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_takes_up_what_is_new_and_stops_when_it_is_told_to() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let manager = desk.manager(&[("source.interval", "1s")]).await;
    let (handle, cancel) = Cancel::new();
    let watching = tokio::spawn(async move { manager.watch(cancel).await });
    until("the first poll", async || !desk.azure.asked(&On::get("incidents")).is_empty()).await;
    let names = desk.seed(2);
    until("both incidents to be changed", async || names.iter().all(|name| desk.changes(name) == 1)).await;
    handle.raise(CancelLevel::Drain);
    let report = watching.await.expect("it does not panic").expect("the ledger works");
    assert_eq!((report.ended.len(), report.given_back), (2, 0), "{}", desk.log());
    desk.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_once_of_a_file_that_stays_unreadable() {
    let desk = Desk::scripted();
    desk.scratch.write("incidents/half.json", "{\"incident\": ");
    let mut setup = desk.setup(&[
        ("source.kind", "folder"),
        ("source.folder.path", "incidents"),
        ("source.folder.output", "triaged"),
        ("source.interval", "1s"),
        ("publish.to", "folder"),
        ("publish.folder.path", "notebooks"),
    ]);
    let polls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&polls);
    setup.listener = Box::new(move |event| {
        if let rnbexec_manager::Event::Asked { .. } = event {
            *counted.lock().expect("nobody panics") += 1;
        }
    });
    let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
    let (handle, cancel) = Cancel::new();
    let watching = tokio::spawn(async move { manager.watch(cancel).await });
    until("three polls", async || *polls.lock().expect("nobody panics") >= 3).await;
    handle.raise(CancelLevel::Drain);
    let report = watching.await.expect("it does not panic").expect("the ledger works");
    assert_eq!(report.rejected, 1, "{}", desk.log());
    assert_eq!(desk.log().matches("half.json").count(), 1, "{}", desk.log());
}

/// A desk whose incidents are named by a queue.
struct Line {
    desk: Desk,
    queue: Queue,
    poison: Queue,
    /// Another queue, whose leases tell the time.
    clock: Queue,
    server: Server,
}

impl Line {
    /// Leases hold for `visibility` seconds, a message is handed out `deliveries` times.
    async fn new(mut desk: Desk, visibility: u32, deliveries: u32) -> Self {
        let server = Server::azurite();
        let connection = server.said("connection");
        let settings = StorageSettings::from_connection_string(connection).expect("a connection string");
        let nobody = CredentialSettings::from_variables(|_| None);
        let client = StorageClient::new(
            Http::new(&HttpSettings::default()).expect("a client"),
            credential(&nobody).expect("a credential"),
        );
        let queue = |name| Queue::new(&client, &settings, name).expect("a queue's name");
        let (incidents, poison, clock) = (queue("incidents"), queue("incidents-poison"), queue("clock"));
        for queue in [&incidents, &poison, &clock] {
            queue.create().await.expect("a queue can be made");
        }
        let key = connection.split(';').find_map(|part| part.strip_prefix("AccountKey=")).expect("a key");
        desk.variables.push(("QUEUE_KEY".to_owned(), key.to_owned()));
        desk.toml = desk.toml.replace("kind = \"sentinel\"", "kind = \"queue\"\ninterval = \"1s\"");
        let section = format!(
            "[source.queue]\nurl = \"{}\"\naccount_key = \"env:QUEUE_KEY\"\nvisibility = \"{visibility}s\"\n\
             deliveries = {deliveries}\n",
            incidents.address()
        );
        desk.toml.push_str(&section);
        Self { desk, queue: incidents, poison, clock, server }
    }

    async fn put(&self, text: &str) {
        self.queue.put(text, Keep::Forever).await.expect("a message can be put");
    }

    async fn length(&self) -> u64 {
        self.queue.length().await.expect("the queue can be asked")
    }

    async fn poisoned(&self) -> u64 {
        self.poison.length().await.expect("the queue can be asked")
    }

    /// A message that comes, of what nobody has.
    async fn next(&self) -> Message {
        let mut found = None;
        until("a message", async || {
            found = self.queue.receive(1, HOUR).await.expect("the queue can be asked").pop();
            found.is_some()
        })
        .await;
        found.expect("it was waited for")
    }

    /// Waits until a lease of so many seconds would have ended, by the service's clock.
    async fn outlast(&self, seconds: u64) {
        self.clock.put("tick", Keep::Forever).await.expect("a message can be put");
        let lease = Duration::from_secs(seconds);
        let mut received = 0;
        until("a lease to end", async || {
            received += self.clock.receive(1, lease).await.expect("the queue can be asked").len();
            received == 2
        })
        .await;
    }

    /// A pass in this process.
    async fn once(&self) -> PassReport {
        self.desk.once().await
    }

    /// Waits until a notebook waits.
    async fn wait_until_it_waits(&self) {
        let waits = self.desk.scratch.home().join("waits");
        until("the notebook to wait", async || waits.exists()).await;
    }

    fn go(&self) {
        fs::write(self.desk.scratch.home().join("go"), "").expect("the home is writable");
    }
}

fn arm_id(name: &str) -> String {
    let incident = Desk::bundle(1, "", "Low");
    let id = incident["incident"]["id"].as_str().expect("an id");
    let known = incident["incident"]["name"].as_str().expect("a name");
    id.replace(known, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_on_many_machines_triage_each_incident_though_one_of_them_is_killed() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", SIGNS); 12]);
    let line = Line::new(desk, 3, 20).await;
    for (number, name) in names.iter().enumerate() {
        let id = arm_id(name);
        let json = json!({"object": {"id": id, "properties": {"title": "<b>"}}}).to_string();
        line.put(
            &[id.clone(), json.clone(), BASE64_STANDARD.encode(&id), BASE64_STANDARD.encode(json)]
                [number % 4],
        )
        .await;
    }
    line.put(&arm_id(&names[0])).await;
    line.put("the coffee machine is out of order").await;

    let machine = |number: usize| {
        let (folder, log) = (format!("machine-{number}"), format!("machine-{number}.log"));
        start(line.desk.process(
            MANAGER,
            "watch",
            // The script signs with its kernel's parent, which is to be the manager.
            &[("state.folder", &folder), ("log.file", &log), ("run.jobs", "1"), ("run.fork_server", "false")],
        ))
    };
    let mut victim = machine(1);
    let process = victim.id().expect("it runs").to_string();
    until("the victim to be in the middle", async || {
        let by = fs::read_to_string(line.desk.scratch.home().join("by")).unwrap_or_default();
        by.lines().any(|line| line == process)
    })
    .await;
    let [mut second, mut third] = [2, 3].map(machine);
    victim.kill().await.expect("it can be killed");

    until("an empty queue", async || line.length().await == 0).await;
    for manager in [&mut second, &mut third] {
        // They drain when they hear no more.
        drop(manager.stdin.take());
    }
    expect_success(second).await;
    expect_success(third).await;

    let runs: BTreeSet<String> = line.desk.runs().into_iter().collect();
    assert_eq!(runs, names.iter().cloned().collect());
    for name in &names {
        assert_eq!((line.desk.azure.comments(name).len(), line.desk.changes(name)), (1, 1), "{name}");
        assert_eq!(line.desk.azure.incident(name)["properties"]["severity"], "High");
    }
    let published =
        names.iter().flat_map(|name| ["html", "ipynb"].map(|end| format!("Users/TriageNbs/{name}.{end}")));
    for path in published {
        assert!(line.desk.azure.file(&path).is_some(), "{path} is missing");
    }
    assert_eq!(line.poisoned().await, 1);
    let aside = line.poison.receive(1, HOUR).await.expect("the queue can be asked");
    assert_eq!(aside[0].text, "the coffee machine is out of order");
    let logs = [1, 2, 3].map(|number| line.desk.scratch.read(format!("machine-{number}.log")));
    let logs = String::from_utf8(logs.concat()).expect("logs are text");
    assert!(logs.contains("the message means no incident"), "{logs}");
    drop(line.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_deleted_only_after_everything_is_done() {
    let mut desk = Desk::finding(&json!({"severity": "High", "tasks": [{"title": "Call Ada"}]}));
    desk.toml.push_str("[policy]\ntasks = true\n");
    let names = desk.seed(1);
    let line = Line::new(desk, 60, 3).await;
    line.put(&names[0]).await;
    let lengths: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (seen, runtime) = (Arc::clone(&lengths), tokio::runtime::Handle::current());
    let queue = line.queue.beside("incidents").expect("the same queue");
    line.desk.azure.after_each(On::put(""), move |_| {
        let length = runtime.block_on(queue.length()).expect("the queue can be asked");
        seen.lock().expect("nobody panics").push(length);
    });
    let report = line.once().await;
    assert_eq!(report.ended.len(), 1, "{}", line.desk.log());
    let lengths = lengths.lock().expect("nobody panics").clone();
    assert_eq!(lengths.len(), line.desk.writes().len());
    assert!(lengths.len() >= 9 && lengths.iter().all(|length| *length == 1), "{lengths:?}");
    assert_eq!(line.length().await, 0);
}

/// Processor time that a process has used, in seconds.
fn processor_time(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name, in parentheses, may hold blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = [11, 12].map(|index: usize| fields[index].parse::<f64>().expect("a number"));
    ticks.iter().sum::<f64>() / 100.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_for_as_long_as_the_notebook_runs_and_the_manager_rests_meanwhile() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", WAITS), ("Low", WAITS)]);
    let line = Line::new(desk, 6, 3).await;
    for name in &names {
        line.put(name).await;
    }
    let mut manager = start(line.desk.process(MANAGER, "watch", &[("run.jobs", "1")]));
    let process = manager.id().expect("it runs");
    line.wait_until_it_waits().await;
    let (begun, used) = (Instant::now(), processor_time(process));
    line.outlast(12).await;
    let rate = (processor_time(process) - used) / begun.elapsed().as_secs_f64();
    assert!(rate < 0.2, "a manager that waits is busy to {rate}");
    let other = line.next().await;
    assert!(line.queue.receive(1, HOUR).await.expect("it can be asked").is_empty(), "the lease is held");
    drop(manager.stdin.take());
    line.go();
    expect_success(manager).await;
    // What is left is the other's message.
    assert_eq!(line.length().await, 1);
    assert_ne!(other.text, line.desk.runs()[0]);
    assert_eq!(line.desk.azure.comments(&line.desk.runs()[0]).len(), 1, "{}", line.desk.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_whose_triage_kills_its_manager_each_time_is_put_aside() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", "os.kill(os.getppid(), 9)\ntime.sleep(60)")]);
    let line = Line::new(desk, 5, 2).await;
    line.put(&names[0]).await;
    until("the message to be put aside", async || {
        // The kernel's parent is the manager only where it is not forked.
        let manager = start(line.desk.process(MANAGER, "once", &[("run.fork_server", "false")]));
        manager.wait_with_output().await.expect("it can be waited for");
        line.poisoned().await == 1
    })
    .await;
    assert_eq!(line.length().await, 0);
    assert_eq!(line.desk.runs().len(), 2, "it was handed out twice\n{}", line.desk.log());
    let case = line.desk.case(&names[0]).await;
    assert_eq!((case.state.step, case.state.ending), (Step::NeedsHuman, Some(Ending::Parked)));
    assert!(case.facts.reason.expect("a reason").contains("handed out too often"));
    assert!(line.desk.writes().is_empty(), "nothing was written to Azure");
    line.desk.wait_until_alone();
}

fn signal(process: u32, name: &str) {
    let status = std::process::Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "{process} cannot be signalled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_lost_its_lease_stops_and_writes_nothing() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", WAITS)]);
    let line = Line::new(desk, 4, 3).await;
    line.put(&names[0]).await;
    let manager = start(line.desk.process(MANAGER, "once", &[]));
    let process = manager.id().expect("it runs");
    line.wait_until_it_waits().await;
    signal(process, "-STOP");
    let taken = line.next().await;
    signal(process, "-CONT");
    // The notebook waits for ever: only the loss ends it.
    expect_success(manager).await;
    assert_eq!(taken.text, names[0]);
    assert_eq!(line.length().await, 1, "the message is the other's");
    assert!(line.desk.writes().is_empty(), "nothing was written to Azure");
    assert!(line.desk.log().contains("the source gave the incident to somebody else"), "{}", line.desk.log());
    line.desk.wait_until_alone();
    line.desk.scratch.expect_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_drains_finishes_what_runs_and_hands_back_the_rest() {
    let mut desk = Desk::scripted();
    // There is room for both messages, but one of their notebooks at a time.
    desk.toml.push_str("[[route]]\nname = \"one at a time\"\njobs = 1\n");
    let names = desk.seed_scripts(&[("Low", WAITS), ("High", WAITS)]);
    let line = Line::new(desk, 600, 3).await;
    for name in &names {
        line.put(name).await;
    }
    let mut setup = line.desk.setup(&[]);
    let held = Arc::new(Mutex::new(0));
    let arrived = Arc::clone(&held);
    setup.listener = Box::new(move |event| {
        if let rnbexec_manager::Event::Enlisted { .. } = event {
            *arrived.lock().expect("nobody panics") += 1;
        }
    });
    let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
    let (handle, cancel) = Cancel::new();
    let watching = tokio::spawn(async move { manager.watch(cancel).await });
    until("both to be in hand and one to run", async || {
        *held.lock().expect("nobody panics") == 2 && line.desk.runs().len() == 1
    })
    .await;
    handle.raise(CancelLevel::Drain);
    line.go();
    let report = watching.await.expect("it does not panic").expect("the ledger works");
    let running = line.desk.runs();
    assert_eq!((report.ended.len(), running.len()), (1, 1), "{}", line.desk.log());
    assert_eq!(line.desk.azure.comments(&running[0]).len(), 1);
    let rest = line.next().await;
    assert_ne!(rest.text, running[0]);
    assert_eq!(line.length().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_when_a_manager_was_told_to_stop_go_back_at_once() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", WAITS), ("High", WAITS)]);
    let line = Line::new(desk, 600, 3).await;
    for name in &names {
        line.put(name).await;
    }
    let (handle, cancel) = Cancel::new();
    let mut setup = line.desk.setup(&[]);
    setup.listener = Box::new(move |event| {
        if let rnbexec_manager::Event::Asked { .. } = event {
            handle.raise(CancelLevel::Drain);
        }
    });
    let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
    let report = manager.watch(cancel).await.expect("the ledger works");
    assert_eq!((report.ended.len(), line.desk.runs().len()), (0, 0), "{}", line.desk.log());
    let mut back = [line.next().await.text, line.next().await.text];
    back.sort();
    assert_eq!(back, names[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_interrupted_hands_back_what_it_was_doing() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", WAITS)]);
    let line = Line::new(desk, 600, 3).await;
    line.put(&names[0]).await;
    let manager = line.desk.manager(&[]).await;
    let (handle, cancel) = Cancel::new();
    let working = tokio::spawn(async move { manager.once(cancel).await });
    line.wait_until_it_waits().await;
    handle.raise(CancelLevel::Interrupt);
    let report = working.await.expect("it does not panic").expect("the ledger works");
    assert_eq!((report.ended.len(), report.waiting.len(), report.given_back), (0, 0, 1), "{report:?}");
    assert!(line.desk.writes().is_empty(), "nothing was written to Azure");
    line.desk.scratch.expect_nothing_left();
    // Nobody has to wait for the lease to end, and the notebook begins again.
    line.go();
    let report = line.once().await;
    assert_eq!((report.ended.len(), line.desk.runs().len()), (1, 2), "{}", line.desk.log());
    assert_eq!((line.length().await, line.desk.azure.comments(&names[0]).len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_crashes_when_its_message_is_deleted_still_ends_the_case() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let names = desk.seed(1);
    let line = Line::new(desk, 600, 3).await;
    line.put(&names[0]).await;
    let crash = ("crash", "the effect of acknowledge: told the source");
    let crashed = Command::from(line.desk.process(MANAGER, "once", &[crash])).output().await;
    assert!(!crashed.expect("the program starts").status.success(), "it crashes\n{}", line.desk.log());
    assert_eq!(line.length().await, 0);
    line.once().await;
    let case = line.desk.case(&names[0]).await;
    assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)));
    assert_eq!((line.desk.runs().len(), line.desk.azure.comments(&names[0]).len()), (1, 1));
}

/// Fails once, when the test says so, and finds something the second time.
const RECOVERS: &str = "open(os.path.expanduser('~/waits'), 'w').close()\n\
                        while not os.path.exists(os.path.expanduser('~/go')):\n    time.sleep(0.01)\n\
                        tried = os.path.expanduser('~/tried')\nif not os.path.exists(tried):\n    \
                        open(tried, 'w').close()\n    raise ValueError('the moon is full')\nfind('High')";

#[tokio::test(flavor = "multi_thread")]
async fn that_a_message_waited_for_another_of_its_incident_is_not_held_against_it() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", RECOVERS)]);
    let line = Line::new(desk, 3, 2).await;
    line.put(&names[0]).await;
    line.put(&names[0]).await;
    let mut setup = line.desk.setup(&[
        ("run.jobs", "2"),
        ("retry.notebook.first_wait", "1s"),
        ("retry.notebook.longest_wait", "1s"),
    ]);
    let handed_out = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handed_out);
    setup.listener = Box::new(move |event| {
        if let rnbexec_manager::Event::Asked { arrivals, .. } = event {
            counted.fetch_add(*arrivals, Ordering::Relaxed);
        }
    });
    let manager = Arc::new(setup.manager().await.unwrap_or_else(|error| panic!("{error:?}")));
    let (handle, cancel) = Cancel::new();
    let watching = tokio::spawn(async move { manager.watch(cancel).await });
    line.wait_until_it_waits().await;
    // One of the messages once, the other one more often than a message may be.
    until("the message to be handed out again", async || handed_out.load(Ordering::Relaxed) >= 5).await;
    line.go();
    until("both messages to be gone", async || line.length().await == 0).await;
    handle.raise(CancelLevel::Drain);
    watching.await.expect("it does not panic").expect("the ledger works");
    let case = line.desk.case(&names[0]).await;
    assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)), "{:?}", case.facts);
    assert_eq!((line.poisoned().await, line.desk.runs().len()), (0, 2), "{}", line.desk.log());
    assert_eq!(line.desk.azure.comments(&names[0]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_as_often_as_its_class_says_however_often_it_may_be_handed_out() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", "raise ValueError('the moon is full')")]);
    let line = Line::new(desk, 600, 1).await;
    line.put(&names[0]).await;
    until("the message to be put aside", async || {
        line.desk.once_with(&[("retry.notebook.attempts", "3")]).await;
        line.poisoned().await == 1
    })
    .await;
    assert_eq!((line.length().await, line.desk.runs().len()), (0, 3));
    let case = line.desk.case(&names[0]).await;
    let reason = case.facts.reason.expect("a reason");
    assert!(reason.contains("the moon is full") && !reason.contains("too often"), "{reason}");
    assert_eq!(case.state.failures, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_incident_may_not_be_read_waits_until_it_may() {
    let desk = Desk::finding(&json!({"severity": "High"}));
    let names = desk.seed(1);
    let line = Line::new(desk, 3, 1).await;
    line.put(&names[0]).await;
    line.desk.azure.fault(Fault::forbidden().on(On::get("incidents/*")).forever());
    until("the incident to be looked at three times", async || {
        line.once().await;
        line.desk.azure.asked(&On::get("incidents/*")).len() >= 3
    })
    .await;
    assert_eq!((line.length().await, line.poisoned().await), (1, 0), "{}", line.desk.log());
    line.desk.azure.clear_faults();
    until("it to be triaged", async || !line.once().await.ended.is_empty()).await;
    assert_eq!((line.length().await, line.poisoned().await), (0, 0), "{}", line.desk.log());
    assert_eq!(line.desk.azure.comments(&names[0]).len(), 1);
}

/// Deleted, and the answer was lost: no message will ever come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_case_whose_message_is_gone_ends_without_it() {
    let desk = Desk::scripted();
    let names = desk.seed_scripts(&[("Low", WAITS)]);
    let line = Line::new(desk, 600, 5).await;
    line.put(&names[0]).await;
    let manager = line.desk.manager(&[]).await;
    let working = tokio::spawn(async move { manager.once(Cancel::never()).await });
    line.wait_until_it_waits().await;
    let Line { desk, queue, server, .. } = line;
    drop(server);
    until("the service to be gone", async || queue.length().await.is_err()).await;
    fs::write(desk.scratch.home().join("go"), "").expect("the home is writable");
    working.await.expect("it does not panic").expect("the ledger works");
    let case = desk.case(&names[0]).await;
    assert!(desk.log().contains("cannot delete a message"), "{}", desk.log());
    assert_eq!((case.state.step, case.state.ending), (Step::Done, Some(Ending::Triaged)), "{}", desk.log());
    assert_eq!(desk.azure.comments(&names[0]).len(), 1);
}

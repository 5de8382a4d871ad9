//! Secrets and all that runs leave and show: `run`, also with a fork server, `batch`, and what is left of a run that was killed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rnbexec_tests::program::{Running, signal};
use rnbexec_tests::servers::{Answer, Http};
use rnbexec_tests::{Book, Canaries, Done, Saved, Scratch, finish, wait_for};
use serde_json::Value;

use super::run;

const PATIENCE: Duration = Duration::from_mins(2);

/// What is looked for after runs with secrets of every kind.
fn canaries() -> Canaries {
    Canaries::default()
        .with("the secret of a variable", OF_VARIABLE)
        .with("the secret of a file", OF_FILE)
        .with("what a pattern describes", OF_PATTERN)
        .with("a token", OF_TOKEN)
        .with("the signature of a place", OF_PLACE)
}

const OF_VARIABLE: &str = "v4r-\"wQ8'\\ü-Zk2mXe71pLq";
const OF_FILE: &str = "MIIEf1le0Kq7Wn\nTz9bRc3uYh5mGd8xVw1s";
const OF_PATTERN: &str = "7731904482650937";
const OF_TOKEN: &str = "eyJ0b2tlbjEyMw.eyJjYW5hcnk5Mg.s1gn4tur3Kd8Qw";
const OF_PLACE: &str = "pl4ceS1gn4tureXy7Rt2";

/// Prints them in every way there is, and raises.
const SPILL: &str = r"
import base64, html, json, os, sys, urllib.parse
from IPython.display import HTML, display, update_display
all = [of_variable, of_file, 'badge 773190' + '44826509' + '37', 'eyJ0b2t' + 'lbjEyMw.eyJjYW5hcn' + 'k5Mg.s1gn4tur3' + 'Kd8Qw']
for one in all:
    print(one, repr(one), json.dumps({'k': one}), ascii(one).lower() == '', sep='\n')
for one in all[:2]:
    for before in ['', 'u', 'us', 'user:']:
        print(base64.b64encode((before + one + before).encode()).decode(), base64.urlsafe_b64encode((before + one).encode()).decode())
    print(urllib.parse.quote(one), urllib.parse.quote_plus(one), one.encode().hex(), one.encode().hex().upper(), one.encode())
    display(HTML('<b>' + html.escape(one) + '</b><i>' + html.escape(one[:9]) + '</i><b>' + html.escape(one[9:]) + '</b>'))
    display({'text/plain': one, 'application/json': {one: [one]}, 'text/markdown': one}, raw=True, metadata={one: one}, display_id='x')
    update_display({'text/plain': one}, raw=True, display_id='x')
    print('\x1b[31m' + one[:5] + '\x1b[0m\x1b[1m' + one[5:] + '\x1b[0m')
    for stream in [sys.stdout, sys.stderr]:
        for piece in [one[:3], one[3:11], one[11:]]:
            stream.write(piece)
            stream.flush()
            sys.stdout.flush() if stream is sys.stderr else sys.stderr.flush()
        stream.write('\n')
    os.write(2, (one[:7]).encode()); os.write(2, (one[7:] + '\n').encode())
for one in all:
    for before in ['', '- ', ': ,', '\0\x80']:
        print(base64.b64encode((before + one + before).encode()).decode(), base64.urlsafe_b64encode((before + one).encode()).decode())
        print(base64.encodebytes((before * 16 + one + before * 30).encode()).decode(), base64.encodebytes((before * 20 + one).encode()))
    print(urllib.parse.quote(base64.b64encode(one.encode())), urllib.parse.quote(one), urllib.parse.urlencode({'a': one}))
    print(base64.b64encode(urllib.parse.quote(one).encode()).decode())
";

/// The flags that make the spilling notebook's secrets known and show all there is to see.
fn spilling(scratch: &Scratch, flags: &[&str]) -> Running {
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]);
    command.args(["--stdout-file", "stdout.txt", "--stderr-file", "stderr.txt", "-p", "plain", "2"]);
    Running::start(command.args(SECRETS).args(flags).env("MY_TOKEN", OF_VARIABLE))
}

/// Names all secrets, and has everything shown.
const SECRETS: [&str; 11] = [
    "--secret",
    "of_variable=env:MY_TOKEN",
    "--secret",
    "of_file=file:secret.txt",
    "--redact",
    r"badge (?<secret>\d+)",
    "--redact-tokens",
    "--log-output",
    "--log-level",
    "NOTSET",
    "--json",
];

/// Nothing was shown.
#[track_caller]
fn expect_silent(done: &Done) {
    canaries().expect_none_in("standard output", &done.stdout);
    canaries().expect_none_in("standard error", &done.stderr);
}

/// Those that are told, and not described: without patterns redaction goes other ways.
#[test]
fn secrets_that_are_told_are_found_in_pieces_of_encodings_too() {
    let told = Canaries::default().with("the secret of a variable", OF_VARIABLE);
    let scratch = Scratch::new();
    let source = r"
import base64, sys, time, urllib.parse
def write(text, size):
    for at in range(0, len(text), size):
        sys.stdout.write(text[at:at + size])
        sys.stdout.flush()
one = token.encode()
for size in [1, 7, 77]:
    write(base64.encodebytes(b'x' * 50 + one + b'y' * 50).decode() + '\n', size)
    write(''.join('%%%02X' % byte for byte in one) + '\n', size)
    write(base64.b64encode(base64.b64encode(b'x' + one + b'yy')).decode() + '\n', size)
    write(urllib.parse.quote(base64.b64encode(b'>' + one + b'?').decode(), safe='') + '\n', size)
    write(token[:9] + '\n' + token[9:] + '\n' + one.hex()[:21] + '\n    ' + one.hex()[21:] + '\n', size)
";
    scratch.write("in.ipynb", Book::new().parameters("token = None").code(source).to_bytes());
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--secret", "token=env:MY_TOKEN"]);
    command.args(["--autosave-cell-every", "1", "--log-output", "--stdout-file", "stdout.txt"]);
    let done = finish(command.env("MY_TOKEN", OF_VARIABLE));
    done.expect_code(0);
    told.expect_none_in("standard error", &done.stderr);
    assert!(told.expect_none_below(scratch.root(), &["in.ipynb"]) >= 2);
    assert!(
        Saved::of(&scratch).printed(1).matches("***").count() >= 15,
        "{}",
        Saved::of(&scratch).printed(1)
    );
}

#[test]
fn the_last_words_of_a_kernel_that_does_not_start_hold_no_secret() {
    let scratch = Scratch::new();
    let folder = scratch.home().join("jupyter-data/kernels/talks");
    fs::create_dir_all(&folder).unwrap();
    let says = format!("echo 'no luck with {OF_TOKEN}' >&2; exit 3");
    let kernel = serde_json::json!({"argv": ["sh", "-c", says], "display_name": "t", "language": "python"});
    fs::write(folder.join("kernel.json"), kernel.to_string()).unwrap();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-k", "talks", "--json"]);
    command.arg("--redact-tokens");
    let done = finish(&mut command);
    done.expect_code(75).expect_stderr("no luck with ***");
    expect_silent(&done);
    canaries().expect_none_in("the notebook", fs::read(scratch.join("out.ipynb")).unwrap());
}

fn spill(book: &Book, flags: &[&str], code: i32) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    scratch.write("secret.txt", OF_FILE);
    let watch = canaries().watch_processes(&scratch, &canaries());
    let done = spilling(&scratch, flags).finish(Duration::from_mins(5));
    watch.end();
    expect_silent(done.expect_code(code));
    finish(&mut scratch.rnbexec(["report", "out.ipynb"])).expect_code(0);
    assert!(canaries().expect_none_below(scratch.root(), &["secret.txt", "in.ipynb"]) >= 4);
    scratch
}

#[test]
fn a_secret_reaches_the_code_and_nothing_else() {
    let parameters = Book::new().parameters("of_variable = of_file = None\nplain = 1");
    let seen = "import hashlib, os\nprint(hashlib.sha256(of_variable.encode()).hexdigest(), 'MY_TOKEN' in os.environ)";
    let book = parameters.clone().code(seen).code(SPILL).code("of_file").code(
        "def deep(one):\n    raise ValueError('it is ' + one + ' ' + all[2]) from KeyError(of_file)\ndeep(of_variable)",
    );
    let scratch = spill(&book, &[], 1);
    let saved = Saved::of(&scratch);
    scratch.write("variable.txt", OF_VARIABLE);
    let digest = finish(scratch.command("sha256sum").arg("variable.txt")).stdout_text();
    let digest = digest.split_whitespace().next().unwrap_or_default();
    assert_eq!(
        saved.printed(1).trim(),
        format!("{digest} False"),
        "the code saw the value, and no process the variable"
    );
    assert!(saved.0["metadata"]["papermill"]["parameters"].get("of_variable").is_none());

    let dies = "os._exit(9)";
    spill(&parameters.clone().code(SPILL).code(dies), &["--retries", "0"], 138);
    let hangs = "import time\ntime.sleep(600)";
    spill(&parameters.code(SPILL).code(hangs), &["--execution-timeout", "1"], 1);
}

#[test]
fn forked_kernels_keep_secrets_as_started_ones_do() {
    let how = "print(open('/proc/self/cmdline').read())";
    let book =
        Book::new().parameters("of_variable = of_file = None\nplain = 1").code(how).code(SPILL).code("1/0");
    let scratch = spill(&book, &["--fork-server"], 1);
    assert!(Saved::of(&scratch).printed(1).contains("fork_server"), "{}", Saved::of(&scratch).printed(1));
}

#[test]
fn a_batch_and_its_summaries_keep_secrets() {
    let scratch = Scratch::new();
    let raises = "if name == 'b': raise ValueError('it is ' + of_variable + ' ' + of_file)\nprint('seen', len(of_variable))";
    let parameters = "of_variable = of_file = None\nname = ''\nplain = 1";
    scratch.write("in.ipynb", Book::new().parameters(parameters).code(SPILL).code(raises).to_bytes());
    scratch.write("secret.txt", OF_FILE);
    scratch.write("rows.csv", "name\na\nb\nc\n");
    let batch = |flags: &[&str], code: i32| {
        let mut command =
            scratch.rnbexec(["batch", "in.ipynb", "--each", "rows.csv", "-o", "out/{name}.ipynb"]);
        command.args(["--summary", "summary.jsonl", "--resume", "--jobs", "2"]).args(SECRETS).args(flags);
        let watch = canaries().watch_processes(&scratch, &canaries());
        let done = finish(command.env("MY_TOKEN", OF_VARIABLE));
        watch.end();
        expect_silent(done.expect_code(code));
        assert!(canaries().expect_none_below(scratch.root(), &["secret.txt", "in.ipynb"]) >= 5);
        done
    };
    let done = batch(&[], 1);
    let summary = String::from_utf8(scratch.read("summary.jsonl")).expect("UTF-8");
    let failed = summary.lines().find(|line| line.contains("cell-failed")).expect("a run that failed");
    assert!(failed.contains("it is *** ***"), "{failed}");
    assert_eq!(Saved(scratch.json("out/c.ipynb")).printed(2), "seen 23\n");
    assert!(serde_json::from_slice::<Value>(&done.stdout).is_ok_and(|line| line["failed"] == 1));
    // Also by what it remembers of the runs before, and where each kernel is started.
    batch(&["--no-fork-server", "--retries", "1"], 1);
}

/// A run of the spilling notebook that stands in its last cell; what was spilt is in the journal, or in a save on a machine
/// so slow that another one has become cheap meanwhile.
fn killed_amid(scratch: &Scratch) -> Running {
    let slow_to_save = "print(('.' * 999 + '\\n') * 300)";
    let book = Book::new()
        .parameters("of_variable = of_file = None\nplain = 1")
        .code(slow_to_save)
        .code(SPILL)
        .code("import time\nprint(of_variable[:11], end='', flush=True)\nopen('reached', 'w').close()\ntime.sleep(600)");
    scratch.write("in.ipynb", book.to_bytes());
    scratch.write("secret.txt", OF_FILE);
    let running = spilling(scratch, &[]);
    wait_for("the last cell", PATIENCE, || scratch.join("reached").exists().then_some(()));
    running
}

fn guardian(scratch: &Scratch) -> u32 {
    let alive = scratch.alive();
    let found =
        alive.iter().find(|line| line.ends_with(" guardian ")).and_then(|line| line.split(' ').next());
    found.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no guardian in {alive:#?}"))
}

#[test]
fn what_a_killed_run_leaves_and_what_is_made_of_it_holds_no_secret() {
    let given = ["secret.txt", "in.ipynb"];
    for guarded in [true, false] {
        let scratch = Scratch::new();
        let running = killed_amid(&scratch);
        let journal: PathBuf = scratch.join(".out.ipynb.rnbexec-journal");
        // In this order: a save is there before it empties the journal.
        let held = [fs::read(&journal).expect("a journal"), scratch.read("out.ipynb")].concat();
        assert!(String::from_utf8_lossy(&held).contains("badge ***"), "what was spilt survives");
        canaries().expect_none_below(scratch.root(), &given);
        if !guarded {
            signal(guardian(&scratch), "KILL");
        }
        running.signal("KILL");
        expect_silent(running.finish(PATIENCE).expect_code(137));
        if guarded {
            wait_for("the guardian to have ended", PATIENCE, || scratch.alive().is_empty().then_some(()));
        } else {
            // Remains of all kinds.
            assert!(canaries().expect_none_below(scratch.root(), &given) >= 2);
            expect_silent(finish(&mut scratch.rnbexec(["recover", "out.ipynb"])).expect_code(0));
        }
        assert!(!journal.exists());
        canaries().expect_none_below(scratch.root(), &given);
        let saved = Saved::of(&scratch);
        assert_eq!(saved.0["metadata"]["rnbexec"]["outcome"], "runner-killed");
        assert!(saved.cell(2).to_string().contains("badge ***"), "{:#}", saved.cell(2));
    }
}

#[test]
fn the_guardian_has_none_of_the_variables_that_secrets_came_from_but_what_storage_may_need() {
    let scratch = Scratch::new();
    scratch.write(
        "in.ipynb",
        Book::new()
            .parameters("a = b = ''")
            .code("open('reached', 'w').close()\nimport time\ntime.sleep(600)")
            .to_bytes(),
    );
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--secret", "a=env:MY_TOKEN"]);
    command.args(["--secret", "b=env:AWS_SECRET_ACCESS_KEY"]).env("MY_TOKEN", OF_VARIABLE);
    let running = Running::start(command.env("AWS_SECRET_ACCESS_KEY", OF_PLACE));
    wait_for("the cell", PATIENCE, || scratch.join("reached").exists().then_some(()));
    let environment = fs::read(format!("/proc/{}/environ", guardian(&scratch))).expect("it is there");
    let names: Vec<String> = environment
        .split(|&byte| byte == 0)
        .filter_map(|variable| Some(String::from_utf8_lossy(variable).split_once('=')?.0.to_owned()))
        .collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    assert!(has("PATH") && has("AWS_SECRET_ACCESS_KEY") && !has("MY_TOKEN"), "{names:?}");
    running.signal("INT");
    running.finish(PATIENCE).expect_code(130);
    scratch.expect_nothing_left();
}

#[test]
fn a_notebook_that_is_saved_while_a_cell_runs_holds_no_half_of_a_secret() {
    let scratch = Scratch::new();
    let half = "import os, sys, time\nsys.stderr.write('x'); sys.stderr.flush()\n\
                print('now', of_variable); sys.stdout.write(of_variable[:11]); sys.stdout.flush()\n\
                while not os.path.exists('go'): time.sleep(.01)\nprint(of_variable[11:])";
    scratch.write(
        "in.ipynb",
        Book::new().parameters("of_variable = of_file = None\nplain = 1").code(half).to_bytes(),
    );
    scratch.write("secret.txt", OF_FILE);
    let running = spilling(&scratch, &["--autosave-cell-every", "1"]);
    wait_for("the autosave", PATIENCE, || {
        let saved = fs::read(scratch.join("out.ipynb")).unwrap_or_default();
        let saved = String::from_utf8_lossy(&saved).into_owned();
        canaries().expect_none_in("the autosave", &saved);
        saved.contains("now ***").then_some(())
    });
    scratch.write("go", "");
    running.finish(PATIENCE).expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(1), "now ***\n***\n");
    canaries().expect_none_below(scratch.root(), &["secret.txt", "in.ipynb"]);
}

#[test]
fn the_signature_of_a_place_and_the_password_of_a_server_show_nowhere() {
    let scratch = Scratch::new();
    let server = Http::storing();
    let place = |name: &str| {
        let at = server.host();
        format!("http://canary:{OF_PLACE}@{at}/{name}?sv=1&sig={OF_PLACE}&token={OF_PLACE}")
    };
    scratch.write("in.ipynb", Book::new().parameters("x = 1").code("print(PAPERMILL_INPUT_PATH)").to_bytes());
    let run = |input: &str, output: &str, code: i32| {
        let flags = ["--inject-paths", "--log-level", "NOTSET", "--log-output", "--json", "--retries", "0"];
        let done = finish(scratch.rnbexec(["run", input, output]).args(flags));
        done.expect_code(code);
        canaries().expect_none_in("standard error", &done.stderr);
        canaries().expect_none_in("standard output", &done.stdout);
    };
    run("in.ipynb", &place("in.ipynb"), 0);
    run(&place("in.ipynb"), "out.ipynb", 0);
    run(&place("absent.ipynb"), "out.ipynb", 1);
    for put in server.asked().into_iter().filter(|asked| asked.method == "PUT") {
        canaries().expect_none_in("what is stored", put.body);
    }
    canaries().expect_none_below(scratch.root(), &[]);
}

/// Refuses everything, and says all there is to know; what it is asked for first is elsewhere, at a signed URL.
fn chatterbox() -> Http {
    Http::serve(|asked| {
        if let Some(rest) = asked.target.strip_prefix("/moved") {
            return Answer::status(302).with("location", format!("{rest}?sig={OF_PLACE}"));
        }
        let said = format!("denied {OF_VARIABLE} badge {OF_PATTERN} {OF_TOKEN} at {OF_PLACE}");
        Answer { body: said.into(), ..Answer::status(403) }
    })
}

#[test]
fn what_a_server_says_is_masked_in_every_error_and_summary() {
    let scratch = Scratch::new();
    let server = chatterbox();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    scratch.write("secret.txt", OF_FILE);
    scratch.write("rows.csv", "x\n1\n");
    let place = server.url();
    let [moved, out, file] =
        ["/moved/in.ipynb", "/moved/out.ipynb", "/moved/x.yaml"].map(|path| format!("{place}{path}"));
    let each = format!("{place}/moved/{{x}}.ipynb");
    let commands: [&[&str]; 5] = [
        &["run", &moved, "out.ipynb", "--json"],
        &["run", "in.ipynb", &out, "--json"],
        &["run", "in.ipynb", "out.ipynb", "-f", &file, "--json"],
        &["batch", &moved, "--each", "rows.csv", "-o", "{x}.ipynb", "--json"],
        &["batch", "in.ipynb", "--each", "rows.csv", "-o", &each, "--summary", "summary.jsonl"],
    ];
    for command in commands {
        let done = finish(scratch.rnbexec(command).args(SECRETS).env("MY_TOKEN", OF_VARIABLE));
        assert!(done.stderr.contains("denied *** badge *** ***"), "{command:?}: {}", done.stderr);
        expect_silent(&done);
    }
    canaries().expect_none_in("the summary", scratch.read("summary.jsonl"));
}

#[test]
fn what_is_too_short_to_be_masked_is_told_and_a_pattern_that_is_none_refused() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().parameters("pin = None").code("1").to_bytes());
    let mut command =
        scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only", "--secret", "pin=env:PIN"]);
    finish(command.env("PIN", "123"))
        .expect_code(0)
        .expect_stderr("the secret 'pin' is shorter than four characters");
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--redact", "("]));
    done.expect_code(2).expect_stderr("is no regular expression");
}

#[test]
fn a_secret_that_cannot_be_had_is_an_error_before_anything_runs() {
    for secret in ["token=env:NOT_SET_ANYWHERE", "token=file:missing.txt"] {
        let (scratch, done) = run(&Book::new().code("open('ran', 'w')"), &["--secret", secret]);
        done.expect_code(1).expect_stderr("token");
        assert!(!scratch.join("ran").exists());
    }
    for secret in ["token", "token=plain", "=env:X", "token=vault:x"] {
        run(&Book::new().code("1"), &["--secret", secret]).1.expect_code(2);
    }
}

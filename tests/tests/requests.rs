//! What papermill's users have asked for.

use std::time::Duration;

use rnbexec_tests::program::{Done, Running};
use rnbexec_tests::servers::Http;
use rnbexec_tests::{Book, Canaries, FakeKernel, Saved, Scratch, finish, wait_for};
use serde_json::{Value, json};

fn run(book: &Book, args: &[&str]) -> (Scratch, Done) {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    let done = finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
    scratch.expect_nothing_left();
    (scratch, done)
}

fn last_line(done: &Done) -> Value {
    let text = done.stdout_text();
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("the last line is not JSON: {e}: {text}"))
}

#[test]
fn timeout_ends_the_whole_run() {
    let book = Book::new()
        .code("print('a')")
        .code("import time\nprint('b', flush=True)\ntime.sleep(60)")
        .code("print('c')");
    let (scratch, done) = run(&book, &["--timeout", "3s"]);
    done.expect_code(124);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.statuses(), ["completed", "failed", "pending"]);
    assert_eq!(saved.printed(1), "b\n");
    assert_eq!(*saved.exception(), json!(true));
}

#[test]
fn a_cell_may_have_a_timeout_of_its_own() {
    let slow = "import time\ntime.sleep(3)\nprint('done')";
    let tagged = Book::new().tagged(slow, &["timeout=1"]);
    run(&tagged, &[]).1.expect_code(1);
    let longer = Book::new().tagged(slow, &["timeout=60"]);
    run(&longer, &["--execution-timeout", "1"]).1.expect_code(0);
    let by_metadata = Book::new().code(slow).cell_metadata(json!({"rnbexec": {"timeout": 1}}));
    run(&by_metadata, &[]).1.expect_code(1);
    let none = Book::new().tagged(slow, &["timeout=0"]);
    run(&none, &["--execution-timeout", "1"]).1.expect_code(0);
}

#[test]
fn retries_begin_again_after_a_death_of_the_kernel() {
    let source = "import os\nn = len([f for f in os.listdir('.') if f.startswith('try')])\nopen(f'try{n}', 'w').close()\nif n < 2: os._exit(1)\nprint('try', n)";
    let (scratch, done) = run(&Book::new().code(source), &["--retries", "3", "--json"]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "try 2\n");
    assert_eq!(last_line(&done)["attempts"], json!(3));
    let (_, done) = run(&Book::new().code(source), &["--retries", "1"]);
    done.expect_code(138);
}

#[test]
fn retries_are_not_for_failures_of_the_notebook() {
    let (scratch, done) = run(&Book::new().code("open('runs', 'a').write('x')\n1/0"), &["--retries", "3"]);
    done.expect_code(1);
    assert_eq!(scratch.read("runs"), b"x");
    let (scratch, done) = run(
        &Book::new().code("open('runs', 'a').write('x')\nimport time; time.sleep(60)"),
        &["--retries", "3", "--execution-timeout", "1"],
    );
    done.expect_code(1);
    assert_eq!(scratch.read("runs"), b"x");
}

#[test]
fn retries_begin_again_after_a_failed_start() {
    let scratch = Scratch::new();
    FakeKernel { flags: &["--die-at-start", "7"], ..FakeKernel::default() }.install(&scratch);
    scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--retries", "2", "--json"]));
    done.expect_code(75);
    assert_eq!(last_line(&done)["attempts"], json!(3));
}

#[test]
fn tags_select_the_cells_that_run() {
    let book = Book::new()
        .parameters("x = 1")
        .tagged("print('slow')", &["slow"])
        .tagged("print('fast')", &["fast"])
        .code("print('none', x)");
    let ran = |args: &[&str]| {
        let (scratch, done) = run(&book, args);
        done.expect_code(0);
        let saved = Saved::of(&scratch);
        (0..4).map(|cell| !saved.cell(cell)["execution_count"].is_null()).collect::<Vec<_>>()
    };
    assert_eq!(ran(&["--skip-tag", "slow"]), [true, false, true, true]);
    assert_eq!(ran(&["--skip-tag", "slow", "--skip-tag", "fast"]), [true, false, false, true]);
    assert_eq!(ran(&["--only-tag", "fast"]), [true, false, true, false]);
    assert_eq!(
        ran(&["--only-tag", "fast", "--only-tag", "slow", "--skip-tag", "slow", "-p", "x", "2"]),
        [true, false, true, false]
    );
    // Without its parameters cell the last cell has no `x`.
    run(&book, &["--skip-tag", "parameters"]).1.expect_code(1).expect_stderr("NameError");
}

#[test]
fn errors_may_be_allowed() {
    let book =
        Book::new().code("1/0").code("print('on')").code("raise ValueError('second')").code("print('end')");
    let (scratch, done) = run(&book, &["--allow-errors"]);
    done.expect_code(0);
    let saved = Saved::of(&scratch);
    assert_eq!(saved.printed(3), "end\n");
    assert!(!saved.has_markers());
    assert_eq!(saved.cell(2)["outputs"][0]["ename"], "ValueError");
}

#[test]
fn variables_are_set_for_the_kernel() {
    let book = Book::new()
        .code("import os\nprint(os.environ.get('A'), os.environ.get('B'), repr(os.environ.get('C')))");
    let (scratch, done) = run(&book, &["--set-env", "A=1", "--set-env", "B=x=y ü", "--set-env", "C="]);
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "1 x=y ü ''\n");
    let (_, done) = run(&book, &["--set-env", "novalue"]);
    done.expect_code(2);
}

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
";

/// The flags that make the spilling notebook's secrets known and show all there is to see.
fn spilling(scratch: &Scratch, flags: &[&str]) -> Running {
    let mut command = scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-p", "plain", "2"]);
    command.args(["--secret", "of_variable=env:MY_TOKEN", "--secret", "of_file=file:secret.txt"]);
    command.args([
        "--redact",
        r"badge (?<secret>\d+)",
        "--redact-tokens",
        "--log-output",
        "--log-level",
        "NOTSET",
        "--json",
    ]);
    command
        .args(["--stdout-file", "stdout.txt", "--stderr-file", "stderr.txt"])
        .args(flags)
        .env("MY_TOKEN", OF_VARIABLE);
    Running::start(&mut command)
}

fn spill(book: &Book, flags: &[&str], code: i32) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    scratch.write("secret.txt", OF_FILE);
    let watch = canaries().watch_processes(&scratch, &canaries());
    let done = spilling(&scratch, flags).finish(Duration::from_mins(5));
    watch.end();
    done.expect_code(code);
    for (what, text) in [("standard output", done.stdout_text()), ("standard error", done.stderr.clone())] {
        canaries().expect_none_in(what, text);
    }
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
    wait_for("the autosave", Duration::from_mins(2), || {
        let saved = std::fs::read(scratch.join("out.ipynb")).unwrap_or_default();
        let saved = String::from_utf8_lossy(&saved).into_owned();
        canaries().expect_none_in("the autosave", &saved);
        saved.contains("now ***").then_some(())
    });
    scratch.write("go", "");
    running.finish(Duration::from_mins(2)).expect_code(0);
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

#[test]
fn unknown_parameters_are_an_error_on_request() {
    let book = Book::new().parameters("x = 1").code("open('ran', 'w')");
    for option in [&["--strict-parameters"][..], &["--unknown-parameters", "error"]] {
        let (scratch, done) = run(&book, &[option, &["-p", "y", "1"]].concat());
        done.expect_code(1).expect_stderr("y");
        assert!(!scratch.join("ran").exists() && !scratch.join("out.ipynb").exists());
        run(&book, &[option, &["-p", "x", "2"]].concat()).1.expect_code(0);
    }
}

#[test]
fn a_last_line_of_json_for_machines() {
    let (_, done) = run(&Book::new().code("print('not on stdout')"), &["--json"]);
    done.expect_code(0);
    assert_eq!(done.stdout_text().lines().count(), 1);
    let line = last_line(&done);
    assert_eq!(line["outcome"], "completed");
    assert_eq!(line["exit_code"], json!(0));
    assert_eq!(line["output"], "out.ipynb");

    let (_, done) = run(&Book::new().code("1").code("1/0"), &["--json"]);
    let line = last_line(done.expect_code(1));
    assert_eq!(line["outcome"], "cell-failed");
    assert_eq!(line["exit_code"], json!(1));
    assert!(line.to_string().contains("ZeroDivisionError"), "{line:#}");

    let (_, done) = run(&Book::new().code("import os; os._exit(1)"), &["--json"]);
    assert_eq!(last_line(done.expect_code(138))["outcome"], "kernel-died");
}

#[test]
fn the_line_of_json_speaks_of_errors_before_the_run_too() {
    let scratch = Scratch::new();
    let done = finish(&mut scratch.rnbexec(["run", "missing.ipynb", "out.ipynb", "--json"]));
    let line = last_line(done.expect_code(1));
    assert_eq!(line["exit_code"], json!(1));
    assert!(line.to_string().contains("missing.ipynb"), "{line:#}");
}

#[test]
fn with_the_notebook_on_standard_output_the_line_goes_to_standard_error() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "-", "--json"]));
    done.expect_code(0);
    serde_json::from_slice::<Value>(&done.stdout).expect("standard output is the notebook alone");
    let line = done.stderr.lines().last().unwrap_or_default();
    assert_eq!(serde_json::from_str::<Value>(line).expect("a line of JSON")["outcome"], "completed");
}

#[test]
fn two_runs_side_by_side_do_not_disturb_each_other() {
    let scratch = Scratch::new();
    scratch.write(
        "in.ipynb",
        Book::new().parameters("x = 0").code("import time; time.sleep(.2); print(x)").to_bytes(),
    );
    let start = |number: usize| {
        let output = format!("out-{number}.ipynb");
        Running::start(&mut scratch.rnbexec(["run", "in.ipynb", &output, "-p", "x", &number.to_string()]))
    };
    let runs: Vec<Running> = (0..6).map(start).collect();
    for (number, running) in runs.into_iter().enumerate() {
        running.finish(Duration::from_mins(2)).expect_code(0);
        assert_eq!(Saved(scratch.json(format!("out-{number}.ipynb"))).printed(1), format!("{number}\n"));
    }
    scratch.expect_nothing_left();
}

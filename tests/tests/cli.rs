//! The command line beside the run itself: help, versions, what goes to which stream, inspection, kernels.

use std::os::unix::fs::symlink;

use rnbexec_tests::{Book, Saved, Scratch, finish, hostile, rnbexec_path};
use serde_json::{Value, json};

fn scratch_with(book: &Book) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    scratch
}

#[test]
fn help_is_asked_for_on_standard_output_and_missing_arguments_are_usage_errors() {
    let scratch = Scratch::new();
    for args in
        [&["--help"][..], &["run", "--help"], &["inspect", "--help"], &["kernel", "--help"], &["help"]]
    {
        let done = finish(&mut scratch.rnbexec(args));
        done.expect_code(0);
        assert!(done.stdout_text().contains("Usage:"), "{args:?}: {}", done.stdout_text());
    }
    for args in [&[][..], &["nosuch"], &["run", "--nosuch"], &["kernel"]] {
        let done = finish(&mut scratch.rnbexec(args));
        done.expect_code(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn the_help_names_every_exit_code_that_the_tests_expect() {
    let help = finish(&mut Scratch::new().rnbexec(["run", "--help"])).stdout_text();
    for code in ["0", "1", "2", "75", "124", "130", "138", "143"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{code}  "))),
            "{code}: {help}"
        );
    }
}

#[test]
fn the_version_under_both_names() {
    let scratch = Scratch::new();
    let own = finish(&mut scratch.rnbexec(["--version"])).stdout_text();
    assert_eq!(own.trim(), format!("rnbexec {}", env!("CARGO_PKG_VERSION")));
    let link = scratch.join("papermill");
    symlink(rnbexec_path(), &link).unwrap();
    let done = finish(scratch.command(&link).arg("--version"));
    let text = done.expect_code(0).stdout_text();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.len() >= 3 && words[1] == "from", "papermill prints `2.7.0 from <path> (3.11.7)`: {text}");
    assert!(words[0].split('.').all(|part| part.parse::<u32>().is_ok()), "{text}");
}

#[test]
fn what_a_run_says_on_standard_error() {
    let scratch = scratch_with(&Book::new().parameters("x = 1").code("print('to the notebook')"));
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-p", "y", "1"]));
    done.expect_code(0)
        .expect_stderr("Input Notebook:  in.ipynb")
        .expect_stderr("Output Notebook: out.ipynb")
        .expect_stderr("Executing notebook with kernel: python3")
        .expect_stderr("Passed unknown parameter: y");
    assert!(done.stdout.is_empty(), "{}", done.stdout_text());
    assert!(!done.stderr.contains("to the notebook"), "{}", done.stderr);
}

#[test]
fn a_notebook_without_a_parameters_cell_is_warned_about() {
    let scratch = scratch_with(&Book::new().code("1"));
    let done =
        finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-p", "y", "1", "--prepare-only"]));
    done.expect_code(0).expect_stderr("Input notebook does not contain a cell with tag 'parameters'");
}

#[test]
fn log_output_shows_what_cells_print_without_extra_lines() {
    let scratch = scratch_with(
        &Book::new().code("print('one')\nprint('two')").code("import sys; print('bad', file=sys.stderr)"),
    );
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--log-output"]));
    done.expect_code(0).expect_stderr("one\ntwo\n").expect_stderr("bad");
    assert!(!done.stderr.contains("two\n\n"), "{}", done.stderr);
}

#[test]
fn hostile_output_reaches_no_terminal_unescaped() {
    let scratch = scratch_with(
        &Book::new()
            .code("print('a\\x1b]0;title\\x07b\\x1b[2Jc')")
            .code("raise ValueError('\\x1b]52;c;aGk=\\x07')"),
    );
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--log-output"]));
    done.expect_code(1);
    assert!(!done.stderr.contains("\u{1b}]") && !done.stderr.contains("\u{1b}[2J"), "{:?}", done.stderr);
}

#[test]
fn nothing_that_a_notebook_or_a_kernel_says_steers_the_terminal() {
    let scratch = Scratch::new();
    let json = serde_json::to_string(hostile::TEXT).unwrap();
    let mut book = Book::new()
        .parameters(&format!("x = 1  # {0}\ny: {0} = 2  # {0}", hostile::TEXT.replace(['\r', '\u{1b}'], "")))
        .code(&format!(
            "import sys\nt = {json}\nprint(t)\nprint(t, file=sys.stderr)\nsys.stdout.write(t[:2])\nsys.stdout.flush()\nsys.stdout.write(t[2:])"
        ))
        .code(&format!("class C:\n    __repr__ = lambda self: t\nC()  # {}", hostile::TEXT))
        .code("raise type(t.replace(chr(0), ''), (Exception,), {})(t)");
    book = book.metadata(
        json!({"kernelspec": {"display_name": hostile::TEXT, "language": "python", "name": "python3"}}),
    );
    scratch.write("in.ipynb", book.to_bytes());
    let kernel = json!({"argv": ["true"], "display_name": hostile::TEXT, "language": hostile::TEXT});
    let folder = scratch.home().join("jupyter-data/kernels/odd");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("kernel.json"), kernel.to_string()).unwrap();
    let tags = ["--skip-tag", hostile::TEXT];
    for (args, code) in [
        (
            &[
                "run",
                "in.ipynb",
                "out.ipynb",
                "--log-output",
                "--log-level",
                "DEBUG",
                "--json",
                "-p",
                "z",
                "1",
            ][..],
            1,
        ),
        (&["run", "in.ipynb", "out.ipynb", "--stdout-file", "-"], 1),
        (&[&["run", "in.ipynb", "out.ipynb", "--prepare-only"], &tags[..]].concat(), 0),
        (&["run", "in.ipynb", "--help-notebook"], 0),
        (&["run", "in.ipynb", "out.ipynb", "-k", hostile::TEXT], 1),
        (&["inspect", "in.ipynb"], 0),
        (&["inspect", "in.ipynb", "--json"], 0),
        (&["kernel", "list"], 0),
        (&["kernel", "list", "--json"], 0),
    ] {
        let done = finish(&mut scratch.rnbexec_on_a_terminal(args));
        done.expect_code(code);
        hostile::expect_tame(&format!("{args:?}"), &done.stdout_text());
    }
}

#[test]
fn log_levels_silence_what_is_below_them() {
    let scratch = scratch_with(&Book::new().code("1"));
    let done = finish(&mut scratch.rnbexec([
        "run",
        "in.ipynb",
        "out.ipynb",
        "--log-level",
        "ERROR",
        "--no-progress-bar",
    ]));
    assert_eq!(done.expect_code(0).stderr, "");
}

#[test]
fn missing_parent_folders_of_the_output_are_made() {
    let scratch = scratch_with(&Book::new().code("1"));
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "a/b/out.ipynb"])).expect_code(0);
    assert!(scratch.join("a/b/out.ipynb").exists());
}

#[test]
fn the_broken_pipe_of_a_reader_is_no_panic() {
    let scratch = scratch_with(&Book::new().code("print('x' * 3_000_000)"));
    let line = format!(
        "'{}' run in.ipynb - 2>err.txt | head -c 10 >/dev/null; cat err.txt >&2",
        rnbexec_path().display()
    );
    let done = finish(scratch.command("sh").args(["-c", &line]));
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn nobody_reading_standard_error_is_no_reason_to_stop() {
    let scratch = scratch_with(&Book::new().code("print(1)"));
    let line = format!("'{}' run in.ipynb out.ipynb --log-output 2>&-", rnbexec_path().display());
    finish(scratch.command("sh").args(["-c", &line])).expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(0), "1\n");
}

fn parameters_book() -> Book {
    Book::new().parameters(
        "# title\nname = 'x'  # who it is\ncount: int = 3\nmaybe: int | None = None\nfrom typing import Literal\n\
         mode: Literal['fast', 'slow'] = 'fast'\nurl = 'https://h/?a=b&c=d'\nratio = 0.5\nflags: list[str] = ['a', 'b']\n\
         nested = {'k': [1, 2]}\nopts = dict(a=1)\n",
    )
}

#[test]
fn inspect_finds_parameters_that_a_line_regex_misses() {
    let scratch = scratch_with(&parameters_book());
    let text = finish(&mut scratch.rnbexec(["inspect", "in.ipynb"])).expect_code(0).stdout_text();
    assert!(text.contains("Parameters inferred for notebook 'in.ipynb':"), "{text}");
    for name in ["name", "count", "maybe", "mode", "url", "ratio", "flags", "nested", "opts"] {
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(&format!("{name}:"))),
            "{name}: {text}"
        );
    }
    assert!(text.contains("int | None") && text.contains("Literal['fast', 'slow']"), "{text}");
    assert!(text.contains("who it is"), "{text}");
}

#[test]
fn inspect_json_is_a_schema_that_accepts_the_defaults() {
    let scratch = scratch_with(&parameters_book());
    let text = finish(&mut scratch.rnbexec(["inspect", "in.ipynb", "--json"])).expect_code(0).stdout_text();
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schema["type"], "object");
    assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")), "{schema:#}");
    let properties = &schema["properties"];
    assert_eq!(properties["count"]["type"], "integer");
    assert_eq!(properties["count"]["default"], json!(3));
    assert_eq!(properties["mode"]["enum"], json!(["fast", "slow"]));
    assert_eq!(properties["ratio"]["default"], json!(0.5));
    assert_eq!(properties["url"]["default"], "https://h/?a=b&c=d");
    let check = "import json, sys, jsonschema\nschema = json.load(open('schema.json'))\n\
                 jsonschema.validators.validator_for(schema).check_schema(schema)\n\
                 jsonschema.validate({k: p['default'] for k, p in schema['properties'].items() if 'default' in p}, schema)";
    scratch.write("schema.json", &text);
    finish(scratch.command(rnbexec_tests::oracle::python()).args(["-c", check])).expect_code(0);
}

#[test]
fn inspect_reads_a_pipe_and_runs_nothing() {
    let scratch = Scratch::new();
    let mut command = scratch.rnbexec(["inspect", "-"]);
    command.stdin(std::process::Stdio::piped());
    let mut running = rnbexec_tests::program::Running::start(&mut command);
    running.feed(Book::new().parameters("x = open('touched', 'w')").to_bytes());
    let done = running.finish(std::time::Duration::from_secs(30));
    done.expect_code(0);
    assert!(done.stdout_text().contains("x:"));
    assert!(!scratch.join("touched").exists());
}

#[test]
fn inspect_without_a_parameters_cell_says_so() {
    let scratch = scratch_with(&Book::new().code("1"));
    let done = finish(&mut scratch.rnbexec(["inspect", "in.ipynb"]));
    assert!(
        done.expect_code(1).stdout_text().contains("No cell tagged 'parameters'"),
        "{}",
        done.stdout_text()
    );
}

#[test]
fn kernel_list_shows_the_kernels_that_jupyter_shows() {
    let scratch = Scratch::new();
    let text = finish(&mut scratch.rnbexec(["kernel", "list"])).expect_code(0).stdout_text();
    for name in ["python3", "bash", "deno"] {
        assert!(text.contains(name), "{text}");
    }
    let text = finish(&mut scratch.rnbexec(["kernel", "list", "--json"])).expect_code(0).stdout_text();
    let list: Value = serde_json::from_str(&text).expect("JSON");
    assert!(list.to_string().contains("\"bash\""), "{list:#}");
}

#[test]
fn an_unknown_engine_is_refused() {
    let scratch = scratch_with(&Book::new().code("1"));
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--engine", "nosuch"]))
        .expect_code(1)
        .expect_stderr("nosuch");
    assert!(!scratch.join("out.ipynb").exists());
}

//! Options and paths.

use rnbexec_tests::Book;
use rnbexec_tests::differential::Case;
use serde_json::json;

fn book() -> Book {
    Book::new().parameters("x = 1").code("print(x)").markdown("m")
}

#[test]
fn in_place() {
    Case::bare().file("nb.ipynb", book().to_bytes()).args(["nb.ipynb", "nb.ipynb", "-p", "x", "2"]).check();
}

#[test]
fn options_between_and_after_the_paths() {
    let case = Case::bare().file("nb.ipynb", book().to_bytes());
    case.clone().args(["-p", "x", "-5", "nb.ipynb", "--no-progress-bar", "out.ipynb"]).check();
    case.clone().args(["--parameters", "x", "3", "--", "nb.ipynb", "out.ipynb"]).check();
    case.args(["nb.ipynb", "out.ipynb", "--parameters_raw", "x", "3", "--parameters_yaml", "{y: 1}"]).check();
}

#[test]
fn every_long_and_short_spelling() {
    Case::new(&book())
        .file("p.yaml", "f: 1")
        .args([
            "--parameters_file",
            "p.yaml",
            "--parameters_base64",
            "YjogMQ==",
            "--kernel",
            "python3",
            "--language",
            "python",
        ])
        .args([
            "--engine",
            "nbclient",
            "--log-level",
            "ERROR",
            "--start_timeout",
            "60",
            "--execution-timeout",
            "100",
        ])
        .args([
            "--no-request-save-on-cell-execute",
            "--autosave-cell-every",
            "0",
            "--prepare-execute",
            "--no-report-mode",
        ])
        .args(["--no-log-output", "--progress-bar"])
        .check();
}

#[test]
fn standard_input_and_output() {
    let nb = book().to_bytes();
    Case::bare().file("nb.ipynb", nb.clone()).args(["nb.ipynb", "-"]).stdout().check();
    Case::bare().file("nb.ipynb", nb.clone()).args(["nb.ipynb"]).stdout().check();
    Case::bare().stdin(nb.clone()).args(["-", "out.ipynb"]).check();
    Case::bare().stdin(nb.clone()).args(["out.ipynb", "-p", "x", "2"]).check();
    Case::bare().stdin(nb.clone()).args(["-", "-", "--inject-paths"]).stdout().check();
    Case::bare().stdin(nb).args(["-p", "x", "2"]).stdout().check();
    Case::bare().stdin("not a notebook").args(["-"]).stdout().check();
}

#[test]
fn a_failing_notebook_on_standard_output() {
    Case::bare()
        .stdin(Book::new().code("print(1)").code("1/0").code("2").to_bytes())
        .args(["-"])
        .stdout()
        .check();
}

#[test]
fn stdout_file_and_stderr_file() {
    let book = Book::new()
        .code("import sys\nprint('o', flush=True)\nprint('e', file=sys.stderr, flush=True)")
        .code("print('p')\n'r'");
    Case::new(&book).args(["--stdout-file", "o.txt", "--stderr-file", "e.txt"]).check();
    Case::new(&book).args(["--stdout-file", "o.txt", "--prepare-only"]).check();
    Case::new(&Book::new().code("1")).args(["--stdout-file", "o.txt"]).check();
}

#[test]
fn a_working_directory_for_the_kernel() {
    let book =
        Book::new().code("import os\nprint(os.path.basename(os.getcwd()), os.path.exists('here.txt'))");
    let case = Case::new(&book).file("sub/here.txt", "x");
    case.clone().args(["--cwd", "sub"]).check();
    case.clone().check();
    case.args(["--cwd", "missing"]).check();
}

#[test]
fn report_mode() {
    Case::new(&book()).args(["--report-mode", "-p", "x", "2"]).check();
    let book = book().code("1").cell_metadata(json!({"jupyter": {"outputs_hidden": true}}));
    let (scratch, _) = Case::new(&book).args(["--report-mode"]).differs("report_mode_keeps_metadata").check();
    let kept = &scratch.json("out.ipynb")["cells"][3]["metadata"]["jupyter"];
    assert_eq!(*kept, json!({"outputs_hidden": true, "source_hidden": true}));
}

#[test]
fn prepare_only_keeps_outputs() {
    let book = book().cell(json!({
        "cell_type": "code", "source": "1", "metadata": {}, "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "old\n"}],
    }));
    Case::new(&book).args(["--prepare-only", "-p", "x", "2"]).check();
    Case::new(&book).args(["--prepare-only", "--report-mode"]).check();
    Case::new(&Book::for_kernel("nosuch", "python").parameters("x=1"))
        .args(["--prepare-only", "-p", "x", "2"])
        .check();
}

#[test]
fn templated_paths() {
    let nb = book().to_bytes();
    let case = |output: &str, args: &[&str]| {
        Case::bare()
            .file("nb.ipynb", nb.clone())
            .args(["nb.ipynb", output, "--prepare-only"])
            .args(args.iter().copied())
    };
    case("o-{x}.ipynb", &["-p", "x", "7"]).check();
    case(
        "o-{x:03d}-{y:.2f}-{z!r:>6}-{s:*^9}.ipynb",
        &["-p", "x", "7", "-p", "y", "3.14159", "-r", "z", "a", "-p", "s", "mid"],
    )
    .check();
    case("o-{d[k]}-{l[1]}-{t}-{n}.ipynb", &["-y", "{d: {k: v}, l: [1, 2], t: true, n: null}"]).check();
    case("{{literal}}-{x:>{w}}.ipynb", &["-p", "x", "7", "-p", "w", "4"]).check();
    case("o-{x:,}-{x:x}-{x:e}-{x:+d}-{x:%}.ipynb", &["-p", "x", "1234567"]).check();
    Case::bare()
        .file("nb-5.ipynb", nb.clone())
        .args(["nb-{i}.ipynb", "out-{i}.ipynb", "--prepare-only", "-p", "i", "5"])
        .check();
}

#[test]
fn templated_paths_that_are_refused() {
    let nb = book().to_bytes();
    for output in [
        "o-{missing}.ipynb",
        "o-{0}.ipynb",
        "o-{.ipynb",
        "o-}.ipynb",
        "o-{}.ipynb",
        "{pm.run_uuid}",
        "{x:q}",
        "{x[0]}",
    ] {
        let case = Case::bare().file("nb.ipynb", nb.clone()).args([
            "nb.ipynb",
            output,
            "--prepare-only",
            "-p",
            "x",
            "7",
        ]);
        case.check();
    }
}

#[test]
fn other_extensions() {
    Case::bare().file("nb.json", book().to_bytes()).args(["nb.json", "out.txt", "--prepare-only"]).check();
    Case::bare().file("nb", book().to_bytes()).args(["nb", "out", "--prepare-only"]).check();
}

#[test]
fn wrong_usage() {
    let case = Case::new(&book());
    for args in [
        vec!["--nosuchoption"],
        vec!["-p", "x"],
        vec!["third.ipynb"],
        vec!["--start-timeout", "soon"],
        vec!["--log-level", "LOUD"],
        vec!["--log-level", "info"],
        vec!["--autosave-cell-every", "1.5"],
        vec!["--engine"],
    ] {
        case.clone().args(args).check();
    }
}

#[test]
fn inputs_that_are_not_there_or_not_readable() {
    Case::bare().args(["missing.ipynb", "out.ipynb"]).check();
    Case::new(&book()).args(["--engine", "nosuch"]).check();
    Case::bare()
        .file("nb.ipynb", book().to_bytes())
        .file("folder/x", "")
        .args(["folder", "out.ipynb"])
        .check();
}

#[test]
fn through_the_name_papermill() {
    let case = Case::new(&book()).through_the_name();
    case.clone().args(["-p", "x", "2", "--start_timeout", "60"]).check();
    case.clone().args(["--prepare-only", "--inject-paths"]).check();
    case.args(["-k", "nosuch", "--nosuchoption"]).check();
    Case::bare().through_the_name().stdin(book().to_bytes()).args(["-p", "x", "2"]).stdout().check();
}

#[test]
fn help_notebook_through_the_name_papermill() {
    let help = |book: &Book| {
        Case::bare()
            .through_the_name()
            .file("nb.ipynb", book.to_bytes())
            .args(["--help-notebook", "nb.ipynb"])
            .stdout()
    };
    help(&book()).check();
    help(&Book::new().code("no = 'parameters'")).check();
    help(&Book::new().parameters("")).check();
    help(&Book::new().parameters(
        "# a comment\nmsg = None\na: float = 2.25 # Variable a\nb = [\n 'Hello', # First\n # Dummy\n 'World']\n\
         c: 'Optional[int]' = None\nd = 1 # type: int   the d\na_very_long_parameter_name: typing_thing = 'default' # long help\n  e = 5",
    ))
    .check();
    let templated = Case::bare().through_the_name().file("nb-5.ipynb", book().to_bytes());
    templated.args(["--help-notebook", "nb-{i}.ipynb", "-p", "i", "5"]).stdout().check();
}

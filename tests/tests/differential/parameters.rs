//! Parameters: their typing, order, place and what the kernel makes of them.

use rnbexec_tests::Book;
use rnbexec_tests::differential::Case;
use serde_json::json;

/// A notebook whose parameters cell and a cell that shows everything it was given.
fn book() -> Book {
    Book::new().parameters("x = 1").code("x")
}

fn prepare(args: &[&str]) -> Case {
    Case::new(&book()).args(["--prepare-only"]).args(args.iter().copied())
}

fn each_value(flag: &str, values: &[&str]) {
    let mut args = Vec::new();
    let names: Vec<String> = (0..values.len()).map(|number| format!("v{number}")).collect();
    for (name, value) in names.iter().zip(values) {
        args.extend([flag, name, value]);
    }
    prepare(&args).check();
}

#[test]
fn values_that_p_reads_as_integers() {
    each_value(
        "-p",
        &[
            "10",
            "-5",
            "+5",
            "007",
            "1_000",
            " 12 ",
            "\t7",
            "１２",
            "٣",
            "-0",
            "0",
            "00",
            "123456789012345678901234567890",
            "-99999999999999999999999",
            "９９９９９９９９９９９９９９９９９９９９９９９",
        ],
    );
}

#[test]
fn values_that_p_reads_as_floats() {
    each_value(
        "-p",
        &[
            "1e3",
            "1E5",
            "1.",
            ".5",
            "1_0.5",
            "00.5",
            "5e-324",
            "  1.5\n",
            "1e16",
            "1e15",
            "1e-5",
            "0.0001",
            "-0.0",
            "-1e-7",
            "123456789012345678.0",
            "1.7976931348623157e308",
            "2.5e-3",
            "١.٥",
            "1e+20",
            "+1.25",
            "0.1",
            "1e22",
            "1e23",
        ],
    );
}

#[test]
fn values_that_p_reads_as_non_finite_floats() {
    each_value(
        "-p",
        &["nan", "NaN", "-nan", "inf", "-inf", "Infinity", "+inf", "1e400", "-1e400", "INF", "infinity"],
    );
}

#[test]
fn values_that_p_reads_as_strings() {
    each_value(
        "-p",
        &[
            "true",
            "false",
            "null",
            "TRUE",
            "0x10",
            "0b101",
            "1__0",
            "1e",
            "²",
            "1j",
            "True ",
            "[1,2]",
            "{x}",
            "",
            "2019-01-01",
            "1,5",
            "--5",
            "- 5",
            "_1",
            "1_",
            "½",
            "nan()",
            "infin",
            "1e1_",
            "None ",
            "none",
            "٣x",
        ],
    );
}

#[test]
fn values_that_p_reads_as_constants() {
    each_value("-p", &["True", "False", "None"]);
}

#[test]
fn hostile_strings() {
    each_value(
        "-r",
        &[
            "\"; import os; os.system('x') #",
            "'",
            "\"",
            "\\",
            "\\\\\"",
            "$(touch x)",
            "`id`",
            "\n",
            "\r\n",
            "\t",
            "ü日本😀",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "{x}",
            "%d",
            "\u{1b}[31m",
            "'''",
            "\"\"\"",
            "\\n",
            "\u{feff}",
            "\u{ffff}",
            "a\u{1}b",
        ],
    );
}

#[test]
fn r_keeps_every_value_a_string() {
    each_value("-r", &["10", "1.5", "True", "None", "nan", ""]);
}

#[test]
fn strings_reach_a_python_kernel_unchanged() {
    let show = Book::new().parameters("a = b = c = None").code("print(ascii([a, b, c]))");
    Case::new(&show)
        .args(["-r", "a", "\"; $(x) `id` ' \n \\ ü😀\u{2028}", "-p", "b", "1e400", "-p", "c", "-0.0"])
        .check();
}

#[test]
fn yaml_scalars_of_version_1_1() {
    prepare(&[
        "-y",
        "{a: yes, b: no, c: on, d: off, e: True, f: FALSE, g: y, h: n, i: ~, j: null, k: , l: Null}",
    ])
    .check();
    prepare(&[
        "-y",
        "{a: 010, b: 0x1F, c: 0b101, d: 0o17, e: 1_000, f: 1:30, g: -1:30:05, h: +12, i: 0, j: 09, k: 0x_1}",
    ])
    .check();
    prepare(&[
        "-y",
        "{a: 1e3, b: 1.0e3, c: 1.0e+3, d: .5, e: 5., f: 1_0.5, g: 1:30.5, h: -1.5E-7, i: 1.5e+400}",
    ])
    .check();
    prepare(&["-y", "{a: .nan, b: .inf, c: -.inf, d: .NaN, e: +.INF, f: nan, g: inf}"]).check();
    prepare(&["-y", "{a: 2019-01-01, b: 2019-01-01T10:00:00Z, c: 12:30:45, d: 1.2.3, e: '1', f: \"\\u00e9\\n\", g: 123456789012345678901234567890}"]).check();
}

#[test]
fn yaml_structures() {
    prepare(&["-y", "a: [1, [2, {b: c}], null]\nd:\n  e: {f: 1.5}\n  g: |\n    text\n    more\n  h: >-\n    folded\n    text\n"]).check();
    prepare(&["-y", "base: &b {x: 1, y: 2}\nderived:\n  <<: *b\n  y: 3\nagain: *b\n"]).check();
    prepare(&["-y", "a: 1\nb: 2\na: 3"]).check();
    prepare(&["-y", "a: !!str 5\nb: !!int '7'\nc: !!float 1"]).check();
    prepare(&["-y", ""]).check();
    prepare(&["-y", "# only a comment"]).check();
    prepare(&["-y", "{\"json\": [1, 2.0, \"x\", false, null]}"]).check();
}

#[test]
fn yaml_that_is_refused() {
    for yaml in ["- a", "text", "a: [1", "a: !!python/object:os.system x", "a: b: c", "\tx: 1", "x: ="] {
        prepare(&["-y", yaml]).check();
    }
}

#[test]
fn base64_parameters() {
    prepare(&["-b", "eyJhIjogMSwgImIiOiBbMSwgMi41XX0="]).check();
    prepare(&["-b", "YTogeWVzCmI6IDAxMA=="]).check();
    prepare(&["-b", "eyJh\nIjogMX0="]).check();
    prepare(&["-b", "!!!"]).check();
    prepare(&["-b", "YQ"]).check();
}

#[test]
fn parameter_files() {
    let case = |content: &str, name: &str| {
        Case::new(&book()).file(name, content).args(["--prepare-only", "-f", name])
    };
    case("a: 1\nb: [yes, 1e3]\n", "p.yaml").check();
    case("{\"a\": 1, \"b\": \"x\"}", "p.json").check();
    case("", "p.yml").check();
    case("a: 1", "p.txt").check();
    case("- a", "bad.yaml").check();
    prepare(&["-f", "missing.yaml"]).check();
}

#[test]
fn precedence_and_order() {
    prepare(&[
        "-r",
        "a",
        "r",
        "-p",
        "a",
        "1",
        "-y",
        "{a: y, b: y}",
        "-b",
        "YTogYgpiOiBiCmM6IGIK",
        "--inject-paths",
    ])
    .check();
    prepare(&["-p", "b", "1", "-p", "a", "2", "-p", "b", "3"]).check();
    let case = Case::new(&book()).file("one.yaml", "a: 1\nb: 1\nc: 1").file("two.yaml", "c: 2\nb: 2\nd: 2");
    case.args(["--prepare-only", "-f", "one.yaml", "-f", "two.yaml", "-y", "{d: y}", "-p", "e", "p"]).check();
}

#[test]
fn injected_paths() {
    prepare(&["--inject-input-path"]).check();
    prepare(&["--inject-output-path"]).check();
    prepare(&["--inject-paths", "-p", "x", "2"]).check();
    prepare(&["--inject-paths", "-p", "PAPERMILL_INPUT_PATH", "mine"]).check();
}

#[test]
fn a_parameters_cell_gets_the_injected_cell_after_it() {
    let book =
        Book::new().markdown("# t").parameters("x = 1").code("print(x)").parameters("x = 3").code("print(x)");
    Case::new(&book).args(["-p", "x", "2"]).check();
}

#[test]
fn without_a_parameters_cell_the_injected_cell_comes_first() {
    Case::new(&Book::new().markdown("# t").code("print(x)")).args(["-p", "x", "2"]).check();
}

#[test]
fn an_injected_cell_is_replaced_where_it_stands() {
    let injected = |source: &str| {
        Book::new().code("1").tagged(source, &["injected-parameters", "other"]).parameters("x = 1")
    };
    Case::new(&injected("x = 9").tagged("x = 8", &["injected-parameters"]).code("print(x)"))
        .args(["-p", "x", "2"])
        .check();
    let markdown = Book::new()
        .cell(json!({"cell_type": "markdown", "source": "x", "metadata": {"tags": ["injected-parameters"]}}));
    Case::new(&markdown.parameters("x = 1").code("print(x)")).args(["-p", "x", "2"]).check();
    Case::new(&injected("x = 9").code("print(x)")).check();
}

#[test]
fn tags_given_as_one_string() {
    let book =
        Book::new().code("x = 1").cell_metadata(json!({"tags": "my-parameters-cell"})).code("print(x)");
    Case::new(&book).args(["-p", "x", "2"]).check();
}

#[test]
fn every_type_in_the_injected_cell() {
    let yaml = "{i: 1, big: 123456789012345678901234567890, f: 1.5, e: 1.0e+20, s: text, t: true, n: null, l: [1, a, [2]], \
                d: {k: v, 'odd key': [1, {z: null}]}, empty: [], none: {}, u: 'ü😀'}";
    let show = "import json\nprint(json.dumps([i, big, f, e, s, t, n, l, d, empty, none, u]))";
    Case::new(&Book::new().parameters("").code(show)).args(["-y", yaml]).check();
}

#[test]
fn every_language_assigns_simple_values() {
    let languages = [
        ("ir", "R"),
        ("scala", "scala"),
        ("julia-1.9", "julia"),
        ("matlab", "matlab"),
        (".net-csharp", "C#"),
        (".net-fsharp", "F#"),
        ("bash", "bash"),
        ("sparkkernel", "scala"),
        ("pysparkkernel", "python"),
        ("sparkrkernel", "R"),
    ];
    for (kernel, language) in languages {
        let book = Book::for_kernel(kernel, language).parameters("").markdown("m");
        let args =
            ["--prepare-only", "-p", "i", "12", "-p", "f", "1.5", "-p", "s", "text", "-p", "t", "True"];
        Case::new(&book).args(args).check();
    }
}

#[test]
fn lists_and_maps_of_the_languages_that_have_them() {
    for (kernel, language) in
        [("ir", "R"), ("scala", "scala"), ("julia-1.9", "julia"), ("matlab", "matlab"), (".net-fsharp", "F#")]
    {
        let book = Book::for_kernel(kernel, language).parameters("");
        Case::new(&book).args(["--prepare-only", "-y", "{l: [1, 2, 3], d: {k: v, n: 2}, n: null}"]).check();
    }
}

#[test]
fn a_language_without_a_translator() {
    Case::new(&Book::for_kernel("cobol", "cobol").parameters(""))
        .args(["--prepare-only", "-p", "x", "1"])
        .check();
    Case::new(&Book::for_kernel("cobol", "cobol").parameters("")).args(["--prepare-only"]).check();
}

#[test]
fn kernel_and_language_given_on_the_command_line() {
    let book = Book::for_kernel("nosuch", "nosuch").parameters("x = 1").code("print(x)");
    Case::new(&book).args(["-k", "python3"]).check();
    Case::new(&book).args(["-k", "python3", "-l", "python", "-p", "x", "2"]).check();
    Case::new(&book).args(["--prepare-only", "-l", "R", "-p", "x", "2"]).check();
}

#[test]
fn a_notebook_without_kernel_or_language() {
    let bare = Book::new()
        .metadata(json!({"kernelspec": null, "language_info": null}))
        .parameters("x = 1")
        .code("print(x)");
    Case::new(&bare).args(["--prepare-only"]).check();
    Case::new(&bare).args(["--prepare-only", "-p", "x", "2"]).check();
    Case::new(&bare).args(["--prepare-only", "-k", "python3", "-p", "x", "2"]).check();
    Case::new(&bare).args(["--prepare-only", "-l", "python", "-p", "x", "2"]).check();
    Case::new(&bare).args(["-k", "python3", "-l", "python", "-p", "x", "2"]).check();
    Case::new(&bare).check();
}

#[test]
fn a_run_of_its_own_output() {
    let first =
        Case::new(&Book::new().parameters("x = 1").code("print(x)").code("1/x")).args(["-p", "x", "0"]);
    let (scratch, _) = first.check();
    let again = Case::of_bytes(scratch.read("out.ipynb"));
    again.clone().args(["-p", "x", "2"]).check();
    again.check();
}

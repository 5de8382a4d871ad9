//! Values reach the real kernels unchanged, whatever is in them, and never as code.

use rnbexec_tests::{Book, Saved, Scratch, finish};
use serde_json::{Value, json};

/// Text that is code, or breaks a line, a quote, an escape or an interpolation, in some language.
const HOSTILE: &[&str] = &[
    "plain",
    "",
    " leading and trailing ",
    "\"; $(touch pwned) `touch pwned` ' #",
    "'; import os; os.system('touch pwned'); '",
    "\"\"\"; open('pwned', 'w'); \"\"\"",
    "'''; open('pwned', 'w'); '''",
    "${touch}$(touch pwned)$HOME $x $1 $$",
    "`${process.exit(3)}`",
    "\\",
    "\\\\",
    "\\\"",
    "\\'",
    "\\n\\t\\x41\\u0041\\U0001f600\\N{DIGIT ONE}\\0",
    "two\nlines\n",
    "carriage\rreturn\r\n",
    "tab\tbell\u{7}backspace\u{8}escape\u{1b}[31m",
    "\u{1}\u{2}\u{3}\u{4}\u{1a}\u{1c}\u{7f}",
    "ü日本\u{1f600}\u{10ffff}",
    "\u{85}\u{2028}\u{2029}\u{feff}\u{fffd}\u{200b}\u{202e}",
    "!ls",
    "%magic",
    "?help",
    "{x} {{x}} %s %(x)s {0}",
    "</script><!-- -->",
    "*/ // -- ; & | < > ( ) [ ] ~ ! # ^",
    "-n",
    "--",
    "-e \\x41",
    "~",
    "*",
    "1",
    "true",
    "None",
];

fn run(book: &Book, parameters: &Value) -> Saved {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", book.to_bytes());
    scratch.write_json("p.json", parameters);
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-f", "p.json"])).expect_code(0);
    assert!(!scratch.join("pwned").exists(), "a value became code");
    Saved::of(&scratch)
}

fn hostile() -> Value {
    HOSTILE
        .iter()
        .enumerate()
        .map(|(number, text)| (format!("v{number}"), json!(text)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn text_in_python() {
    let show = format!("import json\nprint(json.dumps([eval(f'v{{i}}') for i in range({})]))", HOSTILE.len());
    let saved = run(&Book::new().parameters("").code(&show), &hostile());
    let seen: Vec<String> = serde_json::from_str(&saved.printed(1)).unwrap();
    assert_eq!(seen, HOSTILE);
}

#[test]
fn text_with_a_nul_in_python() {
    let saved = run(&Book::new().parameters("").code("print(ascii(v))"), &json!({"v": "a\u{0}b"}));
    assert_eq!(saved.printed(1), "'a\\x00b'\n");
}

#[test]
fn values_of_every_kind_in_python() {
    let value = json!({
        "null": null, "true": true, "false": false, "int": 7, "negative": -3, "big": 9_007_199_254_740_993_i64, "max": u64::MAX,
        "float": 0.1, "exp": 1e300, "tiny": 5e-324, "list": [1, [2, ["x"]], {}], "map": {"a b": {"'": "\"", "\n": [null]}},
        "empty": [], "hostile": HOSTILE,
    });
    let saved =
        run(&Book::new().parameters("").code("import json\nprint(json.dumps(v))"), &json!({"v": value}));
    assert_eq!(serde_json::from_str::<Value>(&saved.printed(1)).unwrap(), value);
}

#[test]
fn integers_beyond_every_machine_word_in_python() {
    let scratch = Scratch::new();
    scratch.write(
        "in.ipynb",
        Book::new().parameters("").code("print(a == 10**40 + 1, b == -10**30, c, d, e)").to_bytes(),
    );
    let big = "10000000000000000000000000000000000000001";
    let args = ["run", "in.ipynb", "out.ipynb", "-p", "a", big, "-y", "b: -1000000000000000000000000000000"];
    let more = ["-p", "c", "nan", "-p", "d", "-inf", "-y", "e: [.inf, {x: .nan}]"];
    finish(scratch.rnbexec(args).args(more)).expect_code(0);
    assert_eq!(Saved::of(&scratch).printed(1), "True True nan -inf [inf, {'x': nan}]\n");
    let parameters = &scratch.json("out.ipynb")["metadata"]["papermill"]["parameters"];
    assert_eq!((&parameters["c"], &parameters["d"]), (&json!("NaN"), &json!("-Infinity")));
}

#[test]
fn text_in_bash() {
    let texts: Vec<&str> = HOSTILE.to_vec();
    let mut book = Book::for_kernel("bash", "bash").parameters("");
    for number in 0..texts.len() {
        book = book.code(&format!("printf %s \"$v{number}\" | od -An -v -tx1 | tr -d ' \\n'"));
    }
    let saved = run(&book, &hostile());
    for (number, text) in texts.iter().enumerate() {
        let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(saved.printed(1 + number).trim(), bytes, "{text:?}; the cell: {}", saved.injected());
    }
}

#[test]
fn values_of_every_kind_in_bash() {
    let book = Book::for_kernel("bash", "bash")
        .parameters("")
        .code("echo \"$i|$f|$t|$n|${l[1]}|${#l[@]}|${e[*]}|\"");
    let saved = run(&book, &json!({"i": -5, "f": 1.5, "t": true, "n": null, "l": ["a", "b c", 3], "e": []}));
    assert_eq!(saved.printed(1).trim_end(), "-5|1.5|true||b c|3||");
}

#[test]
fn text_in_javascript() {
    let names: Vec<String> = (0..HOSTILE.len()).map(|number| format!("v{number}")).collect();
    let show = format!("console.log(JSON.stringify([{}]))", names.join(", "));
    let saved = run(&Book::for_kernel("deno", "typescript").parameters("").code(&show), &hostile());
    let seen: Vec<String> = serde_json::from_str(&saved.printed(1)).unwrap();
    assert_eq!(seen, HOSTILE);
}

#[test]
fn values_of_every_kind_in_javascript() {
    let value = json!({
        "null": null, "true": true, "int": 7, "negative": -3, "float": 0.1, "exp": 1e300, "tiny": 5e-324,
        "list": [1, [2, ["x"]], {}], "map": {"a b": {"'": "\"", "\n": [null]}, "__proto__": {"p": 1}}, "empty": [],
    });
    let saved = run(
        &Book::for_kernel("deno", "typescript").parameters("").code("console.log(JSON.stringify(v))"),
        &json!({"v": value}),
    );
    assert_eq!(serde_json::from_str::<Value>(&saved.printed(1)).unwrap(), value);
}

#[test]
fn names_that_are_no_identifiers_are_refused_in_every_language() {
    let languages = [
        ("python3", "python"),
        ("ir", "R"),
        ("scala", "scala"),
        ("julia", "julia"),
        ("matlab", "matlab"),
        (".net-csharp", "C#"),
        (".net-fsharp", "F#"),
        (".net-powershell", "PowerShell"),
        ("bash", "bash"),
        ("deno", "typescript"),
    ];
    for (kernel, language) in languages {
        let scratch = Scratch::new();
        scratch.write("in.ipynb", Book::for_kernel(kernel, language).parameters("").to_bytes());
        for name in ["", "a b", "1x", "x;y", "x\ny", "x=1", "$(id)", "a-b", "x'", "`x`"] {
            let done = finish(&mut scratch.rnbexec([
                "run",
                "in.ipynb",
                "out.ipynb",
                "--prepare-only",
                "-p",
                name,
                "1",
            ]));
            assert_eq!(done.code(), 1, "{language}: {name:?}: {}", done.stderr);
            assert!(done.stderr.contains("parameter"), "{language}: {name:?}: {}", done.stderr);
            assert!(!scratch.join("out.ipynb").exists(), "{language}: {name:?}");
        }
    }
}

#[test]
fn keywords_are_refused() {
    for (kernel, language, word) in
        [("python3", "python", "class"), ("deno", "typescript", "const"), ("scala", "scala", "val")]
    {
        let scratch = Scratch::new();
        scratch.write("in.ipynb", Book::for_kernel(kernel, language).parameters("").to_bytes());
        finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only", "-p", word, "1"]))
            .expect_code(1)
            .expect_stderr(word);
    }
}

#[test]
fn values_that_a_language_cannot_express_are_refused() {
    let cases =
        [("bash", "bash", "v: {a: [1]}"), ("bash", "bash", "v: [[1]]"), ("bash", "bash", "v: \"\\0\"")];
    for (kernel, language, yaml) in cases {
        let scratch = Scratch::new();
        scratch.write("in.ipynb", Book::for_kernel(kernel, language).parameters("").to_bytes());
        let done =
            finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only", "-y", yaml]));
        done.expect_code(1).expect_stderr("\"v\"").expect_stderr("cannot express");
        assert!(!scratch.join("out.ipynb").exists());
    }
}

/// What papermill gets wrong in languages whose kernels are not here, by the languages' own grammar.
#[test]
fn code_that_papermill_writes_wrong() {
    let injected = |kernel: &str, language: &str, yaml: &str| {
        let scratch = Scratch::new();
        scratch.write("in.ipynb", Book::for_kernel(kernel, language).parameters("").to_bytes());
        finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only", "-y", yaml]))
            .expect_code(0);
        let source = Saved::of(&scratch).injected();
        source.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(injected("ir", "R", "{a: .nan, b: .inf, c: -.inf}"), "a = NaN\nb = Inf\nc = -Inf");
    assert!(injected("scala", "scala", "a: .nan").contains("Double.NaN"));
    assert!(injected("julia", "julia", "{a: .nan, b: -.inf}").contains("a = NaN\nb = -Inf"));
    assert!(injected(".net-csharp", "C#", "a: null").contains("null"));
    assert!(!injected("julia", "julia", "a: '$(run)'").contains("\"$("));
    assert!(!injected(".net-powershell", "PowerShell", "a: '$(run)'").contains("\"$("));
    assert_eq!(injected("matlab", "matlab", "a: \"x\\ny\""), "a = sprintf(\"x\\ny\");");
}

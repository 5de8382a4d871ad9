//! Bad input gives a clear error and the documented exit code, and overwrites nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use rnbexec_tests::program::{Done, Running};
use rnbexec_tests::{Book, FakeKernel, Saved, Scratch, finish, oracle};
use serde_json::json;

mod bad_input {
    mod corpus;
}

/// Runs the bytes over an existing output and checks that it was refused in words, with that output left alone.
#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, says: &str) -> Done {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", bytes);
    scratch.write("out.ipynb", "the output of before");
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
    done.expect_code(1).expect_stderr(says).expect_stderr("in.ipynb");
    expect_clear(&done);
    assert_eq!(scratch.read("out.ipynb"), b"the output of before");
    scratch.expect_nothing_left();
    done
}

/// An error for people: no panic, no Debug formatting of our insides.
#[track_caller]
fn expect_clear(done: &Done) {
    for leak in ["panicked", "RUST_BACKTRACE", "Error {", "Err(", "Os {", "Some("] {
        assert!(!done.stderr.contains(leak), "{}", done.stderr);
    }
}

#[test]
fn not_json() {
    refused("this is no JSON", "JSON");
    refused("", "empty");
    refused("{\"cells\": [1,]}", "line 1");
    refused([0xff, 0xfe, 0x00, 0x41], "");
}

#[test]
fn json_that_is_no_notebook() {
    for text in [
        "null",
        "5",
        "[]",
        "\"x\"",
        "{}",
        "{\"nbformat\": 4}",
        "{\"nbformat\": \"four\", \"nbformat_minor\": 5, \"cells\": [], \"metadata\": {}}",
    ] {
        refused(text, "");
    }
}

#[test]
fn formats_of_the_past_and_the_future() {
    refused("{\"nbformat\": 5, \"nbformat_minor\": 0, \"cells\": [], \"metadata\": {}}", "5");
    refused(fs::read(oracle::workspace().join("tests/notebooks/nbformat/test2.ipynb")).unwrap(), "2");
}

#[test]
fn wrong_schema_names_the_cell() {
    let mut nb = Book::new().code("1").code("2").to_json().clone();
    nb["cells"][1] = json!("no cell");
    refused(serde_json::to_vec(&nb).unwrap(), "cell");
    nb["cells"] = json!({"not": "a list"});
    refused(serde_json::to_vec(&nb).unwrap(), "cells");
    nb["cells"] = json!([]);
    nb["metadata"] = json!([]);
    refused(serde_json::to_vec(&nb).unwrap(), "metadata");
}

#[test]
fn truncated() {
    let bytes = Book::new().code("print(1)").to_bytes();
    for part in [1, 3, 7] {
        refused(&bytes[..bytes.len() * part / 8], "JSON");
    }
}

#[test]
fn nested_deeper_than_any_stack() {
    let deep = format!(
        "{{\"cells\": [], \"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {{\"x\": {}{}}}}}",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    refused(deep, "");
}

#[test]
fn nested_as_deep_as_real_files_may_be() {
    let scratch = Scratch::new();
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let text = String::from_utf8(Book::new().metadata(json!({"deep": "HERE"})).to_bytes())
        .unwrap()
        .replace("\"HERE\"", &deep);
    scratch.write("in.ipynb", text);
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only"])).expect_code(0);
}

#[test]
fn lone_surrogates_in_the_file_survive() {
    let scratch = Scratch::new();
    let text = String::from_utf8(Book::new().markdown("HERE").code("1").to_bytes())
        .unwrap()
        .replace("HERE", "a\\ud800b");
    scratch.write("in.ipynb", text);
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"])).expect_code(0);
    let text = String::from_utf8(scratch.read("out.ipynb")).expect("valid UTF-8");
    assert!(text.contains("a\\ud800b"), "{text}");
}

#[test]
fn a_hundred_thousand_cells() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let cell = |number: usize| {
        format!(
            "{{\"cell_type\":\"markdown\",\"id\":\"c{number}\",\"metadata\":{{}},\"source\":\"{number}\"}}"
        )
    };
    let cells: Vec<String> = (0..100_000).map(cell).collect();
    let text = String::from_utf8(FakeKernel::book().to_bytes())
        .unwrap()
        .replace("\"cells\": []", &format!("\"cells\": [{}]", cells.join(",")));
    scratch.write("in.ipynb", text);
    let done = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--no-progress-bar"]))
        .finish(Duration::from_mins(2));
    done.expect_code(0);
    assert_eq!(Saved::of(&scratch).cells().len(), 100_000);
}

#[test]
fn a_missing_input_file() {
    let scratch = Scratch::new();
    scratch.write("out.ipynb", "before");
    let done = finish(&mut scratch.rnbexec(["run", "missing.ipynb", "out.ipynb"]));
    done.expect_code(1).expect_stderr("missing.ipynb").expect_stderr("No such file");
    expect_clear(&done);
    assert_eq!(scratch.read("out.ipynb"), b"before");
}

#[test]
fn an_input_that_is_a_folder() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("folder")).unwrap();
    let done = finish(&mut scratch.rnbexec(["run", "folder", "out.ipynb"]));
    done.expect_code(1).expect_stderr("folder");
    expect_clear(&done);
    assert!(!scratch.join("out.ipynb").exists());
}

#[test]
fn an_output_that_is_a_folder() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('ran', 'w')").to_bytes());
    fs::create_dir(scratch.join("folder")).unwrap();
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "folder"]));
    done.expect_code(1).expect_stderr("folder");
    expect_clear(&done);
    assert!(!scratch.join("ran").exists(), "nothing runs when its result has no place");
}

#[test]
fn an_output_below_a_file() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('ran', 'w')").to_bytes());
    scratch.write("file", "content");
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "file/out.ipynb"]));
    done.expect_code(1).expect_stderr("file/out.ipynb");
    expect_clear(&done);
    assert_eq!(scratch.read("file"), b"content");
    assert!(!scratch.join("ran").exists());
}

/// Whether this process may write where permissions forbid it, as root may.
fn permissions_do_not_bind(scratch: &Scratch) -> bool {
    fs::write(scratch.join("locked/probe"), "").is_ok()
}

#[test]
fn a_read_only_folder() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('ran', 'w')").to_bytes());
    scratch.write("locked/out.ipynb", "before");
    let locked = scratch.join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = if permissions_do_not_bind(&scratch) {
        fs::remove_file(locked.join("probe")).unwrap();
        // Root is bound by no permission, so a mount stands in for it.
        let mount = "mount --bind locked locked && mount -o remount,ro,bind locked && exec \"$@\"";
        let mut command = scratch.command("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", mount, "sh"])
            .arg(rnbexec_tests::rnbexec_path());
        command.args(["run", "in.ipynb", "locked/out.ipynb"]);
        command
    } else {
        scratch.rnbexec(["run", "in.ipynb", "locked/out.ipynb"])
    };
    let done = finish(&mut command);
    done.expect_code(1).expect_stderr("locked/out.ipynb");
    expect_clear(&done);
    assert_eq!(scratch.read("locked/out.ipynb"), b"before");
    assert!(!scratch.join("ran").exists(), "nothing runs when its result has no place");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A file system of 400 KiB, on which an earlier notebook lies and a growing one does not fit.
#[test]
fn a_full_disk_keeps_the_last_good_notebook() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    fs::create_dir(scratch.join("small")).unwrap();
    let book = FakeKernel::book().code("stdout small").code("flood 1MB").code("stdout after");
    scratch.write("in.ipynb", book.to_bytes());
    let script = "mount -t tmpfs -o size=400k none small && \"$@\"; code=$?; cp small/out.ipynb kept.ipynb; ls -A small >listing; exit $code";
    let mut command = scratch.command("unshare");
    command.args(["--mount", "--propagation", "private", "--map-root-user", "sh", "-c", script, "sh"]);
    command.arg(rnbexec_tests::rnbexec_path()).args(["run", "in.ipynb", "small/out.ipynb"]);
    let done = finish(&mut command);
    done.expect_code(1).expect_stderr("No space left on device").expect_stderr("small/out.ipynb");
    expect_clear(&done);
    let kept = Saved(scratch.json("kept.ipynb"));
    assert_eq!(kept.printed(0), "small");
    assert_eq!(scratch.read("listing"), b"out.ipynb\n", "no half-written file stays");
    scratch.expect_no_process();
    // What could not be saved is rescued, for its user alone, and the error says where.
    let rescued: Vec<_> = fs::read_dir(scratch.tmp()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [rescued] = &rescued[..] else { panic!("one rescued notebook: {rescued:?}") };
    done.expect_stderr(&rescued.display().to_string());
    assert_eq!(fs::metadata(rescued).unwrap().permissions().mode() & 0o777, 0o600);
    let rescued = Saved(serde_json::from_slice(&fs::read(rescued).unwrap()).unwrap());
    assert_eq!(rescued.printed(1).len(), 1_000_000);
}

/// `ulimit -f` counts blocks of 512 bytes. Everything the run starts is under the limit too, so nothing can be rescued.
#[test]
fn a_limit_on_file_sizes_keeps_the_last_good_notebook() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    let book = FakeKernel::book().code("stdout small").code("flood 1MB");
    scratch.write("in.ipynb", book.to_bytes());
    let mut command = scratch.command("sh");
    command.args(["-c", "ulimit -f 800 && exec \"$@\"", "sh"]);
    command.arg(rnbexec_tests::rnbexec_path()).args(["run", "in.ipynb", "out.ipynb"]);
    let done = finish(&mut command);
    done.expect_code(1).expect_stderr("out.ipynb").expect_stderr("File too large");
    expect_clear(&done);
    assert_eq!(Saved::of(&scratch).printed(0), "small");
    scratch.expect_no_process();
}

#[test]
fn a_full_standard_output() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("print(1)").to_bytes());
    let line = format!("'{}' run in.ipynb - >/dev/full", rnbexec_tests::rnbexec_path().display());
    let done = finish(scratch.command("sh").args(["-c", &line]));
    done.expect_code(1).expect_stderr("No space left on device");
    expect_clear(&done);
}

#[test]
fn a_stdout_file_that_cannot_be_made() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('ran', 'w').close()\nprint(1)").to_bytes());
    let done =
        finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--stdout-file", "missing/o.txt"]));
    done.expect_code(1).expect_stderr("missing/o.txt");
    expect_clear(&done);
    assert!(!scratch.join("ran").exists(), "nothing runs when its output has no place");
}

#[test]
fn unknown_and_retired_schemes() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("open('ran', 'w')").to_bytes());
    for (output, says) in
        [("ftp://host/x.ipynb", "ftp"), ("nosuch://x/y.ipynb", "nosuch"), ("adl://store/x.ipynb", "retired")]
    {
        let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", output]));
        done.expect_code(1).expect_stderr(says);
        expect_clear(&done);
        let done = finish(&mut scratch.rnbexec(["run", output, "out.ipynb"]));
        done.expect_code(1).expect_stderr(says);
    }
    assert!(!scratch.join("ran").exists() && !scratch.join("out.ipynb").exists());
}

#[test]
fn bad_yaml_says_where() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    scratch.write("p.yaml", "a: 1\nb: [1,\nc: }");
    for args in [
        ["-f", "p.yaml"],
        ["-y", "a: [1"],
        ["-y", "- list"],
        ["-y", "a: !!python/object:os.system x"],
        ["-b", "LSBh"],
        ["-f", "missing.yaml"],
    ] {
        let done = finish(scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]).args(args));
        done.expect_code(1);
        expect_clear(&done);
        assert!(!scratch.join("out.ipynb").exists(), "{args:?}");
    }
    finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "-f", "p.yaml"]))
        .expect_stderr("p.yaml")
        .expect_stderr("line");
}

#[test]
fn yaml_that_explodes() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    let mut bomb = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push(format!("a{level}: &a{level} [{}]", vec![below; 9].join(", ")));
    }
    scratch.write("p.yaml", bomb.join("\n"));
    let done =
        finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only", "-f", "p.yaml"]));
    done.expect_code(1).expect_stderr("p.yaml");
    expect_clear(&done);
}

#[test]
fn a_working_directory_that_is_missing() {
    let scratch = Scratch::new();
    scratch.write("in.ipynb", Book::new().code("1").to_bytes());
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--cwd", "missing"]));
    done.expect_code(1).expect_stderr("missing");
    expect_clear(&done);
}

#[test]
fn a_kernelspec_that_is_broken_is_named() {
    let scratch = Scratch::new();
    let dir = scratch.home().join("jupyter-data/kernels/broken");
    fs::create_dir_all(&dir).unwrap();
    for (text, says) in [("{no json", "kernel.json"), ("{\"argv\": []}", "argv"), ("{}", "argv")] {
        fs::write(dir.join("kernel.json"), text).unwrap();
        scratch.write("in.ipynb", Book::for_kernel("broken", "python").code("1").to_bytes());
        let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
        done.expect_code(1).expect_stderr("broken").expect_stderr(says);
        expect_clear(&done);
        finish(&mut scratch.rnbexec(["kernel", "list"])).expect_code(0);
    }
}

#[test]
fn off_specification_cells_are_read_with_a_warning_that_names_them() {
    let scratch = Scratch::new();
    let mut nb = Book::new().code("1").code("2").to_json().clone();
    nb["cells"][1]["execution_count"] = json!("five");
    scratch.write_json("in.ipynb", &nb);
    let done = finish(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb", "--prepare-only"]));
    done.expect_code(0);
    assert!(
        done.stderr.contains("cell 1") || done.stderr.contains("cell 2") || done.stderr.contains("cell-1"),
        "{}",
        done.stderr
    );
}

/// nbformat refuses both files for a missing key that says nothing about the cells.
#[test]
fn notebooks_without_a_minor_version_or_metadata_are_read_with_a_warning() {
    for (name, missing) in
        [("no_min_version.ipynb", "nbformat_minor"), ("test3_no_metadata.ipynb", "metadata")]
    {
        let scratch = Scratch::new();
        let path = oracle::workspace().join("tests/notebooks/nbformat").join(name);
        let done = finish(scratch.rnbexec(["run", "--prepare-only"]).arg(path).arg("out.ipynb"));
        done.expect_code(0).expect_stderr(missing);
    }
}

/// The helper of the tests above that need a mount: it must be there, or they would test nothing.
#[test]
fn this_machine_lets_tests_mount() {
    let status = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
    assert!(status.is_ok_and(|status| status.success()), "unshare --mount does not work here");
}

#[test]
fn what_is_written_beside_the_notebook_is_never_written_over_it_or_what_else_is_read() {
    let scratch = Scratch::new();
    let book = Book::new().parameters("x = 1").code("print(x)").to_bytes();
    scratch.write("in.ipynb", &book);
    scratch.write("rows.csv", "x\n1\n2\n");
    scratch.write("old.jsonl", "of the batch before\n");
    std::os::unix::fs::symlink(scratch.join("in.ipynb"), scratch.join("link")).unwrap();
    let rows = ["batch", "in.ipynb", "--each", "rows.csv", "--output", "out/{x}.ipynb"];
    for (flags, says) in [
        (
            &["run", "in.ipynb", "out.ipynb", "--stdout-file", "./in.ipynb"][..],
            "would overwrite the notebook",
        ),
        (&["run", "in.ipynb", "out.ipynb", "--stderr-file", "link"], "would overwrite the notebook"),
        (
            &["run", "in.ipynb", "out.ipynb", "--stdout-file", "out.ipynb"],
            "would overwrite the executed notebook",
        ),
        (&[&rows[..], &["--summary", "link"]].concat(), "would overwrite the notebook"),
        (&[&rows[..], &["--summary", "rows.csv", "--dry-run"]].concat(), "would overwrite the rows"),
        (
            &["batch", "none.ipynb", "--each", "rows.csv", "-o", "{x}.ipynb", "--summary", "old.jsonl"],
            "none.ipynb",
        ),
    ] {
        let done = finish(&mut scratch.rnbexec(flags));
        done.expect_code(1).expect_stderr(says);
        expect_clear(&done);
    }
    finish(scratch.rnbexec(rows).args(["--summary", "old.jsonl", "--dry-run"])).expect_code(0);
    assert_eq!((scratch.read("in.ipynb"), scratch.read("rows.csv")), (book, b"x\n1\n2\n".to_vec()));
    assert_eq!(scratch.read("old.jsonl"), b"of the batch before\n");
    assert!(!scratch.join("out.ipynb").exists() && !scratch.join("out").exists());
}

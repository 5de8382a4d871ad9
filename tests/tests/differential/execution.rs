//! How cells run and how they fail.

use rnbexec_tests::Book;
use rnbexec_tests::differential::Case;
use serde_json::json;

fn check(book: &Book) {
    Case::new(book).check();
}

#[test]
fn an_error_in_the_middle_stops_the_run() {
    check(
        &Book::new()
            .markdown("# t")
            .code("print(1)")
            .code("print(2)\n1/0\nprint(3)")
            .code("print(4)")
            .markdown("end"),
    );
}

#[test]
fn an_error_after_earlier_outputs_and_with_a_cause() {
    check(&Book::new().code("def f():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise RuntimeError('wrapped ü') from e\nf()"));
}

#[test]
fn a_syntax_error() {
    check(&Book::new().code("x = 1").code("def f(:\n  pass"));
}

#[test]
fn an_indentation_error_and_a_name_error() {
    check(&Book::new().code("  x = 1\n y = 2"));
    check(&Book::new().code("undefined_name"));
}

#[test]
fn a_keyboard_interrupt_raised_by_the_code() {
    check(&Book::new().code("raise KeyboardInterrupt('by code')").code("1"));
}

#[test]
fn an_exception_with_an_empty_message_or_many_lines() {
    check(&Book::new().code("raise ValueError"));
    check(&Book::new().code("raise ValueError('one\\ntwo\\n\\x1b[31mred')"));
}

#[test]
fn an_exception_that_cannot_be_printed() {
    check(
        &Book::new()
            .code("class E(Exception):\n    def __str__(self):\n        raise TypeError('no')\nraise E"),
    );
}

#[test]
fn an_exception_group() {
    check(&Book::new().code("raise ExceptionGroup('several', [ValueError('a'), KeyError('b')])"));
}

#[test]
fn every_way_to_exit() {
    for source in [
        "import sys; sys.exit()",
        "import sys; sys.exit(0)",
        "import sys; sys.exit(1)",
        "import sys; sys.exit('words')",
        "import sys; sys.exit('')",
        "raise SystemExit(3)",
        "import sys; sys.exit(False)",
        "exit()",
        "quit()",
    ] {
        check(&Book::new().code("print('before')").code(source).code("print('after')"));
    }
}

#[test]
fn an_exit_with_nothing_is_an_exit_with_zero() {
    let book = Book::new().code("print('before')").code("import sys; sys.exit(None)").code("print('after')");
    Case::new(&book).differs("exit_with_nothing_succeeds").check();
}

#[test]
fn an_error_in_a_display_hook_is_no_failure() {
    check(
        &Book::new()
            .code("class R:\n    def __repr__(self):\n        return 1 / 0\nR()")
            .code("print('goes on')"),
    );
}

#[test]
fn a_caught_error_shown_by_hand_still_counts() {
    let shown = "try:\n    1/0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()";
    Case::new(&Book::new().code(shown).code("print('goes on')")).differs("a_failed_run_says_so").check();
}

#[test]
fn an_unknown_line_magic_and_an_unknown_cell_magic() {
    check(&Book::new().code("%nosuchmagic").code("1"));
    check(&Book::new().code("%%nosuchmagic\nx").code("1"));
}

#[test]
fn cell_magics() {
    check(
        &Book::new()
            .code("%%bash\necho hi\necho err >&2")
            .code("%%time\nx = 1")
            .code("%%capture c\nprint('hidden')")
            .code("c.stdout"),
    );
}

#[test]
fn a_bash_magic_that_fails() {
    check(&Book::new().code("%%bash\necho before\nexit 3").code("1"));
}

#[test]
fn a_failing_timed_cell() {
    check(&Book::new().code("%%time\n1/0").code("print('after')"));
}

#[test]
fn input_is_refused() {
    check(&Book::new().code("print('before')\ninput('name? ')").code("1"));
    check(&Book::new().code("import getpass\ngetpass.getpass()"));
}

#[test]
fn a_cell_tagged_to_raise_that_raises() {
    let book = Book::new().tagged("print(1)\n1/0", &["raises-exception"]).code("print('goes on')");
    Case::new(&book).differs("raises_exception_succeeds").check();
}

#[test]
fn a_cell_tagged_to_raise_that_does_not() {
    check(&Book::new().tagged("print(1)", &["raises-exception"]).code("print(2)"));
}

#[test]
fn a_cell_tagged_to_be_skipped() {
    check(&Book::new().code("x = 1").tagged("x = 2\nprint(x)", &["skip-execution"]).code("print(x)"));
}

#[test]
fn a_skipped_cell_loses_old_outputs() {
    check(&Book::new().cell(json!({
        "cell_type": "code", "source": "1", "metadata": {"tags": ["skip-execution"], "execution": {"old": "kept"}}, "execution_count": 7,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "old\n"}],
    })).markdown("m"));
}

#[test]
fn empty_cells_and_blank_cells() {
    check(&Book::new().code("").code("  \n\t").code("# only a comment").code("1").code("\u{a0}"));
}

#[test]
fn markdown_and_raw_cells() {
    check(
        &Book::new()
            .markdown("# title\n\ntext")
            .cell(json!({"cell_type": "raw", "source": "raw\ntext", "metadata": {"format": "text/html"}}))
            .code("1"),
    );
}

#[test]
fn a_notebook_without_cells() {
    check(&Book::new());
}

#[test]
fn a_notebook_without_code() {
    check(&Book::new().markdown("only words"));
}

#[test]
fn await_at_the_top_level() {
    check(
        &Book::new()
            .code("import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 'awaited'")
            .code("await f()")
            .code("await asyncio.gather(f(), f())"),
    );
}

#[test]
fn old_outputs_and_counts_are_replaced() {
    let old = |source: &str| {
        json!({"cell_type": "code", "source": source, "metadata": {"collapsed": false}, "execution_count": 99,
               "outputs": [{"output_type": "stream", "name": "stdout", "text": ["old\n", "lines"]}]})
    };
    check(&Book::new().cell(old("print('new')")).cell(old("x = 1")).cell(old("")));
    check(&Book::new().cell(old("1/0")).cell(old("print('never')")));
}

#[test]
fn execution_timing_is_replaced_where_a_cell_runs() {
    check(
        &Book::new().code("1").cell_metadata(
            json!({"execution": {"iopub.status.busy": "2020-01-01T00:00:00.000000Z", "x": 1}}),
        ),
    );
}

#[test]
fn the_bash_kernel() {
    check(&Book::for_kernel("bash", "bash").code("echo hi; echo err >&2").code("x=5").code("echo $x"));
}

#[test]
fn a_failing_bash_cell() {
    check(&Book::for_kernel("bash", "bash").code("echo before").code("false").code("echo after"));
}

#[test]
fn environment_variables_reach_the_kernel() {
    let book = Book::new()
        .code("import os\nprint(os.environ.get('SEEN_BY_KERNEL'))\nprint('PYTHONEXECUTABLE' in os.environ)");
    Case::new(&book).env("SEEN_BY_KERNEL", "yes ü").check();
}

#[test]
fn line_and_cell_magics_of_every_kind() {
    check(
        &Book::new()
            .code("%%html\n<b>bold</b>")
            .code("%%javascript\nconsole.log(1)")
            .code("%%latex\n$x$")
            .code("%%markdown\n# m")
            .code("%%writefile note.txt\ncontent")
            .code("%cat note.txt")
            .code("%env SOME_VARIABLE=5")
            .code("x, y = 1, 'a'\n%who")
            .code("%%python\nprint('another process')")
            .code("lines = !printf 'a\\nb\\n'\nlines")
            .code("%precision 3\n1/3"),
    );
}

#[test]
fn a_recursion_error() {
    // In a thread, whose stack begins with nothing of the kernel's.
    let source = "import threading\nseen = []\ndef f(n):\n    return f(n + 1)\ndef run():\n    try:\n        f(0)\n    \
                  except RecursionError as error:\n        seen.append(error)\nt = threading.Thread(target=run)\nt.start()\nt.join()";
    check(&Book::new().code(source).code("print(seen)\nraise seen[0].with_traceback(None)"));
}

#[test]
fn an_error_deep_in_functions_of_other_cells() {
    check(
        &Book::new()
            .code("def f(x):\n    return g(x)")
            .code("def g(x):\n    # ü\n    return x['missing']")
            .code("f({})"),
    );
}

#[test]
fn an_interrupt_that_the_code_sends_to_itself() {
    let source = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)";
    check(&Book::new().code("print(1)").code(source).code("2"));
}

#[test]
fn an_exception_in_a_thread_is_no_failure() {
    let quiet = "import threading\nthreading.excepthook = lambda args: print('hook', args.exc_type.__name__)\n\
                 t = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()";
    check(&Book::new().code(quiet).code("'goes on'"));
}

#[test]
fn a_failed_assertion_with_a_long_message_and_notes() {
    check(&Book::new().code("e = ValueError('x' * 5000)\ne.add_note('a note')\nraise e"));
}

#[test]
fn a_working_directory_changed_by_the_code() {
    let (scratch, _) = Case::new(
        &Book::new().code("import os\nos.mkdir('sub')\nos.chdir('sub')").code("open('made', 'w').close()"),
    )
    .check();
    assert!(scratch.join("sub/made").exists());
}

#[test]
fn history_and_the_names_of_the_last_results() {
    check(&Book::new().code("6 * 7").code("_ + 1").code("__, _2, Out[1], _i1").code("%history -n 1-2"));
}

//! What a cell puts out, as the notebook keeps it.

use rnbexec_tests::Book;
use rnbexec_tests::differential::Case;

fn check(book: &Book) {
    Case::new(book).check();
}

#[test]
fn streams_interleaved() {
    check(&Book::new().code(
        "import sys\n\
         for i in range(4):\n    print('out', i, flush=True)\n    print('err', i, file=sys.stderr, flush=True)",
    ));
}

#[test]
fn a_stream_around_a_display() {
    check(&Book::new().code("print('before')\ndisplay(1)\nprint('after')\n'result'"));
}

#[test]
fn text_without_a_final_newline_and_an_empty_print() {
    check(
        &Book::new()
            .code("print('a', end='')")
            .code("print()")
            .code("print('', end='')")
            .code("print('\\n\\nx\\n')"),
    );
}

#[test]
fn carriage_returns_and_backspaces() {
    check(&Book::new().code("print('10%\\r20%\\r30%')\nprint('abc\\b\\bX')\nprint('a\\r\\nb\\r')"));
}

#[test]
fn every_line_separator_of_python() {
    check(
        &Book::new()
            .code("print('a\\x0bb\\x0cc\\x1cd\\x1de\\x1ef\\x85g\\u2028h\\u2029i')")
            .code("from IPython.display import display, HTML\ndisplay(HTML('<b>\\u2028</b>\\x0c\\n<i>'))")
            .code("# a source with\u{2028} and \u{85} and\u{b} in it\n1"),
    );
}

#[test]
fn unicode_of_every_plane_and_control_characters() {
    check(&Book::new().code("print('ü日本\\U0001f600\\x1b[31mred\\x1b[0m\\x00\\x7f\\ufeff\\ufffd')\n'\\U0001f468\\u200d\\U0001f469'"));
}

#[test]
fn display_ids_across_cells() {
    check(
        &Book::new()
            .code("from IPython.display import display, update_display\nh = display('one', display_id='shared')")
            .code("display('two', display_id='shared')\nh.update('three')")
            .code("update_display({'text/plain': 'four', 'text/html': '<b>4</b>'}, display_id='shared', raw=True)")
            .code("update_display('nobody', display_id='unknown')"),
    );
}

#[test]
fn clear_output_at_once() {
    check(
        &Book::new()
            .code("from IPython.display import clear_output\nprint('a', flush=True)\nclear_output()\nprint('b')")
            .code("print('a', flush=True)\nclear_output()"),
    );
}

#[test]
fn clear_output_that_waits() {
    check(
        &Book::new()
            .code("from IPython.display import clear_output\nprint('a', flush=True)\nclear_output(wait=True)\nprint('b')")
            .code("print('kept', flush=True)\nclear_output(wait=True)")
            .code("for i in range(5):\n    clear_output(wait=True)\n    display(i)"),
    );
}

#[test]
fn clear_output_forgets_the_display_ids_of_its_cell() {
    check(
        &Book::new()
            .code("from IPython.display import clear_output, display\nh = display('a', display_id='x')\nclear_output()\nprint('b')")
            .code("h.update('c')"),
    );
}

#[test]
fn rich_mime_bundles() {
    check(&Book::new().code(
        "import base64\n\
         png = base64.b64encode(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(300)).decode()\n\
         bundle = {'text/plain': 'plain\\nlines', 'text/html': '<b>x</b>\\n<i>y</i>', 'text/latex': '$x$\\n',\n\
         'text/markdown': '# a\\nb', 'image/svg+xml': '<svg>\\n</svg>', 'image/png': png,\n\
         'application/javascript': 'a();\\nb();', 'application/json': {'k': [1, 2.5, None, True], 'a': {'z': 'x\\ny'}},\n\
         'application/vnd.vega.v5+json': {'marks': []}, 'application/x-custom': 'a\\nb', 'text/x-python': 'a\\n'}\n\
         display(bundle, raw=True, metadata={'image/png': {'width': 10}})",
    ));
}

#[test]
fn images_by_their_classes() {
    check(&Book::new().code(
        "from IPython.display import SVG, JSON, Latex, Markdown, Javascript, HTML, Image, Math\nimport base64\n\
         display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><g/></svg>'), JSON({'a': [1]}), Latex('$a$'), Markdown('*b*'))\n\
         display(Javascript('1'), HTML('<p>'), Math('c'))\n\
         gif = base64.b64decode('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7')\n\
         Image(gif, format='gif', width=3)",
    ));
}

#[test]
fn a_repr_that_fails_is_shown_as_its_traceback() {
    check(&Book::new().code("class Bad:\n    def _repr_html_(self):\n        raise ValueError('no html')\n    def __repr__(self):\n        return 'Bad'\nBad()"));
}

#[test]
fn numbers_in_outputs_keep_their_value() {
    check(&Book::new().code(
        "display({'application/json': {'big': 2**100, 'neg': -2**70, 'float': 0.1, 'small': 5e-324, 'e': 1e22, 'one': 1.0}}, raw=True)\n2**200",
    ));
}

#[test]
fn bytes_and_containers_by_their_repr() {
    check(&Book::new().code("b'\\xff\\x00a'").code("{'a': [1, (2,)], 'b': {3}}").code("None").code("..."));
}

#[test]
fn widgets_and_their_state() {
    check(
        &Book::new()
            .code("import ipywidgets as w\ns = w.IntSlider(value=3, description='n')\ns")
            .code("s.value = 7\nw.HBox([s, w.Text('ü\\u2028')])"),
    );
}

#[test]
fn an_output_widget_takes_what_is_printed_in_it() {
    check(
        &Book::new()
            .code("import ipywidgets as w\nfrom IPython.display import display, clear_output\nout = w.Output()\nout")
            .code("with out:\n    print('inside')\n    display(42)\nprint('outside')")
            .code("out.clear_output()\nwith out:\n    print('after clear')")
            .code("with out:\n    clear_output()\n    print('cleared from inside')\nprint(len(out.outputs))"),
    );
}

#[test]
fn an_output_widget_as_decorator_and_append() {
    check(
        &Book::new()
            .code("import ipywidgets as w\nout = w.Output()\n@out.capture()\ndef f():\n    print('captured')\nf()\nout")
            .code("out.append_stdout('more')\nout.append_display_data('shown')"),
    );
}

#[test]
fn interact() {
    check(&Book::new().code("from ipywidgets import interact\n@interact(x=(0, 10))\ndef f(x=4):\n    print('x is', x)\n    return x * 2"));
}

#[test]
fn a_widget_with_binary_state() {
    check(&Book::new().code("import ipywidgets as w\nw.Image(value=b'\\x89PNG\\x00\\xff', format='png')"));
}

#[test]
fn a_comm_whose_target_nobody_knows() {
    check(
        &Book::new()
            .code("from comm import create_comm\nc = create_comm('nobody', data={'state': {'_model_name': 'X', 'v': 1}})\nc.send({'method': 'update', 'state': {'v': 2}})")
            .code("c.close()\nprint('closed')"),
    );
}

#[test]
fn output_of_a_subprocess() {
    // A thread of the kernel picks up what is written to the descriptor itself, so the cell gives it the time.
    let given_time = "import os, time\n_ = os.system('echo from system')\ntime.sleep(3)";
    check(
        &Book::new()
            .code(given_time)
            .code("import subprocess\nsubprocess.run(['echo', 'captured'], capture_output=True).stdout")
            .code("!echo bang; echo err >&2")
            .code("!false"),
    );
}

#[test]
fn warnings_and_logging() {
    check(&Book::new().code("import warnings\nwarnings.warn('careful')").code(
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=logging.INFO, format='%(levelname)s %(message)s')\n\
         logging.info('logged')\nlogging.error('bad')",
    ));
}

#[test]
fn output_of_a_thread_that_ends_with_its_cell() {
    check(&Book::new().code(
        "import threading\nt = threading.Thread(target=lambda: print('from a thread'))\nt.start()\nt.join()",
    ));
}

#[test]
fn output_of_a_thread_that_speaks_in_a_later_cell() {
    check(
        &Book::new()
            .code("import threading\ngo, done = threading.Event(), threading.Event()\ndef late():\n    go.wait()\n    print('late', flush=True)\n    done.set()\nthreading.Thread(target=late).start()")
            .code("go.set()\ndone.wait()\nimport time; time.sleep(0.1)\nprint('next cell')"),
    );
}

#[test]
fn a_very_long_line() {
    check(&Book::new().code("print('x' * 2_000_000)").code("'y' * 100_000"));
}

#[test]
fn very_many_short_lines() {
    check(&Book::new().code("for i in range(30_000):\n    print(i)"));
}

#[test]
fn two_thousand_displays() {
    check(&Book::new().code("for i in range(2_000):\n    display(i)"));
}

#[test]
fn a_pager_and_set_next_input_leave_nothing() {
    check(
        &Book::new()
            .code("def f(): 'doc'")
            .code("f?")
            .code("get_ipython().set_next_input('x = 1')")
            .code("%page f"),
    );
}

#[test]
fn the_last_expression_and_the_semicolon() {
    check(&Book::new().code("1\n2").code("3;").code("x = 4").code("_1, _").code("Out, In[1]"));
}

#[test]
fn progress_bars_that_redraw_a_line() {
    check(&Book::new().code(
        "import sys\nfor i in range(0, 101, 20):\n    sys.stderr.write(f'\\r{i:3}% |' + '#' * (i // 10))\n    sys.stderr.flush()\nprint()",
    ));
}

#[test]
fn output_below_the_level_of_print() {
    let given_time = "import os, sys, time\nsys.stdout.write('write\\n')\nsys.stdout.flush()\nprint('own', file=sys.stdout, flush=True)\nNone";
    check(&Book::new().code(given_time).code("import sys\nsys.stdout.writelines(['a\\n', 'b\\n'])"));
}

#[test]
fn a_display_handle_made_and_updated_in_a_loop() {
    check(
        &Book::new()
            .code("h = display('start', display_id=True)\nfor i in range(5):\n    h.update(f'step {i}')\nh.update({'text/plain': 'raw'}, raw=True)")
            .code("h.display('again')\nh.update('both')"),
    );
}

#[test]
fn displays_with_metadata_and_html_that_is_hostile() {
    check(&Book::new().code("display({'text/html': '<script>alert(1)</script>', 'text/plain': '</script>'}, raw=True, metadata={'isolated': True})"));
}

#[test]
fn a_publisher_of_its_own_messages() {
    check(&Book::new().code(
        "from IPython.core.displaypub import publish_display_data\n\
         publish_display_data({'application/vnd.custom+json': [1, {'a': None}], 'text/plain': ''}, {'application/vnd.custom+json': {'m': 1}})",
    ));
}

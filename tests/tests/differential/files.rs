//! The test notebooks of papermill, nbclient and nbformat.

use rnbexec_tests::differential::Case;

macro_rules! cases {
    ($($name:ident: $file:literal $(with $args:expr)? $(, differs $difference:literal)? ;)*) => {$(
        #[test]
        fn $name() {
            Case::of_file($file)$(.args($args))?$(.differs($difference))?.check();
        }
    )*};
}

cases! {
    papermill_blank_vscode: "papermill/blank-vscode.ipynb" with ["-k", "python3"];
    papermill_blank_vscode_without_a_kernel: "papermill/blank-vscode.ipynb" with ["-p", "x", "1"];
    papermill_broken: "papermill/broken.ipynb", differs "stale_parameters_go";
    papermill_broken1: "papermill/broken1.ipynb", differs "stale_parameters_go";
    papermill_broken2: "papermill/broken2.ipynb", differs "stale_parameters_go";
    papermill_complex_parameters: "papermill/complex_parameters.ipynb" with ["-p", "msg", "hi", "-p", "a", "3.5"];
    papermill_line_magic_error: "papermill/line_magic_error.ipynb";
    papermill_nb_version_4_4: "papermill/nb_version_4.4.ipynb" with ["-p", "var", "It works"];
    papermill_no_parameters: "papermill/no_parameters.ipynb" with ["-p", "msg", "hello"];
    papermill_notimplemented_translator:
        "papermill/notimplemented_translator.ipynb" with ["--prepare-only", "-p", "msg", "hi"];
    papermill_read_check: "papermill/read_check.ipynb";
    papermill_report_mode: "papermill/report_mode_test.ipynb" with ["--report-mode", "-p", "a", "0"];
    papermill_result_no_exec: "papermill/result_no_exec.ipynb" with ["--prepare-only", "-p", "foo", "1"], differs "default_parameters_are_always_there";
    papermill_simple_execute: "papermill/simple_execute.ipynb" with ["-p", "msg", "hello"];
    papermill_simple_execute_without_parameters: "papermill/simple_execute.ipynb";
    papermill_sysexit: "papermill/sysexit.ipynb";
    papermill_sysexit0: "papermill/sysexit0.ipynb";
    papermill_sysexit1: "papermill/sysexit1.ipynb";
    papermill_systemexit: "papermill/systemexit.ipynb";
    papermill_autosave: "papermill/test_autosave.ipynb" with ["--autosave-cell-every", "1"];
    papermill_logging: "papermill/test_logging.ipynb" with ["--log-output"];
    papermill_notebooknode: "papermill/test_notebooknode_io.ipynb";

    nbclient_history_in_memory: "nbclient/Check History in Memory.ipynb" with ["-k", "python3"];
    nbclient_clear_output: "nbclient/Clear Output.ipynb";
    nbclient_disable_stdin: "nbclient/Disable Stdin.ipynb" with ["-k", "python3"];
    nbclient_empty_cell: "nbclient/Empty Cell.ipynb";
    nbclient_error: "nbclient/Error.ipynb";
    nbclient_factorials: "nbclient/Factorials.ipynb" with ["-k", "python3"];
    nbclient_hello_world: "nbclient/HelloWorld.ipynb" with ["-k", "python3"];
    nbclient_hello_world_without_a_kernel: "nbclient/HelloWorld.ipynb";
    nbclient_inline_image: "nbclient/Inline Image.ipynb" with ["-k", "python3"];
    nbclient_widgets: "nbclient/JupyterWidgets.ipynb";
    nbclient_other_comms: "nbclient/Other Comms.ipynb";
    nbclient_output_widget: "nbclient/Output.ipynb" with ["-k", "python3"];
    nbclient_svg: "nbclient/SVG.ipynb" with ["-k", "python3"];
    nbclient_skip_exceptions_by_tag:
        "nbclient/Skip Exceptions with Cell Tags.ipynb", differs "raises_exception_succeeds";
    nbclient_skip_exceptions: "nbclient/Skip Exceptions.ipynb" with ["-k", "python3"];
    nbclient_skip_execution_by_tag: "nbclient/Skip Execution with Cell Tag.ipynb" with ["-k", "python3"];
    nbclient_sleep: "nbclient/Sleep1s.ipynb";
    nbclient_unicode: "nbclient/Unicode.ipynb" with ["-k", "python3"];
    nbclient_unicode_py3: "nbclient/UnicodePy3.ipynb";
    nbclient_update_display_id: "nbclient/update-display-id.ipynb" with ["-k", "python3"];

    nbformat_invalid: "nbformat/invalid.ipynb" with ["--prepare-only"];
    nbformat_invalid_cell_id: "nbformat/invalid_cell_id.ipynb" with ["--prepare-only"];
    nbformat_repeated_cell_id: "nbformat/invalid_unique_cell_id.ipynb" with ["--prepare-only"];
    nbformat_many_tracebacks: "nbformat/many_tracebacks.ipynb" with ["--prepare-only"];
    nbformat_3: "nbformat/test3.ipynb" with ["--prepare-only"];
    nbformat_3_no_minor_version: "nbformat/test3_no_min_version.ipynb" with ["--prepare-only"];
    nbformat_3_no_worksheets: "nbformat/test3_no_worksheets.ipynb" with ["--prepare-only"];
    nbformat_3_worksheet_without_cells: "nbformat/test3_worksheet_with_no_cells.ipynb" with ["--prepare-only"];
    nbformat_4_5: "nbformat/test4.5.ipynb" with ["--prepare-only"];
    nbformat_4_5_with_parameters: "nbformat/test4.5.ipynb" with ["--prepare-only", "-k", "python3", "-l", "python", "-p", "x", "1"];
    nbformat_4: "nbformat/test4.ipynb" with ["--prepare-only"];
    nbformat_4_custom: "nbformat/test4custom.ipynb" with ["--prepare-only"];
    nbformat_4_docinfo: "nbformat/test4docinfo.ipynb" with ["--prepare-only"];
    nbformat_4_jupyter_metadata: "nbformat/test4jupyter_metadata.ipynb" with ["--prepare-only"];
    nbformat_4_timings: "nbformat/test4jupyter_metadata_timings.ipynb" with ["--prepare-only"];
    nbformat_4_plus: "nbformat/test4plus.ipynb" with ["--prepare-only"];
    nbformat_4_5_invalid_metadata: "nbformat/v4_5_invalid_metadata.ipynb" with ["--prepare-only"];
    nbformat_4_5_no_cell_id: "nbformat/v4_5_no_cell_id.ipynb" with ["--prepare-only"];
}

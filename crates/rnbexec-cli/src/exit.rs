//! Exit codes: the whole list, for people and for the programs that call us.
//!
//! Source: papermill (0, 1, 2, 138), `sysexits.h` (75), `timeout(1)` (124) and the shells (128 + signal).

use std::fmt::Write as _;

/// The notebook did what it should (a cell that ended it with `sys.exit(0)` included).
pub(crate) const SUCCESS: u8 = 0;
/// The notebook failed, or what was asked cannot be done: a cell raised or took too long, bad input, a missing
/// kernel, an output that cannot be written.
pub(crate) const FAILURE: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// The environment failed, not the notebook: the kernel did not start, its environment could not be made, storage
/// was unavailable. Trying again later may help (`EX_TEMPFAIL`).
pub(crate) const TRY_AGAIN: u8 = 75;
/// The whole run took longer than `--timeout` allows.
pub(crate) const TIMED_OUT: u8 = 124;
/// Stopped because the terminal went away (SIGHUP).
pub(crate) const HANGUP: u8 = 129;
/// Stopped by Ctrl-C (SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;
/// The kernel died while the notebook ran.
pub(crate) const KERNEL_DIED: u8 = 138;
/// Stopped by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;

/// Every code with its meaning, as the help shows it.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (SUCCESS, "success (a cell that ends the notebook with sys.exit(0) included)"),
    (FAILURE, "the notebook failed, or the request cannot be done (bad input, missing kernel, …)"),
    (USAGE, "the command line is wrong"),
    (TRY_AGAIN, "try again: the kernel did not start, or the network or storage is unavailable"),
    (TIMED_OUT, "the whole run took longer than --timeout"),
    (HANGUP, "stopped because the terminal went away (SIGHUP)"),
    (INTERRUPTED, "stopped by Ctrl-C (SIGINT)"),
    (KERNEL_DIED, "the kernel died"),
    (TERMINATED, "stopped by SIGTERM"),
];

/// The codes of `rnbexec batch`, which speak of all its runs. Those that are left out mean one run alone.
pub(crate) const BATCH_TABLE: &[(u8, &str)] = &[
    (SUCCESS, "every run succeeded, or was done before (--resume)"),
    (FAILURE, "a run failed or was refused, or the request cannot be done"),
    (USAGE, "the command line is wrong"),
    (TRY_AGAIN, "try again: runs failed, all of them because something was not available"),
    (HANGUP, "stopped because the terminal went away (SIGHUP)"),
    (INTERRUPTED, "stopped by Ctrl-C (SIGINT)"),
    (TERMINATED, "stopped by SIGTERM"),
];

/// The table as a section of the help text.
pub(crate) fn help_section() -> String {
    section(TABLE)
}

/// The same for `rnbexec batch`.
pub(crate) fn batch_help_section() -> String {
    section(BATCH_TABLE)
}

fn section(table: &[(u8, &str)]) -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in table {
        writeln!(text, "  {code:>3}  {meaning}").expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones_and_each_is_listed_once() {
        let codes: Vec<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [0, 1, 2, 75, 124, 129, 130, 138, 143]);
    }

    #[test]
    fn a_batch_has_no_codes_of_its_own() {
        let known: Vec<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        assert!(BATCH_TABLE.iter().all(|(code, _)| known.contains(code)));
        assert!(batch_help_section().contains("  130  stopped by Ctrl-C"));
    }

    #[test]
    fn the_help_section_names_every_code() {
        let text = help_section();
        assert!(text.contains("   75  try again"), "{text}");
        assert!(text.contains("  138  the kernel died"), "{text}");
    }
}

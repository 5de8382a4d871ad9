use std::sync::Arc;
use std::time::Duration;

use rnbexec::store::{Action, Location};
use rnbexec_kernel::{KernelDeath, KnownKernels, LaunchError};

use super::*;

const AT: Saved<'_> = Saved { place: "o.ipynb", written: true };

fn error() -> CellError {
    CellError {
        cell: 3,
        execution_count: Some(4),
        ename: "ZeroDivisionError".to_owned(),
        evalue: "division by zero".to_owned(),
        traceback: vec!["line 1".to_owned(), "line 2".to_owned()],
    }
}

fn died(cause: DeathCause) -> Outcome {
    Outcome::KernelDied {
        cell: Some(0),
        death: KernelDeath { cause, stderr_tail: "Fatal Python error\n".to_owned() },
    }
}

fn timed_out(limit: TimeLimit) -> Outcome {
    Outcome::TimedOut { cell: Some(1), limit, after: Duration::from_secs(2), killed: true }
}

fn code(outcome: &Outcome, signal: Option<Signal>) -> u8 {
    of_outcome(outcome, signal, AT).map_or(exit::SUCCESS, |failure| failure.code)
}

fn launch(error: LaunchError) -> Outcome {
    Outcome::StartFailed { error: Arc::new(error), kept_earlier_output: false }
}

#[test]
fn every_outcome_has_its_documented_exit_code() {
    assert_eq!(code(&Outcome::Completed, None), 0);
    assert_eq!(code(&Outcome::Prepared, None), 0);
    assert_eq!(code(&Outcome::ExitedEarly { cell: 1 }, None), 0);
    assert_eq!(code(&Outcome::CellFailed(error()), None), 1);
    assert_eq!(code(&timed_out(TimeLimit::Cell), None), 1);
    assert_eq!(code(&timed_out(TimeLimit::Run), None), 124);
    assert_eq!(code(&died(DeathCause::Signal(9)), None), 138);
    let stopped = Outcome::Interrupted { cell: None };
    assert_eq!(code(&stopped, Some(Signal::Interrupt)), 130);
    #[cfg(unix)]
    {
        assert_eq!(code(&stopped, Some(Signal::Terminate)), 143);
        assert_eq!(code(&stopped, Some(Signal::Hangup)), 129);
    }
}

#[test]
fn a_kernel_that_did_not_start_may_start_later_unless_its_program_is_missing() {
    let timeout = LaunchError::Timeout {
        kernel: "k".to_owned(),
        waited: Duration::from_secs(2),
        what: "did not answer",
        stderr_tail: String::new(),
    };
    assert_eq!(code(&launch(timeout), None), 75);
    let missing = LaunchError::ProgramMissing {
        kernel: "k".to_owned(),
        program: "R".to_owned(),
        file: "/k/kernel.json".into(),
    };
    assert_eq!(code(&launch(missing), None), 1);
}

#[test]
fn a_traceback_has_papermills_form() {
    let expected = format!("\n{}\nException encountered at \"In [4]\":\nline 1\nline 2\n", "-".repeat(75));
    assert_eq!(traceback(&error()), expected);
    let uncounted = CellError { execution_count: None, ..error() };
    assert!(traceback(&uncounted).contains("\"In [None]\""));
}

#[test]
fn a_failed_cell_is_named_with_its_error_and_the_place_of_the_notebook() {
    let failure = of_outcome(&Outcome::CellFailed(error()), None, AT).unwrap();
    assert_eq!(failure.what, "cell 4 (In [4]) raised ZeroDivisionError: division by zero");
    assert!(failure.help.unwrap().contains("o.ipynb"));
}

#[test]
fn a_dead_kernel_is_told_with_its_cause_and_last_words() {
    let failure = of_outcome(&died(DeathCause::Signal(11)), None, AT).unwrap();
    assert_eq!(failure.what, "the kernel died while cell 1 ran");
    assert_eq!(failure.causes[0], "killed by signal 11 (SIGSEGV)");
    assert!(failure.causes[1].contains("Fatal Python error"));
    let memory = DeathCause::OutOfMemory { limit: None, evidence: "oom_kill 1".to_owned() };
    assert!(of_outcome(&died(memory), None, AT).unwrap().help.unwrap().contains("more memory"));
}

#[test]
fn long_last_words_keep_their_begin_and_their_end() {
    let words: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
    let short = shortened(&words.join("\n"));
    assert!(
        short.starts_with("line 1\n") && short.contains("line 8\n(6 lines left out)\nline 15\n"),
        "{short}"
    );
    assert!(short.ends_with("line 30"));
    assert_eq!(shortened("one\ntwo"), "one\ntwo");
}

#[test]
fn a_time_limit_is_told_with_how_to_allow_more() {
    let cell = of_outcome(&timed_out(TimeLimit::Cell), None, AT).unwrap();
    assert_eq!(cell.what, "cell 2 took longer than 2 s");
    assert!(cell.help.unwrap().contains("--execution-timeout") && cell.causes.len() == 1);
    let run = of_outcome(&timed_out(TimeLimit::Run), None, AT).unwrap();
    assert_eq!(run.what, "the run took longer than 2 s while cell 2 ran");
}

fn store_error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(Action::Read, &Location::parse("n.ipynb").unwrap(), kind)
}

#[test]
fn storage_that_is_unavailable_means_try_again_and_a_missing_file_does_not() {
    let of = |kind| of_error(&RunError::Read(store_error(kind)), Vec::new);
    assert_eq!(of(StoreErrorKind::Unavailable { retry_after: None }).code, 75);
    let missing = of(StoreErrorKind::NotFound);
    assert_eq!((missing.code, missing.help.as_deref()), (1, Some("check the path")));
    assert_eq!(missing.causes, ["cannot read n.ipynb: it does not exist"]);
}

#[test]
fn a_missing_kernel_is_told_with_those_that_exist_and_how_to_get_it() {
    let missing = RunError::Kernelspec(KernelspecError::NotFound {
        name: "ir".to_owned(),
        known: KnownKernels { kernels: Vec::new(), searched: vec!["/usr/share/jupyter/kernels".into()] },
    });
    let python = Kernelspec {
        name: "python3".to_owned(),
        dir: "/k/python3".into(),
        argv: vec!["python".to_owned()],
        display_name: "Python 3".to_owned(),
        language: "python".to_owned(),
        interrupt_mode: rnbexec_kernel::InterruptMode::Signal,
        env: std::collections::BTreeMap::new(),
        metadata: serde_json::Value::Null,
    };
    let failure = of_error(&missing, || vec![python]);
    assert_eq!(failure.causes, ["no kernel named 'ir' is installed"]);
    let help = failure.help.unwrap();
    assert!(
        help.contains("rnbexec kernel install ir") && help.contains("python3  python  /k/python3"),
        "{help}"
    );
    let none = of_error(&missing, Vec::new).help.unwrap();
    assert!(none.contains("/usr/share/jupyter/kernels"), "{none}");
}

#[test]
fn an_unwritable_output_says_where_the_notebook_was_put_instead() {
    let save = RunError::Save {
        source: store_error(StoreErrorKind::NoSpace),
        rescued: Some("/tmp/rescued.ipynb".into()),
    };
    let help = of_error(&save, Vec::new).help.unwrap();
    assert!(help.contains("/tmp/rescued.ipynb") && help.contains("make room"), "{help}");
}

#[test]
fn unknown_parameters_are_told_with_the_known_ones() {
    let error = RunError::UnknownParameters {
        names: vec!["z".to_owned()],
        known: vec!["a".to_owned(), "b".to_owned()],
    };
    let failure = of_error(&error, Vec::new);
    assert_eq!(failure.help.as_deref(), Some("it defines a, b"));
    assert_eq!(failure.code, 1);
}

#[test]
fn a_notebook_that_was_not_written_is_not_said_to_be_anywhere() {
    let at = Saved { written: false, ..AT };
    let failure = of_outcome(&Outcome::Interrupted { cell: None }, Some(Signal::Interrupt), at).unwrap();
    assert_eq!(failure.help.as_deref(), Some("nothing was written to o.ipynb"));
}

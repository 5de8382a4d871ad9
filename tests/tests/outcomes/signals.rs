//! Signals to the runner in each part of a run, once, twice and thrice.

use std::sync::mpsc::{self, Receiver, Sender};

use rnbexec_tests::program::Running;
use rnbexec_tests::servers::{Answer, Http};
use rnbexec_tests::{FakeKernel, Saved, Scratch, wait_for};
use serde_json::Value;

use crate::SOON;

#[test]
fn any_signal_while_the_kernel_starts_leaves_nothing() {
    for (signals, code) in [(&["INT"] as &[_], 130), (&["HUP"], 129), (&["TERM", "TERM"], 143)] {
        let scratch = Scratch::new();
        FakeKernel { flags: &["--no-kernel-info"], ..FakeKernel::default() }.install(&scratch);
        scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
        let running = Running::start(&mut scratch.rnbexec(["run", "in.ipynb", "out.ipynb"]));
        wait_for("the kernel's process", SOON, || {
            scratch.alive().iter().any(|process| process.contains("fake_kernel.py")).then_some(())
        });
        for signal in signals {
            running.signal(signal);
        }
        running.finish(SOON).expect_code(code);
        scratch.expect_nothing_left();
    }
}

/// A run that has ended and whose notebook is on its way to a server that does not answer.
struct Upload {
    scratch: Scratch,
    running: Running,
    server: Http,
    answer: Sender<Answer>,
}

impl Upload {
    fn begin() -> Self {
        let (arrived, at_the_server): (Sender<()>, Receiver<()>) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let server = Http::serve(move |asked| {
            if asked.method != "PUT" {
                return Answer::status(404);
            }
            let told = arrived.send(()).is_ok();
            answers.recv_timeout(SOON).ok().filter(|_| told).unwrap_or_else(|| Answer::status(500))
        });
        let scratch = Scratch::new();
        FakeKernel::default().install(&scratch);
        scratch.write("in.ipynb", FakeKernel::book().code("stdout hi").to_bytes());
        let output = format!("{}/out.ipynb", server.url());
        let args = ["run", "in.ipynb", &output, "--no-request-save-on-cell-execute"];
        let running = Running::start(&mut scratch.rnbexec(args));
        at_the_server.recv_timeout(SOON).expect("the notebook is sent");
        Self { scratch, running, server, answer }
    }
}

#[test]
fn a_signal_while_the_notebook_is_uploaded_lets_it_arrive() {
    let Upload { scratch, running, server, answer } = Upload::begin();
    running.signal("TERM");
    answer.send(Answer::status(201)).expect("the server waits for it");
    running.finish(SOON).expect_code(0);
    let sent: Value = serde_json::from_slice(&server.asked()[0].body).expect("a notebook");
    assert_eq!(Saved(sent).statuses(), ["completed"]);
    scratch.expect_nothing_left();
}

#[test]
fn two_signals_while_the_notebook_is_uploaded_put_it_elsewhere() {
    let Upload { scratch, running, answer, server: _server } = Upload::begin();
    // Two of one kind that wait together would be one.
    running.signal("TERM");
    running.signal("INT");
    let done = running.finish(SOON);
    drop(answer);
    let (notebook, path) = Saved::rescued(&scratch);
    done.expect_code(75).expect_stderr("not available now").expect_stderr(&path);
    assert_eq!((notebook.statuses(), notebook.printed(0)), (vec!["completed".to_owned()], "hi".to_owned()));
    scratch.expect_no_process();
}

/// Nobody reads the pipe that takes the notebook's output, so the run waits in a call of the system.
#[test]
fn a_run_that_hears_no_signal_is_left_all_the_same() {
    let scratch = Scratch::new();
    FakeKernel::default().install(&scratch);
    assert!(scratch.command("mkfifo").arg("pipe").status().is_ok_and(|status| status.success()));
    scratch.write("in.ipynb", FakeKernel::book().code("stdout hi\nwrite begun .\nsleep 1000").to_bytes());
    let args = ["run", "in.ipynb", "out.ipynb", "--stdout-file", "pipe"];
    let running = Running::start(&mut scratch.rnbexec(args));
    wait_for("the output to be sent", SOON, || scratch.join("begun").exists().then_some(()));
    // Signals of one kind that come at once may count as one.
    for signal in ["INT", "TERM", "HUP"] {
        running.signal(signal);
    }
    let done = running.finish(SOON);
    assert!([129, 130, 143].contains(&done.code()), "{}", done.code());
    scratch.expect_nothing_left();
}

#[test]
fn three_signals_leave_at_once_and_no_kernel_stays() {
    let Upload { scratch, running, answer, server: _server } = Upload::begin();
    for signal in ["TERM", "INT", "HUP"] {
        running.signal(signal);
    }
    let done = running.finish(SOON);
    drop(answer);
    // Which of the three is the first to be seen is not said.
    assert!([129, 130, 143].contains(&done.code()), "{}: {}", done.code(), done.stderr);
    scratch.expect_no_process();
}

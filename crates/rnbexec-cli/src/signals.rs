//! Signals: the first one asks the run to stop, the second to stop at once, the third does not wait any more. A manager, which has
//! more than one notebook in hand, first lets those come to their end.
//!
//! Unix: SIGINT, SIGTERM, SIGHUP; Windows: Ctrl-C. A signal that was ignored when we were started (`nohup`, a shell's
//! background job) stays ignored, as it does for every program that takes no care.

use rnbexec::CancelLevel;

use crate::exit;

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix sends it"))]
    Terminate,
    /// SIGHUP.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix sends it"))]
    Hangup,
}

impl Signal {
    /// The exit code of a run that it stopped.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => exit::INTERRUPTED,
            Self::Terminate => exit::TERMINATED,
            Self::Hangup => exit::HANGUP,
        }
    }
}

/// What the next signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Raise the cancel level to this.
    Raise(CancelLevel),
    /// Leave now.
    Leave,
}

/// How patiently signals are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The first signal interrupts: one notebook runs, and somebody waits for it.
    Run,
    /// The first signal lets what runs come to its end: others wait behind it.
    Drain,
}

/// The answer to the signal that `earlier` ones came before.
pub(crate) fn answer(patience: Patience, earlier: usize) -> Answer {
    let skipped = match patience {
        Patience::Run => 1,
        Patience::Drain => 0,
    };
    match earlier + skipped {
        0 => Answer::Raise(CancelLevel::Drain),
        1 => Answer::Raise(CancelLevel::Interrupt),
        2 => Answer::Raise(CancelLevel::Kill),
        _ => Answer::Leave,
    }
}

pub(crate) use platform::Signals;

#[cfg(unix)]
mod platform {
    use std::io;

    use tokio::signal::unix::{self, SignalKind};

    use super::Signal;

    /// The signals of this process, from now on.
    pub(crate) struct Signals {
        interrupt: Option<unix::Signal>,
        terminate: Option<unix::Signal>,
        hangup: Option<unix::Signal>,
        /// Listened to and never acted on: a write past the limit on file sizes (`ulimit -f`) then is an error like a
        /// full disk, not the end of this process.
        _file_too_large: Option<unix::Signal>,
    }

    /// SIGXFSZ, the same number wherever there is one.
    const FILE_TOO_LARGE: i32 = 25;

    impl Signals {
        pub(crate) fn listen() -> io::Result<Self> {
            let ignored = ignored();
            let listen = |kind: SignalKind| {
                let is_ignored = ignored >> (kind.as_raw_value() - 1) & 1 == 1;
                if is_ignored { Ok(None) } else { unix::signal(kind).map(Some) }
            };
            Ok(Self {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
                hangup: listen(SignalKind::hangup())?,
                _file_too_large: listen(SignalKind::from_raw(FILE_TOO_LARGE))?,
            })
        }

        /// The next signal. Cancel-safe.
        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                () = received(self.interrupt.as_mut()) => Signal::Interrupt,
                () = received(self.terminate.as_mut()) => Signal::Terminate,
                () = received(self.hangup.as_mut()) => Signal::Hangup,
            }
        }
    }

    async fn received(signal: Option<&mut unix::Signal>) {
        if let Some(signal) = signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// The signals that this process was started to ignore, one bit each. Only Linux tells it without unsafe code;
    /// elsewhere none is taken to be.
    fn ignored() -> u64 {
        if !cfg!(target_os = "linux") {
            return 0;
        }
        std::fs::read_to_string("/proc/self/status").map_or(0, |status| super::ignored_in(&status))
    }
}

#[cfg(not(unix))]
mod platform {
    use std::io;

    use super::Signal;

    /// Ctrl-C, from now on.
    pub(crate) struct Signals(());

    impl Signals {
        pub(crate) fn listen() -> io::Result<Self> {
            Ok(Self(()))
        }

        /// The next Ctrl-C. Cancel-safe.
        pub(crate) async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Interrupt,
                Err(_no_console) => std::future::pending().await,
            }
        }
    }
}

/// The mask of ignored signals in the text of `/proc/self/status`.
#[cfg(unix)]
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_is_answered_more_urgently() {
        let answers = |patience| [0, 1, 2, 3, 9].map(|earlier| answer(patience, earlier));
        let [drain, interrupt, kill] =
            [CancelLevel::Drain, CancelLevel::Interrupt, CancelLevel::Kill].map(Answer::Raise);
        let leave = Answer::Leave;
        assert_eq!(answers(Patience::Run), [interrupt, kill, leave, leave, leave]);
        assert_eq!(answers(Patience::Drain), [drain, interrupt, kill, leave, leave]);
    }

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(Signal::Interrupt.exit_code(), 128 + 2);
        #[cfg(unix)]
        {
            assert_eq!(Signal::Terminate.exit_code(), 128 + 15);
            assert_eq!(Signal::Hangup.exit_code(), 128 + 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn ignored_signals_are_read_from_the_processs_status() {
        assert_eq!(ignored_in("Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t0"), 0x1003);
        assert_eq!(ignored_in("nothing here"), 0);
    }
}

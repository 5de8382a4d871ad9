//! The terminal: everything we say on standard error goes through here, and what is asked for on standard output.
//!
//! Standard error is for people: log lines, cell output that was asked for, the progress bar. All of it is made safe
//! for a terminal on its way (see [`sanitise`](crate::sanitise)). Nobody reading it any more is no reason to stop.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::sanitise::{Keep, sanitise, sanitise_line};

/// Standard error, shared by the log, the run and the progress bar. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    terminal: bool,
    colours: bool,
    screen: Mutex<Screen>,
}

#[derive(Debug, Default)]
struct Screen {
    /// Drawn below everything else while it is there.
    bar: Option<ProgressBar>,
    /// The last line written has no line feed yet.
    open: bool,
    /// An unfinished line that waits for its end, because the bar stands where it would go.
    held: String,
}

impl Console {
    /// The standard error of this process.
    pub(crate) fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self(Arc::new(Inner { terminal, colours, screen: Mutex::default() }))
    }

    /// Whether somebody looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.0.terminal
    }

    /// One line of text, on a line of its own.
    pub(crate) fn line(&self, text: &str) {
        self.lines(&sanitise_line(text));
    }

    /// A block of text that may hold line breaks and, on a terminal, colours.
    pub(crate) fn block(&self, text: &str) {
        self.lines(&sanitise(text, self.keep(false)));
    }

    /// What a cell wrote, as it comes: no line feed is added.
    pub(crate) fn chunk(&self, text: &str) {
        let text = sanitise(text, self.keep(true));
        let mut screen = self.screen();
        let Some(bar) = screen.bar.clone() else {
            if !text.is_empty() {
                screen.open = !text.ends_with('\n');
                write(&text);
            }
            return;
        };
        screen.held.push_str(&text);
        if let Some(end) = screen.held.rfind('\n') {
            let rest = screen.held.split_off(end + 1);
            let whole = std::mem::replace(&mut screen.held, rest);
            bar.suspend(|| write(&whole));
        }
    }

    /// Ends a line that a cell left unfinished.
    pub(crate) fn end_line(&self) {
        let mut screen = self.screen();
        screen.settle();
    }

    /// Draws a bar below everything else from now on.
    pub(crate) fn attach(&self, bar: ProgressBar) {
        let mut screen = self.screen();
        screen.settle();
        screen.bar = Some(bar);
    }

    /// Leaves the bar where it is and writes below it from now on.
    pub(crate) fn detach(&self) {
        let mut screen = self.screen();
        screen.settle();
        screen.bar = None;
    }

    fn lines(&self, text: &str) {
        let mut screen = self.screen();
        screen.settle();
        let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
        match &screen.bar {
            Some(bar) => bar.suspend(|| write(&text)),
            None => write(&text),
        }
    }

    fn keep(&self, carriage_returns: bool) -> Keep {
        Keep { colours: self.0.colours, carriage_returns }
    }

    fn screen(&self) -> std::sync::MutexGuard<'_, Screen> {
        self.0.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    /// Brings the cursor to the begin of a line.
    fn settle(&mut self) {
        if !self.held.is_empty() {
            let line = std::mem::take(&mut self.held) + "\n";
            match &self.bar {
                Some(bar) => bar.suspend(|| write(&line)),
                None => write(&line),
            }
        }
        if std::mem::take(&mut self.open) {
            write("\n");
        }
    }
}

fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).is_err() {
        // Nobody reads our messages any more; the run itself goes on.
    }
}

/// Writes what was asked for to standard output, made safe when a terminal shows it: a stranger's words are in it. A reader that went
/// away has had enough: that is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let text = if stdout.is_terminal() { &sanitise(text, Keep::NOTHING) } else { text };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

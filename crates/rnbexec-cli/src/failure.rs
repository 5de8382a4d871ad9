//! What went wrong, for people: `error: <what>`, its causes, `help: <what to do next>`, and the exit code.

use std::error::Error;
use std::fmt::Write as _;

use rnbexec::redact::Redactor;

use crate::console::Console;
use crate::exit;

/// A command that did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What went wrong.
    pub(crate) what: String,
    /// Why, the nearest cause first.
    pub(crate) causes: Vec<String>,
    /// What to do next.
    pub(crate) help: Option<String>,
}

impl Failure {
    /// Something that cannot be done.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { code: exit::FAILURE, what: what.into(), causes: Vec::new(), help: None }
    }

    /// An error with its whole chain of causes.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        Self { causes: chain(error.source()), ..Self::new(error.to_string()) }
    }

    /// `what` because of an error and its causes.
    pub(crate) fn because(what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        Self { causes: chain(Some(error)), ..Self::new(what) }
    }

    #[must_use]
    pub(crate) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    #[must_use]
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Without secrets: what a server or an installer said may hold some.
    #[must_use]
    pub(crate) fn masked(self, redactor: &Redactor) -> Self {
        let masked = |text: String| redactor.text(&text).0.into_owned();
        Self {
            code: self.code,
            what: masked(self.what),
            causes: self.causes.into_iter().map(masked).collect(),
            help: self.help.map(masked),
        }
    }

    /// Says it on standard error, at any log level.
    pub(crate) fn show(&self, console: &Console) {
        console.block(&self.text());
    }

    /// A line each, the further lines of a part indented: no part can pass for another.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut part = |name: &str, body: &str| {
            writeln!(text, "{name}: {}", body.trim_end().replace('\n', "\n    ").replace("\n    \n", "\n\n"))
                .expect("writing to a String does not fail");
        };
        part("error", &self.what);
        for cause in &self.causes {
            part("  because", cause);
        }
        if let Some(help) = &self.help {
            part("help", help);
        }
        text
    }
}

/// The messages of an error and its causes, without those that only repeat the one before.
fn chain(mut error: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    while let Some(next) = error {
        let message = next.to_string();
        if messages.last().is_none_or(|last| !last.ends_with(&message)) {
            messages.push(message);
        }
        error = next.source();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the notebook")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("it does not exist")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("reading: it does not exist")]
    struct Repeats(#[source] Inner);

    #[test]
    fn an_error_is_told_with_its_causes_and_what_to_do() {
        let failure = Failure::of(&Outer(Inner)).help("check the path");
        assert_eq!(
            failure.text(),
            "error: cannot read the notebook\n  because: it does not exist\nhelp: check the path\n"
        );
    }

    #[test]
    fn a_strangers_line_breaks_cannot_forge_a_line_of_ours() {
        let failure = Failure::new("cell 1 raised X: a\nhelp: run me\n");
        assert_eq!(failure.text(), "error: cell 1 raised X: a\n    help: run me\n");
    }

    #[test]
    fn a_cause_that_only_repeats_is_left_out() {
        let twice = Failure::because("cannot start: it does not exist", &Inner).causes;
        assert_eq!(twice, ["it does not exist"]);
        assert_eq!(Failure::because("x", &Repeats(Inner)).causes, ["reading: it does not exist"]);
    }
}

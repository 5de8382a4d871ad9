//! The log: `tracing` to standard error, as papermill's `logging.basicConfig(format="%(message)s")`.
//!
//! Messages alone, without times and levels. Our own crates speak at the level that was asked for; foreign ones only
//! when something is wrong, at any level: what they log in detail may hold credentials.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::Level;
use crate::console::Console;

/// Sends the log of this process to the console.
pub(crate) fn init(console: &Console, level: Level) {
    let layer = Messages(console.clone()).with_filter(filter(level));
    if tracing_subscriber::registry().with(layer).try_init().is_err() {
        // A log is set up already: only so in tests.
    }
}

fn filter(level: Level) -> Targets {
    let ours = threshold(level);
    Targets::new().with_target("rnbexec", ours).with_default(ours.min(LevelFilter::WARN))
}

fn threshold(level: Level) -> LevelFilter {
    match level {
        Level::Notset => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warning => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
        // Nothing of ours is more than an error, and how a run ended is said at any level.
        Level::Critical => LevelFilter::OFF,
    }
}

struct Messages(Console);

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.line(&line.text());
    }
}

/// The parts of an event: `message: error (name=value, …)`.
#[derive(Default)]
struct Line {
    message: String,
    error: String,
    others: String,
}

impl Line {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => write!(self.message, "{value}"),
            "error" => write!(self.error, ": {value}"),
            name => {
                let separator = if self.others.is_empty() { "" } else { ", " };
                write!(self.others, "{separator}{name}={value}")
            }
        };
        written.expect("writing to a String does not fail");
    }

    fn text(self) -> String {
        let Self { message, error, others } = self;
        if others.is_empty() { message + &error } else { format!("{message}{error} ({others})") }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(level: Level, target: &str, at: tracing::Level) -> bool {
        filter(level).would_enable(target, &at)
    }

    #[test]
    fn our_crates_speak_at_the_level_asked_for() {
        use tracing::Level as At;
        for target in ["rnbexec", "rnbexec_kernel::process", "rnbexec::store"] {
            assert!(shows(Level::Info, target, At::INFO) && !shows(Level::Info, target, At::DEBUG));
            assert!(shows(Level::Debug, target, At::DEBUG) && !shows(Level::Debug, target, At::TRACE));
            assert!(shows(Level::Notset, target, At::TRACE));
            assert!(!shows(Level::Warning, target, At::INFO) && shows(Level::Warning, target, At::WARN));
            assert!(!shows(Level::Error, target, At::WARN) && shows(Level::Error, target, At::ERROR));
            assert!(!shows(Level::Critical, target, At::ERROR));
        }
    }

    #[test]
    fn an_event_is_its_message_then_its_error_then_its_other_fields() {
        let line = Line {
            message: "trying again".to_owned(),
            error: ": refused".to_owned(),
            others: "attempt=1, wait=1s".to_owned(),
        };
        assert_eq!(line.text(), "trying again: refused (attempt=1, wait=1s)");
        assert_eq!(Line { message: "only this".to_owned(), ..Line::default() }.text(), "only this");
    }

    #[test]
    fn foreign_crates_speak_only_when_something_is_wrong() {
        use tracing::Level as At;
        assert!(!shows(Level::Notset, "hyper::client", At::INFO));
        assert!(shows(Level::Notset, "hyper::client", At::WARN));
        assert!(!shows(Level::Error, "hyper::client", At::WARN));
    }
}

//! The progress bar, which looks like papermill's tqdm.
//!
//! On a terminal a bar is drawn below the messages. Elsewhere nothing is shown unless it was asked for; then there are
//! plain lines, at most one a second. A failed run's bar stays where the run stopped (papermill jumps to 100%).

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::Console;
use crate::sanitise::sanitise_line;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Not at all.
    Nothing,
    /// As a bar on the terminal.
    Bar,
    /// As lines of text.
    Lines,
}

impl Show {
    /// What papermill's rules make of the flags: on unless the cells' output is shown or the notebook itself goes to
    /// standard output, and always when asked for. Other than papermill, nothing is drawn where no terminal shows it,
    /// unless it was asked for.
    pub(crate) fn decide(asked: Option<bool>, log_output: bool, to_stdout: bool, terminal: bool) -> Self {
        match asked {
            Some(true) if terminal => Self::Bar,
            Some(true) => Self::Lines,
            None if terminal && !log_output && !to_stdout => Self::Bar,
            Some(false) | None => Self::Nothing,
        }
    }
}

/// The progress of one run.
pub(crate) struct Progress {
    show: Show,
    console: Console,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Option<Instant>,
    description: String,
    done: usize,
    total: usize,
}

impl Progress {
    pub(crate) fn new(show: Show, console: Console) -> Self {
        Self {
            show,
            console,
            bar: None,
            started: Instant::now(),
            last_line: None,
            description: "Executing".to_owned(),
            done: 0,
            total: 0,
        }
    }

    /// A run of `total` cells begins, for the first time or again.
    pub(crate) fn start(&mut self, total: usize) {
        self.stop();
        (self.started, self.last_line, self.done, self.total) = (Instant::now(), None, 0, total);
        match self.show {
            Show::Nothing => {}
            Show::Bar => {
                let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
                bar.set_style(style());
                bar.set_prefix(self.description.clone());
                bar.enable_steady_tick(Duration::from_secs(1));
                self.console.attach(bar.clone());
                self.bar = Some(bar);
            }
            Show::Lines => self.print(),
        }
    }

    /// A cell begins; its source may say how to call it: `papermill_description=word`.
    pub(crate) fn cell(&mut self, source: &str) {
        if let Some(word) = description(source) {
            self.description = format!("Executing {}", sanitise_line(word));
            if let Some(bar) = &self.bar {
                bar.set_prefix(self.description.clone());
            }
        }
    }

    /// A cell is done.
    pub(crate) fn advance(&mut self) {
        self.done += 1;
        match self.show {
            Show::Nothing => {}
            Show::Bar => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
            Show::Lines => {
                let due = self.last_line.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
                if due || self.done == self.total {
                    self.print();
                }
            }
        }
    }

    /// The run is over; the bar stays as it is.
    pub(crate) fn stop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
            self.console.detach();
        }
    }

    fn print(&mut self) {
        self.last_line = Some(Instant::now());
        self.console.line(&meter(&self.description, self.done, self.total, self.started.elapsed()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The first word behind `papermill_description=`, as papermill finds it.
fn description(source: &str) -> Option<&str> {
    source.split("papermill_description=").nth(1)?.split_whitespace().next()
}

fn style() -> ProgressStyle {
    let text = "{prefix}: {percent:>3}%|{wide_bar}| {pos}/{len} [{clock}<{left}, {speed}]";
    ProgressStyle::with_template(text)
        .expect("the template is well-formed")
        .with_key("clock", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            out.write_str(&clock(state.elapsed())).expect("the bar's text takes any text");
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = left(count(state.pos()), count(state.len().unwrap_or(0)), state.elapsed());
            out.write_str(&left).expect("the bar's text takes any text");
        })
        .with_key("speed", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            out.write_str(&speed(count(state.pos()), state.elapsed()))
                .expect("the bar's text takes any text");
        })
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

fn count(cells: u64) -> usize {
    usize::try_from(cells).unwrap_or(usize::MAX)
}

/// tqdm's `format_meter`, with its bar of ten characters.
fn meter(description: &str, done: usize, total: usize, elapsed: Duration) -> String {
    let eighths = (done.min(total) * 80).checked_div(total).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((eighths % 8).wrapping_sub(1)));
    let percent = (done * 200 + total).checked_div(total * 2).unwrap_or(0);
    let mut line = String::new();
    write!(
        line,
        "{description}: {percent:>3}%|{bar:<10}| {done}/{total} [{}<{}, {}]",
        clock(elapsed),
        left(done, total, elapsed),
        speed(done, elapsed)
    )
    .expect("writing to a String does not fail");
    line
}

/// `MM:SS`, or `H:MM:SS` from an hour on.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of cells, shown with three digits")]
fn float(cells: usize) -> f64 {
    cells as f64
}

/// How long the rest will take at the speed so far.
fn left(done: usize, total: usize, elapsed: Duration) -> String {
    if done == 0 {
        return "?".to_owned();
    }
    let left = elapsed.as_secs_f64() / float(done) * float(total.saturating_sub(done));
    Duration::try_from_secs_f64(left).map_or_else(|_| "?".to_owned(), clock)
}

/// Cells a second, or seconds a cell when that is the larger number.
fn speed(done: usize, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if done == 0 || seconds <= 0.0 {
        return "?cell/s".to_owned();
    }
    let rate = float(done) / seconds;
    if rate < 1.0 { format!("{:5.2}s/cell", 1.0 / rate) } else { format!("{rate:5.2}cell/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_looks_like_tqdms() {
        let at = |done, millis| meter("Executing", done, 4, Duration::from_millis(millis));
        assert_eq!(at(0, 0), "Executing:   0%|          | 0/4 [00:00<?, ?cell/s]");
        assert_eq!(at(1, 735), "Executing:  25%|██▌       | 1/4 [00:00<00:02,  1.36cell/s]");
        assert_eq!(at(4, 1096), "Executing: 100%|██████████| 4/4 [00:01<00:00,  3.65cell/s]");
        assert_eq!(at(2, 7_200_000), "Executing:  50%|█████     | 2/4 [2:00:00<2:00:00, 3600.00s/cell]");
    }

    #[test]
    fn a_notebook_without_cells_has_a_meter_too() {
        assert_eq!(
            meter("Executing", 0, 0, Duration::ZERO),
            "Executing:   0%|          | 0/0 [00:00<?, ?cell/s]"
        );
    }

    #[test]
    fn a_cells_description_is_the_first_word_behind_the_mark() {
        assert_eq!(description("# papermill_description=load data\nx"), Some("load"));
        assert_eq!(description("x = 1"), None);
        assert_eq!(description("# papermill_description="), None);
    }

    #[test]
    fn the_bar_is_drawn_on_a_terminal_unless_something_else_is_shown_there() {
        assert_eq!(Show::decide(None, false, false, true), Show::Bar);
        assert_eq!(Show::decide(None, true, false, true), Show::Nothing);
        assert_eq!(Show::decide(None, false, true, true), Show::Nothing);
        assert_eq!(Show::decide(None, false, false, false), Show::Nothing);
    }

    #[test]
    fn what_was_asked_for_is_done() {
        assert_eq!(Show::decide(Some(true), true, true, true), Show::Bar);
        assert_eq!(Show::decide(Some(true), false, false, false), Show::Lines);
        assert_eq!(Show::decide(Some(false), false, false, true), Show::Nothing);
    }

    #[test]
    fn the_bars_template_is_sound() {
        style();
    }
}

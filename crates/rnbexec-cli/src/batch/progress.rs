//! How far a batch is. On a terminal the runs that go on stand below the messages, with their cells; a run that ends is a
//! line of its own everywhere.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;
use crate::manager::{cut, room_on_stderr};
use crate::progress::{Show, clock};
use crate::sanitise::sanitise_line;

/// How many of the runs that go on are shown.
const SHOWN: usize = 12;

pub(super) struct Progress {
    console: Console,
    bar: Option<ProgressBar>,
    begun: Instant,
    total: Option<u64>,
    ended: u64,
    failed: u64,
    running: Vec<Running>,
}

struct Running {
    number: u64,
    name: String,
    cells: Option<(usize, usize)>,
}

impl Progress {
    /// The progress of `total` runs, where that is known.
    pub(super) fn new(console: Console, show: Show, total: Option<u64>) -> Self {
        let bar = (show == Show::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is sound"));
            bar.enable_steady_tick(Duration::from_millis(200));
            console.attach(bar.clone());
            bar
        });
        Self { console, bar, begun: Instant::now(), total, ended: 0, failed: 0, running: Vec::new() }
    }

    pub(super) fn begin(&mut self, number: u64, name: &str) {
        self.running.push(Running { number, name: sanitise_line(name), cells: None });
        self.draw();
    }

    /// A run is at a cell, counted from 0.
    pub(super) fn cell(&mut self, number: u64, index: usize, total: usize) {
        if let Some(running) = self.running.iter_mut().find(|running| running.number == number) {
            running.cells = Some((index + 1, total));
            self.draw();
        }
    }

    /// A run has ended; how many of them have, as a line about it begins.
    pub(super) fn end(&mut self, number: u64, failed: bool) -> String {
        self.running.retain(|running| running.number != number);
        self.ended += 1;
        self.failed += u64::from(failed);
        self.draw();
        format!("[{}]", self.count())
    }

    /// Nothing more is told.
    pub(super) fn stop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            self.console.detach();
        }
    }

    fn count(&self) -> String {
        match self.total {
            Some(total) => format!("{}/{total}", self.ended),
            None => self.ended.to_string(),
        }
    }

    fn draw(&self) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(self.text(self.begun.elapsed(), room_on_stderr().saturating_sub(2)));
    }

    fn text(&self, elapsed: Duration, room: usize) -> String {
        let mut text = format!("{} runs, {} running", self.count(), self.running.len());
        if self.failed > 0 {
            push(&mut text, format_args!(", {} failed", self.failed));
        }
        push(&mut text, format_args!("  [{}{}]", clock(elapsed), self.left(elapsed)));
        for running in self.running.iter().take(SHOWN) {
            let cells =
                running.cells.map(|(cell, total)| format!("  cell {cell}/{total}")).unwrap_or_default();
            let name = cut(&running.name, room.saturating_sub(cells.len() + 4));
            push(&mut text, format_args!("\n    {name}{cells}"));
        }
        if let Some(more) = self.running.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            push(&mut text, format_args!("\n    and {more} more"));
        }
        text
    }

    /// How long the rest will take at the speed so far.
    fn left(&self, elapsed: Duration) -> String {
        let share = self.total.filter(|_| self.ended > 0).and_then(|total| {
            let rest = total.saturating_sub(self.ended);
            let millis = elapsed.as_millis().checked_mul(u128::from(rest))? / u128::from(self.ended);
            u64::try_from(millis).ok()
        });
        share.map(|millis| format!("<{}", clock(Duration::from_millis(millis)))).unwrap_or_default()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(total: Option<u64>) -> Progress {
        Progress::new(Console::stderr(), Show::Nothing, total)
    }

    #[test]
    fn the_runs_that_go_on_are_shown_with_their_cells() {
        let mut progress = progress(Some(4));
        progress.begin(1, "out/a.ipynb");
        progress.begin(2, "out/b\u{1b}[2J.ipynb");
        progress.cell(2, 2, 5);
        assert_eq!(progress.end(1, true), "[1/4]");
        let text = progress.text(Duration::from_secs(10), 40);
        assert_eq!(text, "1/4 runs, 1 running, 1 failed  [00:10<00:30]\n    out/b.ipynb  cell 3/5");
    }

    #[test]
    fn of_a_stream_the_end_is_not_known() {
        let mut progress = progress(None);
        assert_eq!(progress.end(1, false), "[1]");
        assert_eq!(progress.text(Duration::from_secs(10), 40), "1 runs, 0 running  [00:10]");
    }

    #[test]
    fn of_many_runs_the_first_are_shown() {
        let mut progress = progress(None);
        (0..20).for_each(|number| progress.begin(number, "a"));
        let text = progress.text(Duration::ZERO, 40);
        assert!(text.ends_with("\n    and 8 more") && text.lines().count() == 14, "{text}");
    }
}

//! What is still being written: a stream told message by message, the outputs of a cell that runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rnbexec_notebook::{Cell, Decided, Json, Recording};

use super::document::is_stream_name;
use super::{Mark, Masked, Redactor, masked_at};

/// The streams of a run as they are told live, message by message: what may be half a secret is kept back until the next
/// message of the stream, or the end, decides. A stream goes on from cell to cell, as it does in a file.
#[derive(Debug, Default)]
pub(crate) struct LiveStreams(BTreeMap<String, Kept>);

/// What is kept back of a stream.
#[derive(Debug, Default)]
struct Kept {
    /// The cell that wrote the last of it.
    cell: usize,
    text: String,
}

impl Kept {
    /// Takes out what can be told, without secrets.
    fn take(&mut self, (decided, marks): (usize, Vec<Mark>)) -> String {
        let rest = self.text.split_off(decided);
        let told = std::mem::replace(&mut self.text, rest);
        masked_at(&told, &marks, &mut Masked::default()).into_owned()
    }
}

impl LiveStreams {
    /// What can be told of a stream now that `text` has come from a cell.
    pub(crate) fn next<'a>(
        &mut self,
        redactor: &Redactor,
        cell: usize,
        name: &str,
        text: &'a str,
    ) -> Cow<'a, str> {
        if redactor.is_empty() {
            return Cow::Borrowed(text);
        }
        let kept = self.0.entry(name.to_owned()).or_default();
        kept.cell = cell;
        kept.text.push_str(text);
        let decided = redactor.decided(&kept.text);
        Cow::Owned(kept.take(decided))
    }

    /// What can be told when a cell ends, `(cell, stream, text)`: all but what may be half of a known secret.
    pub(crate) fn end_cell(&mut self, redactor: &Redactor) -> Vec<(usize, String, String)> {
        self.tell(|text| redactor.decided_at_cell_end(text))
    }

    /// What was kept back to the end: `(cell, stream, text)`.
    pub(crate) fn finish(&mut self, redactor: &Redactor) -> Vec<(usize, String, String)> {
        self.tell(|text| (text.len(), redactor.marks(text)))
    }

    fn tell(&mut self, decide: impl Fn(&str) -> (usize, Vec<Mark>)) -> Vec<(usize, String, String)> {
        let told = self.0.iter_mut().map(|(name, kept)| {
            let decided = decide(&kept.text);
            (kept.cell, name.clone(), kept.take(decided))
        });
        told.filter(|(_, _, text)| !text.is_empty()).collect()
    }
}

/// Whether a cell's outputs still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Its stream may be in the middle of a secret.
    Growing,
    /// What is there is all of it.
    Ended,
}

impl Redactor {
    /// Takes every secret out of a cell's outputs, and has those written that are whole. Of one that grows, what may be the
    /// beginning of a secret is not.
    pub(crate) fn settle_outputs(&self, cell: &mut Cell, growth: Growth) {
        if cell.recording().is_none() {
            return self.outputs(cell);
        }
        let decide = |text: &str| {
            let (end, marks) = match growth {
                Growth::Growing if !self.is_empty() => self.decided(text),
                Growth::Growing | Growth::Ended => (text.len(), self.marks(text)),
            };
            match masked_at(&text[..end], &marks, &mut Masked::default()) {
                Cow::Owned(instead) => Decided { end, instead: Some(instead) },
                Cow::Borrowed(_) => Decided { end, instead: None },
            }
        };
        // A stream's name is given without its output.
        let mut clean = |value: &mut Json| {
            if !value.as_str().is_some_and(is_stream_name) {
                self.redact(value);
            }
        };
        cell.record().settle(&decide, &mut clean);
        // Only now is all of a stream here that other outputs stand between.
        let is_in_pieces = cell.recording().is_some_and(Recording::has_streams_in_pieces);
        if growth == Growth::Ended && !self.is_empty() && is_in_pieces {
            let mut copy = cell.clone();
            if self.mask_streams(&mut copy) {
                *cell = copy;
            }
        }
    }
}

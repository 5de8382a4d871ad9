//! The outputs of a cell while a run records them.
//!
//! An output is written as soon as it is whole and from then on exists only as the bytes that it has in the file: a run
//! with large outputs holds them once, and saving it again copies nothing. A stream that still grows is written as far as
//! it has come; what follows continues the bytes before it. Whoever wants the values gets them read back, as if from
//! the file.
//!
//! Invariant: the parts of a recording, one after the other, are what [`crate::write_cell`] writes of the same outputs.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::json::write::{line_break, write_escaped};
use crate::json::{Json, Object};
use crate::lines;
use crate::read::{join_bundle, join_lines};
use crate::write::write_output;

/// The depth at which the list of outputs stands in a file.
const DEPTH: usize = 3;

/// What comes before the first output, and before every other; of one length.
const FIRST: &[u8] = b"[\n    ";
const NEXT: &[u8] = b",\n    ";

const NONE: &[u8] = b"[]";
const END: &[u8] = b"\n   ]";

/// Values of so many bytes get a block of memory of their own, so that it goes when they do.
const LARGE: usize = 64 << 10;

/// What ends the list of lines of a stream, and the stream.
const STREAM_END: &[u8] = b"\n     ]\n    }";

/// The outputs of one cell, as they come in. See [`Cell::record`](crate::Cell::record).
#[derive(Clone, Debug, Default)]
pub struct Recording {
    items: Vec<Item>,
    /// About how many bytes of the outputs are not written yet.
    pending: usize,
    /// The first item that may not be written yet.
    settled: usize,
    /// The name of each stream, and how many outputs it has.
    streams: Vec<(Json, usize)>,
    /// The values, once somebody asked for them.
    values: OnceLock<Vec<Json>>,
}

/// What of the text of a stream that still grows can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Where it ends, in bytes.
    pub end: usize,
    /// What is written in its place, if it is not that itself.
    pub instead: Option<String>,
}

/// One output.
#[derive(Clone, Debug)]
enum Item {
    /// Not yet written.
    Value(Json),
    /// A stream that may still grow.
    Stream(Box<Stream>),
    /// Written.
    Written(Bytes),
    /// An error that is written.
    WrittenError(Bytes),
    /// A stream that was written in several parts.
    WrittenStream(Box<[Bytes]>),
}

/// A stream that may still grow.
#[derive(Clone, Debug)]
struct Stream {
    name: Json,
    written: Vec<Bytes>,
    /// The written text ends within a line, whose string is still open.
    within_line: bool,
    /// What is not yet written of the text.
    rest: String,
}

impl Recording {
    /// A recording that begins with outputs that are there already.
    pub(crate) fn of(outputs: Vec<Json>) -> Self {
        let mut recording = Self::default();
        for output in outputs {
            let is_stream = output.get("output_type").and_then(Json::as_str) == Some("stream");
            if let Some(name) = output.get("name").filter(|_| is_stream) {
                recording.count(name);
            }
            recording.items.push(Item::Value(output));
        }
        recording
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// About how many bytes are held as values and not written yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether a stream has several outputs, with others between them.
    pub fn has_streams_in_pieces(&self) -> bool {
        self.streams.iter().any(|(_, outputs)| *outputs > 1)
    }

    fn count(&mut self, stream: &Json) {
        match self.streams.iter_mut().find(|(name, _)| name == stream) {
            Some((_, outputs)) => *outputs += 1,
            None => self.streams.push((stream.clone(), 1)),
        }
    }

    /// Takes all outputs away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends an output of about `size` bytes; text of a stream joins the stream before it.
    pub fn push(&mut self, output: Object, size: usize) {
        self.values.take();
        self.pending += size;
        let item = match Stream::of(output) {
            Ok(stream) => {
                if let Some(Item::Stream(last)) = self.items.last_mut()
                    && last.name == stream.name
                {
                    last.rest.push_str(&stream.rest);
                    return;
                }
                self.count(&stream.name);
                Item::Stream(Box::new(stream))
            }
            Err(output) => Item::Value(Json::Object(output)),
        };
        self.items.push(item);
    }

    /// The output at that position, to change it into one of about `size` bytes.
    pub fn get_mut(&mut self, position: usize, size: usize) -> Option<&mut Json> {
        let value = match self.items.get_mut(position)? {
            Item::Value(value) => std::mem::take(value),
            written => value(position, written).into_owned(),
        };
        self.values.take();
        self.pending += size;
        self.settled = self.settled.min(position);
        let item = &mut self.items[position];
        *item = Item::Value(value);
        match item {
            Item::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Writes what is not yet written, after `clean` had a look at each such value. Of a stream that still grows only that is
    /// written which `decide` tells, in its words; what follows it is seen again, together with what is still to come.
    pub fn settle(&mut self, decide: &dyn Fn(&str) -> Decided, clean: &mut dyn FnMut(&mut Json)) {
        let last = self.items.len().saturating_sub(1);
        let mut block = Block::default();
        for position in self.settled..self.items.len() {
            match &mut self.items[position] {
                Item::Value(value) => {
                    clean(value);
                    let value = std::mem::take(value);
                    let weight = weight(&value);
                    if weight >= LARGE {
                        block.finish(&mut self.items);
                    }
                    block.add(position, &value, weight);
                    drop(value);
                    if weight >= LARGE {
                        block.finish(&mut self.items);
                    }
                }
                Item::Stream(stream) if position < last => {
                    stream.clean(clean);
                    self.items[position] = stream.end(position);
                }
                Item::Stream(stream) => {
                    let Decided { end, instead } = decide(&stream.rest);
                    let undecided = stream.rest.split_off(end);
                    if let Some(instead) = instead {
                        stream.rest = instead;
                    }
                    stream.clean_name(clean);
                    stream.write(position, stream.boundary());
                    stream.rest.push_str(&undecided);
                }
                Item::Written(_) | Item::WrittenError(_) | Item::WrittenStream(_) => {}
            }
        }
        block.finish(&mut self.items);
        self.settled = last;
        self.pending = match self.items.last() {
            Some(Item::Stream(stream)) => stream.rest.len(),
            _ => 0,
        };
    }

    /// Takes out what of the last stream is not written yet; it belongs [back](Self::give_back).
    #[must_use = "it belongs back"]
    pub fn hold_back(&mut self) -> String {
        self.values.take();
        match self.items.last_mut() {
            Some(Item::Stream(stream)) => std::mem::take(&mut stream.rest),
            _ => String::new(),
        }
    }

    /// Puts back what was held back.
    pub fn give_back(&mut self, rest: String) {
        self.values.take();
        if let Some(Item::Stream(stream)) = self.items.last_mut() {
            stream.rest = rest;
        }
    }

    /// The list of outputs as it stands in the file. What is written already is shared, not copied.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        if self.items.is_empty() {
            return vec![Bytes::from_static(NONE)];
        }
        let mut parts = Vec::with_capacity(self.items.len() + 2);
        for (position, item) in self.items.iter().enumerate() {
            item_parts(position, item, &mut parts);
        }
        parts.push(Bytes::from_static(END));
        parts
    }

    /// The values of all outputs.
    pub(crate) fn values(&self) -> &[Json] {
        self.values.get_or_init(|| self.read().collect())
    }

    /// The values, without the recording.
    pub(crate) fn into_values(self) -> Vec<Json> {
        if let Some(values) = self.values.into_inner() {
            return values;
        }
        let items = self.items.into_iter().enumerate();
        items
            .map(|(position, item)| match item {
                Item::Value(value) => value,
                written => value(position, &written).into_owned(),
            })
            .collect()
    }

    /// The errors among the outputs.
    pub(crate) fn errors(&self) -> impl Iterator<Item = Cow<'_, Json>> {
        let errors = self.items.iter().enumerate().filter(|(_, item)| match item {
            Item::Value(value) => is_error(value),
            Item::WrittenError(_) => true,
            Item::Stream(_) | Item::Written(_) | Item::WrittenStream(_) => false,
        });
        errors.map(|(position, item)| value(position, item))
    }

    fn read(&self) -> impl Iterator<Item = Json> {
        self.items.iter().enumerate().map(|(position, item)| value(position, item).into_owned())
    }
}

impl Stream {
    /// The stream that an output is, if it is nothing but a stream; else the output.
    fn of(mut output: Object) -> Result<Self, Object> {
        let is_stream = output.len() == 3
            && output.get("output_type").and_then(Json::as_str) == Some("stream")
            && output.contains_key("name")
            && matches!(output.get("text"), Some(Json::String(_)));
        if !is_stream {
            return Err(output);
        }
        let (Some(name), Some(Json::String(rest))) = (output.swap_remove("name"), output.swap_remove("text"))
        else {
            return Err(output);
        };
        Ok(Self { name, written: Vec::new(), within_line: false, rest })
    }

    fn clean_name(&mut self, clean: &mut dyn FnMut(&mut Json)) {
        if self.written.is_empty() {
            clean(&mut self.name);
        }
    }

    fn clean(&mut self, clean: &mut dyn FnMut(&mut Json)) {
        self.clean_name(clean);
        let mut rest = Json::String(std::mem::take(&mut self.rest));
        clean(&mut rest);
        if let Json::String(rest) = rest {
            self.rest = rest;
        }
    }

    /// Up to where the text can be written while more may follow: a carriage return may be the half of a line break.
    fn boundary(&self) -> usize {
        self.rest.strip_suffix('\r').map_or(self.rest.len(), str::len)
    }

    /// Writes the text up to `end`.
    fn write(&mut self, position: usize, end: usize) {
        if end == 0 {
            return;
        }
        let rest = self.rest.split_off(end);
        let text = std::mem::replace(&mut self.rest, rest);
        let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 64);
        if self.written.is_empty() {
            self.begin(position, &mut out);
        }
        self.within_line = append_lines(&text, !self.written.is_empty(), self.within_line, &mut out);
        out.shrink_to_fit();
        self.written.push(Bytes::from(out));
    }

    /// Everything before the first line.
    fn begin(&self, position: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(before(position));
        out.push(b'{');
        line_break(out, DEPTH + 2);
        out.extend_from_slice(b"\"name\": ");
        self.name.write_pretty(out, DEPTH + 2);
        out.push(b',');
        line_break(out, DEPTH + 2);
        out.extend_from_slice(b"\"output_type\": \"stream\",");
        line_break(out, DEPTH + 2);
        out.extend_from_slice(b"\"text\": [");
    }

    /// What is missing to the end of the stream, as it is now.
    fn tail(&self, position: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.rest.len() + 128);
        let begun = !self.written.is_empty();
        if !begun {
            self.begin(position, &mut out);
            if self.rest.is_empty() {
                // An empty list stands on one line.
                out.extend_from_slice(b"]\n    }");
                return out;
            }
        }
        if append_lines(&self.rest, begun, self.within_line, &mut out) {
            out.push(b'"');
        }
        out.extend_from_slice(STREAM_END);
        out
    }

    /// Writes all of it: nothing follows any more.
    fn end(&mut self, position: usize) -> Item {
        let tail = Bytes::from(self.tail(position));
        if self.written.is_empty() {
            return Item::Written(tail);
        }
        let mut parts = std::mem::take(&mut self.written);
        parts.push(tail);
        Item::WrittenStream(parts.into())
    }

    fn value(&self, position: usize) -> Json {
        if !self.written.is_empty() {
            return read_back(&[&self.written.concat()[..], &self.tail(position)].concat());
        }
        let members =
            [("output_type", "stream".into()), ("name", self.name.clone()), ("text", (*self.rest).into())];
        Json::from_iter(members)
    }
}

/// Values that are written into one block of memory, each then a slice of it.
#[derive(Default)]
struct Block {
    out: Vec<u8>,
    /// Position, place in the block, and whether it is an error.
    items: Vec<(usize, Range<usize>, bool)>,
}

impl Block {
    fn add(&mut self, position: usize, value: &Json, weight: usize) {
        let start = self.out.len();
        self.out.reserve(weight + weight / 8 + 256);
        self.out.extend_from_slice(before(position));
        write_output(value, &mut self.out, DEPTH + 1);
        self.items.push((position, start..self.out.len(), is_error(value)));
    }

    fn finish(&mut self, items: &mut [Item]) {
        self.out.shrink_to_fit();
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        for (position, range, error) in self.items.drain(..) {
            let part = bytes.slice(range);
            items[position] = if error { Item::WrittenError(part) } else { Item::Written(part) };
        }
    }
}

fn before(position: usize) -> &'static [u8] {
    if position == 0 { FIRST } else { NEXT }
}

fn item_parts(position: usize, item: &Item, parts: &mut Vec<Bytes>) {
    match item {
        Item::Value(value) => {
            let mut out = before(position).to_vec();
            write_output(value, &mut out, DEPTH + 1);
            parts.push(out.into());
        }
        Item::Stream(stream) => {
            parts.extend_from_slice(&stream.written);
            parts.push(stream.tail(position).into());
        }
        Item::Written(part) | Item::WrittenError(part) => parts.push(part.clone()),
        Item::WrittenStream(written) => parts.extend_from_slice(written),
    }
}

fn value(position: usize, item: &Item) -> Cow<'_, Json> {
    Cow::Owned(match item {
        Item::Value(value) => return Cow::Borrowed(value),
        Item::Stream(stream) => stream.value(position),
        Item::Written(part) | Item::WrittenError(part) => read_back(part),
        Item::WrittenStream(parts) => read_back(&parts.concat()),
    })
}

/// The value of a written output.
fn read_back(written: &[u8]) -> Json {
    let parsed = Json::parse_notebook(written.get(FIRST.len()..).unwrap_or_default(), |_| {});
    let mut value = parsed.expect("what was written is JSON, and no deeper than what it was read from").value;
    if let Json::Object(members) = &mut value {
        match members.get("output_type").and_then(Json::as_str) {
            Some("execute_result" | "display_data") => members.get_mut("data").map(join_bundle),
            Some("stream") => members.get_mut("text").map(join_lines),
            _ => None,
        };
    }
    value
}

fn is_error(output: &Json) -> bool {
    output.get("output_type").and_then(Json::as_str) == Some("error")
}

/// About how many bytes a value takes when it is written.
fn weight(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + 2,
        Json::IllFormed(text) => text.as_wtf8().len() + 2,
        Json::Array(items) => items.iter().map(|item| weight(item) + 8).sum(),
        Json::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value) + 12).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}

/// Appends lines to the list of a stream: whether it has `begun`, and whether its last line is still open. Tells the latter of
/// the list as it is then.
fn append_lines(text: &str, mut begun: bool, mut within_line: bool, out: &mut Vec<u8>) -> bool {
    for line in lines::split(text.as_bytes()) {
        if !within_line {
            if begun {
                out.push(b',');
            }
            line_break(out, DEPTH + 3);
            out.push(b'"');
        }
        write_escaped(line, out);
        within_line = lines::break_length(line) == 0;
        if !within_line {
            out.push(b'"');
        }
        begun = true;
    }
    within_line
}

//! Rows of parameters from CSV, JSON lines or a JSON array, read as they are asked for.
//!
//! - **CSV** (RFC 4180): the first record has the names; a value is typed as `-p` types it; an empty one is not given at
//!   all, so that the notebook's default holds. A record has as many values as there are names.
//! - **JSON lines**: an object a line; blank lines are passed over.
//! - **A JSON array** of objects. It is read to its end before its first row is given.
//!
//! A byte order mark is passed over. The text says which of them it is: it begins with `{`, with `[`, or with neither;
//! a name that ends in `.csv`, or in `.json`, `.jsonl` or `.ndjson`, says it first.
//!
//! A row that cannot be read is an error in its place and the next one is read, except where nothing more can be.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use rnbexec_notebook::json::{JsonError, JsonErrorKind};
use rnbexec_notebook::parameters::infer_scalar;
use rnbexec_notebook::{Json, Parameters};

use super::{Origin, Row};
use crate::store::Location;

/// How long a line of JSON may be: more is no row of parameters, and would fill the memory.
const LONGEST_LINE: u64 = 64 << 20;

/// How far white space is followed that stands before anything else.
const LONGEST_MARGIN: usize = 64 << 10;

/// How rows are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// By what the text begins with.
    AsItBegins,
    /// Comma-separated values.
    Csv,
    /// JSON lines, or an array.
    Json,
}

impl Format {
    /// What the name of a place says.
    pub fn of(location: &Location) -> Self {
        let extension = location.file_name().and_then(|name| name.rsplit_once('.')).map(|(_, last)| last);
        match extension {
            Some(extension) if extension.eq_ignore_ascii_case("csv") => Self::Csv,
            Some(extension)
                if ["json", "jsonl", "ndjson"].iter().any(|json| extension.eq_ignore_ascii_case(json)) =>
            {
                Self::Json
            }
            _ => Self::AsItBegins,
        }
    }
}

/// Why there are no rows at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The text cannot be read.
    #[error("cannot read the rows")]
    Io(#[source] io::Error),
    /// The array is no JSON.
    #[error("the array of rows is not JSON")]
    Json(#[source] JsonError),
    /// The names in the first record of a CSV text cannot be used.
    #[error("the names in line {line} cannot be used: {problem}")]
    Header {
        /// Where they stand.
        line: u64,
        /// What is wrong with them.
        problem: String,
    },
}

/// Why a row has no parameters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The line is no JSON.
    #[error("{kind} at column {column}")]
    Json {
        /// What is wrong.
        kind: JsonErrorKind,
        /// Where, in characters from 1.
        column: usize,
    },
    /// It is JSON, but no object.
    #[error("a row is an object of names and values, not {0}")]
    NoObject(&'static str),
    /// A record of a CSV text has too many values, or too few.
    #[error("{values} values for {names} names")]
    Width {
        /// How many values there are.
        values: u64,
        /// How many names there are.
        names: u64,
    },
    /// The last record of a CSV text ends within quotes: a mark is missing, or the rest of the text.
    #[error("a quotation mark opens a value that nothing closes")]
    OpenQuote,
    /// A record of a CSV text is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// A line without end.
    #[error("the line is longer than {} MiB", LONGEST_LINE >> 20)]
    TooLong,
    /// The text could not be read on. No further row comes.
    #[error("cannot read on")]
    Io(#[source] io::Error),
    /// The row gives a parameter that the grid gives.
    #[error("'{name}' is given by the grid, too")]
    InGrid {
        /// The parameter.
        name: String,
    },
}

/// The rows of a text.
pub struct Rows(Kind);

type Input = Box<dyn BufRead + Send>;

enum Kind {
    Csv(Box<Csv>),
    Lines { input: Input, line: u64 },
    Array { elements: std::vec::IntoIter<Json>, element: u64 },
    Over,
}

struct Csv {
    reader: csv::Reader<Lines>,
    names: Vec<String>,
    record: csv::StringRecord,
}

impl Rows {
    /// Reads what comes before the first row.
    ///
    /// # Errors
    /// The text cannot be read, its names cannot be used, or it is an array that is no JSON.
    pub fn read(input: impl Read + Send + 'static, format: Format) -> Result<Self, RowsError> {
        let (first, mut input) = begin(input).map_err(RowsError::Io)?;
        Ok(Self(match (format, first) {
            (Format::AsItBegins | Format::Json, Some(b'[')) => {
                let mut text = Vec::new();
                input.read_to_end(&mut text).map_err(RowsError::Io)?;
                let elements = match Json::parse(&text).map_err(RowsError::Json)? {
                    Json::Array(elements) => elements,
                    // It begins with a bracket, so it is one.
                    other => vec![other],
                };
                Kind::Array { elements: elements.into_iter(), element: 0 }
            }
            (Format::AsItBegins, Some(b'{')) | (Format::Json, _) => Kind::Lines { input, line: 0 },
            (Format::Csv | Format::AsItBegins, _) => Kind::Csv(Box::new(Csv::begin(input)?)),
        }))
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rows")
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let row = match &mut self.0 {
            Kind::Csv(csv) => csv.next(),
            Kind::Lines { input, line } => next_line(input, line),
            Kind::Array { elements, element } => elements.next().map(|value| {
                *element += 1;
                Row { origin: Some(Origin::Element(*element)), parameters: object(value) }
            }),
            Kind::Over => None,
        };
        match &row {
            Some(Row { parameters: Err(RowError::Io(_) | RowError::TooLong), .. }) | None => {
                self.0 = Kind::Over;
            }
            Some(_) => {}
        }
        row
    }
}

/// Looks at the first byte that is no white space, and gives the whole text back without its byte order mark.
fn begin(input: impl Read + Send + 'static) -> io::Result<(Option<u8>, Input)> {
    let mut input = BufReader::new(input);
    let mut seen = Vec::new();
    let mut first = None;
    while first.is_none() && seen.len() < LONGEST_MARGIN {
        let next = input.fill_buf()?.first().copied();
        let Some(byte) = next else { break };
        input.consume(1);
        seen.push(byte);
        if seen == b"\xef\xbb\xbf" {
            seen.clear();
        } else if !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".starts_with(&seen) {
            first = Some(byte);
        }
    }
    Ok((first, Box::new(Cursor::new(seen).chain(input))))
}

fn next_line(input: &mut Input, line: &mut u64) -> Option<Row> {
    loop {
        *line += 1;
        let origin = Some(Origin::Line(*line));
        let mut text = Vec::new();
        match input.take(LONGEST_LINE + 1).read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(read) if read as u64 > LONGEST_LINE => {
                return Some(Row { origin, parameters: Err(RowError::TooLong) });
            }
            Ok(_) if text.trim_ascii().is_empty() => {}
            Ok(_) => {
                let parameters = Json::parse(&text)
                    .map_err(|error| RowError::Json { kind: error.kind, column: error.column })
                    .and_then(object);
                return Some(Row { origin, parameters });
            }
            Err(error) => return Some(Row { origin, parameters: Err(RowError::Io(error)) }),
        }
    }
}

fn object(value: Json) -> Result<Parameters, RowError> {
    match value {
        Json::Object(values) => Ok(values.into()),
        other => Err(RowError::NoObject(other.kind())),
    }
}

impl Csv {
    fn begin(input: Input) -> Result<Self, RowsError> {
        let input = Lines::of(input);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(input);
        let read = reader.headers().cloned().map_err(csv::Error::into_kind);
        let line = reader.get_mut().line_at(0);
        let wrong = |problem| RowsError::Header { line, problem };
        let names = read.map_err(|error| match error {
            csv::ErrorKind::Io(error) => RowsError::Io(error),
            csv::ErrorKind::Utf8 { .. } => wrong("they are not UTF-8".to_owned()),
            other => wrong(format!("{other:?}")),
        })?;
        if reader.get_ref().ended_in_quotes() {
            return Err(wrong("a quotation mark opens one that nothing closes".to_owned()));
        }
        let names: Vec<String> = names.iter().map(str::to_owned).collect();
        for (column, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(wrong(format!("column {} has none", column + 1)));
            }
            if names.iter().take(column).any(|earlier| earlier == name) {
                return Err(wrong(format!("'{name}' is there twice")));
            }
        }
        Ok(Self { reader, names, record: csv::StringRecord::new() })
    }

    fn next(&mut self) -> Option<Row> {
        let begin = self.reader.position().byte();
        let read = self.reader.read_record(&mut self.record).map_err(csv::Error::into_kind);
        let origin = Some(Origin::Line(self.reader.get_mut().line_at(begin)));
        let parameters = match read {
            Ok(false) => return None,
            _ if self.reader.get_ref().ended_in_quotes() => Err(RowError::OpenQuote),
            Ok(true) => {
                let values = self.names.iter().zip(&self.record).filter(|(_, text)| !text.is_empty());
                Ok(values.map(|(name, text)| (name.as_str(), infer_scalar(text))).collect())
            }
            Err(csv::ErrorKind::UnequalLengths { expected_len, len, .. }) => {
                Err(RowError::Width { values: len, names: expected_len })
            }
            Err(csv::ErrorKind::Utf8 { .. }) => Err(RowError::NotUtf8),
            Err(csv::ErrorKind::Io(error)) => Err(RowError::Io(error)),
            Err(other) => Err(RowError::Io(io::Error::other(format!("{other:?}")))),
        };
        Some(Row { origin, parameters })
    }
}

/// Where in a record a byte of CSV stands, as the CSV reader sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Begin,
    Bare,
    Quoted,
    /// Behind a quotation mark that ends the value, or doubles.
    Mark,
}

impl At {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Begin | Self::Mark, b'"') | (Self::Quoted, b'\0'..=b'!' | b'#'..=b'\xff') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Mark,
            (_, b',' | b'\r' | b'\n') => Self::Begin,
            _ => Self::Bare,
        }
    }
}

/// Knows which line a byte stands in. The CSV reader's own count is taken where it stopped reading, which is before the
/// line breaks that stand between two records.
struct Lines {
    input: Input,
    /// How many bytes were read.
    read: u64,
    /// The line breaks that were read and not asked about yet: where each stands, and whether a line ends there.
    breaks: VecDeque<(u64, bool)>,
    line: u64,
    at: At,
    is_over: bool,
}

impl Lines {
    fn of(input: Input) -> Self {
        Self { input, read: 0, breaks: VecDeque::new(), line: 1, at: At::Begin, is_over: false }
    }

    /// Whether the text is over, in the middle of a value in quotes.
    fn ended_in_quotes(&self) -> bool {
        self.is_over && self.at == At::Quoted
    }

    /// The line of the first byte from `at` on that is no line break. To be asked in rising order.
    fn line_at(&mut self, at: u64) -> u64 {
        let mut at = at;
        while let Some((place, ends)) = self.breaks.front().copied().filter(|(place, _)| *place <= at) {
            self.breaks.pop_front();
            self.line += u64::from(ends);
            at = at.max(place + 1);
        }
        self.line
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.is_over |= read == 0 && !buffer.is_empty();
        self.at = buffer.iter().take(read).fold(self.at, |at, byte| at.after(*byte));
        let bytes = buffer.iter().take(read).zip(self.read..);
        self.breaks.extend(
            bytes.filter(|(byte, _)| matches!(byte, b'\r' | b'\n')).map(|(byte, at)| (at, *byte == b'\n')),
        );
        self.read += read as u64;
        Ok(read)
    }
}

//! What was off-spec in a notebook that could be read all the same, and how it was read.

use std::fmt;

/// Something off-spec in a notebook, with its place. Displays as one line: what was found and how it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// The cell it is about; none if it is about the notebook.
    pub cell: Option<CellPlace>,
    /// What was found.
    pub kind: QuirkKind,
}

/// Which cell of a notebook a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPlace {
    /// The index among the cells, from 0. People are told one more: the first cell is `cell 1`.
    pub index: usize,
    /// The id that the cell has now.
    pub id: String,
}

/// What was off-spec.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuirkKind {
    /// The file starts with a byte order mark.
    ByteOrderMark,
    /// An object has this key more than once.
    DuplicateKey(String),
    /// `NaN`, `Infinity` or `-Infinity` stands where JSON has no word for it.
    NonFinite(&'static str),
    /// A string holds half of a surrogate pair.
    LoneSurrogate,
    /// There is no `nbformat`; holds the major version that the notebook looks like.
    NoVersion(u8),
    /// `nbformat` is not an integer; holds it.
    OddVersion(String),
    /// There is no `nbformat_minor`.
    NoMinorVersion,
    /// `nbformat_minor` is not an integer; holds it.
    OddMinorVersion(String),
    /// The minor version is newer than 4.5; holds it.
    NewerMinorVersion(i64),
    /// A worksheet of an nbformat 3 notebook has metadata of its own, for which nbformat 4 has no place.
    WorksheetMetadata,
    /// There is no `metadata`.
    NoMetadata,
    /// `metadata` is not an object; names what it is.
    OddMetadata(&'static str),
    /// There is no `id`.
    NoId,
    /// `id` is not a text; holds it.
    OddId(String),
    /// The id does not match `[a-zA-Z0-9_-]{1,64}`.
    InvalidId(String),
    /// An earlier cell has this id already.
    DuplicateId(String),
    /// There is no `cell_type`, or it is not a string.
    NoCellType,
    /// nbformat 4.5 does not know this type of cell.
    UnknownCellType(String),
    /// There is no `source`.
    NoSource,
    /// `source` is neither a string nor a list of strings; names what it is.
    OddSource(&'static str),
    /// A code cell has no `outputs`.
    NoOutputs,
    /// `outputs` is not a list; names what it is.
    OddOutputs(&'static str),
    /// An output (by index) is not an object; names what it is.
    OddOutput(usize, &'static str),
    /// An output (by index) has no `output_type`.
    NoOutputType(usize),
    /// nbformat 4.5 does not know the type of an output (by index).
    UnknownOutputType(usize, String),
    /// The text of an nbformat 3 output (by index) that calls itself JSON is not.
    OutputNotJson(usize),
    /// A code cell has no `execution_count`.
    NoExecutionCount,
    /// `execution_count` is neither an integer nor `null`; holds it.
    OddExecutionCount(String),
    /// `tags` is not a list of strings; names what it is.
    OddTags(&'static str),
}

/// The key under which a `metadata` that is no object is kept.
pub(crate) const ODD_METADATA_KEY: &str = "off_spec_metadata";

/// The start of a text that somebody else wrote, safe to show on one line.
struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 64;
        let cut = self.0.char_indices().nth(LONGEST).map_or(self.0.len(), |(end, _)| end);
        let more = if cut < self.0.len() { "…" } else { "" };
        write!(f, "{}{more}", self.0[..cut].escape_debug())
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cell {
            Some(cell) if cell.id.is_empty() => write!(f, "cell {}: {}", cell.index + 1, self.kind),
            Some(cell) => write!(f, "cell {} (id {}): {}", cell.index + 1, Excerpt(&cell.id), self.kind),
            None => write!(f, "notebook: {}", self.kind),
        }
    }
}

impl fmt::Display for QuirkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("starts with a byte order mark; left out"),
            Self::DuplicateKey(key) => {
                write!(
                    f,
                    "has the key \"{}\" more than once in one object; the last one is kept",
                    Excerpt(key)
                )
            }
            Self::NonFinite(word) => {
                write!(f, "holds {word}, which is not JSON; kept, and written as the string \"{word}\"")
            }
            Self::LoneSurrogate => {
                f.write_str("holds half of a surrogate pair in a string; kept as its escape")
            }
            Self::NoVersion(major) => {
                write!(f, "has no `nbformat`; read as nbformat {major}, which it looks like")
            }
            Self::OddVersion(found) => {
                write!(f, "`nbformat` is {found}, not an integer; read as the version it means")
            }
            Self::NoMinorVersion => f.write_str("has no `nbformat_minor`; read as nbformat 4.5"),
            Self::OddMinorVersion(found) => {
                write!(f, "`nbformat_minor` is {found}, not an integer; read as nbformat 4.5")
            }
            Self::NewerMinorVersion(minor) => {
                write!(f, "is nbformat 4.{minor}, newer than 4.5; all is kept, and written as nbformat 4.5")
            }
            Self::WorksheetMetadata => f.write_str(
                "a worksheet has metadata, for which nbformat 4 has no place; left out, as nbformat does",
            ),
            Self::NoMetadata => f.write_str("has no `metadata`; read as empty"),
            Self::OddMetadata(found) => {
                write!(
                    f,
                    "`metadata` is {found}, not an object; read as empty, and kept in it as `{ODD_METADATA_KEY}`"
                )
            }
            Self::NoId => f.write_str("has no `id`; given a new one"),
            Self::OddId(found) => write!(f, "`id` is {found}, not a string; kept as it is"),
            Self::InvalidId(id) => {
                write!(
                    f,
                    "the id \"{}\" is not 1 to 64 letters, digits, `-` and `_`; kept as it is",
                    Excerpt(id)
                )
            }
            Self::DuplicateId(id) => {
                write!(f, "an earlier cell has the id \"{}\" already; given a new one", Excerpt(id))
            }
            Self::NoCellType => f.write_str("has no `cell_type`; kept as it is, and never executed"),
            Self::UnknownCellType(found) => {
                write!(
                    f,
                    "the cell type \"{}\" is not known; kept as it is, and never executed",
                    Excerpt(found)
                )
            }
            Self::NoSource => f.write_str("has no `source`; read as empty"),
            Self::OddSource(found) => {
                write!(
                    f,
                    "`source` is {found}, not a string or a list of strings; kept, and read as its text"
                )
            }
            Self::NoOutputs => f.write_str("has no `outputs`; read as none"),
            Self::OddOutputs(found) => {
                write!(f, "`outputs` is {found}, not a list; kept, and read as no outputs")
            }
            Self::OddOutput(index, found) => {
                write!(f, "output {} is {found}, not an object; kept as it is", index + 1)
            }
            Self::NoOutputType(index) => {
                write!(f, "output {} has no `output_type`; kept as it is", index + 1)
            }
            Self::UnknownOutputType(index, found) => {
                write!(
                    f,
                    "output {} is of the type \"{}\", which is not known; kept as it is",
                    index + 1,
                    Excerpt(found)
                )
            }
            Self::OutputNotJson(index) => {
                write!(f, "output {} calls itself JSON but is not; kept as a string", index + 1)
            }
            Self::NoExecutionCount => f.write_str("has no `execution_count`; read as not executed"),
            Self::OddExecutionCount(found) => {
                write!(f, "`execution_count` is {found}, not an integer; kept, and read as not executed")
            }
            Self::OddTags(found) => write!(f, "`tags` is {found}, not a list of strings; kept as it is"),
        }
    }
}

//! The reader: tells a workbook from a text file, and hands every row on as a record or as its errors.
//!
//! Invariant: every row of the file is counted once: as a record, as bad, as a repetition, or as blank.

use std::io::{self, Read};

use domain::import::fields::Fields;
use domain::import::header::HeaderError;
use domain::import::mapping::Mapping;
use domain::import::record::Record;
use domain::import::repeats::{Repeats, Seen};
use domain::import::row::RowParser;
use domain::import::row_error::RowError;

use crate::{csv_file, sheet};

/// The most rows that one file may have.
pub const ROWS_MAX: u64 = 5_000_000;
/// How much of the file is looked at to tell what it is, in bytes.
const PROBE_BYTES: usize = 8_192;

/// What may be changed about reading a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Moves every day of the file by so many days.
    pub shift_days: i64,
}

/// One row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// A sound row.
    Record(Record),
    /// Everything that is wrong with a row; never empty.
    Bad(Vec<RowError>),
}

/// What a file held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Rows below the header.
    pub rows: u64,
    /// Sound rows that were handed on.
    pub records: u64,
    /// Bad rows that were handed on.
    pub bad: u64,
    /// Sound rows that say again what an earlier one said; not handed on.
    pub repeated: u64,
    /// Rows with delimiters and nothing else; not handed on.
    pub blank: u64,
    /// Sound rows with a column that is named like a role and that the mapping does not read: all count as debtors.
    pub roles_unread: u64,
}

/// What the receiver of the rows may answer when it cannot take more.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Why a file as a whole cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The bytes could not be had.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Nothing but white space.
    #[error("the file is empty; expected a header and rows")]
    Empty,
    /// Neither text nor a workbook.
    #[error("the file is neither text nor a workbook; expected CSV or XLSX")]
    Binary,
    /// A workbook of before 2007, or an encrypted one.
    #[error(
        "the file is an old or encrypted workbook; expected it saved as XLSX without a password, or as CSV"
    )]
    OldWorkbook,
    /// A file larger than can be held, where it must be held as a whole.
    #[error(
        "the workbook has more than {0} bytes {1}; expected a smaller one, or CSV, which has no such limit"
    )]
    TooLarge(u64, &'static str),
    /// More than [`ROWS_MAX`] rows.
    #[error("the file has more than {ROWS_MAX} rows; expected it in parts")]
    TooManyRows,
    /// The header line is broken or too long.
    #[error("line {line}: the header cannot be read: {problem}")]
    BrokenHeader {
        /// Where it begins.
        line: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The header lacks a column, or repeats one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The workbook cannot be opened, or its sheet is not there.
    #[error("the workbook cannot be read: {0}")]
    Workbook(String),
    /// The receiver refused.
    #[error("the rows could not be handed on: {0}")]
    Sink(#[source] SinkError),
}

/// Reads a file, CSV or XLSX, and hands every row to `sink` in the order of the file.
///
/// # Errors
/// [`FileError`] when the file as a whole cannot be read. Bad rows are no error: they go to `sink`.
pub fn read_records(
    mut input: impl Read,
    mapping: &Mapping,
    options: ReadOptions,
    sink: &mut dyn FnMut(RowOutcome) -> Result<(), SinkError>,
) -> Result<ReadSummary, FileError> {
    let mut probe = Vec::with_capacity(PROBE_BYTES);
    input.by_ref().take(PROBE_BYTES as u64).read_to_end(&mut probe)?;
    let whole = io::Cursor::new(probe.clone()).chain(input);
    match FileKind::of(&probe) {
        FileKind::Workbook => sheet::read(whole, mapping, options, sink),
        FileKind::OldWorkbook => Err(FileError::OldWorkbook),
        FileKind::Binary => Err(FileError::Binary),
        FileKind::Text => csv_file::read(whole, mapping, options, sink),
    }
}

enum FileKind {
    Text,
    Workbook,
    OldWorkbook,
    Binary,
}

impl FileKind {
    fn of(probe: &[u8]) -> Self {
        const OTHERS: [&[u8]; 6] = [b"%PDF-", b"\x89PNG", b"\x1f\x8b", b"GIF8", b"\xff\xd8\xff", b"\x7fELF"];
        if probe.starts_with(b"PK\x03\x04") {
            return Self::Workbook;
        }
        if probe.starts_with(b"\xd0\xcf\x11\xe0") {
            return Self::OldWorkbook;
        }
        // Text in UTF-16 is half NUL; its byte order mark tells it.
        let is_utf16 = probe.starts_with(b"\xff\xfe") || probe.starts_with(b"\xfe\xff");
        let is_control = |b: &&u8| **b < 0x20 && !matches!(**b, b'\t' | b'\n' | b'\r');
        let controls = probe.iter().filter(is_control).count();
        // A stray NUL makes one bad row; a file with a tenth of control characters is no text at all.
        let is_binary = !is_utf16 && controls * 10 > probe.len();
        if is_binary || OTHERS.iter().any(|magic| probe.starts_with(magic)) {
            Self::Binary
        } else {
            Self::Text
        }
    }
}

/// What both kinds of file do with a row once its cells are known.
pub(crate) struct RowIntake<'a> {
    pub(crate) parser: RowParser,
    has_unread_role: bool,
    repeats: Repeats,
    pub(crate) summary: ReadSummary,
    sink: &'a mut dyn FnMut(RowOutcome) -> Result<(), SinkError>,
}

impl<'a> RowIntake<'a> {
    pub(crate) fn new(
        parser: RowParser,
        sink: &'a mut dyn FnMut(RowOutcome) -> Result<(), SinkError>,
    ) -> Self {
        let has_unread_role = parser.unread_role().is_some();
        Self { parser, has_unread_role, repeats: Repeats::default(), summary: ReadSummary::default(), sink }
    }

    fn count_row(&mut self) -> Result<(), FileError> {
        if self.summary.rows == ROWS_MAX {
            return Err(FileError::TooManyRows);
        }
        self.summary.rows += 1;
        Ok(())
    }

    pub(crate) fn blank(&mut self) -> Result<(), FileError> {
        self.count_row()?;
        self.summary.blank += 1;
        Ok(())
    }

    pub(crate) fn bad(&mut self, errors: Vec<RowError>) -> Result<(), FileError> {
        self.count_row()?;
        self.summary.bad += 1;
        (self.sink)(RowOutcome::Bad(errors)).map_err(FileError::Sink)
    }

    pub(crate) fn row<F: Fields + ?Sized>(&mut self, line: u64, fields: &F) -> Result<(), FileError> {
        let record = match self.parser.parse(line, fields) {
            Ok(record) => record,
            Err(errors) => return self.bad(errors),
        };
        match self.repeats.note(&record) {
            Seen::Conflicting(error) => {
                let column = self.parser.id_column().map(str::to_owned);
                return self.bad(vec![RowError { column, ..error }]);
            }
            Seen::Repeated => {
                self.count_row()?;
                self.summary.repeated += 1;
                return Ok(());
            }
            Seen::First => {}
        }
        self.count_row()?;
        self.summary.records += 1;
        self.summary.roles_unread += u64::from(self.has_unread_role);
        (self.sink)(RowOutcome::Record(record)).map_err(FileError::Sink)
    }
}

#[cfg(test)]
mod tests;

//! Fields: what a row parser sees of a row, and how it collects what is wrong with it.
//!
//! Invariant: one bad field does not hide another; every problem of a row is collected before it is refused.

use chrono::NaiveDate;

use super::row_error::{RowError, RowErrorCode, quoted};

/// The longest field that is read, in bytes. Names, addresses and references are far shorter.
pub const FIELD_BYTES_MAX: usize = 2_048;

/// One cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Text, as every field of a CSV file is.
    Text(&'a str),
    /// A number of a sheet, written plainly with a decimal point whatever the mapping's sign is.
    Number {
        /// The digits.
        text: &'a str,
        /// The day that the sheet would show for the number.
        as_day: Option<NaiveDate>,
    },
    /// A day of a sheet.
    Day(NaiveDate),
    /// A formula's error, such as `#N/A`.
    Faulty,
}

/// A row whose cells can be read by their index.
pub trait Fields {
    /// How many cells it has.
    fn count(&self) -> usize;
    /// The cell at an index; empty text beyond the end.
    fn cell(&self, index: usize) -> Cell<'_>;
}

impl<T: AsRef<str>> Fields for [T] {
    fn count(&self) -> usize {
        self.len()
    }
    fn cell(&self, index: usize) -> Cell<'_> {
        Cell::Text(self.get(index).map_or("", AsRef::as_ref))
    }
}

/// A row being read, and its errors so far.
pub(super) struct RowFields<'r, F: ?Sized> {
    pub(super) line: u64,
    fields: &'r F,
    header: &'r [Box<str>],
    pub(super) errors: Vec<RowError>,
}

impl<'r, F: Fields + ?Sized> RowFields<'r, F> {
    pub(super) fn new(line: u64, fields: &'r F, header: &'r [Box<str>]) -> Self {
        Self { line, fields, header, errors: Vec::new() }
    }

    /// Notes an error without a word of the value: the way for names, addresses and numbers of people.
    pub(super) fn refuse(&mut self, column: usize, code: RowErrorCode, problem: &str, expected: &str) {
        self.errors.push(RowError {
            line: self.line,
            column: self.header.get(column).map(|name| name.to_string()),
            code,
            problem: problem.to_owned(),
            expected: expected.to_owned(),
        });
    }

    /// Notes an error with the value: only for amounts, days, currencies, ids and words of closed lists.
    pub(super) fn refuse_value(
        &mut self,
        column: usize,
        code: RowErrorCode,
        value: &str,
        problem: &str,
        expected: &str,
    ) {
        self.refuse(column, code, &format!("{} {problem}", quoted(value)), expected);
    }

    /// The cell, checked for what no cell may be.
    pub(super) fn cell(&mut self, column: usize) -> Option<Cell<'r>> {
        match self.fields.cell(column) {
            Cell::Text(text) => self.sound_text(column, text).map(Cell::Text),
            Cell::Faulty => {
                self.refuse(column, RowErrorCode::WrongCell, "the cell holds an error", "a value");
                None
            }
            other @ (Cell::Number { .. } | Cell::Day(_)) => Some(other),
        }
    }

    fn sound_text(&mut self, column: usize, text: &'r str) -> Option<&'r str> {
        if text.len() > FIELD_BYTES_MAX {
            let expected = format!("at most {FIELD_BYTES_MAX}");
            self.refuse(column, RowErrorCode::FieldTooLong, &format!("has {} bytes", text.len()), &expected);
            return None;
        }
        // One pass over the bytes; only a rare one needs a closer look. 0xEF begins the replacement character.
        if text.bytes().any(|b| b < 0x20 || b == 0x7f || b == 0xef) {
            let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
            if let Some(c) = text.chars().find(|c| is_bad(*c)) {
                let problem = format!("has the control character U+{:04X}", u32::from(c));
                self.refuse(column, RowErrorCode::ControlCharacter, &problem, "printable text");
                return None;
            }
            if text.contains('\u{fffd}') {
                let problem = "has bytes that are not text in the file's encoding";
                self.refuse(column, RowErrorCode::BadEncoding, problem, "text in one encoding");
                return None;
            }
        }
        Some(text.trim())
    }

    /// The text of a cell that may be empty: `None` when it is, or when it is unsound (which is noted).
    pub(super) fn text(&mut self, column: usize) -> Option<&'r str> {
        match self.cell(column)? {
            Cell::Text(text) | Cell::Number { text, .. } => Some(text).filter(|t| !t.is_empty()),
            Cell::Day(_) | Cell::Faulty => {
                self.refuse(column, RowErrorCode::WrongCell, "the cell holds a date", "text");
                None
            }
        }
    }

    /// The text of a cell that must not be empty.
    pub(super) fn required(&mut self, column: usize, expected: &str) -> Option<&'r str> {
        let errors_before = self.errors.len();
        let text = self.text(column);
        if text.is_none() && self.errors.len() == errors_before {
            self.refuse(column, RowErrorCode::Empty, "is empty", expected);
        }
        text
    }
}

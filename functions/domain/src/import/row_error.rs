//! Row errors: what is wrong with one row, where, and what was expected.
//!
//! Invariant: an error never carries a name, an address or a telephone number. The value itself is quoted only
//! for amounts, dates, currencies, ids and words of a closed list, shortened and with control characters escaped.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest part of a value that an error quotes, in characters.
pub const QUOTED_CHARS_MAX: usize = 40;

/// What kind of mistake it is; the names are stable, for counting and for the console's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowErrorCode {
    /// The row has another number of fields than the header.
    RaggedRow,
    /// A quote is opened and never closed, or text follows a closed one.
    BrokenQuote,
    /// The row is longer than any sound row.
    RowTooLong,
    /// The field is longer than any sound field.
    FieldTooLong,
    /// NUL or another control character.
    ControlCharacter,
    /// Bytes that are not text in the file's encoding.
    BadEncoding,
    /// Nothing where something is needed.
    Empty,
    /// A cell of the wrong type, or one that holds a spreadsheet error.
    WrongCell,
    /// Not an id.
    BadId,
    /// Not a day in the mapping's formats, or not a day of the calendar.
    BadDate,
    /// A day that no obligation can have.
    DateOutOfRange,
    /// Not an amount in the mapping's notation.
    BadAmount,
    /// Zero or less.
    AmountNotPositive,
    /// Larger than any sound amount.
    AmountTooLarge,
    /// More decimals than the currency has.
    TooManyDecimals,
    /// Not a currency of ISO 4217, or none at all.
    UnknownCurrency,
    /// The sign in the amount belongs to another currency.
    CurrencyMismatch,
    /// Cannot be a telephone number of the region.
    BadPhone,
    /// Cannot be an email address.
    BadEmail,
    /// A word that is not on the column's list.
    UnknownWord,
    /// The same id stood on an earlier line with other facts.
    ConflictingDuplicate,
}

impl RowErrorCode {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RaggedRow => "ragged_row",
            Self::BrokenQuote => "broken_quote",
            Self::RowTooLong => "row_too_long",
            Self::FieldTooLong => "field_too_long",
            Self::ControlCharacter => "control_character",
            Self::BadEncoding => "bad_encoding",
            Self::Empty => "empty",
            Self::WrongCell => "wrong_cell",
            Self::BadId => "bad_id",
            Self::BadDate => "bad_date",
            Self::DateOutOfRange => "date_out_of_range",
            Self::BadAmount => "bad_amount",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountTooLarge => "amount_too_large",
            Self::TooManyDecimals => "too_many_decimals",
            Self::UnknownCurrency => "unknown_currency",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::BadPhone => "bad_phone",
            Self::BadEmail => "bad_email",
            Self::UnknownWord => "unknown_word",
            Self::ConflictingDuplicate => "conflicting_duplicate",
        }
    }
}

/// What is wrong with one field of a row, or with the row as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The line of the file, counted from 1 with the header; of a sheet, its row.
    pub line: u64,
    /// The column, by the file's own header; absent when the row as a whole is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What kind of mistake.
    pub code: RowErrorCode,
    /// What was wrong.
    pub problem: String,
    /// What was expected.
    pub expected: String,
}

impl RowError {
    /// An error of the row as a whole.
    #[must_use]
    pub fn of_row(
        line: u64,
        code: RowErrorCode,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { line, column: None, code, problem: problem.into(), expected: expected.into() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}; expected {}", self.problem, self.expected)
    }
}

impl std::error::Error for RowError {}

/// A value as an error may quote it: at most [`QUOTED_CHARS_MAX`] characters, control characters escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().take(QUOTED_CHARS_MAX) {
        // Bidirectional and invisible format characters could make a log line read as another one.
        let is_hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || is_hidden || c == '"' || c == '\\' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        out.push('…');
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_is_short_and_has_no_control_characters() {
        assert_eq!(quoted("12,34\n\u{1b}[31m"), "\"12,34\\n\\u{1b}[31m\"");
        let long = quoted(&"9".repeat(1_000_000));
        assert_eq!(long, format!("\"{}…\"", "9".repeat(40)));
        assert_eq!(quoted("a\u{202e}b"), "\"a\\u{202e}b\"");
    }

    #[test]
    fn an_error_says_where_what_and_what_was_expected() {
        let error = RowError {
            line: 7,
            column: Some("Monto".into()),
            code: RowErrorCode::BadAmount,
            problem: "\"1,2,3\" has two decimal signs".into(),
            expected: "one".into(),
        };
        assert_eq!(error.to_string(), "line 7, column Monto: \"1,2,3\" has two decimal signs; expected one");
    }
}

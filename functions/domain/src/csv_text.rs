//! Text for CSV files that people open in a spreadsheet.
//!
//! Invariant: no text that went through [`neutralise_csv`] is read as a formula. A lender's customer chooses
//! their own name and reference, so every CSV that the product writes carries text from strangers.

use std::borrow::Cow;

/// The text, with a leading `'` where a spreadsheet would take it for a formula or a command: when it begins
/// with `=`, `+`, `-`, `@`, a tab, a carriage return, or with one of them after white space.
///
/// Quoting for CSV is the writer's work; this only changes what the cell says.
#[must_use]
pub fn neutralise_csv(text: &str) -> Cow<'_, str> {
    let first = text.chars().next();
    let starts_blank = matches!(first, Some('\t' | '\r' | '\n'));
    // Spreadsheets trim what they import, so white space does not hide a sign; the full-width signs count too.
    let sign = text.trim_start().chars().next();
    let is_formula =
        matches!(sign, Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'));
    if starts_blank || is_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The same for an id that a program compares: a plain number, such as `-7`, is no formula and stays as it is.
#[must_use]
pub fn neutralise_csv_id(text: &str) -> Cow<'_, str> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { Cow::Borrowed(text) } else { neutralise_csv(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_be_a_formula_is_made_harmless() {
        for text in ["=1+1", "+57 300", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\u{ff1d}1"] {
            assert_eq!(neutralise_csv(text), format!("'{text}"));
        }
    }

    #[test]
    fn an_id_that_is_a_number_stays_as_it_is() {
        for (id, written) in [("-7", "-7"), ("+15", "+15"), ("-7+1", "'-7+1"), ("-", "'-"), ("=1", "'=1")] {
            assert_eq!(neutralise_csv_id(id), written);
        }
    }

    #[test]
    fn other_text_is_left_alone_and_not_copied() {
        for text in ["", "Ana", "0379-NEVHP", "a=b", "'=1", "ñandú", "  Ana"] {
            assert!(matches!(neutralise_csv(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
    }
}

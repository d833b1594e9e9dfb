//! References to evidence: how a lender's own papers are named in the audit chain, which nothing ever takes out again.
//!
//! Invariant: what is told about one customer is the id of a document, and cannot be a name, an address or the number of a
//! telephone or of a person. What a lender's staff writes about a file or a message is a note, and has no address.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::content_check::is_invisible;

/// The longest reference to evidence, in characters.
pub const EVIDENCE_CHARS_MAX: usize = 80;
/// The longest note, in characters.
pub const NOTE_CHARS_MAX: usize = 200;
/// The most digits in a row that a reference may have: more may be the number of a telephone or of a person.
const DIGITS_MAX: usize = 6;
/// The lengths of the parts of a UUID, which is a reference whatever its digits are.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// A text that cannot be a reference to evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It may say who somebody is.
    #[error(
        "is no reference to evidence; expected the id of a document or a recording, such as DOC-2026-000123 or call-7781: \
         at most {EVIDENCE_CHARS_MAX} letters without accents, digits and - _ . / : #, without blanks, with a letter or digit \
         first and at least one digit, and with no more than {DIGITS_MAX} digits in a row (signs between them count for \
         nothing; the year is free where letters stand first)"
    )]
    Reference,
    /// It is empty, too long, or an address.
    #[error("is no reference or note; expected 1 to {NOTE_CHARS_MAX} printable characters, and no address")]
    Note,
}

/// What the lender keeps as evidence of a word, by the lender's own reference: a document, a recording. Never personal
/// data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EvidenceRef(String);

impl EvidenceRef {
    /// Takes the id of a document, without the white space around it.
    ///
    /// # Errors
    /// [`EvidenceError::Reference`] for what may be a name, an address or a number of somebody.
    pub fn new(text: &str) -> Result<Self, EvidenceError> {
        let text = text.trim();
        if is_reference(text) { Ok(Self(text.to_owned())) } else { Err(EvidenceError::Reference) }
    }

    /// Takes a note that is not about one customer, such as where the consents of a file are kept. What is stored is read
    /// by this rule, too.
    ///
    /// # Errors
    /// [`EvidenceError::Note`] when it is empty or too long, or has a control character or the `@` of an address, in any
    /// spelling.
    pub fn note(text: &str) -> Result<Self, EvidenceError> {
        let text = text.trim();
        let length = text.chars().count();
        let is_bad = |c: char| c.is_control() || c == '@';
        if !(1..=NOTE_CHARS_MAX).contains(&length) || as_read(text).any(is_bad) {
            return Err(EvidenceError::Note);
        }
        Ok(Self(text.to_owned()))
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EvidenceRef {
    type Error = EvidenceError;
    fn try_from(text: String) -> Result<Self, EvidenceError> {
        Self::note(&text)
    }
}

impl From<EvidenceRef> for String {
    fn from(evidence: EvidenceRef) -> Self {
        evidence.0
    }
}

/// The characters of a text as a person reads them: in their plain width and form, without what nobody sees.
fn as_read(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| !is_invisible(*c)).nfkc().filter(|c| !is_invisible(*c))
}

/// Whether a text has so many digits with no letter between them, in any spelling and whatever signs divide them.
pub(crate) fn has_digits_in_a_row(text: &str, count: usize) -> bool {
    let mut digits = 0;
    as_read(text).any(|c| {
        if c.is_numeric() {
            digits += 1;
        } else if c.is_alphabetic() {
            digits = 0;
        }
        digits >= count
    })
}

fn is_reference(text: &str) -> bool {
    let is_sign = |c: char| matches!(c, '-' | '_' | '.' | '/' | ':' | '#');
    let is_id = (1..=EVIDENCE_CHARS_MAX).contains(&text.chars().count())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || is_sign(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.contains(|c: char| c.is_ascii_digit());
    if !is_id {
        return false;
    }
    let parts: Vec<&str> = text.split(is_sign).collect();
    let is_uuid = parts.iter().map(|part| part.len()).eq(UUID_PARTS)
        && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    let is_year = |part: &&str| matches!(part.parse(), Ok(1990..=2099)) && part.len() == 4;
    let (named, mut year) = (text.starts_with(|c: char| c.is_ascii_alphabetic()), false);
    // Only one year is free: two and more digits beside it could be a number again.
    let rest = parts.iter().filter(|part| {
        let is_free = named && !year && is_year(part);
        year |= is_free;
        !is_free
    });
    let rest: Vec<&str> = rest.copied().collect();
    is_uuid || !has_digits_in_a_row(&rest.join("-"), DIGITS_MAX + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_id_of_a_document_and_of_nobody() {
        for good in [
            "DOC-2026-000123",
            "call-7781",
            "rec-1",
            "7781",
            "acta_14/2026",
            "s3:grabaciones/2026/11/a1",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(EvidenceRef::new(&format!(" {good} ")).is_ok_and(|kept| kept.as_str() == good), "{good}");
        }
        let long = format!("d1{}", "x".repeat(EVIDENCE_CHARS_MAX));
        for bad in [
            "",
            "Ana Rojas",
            "AnaRojas",
            "call 7781",
            "ana1@example.com",
            "ana1\u{ff20}example.com",
            "3001234567",
            "300-123-4567",
            "+573001234567",
            "TEL-3001234567",
            "TEL-300-123-4567",
            "cc-1.020.304",
            "DOC-\u{200b}7",
            "ＤＯＣ７",
            "2026-3001234",
            "TEL-2026-2025-300123",
            "Peña-7",
            "-7",
            &long,
        ] {
            assert_eq!(EvidenceRef::new(bad), Err(EvidenceError::Reference), "{bad}");
        }
    }

    #[test]
    fn a_note_has_no_address_in_any_spelling() {
        assert!(EvidenceRef::note("contract of the loan").is_ok());
        for bad in ["", "a@b", "a\u{ff20}b", "a\u{fe6b}b", "a\nb"] {
            assert_eq!(EvidenceRef::note(bad), Err(EvidenceError::Note), "{bad}");
        }
        for hidden in
            ["3\u{200b}0\u{200b}0\u{200b}1\u{200b}2\u{200b}3", "３００１２３", "3,0,0*1–2 3", "①②③④⑤⑥"]
        {
            assert!(has_digits_in_a_row(hidden, 6), "{hidden}");
        }
        assert!(!has_digits_in_a_row("ticket 44 of page 1234", 6));
    }
}

//! Identifiers: one type per kind of thing, so that a customer id cannot stand where an obligation id belongs.
//!
//! Invariant: an id is never empty, has at most [`ID_CHARS_MAX`] characters, no control character, and no
//! white space at its ends. Ids are the lender's own references; they are the only thing about a customer
//! that may stand in a log line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id that is accepted, in characters.
pub const ID_CHARS_MAX: usize = 100;

/// Why a text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was left after trimming.
    #[error("is empty; expected an identifier")]
    Empty,
    /// More than [`ID_CHARS_MAX`] characters.
    #[error("has {0} characters; expected at most {ID_CHARS_MAX}")]
    TooLong(usize),
    /// A control character (NUL, line break, tab, …).
    #[error("has the control character U+{0:04X}; expected printable characters only")]
    Control(u32),
}

fn checked(text: &str) -> Result<&str, IdError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    // Bytes bound the characters from above, so the count is only paid for long texts.
    if text.len() > ID_CHARS_MAX {
        let chars = text.chars().count();
        if chars > ID_CHARS_MAX {
            return Err(IdError::TooLong(chars));
        }
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(IdError::Control(u32::from(c))),
        None => Ok(text),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text as an id, without the white space around it.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long, or has a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                checked(text.as_ref()).map(|t| Self(t.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

id! {
    /// An isolated lender or brand.
    TenantId
}
id! {
    /// Who owes, by the lender's own reference.
    CustomerId
}
id! {
    /// Who works for the lender, by the lender's own reference.
    OperatorId
}
id! {
    /// A customer's choice, by the id of the event that brought it.
    ChoiceId
}
id! {
    /// The customer's credit product, by the lender's own reference.
    AccountId
}
id! {
    /// One amount due on one date, by the lender's own reference.
    ObligationId
}
id! {
    /// One payment, by the lender's own reference.
    PaymentId
}
id! {
    /// A policy; its versions share the id.
    PolicyId
}
id! {
    /// A step of a policy's ladder.
    StageId
}
id! {
    /// A template; its versions share the id.
    TemplateId
}
id! {
    /// A planned contact. Derived from what it is about, so that planning twice gives the same id.
    TouchId
}
id! {
    /// A group of customers that the lender treats alike.
    SegmentId
}

/// What the id of an import begins with.
pub const IMPORT_PREFIX: &str = "imp_";
/// How many hexadecimal digits follow the prefix.
pub const IMPORT_DIGITS: usize = 32;
/// The latest moment that an id of an import tells, in milliseconds since 1970: its first twelve digits.
const IMPORT_MS_MAX: u64 = (1 << 48) - 1;

/// An import that was asked for: `imp_` and 32 hexadecimal digits. Ids of later imports sort before earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImportId(String);

/// A text that is no [`ImportId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of an import; expected {IMPORT_PREFIX} and {IMPORT_DIGITS} hexadecimal digits")]
pub struct ImportIdError;

impl ImportId {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// [`ImportIdError`] when it is of another form.
    pub fn new(text: &str) -> Result<Self, ImportIdError> {
        let digits = text.strip_prefix(IMPORT_PREFIX).ok_or(ImportIdError)?;
        let sound =
            digits.len() == IMPORT_DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if sound { Ok(Self(text.to_owned())) } else { Err(ImportIdError) }
    }

    /// The id of an import of a moment, in milliseconds since 1970; `random` tells those of one moment apart.
    #[must_use]
    pub fn of(at_ms: u64, random: u128) -> Self {
        let time = IMPORT_MS_MAX - at_ms.min(IMPORT_MS_MAX);
        let random = random & ((1 << 80) - 1);
        Self(format!("{IMPORT_PREFIX}{time:012x}{random:020x}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImportId {
    type Error = ImportIdError;
    fn try_from(text: String) -> Result<Self, ImportIdError> {
        Self::new(&text)
    }
}

impl From<ImportId> for String {
    fn from(id: ImportId) -> String {
        id.0
    }
}

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_trimmed_and_bounded() {
        assert_eq!(CustomerId::new("  7590-VHVEG ").unwrap().as_str(), "7590-VHVEG");
        assert_eq!(CustomerId::new(" "), Err(IdError::Empty));
        assert_eq!(CustomerId::new("a\0b"), Err(IdError::Control(0)));
        assert_eq!(CustomerId::new("é".repeat(ID_CHARS_MAX)).unwrap().as_str().chars().count(), ID_CHARS_MAX);
        assert_eq!(CustomerId::new("x".repeat(101)), Err(IdError::TooLong(101)));
    }

    #[test]
    fn an_id_that_breaks_the_rules_cannot_be_deserialized() {
        assert!(serde_json::from_str::<ObligationId>("\"\"").is_err());
        assert_eq!(serde_json::to_string(&ObligationId::new("611365").unwrap()).unwrap(), "\"611365\"");
    }

    #[test]
    fn an_import_id_reads_back_and_sorts_the_newest_first() {
        let (early, late) = (ImportId::of(1_000, u128::MAX), ImportId::of(2_000, 0));
        assert!(late < early);
        assert_eq!(ImportId::new(early.as_str()), Ok(early.clone()));
        assert_eq!(early.as_str().len(), IMPORT_PREFIX.len() + IMPORT_DIGITS);
        for bad in ["", "imp_", "imp_00", &early.as_str().to_uppercase(), &format!("{early}0"), "../imp_"] {
            assert_eq!(ImportId::new(bad), Err(ImportIdError), "{bad}");
        }
    }
}

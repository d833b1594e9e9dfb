//! Errors of the store, classed by what the caller may do about them.
//!
//! Invariant: no message carries a stored value. An error names the operation, the table's own error code and
//! what was expected; ids are the only thing about a customer that may stand in it.

use domain::ids::CustomerId;

/// What a caller may do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Nothing was changed, and trying again later may succeed.
    Retryable,
    /// Trying again gives the same answer.
    Permanent,
    /// Something else is stored already; read again and decide again.
    Conflict,
    /// A write may or may not have been carried out; read before doing anything else.
    Unknown,
}

/// Why an access to the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Throttled, contended or unreachable, with nothing changed.
    #[error("{operation}: the store did not carry it out ({reason}); it may be tried again")]
    Retryable {
        /// The access pattern.
        operation: &'static str,
        /// The error code of the database.
        reason: String,
    },
    /// The request cannot succeed as it is.
    #[error("{operation}: the store refused it ({reason})")]
    Permanent {
        /// The access pattern.
        operation: &'static str,
        /// The error code of the database, or the limit that was passed.
        reason: String,
    },
    /// Something else is stored than the caller expected.
    #[error("{operation}: {what}")]
    Conflict {
        /// The access pattern.
        operation: &'static str,
        /// What was found, and what was expected.
        what: String,
    },
    /// The request was sent and no answer came back.
    #[error("{operation}: no answer ({reason}); the write may have been carried out")]
    Unknown {
        /// The access pattern.
        operation: &'static str,
        /// How the answer was lost.
        reason: String,
    },
    /// A stored item cannot be read.
    #[error("the stored {item} at {place} has an unreadable {attribute}; expected {expected}")]
    Corrupt {
        /// The kind of item.
        item: &'static str,
        /// Its key, which holds ids only, among them that of the customer.
        place: String,
        /// The attribute.
        attribute: &'static str,
        /// What should have been there.
        expected: &'static str,
    },
}

/// An item of a page that cannot be read. It costs the others nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose it is, where its key says so.
    pub customer: Option<CustomerId>,
    /// What is wrong with it.
    pub problem: StoreError,
}

impl StoreError {
    /// What the caller may do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Retryable { .. } => ErrorClass::Retryable,
            Self::Permanent { .. } | Self::Corrupt { .. } => ErrorClass::Permanent,
            Self::Conflict { .. } => ErrorClass::Conflict,
            Self::Unknown { .. } => ErrorClass::Unknown,
        }
    }
}

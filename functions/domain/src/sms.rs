//! The size of a text message: what it costs depends on its encoding and its parts.
//!
//! Invariant: sizes are counted in the units of the encoding that is used.

/// How many parts a text message takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmsSize {
    /// Septets of GSM-7, or UTF-16 units of UCS-2.
    pub units: usize,
    /// How many messages the operator charges.
    pub parts: usize,
}

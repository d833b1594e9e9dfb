//! A rendered message: what a provider is given.
//!
//! Invariant: it is about one customer and never shown in a log, so it has no `Debug`.

use crate::sms::SmsSize;

/// A rendered message. It has no `Debug`, since its content is about one customer.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject, of an email.
    pub subject: Option<String>,
    /// The plain text.
    pub text: String,
    /// The HTML part, of an email.
    pub html: Option<String>,
    /// What the text costs, of a text message.
    pub sms: Option<SmsSize>,
}

impl Message {
    /// How many units of a channel's rate and quota it takes: the parts of a text message, and 1 of any other.
    #[must_use]
    pub fn send_units(&self) -> u32 {
        self.sms.map_or(1, |size| u32::try_from(size.parts).unwrap_or(u32::MAX))
    }
}

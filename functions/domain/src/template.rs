//! Messages: what a template becomes for one touch.
//!
//! Invariant: a message is rendered text; nothing in it is left to be filled in.

use crate::sms::SmsSize;

/// A rendered message. It has no `Debug`: its content is about one customer.
pub struct Message {
    /// The subject, on channels that have one.
    pub subject: Option<String>,
    /// The plain text.
    pub text: String,
    /// The HTML part, on channels that have one.
    pub html: Option<String>,
    /// The size as a text message, on that channel.
    pub sms: Option<SmsSize>,
}

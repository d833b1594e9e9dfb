//! Contact points and contacts made: how a customer can be reached, and when that was done.
//!
//! Invariant: an address is never printed. `Debug` and `Display` of [`PersonName`] and [`Address`] mask it;
//! only [`Address::reveal`] and [`PersonName::reveal`] give the text, to the code that sends or stores it.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;

macro_rules! masked {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that was checked where it was parsed.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text itself. Only for sending, storing and showing to those who may see it.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }
    };
}

masked! {
    /// The name of a customer.
    PersonName
}
masked! {
    /// An email address, or a telephone number in E.164 form.
    Address
}

/// A way to reach a customer on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    /// The channel it belongs to.
    pub channel: Channel,
    /// Where messages go.
    pub address: Address,
    /// A made-up point of a demonstration or a test, which no provider may be asked to reach.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}

/// What the customer said about being contacted on one channel. The latest word counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The channel.
    pub channel: Channel,
    /// `true` for an authorisation, `false` for an opt-out.
    pub granted: bool,
    /// The day of the word.
    pub on: NaiveDate,
    /// Where the word is kept: a contract, a form, a reply.
    pub source: String,
}

/// A contact that was made with a customer and may count against the caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Contact {
    /// When.
    pub at: DateTime<Utc>,
    /// On which channel.
    pub channel: Channel,
    /// A two-way contact: the customer answered.
    pub direct: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_masked_wherever_it_is_printed() {
        let point =
            ContactPoint { channel: Channel::Email, address: Address::new("ana@example.com"), test: false };
        let printed = format!("{point:?} {} {:?}", point.address, PersonName::new("Ana"));
        assert!(!printed.contains("ana@") && !printed.contains("Ana"), "{printed}");
        assert_eq!(point.address.reveal(), "ana@example.com");
    }
}

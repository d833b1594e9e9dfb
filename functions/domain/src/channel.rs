//! Channels, purposes and tones: the closed vocabularies that policies, profiles and messages share.
//!
//! Invariant: the wire names (`as_str`) are stable; they stand in stored items, keys and files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not in one of the closed vocabularies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {found:?}; expected one of {expected}")]
pub struct UnknownWord {
    what: &'static str,
    found: String,
    expected: String,
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| UnknownWord {
                    what: $what,
                    found: text.chars().take(40).collect(),
                    expected: Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

vocabulary! {
    /// A way to reach a customer.
    Channel, "channel", {
        /// Electronic mail.
        Email = "email",
        /// Text message.
        Sms = "sms",
        /// A notification of the lender's own app.
        Push = "push",
        /// WhatsApp message.
        Whatsapp = "whatsapp",
        /// A telephone call by a person or a machine.
        Call = "call",
    }
}

vocabulary! {
    /// What a contact is for; the contact rules of a jurisdiction depend on it.
    Purpose, "purpose", {
        /// A reminder up to and including the due date.
        PreDue = "pre_due",
        /// A reminder after the due date.
        Overdue = "overdue",
        /// A receipt or an alert about an operation.
        Transactional = "transactional",
        /// An answer to the customer's own request.
        Requested = "requested",
        /// Advertising.
        Marketing = "marketing",
    }
}

vocabulary! {
    /// How a stage speaks.
    Tone, "tone", {
        /// A kind word before or just after the date.
        Friendly = "friendly",
        /// Clear and direct.
        Firm = "firm",
        /// A written notice.
        Formal = "formal",
        /// The last notice before the hand-off.
        Legal = "legal",
    }
}

impl Purpose {
    /// The purpose of a reminder `dpd` days past due (negative before the due date).
    #[must_use]
    pub const fn of_dpd(dpd: i32) -> Self {
        if dpd <= 0 { Self::PreDue } else { Self::Overdue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_unknown_ones_name_the_choices() {
        for channel in Channel::ALL {
            assert_eq!(channel.as_str().parse::<Channel>().unwrap(), *channel);
        }
        let error = "fax".parse::<Channel>().unwrap_err().to_string();
        assert_eq!(error, "unknown channel \"fax\"; expected one of email, sms, push, whatsapp, call");
    }

    #[test]
    fn the_due_date_itself_is_still_before_arrears() {
        assert_eq!(Purpose::of_dpd(0), Purpose::PreDue);
        assert_eq!(Purpose::of_dpd(1), Purpose::Overdue);
    }
}

//! Contact points and contacts made: how a customer can be reached, and when that was done.
//!
//! Invariant: an address is never printed. `Debug` and `Display` of [`PersonName`] and [`Address`] mask it;
//! only [`Address::reveal`] and [`PersonName::reveal`] give the text, to the code that sends or stores it.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, Purpose};

mod reference;

pub(crate) use reference::has_digits_in_a_row;
pub use reference::{EVIDENCE_CHARS_MAX, EvidenceError, EvidenceRef, NOTE_CHARS_MAX};

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
masked! {
    /// What a customer wrote.
    ReplyText
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

/// Where a word of the customer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentSource {
    /// The contract of the loan, or a form beside it.
    Contract,
    /// The lender's own systems, by a call.
    Api,
    /// The customer's answer to a message.
    Reply,
    /// The link of a message.
    Link,
    /// A file of the lender that names no other source.
    Import,
    /// Somebody of the lender, by hand.
    Person,
}

impl ConsentSource {
    /// Every value, in the order of declaration.
    pub const ALL: &'static [Self] =
        &[Self::Contract, Self::Api, Self::Reply, Self::Link, Self::Import, Self::Person];

    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Api => "api",
            Self::Reply => "reply",
            Self::Link => "link",
            Self::Import => "import",
            Self::Person => "person",
        }
    }
}

/// The purposes that a word is about: all of them, or at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Purpose>", into = "BTreeSet<Purpose>")]
pub struct PurposeScope(Option<BTreeSet<Purpose>>);

impl PurposeScope {
    /// Every purpose.
    pub const ALL: Self = Self(None);

    /// Only these purposes; `None` where there are none, because such a word would say nothing.
    #[must_use]
    pub fn only(purposes: impl IntoIterator<Item = Purpose>) -> Option<Self> {
        let purposes: BTreeSet<Purpose> = purposes.into_iter().collect();
        (!purposes.is_empty()).then_some(Self(Some(purposes)))
    }

    /// Whether the word is about every purpose.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the word is about a purpose.
    #[must_use]
    pub fn covers(&self, purpose: Purpose) -> bool {
        self.0.as_ref().is_none_or(|only| only.contains(&purpose))
    }
}

impl TryFrom<BTreeSet<Purpose>> for PurposeScope {
    type Error = &'static str;
    fn try_from(purposes: BTreeSet<Purpose>) -> Result<Self, Self::Error> {
        Self::only(purposes).ok_or("the list of purposes is empty; expected at least one, or no list")
    }
}

impl From<PurposeScope> for BTreeSet<Purpose> {
    fn from(scope: PurposeScope) -> Self {
        scope.0.unwrap_or_else(|| Purpose::ALL.iter().copied().collect())
    }
}

/// What the customer said about being contacted on one channel. The latest word counts
/// ([`crate::customer::Customer::reachable`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredConsent")]
pub struct Consent {
    /// The channel.
    pub channel: Channel,
    /// What the word is about.
    #[serde(skip_serializing_if = "PurposeScope::is_all")]
    pub purposes: PurposeScope,
    /// `true` for an authorisation, `false` for a withdrawal.
    pub granted: bool,
    /// The day of the word, as the customer's calendar has it.
    pub on: NaiveDate,
    /// The instant of the word, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Where the word came from.
    pub source: ConsentSource,
    /// What the lender keeps of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRef>,
}

impl Consent {
    /// A word about every purpose, of a day, from the contract and without more evidence.
    #[must_use]
    pub const fn of_contract(channel: Channel, granted: bool, on: NaiveDate) -> Self {
        let (purposes, source) = (PurposeScope::ALL, ConsentSource::Contract);
        Self { channel, purposes, granted, on, at: None, source, evidence: None }
    }

    /// Whether the word is about a channel and a purpose.
    #[must_use]
    pub fn covers(&self, channel: Channel, purpose: Purpose) -> bool {
        self.channel == channel && self.purposes.covers(purpose)
    }

    /// Whether the word was surely said after another one. Where an instant is not known, the days decide.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        match (self.at, other.at) {
            (Some(own), Some(others)) => own > others,
            (Some(_), None) | (None, _) => self.on > other.on,
        }
    }
}

/// The source and the evidence that a lender's own words name: one of the known sources, or a text that says where the
/// word is kept.
#[must_use]
pub fn source_named(text: &str) -> (ConsentSource, Option<EvidenceRef>) {
    match ConsentSource::ALL.iter().find(|source| source.as_str() == text) {
        Some(source) => (*source, None),
        None => (ConsentSource::Import, EvidenceRef::note(text).ok()),
    }
}

/// A consent as it may be stored: before there were sources, any text stood in their place.
#[derive(Deserialize)]
struct StoredConsent {
    channel: Channel,
    #[serde(default)]
    purposes: PurposeScope,
    granted: bool,
    on: NaiveDate,
    #[serde(default)]
    at: Option<DateTime<Utc>>,
    source: String,
    #[serde(default)]
    evidence: Option<EvidenceRef>,
}

impl From<StoredConsent> for Consent {
    fn from(stored: StoredConsent) -> Self {
        let StoredConsent { channel, purposes, granted, on, at, source, evidence } = stored;
        let (source, kept) = source_named(&source);
        Self { channel, purposes, granted, on, at, source, evidence: evidence.or(kept) }
    }
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

    #[test]
    fn a_consent_reads_as_it_was_stored_before_and_after_there_were_sources() {
        let old = r#"{"channel":"sms","granted":true,"on":"2026-01-05","source":"contract"}"#;
        let read: Consent = serde_json::from_str(old).unwrap();
        let on = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
        assert_eq!(read, Consent::of_contract(Channel::Sms, true, on));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let text: Consent = serde_json::from_str(&old.replace("contract", "a form of the branch")).unwrap();
        assert_eq!(text.source, ConsentSource::Import);
        assert_eq!(text.evidence.unwrap().as_str(), "a form of the branch");
        let scoped = r#"{"channel":"sms","purposes":["overdue"],"granted":false,"on":"2026-01-05","at":"2026-01-05T10:00:00Z","source":"api","evidence":"rec-9"}"#;
        let read: Consent = serde_json::from_str(scoped).unwrap();
        assert!(read.covers(Channel::Sms, Purpose::Overdue) && !read.covers(Channel::Sms, Purpose::PreDue));
        assert_eq!(serde_json::to_string(&read).unwrap(), scoped);
        assert!(serde_json::from_str::<Consent>(&scoped.replace("[\"overdue\"]", "[]")).is_err());
        assert!(serde_json::from_str::<Consent>(&scoped.replace("rec-9", "ana@example.com")).is_err());
    }
}

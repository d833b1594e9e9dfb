//! Customers: who owes, how they may be reached, and in which words.
//!
//! Invariant: whether a channel may be used follows from the facts alone ([`Customer::reachable`]): the latest
//! word on consent, and a contact point that is there.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::contact::{Consent, ContactPoint, PersonName};
use crate::ids::{CustomerId, SegmentId};
use crate::jurisdiction::Requirement;
use crate::locale::{Country, Language};
use crate::obligation::Hold;

/// What kind of customer it is, where the lender has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerKind {
    /// A natural person.
    Person,
    /// A company.
    Company,
}

impl CustomerKind {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Company => "company",
        }
    }
}

/// Who owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The lender's own reference.
    pub id: CustomerId,
    /// The name used in messages.
    pub name: PersonName,
    /// Person or company; absent where the lender's file does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CustomerKind>,
    /// The country whose contact rules protect the customer; the tenant's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The customer's own time zone; the jurisdiction's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Tz>,
    /// The customer's own language; the tenant's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The lender's own grouping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentId>,
    /// The channel the customer asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_channel: Option<Channel>,
    /// How the customer can be reached; at most one point per channel is used, the first.
    #[serde(default)]
    pub contact_points: Vec<ContactPoint>,
    /// What the customer said about being contacted.
    #[serde(default)]
    pub consents: Vec<Consent>,
    /// A stop for everything the customer owes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// Whether a channel can be used for a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    /// It can, at this point.
    At(&'a ContactPoint),
    /// The customer never authorised the channel.
    NoConsent,
    /// The customer withdrew the authorisation.
    OptedOut,
    /// There is no contact point on the channel.
    NoContactPoint,
    /// The contact point must not be used: it bounced, complained, or was opted out.
    Suppressed,
}

impl Customer {
    /// Whether `channel` may and can be used, suppressions aside: those are kept by address, outside the profile.
    #[must_use]
    pub fn reachable(&self, channel: Channel) -> Reach<'_> {
        // The latest word counts; of two words of one day the opt-out does, so that file order cannot undo it.
        let word = self.consents.iter().filter(|c| c.channel == channel).max_by_key(|c| (c.on, !c.granted));
        match word {
            None => Reach::NoConsent,
            Some(consent) if !consent.granted => Reach::OptedOut,
            Some(_) => match self.contact_points.iter().find(|p| p.channel == channel) {
                Some(point) => Reach::At(point),
                None => Reach::NoContactPoint,
            },
        }
    }
}

impl Customer {
    /// Whether the facts show that a gate of the jurisdiction is passed on `channel`. What they cannot answer is not:
    /// nothing says yet who made contact first, or who stands in a registry.
    #[must_use]
    pub fn passes(&self, gate: Requirement, channel: Channel) -> bool {
        match gate {
            Requirement::OptIn => match self.reachable(channel) {
                Reach::At(_) | Reach::NoContactPoint | Reach::Suppressed => true,
                Reach::NoConsent | Reach::OptedOut => false,
            },
            Requirement::OptInByOwnInitiative | Requirement::NotInRegistry => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::contact::Address;

    fn consent(day: u32, granted: bool) -> Consent {
        let on = NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
        Consent { channel: Channel::Sms, granted, on, source: "contract".into() }
    }

    fn customer(consents: Vec<Consent>) -> Customer {
        Customer {
            id: CustomerId::new("c").unwrap(),
            name: PersonName::new("Ana"),
            kind: None,
            country: None,
            time_zone: None,
            language: None,
            segment: None,
            preferred_channel: None,
            contact_points: vec![ContactPoint {
                channel: Channel::Sms,
                address: Address::new("+573000000000"),
                test: true,
            }],
            consents,
            hold: None,
        }
    }

    #[test]
    fn the_latest_word_counts_and_an_opt_out_wins_its_day() {
        assert_eq!(customer(vec![]).reachable(Channel::Sms), Reach::NoConsent);
        assert!(matches!(customer(vec![consent(1, true)]).reachable(Channel::Sms), Reach::At(_)));
        let withdrawn = customer(vec![consent(2, false), consent(1, true)]);
        assert_eq!(withdrawn.reachable(Channel::Sms), Reach::OptedOut);
        let same_day = customer(vec![consent(2, false), consent(2, true)]);
        assert_eq!(same_day.reachable(Channel::Sms), Reach::OptedOut);
        let again = customer(vec![consent(2, false), consent(3, true)]);
        assert!(matches!(again.reachable(Channel::Sms), Reach::At(_)));
    }
}

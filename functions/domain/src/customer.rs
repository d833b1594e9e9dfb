//! Customers: who owes, how they may be reached, and in which words.
//!
//! Invariant: whether a channel may be used for a purpose follows from the facts alone ([`Customer::reachable`]): the
//! latest word on consent, and a contact point that is there.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, Purpose};
use crate::choice::AgreedHours;
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

/// What a person has to do with the debt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owes it.
    #[default]
    Debtor,
    /// Owes it beside the debtor: a customer of its own.
    #[serde(alias = "co_debtor", alias = "co-debtor")]
    Codebtor,
    /// Answers for it: a customer of its own.
    Guarantor,
    /// Was named as somebody who knows the debtor, and owes nothing.
    Reference,
}

impl Role {
    /// Every value, in the order of declaration.
    pub const ALL: &'static [Self] = &[Self::Debtor, Self::Codebtor, Self::Guarantor, Self::Reference];

    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debtor => "debtor",
            Self::Codebtor => "codebtor",
            Self::Guarantor => "guarantor",
            Self::Reference => "reference",
        }
    }

    fn is_debtor(&self) -> bool {
        *self == Self::Debtor
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
    /// What the customer has to do with the debt.
    #[serde(default, skip_serializing_if = "Role::is_debtor")]
    pub role: Role,
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
    /// The other hours that the customer asked for, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_hours: Option<AgreedHours>,
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
    /// Whether `channel` may and can be used for `purpose`, suppressions aside: those are kept by address, outside the
    /// profile.
    ///
    /// The latest word about the channel and the purpose counts; of two words of one time the withdrawal does, so that
    /// no order of files or events can undo it. A channel that the customer never authorised is not used.
    #[must_use]
    pub fn reachable(&self, channel: Channel, purpose: Purpose) -> Reach<'_> {
        let said = |granted: bool| {
            self.consents.iter().filter(move |c| c.granted == granted && c.covers(channel, purpose))
        };
        if !said(true).any(|grant| said(false).all(|withdrawal| grant.is_after(withdrawal))) {
            return if said(false).next().is_some() { Reach::OptedOut } else { Reach::NoConsent };
        }
        match self.contact_points.iter().find(|p| p.channel == channel) {
            Some(point) => Reach::At(point),
            None => Reach::NoContactPoint,
        }
    }
}

impl Customer {
    /// Whether the facts show that a gate of the jurisdiction is passed on `channel` for `purpose`. What they cannot answer is not:
    /// nothing says yet who made contact first, or who stands in a registry.
    #[must_use]
    pub fn passes(&self, gate: Requirement, channel: Channel, purpose: Purpose) -> bool {
        match gate {
            Requirement::OptIn => match self.reachable(channel, purpose) {
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
    use crate::contact::{Address, ConsentSource, PurposeScope};

    fn consent(day: u32, granted: bool) -> Consent {
        Consent::of_contract(Channel::Sms, granted, NaiveDate::from_ymd_opt(2026, 1, day).unwrap())
    }

    /// A word at an hour of 5 January.
    fn at_hour(hour: u32, granted: bool) -> Consent {
        let at = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap().and_hms_opt(hour, 0, 0).unwrap().and_utc();
        Consent { at: Some(at), source: ConsentSource::Api, ..consent(5, granted) }
    }

    fn about(purpose: Purpose, word: Consent) -> Consent {
        Consent { purposes: PurposeScope::only([purpose]).unwrap(), ..word }
    }

    fn customer(consents: Vec<Consent>) -> Customer {
        Customer {
            id: CustomerId::new("c").unwrap(),
            name: PersonName::new("Ana"),
            kind: None,
            role: Role::Debtor,
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
            agreed_hours: None,
            hold: None,
        }
    }

    fn reach(consents: Vec<Consent>, purpose: Purpose) -> &'static str {
        match customer(consents).reachable(Channel::Sms, purpose) {
            Reach::At(_) => "yes",
            Reach::NoConsent => "never",
            Reach::OptedOut => "withdrawn",
            Reach::NoContactPoint | Reach::Suppressed => "no point",
        }
    }

    #[test]
    fn the_latest_word_counts_and_a_withdrawal_wins_its_day() {
        let overdue = |consents| reach(consents, Purpose::Overdue);
        assert_eq!(overdue(vec![]), "never");
        assert_eq!(overdue(vec![consent(1, true)]), "yes");
        assert_eq!(overdue(vec![consent(2, false), consent(1, true)]), "withdrawn");
        assert_eq!(overdue(vec![consent(2, false), consent(2, true)]), "withdrawn");
        assert_eq!(overdue(vec![consent(2, false), consent(3, true)]), "yes");
    }

    #[test]
    fn instants_order_the_words_of_a_day_and_a_day_alone_proves_nothing_within_it() {
        let overdue = |consents| reach(consents, Purpose::Overdue);
        assert_eq!(overdue(vec![at_hour(9, false), at_hour(10, true)]), "yes");
        assert_eq!(overdue(vec![at_hour(10, true), at_hour(10, false)]), "withdrawn");
        assert_eq!(overdue(vec![at_hour(11, false), at_hour(10, true)]), "withdrawn");
        assert_eq!(overdue(vec![at_hour(9, false), consent(5, true)]), "withdrawn");
        assert_eq!(overdue(vec![at_hour(9, false), consent(6, true)]), "yes");
        assert_eq!(overdue(vec![consent(5, false), at_hour(23, true)]), "withdrawn");
    }

    #[test]
    fn a_word_is_only_about_its_purposes_and_a_full_withdrawal_beats_earlier_ones_of_any() {
        let scoped = vec![consent(1, true), about(Purpose::Overdue, consent(2, false))];
        assert_eq!(reach(scoped.clone(), Purpose::Overdue), "withdrawn");
        assert_eq!(reach(scoped, Purpose::PreDue), "yes");
        let only_before = vec![about(Purpose::PreDue, consent(1, true))];
        assert_eq!(reach(only_before.clone(), Purpose::PreDue), "yes");
        assert_eq!(reach(only_before.clone(), Purpose::Overdue), "never");
        let withdrawn = [only_before, vec![consent(2, false)]].concat();
        assert_eq!(reach(withdrawn.clone(), Purpose::PreDue), "withdrawn");
        let again = [withdrawn, vec![about(Purpose::PreDue, consent(3, true))]].concat();
        assert_eq!(reach(again.clone(), Purpose::PreDue), "yes");
        assert_eq!(reach(again, Purpose::Overdue), "withdrawn");
    }
}

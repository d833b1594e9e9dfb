//! The fence of a customer: what every decision about the customer is checked against.
//!
//! Invariant: `version` grows with every fact that could forbid or change a send. A claim names the version it was
//! decided on, so a decision on old facts can never be carried out.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::contact::Contact;
use crate::ids::{ObligationId, StageId, TouchId};

/// How many days of contacts a fence keeps: the longest cap counts seven days, a month is for people.
pub const CONTACT_DAYS_KEPT: u64 = 35;

/// The most touches of a customer whose tries are counted: there is one in the making, or two.
pub const TRIED_TOUCHES_MAX: usize = 8;

/// The highest stage that a claim has reached for an obligation in the cycle of one due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The due date of the cycle; another one starts a new cycle.
    pub due_on: NaiveDate,
    /// The stage.
    pub stage: StageId,
    /// The trigger of the stage, in days past due, so that the order survives a renamed stage.
    pub dpd: i32,
}

/// What every decision about the customer is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// Grows by one with every fact and every claim.
    pub version: u64,
    /// Contacts of the last [`CONTACT_DAYS_KEPT`] days, oldest first.
    pub contacts: Vec<Contact>,
    /// The stage reached by each open obligation.
    pub reached: BTreeMap<ObligationId, Reached>,
    /// The hash of the last audit entry; `None` before the first.
    pub audit_head: Option<String>,
    /// How often touches were tried and refused for now, at most [`TRIED_TOUCHES_MAX`] of them.
    pub tries: BTreeMap<TouchId, u32>,
    /// When the customer's personal data was erased: nothing about it is taken in or sent any more.
    pub erased_at: Option<DateTime<Utc>>,
}

impl Fence {
    /// The stage reached by an obligation in the cycle of `due_on`.
    #[must_use]
    pub fn reached(&self, obligation: &ObligationId, due_on: NaiveDate) -> Option<&Reached> {
        self.reached.get(obligation).filter(|r| r.due_on == due_on)
    }

    /// Adds a contact in its place in time, and says whether that changed anything. The same contact counts once; one
    /// that the customer turns out to have answered counts as answered.
    pub fn add_contact(&mut self, contact: Contact) -> bool {
        let same = |c: &&mut Contact| c.at == contact.at && c.channel == contact.channel;
        if let Some(known) = self.contacts.iter_mut().find(same) {
            let news = contact.direct && !known.direct;
            known.direct |= contact.direct;
            return news;
        }
        let place = self.contacts.partition_point(|c| c.at <= contact.at);
        self.contacts.insert(place, contact);
        true
    }

    /// Counts one more try of a touch that was refused for now after `before` tries.
    pub fn count_try(&mut self, touch: &TouchId, before: u32) {
        self.tries.insert(touch.clone(), before.saturating_add(1));
        while self.tries.len() > TRIED_TOUCHES_MAX {
            let other = self.tries.keys().find(|id| *id != touch).cloned();
            let Some(other) = other else { return };
            self.tries.remove(&other);
        }
    }

    /// Drops the contacts that are older than [`CONTACT_DAYS_KEPT`] days on `on`.
    pub fn forget_old_contacts(&mut self, on: NaiveDate) {
        if let Some(first) = on.checked_sub_days(Days::new(CONTACT_DAYS_KEPT)) {
            self.contacts.retain(|c| c.at.date_naive() >= first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;

    fn contact(minute: u32, direct: bool) -> Contact {
        let on = NaiveDate::from_ymd_opt(2026, 3, 10).unwrap();
        Contact { at: on.and_hms_opt(15, minute, 0).unwrap().and_utc(), channel: Channel::Call, direct }
    }

    #[test]
    fn a_contact_counts_once_and_stands_in_its_place_in_time() {
        let mut fence = Fence::default();
        assert!(fence.add_contact(contact(30, false)));
        assert!(fence.add_contact(contact(10, false)));
        assert!(!fence.add_contact(contact(30, false)));
        assert!(fence.add_contact(contact(30, true)), "the customer answered after all");
        assert!(!fence.add_contact(contact(30, false)), "an answer is not taken back");
        assert_eq!(fence.contacts, [contact(10, false), contact(30, true)]);
    }
}

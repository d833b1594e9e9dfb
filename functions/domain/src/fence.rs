//! The fence of a customer: what every decision about the customer is checked against.
//!
//! Invariant: `version` grows with every fact that could forbid or change a send. A claim names the version it was
//! decided on, so a decision on old facts can never be carried out.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::contact::Contact;
use crate::ids::{ObligationId, StageId};

/// How many days of contacts a fence keeps: the longest cap counts seven days, a month is for people.
pub const CONTACT_DAYS_KEPT: u64 = 35;

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

/// The last decision that was put on record, so that the same one of a day is recorded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// The customer's local date of the decision.
    pub on: NaiveDate,
    /// What tells it from others, in hexadecimal digits.
    pub digest: String,
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
    /// The last decision on record; `None` before the first.
    pub recorded: Option<RecordedDecision>,
}

impl Fence {
    /// The stage reached by an obligation in the cycle of `due_on`.
    #[must_use]
    pub fn reached(&self, obligation: &ObligationId, due_on: NaiveDate) -> Option<&Reached> {
        self.reached.get(obligation).filter(|r| r.due_on == due_on)
    }

    /// Drops the contacts that are older than [`CONTACT_DAYS_KEPT`] days on `on`.
    pub fn forget_old_contacts(&mut self, on: NaiveDate) {
        if let Some(first) = on.checked_sub_days(Days::new(CONTACT_DAYS_KEPT)) {
            self.contacts.retain(|c| c.at.date_naive() >= first);
        }
    }
}

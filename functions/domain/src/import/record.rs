//! Records: what one sound row says about a customer and an obligation, or about a payment.
//!
//! A row of a receivables file speaks of several days at once: it became known on one, may be disputed from
//! another, and was settled on a third. [`AccountRow::snapshot_on`] gives what was true on one day, so that an
//! import of today and a replay of history use the same code.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::ids::{CustomerId, ObligationId, PaymentId};
use crate::obligation::{Hold, Obligation};

/// What one sound row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A customer and one of its obligations.
    Account(Box<AccountRow>),
    /// A payment towards an obligation.
    Payment(PaymentRow),
}

/// A customer and one of its obligations, over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The line of the file, counted from 1 with the header; of a sheet, its row.
    pub line: u64,
    /// The customer. Consents and contact points stand from the day the row becomes known.
    pub customer: Customer,
    /// The obligation as it was when it became known: without its settlement and without its dispute.
    pub obligation: Obligation,
    /// The day it becomes known; from the beginning of time where absent.
    pub known_on: Option<NaiveDate>,
    /// The day it is paid in full, or otherwise closed.
    pub closed_on: Option<NaiveDate>,
    /// A dispute, with its own days.
    pub dispute: Option<Hold>,
}

/// A payment towards an obligation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRow {
    /// The line of the file, counted from 1 with the header.
    pub line: u64,
    /// The lender's own reference; the same payment twice counts once.
    pub id: PaymentId,
    /// Who paid.
    pub customer: CustomerId,
    /// What was paid.
    pub obligation: ObligationId,
    /// How much, in minor units of the obligation's currency.
    pub amount_minor: i64,
    /// When.
    pub paid_on: NaiveDate,
}

impl AccountRow {
    /// The obligation as the row says it was on a day; `None` before it became known.
    #[must_use]
    pub fn snapshot_on(&self, on: NaiveDate) -> Option<Obligation> {
        if self.known_on.is_some_and(|known| on < known) {
            return None;
        }
        let mut obligation = self.obligation.clone();
        obligation.closed_on = self.closed_on.filter(|closed| *closed <= on);
        // A dispute that was not yet raised on the day is not known either.
        obligation.holds.extend(self.dispute.iter().filter(|d| d.from_on <= on).cloned());
        Some(obligation)
    }

    /// The days on which what the row says changes, in order.
    #[must_use]
    pub fn change_days(&self) -> Vec<NaiveDate> {
        let mut days: Vec<NaiveDate> = [
            Some(self.known_on.unwrap_or(NaiveDate::MIN)),
            self.dispute.as_ref().map(|d| d.from_on),
            self.dispute.as_ref().and_then(|d| d.until_on),
            self.closed_on,
        ]
        .into_iter()
        .flatten()
        .collect();
        days.sort_unstable();
        days.dedup();
        days.retain(|day| self.known_on.is_none_or(|known| *day >= known));
        days
    }
}

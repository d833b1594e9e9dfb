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
        // A dispute has its own days, so it may be known before it begins. An end that is only the settlement's day is
        // not known before it: the settlement itself ends the dispute.
        let own_end = |until: &NaiveDate| Some(*until) != self.closed_on;
        let dispute = self.dispute.iter().map(|d| Hold { until_on: d.until_on.filter(own_end), ..d.clone() });
        obligation.holds.extend(dispute);
        Some(obligation)
    }

    /// The days on which what the row says changes, in order.
    #[must_use]
    pub fn change_days(&self) -> Vec<NaiveDate> {
        let known_on = self.known_on.unwrap_or(NaiveDate::MIN);
        let mut days: Vec<NaiveDate> = std::iter::once(known_on).chain(self.closed_on).collect();
        days.sort_unstable();
        days.dedup();
        days.retain(|day| self.known_on.is_none_or(|known| *day >= known));
        days
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::{Customer, Role};
    use crate::money::Money;
    use crate::obligation::{HoldReason, ObligationState};

    fn day(d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, d).unwrap()
    }

    fn row() -> AccountRow {
        let customer = CustomerId::new("c").unwrap();
        AccountRow {
            line: 2,
            obligation: Obligation {
                id: ObligationId::new("o").unwrap(),
                customer: customer.clone(),
                account: None,
                due_on: day(10),
                amount: Money::new(100, "USD".parse().unwrap()),
                paid_minor: 0,
                closed_on: None,
                holds: vec![],
            },
            customer: Customer {
                id: customer,
                name: crate::contact::PersonName::new("Ana"),
                kind: None,
                role: Role::Debtor,
                country: None,
                time_zone: None,
                language: None,
                segment: None,
                preferred_channel: None,
                contact_points: vec![],
                consents: vec![],
                agreed_hours: None,
                hold: None,
            },
            known_on: Some(day(2)),
            closed_on: Some(day(20)),
            dispute: Some(Hold { reason: HoldReason::Dispute, from_on: day(10), until_on: Some(day(20)) }),
        }
    }

    #[test]
    fn a_row_tells_what_was_true_on_each_day() {
        let row = row();
        assert_eq!(row.snapshot_on(day(1)), None);
        let state = |on| {
            let snapshot = row.snapshot_on(on).unwrap();
            match snapshot.state_on(on) {
                ObligationState::Open => "open",
                ObligationState::Held(hold) if hold.until_on.is_none() => "held",
                ObligationState::Held(_) => "held with an end that nobody could know",
                ObligationState::Closed => "closed",
            }
        };
        assert_eq!(
            [day(2), day(9), day(10), day(19), day(20)].map(state),
            ["open", "open", "held", "held", "closed"]
        );
        assert_eq!(row.change_days(), [day(2), day(20)]);
    }
}

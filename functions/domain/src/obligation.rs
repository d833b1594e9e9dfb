//! Obligations: one amount due on one date, and what stops its reminders.
//!
//! Invariant: the state is derived from the facts and a date ([`Obligation::state_on`]); it is never stored.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, CustomerId, ObligationId};
use crate::money::Money;

/// Why reminders are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The customer disputes the amount.
    Dispute,
    /// The customer promised to pay.
    Promise,
    /// The customer cannot pay for now and an arrangement was made.
    Hardship,
    /// A person of the lender stopped it.
    Manual,
}

impl HoldReason {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dispute => "dispute",
            Self::Promise => "promise",
            Self::Hardship => "hardship",
            Self::Manual => "manual",
        }
    }
}

/// A stop with a reason and, where it is known, an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// The first day of the stop.
    pub from_on: NaiveDate,
    /// The first day after the stop; open where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_on: Option<NaiveDate>,
}

impl Hold {
    /// Whether the stop covers a day.
    #[must_use]
    pub fn covers(&self, on: NaiveDate) -> bool {
        self.from_on <= on && self.until_on.is_none_or(|until| on < until)
    }
}

/// One amount due on one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// The lender's own reference.
    pub id: ObligationId,
    /// Who owes it.
    pub customer: CustomerId,
    /// The credit product it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// When it is due, in the customer's calendar.
    pub due_on: NaiveDate,
    /// What was due.
    pub amount: Money,
    /// What was paid so far, in minor units of the same currency.
    #[serde(default)]
    pub paid_minor: i64,
    /// The day on which it was paid in full, or otherwise closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_on: Option<NaiveDate>,
    /// What stops its reminders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
}

/// Where an obligation stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObligationState<'a> {
    /// Owed, and nothing stops its reminders.
    Open,
    /// Owed, and stopped.
    Held(&'a Hold),
    /// Paid in full, or otherwise closed.
    Closed,
}

impl Obligation {
    /// Where it stands on a day. Money beats every hold.
    #[must_use]
    pub fn state_on(&self, on: NaiveDate) -> ObligationState<'_> {
        if !self.is_open() {
            return ObligationState::Closed;
        }
        self.holds.iter().find(|h| h.covers(on)).map_or(ObligationState::Open, ObligationState::Held)
    }

    /// Whether anything is still owed, by what is known now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed_on.is_none() && self.outstanding().amount_minor > 0
    }

    /// What is still owed; never negative.
    #[must_use]
    pub fn outstanding(&self) -> Money {
        Money::new(self.amount.amount_minor.saturating_sub(self.paid_minor).max(0), self.amount.currency)
    }

    /// Days past due on a day; negative before the due date.
    #[must_use]
    pub fn dpd_on(&self, on: NaiveDate) -> i32 {
        dpd(self.due_on, on)
    }
}

/// Days past due of a due date on a day; negative before it. Far dates saturate.
#[must_use]
pub fn dpd(due_on: NaiveDate, on: NaiveDate) -> i32 {
    let days = on.signed_duration_since(due_on).num_days();
    i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, d).unwrap()
    }

    fn obligation() -> Obligation {
        Obligation {
            id: ObligationId::new("o").unwrap(),
            customer: CustomerId::new("c").unwrap(),
            account: None,
            due_on: day(10),
            amount: Money::new(1_000, "PEN".parse().unwrap()),
            paid_minor: 0,
            closed_on: None,
            holds: vec![],
        }
    }

    #[test]
    fn the_state_follows_from_the_facts() {
        let mut o = obligation();
        assert_eq!(o.state_on(day(10)), ObligationState::Open);
        o.paid_minor = 400;
        assert_eq!(o.outstanding().amount_minor, 600);
        let hold = Hold { reason: HoldReason::Dispute, from_on: day(11), until_on: Some(day(14)) };
        o.holds.push(hold.clone());
        assert_eq!(o.state_on(day(10)), ObligationState::Open);
        assert_eq!(o.state_on(day(13)), ObligationState::Held(&hold));
        assert_eq!(o.state_on(day(14)), ObligationState::Open);
        o.paid_minor = 1_200;
        assert_eq!(o.state_on(day(13)), ObligationState::Closed);
        assert_eq!(o.outstanding().amount_minor, 0);
    }

    #[test]
    fn dpd_is_negative_before_the_due_date() {
        assert_eq!(obligation().dpd_on(day(7)), -3);
        assert_eq!(obligation().dpd_on(day(10)), 0);
        assert_eq!(obligation().dpd_on(day(25)), 15);
    }
}

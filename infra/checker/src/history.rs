//! Histories: what was true of an obligation on a day.
//!
//! Invariant: every fact takes effect at the start of its date, in the customer's own calendar.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::InputError;

/// One obligation over time, as the imported file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObligationHistory {
    /// The lender's own reference of the obligation.
    pub obligation: String,
    /// Who owes it.
    pub customer: String,
    /// The first day on which it is known; from the beginning of time where absent.
    pub known_on: Option<NaiveDate>,
    /// When it is due.
    pub due_on: NaiveDate,
    /// The first day on which nothing is owed any more.
    pub closed_on: Option<NaiveDate>,
    /// The first day of a dispute, and the first day after it; open where absent.
    pub dispute: Option<(NaiveDate, Option<NaiveDate>)>,
}

impl ObligationHistory {
    /// Days past due on a day; negative before the due date.
    pub(crate) fn dpd_on(&self, on: NaiveDate) -> i64 {
        on.signed_duration_since(self.due_on).num_days()
    }

    pub(crate) fn is_known_on(&self, on: NaiveDate) -> bool {
        match self.known_on {
            Some(known_on) => known_on <= on,
            None => true,
        }
    }

    pub(crate) fn is_closed_on(&self, on: NaiveDate) -> bool {
        match self.closed_on {
            Some(closed_on) => closed_on <= on,
            None => false,
        }
    }

    pub(crate) fn is_disputed_on(&self, on: NaiveDate) -> bool {
        match self.dispute {
            Some((from, Some(until))) => from <= on && on < until,
            Some((from, None)) => from <= on,
            None => false,
        }
    }

    /// Whether it is closed or disputed on any day from `first` to `last`.
    pub(crate) fn is_stopped_within(&self, first: NaiveDate, last: NaiveDate) -> bool {
        let disputed = match self.dispute {
            Some((from, Some(until))) => from <= last && first < until && from < until,
            Some((from, None)) => from <= last,
            None => false,
        };
        self.is_closed_on(last) || disputed
    }
}

/// All histories by customer and obligation: a lender's reference need only be unique for one customer.
pub(crate) struct Histories<'a>(BTreeMap<(&'a str, &'a str), &'a ObligationHistory>);

impl<'a> Histories<'a> {
    pub(crate) fn new(histories: &'a [ObligationHistory]) -> Result<Self, InputError> {
        let mut all = BTreeMap::new();
        for history in histories {
            if all.insert((history.customer.as_str(), history.obligation.as_str()), history).is_some() {
                return Err(InputError::ObligationTwice {
                    customer: history.customer.clone(),
                    obligation: history.obligation.clone(),
                });
            }
        }
        Ok(Self(all))
    }

    pub(crate) fn get(&self, customer: &str, obligation: &str) -> Option<&'a ObligationHistory> {
        self.0.get(&(customer, obligation)).copied()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &'a ObligationHistory> {
        self.0.values().copied()
    }
}

//! Timelines: which facts of a file take effect on which day.
//!
//! Invariant: on every day a row gives what is true from the start of that day on.

use std::collections::{BTreeMap, HashMap};

use chrono::{Days, NaiveDate};
use domain::customer::Customer;
use domain::ids::CustomerId;
use domain::import::record::AccountRow;

/// The facts of a file by the day on which they take effect.
pub(crate) struct Timeline {
    rows: Vec<AccountRow>,
    changes: BTreeMap<NaiveDate, Vec<usize>>,
    /// What each customer was last said to be, by day.
    customers: HashMap<CustomerId, Vec<(NaiveDate, usize)>>,
}

impl Timeline {
    pub(crate) fn new(rows: Vec<AccountRow>) -> Self {
        let mut changes: BTreeMap<NaiveDate, Vec<usize>> = BTreeMap::new();
        let mut customers: HashMap<CustomerId, Vec<(NaiveDate, usize)>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            for day in row.change_days() {
                changes.entry(day).or_default().push(index);
            }
            let known = row.known_on.unwrap_or(NaiveDate::MIN);
            customers.entry(row.customer.id.clone()).or_default().push((known, index));
        }
        for versions in customers.values_mut() {
            versions.sort_unstable();
        }
        Self { rows, changes, customers }
    }

    pub(crate) fn rows(&self) -> &[AccountRow] {
        &self.rows
    }

    /// The rows whose facts change on a day; on the first day, those of all days up to it.
    pub(crate) fn facts_of(&self, day: NaiveDate, first: bool) -> Vec<AccountRow> {
        let from = if first { NaiveDate::MIN } else { day };
        let Some(next) = day.checked_add_days(Days::new(1)) else { return Vec::new() };
        let mut indices: Vec<usize> =
            self.changes.range(from..next).flat_map(|(_, rows)| rows.clone()).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().map(|i| self.row_on(i, day)).collect()
    }

    /// A row with its customer as it was last described by the day: a settlement of an old invoice says nothing new
    /// about the customer's wishes.
    fn row_on(&self, index: usize, day: NaiveDate) -> AccountRow {
        let mut row = self.rows[index].clone();
        if let Some(customer) = self.customer_on(&row.customer.id, day) {
            row.customer = customer.clone();
        }
        row
    }

    fn customer_on(&self, id: &CustomerId, day: NaiveDate) -> Option<&Customer> {
        let versions = self.customers.get(id)?;
        let last = versions.partition_point(|(known, _)| *known <= day).checked_sub(1)?;
        versions.get(last).map(|(_, index)| &self.rows[*index].customer)
    }
}

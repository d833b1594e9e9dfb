//! Imports: rows become facts, each in one transaction with its customer's fence.
//!
//! Invariant: importing again changes nothing, and an older source never overwrites a newer one. By item:
//!
//! | the row is | and says | then |
//! |---|---|---|
//! | of a newer source | something else | it is written |
//! | of a newer source | the same | only the sequence advances |
//! | of the same source | something else | it is written: the later row of a source counts |
//! | of the same source | the same | nothing is written |
//! | of an older source | anything | it is rejected |
//!
//! A change of what is known bumps the fence; a new obligation of a known customer does not, because no decision
//! can have been made on it.

mod accounts;
mod payments;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::backend::{Expression, Failure, Item, Write};
use crate::key::Key;
use crate::{Store, StoreError, failed};

/// How often a customer is read again when another write came in between.
const IMPORT_TRIES_MAX: usize = 8;
/// How many items are read ahead for the customers of one call.
const READ_AHEAD_KEYS_MAX: usize = 400;

/// What became of the rows of an import. Every row is counted once, besides the customers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportCounts {
    /// Customers that no import had named before.
    pub customers_new: u64,
    /// Customers about whom something changed.
    pub customers_changed: u64,
    /// Obligations that no import had named before.
    pub obligations_new: u64,
    /// Obligations about which something changed.
    pub obligations_changed: u64,
    /// Payments that no import had named before.
    pub payments_new: u64,
    /// Payments that were corrected.
    pub payments_changed: u64,
    /// Rows that say what is known.
    pub unchanged: u64,
    /// Rows of a source that is older than the one their item came from.
    pub older_rejected: u64,
    /// Rows about customers whose personal data was erased.
    pub erased_rejected: u64,
    /// Rows of which nothing was known yet on the as-of date.
    pub not_yet_known: u64,
    /// Rows that a later row about the same thing in the same call overrides.
    pub repeated: u64,
}

impl std::ops::AddAssign for ImportCounts {
    fn add_assign(&mut self, o: Self) {
        self.customers_new += o.customers_new;
        self.customers_changed += o.customers_changed;
        self.obligations_new += o.obligations_new;
        self.obligations_changed += o.obligations_changed;
        self.payments_new += o.payments_new;
        self.payments_changed += o.payments_changed;
        self.unchanged += o.unchanged;
        self.older_rejected += o.older_rejected;
        self.erased_rejected += o.erased_rejected;
        self.not_yet_known += o.not_yet_known;
        self.repeated += o.repeated;
    }
}

/// What the table above says about one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ruling {
    New,
    Changed,
    Advance,
    Same,
    Older,
}

/// Applies the table: the row's sequence and hash against the stored ones, where something is stored.
fn ruling(sequence: u64, hash: &str, stored: Option<(u64, &str)>) -> Ruling {
    match stored {
        None => Ruling::New,
        Some((known, _)) if sequence < known => Ruling::Older,
        Some((known, same)) if same == hash => {
            if sequence == known {
                Ruling::Same
            } else {
                Ruling::Advance
            }
        }
        Some(_) => Ruling::Changed,
    }
}

/// What is to be written about one customer.
#[derive(Debug, Default)]
struct Plan {
    /// Sequences that only advance: each on its own, at one write unit.
    advances: Vec<Write>,
    /// Facts: all or none.
    facts: Vec<Write>,
    counts: ImportCounts,
}

impl Plan {
    fn advance(&mut self, key: Key, from: u64, to: u64) {
        let values = vec![(":from", from.into()), (":to", to.into())];
        let condition = Expression { text: "#q = :from", names: &["q"], values };
        self.advances.push(Write::Update { key, update: "SET #q = :to", condition });
    }
}

/// Items by their key.
type Known = HashMap<Key, Item>;

impl Store {
    async fn known(&self, keys: Vec<Key>) -> Result<Known, StoreError> {
        let items = self.get_all("import", keys).await?;
        Ok(items.into_iter().filter_map(|item| Some((Key::of_item(&item)?, item))).collect())
    }

    /// Writes a plan; `false` when something was written in between and the plan must be made again.
    ///
    /// Sequences go first: when the facts then collide, the next plan counts the advanced ones as unchanged too.
    async fn carry_out(&self, plan: &mut Plan) -> Result<bool, StoreError> {
        for write in plan.advances.drain(..) {
            if !settled(self.write("import", write).await)? {
                return Ok(false);
            }
        }
        match plan.facts.len() {
            0 => Ok(true),
            1 => settled(self.write("import", plan.facts.remove(0)).await),
            _ => settled(self.transact("import", std::mem::take(&mut plan.facts)).await),
        }
    }
}

fn settled(result: Result<(), Failure>) -> Result<bool, StoreError> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure.is_contention() => Ok(false),
        Err(failure) => Err(failed("import", failure)),
    }
}

fn contended() -> StoreError {
    StoreError::Retryable {
        operation: "import",
        reason: format!("a customer changed {IMPORT_TRIES_MAX} times in between"),
    }
}
